"""The search for good centres: greedy k-means++, Lloyd's steps and swaps, on weighted points.

Tuned for about a thousand points and up to 50 centres, where a step is some hundred microseconds and most of them used
to go into temporary arrays, row-wise argmin and the calls themselves. So

- arrays have a row for each cluster, (k, n): the nearest centre is then a running minimum over rows;
- several starts, or swaps, go side by side in one array, (b, k, n);
- sums of clusters are kept, in float64, and only the points that moved are added and taken away; only the centres that
  moved are multiplied with the points again.

`tests/test_kmeans.py` holds every part against the plain form. All functions want `threads.one_thread` around them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Bools = NDArray[np.bool_]
Points = NDArray[np.floating[Any]]

MAX_ITERATIONS = 300
FEW = 4  # (above 1) sums are brought up to date if less than one point in so many moved, else summed anew
SMALLEST_GAIN = 1e-6  # a run is better than another if its inertia is lower by this part: less is rounding
AT_ONCE, CACHED_VALUES = 10, 1 << 18  # values in one array: 1 MB
BATCH_VALUES = 1 << 21  # distances held at a time while starts are chosen side by side: 8 MB


@dataclass(frozen=True, eq=False)
class Data:
    """Points (n, d) with films (n,), in the forms that are multiplied, float32 if nothing else is said.

    tall (d + 1, n): the points, and ones; norms (n,): squared lengths; weighted (n, d + 1): films x points, and films,
    in float64; square: the sum of films x squared length.
    """

    points: Points
    films: Points
    tall: Points
    norms: Points
    weighted: FloatArray
    square: float


@dataclass(frozen=True, eq=False)
class Run:
    """Where some steps of Lloyd led: labels (n,), and the means of these clusters, (k, d).

    sums (k, d + 1): films x points, and films, of each cluster. inertia: the sum over films of the squared distance to
    the mean of the own cluster.
    """

    labels: IntArray
    sums: FloatArray
    factors: Points
    inertia: float

    @property
    def centers(self) -> Points:
        """The means, (k, d)."""
        return self.factors[:, :-1] / -2


def prepare(points: Points, films: NDArray[Any]) -> Data:
    """Lay out points (n, d) with films (n,) for the functions below."""
    points, films = np.ascontiguousarray(points, dtype=np.float32), np.asarray(films, dtype=np.float32)
    n, d = points.shape
    tall, weighted = np.ones((d + 1, n), dtype=np.float32), np.empty((n, d + 1))
    tall[:d] = points.T
    np.multiply(points, films[:, None], out=weighted[:, :d], dtype=np.float64)
    weighted[:, d] = films
    square = float(np.einsum("ij,ij->", weighted[:, :d], points))
    return Data(points, films, tall, np.einsum("ij,ij->i", points, points), weighted, square)


def factors_of(centers: Points) -> Points:
    """Return -2 x centre, and its squared length, (k, d + 1): times the points, and ones, these are `scores`."""
    k, d = centers.shape
    factors = np.empty((k, d + 1), dtype=centers.dtype)
    np.multiply(centers, -2, out=factors[:, :d])
    np.einsum("ij,ij->i", centers, centers, out=factors[:, d])
    return factors


def scores(data: Data, centers: Points) -> Points:
    """Return |centre|² - 2 point . centre, (k, n): squared distances less the points' own squared lengths."""
    return factors_of(centers) @ data.tall


def squared_distances(data: Data, centers: Points) -> Points:
    """Return the squared Euclidean distances of centres (k, d) and points, (k, n), never below zero."""
    found = scores(data, centers)
    found += data.norms
    return np.maximum(found, 0, out=found)


