"""How good a clustering is, exactly and over all films: silhouette and coherence.

Every figure counts each genre list as often as it has films, so it equals the figure over the repeated rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

BLOCK_ROWS = 1024


@dataclass(frozen=True, eq=False)
class Score:
    """A figure for the whole clustering, for each cluster (k,) and for each genre list (n,); NaN where undefined."""

    overall: float
    clusters: FloatArray
    documents: FloatArray


def silhouette(
    vectors: FloatArray, weights: IntArray, labels: IntArray, known_distances: FloatArray | None = None
) -> Score:
    """Return the mean silhouette over all films, per cluster and per genre list, from -1 to 1.

    vectors (n, d); weights (n,) films; labels (n,), -1 for lists without films; known_distances (n, n), if at hand,
    are `distances` of the vectors and save most of the time. Euclidean distance. Films of the
    same list are at distance 0. A film alone in its cluster counts 0, and with fewer than two clusters nothing is
    defined. Source: Rousseeuw (1987); the same value as scikit-learn's `silhouette_score` over repeated rows.
    """
    here = np.flatnonzero(labels >= 0)
    values = np.full(len(labels), np.nan)
    films = np.bincount(labels[here], weights=weights[here])
    if len(films) < 2:
        return Score(float("nan"), np.full(len(films), np.nan), values)
    with threadpool_limits(limits=1):
        parts = np.zeros((len(labels), len(films)))
        parts[here, labels[here]] = weights[here]
        if known_distances is not None:
            sums = (known_distances @ parts)[here]
        else:
            sums = np.concatenate([block @ parts[here] for block in _distance_blocks(vectors[here])])
    rows, own = np.arange(len(here)), labels[here]
    others = sums / films
    others[rows, own] = np.inf
    nearest = others.min(axis=1)
    alone = films[own] == 1
    inner = sums[rows, own] / np.maximum(films[own] - 1, 1)
    widest = np.maximum(inner, nearest)
    values[here] = np.where(alone | (widest == 0), 0.0, (nearest - inner) / np.where(widest == 0, 1, widest))
    return _score(values, weights, labels)


def distances(vectors: FloatArray) -> FloatArray:
    """Return the Euclidean distances between all vectors, shape (n, n): 8 n² bytes."""
    with threadpool_limits(limits=1):
        return np.concatenate(list(_distance_blocks(vectors))) if len(vectors) else np.zeros((0, 0))


def _distance_blocks(vectors: FloatArray) -> Iterator[FloatArray]:
    """Yield the distances from some rows at a time to all vectors, shape (rows, n)."""
    norms = (vectors**2).sum(axis=1)
    for start in range(0, len(vectors), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        squared = norms[rows, None] + norms[None] - 2 * vectors[rows] @ vectors.T
        np.maximum(squared, 0.0, out=squared)
        # Rounding leaves about 1e-8 where a document meets itself.
        met = np.arange(len(squared))
        squared[met, start + met] = 0.0
        yield np.sqrt(squared, out=squared)


def coherence(membership: FloatArray, weights: IntArray, labels: IntArray) -> Score:
    """Return the mean Jaccard similarity of the genre sets of two films of the same cluster, from 0 to 1.

    membership (n, genres) is 1 where a list has a genre. For a film it is the mean over the other films of its
    cluster, for a cluster and overall the mean over films. A film alone in its cluster has no other film: it is
    left out, and the cluster's figure is NaN. It needs no vectors, so encoders can be compared by it.
    """
    here = np.flatnonzero(labels >= 0)
    values = np.full(len(labels), np.nan)
    for cluster in range(int(labels.max(initial=-1)) + 1):
        members = here[labels[here] == cluster]
        films = weights[members].astype(np.float64)
        if films.sum() > 1:
            values[members] = (_jaccard_sums(membership[members], films) - 1) / (films.sum() - 1)
    return _score(values, weights, labels)


def _jaccard_sums(membership: FloatArray, films: FloatArray) -> FloatArray:
    """Sum the Jaccard similarity of each document with all films, itself included, shape (n,), in blocks of rows."""
    sizes = membership.sum(axis=1)
    sums = np.empty(len(films))
    for start in range(0, len(films), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        shared = membership[rows] @ membership.T
        sums[rows] = shared / (sizes[rows, None] + sizes[None] - shared) @ films
    return sums


def _score(values: FloatArray, weights: IntArray, labels: IntArray) -> Score:
    """Average a figure of the documents over films, for each cluster and overall, leaving out NaN."""
    known = np.flatnonzero(~np.isnan(values))
    k = int(labels.max(initial=-1)) + 1
    films = np.bincount(labels[known], weights=weights[known], minlength=k)
    sums = np.bincount(labels[known], weights=weights[known] * values[known], minlength=k)
    clusters = np.divide(sums, films, out=np.full(k, np.nan), where=films > 0)
    overall = float(sums.sum() / films.sum()) if films.sum() else float("nan")
    return Score(overall, clusters, values)
