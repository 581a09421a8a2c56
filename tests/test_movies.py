import dataclasses
import gc
import itertools
import json
import random
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from core import movies, sources
from core.movies import Catalogue, CatalogueError, Counts, Filters

Film = dict[str, Any]
IntArray = NDArray[np.int64]

# Each filter alone, at its edges, and some together; more are drawn by lot below.
FILTERS = [
    Filters(),
    Filters(years=(1990, 1999)),
    Filters(years=(1984, 1984)),
    Filters(years=(2014, 3000)),
    Filters(years=(1999, 1990)),
    Filters(languages=("French",)),
    Filters(languages=("French", "Japanese", "no such language")),
    Filters(countries=("Norway", "Sweden")),
    Filters(genres=("Horror", "War")),
    Filters(genres=("Horror", "War"), genre_mode="all"),
    Filters(genres=("Drama",), genre_mode="all"),
    Filters(genres=("Horror", "Drama"), genre_mode="none"),
    Filters(genres=("no such genre",)),
    Filters(genres=("no such genre",), genre_mode="none"),
    Filters(min_reviews=1),
    Filters(min_reviews=100),
    Filters(years=(1970, 2000), languages=("English",), countries=("Canada",), genres=("Comedy",), min_reviews=20),
    Filters(years=(1970, 2000), genres=("Comedy", "Romance"), genre_mode="all", min_reviews=10),
]


def drawn_filters(seed: int) -> Filters:
    lot = random.Random(seed)
    genres = ["Drama", "Comedy", "Action", "Thriller", "Romance", "Horror", "Documentary", "Animation", "Western"]
    first = lot.randint(1940, 2014)
    return Filters(
        years=lot.choice([None, (first, first + lot.randint(0, 40))]),
        languages=tuple(lot.sample(["English", "French", "German", "Spanish", "Hindi"], lot.randint(0, 3))),
        countries=tuple(lot.sample(["USA", "France", "UK", "Germany", "India"], lot.randint(0, 3))),
        genres=tuple(lot.sample(genres, lot.randint(0, 3))),
        genre_mode=lot.choice(["any", "all", "none"]),
        min_reviews=lot.choice([0, 0, 5, 50]),
    )


ALL_FILTERS = [*FILTERS, *map(drawn_filters, range(30))]


def passes(film: Film, filters: Filters) -> bool:
    """Tell in plain Python whether a film counts."""
    if filters.years is not None:
        first, last = filters.years
        if film["year"] is None or not first <= film["year"] <= last:
            return False
    if filters.languages and not {*filters.languages} & {*film["languages"]}:
        return False
    if filters.countries and not {*filters.countries} & {*film["countries"]}:
        return False
    if filters.genres:
        shared = {*filters.genres} & {*film["genres"]}
        good = {"any": bool(shared), "all": shared == {*filters.genres}, "none": not shared}
        if not good[filters.genre_mode]:
            return False
    return filters.min_reviews <= 0 or (film["reviews"] is not None and film["reviews"] >= filters.min_reviews)


@pytest.fixture(scope="module")
def labels(catalogue: Catalogue) -> IntArray:
    """Seven clusters by lot: what they are makes no difference to SQL. A tenth of the lists is in none."""
    lot = np.random.default_rng(3)
    drawn = lot.integers(7, size=len(catalogue.genre_lists))
    drawn[lot.random(len(drawn)) < 0.1] = -1
    return drawn


@pytest.fixture(scope="module")
def cluster_of(catalogue: Catalogue, labels: IntArray) -> Callable[[Film], int]:
    by_list = dict(zip(catalogue.genre_lists, labels.tolist(), strict=True))
    return lambda film: by_list.get(film["genre_list"], -1)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Callable[[list[Film]], Catalogue]]:
    """A way to open films of one's own."""
    opened: list[Catalogue] = []

    def open_films(films: list[Film]) -> Catalogue:
        path = tmp_path / f"films{len(opened)}.parquet"
        pq.write_table(pa.Table.from_pylist(films), path)
        opened.append(movies.open_catalogue(path))
        return opened[-1]

    yield open_films
    for catalogue in opened:
        catalogue.connection.close()


def same_number(found: Any, expected: float | None) -> bool:
    return bool(pd.isna(found)) if expected is None else found == pytest.approx(expected, rel=1e-12)


# Other texts


def pairs_of(films: list[Film], text: Callable[[Film], str]) -> dict[tuple[str, str], list[Film]]:
    """Return the films of each document in plain Python: a text, trimmed, and a genre list; none without a text."""
    found: dict[tuple[str, str], list[Film]] = {}
    for film in films:
        if said := text(film).strip(" \t\n\r\xa0"):
            found.setdefault((said, film["genre_list"] or ""), []).append(film)
    return dict(sorted(found.items()))


TEXTS: dict[str, Callable[[Film], str]] = {
    "title": lambda film: film["title"],
    "certificate": lambda film: film["certificate"] or "",
    "title and genres": lambda film: ": ".join(filter(None, (film["title"], film["genre_list"]))),
}


