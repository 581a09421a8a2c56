"""The Data page: a file becomes films in use, nobody else sees them, and they go without a trace."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import streamlit as st
from streamlit.runtime.caching import cache_data_api, cache_resource_api

from core import cache, movies, sources
from core.controls import upload
from core.recipes import Settings
from core.uploads import OwnFilms
from tests.app.conftest import BASELINE, Film, Visit

pytestmark = pytest.mark.usefixtures("shipped")

MOVIELENS = (
    "movieId,title,genres\n1,Toy Story (1995),Adventure|Animation|Children\n2,Jumanji (1995),Adventure|Children\n"
    '3,"American President, The (1995)",Comedy|Drama\n4,NA (2001),Sci-Fi\n5,1984 (1984),Sci-Fi|Science Fiction\n'
    "6,#Alive (2020),(no genres listed)\n6,Again (2020),Drama\n7,Nix,Drama\n"
)
IMDB = (
    "tconst\ttitleType\tprimaryTitle\toriginalTitle\tisAdult\tstartYear\tendYear\truntimeMinutes\tgenres\n"
    "tt1\tmovie\tOne\tOne\t0\t1999\t\\N\t100\tDrama,War\ntt2\tshort\tTwo\tTwo\t0\t2000\t\\N\t10\tComedy\n"
    'tt3\tmovie\t"Three"\tThree\t0\t\\N\t\\N\t\\N\t\\N\n'
)


def bring(content: str | bytes, name: str = "movies.csv", visit: Visit | None = None) -> Visit:
    visit = visit or Visit("data", {"encoder": BASELINE, "k": "2"})
    visit.at.file_uploader[0].upload(name, content if isinstance(content, bytes) else content.encode())
    return visit.run()


def use(visit: Visit) -> Visit:
    visit.at.button(key="use_own").click()
    return visit.run()


def own(visit: Visit) -> OwnFilms:
    return visit.at.session_state["own_films"]


def test_a_file_is_recognised_shown_and_used() -> None:
    visit = bring(MOVIELENS)
    assert "**movies\\.csv** is CSV \\(comma between cells\\), UTF\\-8: 8 rows." in visit.lines
    assert "Recognised as **MovieLens movies**. Correct what is wrong." in visit.lines
    expected = {
        **{"Rows in the file": "8", "Films to use": "7", "Different genre lists": "6", "Films without genres": "1"},
        **{"Repeated ids": "1", "Unparsed years": "1", "Other kinds": "0"},
    }
    assert {name: visit.figures[name] for name in expected} == expected
    preview = visit.alt("as they were understood")
    assert preview["title"].tolist() == [
        *("Toy Story", "Jumanji", "American President, The", "NA", "1984", "#Alive", "Nix"),
    ]
    assert preview["year"].tolist()[:6] == [1995, 1995, 1995, 2001, 1984, 2020]
    problems = visit.alt("Problems of the file")
    assert problems[["row", "column", "value"]].to_numpy().tolist() == [[7, "movie_id", "6"], [8, "year", "Nix"]]
    assert cache.own_films() is None
    use(visit)
    assert visit.lines[0] == "In use: **Your file movies\\.csv: 7 films**."
    visit.go("films")
    assert visit.films["title"].tolist() == preview["title"].tolist()
    assert [line.value for line in visit.at.sidebar.markdown] == ["**7 of 7 films**"]
    (link,) = visit.at.sidebar.get("page_link")
    assert link.value == "Your file movies\\.csv: 7 films"


def test_genres_are_merged_only_when_ticked(monkeypatch: pytest.MonkeyPatch) -> None:
    visit = bring(MOVIELENS)
    assert visit.figures["Different genre lists"] == "6"
    assert [e.label for e in visit.at.expander if e.label.startswith("Merge")] == ["Merge genres (1 suggestion)"]
    edit = st.data_editor

    def ticked(rows: pd.DataFrame, **options: object) -> pd.DataFrame:  # AppTest cannot edit tables
        edit(rows, **options)
        assert rows[["merge", "genre", "films", "becomes"]].to_numpy().tolist() == [
            [False, "Science Fiction", 1, "Sci-Fi"]
        ]
        return rows.assign(merge=True)

    monkeypatch.setattr(st, "data_editor", ticked)
    visit.run()
    assert visit.figures["Different genre lists"] == "5"
    assert own(use(visit)).catalogue.genre_lists[-1] == "Sci-Fi"


@pytest.mark.parametrize("page", ["overview", "cluster", "films", "trends", "choose", "compare", "encoders", "data"])
def test_every_page_shows_ones_own_films(page: str) -> None:
    visit = use(bring(IMDB, "title.basics.tsv"))
    visit.go(page)
    (link,) = visit.at.sidebar.get("page_link")
    assert link.value == "Your file title\\.basics\\.tsv: 2 films"
    assert [line.value for line in visit.at.sidebar.markdown] == ["**2 of 2 films**"]


def test_filters_of_one_catalogue_do_not_break_the_other() -> None:
    visit = Visit("data", {"encoder": BASELINE, "genres": "Musical", "years": ["1950", "1960"], "language": "Finnish"})
    assert visit.settings.filters.genres == ("Musical",)
    use(bring(MOVIELENS, visit=visit))
    assert visit.settings.filters == movies.NO_FILTERS
    for page in ("overview", "cluster", "films", "trends"):
        assert [line.value for line in visit.go(page).at.sidebar.markdown] == ["**7 of 7 films**"]
    visit.at.sidebar.multiselect(key="genres").set_value(["Children"])
    visit.run()
    visit.at.sidebar.button[0].click()
    visit.run()
    assert visit.settings.filters == movies.NO_FILTERS
    assert [line.value for line in visit.at.sidebar.markdown] == ["**17,472 of 17,472 films**"]
    visit.go("data").at.button(key="to_own").click()
    visit.run()
    assert [line.value for line in visit.at.sidebar.markdown] == ["**7 of 7 films**"]


def test_nobody_else_sees_an_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the films, nor what was computed from them, though the fingerprint is known to all."""
    session = ["one"]
    for module in (cache_data_api, cache_resource_api):  # AppTest has one session for all visits
        monkeypatch.setattr(module, "get_session_id_or_throw", lambda: session[0])
    calls: list[str] = []
    real = cache.analysis_module.analyse

    def noted(catalogue: movies.Catalogue, *rest: object) -> object:
        calls.append(catalogue.fingerprint)
        return real(catalogue, *rest)

    monkeypatch.setattr(cache.analysis_module, "analyse", noted)
    visit = use(bring(MOVIELENS)).go("overview")
    theirs = own(visit).catalogue
    assert calls.count(theirs.fingerprint) == 1
    session[0] = "two"
    stranger = Visit("overview", {"encoder": BASELINE, "k": "2"})
    assert stranger.at.sidebar.markdown[0].value == "**17,472 of 17,472 films**"
    # The same file in another session has the same fingerprint, and is computed anew.
    other = use(bring(MOVIELENS)).go("overview")
    assert own(other).catalogue.fingerprint == theirs.fingerprint
    assert own(other).catalogue.key != theirs.key
    assert calls.count(theirs.fingerprint) == 2
    other.run()
    session[0] = "one"
    visit.run()
    assert calls.count(theirs.fingerprint) == 2  # in each session it is kept
    cache_data_api.clear_session_cache("one")
    cache_resource_api.clear_session_cache("one")  # as Streamlit does when a session ends
    visit.run()
    assert calls.count(theirs.fingerprint) == 3


