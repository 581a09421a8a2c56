"""What leaves the app as a file: films with their clusters, as Parquet or as CSV that no spreadsheet runs."""

import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.analysis import Analysis

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
ENDINGS = (".parquet", ".csv")
UNIQUE = ("movie_id", "title", "text", "vector")  # columns whose values hardly ever repeat


def clustered_films(
    films: pa.Table, analysis: Analysis, xy: NDArray[np.float64], stability: NDArray[np.float64] | None = None
) -> pa.Table:
    """Return one row a film in input order with what the clustering says of it; empty where a film has no genre.

    films has movie_id, title, year, genres and list_id; the result has cluster, cluster_name, x, y, silhouette,
    margin and runner_up instead of list_id, cluster_note where the analyst wrote notes, and stability (k,), NaN where
    not known, if it is given.
    """
    found = analysis.clustering
    none = found.labels < 0
    cluster = pa.array(found.labels, pa.int32(), mask=none)
    names = pa.array([name.text for name in analysis.names], pa.string())

    def known(values: NDArray[np.float64]) -> pa.Array:
        return pa.array(values, pa.float64(), mask=none | np.isnan(values))

    of_lists = {
        "cluster": cluster,
        "cluster_name": names.take(cluster),
        "x": known(xy[:, 0]),
        "y": known(xy[:, 1]),
        "silhouette": known(analysis.silhouette.documents),
        "margin": known(found.margin),
        "runner_up": pa.array(found.runner_up, pa.int32(), mask=none | (found.runner_up < 0)),
    }
    if any(name.note for name in analysis.names):
        of_lists["cluster_note"] = pa.array([name.note or None for name in analysis.names], pa.string()).take(cluster)
    if stability is not None and len(stability):
        of_lists["stability"] = known(stability[found.labels])
    list_ids, table = films["list_id"].combine_chunks(), films.drop_columns(["list_id"])
    for name, values in of_lists.items():
        table = table.append_column(name, values.take(list_ids))
    return table


def cluster_rows(clusters: pd.DataFrame, stability: NDArray[np.float64] | None = None) -> pd.DataFrame:
    """Return the table of clusters as it leaves the app: `analysis.cluster_table` without what only draws it.

    stability (k,) is added as a column, empty while it is not known.
    """
    drawn = {"label", "leading_genre", "color", "text_color", "n_movies"}
    rows = clusters[[name for name in clusters if name not in drawn]]
    rows.insert(2, "n_movies", clusters["n_movies"])
    values = np.full(len(rows), np.nan) if stability is None else stability
    rows.insert([*rows].index("silhouette") + 1, "stability", values)
    return rows


def genre_rows(analysis: Analysis) -> pd.DataFrame:
    """Return a row for each cluster and genre as it leaves the app: `explain.genre_table` with the clusters' names."""
    rows = analysis.genres.copy()
    rows.insert(1, "cluster_name", [analysis.names[cluster].text for cluster in rows["cluster"]])
    return rows


def write(table: pa.Table | pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet, or as CSV if the name ends so, whole or not at all. Raises OSError, ValueError."""
    write_parts([table], path)


def table_bytes(table: pa.Table | pd.DataFrame, path: Path) -> bytes:
    """Return a table as the kind of file that a name's ending stands for. Raises ValueError for another ending."""
    return file_bytes([table], _ending(path))


def write_parts(parts: Iterable[pa.Table | pd.DataFrame], path: Path) -> None:
    """Write tables of one kind after one another into a file, as `write` does, with few of them in memory at a time.

    The next part is made in a thread while one is written. There must be one part at least.
    """
    ending = _ending(path)
    with _whole_or_not(path) as file:
        _write_into(parts, file, ending)


def file_bytes(parts: Iterable[pa.Table | pd.DataFrame], ending: str) -> bytes:
    """Return tables of one kind as one file, as `write_parts` writes it; it goes through a temporary file."""
    with tempfile.TemporaryFile() as file:
        _write_into(parts, file, ending)
        file.seek(0)
        return file.read()


def _ending(path: Path) -> str:
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"{path.name} must end in {' or '.join(ENDINGS)}.")
    return path.suffix.lower()


def _write_into(parts: Iterable[pa.Table | pd.DataFrame], file: IO[bytes], ending: str) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for number, part in enumerate(_ahead(parts)):
            if ending == ".csv":
                file.write(csv_bytes(part, header=number == 0))
                continue
            table = _arrow(part)
            writer = writer or _parquet(file, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _parquet(file: IO[bytes], schema: pa.Schema) -> pq.ParquetWriter:
    """Return a writer that looks for repeated values, and for the least and the greatest, where there are such.

    The file has the texts of a column that is numbers of a dictionary here, and no word of the dictionary.
    """
    repeated = [
        f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name
        for field in schema
        if field.name not in UNIQUE
    ]
    return pq.ParquetWriter(
        file, schema, compression="zstd", use_dictionary=repeated, write_statistics=repeated, store_schema=False
    )


def _ahead(parts: Iterable[pa.Table | pd.DataFrame]) -> Iterator[pa.Table | pd.DataFrame]:
    """Yield the parts, the next one being made in a thread meanwhile."""
    rest = iter(parts)
    with ThreadPoolExecutor(1) as beside:
        following = beside.submit(next, rest, None)
        while (part := following.result()) is not None:
            following = beside.submit(next, rest, None)
            yield part


def write_bytes(content: bytes, path: Path) -> None:
    """Write a file under another name and rename it, so that nobody finds half of it. Raises OSError."""
    with _whole_or_not(path) as file:
        file.write(content)


@contextmanager
def _whole_or_not(path: Path) -> Iterator[IO[bytes]]:
    """Give a file under another name and rename it at the end, or remove it if there was an error."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def parquet_bytes(table: pa.Table | pd.DataFrame) -> bytes:
    """Return a table as a Parquet file."""
    buffer, table = io.BytesIO(), _arrow(table)
    with _parquet(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()


def csv_bytes(table: pa.Table | pd.DataFrame, header: bool = True) -> bytes:
    """Return a table as UTF-8 CSV: lists joined by ", ", text that a spreadsheet would run led by an apostrophe."""
    table = _arrow(table)
    columns = [_csv_column(table.column(i).combine_chunks()) for i in range(table.num_columns)]
    buffer = io.BytesIO()
    options = pyarrow.csv.WriteOptions(include_header=header)
    pyarrow.csv.write_csv(pa.table(columns, names=table.column_names), buffer, options)
    return buffer.getvalue()


def neutralise(text: str) -> str:
    """Lead a text with an apostrophe if a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _arrow(table: pa.Table | pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(table, preserve_index=False) if isinstance(table, pd.DataFrame) else table


def _csv_column(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_list(column.type):
        values = [None if cell is None else ", ".join(cell) for cell in column.to_pylist()]
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        values = column.to_pylist()
    else:
        return column
    return pa.array([None if text is None else neutralise(text) for text in values], pa.string())