@pytest.mark.parametrize("text", TEXTS)
def test_documents_of_another_text_are_its_texts_with_their_genres(
    catalogue: Catalogue, plain_films: list[Film], text: str
) -> None:
    expected = pairs_of(plain_films, TEXTS[text])
    read = catalogue.by(text)
    assert list(zip(read.texts, read.genre_lists, strict=True)) == list(expected)
    assert read.weights().tolist() == [len(films) for films in expected.values()]
    some = Filters(years=(1980, 1999), genres=("Drama",))
    assert read.weights(some).tolist() == [sum(passes(film, some) for film in films) for films in expected.values()]
    clustered = sum(map(len, expected.values()))
    assert read.counts() == movies.Counts(17_472, 17_472 - clustered)
    row = {film["movie_id"]: i for i, films in enumerate(expected.values()) for film in films}
    found = read.rows()
    for movie_id, list_id in zip(found["movie_id"].to_pylist(), found["list_id"].to_pylist(), strict=True):
        assert list_id == row.get(movie_id)


def test_every_question_is_answered_by_the_text_that_was_asked_for(catalogue: Catalogue) -> None:
    read = catalogue.by("certificate")
    clusters = np.arange(len(read.texts)) % 3
    per_cluster = [int(read.weights()[clusters == i].sum()) for i in range(3)]
    assert read.cluster_measures(clusters)["n_movies"].tolist() == per_cluster
    assert len(read.films(clusters, cluster=1)) == per_cluster[1]
    spread = read.spread(clusters, 2).set_index(["measure", "whose"])
    assert spread.loc[("year", "cluster"), "n_movies"] == per_cluster[2]
    years = read.years_by_cluster(clusters)
    assert years.groupby("cluster")["n_cluster"].sum().tolist() == per_cluster
    assert read.contrast_totals(clusters, 0, 1).loc["films", ["n_a", "n_b"]].tolist() == per_cluster[:2]
    assert catalogue.counts().without_genres == 443  # the catalogue itself is what it was


def test_a_catalogue_goes_back_to_its_genres_and_knows_no_other_text(catalogue: Catalogue) -> None:
    back = catalogue.by("title").by("certificate").by("genres")
    assert back.genre_lists == back.texts == catalogue.genre_lists
    assert back.counts() == catalogue.counts()
    assert catalogue.by("genres") is catalogue
    for name in ("plot", "movie_id", "movies; DROP TABLE movies"):
        with pytest.raises(ValueError, match="is not one of genres, title and genres, title, certificate"):
            catalogue.by(name)


def test_many_may_read_a_catalogue_by_another_text_at_once(small: Callable[[list[Film]], Catalogue]) -> None:
    catalogue = small([{"title": f"Film {i % 7}", "genres": ["Drama"]} for i in range(70)])
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda _: catalogue.by("title"), range(16)))
    assert all(each.texts == tuple(f"Film {i}" for i in range(7)) for each in read)


# Opening


def test_the_shipped_catalogue(catalogue: Catalogue, plain_films: list[Film]) -> None:
    assert catalogue.n_movies == len(plain_films) == 17_472
    assert catalogue.genre_lists == tuple(sorted({film["genre_list"] for film in plain_films} - {None}))
    assert len(catalogue.genre_lists) == 1187
    assert catalogue.columns == frozenset(sources.COLUMNS)
    assert catalogue.name == "movies.parquet"
    assert catalogue.fingerprint == sources.fingerprint(movies.SHIPPED)


def test_a_catalogue_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(sources.SourceError, match=r"nowhere\.parquet was not found"):
        movies.open_catalogue(tmp_path / "nowhere.parquet")


