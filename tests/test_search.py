import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import clustering, embeddings, encoders, reasons, search
from core.clustering import Space
from core.encoders import Encoder
from core.movies import Catalogue
from core.vectors import VectorStore
from tests.conftest import MINILM

MULTI_HOT, TF_IDF = encoders.get("multi-hot"), encoders.get("tf-idf")
CENTRED = encoders.get("bert-base-uncased")
TEXTS = ("Comedy", "Comedy, Horror", "Drama", "Film-Noir, Science Fiction", "Fiction", "War")

Float32 = NDArray[np.float32]


def space_of(raw: Float32, encoder: Encoder, standardize: bool = False, weights: list[int] | None = None) -> Space:
    films = np.ones(len(raw), dtype=np.int64) if weights is None else np.array(weights)
    return clustering.space(embeddings.post_process(raw, encoder, standardize), films)


def plain_cosines(raw: Float32, query: Float32, encoder: Encoder, standardize: bool) -> list[float]:
    """Centre and scale by hand with what the documents alone give, then the cosine by its definition."""
    rows = [[float(x) for x in row] for row in raw]
    mean, spread = [0.0] * len(query), [1.0] * len(query)
    if encoder.center or standardize:
        mean = [math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]
    if standardize:
        spread = [
            math.sqrt(math.fsum((x - m) ** 2 for x in column) / len(rows))
            for column, m in zip(zip(*rows, strict=True), mean, strict=True)
        ]
    moved = [[(float(x) - m) / s for x, m, s in zip(row, mean, spread, strict=True)] for row in [*rows, query]]
    last = moved.pop()
    return [
        math.fsum(a * b for a, b in zip(row, last, strict=True)) / (math.hypot(*row) * math.hypot(*last))
        for row in moved
    ]


