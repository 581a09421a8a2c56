"""What all pages share: settings and filters, links, trouble with the catalogue, and the wait for vectors."""

import csv
import io
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from core import analysis, cache, clustering, embeddings, encoders, movies
from core.analysis import Analysis
from core.controls import plain
from core.movies import Filters
from core.recipes import Settings
from core.vectors import VectorStore
from core.worker import Worker
from tests.app.conftest import BASELINE, ENTRY, ROOT, TITLES, TROUBLES, WAITING, Film, StubWorker, Visit, ids, unescaped

MINILM = encoders.get(encoders.DEFAULT_ENCODER)
PAGES = tuple(TITLES)
FILM_PAGES = tuple(
    page for page in PAGES if page not in ("encoders", "data", "about")
)  # those that show clusters or films
NO_CLUSTERS = "No film under these filters has a genre, so there is nothing to cluster."


def passes(film: Film, filters: Filters) -> bool:
    """Tell in plain Python whether a film passes the filters."""
    wanted, genres = set(filters.genres), set(film["genres"])
    first, last = filters.years or (0, 9999)
    fits = {"any": wanted & genres, "all": wanted <= genres, "none": not wanted & genres}[filters.genre_mode]
    return bool(
        first <= film["year"] <= last
        and (not filters.languages or set(filters.languages) & set(film["languages"]))
        and (not filters.countries or set(filters.countries) & set(film["countries"]))
        and (not wanted or fits)
        and (film["reviews"] or 0) >= filters.min_reviews
    )


# Settings and links


@pytest.mark.usefixtures("shipped")
def test_settings_come_from_the_link_and_stay(plain_films: list[Film], stub_worker: StubWorker) -> None:
    query = {
        "encoder": BASELINE,
        "k": "7",
        "seed": "3",
        "years": ["1980", "1999"],
        "language": ["French", "German"],
        "country": "France",
        "genres": ["Comedy", "Drama"],
        "match": "all",
        "reviews": "5",
    }
    filters = Filters((1980, 1999), ("French", "German"), ("France",), ("Comedy", "Drama"), "all", 5)
    n = sum(passes(film, filters) for film in plain_films)
    assert 7 < n < 500
    for page in FILM_PAGES:
        visit = Visit(page, query)
        assert visit.settings == Settings(BASELINE, 7, 3, filters)
        assert visit.lines[0] == f"**{n} of 17,472 films** pass the filters."
        assert [line.value for line in visit.at.sidebar.markdown] == [f"**{n} of 17,472 films**"]
        assert {key: visit.at.query_params[key] for key in query} == query
        for other in FILM_PAGES:
            assert visit.go(other).settings == Settings(BASELINE, 7, 3, filters)
            assert {key: visit.at.query_params[key] for key in query} == query
    # A change on one page holds on the others.
    visit.at.slider(key="k").set_value(4)
    visit.run().go("overview")
    assert visit.settings == Settings(BASELINE, 4, 3, filters)
    assert visit.figures["Clusters (k)"] == "4"
    assert stub_worker.submitted == []


@pytest.mark.usefixtures("shipped", "stub_worker")
@pytest.mark.parametrize("page", FILM_PAGES)
def test_nonsense_in_a_link_falls_back(page: str) -> None:
    for nonsense in (
        {"k": "999", "seed": "-1", "years": "9999", "reviews": "-5", "match": "evil", "genres": "Nonsense"},
        {"k": "abc", "seed": "99999", "years": ["9999", "1"], "reviews": "1000000", "country": "<b>", "cluster": "77"},
        {"k": "1", "seed": "nan", "years": ["1900", "3000"], "reviews": "x", "match": "none", "cluster": "abc"},
        {"k": "-7", "seed": "", "years": ["a", "b"], "map": "evil", "heat": "evil", "order": "evil", "look": "evil"},
        {"k": ["12", "x"], "seed": "1e9", "years": ["1980", "1990", "2000"], "without": "evil", "language": ""},
        {"k": "9" * 1000, "cluster": "9" * 100_000, "with": "evil", "year": "1066", "genres": ["Nonsense", "' OR 1"]},
    ):
        visit = Visit(page, {"encoder": BASELINE, **nonsense})
        assert visit.settings == Settings(BASELINE), nonsense
        assert visit.lines[0].startswith("**17,472 of 17,472 films**;")
    # Half of it may make sense.
    visit = Visit(page, {"encoder": BASELINE, "k": "7.5", "genres": ["Drama", "Nonsense"], "years": ["1990", "1980"]})
    assert visit.settings == Settings(BASELINE, 7, 0, Filters(years=(1980, 1990), genres=("Drama",)))
    assert Visit(page, {"encoder": "evil"}).settings == Settings()