def test_a_catalogue_without_films(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("title,genres\n")
    catalogue = movies.open_catalogue(path)
    assert (catalogue.n_movies, catalogue.genre_lists) == (0, ())
    assert catalogue.counts() == Counts(0, 0)
    assert catalogue.weights().tolist() == []
    assert catalogue.options() == movies.Options(None, {}, {}, {}, 0)
    assert catalogue.films().empty
    assert catalogue.rows().num_rows == 0
    assert catalogue.cluster_measures(np.zeros(0, dtype=np.int64)).empty
    catalogue.connection.close()


def test_the_least_that_a_catalogue_can_have(small: Callable[[list[Film]], Catalogue]) -> None:
    catalogue = small([{"title": "A", "genres": ["War"]}, {"title": "B", "genres": []}])
    labels = np.array([0])
    assert catalogue.columns == {"title", "genres"}
    assert catalogue.counts() == Counts(movies=2, without_genres=1)
    assert catalogue.counts().clustered == 1
    assert catalogue.options() == movies.Options(None, {}, {}, {"War": 1}, 0)
    assert catalogue.counts(Filters(languages=("English",))) == Counts(0, 0)
    assert catalogue.counts(Filters(years=(0, 3000))) == Counts(0, 0)
    assert catalogue.counts(Filters(min_reviews=1)) == Counts(0, 0)
    films = catalogue.films()
    assert films["title"].tolist() == ["A", "B"]
    assert films["genres"].tolist() == ["War", ""]
    assert films["directors"].isna().all()
    assert catalogue.films(search="a")["title"].tolist() == ["A"]
    assert catalogue.years(labels, 0).empty
    assert catalogue.shares("directors", labels, 0)[1:] == (0, 0)
    measures = catalogue.cluster_measures(labels)
    assert measures["n_movies"].tolist() == [1]
    assert measures["n_year"].tolist() == [0]
    assert measures["median_year"].isna().all()


# Closed to the outside


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT * FROM '{folder}/other.csv'", duckdb.PermissionException),
        ("SELECT * FROM read_csv('{folder}/other.csv')", duckdb.PermissionException),
        ("SELECT * FROM read_text('{folder}/other.csv')", duckdb.PermissionException),
        ("SELECT * FROM read_parquet('{folder}/other.parquet')", duckdb.PermissionException),
        ("SELECT * FROM glob('{folder}/*')", duckdb.PermissionException),
        ("ATTACH '{folder}/other.duckdb' AS other", duckdb.PermissionException),
        ("COPY movies TO '{folder}/out.csv'", duckdb.PermissionException),
        ("COPY movies FROM '{folder}/other.csv'", duckdb.PermissionException),
        ("EXPORT DATABASE '{folder}/out'", duckdb.PermissionException),
        ("INSTALL httpfs", duckdb.Error),
        ("LOAD httpfs", duckdb.Error),
        ("INSTALL httpfs FROM community", duckdb.Error),
        ("SET enable_external_access = true", duckdb.InvalidInputException),
        ("SET GLOBAL enable_external_access = true", duckdb.InvalidInputException),
        ("SET lock_configuration = false", duckdb.InvalidInputException),
        ("RESET lock_configuration", duckdb.InvalidInputException),
        ("SET autoinstall_known_extensions = true", duckdb.InvalidInputException),
        ("SET temp_directory = '{folder}'", duckdb.InvalidInputException),
        ("SET threads = 8", duckdb.InvalidInputException),
        ("PRAGMA memory_limit = '8GB'", duckdb.InvalidInputException),
    ],
)
def test_an_open_catalogue_is_closed_to_the_outside(
    small: Callable[[list[Film]], Catalogue], tmp_path: Path, statement: str, error: type[Exception]
) -> None:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "other.csv").write_text("title,genres\nsecret,War\n")
    pq.write_table(pa.table({"title": ["secret"]}), folder / "other.parquet")
    duckdb.connect(str(folder / "other.duckdb")).close()
    there = sorted(folder.iterdir())
    catalogue = small([{"title": "A", "genres": ["War"]}])
    sql = statement.format(folder=folder)
    for connection in (catalogue.connection, catalogue.connection.cursor()):
        with pytest.raises(error):
            connection.execute(sql).fetchall()
    assert sorted(folder.iterdir()) == there
    assert catalogue.counts() == Counts(1, 0)


def test_the_statements_above_work_on_a_database_that_is_not_closed(tmp_path: Path) -> None:
    # else the test above would prove nothing
    (tmp_path / "other.csv").write_text("title,genres\nsecret,War\n")
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT * FROM '{tmp_path}/other.csv'").fetchall() == [("secret", "War")]
        connection.execute(f"ATTACH '{tmp_path}/other.duckdb' AS other")
        connection.execute(f"COPY (SELECT 1) TO '{tmp_path}/out.csv'")
        connection.execute("SET threads = 1")
        connection.execute("SET enable_external_access = false")


HOSTILE = [
    *(
        "'",
        '"',
        "''",
        "%",
        "_",
        "\\",
        "%%",
        "a%b",
        "a_b",
        ".*",
        "[a]",
        "(",
        "?",
        "$1",
        ":x",
        "{}",
        "--",
        "/*",
        ";",
        "\t",
    ),
    *("'; DROP TABLE movies; --", "') OR 1=1 --", "x' UNION SELECT * FROM movies --", '"; DROP TABLE movies; --'),
    *("' || (SELECT title FROM movies LIMIT 1) || '", "ÄÖ", "戦争", "NULL", "true"),
]


def test_a_search_is_taken_literally(small: Callable[[list[Film]], Catalogue]) -> None:
    titles = [f"<{text}>" for text in HOSTILE]
    catalogue = small([{"title": title, "genres": ["War"]} for title in [*titles, "plain"]])
    for text in HOSTILE:
        if not text.strip():
            continue  # a search for nothing finds all
        expected = sorted(title for title in titles if text.lower() in title.lower())
        assert sorted(catalogue.films(search=text)["title"]) == expected, text
    assert catalogue.counts() == Counts(len(titles) + 1, 0)


def test_filters_are_taken_literally(small: Callable[[list[Film]], Catalogue]) -> None:
    values = [text.strip() for text in HOSTILE if text.strip() and not {*text} & {*",;|"}]
    assert len(values) > 20
    catalogue = small(
        [{"title": v, "genres": [v], "languages": [v], "countries": [v], "directors": [v]} for v in values]
    )
    assert catalogue.genre_lists == tuple(sorted(values))
    labels = np.arange(len(values))
    for value in values:
        row = catalogue.genre_lists.index(value)
        for filters in (Filters(genres=(value,)), Filters(languages=(value,)), Filters(countries=(value,))):
            assert catalogue.counts(filters) == Counts(1, 0), value
            assert np.flatnonzero(catalogue.weights(filters)).tolist() == [row]
        assert catalogue.films(genres=[value])["title"].tolist() == [value]
        frame, *_ = catalogue.shares("directors", labels, row)
        assert frame["value"].tolist() == [value]
    for value in ("' OR 1=1 --", "<%", "') OR ('1'='1"):
        assert catalogue.counts(Filters(languages=(value,))).movies == 0


