import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import clustering, embeddings, encoders, explain, health, reasons
from core.clustering import IntArray
from core.movies import Catalogue

MULTI_HOT = encoders.get("multi-hot")


def points(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, IntArray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(n, d)) * random.uniform(0.5, 2, (n, 1)), random.integers(0, 5, n)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 12), st.integers(1, 5), st.integers(0, 1000))
def test_mean_cosine_by_all_pairs_of_films(n: int, d: int, seed: int) -> None:
    vectors, weights = points(n, d, seed)
    rows = np.repeat(np.arange(n), weights)
    pairs = [(i, j) for i in rows for j in rows if i != j]
    found = health.mean_cosine(vectors, weights)
    if not pairs:
        assert np.isnan(found)
        return
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert found == pytest.approx(np.mean([unit[i] @ unit[j] for i, j in pairs]), abs=1e-9)


def test_a_narrow_cone_and_even_directions() -> None:
    ones = np.ones(4, dtype=np.int64)
    assert health.mean_cosine(np.ones((4, 3)) + 1e-9 * np.eye(4, 3), ones) == pytest.approx(1)
    assert health.mean_cosine(np.eye(4), ones) == pytest.approx(0)
    assert health.mean_cosine(np.zeros((4, 2)), ones) == 0


@pytest.mark.parametrize(("n", "d"), [(40, 7), (7, 40), (12, 12)])
def test_effective_rank_by_the_singular_values_of_all_films(n: int, d: int) -> None:
    vectors, weights = points(n, d)
    films = np.repeat(vectors, weights, axis=0)
    values = np.linalg.svd(films - films.mean(axis=0), compute_uv=False)
    shares = values[values > 1e-9] / values.sum()
    assert health.effective_rank(vectors, weights) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-6)


def test_effective_rank_of_a_line_of_even_dimensions_and_of_nothing() -> None:
    ones = np.ones(6, dtype=np.int64)
    assert health.effective_rank(np.outer(np.arange(6), [1.0, 2.0, 3.0]), ones) == pytest.approx(1)
    assert health.effective_rank(np.concatenate([np.eye(3), -np.eye(3)]), ones) == pytest.approx(3)
    assert np.isnan(health.effective_rank(np.ones((6, 3)), ones))
    assert np.isnan(health.effective_rank(np.eye(6), 0 * ones))


def test_measure_tells_before_from_after() -> None:
    vectors, weights = points(30, 4)
    found = health.measure(vectors + 10, vectors, weights)
    assert found.cosine_before > 0.9 > found.cosine
    assert found.dimensions == 4


def test_variants_of_genre_lists() -> None:
    lists = ("Comedy, Drama", "Drama", "Action, Comedy, War")
    rows, texts = health.variants(lists, "order")
    assert rows.tolist() == [0, 2]
    assert texts == ("Drama, Comedy", "War, Comedy, Action")
    rows, texts = health.variants(lists, "case")
    assert rows.tolist() == [0, 1, 2]
    assert texts == ("comedy, drama", "drama", "action, comedy, war")


def test_sensitivity_of_multi_hot(catalogue: Catalogue, weights: IntArray) -> None:
    raw = embeddings.multi_hot(catalogue.genre_lists)
    found = clustering.fit(clustering.space(embeddings.post_process(raw, MULTI_HOT), weights), weights, 6, n_init=1)
    rows, texts = health.variants(catalogue.genre_lists, "order")
    new = reasons.multi_hot(texts, catalogue.genre_lists)
    order = health.sensitivity(rows, new, raw, MULTI_HOT, found, weights)
    assert (order.moved, order.shift) == (0, 0)
    assert order.n_films == weights[[", " in text for text in catalogue.genre_lists]].sum()
    rows, texts = health.variants(catalogue.genre_lists, "case")
    new = reasons.multi_hot(texts, catalogue.genre_lists)
    case = health.sensitivity(rows, new, raw, MULTI_HOT, found, weights)
    assert case.moved == 1  # no genre that it knows
    assert np.isnan(case.shift)


def test_sensitivity_by_plain_loops() -> None:
    random = np.random.default_rng(1)
    raw = random.normal(size=(40, 6)).astype(np.float32) + 2
    new = raw[:25] + random.normal(size=(25, 6)).astype(np.float32)
    weights = random.integers(0, 5, 40)
    encoder = dataclasses.replace(encoders.get("bert-base-cased"), id="x")
    ready = embeddings.post_process(raw, encoder)
    found = clustering.fit(clustering.space(ready, weights), weights, 4)
    result = health.sensitivity(np.arange(25), new, raw, encoder, found, weights)
    mean = raw.mean(axis=0, dtype=np.float64)
    moved = squared = n = 0.0
    for row in range(25):
        place = (new[row] - mean) / np.linalg.norm(new[row] - mean)
        moved += weights[row] * (np.argmin(((found.centers - place) ** 2).sum(axis=1)) != found.labels[row])
        squared += weights[row] * ((ready[row] - place) ** 2).sum()
        n += weights[row]
    films = np.repeat(np.arange(40), weights)
    apart = [((ready[i] - ready[j]) ** 2).sum() for i in films for j in films if i != j]
    assert result.n_films == n
    assert result.moved == pytest.approx(moved / n)
    assert result.shift == pytest.approx(np.sqrt(squared / n / np.mean(apart)), rel=1e-5)
    assert 0 < result.moved < 1


def test_tf_idf_does_not_see_order_and_case(catalogue: Catalogue) -> None:
    """What the page says of TF-IDF without asking it."""
    lists = catalogue.genre_lists[:200]
    for kind in health.VARIANTS:
        rows, texts = health.variants(lists, kind)
        both = embeddings.tf_idf([*lists, *texts])
        assert np.array_equal(both[rows], both[len(lists) :])


def test_without_films_there_is_nothing_to_move() -> None:
    raw = np.eye(3, dtype=np.float32)
    weights = np.zeros(3, dtype=np.int64)
    found = clustering.fit(clustering.space(raw, weights), weights, 2)
    result = health.sensitivity(np.arange(3), raw, raw, MULTI_HOT, found, weights)
    assert result.n_films == 0
    assert np.isnan(result.moved)
    assert health.untouched(np.arange(3), weights).n_films == 0


def test_dominant_and_membership_agree_on_columns(catalogue: Catalogue) -> None:
    matrix, genres = explain.membership(catalogue.genre_lists)
    assert matrix.shape == (len(catalogue.genre_lists), len(genres))
