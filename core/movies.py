"""The catalogue in DuckDB: open it, filter it, list its genre lists, drill down to single films.

This is the only module that asks the catalogue questions. It hands out frames and arrays. The database lives in
memory and is closed to the outside once the films are in it, every query runs on a cursor of its own with a time
limit, and values reach SQL as parameters only.
"""

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from core import bulk, sources

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
GenreMode = Literal["any", "all", "none"]

SHIPPED = Path(__file__).resolve().parent.parent / "data" / "movies.parquet"
QUERY_SECONDS = 20.0
GENRES, TITLE_AND_GENRES = "genres", "title and genres"
HARDENED: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "temp_directory": "",
}
MEASURES = ("tomatometer", "metascore", "reviews", "runtime", "box_office", "oscars")
GROUPINGS = ("countries", "languages", "directors", "writers", "cast")
KINDS = ("genres", *GROUPINGS, "decades")
DECADE = "concat(CAST(floor(year / 10) * 10 AS INTEGER), 's')"
SEARCHED = (
    "contains(lower(concat_ws(chr(10), title, array_to_string(directors, chr(10)), "
    'array_to_string("cast", chr(10)))), lower(?))'
)
FILM_COLUMNS = (
    *("movie_id", "title", "year", "genres", "tomatometer", "metascore", "reviews", "runtime"),
    *("box_office", "oscars", "directors", "countries", "languages", "certificate"),
)


class CatalogueError(RuntimeError):
    """A question the catalogue could not answer; the text is a plain sentence fit to be shown."""


@dataclass(frozen=True)
class Filters:
    """Which films count. The empty value counts all of them."""

    years: tuple[int, int] | None = None
    languages: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    genres: tuple[str, ...] = ()
    genre_mode: GenreMode = "any"
    min_reviews: int = 0

    def where(self) -> tuple[str, list[Any]]:
        """Return a WHERE condition of fixed words and the parameters that go with it."""
        parts, parameters = ["true"], list[Any]()
        if self.years is not None:
            parts.append("movies.year BETWEEN ? AND ?")
            parameters += self.years
        for column, values in (("languages", self.languages), ("countries", self.countries)):
            if values:
                parts.append(f"list_has_any(movies.{column}, CAST(? AS VARCHAR[]))")
                parameters.append(list(values))
        if self.genres:
            condition = {
                "any": "list_has_any(movies.genres, CAST(? AS VARCHAR[]))",
                "all": "list_has_all(movies.genres, CAST(? AS VARCHAR[]))",
                "none": "NOT list_has_any(movies.genres, CAST(? AS VARCHAR[]))",
            }
            parts.append(condition[self.genre_mode])
            parameters.append(list(self.genres))
        if self.min_reviews > 0:
            parts.append("movies.reviews >= ?")
            parameters.append(self.min_reviews)
        return " AND ".join(parts), parameters


NO_FILTERS = Filters()
_MAKING = threading.Lock()  # DuckDB does not wait for another thread that creates the same table


@dataclass(frozen=True)
class Counts:
    """How many films there are under the filters: all of them, and those that name no genre."""

    movies: int
    without_genres: int

    @property
    def clustered(self) -> int:
        """Films with at least one genre."""
        return self.movies - self.without_genres


@dataclass(frozen=True)
class Options:
    """What the sidebar can offer: each value with the number of films that have it, most films first."""

    years: tuple[int, int] | None
    languages: dict[str, int]
    countries: dict[str, int]
    genres: dict[str, int]
    max_reviews: int


