"""Every part of the search against its plain form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import clustering, kmeans
from core.clustering import Space

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FIRST, SWAP, TRIES = clustering.FIRST_STEPS, clustering.SWAP_STEPS, clustering.N_SWAPS


@pytest.fixture(scope="module")
def data(documents: Space, weights: IntArray) -> kmeans.Data:
    return kmeans.prepare(documents.components, weights)


def some(n: int = 60, d: int = 5, seed: int = 0) -> kmeans.Data:
    lot = np.random.default_rng(seed)
    return kmeans.prepare(lot.normal(size=(n, d)), lot.integers(1, 9, size=n))


def away(points: NDArray[np.floating], centers: NDArray[np.floating]) -> FloatArray:
    """Squared distances in float64, (k, n)."""
    return np.asarray(((points.astype(np.float64)[None] - centers.astype(np.float64)[:, None]) ** 2).sum(axis=2))


def plain_lloyd(data: kmeans.Data, centers: NDArray[np.floating], steps: int) -> tuple[IntArray, FloatArray, float]:
    """Lloyd as in the books, one point and one cluster at a time: labels, means, inertia."""
    labels = np.full(len(data.points), -1)
    for _ in range(steps):
        found = away(data.points, centers).argmin(axis=0)
        if np.array_equal(found, labels):
            break
        labels, centers = found, kmeans.means(data.points.astype(np.float64), data.films, found, len(centers))
    own = away(data.points, centers)[labels, np.arange(len(labels))]
    return labels, centers, float(data.films.astype(np.float64) @ own)


def assert_same(run: kmeans.Run, plain: tuple[IntArray, FloatArray, float]) -> None:
    labels, centers, inertia = plain
    assert run.labels.tolist() == labels.tolist()
    assert np.allclose(run.centers, centers, rtol=1e-5, atol=1e-6)
    assert run.inertia == pytest.approx(inertia, rel=1e-6, abs=1e-6)


# The parts


def test_distances_are_those_of_differences(data: kmeans.Data) -> None:
    centers = data.points[[3, 500, 900]]
    expected = away(data.points, centers)
    assert np.allclose(kmeans.squared_distances(data, centers), expected, atol=2e-6)
    assert np.allclose(kmeans.scores(data, centers), expected - (data.points.astype(np.float64) ** 2).sum(1), atol=2e-6)
    assert kmeans.squared_distances(data, data.points[:9]).min() >= 0


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 9), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_the_nearest_is_the_first_smallest(b: int, k: int, n: int, ties: int, seed: int) -> None:
    lot = np.random.default_rng(seed)
    near = lot.integers(0, 3, size=(b, k, n)) if ties else lot.normal(size=(b, k, n))
    assert kmeans.nearest(near.astype(np.float32)).tolist() == near.astype(np.float32).argmin(axis=1).tolist()


def test_lots_are_chances() -> None:
    chances = np.array([[1, 0, 3, 0], [0, 0, 0, 5]], dtype=np.float32)
    lots = np.array([[0, 0.2499, 0.25, 0.999999], [0, 0.3, 0.6, 0.999999]])
    assert kmeans.drawn(chances, lots).tolist() == [[0, 0, 2, 2], [3, 3, 3, 3]]
    assert kmeans.drawn(np.zeros((1, 3), np.float32), np.array([[0.5]])).tolist() == [[2]]


# Starts


def plain_start(data: kmeans.Data, k: int, random: np.random.Generator) -> list[int]:
    """Greedy k-means++, one start and one point at a time."""

    def draw(chances: FloatArray) -> int:
        reached = np.cumsum(chances)
        return min(int(np.searchsorted(reached, random.random() * reached[-1], side="right")), len(chances) - 1)

    films = data.films.astype(np.float64)
    chosen = [draw(films)]
    for _ in range(1, k):
        closest = away(data.points, data.points[chosen]).min(axis=0)
        tried = [draw(closest * films) for _ in range(2 + int(np.log(k)))]
        chosen.append(min(tried, key=lambda i: films @ np.minimum(closest, away(data.points, data.points[[i]])[0])))
    return chosen


@pytest.mark.parametrize("k", [1, 2, 7, 12])
def test_starts_side_by_side_are_starts_one_after_another(k: int) -> None:
    data = some()
    random = np.random.default_rng(3)
    expected = [data.points[plain_start(data, k, random)].tolist() for _ in range(6)]
    assert kmeans.starts(data, k, 6, np.random.default_rng(3)).tolist() == expected


@pytest.mark.parametrize("k", [2, 12, 30])
def test_how_many_go_side_by_side_makes_no_difference(
    data: kmeans.Data, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = clustering.search(data, k, 5)
    for at_once in (1, 3):
        monkeypatch.setattr(kmeans, "AT_ONCE", at_once)
        monkeypatch.setattr(kmeans, "BATCH_VALUES", at_once * len(data.points) * 8)
        assert clustering.search(data, k, 5).tolist() == labels.tolist()


# Lloyd


@pytest.mark.parametrize("steps", [1, 2, 4, 300])
@pytest.mark.parametrize("k", [1, 2, 9, 30])
def test_lloyd_is_the_plain_one(data: kmeans.Data, k: int, steps: int) -> None:
    centers = kmeans.starts(data, k, 3, np.random.default_rng(k))
    for start, run in zip(centers, kmeans.lloyd(data, centers, steps), strict=True):
        assert_same(run, plain_lloyd(data, start, steps))


@pytest.mark.parametrize("few", [1.01, 1e9])
def test_sums_kept_and_sums_anew_are_the_same(data: kmeans.Data, few: float, monkeypatch: pytest.MonkeyPatch) -> None:
    centers = kmeans.starts(data, 15, 2, np.random.default_rng(0))
    expected = kmeans.lloyd(data, centers)
    monkeypatch.setattr(kmeans, "FEW", few)  # 1.01: differences after the first step; 1e9: anew
    for run, other in zip(kmeans.lloyd(data, centers), expected, strict=True):
        assert run.labels.tolist() == other.labels.tolist()
        assert np.allclose(run.sums, other.sums, rtol=1e-12, atol=1e-9)
        assert run.inertia == pytest.approx(other.inertia, rel=1e-12)


def test_a_list_with_most_of_the_films_leaves_nothing_behind() -> None:
    """What is added and taken away is exact enough for a cluster that loses a list a million times its own size."""
    data = kmeans.prepare(np.array([[-1.0], [0.3], [5.0], [6.0]]), np.array([1, 10_000_000, 1, 1]))
    (found,) = kmeans.lloyd(data, np.array([[[-1.2], [1.0]]], dtype=np.float32))
    assert found.labels.tolist() == [0, 1, 1, 1]
    (run,) = kmeans.swap(data, found, kmeans.scores(data, found.centers), np.array([0]), np.array([1]), SWAP)
    assert run.labels.tolist() == [0, 0, 1, 1]
    assert run.centers[1, 0] == pytest.approx(5.5, rel=1e-6)
    assert run.inertia == pytest.approx(1.3**2 + 0.5, rel=1e-3)


@pytest.mark.parametrize("k", [2, 9, 30])
def test_swaps_are_lloyd_from_moved_centres(data: kmeans.Data, k: int) -> None:
    random = np.random.default_rng(k)
    found = kmeans.best_start(data, k, 2, FIRST, random)
    clusters, rows = random.integers(k, size=5), random.integers(len(data.points), size=5)
    before = found.sums.copy(), found.factors.copy(), found.labels.copy()
    runs = kmeans.swap(data, found, kmeans.scores(data, found.centers), clusters, rows, SWAP)
    for cluster, row, run in zip(clusters, rows, runs, strict=True):
        centers = found.centers.copy()
        centers[cluster] = data.points[row]
        assert_same(run, plain_lloyd(data, centers, SWAP))
    for kept, now in zip(before, (found.sums, found.factors, found.labels), strict=True):
        assert np.array_equal(kept, now)


@pytest.mark.parametrize("k", [2, 8, 20])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_search_is_the_plain_search(data: kmeans.Data, k: int, seed: int) -> None:
    """Starts, steps and swaps one after another, in float64, lead to the same clusters."""
    random = np.random.default_rng(seed)
    starts = kmeans.starts(data, k, 10, random)
    labels, centers, inertia = min((plain_lloyd(data, start, FIRST) for start in starts), key=lambda run: run[2])
    for _ in range(TRIES):
        own = away(data.points, centers)[labels, np.arange(len(labels))]
        lot, cluster = random.random(), int(random.integers(k))
        reached = np.cumsum(data.films * own)
        moved = centers.copy()
        moved[cluster] = data.points[np.searchsorted(reached, lot * reached[-1], side="right")]
        tried = plain_lloyd(data, moved, SWAP)
        if tried[2] < inertia * (1 - kmeans.SMALLEST_GAIN):
            labels, centers, inertia = tried
    expected = plain_lloyd(data, centers, kmeans.MAX_ITERATIONS)[0]
    assert clustering.search(data, k, seed).tolist() == expected.tolist()


def test_clusters_are_carried_on_to_rest(documents: Space, weights: IntArray, data: kmeans.Data) -> None:
    films = weights.astype(np.float64)
    start = clustering.search(data, 20, 0, n_init=1)
    found = kmeans.carry_on(documents.vectors, films, start, 20)
    means = np.array([np.average(documents.vectors[found == i], axis=0, weights=films[found == i]) for i in range(20)])
    assert away(documents.vectors, means).argmin(axis=0).tolist() == found.tolist()
    assert np.allclose(kmeans.means(documents.vectors, films, found, 20), means, atol=1e-13)


drawn_points = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=n, max_size=n),
        st.lists(st.integers(1, 6), min_size=n, max_size=n),
        st.lists(st.integers(0, n - 1), min_size=1, max_size=5),
        st.integers(1, 5),
    )
)


@settings(max_examples=150, deadline=None)
@given(drawn_points)
@pytest.mark.filterwarnings("error")
def test_any_run_says_what_it_found(drawn: tuple[list[tuple[int, int]], list[int], list[int], int]) -> None:
    """Ties, equal points, centres that coincide and clusters that run empty."""
    points, films, rows, steps = drawn
    rows = rows[: len(points)]
    data = kmeans.prepare(np.array(points, dtype=np.float64), np.array(films))
    k = len(rows)
    for run in kmeans.lloyd(data, data.points[[rows, rows[::-1]]], steps):
        assert ((run.labels >= 0) & (run.labels < k)).all()
        for i in range(k):
            mine = run.labels == i
            expected = np.array([*(data.films[mine] @ data.points[mine]), data.films[mine].sum()])
            assert np.allclose(run.sums[i], expected, atol=1e-9)
            if mine.any():
                assert np.allclose(run.centers[i], expected[:-1] / expected[-1], atol=1e-6)
        misfit = kmeans.misfit(data, run.labels, run.centers)
        assert run.inertia == pytest.approx(float(misfit.sum()), rel=1e-5, abs=1e-5)


def test_an_empty_cluster_goes_to_the_worst_fit() -> None:
    data = kmeans.prepare(np.array([[0.0], [1.0], [9.0]]), np.array([1, 1, 1]))
    (run,) = kmeans.lloyd(data, np.array([[[0.0], [100.0]]], dtype=np.float32))
    assert run.labels.tolist() == [0, 0, 1]
    assert run.inertia == pytest.approx(0.5)