@pytest.mark.usefixtures("shipped", "stub_worker")
@pytest.mark.parametrize("page", ["cluster", "films"])
def test_a_page_opened_by_its_own_address_gets_the_frame(page: str) -> None:
    """On a cold server Streamlit runs such a page without the frame, and so does AppTest beside a folder pages/."""
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    visit = Visit(page, {"encoder": BASELINE, "k": "7", "cluster": "3", "search": "the"}, app)
    assert visit.settings == Settings(BASELINE, 7)
    assert visit.at.sidebar.slider(key="k").value == 7
    if page == "cluster":
        assert visit.at.selectbox(key="chosen_cluster").value == 3
    else:
        assert visit.at.text_input(key="search").value == "the"


# Filters


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize(
    "filters",
    [
        Filters(years=(1980, 1989)),
        Filters(languages=("French", "German")),
        Filters(countries=("Japan",)),
        Filters(genres=("Sci-Fi", "Western")),
        Filters(genres=("Comedy", "Drama"), genre_mode="all"),
        Filters(genres=("Comedy", "Drama"), genre_mode="none"),
        Filters(min_reviews=100),
        Filters((1960, 2000), ("English",), ("France", "Italy"), ("Comedy", "Drama"), "any", 10),
    ],
)
def test_a_filter_changes_counts_and_encodes_nothing(
    filters: Filters, plain_films: list[Film], stub_worker: StubWorker, vector_store: Path
) -> None:
    stored = sorted(path.name for path in vector_store.rglob("*"))
    visit = Visit()
    before = visit.figures
    at = visit.at
    if filters.years:
        at.slider(key="years").set_range(*filters.years)
    at.multiselect(key="language").set_value(list(filters.languages))
    at.multiselect(key="country").set_value(list(filters.countries))
    at.multiselect(key="genres").set_value(list(filters.genres))
    at.number_input(key="reviews").set_value(filters.min_reviews)
    visit.run()
    if filters.genre_mode != "any":
        at.segmented_control(key="match").set_value(filters.genre_mode)
        visit.run()
    assert visit.settings == Settings(filters=filters)

    some = [film for film in plain_films if passes(film, filters)]
    without = sum(not film["genres"] for film in some)
    assert 0 < len(some) < 17472
    words = f"**{len(some):,} of 17,472 films**"
    assert [line.value for line in at.sidebar.markdown] == [words]
    assert visit.lines[0].startswith(f"{words} pass the filters")
    assert (f"; {without:,} of them name no genre" in visit.lines[0]) == (without > 0)
    assert visit.figures["Films"] == f"{len(some):,}"
    assert visit.figures["Without genres"] == f"{without:,}"
    assert visit.figures["Genre lists"] == f"{len({film['genre_list'] for film in some} - {None}):,}"
    assert visit.table("cluster_table")["n_movies"].sum() == len(some) - without
    assert visit.go("films").films["movie_id"].tolist() == ids(some)
    assert visit.lines[1] == f"**{len(some):,} of {len(some):,} films**"

    at.button[0].click()
    assert visit.go("overview").settings == Settings()
    assert visit.figures == before
    assert stub_worker.submitted == []
    assert sorted(path.name for path in vector_store.rglob("*")) == stored


