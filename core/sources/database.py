"""Files, queries and mapped films become the one `movies` table that the rest of the app reads.

The table is described in docs/architecture.md: known columns with known types, missing ones as NULL, one integer
`list_id` for each distinct genre list. A deployer's file with our own columns is held to them: whatever cannot be
understood is an error that names the file, the row and the column, and nothing is kept.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from core.sources import packed, reading, shapes
from core.sources.applying import Films, Report, apply
from core.sources.columns import (
    COLUMNS,
    DATE_COLUMNS,
    LIST_COLUMNS,
    NUMBER_COLUMNS,
    SQL_TYPES,
    TEXT_NAMES,
    WHOLE_COLUMNS,
    Limits,
    SourceError,
)
from core.sources.table import Reading

KINDS = {".parquet": "Parquet", ".duckdb": "DuckDB", ".db": "DuckDB"}
TEXT_ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
PATTERN = re.compile(r"[*?\[]")
NO_LIMITS = Limits(cell=10_000_000)  # a deployer knows their own file
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


@dataclass(frozen=True)
class Loaded:
    """What a source had: the known columns, columns of free text, and what is to be told of it.

    left_out: columns that a very large file has and that were not read; file: where its films are to be read again, if
    only their genre lists are in memory. See `core.bulk`.
    """

    columns: frozenset[str]
    texts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    file: Path | None = None


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file's content (64 hex digits): the same films give the same fingerprint.

    Of a folder or a pattern, the SHA-256 of the fingerprints of its files in the order of their names.
    """
    if not path.is_file():
        return hashlib.sha256("".join(map(fingerprint, files(path))).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files(path: Path) -> list[Path]:
    """Return the files that a path stands for, in the order of their names: one, a folder's, or a pattern's."""
    if path.is_file():
        return [path]
    if path.is_dir():
        return sorted(each for each in path.rglob("*.parquet") if each.is_file())
    fixed = next((parent for parent in path.parents if not PATTERN.search(str(parent))), path.parent)
    if path.exists() or not PATTERN.search(str(path)) or not fixed.is_dir():
        return []
    return sorted(each for each in fixed.glob(str(path.relative_to(fixed))) if each.is_file())


def read(connection: duckdb.DuckDBPyConnection, path: Path, limits: Limits = NO_LIMITS) -> Loaded:
    """Create the tables `movies` and `genre_lists` from a file, a folder of Parquet files or a pattern.

    `movies` has every name of `COLUMNS` plus `row_id` (0 to n - 1, input order), `genre_list` (text or NULL),
    `list_id` (row of `genre_lists`, or NULL) and columns of free text. `genre_lists` has `list_id` (0 to n - 1,
    alphabetical) and `genre_list`. Our own columns are held to their types; other shapes are recognised
    (`shapes.recognise`). Raises SourceError with a sentence that names the file, row and column.
    """
    kind = _kind(path)
    try:
        if kind == "text":
            raw = reading.read(path.name, path, limits, may_be_empty=True)
            mapping = shapes.recognise(raw.table)
            if mapping.shape != shapes.OWN:
                return _apply(connection, raw, mapping)
            connection.register("theirs_table", raw.table)
            loaded = _read_own(connection, path.name, "theirs_table")
            connection.unregister("theirs_table")
            return loaded
        if kind == "DuckDB":
            connection.execute(f"ATTACH {_literal(str(path))} AS theirs (READ_ONLY, TYPE duckdb)")
        loaded = _read_relation(connection, path.name, _relation(connection, kind, path), limits)
        if kind == "DuckDB":
            connection.execute("DETACH theirs")
        return loaded
    except duckdb.Error as error:
        raise SourceError(_because(path, kind, error)) from error


def read_query(
    connection: duckdb.DuckDBPyConnection, query: str, database: Path | None = None, limits: Limits = NO_LIMITS
) -> Loaded:
    """Create the tables from the rows of a deployer's query, which may name the tables of a database of theirs."""
    try:
        if database is not None:
            if _kind(database) != "DuckDB":
                raise SourceError(f"A query goes with a .duckdb file or with none, and {database.name} is not one.")
            connection.execute(f"ATTACH {_literal(str(database))} AS theirs (READ_ONLY, TYPE duckdb)")
            connection.execute("CREATE SCHEMA IF NOT EXISTS memory.main")
            connection.execute("USE theirs")
        connection.execute(f"CREATE TABLE memory.main.theirs_result AS {query.strip().rstrip(';')}")
        connection.execute("USE memory")
        loaded = _read_relation(connection, "The query", "theirs_result", limits)
        connection.execute("DROP TABLE theirs_result")
        if database is not None:
            connection.execute("DETACH theirs")
        return loaded
    except duckdb.Error as error:
        said = " ".join(str(error).partition("\nLINE ")[0].split())[:300]
        raise SourceError(f"The query in GENRESCOPE_QUERY cannot be answered. DuckDB says: {said}") from error


def create(connection: duckdb.DuckDBPyConnection, films: Films) -> Loaded:
    """Create the tables from films that a mapping made."""
    connection.register("theirs_table", films.table)
    connection.execute("CREATE VIEW theirs_rows AS SELECT * FROM theirs_table")
    _create_tables(connection, {name: _identifier(name) for name in (*COLUMNS, *films.texts)})
    connection.execute("DROP VIEW theirs_rows")
    connection.unregister("theirs_table")
    return Loaded(films.columns, films.texts, told(films.report))


def told(report: Report) -> tuple[str, ...]:
    """Say what was left out or could not be read, a sentence each."""
    kept = "kept under another" if report.repeated_kept else "left out"
    found = [
        (report.cut, f"Rows read: the first {report.rows - report.cut:,} of {report.rows:,}."),
        (report.ragged, f"Rows left out for more or fewer cells than there are columns: {report.ragged:,}."),
        (report.other_kind, f"Rows left out as they are of another kind: {report.other_kind:,}."),
        (report.repeated, f"Rows {kept} as their id stood before: {report.repeated:,}."),
    ]
    unread = [(name, n) for name, n in report.by_column if name not in ("movie_id", "title") and n]
    found += [(n, f"Cells of {name} that could not be read and are left empty: {n:,}.") for name, n in unread]
    return tuple(sentence for n, sentence in found if n)


def _apply(connection: duckdb.DuckDBPyConnection, raw: reading.Raw, mapping: shapes.Mapping) -> Loaded:
    loaded = create(connection, apply(raw, mapping))
    return replace(loaded, notes=(f"{raw.name} was read as {mapping.shape}.", *loaded.notes))


def _read_relation(connection: duckdb.DuckDBPyConnection, name: str, relation: str, limits: Limits) -> Loaded:
    """Create the tables from what SQL calls a relation: as it is if it has our columns, else by a mapping."""
    head = connection.sql(f"SELECT * FROM {relation} LIMIT {shapes.SAMPLE}").to_arrow_table()
    mapping = shapes.recognise(packed.texts(name, head, limits)[0])
    if mapping.shape == shapes.OWN:
        return _read_own(connection, name, relation)
    wanted = {*dict(mapping.columns).values(), *filter(None, [mapping.kind_column]), *mapping.texts}
    used = [column for column in head.column_names if column in wanted or shapes.unmapped(mapping)]
    columns = ", ".join(map(_identifier, used))
    everything = connection.sql(f"SELECT {columns} FROM {relation}").to_arrow_table()
    table, _ = packed.texts(name, everything, limits)
    return _apply(connection, reading.Raw(name, table, len(table), 0, "", Reading(), ""), mapping)


def _read_own(connection: duckdb.DuckDBPyConnection, name: str, relation: str) -> Loaded:
    """Create the tables from a relation with our own columns, strictly."""
    found = {
        column.strip().lower(): (column, kind_of)
        for column, kind_of, *_ in connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    }
    # Views, not copies: memory that a copy has taken is not given back.
    connection.execute(f"CREATE VIEW theirs_rows AS SELECT * FROM {relation}")
    _check_values(connection, name, found)
    texts = tuple(column for column in found if column in TEXT_NAMES and found[column][1] == "VARCHAR")
    expressions = {column: _expression(column, found) for column in COLUMNS}
    _create_tables(connection, {**expressions, **{text: _identifier(found[text][0]) for text in texts}})
    _check_ids(connection, name)
    connection.execute("DROP VIEW theirs_rows")
    return Loaded(frozenset(column for column in COLUMNS if column in found), texts)


def _kind(path: Path) -> str:
    """Tell the kind of a file by its ending, after making sure that it is there, readable and not empty."""
    if not path.exists() and not PATTERN.search(path.name):
        raise SourceError(
            f"The catalogue {path.name} was not found. Check the path in GENRESCOPE_MOVIES; "
            "leave it unset to use the films that come with Genrescope."
        )
    if not path.is_file():
        if not files(path):
            raise SourceError(f"The catalogue {path.name} is a folder or pattern, and no .parquet file is in it.")
        if any(each.suffix.lower() != ".parquet" for each in files(path)):
            raise SourceError(f"The pattern {path.name} stands for files that do not end in .parquet.")
        return "Parquet"
    if not os.access(path, os.R_OK):
        raise SourceError(f"The catalogue {path.name} cannot be read. Check that it is a file and its permissions.")
    if path.stat().st_size == 0:
        raise SourceError(f"The catalogue {path.name} is empty (0 bytes).")
    name = path.name.lower().removesuffix(".gz")
    kind = "text" if name.endswith(TEXT_ENDINGS) else KINDS.get(path.suffix.lower())
    if kind is None:
        raise SourceError(
            f"The catalogue {path.name} must end in .parquet, .duckdb, .csv, .tsv, .json or .jsonl, the last four also "
            "in .gz."
        )
    return kind


def _relation(connection: duckdb.DuckDBPyConnection, kind: str, path: Path) -> str:
    """Return the SQL that stands for the file's rows. The path is the deployer's, never a visitor's."""
    if kind == "DuckDB":
        there = connection.execute(
            "SELECT 1 FROM (SELECT database_name, schema_name, table_name AS name FROM duckdb_tables() UNION ALL "
            "SELECT database_name, schema_name, view_name FROM duckdb_views()) "
            "WHERE database_name = 'theirs' AND schema_name = 'main' AND lower(name) = 'movies'"
        ).fetchall()
        if not there:
            raise SourceError(f"The database {path.name} has no table named movies.")
        return "theirs.movies"
    parts = ", ".join(map(_pattern, files(path)))
    return f"read_parquet([{parts}], hive_partitioning=false, union_by_name=true)"


def _check_values(connection: duckdb.DuckDBPyConnection, source: str, found: Mapping[str, tuple[str, str]]) -> None:
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
                f"{source}, row {row:,}, column {name}: “{value[:40]}” is not {WORDS[type_name]}. "
                "Correct it or leave the cell empty."
            )


