"""Is it worth giving every dimension the same variance? Coherence and seed agreement with and without.

Real weights of the raw checkpoints come from the Hub; where there is none, MiniLM's inner layers stand in for them:
token averages that were never trained to be compared, as those of a raw checkpoint. Coherence needs no vectors, so the
columns can be held against one another.
"""

import dataclasses
from collections.abc import Iterator
from itertools import combinations, groupby

import numpy as np
from sklearn.metrics import adjusted_rand_score

from core import clustering, devices, diagnostics, embeddings, encoders, explain, movies
from core.embeddings import Float32, Model
from core.encoders import Encoder
from core.movies import Catalogue

CLUSTERS = (8, 12, 20)
SEEDS = range(6)


def layers(model: Model, texts: list[str]) -> list[Float32]:
    """Return the token averages of every layer, shape (n_texts, dimension) each, the embeddings first."""
    import torch

    tokens = model.tokenizer(texts)["input_ids"]
    order = sorted(range(len(texts)), key=lambda row: len(tokens[row]))
    means: dict[int, list[Float32]] = {}
    for _, group in groupby(order, key=lambda row: len(tokens[row])):
        rows = list(group)
        ids = torch.tensor([tokens[row] for row in rows], device=model.device.name)
        with torch.inference_mode():
            states = model.module(ids, attention_mask=torch.ones_like(ids), output_hidden_states=True).hidden_states
        for layer, state in enumerate(states):
            means.setdefault(layer, []).append(state.mean(dim=1).float().cpu().numpy())
    back = np.argsort(order)
    return [np.concatenate(means[layer])[back] for layer in sorted(means)]


def score(catalogue: Catalogue, vectors: Float32, encoder: Encoder, standardize: bool) -> Iterator[str]:
    """Yield for each k: mean coherence over the seeds, and mean ARI between two of them over all films."""
    weights = catalogue.weights()
    films = np.repeat(np.arange(len(weights)), weights)
    matrix, _ = explain.membership(catalogue.genre_lists)
    space = clustering.space(embeddings.post_process(vectors, encoder, standardize), weights)
    for k in CLUSTERS:
        found = [clustering.fit(space, weights, k, seed).labels for seed in SEEDS]
        coherence = np.mean([diagnostics.coherence(matrix, weights, labels).overall for labels in found])
        agreement = np.mean([adjusted_rand_score(a[films], b[films]) for a, b in combinations(found, 2)])
        yield f"{coherence:.3f} ({agreement:.2f})"


def main() -> None:
    catalogue = movies.open_catalogue()
    encoder = encoders.get(encoders.DEFAULT_ENCODER)
    centred = dataclasses.replace(encoder, center=True)
    print(f"| vectors | largest 3 dimensions | post-processing | {' | '.join(f'k = {k}' for k in CLUSTERS)} |")
    print(f"|---|---|---|{'---|' * len(CLUSTERS)}")
    for layer, vectors in enumerate(layers(embeddings.load(encoder, devices.choose()), list(catalogue.genre_lists))):
        if layer % 2:
            continue
        variance = np.sort(vectors.var(axis=0))
        share = variance[-3:].sum() / variance.sum()
        for name, how, standardize in (
            ("none", encoder, False),
            ("centred", centred, False),
            ("standardised", centred, True),
        ):
            cells = " | ".join(score(catalogue, vectors, how, standardize))
            print(f"| layer {layer} | {share:.0%} of the variance | {name} | {cells} |", flush=True)
    for baseline in (encoders.get("multi-hot"), encoders.get("tf-idf")):
        vectors = embeddings.baseline(baseline, catalogue.texts, catalogue.genre_lists)
        print(f"| {baseline.id} | | none | {' | '.join(score(catalogue, vectors, baseline, False))} |")


if __name__ == "__main__":
    main()
