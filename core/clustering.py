"""Weighted k-means over genre lists, in an order, with names and on a map that stay put.

Each genre list stands for all its films: `sample_weight` is its n_movies, so the fit is the k-means of all films.
Arrays are in the order of the catalogue's genre lists; a list without films under the filters has the label -1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core import kmeans, minibatch
from core.threads import one_thread

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MIN_CLUSTERS, MAX_CLUSTERS = 2, 50
N_INIT = 10
N_SWAPS = 40
FIRST_STEPS, SWAP_STEPS = 5, 4
N_COMPONENTS = 64
WIDE = 1024  # dimensions of an encoder's vectors at most; with more, and fewer points, axes are found another way
MIN_NAME_SHARE = 0.25
NAME_CUT = 0.35
NAME_GENRES = 3
TSNE_COMPONENTS = 50
TSNE_DOCUMENTS = 5_000


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
    with one_thread():
        mean = np.asarray((weights @ exact) / total)
        centred = exact - mean
        axes = _axes(centred, weights / total)
        if axes.size:
            axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
        components = np.ascontiguousarray(centred @ axes)
    xy, first = np.zeros((len(exact), 2)), np.zeros((exact.shape[1], 2))
    width = min(2, components.shape[1])
    xy[:, :width] = components[:, :width]
    first[:, :width] = axes[:, :width]
    same = np.unique(exact, axis=0, return_inverse=True)[1].reshape(-1) if len(exact) else np.zeros(0, np.int64)
    return Space(vectors=exact, components=components, xy=xy, same=same, mean=mean, axes=first)


def _axes(centred: FloatArray, shares: FloatArray) -> FloatArray:
    """Return the first principal axes (d, at most N_COMPONENTS) of centred points (n, d) with shares of weight (n,)."""
    n, d = centred.shape
    if d <= max(n, WIDE):
        return np.asarray(np.linalg.eigh((centred * shares[:, None]).T @ centred)[1][:, ::-1][:, :N_COMPONENTS])
    # Thousands of genres in few lists: the products of points with points have the same axes, and are far fewer.
    rooted = centred * np.sqrt(shares)[:, None]
    values, found = np.linalg.eigh(rooted @ rooted.T)
    kept = np.flatnonzero(values > values.max(initial=0) * 1e-12)[::-1][:N_COMPONENTS]
    return np.asarray(rooted.T @ found[:, kept] / np.sqrt(values[kept]))


def project(documents: Space, vectors: NDArray[np.float32] | FloatArray) -> FloatArray:
    """Place post-processed vectors (m, d), new ones too, on the documents' map by PCA, shape (m, 2)."""
    with one_thread():
        return np.asarray((np.asarray(vectors, dtype=np.float64) - documents.mean) @ documents.axes)


