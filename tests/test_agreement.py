from fractions import Fraction
from math import comb, log

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from core import agreement, clustering, diagnostics, explain
from core.agreement import Worth
from core.analysis import Analysis
from core.clustering import IntArray, Space
from core.health import Health
from core.movies import Catalogue

Documents = list[tuple[int, int, int]]  # films, cluster of the first, cluster of the second
DOCUMENTS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30)


def columns(documents: Documents) -> tuple[IntArray, IntArray, IntArray]:
    weights, first, second = np.array(documents, dtype=np.int64).T
    return weights, first, second


# Adjusted mutual information


@settings(deadline=None, max_examples=150)
@given(DOCUMENTS)
def test_it_is_that_of_scikit_learn_over_the_repeated_rows(documents: Documents) -> None:
    weights, first, second = columns(documents)
    rows = np.repeat(np.arange(len(weights)), weights)
    found = agreement.adjusted_mutual_information(diagnostics.overlap(weights, first, second))
    if len(rows) == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(adjusted_mutual_info_score(first[rows], second[rows]), abs=1e-9)


@pytest.mark.parametrize("k", [4, 12, 40])
def test_it_is_that_of_scikit_learn_over_all_films(documents: Space, weights: IntArray, k: int) -> None:
    first = clustering.fit(documents, weights, k, 0, n_init=1).labels
    second = clustering.fit(documents, weights, k + 3, 1, n_init=1).labels
    rows = np.repeat(np.arange(len(weights)), weights)
    mutual, rand = agreement.matrices(weights, [first, second])
    assert mutual[0, 1] == pytest.approx(adjusted_mutual_info_score(first[rows], second[rows]), abs=1e-9)
    assert rand[0, 1] == pytest.approx(adjusted_rand_score(first[rows], second[rows]), abs=1e-9)
    assert (mutual == mutual.T).all()
    assert mutual.diagonal() == pytest.approx([1, 1])
    assert rand.diagonal() == pytest.approx([1, 1])


def test_the_expectation_is_that_of_whole_numbers() -> None:
    """Against the hypergeometric distribution in exact fractions."""
    rows, columns = np.array([7, 5, 3]), np.array([9, 4, 1, 1])
    total, expected = 15, 0.0
    for a in rows.tolist():
        for b in columns.tolist():
            for n in range(max(1, a + b - total), min(a, b) + 1):
                chance = Fraction(comb(a, n) * comb(total - a, b - n), comb(total, b))
                expected += float(chance) * n / total * log(n * total / (a * b))
    assert agreement.expected_mutual_information(rows, columns) == pytest.approx(expected, rel=1e-12)


def test_what_is_left_out_of_the_expectation_for_many_films_is_nothing() -> None:
    """With clusters so large that only a window around the mean is summed, against the sum over everything."""
    a, b, total = 40_000, 60_000, 100_000
    found = agreement.expected_mutual_information(np.array([a, total - a]), np.array([b, total - b]))
    expected = 0.0
    for size in (a, total - a):
        for other in (b, total - b):
            n = np.arange(max(0, size + other - total), min(size, other) + 1, dtype=np.float64)
            ratios = np.log(((size - n) * (other - n) / ((n + 1) * (total - size - other + n + 1)))[:-1])
            logs = np.concatenate([[0.0], np.cumsum(ratios)])
            chances = np.exp(logs - logs.max())
            with np.errstate(divide="ignore", invalid="ignore"):
                told = np.where(n > 0, n / total * np.log(n * total / (size * other)), 0.0)
            expected += float(chances @ told / chances.sum())
    assert len(n) > 10_000
    assert found == pytest.approx(expected, rel=1e-6)  # of about 5e-6: rounding alone leaves that much
    assert found == pytest.approx(1 / (2 * total), rel=0.01)  # (rows - 1) (columns - 1) / 2N


def test_shuffled_films_agree_by_chance_only(weights: IntArray) -> None:
    random = np.random.default_rng(0)
    first, second = random.integers(0, 8, (2, 20_000))
    ones = np.ones(20_000, dtype=np.int64)
    assert abs(agreement.adjusted_mutual_information(diagnostics.overlap(ones, first, second))) < 0.002