def test_values_that_no_film_can_have_are_no_error(catalogue: Catalogue) -> None:
    assert catalogue.counts(Filters(years=(10**12, 10**15))).movies == 0
    assert catalogue.counts(Filters(min_reviews=10**30)).movies == 0
    assert catalogue.counts(Filters(languages=("x" * 100_000,))).movies == 0
    assert catalogue.films(search="\0").empty


def test_what_duckdb_cannot_take_is_an_error_in_words(catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueError, match=r"^The catalogue movies\.parquet could not be read: \w+\.$"):
        catalogue.films(search="\ud800")


def test_a_column_without_lists_has_no_shares(catalogue: Catalogue, labels: IntArray) -> None:
    with pytest.raises(ValueError, match=r"^title is not one of countries, languages, directors, writers, cast\.$"):
        catalogue.shares("title", labels, 0)


# The time limit


@dataclasses.dataclass(frozen=True)
class Endless(Filters):
    """A filter that takes years to work out."""

    def where(self) -> tuple[str, list[Any]]:
        return "(SELECT count(*) FROM range(10000000000) a, range(10000000000) b WHERE a.range * b.range = ?) > 1", [7]


@pytest.mark.parametrize("ask", [Catalogue.counts, Catalogue.weights, Catalogue.rows], ids=lambda ask: ask.__name__)
def test_a_query_that_takes_too_long_is_stopped(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Catalogue, Filters], Any]
) -> None:
    monkeypatch.setattr(movies, "QUERY_SECONDS", 0.2)
    with pytest.raises(CatalogueError, match=r"took more than 0 seconds .* Narrow the filters and try again\."):
        ask(catalogue, Endless())
    monkeypatch.undo()
    assert catalogue.counts().movies == 17_472  # the next question is answered as ever


def test_only_the_query_that_takes_too_long_is_stopped(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movies, "QUERY_SECONDS", 1.0)
    with ThreadPoolExecutor(2) as pool:
        endless = pool.submit(catalogue.counts, Endless())
        quick = []
        while not endless.done():
            quick.append(catalogue.counts().movies)
    assert isinstance(endless.exception(), CatalogueError)
    assert set(quick) == {17_472}


# Filters


@pytest.mark.parametrize("filters", ALL_FILTERS, ids=str)
def test_counts_and_weights_under_filters(catalogue: Catalogue, plain_films: list[Film], filters: Filters) -> None:
    left = [film for film in plain_films if passes(film, filters)]
    counts = catalogue.counts(filters)
    assert counts == Counts(len(left), sum(film["genre_list"] is None for film in left))
    weights = catalogue.weights(filters)
    expected = Counter(film["genre_list"] for film in left)
    assert weights.dtype == np.int64
    assert weights.tolist() == [expected[genre_list] for genre_list in catalogue.genre_lists]
    assert int(weights.sum()) == counts.clustered
    rows = catalogue.rows(filters)
    assert rows.column_names == ["movie_id", "title", "year", "genres", "list_id"]
    of_list = {genre_list: i for i, genre_list in enumerate(catalogue.genre_lists)}
    assert rows.to_pylist() == [
        {**{n: film[n] for n in ("movie_id", "title", "year", "genres")}, "list_id": of_list.get(film["genre_list"])}
        for film in left
    ]
    assert sorted(catalogue.films(filters=filters)["movie_id"]) == sorted(film["movie_id"] for film in left)


def test_the_filters_of_these_tests_differ(plain_films: list[Film]) -> None:
    sizes = [sum(passes(film, filters) for film in plain_films) for filters in ALL_FILTERS]
    assert len({*sizes}) > 25
    assert 0 in sizes


def test_a_filter_on_an_unknown_value_never_lets_a_film_pass(small: Callable[[list[Film]], Catalogue]) -> None:
    film = {"title": "A", "genres": ["War"], "year": None, "reviews": None, "languages": None}
    catalogue = small([film, {**film, "year": 1984, "reviews": 3, "languages": ["Sami"]}])
    for filters in (Filters(years=(-9999, 9999)), Filters(min_reviews=1), Filters(languages=("Sami",))):
        assert catalogue.counts(filters).movies == 1
    assert catalogue.counts(Filters(genres=("Drama",), genre_mode="none")).movies == 2


def test_films_without_genres_have_none_of_any_genre(catalogue: Catalogue) -> None:
    assert catalogue.counts(Filters(genres=("Drama",), genre_mode="none")).without_genres == 443
    assert catalogue.counts(Filters(genres=("Drama",), genre_mode="any")).without_genres == 0


def test_options_are_counted(catalogue: Catalogue, plain_films: list[Film]) -> None:
    options = catalogue.options()
    assert options.years == (min(f["year"] for f in plain_films), max(f["year"] for f in plain_films))
    assert options.max_reviews == max(film["reviews"] or 0 for film in plain_films)
    for column in ("languages", "countries", "genres"):
        counted = Counter(value for film in plain_films for value in {*film[column]})
        assert list(getattr(options, column).items()) == sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))


