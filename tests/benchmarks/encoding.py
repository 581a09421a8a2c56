"""What encoding the shipped catalogue costs, with the model loaded, against three ways that others go.

(a) The demo's loop: tokenise and run one film at a time, timed on a sample of films and scaled to all of them.
(b) sentence-transformers' `encode` over all films with genres. (c) The same over the distinct genre lists.
"""

import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from core import checkpoints, devices, embeddings, encoders, movies
from core.devices import Device
from core.embeddings import Model
from tests.benchmarks import encoders as shapes
from tests.benchmarks import report

SAMPLE, ROUNDS = 200, 3
BOUNDS = {"float32": (80, 12, 1.3), "bfloat16": (180, 28, 2.8)}
WAYS = (
    "The demo's loop, a film at a time",
    "sentence-transformers, all films",
    "sentence-transformers, distinct lists",
)
SAME = {"float32": 1e-5, "bfloat16": 2e-2}
CEILING = (1024, 768, 3072)  # rows, columns in and out of BERT-base's widest layer


def timed(work: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Return the least seconds of some rounds."""
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def loop(model: Model, texts: list[str]) -> np.ndarray:
    """Encode as the demo does: one text at a time, the mean over its tokens."""
    vectors = []
    for text in texts:
        with torch.no_grad():
            hidden = model.module(**model.tokenizer(text, return_tensors="pt")).last_hidden_state
        vectors.append(hidden.float().mean(dim=1)[0].numpy())
    return np.array(vectors)


def against(dtype: str) -> list[tuple[str, ...]]:
    """Return the lines of the table for one number format."""
    encoder = encoders.get(encoders.DEFAULT_ENCODER)
    catalogue = movies.open_catalogue()
    lists, weights = list(catalogue.genre_lists), catalogue.weights()
    films = [text for text, n in zip(lists, weights, strict=True) for _ in range(n)]
    random.Random(0).shuffle(films)  # the order of a catalogue, not ours
    model = embeddings.load(encoder, devices.choose(dtype))  # type: ignore[arg-type]
    peer = SentenceTransformer(
        str(checkpoints.obtain(encoder).folder), device="cpu", local_files_only=True, model_kwargs={"dtype": dtype}
    )

    def theirs(texts: list[str]) -> np.ndarray:
        return peer.encode(texts, normalize_embeddings=True, show_progress_bar=False)

    ours = timed(lambda: embeddings.encode(model, lists))
    found = embeddings.post_process(embeddings.encode(model, lists), encoder)
    difference = float(np.abs(found - theirs(lists)).max())
    if not difference <= SAME[dtype]:
        raise RuntimeError(f"{dtype}: vectors differ from those of sentence-transformers by {difference:.1e}")
    loop(model, films[:20])
    seconds = (
        timed(lambda: loop(model, films[:SAMPLE])) * len(films) / SAMPLE,
        timed(lambda: theirs(films), rounds=1),
        timed(lambda: theirs(lists)),
    )
    lines = []
    for what, n, other, bound in zip(WAYS, (len(films), len(films), len(lists)), seconds, BOUNDS[dtype], strict=True):
        kept = "yes" if other / ours >= bound else "no"
        cells = (f"{what} ({n:,}), {dtype}", f"{other:.1f} s", f"{ours:.2f} s", f"{other / ours:.1f}x")
        lines.append((*cells, f"{bound:g}x at least", kept))
        print(" | ".join(lines[-1]), flush=True)
    return lines


def ceiling(dtype: torch.dtype) -> float:
    """Return how many multiplications and additions a second the machine does in a matrix product of BERT's size."""
    rows, wide, wider = CEILING
    left, right = torch.randn(rows, wide, dtype=dtype), torch.randn(wide, wider, dtype=dtype)
    torch.mm(left, right)
    return 2.0 * rows * wide * wider / timed(lambda: torch.mm(left, right), rounds=20)


def of_the_ceiling() -> str:
    """Say what part of the machine's speed at matrix products encoding with BERT-base's shape reaches."""
    dtype = "bfloat16" if can_bfloat16() else "float32"
    with tempfile.TemporaryDirectory() as folder:
        path = shapes.build(Path(folder) / f"{shapes.PREFIX}bert", "bert-base-uncased")
        os.environ[encoders.SETTING] = str(path)
        try:
            model = embeddings.load(encoders.get(path.name), devices.choose(dtype))  # type: ignore[arg-type]
        finally:
            os.environ.pop(encoders.SETTING)
        lists = list(movies.open_catalogue().genre_lists)
        tokens = sum(map(len, model.tokenizer(lists)["input_ids"]))
        layers = sum(p.numel() for name, p in model.module.named_parameters() if "embeddings" not in name)
        speeds = [2.0 * layers * tokens / timed(lambda: embeddings.encode(model, lists), rounds=1) for _ in range(2)]
    most, reached = ceiling(getattr(torch, dtype)), max(speeds)
    return (
        f"BERT-base's shape in {dtype}: {reached / 1e9:.0f} of the {most / 1e9:.0f} GFLOP/s that a product of "
        f"{CEILING[0]} x {CEILING[1]} by {CEILING[1]} x {CEILING[2]} reaches here, {reached / most:.0%} "
        f"({tokens:,} tokens, {tokens / len(lists):.1f} a list; bound 40 %)."
    )


def can_bfloat16() -> bool:
    """Return whether this machine is fast at bfloat16."""
    try:
        device: Device = devices.choose("bfloat16")
    except ValueError:
        return False
    return device.dtype == "bfloat16"


def section() -> tuple[str, bool]:
    """Return the section of docs/benchmarks.md, and whether all bounds were kept."""
    lines = against("float32")
    if can_bfloat16():
        lines += against("bfloat16")
        note = ""
    else:
        note = "\nThis machine has neither AMX nor AVX512-BF16, so bfloat16 was not measured."
    head = ("the other way", "it takes", "here", "ratio", "bound", "kept")
    peers = report.made_by("encoding", ("torch", "transformers", "sentence-transformers"))
    body = (
        f"{peers}\n\n{report.table(head, lines)}\n\nThe model (MiniLM) is loaded on both sides, and the vectors are "
        f"compared first. The demo's loop is timed on {SAMPLE} films and scaled; each time is the least of {ROUNDS}, "
        f"but sentence-transformers over all films is timed once.{note}\n\n{of_the_ceiling()}"
    )
    return body, all(line[-1] == "yes" for line in lines)