# Matching


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from([3, 1000]))
def test_matched_clusters_share_as_many_films_as_scipy_finds(rows: int, columns: int, seed: int, most: int) -> None:
    films = np.random.default_rng(seed).integers(0, most, (rows, columns))
    partners = agreement.match(films)
    taken = partners[partners >= 0]
    assert len({*taken.tolist()}) == len(taken)
    shared = films[np.flatnonzero(partners >= 0), taken]
    assert (shared > 0).all()
    assert shared.sum() == films[linear_sum_assignment(films, maximize=True)].sum()


def test_matching_without_clusters() -> None:
    assert agreement.match(np.zeros((0, 3), dtype=np.int64)).tolist() == []
    assert agreement.match(np.zeros((2, 0), dtype=np.int64)).tolist() == [-1, -1]


FILMS = np.array([[30, 5, 0], [0, 20, 0]])
PARTNERS = np.array([0, 1])


def test_every_cluster_is_in_one_pair() -> None:
    assert agreement.match(FILMS).tolist() == [0, 1]
    table = agreement.pairs(FILMS, PARTNERS)
    assert table[["a", "b", "n_a", "n_b", "n_both"]].to_numpy().tolist() == [
        [0, 0, 35, 30, 30], [1, 1, 20, 25, 20], [-1, 2, 0, 0, 0],
    ]  # fmt: skip
    assert table["jaccard"].tolist()[:2] == pytest.approx([30 / 35, 20 / 25])
    assert np.isnan(table["jaccard"].iloc[2])
    table = agreement.pairs(FILMS.T, agreement.match(FILMS.T))
    assert table[["a", "b"]].to_numpy().tolist() == [[0, 0], [1, 1], [2, -1]]


def test_flows_are_the_films_of_every_two_clusters() -> None:
    flows = agreement.flows(FILMS, PARTNERS)
    assert flows[["a", "b", "n_movies", "matched"]].to_numpy().tolist() == [
        [0, 0, 30, True], [0, 1, 5, False], [1, 1, 20, True],
    ]  # fmt: skip
    assert flows["share_a"].tolist() == pytest.approx([30 / 35, 5 / 35, 1])
    assert flows["share_b"].tolist() == pytest.approx([1, 5 / 25, 20 / 25])


# Company