def test_an_upload_goes_at_a_press_of_the_button() -> None:
    visit = use(bring(MOVIELENS))
    visit.go("overview").go("data")
    films = weakref.ref(own(visit))
    connection = own(visit).catalogue.connection
    cache.background().ask(("stability", own(visit).catalogue.key, 1), lambda *_: 1, "me")
    key = own(visit).catalogue.key
    visit.at.button(key="remove_own").click()
    visit.run()
    gc.collect()
    assert films() is None
    with pytest.raises(Exception, match=r"[Cc]losed"):
        connection.execute("SELECT 1")
    assert cache.background().look(("stability", key, 1)) is None
    assert not [name for name in ("own_films", "upload_raw", "upload_films") if name in visit.at.session_state]
    assert visit.lines[0] == "In use: **The films of this server**."
    assert not visit.at.file_uploader[0].value


def test_an_upload_goes_with_its_session() -> None:
    visit = use(bring(MOVIELENS))
    connection, films = own(visit).catalogue.connection, weakref.ref(own(visit))
    del visit.at.session_state["own_films"]
    gc.collect()
    assert films() is None
    with pytest.raises(Exception, match=r"[Cc]losed"):
        connection.execute("SELECT 1")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", "title,genres\n", "no rows"),
        ("a.csv", b"PK\x03\x04rest", "Excel"),
        ("a.csv", "title,title,genres\nA,B,C\n", "more than once"),
        ("a.csv", 'title,genres\n"A,War\n', "never closed"),
        ("a.csv", "title,genres\nA,War\nB\nC,War,x\n", "line 3 has 1 cell instead of 2; line 4 has 3 cells"),
        ("a.json", "[" * 9999, "nested too deeply"),
        ("a.parquet", b"PAR1rest", "cannot be read as Parquet"),
    ],
)
def test_a_broken_file_is_explained_and_nothing_of_it_stays(name: str, content: str | bytes, words: str) -> None:
    visit = bring(content, name)
    (error,) = visit.at.error
    assert words in error.value.replace("\\", "")
    assert "upload_raw" not in visit.at.session_state
    assert visit.at.sidebar.markdown[0].value == "**17,472 of 17,472 films**"


