"""Parquet, and any other Arrow table, as columns of text; lists of texts keep their items."""

import json
from itertools import islice
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.sources.columns import MEGABYTE, Limits, SourceError
from core.sources.lists import ITEM, joined
from core.sources.table import OnProgress, check_names, nothing, too_long

FIRST_BATCH = 64
BATCH = 2048


def read(
    name: str, file: IO[bytes], limits: Limits, on_progress: OnProgress = nothing
) -> tuple[pa.Table, int, list[str]]:
    """Return the first rows as texts, the number of rows, and columns left out as they hold no text.

    A few rows are looked at first and small batches are read, so that a file whose few bytes stand for very long texts
    is noticed before these fill the memory. Raises SourceError.
    """
    most = None if limits.megabytes is None else limits.megabytes * MEGABYTE
    try:
        parquet = pq.ParquetFile(file)
        n_rows = parquet.metadata.num_rows
        groups = [parquet.metadata.row_group(i) for i in range(parquet.metadata.num_row_groups)]
        if most is not None and any(group.total_byte_size > most for group in groups):
            raise SourceError(f"{name} unpacks to more than {limits.megabytes} MB, the most this server reads.")
        wanted = n_rows if limits.rows is None else min(limits.rows, n_rows)
        check_names(name, parquet.schema_arrow.names)
        parts: list[pa.Table] = []
        left_out: dict[str, None] = {}
        done = size = 0
        for found in islice(parquet.iter_batches(batch_size=FIRST_BATCH), 1):
            texts(name, pa.Table.from_batches([found]), limits)
        for found in parquet.iter_batches(batch_size=BATCH) if wanted else ():
            found = found.slice(0, wanted - done)
            table, bad = texts(name, pa.Table.from_batches([found]), limits, done)
            left_out.update(dict.fromkeys(bad))
            parts.append(table)
            done += len(table)
            size += table.nbytes
            if most is not None and size > most:
                raise SourceError(f"{name} unpacks to more than {limits.megabytes} MB, the most this server reads.")
            on_progress(done / wanted)
            if done >= wanted:
                break
    except SourceError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        said = " ".join(str(error).split())[:160]
        raise SourceError(
            f"{name} cannot be read as Parquet. Check that the file is complete. Arrow says: {said}"
        ) from error
    table = pa.concat_tables(parts, promote_options="default") if parts else pa.table({})
    return _named(name, table, left_out), n_rows, [*left_out]


def _named(name: str, table: pa.Table, left_out: dict[str, None]) -> pa.Table:
    table = table.drop_columns([column for column in left_out if column in table.column_names])
    return table.rename_columns(check_names(name, table.column_names))


def texts(name: str, table: pa.Table, limits: Limits, before: int = 0) -> tuple[pa.Table, list[str]]:
    """Return an Arrow table with every column as text, and the names of those that cannot be text."""
    arrays, left_out = [], []
    for column in table.column_names:
        array = table[column].combine_chunks()
        if isinstance(array, pa.ChunkedArray):  # combine_chunks of no chunk at all
            array = pa.array([], table.schema.field(column).type)
        try:
            text = _text(array)
        except (pa.ArrowException, ValueError, TypeError):
            left_out.append(column)
            text = pa.nulls(len(array), pa.string())
        lengths = pc.utf8_length(text)
        longest = pc.max(lengths).as_py()
        if longest is not None and longest > limits.cell:
            row = before + pc.index(lengths, pa.scalar(longest, pa.int32())).as_py() + 1
            raise too_long(name, row, column, longest, limits)
        arrays.append(pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text))
    return pa.table(arrays, names=table.column_names), left_out


def _text(array: pa.Array) -> pa.Array:
    """Return an array as text. Raises pa.ArrowException for what has none."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _text(array.storage)
    if pa.types.is_dictionary(kind):
        return _text(array.dictionary_decode())
    if pa.types.is_floating(kind):
        array = pc.if_else(pc.is_finite(array), array, pa.scalar(None, kind))
        return array.cast(pa.string())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _list(array)
    if pa.types.is_struct(kind) or pa.types.is_map(kind):
        values = [None if value is None else json.dumps(value, default=str) for value in array.to_pylist()]
        return pa.array(values, pa.string())
    return array.cast(pa.string())


def _list(array: pa.Array) -> pa.Array:
    """Return a list's items each followed by `ITEM`; items that are no texts make it JSON. An empty list is NULL."""
    values = array.flatten()
    if not pa.types.is_nested(values.type) and values.null_count == 0 and not pa.types.is_binary(values.type):
        joint = pc.binary_join(array.cast(pa.list_(pa.string())), ITEM)
        ended = pc.binary_join_element_wise(joint, pa.scalar(""), ITEM)
        return pc.if_else(pc.equal(pc.list_value_length(array), 0), pa.scalar(None, pa.string()), ended)
    found = []
    for value in array.to_pylist():
        if value is None or all(each is None or not isinstance(each, dict | list) for each in value):
            found.append(None if value is None else joined(str(each) for each in value if each is not None))
        else:
            found.append(json.dumps(value, default=str, ensure_ascii=False))
    return pa.array(found, pa.string())
