import csv
import hashlib
import io
import itertools
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import movies, sources
from core.sources import SourceError

Row = dict[str, Any]

COLUMNS = ", ".join(f'"{name}"' for name in sources.COLUMNS)
FULL: list[Row] = [
    {
        "movie_id": "tt01",
        "title": "First",
        "year": 1984,
        "genres": ["Drama", "Comedy"],
        "runtime": 101.5,
        "certificate": "PG-13",
        "released": date(1984, 2, 29),
        "directors": ["Ann Otto"],
        "writers": ["Ann Otto", "Bo Ek"],
        "cast": ["Cy Day", "Di Roe"],
        "languages": ["English"],
        "countries": ["Norway", "Chad"],
        "tomatometer": 97,
        "metascore": 88,
        "reviews": 1200,
        "box_office": 1234567.25,
        "oscars": 2,
    },
    {
        **dict.fromkeys(sources.COLUMNS),
        "movie_id": "tt02",
        "title": "Second",
        "genres": [],
        **{name: [] for name in ("directors", "writers", "cast", "languages", "countries")},
    },
    {**dict.fromkeys(sources.COLUMNS), "movie_id": "tt03", "title": "Third", "year": -5, "genres": ["Drama"]},
]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config=movies.HARDENED) as opened:
        yield opened


