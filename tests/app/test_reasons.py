"""Why a film is here, on the pages Cluster and Films."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from core import cache, encoders, reasons, worker
from core.analysis import Analysis
from core.movies import Catalogue
from core.vectors import VectorStore
from tests.app.conftest import BASELINE, StubWorker, Visit, unescaped

MINILM = encoders.get(encoders.DEFAULT_ENCODER)


def pick(visit: Visit, key: str, row: int) -> Visit:
    return visit.select(key, {"rows": [row], "columns": [], "cells": []})


def said(visit: Visit) -> list[str]:
    """What stands under the question, from its heading on."""
    (heading,) = [each.value for each in visit.at.subheader if each.value.startswith("Why is")]
    return [unescaped(heading), *(unescaped(line) for line in visit.lines)]


def row_of(films: pd.DataFrame, genres: str) -> int:
    return [", ".join(sorted(each.split(", "))) for each in films["genres"]].index(genres)


@pytest.fixture
def with_rests(elsewhere: Callable[..., None], tmp_path: Path, vector_store: Path, catalogue: Catalogue) -> None:
    """The app with MiniLM's vectors of the films, and of what remains of one list without each of its genres."""
    store = VectorStore(tmp_path / "vectors")
    key = encoders.key(MINILM)
    stored = VectorStore(vector_store)
    store.write(key, catalogue.genre_lists, stored.load(key, catalogue.genre_lists), stored.facts(key))
    worker.work(MINILM, [text for _, text in reasons.without_each("Drama, Horror, Mystery")], store)
    elsewhere(vectors=tmp_path / "vectors")


@pytest.mark.usefixtures("with_rests")
def test_a_film_on_the_page_films(catalogue: Catalogue, analysed: Analysis) -> None:
    visit = Visit("films", {"k": "12"})
    row = row_of(visit.films, "Drama, Horror, Mystery")
    title = visit.films["title"].iloc[row]
    heading, *lines = said(pick(visit, "all_films", row))
    assert heading == f"Why is “{title}” here?"
    i = catalogue.genre_lists.index("Drama, Horror, Mystery")
    found, names = analysed.clustering, [name.text for name in analysed.names]
    own, other = int(found.labels[i]), int(found.runner_up[i])
    assert (
        f"As **Drama, Horror, Mystery** it is in **{own} {names[own]} (measuring)**. "
        f"The runner-up is {other} {names[other]} (measuring), with a margin of {found.margin[i]:.2f}." in lines
    )
    # What remains without a genre is in the catalogue itself here, so its cluster is known.
    rest = {genre: int(found.labels[catalogue.genre_lists.index(text)]) for genre, text in reasons.without_each(
        "Drama, Horror, Mystery")}  # fmt: skip
    expected = reasons.sentence(names[own], [(genre, names[cluster]) for genre, cluster in rest.items()])
    assert f"**{expected}**" in lines
    assert [link[2] for link in visit.links] == [
        f"cluster={cluster}&with=&year=&list=&find=" for cluster in (own, other)
    ]


def test_multi_hot_needs_no_encoding_and_tf_idf_gives_no_rests(
    elsewhere: Callable[..., None], stub_worker: StubWorker
) -> None:
    elsewhere()
    visit = Visit("cluster", {"encoder": BASELINE, "k": "12", "cluster": "2"})
    lines = said(pick(visit, "cluster_films", 0))
    assert any(line.startswith(("**Without", "**It has only one")) for line in lines)
    visit = Visit("cluster", {"encoder": "tf-idf", "k": "12", "cluster": "2"})
    lines = said(pick(visit, "cluster_films", 0))
    assert not any(line.startswith("**Without") for line in lines)
    assert stub_worker.submitted == []


@pytest.mark.usefixtures("shipped")
def test_what_lacks_a_vector_is_encoded_for_all_films_at_once(stub_worker: StubWorker, catalogue: Catalogue) -> None:
    texts = cache.texts_without_a_genre(catalogue, "Drama, Horror")
    assert {"Drama", "Horror"} < set(texts)
    stub_worker.now = stub_worker.now.__class__("job 1", encoders.DEFAULT_ENCODER, "loading", 0, len(texts), 0)
    visit = Visit("films", {"k": "12"})
    missing = VectorStore(Path(cache.store().root)).missing(encoders.key(MINILM), texts)
    row = next(
        i for i, genres in enumerate(visit.films["genres"])
        if any(rest in missing for _, rest in reasons.without_each(", ".join(sorted(genres.split(", ")))))
    )  # fmt: skip
    pick(visit, "all_films", row)
    assert stub_worker.submitted == [False]
    assert "reads what remains of the genre lists" in " ".join(visit.lines)


@pytest.mark.usefixtures("shipped")
def test_a_film_without_genres_has_no_place() -> None:
    visit = pick(Visit("films", {"without": "true"}), "all_films", 0)
    assert "It names no genre, so it is in no cluster." in visit.lines
