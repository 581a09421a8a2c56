"""CSV, TSV and their kin: the delimiter is found from the data, and a row that does not fit is never made to.

Python's csv module in its strict mode reads them. DuckDB's and pandas' readers take ragged rows and open quotes without
a word, and turn the title “NA” into a missing value.
"""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TextIO

import pyarrow as pa

from core.sources.columns import Limits, SourceError
from core.sources.table import CHUNK, Chunks, Problem, Reading, check_names

COMMON = (",", "\t", ";", "|")
WORDS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe", " ": "space"}
EXCEL_HINT = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
NAMED = 5  # rows that an error names
SAMPLE_ROWS = 50


@dataclass(frozen=True, eq=False)
class Delimited:
    """What was read, and the choices it was read with. n_ragged: rows left out, of the n_rows of the file."""

    table: pa.Table
    n_rows: int
    n_ragged: int
    reading: Reading
    problems: tuple[Problem, ...]


def called(reading: Reading) -> str:
    """Return what delimited text is called, with its delimiter in words."""
    mark = reading.delimiter or ","
    kind = {",": "CSV", "\t": "TSV"}.get(mark, "Delimited text")
    return f"{kind} ({WORDS.get(mark, f'“{mark}”')} between cells{'' if reading.quoted else ', quotes are text'})"


def read(
    name: str, file: TextIO, start: str, reading: Reading, limits: Limits, on_progress: Callable[[], None]
) -> Delimited:
    """Read delimited text whose first characters are `start`. Raises SourceError for what is broken, with its line."""
    hint = EXCEL_HINT.match(start)
    if hint:
        start = start[hint.end() :]
        file.readline()
    delimiter = reading.delimiter or (hint[1] if hint else find_delimiter(start))
    quoted = reading.quoted
    if quoted is None:
        # IMDb's files quote nothing, and have titles in quotes.
        quoted = not (delimiter == "\t" and start.startswith(("tconst\t", "nconst\t")))
    reading = replace(reading, delimiter=delimiter, quoted=quoted)
    csv.field_size_limit(max(csv.field_size_limit(), limits.cell))
    lines = _lines(name, file, limits, 2 if hint else 1)
    reader = csv.reader(
        lines,
        delimiter=delimiter,
        quotechar='"',
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    return _Rows(name, reader, reading, limits, on_progress, first_line=2 if hint else 1).read()


def find_delimiter(start: str) -> str:
    """Return the character that parts most rows of a text into as many cells as its first row has."""
    complete = start if len(start) < 4096 else start[: max(start.rfind("\n"), start.rfind("\r")) + 1] or start
    lines = complete.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    header = next((line for line in lines if line.strip()), "")
    others = sorted({c for c in header if not c.isalnum() and c not in " \"'_-.()[]{}<>/\\"} - {*COMMON})
    best, best_score = ",", (0.0, 0, 0)
    for place, mark in enumerate((*COMMON, *others)):
        rows = [row for row in islice(csv.reader(lines, delimiter=mark), SAMPLE_ROWS) if row]
        width = len(rows[0]) if rows else 0
        if width < 2:
            continue
        fits = sum(len(row) == width for row in rows) / len(rows)
        score = (round(fits, 1), min(width, 3), -place)
        if score > best_score:
            best, best_score = mark, score
    return best


def _lines(name: str, file: TextIO, limits: Limits, first: int) -> Iterator[str]:
    """Yield lines, none of which may be so long that it fills the memory."""
    most = 16 * limits.cell
    number = first
    while line := file.readline(most):
        if len(line) >= most and not line.endswith(("\n", "\r")):
            raise SourceError(
                f"{name}, line {number:,}: the line has more than {most:,} characters, the most this server reads. "
                "Check that the file has one film a line."
            )
        if "\0" in line:
            raise SourceError(f"{name}, line {number:,}: a zero byte. The file is damaged, or not a text file.")
        number += 1
        yield line


class _Rows:
    """The rows of one file on their way into a table."""

    def __init__(
        self,
        name: str,
        reader: Any,
        reading: Reading,
        limits: Limits,
        on_progress: Callable[[], None],
        first_line: int,
    ) -> None:
        self.name, self.reader, self.reading, self.limits = name, reader, reading, limits
        self.on_progress, self.before = on_progress, first_line - 1
        self.ragged: list[Problem] = []
        self.n_ragged = 0
        self.n_rows = 0

    def read(self) -> Delimited:
        """Read everything, keep the first rows, count the rest."""
        header = next(self._rows(), None)
        if header is None:
            raise SourceError(f"{self.name} has no column names in its first row.")
        if (
            max(map(len, header)) > self.limits.cell
        ):  # csv's own limit is one for the process, and another read may raise it
            raise SourceError(
                f"{self.name}, line {self.before + 1:,}: a cell has more than {self.limits.cell:,} characters."
            )
        columns = check_names(self.name, header)
        chunks = Chunks(self.name, columns, self.limits)
        most = self.limits.rows
        kept: list[list[str]] = []
        width = len(columns)
        for row in self._rows():
            self.n_rows += 1
            if len(row) != width:
                self._note(row, width)
            elif most is None or chunks.n_rows + len(kept) < most:
                kept.append(row)
                if len(kept) == CHUNK:
                    chunks.add(list(zip(*kept, strict=True)))
                    kept = []
                    self.on_progress()
        if kept:
            chunks.add(list(zip(*kept, strict=True)))
        self.on_progress()
        if self.n_ragged and not self.reading.leave_out_ragged:
            raise self._refusal(width)
        return Delimited(chunks.table(), self.n_rows, self.n_ragged, self.reading, tuple(self.ragged))

    def _rows(self) -> Iterator[list[str]]:
        """Yield rows that are not blank, and put the csv module's complaints in words."""
        started = self.reader.line_num
        try:
            for row in self.reader:
                if row:
                    yield row
                started = self.reader.line_num
        except csv.Error as error:
            raise SourceError(self._because(str(error), self.before + started + 1)) from error

    def _because(self, said: str, line: int) -> str:
        if "field larger" in said:
            what = (
                f"a cell has more than {csv.field_size_limit():,} characters. Perhaps a quote is opened there and "
                "never closed."
            )
        else:
            what = "a quote is opened and never closed. Close it, and double a quote inside a quoted cell."
        return f"{self.name}, line {line:,}: {what}"

    def _note(self, row: list[str], width: int) -> None:
        self.n_ragged += 1
        if len(self.ragged) < 100:
            line = self.before + self.reader.line_num
            what = f"line {line:,} has {len(row)} cell{'s' * (len(row) > 1)} instead of {width}; left out"
            self.ragged.append(Problem(self.n_rows, "", "".join(row)[:60], what))

    def _refusal(self, width: int) -> SourceError:
        named = "; ".join(problem.what.removesuffix("; left out") for problem in self.ragged[:NAMED])
        more = f"; and {self.n_ragged - NAMED:,} more" if self.n_ragged > NAMED else ""
        return SourceError(
            f"{self.name}, {named}{more}: it has more or fewer cells than there are columns. Check its "
            "delimiters and quotes, or have such rows left out."
        )