@pytest.mark.usefixtures("shipped", "stub_worker")
def test_reset_brings_all_filters_back() -> None:
    query = {"k": "5", "seed": "2", "years": ["1980", "1999"], "language": "French", "country": "France"}
    visit = Visit(query={**query, "genres": "Drama", "match": "none", "reviews": "5"})
    (reset,) = visit.at.sidebar.button
    assert (reset.label, reset.disabled) == ("Reset filters", False)
    assert visit.settings.filters == Filters((1980, 1999), ("French",), ("France",), ("Drama",), "none", 5)
    reset.click()
    visit.run()
    assert visit.settings == Settings(n_clusters=5, random_state=2)
    assert visit.figures["Films"] == "17,472"
    assert visit.at.sidebar.button[0].disabled
    assert visit.at.slider(key="years").value == (1940, 2014)
    assert visit.at.segmented_control(key="match").value == "any"
    assert [box.value for box in visit.at.multiselect] == [[], [], []]
    assert visit.at.number_input(key="reviews").value == 0


@pytest.mark.usefixtures("shipped", "stub_worker")
def test_filters_that_leave_nothing_to_cluster(plain_films: list[Film]) -> None:
    genres = sorted({genre for film in plain_films for genre in film["genres"]})
    nothing = {"years": ["1940", "1941"], "language": "Hindi", "country": "France"}
    for query, left in (
        (nothing, []),
        ({"genres": genres, "match": "none"}, [film for film in plain_films if not film["genres"]]),
    ):
        for page in FILM_PAGES:
            visit = Visit(page, query)
            words = f"**{len(left)} of 17,472 films** pass the filters"
            words += f"; {len(left)} of them name no genre and are in no cluster." if left else "."
            assert visit.lines[0] == words
            assert [warning.value for warning in visit.at.warning] == [NO_CLUSTERS]
            assert not visit.at.get("vega_lite_chart")
            if page == "films":
                assert visit.films["movie_id"].tolist() == ids(left)
                assert visit.lines[1] == f"**{len(left)} of {len(left)} films**"
            else:
                assert not visit.at.dataframe


# Trouble with the catalogue


def make_trouble(folder: Path, what: str) -> Path:
    contents = {
        "empty.parquet": b"",
        "text.parquet": b"title,genres\nNot a Parquet file,Drama\n",
        "bad_year.csv": b"title,genres,year\nFine,Drama,1994\n[x](javascript:1),Drama,**199X**\n",
        "**no_title**.csv": b"rank,genres\n1,Drama\n",
        "odd.csv": b"title,genres\n\x81\x8d,Drame\n",
        "films.txt": b"title,genres\nFine,Drama\n",
    }
    path = folder / what
    if what in contents:
        path.write_bytes(contents[what])
    elif what == "folder.parquet":
        path.mkdir()
    return path


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("missing.parquet", "was not found"),
        ("empty.parquet", "is empty"),
        ("text.parquet", "cannot be read as Parquet"),
        ("bad_year.csv", "row 2, column year: “**199X**” is not a whole number"),
        ("**no_title**.csv", "has no column that looks like titles"),
        ("odd.csv", "neither UTF-8, UTF-16 nor Windows-1252"),
        ("films.txt", "must end in"),
        ("folder.parquet", "no .parquet file is in it"),
        pytest.param(f"{'long' * 100}.parquet", "cannot be read: File name too long", id="too long a name"),
    ],
)
def test_a_catalogue_that_cannot_be_opened(
    elsewhere: Callable[..., None], tmp_path: Path, what: str, says: str
) -> None:
    path = make_trouble(tmp_path, what)
    elsewhere(movies=path)
    for page in FILM_PAGES:
        visit = Visit(page, {"encoder": BASELINE})
        assert visit.at.title[0].value == TROUBLES[0]
        (error,) = visit.at.error
        sentence = unescaped(error.value)
        assert path.name in sentence
        assert says in sentence
        assert error.value == plain(sentence)
        assert str(tmp_path) not in sentence
        assert not visit.at.sidebar.markdown
        assert not visit.at.main.markdown
        assert len(visit.at.caption) == 1