def test_a_value_named_twice_by_a_film_counts_once(small: Callable[[list[Film]], Catalogue]) -> None:
    film = {"title": "A", "genres": ["War", "War"], "languages": ["Sami", "Sami"], "directors": ["Bo", "Bo"]}
    catalogue = small([film])
    assert catalogue.options().languages == {"Sami": 1}
    assert catalogue.options().genres == {"War": 1}
    frame, *totals = catalogue.shares("directors", np.array([0]), 0)
    assert frame.to_dict("records") == [{"value": "Bo", "n_cluster": 1, "n_all": 1}]
    assert totals == [1, 1]


def test_a_question_that_takes_more_memory_than_there_is_says_so(small: Callable[[list[Film]], Catalogue]) -> None:
    catalogue = small([{"title": "A", "genres": ["War"]}])
    with pytest.raises(CatalogueError, match=r"has not enough memory to answer\. Narrow the filters and try again\.$"):
        catalogue._table("SELECT list(i) FROM range(300_000_000) AS numbers(i)")
    gc.collect()  # the error's frames hold what the query had
    assert catalogue.counts().movies == 1


# Drill-down


@pytest.mark.parametrize("filters", [FILTERS[0], FILTERS[1], FILTERS[4], FILTERS[16]], ids=str)
def test_measures_of_clusters(
    catalogue: Catalogue,
    plain_films: list[Film],
    labels: IntArray,
    cluster_of: Callable[[Film], int],
    filters: Filters,
) -> None:
    left = [film for film in plain_films if passes(film, filters)]
    frame = catalogue.cluster_measures(labels, filters)
    clusters = sorted({cluster_of(film) for film in left} - {-1})
    assert frame["cluster"].tolist() == clusters
    for row in frame.to_dict("records"):
        mine = [film for film in left if cluster_of(film) == row["cluster"]]
        assert row["n_movies"] == len(mine)
        for name in ("year", *movies.MEASURES):
            known = [film[name] for film in mine if film[name] is not None]
            assert row[f"n_{name}"] == len(known)
            assert same_number(row[f"median_{name}"], statistics.median(known) if known else None)


@pytest.mark.parametrize("filters", [FILTERS[0], FILTERS[1], FILTERS[4], FILTERS[16]], ids=str)
def test_the_spread_of_measures(
    catalogue: Catalogue,
    plain_films: list[Film],
    labels: IntArray,
    cluster_of: Callable[[Film], int],
    filters: Filters,
) -> None:
    left = [film for film in plain_films if passes(film, filters)]
    frame = catalogue.spread(labels, 2, filters)
    whose = {"catalogue": left, "cluster": [film for film in left if cluster_of(film) == 2]}
    present = [name for name, films in whose.items() if films]
    assert {*zip(frame["measure"], frame["whose"], strict=True)} == {
        *itertools.product(("year", *movies.MEASURES), present)
    }
    for row in frame.to_dict("records"):
        films = whose[row["whose"]]
        known = [film[row["measure"]] for film in films if film[row["measure"]] is not None]
        assert (row["n"], row["n_movies"]) == (len(known), len(films))
        for name, share in (("q1", 25), ("median", 50), ("q3", 75)):
            assert same_number(row[name], float(np.percentile(known, share)) if known else None)


@pytest.mark.parametrize("genres", [(), ("Drama",), ("Drama", "Romance")])
@pytest.mark.parametrize("filters", [FILTERS[0], FILTERS[8], FILTERS[14]], ids=str)
def test_films_of_each_year(
    catalogue: Catalogue,
    plain_films: list[Film],
    labels: IntArray,
    cluster_of: Callable[[Film], int],
    genres: tuple[str, ...],
    filters: Filters,
) -> None:
    left = [film for film in plain_films if passes(film, filters) and film["year"] is not None]
    everyone = Counter(film["year"] for film in left)
    mine = Counter(film["year"] for film in left if cluster_of(film) == 4 and {*genres} <= {*film["genres"]})
    frame = catalogue.years(labels, 4, genres, filters)
    assert list(frame.itertuples(index=False, name=None)) == [
        (year, mine[year], everyone[year]) for year in sorted(everyone)
    ]


@pytest.mark.parametrize("span", [1, 5])
@pytest.mark.parametrize("filters", [FILTERS[0], FILTERS[8], FILTERS[16]], ids=str)
def test_box_office_of_each_cluster_and_span_of_years(
    catalogue: Catalogue,
    plain_films: list[Film],
    labels: IntArray,
    cluster_of: Callable[[Film], int],
    filters: Filters,
    span: int,
) -> None:
    films: dict[tuple[int, int], list[Film]] = {}
    for film in plain_films:
        if passes(film, filters) and film["year"] is not None and cluster_of(film) >= 0:
            films.setdefault((cluster_of(film), film["year"] - film["year"] % span), []).append(film)
    frame = catalogue.box_office_by_cluster(labels, filters, span)
    assert list(zip(frame["cluster"], frame["first_year"], strict=True)) == sorted(films)
    for row in frame.to_dict("records"):
        mine = films[row["cluster"], row["first_year"]]
        known = [film["box_office"] for film in mine if film["box_office"] is not None]
        assert (row["n_movies"], row["n_known"]) == (len(mine), len(known))
        for name, share in (("q1", 25), ("median", 50), ("q3", 75)):
            assert same_number(row[name], float(np.percentile(known, share)) if known else None)


