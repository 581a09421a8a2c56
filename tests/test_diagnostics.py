import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_samples,
    silhouette_score,
)

from core import clustering, diagnostics, explain
from core.clustering import Space
from core.movies import Catalogue, Filters

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def whole(values: list[int]) -> IntArray:
    return np.array(values, dtype=np.int64)


def repeated(values: NDArray[np.generic], weights: IntArray) -> NDArray[np.generic]:
    return np.asarray(np.repeat(values, weights, axis=0))


def coherence_by_hand(sets: list[frozenset[int]], films_of: list[int]) -> tuple[float, dict[int, float], list[float]]:
    """Coherence by a loop over all pairs of films: overall, of each cluster, and of each film (NaN if alone)."""
    of_film = []
    for i, mine in enumerate(sets):
        others = [sets[j] for j in range(len(sets)) if j != i and films_of[j] == films_of[i]]
        of_film.append(
            sum(len(mine & other) / len(mine | other) for other in others) / len(others) if others else float("nan")
        )
    known = [(label, value) for label, value in zip(films_of, of_film, strict=True) if not np.isnan(value)]
    clusters = {
        label: float(np.mean([v for other, v in known if other == label])) if label in dict(known) else float("nan")
        for label in set(films_of)
    }
    return (float(np.mean([value for _, value in known])) if known else float("nan")), clusters, of_film


# Silhouette


@pytest.fixture(scope="module")
def eight(documents: Space, weights: IntArray) -> clustering.Clustering:
    return clustering.fit(documents, weights, 8)


def test_the_silhouette_is_scikit_learns_over_all_films(
    documents: Space, weights: IntArray, film_rows: IntArray, eight: clustering.Clustering
) -> None:
    # scikit-learn takes distances from dot products, which leaves up to 2e-8 between two films of one list. Numbers of
    # 12 binary digits make its dot products exact, and then it has to agree to the last digits.
    vectors = np.round(documents.vectors * 4096) / 4096
    score = diagnostics.silhouette(vectors, weights, eight.labels)
    films, labels = vectors[film_rows], eight.labels[film_rows]
    assert len(films) == 17_029
    expected = silhouette_samples(films, labels)
    assert score.overall == pytest.approx(expected.mean(), abs=1e-12)
    assert np.allclose(score.documents[film_rows], expected, rtol=0, atol=1e-9)


def test_the_silhouette_of_the_vectors_as_they_are(
    documents: Space, weights: IntArray, film_rows: IntArray, eight: clustering.Clustering
) -> None:
    score = diagnostics.silhouette(documents.vectors, weights, eight.labels)
    expected = silhouette_score(documents.vectors[film_rows], eight.labels[film_rows])
    assert score.overall == pytest.approx(expected, abs=2e-8)  # as far as scikit-learn's own rounding goes, see above


def test_the_silhouette_of_each_list_and_cluster_is_scikit_learns(catalogue: Catalogue, documents: Space) -> None:
    left = catalogue.weights(Filters(years=(1995, 2004)))
    rows = np.repeat(np.arange(len(left)), left)
    found = clustering.fit(documents, left, 20)
    score = diagnostics.silhouette(documents.vectors, left, found.labels)
    # “minkowski” is the Euclidean distance too, but from differences: slow, and exact for films of one list
    expected = silhouette_samples(documents.vectors[rows], found.labels[rows], metric="minkowski")
    assert 3000 < len(rows) < 5000
    assert np.allclose(score.documents[rows], expected, rtol=0, atol=1e-9)
    assert (np.isnan(score.documents) == (left == 0)).all()
    assert score.overall == pytest.approx(expected.mean(), abs=1e-9)
    for i in range(20):
        assert score.clusters[i] == pytest.approx(expected[found.labels[rows] == i].mean(), abs=1e-9)


clustered_points = st.integers(2, 9).flatmap(
    lambda n: st.tuples(
        st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=n, max_size=n),
        st.lists(st.integers(1, 5), min_size=n, max_size=n),
        st.lists(st.integers(0, 3), min_size=n, max_size=n),
    )
)


def compact(labels: list[int]) -> IntArray:
    return np.asarray(np.unique(labels, return_inverse=True)[1].reshape(-1), dtype=np.int64)