def test_a_catalogue_that_is_put_right(elsewhere: Callable[..., None], tmp_path: Path) -> None:
    path = make_trouble(tmp_path, "bad_year.csv")
    elsewhere(movies=path)
    visit = Visit(query={"encoder": BASELINE})
    assert visit.at.title[0].value == TROUBLES[0]
    path.write_text("title,genres,year\nFine,Drama,1994\nFiner,Comedy,1995\n")
    assert visit.run().figures["Films"] == "2"
    # Any change of the file shows at the next run.
    path.write_text("title,genres,year\nFine,Drama,1994\nFiner,Comedy,1995\nFinest,Drama,1996\n")
    assert visit.run().figures["Films"] == "3"
    path.unlink()
    assert visit.run().at.title[0].value == TROUBLES[0]


def test_the_catalogue_can_be_named_in_the_secrets(elsewhere: Callable[..., None], tmp_path: Path) -> None:
    elsewhere()
    path = write(tmp_path / "films.csv", CATALOGUES["two films"].films)
    app = AppTest.from_string(ENTRY, default_timeout=60)
    app.secrets["GENRESCOPE_MOVIES"] = str(path)
    assert Visit(query={"encoder": BASELINE}, app=app).figures["Films"] == "2"


# Catalogues of few films, few columns, and bad intentions


HOSTILE = {
    "icon": ":material/home:",
    "link": "[x](javascript:1)",
    "address": "https://evil.example/a",
    "www": "WWW.evil.example",
    "mail": "me@evil.example",
    "formula": "$x^2$",
    "bold": "**bold**",
    "code": "`code`",
    "HTML": "<img src=x onerror=alert(1)>",
    "image": "![i](http://evil.example/i.png)",
    "color": ":red[r]",
    "arrow": "a -> b",
    "logo": ":streamlit:",
}


@dataclass(frozen=True)
class Example:
    """A catalogue and what is true of it at k = 12: how many clusters there are, and the sentence that tells why."""

    films: list[dict[str, str]]
    clusters: int
    notice: str | None = None


def films_of(*genres: str, **more: str) -> list[dict[str, str]]:
    return [{"title": f"Film {i}", "genres": text, **more} for i, text in enumerate(genres)]


def instead(clusters: str, lists: str) -> str:
    return f"There {clusters} instead of 12, because these films have only {lists} that the encoder tells apart."


CATALOGUES = {
    "no film": Example([], 0, NO_CLUSTERS),
    "one film": Example(films_of("Drama"), 1, instead("is 1 cluster", "1 genre list")),
    "two films": Example(films_of("Drama", "Comedy"), 2, instead("are 2 clusters", "2 different genre lists")),
    "no genres": Example(films_of("", "", "", year="1990"), 0, NO_CLUSTERS),
    "one genre list": Example(
        [*films_of(*["Drama|War", "War|Drama", " Drama , War "] * 3, year="1990"), {"title": "None", "genres": ""}],
        1,
        instead("is 1 cluster", "1 genre list"),
    ),
    "three genre lists": Example(
        films_of(*["Drama", "War", "Drama|War"] * 5), 3, instead("are 3 clusters", "3 different genre lists")
    ),
    "title and genres only": Example(films_of(*(f"{a}|{b}" for a in "ABCDEFG" for b in "TUVWXYZ"), ""), 12),
    "bad intentions": Example(
        [
            {"title": text, "genres": f"{text}|Drama", "directors": text, "languages": text, "year": "1990"}
            for text in ("=1+1", "@cmd", *HOSTILE.values())
        ],
        12,
    ),
}


def write(path: Path, films: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(films[0]) if films else ["title", "genres"], restval="")
        writer.writeheader()
        writer.writerows(films)
    return path


def genre_list(film: dict[str, str]) -> str:
    return ", ".join(sorted({genre.strip() for genre in film["genres"].replace(",", "|").split("|")} - {""}))


@pytest.mark.parametrize("name", CATALOGUES)
def test_the_data_page_of_another_catalogue(elsewhere: Callable[..., None], tmp_path: Path, name: str) -> None:
    example = CATALOGUES[name]
    elsewhere(movies=write(tmp_path / "films.csv", example.films))
    visit = Visit("data", {"encoder": BASELINE})
    lists = [genre_list(film) for film in example.films]
    assert visit.figures["Films"] == f"{len(lists):,}"
    assert visit.figures["Without genres"] == f"{lists.count(''):,}"
    assert visit.figures["Genre lists"] == f"{len({*lists} - {''}):,}"
    for text in visit.words:
        assert not [hostile for hostile in HOSTILE.values() if hostile in text], text