def tsne(documents: Space, random_state: int = 0, n_documents: int = TSNE_DOCUMENTS) -> FloatArray:
    """Lay the documents out by t-SNE, shape (n, 2): near ones stay near, far distances mean little.

    Source: van der Maaten and Hinton (2008). It starts from the principal components, so it can be repeated.
    Fewer than four documents have no t-SNE; they keep their principal components. Of more than `n_documents`, so many
    drawn by lot are laid out, and each of the others is put where the nearest of these is, among the components.
    """
    if len(documents.xy) > n_documents:
        rows = np.sort(np.random.default_rng(random_state).choice(len(documents.xy), n_documents, replace=False))
        part = replace(
            documents,
            vectors=documents.vectors[rows],
            components=documents.components[rows],
            xy=documents.xy[rows],
            same=documents.same[rows],
        )
        near = documents.components[:, :TSNE_COMPONENTS]
        return tsne(part, random_state)[minibatch.nearest(near, near[rows])]
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
    with one_thread():
        return np.asarray(model.fit_transform(documents.components[:, :TSNE_COMPONENTS]), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Prepared:
    """What all fits of the same films share: the rows with films, their components, vectors and films.

    n_distinct: how many distinct vectors have films, the most clusters there can be.
    """

    documents: Space
    weights: IntArray
    here: IntArray
    components: kmeans.Data
    vectors: FloatArray
    films: FloatArray
    n_distinct: int


def prepare(documents: Space, weights: IntArray) -> Prepared:
    """Lay out the documents with n_movies (n,) for several fits with `fit_prepared`."""
    here = np.flatnonzero(weights > 0)
    films = weights[here].astype(np.float64)
    all_here = len(here) == len(weights)
    return Prepared(
        documents=documents,
        weights=weights,
        here=here,
        components=kmeans.prepare(documents.components[here], films),
        vectors=documents.vectors if all_here else documents.vectors[here],
        films=films,
        n_distinct=len(np.unique(documents.same[here])),
    )


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
    return fit_prepared(prepare(documents, weights), n_clusters, random_state, n_init)


def fit_prepared(prepared: Prepared, n_clusters: int, random_state: int = 0, n_init: int = N_INIT) -> Clustering:
    """Do what `fit` does, with the same result, for documents and films that were prepared once for many fits."""
    documents, vectors, films, here = prepared.documents, prepared.vectors, prepared.films, prepared.here
    if len(here) == 0:
        return _empty(documents, n_clusters, random_state)
    k = min(n_clusters, prepared.n_distinct)
    with one_thread():
        if minibatch.wanted(len(here)):
            final = _by_minibatches(prepared, k, random_state, n_init)
        else:
            final = kmeans.carry_on(vectors, films, search(prepared.components, k, random_state, n_init), k)
        found = _by_films(final, prepared.weights[here])
        centers = kmeans.means(vectors, films, found, int(found.max()) + 1).astype(np.float64)
        squared = _squared_distances(vectors, centers)
        away = vectors - centers.take(found, axis=0)  # not from products, which leave 1e-8 where it should be 0
        squared[found, np.arange(len(here))] = own = np.einsum("ij,ij->i", away, away)
    labels = np.full(len(prepared.weights), -1, dtype=np.int64)
    labels[here] = found
    inertia = float(films @ own)
    sizes = np.bincount(found, weights=films).astype(np.int64)
    distance, runner_up, margin = _margins(len(labels), here, found, np.sqrt(squared))
    return Clustering(labels, centers, sizes, inertia, distance, runner_up, margin, n_clusters, random_state)


def search(points: kmeans.Data, k: int, random_state: int = 0, n_init: int = N_INIT) -> IntArray:
    """Return the labels (n,) of the best of `n_init` starts after N_SWAPS tries to put one centre somewhere better."""
    random = np.random.default_rng(random_state)
    best = kmeans.best_start(points, k, n_init, FIRST_STEPS, random)
    best = kmeans.random_swaps(points, best, N_SWAPS, SWAP_STEPS, random)
    return kmeans.lloyd(points, best.centers[None])[0].labels


def _by_minibatches(prepared: Prepared, k: int, random_state: int, n_init: int) -> IntArray:
    """Look for the start among films drawn by lot, and carry it on over all documents by mini-batches."""
    random = np.random.default_rng(random_state)
    drawn = random.multinomial(minibatch.START_FILMS, prepared.films / prepared.films.sum())
    rows = np.flatnonzero(drawn)
    k = min(k, len(np.unique(prepared.documents.same[prepared.here[rows]])))
    vectors, films = prepared.vectors[rows], drawn[rows].astype(np.float64)
    start = search(kmeans.prepare(prepared.components.points[rows], films), k, random_state, n_init)
    return minibatch.labels(prepared.vectors, prepared.films, kmeans.means(vectors, films, start, k), random_state)


def _empty(documents: Space, n_clusters: int, random_state: int) -> Clustering:
    n, d = documents.vectors.shape
    nothing = np.full(n, np.nan)
    none = np.full(n, -1, dtype=np.int64)
    return Clustering(
        labels=none, centers=np.zeros((0, d)), sizes=np.zeros(0, dtype=np.int64), inertia=0.0,
        distance=nothing, runner_up=none.copy(), margin=nothing.copy(), requested=n_clusters,
        random_state=random_state,
    )  # fmt: skip


def _by_films(labels: IntArray, weights: IntArray) -> IntArray:
    """Renumber labels so that cluster 0 has the most films; equal ones keep the order of their first genre list."""
    _, first, compact = np.unique(labels, return_index=True, return_inverse=True)
    films = np.bincount(compact, weights=weights)
    order = np.lexsort((first, -films))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[compact]


def _squared_distances(vectors: FloatArray, centers: FloatArray) -> FloatArray:
    """Return squared Euclidean distances, shape (k, n), never below zero."""
    squared: FloatArray = (-2 * centers) @ vectors.T
    squared += np.einsum("ij,ij->i", vectors, vectors)
    squared += np.einsum("ij,ij->i", centers, centers)[:, None]
    return np.maximum(squared, 0.0, out=squared)


def _margins(n: int, here: IntArray, found: IntArray, distances: FloatArray) -> tuple[FloatArray, IntArray, FloatArray]:
    """Return distance to the own centre, runner-up and margin for all n documents; distances (k, those here)."""
    distance, margin = np.full(n, np.nan), np.full(n, np.nan)
    runner_up = np.full(n, -1, dtype=np.int64)
    columns = np.arange(len(here))
    own = distances[found, columns]
    distance[here] = own
    if len(distances) > 1:
        others = distances.copy()
        others[found, columns] = np.inf
        second = others.argmin(axis=0)
        runner_up[here] = second
        away = others[second, columns]
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
