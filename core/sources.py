"""What people bring (Parquet, CSV, DuckDB) becomes the one `movies` table that the rest of the app reads.

`read` turns a file into the table described in docs/architecture.md: known columns with known types, missing
ones as NULL, one integer `list_id` for each distinct genre list. Whatever cannot be understood is an error
that names the file, the row and the column, and nothing is kept.
"""

import csv
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

import duckdb

TEXT_COLUMNS = ("movie_id", "title", "certificate")
LIST_COLUMNS = ("genres", "directors", "writers", "cast", "languages", "countries")
WHOLE_COLUMNS = ("year", "tomatometer", "metascore", "reviews", "oscars")
NUMBER_COLUMNS = ("runtime", "box_office")
DATE_COLUMNS = ("released",)
SQL_TYPES = {
    **dict.fromkeys(TEXT_COLUMNS, "VARCHAR"),
    **dict.fromkeys(LIST_COLUMNS, "VARCHAR[]"),
    **dict.fromkeys(WHOLE_COLUMNS, "INTEGER"),
    **dict.fromkeys(NUMBER_COLUMNS, "DOUBLE"),
    **dict.fromkeys(DATE_COLUMNS, "DATE"),
}
COLUMNS = (
    *("movie_id", "title", "year", "genres", "runtime", "certificate", "released", "directors", "writers"),
    *("cast", "languages", "countries", "tomatometer", "metascore", "reviews", "box_office", "oscars"),
)
REQUIRED = ("title", "genres")
KINDS = {".parquet": "Parquet", ".csv": "CSV", ".duckdb": "DuckDB", ".db": "DuckDB"}
WORDS = {"INTEGER": "a whole number", "DOUBLE": "a number", "DATE": "a date (YYYY-MM-DD)"}
# A cast alone is not enough of a check: DuckDB rounds 1984.5 to a whole number and takes “inf” for a number or a date.
UNFIT = {
    "INTEGER": "TRY_CAST(value AS INTEGER) <> TRY_CAST(value AS DOUBLE)",
    "DOUBLE": "NOT isfinite(TRY_CAST(value AS DOUBLE))",
    "DATE": "NOT isfinite(TRY_CAST(value AS DATE))",
}
BLANKS = "' ' || chr(9) || chr(10) || chr(13) || chr(160)"
# trim with a set of characters is slow, and few names need it.
TRIMMED = (
    "CASE WHEN ord(x) IN (32, 9, 10, 13, 160) OR ord(right(x, 1)) IN (32, 9, 10, 13, 160) "
    f"THEN trim(x, {BLANKS}) ELSE x END"
)
CSV_ERRORS = {
    "Expected Number of Columns": "it has more or fewer cells than there are columns. Check its commas and quotes.",
    "unterminated quote": "a quote is opened and never closed. Close it, and double a quote inside a quoted cell.",
    "not utf-8 encoded": "it is not UTF-8 text. Save the file as UTF-8 and try again.",
}


class SourceError(ValueError):
    """A catalogue that cannot be used; the text is a plain sentence fit to be shown."""


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file's content (64 hex digits): the same films give the same fingerprint."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(connection: duckdb.DuckDBPyConnection, path: Path) -> frozenset[str]:
    """Create the tables `movies` and `genre_lists` from a file and return the known columns it had.

    `movies` has every name of `COLUMNS` plus `row_id` (0 to n - 1, input order), `genre_list` (text or NULL)
    and `list_id` (row of `genre_lists`, or NULL). `genre_lists` has `list_id` (0 to n - 1, alphabetical) and
    `genre_list`. Raises SourceError with a sentence that names the file, row and column.
    """
    kind = _kind(path)
    try:
        if kind == "DuckDB":
            connection.execute(f"ATTACH {_literal(str(path))} AS theirs (READ_ONLY, TYPE duckdb)")
        relation = _relation(connection, kind, path)
        found = {
            name.lower(): (name, kind_of)
            for name, kind_of, *_ in connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        }
        _require(path, found)
        # Views, not copies: memory that a copy has taken is not given back.
        connection.execute(f"CREATE VIEW theirs_rows AS SELECT * FROM {relation}")
        _check_values(connection, path, found)
        _create_tables(connection, found)
        _check_ids(connection, path)
        connection.execute("DROP VIEW theirs_rows")
        if kind == "DuckDB":
            connection.execute("DETACH theirs")
    except duckdb.Error as error:
        raise SourceError(_because(path, kind, error)) from error
    return frozenset(name for name in COLUMNS if name in found)


