import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core import clustering, embeddings, encoders, explain, reasons
from core.analysis import Analysis
from core.clustering import Clustering, Space
from core.movies import Catalogue
from core.reasons import Places, Reason, Without
from core.vectors import VectorStore

Float32 = NDArray[np.float32]
IntArray = NDArray[np.int64]

MINILM = encoders.get("all-MiniLM-L6-v2")
CENTRED = dataclasses.replace(MINILM, center=True)
BASELINE = encoders.get(encoders.BASELINE)


@pytest.fixture(scope="module")
def stored(catalogue: Catalogue, vector_store: Path) -> Float32:
    """MiniLM's vectors of the shipped genre lists, as the store has them."""
    return VectorStore(vector_store).load(encoders.key(MINILM), catalogue.genre_lists)


@pytest.fixture(scope="module")
def twelve(analysed: Analysis) -> Clustering:
    return analysed.clustering


# Leaving out


def test_without_each_by_hand() -> None:
    assert reasons.without_each("Comedy, Horror, Sci-Fi & Fantasy") == [
        ("Comedy", "Horror, Sci-Fi & Fantasy"),
        ("Horror", "Comedy, Sci-Fi & Fantasy"),
        ("Sci-Fi & Fantasy", "Comedy, Horror"),
    ]
    assert reasons.without_each("Comedy, Drama") == [("Comedy", "Drama"), ("Drama", "Comedy")]


def test_a_single_genre_leaves_nothing() -> None:
    assert reasons.without_each("Drama") == []


def test_what_remains_is_written_as_the_catalogue_writes_lists(catalogue: Catalogue) -> None:
    known = {*catalogue.genre_lists}
    remaining = [text for genre_list in known for _, text in reasons.without_each(genre_list)]
    for text in remaining:
        assert text == ", ".join(sorted({*text.split(", ")}))
    assert len({*remaining} & known) > 500
    assert {*remaining} - known


# Nearest centres


def test_assign_by_hand() -> None:
    centers = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 10.0]])
    labels, distances, margins = reasons.assign(np.array([[1.0, 0.0], [4.0, 3.0], [0.0, 10.0]]), centers)
    assert labels.tolist() == [0, 1, 2]
    assert distances.tolist() == [1, 3, 0]
    assert margins.tolist() == pytest.approx([2 / 3, 2 / 5, 1])


@pytest.mark.filterwarnings("error")
def test_assign_at_the_edges() -> None:
    labels, distances, margins = reasons.assign(np.array([[3.0, 4.0]]), np.array([[0.0, 0.0]]))
    assert (labels.tolist(), distances.tolist()) == ([0], [5])
    assert np.isnan(margins).all()
    labels, distances, margins = reasons.assign(np.ones((2, 3)), np.zeros((0, 3)))
    assert labels.tolist() == [-1, -1]
    assert np.isnan(distances).all()
    assert np.isnan(margins).all()
    same = np.ones((2, 3))
    assert reasons.assign(np.ones((1, 3)), same)[2].tolist() == [0]  # on top of two centres at once
    assert [part.shape for part in reasons.assign(np.zeros((0, 3)), same)] == [(0,), (0,), (0,)]


def test_the_lists_of_the_catalogue_are_assigned_as_they_are_clustered(documents: Space, twelve: Clustering) -> None:
    labels, distances, margins = reasons.assign(documents.vectors, twelve.centers)
    assert labels.tolist() == twelve.labels.tolist()
    assert np.allclose(distances, twelve.distance, atol=1e-12)
    assert np.allclose(margins, twelve.margin, atol=1e-12)


# New texts


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("encoder", [MINILM, CENTRED], ids=["as it is", "centred"])
def test_a_known_text_gets_the_very_vector_it_has(
    stored: Float32, encoder: encoders.Encoder, standardize: bool
) -> None:
    expected = embeddings.post_process(stored, encoder, standardize)
    before = stored.copy()
    for rows in ([0], [3, 700, 3], list(range(len(stored)))):
        found = embeddings.post_process(stored[rows], encoder, standardize, stored)
        assert found.dtype == np.float32
        assert np.array_equal(found, expected[rows])
    assert np.array_equal(stored, before)
    assert embeddings.post_process(stored[:0], encoder, standardize, stored).shape == (0, stored.shape[1])


def test_new_texts_move_neither_each_other_nor_the_catalogue(stored: Float32) -> None:
    new = (stored[:5] + stored[500:505]) / 2
    together = embeddings.post_process(new, CENTRED, True, stored)
    alone = np.concatenate([embeddings.post_process(new[i : i + 1], CENTRED, True, stored) for i in range(5)])
    assert np.array_equal(together, alone)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