def write_parquet(path: Path, rows: list[Row]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_csv(path: Path, rows: list[Row]) -> Path:
    def cell(value: Any) -> str:
        return "|".join(value) if isinstance(value, list) else "" if value is None else str(value)

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(rows[0])
        writer.writerows([cell(value) for value in row.values()] for row in rows)
    return path


def write_duckdb(path: Path, rows: list[Row]) -> Path:
    parquet = write_parquet(path.with_name("rows.parquet"), rows)
    return database(path, f"CREATE TABLE movies AS FROM read_parquet('{str(parquet).replace(chr(39), chr(39) * 2)}')")


def database(path: Path, *statements: str) -> Path:
    with duckdb.connect(str(path)) as created:
        for statement in statements:
            created.execute(statement)
    return path


WRITERS: dict[str, Callable[[Path, list[Row]], Path]] = {
    ".parquet": write_parquet,
    ".csv": write_csv,
    ".duckdb": write_duckdb,
}


def text_file(folder: Path, content: str | bytes, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read_rows(connection: duckdb.DuckDBPyConnection, path: Path) -> list[tuple[Any, ...]]:
    """Read a file and return all of `movies`, known columns first, in input order."""
    sources.read(connection, path)
    return connection.execute(f"SELECT {COLUMNS}, row_id, genre_list, list_id FROM movies ORDER BY row_id").fetchall()


def problem(connection: duckdb.DuckDBPyConnection, path: Path) -> str:
    """Return the sentence with which a file is refused; it must be one that can be shown."""
    with pytest.raises(SourceError) as caught:
        sources.read(connection, path)
    sentence = str(caught.value)
    assert path.name in sentence
    assert str(path.parent) not in sentence  # a visitor need not know where the server keeps its files
    assert sentence.endswith((".", "!", "?")) or "DuckDB says: " in sentence
    return sentence


# What is read


@pytest.mark.parametrize("ending", WRITERS)
def test_every_column_is_read_with_its_type(tmp_path: Path, connection: duckdb.DuckDBPyConnection, ending: str) -> None:
    path = WRITERS[ending](tmp_path / f"mine{ending}", FULL)
    assert sources.read(connection, path).columns == frozenset(sources.COLUMNS)
    rows = connection.execute(f"SELECT {COLUMNS} FROM movies ORDER BY row_id").fetchall()
    expected = [tuple([] if row[n] is None and n in sources.LIST_COLUMNS else row[n] for n in row) for row in FULL]
    assert rows == expected
    types = {name: kind for name, kind, *_ in connection.execute("DESCRIBE movies").fetchall()}
    assert {name: types[name] for name in sources.COLUMNS} == sources.SQL_TYPES
    assert connection.execute("SELECT row_id, genre_list, list_id FROM movies ORDER BY row_id").fetchall() == [
        (0, "Comedy, Drama", 0),
        (1, None, None),
        (2, "Drama", 1),
    ]
    assert connection.execute("FROM genre_lists ORDER BY list_id").fetchall() == [(0, "Comedy, Drama"), (1, "Drama")]
    assert {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()} == {
        "movies",
        "genre_lists",
    }  # nothing of theirs is kept beside


def test_all_kinds_of_files_give_the_same_shipped_catalogue(tmp_path: Path, plain_films: list[Row]) -> None:
    rows = [{name: film[name] for name in sources.COLUMNS} for film in plain_films[::4]]
    assert len(rows) == 4368
    read = {}
    for ending, write in WRITERS.items():
        with duckdb.connect(config=movies.HARDENED) as connection:
            read[ending] = read_rows(connection, write(tmp_path / f"films{ending}", rows))
    assert [row[:2] for row in read[".parquet"]] == [(row["movie_id"], row["title"]) for row in rows]
    assert read[".duckdb"] == read[".parquet"]
    # A cell of CSV cannot tell “Alan Hale, Jr.” from two people, so people's names with a comma are left out.
    people = [list(sources.COLUMNS).index(name) for name in ("directors", "writers", "cast")]

    def without_commas(rows: list[tuple[Any, ...]], like: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return [
            tuple(
                None if i in people and any("," in name for name in other[i]) else value for i, value in enumerate(row)
            )
            for row, other in zip(rows, like, strict=True)
        ]

    assert without_commas(read[".csv"], read[".parquet"]) == without_commas(read[".parquet"], read[".parquet"])
    assert sum("Jr." in name for row in read[".parquet"] for i in people for name in row[i]) > 25  # few are left out


def test_a_view_named_movies_serves_as_well(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    path = database(
        tmp_path / "mine.duckdb",
        "CREATE TABLE films AS SELECT 'A' AS title, ['Drama'] AS genres",
        "CREATE VIEW Movies AS FROM films",
    )
    assert [row[1] for row in read_rows(connection, path)] == ["A"]


def test_a_database_is_opened_read_only(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    path = write_duckdb(tmp_path / "mine.duckdb", FULL)
    before, listing = path.read_bytes(), sorted(tmp_path.iterdir())
    sources.read(connection, path)
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == listing
    assert "theirs" not in {
        name for (name,) in connection.execute("SELECT database_name FROM duckdb_databases()").fetchall()
    }


def test_a_database_left_with_a_write_ahead_log(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    path = tmp_path / "mine.duckdb"
    script = f"""
import duckdb, os
connection = duckdb.connect({str(path)!r})
connection.execute("CREATE TABLE movies AS SELECT 'A' AS title, ['Drama'] AS genres")
connection.execute("CHECKPOINT")
connection.execute("INSERT INTO movies VALUES ('B', ['War'])")
os._exit(0)  # as if it had been killed
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    log = path.with_name("mine.duckdb.wal")
    before = path.read_bytes(), log.read_bytes()
    assert [row[1] for row in read_rows(connection, path)] == ["A", "B"]
    assert (path.read_bytes(), log.read_bytes()) == before


@pytest.mark.parametrize("ending", WRITERS)
def test_titles_stay_text(tmp_path: Path, connection: duckdb.DuckDBPyConnection, ending: str) -> None:
    titles = [
        *("NA", "None", "null", "NaN", "nan", "1984", "007", "1e5", "True", "2012-12-12", "#Alive", "=1+1", "-"),
        *("@home", 'say "hi"', '"', "it's", "two\nlines", "\ttab", " spaces ", "a,b;c|d", "\\N", "%s", "Ärger 戦争 🎬"),
        *("x" * 5000, "e\u0301", "\u200f", "'; DROP TABLE movies; --"),
    ]
    path = WRITERS[ending](tmp_path / f"mine{ending}", [{"title": title, "genres": ["War"]} for title in titles])
    assert [row[1] for row in read_rows(connection, path)] == titles


@pytest.mark.parametrize("ending", WRITERS)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    titles=st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1),
        min_size=1,
        max_size=20,
    )
)
def test_any_title_stays_text(tmp_path: Path, ending: str, titles: list[str]) -> None:
    (tmp_path / f"mine{ending}").unlink(missing_ok=True)
    rows = [{"title": title, "genres": ["War"]} for title in titles]
    with duckdb.connect(config=movies.HARDENED) as connection:
        assert [row[1] for row in read_rows(connection, WRITERS[ending](tmp_path / f"mine{ending}", rows))] == titles


def test_a_film_without_a_title_has_an_empty_one(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    assert [row[1] for row in read_rows(connection, text_file(tmp_path, 'title,genres\n,War\n"",War\n'))] == ["", ""]


GENRES = [
    ("Drama", "Drama"),
    (" Drama ", "Drama"),
    ("\tDrama\u00a0", "Drama"),
    ("War|Drama", "Drama, War"),
    ("War;Drama", "Drama, War"),
    ("War,Drama", "Drama, War"),
    ("War, Drama | Comedy;Drama", "Comedy, Drama, War"),
    ("Drama,Drama", "Drama"),
    (",; |Drama,,", "Drama"),
    ("drama,Drama,Éa,Za", "Drama, Za, drama, Éa"),  # by code point, capitals are their own
    ("Sci-Fi, Film-Noir", "Film-Noir, Sci-Fi"),
    ("Rock'n'Roll, \"quoted\"", "\"quoted\", Rock'n'Roll"),
    ("(no genres listed)", "(no genres listed)"),
    ("", None),
    (" , | ;", None),
]


@pytest.mark.parametrize("ending", WRITERS)
def test_genres_are_split_trimmed_made_distinct_and_sorted(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, ending: str
) -> None:
    path = WRITERS[ending](tmp_path / f"mine{ending}", [{"title": "A", "genres": text} for text, _ in GENRES])
    rows = read_rows(connection, path)
    assert [row[-2] for row in rows] == [genre_list for _, genre_list in GENRES]
    assert all(sorted({*row[3]}) == (row[-2].split(", ") if row[-2] else []) for row in rows)
    lists = sorted({genre_list for _, genre_list in GENRES if genre_list})
    assert connection.execute("FROM genre_lists ORDER BY list_id").fetchall() == list(enumerate(lists))
    assert [row[-1] for row in rows] == [lists.index(text) if text else None for _, text in GENRES]


def test_genres_as_lists_of_every_kind(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    cells = [["War", " Drama ", "", None, "War"], [], None, ["A, B|C"]]
    path = write_parquet(tmp_path / "mine.parquet", [{"title": "A", "genres": cell} for cell in cells])
    assert [row[-2] for row in read_rows(connection, path)] == ["Drama, War", None, None, "A, B, C"]


@pytest.mark.parametrize(
    "genres",
    [
        pa.array([["War", "Drama"]], pa.list_(pa.string(), 2)),
        pa.array([["War", "Drama"]], pa.large_list(pa.large_string())),
        pa.array(["War|Drama"]).dictionary_encode(),
    ],
    ids=["fixed length", "large", "dictionary"],
)
def test_genres_in_other_types_of_arrow(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, genres: pa.Array
) -> None:
    path = tmp_path / "mine.parquet"
    pq.write_table(pa.table({"title": ["A"], "genres": genres}), path)
    assert [row[-2] for row in read_rows(connection, path)] == ["Drama, War"]


def test_many_films_keep_their_order(tmp_path: Path) -> None:
    """More than DuckDB reads in one piece, by more than one thread: nothing sorts the rows on their way in."""
    n = 400_000
    genres = [f"G{i % 997:03d}" for i in range(n)]
    path = tmp_path / "mine.parquet"
    pq.write_table(pa.table({"title": [str(i) for i in range(n)], "genres": genres}), path, row_group_size=50_000)
    connection = duckdb.connect(":memory:", config={"threads": 4})
    sources.read(connection, path)
    right = "row_id = rowid AND title = CAST(row_id AS VARCHAR) AND list_id = row_id % 997"
    assert connection.execute(f"SELECT count(*) FILTER ({right}) FROM movies").fetchone() == (n,)


def test_films_without_genres_are_kept_and_counted(connection: duckdb.DuckDBPyConnection) -> None:
    sources.read(connection, movies.SHIPPED)
    counted = connection.execute("SELECT count(*), count(genre_list), count(list_id) FROM movies").fetchone()
    assert counted == (17_472, 17_029, 17_029)
    assert connection.execute("SELECT count(*), count(DISTINCT genre_list) FROM genre_lists").fetchone() == (1187, 1187)


def test_names_of_columns_in_any_case_and_unknown_ones_ignored(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    path = text_file(tmp_path, 'Genres, TITLE ,"odd ""name""; DROP TABLE movies",Year,rating\nWar,A,x,1999,5\n')
    assert sources.read(connection, path).columns == {"genres", "title", "year"}
    row = connection.execute(f"SELECT {COLUMNS} FROM movies").fetchone()
    assert row is not None
    known = {name: value for name, value in zip(sources.COLUMNS, row, strict=True) if value is not None}
    assert known == {"movie_id": "1", "title": "A", "year": 1999, "genres": ["War"]}


@pytest.mark.parametrize("content", ["title,genres\n", "title,genres", "\ufefftitle,genres\r\n"])
def test_a_header_alone_is_a_catalogue_of_no_films(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, content: str
) -> None:
    assert read_rows(connection, text_file(tmp_path, content)) == []
    assert connection.execute("FROM genre_lists").fetchall() == []


def test_a_parquet_file_of_no_films(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    pq.write_table(pa.table({"title": pa.array([], pa.string()), "genres": pa.nulls(0)}), tmp_path / "mine.parquet")
    assert read_rows(connection, tmp_path / "mine.parquet") == []


@pytest.mark.parametrize(
    "content",
    [
        "title,genres\r\nA,War\r\nB,War\r\n",
        "title,genres\nA,War\nB,War",
        "title,genres\rA,War\rB,War\r",
        "\ufefftitle,genres\nA,War\nB,War\n",
        '"title","genres"\n"A","War"\n"B","War"\n',
        "title,genres\nA,War\n\nB,War\n\n",
    ],
    ids=["Windows", "no last line end", "old Mac", "byte order mark", "quoted", "blank lines"],
)
def test_csv_as_programs_write_it(tmp_path: Path, connection: duckdb.DuckDBPyConnection, content: str) -> None:
    rows = read_rows(connection, text_file(tmp_path, content))
    assert [(row[1], row[-2]) for row in rows] == [("A", "War"), ("B", "War")]


def test_numbers_as_programs_write_them(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    content = "title,genres,year,box_office,released\nA,War,1984.0,1e6,1984-02-03 00:00:00\nB,War, 1985 ,\t,\n"
    rows = read_rows(connection, text_file(tmp_path, content))
    at = list(sources.COLUMNS).index
    assert [(row[at("year")], row[at("box_office")], row[at("released")]) for row in rows] == [
        (1984, 1e6, date(1984, 2, 3)),
        (1985, None, None),
    ]


@pytest.mark.parametrize("ending", [".parquet", ".duckdb"])
def test_nan_of_numpy_is_a_missing_value(tmp_path: Path, connection: duckdb.DuckDBPyConnection, ending: str) -> None:
    table = pa.table(
        {
            "title": ["A", "B"],
            "genres": ["War", "War"],
            "year": np.array([1984.0, np.nan]),
            "runtime": np.array([np.nan, 90.5], dtype=np.float32),
            "released": pa.array([datetime(1984, 2, 3), None], pa.timestamp("us")),
        }
    )
    pq.write_table(table, tmp_path / "mine.parquet")
    if ending == ".duckdb":
        database(tmp_path / "mine.duckdb", f"CREATE TABLE movies AS FROM '{tmp_path}/mine.parquet'")
    sources.read(connection, tmp_path / f"mine{ending}")
    found = connection.execute("SELECT year, runtime, released FROM movies ORDER BY row_id").fetchall()
    assert found == [(1984, None, date(1984, 2, 3)), (None, 90.5, None)]


def test_films_without_ids_are_numbered(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    path = text_file(tmp_path, "title,genres\nB,War\nA,War\n")
    assert [row[:2] for row in read_rows(connection, path)] == [("1", "B"), ("2", "A")]


# Names of files


@pytest.mark.parametrize(
    ("ending", "name"),
    [
        *itertools.product(WRITERS, ["it's", "a b", "mine*", "min?", "mine[1]", "ünï %s", "--x", 'say "hi"', "{a,b}"]),
        # Not for a database: DuckDB takes a backslash in its name for a slash.
        *itertools.product([".parquet", ".csv"], ["a\\b"]),
    ],
)
def test_a_file_of_any_name_is_read_and_no_other(tmp_path: Path, ending: str, name: str) -> None:
    wrong = WRITERS[ending](tmp_path / f"wrong{ending}", [{"title": "wrong", "genres": ["War"]}])
    right = WRITERS[ending](tmp_path / f"right{ending}", [{"title": "right", "genres": ["War"]}])
    home = tmp_path / "home"
    (home / name).mkdir(parents=True)
    for decoy in ("mine1", "mine", "min1", "a", "b"):
        (home / decoy).mkdir(exist_ok=True)
        shutil.copy(wrong, home / f"{decoy}{ending}")
        shutil.copy(wrong, home / decoy / f"film{ending}")
    for path in (home / f"{name}{ending}", home / name / f"film{ending}"):
        shutil.copy(right, path)
        with duckdb.connect(config=movies.HARDENED) as connection:
            assert [row[1] for row in read_rows(connection, path)] == ["right"]


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_a_folder_named_like_a_column_adds_none(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, ending: str
) -> None:
    (tmp_path / "year=1999" / "oscars=7").mkdir(parents=True)
    path = tmp_path / "year=1999" / "oscars=7" / f"mine{ending}"
    WRITERS[ending](path, [{"title": "A", "genres": ["War"], "year": 1984}])
    assert sources.read(connection, path).columns == {"title", "genres", "year"}
    assert connection.execute("SELECT year, oscars FROM movies").fetchall() == [(1984, None)]


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    one, other = text_file(tmp_path, "title,genres\n", "a.csv"), text_file(tmp_path, "title,genres\n", "b.csv")
    assert sources.fingerprint(one) == sources.fingerprint(other) == hashlib.sha256(b"title,genres\n").hexdigest()
    assert sources.fingerprint(text_file(tmp_path, "title,genres\nA,War\n", "b.csv")) != sources.fingerprint(one)


# What is refused, and with which words


def test_a_missing_file(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    sentence = problem(connection, tmp_path / "nowhere.parquet")
    assert "was not found" in sentence
    assert "GENRESCOPE_MOVIES" in sentence


@pytest.mark.parametrize("name", ["folder", "folder.parquet"])
def test_an_empty_folder(tmp_path: Path, connection: duckdb.DuckDBPyConnection, name: str) -> None:
    (tmp_path / name).mkdir()
    assert "no .parquet file is in it" in problem(connection, tmp_path / name)


@pytest.mark.parametrize("path", ["", "*.parquet", "part-[ab].parquet", "part-?.parquet"])
def test_a_folder_or_a_pattern_of_parquet_files(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, path: str
) -> None:
    for name, title in (("part-b", "B"), ("part-a", "A")):
        write_parquet(tmp_path / f"{name}.parquet", [{"title": title, "genres": ["War"], f"only_{title}": 1}])
    assert [row[1] for row in read_rows(connection, tmp_path / path)] == ["A", "B"]
    assert sources.fingerprint(tmp_path / path) == sources.fingerprint(tmp_path)
    assert sources.fingerprint(tmp_path / path) != sources.fingerprint(tmp_path / "part-a.parquet")


def test_a_pattern_that_fits_other_files(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    text_file(tmp_path, "title,genres\nA,War\n")
    assert "do not end in .parquet" in problem(connection, tmp_path / "*.csv")
    assert "no .parquet file is in it" in problem(connection, tmp_path / "*.nothing")


@pytest.mark.parametrize("ending", WRITERS)
def test_an_empty_file(tmp_path: Path, connection: duckdb.DuckDBPyConnection, ending: str) -> None:
    assert "is empty (0 bytes)" in problem(connection, text_file(tmp_path, "", f"mine{ending}"))


@pytest.mark.parametrize("name", ["mine.txt", "mine", "mine.parquet.bak", "mine.xlsx"])
def test_an_unknown_ending(tmp_path: Path, connection: duckdb.DuckDBPyConnection, name: str) -> None:
    sentence = problem(connection, text_file(tmp_path, "title,genres\n", name))
    assert "must end in .parquet, .duckdb, .csv, .tsv, .json or .jsonl" in sentence


@pytest.mark.parametrize("kept", [3, 10, 1000, 700_000, -9, -1])
def test_a_truncated_parquet_file(tmp_path: Path, connection: duckdb.DuckDBPyConnection, kept: int) -> None:
    path = text_file(tmp_path, movies.SHIPPED.read_bytes()[:kept], "mine.parquet")
    sentence = problem(connection, path)
    assert "cannot be read as Parquet. Check that the file is complete" in sentence
    assert "SELECT" not in sentence  # our SQL says nothing to whom it may concern


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_file_is_read_or_refused_in_words(tmp_path: Path, seed: int) -> None:
    whole = write_duckdb(tmp_path / "whole.duckdb", FULL).read_bytes() if seed % 2 else movies.SHIPPED.read_bytes()
    damaged = bytearray(whole)
    random = np.random.default_rng(seed)
    places = random.integers(len(damaged), size=50)
    damaged[places[0] : places[0] + 100] = random.bytes(100)
    for place in places:
        damaged[place] ^= 0xFF
    path = text_file(tmp_path, bytes(damaged), "mine.duckdb" if seed % 2 else "mine.parquet")
    with duckdb.connect(config=movies.HARDENED) as connection:
        assert "cannot be read as" in problem(connection, path)


@pytest.mark.parametrize("name", ["mine.duckdb", "mine.db"])
def test_an_sqlite_database(tmp_path: Path, connection: duckdb.DuckDBPyConnection, name: str) -> None:
    with sqlite3.connect(tmp_path / name) as other:
        other.execute("CREATE TABLE movies (title, genres)")
    other.close()
    before = (tmp_path / name).read_bytes()
    assert "cannot be read as DuckDB" in problem(connection, tmp_path / name)
    assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize("name", ["mine.parquet", "mine.duckdb"])
def test_a_file_of_another_kind_under_that_name(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, name: str
) -> None:
    sentence = problem(connection, text_file(tmp_path, "title,genres\nA,War\n" * 1000, name))
    assert "cannot be read as" in sentence


def test_parquet_under_the_name_of_csv_is_read_as_what_it_is(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    path = text_file(tmp_path, movies.SHIPPED.read_bytes())
    assert len(read_rows(connection, path)) == 17_472


@pytest.mark.parametrize(
    "statements",
    [
        (),
        ("CREATE TABLE films AS SELECT 'A' AS title, ['War'] AS genres",),
        ("CREATE SCHEMA other", "CREATE TABLE other.movies AS SELECT 'A' AS title, ['War'] AS genres"),
    ],
    ids=["no table", "another name", "another schema"],
)
def test_a_database_without_the_table(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, statements: tuple[str, ...]
) -> None:
    path = database(tmp_path / "mine.duckdb", "CREATE TABLE filler (i INTEGER)", *statements)
    assert problem(connection, path) == "The database mine.duckdb has no table named movies."


def test_a_database_that_another_process_is_writing(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    path = write_duckdb(tmp_path / "mine.duckdb", FULL)
    script = f"import duckdb; held = duckdb.connect({str(path)!r}); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "held\n"
            sentence = problem(connection, path)
        finally:
            writer.communicate("done\n", timeout=30)
    assert "is being written by another program" in sentence
    assert len(read_rows(connection, path)) == len(FULL)  # and once it is free, it is read


def test_a_name_with_lock_in_it_is_not_taken_for_a_lock(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    sentence = problem(connection, text_file(tmp_path, b"junk" * 1000, "blockbusters.duckdb"))
    assert "another program" not in sentence
    assert "cannot be read as DuckDB" in sentence


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize(
    ("row", "missing"),
    [
        ({"rank": "1", "genres": "War"}, "titles"),
        ({"title": "A", "rank": "1"}, "genres"),
    ],
)
def test_a_required_column_is_missing(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, ending: str, row: Row, missing: str
) -> None:
    sentence = problem(connection, WRITERS[ending](tmp_path / f"mine{ending}", [row] * 5))
    # with its columns, so that one sees what it may be called
    assert sentence == f"mine{ending} has no column that looks like {missing}. Its columns are: {', '.join(row)}."


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("year", "nineteen", "a whole number"),
        ("year", "1984.5", "a whole number"),
        ("year", "0x7C0", "a whole number"),
        ("year", "true", "a whole number"),
        ("year", "nan", "a whole number"),
        ("reviews", "99999999999", "a whole number"),
        ("tomatometer", "97%", "a whole number"),
        ("runtime", "90 min", "a number"),
        ("box_office", "$1,000", "a number"),
        ("box_office", "inf", "a number"),
        ("box_office", "nan", "a number"),
        ("released", "1984-13-01", "a date (YYYY-MM-DD)"),
        ("released", "infinity", "a date (YYYY-MM-DD)"),
    ],
)
def test_a_value_of_the_wrong_type(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, ending: str, column: str, value: str, kind: str
) -> None:
    rows = [{"title": f"Film {i}", "genres": "War", column: None} for i in range(1500)]
    rows[1233][column] = value
    rows[1400][column] = value
    sentence = problem(connection, WRITERS[ending](tmp_path / f"mine{ending}", rows))
    assert sentence.startswith(f"mine{ending}, row 1,234, column {column}: “{value}” is not {kind}.")


def test_a_long_bad_value_is_cut(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    assert len(problem(connection, text_file(tmp_path, f"title,genres,year\nA,War,{'x' * 9999}\n"))) < 200


@pytest.mark.parametrize("ending", WRITERS)
def test_an_id_that_stands_twice(tmp_path: Path, connection: duckdb.DuckDBPyConnection, ending: str) -> None:
    rows = [{"movie_id": name, "title": "A", "genres": "War"} for name in ("x", "y", "z", "y", "x")]
    sentence = problem(connection, WRITERS[ending](tmp_path / f"mine{ending}", rows))
    assert sentence.startswith(f"mine{ending}, rows 1 and 5, column movie_id: “x” stands twice.")


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("title,genres\nA,War\nB,War,more\nC,War\n", 3, "more or fewer cells"),
        ("title,genres,year\nA,War,1984\nB,War,1985\nC,War", 4, "more or fewer cells"),
        ("title,genres\nA\n", 2, "more or fewer cells"),
        ('title,genres\nA,War\n"B,War\nC,War\n', 3, "a quote is opened and never closed"),
        ('title,genres\nA,War\nB,"War', 3, "a quote is opened and never closed"),
        ('title,genres\n"A" B,War\n', 2, "a quote is opened and never closed"),
        ("title,genres\nÄ,Krieg\n".encode() * 900 + b"Am\xe9lie,War\n", 1801, "UTF-8 and damaged"),
        (f"title,genres\nA,War\nB,{'x' * 3000},more\n", 3, "more or fewer cells"),
    ],
    ids=["too many", "too few", "one", "open quote", "open at the end", "after a quote", "damaged UTF-8", "long"],
)
def test_csv_that_is_broken(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, content: str | bytes, line: int, words: str
) -> None:
    sentence = problem(connection, text_file(tmp_path, content))
    assert sentence.startswith((f"mine.csv, line {line:,}: ", f"mine.csv, line {line:,} has "))
    assert words in sentence


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
def test_csv_that_is_not_utf_8(tmp_path: Path, connection: duckdb.DuckDBPyConnection, encoding: str) -> None:
    path = text_file(tmp_path, "title,genres\nAmélie,War\nMüller,War\n".encode(encoding))
    assert [row[1] for row in read_rows(connection, path)] == ["Amélie", "Müller"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("title,genres,title\nA,War,B\n", "names the column title more than once"),
        ("title,genres,Title\nA,War,B\n", "names the column Title more than once"),
        ("title,genres,year,year\nA,War,1,2\n", "names the column year more than once"),
        ('title,"genres\nA,War\n', "a quote is opened and never closed"),
    ],
)
def test_csv_with_a_bad_header(tmp_path: Path, connection: duckdb.DuckDBPyConnection, content: str, words: str) -> None:
    assert words in problem(connection, text_file(tmp_path, content))


def test_a_file_that_may_not_be_read(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = text_file(tmp_path, "title,genres\n")
    # root may read everything, so the system's answer is put in its mouth
    monkeypatch.setattr(sources.database.os, "access", lambda path, mode: False)
    assert "its permissions" in problem(connection, path)


def test_the_writers_of_these_tests_write_what_they_should(tmp_path: Path) -> None:
    rows = [{"title": 'a "b", c\nd', "genres": ["x", "y"]}]
    content = write_csv(tmp_path / "mine.csv", rows).read_text(encoding="utf-8")
    assert list(csv.reader(io.StringIO(content, newline=""))) == [["title", "genres"], ['a "b", c\nd', "x|y"]]
    shutil.copy(write_duckdb(tmp_path / "mine.duckdb", rows), tmp_path / "copy.duckdb")
    with duckdb.connect(str(tmp_path / "copy.duckdb"), read_only=True) as copy:
        assert copy.execute("FROM movies").fetchall() == [('a "b", c\nd', ["x", "y"])]
