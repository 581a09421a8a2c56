"""The page Find, in a simulated session."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from core import cache, clustering, encoders, search
from core.analysis import Analysis
from core.clustering import Space
from core.movies import Catalogue
from core.vectors import VectorStore
from core.worker import Progress
from tests.app.conftest import BASELINE, Film, Visit, ids, unescaped
from tests.conftest import MINILM

QUERY = "haunted house comedy"
MIX = ("Comedy, Horror", "Drama, Horror, Mystery", "Family")  # the stub's vector of the query is their sum
LIKE, WORDS = "Films like this one", "Words in title, director, cast"


class Answering:
    """A worker that answers queries when the test lets it."""

    def __init__(self) -> None:
        self.vector: Any = None
        self.now = Progress("query 1", MINILM.id, "loading", 0, 1, 0)
        self.asked: list[tuple[str, str, str]] = []
        self.retried = 0
        self.dropped: list[str] = []

    def ask(self, owner: str, encoder_id: str, text: str, *, dtype: str, retry: bool, patience: float) -> Progress:
        self.asked.append((owner, encoder_id, text))
        assert dtype == "float32"
        self.retried += retry
        return self.now

    def answer(self, encoder_id: str, text: str, dtype: str) -> Any:
        assert encoder_id == MINILM.id
        return self.vector

    def drop(self, owner: str) -> None:
        self.dropped.append(owner)

    def submit(self, *_: object, **__: object) -> str:
        raise AssertionError("Every genre list has a vector.")


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch, shipped: None) -> Answering:
    stub = Answering()
    monkeypatch.setattr(cache, "worker", lambda: stub)
    cache._place.clear()
    return stub


@pytest.fixture(scope="module")
def vector(vector_store: Path) -> Any:
    return VectorStore(vector_store).load(encoders.key(MINILM), MIX).sum(axis=0)


def expected(vector: Any, documents: Space, catalogue: Catalogue, weights: Sequence[int]) -> list[tuple[str, float]]:
    """The nearest lists and their cosines, worked out the plain way."""
    cosines = [float(row @ vector / np.linalg.norm(row) / np.linalg.norm(vector)) for row in documents.vectors]
    order = sorted(range(len(cosines)), key=lambda i: (-round(cosines[i], 6), -weights[i], i))
    return [(catalogue.genre_lists[i], cosines[i]) for i in order if weights[i] > 0][:20]


def test_by_meaning(
    answering: Answering,
    vector: Any,
    catalogue: Catalogue,
    documents: Space,
    weights: Any,
    films: list[Film],
    analysed: Analysis,
    offered: dict[str, tuple[str, Callable[[], bytes]]],
) -> None:
    answering.vector = vector
    visit = Visit("find", {"q": f"  {QUERY} ", "k": "12"})
    assert answering.asked == []  # it is among the answers already
    near = visit.table("near_lists")
    wanted = expected(vector, documents, catalogue, weights)
    assert near["genre_list"].tolist() == [text for text, _ in wanted]
    assert near["cosine"].tolist() == pytest.approx([cosine for _, cosine in wanted], abs=1e-5)
    label = dict(zip(catalogue.genre_lists, analysed.clustering.labels, strict=True))
    assert near["cluster"].tolist() == [label[text] for text in near["genre_list"]]
    assert near["name"].tolist() == [analysed.names[i].text for i in near["cluster"]]
    counted = dict(zip(catalogue.genre_lists, weights, strict=True))
    assert near["n_movies"].tolist() == [counted[text] for text in near["genre_list"]]

    # The films: those of nearer lists first, of a list the most reviewed first.
    inside = [film for film in films if film["genre_list"] in dict(wanted)]
    cosine = {text: round(each, 6) for text, each in wanted}
    nearness = {film["movie_id"]: -cosine[film["genre_list"]] for film in inside}
    assert visit.films["movie_id"].tolist() == sorted(ids(inside), key=nearness.__getitem__)
    assert f"**{len(inside):,} films**, those of the nearest genre lists first." in visit.lines
    film = {film["movie_id"]: film for film in films}
    assert visit.films["cluster"].tolist() == [film[i]["cluster"] for i in visit.films["movie_id"]]
    label_, make = offered["genrescope-find.parquet"]
    assert label_ == f"These {len(inside):,} films as Parquet"
    assert pq.read_table(io.BytesIO(make()))["movie_id"].to_pylist() == visit.films["movie_id"].tolist()

    # The map: the query where it projects, the nearest lists brought forward.
    rows = visit.chart("found_map")
    (mark,) = rows[rows["query"]].to_dict("records")
    unit = vector / np.linalg.norm(vector)
    assert (mark["x"], mark["y"]) == pytest.approx(tuple(clustering.project(documents, unit[None])[0]), abs=1e-5)
    nearest = np.linalg.norm(analysed.clustering.centers - unit, axis=1).argsort()
    assert mark["cluster"] == nearest[0]
    assert mark["note"] == "Your words"
    assert set(rows.loc[rows["near"].astype(bool), "genre_list"]) == set(near["genre_list"])
    (said,) = [unescaped(line) for line in visit.lines if line.startswith("Nearest genre list")]
    assert said.startswith(f"Nearest genre list: **{wanted[0][0]}**, cosine {wanted[0][1]:.2f}; half of the films have")
    assert f"Nearest cluster: **{nearest[0]} {analysed.names[nearest[0]].text}**" in said
    assert visit.links[0][0].startswith(f"Open cluster {nearest[0]}: ")
    assert any("compared with lists of genres, not with plots" in caption.value for caption in visit.at.caption)


def test_from_a_list_or_a_bubble_to_its_films(
    answering: Answering, vector: Any, catalogue: Catalogue, films: list[Film], analysed: Analysis
) -> None:
    answering.vector = vector
    visit = Visit("find", {"q": QUERY, "k": "12"})
    second = visit.table("near_lists")["genre_list"].iloc[1]
    visit.select("near_lists", {"rows": [1], "columns": [], "cells": []})
    assert visit.at.selectbox(key="near").value == second
    assert visit.films["movie_id"].tolist() == ids([film for film in films if film["genre_list"] == second])
    assert visit.at.query_params["near"] == second
    # A bubble of a near list does the same, any bubble leads to its cluster with that list chosen there.
    third = visit.table("near_lists")["genre_list"].iloc[2]
    cluster = int(analysed.clustering.labels[catalogue.genre_lists.index(third)])
    visit.select("found_map", {"pick": [{"cluster": cluster, "genre_list": third}]})
    assert visit.at.selectbox(key="near").value == third
    (link,) = [link for link in visit.links if "with exactly" in link[0]]
    assert link[2].startswith(f"cluster={cluster}&with=&year=&list={third.replace(', ', '%2C+')}")
    far = next(text for text in catalogue.genre_lists if text not in set(visit.table("near_lists")["genre_list"]))
    visit.select("found_map", {"pick": [{"cluster": 0, "genre_list": far}]})
    assert visit.at.selectbox(key="near").value == third
    assert unescaped(next(link for link in visit.links if "with exactly" in link[0])[0]).endswith(far)
    # Another search lets go of it.
    visit.at.text_input(key="q").set_value("something else")
    assert visit.run().at.selectbox(key="near").value is None
    assert not [link for link in visit.links if "with exactly" in link[0]]
    # A film that is selected leads to its cluster and to the films like it.
    visit.select("found_films", {"rows": [0], "columns": [], "cells": []})
    film = visit.films.iloc[0]
    visit.at.button(key="like_selected").click()
    visit.run()
    assert visit.at.segmented_control(key="how").value == LIKE
    assert visit.at.selectbox(key="chosen_film").value == film["movie_id"]


def test_what_it_waits_for(answering: Answering, vector: Any) -> None:
    visit = Visit("find", {"q": QUERY})
    owner = visit.at.session_state["visitor"]
    assert {*answering.asked} == {(owner, MINILM.id, QUERY)}
    for now, words in (
        (answering.now, "Loading the model to read your words: some seconds."),
        (replace(answering.now, seconds_left=7.2), "Loading the model to read your words, about 7 s left."),
        (replace(answering.now, state="queued"), "Loading the model to read your words: some seconds."),
        (
            replace(answering.now, state="queued", position=1),
            "Your words wait to be read: 1 job is before them.",
        ),
        (
            replace(answering.now, state="queued", position=3, seconds_left=90.0),
            "Your words wait to be read: 3 jobs are before them (about 90 s left for the one that runs).",
        ),
        (replace(answering.now, state="encoding"), "The model reads your words."),
    ):
        answering.now = now
        visit.run()
        assert [info.value for info in visit.at.info] == [words]
        assert "Stop" in [button.label for button in visit.at.main.button]
        assert not visit.at.dataframe
        assert "**0 films** have “haunted house comedy” in title, director or cast." in visit.lines
    answering.now = replace(answering.now, state="fetching", bytes_done=40_000_000, bytes_total=90_000_000)
    visit.run()
    assert "Fetching the model: 40 of 90 MB" in str(visit.at.get("progress")[0].proto.text)

    next(button for button in visit.at.main.button if button.label == "Stop").click()
    visit.run()
    assert answering.dropped == [owner]
    assert [info.value for info in visit.at.info] == ["The search was stopped."]
    asked = len(answering.asked)
    visit.run()
    assert len(answering.asked) == asked  # nothing is asked for what was stopped
    next(button for button in visit.at.main.button if button.label == "Go on").click()
    visit.run()
    assert len(answering.asked) > asked

    answering.now = replace(answering.now, state="failed", message="No *memory*.")
    visit.run()
    assert [error.value for error in visit.at.error] == ["No \\*memory\\*\\."]
    answering.vector = vector
    next(button for button in visit.at.main.button if button.label == "Try again").click()
    visit.run()
    assert answering.retried == 1
    assert len(visit.table("near_lists")) == 20


def test_what_is_typed_is_shown_as_it_is_and_bounded(answering: Answering, vector: Any) -> None:
    answering.vector = vector
    text = "**bold** [x](javascript:1) $a$ :material/home: <b>"
    visit = Visit("find", {"q": text})
    assert not [words for words in visit.words if text in words]
    assert any(text in unescaped(line) for line in visit.lines)
    answering.vector = None
    visit = Visit("find", {"q": "x" * 100_000})
    assert {len(text) for _, _, text in answering.asked} == {300}
    assert Visit("find", {"q": " \u0007 "}).at.button(key="example_By meaning")  # nothing printable: nothing asked
    assert {len(text) for _, _, text in answering.asked} == {300}
    assert Visit("find", {"q": "x", "how": "evil"}).at.segmented_control(key="how").value == "By meaning"


def test_the_examples(answering: Answering, vector: Any, films: list[Film]) -> None:
    answering.vector = vector
    first = {film["movie_id"]: film for film in films}[ids(films)[0]]
    for how, text in (("By meaning", QUERY), (LIKE, first["title"]), (WORDS, first["directors"][0])):
        visit = Visit("find")
        assert not visit.at.dataframe
        assert not visit.at.info
        visit.at.button(key=f"example_{how}").click()
        visit.run()
        assert (visit.at.text_input(key="q").value, visit.at.segmented_control(key="how").value) == (text, how)
        assert len(visit.films)


@pytest.mark.usefixtures("answering")
def test_films_like_one(films: list[Film], catalogue: Catalogue, documents: Space, weights: Any) -> None:
    film = next(film for film in films if film["title"] == "The Fly" and film["year"] == 1986)
    namesakes = {film["movie_id"] for film in films if film["title"] == "The Fly"}
    assert len(namesakes) > 1
    visit = Visit("find", {"q": "the fly", "how": LIKE, "film": film["movie_id"], "k": "12"})
    choice = visit.at.selectbox(key="chosen_film")
    assert choice.value == film["movie_id"]
    assert {*choice.options[: len(namesakes)]} >= {f"The Fly (1986, {', '.join(film['directors'])})"}
    row = catalogue.genre_lists.index(film["genre_list"])
    near = visit.table("near_lists")
    wanted = expected(documents.vectors[row], documents, catalogue, weights)
    assert near["genre_list"].tolist() == [text for text, _ in wanted]
    assert near["cosine"].iloc[0] == 1
    assert near["why"].iloc[0] == "the same genres"
    for told in near[1:].to_dict("records"):
        one, other = ({*text.split(", ")} for text in (film["genre_list"], told["genre_list"]))
        assert told["overlap"] == pytest.approx(len(one & other) / len(one | other))
        assert told["why"] == search.shared(film["genre_list"], told["genre_list"])[1]
    shown = visit.films
    assert film["movie_id"] not in set(shown["movie_id"])
    same = ids([each for each in films if each["genre_list"] == film["genre_list"] and each is not film])
    assert shown["movie_id"].head(len(same)).tolist() == same
    assert shown["cosine"].is_monotonic_decreasing
    rows = visit.chart("found_map")
    (mark,) = rows[rows["query"]].to_dict("records")
    assert (mark["x"], mark["y"], mark["note"]) == (*documents.xy[row], "This film")
    # Another film of that name.
    other = next(each for each in films if each["movie_id"] in namesakes - {film["movie_id"]})
    choice.set_value(other["movie_id"])
    visit.run()
    assert visit.at.query_params["film"] == other["movie_id"]
    assert any(other["genre_list"] in unescaped(line) for line in visit.lines)
    # What no title has, and what has no genres.
    visit.at.text_input(key="q").set_value("qqqqqqqq")
    assert [info.value for info in visit.run().at.info] == [
        "No title has these letters under the filters. Try fewer, or take filters away."
    ]
    without = next(film for film in films if not film["genres"])
    visit = Visit("find", {"q": without["title"], "how": LIKE, "film": without["movie_id"]})
    (info,) = visit.at.info
    assert "names no genre, so it has no place among the others" in info.value
    assert not visit.at.dataframe


@pytest.mark.usefixtures("answering")
def test_words_in_titles_and_names(films: list[Film]) -> None:
    visit = Visit("find", {"q": "scorsese", "how": WORDS, "k": "12"})
    wanted = [
        film for film in films
        if any("scorsese" in text.lower() for text in (film["title"], *film["directors"], *film["cast"]))
    ]  # fmt: skip
    assert visit.films["movie_id"].tolist() == ids(wanted)
    assert f"**{len(wanted)} of 17,472 films**" in visit.lines
    assert "443 films without genres cannot be found by meaning" in visit.at.caption[-1].value
    visit.at.text_input(key="q").set_value("qqqqqqqq")
    (info,) = visit.run().at.info
    assert info.value == "No film has this. Try fewer letters, or take choices away."
    without = next(film for film in films if not film["genres"])
    visit.at.text_input(key="q").set_value(without["title"])
    visit.run()
    row = visit.films["movie_id"].tolist().index(without["movie_id"])
    visit.select("found_films", {"rows": [row], "columns": [], "cells": []})
    assert any("names no genre, so it is in no cluster" in line for line in visit.lines)


def test_from_meaning_to_words(answering: Answering) -> None:
    visit = Visit("find", {"q": "alien"})
    assert any("films** have “alien” in title, director or cast" in line for line in visit.lines)
    visit.at.button(key="words_instead").click()
    visit.run()
    assert visit.at.segmented_control(key="how").value == WORDS
    assert visit.films["title"].str.contains("Alien").any()


@pytest.mark.usefixtures("answering")
@pytest.mark.parametrize("standardize", ["false", "true"])
def test_multi_hot_says_what_it_understood(multi_hot: Space, catalogue: Catalogue, standardize: str) -> None:
    visit = Visit("find", {"q": "haunted house COMEDY horror", "encoder": BASELINE, "standardize": standardize})
    title = encoders.get(BASELINE).title
    words = f"{title} understood **Comedy, Horror** and left out haunted, house, which it does not know."
    assert words in [unescaped(line) for line in visit.lines]
    near = visit.table("near_lists")
    assert near["genre_list"].iloc[0] == "Comedy, Horror"
    assert near["cosine"].iloc[0] == pytest.approx(1, abs=1e-5)
    if standardize == "false":
        shared = near["genre_list"].map(lambda text: len({"Comedy", "Horror"} & {*text.split(", ")}))
        lengths = near["genre_list"].map(lambda text: len(text.split(", ")))
        assert near["cosine"].to_numpy() == pytest.approx((shared / np.sqrt(2 * lengths)).to_numpy(), abs=1e-5)
    visit.at.text_input(key="q").set_value("haunted house")
    visit.run()
    (info,) = visit.at.info
    assert "none of yours is a genre of these films. Choose an encoder with a model" in info.value
    assert not visit.at.dataframe


@pytest.mark.usefixtures("answering")
def test_tf_idf(catalogue: Catalogue) -> None:
    visit = Visit("find", {"q": "haunted comedy", "encoder": "tf-idf"})
    assert any("understood **comedy** and left out haunted" in line for line in visit.lines)
    assert visit.table("near_lists")["genre_list"].iloc[0] == "Comedy"
    visit.at.text_input(key="q").set_value("haunted house")
    assert "none of yours is in what it has read" in visit.run().at.info[0].value


@pytest.mark.usefixtures("answering")
def test_by_t_sne_the_query_lies_on_its_nearest_list(multi_hot: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "tsne", lambda catalogue, settings: multi_hot.xy + 7)  # takes ten seconds
    visit = Visit("find", {"q": "comedy", "encoder": BASELINE, "map": "t-SNE", "genres": ["Music", "News"]})
    rows = visit.chart("found_map")
    (mark,) = rows[rows["query"]].to_dict("records")
    (own,) = rows[rows["genre_list"] == visit.table("near_lists")["genre_list"].iloc[0]].to_dict("records")
    assert (mark["x"], mark["y"]) == (own["x"], own["y"])
    assert any("t-SNE has no place for what is new" in caption.value for caption in visit.at.caption)


@pytest.mark.usefixtures("answering")
def test_filters_narrow_what_is_found(films: list[Film]) -> None:
    visit = Visit("find", {"q": "comedy", "encoder": BASELINE, "genres": ["Western"], "match": "all"})
    inside = [film for film in films if "Western" in film["genres"]]
    lists = {film["genre_list"] for film in inside}
    assert set(visit.table("near_lists")["genre_list"]) <= lists
    assert set(visit.films["movie_id"]) <= {film["movie_id"] for film in inside}
    visit = Visit("find", {"q": "comedy", "encoder": BASELINE, "language": "Hindi", "country": "France",
                           "years": ["1940", "1941"]})  # fmt: skip
    assert len(visit.at.warning) == 1
    assert not visit.at.dataframe