def test_ragged_rows_are_left_out_on_request() -> None:
    visit = bring("title,genres\nA,War\nB\nC,Drama\n")
    assert visit.at.error
    next(toggle for toggle in visit.at.toggle if toggle.label == "Leave out rows that do not fit").set_value(True)
    visit.run()
    assert not visit.at.error
    assert "1 row with more or fewer cells than columns left out; see the problems below." in [
        warning.value for warning in visit.at.warning
    ]
    assert use(visit).lines[0] == "In use: **Your file movies\\.csv: 2 films**."


def test_a_file_without_titles_asks_for_the_column() -> None:
    visit = bring("rank,colour,genre\n1,red,War|Drama\n2,red,War\n3,red,Drama\n4,red,War|Drama\n")
    assert [info.value for info in visit.at.info] == ["Choose the column that holds the titles."]
    column = next(box for box in visit.at.selectbox if box.label == "Title")
    column.set_value("rank")
    visit.run()
    assert use(visit).lines[0].endswith("4 films**.")


def test_limits_are_shown_before_and_when_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRESCOPE_MAX_ROWS", "3")
    monkeypatch.setenv("GENRESCOPE_MAX_DOCUMENTS", "2")
    visit = Visit("data", {"encoder": BASELINE})
    assert any("the first 3 rows" in caption.value for caption in visit.at.caption)
    bring(MOVIELENS, visit=visit)
    assert [warning.value for warning in visit.at.warning] == ["Only the first 3 of 8 rows are read."]
    assert "have 3 different genre lists, and this server encodes at most 2" in visit.at.error[0].value
    assert not [button for button in visit.at.button if button.key == "use_own"]
    monkeypatch.setenv("GENRESCOPE_MAX_ROWS", "many")
    assert "GENRESCOPE\\_MAX\\_ROWS" in Visit("data", {"encoder": BASELINE}).at.error[0].value


def test_uploads_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRESCOPE_UPLOADS", "off")
    visit = Visit("data", {"encoder": BASELINE})
    assert [each.key for each in visit.at.file_uploader] == ["recipe_file"]  # which has no films
    assert [info.value for info in visit.at.info] == ["Uploads are switched off on this server."]


