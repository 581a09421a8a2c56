"""How good a clustering is, over all films and exactly where that can be, and how far two clusterings agree.

Every figure counts each genre list as often as it has films, so it equals the figure over the repeated rows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.threads import one_thread

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

BLOCK_ROWS = 1024
# What compares every document with every other takes a second for so many; above, films are drawn by lot.
EXACT_DOCUMENTS = 5_000
SAMPLED_FILMS = 5_000
ERROR_PARTS = 20  # of the films drawn, whose figures tell how far a draw is off


@dataclass(frozen=True, eq=False)
class Score:
    """A figure for the whole clustering, for each cluster (k,) and for each genre list (n,); NaN where undefined.

    Where there are too many documents it is that of `sampled` films drawn by lot (else None), `error` is the standard
    error of the overall figure, and documents that were not drawn have none.
    """

    overall: float
    clusters: FloatArray
    documents: FloatArray
    sampled: int | None = None
    error: float | None = None

    @property
    def basis(self) -> str:
        """What the figure rests on, in words that begin a sentence."""
        if self.sampled is None:
            return "Exact, over all films"
        return f"Of a sample of {self.sampled:,} films, {self.precision}"

    @property
    def precision(self) -> str:
        """The standard error of a sample's overall figure, in words."""
        return "standard error not defined" if self.error is None else f"standard error {self.error:.3f}"


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
    with one_thread():
        parts = np.zeros((len(films), len(labels)))
        parts[labels[here], here] = weights[here]
        if known_distances is not None:
            sums = (parts @ known_distances)[:, here]  # they are symmetric, so this is for each document too
        else:
            parts = parts[:, here]
            sums = np.concatenate([parts @ block for block in _distance_blocks(vectors[here])], axis=1)
    columns, own = np.arange(len(here)), labels[here]
    inner = sums[own, columns] / np.maximum(films[own] - 1, 1)
    sums /= films[:, None]
    sums[own, columns] = np.inf
    nearest = sums.min(axis=0)
    alone = films[own] == 1
    widest = np.maximum(inner, nearest)
    values[here] = np.where(alone | (widest == 0), 0.0, (nearest - inner) / np.where(widest == 0, 1, widest))
    return _score(values, weights, labels)


def affordable(
    figure: Callable[..., Score],
    points: FloatArray,
    weights: IntArray,
    labels: IntArray,
    random_state: int = 0,
    known: FloatArray | None = None,
) -> Score:
    """Return a figure (`silhouette` or `coherence`) over all films, or of a sample where that would take too long.

    points, weights and labels are what the figure takes, known its known distances or similarities, if at hand. From
    EXACT_DOCUMENTS documents with films on it is that of `sampled`, with the same draw for every k.
    """
    if np.count_nonzero(labels >= 0) > EXACT_DOCUMENTS:
        return sampled(figure, points, weights, labels, random_state)
    return figure(points, weights, labels, known)


