"""Weighted k-means over genre lists, in an order, with names and on a map that stay put.

Each genre list stands for all its films: `sample_weight` is its n_movies, so the fit is the k-means of all films.
Arrays are in the order of the catalogue's genre lists; a list without films under the filters has the label -1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Points = NDArray[np.floating[Any]]

MIN_CLUSTERS, MAX_CLUSTERS = 2, 50
N_INIT = 10
N_SWAPS = 40
FIRST_STEPS, SWAP_STEPS = 5, 4
MAX_ITERATIONS = 300
N_COMPONENTS = 64
MIN_NAME_SHARE = 0.25
NAME_CUT = 0.35
NAME_GENRES = 3
TSNE_COMPONENTS = 50


@dataclass(frozen=True, eq=False)
class Space:
    """Documents ready to be clustered: `vectors` (n, d), `components` (n, at most 64) and a map `xy` (n, 2).

    `components` are the leading principal components over all films; they are where k-means looks for its start,
    never where it is measured. `same` (n,) has one number for each distinct vector. `mean` (d,) and `axes` (d, 2) are
    what makes a map of vectors: `project`.
    """

    vectors: FloatArray
    components: FloatArray
    xy: FloatArray
    same: IntArray
    mean: FloatArray
    axes: FloatArray


@dataclass(frozen=True, eq=False)
class Clustering:
    """The result of a fit. Cluster 0 has the most films.

    labels (n,): cluster of each genre list, -1 where it has no film. centers (n_clusters, d). sizes (n_clusters,):
    films. inertia: sum over films of the squared distance to the own centre. distance, runner_up, margin (n,):
    distance to the own centre, the second nearest cluster (-1 if there is none) and
    (distance to the runner-up centre - own distance) / distance to the runner-up centre, NaN where undefined.
    requested: the k that was asked for; it is larger than n_clusters where there are too few distinct vectors.
    """

    labels: IntArray
    centers: FloatArray
    sizes: IntArray
    inertia: float
    distance: FloatArray
    runner_up: IntArray
    margin: FloatArray
    requested: int
    random_state: int

    @property
    def n_clusters(self) -> int:
        """How many clusters there are."""
        return len(self.sizes)


def space(vectors: NDArray[np.float32], weights: IntArray) -> Space:
    """Prepare L2-normalised vectors (n, d): principal components over all films, weighted by n_movies (n,).

    Components are ordered by variance, and each is turned so that its largest loading is positive: the map looks
    the same at every start.
    """
    exact = np.ascontiguousarray(vectors, dtype=np.float64)
    total = max(int(weights.sum()), 1)
    with threadpool_limits(limits=1):
        mean = np.asarray((weights @ exact) / total)
        centred = exact - mean
        covariance = (centred * weights[:, None]).T @ centred / total
        axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :N_COMPONENTS]
        if axes.size:
            axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
        components = np.ascontiguousarray(centred @ axes)
    xy, first = np.zeros((len(exact), 2)), np.zeros((exact.shape[1], 2))
    width = min(2, components.shape[1])
    xy[:, :width] = components[:, :width]
    first[:, :width] = axes[:, :width]
    same = np.unique(exact, axis=0, return_inverse=True)[1].reshape(-1) if len(exact) else np.zeros(0, np.int64)
    return Space(vectors=exact, components=components, xy=xy, same=same, mean=mean, axes=first)


def project(documents: Space, vectors: NDArray[np.floating[Any]]) -> FloatArray:
    """Place post-processed vectors (m, d), new ones too, on the documents' map by PCA, shape (m, 2)."""
    with threadpool_limits(limits=1):
        return np.asarray((np.asarray(vectors, dtype=np.float64) - documents.mean) @ documents.axes)


def tsne(documents: Space, random_state: int = 0) -> FloatArray:
    """Lay the documents out by t-SNE, shape (n, 2): near ones stay near, far distances mean little.

    Source: van der Maaten and Hinton (2008). It starts from the principal components, so it can be repeated.
    Fewer than four documents have no t-SNE; they keep their principal components.
    """
    n = len(documents.xy)
    if n < 4:
        return documents.xy
    start = documents.xy / max(float(documents.xy[:, 0].std()), 1e-12) * 1e-4
    from sklearn.manifold import TSNE  # over a second and 80 MB, for those who ask for this map

    model = TSNE(
        n_components=2,
        perplexity=min(30.0, (n - 1) / 3),
        init=start,
        learning_rate="auto",
        random_state=random_state,
        n_jobs=1,
    )
    with threadpool_limits(limits=1):
        return np.asarray(model.fit_transform(documents.components[:, :TSNE_COMPONENTS]), dtype=np.float64)