@pytest.mark.parametrize("column", movies.GROUPINGS)
@pytest.mark.parametrize("filters", [FILTERS[0], FILTERS[1], FILTERS[16]], ids=str)
def test_shares_of_values(
    catalogue: Catalogue,
    plain_films: list[Film],
    labels: IntArray,
    cluster_of: Callable[[Film], int],
    column: str,
    filters: Filters,
) -> None:
    known = [film for film in plain_films if passes(film, filters) and film[column]]
    mine = [film for film in known if cluster_of(film) == 1]
    everyone = Counter(value for film in known for value in {*film[column]})
    counted = Counter(value for film in mine for value in {*film[column]})
    frame, n_cluster, n_all = catalogue.shares(column, labels, 1, filters)
    assert (n_cluster, n_all) == (len(mine), len(known))
    expected = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    assert list(frame.itertuples(index=False, name=None)) == [(v, n, everyone[v]) for v, n in expected]


# A against B


def values_of(film: Film, kind: str) -> set[str]:
    """The values of a kind that a film has."""
    if kind == "decades":
        return set() if film["year"] is None else {f"{film['year'] // 10 * 10}s"}
    return {*(film[kind] or ())}


CONTRAST_FILTERS = [FILTERS[0], FILTERS[1], FILTERS[5], FILTERS[16]]


@pytest.mark.parametrize("b", [4, None])
@pytest.mark.parametrize("filters", CONTRAST_FILTERS, ids=str)
def test_values_of_two_sides(
    catalogue: Catalogue,
    plain_films: list[Film],
    labels: IntArray,
    cluster_of: Callable[[Film], int],
    filters: Filters,
    b: int | None,
) -> None:
    left = [film for film in plain_films if passes(film, filters)]
    mine = [film for film in left if cluster_of(film) == 2]
    # the rest is every other film with genres, in a cluster or in none
    theirs = [film for film in left if film["genre_list"] and (cluster_of(film) == b if b else cluster_of(film) != 2)]
    totals = catalogue.contrast_totals(labels, 2, b, filters)
    assert totals.index.tolist() == ["films", *movies.KINDS]
    assert totals.loc["films"].tolist() == [len(mine), len(theirs), len(left)]
    for kind in movies.KINDS:
        sides = [[values_of(film, kind) for film in films] for films in (mine, theirs, left)]
        assert totals.loc[kind].tolist() == [sum(map(bool, side)) for side in sides]
        n_a, n_b, n_all = (Counter(itertools.chain.from_iterable(side)) for side in sides)
        expected = [(value, n_a[value], n_b[value], n_all[value]) for value in sorted({*n_a, *n_b})]
        frame = catalogue.contrast_values(kind, labels, 2, b, filters)
        assert frame.columns.tolist() == ["value", "n_a", "n_b", "n_all"]
        assert list(frame.itertuples(index=False, name=None)) == expected
        often = catalogue.contrast_values(kind, labels, 2, b, filters, min_films=4)
        assert list(often.itertuples(index=False, name=None)) == [row for row in expected if row[1] + row[2] >= 4]


@pytest.mark.parametrize("b", [4, None])
@pytest.mark.parametrize("filters", CONTRAST_FILTERS, ids=str)
def test_measures_of_two_sides(
    catalogue: Catalogue,
    plain_films: list[Film],
    labels: IntArray,
    cluster_of: Callable[[Film], int],
    filters: Filters,
    b: int | None,
) -> None:
    left = [film for film in plain_films if passes(film, filters)]
    mine = [film for film in left if cluster_of(film) == 2]
    theirs = [film for film in left if film["genre_list"] and (cluster_of(film) == b if b else cluster_of(film) != 2)]
    expected = []
    for name in sorted(("year", *movies.MEASURES)):
        n_a, n_b = (Counter(film[name] for film in films if film[name] is not None) for films in (mine, theirs))
        expected += [(name, float(value), n_a[value], n_b[value]) for value in sorted({*n_a, *n_b})]
    frame = catalogue.contrast_measures(labels, 2, b, filters)
    assert frame.columns.tolist() == ["measure", "value", "n_a", "n_b"]
    assert list(frame.itertuples(index=False, name=None)) == expected


@pytest.mark.parametrize("b", [4, None])
def test_the_films_behind_a_contrast(
    catalogue: Catalogue, plain_films: list[Film], labels: IntArray, cluster_of: Callable[[Film], int], b: int | None
) -> None:
    films = sorted(plain_films, key=lambda film: -1 if film["reviews"] is None else film["reviews"], reverse=True)
    mine = {film["movie_id"] for film in films if cluster_of(film) == 2}
    theirs = {film["movie_id"] for film in films if film["genre_list"] and cluster_of(film) == b}
    if b is None:
        theirs = {film["movie_id"] for film in films if film["genre_list"]} - mine
    either = mine | theirs
    for kind, value in (("genres", "War"), ("cast", "Meryl Streep"), ("decades", "1980s"), ("languages", "French")):
        expected = [film["movie_id"] for film in films if value in values_of(film, kind) and film["movie_id"] in either]
        found = catalogue.contrast_films(kind, value, labels, 2, b)
        assert tuple(found.columns) == (*movies.FILM_COLUMNS, "list_id", "in_a", "in_b")
        assert len(expected) > 2
        assert found["movie_id"].tolist() == expected
        assert found["in_a"].tolist() == [movie_id in mine for movie_id in expected]
        assert found["in_b"].tolist() == [movie_id in theirs for movie_id in expected]
    found = catalogue.contrast_films("metascore", "", labels, 2, b, Filters(min_reviews=50))
    assert found["movie_id"].tolist() == [
        film["movie_id"]
        for film in films
        if film["metascore"] is not None and (film["reviews"] or 0) >= 50 and film["movie_id"] in either
    ]


