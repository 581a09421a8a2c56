"""K-means by mini-batches: nearly as good as by all documents, exact in the end, the same every time."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from core import analysis, clustering, diagnostics, minibatch
from core.clustering import Space
from core.movies import Catalogue


def blobs(n: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points around k far apart middles, their films, and the middle of each."""
    random = np.random.default_rng(seed)
    of = random.integers(k, size=n)
    return random.normal(size=(k, 12))[of] * 6 + random.normal(size=(n, 12)), random.integers(1, 50, n), of


def test_planted_groups_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    points, films, of = blobs(5000, 6)
    monkeypatch.setattr(minibatch, "MINIBATCH_DOCUMENTS", 1000)
    assert minibatch.wanted(5000)
    assert not minibatch.wanted(1000)
    documents = clustering.space(points.astype(np.float32), films)
    found = clustering.fit(documents, films, 6)
    assert adjusted_rand_score(of, found.labels) == 1.0
    assert found.sizes.tolist() == sorted(np.bincount(of, weights=films).astype(int), reverse=True)
    assert np.array_equal(clustering.fit(documents, films, 6).labels, found.labels)


def test_labels_are_those_of_the_nearest_centre_and_weights_count() -> None:
    points, _, _ = blobs(3000, 4)
    films = np.where(points[:, 0] > np.median(points[:, 0]), 50, 1)
    start = points[:4].copy()
    found = minibatch.labels(points, films.astype(float), start)
    means = np.stack([np.average(points[found == i], axis=0, weights=films[found == i]) for i in range(4)])
    away = ((points[:, None] - means[None]) ** 2).sum(axis=2)
    assert (found == away.argmin(axis=1)).mean() > 0.97  # Lloyd's steps were few, so a few are on their way
    assert np.array_equal(minibatch.nearest(points, means), away.argmin(axis=1))
    # a film more is like a document more: the same centres from repeated rows, and others without the weights
    one = minibatch.labels(np.repeat(points, films, axis=0), np.ones(films.sum()), start)
    assert adjusted_rand_score(np.repeat(found, films), one) > 0.98
    without = minibatch.labels(points, np.ones(len(points)), start)
    assert adjusted_rand_score(np.repeat(without, films), one) < 0.5


def test_the_shipped_films_come_out_nearly_as_well(
    catalogue: Catalogue, documents: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = catalogue.weights()
    full = clustering.fit(documents, weights, 12)
    monkeypatch.setattr(minibatch, "MINIBATCH_DOCUMENTS", 500)
    few = clustering.fit(documents, weights, 12)
    assert few.inertia < 1.03 * full.inertia
    monkeypatch.setattr(diagnostics, "EXACT_DOCUMENTS", 500)
    found = analysis.analyse(catalogue, documents, 12)
    exact = diagnostics.silhouette(documents.vectors, weights, found.clustering.labels)
    assert found.silhouette.sampled == found.coherence.sampled == diagnostics.SAMPLED_FILMS
    assert abs(found.silhouette.overall - exact.overall) < 5 * found.silhouette.error + 0.01


def test_samples_are_right_on_average_and_say_how_far_off(catalogue: Catalogue, documents: Space) -> None:
    weights = catalogue.weights()
    labels = clustering.fit(documents, weights, 8).labels
    exact = diagnostics.silhouette(documents.vectors, weights, labels)
    told = [
        diagnostics.sampled(diagnostics.silhouette, documents.vectors, weights, labels, seed, 800) for seed in range(12)
    ]
    values = np.array([score.overall for score in told])
    error = np.mean([score.error for score in told])
    assert abs(values.mean() - exact.overall) < 3 * error / np.sqrt(len(told)) + 0.005
    assert error / 2 < values.std() < 2 * error
    assert (exact.sampled, exact.error) == (None, None)
    drawn = ~np.isnan(told[0].documents)
    assert 0 < drawn.sum() <= 800


def test_small_clusters_and_nothing_at_all() -> None:
    points, films = np.arange(20.0).reshape(10, 2), np.array([10**6] * 9 + [1])
    labels = np.array([0] * 5 + [1] * 4 + [2])
    score = diagnostics.sampled(diagnostics.silhouette, points, films, labels, n_films=50)
    assert np.isnan(score.clusters[2])
    assert score.overall == score.overall
    nothing = diagnostics.sampled(diagnostics.silhouette, points, films * 0, np.full(10, -1))
    assert np.isnan(nothing.overall)
    one = diagnostics.sampled(diagnostics.silhouette, points, films, np.zeros(10, dtype=int), n_films=50)
    assert np.isnan(one.overall)
    assert one.error is None


def test_tsne_of_a_sample(documents: Space) -> None:
    part = replace(
        documents,
        vectors=documents.vectors[:150],
        components=documents.components[:150],
        xy=documents.xy[:150],
        same=documents.same[:150],
    )
    xy = clustering.tsne(part, n_documents=100)
    assert xy.shape == (150, 2)
    assert len(np.unique(xy, axis=0)) == 100
    assert np.array_equal(xy, clustering.tsne(part, n_documents=100))
