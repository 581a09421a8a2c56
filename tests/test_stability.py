import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from core import clustering, diagnostics, explain, kmeans, stability
from core.clustering import Clustering, Space
from core.movies import Catalogue
from core.threads import one_thread

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def whole(values: list[int]) -> IntArray:
    return np.array(values, dtype=np.int64)


def of(vectors: FloatArray, weights: IntArray) -> Space:
    return clustering.space(vectors.astype(np.float32), weights)


def matches_by_hand(films: list[int], labels: list[int], refit: list[int], k: int) -> list[float]:
    """Hennig's maximum Jaccard similarity with sets of films, one film at a time."""
    films_of = [
        [{(i, copy) for i, n in enumerate(films) for copy in range(n) if given[i] == cluster} for cluster in range(9)]
        for given in (labels, refit)
    ]
    return [max(len(c & d) / len(c | d) if d else 0.0 for d in films_of[1]) for c in films_of[0][:k]]


@pytest.mark.parametrize(
    ("value", "word"),
    [(1.0, "solid"), (0.85, "solid"), (0.849, "fair"), (0.6, "fair"), (0.599, "shaky"), (float("nan"), "shaky")],
)
def test_the_words(value: float, word: str) -> None:
    assert stability.verdict(value) == word


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "measuring"),
        (float("nan"), "not known"),
        (1.0, "solid 1.00"),
        (0.85, "solid 0.85"),
        (0.8499, "fair 0.84"),
        (0.6, "fair 0.60"),
        (0.5999, "shaky 0.59"),
        (0.29, "shaky 0.29"),
        (0.0, "shaky 0.00"),
    ],
)
def test_the_words_with_the_number(value: float | None, words: str) -> None:
    assert stability.told(value) == words


@given(st.integers(0, 100))
def test_a_number_of_two_places_is_told_as_it_is(percent: int) -> None:
    assert stability.told(percent / 100).split()[1] == f"{percent / 100:.2f}"


drawn_films = st.integers(1, 8).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(1, 4), min_size=n, max_size=n),
        st.lists(st.integers(0, 3), min_size=n, max_size=n),
        st.lists(st.integers(0, 3), min_size=n, max_size=n),
    )
)


@settings(max_examples=150, deadline=None)
@given(drawn_films)
def test_best_matches_are_those_of_sets_of_films(drawn: tuple[list[int], list[int], list[int]]) -> None:
    films, labels, refit = drawn
    found = stability.best_matches(whole(films), whole(labels), whole(refit), 4)
    assert found.tolist() == pytest.approx(matches_by_hand(films, labels, refit, 4), abs=1e-12)


def test_the_bootstrap_is_the_mean_of_plain_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    lot = np.random.default_rng(1)
    weights = np.insert(lot.integers(1, 9, size=40), [5, 9], 0)
    space = of(lot.normal(size=(42, 4)), weights)
    found = clustering.fit(space, weights, 4)
    expected = []
    original = stability.best_matches

    def spy(films: IntArray, labels: IntArray, refit: IntArray, k: int) -> FloatArray:
        assert films.sum() == weights.sum()
        expected.append(matches_by_hand(films.tolist(), labels.tolist(), refit.tolist(), k))
        return original(films, labels, refit, k)

    monkeypatch.setattr(stability, "best_matches", spy)
    measured = stability.bootstrap(space, weights, found, n_refits=12)
    assert len(expected) == measured.n_refits == 12
    assert np.allclose(measured.clusters, np.mean(expected, axis=0), rtol=0, atol=1e-12)
    assert measured.lowest == measured.clusters.min()


def test_lists_are_drawn_as_their_films_are() -> None:
    weights, random = whole([1, 2, 7]), np.random.default_rng(0)
    ours = np.array([stability.draw(weights, 10, random) for _ in range(20_000)])
    films = np.repeat(np.arange(3), weights)
    theirs = np.array([np.bincount(random.choice(films, size=10), minlength=3) for _ in range(20_000)])
    assert (ours.sum(axis=1) == 10).all()
    assert np.allclose(ours.mean(axis=0), weights, atol=0.05)
    assert np.allclose(ours.mean(axis=0), theirs.mean(axis=0), atol=0.05)
    assert np.allclose(np.cov(ours.T), np.cov(theirs.T), atol=0.08)
    for i in range(3):
        counted = [np.bincount(drawn[:, i], minlength=11) / 20_000 for drawn in (ours, theirs)]
        assert np.abs(counted[0] - counted[1]).max() < 0.02