def test_a_side_against_itself_has_every_film_twice(catalogue: Catalogue, labels: IntArray) -> None:
    frame = catalogue.contrast_values("countries", labels, 2, 2)
    assert frame["n_a"].tolist() == frame["n_b"].tolist()
    films = catalogue.contrast_films("decades", "1980s", labels, 2, 2)
    assert films["in_a"].all()
    assert films["in_b"].all()


def test_a_contrast_of_unknown_columns(catalogue: Catalogue, labels: IntArray) -> None:
    with pytest.raises(ValueError, match=r"^title is not one of genres, countries, .*, cast, decades\.$"):
        catalogue.contrast_values("title", labels, 0)
    with pytest.raises(ValueError, match=r"^title is not one of genres, .*, decades, year, tomatometer, .*, oscars\.$"):
        catalogue.contrast_films("title", "A", labels, 0)


def test_a_contrast_of_the_least_that_a_catalogue_can_have(small: Callable[[list[Film]], Catalogue]) -> None:
    catalogue = small([{"title": "A", "genres": ["War"]}, {"title": "B", "genres": []}])
    labels = np.array([0])
    assert catalogue.contrast_totals(labels, 0).loc["films"].tolist() == [1, 0, 2]
    assert catalogue.contrast_values("genres", labels, 0).to_numpy().tolist() == [["War", 1, 0, 1]]
    assert catalogue.contrast_values("directors", labels, 0).empty
    assert catalogue.contrast_values("decades", labels, 0).empty
    assert catalogue.contrast_measures(labels, 0).empty
    assert catalogue.contrast_films("year", "", labels, 0).empty


def test_values_of_a_contrast_are_taken_literally(small: Callable[[list[Film]], Catalogue]) -> None:
    catalogue = small([{"title": text, "genres": ["War"], "directors": [f"<{text}>"]} for text in HOSTILE])
    for text in HOSTILE:
        found = catalogue.contrast_films("directors", f"<{text}>", np.array([0]), 0)
        assert found["title"].tolist() == [text]
    assert catalogue.contrast_films("decades", "' OR 1=1 --", np.array([0]), 0).empty
    assert catalogue.counts() == Counts(len(HOSTILE), 0)


# Single films


def test_films_are_narrowed_down_by_each_choice_and_all_together(
    catalogue: Catalogue, plain_films: list[Film], labels: IntArray, cluster_of: Callable[[Film], int]
) -> None:
    chosen = [catalogue.genre_lists.index(text) for text in ("Comedy, Drama", "Drama", "Drama, Romance")]
    texts = {catalogue.genre_lists[i] for i in chosen}

    def found_in(film: Film, text: str) -> bool:
        return any(text in part.lower() for part in (film["title"], *film["directors"], *film["cast"]))

    tests: dict[str, tuple[Any, Callable[[Film], bool]]] = {
        "cluster": (int(labels[chosen[0]]), lambda film: cluster_of(film) == labels[chosen[0]]),
        "genres": (["Drama"], lambda film: "Drama" in film["genres"]),
        "list_ids": (chosen, lambda film: film["genre_list"] in texts),
        "years": ((1980, 2005), lambda film: film["year"] is not None and 1980 <= film["year"] <= 2005),
        "search": (" The ", lambda film: found_in(film, "the")),
        "filters": (FILTERS[14], lambda film: passes(film, FILTERS[14])),
    }
    # most reviewed first, unknown numbers last, and in the order of the file where equal
    films = sorted(plain_films, key=lambda film: -1 if film["reviews"] is None else film["reviews"], reverse=True)
    passed = {name: {film["movie_id"] for film in films if test(film)} for name, (_, test) in tests.items()}
    for n in range(len(tests) + 1):
        for names in itertools.combinations(tests, n):
            expected = [film["movie_id"] for film in films if all(film["movie_id"] in passed[name] for name in names)]
            found = catalogue.films(labels, **{name: tests[name][0] for name in names})
            assert found["movie_id"].tolist() == expected, names
            assert n < len(tests) or len(found) > 5


def test_what_is_shown_of_a_film(catalogue: Catalogue, plain_films: list[Film]) -> None:
    frame = catalogue.films()
    assert tuple(frame.columns) == (*movies.FILM_COLUMNS, "list_id")
    by_id = {film["movie_id"]: film for film in plain_films}
    for row in frame.sample(300, random_state=0).to_dict("records"):
        film = by_id[row["movie_id"]]
        for name in movies.FILM_COLUMNS:
            value = ", ".join(film[name]) if name in sources.LIST_COLUMNS else film[name]
            assert (pd.isna(row[name]) and value is None) or row[name] == value, (row["movie_id"], name)
        listed = None if pd.isna(row["list_id"]) else catalogue.genre_lists[int(row["list_id"])]
        assert listed == film["genre_list"]


def test_no_list_chosen_shows_no_film(catalogue: Catalogue) -> None:
    assert catalogue.films(list_ids=[]).empty