def _kind(path: Path) -> str:
    """Tell the kind of a file by its ending, after making sure that it is there, readable and not empty."""
    if not path.exists():
        raise SourceError(
            f"The catalogue {path.name} was not found. Check the path in GENRESCOPE_MOVIES; "
            "leave it unset to use the films that come with Genrescope."
        )
    if not path.is_file() or not os.access(path, os.R_OK):
        raise SourceError(f"The catalogue {path.name} cannot be read. Check that it is a file and its permissions.")
    if path.stat().st_size == 0:
        raise SourceError(f"The catalogue {path.name} is empty (0 bytes).")
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise SourceError(f"The catalogue {path.name} must end in .parquet, .csv or .duckdb.")
    return kind


def _relation(connection: duckdb.DuckDBPyConnection, kind: str, path: Path) -> str:
    """Return the SQL that stands for the file's rows. The path is the deployer's, never a visitor's."""
    if kind == "DuckDB":
        there = connection.execute(
            "SELECT 1 FROM (SELECT database_name, schema_name, table_name AS name FROM duckdb_tables() UNION ALL "
            "SELECT database_name, schema_name, view_name FROM duckdb_views()) "
            "WHERE database_name = 'theirs' AND schema_name = 'main' AND lower(name) = 'movies'"
        ).fetchone()
        if there is None:
            raise SourceError(f"The database {path.name} has no table named movies.")
        return "theirs.movies"
    if kind == "Parquet":
        return f"read_parquet({_pattern(path)}, hive_partitioning=false)"
    return _csv_relation(path)


def _csv_relation(path: Path) -> str:
    """Spell out every CSV setting: DuckDB's sniffer reads ragged rows as one column without a word."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
    except UnicodeDecodeError as error:
        raise SourceError(f"{path.name} is not UTF-8 text. Save it as UTF-8 and try again.") from error
    except csv.Error as error:
        raise SourceError(f"{path.name} has no readable header row: {error}.") from error
    names = [name.strip() for name in header]
    if not names:
        raise SourceError(f"{path.name} has no column names in its first row.")
    repeated = sorted({name for name in names if [n.lower() for n in names].count(name.lower()) > 1})
    if repeated:
        raise SourceError(f"{path.name} names the column {repeated[0]} more than once. Keep one of them.")
    if not all(names):
        raise SourceError(f"{path.name} has a column without a name in its first row.")
    columns = ", ".join(f"{_literal(name)}: 'VARCHAR'" for name in names)
    return (
        f"read_csv({_pattern(path)}, auto_detect=false, header=true, delim=',', quote='\"', escape='\"', "
        f"strict_mode=true, nullstr='', hive_partitioning=false, columns={{{columns}}})"
    )


def _require(path: Path, found: Mapping[str, object]) -> None:
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        there = ", ".join(found) or "none"
        raise SourceError(f"{path.name} has no column named {' and '.join(missing)}. Its columns are: {there}.")


def _check_values(connection: duckdb.DuckDBPyConnection, path: Path, found: Mapping[str, tuple[str, str]]) -> None:
    """Raise SourceError for the first value that is not of its column's type."""
    for name in (*WHOLE_COLUMNS, *NUMBER_COLUMNS, *DATE_COLUMNS):
        if name not in found:
            continue
        type_name = SQL_TYPES[name]
        bad = connection.execute(
            f"SELECT row_number, value FROM (SELECT row_number() OVER () AS row_number, {_value(name, found)} AS value "
            f"FROM theirs_rows) WHERE value IS NOT NULL AND coalesce({UNFIT[type_name]}, true) "
            "ORDER BY row_number LIMIT 1"
        ).fetchone()
        if bad:
            row, value = bad
            raise SourceError(
                f"{path.name}, row {row:,}, column {name}: “{value[:40]}” is not {WORDS[type_name]}. "
                "Correct it or leave the cell empty."
            )


def _value(name: str, found: Mapping[str, tuple[str, str]]) -> str:
    """Return the SQL of a number or date of theirs as text, NULL where the cell is empty or a NaN of numpy."""
    column, theirs = _identifier(found[name][0]), found[name][1]
    text = f"nullif(trim(CAST({column} AS VARCHAR), {BLANKS}), '')"
    # Not nullif(text, 'nan'): Parquet's statistics leave NaN out, and DuckDB concludes from them that no text is 'nan'.
    return f"CASE WHEN NOT isnan({column}) THEN {text} END" if theirs in ("FLOAT", "DOUBLE") else text