@pytest.mark.usefixtures("stub_worker")
@pytest.mark.parametrize("name", CATALOGUES)
def test_every_page_of_another_catalogue(elsewhere: Callable[..., None], tmp_path: Path, name: str) -> None:
    example = CATALOGUES[name]
    elsewhere(movies=write(tmp_path / "films.csv", example.films))
    lists = [genre_list(film) for film in example.films]
    n, without = len(lists), lists.count("")
    scope = f"**{n} of {n} films**" + (f"; {without} of them name no genre and are in no cluster" if without else "")

    overview = Visit(query={"encoder": BASELINE})
    for page in FILM_PAGES:
        visit = overview.go(page)
        assert visit.lines[0] == f"{scope}."
        assert [warning.value for warning in visit.at.warning] == ([example.notice] if example.notice else [])
        offered = {getattr(element, "key", None) for element in visit.at.sidebar} - {None}
        columns = {key for film in example.films[:1] for key in film}
        assert ("language" in offered) == ("languages" in columns)
        assert not offered & {"reviews", "country", "years"}
        for text in visit.words:
            assert not [hostile for hostile in HOSTILE.values() if hostile in text], text

    table = visit.go("films").films
    if not example.films:
        assert [info.value for info in visit.at.info] == ["No film matches. Try fewer letters, or take filters away."]
        return
    assert table["title"].tolist() == [film["title"] for film in example.films]
    assert table["movie_id"].tolist() == [str(i + 1) for i in range(n)]
    assert table["cluster"].isna().tolist() == [text == "" for text in lists]
    assert table["cluster"].nunique() == example.clusters
    if not example.clusters:
        for page in ("overview", "cluster"):
            assert not visit.go(page).at.dataframe
            assert not visit.at.metric
        return

    visit.go("overview")
    assert visit.figures["Films"] == str(n)
    assert visit.figures["Without genres"] == str(without)
    assert visit.figures["Genre lists"] == str(len(set(lists) - {""}))
    assert visit.figures["Clusters (k)"] == str(example.clusters)
    assert (visit.figures["Silhouette"] == "not defined") == (example.clusters == 1)
    clusters = visit.table("cluster_table")
    assert len(clusters) == example.clusters
    assert clusters["n_movies"].sum() == n - without
    assert clusters["name"].nunique() == example.clusters
    assert visit.chart("sizes")["n_movies"].tolist() == clusters["n_movies"].tolist()
    assert len(visit.chart("genre_map")) == len(set(lists) - {""}) + example.clusters
    plural = "" if example.clusters == 1 else "s"
    assert f"fall into **{example.clusters} cluster{plural}**" in visit.lines[1]

    seen: list[str] = []
    for row in clusters.itertuples() if name == "bad intentions" else ():
        visit.select("cluster_table", {"rows": [row.cluster], "columns": [], "cells": []})
        assert unescaped(visit.links[0][0]) == f"Open cluster {row.cluster}: {row.name} (measuring)"
        assert not [hostile for hostile in HOSTILE.values() if hostile in visit.links[0][0]]
    for row in clusters.itertuples():
        visit.at.query_params["cluster"] = str(row.cluster)
        visit.go("cluster")
        films = "1 film" if row.n_movies == 1 else f"{row.n_movies} films"
        assert unescaped(visit.lines[1]).startswith(f"**{row.name}** holds {films} (")
        assert not [hostile for text in visit.words for hostile in HOSTILE.values() if hostile in text]
        assert len(visit.films) == row.n_movies
        seen += visit.films["movie_id"].tolist()
    assert sorted(seen) == sorted(str(i + 1) for i, text in enumerate(lists) if text)


