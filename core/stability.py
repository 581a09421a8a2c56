"""How far a cluster outlives a change of the data or of the seed.

A cluster that is there because of how the films happen to lie, or because of where k-means happened to start, is not
found again when films are drawn anew. Every figure counts films, not genre lists.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core import clustering, diagnostics, kmeans
from core.clustering import Clustering, Space
from core.threads import one_thread

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Points = NDArray[np.float32]

SOLID, FAIR = 0.85, 0.6
N_REFITS = 50
N_SEEDS = 20
N_SOLUTIONS, N_CARRIED_ON = 24, 3
N_CANDIDATES = 32
START_STEPS, STEPS = 5, 3
SEARCH_TRIES, REFIT_TRIES = 20, 4
PATIENCE = 4

Verdict = Literal["solid", "fair", "shaky"]


def verdict(value: float) -> Verdict:
    """Say in a word what a stability from 0 to 1 means: solid from 0.85, fair from 0.6, else (or unknown) shaky.

    Hennig's own bounds are 0.85 (highly stable) and 0.6 (below it, not to be trusted).
    """
    return "solid" if value >= SOLID else "fair" if value >= FAIR else "shaky"


def told(value: float | None) -> str:
    """Say a stability in a word and a number, as in “solid 0.92”, for wherever it is shown.

    None is one that is not measured yet, NaN one that cannot be measured. The number is rounded down, so that it
    never contradicts the word: 0.849 is fair, and 0.85 would be solid.
    """
    if value is None:
        return "measuring"
    return "not known" if np.isnan(value) else f"{verdict(value)} {np.floor(100 * value + 1e-9) / 100:.2f}"


@dataclass(frozen=True, eq=False)
class Stability:
    """clusters (k,): mean Jaccard of each cluster with its best match over refits, 0 to 1 (NaN without a refit)."""

    clusters: FloatArray
    n_refits: int

    @property
    def lowest(self) -> float:
        """The stability of the least stable cluster; NaN if there is no cluster or no refit."""
        return float(self.clusters.min()) if len(self.clusters) else float("nan")


def bootstrap(
    documents: Space,
    weights: IntArray,
    found: Clustering,
    n_refits: int = N_REFITS,
    random_state: int = 0,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Stability:
    """Measure how well each cluster is found again when films are drawn with replacement.

    weights (n,) films, found their clustering. Each refit draws as many films as there are, which leaves every genre
    list with a multinomial number of films, and makes k-means with the same k of them. A cluster C is worth the
    largest Jaccard similarity with a new cluster D, both as sets of drawn films, |C and D| / |C or D| (0 if none of
    its films was drawn), and its stability is the mean over refits. Source: Hennig (2007), Computational Statistics
    & Data Analysis 52, 258-271. Refits are made on the principal components, see `_refit`. Where `should_stop` says
    so the mean is over the refits made so far; their number is in the result.
    """
    here = np.flatnonzero((weights > 0) & (found.labels >= 0))
    k, total = found.n_clusters, int(weights[here].sum())
    if k == 0:
        return Stability(np.zeros(0), 0)
    points = np.ascontiguousarray(documents.components[here], dtype=np.float32)
    random = np.random.default_rng(random_state)
    sums, done = np.zeros(k), 0
    with one_thread():
        solutions = _solutions(kmeans.prepare(points, weights[here]), k, random, should_stop)
        while done < n_refits and len(solutions.centers) == N_SOLUTIONS and not should_stop():
            films = draw(weights[here], total, random)
            drawn = np.flatnonzero(films)
            data = kmeans.prepare(points[drawn], films[drawn])
            refit = _refit(data, documents.same[here][drawn], k, solutions, drawn, random)
            sums += best_matches(films[drawn], found.labels[here][drawn], refit, k)
            done += 1
            on_progress(done, n_refits)
    return Stability(sums / done if done else np.full(k, np.nan), done)


def draw(weights: IntArray, n_films: int, random: np.random.Generator) -> IntArray:
    """Draw films with replacement and count those of each genre list, shape (n,).

    Films of one list are alike, so only their number matters: it is multinomial.
    """
    return np.asarray(random.multinomial(n_films, weights / weights.sum()), dtype=np.int64)


def best_matches(films: IntArray, labels: IntArray, refit: IntArray, n_clusters: int) -> FloatArray:
    """Return the largest Jaccard similarity of each of n_clusters clusters with a cluster of the refit, over films."""
    found = np.zeros(n_clusters)
    similar = diagnostics.jaccard(diagnostics.overlap(films, labels, refit))
    found[: len(similar)] = similar.max(axis=1)
    return found


def seed_agreement(
    documents: Space,
    weights: IntArray,
    n_clusters: int,
    n_seeds: int = N_SEEDS,
    n_init: int = clustering.N_INIT,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> float:
    """Return the mean adjusted Rand index over all pairs of the clusterings with the seeds 0 to n_seeds - 1.

    1 means that the seed does not matter. NaN if fewer than two were made, or no film has a genre.
    """
    labels = _seed_labels(documents, weights, n_clusters, n_seeds, n_init, should_stop, on_progress)
    return _mean_agreement(weights, labels)


@dataclass(frozen=True, eq=False)
class Seeds:
    """What the seed does: the agreement between seeds (`seed_agreement`), and each seed's coherence (n_seeds,)."""

    agreement: float
    coherence: FloatArray