def test_movers_by_plain_sets(weights: IntArray, analysed: Analysis, documents: Space) -> None:
    first, second = analysed.clustering.labels, clustering.fit(documents, weights, 9, 3, n_init=1).labels
    partners = agreement.match(diagnostics.overlap(weights, first, second))
    table = agreement.movers(weights, first, second, partners)
    assert table["list_id"].tolist() == sorted(
        np.flatnonzero(partners[first] != second),
        key=lambda row: (-weights[row] * (1 - kept(weights, first, second, row)), row),
    )
    for row in table[:: len(table) // 7].itertuples():
        assert row.n_movies == weights[row.list_id]
        assert (row.a, row.b) == (first[row.list_id], second[row.list_id])
        assert row.kept == pytest.approx(kept(weights, first, second, row.list_id))


def kept(weights: IntArray, first: IntArray, second: IntArray, row: int) -> float:
    one, other = first == first[row], second == second[row]
    return float(weights[one & other].sum() / weights[one | other].sum())


def test_nobody_moves_between_a_clustering_and_itself_renumbered(weights: IntArray, analysed: Analysis) -> None:
    first = analysed.clustering.labels
    films = diagnostics.overlap(weights, first, (first + 5) % 12)
    assert agreement.movers(weights, first, (first + 5) % 12, agreement.match(films)).empty


def test_a_map_is_turned_onto_another_and_keeps_its_distances(weights: IntArray, documents: Space) -> None:
    turn = np.array([[np.cos(1.1), -np.sin(1.1)], [np.sin(1.1), np.cos(1.1)]]) @ np.diag([1, -1])
    back = agreement.aligned(3 * documents.xy @ turn + 7, documents.xy, weights)
    middle = weights @ documents.xy / weights.sum()
    assert back == pytest.approx(3 * (documents.xy - middle), abs=1e-9)


# Encoders side by side


def test_the_dominant_genre_is_the_rarest() -> None:
    lists = ("Comedy", "Comedy, Drama", "Comedy, Drama, War", "Drama", "Drama, War")
    matrix, genres = explain.membership(lists)
    found = agreement.dominant_genres(matrix, np.array([5, 1, 1, 9, 1]))
    assert [genres[i] for i in found] == ["Comedy", "Comedy", "War", "Drama", "War"]
    even = agreement.dominant_genres(matrix, np.array([1, 0, 0, 1, 0]))
    assert [genres[i] for i in even][:2] == ["Comedy", "Comedy"]  # as rare: the first in the alphabet


def test_encoders_are_held_against_genres_over_films(
    catalogue: Catalogue, weights: IntArray, analysed: Analysis, plain_films: list[dict[str, object]]
) -> None:
    labels = analysed.clustering.labels
    health = Health(0.5, 0.1, 20.0, 384)
    measured = [agreement.Measured("x", labels, 0.6, health), agreement.Measured("y", labels % 5, 0.5, health)]
    matrix, genres = explain.membership(catalogue.genre_lists)
    dominant = agreement.dominant_genres(matrix, weights)
    found = agreement.compare(measured, weights, dominant, catalogue.first_genres())
    row = {text: i for i, text in enumerate(catalogue.genre_lists)}
    films = [film for film in plain_films if film["genre_list"]]
    clusters = [labels[row[film["genre_list"]]] for film in films]
    n = {genre: sum(genre in film["genres"] for film in films) for genre in genres}
    rarest = [min(sorted(film["genres"]), key=lambda genre: n[genre]) for film in films]
    first = [film["genres"][0] for film in films]
    line = found.frame.iloc[0]
    assert line["first_genre"] == pytest.approx(adjusted_mutual_info_score(first, clusters), abs=1e-9)
    assert line["dominant_genre"] == pytest.approx(adjusted_mutual_info_score(rarest, clusters), abs=1e-9)
    assert (line["encoder"], line["coherence"], line["effective_rank"], line["dimensions"]) == ("x", 0.6, 20.0, 384)
    assert found.mutual.shape == found.rand.shape == (2, 2)


@pytest.mark.parametrize(
    ("own", "baseline", "words"),
    [
        (Worth(0.61), Worth(0.605), "as well as plain multi-hot genres do; its gain in coherence is +0.005"),
        (Worth(0.65), Worth(0.60), "better than plain multi-hot genres do; its gain in coherence is +0.050"),
        (Worth(0.55), Worth(0.60), "less well than plain multi-hot genres do; its gain in coherence is -0.050"),
        (Worth(0.65, 0.03, 20), Worth(0.60, 0.01, 20), "as well as plain multi-hot genres do"),
        (Worth(0.65, 0.01, 20), Worth(0.60, 0.01, 20), "mean of 20 seeds, which differ by ±0.010)."),
    ],
)
def test_the_verdict(own: Worth, baseline: Worth, words: str) -> None:
    said = agreement.verdict("MiniLM", own, baseline)
    assert said.startswith("MiniLM groups films ")
    assert words in said


def test_without_films_nothing_is_said() -> None:
    none = np.full(3, -1)
    mutual, rand = agreement.matrices(np.zeros(3, dtype=np.int64), [none, none])
    assert np.isnan(mutual).all()
    assert np.isnan(rand).all()
    first = pd.DataFrame({"list_id": [], "genre": [], "n_movies": []}).astype({"list_id": int, "n_movies": int})
    health = Health(0.0, 0.0, 1.0, 3)
    found = agreement.compare([agreement.Measured("x", none, float("nan"), health)], np.zeros(3, int), none, first)
    assert np.isnan(found.frame["first_genre"]).all()
