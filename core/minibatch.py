"""K-means of very many documents: fewer looks at each, a sample for what grows with the square of them.

Chosen by the number of documents in one place, here; the numbers come from `python -m tests.benchmarks scale`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.threads import one_thread

IntArray = NDArray[np.int64]
Points = NDArray[np.floating[Any]]

MINIBATCH_DOCUMENTS = 20_000  # from here on k-means takes mini-batches
START_FILMS = 10_000  # drawn by lot, among which the start is looked for
BATCH = 4_096
PASSES = 3
STEPS = 3  # of all documents at the end, which make the centres means again


def wanted(n_documents: int) -> bool:
    """Return whether so many documents are clustered by mini-batches."""
    return n_documents > MINIBATCH_DOCUMENTS


def labels(points: Points, films: Points, centers: Points, random_state: int = 0) -> IntArray:
    """Return the cluster of each document, shape (n,), by mini-batch k-means weighted with films, shape (n,).

    centers (k, d) are the start, of the same type as points (n, d). Documents are taken in an order drawn anew for each
    of PASSES passes; each batch moves its centres by its films over all films they have seen so far. Then Lloyd's
    steps over all documents: the labels are those of the nearest centre, exactly. Source: Sculley (2010), with weights.
    """
    random = np.random.default_rng(random_state)
    centers = centers.copy()
    seen = np.zeros(len(centers))
    with one_thread():
        for _ in range(PASSES):
            order = random.permutation(len(points))
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                _move(points[rows], films[rows], centers, seen)
        for _ in range(STEPS):
            found = nearest(points, centers)
            sums, total = _sums(points, films, found, len(centers))
            centers = np.where(total[:, None] > 0, sums / np.maximum(total, 1e-300)[:, None], centers).astype(
                points.dtype
            )
        return nearest(points, centers)


def _move(points: Points, films: Points, centers: Points, seen: NDArray[np.float64]) -> None:
    """Move the centres by a batch, in place: each becomes the mean of all films it has been given."""
    sums, total = _sums(points, films, nearest(points, centers), len(centers))
    here = total > 0
    seen[here] += total[here]
    share = (total[here] / seen[here])[:, None]
    centers[here] += (share * (sums[here] / total[here][:, None] - centers[here])).astype(centers.dtype)


def _sums(points: Points, films: Points, found: IntArray, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    parts = np.zeros((k, len(points)), dtype=points.dtype)
    parts[found, np.arange(len(points))] = films
    return np.asarray(parts @ points, dtype=np.float64), np.bincount(found, weights=films, minlength=k).astype(
        np.float64
    )


def nearest(points: Points, centers: Points) -> IntArray:
    """Return the nearest centre of each document, shape (n,), a block of documents at a time."""
    norms, found = (centers**2).sum(axis=1), np.empty(len(points), dtype=np.int64)
    for start in range(0, len(points), BATCH):
        block = points[start : start + BATCH]
        found[start : start + BATCH] = (norms[None] - 2 * (block @ centers.T)).argmin(axis=1)
    return found