def over_seeds(
    documents: Space,
    weights: IntArray,
    n_clusters: int,
    membership: FloatArray,
    n_seeds: int = N_SEEDS,
    n_init: int = clustering.N_INIT,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Seeds:
    """Cluster with the seeds 0 to n_seeds - 1 and say how far they agree, and how coherent each one's clusters are.

    membership (n, genres) as for `diagnostics.coherence`.
    """
    labels = _seed_labels(documents, weights, n_clusters, n_seeds, n_init, should_stop, on_progress)
    coherence = [diagnostics.affordable(diagnostics.coherence, membership, weights, each).overall for each in labels]
    return Seeds(_mean_agreement(weights, labels), np.array(coherence, dtype=np.float64))


def _seed_labels(
    documents: Space,
    weights: IntArray,
    n_clusters: int,
    n_seeds: int,
    n_init: int,
    should_stop: Callable[[], bool],
    on_progress: Callable[[int, int], None],
) -> list[IntArray]:
    labels: list[IntArray] = []
    prepared = clustering.prepare(documents, weights)
    while len(labels) < n_seeds and not should_stop():
        labels.append(clustering.fit_prepared(prepared, n_clusters, len(labels), n_init).labels)
        on_progress(len(labels), n_seeds)
    return labels


def _mean_agreement(weights: IntArray, labels: list[IntArray]) -> float:
    pairs = [diagnostics.agreement(weights, one, other) for one, other in combinations(labels, 2)]
    return float(np.mean(pairs)) if pairs else float("nan")


@dataclass(frozen=True, eq=False)
class _Solutions:
    """Centres (s, k, d) of good clusterings of all films, and squared distances to the nearest centre, (s, n)."""

    centers: Points
    nearest: Points


def _solutions(data: kmeans.Data, k: int, random: np.random.Generator, should_stop: Callable[[], bool]) -> _Solutions:
    """Search for N_SOLUTIONS clusterings of all films, each from a start of its own.

    The clustering that is judged is not among them, and must not be: refits that start there hardly leave it, so
    even the halves of one round cloud would look stable.
    """
    found: list[Points] = []
    while len(found) < N_SOLUTIONS and not should_stop():
        start = kmeans.best_start(data, k, 1, START_STEPS, random)
        found.append(_swapped(data, start, random, SEARCH_TRIES).centers)
    nearest = [kmeans.squared_distances(data, centers).min(axis=0) for centers in found]
    return _Solutions(np.array(found), np.array(nearest))


def _refit(
    data: kmeans.Data, same: IntArray, k: int, solutions: _Solutions, drawn: IntArray, random: np.random.Generator
) -> IntArray:
    """Make k-means of the drawn films and return their labels, shape (n drawn,).

    data, same: of the drawn lists; drawn: their rows in the solutions. The solutions that fit the drawn films best
    are carried on, and the best one is bettered by swaps. On the shipped films its inertia is within 0.2 % of the
    best known, in a fraction of the time of a full fit, which stays up to 1.5 % above. That matters: a refit that
    gets stuck in a bad place makes sound clusters look shaky.
    """
    _, apart = np.unique(same, return_inverse=True)
    if apart.max() < k:  # no more distinct vectors than clusters: each is a cluster
        return np.asarray(apart, dtype=np.int64)
    best = np.argsort(solutions.nearest[:, drawn] @ data.films, kind="stable")[:N_CARRIED_ON]
    runs = kmeans.lloyd(data, solutions.centers[best], STEPS)
    run = _swapped(data, min(runs, key=lambda run: run.inertia), random, REFIT_TRIES)
    return kmeans.lloyd(data, run.centers[None])[0].labels


def _swapped(data: kmeans.Data, best: kmeans.Run, random: np.random.Generator, tries: int) -> kmeans.Run:
    """Better a clustering by moving one centre at a time, until PATIENCE moves in a row were of no use.

    A move is the best of those of any centre to any of N_CANDIDATES points, which are drawn with chance films x
    squared distance; a few steps of Lloyd tell whether it holds. Source: the local search of Lattanzi and Sohler
    (2019), with the evaluation of all removals at once of Schubert and Rousseeuw (2019).
    """
    failures, known = 0, kmeans.scores(data, best.centers)
    for _ in range(tries if 1 < len(best.sums) < len(data.points) else 0):
        cluster, row = _best_move(data, known, random)
        (tried,) = kmeans.swap(data, best, known, cluster, row, STEPS)
        if tried.inertia < best.inertia * (1 - kmeans.SMALLEST_GAIN):
            best, failures, known = tried, 0, kmeans.scores(data, tried.centers)
        else:
            failures += 1
        if failures == PATIENCE:
            break
    return best


def _best_move(data: kmeans.Data, known: Points, random: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Return which centre to move to which point, (1,) each, if points stay with the nearest and no other one moves.

    known (k, n): `kmeans.scores` of the centres.
    """
    columns, own = np.arange(len(data.points)), kmeans.nearest(known[None])[0]
    away = np.maximum(known + data.norms, 0)
    first = away[own, columns]
    away[own, columns] = np.inf
    second = away.min(axis=0)
    candidates = kmeans.drawn((data.films * first)[None], random.random((1, N_CANDIDATES)))[0]
    near = kmeans.squared_distances(data, data.points[candidates])
    with_it = np.minimum(first, near)
    lost = np.minimum(second, near) - with_it  # what it adds if the own centre is the one that goes
    parts = np.zeros(known.shape, dtype=known.dtype)
    parts[own, columns] = data.films
    inertia = with_it @ data.films + parts @ lost.T
    cluster, candidate = np.unravel_index(int(inertia.argmin()), inertia.shape)
    return np.array([cluster]), candidates[[candidate]]