def test_planted_clusters_are_solid_and_a_cut_cloud_is_shaky() -> None:
    lot = np.random.default_rng(0)
    cloud = lot.normal(size=(300, 10))
    apart = lot.normal(size=(60, 10)) * 0.3 + 14 * np.eye(10)[0]
    weights = lot.integers(1, 6, size=360)
    space = of(np.concatenate([cloud, apart]), weights)
    two = clustering.fit(space, weights, 2)
    assert stability.bootstrap(space, weights, two).clusters.tolist() == [1.0, 1.0]
    five = clustering.fit(space, weights, 5)
    clear = int(five.labels[-1])
    assert (five.labels[300:] == clear).all()
    measured = stability.bootstrap(space, weights, five).clusters
    assert stability.verdict(measured[clear]) == "solid"
    cut = np.delete(measured, clear)
    assert stability.verdict(cut.min()) == "shaky"
    assert "solid" not in {stability.verdict(value) for value in cut}


def test_a_blob_in_eight_is_shaky() -> None:
    lot = np.random.default_rng(0)
    weights = lot.integers(1, 20, size=500)
    space = of(lot.normal(size=(500, 10)), weights)
    measured = stability.bootstrap(space, weights, clustering.fit(space, weights, 8))
    assert stability.verdict(float(measured.clusters.mean())) == "shaky"
    assert measured.clusters.max() < stability.SOLID


@pytest.fixture(scope="module")
def nine(documents: Space, weights: IntArray) -> Clustering:
    return clustering.fit(documents, weights, 9)


def test_the_shipped_films_in_nine_are_solid(documents: Space, weights: IntArray, nine: Clustering) -> None:
    seeds = [stability.bootstrap(documents, weights, nine, 20, random_state=seed).lowest for seed in range(3)]
    assert min(seeds) >= stability.SOLID
    assert max(seeds) - min(seeds) < 0.1