def starts(data: Data, k: int, n_init: int, random: np.random.Generator) -> Points:
    """Choose k points n_init times, (n_init, k, d), by greedy k-means++ (Arthur and Vassilvitskii 2007).

    Each point is the best of some that are drawn with chance films x squared distance. All starts are made side by
    side, as far as memory allows; numbers are drawn in the order of one start after another, so that does not show.
    """
    trials = 2 + int(np.log(k))
    lots = random.random((n_init, 1 + (k - 1) * trials))
    at_once = max(1, BATCH_VALUES // (trials * len(data.points)))
    parts = [_starts(data, k, trials, lots[first : first + at_once]) for first in range(0, n_init, at_once)]
    return data.points[np.concatenate(parts)]


def _starts(data: Data, k: int, trials: int, lots: NDArray[np.float64]) -> IntArray:
    """Return the rows of the points chosen, (starts, k); lots (starts, 1 + (k - 1) x trials), from 0 to 1."""
    n_starts, each = len(lots), np.arange(len(lots))
    chosen = np.empty((n_starts, k), dtype=np.int64)
    chosen[:, 0] = drawn(np.broadcast_to(data.films, (n_starts, len(data.films))), lots[:, :1])[:, 0]
    closest = squared_distances(data, data.points[chosen[:, 0]])
    for i in range(1, k):
        tried = drawn(closest * data.films, lots[:, 1 + (i - 1) * trials : 1 + i * trials])
        distances = squared_distances(data, data.points[tried.reshape(-1)]).reshape(n_starts, trials, -1)
        np.minimum(distances, closest[:, None], out=distances)
        best = (distances @ data.films).argmin(axis=1)
        chosen[:, i] = tried[each, best]
        closest = distances[each, best]
    return chosen


def drawn(chances: Points, lots: NDArray[np.float64]) -> IntArray:
    """Draw indices with chances (rows, n) that need not add up to 1, by lots (rows, m) from 0 to 1."""
    reached = np.cumsum(chances, axis=1, dtype=np.float64)
    found = [row.searchsorted(lot * row[-1], side="right") for row, lot in zip(reached, lots, strict=True)]
    return np.asarray(np.minimum(np.array(found, dtype=np.int64), chances.shape[1] - 1), dtype=np.int64)


def side_by_side(data: Data, k: int) -> int:
    """Return how many starts or swaps go into one array: as many as fit into the processor's cache, ten at most."""
    return min(max(1, CACHED_VALUES // max(k * len(data.points), 1)), AT_ONCE)


def best_start(data: Data, k: int, n_init: int, steps: int, random: np.random.Generator) -> Run:
    """Return the best of n_init starts after some steps of Lloyd."""
    chosen, many = starts(data, k, n_init, random), side_by_side(data, k)
    runs = (run for first in range(0, n_init, many) for run in lloyd(data, chosen[first : first + many], steps))
    return min(runs, key=lambda run: run.inertia)


def random_swaps(data: Data, best: Run, tries: int, steps: int, random: np.random.Generator) -> Run:
    """Better a run by tries to put one centre, drawn at random, on a point drawn by misfit (Fränti 2018).

    Most tries fail, so the next ones are made side by side as if they did; after one that succeeds, those behind it are
    made anew. What comes out is the same as one after another.
    """
    k, many, done = len(best.sums), side_by_side(data, len(best.sums)), 0
    pairs = [(random.random(), random.integers(k)) for _ in range(tries if 1 < k < len(data.points) else 0)]
    lots, clusters = np.array([lot for lot, _ in pairs]), np.array([cluster for _, cluster in pairs], dtype=np.int64)
    while done < len(pairs):
        known, chances = scores(data, best.centers), misfit(data, best.labels, best.centers)[None]
        failed = True
        while failed and done < len(pairs):
            now = slice(done, done + many)
            for tried in swap(data, best, known, clusters[now], drawn(chances, lots[None, now])[0], steps):
                done += 1
                if tried.inertia < best.inertia * (1 - SMALLEST_GAIN):
                    best, failed = tried, False
                    break
    return best


def lloyd(data: Data, centers: Points, steps: int = MAX_ITERATIONS) -> list[Run]:
    """Move points to their nearest centre, and centres to the mean of their films, until nothing changes (Lloyd 1982).

    centers (b, k, d): b starts, which do not know of each other. An empty cluster's centre goes to the point that fits
    worst.
    """
    b, k, d = centers.shape
    factors = factors_of(centers.reshape(b * k, d))
    near = (factors @ data.tall).reshape(b, k, -1)
    sums = np.zeros((b, k, d + 1))
    labels = np.full((b, len(data.points)), -1)
    return _lloyd(data, labels, sums, factors.reshape(b, k, d + 1), near, np.ones((b, k), dtype=bool), steps)


def swap(data: Data, found: Run, known: Points, clusters: IntArray, rows: IntArray, steps: int) -> list[Run]:
    """Put the centre of a cluster on a point, and take some steps from there, for each of some clusters and rows.

    known: `scores` of the run's centres.
    """
    b, each = len(clusters), np.arange(len(clusters))
    factors, near = np.repeat(found.factors[None], b, axis=0), np.repeat(known[None], b, axis=0)
    factors[each, clusters] = factors_of(data.points[rows])
    near[each, clusters] = factors[each, clusters] @ data.tall
    stale = np.zeros(factors.shape[:2], dtype=bool)
    stale[each, clusters] = True
    labels, sums = np.repeat(found.labels[None], b, axis=0), np.repeat(found.sums[None], b, axis=0)
    return _lloyd(data, labels, sums, factors, near, stale, steps)


def _lloyd(
    data: Data, labels: IntArray, sums: FloatArray, factors: Points, near: Points, stale: Bools, steps: int
) -> list[Run]:
    """Take steps from b starts side by side, writing on all but labels.

    labels (b, n), sums and factors (b, k, d + 1) are those of `Run`, near (b, k, n) the `scores` of the centres, stale
    (b, k) which centres are not the means of their clusters.
    """
    k, width = sums.shape[1:]
    for step in range(steps):
        before, labels = labels, nearest(near)
        moved = labels != before
        at_rest = ~moved.any(axis=1) if step else ~(moved.any(axis=1) | stale.any(axis=1))
        if at_rest.all():
            break
        stale[at_rest] = False
        _sum_up(data, sums, before, labels, moved, stale)
        empty = _place(data, labels, sums, stale, factors)
        if step + 1 < steps:
            rows = stale.reshape(-1).nonzero()[0]
            near.reshape(len(labels) * k, -1)[rows] = factors.reshape(-1, width)[rows] @ data.tall
        stale = empty
    within = np.einsum("bkd,bkd->bk", sums[..., :-1], sums[..., :-1]) / np.maximum(sums[..., -1], 1)
    inertia = np.maximum(data.square - within.sum(axis=1), 0.0).tolist()
    return [Run(*parts) for parts in zip(labels, sums, factors, inertia, strict=True)]


def _sum_up(data: Data, sums: FloatArray, before: IntArray, labels: IntArray, moved: Bools, stale: Bools) -> None:
    """Bring sums up to date with the points that moved, and note as stale which clusters changed."""
    clusters = np.arange(sums.shape[1])
    for i, columns in enumerate(map(np.flatnonzero, moved)):
        if len(columns) * FEW > len(data.points):
            hits = labels[i] == clusters[:, None]
            np.matmul(hits.astype(np.float64), data.weighted, out=sums[i])
            stale[i] = True
        elif len(columns):
            come, gone, each = labels[i][columns], before[i][columns], np.arange(len(columns))
            signs = np.zeros((len(clusters), len(columns)))
            signs[come, each] = 1
            signs[gone, each] = -1
            sums[i] += signs @ data.weighted[columns]
            stale[i, come] = stale[i, gone] = True


def _place(data: Data, labels: IntArray, sums: FloatArray, stale: Bools, factors: Points) -> Bools:
    """Put the stale centres on their means, an empty cluster's on the worst fit; return which are empty, (b, k)."""
    which = stale.nonzero()
    films = sums[which][:, -1:]
    factors[which] = factors_of((sums[which][:, :-1] / np.maximum(films, 1)).astype(factors.dtype))
    empty: Bools = sums[..., -1] == 0
    for i in np.flatnonzero((empty & stale).any(axis=1)):
        order = np.argsort(-misfit(data, labels[i], factors[i, :, :-1] / -2), kind="stable")
        factors[i, empty[i]] = factors_of(data.points[order[: empty[i].sum()]])
    return empty


def nearest(near: Points) -> IntArray:
    """Return which centre is nearest to each point, (b, n), the first one of equals; near (b, k, n): their `scores`."""
    b, k, n = near.shape
    hits = near == np.minimum.reduce(near, axis=1)[:, None]
    if np.count_nonzero(hits) != b * n:
        return np.asarray(near.argmin(axis=1), dtype=np.int64)
    # Each column has one hit, so its number is the sum of all numbers of rows that are hit.
    return np.asarray(np.arange(k, dtype=np.float32) @ hits.astype(np.float32), dtype=np.int64)


def misfit(data: Data, labels: IntArray, centers: Points) -> Points:
    """Return films x squared distance to the own centre, (n,)."""
    away = data.points - centers.take(labels, axis=0)
    return np.asarray(data.films * np.einsum("ij,ij->i", away, away))


def carry_on(points: Points, films: NDArray[Any], labels: IntArray, k: int) -> IntArray:
    """Take Lloyd's steps from clusters that are there already, labels (n,), and return the labels at rest.

    The plain form, in the points' own dtype and without copies of them: for the few steps that are left to take on full
    vectors.
    """
    for _ in range(MAX_ITERATIONS):
        centers = means(points, films, labels, k)
        near = (-2 * centers) @ points.T
        near += np.einsum("ij,ij->i", centers, centers)[:, None]
        before, labels = labels, nearest(near[None])[0]
        if np.array_equal(labels, before):
            break
    return labels


def means(points: Points, films: NDArray[Any], labels: IntArray, k: int) -> Points:
    """Return the mean of each cluster's films, (k, d), summed up anew; empty ones get the points that fit worst."""
    parts = np.zeros((k, len(points)), dtype=points.dtype)
    parts[labels, np.arange(len(points))] = films
    total = parts.sum(axis=1)
    centers: Points = parts @ points / np.maximum(total, 1)[:, None]
    empty = np.flatnonzero(total == 0)
    if len(empty):
        misfits = films * ((points - centers[labels]) ** 2).sum(axis=1)
        centers[empty] = points[np.argsort(-misfits, kind="stable")[: len(empty)]]
    return centers