def test_downloads_of_bad_intentions(
    elsewhere: Callable[..., None], tmp_path: Path, offered: dict[str, tuple[str, Callable[[], bytes]]]
) -> None:
    films = CATALOGUES["bad intentions"].films
    elsewhere(movies=write(tmp_path / "films.csv", films))
    Visit("films", {"encoder": BASELINE})
    rows = list(csv.DictReader(io.StringIO(offered["genrescope-search.csv"][1]().decode())))
    assert [row["title"] for row in rows][:2] == ["'=1+1", "'@cmd"]
    assert [row["title"] for row in rows][2:] == [film["title"] for film in films[2:]]
    assert [row["directors"] for row in rows][:2] == ["'=1+1", "'@cmd"]
    table = pq.read_table(io.BytesIO(offered["genrescope-search.parquet"][1]()))
    assert table["title"].to_pylist() == [film["title"] for film in films]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_plain_words(text: str) -> None:
    for said in (text, f"a {text}\nb"):
        assert unescaped(plain(said)) == said.replace("\n", " ")
        assert text not in plain(said)
    assert plain("# heading") == "\\# heading"
    assert plain("Film-Noir, Sci-Fi: 12 Monkeys & Co") == "Film\\-Noir, Sci\\-Fi\\: 12 Monkeys \\& Co"


# The wait for vectors


def progress_line(visit: Visit) -> tuple[int, str]:
    (bar,) = visit.at.get("progress")
    return bar.value, bar.text


def test_the_wait_for_vectors(elsewhere: Callable[..., None], stub_worker: StubWorker) -> None:
    elsewhere()
    job = stub_worker.now
    visit = Visit("cluster", {"cluster": "3"})
    for now, done, words in (
        (job, 0, "Loading the model (some seconds). 0 of 1,187 texts are stored."),
        (replace(job, state="queued", position=1), 0, "Waiting: 1 job is before this one."),
        (replace(job, state="queued", position=3), 0, "Waiting: 3 jobs are before this one."),
        (replace(job, state="encoding", done=0), 0, "0 of 1,187 texts encoded."),
        (
            replace(job, state="encoding", done=512, texts_per_second=1234.5, seconds_left=0.2),
            43,
            "512 of 1,187 texts encoded, 1,234 texts a second, about 1 s left.",
        ),
    ):
        stub_worker.now = now
        for page in FILM_PAGES:
            visit.go(page)
            assert visit.at.title[0].value == WAITING
            assert "each of the catalogue's 1,187 different genre lists into a vector" in visit.lines[0]
            assert progress_line(visit) == (done, words)
            assert [button.label for button in visit.at.main.button] == ["Stop"]
            assert not visit.at.metric
            assert not visit.at.dataframe
            assert [line.value for line in visit.at.sidebar.markdown] == ["**17,472 of 17,472 films**"]
    assert set(stub_worker.submitted) == {False}
    # Nobody has to wait for the baseline.
    visit.at.selectbox(key="encoder").set_value(BASELINE)
    n = len(stub_worker.submitted)
    assert visit.go("overview").figures["Films"] == "17,472"
    assert len(stub_worker.submitted) == n


def test_stop_asks_for_nothing_more(elsewhere: Callable[..., None], stub_worker: StubWorker) -> None:
    elsewhere()
    visit = Visit()
    stub_worker.now = replace(stub_worker.now, state="encoding", done=384)
    assert len(stub_worker.submitted) == 1
    # In a browser the click runs the fragment alone; this must not submit the job anew.
    visit.at.main.button[0].click()
    visit.run_fragment()
    assert stub_worker.cancelled == ["job 1"]
    for _ in range(2):
        assert [info.value for info in visit.at.info] == ["Encoding was stopped. 384 of 1,187 texts are done and kept."]
        assert [button.label for button in visit.at.main.button] == ["Go on"]
        assert not visit.at.get("progress")
        assert len(stub_worker.submitted) == 1
        visit.run()
    assert Visit().at.main.button[0].label == "Stop"  # another visitor still wants it
    assert len(stub_worker.submitted) == 2
    visit.at.main.button[0].click()
    visit.run()
    assert [button.label for button in visit.at.main.button] == ["Stop"]
    assert len(stub_worker.submitted) == 3


def test_a_page_that_ends_early_forgets_the_polls_of_the_one_before(
    elsewhere: Callable[..., None], stub_worker: StubWorker
) -> None:
    elsewhere()
    visit = Visit(query={"encoder": BASELINE, "k": "3"})
    (before,) = visit.at._fragment_storage._fragments
    cache._ahead().submit(lambda: None).result(30)  # nothing is left to do when the next test counts
    visit.at.selectbox(key="encoder").set_value(encoders.DEFAULT_ENCODER)
    visit.run()
    assert visit.at.title[0].value == WAITING
    (now,) = visit.at._fragment_storage._fragments
    assert now != before