@dataclass(frozen=True, eq=False)
class Catalogue:
    """An opened catalogue, read by one of its texts. Build it with `open_catalogue`; `by` reads it by another text.

    A document is what films are clustered as: a distinct text and the genre list of the films that have it. Films of
    one document are never split. `texts` and `genre_lists` hold both for each document, in alphabetical order: row i
    is the document with `list_id` i, and every array of the app that speaks of documents is in that order. Read by
    its genres, as it is opened, a catalogue's documents are its genre lists, and both are the same.
    `text_columns` are columns of free text beside the known ones, `notes` sentences on what was understood. A private
    catalogue is a visitor's own: nothing made from it may be kept where another visitor could come by it. `left_out`
    names the columns that are not here because the catalogue is so large; such a one is read by its genres only.
    `file` is where `slices` reads the films, where memory has only their lists.
    """

    name: str
    fingerprint: str
    columns: frozenset[str]
    n_movies: int
    texts: tuple[str, ...]
    genre_lists: tuple[str, ...]
    connection: duckdb.DuckDBPyConnection
    text: str = GENRES
    films_table: str = "movies"
    text_columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    private: bool = False
    salt: str = ""
    left_out: tuple[str, ...] = ()
    file: Path | None = None

    @property
    def key(self) -> str:
        """What results are kept under where all visitors' lie: no other visitor has the key of a private catalogue."""
        return f"{self.fingerprint} {self.salt}" if self.private else self.fingerprint

    @property
    def owner(self) -> str:
        """Whose the texts are: a visitor's own, beside genres, are nobody else's; empty for what anyone may have."""
        return self.salt if self.private and self.text != GENRES else ""

    @property
    def text_choices(self) -> tuple[str, ...]:
        """What a film can be read by: genres, title and genres, or a column of texts."""
        if self.left_out:  # nearly every film would be a document: millions of them
            return (GENRES,)
        columns = (name for name in sources.TEXT_COLUMNS if name in self.columns and name != "movie_id")
        return GENRES, TITLE_AND_GENRES, *columns, *self.text_columns

    def by(self, text: str) -> "Catalogue":
        """Return the catalogue read by another of `text_choices`. Raises ValueError for any other text.

        A film whose text is empty has no document. Spaces around a text do not count.
        """
        if text == self.text:
            return self
        if text not in self.text_choices:
            raise ValueError(f"{text} is not one of {', '.join(self.text_choices)}.")
        if text == GENRES:
            lists = self._table("SELECT genre_list FROM genre_lists ORDER BY list_id")["genre_list"].to_pylist()
            return replace(self, texts=tuple(lists), genre_lists=tuple(lists), text=GENRES, films_table="movies")
        number = self.text_choices.index(text)
        documents, films = f"documents_{number}", f"movies_{number}"
        shown = f"trim({_text_of(text)}, {sources.BLANKS})"
        with _MAKING, _cursor(self.connection) as cursor:
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {documents} AS SELECT row_id, CAST(CASE WHEN text IS NOT NULL THEN "
                "dense_rank() OVER (ORDER BY text NULLS LAST, genre_list) - 1 END AS INTEGER) AS list_id, text, "
                "genre_list FROM "
                f"(SELECT row_id, nullif({shown}, '') AS text, coalesce(genre_list, '') AS genre_list FROM movies)"
            )
            cursor.execute(
                f"CREATE VIEW IF NOT EXISTS {films} AS SELECT movies.* REPLACE ({documents}.list_id AS list_id) "
                f"FROM movies LEFT JOIN {documents} USING (row_id)"
            )
        table = self._table(
            f"SELECT text, genre_list FROM (SELECT DISTINCT list_id, text, genre_list FROM {documents} "
            "WHERE list_id IS NOT NULL) ORDER BY list_id"
        )
        texts, lists = (tuple(table[name].to_pylist()) for name in ("text", "genre_list"))
        return replace(self, texts=texts, genre_lists=lists, text=text, films_table=films)

    def weights(self, filters: Filters = NO_FILTERS) -> IntArray:
        """Return n_movies of every document under the filters, shape (documents,)."""
        where, parameters = filters.where()
        table = self._table(
            f"SELECT list_id, count(*) AS n FROM movies WHERE list_id IS NOT NULL AND {where} GROUP BY list_id",
            parameters,
        )
        weights = np.zeros(len(self.genre_lists), dtype=np.int64)
        weights[table["list_id"].to_numpy()] = table["n"].to_numpy()
        return weights

    def first_genres(self, filters: Filters = NO_FILTERS) -> pd.DataFrame:
        """Return how many films of each genre list name which genre first: list_id, genre, n_movies.

        Genre lists are sorted, a film's own genres are in the order of the catalogue.
        """
        where, parameters = filters.where()
        return self._frame(
            "SELECT list_id, genres[1] AS genre, count(*) AS n_movies FROM movies "
            f"WHERE list_id IS NOT NULL AND {where} GROUP BY list_id, genre ORDER BY list_id, genre",
            parameters,
        )

    def counts(self, filters: Filters = NO_FILTERS) -> Counts:
        """Return how many films the filters leave, and how many of these have no document: no genre, or no text."""
        where, parameters = filters.where()
        row = self._table(
            f"SELECT count(*) AS n, count(*) - count(list_id) AS without FROM movies WHERE {where}", parameters
        ).to_pylist()[0]
        return Counts(movies=row["n"], without_genres=row["without"])

    def options(self) -> Options:
        """Return the values that the filters can take in this catalogue."""
        span = self._table("SELECT min(year) AS lo, max(year) AS hi, max(reviews) AS reviews FROM movies").to_pylist()[
            0
        ]
        years = None if span["lo"] is None else (span["lo"], span["hi"])
        counted = [self.value_counts(column) for column in ("languages", "countries", "genres")]
        languages, countries, genres = (dict(zip(each["value"], each["n"].tolist(), strict=True)) for each in counted)
        return Options(years, languages, countries, genres, span["reviews"] or 0)

    def value_counts(self, column: str, filters: Filters = NO_FILTERS, labels: IntArray | None = None) -> pd.DataFrame:
        """Count the films that have each value of a list column: value, n, most films first.

        With `labels`, only films whose genre list has one count. Raises ValueError for a column that holds no lists.
        """
        if column not in sources.LIST_COLUMNS:
            raise ValueError(f"{column} is not one of {', '.join(sources.LIST_COLUMNS)}.")
        where, parameters = filters.where()
        scope = f"movies{'' if labels is None else ' JOIN labels USING (list_id)'} WHERE {where}"
        values = f"SELECT unnest({_distinct(column)}) AS value, 1 AS n FROM {scope}"
        if column == "genres":  # a look at each genre list is quicker than one at each film
            lists = f"SELECT genre_list, count(*) AS n FROM {scope} GROUP BY genre_list"
            values = f"SELECT unnest(string_split(genre_list, ', ')) AS value, n FROM ({lists})"
        frame = self._frame(
            f"SELECT value, CAST(sum(n) AS BIGINT) AS n FROM ({values}) GROUP BY value ORDER BY n DESC, value",
            parameters,
            labels,
        )
        return frame

    def known_counts(self, column: str, filters: Filters = NO_FILTERS) -> tuple[IntArray, int]:
        """Count the films that have a list column filled in: those of each document, shape (documents,), and all."""
        where, parameters = filters.where()
        table = self._frame(
            f"SELECT list_id, count(*) AS n FROM movies WHERE len({_quoted(column)}) > 0 AND {where} GROUP BY list_id",
            parameters,
        )
        counts, with_list = np.zeros(len(self.texts), dtype=np.int64), table.dropna()
        counts[with_list["list_id"].astype(np.int64)] = with_list["n"]
        return counts, int(table["n"].sum())

    def cluster_measures(self, labels: IntArray, filters: Filters = NO_FILTERS) -> pd.DataFrame:
        """Return a row a cluster: n_movies, and for year and every measure its median and how many films have it.

        `labels` has shape (genre lists,), -1 where a list has no film under the filters.
        """
        where, parameters = filters.where()
        columns = ", ".join(
            f"median({name}) AS median_{name}, count({name}) AS n_{name}" for name in ("year", *MEASURES)
        )
        return self._frame(
            f"SELECT cluster, count(*) AS n_movies, {columns} FROM movies JOIN labels USING (list_id) "
            f"WHERE {where} GROUP BY cluster ORDER BY cluster",
            parameters,
            labels,
        )

    def best_known(self, labels: IntArray, n: int, filters: Filters = NO_FILTERS) -> pd.DataFrame:
        """Return the n films of each cluster with most reviews: cluster, title, year, reviews, most reviews first."""
        # One cluster after the other: a window over ten million films takes memory that is not there.
        found = {
            cluster: self.films(labels, cluster=cluster, filters=filters, limit=n)
            for cluster in range(int(labels.max(initial=-1)) + 1)
        }
        known = {cluster: films for cluster, films in found.items() if len(films)} or {0: self._none()}
        films = pd.concat(known, names=["cluster"]).reset_index("cluster")
        return films[["cluster", "title", "year", "reviews"]].reset_index(drop=True)

    def measure_counts(self, filters: Filters = NO_FILTERS) -> pd.DataFrame:
        """Count the films of each genre list at each value of year and of every measure.

        Returns a frame (measure, list_id, value, n), sorted by measure and value, with a NaN for films without the
        value and one for films without genres. It says as much of medians and quartiles as the films do, for any
        clustering (`core/counted.py`), and is small where films are many.
        """
        where, parameters = filters.where()
        counted = " UNION ALL ".join(
            f"SELECT '{name}' AS measure, CAST(list_id AS DOUBLE) AS list_id, CAST({name} AS DOUBLE) AS value, "
            f"count(*) AS n FROM movies WHERE {where} GROUP BY ALL"
            for name in ("year", *MEASURES)
        )
        return self._frame(f"{counted} ORDER BY measure, value", parameters * (1 + len(MEASURES)))

    def spread(self, labels: IntArray, cluster: int, filters: Filters = NO_FILTERS) -> pd.DataFrame:
        """Return quartiles of every measure for a cluster and for the catalogue, with how many films have one.

        Columns: measure, whose ("cluster" or "catalogue"), n, n_movies, q1, median, q3.
        """
        where, parameters = filters.where()
        measured = " UNION ALL ".join(
            f"SELECT '{name}' AS measure, whose, count({name}) AS n, count(*) AS n_movies, "
            f"quantile_cont({name}, 0.25) AS q1, median({name}) AS median, quantile_cont({name}, 0.75) AS q3 "
            "FROM chosen GROUP BY whose"
            for name in ("year", *MEASURES)
        )
        return self._frame(
            "WITH scope AS (SELECT movies.*, cluster FROM movies LEFT JOIN labels USING (list_id) "
            f"WHERE {where}), chosen AS (SELECT *, 'catalogue' AS whose FROM scope UNION ALL "
            f"SELECT *, 'cluster' AS whose FROM scope WHERE cluster = ?) {measured} ORDER BY measure, whose DESC",
            [*parameters, cluster],
            labels,
        )

    def years(
        self, labels: IntArray, cluster: int, genres: Sequence[str] = (), filters: Filters = NO_FILTERS
    ) -> pd.DataFrame:
        """Return a row a year that has films: year, n_cluster (with all `genres`, if any), n_all (every film)."""
        where, parameters = filters.where()
        return self._frame(
            "SELECT year, count(*) FILTER (cluster = ? AND list_has_all(genres, CAST(? AS VARCHAR[]))) AS n_cluster, "
            f"count(*) AS n_all FROM movies LEFT JOIN labels USING (list_id) WHERE year IS NOT NULL AND {where} "
            "GROUP BY year ORDER BY year",
            [cluster, list(genres), *parameters],
            labels,
        )

    def years_by_cluster(self, labels: IntArray, filters: Filters = NO_FILTERS) -> pd.DataFrame:
        """Return a row for each year that has films and each cluster: year, cluster, n_cluster, n_all (every film)."""
        where, parameters = filters.where()
        return self._frame(
            "WITH scope AS (SELECT year, cluster FROM movies LEFT JOIN labels USING (list_id) "
            f"WHERE year IS NOT NULL AND {where}), years AS (SELECT year, count(*) AS n_all FROM scope GROUP BY year), "
            "clusters AS (SELECT DISTINCT cluster FROM labels), "
            "found AS (SELECT year, cluster, count(*) AS n FROM scope GROUP BY year, cluster) "
            "SELECT year, cluster, coalesce(n, 0) AS n_cluster, n_all "
            "FROM years CROSS JOIN clusters LEFT JOIN found USING (year, cluster) ORDER BY cluster, year",
            parameters,
            labels,
        )

    def box_office_by_cluster(self, labels: IntArray, filters: Filters = NO_FILTERS, span: int = 5) -> pd.DataFrame:
        """Return a row for each cluster and span of years that has films of it, with their median box office.

        A span starts at a year that `span` divides. Columns: cluster, first_year, n_movies, n_known (films that have
        a box office), q1, median, q3 (US dollars of each film's year, missing where no film has one).
        """
        where, parameters = filters.where()
        return self._frame(
            "SELECT cluster, CAST(floor(year / ?) * ? AS INTEGER) AS first_year, count(*) AS n_movies, "
            "count(box_office) AS n_known, quantile_cont(box_office, 0.25) AS q1, median(box_office) AS median, "
            "quantile_cont(box_office, 0.75) AS q3 FROM movies JOIN labels USING (list_id) "
            f"WHERE year IS NOT NULL AND {where} GROUP BY cluster, first_year ORDER BY cluster, first_year",
            [span, span, *parameters],
            labels,
        )

    def shares(
        self,
        column: str,
        labels: IntArray,
        cluster: int,
        filters: Filters = NO_FILTERS,
        everyone: tuple[pd.DataFrame, tuple[IntArray, int]] | None = None,
    ) -> tuple[pd.DataFrame, int, int]:
        """Count the values of a list column in a cluster and in the catalogue.

        Returns a frame (value, n_cluster, n_all) and the number of films that have the column filled in, in the
        cluster and in the catalogue: the denominators. `everyone` is what `value_counts` and `known_counts` return
        under the same filters, where that is known: most of the work. Raises ValueError for a column without lists.
        """
        if column not in GROUPINGS:
            raise ValueError(f"{column} is not one of {', '.join(GROUPINGS)}.")
        mine = self.value_counts(column, filters, np.where(labels == cluster, 0, -1))
        theirs, known = everyone or (self.value_counts(column, filters), self.known_counts(column, filters))
        frame = mine.merge(theirs, on="value", how="left", suffixes=("_cluster", "_all"))
        return frame, int(known[0][labels == cluster].sum()), known[1]

    def contrast_values(
        self,
        kind: str,
        labels: IntArray,
        a: int,
        b: int | None = None,
        filters: Filters = NO_FILTERS,
        min_films: int = 1,
    ) -> pd.DataFrame:
        """Count the films that have each value of a kind in cluster a, in cluster b, and in the catalogue.

        Without b the other side is the rest: every film with genres that is not in a. A kind is one of KINDS, decades
        being texts such as "1980s". Returns a frame (value, n_a, n_b, n_all) in the order of the values, without
        those of fewer than `min_films` films in a and b together. Raises ValueError for another kind.
        """
        if kind not in KINDS:
            raise ValueError(f"{kind} is not one of {', '.join(KINDS)}.")
        scope, parameters = _sides(a, b, filters)
        lists = f"[{DECADE}]" if kind == "decades" else _distinct(kind)
        return self._frame(
            "SELECT value, count(*) FILTER (in_a) AS n_a, count(*) FILTER (in_b) AS n_b, count(*) AS n_all "
            f"FROM (SELECT unnest({lists}) AS value, in_a, in_b FROM {scope} WHERE {_known(kind)}) "
            "GROUP BY value HAVING n_a + n_b >= ? ORDER BY value",
            [*parameters, min_films],
            labels,
        )

    def contrast_totals(
        self, labels: IntArray, a: int, b: int | None = None, filters: Filters = NO_FILTERS
    ) -> pd.DataFrame:
        """Count the films of cluster a, of b (without b: the rest) and of the catalogue that have a kind filled in.

        Returns a row for each of KINDS, the denominators of `contrast_values`, and one named films, which counts them
        all: index kind, columns n_a, n_b, n_all.
        """
        scope, parameters = _sides(a, b, filters)
        conditions = {"films": "true", **{kind: _known(kind) for kind in KINDS}}
        counted = ", ".join(
            f'count(*) FILTER ({side} AND {known}) AS "{name} {kind}"'
            for kind, known in conditions.items()
            for name, side in (("n_a", "in_a"), ("n_b", "in_b"), ("n_all", "true"))
        )
        (row,) = self._table(f"SELECT {counted} FROM {scope}", parameters, labels).to_pylist()
        sides = ("n_a", "n_b", "n_all")
        found = {kind: [row[f"{name} {kind}"] for name in sides] for kind in conditions}
        return pd.DataFrame.from_dict(found, orient="index", columns=list(sides)).rename_axis("kind")

    def contrast_measures(
        self, labels: IntArray, a: int, b: int | None = None, filters: Filters = NO_FILTERS
    ) -> pd.DataFrame:
        """Count the films of cluster a and of b (without b: the rest) at each value of year and of every measure.

        Returns a frame (measure, value, n_a, n_b), sorted by measure and value. It says as much as all the films'
        values do, and for ten million films it is small.
        """
        scope, parameters = _sides(a, b, filters)
        names = ("year", *MEASURES)
        listed = ", ".join(f"'{name}'" for name in names)
        values = ", ".join(f"CAST({name} AS DOUBLE)" for name in names)
        return self._frame(
            "SELECT measure, value, count(*) FILTER (in_a) AS n_a, count(*) FILTER (in_b) AS n_b FROM "
            f"(SELECT unnest([{listed}]) AS measure, unnest([{values}]) AS value, in_a, in_b FROM {scope} "
            "WHERE in_a OR in_b) WHERE value IS NOT NULL GROUP BY measure, value ORDER BY measure, value",
            parameters,
            labels,
        )

    def contrast_films(
        self,
        kind: str,
        value: str,
        labels: IntArray,
        a: int,
        b: int | None = None,
        filters: Filters = NO_FILTERS,
    ) -> pd.DataFrame:
        """Return the films behind a row of a contrast, most reviewed first, as `films` does, with in_a and in_b.

        They are the films of a and of b (without b: the rest) that have a value of one of KINDS, taken literally, or,
        whatever the value, those with a number where kind is year or a measure. Raises ValueError for another kind.
        """
        if kind not in (*KINDS, "year", *MEASURES):
            raise ValueError(f"{kind} is not one of {', '.join((*KINDS, 'year', *MEASURES))}.")
        scope, parameters = _sides(a, b, filters)
        condition = _known(kind)
        if kind in KINDS:
            condition = f"{DECADE} = ?" if kind == "decades" else f'list_contains("{kind}", ?)'
            parameters.append(value)
        return self._frame(
            f"SELECT {', '.join(map(_shown, FILM_COLUMNS))}, list_id, in_a, in_b FROM {scope} "
            f"WHERE (in_a OR in_b) AND {condition} ORDER BY reviews DESC NULLS LAST, row_id",
            parameters,
            labels,
        )

    def films(
        self,
        labels: IntArray | None = None,
        *,
        cluster: int | None = None,
        genres: Sequence[str] = (),
        list_ids: Sequence[int] | None = None,
        years: tuple[int, int] | None = None,
        search: str = "",
        lacking: str | None = None,
        without_genres: bool = False,
        but: str | None = None,
        filters: Filters = NO_FILTERS,
        places: FloatArray | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> pd.DataFrame:
        """Return films, most reviewed first, lists as text, with `list_id` (missing where there is no genre).

        A cluster (needs `labels`), genres that must all be there, certain genre lists, none at all, years, a text that
        the title, a director or a member of the cast contains, and a column that is empty, each narrow the films down;
        the film whose movie_id is `but` is left out.
        The text is taken literally, in any case. With `places`, a number for each genre list, shape (genre lists,), the
        films come in its order, smallest first, NaN last. With a limit so many come at most, from `offset` on;
        `n_films` counts all. Raises ValueError for a column that is none.
        """
        labels = self._chosen(labels, cluster, genres, list_ids)
        join, condition, parameters = self._film_scope(
            labels is not None, genres, years, search, lacking, without_genres, but, filters
        )
        order, columns = "reviews DESC NULLS LAST, row_id", f"{', '.join(map(_shown, FILM_COLUMNS))}, list_id"
        if places is not None:
            join, order = f"{join} LEFT JOIN places USING (list_id)", f"place NULLS LAST, {order}"
        if limit is None:
            sql = f"SELECT {columns} FROM movies {join} WHERE {condition} ORDER BY {order}"
            return self._frame(sql, parameters, labels, places)
        # The rows' numbers first: with ten million films, sorting whole rows takes memory that is not there.
        sql = f"SELECT row_id FROM movies {join} WHERE {condition} ORDER BY {order} LIMIT ? OFFSET ?"
        rows = self._table(sql, [*parameters, limit, offset], labels, places)["row_id"].to_pylist()
        if not rows:
            return self._none()
        found = self._frame(
            f"SELECT {columns}, row_id FROM movies WHERE row_id IN (SELECT unnest(CAST(? AS BIGINT[])))", [rows]
        )
        ordered: pd.DataFrame = found.set_index("row_id").loc[rows].reset_index(drop=True)
        return ordered

    def _none(self) -> pd.DataFrame:
        return self._frame(f"SELECT {', '.join(map(_shown, FILM_COLUMNS))}, list_id FROM movies WHERE false", [])

    def n_films(
        self,
        labels: IntArray | None = None,
        *,
        cluster: int | None = None,
        genres: Sequence[str] = (),
        list_ids: Sequence[int] | None = None,
        years: tuple[int, int] | None = None,
        search: str = "",
        lacking: str | None = None,
        without_genres: bool = False,
        but: str | None = None,
        filters: Filters = NO_FILTERS,
        weights: IntArray | None = None,
    ) -> int:
        """Count the films that `films` returns.

        With `weights` under the same filters, no film is looked at where only genre lists narrow them down.
        """
        labels = self._chosen(labels, cluster, genres, list_ids)
        by_lists = not (years or search.strip() or lacking or without_genres or but or (genres and self.text != GENRES))
        if weights is not None and labels is not None and by_lists:
            return int(weights[labels == 0].sum())
        join, condition, parameters = self._film_scope(
            labels is not None, genres, years, search, lacking, without_genres, but, filters
        )
        count = self._table(f"SELECT count(*) AS n FROM movies {join} WHERE {condition}", parameters, labels)
        return int(count["n"][0].as_py())

    def lists_with(self, labels: IntArray, cluster: int, genres: Sequence[str] = ()) -> IntArray:
        """Return the list_id of the genre lists of a cluster that have all the genres, shape (found,)."""
        return np.flatnonzero(self._chosen(labels, cluster, genres, None) == 0)

    def _chosen(
        self, labels: IntArray | None, cluster: int | None, genres: Sequence[str], list_ids: Sequence[int] | None
    ) -> IntArray | None:
        """Return 0 for the genre lists of a cluster, with all the genres, among some lists, else -1; None for no wish.

        A look at each list is quicker than one at each film. Read by another text, a film with genres may have no
        document: then `_film_scope` looks for the genres.
        """
        genres = genres if self.text == GENRES else ()
        if cluster is None and not genres and list_ids is None:
            return None
        here = np.ones(len(self.genre_lists), dtype=bool)
        if cluster is not None and labels is not None:
            here &= labels == cluster
        if genres:
            here &= np.array([{*genres} <= {*text.split(", ")} for text in self.genre_lists], dtype=bool)
        if list_ids is not None:
            here &= np.isin(np.arange(len(here)), np.asarray(list_ids, dtype=np.int64))
        return np.where(here, 0, -1)

    def _film_scope(
        self,
        narrowed: bool,
        genres: Sequence[str],
        years: tuple[int, int] | None,
        search: str,
        lacking: str | None,
        without_genres: bool,
        but: str | None,
        filters: Filters,
    ) -> tuple[str, str, list[Any]]:
        """Return the join and the condition of fixed words that narrow the films down, and the parameters."""
        where, parameters = filters.where()
        parts = [where]
        if genres and self.text != GENRES:
            parts.append("list_has_all(genres, CAST(? AS VARCHAR[]))")
            parameters.append(list(genres))
        if without_genres:
            parts.append("list_id IS NULL")
        if but is not None:
            parts.append("movie_id <> ?")
            parameters.append(but)
        if years is not None:
            parts.append("year BETWEEN ? AND ?")
            parameters += years
        if lacking is not None:
            parts.append(self._lacks(lacking))
        if search.strip():
            parts.append(SEARCHED)
            parameters.append(search.strip())
        return "JOIN labels USING (list_id)" if narrowed else "", " AND ".join(parts), parameters

    def ids(self, filters: Filters = NO_FILTERS) -> pa.Table:
        """Return movie_id and list_id of the films that have genres, in input order."""
        if self.file is not None:
            with self._light(filters) as cursor:
                return bulk.ids(cursor, self.file)
        where, parameters = filters.where()
        return self._table(
            f"SELECT movie_id, list_id FROM movies WHERE list_id IS NOT NULL AND {where} ORDER BY row_id", parameters
        )

    def count_found(self, search: str, filters: Filters = NO_FILTERS) -> int:
        """Count the films that `films` finds by a text."""
        where, parameters = filters.where()
        table = self._table(
            f"SELECT count(*) AS n FROM movies WHERE {where} AND {SEARCHED}", [*parameters, search.strip()]
        )
        return int(table["n"][0].as_py())

    def titles(self, search: str, filters: Filters = NO_FILTERS, limit: int = 50) -> pd.DataFrame:
        """Return the films whose title contains a text, taken literally and in any case, at most `limit` of them.

        Columns: movie_id, title, year, directors and genres as text, list_id (missing where there is no genre). Titles
        that are the text come first, then those that start with it; of these the most reviewed film first.
        """
        where, parameters = filters.where()
        text = search.strip()
        return self._frame(
            f"SELECT {', '.join(map(_shown, ('movie_id', 'title', 'year', 'directors', 'genres')))}, list_id "
            f"FROM movies WHERE {where} AND contains(lower(title), lower(?)) ORDER BY lower(title) = lower(?) DESC, "
            "starts_with(lower(title), lower(?)) DESC, reviews DESC NULLS LAST, row_id LIMIT ?",
            [*parameters, text, text, text, limit],
        )

    def missing_values(self) -> pd.DataFrame:
        """Return a row for each column that the catalogue has: column, n_missing, n_movies; nothing is filtered."""
        names = [name for name in (*sources.COLUMNS, *self.text_columns) if name in (*self.columns, *self.text_columns)]
        counted = ", ".join(f"count(*) FILTER ({self._lacks(name)}) AS n{i}" for i, name in enumerate(names))
        (row,) = self._table(f"SELECT {counted or '1 AS n0'} FROM movies").to_pylist() if self.n_movies else ({},)
        missing = [row.get(f"n{i}", 0) for i in range(len(names))]
        return pd.DataFrame({"column": names, "n_missing": missing, "n_movies": self.n_movies})

    def _lacks(self, column: str) -> str:
        """Return the condition that a film has nothing in a column. Raises ValueError for a column that is none."""
        if column not in (*sources.COLUMNS, *self.text_columns):
            raise ValueError(f"{column} is not a column of the films.")
        name = _quoted(column)
        if column in sources.LIST_COLUMNS:
            return f"coalesce(len({name}), 0) = 0"
        return f"coalesce({name}, '') = ''" if column in ("title", *self.text_columns) else f"{name} IS NULL"

    def films_by_year(self) -> pd.DataFrame:
        """Return a row a year that has films: year, n_movies, without_genres; nothing is filtered."""
        return self._frame(
            "SELECT year, count(*) AS n_movies, count(*) - count(list_id) AS without_genres FROM movies "
            "WHERE year IS NOT NULL GROUP BY year ORDER BY year",
            (),
        )

    def rows(self, filters: Filters = NO_FILTERS) -> pa.Table:
        """Return movie_id, title, year, genres (as lists) and list_id of the films, in input order."""
        where, parameters = filters.where()
        return self._table(
            f"SELECT movie_id, title, year, genres, list_id FROM movies WHERE {where} ORDER BY row_id", parameters
        )

    def slices(self, filters: Filters = NO_FILTERS) -> Iterator[pa.Table]:
        """Yield the rows of `rows` in parts, so that never all of them are in memory."""
        if self.file is not None:
            with self._light(filters) as cursor:
                yield from bulk.slices(cursor, self.file)
            return
        where, parameters = filters.where()
        for start in range(0, max(self.n_movies, 1), bulk.BATCH_ROWS):
            yield self._table(
                "SELECT movie_id, title, year, genres, list_id FROM movies "
                f"WHERE row_id >= ? AND row_id < ? AND {where} ORDER BY row_id",
                [start, start + bulk.BATCH_ROWS, *parameters],
            )

    @contextmanager
    def _light(self, filters: Filters) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor, without a limit, for films that are read from their file once more. Raises ValueError."""
        if filters != NO_FILTERS:
            raise ValueError("The films of a catalogue that was opened light cannot be filtered.")
        with _cursor(self.connection, threading.TIMEOUT_MAX) as cursor:
            yield cursor

    def _frame(
        self, sql: str, parameters: Sequence[Any], labels: IntArray | None = None, places: FloatArray | None = None
    ) -> pd.DataFrame:
        frame: pd.DataFrame = self._table(sql, parameters, labels, places).to_pandas()
        return frame

    def _table(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        labels: IntArray | None = None,
        places: FloatArray | None = None,
    ) -> pa.Table:
        """Run one query on a cursor of its own and stop it when it takes longer than QUERY_SECONDS."""
        if self.films_table != "movies":  # what a query names movies is then the films as this text reads them
            others = f", {sql.removeprefix('WITH ')}" if sql.startswith("WITH ") else f" {sql}"
            sql = f"WITH movies AS (FROM {self.films_table}){others}"
        with _cursor(self.connection) as cursor:
            if labels is not None:
                known = np.flatnonzero(labels >= 0)
                cursor.register("labels", pa.table({"list_id": known, "cluster": labels[known]}))
            if places is not None:
                known = np.flatnonzero(~np.isnan(places))
                cursor.register("places", pa.table({"list_id": known, "place": places[known]}))
            try:
                return cursor.sql(sql, params=list(parameters)).to_arrow_table()
            except duckdb.InterruptException as error:
                raise CatalogueError(
                    f"The catalogue took more than {QUERY_SECONDS:.0f} seconds to answer and was stopped. "
                    "Narrow the filters and try again."
                ) from error
            except duckdb.OutOfMemoryException as error:
                raise CatalogueError(
                    f"The catalogue {self.name} has not enough memory to answer. Narrow the filters and try again."
                ) from error
            except duckdb.Error as error:
                raise CatalogueError(f"The catalogue {self.name} could not be read: {type(error).__name__}.") from error


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _text_of(text: str) -> str:
    """Return the SQL of a text that a film can be read by; it is one of `Catalogue.text_choices`."""
    return "concat_ws(': ', nullif(title, ''), genre_list)" if text == TITLE_AND_GENRES else _quoted(text)


def _sides(a: int, b: int | None, filters: Filters) -> tuple[str, list[Any]]:
    """Return films with in_a and in_b as a table of fixed words, and its parameters. Without b, b is the rest."""
    where, parameters = filters.where()
    other = "list_id IS NOT NULL AND coalesce(cluster <> ?, true)" if b is None else "coalesce(cluster = ?, false)"
    scope = (
        f"(SELECT movies.*, coalesce(cluster = ?, false) AS in_a, {other} AS in_b "
        f"FROM movies LEFT JOIN labels USING (list_id) WHERE {where})"
    )
    return scope, [a, a if b is None else b, *parameters]


def _known(kind: str) -> str:
    """Return the condition that a film has a kind, or a measure, filled in."""
    if kind in ("genres", *GROUPINGS):
        return f'len("{kind}") > 0'
    return f"{'year' if kind == 'decades' else kind} IS NOT NULL"


def _distinct(column: str) -> str:
    """Return the different values of a list column. Of ten million lists, only the longer ones can repeat one."""
    return f'CASE WHEN len("{column}") > 1 THEN list_distinct("{column}") ELSE "{column}" END'


def _shown(column: str) -> str:
    """Return a column as it is listed: a list becomes text."""
    return f'array_to_string("{column}", \', \') AS "{column}"' if column in sources.LIST_COLUMNS else f'"{column}"'


@contextmanager
def _cursor(connection: duckdb.DuckDBPyConnection, seconds: float | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a cursor, interrupted after QUERY_SECONDS: a connection must not be shared by threads."""
    cursor = connection.cursor()
    timer = threading.Timer(QUERY_SECONDS if seconds is None else seconds, cursor.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield cursor
    finally:
        timer.cancel()
        cursor.close()


def open_catalogue(
    path: Path | None = None,
    *,
    query: str | None = None,
    memory_limit: str = "1GB",
    threads: int = 2,
    light: bool = False,
    bulk_rows: int = bulk.BULK_ROWS,
) -> Catalogue:
    """Read a catalogue into memory and close the database to files, settings and extensions.

    A query's rows are read instead of a file's; it may name the tables of a .duckdb file at `path`. A Parquet file of
    `bulk_rows` films or more is compressed and loses some columns (`bulk.read`); where it is `light`, one of
    `bulk.LIGHT_ROWS` loses all but what `weights`, `counts`, `ids` and `slices` need, and then nothing can be filtered.
    Raises core.sources.SourceError
    with a sentence that names the file, row and column.
    """
    if query:
        read, name = (lambda connection: sources.read_query(connection, query, path)), "the query"
        return _open(name, read, None, False, memory_limit, threads)
    path = path or SHIPPED

    def read_file(connection: duckdb.DuckDBPyConnection) -> sources.Loaded:
        if light and bulk.is_bulk(path, min(bulk_rows, bulk.LIGHT_ROWS)) and bulk.has_plain_rows(path):
            return bulk.read(connection, path, light=True)
        if bulk.is_bulk(path, bulk_rows):
            return bulk.read(connection, path)
        return sources.read(connection, path)

    return _open(
        path.name,
        read_file,
        lambda: sources.fingerprint(path),
        False,
        memory_limit,
        threads,
    )


def open_films(films: sources.Films, name: str, fingerprint: str, *, memory_limit: str = "512MB") -> Catalogue:
    """Open a visitor's own films (`sources.apply`) as a private catalogue, in a database of their own."""
    return _open(name, lambda connection: sources.create(connection, films), lambda: fingerprint, True, memory_limit, 2)


def _open(
    name: str,
    read: Callable[[duckdb.DuckDBPyConnection], sources.Loaded],
    fingerprint: Callable[[], str] | None,
    private: bool,
    memory_limit: str,
    threads: int,
) -> Catalogue:
    """Read films into a database in memory, then close it to the outside. Without a fingerprint, the films give it."""
    config = {**HARDENED, "memory_limit": memory_limit, "threads": threads}
    config["allocator_background_threads"] = True  # gives memory back while nothing is asked
    connection = duckdb.connect(":memory:", config=config)
    beside = ThreadPoolExecutor(1, thread_name_prefix="fingerprint")
    try:
        # Where a query takes seconds, a bar would come between what the command line prints.
        connection.execute("SET enable_progress_bar = false")
        early = beside.submit(fingerprint) if fingerprint else None  # seconds for a large file, on a core of its own
        loaded = read(connection)
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        (n_movies,) = connection.execute("SELECT count(*) FROM movies").fetchall()[0]
        lists = connection.execute("SELECT genre_list FROM genre_lists ORDER BY list_id").fetchall()
        known = early.result() if early else _fingerprint(connection)
    except BaseException:
        connection.close()
        raise
    finally:
        beside.shutdown(wait=False)
    return Catalogue(
        name=name,
        fingerprint=known,
        columns=loaded.columns,
        n_movies=n_movies,
        texts=(genre_lists := tuple(text for (text,) in lists)),
        genre_lists=genre_lists,
        connection=connection,
        text_columns=loaded.texts,
        notes=loaded.notes,
        private=private,
        salt=uuid.uuid4().hex if private else "",
        left_out=loaded.left_out,
        file=loaded.file,
    )


def _fingerprint(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the SHA-256 of the films in the order in which a query gave them."""
    digest = hashlib.sha256()
    for batch in connection.sql("SELECT * EXCLUDE (list_id) FROM movies ORDER BY row_id").to_arrow_reader(10_000):
        for row in batch.to_pylist():
            digest.update(repr(tuple(row.values())).encode())
    return digest.hexdigest()