def sampled(
    figure: Callable[..., Score],
    points: FloatArray,
    weights: IntArray,
    labels: IntArray,
    random_state: int = 0,
    n_films: int = SAMPLED_FILMS,
) -> Score:
    """Return a figure (`silhouette` or `coherence`) of films drawn by lot, none twice, with its standard error.

    points (n, ...), what the figure takes first; weights (n,) films; labels (n,), -1 for lists without films. For a
    drawn film the others are a fair draw of the films it is held against, so means over them are right on average;
    what is made of means, the nearest cluster, is a little off. The error is that of ERROR_PARTS random groups (Wolter
    2007, chapter 2) of films of which there are only so many, as they are drawn on both sides of each comparison; None
    where fewer than two groups have a figure.
    """
    here = np.flatnonzero(labels >= 0)
    k, values = int(labels.max(initial=-1)) + 1, np.full(len(labels), np.nan)
    if not len(here):
        return Score(float("nan"), np.full(k, np.nan), values)
    last = np.cumsum(weights[here])
    films = np.random.default_rng(random_state).choice(last[-1], min(n_films, int(last[-1])), replace=False)
    drawn = here[np.searchsorted(last, films, side="right")]

    def of(drawn: IntArray) -> tuple[IntArray, IntArray, Score]:
        rows, n = np.unique(drawn, return_counts=True)
        known, found = np.unique(labels[rows], return_inverse=True)  # a small cluster may have no film among them
        return rows, known, figure(points[rows], n, found)

    rows, known, score = of(drawn)
    clusters = np.full(k, np.nan)
    clusters[known], values[rows] = score.clusters, score.documents
    groups = np.array([of(group)[2].overall for group in np.array_split(drawn, ERROR_PARTS) if len(group)])
    told = groups[~np.isnan(groups)]
    undrawn = 1 - len(drawn) / int(last[-1])
    error = float(told.std(ddof=1) * np.sqrt(undrawn / len(told))) if len(told) > 1 else None
    return Score(score.overall, clusters, values, len(drawn), error)


def distances(vectors: FloatArray) -> FloatArray:
    """Return the Euclidean distances between all vectors, shape (n, n): 8 n² bytes."""
    with one_thread():
        return np.concatenate(list(_distance_blocks(vectors)), axis=1) if len(vectors) else np.zeros((0, 0))


def _distance_blocks(vectors: FloatArray) -> Iterator[FloatArray]:
    """Yield the distances from all vectors to some of them at a time, shape (n, some)."""
    norms = (vectors**2).sum(axis=1)
    for start in range(0, len(vectors), BLOCK_ROWS):
        some = slice(start, start + BLOCK_ROWS)
        squared = vectors @ (-2 * vectors[some]).T
        squared += norms[:, None]
        squared += norms[some]
        np.maximum(squared, 0.0, out=squared)
        # Rounding leaves about 1e-8 where a document meets itself.
        met = np.arange(squared.shape[1])
        squared[start + met, met] = 0.0
        yield np.sqrt(squared, out=squared)


def coherence(
    membership: FloatArray, weights: IntArray, labels: IntArray, known_similarities: FloatArray | None = None
) -> Score:
    """Return the mean Jaccard similarity of the genre sets of two films of the same cluster, from 0 to 1.

    membership (n, genres) is 1 where a list has a genre; known_similarities (n, n), if at hand, are `similarities` of
    it and save most of the time. For a film it is the mean over the other films of its cluster, for a cluster and
    overall the mean over films. A film alone in its cluster has no other film: it is left out, and the cluster's
    figure is NaN. So is a film without genres, which can be in a cluster by another text. It needs no vectors, so
    encoders can be compared by it.
    """
    here = np.flatnonzero((labels >= 0) & membership.any(axis=1))
    values = np.full(len(labels), np.nan)
    for cluster in range(int(labels.max(initial=-1)) + 1):
        members = here[labels[here] == cluster]
        films = weights[members].astype(np.float64)
        if films.sum() > 1:
            if known_similarities is not None:
                sums = known_similarities.take(members, axis=0).take(members, axis=1) @ films
            else:
                blocks = _similarity_blocks(membership[members])
                sums = np.concatenate([block @ films for block in blocks])
            values[members] = (sums - 1) / (films.sum() - 1)
    return _score(values, weights, labels)


def similarities(membership: FloatArray) -> FloatArray:
    """Return the Jaccard similarities of all pairs of genre sets, shape (n, n): 8 n² bytes."""
    with one_thread():
        blocks = list(_similarity_blocks(membership))
    return np.concatenate(blocks) if blocks else np.zeros((0, 0))


def _similarity_blocks(membership: FloatArray) -> Iterator[FloatArray]:
    """Yield the Jaccard similarities of some documents at a time with all, shape (some, n)."""
    sizes = membership.sum(axis=1)
    for start in range(0, len(membership), BLOCK_ROWS):
        some = slice(start, start + BLOCK_ROWS)
        shared = membership[some] @ membership.T
        either = sizes[some, None] + sizes - shared
        yield np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)