def _value(name: str, found: Mapping[str, tuple[str, str]]) -> str:
    """Return the SQL of a number or date of theirs as text, NULL where the cell is empty or a NaN of numpy."""
    column, theirs = _identifier(found[name][0]), found[name][1]
    text = f"nullif(trim(CAST({column} AS VARCHAR), {BLANKS}), '')"
    # Not isnan, nor nullif(text, 'nan'): Parquet's statistics leave NaN out, and DuckDB concludes from them that there
    # is none. A NaN less itself is not 0.
    known = f"{column} - {column} = 0 OR isinf({column})"
    return f"CASE WHEN {known} THEN {text} END" if theirs in ("FLOAT", "DOUBLE") else text


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
        column = f"regexp_split_to_array({text}, '[|;,\\x1f]')"
        if name != "genres":  # a list of JSON: a comma is part of a name
            column = f"CASE WHEN contains({text}, chr(31)) THEN string_split({text}, chr(31)) ELSE {column} END"
    trimmed = f"list_transform(CAST({column} AS VARCHAR[]), lambda x: {TRIMMED})"
    return f"coalesce(list_filter({trimmed}, lambda x: x <> ''), [])"


def _create_tables(connection: duckdb.DuckDBPyConnection, expressions: Mapping[str, str]) -> None:
    """Create `movies` and `genre_lists` from their rows, each column by its expression."""
    ours = ", ".join(f"{expression} AS {_identifier(name)}" for name, expression in expressions.items())
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


