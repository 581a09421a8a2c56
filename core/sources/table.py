"""What readers hand on: choices, problems, and columns of text that grow in chunks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from core.sources.columns import Limits, SourceError

OnProgress = Callable[[float], None]
CHUNK = 4_000
MAX_COLUMNS = 500


@dataclass(frozen=True)
class Reading:
    """How delimited text is read; None is found from the data.

    encoding: of Python's names. delimiter: one character. quoted: whether quotes stand around cells (they are part of
    the text otherwise). leave_out_ragged: whether rows with more or fewer cells than there are columns are left out
    (the file is refused otherwise).
    """

    encoding: str | None = None
    delimiter: str | None = None
    quoted: bool | None = None
    leave_out_ragged: bool = False


@dataclass(frozen=True)
class Problem:
    """Something that could not be used: where it is, what stands there, and what became of it."""

    row: int | None
    column: str
    value: str
    what: str


def nothing(fraction: float) -> None:
    """Do nothing with how far the reading is."""


class Chunks:
    """Rows of texts on their way into a table."""

    def __init__(self, name: str, columns: Sequence[str], limits: Limits) -> None:
        """Start a table with these columns, all of text."""
        self._name, self._columns, self._limits = name, list(columns), limits
        self._chunks: list[pa.Table] = []
        self.n_rows = 0

    def add(self, columns: Sequence[Sequence[str | None]]) -> None:
        """Add rows, column by column; empty texts become NULL. Raises SourceError for a cell that is too long."""
        arrays = []
        for name, values in zip(self._columns, columns, strict=True):
            try:
                array = pa.array(values, pa.string())
            except UnicodeEncodeError:  # half a pair of surrogates
                array = pa.array([v and v.encode("utf-8", "replace").decode() for v in values], pa.string())
            self._check(name, array)
            arrays.append(pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array))
        chunk = pa.table(arrays, names=self._columns)
        self.n_rows += len(chunk)
        self._chunks.append(chunk)

    def _check(self, column: str, array: pa.Array) -> None:
        longest = pc.max(pc.utf8_length(array)).as_py()
        if longest is not None and longest > self._limits.cell:
            row = pc.index(pc.utf8_length(array), pa.scalar(longest, pa.int32())).as_py()
            raise too_long(self._name, self.n_rows + row + 1, column, longest, self._limits)

    def table(self) -> pa.Table:
        """Return all rows."""
        schema = pa.schema([(name, pa.string()) for name in self._columns])
        return pa.concat_tables(self._chunks) if self._chunks else schema.empty_table()


def too_long(name: str, row: int, column: str, length: int, limits: Limits) -> SourceError:
    """Return the error of a cell with too many characters."""
    return SourceError(
        f"{name}, row {row:,}, column {column[:60]}: the cell has {length:,} characters, and {limits.cell:,} is the "
        "most this server reads. Perhaps a quote is opened before it and never closed."
    )


def check_names(name: str, columns: Sequence[str]) -> list[str]:
    """Return the names of columns, trimmed, those without one numbered. Raises SourceError for a name that repeats."""
    if len(columns) > MAX_COLUMNS:
        raise SourceError(f"{name} has {len(columns):,} columns, and {MAX_COLUMNS} is the most this server reads.")
    names = [column.strip() for column in columns]
    lower = [column.lower() for column in names]
    repeated = sorted({column for column in names if column and lower.count(column.lower()) > 1})
    if repeated:
        raise SourceError(f"{name} names the column {repeated[0][:60]} more than once. Keep one of them.")
    return [column or f"(column {i})" for i, column in enumerate(names, start=1)]
