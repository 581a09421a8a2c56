import threading
import time

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

from core import clustering, diagnostics, explain, stability, sweep
from core.clustering import Space
from core.movies import Catalogue
from core.sweep import SweepResult

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def whole(values: list[int]) -> IntArray:
    return np.array(values, dtype=np.int64)


@pytest.fixture(scope="module")
def matrix(catalogue: Catalogue) -> FloatArray:
    return explain.membership(catalogue.genre_lists)[0]


@pytest.fixture(scope="module")
def swept(documents: Space, weights: IntArray, matrix: FloatArray) -> SweepResult:
    return sweep.sweep(documents, weights, matrix, range(2, 9))


# The sweep


def test_a_sweep_is_what_the_pages_show(
    documents: Space, weights: IntArray, matrix: FloatArray, film_rows: IntArray, swept: SweepResult
) -> None:
    assert swept.frame["k"].tolist() == list(swept.clusterings) == [2, 3, 4, 5, 6, 7, 8]
    for row in swept.frame.itertuples():
        found = clustering.fit(documents, weights, row.k)
        kept = swept.clusterings[row.k]
        for name in ("labels", "centers", "sizes", "distance", "runner_up", "margin"):
            assert np.array_equal(getattr(kept, name), getattr(found, name), equal_nan=True), name
        assert row.inertia == kept.inertia == found.inertia
        assert row.smallest == found.sizes.min()
        silhouette = diagnostics.silhouette(documents.vectors, weights, found.labels).overall
        assert row.silhouette == pytest.approx(silhouette, abs=1e-12)
        coherence = diagnostics.coherence(matrix, weights, found.labels).overall
        assert row.coherence == pytest.approx(coherence, abs=1e-12)
        plain = diagnostics.calinski_harabasz(documents.vectors, weights, found.labels)
        assert row.calinski_harabasz == pytest.approx(plain, rel=1e-11)
        plain = diagnostics.davies_bouldin(documents.vectors, weights, found.labels)
        assert row.davies_bouldin == pytest.approx(plain, rel=1e-11)
    films, of_film = documents.vectors[film_rows], found.labels[film_rows]
    assert row.calinski_harabasz == pytest.approx(calinski_harabasz_score(films, of_film), rel=1e-9)
    assert row.davies_bouldin == pytest.approx(davies_bouldin_score(films, of_film), rel=1e-9)


def test_threads_and_known_distances_change_nothing(
    documents: Space, weights: IntArray, matrix: FloatArray, swept: SweepResult
) -> None:
    kept = diagnostics.distances(documents.vectors)
    alone = sweep.sweep(documents, weights, matrix, [8, 3, 3], distances=kept, n_jobs=1)
    expected = swept.frame[swept.frame["k"].isin([3, 8])].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.frame, expected, rtol=1e-12)
    assert all(np.array_equal(found.labels, swept.clusterings[k].labels) for k, found in alone.clusterings.items())


def test_large_catalogues_keep_no_distances(
    documents: Space, weights: IntArray, matrix: FloatArray, swept: SweepResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "MAX_DISTANCES", 10)
    monkeypatch.setattr(diagnostics, "distances", lambda _: pytest.fail("kept all distances"))
    found = sweep.sweep(documents, weights, matrix, [4])
    pd.testing.assert_frame_equal(found.frame, swept.frame[swept.frame["k"] == 4].reset_index(drop=True), rtol=1e-12)


def test_a_sweep_tells_how_far_it_is_and_can_be_stopped(
    documents: Space, weights: IntArray, matrix: FloatArray
) -> None:
    told: list[tuple[int, int]] = []
    here = threading.get_ident()

    def should_stop() -> bool:
        assert threading.get_ident() == here
        return len(told) == 2

    def on_progress(done: int, total: int) -> None:
        told.append((done, total))

    started = time.perf_counter()
    found = sweep.sweep(documents, weights, matrix, range(2, 50), should_stop=should_stop, on_progress=on_progress)
    assert told == [(1, 48), (2, 48)]
    assert found.frame["k"].tolist() == list(found.clusterings) == [2, 3]
    assert time.perf_counter() - started < 10  # all 48 take far longer


def test_a_k_that_cannot_be_made_is_left_out() -> None:
    weights = whole([2, 3, 4, 0])
    space = clustering.space(np.eye(4, dtype=np.float32), weights)
    found = sweep.sweep(space, weights, np.eye(4), [1, 2, 3, 4, 5])
    assert found.frame["k"].tolist() == [1, 2, 3]
    assert found.frame["smallest"].tolist() == [9, 4, 2]
    assert np.isnan(found.frame["silhouette"][0])
    nothing = sweep.sweep(space, whole([0, 0, 0, 0]), np.eye(4), [2, 3])
    assert nothing.frame.empty
    assert "davies_bouldin" in nothing.frame
    assert nothing.clusterings == {}


def test_what_goes_wrong_in_a_thread_is_not_lost(documents: Space, weights: IntArray) -> None:
    with pytest.raises(ValueError, match="matmul"):
        sweep.sweep(documents, weights, np.ones((3, 2)), [2, 3], distances=np.eye(3))


# The recommendation


