"""Parquet files of a million films and more: into compressed memory, slice by slice, or past it.

`sources.read` copies a file as it is; for ten million films that is many gigabytes. Here the films come in slices, and
each is compressed before the next is read. Casts and writers stay in the file: they are most of it, and no page needs
them for its first answer. The command line needs less still: which genre list each film has, and then a look at each
film as it is written. Genres are cleaned once for each different cell, not once for each film.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.sources import COLUMNS, OWN, SQL_TYPES, Loaded, SourceError, database, packed, recognise
from core.sources.columns import TEXT_NAMES
from core.sources.shapes import SAMPLE

Int32 = NDArray[np.int32]

BULK_ROWS = 1_000_000
LIGHT_ROWS = 50_000  # from here on it is quicker where nothing but genres is asked for
SLICE_ROWS = 1_000_000
BATCH_ROWS = 200_000
LEFT_OUT = ("writers", "cast")
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT")


def is_bulk(path: Path, rows: int = BULK_ROWS) -> bool:
    """Return whether a file is a Parquet file of our own columns with so many films that it is not copied as it is."""
    if path.suffix.lower() != ".parquet" or not path.is_file():
        return False
    try:
        with pq.ParquetFile(path, buffer_size=1 << 20) as file:
            if file.metadata.num_rows < max(rows, 1):
                return False
            head = pa.Table.from_batches([next(file.iter_batches(SAMPLE))])
        return recognise(packed.texts(path.name, head, database.NO_LIMITS)[0]).shape == OWN
    except (OSError, pa.ArrowException, UnicodeDecodeError, SourceError):  # `sources.read` says what is wrong with it
        return False


def read(connection: duckdb.DuckDBPyConnection, path: Path, *, light: bool = False) -> Loaded:
    """Create the tables `movies`, `genre_lists` and `raw_lists` from a Parquet file (`is_bulk`).

    `movies` and `genre_lists` are those of `sources.read`, `movies` without what is LEFT_OUT, or, if light, with
    row_id, raw_id and list_id only. `raw_lists` has a row for each different cell of genres: raw_id, genres (cleaned),
    genre_list and list_id. Raises SourceError as `sources.read` does.
    """
    relation = f"read_parquet({database._pattern(path)}, hive_partitioning=false, file_row_number=true)"
    try:
        described = connection.execute(f"DESCRIBE SELECT * EXCLUDE (file_row_number) FROM {relation}").fetchall()
        found = {name.strip().lower(): (name, kind) for name, kind, *_ in described}
        connection.execute(f"CREATE VIEW theirs_rows AS SELECT * FROM {relation}")
        connection.execute("ATTACH ':memory:' AS kept (COMPRESS true)")
        _check(connection, path.name, found)
        raw_ids, raw = cells(path, found["genres"][0])
        _create_lists(connection, raw)
        _create_movies(connection, found, raw_ids, light)
        connection.execute("DROP VIEW theirs_rows")
    except duckdb.Error as error:
        raise SourceError(database._because(path, "Parquet", error)) from error
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())[:160]
        raise SourceError(f"{path.name} cannot be read as Parquet. Check that the file is complete. {said}") from error
    known = frozenset(name for name in COLUMNS if name in found and name not in LEFT_OUT)
    texts = (name for name in TEXT_NAMES if found.get(name, ("", ""))[1] == "VARCHAR")
    return Loaded(known, left_out=(*LEFT_OUT, *texts), file=path if light else None)


def cells(path: Path, column: str) -> tuple[Int32, list[str]]:
    """Number the different cells of a column of lists, or of texts, of a Parquet file.

    Returns the number of each film's cell, shape (n_movies,), -1 where it is empty, and the cells as texts, values
    joined by commas. Parquet keeps such columns as numbers already, and these are what is compared.
    """
    file = pq.ParquetFile(path)
    leaves = [file.schema.column(i).path for i in range(len(file.schema))]
    coded = [leaf for leaf in leaves if leaf.split(".")[0] == column]

    def of(group: int) -> list[tuple[Int32, list[str]]]:
        try:
            ours = pq.ParquetFile(path, metadata=file.metadata, read_dictionary=coded)
            read = [batch.column(0) for batch in ours.iter_batches(BATCH_ROWS, [group], [column])]
        except pa.ArrowNotImplementedError:  # where the writer gave up its dictionary half-way
            ours = pq.ParquetFile(path, metadata=file.metadata)
            read = [batch.column(0) for batch in ours.iter_batches(BATCH_ROWS, [group], [column])]
        return [_cells_of(part) for part in read]

    numbers: dict[str, int] = {}
    parts = [np.zeros(0, dtype=np.int32)]
    with ThreadPoolExecutor(2) as pool:
        for group in pool.map(of, range(file.num_row_groups)):
            for found, cells in group:
                known = [numbers.setdefault(cell, len(numbers)) if cell else -1 for cell in cells]
                parts.append(np.array(known, dtype=np.int32)[found])
    return np.concatenate(parts), list(numbers)


def _cells_of(column: pa.Array) -> tuple[Int32, list[str]]:
    """Return the number of each cell of a part of the column, and what the numbers stand for, "" for an empty cell."""
    if pa.types.is_fixed_size_list(column.type):
        column = column.cast(pa.list_(column.type.value_type))
    is_list = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    values = column.flatten() if is_list else column
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    names = values.dictionary.cast(pa.string()).to_pylist()
    codes = values.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64) + 1
    lengths = np.ones(len(column), dtype=np.int64)
    if is_list:
        lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    keys, starts = np.zeros(len(column), dtype=np.int64), np.cumsum(lengths) - lengths
    for place in range(int(lengths.max(initial=0))):
        longer = np.flatnonzero(lengths > place)
        if keys.max(initial=0) > np.iinfo(np.int64).max // (len(names) + 1) - 1:
            keys = np.unique(keys, return_inverse=True)[1].astype(np.int64)  # the same order of magnitude anew
        keys *= len(names) + 1
        keys[longer] += codes[starts[longer] + place]
    # 0 is no value at that place, so cells of other lengths differ as well.
    numbered = pa.array(keys).dictionary_encode()
    found = numbered.indices.to_numpy()
    film = np.zeros(len(numbered.dictionary), dtype=np.int64)
    film[found] = np.arange(len(found))  # one that has the cell
    cells = []
    for start, length in zip(starts[film].tolist(), lengths[film].tolist(), strict=True):
        here = codes[start : start + length].tolist()
        cells.append(",".join(names[code - 1] for code in here if code and names[code - 1]))
    return found, cells


def _check(connection: duckdb.DuckDBPyConnection, source: str, found: Mapping[str, tuple[str, str]]) -> None:
    """Look for values that are not of their column's type, where the file's type allows any, and for double ids."""
    database._check_values(connection, source, _doubtful(connection, found))
    if "movie_id" not in found:
        return
    # Numbers of eight bytes take a fifth of the texts' memory; two texts with the same one are looked at again.
    movie_id = _movie_id(found)
    hashes = np.sort(connection.execute(f"SELECT hash({movie_id}) AS hash FROM theirs_rows").fetchnumpy()["hash"])
    if (hashes[1:] != hashes[:-1]).all():
        return
    connection.execute(
        f"CREATE VIEW movies AS SELECT {movie_id} AS movie_id, file_row_number AS row_id FROM theirs_rows WHERE "
        f"hash({movie_id}) IN (SELECT hash({movie_id}) FROM theirs_rows GROUP BY ALL HAVING count(*) > 1)"
    )
    database._check_ids(connection, source)
    connection.execute("DROP VIEW movies")


def _doubtful(
    connection: duckdb.DuckDBPyConnection, found: Mapping[str, tuple[str, str]]
) -> dict[str, tuple[str, str]]:
    """Return the columns that need a look at each value as text: their type, or an infinite value, leaves doubt."""
    plain = [name for name in found if _is_plain(name, found)]
    endless = [name for name in plain if found[name][1] not in INTEGERS]
    checks = [f"count(*) FILTER (isinf({database._identifier(found[name][0])}))" for name in endless]
    infinite = _row(connection, f"SELECT {', '.join(checks)} FROM theirs_rows") if checks else ()
    sure = {*plain} - {name for name, n in zip(endless, infinite, strict=True) if n}
    return {name: kind for name, kind in found.items() if name not in sure}


def _is_plain(name: str, found: Mapping[str, tuple[str, str]]) -> bool:
    """Return whether a number or date of theirs has a type that needs no way through text."""
    kinds = {"INTEGER": INTEGERS, "DOUBLE": (*INTEGERS, "FLOAT", "DOUBLE"), "DATE": ("DATE",)}
    return found[name][1] in kinds.get(SQL_TYPES.get(name, ""), ())


def _row(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[int, ...]:
    return tuple(connection.execute(sql).fetchall()[0])


def _movie_id(found: Mapping[str, tuple[str, str]]) -> str:
    number = "CAST(file_row_number + 1 AS VARCHAR)"
    return f"coalesce({database._expression('movie_id', found)}, {number})"


def _create_lists(connection: duckdb.DuckDBPyConnection, raw: list[str]) -> None:
    """Clean every different cell of genres, and number the genre lists in alphabetical order."""
    genres = database._expression("genres", {"genres": ("raw", "VARCHAR")})
    connection.register(
        "cells", pa.table({"raw_id": pa.array(range(len(raw)), pa.int32()), "raw": pa.array(raw, pa.string())})
    )
    connection.execute(
        "CREATE TABLE cleaned AS SELECT *, nullif(array_to_string(list_sort(list_distinct(genres)), ', '), '') AS "
        f"genre_list FROM (SELECT raw_id, {genres} AS genres FROM cells)"
    )
    connection.unregister("cells")
    connection.execute(
        "CREATE TABLE genre_lists AS SELECT CAST(row_number() OVER (ORDER BY genre_list) - 1 AS INTEGER) AS list_id, "
        "genre_list FROM (SELECT DISTINCT genre_list FROM cleaned WHERE genre_list IS NOT NULL)"
    )
    connection.execute(
        "CREATE TABLE raw_lists AS SELECT cleaned.*, list_id FROM cleaned LEFT JOIN genre_lists USING (genre_list)"
    )
    connection.execute("DROP TABLE cleaned")


def _create_movies(
    connection: duckdb.DuckDBPyConnection, found: Mapping[str, tuple[str, str]], raw_ids: Int32, light: bool
) -> None:
    """Create `movies` from slices, each compressed before the next is read."""
    ours = ", ".join(f'{_column(name, found)} AS "{name}"' for name in COLUMNS if name != "genres")
    for start in range(0, max(len(raw_ids), 1), SLICE_ROWS):
        end = min(start + SLICE_ROWS, len(raw_ids))
        rows = pa.table({"row_id": pa.array(np.arange(start, end)), "raw_id": pa.array(raw_ids[start:end])})
        connection.register("numbered", rows)
        head = "INSERT INTO kept.films" if start else "CREATE TABLE kept.films AS"
        if light:
            connection.execute(
                f"{head} SELECT row_id, raw_id, list_id FROM numbered LEFT JOIN raw_lists USING (raw_id)"
            )
        else:
            connection.execute(
                f"{head} SELECT theirs.*, coalesce(genres, []) AS genres, genre_list, list_id FROM (SELECT "
                f"file_row_number AS row_id, {ours} FROM theirs_rows WHERE file_row_number >= {start} AND "
                f"file_row_number < {end}) AS theirs JOIN numbered USING (row_id) LEFT JOIN raw_lists USING (raw_id) "
                "ORDER BY row_id"
            )
        connection.execute("CHECKPOINT kept")  # this is what compresses
    connection.unregister("numbered")
    connection.execute("CREATE VIEW movies AS SELECT * FROM kept.films")


def _column(name: str, found: Mapping[str, tuple[str, str]]) -> str:
    """Return the SQL that turns a column of theirs into ours; whole numbers need no way through text."""
    type_name = SQL_TYPES[name]
    if name in LEFT_OUT:
        return f"CAST(NULL AS {type_name})"
    if name == "movie_id":
        return _movie_id(found)
    if name == "title":
        return f"coalesce({database._expression(name, found)}, '')"
    if name in found and _is_plain(name, found):
        column, kind = database._identifier(found[name][0]), found[name][1]
        # Nothing is infinite here, and a NaN less itself is not 0; for isnan see `sources`.
        column = f"CASE WHEN {column} - {column} = 0 THEN {column} END" if kind in ("FLOAT", "DOUBLE") else column
        return f"CAST({column} AS {type_name})"
    return database._expression(name, found)


def has_plain_rows(path: Path) -> bool:
    """Return whether ids, titles and years stand in the file as they are wanted, so that it can be read without SQL."""
    kinds = {field.name.strip().lower(): field.type for field in reversed(pq.read_schema(path))}
    texts = all(kinds.get(name, pa.string()) in (pa.string(), pa.large_string()) for name in ("movie_id", "title"))
    return texts and kinds.get("year", pa.int32()) in (pa.int8(), pa.int16(), pa.int32())


def slices(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[pa.Table]:
    """Read the films once more, in parts: movie_id, title, year, genres (cleaned) and list_id, in input order.

    Genres are numbers of a dictionary, which are quickly written. For a catalogue that was read light, from the same
    file, with plain rows.
    """
    lists = connection.sql("SELECT genres, list_id FROM raw_lists ORDER BY raw_id").to_arrow_table()
    # One more at the end, for films whose cell is empty.
    genres = pa.concat_arrays([lists["genres"].combine_chunks(), pa.array([[]], pa.list_(pa.string()))])
    genres = pa.ListArray.from_arrays(genres.offsets, genres.values.dictionary_encode())
    list_ids = pa.concat_arrays([lists["list_id"].combine_chunks(), pa.nulls(1, pa.int32())])
    raw_ids = connection.sql("SELECT raw_id FROM movies ORDER BY row_id").to_arrow_table()["raw_id"].to_numpy()
    for start, batch in _batches(path, "movie_id", "title", "year"):
        rows = raw_ids[start : start + len(batch)]
        raw = pa.array(np.where(rows < 0, len(genres) - 1, rows))
        year = (
            batch.column("year").cast(pa.int32()) if "year" in batch.schema.names else pa.nulls(len(batch), pa.int32())
        )
        yield pa.table(
            {
                "movie_id": _ids(batch, start),
                "title": batch.column("title").cast(pa.string()).fill_null(""),
                "year": year,
                "genres": genres.take(raw),
                "list_id": list_ids.take(raw),
            }
        )


def ids(connection: duckdb.DuckDBPyConnection, path: Path) -> pa.Table:
    """Read movie_id and list_id of the films that have genres, in input order, from where `slices` reads them."""
    list_ids = connection.sql("SELECT list_id FROM movies ORDER BY row_id").to_arrow_table()["list_id"]
    movie_ids = pa.chunked_array([_ids(batch, start) for start, batch in _batches(path, "movie_id")], pa.string())
    films = pa.table({"movie_id": movie_ids, "list_id": list_ids})
    return films.filter(list_ids.is_valid())


def _batches(path: Path, *names: str) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Read the columns of ours that a file has in parts, each with the place of its first film."""
    file = pq.ParquetFile(path)
    theirs = {name.strip().lower(): name for name in reversed(file.schema_arrow.names)}
    known = {theirs[name]: name for name in names if name in theirs}
    start = 0
    for batch in file.iter_batches(BATCH_ROWS, columns=list(known)):
        yield start, batch.rename_columns([known[name] for name in batch.schema.names])
        start += len(batch)


def _ids(batch: pa.RecordBatch, start: int) -> pa.Array:
    """Return the ids of a part; a film without one has its number, from 1."""
    theirs = batch.column("movie_id").cast(pa.string()) if "movie_id" in batch.schema.names else None
    if theirs is not None and not theirs.null_count:
        return theirs
    numbers = pa.array(np.arange(start + 1, start + 1 + len(batch))).cast(pa.string())
    return numbers if theirs is None else pc.coalesce(theirs, numbers)