def test_nobody_ends_a_run_without_forgetting_polls() -> None:
    places = [*(ROOT / "pages").glob("*.py"), *(ROOT / "core").rglob("*.py"), ROOT / "streamlit_app.py"]
    assert [path.name for path in places if "st.stop()" in path.read_text()] == ["ending.py"]


def test_a_failed_job(elsewhere: Callable[..., None], stub_worker: StubWorker) -> None:
    elsewhere()
    message = "The weights of [x](javascript:1) **changed**: `abc` is not what was pinned."
    stub_worker.now = replace(stub_worker.now, state="failed", message=message)
    visit = Visit()
    (error,) = visit.at.error
    assert (error.value, unescaped(error.value)) == (plain(message), message)
    assert [button.label for button in visit.at.main.button] == ["Try again"]
    assert not visit.at.get("progress")
    visit.run()
    assert set(stub_worker.submitted) == {False}
    n = len(stub_worker.submitted)
    visit.at.main.button[0].click()
    stub_worker.now = replace(stub_worker.now, state="queued", message=None)
    visit.run()
    assert stub_worker.submitted[n:] == [True, False]
    assert not visit.at.error
    assert progress_line(visit)[1].startswith("Loading the model")


def until_done(visit: Visit, seconds: float = 120) -> list[str]:
    """Run until the page is no longer waiting; return what the bar said meanwhile."""
    said, limit = [], time.monotonic() + seconds
    while visit.at.title[0].value == WAITING:
        assert time.monotonic() < limit, said
        assert not visit.at.error
        said.append(progress_line(visit)[1])
        time.sleep(0.5)  # as often as the browser asks
        visit.run()
    return said


@pytest.fixture
def real_worker(elsewhere: Callable[..., None]) -> Iterator[Callable[[], Worker]]:
    """The app's own worker, which is closed at the end."""
    yield cache.worker
    cache.worker().close()


def test_stop_and_go_on_for_real(
    elsewhere: Callable[..., None], real_worker: Callable[[], Worker], tmp_path: Path
) -> None:
    elsewhere(vectors=tmp_path / "vectors")
    visit = Visit()
    assert progress_line(visit)[1] == "Loading the model (some seconds). 0 of 1,187 texts are stored."
    (job,) = real_worker()._jobs.values()
    visit.at.main.button[0].click()
    visit.run_fragment()
    for _ in range(3):
        assert visit.at.info[0].value == "Encoding was stopped. 0 of 1,187 texts are done and kept."
        assert list(real_worker()._jobs.values()) == [job]
        assert job.cancelled
        visit.run()
    visit.at.main.button[0].click()
    visit.run()
    assert progress_line(visit)[1].startswith(("Waiting: 1 job is before this one.", "Loading"))
    assert len(real_worker()._jobs) == 2