def overlap(weights: IntArray, first: IntArray, second: IntArray) -> IntArray:
    """Count the films that two clusterings put into each pair of clusters, shape (k of first, k of second).

    weights (n,) films; first and second (n,) labels. A list that is -1 in either is left out.
    """
    both = np.flatnonzero((first >= 0) & (second >= 0))
    rows, columns = int(first.max(initial=-1)) + 1, int(second.max(initial=-1)) + 1
    cells = first[both] * columns + second[both]
    films = np.bincount(cells, weights=weights[both], minlength=rows * columns)
    return np.asarray(np.rint(films), dtype=np.int64).reshape(rows, columns)


def jaccard(films: IntArray) -> FloatArray:
    """Return the Jaccard similarity of each pair of clusters from their `overlap`, of the same shape; 0 for no film."""
    together = films.sum(axis=1)[:, None] + films.sum(axis=0)[None] - films
    return np.asarray(np.divide(films, together, out=np.zeros(films.shape), where=together > 0))


def matching(films: IntArray) -> IntArray:
    """Return for each row of an `overlap` its column in the one-to-one matching with most films, -1 without one.

    The assignment problem, solved in O(n^3) by shortest augmenting paths (Jonker and Volgenant 1987): 50 clusters a
    side take some 20 ms, and scipy would have to be imported for them.
    """
    n = max(films.shape, default=0)
    cost = np.zeros((n + 1, n + 1))
    cost[1 : films.shape[0] + 1, 1 : films.shape[1] + 1] = -films
    row_price, column_price = np.zeros(n + 1), np.zeros(n + 1)
    row_of, way = np.zeros(n + 1, dtype=np.int64), np.zeros(n + 1, dtype=np.int64)
    for row in range(1, n + 1):
        row_of[0], column = row, 0
        shortest, used = np.full(n + 1, np.inf), np.zeros(n + 1, dtype=bool)
        while row_of[column]:
            used[column] = True
            reduced = cost[row_of[column]] - row_price[row_of[column]] - column_price
            better = ~used & (reduced < shortest)
            shortest[better], way[better] = reduced[better], column
            following = int(np.where(used, np.inf, shortest).argmin())
            step = shortest[following]
            row_price[row_of[used]] += step
            column_price[used] -= step
            shortest[~used] -= step
            column = following
        while column:
            row_of[column] = row_of[way[column]]
            column = int(way[column])
    found = np.full(films.shape[0], -1, dtype=np.int64)
    for column in range(1, films.shape[1] + 1):
        if row_of[column] <= films.shape[0]:
            found[row_of[column] - 1] = column - 1
    return found


def agreement(weights: IntArray, first: IntArray, second: IntArray) -> float:
    """Return the adjusted Rand index of two clusterings over films: 1 if they are the same, about 0 by chance.

    weights (n,) films; first and second (n,) labels. A list that is -1 in either is left out; NaN if none is left.
    Source: Hubert and Arabie (1985), in the form by pairs of films of Steinley (2004); the same value as
    scikit-learn's `adjusted_rand_score` over repeated rows. Counted in whole numbers of any size, so it is exact.
    """
    films = overlap(weights, first, second)
    total = int(films.sum())
    if total == 0:
        return float("nan")
    cells, in_first, in_second = (
        sum(int(n) ** 2 for n in part) for part in (films.reshape(-1), films.sum(axis=1), films.sum(axis=0))
    )
    # Twice the pairs of films: together in both, in the first alone, in the second alone, in neither.
    both, first_alone, second_alone = cells - total, in_first - cells, in_second - cells
    neither = total**2 - in_first - in_second + cells
    if first_alone == second_alone == 0:
        return 1.0
    chance = (both + first_alone) * (first_alone + neither) + (both + second_alone) * (second_alone + neither)
    return 2 * (both * neither - first_alone * second_alone) / chance