def _check_ids(connection: duckdb.DuckDBPyConnection, source: str) -> None:
    twice = connection.execute(
        "SELECT movie_id, min(row_id) + 1, max(row_id) + 1 FROM movies GROUP BY movie_id HAVING count(*) > 1 "
        "ORDER BY min(row_id) LIMIT 1"
    ).fetchone()
    if twice:
        raise SourceError(
            f"{source}, rows {twice[1]:,} and {twice[2]:,}, column movie_id: “{twice[0]}” stands twice. "
            "Make the ids unique, or leave the column out to have the films numbered."
        )


def _because(path: Path, kind: str, error: duckdb.Error) -> str:
    """Put a DuckDB error in one sentence that says what to do."""
    text = str(error).replace(f"{path.parent}{os.sep}", "")
    if isinstance(error, duckdb.IOException) and "Could not set lock" in text:
        return f"The database {path.name} is being written by another program. Close that program and try again."
    if "newer version of DuckDB" in text:
        return (
            f"The database {path.name} was written by a newer version of DuckDB than the one here "
            f"({duckdb.__version__}). Write it with that version, or as Parquet."
        )
    said = " ".join(text.partition("\nLINE ")[0].split())[:160]
    return f"{path.name} cannot be read as {kind}. Check that the file is complete. DuckDB says: {said}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _pattern(path: Path) -> str:
    """Return a path as DuckDB's table functions want it: *, ? and [ in its name mean themselves."""
    return _literal(re.sub(r"[*?\[]", r"[\g<0>]", str(path)))


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