@pytest.mark.parametrize("encoder", [MINILM, CENTRED], ids=lambda encoder: encoder.id)
@pytest.mark.parametrize("standardize", [False, True])
@given(st.integers(0, 10_000))
def test_a_query_is_moved_as_the_documents_were(encoder: Encoder, standardize: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    raw = (random.normal(size=(9, 5)) * [1, 1, 5, 1, 0.2] + 3).astype(np.float32)
    query = (random.normal(size=5) + 3).astype(np.float32)
    documents = space_of(raw, encoder, standardize)
    found = search.place(query, raw, encoder, documents, standardize)
    assert found.cosine == pytest.approx(plain_cosines(raw, query, encoder, standardize), abs=2e-6)
    assert not found.silent
    # The query alone would be centred to nothing: nothing of it may come from itself.
    assert np.linalg.norm(found.vector) == pytest.approx(1, abs=1e-6)


def test_a_document_asked_for_is_found_where_it_is(catalogue: Catalogue, documents: Space, vector_store) -> None:
    raw = VectorStore(vector_store).load(encoders.key(MINILM), catalogue.texts)
    row = catalogue.texts.index("Drama, Horror, Mystery")
    found = search.place(raw[row], raw, MINILM, documents)
    own = search.place_of(row, documents)
    assert found.cosine == pytest.approx(own.cosine, abs=1e-6)
    assert found.cosine[row] == pytest.approx(1, abs=1e-6)
    assert found.xy == pytest.approx(documents.xy[row], abs=1e-6)
    assert int(search.nearest(found, catalogue.weights())[0]) == row


def test_every_document_projects_onto_its_own_place(documents: Space) -> None:
    assert np.abs(clustering.project(documents, documents.vectors) - documents.xy).max() < 1e-12
    assert documents.axes.shape == (384, 2)
    flat = clustering.space(np.ones((2, 1), dtype=np.float32), np.array([1, 2]))
    assert clustering.project(flat, np.array([[3.0]]))[0, 1] == 0


def test_the_order_of_the_nearest() -> None:
    documents = space_of(np.eye(4, dtype=np.float32)[[0, 1, 1, 2, 3]], MULTI_HOT)
    query = np.array([0, 1, 1, 0], dtype=np.float32)
    found = search.place(query, query[None], MULTI_HOT, documents)
    assert found.cosine.tolist() == pytest.approx([0, 0.5**0.5, 0.5**0.5, 0.5**0.5, 0], abs=1e-6)
    films = np.array([9, 1, 5, 1, 7])
    assert search.nearest(found, films).tolist() == [2, 1, 3, 0, 4]  # of equals the one with more films, then the first
    assert search.nearest(found, np.array([9, 1, 0, 1, 7]), 2).tolist() == [1, 3]  # none without films
    assert search.nearest(found, np.zeros(5, dtype=np.int64)).tolist() == []
    # 7 of 23 films have 0.71, so the one in the middle has 0.
    assert search.median_cosine(found, films) == 0
    assert search.median_cosine(found, np.array([1, 1, 5, 1, 1])) == pytest.approx(0.5**0.5, abs=1e-6)
    assert math.isnan(search.median_cosine(found, np.zeros(5, dtype=np.int64)))


def test_the_cluster_is_that_of_the_nearest_centre(catalogue: Catalogue, documents: Space, analysed) -> None:
    centers = analysed.clustering.centers
    for row in range(0, len(catalogue.texts), 37):
        cluster, margin = search.cluster_of(search.place_of(row, documents), centers)
        assert cluster == analysed.clustering.labels[row]
        assert margin == pytest.approx(analysed.clustering.margin[row])
    assert search.cluster_of(search.place_of(0, documents), centers[:0])[0] == -1


def test_what_says_nothing_is_near_to_nothing() -> None:
    raw = reasons.multi_hot(["Comedy", "", "Drama"], ["Comedy", "Drama"])
    for standardize in (False, True):
        documents = space_of(raw, MULTI_HOT, standardize)
        found = search.place(np.zeros(2, dtype=np.float32), raw, MULTI_HOT, documents, standardize)
        assert found.silent
        assert np.isnan(found.cosine).all()
        assert search.nearest(found, np.ones(3, dtype=np.int64)).tolist() == []
        assert search.cluster_of(found, np.eye(2)) == (-1, pytest.approx(math.nan, nan_ok=True))
    documents = space_of(raw, MULTI_HOT)
    assert np.isnan(search.place_of(0, documents).cosine).tolist() == [False, True, False]
    assert search.place_of(1, documents).silent


@pytest.mark.parametrize(
    ("query", "known", "unknown"),
    [
        ("haunted house COMEDY", ["Comedy"], ["haunted", "house"]),
        ("science fiction film noir", ["Science Fiction", "Film-Noir"], []),
        ("fiction, science", ["Fiction"], ["science"]),
        ("comedy comedy Horror!", ["Comedy", "Horror"], []),
        ("comedies about warfare", [], ["comedies", "about", "warfare"]),
        ("", [], []),
        ("?!", [], []),
    ],
)
def test_genres_in_a_query(query: str, known: list[str], unknown: list[str]) -> None:
    found = search.genres_in(query, TEXTS)
    assert (list(found.known), list(found.unknown)) == (known, unknown)
    # What is understood is what is encoded.
    vector = reasons.multi_hot([found.text], TEXTS)[0]
    assert vector.sum() == len(known)


@given(st.lists(st.sampled_from(sorted({genre for text in TEXTS for genre in text.split(", ")})), unique=True))
def test_a_genre_list_is_understood_in_full(genres: list[str]) -> None:
    assert list(search.genres_in(", ".join(genres).upper(), TEXTS).known) == genres


def test_words_of_tf_idf(catalogue: Catalogue) -> None:
    fitted = embeddings.fit_tf_idf(catalogue.texts)
    assert (fitted.vectors == embeddings.tf_idf(catalogue.texts)).all()
    # The projection gives the fitted texts their own vectors.
    assert np.abs(fitted.project(catalogue.texts[::50]) - fitted.vectors[::50]).max() < 1e-5
    assert fitted.words("A haunted Comedy, HORROR") == (["comedy", "horror"], ["haunted"])
    assert not fitted.project(["haunted house"]).any()
    documents = space_of(fitted.vectors, TF_IDF)
    query = fitted.project(["comedy horror"])[0]
    found = search.place(query, fitted.vectors, TF_IDF, documents)
    assert catalogue.texts[int(search.nearest(found, catalogue.weights())[0])] == "Comedy, Horror"


def test_tf_idf_of_no_words() -> None:
    fitted = embeddings.fit_tf_idf(["?", "!"])
    assert fitted.project(["Drama"]).tolist() == [[0]]
    assert fitted.words("Drama noir") == ([], ["drama", "noir"])
    one = embeddings.fit_tf_idf(["Drama"])
    assert one.project(["drama", "war"]).tolist() == [[1], [0]]


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  a \n b\t ", "a b"),
        ("e\u0301te\u0301", "été"),
        ("a\x00b\ud800c\u202ed", "a b c d"),
        ("\u200c", "\u200c"),
        ("x" * 1000, "x" * 300),
        ("x " * 1000, ("x " * 150).rstrip()),
        (" \x07 ", ""),
    ],
)
def test_what_is_typed_becomes_one_line(text: str, cleaned: str) -> None:
    assert search.clean(text) == cleaned
    cleaned.encode()


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = search.clean(text)
    assert search.clean(once) == once
    assert len(once) <= search.MAX_QUERY
    once.encode()


@pytest.mark.parametrize(
    ("one", "other", "overlap", "words"),
    [
        ("Comedy, Horror", "Comedy, Horror", 1, "the same genres"),
        ("Comedy, Horror", "Comedy", 1 / 2, "shares Comedy (1 of 2); lacks Horror"),
        ("Comedy", "Drama, War", 0, "shares no genre; lacks Comedy; adds Drama, War"),
        ("A, B, C, D, E", "B, C, D, E, F", 4 / 6, "shares 4 of 5 genres; lacks A; adds F"),
    ],
)
def test_what_two_lists_share(one: str, other: str, overlap: float, words: str) -> None:
    assert search.shared(one, other) == (pytest.approx(overlap), words)


def test_a_place_keeps_what_it_was_given() -> None:
    """A query never changes the documents: their vectors may be read-only."""
    raw = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    documents = space_of(raw, CENTRED)
    for field in dataclasses.fields(documents):
        getattr(documents, field.name).flags.writeable = False
    raw.flags.writeable = False
    before = raw.copy()
    search.place(raw[0] + 1, raw, CENTRED, documents, True)
    assert (raw == before).all()