def test_a_real_job(
    elsewhere: Callable[..., None],
    real_worker: Callable[[], Worker],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    vector_store: Path,
) -> None:
    folder, path = tmp_path / "vectors", tmp_path / "some.parquet"
    pq.write_table(pq.read_table(ROOT / "data" / "movies.parquet").slice(0, 1000), path)
    catalogue = movies.open_catalogue(path)
    n = len(catalogue.genre_lists)
    assert 128 < n < 512
    vectors = VectorStore(vector_store).load(encoders.key(MINILM), catalogue.genre_lists)
    space = clustering.space(embeddings.post_process(vectors, MINILM), catalogue.weights())
    found = analysis.analyse(catalogue, space, 12).clustering

    elsewhere(movies=path, vectors=folder)
    visit = Visit("cluster", {"cluster": "2", "order": "Most typical"})
    said = until_done(visit)
    assert said[0] == f"Loading the model (some seconds). 0 of {n} texts are stored."
    facts = VectorStore(folder).facts(encoders.key(MINILM))
    assert (facts["texts"], facts["encoder"], facts["dtype"]) == (str(n), MINILM.id, "float32")
    # The page that was asked for, as it was asked for.
    assert visit.at.title[0].value == TITLES["cluster"]
    assert sorted(visit.films["movie_id"]) == sorted(catalogue.films(found.labels, cluster=2)["movie_id"])
    assert visit.at.segmented_control(key="order").value == "Most typical"
    assert visit.films["distance"].is_monotonic_increasing
    # For the next visitor nothing is encoded.
    jobs = list(real_worker()._jobs)
    visit = Visit()
    assert visit.table("cluster_table")["n_movies"].tolist() == found.sizes.tolist()
    assert list(real_worker()._jobs) == jobs
    assert not visit.at.sidebar.caption

    # The folder goes away and cannot be made again: the vectors stay in memory, and every page says so.
    shutil.rmtree(folder)
    folder.write_text("not a folder")
    monkeypatch.setenv("GENRESCOPE_MOVIES", str(write(tmp_path / "two.csv", CATALOGUES["two films"].films)))
    visit.run()
    assert visit.at.title[0].value == WAITING
    until_done(visit)
    assert visit.table("cluster_table")["n_movies"].tolist() == [1, 1]
    for page in FILM_PAGES:
        assert [caption.value for caption in visit.go(page).at.sidebar.caption] == [
            "The folder for vectors cannot be written, so they stay in memory and are made anew at the next start."
        ]
    assert folder.read_text() == "not a folder"
    visit.at.selectbox(key="encoder").set_value(BASELINE)
    assert not visit.run().at.sidebar.caption


@pytest.mark.usefixtures("shipped", "stub_worker")
def test_a_question_that_takes_too_long_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_long(*_: object, **__: object) -> None:
        raise movies.CatalogueError("The catalogue took more than 20 seconds to answer and was stopped.")

    monkeypatch.setattr(movies.Catalogue, "films", too_long)
    visit = Visit("films", {"encoder": BASELINE})
    assert [error.value for error in visit.at.error] == [
        "The catalogue took more than 20 seconds to answer and was stopped\\."
    ]


def test_neighbours_of_k_are_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a page the clusterings of the next k up and down are there, and only those of the latest visitor."""
    prepared: list[int] = []
    real = analysis.analyse

    def noted(*arguments: Any, **named: Any) -> Analysis:
        prepared.append(arguments[2])
        return real(*arguments, **named)

    monkeypatch.setattr(analysis, "analyse", noted)
    visit = Visit(query={"encoder": BASELINE, "k": "2"})
    cache._ahead().submit(lambda: None).result(30)  # it waits behind the wishes
    assert prepared == [2, 3, 4]
    visit.at.sidebar.slider(key="k").set_value(4)
    visit.run()
    cache._ahead().submit(lambda: None).result(30)
    assert prepared == [2, 3, 4, 5, 6]
    assert all(wish.exception() is None for wish in cache._wishes)


def test_the_next_k_waits_until_the_first_page_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute is not over when the test is; a move of the slider has no need to wait for it."""
    monkeypatch.setattr(cache, "BUILDING_SECONDS", 60.0)
    prepared: list[int] = []
    monkeypatch.setattr(cache, "tables", lambda catalogue, settings, layout: prepared.append(settings.n_clusters))
    catalogue, settings = movies.open_catalogue(), Settings(encoder=BASELINE, n_clusters=5)
    cache.look_ahead(catalogue, settings, after=cache.BUILDING_SECONDS)
    assert not cache._wishes[0].done()
    cache.look_ahead(catalogue, replace(settings, n_clusters=9))
    cache._ahead().submit(int).result(30)
    assert prepared == [10, 8, 11, 7]


@pytest.mark.usefixtures("shipped")
def test_only_the_first_page_of_a_visit_takes_a_browser_long_to_build(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(cache, "BUILDING_SECONDS", 60.0)
    monkeypatch.setattr(cache, "look_ahead", lambda catalogue, settings, layout, after: waits.append(after))
    visit = Visit(query={"encoder": BASELINE, "k": "5"})
    visit.run()
    assert waits == [60.0, 0.0]