def _expression(name: str, found: Mapping[str, tuple[str, str]]) -> str:
    """Return the SQL that turns a column of theirs into ours, NULL where they have none."""
    type_name = SQL_TYPES[name]
    if name not in found:
        return f"CAST(NULL AS {type_name})"
    column, theirs = _identifier(found[name][0]), found[name][1]
    if name not in LIST_COLUMNS:
        if type_name == "VARCHAR":
            return f"CAST({column} AS VARCHAR)"
        return f"TRY_CAST({_value(name, found)} AS {type_name})"
    is_list = theirs.endswith("]")  # VARCHAR[] or, with a fixed length, VARCHAR[2]
    # A comma always parts two genres, in a list too, so that a genre list can be read back from its text.
    if name == "genres" or not is_list:
        text = f"array_to_string(CAST({column} AS VARCHAR[]), ',')" if is_list else f"CAST({column} AS VARCHAR)"
        column = f"regexp_split_to_array({text}, '[|;,]')"
    trimmed = f"list_transform(CAST({column} AS VARCHAR[]), lambda x: {TRIMMED})"
    return f"coalesce(list_filter({trimmed}, lambda x: x <> ''), [])"


def _create_tables(connection: duckdb.DuckDBPyConnection, found: Mapping[str, tuple[str, str]]) -> None:
    """Create `movies` and `genre_lists` from their rows."""
    ours = ", ".join(f'{_expression(name, found)} AS "{name}"' for name in COLUMNS)
    movie_id = "coalesce(movie_id, CAST(row_id + 1 AS VARCHAR))"
    connection.execute(
        f"CREATE VIEW ours AS SELECT * REPLACE ({movie_id} AS movie_id, coalesce(title, '') AS title), "
        "nullif(array_to_string(list_sort(list_distinct(genres)), ', '), '') AS genre_list "
        f"FROM (SELECT row_number() OVER () - 1 AS row_id, {ours} FROM theirs_rows)"
    )
    connection.execute(
        "CREATE TABLE genre_lists AS SELECT CAST(row_number() OVER (ORDER BY genre_list) - 1 AS INTEGER) AS list_id, "
        "genre_list FROM (SELECT DISTINCT genre_list FROM ours WHERE genre_list IS NOT NULL)"
    )
    # An ENUM's code is the row of its list: films keep their order, where a join would need them sorted again.
    connection.execute("CREATE TYPE known_list AS ENUM (SELECT genre_list FROM genre_lists ORDER BY list_id)")
    connection.execute(
        "CREATE TABLE movies AS SELECT *, CAST(enum_code(CAST(genre_list AS known_list)) AS INTEGER) AS list_id "
        "FROM ours"
    )
    connection.execute("DROP VIEW ours")
    connection.execute("DROP TYPE known_list")


def _check_ids(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    twice = connection.execute(
        "SELECT movie_id, min(row_id) + 1, max(row_id) + 1 FROM movies GROUP BY movie_id HAVING count(*) > 1 "
        "ORDER BY min(row_id) LIMIT 1"
    ).fetchone()
    if twice:
        raise SourceError(
            f"{path.name}, rows {twice[1]:,} and {twice[2]:,}, column movie_id: “{twice[0]}” stands twice. "
            "Make the ids unique, or leave the column out to have the films numbered."
        )


def _because(path: Path, kind: str, error: duckdb.Error) -> str:
    """Put a DuckDB error in one sentence that says what to do."""
    text = str(error).replace(f"{path.parent}{os.sep}", "")
    if isinstance(error, duckdb.IOException) and "Could not set lock" in text:
        return f"The database {path.name} is being written by another program. Close that program and try again."
    line = re.search(r"CSV Error on Line: (\d+)", text)
    words = next((words for sign, words in CSV_ERRORS.items() if sign in text), None)
    if line and words:
        return f"{path.name}, line {int(line[1]):,}: {words}"
    said = " ".join(text.partition("\nLINE ")[0].split())[:160]
    return f"{path.name} cannot be read as {kind}. Check that the file is complete. DuckDB says: {said}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _pattern(path: Path) -> str:
    """Return a path as DuckDB's table functions want it: *, ? and [ in its name mean themselves."""
    return _literal(re.sub(r"[*?\[]", r"[\g<0>]", str(path)))


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
