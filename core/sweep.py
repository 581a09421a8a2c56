"""Every k at once: how good each is, which one to take, and how clusters split and merge on the way.

All figures are those of the clustering that a page shows for that k, over all films.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core import clustering, diagnostics
from core.clustering import Clustering, Space
from core.diagnostics import Around, affordable
from core.stability import SOLID
from core.threads import one_thread

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MAX_DISTANCES = 2048  # documents whose distances and similarities are kept for all k: 32 MB each
MIN_SILHOUETTE, REASONABLE_SILHOUETTE = 0.25, 0.5
MIN_GAIN = 0.01


@dataclass(frozen=True)
class Point:
    """The figures of one k: see `diagnostics` for each. inertia: sum of squared distances; smallest: in films."""

    k: int
    silhouette: float
    coherence: float
    calinski_harabasz: float
    davies_bouldin: float
    inertia: float
    smallest: int


@dataclass(frozen=True, eq=False)
class SweepResult:
    """frame: a row for each k that could be made, the fields of `Point`; clusterings: the clustering of each k."""

    frame: pd.DataFrame
    clusterings: dict[int, Clustering]


@dataclass(frozen=True, eq=False)
class Pairs:
    """`diagnostics.distances` and `diagnostics.similarities` of all pairs of documents, (n, n); None: too many."""

    distances: FloatArray | None = None
    similarities: FloatArray | None = None


def measure(
    documents: Space,
    weights: IntArray,
    matrix: FloatArray,
    found: Clustering,
    pairs: Pairs | None = None,
    random_state: int = 0,
) -> Point:
    """Measure a clustering over all films; silhouette and coherence of very many documents over a sample of films.

    weights (n,) films; matrix (n, genres) of 0 and 1; pairs, if at hand, save time.
    """
    vectors, labels, pairs = documents.vectors, found.labels, pairs or Pairs()
    around = Around(found.sizes.astype(np.float64), found.centers, found.distance[labels >= 0] ** 2)
    return Point(
        k=found.n_clusters,
        silhouette=affordable(diagnostics.silhouette, vectors, weights, labels, random_state, pairs.distances).overall,
        coherence=affordable(diagnostics.coherence, matrix, weights, labels, random_state, pairs.similarities).overall,
        calinski_harabasz=diagnostics.calinski_harabasz(vectors, weights, labels, around),
        davies_bouldin=diagnostics.davies_bouldin(vectors, weights, labels, around),
        inertia=found.inertia,
        smallest=int(found.sizes.min(initial=found.sizes.sum())),
    )


def sweep(
    documents: Space,
    weights: IntArray,
    matrix: FloatArray,
    ks: Iterable[int],
    random_state: int = 0,
    distances: FloatArray | None = None,
    n_jobs: int = 2,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> SweepResult:
    """Cluster the films with each k and measure the result.

    Each clustering is that of `clustering.fit` with the same k and seed. A k with fewer clusters than asked for is
    left out: it is one of the others. Where `should_stop` says so, the k made so far are returned. n_jobs threads:
    numpy lets go of Python's lock in most of the work, so two of them save about a fifth where a second core is free.
    """
    wanted = sorted(set(ks))
    pairs = Pairs(distances)
    if len(weights) <= MAX_DISTANCES:
        kept = diagnostics.distances(documents.vectors) if distances is None else distances
        pairs = Pairs(kept, diagnostics.similarities(matrix))
    prepared = clustering.prepare(documents, weights)

    def work(k: int) -> tuple[Clustering, Point]:
        found = clustering.fit_prepared(prepared, k, random_state)
        return found, measure(documents, weights, matrix, found, pairs, random_state)

    points: list[Point] = []
    clusterings: dict[int, Clustering] = {}
    # Around all threads, so that it is not looked after anew for each k.
    with one_thread(), ThreadPoolExecutor(n_jobs) as pool:
        started = [pool.submit(work, k) for k in wanted]
        for done, (k, result) in enumerate(zip(wanted, started, strict=True), start=1):
            if should_stop():
                pool.shutdown(cancel_futures=True)
                break
            found, point = result.result()
            if found.n_clusters == k:
                points.append(point)
                clusterings[k] = found
            on_progress(done, len(wanted))
    columns = list(Point.__dataclass_fields__)
    return SweepResult(pd.DataFrame([asdict(point) for point in points], columns=columns), clusterings)


@dataclass(frozen=True)
class Recommendation:
    """The k to take (None if none stands out) and why, in one sentence with the numbers."""

    k: int | None
    sentence: str


def recommend(frame: pd.DataFrame) -> Recommendation:
    """Name the k that stands out, or say that none does.

    frame has a row a k with k, silhouette, coherence, stability (that of the least stable cluster, NaN where it is
    not known yet) and smallest (films). The last k that passes all of these is named:

    1. Every cluster is solid: the lowest stability is at least 0.85 (Hennig 2007). Where k is too large, some cluster
       is cut at will, and the cut falls elsewhere when films are drawn anew.
    2. The clusters lie apart: silhouette of at least 0.25 (Kaufman and Rousseeuw 1990: below it there is no
       substantial structure). Even one even cloud of few dimensions can be cut stably.
    3. Coherence bends at k: the step to k gains at least 0.01, and a step up to k at least twice as much on average
       as one after it (if there is any). So the genres have a say, not only the vectors. The first k has no step
       before it: instead silhouette must be at least 0.5 (Kaufman and Rousseeuw: a reasonable structure), and a step
       after it must gain less than 0.01.
    4. Silhouette is no lower than at the k before: a sound cluster that is cut lies right beside its other half.

    The bounds on coherence are ours: planted groups of genre lists (3 to 12) are found with them, clouds are not.
    """
    rows = frame.sort_values("k", ignore_index=True)
    known = rows[rows["stability"].notna() & (rows["k"] > 1)]
    if known.empty:
        return Recommendation(None, "No k can be named before the stability of at least one is known.")
    solid = known[known["stability"] >= SOLID]
    if solid.empty:
        best = int(known["stability"].to_numpy().argmax())
        k, stability = int(known["k"].iloc[best]), float(known["stability"].iloc[best])
        return Recommendation(
            None,
            "There is no clear k: at every k some cluster is not found again when films are drawn anew "
            f"(at best, with {k}, its stability is {stability:.2f}; solid is {SOLID} and more).",
        )
    apart = solid[solid["silhouette"] >= MIN_SILHOUETTE]
    if apart.empty:
        return Recommendation(
            None,
            f"There is no clear k: with {_listed(solid['k'])} every cluster is found again, but the clusters hardly "
            f"lie apart (silhouette {solid['silhouette'].max():.2f} at most, {MIN_SILHOUETTE} is the least for that).",
        )
    for k in apart["k"].iloc[::-1]:
        bend = _bend(rows, int(k))
        if bend.is_clear():
            return Recommendation(int(k), _reason(rows, int(k), bend))
    return Recommendation(
        None,
        f"There is no clear k: with {_listed(apart['k'])} every cluster is found again, but k does not matter much "
        "there: the clusters of its neighbours are about as coherent, or lie further apart.",
    )


@dataclass(frozen=True)
class _Bend:
    """What coherence gains in the step to k, in one up to k and in one after it on average; NaN where there is none.

    silhouette and silhouette_before: at k and at the k before it (NaN for the first, or if that is 1).
    """

    step: float
    before: float
    after: float
    silhouette: float
    silhouette_before: float

    def is_clear(self) -> bool:
        if np.isnan(self.step):
            return self.after < MIN_GAIN and self.silhouette >= REASONABLE_SILHOUETTE
        falls = self.silhouette < self.silhouette_before
        return not falls and self.step >= MIN_GAIN and (np.isnan(self.after) or self.before >= 2 * self.after)


def _bend(rows: pd.DataFrame, k: int) -> _Bend:
    ks, coherence, silhouette = (rows[name].to_numpy(np.float64) for name in ("k", "coherence", "silhouette"))
    here, last, none = int(np.flatnonzero(ks == k)[0]), len(ks) - 1, float("nan")
    return _Bend(
        step=float((coherence[here] - coherence[here - 1]) / (k - ks[here - 1])) if here else none,
        before=float((coherence[here] - coherence[0]) / (k - ks[0])) if here else none,
        after=float((coherence[last] - coherence[here]) / (ks[last] - k)) if here < last else none,
        silhouette=float(silhouette[here]),
        silhouette_before=float(silhouette[here - 1]) if here else none,
    )


def _reason(rows: pd.DataFrame, k: int, bend: _Bend) -> str:
    lowest = float(rows.loc[rows["k"] == k, "stability"].iloc[0])
    parts = ((bend.before, "up to it"), (bend.after, "after it"))
    gains = [f"{gain:.3f} a step {where}" for gain, where in parts if not np.isnan(gain)]
    told = f"; coherence gains {' and '.join(gains)}" if gains else ""
    last = k == rows.loc[rows["stability"] >= SOLID, "k"].max()
    which = "the last k at which" if last else "the last k that betters the one before and at which"
    missing = int(rows["stability"].isna().sum())
    so_far = f" (so far: the stability of {missing} other k is not known yet)" if missing else ""
    return f"{k}: {which} every cluster is solid (lowest stability {lowest:.2f}){told}{so_far}."


def _listed(ks: pd.Series) -> str:
    """Write numbers as in “2, 4 and 9”."""
    *first, last = (f"{k:.0f}" for k in ks)
    return f"{', '.join(first)} and {last}" if first else last