@dataclass(frozen=True, eq=False)
class Around:
    """Films (k,) and centre (k, d) of each cluster, and each document's squared distance to its own centre, (n,)."""

    films: FloatArray
    centers: FloatArray
    away: FloatArray


def calinski_harabasz(vectors: FloatArray, weights: IntArray, labels: IntArray, known: Around | None = None) -> float:
    """Return the Calinski-Harabasz index over all films: higher is better, without an upper end.

    vectors (n, d); weights (n,) films; labels (n,), -1 for lists without films; known, if at hand, saves most of the
    time (its documents are those with films). The variance between clusters over that within, each by its degrees of
    freedom: B / (k - 1) over W / (N - k). 1 where nothing varies within, as scikit-learn has it; NaN with fewer than
    two clusters or as many as films. Source: Calinski and Harabasz (1974); the same value as scikit-learn's
    `calinski_harabasz_score` over repeated rows.
    """
    here = np.flatnonzero(labels >= 0)
    around = known or _around(vectors[here], weights[here], labels[here])
    films, centers = around.films, around.centers
    k, total = len(films), films.sum()
    if k < 2 or k >= total:
        return float("nan")
    middle = films @ centers / total
    between = float(films @ ((centers - middle) ** 2).sum(axis=1))
    within = float(weights[here] @ around.away)
    return 1.0 if within == 0 else between * float(total - k) / (within * (k - 1))


def davies_bouldin(vectors: FloatArray, weights: IntArray, labels: IntArray, known: Around | None = None) -> float:
    """Return the Davies-Bouldin index over all films: lower is better, 0 at best.

    Arguments as in `calinski_harabasz`. The mean over clusters (each counts once, whatever its size) of the largest
    (s_i + s_j) / d_ij, with s the mean distance of a cluster's films to its centre and d the distance of two centres.
    NaN with fewer than two clusters or as many as films. Source: Davies and Bouldin (1979); the same value as
    scikit-learn's `davies_bouldin_score` over repeated rows.
    """
    here = np.flatnonzero(labels >= 0)
    around = known or _around(vectors[here], weights[here], labels[here])
    films, centers = around.films, around.centers
    if len(films) < 2 or len(films) >= films.sum():
        return float("nan")
    spread = np.bincount(labels[here], weights=weights[here] * np.sqrt(around.away)) / films
    apart = np.sqrt(((centers[:, None] - centers[None]) ** 2).sum(axis=2))
    if np.allclose(spread, 0) or np.allclose(apart, 0):
        return 0.0
    apart[apart == 0] = np.inf
    return float(((spread[:, None] + spread[None]) / apart).max(axis=1).mean())


def _around(vectors: FloatArray, weights: IntArray, labels: IntArray) -> Around:
    films = np.bincount(labels, weights=weights).astype(np.float64)
    parts = np.zeros((len(films), len(labels)))
    parts[labels, np.arange(len(labels))] = weights
    with one_thread():
        centers: FloatArray = parts @ vectors / films[:, None]
        away = ((vectors - centers[labels]) ** 2).sum(axis=1)
    return Around(films, centers, away)


def _score(values: FloatArray, weights: IntArray, labels: IntArray) -> Score:
    """Average a figure of the documents over films, for each cluster and overall, leaving out NaN."""
    known = np.flatnonzero(~np.isnan(values))
    k = int(labels.max(initial=-1)) + 1
    films = np.bincount(labels[known], weights=weights[known], minlength=k)
    sums = np.bincount(labels[known], weights=weights[known] * values[known], minlength=k)
    clusters = np.divide(sums, films, out=np.full(k, np.nan), where=films > 0)
    overall = float(sums.sum() / films.sum()) if films.sum() else float("nan")
    return Score(overall, clusters, values)
