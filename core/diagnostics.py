"""How good a clustering is, exactly and over all films: silhouette and coherence.

Every figure counts each genre list as often as it has films, so it equals the figure over the repeated rows.
"""

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


def silhouette(vectors: FloatArray, weights: IntArray, labels: IntArray) -> Score:
    """Return the mean silhouette over all films, per cluster and per genre list, from -1 to 1.

    vectors (n, d); weights (n,) films; labels (n,), -1 for lists without films. Euclidean distance. Films of the
    same list are at distance 0. A film alone in its cluster counts 0, and with fewer than two clusters nothing is
    defined. Source: Rousseeuw (1987); the same value as scikit-learn's `silhouette_score` over repeated rows.
    """
    here = np.flatnonzero(labels >= 0)
    values = np.full(len(labels), np.nan)
    films = np.bincount(labels[here], weights=weights[here])
    if len(films) < 2:
        return Score(float("nan"), np.full(len(films), np.nan), values)
    with threadpool_limits(limits=1):
        sums = _distances_to_clusters(vectors[here], weights[here], labels[here], len(films))
    rows, own = np.arange(len(here)), labels[here]
    others = sums / films
    others[rows, own] = np.inf
    nearest = others.min(axis=1)
    alone = films[own] == 1
    inner = sums[rows, own] / np.maximum(films[own] - 1, 1)
    widest = np.maximum(inner, nearest)
    values[here] = np.where(alone | (widest == 0), 0.0, (nearest - inner) / np.where(widest == 0, 1, widest))
    return _score(values, weights, labels)


def _distances_to_clusters(vectors: FloatArray, weights: IntArray, labels: IntArray, k: int) -> FloatArray:
    """Sum the distances from each document to all films of each cluster, shape (n, k), in blocks of rows."""
    n = len(vectors)
    films = np.zeros((n, k))
    films[np.arange(n), labels] = weights
    norms = (vectors**2).sum(axis=1)
    sums = np.empty((n, k))
    for start in range(0, n, BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, n))
        squared = norms[rows, None] + norms[None] - 2 * vectors[rows] @ vectors.T
        np.maximum(squared, 0.0, out=squared)
        # Rounding leaves about 1e-8 where a document meets itself.
        squared[np.arange(squared.shape[0]), np.arange(rows.start, rows.stop)] = 0.0
        sums[rows] = np.sqrt(squared, out=squared) @ films
    return sums


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