def test_the_same_seed_gives_the_same_stability(documents: Space, weights: IntArray, nine: Clustering) -> None:
    one, again, other = (
        stability.bootstrap(documents, weights, nine, 8, random_state=seed).clusters for seed in (3, 3, 4)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("k", [6, 12, 20])
def test_refits_are_as_good_as_full_fits(documents: Space, weights: IntArray, k: int) -> None:
    """A refit that is stuck in a bad place would make sound clusters look shaky."""
    points = documents.components.astype(np.float32)
    random = np.random.default_rng(0)

    def inertia(drawn: IntArray, films: IntArray, labels: IntArray) -> float:
        there = documents.components[drawn]
        means = kmeans.means(there, films, labels, k)
        return float(films @ ((there - means[labels]) ** 2).sum(axis=1))

    ours, full = [], []
    with one_thread():
        solutions = stability._solutions(kmeans.prepare(points, weights), k, random, lambda: False)
        for seed in range(3):
            films = stability.draw(weights, int(weights.sum()), random)
            drawn = np.flatnonzero(films)
            films = films[drawn]
            data = kmeans.prepare(points[drawn], films)
            refit = stability._refit(data, documents.same[drawn], k, solutions, drawn, random)
            ours.append(inertia(drawn, films, refit))
            full.append(inertia(drawn, films, clustering.search(data, k, seed)))
    assert np.mean(ours) <= np.mean(full) * 1.003


def test_fifty_refits_take_a_moment(documents: Space, weights: IntArray) -> None:
    found = clustering.fit(documents, weights, 12)
    started = time.process_time()
    assert stability.bootstrap(documents, weights, found).n_refits == 50
    assert time.process_time() - started < 6  # 1.6 s


def test_a_bootstrap_tells_how_far_it_is_and_can_be_stopped(
    documents: Space, weights: IntArray, nine: Clustering
) -> None:
    told: list[tuple[int, int]] = []

    def on_progress(done: int, total: int) -> None:
        told.append((done, total))

    stopped = stability.bootstrap(
        documents, weights, nine, 10, should_stop=lambda: len(told) == 3, on_progress=on_progress
    )
    assert told == [(1, 10), (2, 10), (3, 10)]
    assert stopped.n_refits == 3
    assert np.array_equal(stopped.clusters, stability.bootstrap(documents, weights, nine, 3).clusters)
    never = stability.bootstrap(documents, weights, nine, 10, should_stop=lambda: True)
    assert never.n_refits == 0
    assert np.isnan(never.clusters).all()
    assert np.isnan(never.lowest)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("k", [1, 2, 5, 7])
def test_few_films(k: int) -> None:
    weights = whole([1, 1, 2, 1, 0, 1, 1])
    space = of(np.eye(7)[:, :5] + np.eye(7, 5, -2), weights)
    found = clustering.fit(space, weights, k)
    measured = stability.bootstrap(space, weights, found, 30)
    assert measured.clusters.shape == (found.n_clusters,)
    assert ((measured.clusters >= 0) & (measured.clusters <= 1)).all()
    if k == 1:
        assert measured.clusters.tolist() == [1.0]


def test_a_film_alone_is_found_again_if_it_is_drawn() -> None:
    weights = whole([1, 40, 40])
    space = of(np.eye(3), weights)
    measured = stability.bootstrap(space, weights, clustering.fit(space, weights, 3), 400)
    assert measured.clusters[:2].tolist() == [1.0, 1.0]
    assert measured.clusters[2] == pytest.approx(1 - np.exp(-1), abs=0.08)


def test_no_film_no_stability() -> None:
    weights = whole([0, 0])
    space = of(np.eye(2), weights)
    measured = stability.bootstrap(space, weights, clustering.fit(space, weights, 3))
    assert (len(measured.clusters), measured.n_refits) == (0, 0)
    assert np.isnan(measured.lowest)


# Seeds


def test_seed_agreement_is_the_mean_over_pairs(documents: Space, weights: IntArray, film_rows: IntArray) -> None:
    told: list[int] = []
    found = stability.seed_agreement(
        documents, weights, 12, n_seeds=4, n_init=1, on_progress=lambda done, total: told.append(done)
    )
    labels = [clustering.fit(documents, weights, 12, seed, 1).labels[film_rows] for seed in range(4)]
    pairs = [adjusted_rand_score(labels[i], labels[j]) for i in range(4) for j in range(i)]
    assert found == pytest.approx(np.mean(pairs), abs=1e-12)
    assert found < 1
    assert told == [1, 2, 3, 4]


def test_seed_agreement_where_the_seed_does_not_matter_or_too_few_were_made() -> None:
    weights = whole([3, 2, 1])
    space = of(np.eye(3), weights)
    assert stability.seed_agreement(space, weights, 3, n_seeds=3) == 1
    assert np.isnan(stability.seed_agreement(space, weights, 3, should_stop=lambda: True))
    assert np.isnan(stability.seed_agreement(space, whole([0, 0, 0]), 3, n_seeds=3))


def test_over_seeds_is_the_same_agreement_and_each_seeds_coherence(
    documents: Space, weights: IntArray, catalogue: Catalogue
) -> None:
    matrix = explain.membership(catalogue.genre_lists)[0]
    seen: list[tuple[int, int]] = []
    found = stability.over_seeds(
        documents, weights, 5, matrix, n_seeds=3, n_init=2, on_progress=lambda done, total: seen.append((done, total))
    )
    assert found.agreement == stability.seed_agreement(documents, weights, 5, n_seeds=3, n_init=2)
    labels = [clustering.fit(documents, weights, 5, seed, 2).labels for seed in range(3)]
    assert found.coherence.tolist() == [diagnostics.coherence(matrix, weights, each).overall for each in labels]
    assert seen == [(1, 3), (2, 3), (3, 3)]