def fit(
    documents: Space, weights: IntArray, n_clusters: int, random_state: int = 0, n_init: int = N_INIT
) -> Clustering:
    """Cluster the documents by k-means weighted with n_movies, shape (n,).

    The best of `n_init` starts (greedy k-means++, Arthur and Vassilvitskii 2007, then Lloyd 1982), bettered by random
    swaps of one centre (Fränti 2018) on the principal components in float32, is carried on, on the vectors themselves
    in float64, until nothing moves: labels, centres and inertia are those of the full vectors. k is lowered to the
    number of distinct vectors with films. One thread: two cost more than they bring at this size. Written here rather
    than taken from scikit-learn, whose import alone takes 1.4 s and 80 MB of the web process.
    """
    here = np.flatnonzero(weights > 0)
    vectors, films = documents.vectors[here], weights[here].astype(np.float64)
    if len(here) == 0:
        return _empty(documents, n_clusters, random_state)
    k = min(n_clusters, len(np.unique(documents.same[here])))
    with threadpool_limits(limits=1):
        start = _best_run(documents.components[here], films, k, random_state, n_init)
        final = _lloyd(vectors, films, _means(vectors, films, start, k))
        found = _by_films(final, weights[here])
        centers = _means(vectors, films, found, int(found.max()) + 1).astype(np.float64)
        squared = _squared_distances(vectors, centers)
    labels = np.full(len(weights), -1, dtype=np.int64)
    labels[here] = found
    inertia = float(films @ squared[np.arange(len(here)), found])
    sizes = np.bincount(found, weights=weights[here]).astype(np.int64)
    distance, runner_up, margin = _margins(len(weights), here, found, np.sqrt(squared))
    return Clustering(labels, centers, sizes, inertia, distance, runner_up, margin, n_clusters, random_state)


def _empty(documents: Space, n_clusters: int, random_state: int) -> Clustering:
    n, d = documents.vectors.shape
    nothing = np.full(n, np.nan)
    none = np.full(n, -1, dtype=np.int64)
    return Clustering(
        labels=none, centers=np.zeros((0, d)), sizes=np.zeros(0, dtype=np.int64), inertia=0.0,
        distance=nothing, runner_up=none.copy(), margin=nothing.copy(), requested=n_clusters,
        random_state=random_state,
    )  # fmt: skip


def _best_run(points: Points, films: Points, k: int, random_state: int, n_init: int) -> IntArray:
    """Return the labels of the best of `n_init` starts after N_SWAPS tries to put one centre somewhere better."""
    points, films = points.astype(np.float32), films.astype(np.float32)
    random = np.random.default_rng(random_state)
    starts = (_run(points, films, _starts(points, films, k, random), FIRST_STEPS) for _ in range(n_init))
    best = min(starts, key=lambda run: run.inertia)
    for _ in range(N_SWAPS if 1 < k < len(points) else 0):
        centers = best.centers.copy()
        misfit = films * ((points - centers[best.labels]) ** 2).sum(axis=1)
        centers[random.integers(k)] = points[_drawn(misfit, random, 1)[0]]
        tried = _run(points, films, centers, SWAP_STEPS)
        best = tried if tried.inertia < best.inertia else best
    return _lloyd(points, films, best.centers)


@dataclass(frozen=True, eq=False)
class _Run:
    labels: IntArray
    centers: Points
    inertia: float


def _run(points: Points, films: Points, centers: Points, steps: int) -> _Run:
    labels = _lloyd(points, films, centers, steps)
    centers = _means(points, films, labels, len(centers))
    return _Run(labels, centers, float(films @ ((points - centers[labels]) ** 2).sum(axis=1)))


def _drawn(chances: Points, random: np.random.Generator, n: int) -> IntArray:
    """Draw n indices with chances that need not add up to 1."""
    reached = np.cumsum(chances, dtype=np.float64)
    drawn = np.searchsorted(reached, random.random(n) * reached[-1], side="right")
    return np.asarray(np.minimum(drawn, len(chances) - 1), dtype=np.int64)


def _starts(points: Points, films: Points, k: int, random: np.random.Generator) -> Points:
    """Choose k points by greedy k-means++: each is the best of some drawn with chance films x squared distance."""
    norms, trials = (points**2).sum(axis=1), 2 + int(np.log(k))
    chosen = [int(_drawn(films, random, 1)[0])]
    closest = np.maximum(norms + norms[chosen[0]] - 2 * points @ points[chosen[0]], 0)
    for _ in range(1, k):
        drawn = _drawn(closest * films, random, trials)
        distances = np.maximum(norms[:, None] + norms[drawn][None] - 2 * points @ points[drawn].T, 0)
        distances = np.minimum(closest[:, None], distances)
        best = int((films @ distances).argmin())
        chosen.append(int(drawn[best]))
        closest = distances[:, best]
    return points[chosen]


def _lloyd(points: Points, films: Points, centers: Points, steps: int = MAX_ITERATIONS) -> IntArray:
    """Move points to their nearest centre, and centres to the mean of their films, until nothing changes."""
    labels = np.full(len(points), -1, dtype=np.int64)
    for _ in range(steps):
        nearest = ((centers**2).sum(axis=1)[None] - 2 * (points @ centers.T)).argmin(axis=1)
        if np.array_equal(nearest, labels):
            break
        labels = nearest
        centers = _means(points, films, labels, len(centers))
    return labels