def test_the_health_of_the_catalogue(plain_films: list[Film]) -> None:
    visit = Visit("data", {"encoder": BASELINE})
    missing = visit.chart("missing_values").set_index("column")
    assert missing.loc["genres", "n_missing"] == sum(not film["genres"] for film in plain_films) == 443
    assert missing.loc["year", "n_missing"] == sum(film["year"] is None for film in plain_films)
    assert missing.loc["cast", "n_missing"] == sum(not film["cast"] for film in plain_films)
    genres = visit.chart("genre_frequencies").set_index("genre")
    assert genres.loc["Musical", "n_movies"] == sum("Musical" in film["genres"] for film in plain_films)
    assert genres.loc["Musical", "n_alone"] == sum({*film["genres"]} == {"Musical"} for film in plain_films)
    pairs = visit.chart("co_occurrence").set_index(["genre", "other"])
    first, second = genres.index[:2]
    both = sum({first, second} <= {*film["genres"]} for film in plain_films)
    assert pairs.loc[(first, second), "n_movies"] == both == pairs.loc[(second, first), "n_movies"]
    assert pairs.loc[(first, second), "share"] == pytest.approx(both / genres.loc[first, "n_movies"])
    years = visit.chart("films_by_year").set_index("year")
    assert years.loc[1994, "n_movies"] == sum(film["year"] == 1994 for film in plain_films)


@pytest.mark.parametrize(
    ("chart", "point", "fits"),
    [
        ("missing_values", {"column": "genres"}, lambda film: not film["genres"]),
        ("genre_frequencies", {"genre": "Musical"}, lambda film: "Musical" in film["genres"]),
        ("co_occurrence", {"genre": "Drama", "other": "War"}, lambda film: {"Drama", "War"} <= {*film["genres"]}),
        ("films_by_year", {"year": 1994}, lambda film: film["year"] == 1994),
    ],
)
def test_every_mark_leads_to_its_films(
    chart: str, point: dict[str, object], fits: Callable[[Film], bool], plain_films: list[Film]
) -> None:
    known = Visit("data", {"encoder": BASELINE}).chart(chart)
    if chart == "co_occurrence" and not ((known["genre"] == "Drama") & (known["other"] == "War")).any():
        point = {"genre": known["genre"].iloc[0], "other": known["other"].iloc[0]}
        fits = lambda film: {*point.values()} <= {*film["genres"]}  # noqa: E731
    visit = Visit("data", {"encoder": BASELINE}).select(chart, {"pick": [point]})
    assert {*visit.films["movie_id"]} == {film["movie_id"] for film in plain_films if fits(film)}
    assert not visit.select(chart, {"pick": []}).films.size


def test_stale_points_do_no_harm() -> None:
    visit = Visit("data", {"encoder": BASELINE}).select("missing_values", {"pick": [{"column": '"; DROP TABLE'}]})
    assert len(visit.films) == 0


def test_nothing_of_an_upload_is_in_the_shared_caches() -> None:
    """Every cached function of films goes through `_of_films`, which keeps an upload's in the session."""
    source = Path(cache.__file__).read_text(encoding="utf-8")
    for function in source.split("\n@")[1:]:
        if "(_catalogue: Catalogue" in function.replace("(\n    _catalogue", "(_catalogue"):
            assert function.startswith("_of_films("), function[:200]


def test_what_encoding_an_upload_takes_is_told_as_it_was_measured_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def line(facts: dict[str, str], missing: int) -> str:
        """What the page says, with a store that knows so much and lacks so many vectors of the six lists."""
        stub = SimpleNamespace(facts=lambda key: facts, missing=lambda key, texts: [*texts][:missing])
        monkeypatch.setattr(upload.cache, "store", lambda: stub)
        return upload._encoding_line(films)

    raw = sources.read_file("movies.csv", MOVIELENS.encode(), sources.UPLOAD_LIMITS)
    films = sources.apply(raw, sources.recognise(raw.table))
    monkeypatch.setattr(upload.st, "session_state", {"settings": Settings()})
    known = {"seconds": "2", "texts": "8"}
    assert "6 genre lists are to be encoded" in line({}, 6)
    assert "how long that takes is not known" in line({}, 6)
    assert line(known, 0).startswith("All their genre lists have vectors of ")
    assert "4 of 6 genre lists have no vector of " in line(known, 4)
    assert "about 1 s at 4 texts a second, as measured here" in line(known, 4)
    assert "about 2 s at 4 texts a second" in line(known, 6)