def test_dimensions_without_spread_and_vectors_of_zeros_do_no_harm() -> None:
    stored = np.array([[1, 2, 0], [3, 2, 0]], dtype=np.float32)
    expected = embeddings.post_process(stored, CENTRED, True)
    assert np.array_equal(embeddings.post_process(stored, CENTRED, True, stored), expected)
    zeros = np.zeros((1, 3), dtype=np.float32)
    assert embeddings.post_process(zeros, MINILM, known=stored).tolist() == [[0, 0, 0]]
    assert embeddings.post_process(stored, CENTRED, known=stored[:0]).tolist() == [
        *embeddings.post_process(stored, MINILM).tolist()
    ]


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("encoder", [MINILM, CENTRED, BASELINE], ids=["as it is", "centred", "multi-hot"])
def test_texts_of_the_catalogue_are_placed_where_the_clustering_has_them(
    catalogue: Catalogue, stored: Float32, weights: IntArray, encoder: encoders.Encoder, standardize: bool
) -> None:
    lists = catalogue.genre_lists
    raw = stored if encoder.kind == "transformer" else reasons.multi_hot(lists, lists)
    ready = embeddings.post_process(raw, encoder, standardize)
    found = clustering.fit(clustering.space(ready, weights), weights, 12)
    row_of = {text: row for row, text in enumerate(lists)}
    texts = [text for genre_list in lists for _, text in reasons.without_each(genre_list) if text in row_of]
    rows = np.array([row_of[text] for text in texts])
    new = raw[rows] if encoder.kind == "transformer" else reasons.multi_hot(texts, lists)
    places = reasons.placed(new, raw, encoder, found.centers, standardize)
    assert len(texts) > 2000
    assert places.labels.tolist() == found.labels[rows].tolist()
    assert np.allclose(places.distances, found.distance[rows], atol=1e-9)
    assert np.allclose(places.margins, found.margin[rows], atol=1e-9)


def test_the_shipped_space_is_what_texts_are_placed_in(
    catalogue: Catalogue, stored: Float32, twelve: Clustering
) -> None:
    row = catalogue.genre_lists.index("Comedy, Horror")
    rows = [catalogue.genre_lists.index(text) for _, text in reasons.without_each("Comedy, Horror")]
    places = reasons.placed(stored[rows], stored, MINILM, twelve.centers)
    assert places.labels.tolist() == twelve.labels[rows].tolist()
    found = reasons.reason(twelve, row, "Comedy, Horror", places)
    assert [one.cluster for one in found.without] == twelve.labels[rows].tolist()


def test_multi_hot_is_that_of_the_catalogue(catalogue: Catalogue) -> None:
    expected = embeddings.multi_hot(catalogue.genre_lists)
    assert np.array_equal(reasons.multi_hot(catalogue.genre_lists, catalogue.genre_lists), expected)
    assert np.array_equal(reasons.multi_hot(catalogue.genre_lists[5:7], catalogue.genre_lists), expected[5:7])


def test_unknown_genres_are_left_out() -> None:
    lists = ["Comedy, Drama", "War"]
    assert reasons.multi_hot(["Drama, Space Opera", "Space Opera", ""], lists).tolist() == [
        [0, 1, 0],
        [0, 0, 0],
        [0, 0, 0],
    ]


@pytest.mark.parametrize("standardize", [False, True])
def test_a_text_that_says_nothing_has_no_place(standardize: bool) -> None:
    lists = ["Comedy, Drama", "War"]
    raw = reasons.multi_hot(lists, lists)
    centers = embeddings.post_process(raw, BASELINE, standardize).astype(np.float64)
    new = reasons.multi_hot(["War", "Space Opera"], lists)
    places = reasons.placed(new, raw, BASELINE, centers, standardize)
    assert places.labels.tolist() == [1, -1]
    assert np.isnan(places.distances).tolist() == [False, True]
    assert np.isnan(places.margins).tolist() == [False, True]


def test_tf_idf_has_no_vectors_of_new_texts() -> None:
    encoder = dataclasses.replace(BASELINE, kind="tf-idf", title="Words")
    with pytest.raises(ValueError, match=r"^Words has vectors of the catalogue's own texts only\.$"):
        reasons.placed(np.ones((1, 2), np.float32), np.ones((1, 2), np.float32), encoder, np.ones((1, 2)))


# Reasons