def test_a_search_looks_in_title_directors_and_cast_in_any_case(small: Callable[[list[Film]], Catalogue]) -> None:
    films = [
        {"title": "ÄRGER in Oslo", "genres": ["War"], "directors": ["Ann Otto"], "cast": ["Cy Day", "Bo Ek"]},
        {"title": "Plain", "genres": ["War"], "directors": None, "cast": ["Otto Ärger"]},
        {"title": "Ek", "genres": [], "directors": [], "cast": []},
    ]
    catalogue = small([{"movie_id": str(i), **film} for i, film in enumerate(films)])

    def found(text: str) -> list[str]:
        return catalogue.films(search=text)["movie_id"].tolist()

    assert found("ärger") == ["0", "1"]
    assert found("OTTO") == ["0", "1"]
    assert found("  otto  ") == ["0", "1"]
    assert found("bo ek") == ["0"]
    assert found("ek") == ["0", "2"]
    assert found("Otto Cy") == []  # nothing is found across two names
    assert found("War") == []
    assert found("   ") == ["0", "1", "2"]


# Many at once


def test_six_threads_get_the_same_answers_as_one(catalogue: Catalogue, labels: IntArray) -> None:
    def ask(seed: int) -> str:
        filters = drawn_filters(seed)
        mine = np.roll(labels, seed)
        answers = [
            catalogue.counts(filters),
            catalogue.weights(filters).tolist(),
            catalogue.films(mine, cluster=seed % 7, search="e", filters=filters)["movie_id"].tolist(),
            catalogue.cluster_measures(mine, filters).to_json(),
            catalogue.shares("countries", mine, seed % 7, filters)[0].to_json(),
            catalogue.years(mine, seed % 7, ("Drama",), filters).to_json(),
        ]
        return json.dumps(answers, default=str)

    seeds = list(range(20))
    alone = [ask(seed) for seed in seeds]
    assert len({*alone}) > 15
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, seeds)) == alone


@pytest.mark.parametrize("search", ["alien", "the", "%", "'", "ÉTÉ", "", "  Alien ", "no such title at all"])
@pytest.mark.parametrize("filters", [Filters(), Filters(years=(1970, 1989), min_reviews=5)])
def test_titles(catalogue: Catalogue, plain_films: list[dict[str, Any]], search: str, filters: Filters) -> None:
    text = search.strip().lower()
    inside = [
        film for film in plain_films
        if filters == Filters() or (1970 <= film["year"] <= 1989 and (film["reviews"] or 0) >= 5)
    ]  # fmt: skip
    wanted = [film for film in inside if text in film["title"].lower()]
    wanted.sort(
        key=lambda film: (
            film["title"].lower() != text,
            not film["title"].lower().startswith(text),
            -(film["reviews"] if film["reviews"] is not None else -1),
        )
    )
    found = catalogue.titles(search, filters, limit=30)
    assert found["movie_id"].tolist() == [film["movie_id"] for film in wanted[:30]]
    for film, row in zip(wanted, found.to_dict("records"), strict=False):
        assert (row["title"], row["year"]) == (film["title"], film["year"])
        assert row["directors"] == ", ".join(film["directors"])
        known = None if pd.isna(row["list_id"]) else catalogue.genre_lists[int(row["list_id"])]
        assert known == film["genre_list"]


@pytest.mark.parametrize("search", ["scorsese", "the", "%", "qqqqqqqq"])
def test_counting_what_is_found(catalogue: Catalogue, search: str) -> None:
    for filters in (Filters(), Filters(genres=("Drama",))):
        assert catalogue.count_found(search, filters) == len(catalogue.films(search=search, filters=filters))


def test_first_genres_are_those_a_film_names_first(catalogue: Catalogue, plain_films: list[dict[str, Any]]) -> None:
    filters = Filters(years=(1980, 1999), genres=("Comedy",))
    found = catalogue.first_genres(filters)
    expected: Counter[tuple[str, str]] = Counter(
        (film["genre_list"], film["genres"][0])
        for film in plain_films
        if film["genre_list"] and 1980 <= film["year"] <= 1999 and "Comedy" in film["genres"]
    )
    assert {(catalogue.genre_lists[row.list_id], row.genre): row.n_movies for row in found.itertuples()} == expected
    assert any(genre != genre_list.split(", ")[0] for genre_list, genre in expected)


def test_best_known_films_of_each_cluster(catalogue: Catalogue, plain_films: list[dict[str, Any]]) -> None:
    labels = np.arange(len(catalogue.genre_lists)) % 3
    labels[::7] = -1
    row = {text: i for i, text in enumerate(catalogue.genre_lists)}
    for filters, here in (
        (Filters(), plain_films),
        (Filters(years=(1950, 1960)), [film for film in plain_films if film["year"] and 1950 <= film["year"] <= 1960]),
    ):
        found = catalogue.best_known(labels, 4, filters)
        expected = []
        for cluster in range(3):
            mine = [film for film in here if film["genre_list"] and labels[row[film["genre_list"]]] == cluster]
            mine.sort(key=lambda film: -1 if film["reviews"] is None else film["reviews"], reverse=True)
            expected += [(cluster, film["title"], film["year"], film["reviews"]) for film in mine[:4]]
        assert [tuple(each) for each in found.itertuples(index=False)] == expected
        assert len(expected) == 12