@settings(max_examples=150, deadline=None)
@given(clustered_points)
@pytest.mark.filterwarnings("error")
def test_any_silhouette_is_scikit_learns(drawn: tuple[list[tuple[int, int]], list[int], list[int]]) -> None:
    points, counted, clusters = drawn
    vectors, weights, labels = np.array(points, dtype=np.float64), whole(counted), compact(clusters)
    score = diagnostics.silhouette(vectors, weights, labels)
    if labels.max() == 0:
        assert np.isnan(score.overall)
        assert np.isnan(score.clusters).all()
        assert np.isnan(score.documents).all()
        return
    films, of_film = repeated(vectors, weights), repeated(labels, weights)
    if len(films) == labels.max() + 1:  # every film is a cluster: scikit-learn refuses, the definition says 0
        assert score.overall == 0
        return
    expected = silhouette_samples(films, of_film)
    assert np.allclose(repeated(score.documents, weights), expected, rtol=0, atol=1e-7)
    assert score.overall == pytest.approx(expected.mean(), abs=1e-7)


def test_a_film_alone_in_its_cluster_has_silhouette_zero() -> None:
    vectors = np.array([[0.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    score = diagnostics.silhouette(vectors, whole([2, 1, 1]), whole([0, 0, 1]))
    assert score.documents[2] == score.clusters[1] == 0
    assert score.documents[0] > 0.8
    assert score.overall == pytest.approx((2 * score.documents[0] + score.documents[1] + 0) / 4)
    # two films of one list are not alone
    assert diagnostics.silhouette(vectors, whole([2, 1, 2]), whole([0, 0, 1])).documents[2] == 1


def test_films_at_one_place_in_two_clusters_have_silhouette_zero() -> None:
    score = diagnostics.silhouette(np.ones((4, 2)), whole([1, 2, 3, 4]), whole([0, 0, 1, 1]))
    assert score.documents.tolist() == [0, 0, 0, 0]


@pytest.mark.filterwarnings("error")
def test_one_cluster_or_none_has_no_silhouette() -> None:
    for labels in ([0, 0, 0], [-1, 0, 0], [-1, -1, -1]):
        score = diagnostics.silhouette(np.eye(3), whole([1, 2, 3]), whole(labels))
        assert np.isnan(score.overall)
        assert np.isnan(score.documents).all()
        assert np.isnan(score.clusters).all()
        assert len(score.clusters) == max(labels) + 1
    assert np.isnan(diagnostics.silhouette(np.zeros((0, 3)), whole([]), whole([])).overall)


def test_lists_without_films_play_no_part() -> None:
    lot = np.random.default_rng(0)
    vectors, weights, labels = lot.normal(size=(9, 3)), lot.integers(1, 5, size=9), whole([0, 1, 2] * 3)
    more = np.insert(vectors, [2, 5], 9.0, axis=0)
    more_weights, more_labels = np.insert(weights, [2, 5], 0), np.insert(labels, [2, 5], -1)
    alone = diagnostics.silhouette(vectors, weights, labels)
    beside = diagnostics.silhouette(more, more_weights, more_labels)
    assert beside.overall == pytest.approx(alone.overall, abs=1e-12)
    assert np.flatnonzero(np.isnan(beside.documents)).tolist() == [2, 6]


def test_blocks_of_rows_make_no_difference(
    documents: Space, weights: IntArray, eight: clustering.Clustering, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = np.asarray(np.random.default_rng(0).random((len(weights), 6)) < 0.4, dtype=np.float64)
    matrix[:, 0] = 1
    at_once = (
        diagnostics.silhouette(documents.vectors, weights, eight.labels),
        diagnostics.coherence(matrix, weights, eight.labels),
    )
    monkeypatch.setattr(diagnostics, "BLOCK_ROWS", 7)
    in_blocks = (
        diagnostics.silhouette(documents.vectors, weights, eight.labels),
        diagnostics.coherence(matrix, weights, eight.labels),
    )
    for one, other in zip(at_once, in_blocks, strict=True):
        assert np.allclose(one.documents, other.documents, rtol=0, atol=1e-12)


# Coherence


genre_sets = st.integers(1, 7).flatmap(
    lambda n: st.tuples(
        st.lists(st.frozensets(st.integers(0, 4), min_size=1), min_size=n, max_size=n),
        st.lists(st.integers(1, 4), min_size=n, max_size=n),
        st.lists(st.integers(0, 2), min_size=n, max_size=n),
    )
)


@settings(max_examples=150, deadline=None)
@given(genre_sets)
@pytest.mark.filterwarnings("error")
def test_any_coherence_is_that_of_all_pairs_of_films(
    drawn: tuple[list[frozenset[int]], list[int], list[int]],
) -> None:
    sets, counted, clusters = drawn
    weights, labels = whole(counted), compact(clusters)
    matrix = np.array([[float(genre in genres) for genre in range(5)] for genres in sets])
    score = diagnostics.coherence(matrix, weights, labels)
    films = list(itertools.chain.from_iterable([genres] * n for genres, n in zip(sets, counted, strict=True)))
    overall, of_cluster, of_film = coherence_by_hand(films, repeated(labels, weights).tolist())
    assert score.overall == pytest.approx(overall, abs=1e-12, nan_ok=True)
    assert np.allclose(repeated(score.documents, weights), of_film, rtol=0, atol=1e-12, equal_nan=True)
    assert score.clusters.tolist() == pytest.approx(
        [of_cluster[i] for i in range(len(score.clusters))], abs=1e-12, nan_ok=True
    )


def test_the_coherence_of_shipped_films(catalogue: Catalogue) -> None:
    left = catalogue.weights(Filters(years=(2000, 2000), countries=("France", "Germany")))
    rows = np.repeat(np.arange(len(left)), left)
    assert 30 < len(rows) < 300
    matrix, _ = explain.membership(catalogue.genre_lists)
    labels = np.where(left > 0, np.arange(len(left)) % 4, -1)
    sets = [frozenset(catalogue.genre_lists[row].split(", ")) for row in rows]
    numbers = {genre: i for i, genre in enumerate(sorted(set().union(*sets)))}
    overall, of_cluster, _ = coherence_by_hand(
        [frozenset(numbers[genre] for genre in genres) for genres in sets], labels[rows].tolist()
    )
    score = diagnostics.coherence(matrix, left, labels)
    assert score.overall == pytest.approx(overall, abs=1e-12)
    assert score.clusters.tolist() == pytest.approx([of_cluster[i] for i in range(4)], abs=1e-12)


def test_coherence_by_hand_is_right_itself() -> None:
    sets = [frozenset({1}), frozenset({1, 2}), frozenset({3}), frozenset({3})]
    overall, clusters, films = coherence_by_hand(sets, [0, 0, 1, 1])
    assert films == [0.5, 0.5, 1, 1]
    assert clusters == {0: 0.5, 1: 1.0}
    assert overall == 0.75


def test_a_film_alone_is_left_out_of_coherence() -> None:
    matrix = np.array([[1.0, 0], [1, 1], [0, 1]])
    score = diagnostics.coherence(matrix, whole([1, 1, 1]), whole([0, 0, 1]))
    assert score.documents.tolist()[:2] == [0.5, 0.5]
    assert np.isnan(score.documents[2])
    assert np.isnan(score.clusters[1])
    assert score.overall == 0.5
    # two films of one list are a pair, and all alike
    assert diagnostics.coherence(matrix, whole([1, 1, 2]), whole([0, 0, 1])).clusters[1] == 1


@pytest.mark.filterwarnings("error")
def test_a_film_without_genres_is_left_out_of_coherence() -> None:
    matrix = np.array([[1.0, 0], [1, 1], [0, 0], [0, 0]])
    score = diagnostics.coherence(matrix, whole([1, 1, 5, 1]), whole([0, 0, 0, 1]))
    assert score.documents.tolist()[:2] == [0.5, 0.5]
    assert np.isnan(score.documents[2:]).all()
    assert (score.overall, score.clusters[0]) == (0.5, 0.5)
    assert np.isnan(score.clusters[1])


@pytest.mark.filterwarnings("error")
def test_coherence_of_one_cluster_and_of_none() -> None:
    matrix = np.array([[1.0, 0], [0, 1], [0, 1]])
    assert diagnostics.coherence(matrix, whole([1, 1, 1]), whole([0, 0, 0])).overall == pytest.approx(1 / 3)
    for weights, labels in (([1, 1, 1], [0, 1, 2]), ([0, 0, 0], [-1, -1, -1])):
        score = diagnostics.coherence(matrix, whole(weights), whole(labels))
        assert np.isnan(score.overall)
        assert np.isnan(score.clusters).all()
    assert np.isnan(diagnostics.coherence(np.zeros((0, 0)), whole([]), whole([])).overall)


def test_the_whole_catalogue_is_as_coherent_as_the_design_says(catalogue: Catalogue, weights: IntArray) -> None:
    matrix, _ = explain.membership(catalogue.genre_lists)
    one = diagnostics.coherence(matrix, weights, np.zeros(len(weights), dtype=np.int64))
    assert round(one.overall, 2) == 0.18


def test_known_distances_change_nothing(documents: Space, weights: NDArray[np.int64]) -> None:
    """What the app keeps between two k gives the same silhouette, filtered lists left out or not."""
    kept = diagnostics.distances(documents.vectors)
    assert kept.shape == (len(weights), len(weights))
    assert np.array_equal(np.diag(kept), np.zeros(len(weights)))
    for counted in (weights, np.where(np.arange(len(weights)) % 3 == 0, weights, 0)):
        labels = clustering.fit(documents, counted, 7).labels
        plain = diagnostics.silhouette(documents.vectors, counted, labels)
        quick = diagnostics.silhouette(documents.vectors, counted, labels, kept)
        assert quick.overall == pytest.approx(plain.overall, abs=1e-12)
        np.testing.assert_allclose(quick.documents, plain.documents, atol=1e-12)


# Indices


def test_the_indices_are_scikit_learns_over_all_films(
    documents: Space, weights: IntArray, film_rows: IntArray, eight: clustering.Clustering
) -> None:
    films, labels = documents.vectors[film_rows], eight.labels[film_rows]
    ours = diagnostics.calinski_harabasz(documents.vectors, weights, eight.labels)
    assert ours == pytest.approx(calinski_harabasz_score(films, labels), rel=1e-9)
    ours = diagnostics.davies_bouldin(documents.vectors, weights, eight.labels)
    assert ours == pytest.approx(davies_bouldin_score(films, labels), rel=1e-9)


@settings(max_examples=150, deadline=None)
@given(clustered_points)
@pytest.mark.filterwarnings("error")
def test_any_index_is_scikit_learns(drawn: tuple[list[tuple[int, int]], list[int], list[int]]) -> None:
    points, counted, clusters = drawn
    vectors, weights, labels = np.array(points, dtype=np.float64), whole(counted), compact(clusters)
    more = np.insert(vectors, 1, 9.0, axis=0), np.insert(weights, 1, 0), np.insert(labels, 1, -1)
    ours = diagnostics.calinski_harabasz(*more), diagnostics.davies_bouldin(*more)
    films, of_film = repeated(vectors, weights), repeated(labels, weights)
    if labels.max() == 0 or labels.max() + 1 == len(films):  # scikit-learn refuses
        assert np.isnan(ours).all()
        return
    assert ours[0] == pytest.approx(calinski_harabasz_score(films, of_film), rel=1e-7)
    # scikit-learn takes distances of centres from dot products, so centres at one place may be 1e-7 apart for it
    centers = np.array([np.average(films[of_film == i], axis=0) for i in range(labels.max() + 1)])
    apart = np.sqrt(((centers[:, None] - centers[None]) ** 2).sum(axis=2))[~np.eye(len(centers), dtype=bool)]
    if apart.min() > 1e-3:
        assert ours[1] == pytest.approx(davies_bouldin_score(films, of_film), rel=1e-7)


@pytest.mark.filterwarnings("error")
def test_no_film_no_index() -> None:
    for vectors, weights, labels in ((np.eye(2), [0, 0], [-1, -1]), (np.zeros((0, 2)), [], [])):
        assert np.isnan(diagnostics.calinski_harabasz(vectors, whole(weights), whole(labels)))
        assert np.isnan(diagnostics.davies_bouldin(vectors, whole(weights), whole(labels)))


# Agreement


two_clusterings = st.integers(1, 9).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(1, 5), min_size=n, max_size=n),
        st.lists(st.integers(-1, 3), min_size=n, max_size=n),
        st.lists(st.integers(-1, 3), min_size=n, max_size=n),
    )
)


@settings(max_examples=200, deadline=None)
@given(two_clusterings)
def test_any_agreement_is_scikit_learns(drawn: tuple[list[int], list[int], list[int]]) -> None:
    weights, first, second = (whole(values) for values in drawn)
    both = (first >= 0) & (second >= 0)
    ours = diagnostics.agreement(weights, first, second)
    if not both.any():
        assert np.isnan(ours)
        return
    rows = np.repeat(np.flatnonzero(both), weights[both])
    assert ours == pytest.approx(adjusted_rand_score(first[rows], second[rows]), abs=1e-12)


def test_the_agreement_of_shipped_clusterings(
    documents: Space, weights: IntArray, film_rows: IntArray, eight: clustering.Clustering
) -> None:
    other = clustering.fit(documents, weights, 14).labels
    ours = diagnostics.agreement(weights, eight.labels, other)
    assert ours == pytest.approx(adjusted_rand_score(eight.labels[film_rows], other[film_rows]), abs=1e-12)
    assert diagnostics.agreement(weights, other, other) == 1
    # ten million times the films would overflow 64 bits if it were not counted in Python's numbers
    assert diagnostics.agreement(weights * 10**7, eight.labels, other) == pytest.approx(ours, abs=1e-3)


def test_overlap_and_jaccard_by_hand() -> None:
    films = diagnostics.overlap(whole([4, 3, 2, 1, 9]), whole([0, 0, 1, 1, -1]), whole([0, 2, 2, 2, 0]))
    assert films.tolist() == [[4, 0, 3], [0, 0, 3]]
    assert diagnostics.jaccard(films).tolist() == [[4 / 7, 0, 3 / 10], [0, 0, 3 / 6]]


@settings(max_examples=60, deadline=None)
@given(npst.arrays(np.int64, st.tuples(st.integers(0, 7), st.integers(0, 7)), elements=st.integers(0, 50)))
def test_matching_keeps_as_many_films_as_scipy_does(films: NDArray[np.int64]) -> None:
    found = diagnostics.matching(films)
    rows = np.flatnonzero(found >= 0)
    assert len({*found[rows].tolist()}) == len(rows) == min(films.shape)
    assert films[rows, found[rows]].sum() == films[linear_sum_assignment(films, maximize=True)].sum()


# What is known already saves time and changes nothing


@pytest.mark.parametrize("block", [1024, 100])
@pytest.mark.parametrize("left", [Filters(), Filters(genres=("Horror",))], ids=str)
def test_known_distances_and_similarities_change_nothing(
    catalogue: Catalogue, documents: Space, left: Filters, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, matrix = catalogue.weights(left), explain.membership(catalogue.genre_lists)[0]
    labels = clustering.fit(documents, weights, 9, n_init=1).labels
    pairs = diagnostics.distances(documents.vectors), diagnostics.similarities(matrix)
    monkeypatch.setattr(diagnostics, "BLOCK_ROWS", block)
    for known, plain in (
        (
            diagnostics.silhouette(documents.vectors, weights, labels, pairs[0]),
            diagnostics.silhouette(documents.vectors, weights, labels),
        ),
        (
            diagnostics.coherence(matrix, weights, labels, pairs[1]),
            diagnostics.coherence(matrix, weights, labels),
        ),
    ):
        assert known.overall == pytest.approx(plain.overall, abs=1e-12)
        assert np.allclose(known.clusters, plain.clusters, rtol=0, atol=1e-12)
        assert np.allclose(known.documents, plain.documents, rtol=0, atol=1e-11, equal_nan=True)


def test_pairs_by_hand(documents: Space, catalogue: Catalogue) -> None:
    matrix = explain.membership(catalogue.genre_lists)[0]
    sets = [frozenset(name.split(", ")) for name in catalogue.genre_lists]
    distances, similarities = diagnostics.distances(documents.vectors), diagnostics.similarities(matrix)
    assert distances.shape == similarities.shape == (1187, 1187)
    for i, j in itertools.product(range(0, 1187, 53), range(0, 1187, 37)):
        assert distances[i, j] == pytest.approx(np.linalg.norm(documents.vectors[i] - documents.vectors[j]), abs=1e-8)
        assert similarities[i, j] == len(sets[i] & sets[j]) / len(sets[i] | sets[j])
    assert (distances.diagonal() == 0).all()
    assert diagnostics.distances(np.zeros((0, 3))).shape == diagnostics.similarities(np.zeros((0, 3))).shape == (0, 0)


# Samples


def test_a_sample_is_the_figure_of_the_films_that_are_drawn() -> None:
    random = np.random.default_rng(5)
    vectors, weights = random.normal(size=(40, 3)), random.integers(0, 9, 40)
    labels = np.where(weights > 0, random.integers(0, 3, 40), -1)
    here = np.flatnonzero(labels >= 0)
    films = np.repeat(here, weights[here])[np.random.default_rng(3).choice(weights[here].sum(), size=25, replace=False)]
    single = diagnostics.silhouette(vectors[films], np.ones(25, dtype=np.int64), labels[films])
    found = diagnostics.sampled(diagnostics.silhouette, vectors, weights, labels, random_state=3, n_films=25)
    assert found.sampled == 25
    assert found.overall == pytest.approx(single.overall)
    assert found.clusters == pytest.approx(single.clusters)
    assert found.documents[films] == pytest.approx(single.documents)
    assert np.isnan(np.delete(found.documents, films)).all()
    groups = [
        diagnostics.silhouette(vectors[g], np.ones(len(g), dtype=np.int64), labels[g]).overall
        for g in np.array_split(films, 20)
    ]
    defined = np.array(groups)[~np.isnan(groups)]
    undrawn = 1 - 25 / weights[here].sum()
    assert found.error == pytest.approx(defined.std(ddof=1) * np.sqrt(undrawn / len(defined)))


@pytest.mark.parametrize("figure", [diagnostics.silhouette, diagnostics.coherence])
def test_a_draw_is_right_on_average_and_as_far_off_as_it_says(
    documents: Space, catalogue: Catalogue, figure: Callable[..., diagnostics.Score]
) -> None:
    weights = catalogue.weights()
    labels = clustering.fit(documents, weights, 8).labels
    points = documents.vectors if figure is diagnostics.silhouette else explain.membership(catalogue.genre_lists)[0]
    exact = figure(points, weights, labels).overall
    draws = [diagnostics.sampled(figure, points, weights, labels, seed, n_films=1000) for seed in range(60)]
    off = np.array([draw.overall - exact for draw in draws])
    said = np.sqrt(np.mean([draw.error**2 for draw in draws]))
    assert abs(off.mean()) < 4 * said / np.sqrt(60)
    assert 0.75 < said / off.std() < 1.5  # the spread of 60 draws is itself known to a tenth


def test_all_films_drawn_are_the_figure_itself(documents: Space, catalogue: Catalogue) -> None:
    weights = np.minimum(catalogue.weights(), 2)
    labels = clustering.fit(documents, weights, 5).labels
    exact = diagnostics.silhouette(documents.vectors, weights, labels)
    found = diagnostics.sampled(diagnostics.silhouette, documents.vectors, weights, labels, n_films=10**6)
    assert found.sampled == weights.sum()
    assert found.error == 0
    assert found.overall == pytest.approx(exact.overall)
    assert found.documents == pytest.approx(exact.documents, nan_ok=True)


def test_a_cluster_of_which_nothing_is_drawn_has_no_figure() -> None:
    membership, weights = np.eye(3), np.array([10**9, 1, 10**9])
    found = diagnostics.sampled(diagnostics.coherence, membership, weights, np.array([0, 1, 2]), n_films=50)
    assert np.isnan(found.clusters).tolist() == [False, True, False]
    assert np.isnan(found.documents).tolist() == [False, True, False]
    assert found.error == 0


def test_nothing_to_draw_from() -> None:
    found = diagnostics.sampled(diagnostics.silhouette, np.zeros((2, 3)), np.array([0, 0]), np.array([-1, -1]))
    assert np.isnan(found.overall)
    assert len(found.clusters) == 0
    assert np.isnan(found.documents).all()


@pytest.mark.parametrize(("n", "sampled"), [(3, None), (4, 7)])
def test_more_documents_than_can_be_afforded_are_sampled(
    monkeypatch: pytest.MonkeyPatch, n: int, sampled: int | None
) -> None:
    monkeypatch.setattr(diagnostics, "EXACT_DOCUMENTS", 3)
    monkeypatch.setattr(diagnostics.sampled, "__defaults__", (0, 7))
    labels = np.array([*range(n), -1])  # a document without films costs nothing
    found = diagnostics.affordable(diagnostics.coherence, np.eye(n + 1), np.full(n + 1, 5), labels)
    assert found.sampled == sampled


@pytest.mark.parametrize(("labels", "shape"), [([0, 0], (1, 1)), ([-1, -1], (0, 0))])
def test_the_overlap_has_as_many_rows_as_there_are_clusters(labels: list[int], shape: tuple[int, int]) -> None:
    assert diagnostics.overlap(np.array([3, 4]), np.array(labels), np.array(labels)).shape == shape


def test_the_agreement_of_few_films_by_hand() -> None:
    # Two films apart in one and together in the other: no pair agrees, and chance would give none either.
    assert diagnostics.agreement(np.array([1, 1]), np.array([0, 1]), np.array([0, 0])) == 0
    assert diagnostics.agreement(np.array([2, 2]), np.array([0, 1]), np.array([0, 1])) == 1