def table(coherence: list[float], stable: list[float], silhouette: list[float] | float = 0.6) -> pd.DataFrame:
    ks = range(2, 2 + len(coherence))
    return pd.DataFrame({"k": ks, "coherence": coherence, "stability": stable, "silhouette": silhouette, "smallest": 9})


def test_the_last_solid_k_is_named_with_its_numbers() -> None:
    found = sweep.recommend(table([0.2, 0.3, 0.4, 0.402, 0.404], [0.9, 0.7, 0.88, 0.84, 0.5]))
    assert found.k == 4
    assert found.sentence == (
        "4: the last k at which every cluster is solid (lowest stability 0.88); "
        "coherence gains 0.100 a step up to it and 0.002 a step after it."
    )


def test_the_order_of_rows_makes_no_difference() -> None:
    frame = table([0.2, 0.3, 0.4, 0.402, 0.404], [0.9, 0.7, 0.88, 0.84, 0.5])
    assert sweep.recommend(frame.iloc[::-1]) == sweep.recommend(frame)


def test_a_solid_k_that_adds_no_coherence_is_passed_over() -> None:
    found = sweep.recommend(table([0.2, 0.3, 0.4, 0.402, 0.404], [0.9, 0.7, 0.88, 0.9, 0.5]))
    assert found.k == 4
    assert "the last k that betters the one before and at which every cluster is solid" in found.sentence


def test_a_solid_k_that_lowers_silhouette_is_passed_over() -> None:
    frame = table([0.2, 0.3, 0.4, 0.42, 0.42], [0.9, 0.7, 0.88, 0.9, 0.5], [0.5, 0.6, 0.7, 0.65, 0.6])
    assert sweep.recommend(frame).k == 4


def test_a_k_at_either_end() -> None:
    last = sweep.recommend(table([0.2, 0.3, 0.4], [0.9, 0.9, 0.9]))
    assert last.k == 4
    assert "after it" not in last.sentence
    first = table([0.4, 0.404, 0.406], [0.99, 0.5, 0.5])
    assert sweep.recommend(first).k == 2
    assert sweep.recommend(first.assign(silhouette=0.4)).k is None
    assert sweep.recommend(first.assign(coherence=[0.4, 0.5, 0.6])).k is None


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (table([0.2, 0.3, 0.4], [0.5, 0.84, 0.3]), "at best, with 3, its stability is 0.84"),
        (table([0.2, 0.3, 0.4], [0.9, 0.9, 0.3], 0.1), "with 2 and 3 every cluster is found again, but the clusters"),
        (table([0.2, 0.21, 0.22, 0.23], [0.1, 0.9, 0.3, 0.3]), "k does not matter much"),
        (table([0.2, 0.3], [np.nan, np.nan]), "before the stability of at least one is known"),
        (table([], []), "before the stability of at least one is known"),
    ],
    ids=["unstable", "not apart", "no bend", "unknown", "empty"],
)
def test_no_clear_k_and_why(frame: pd.DataFrame, reason: str) -> None:
    found = sweep.recommend(frame)
    assert found.k is None
    assert reason in found.sentence
    assert found.sentence.endswith(".")


def test_what_is_not_known_yet_is_said() -> None:
    found = sweep.recommend(table([0.2, 0.3, 0.4, 0.402], [np.nan, 0.9, 0.88, np.nan]))
    assert found.k == 4
    assert "(so far: the stability of 2 other k is not known yet)" in found.sentence


def measured(space: Space, weights: IntArray, matrix: FloatArray, last: int) -> pd.DataFrame:
    found = sweep.sweep(space, weights, matrix, range(2, last + 1))
    lowest = [stability.bootstrap(space, weights, fit, 20).lowest for fit in found.clusterings.values()]
    return found.frame.assign(stability=lowest)


@pytest.mark.parametrize("groups", [3, 5, 8, 12])
@pytest.mark.parametrize("seed", [0, 2])
def test_planted_groups_are_found(groups: int, seed: int) -> None:
    lot = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), 25)
    centers = lot.normal(size=(groups, 16))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    vectors = centers[group] + lot.normal(size=(len(group), 16)) / 16
    matrix = np.asarray(lot.random((len(group), 2 * groups)) < 0.1, dtype=np.float64)
    matrix[np.arange(len(group)), 2 * group] = 1
    weights = lot.integers(1, 30, size=len(group))
    space = clustering.space(vectors.astype(np.float32), weights)
    assert sweep.recommend(measured(space, weights, matrix, groups + 2)).k == groups


@pytest.mark.parametrize("kind", ["ball", "square", "random genres"])
def test_no_k_is_named_where_nothing_is_planted(kind: str) -> None:
    lot = np.random.default_rng(0)
    matrix = np.unique(np.asarray(lot.random((300, 12)) < 0.3, dtype=np.float64), axis=0)
    matrix = lot.permutation(matrix[matrix.sum(axis=1) > 0])
    vectors = {
        "ball": lot.normal(size=(len(matrix), 10)),
        "square": lot.random((len(matrix), 2)),
        "random genres": matrix / np.linalg.norm(matrix, axis=1, keepdims=True),
    }[kind]
    weights = lot.integers(1, 30, size=len(matrix))
    found = sweep.recommend(measured(clustering.space(vectors.astype(np.float32), weights), weights, matrix, 8))
    assert found.k is None
    assert found.sentence.startswith("There is no clear k")