def _means(points: Points, films: Points, labels: IntArray, k: int) -> Points:
    """Return the mean of each cluster's films, shape (k, d); empty ones get the points that fit worst."""
    parts = np.zeros((k, len(points)), dtype=points.dtype)
    parts[labels, np.arange(len(points))] = films
    total = parts.sum(axis=1)
    centers: Points = parts @ points / np.maximum(total, np.finfo(points.dtype).tiny)[:, None]
    empty = np.flatnonzero(total == 0)
    if len(empty):
        misfit = films * ((points - centers[labels]) ** 2).sum(axis=1)
        centers[empty] = points[np.argsort(-misfit, kind="stable")[: len(empty)]]
    return centers


def _by_films(labels: IntArray, weights: IntArray) -> IntArray:
    """Renumber labels so that cluster 0 has the most films; equal ones keep the order of their first genre list."""
    _, first, compact = np.unique(labels, return_index=True, return_inverse=True)
    films = np.bincount(compact, weights=weights)
    order = np.lexsort((first, -films))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[compact]


def _squared_distances(vectors: FloatArray, centers: FloatArray) -> FloatArray:
    """Return squared Euclidean distances, shape (n, k), never below zero."""
    squared = (vectors**2).sum(axis=1)[:, None] + (centers**2).sum(axis=1)[None] - 2 * vectors @ centers.T
    return np.asarray(np.maximum(squared, 0.0))


def _margins(n: int, here: IntArray, found: IntArray, distances: FloatArray) -> tuple[FloatArray, IntArray, FloatArray]:
    """Return distance to the own centre, runner-up and margin for all n documents."""
    distance, margin = np.full(n, np.nan), np.full(n, np.nan)
    runner_up = np.full(n, -1, dtype=np.int64)
    rows = np.arange(len(here))
    own = distances[rows, found]
    distance[here] = own
    if distances.shape[1] > 1:
        others = distances.copy()
        others[rows, found] = np.inf
        second = others.argmin(axis=1)
        runner_up[here] = second
        away = others[rows, second]
        margin[here] = np.divide(away - own, away, out=np.zeros_like(own), where=away > 0)
    return distance, runner_up, margin


@dataclass(frozen=True)
class Name:
    """A cluster's name and the genres it is made of, the leading one first (empty if no film has any).

    `own` tells that the analyst gave the name (`core/names.py`), `note` is what the analyst wrote about the cluster.
    """

    text: str
    genres: tuple[str, ...]
    own: bool = False
    note: str = ""


def name_clusters(shares: FloatArray, catalogue: FloatArray, genres: Sequence[str]) -> tuple[Name, ...]:
    """Name each cluster by the genres it has more of than the catalogue, no two alike.

    shares (k, genres): share of each cluster's films that have a genre; catalogue (genres,): the same over all
    films. A genre counts if at least a quarter of the cluster's films have it and its lift is above 1; it is
    ranked by its part in the Kullback-Leibler divergence of cluster from catalogue, p log(p / q), and those with
    at least 35 % of the leading one's part are named, three at the most. Where two clusters would be called the
    same, the smaller one is told apart by its next genre, or else by a number.
    """
    names: list[Name] = []
    for share in shares:
        ranked = _ranked_genres(share, catalogue, genres)
        names.append(_distinct(ranked, {name.text for name in names}))
    return tuple(names)


def _ranked_genres(share: FloatArray, catalogue: FloatArray, genres: Sequence[str]) -> list[tuple[str, bool]]:
    """Return every genre of the cluster in naming order, each with whether it belongs in the name by itself."""
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(share > 0, share * np.log(share / catalogue), -np.inf)
    eligible = (share >= MIN_NAME_SHARE) & (part > 0)
    # Without any eligible genre the commonest one speaks for the cluster.
    score = np.where(eligible, part, -1 / np.maximum(share, 1e-12))
    order = [int(i) for i in np.lexsort((np.arange(len(share)), -score)) if share[i] > 0]
    leading = part[order[0]] if order and eligible[order[0]] else np.inf
    return [(genres[i], bool(eligible[i] and part[i] >= NAME_CUT * leading)) for i in order]


def _distinct(ranked: Sequence[tuple[str, bool]], taken: set[str]) -> Name:
    """Take as many genres as it needs for a name that no larger cluster has."""
    ordered = tuple(genre for genre, _ in ranked)
    if not ordered:
        return _numbered(Name("No genres", ()), taken)
    count = max(1, min(NAME_GENRES, sum(belongs for _, belongs in ranked)))
    for n in range(count, len(ordered) + 1):
        name = Name(_joined(ordered[:n]), ordered[:n])
        if name.text not in taken:
            return name
    return _numbered(Name(_joined(ordered[:count]), ordered[:count]), taken)


def _numbered(name: Name, taken: set[str]) -> Name:
    text, number = name.text, 2
    while text in taken:
        text, number = f"{name.text} ({number})", number + 1
    return replace(name, text=text)


def _joined(genres: Sequence[str]) -> str:
    return genres[0] if len(genres) == 1 else f"{', '.join(genres[:-1])} & {genres[-1]}"