def test_reasons_say_what_the_clustering_says(catalogue: Catalogue, stored: Float32, twelve: Clustering) -> None:
    row_of = {text: row for row, text in enumerate(catalogue.genre_lists)}
    gathered = 0
    for row, genre_list in enumerate(catalogue.genre_lists[:300]):
        texts = [text for _, text in reasons.without_each(genre_list)]
        if not all(text in row_of for text in texts):
            continue
        gathered += 1
        rows = [row_of[text] for text in texts]
        places = reasons.placed(stored[rows], stored, MINILM, twelve.centers)
        found = reasons.reason(twelve, row, genre_list, places)
        assert (found.row, found.cluster) == (row, twelve.labels[row])
        assert (found.runner_up, found.distance) == (twelve.runner_up[row], twelve.distance[row])
        assert found.margin == twelve.margin[row]
        assert found.typical == tuple(explain.typical(twelve, found.cluster, 3))
        assert found.runner_up_typical == tuple(explain.typical(twelve, found.runner_up, 3))
        assert [(one.genre, one.text) for one in found.without] == reasons.without_each(genre_list)
        assert [one.cluster for one in found.without] == twelve.labels[rows].tolist()
        assert [one.genre for one in found.deciding] == [
            one.genre for one in found.without if one.cluster != found.cluster
        ]
    assert gathered > 50


NOWHERE = Places(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))


def test_a_list_of_one_genre_has_a_reason_too(catalogue: Catalogue, twelve: Clustering) -> None:
    found = reasons.reason(twelve, catalogue.genre_lists.index("Drama"), "Drama", NOWHERE)
    assert found.without == found.deciding == ()
    assert len(found.typical) == 3


def test_with_one_cluster_there_is_no_runner_up() -> None:
    weights = np.array([1, 2])
    one = clustering.fit(clustering.space(np.ones((2, 3), dtype=np.float32), weights), weights, 2)
    found = reasons.reason(one, 0, "Drama", NOWHERE)
    assert (found.runner_up, found.runner_up_typical, found.typical) == (-1, (), (0, 1))


def test_a_list_without_films_is_in_no_cluster(documents: Space, weights: IntArray) -> None:
    some = np.where(np.arange(len(weights)) == 7, 0, weights)
    found = clustering.fit(documents, some, 3)
    with pytest.raises(ValueError, match=r"^Drama has no film under these filters, so it is in no cluster\.$"):
        reasons.reason(found, 7, "Drama", NOWHERE)


def test_places_must_be_those_of_the_texts(catalogue: Catalogue, twelve: Clustering) -> None:
    with pytest.raises(ValueError, match="zip"):
        reasons.reason(twelve, 0, "Comedy, Drama", NOWHERE)


def test_what_decides() -> None:
    without = tuple(Without(genre, "", cluster, 0.5, 0.1) for genre, cluster in (("A", 1), ("B", 0), ("C", -1)))
    found = Reason(0, 0, 1, 0.5, 0.1, (), (), without)
    assert [one.genre for one in found.deciding] == ["A"]


# In words


@pytest.mark.parametrize(
    ("without", "words"),
    [
        ([], "It has only one genre, so there is none to leave out."),
        ([("Horror", "Horror"), ("Drama", "Horror")], "Without any one of its genres it stays here."),
        (
            [("Horror", "Comedy & Drama"), ("Drama", "Horror")],
            "Without Horror it would be in Comedy & Drama.",
        ),
        (
            [("Comedy", "Drama"), ("War", "Action"), ("Sci-Fi", "Drama"), ("Drama", "Horror")],
            "Without Comedy or Sci-Fi it would be in Drama; without War it would be in Action.",
        ),
        (
            [("Comedy", "Drama"), ("War", "Drama"), ("Sci-Fi", "Drama")],
            "Without Comedy, War or Sci-Fi it would be in Drama.",
        ),
    ],
)
def test_the_sentence(without: list[tuple[str, str]], words: str) -> None:
    assert reasons.sentence("Horror", without) == words


def test_a_sentence_for_every_shipped_list_that_can_have_one(
    catalogue: Catalogue, stored: Float32, analysed: Analysis
) -> None:
    row_of = {text: row for row, text in enumerate(catalogue.genre_lists)}
    names = [name.text for name in analysed.names]
    found = analysed.clustering
    said = set()
    for row, genre_list in enumerate(catalogue.genre_lists):
        pairs = reasons.without_each(genre_list)
        if all(text in row_of for _, text in pairs):
            there = [(genre, names[found.labels[row_of[text]]]) for genre, text in pairs]
            words = reasons.sentence(names[found.labels[row]], there)
            assert words.endswith(".")
            said.add(words)
    assert "Without any one of its genres it stays here." in said
    assert len(said) > 50
