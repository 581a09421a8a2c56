"""A file becomes a table of texts: what kind of file it is, how its letters are written, and where it is broken.

What a file is, its first bytes tell, not its name. Nothing is guessed that cannot be shown: `Reading` holds every
choice, and a person can make it anew. Text is read as a stream with limits on lines, cells, rows and bytes, so that a
file that unpacks to a thousand times its size, or has no end of line, is refused before it takes the server's memory.
"""

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import pyarrow as pa

from core.sources import delimited, nested, packed
from core.sources.columns import MEGABYTE, Limits, SourceError
from core.sources.table import OnProgress, Problem, Reading, nothing

Content = bytes | Path

ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-16": "UTF-16",
    "cp1252": "Windows-1252 (Western European)",
    "cp1250": "Windows-1250 (Central European)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "shift_jis": "Shift JIS (Japanese)",
    "gb18030": "GB 18030 (Chinese)",
    "big5": "Big5 (Chinese)",
    "euc_kr": "EUC-KR (Korean)",
}
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAVE_AS = "Save it as CSV, JSON or Parquet and try again."
# The first bytes of files that people take for tables, and what to do with each.
FOREIGN = (
    (b"PK\x03\x04", "is an Excel workbook (.xlsx) or a ZIP archive. In Excel, save the sheet as CSV UTF-8; {unpack}."),
    (b"PK\x05\x06", "is an empty ZIP archive."),
    (b"\xd0\xcf\x11\xe0", f"is an old Excel workbook or another Office document. {SAVE_AS}"),
    (b"SQLite format 3\0", f"is an SQLite database. {SAVE_AS}"),
    (b"%PDF", f"is a PDF document. {SAVE_AS}"),
    (b"MZ", f"is a program. {SAVE_AS}"),
    (b"\x7fELF", f"is a program. {SAVE_AS}"),
    (b"#!", f"is a script. {SAVE_AS}"),
    (b"BZh", "is packed with bzip2; {unpack}, or pack it with gzip."),
    (b"\x28\xb5\x2f\xfd", "is packed with Zstandard; {unpack}, or pack it with gzip."),
    (b"\xfd7zXZ", "is packed with xz; {unpack}, or pack it with gzip."),
    (b"7z\xbc\xaf", "is a 7z archive; {unpack}."),
    (b"Rar!", "is a RAR archive; {unpack}."),
    (b"ARROW1", f"is an Arrow (Feather) file. {SAVE_AS}"),
    (b"ORC", f"is an ORC file. {SAVE_AS}"),
)
PIECE = 1 << 20


@dataclass(frozen=True, eq=False)
class Raw:
    """A file that was read: every cell is text, or NULL where it is empty.

    n_rows: rows of the file, of which the table may have the first only. how: what the file is, in words. reading: the
    choices it was read with. fingerprint: SHA-256 of the file. problems: rows that could not be read.
    """

    name: str
    table: pa.Table
    n_rows: int
    n_ragged: int
    how: str
    reading: Reading
    fingerprint: str
    problems: tuple[Problem, ...] = ()

    @property
    def cut(self) -> str | None:
        """Say which rows are in the table, where these are not all."""
        n = len(self.table)
        rest = self.n_rows - self.n_ragged
        return f"Only the first {n:,} of {rest:,} rows are read." if n < rest else None


def read(
    name: str,
    content: Content,
    limits: Limits,
    reading: Reading | None = None,
    on_progress: OnProgress = nothing,
    may_be_empty: bool = False,
) -> Raw:
    """Read a file into a table of texts. Raises SourceError with a sentence that says where it is broken.

    Column names alone are refused unless `may_be_empty`.
    """
    reading = reading or Reading()
    most = None if limits.megabytes is None else limits.megabytes * MEGABYTE
    size = content.stat().st_size if isinstance(content, Path) else len(content)
    if size == 0:
        raise SourceError(f"{name} is empty (0 bytes).")
    if most is not None and size > most:
        raise SourceError(f"{name} has {size / MEGABYTE:,.0f} MB, and this server reads at most {limits.megabytes} MB.")
    with _opened(content) as file:
        digest = hashlib.file_digest(cast(Any, file), "sha256").hexdigest()
        file.seek(0)
        start = file.read(16)
    zipped = start.startswith(b"\x1f\x8b")
    try:
        if zipped:
            with gzip.GzipFile(fileobj=_opened(content)) as unpacked:
                start = unpacked.read(16)
        _refuse(name, start)
        if start.startswith(b"PAR1"):
            found = _parquet(name, content, zipped, limits, on_progress)
        else:

            def again() -> IO[bytes]:
                return cast(IO[bytes], _Limited(name, _opened(content), zipped, most))

            found = _text(name, again, reading, limits, lambda done: on_progress(min(done / max(size, 1), 1.0)), zipped)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"{name} is packed with gzip and damaged or cut off. Fetch it again.") from error
    if found.table.num_columns == 0 or (found.n_rows == 0 and not may_be_empty):
        raise SourceError(
            f"{name} has column names and no rows." if found.table.num_columns else f"{name} has no rows."
        )
    how = f"{found.how}, packed with gzip" if zipped else found.how
    return replace(found, name=name, fingerprint=digest, how=how)


def _opened(content: Content) -> BinaryIO:
    return cast(BinaryIO, content.open("rb") if isinstance(content, Path) else io.BytesIO(content))


class _Limited(io.RawIOBase):
    """A file, unpacked if need be, of which at most so many bytes can be read, and none that is zero-filled text."""

    def __init__(self, name: str, file: IO[bytes], zipped: bool, most: int | None) -> None:
        self.name, self.file, self.most = name, file, most
        self.stream: IO[bytes] = gzip.GzipFile(fileobj=file) if zipped else file  # type: ignore[assignment]
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self.stream.read(len(buffer))
        self.taken += len(piece)
        if self.most is not None and self.taken > self.most:
            raise SourceError(
                f"{self.name} unpacks to more than {self.most // MEGABYTE} MB, the most this server reads."
            )
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self.file.close()
        super().close()


def _refuse(name: str, start: bytes) -> None:
    """Raise SourceError for a file that is none of ours, and say which one it is."""
    unpack = "unpack it first and drop the file inside"
    for sign, words in FOREIGN:
        if start.startswith(sign):
            raise SourceError(f"{name} {words.format(unpack=unpack)}")
    if start[8:12] == b"DUCK":
        raise SourceError(
            f"{name} is a DuckDB database, which is not accepted as an upload. Export the table: "
            "COPY movies TO 'movies.parquet'."
        )
    text = start.lstrip(codecs.BOM_UTF8 + b" \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise SourceError(f"{name} is a web page or XML, not a table. Perhaps its download asked for a login.")


def _parquet(name: str, content: Content, zipped: bool, limits: Limits, on_progress: OnProgress) -> Raw:
    if zipped:
        raise SourceError(f"{name} is Parquet packed with gzip. Parquet is packed already: unpack it first.")
    with _opened(content) as file:
        table, n_rows, left_out = packed.read(name, file, limits, on_progress)
    how = "Parquet" + (f"; left out, as they hold no text: {', '.join(left_out)}" if left_out else "")
    return Raw(name, table, n_rows, 0, how, Reading(), "")


def _text(
    name: str,
    again: Callable[[], IO[bytes]],
    reading: Reading,
    limits: Limits,
    on_progress: Callable[[int], None],
    zipped: bool,
) -> Raw:
    """Read JSON or delimited text."""
    encoding = _encoding(name, again, reading.encoding)
    reading = replace(reading, encoding=encoding.removesuffix("-sig"))
    letters = ENCODINGS.get(encoding.removesuffix("-sig"), encoding.upper())

    def text() -> io.TextIOWrapper:
        stream = again()
        wrapped = io.BufferedReader(stream, PIECE)  # type: ignore[type-var]
        return io.TextIOWrapper(wrapped, encoding=encoding, newline="")

    try:
        with text() as file:
            start = ""
            while not start.strip() and (piece := file.read(4096)):
                start += piece
        if not start.strip():
            raise SourceError(f"{name} holds nothing but blank space.")
        if start.lstrip()[0] in "[{":
            with text() as file:
                table, n_rows, how = nested.read(name, file, limits, _progress(file, on_progress))
            return Raw(name, table, n_rows, 0, f"{how}, {letters}", reading, "")
        with text() as file:
            read = delimited.read(name, file, start, reading, limits, _progress(file, on_progress))
        how = f"{delimited.called(read.reading)}, {letters}"
        return Raw(name, read.table, read.n_rows, read.n_ragged, how, read.reading, "", read.problems)
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{name} is not {letters}: its letters cannot be read. Save it as UTF-8, or choose another encoding."
        ) from error


def _progress(file: io.TextIOWrapper, on_progress: Callable[[int], None]) -> Callable[[], None]:
    """Return what tells how far a text was read, in bytes of the packed file."""

    def tell() -> None:
        on_progress(file.buffer.raw.file.tell())  # type: ignore[attr-defined]

    return tell


def _encoding(name: str, again: Callable[[], IO[bytes]], wanted: str | None) -> str:
    """Return how the letters are written. Raises SourceError for what is no text, or damaged text."""
    with again() as file:
        start = file.read(4096)
    for sign, encoding in BOMS:
        if start.startswith(sign):
            return encoding
    if wanted is not None:
        return wanted
    zeros = [start[i::2].count(0) for i in (0, 1)]
    if zeros[1] > len(start) // 5 and zeros[0] < zeros[1] // 4:
        return "utf-16-le"
    if zeros[0] > len(start) // 5 and zeros[1] < zeros[0] // 4:
        return "utf-16-be"
    good = bad = 0
    first_bad = 0
    line = 1
    for piece in _pieces(again):
        if b"\0" in piece:
            raise SourceError(f"{name} is not a text file: it has zero bytes in it. {SAVE_AS}")
        decoded = piece.decode("utf-8", "replace")
        wrong = decoded.count("\ufffd") - piece.count("\ufffd".encode())
        if wrong > 0 and not bad:
            first_bad = line + decoded[: decoded.index("\ufffd")].count("\n")
        bad += max(wrong, 0)
        line += piece.count(b"\n")
        good += 0 if piece.isascii() else sum(not character.isascii() for character in decoded) - wrong
    if not bad:
        return "utf-8"
    if good > 4 * bad:
        raise SourceError(
            f"{name}, line {first_bad:,}: the text is UTF-8 and damaged there. Save the file again as UTF-8, or choose "
            "another encoding."
        )
    for piece in _pieces(again):
        try:
            piece.decode("cp1252")
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{name} is neither UTF-8, UTF-16 nor Windows-1252. Save it as UTF-8, or choose its encoding."
            ) from error
    return "cp1252"


def _pieces(again: Callable[[], IO[bytes]]) -> Iterator[bytes]:
    """Yield the file in pieces that end at the end of a line where there is one, so that no letter is cut."""
    rest = b""
    with again() as file:
        while piece := file.read(PIECE):
            rest += piece
            whole, end, rest = rest.rpartition(b"\n")
            if not end and len(rest) < 8 * PIECE:
                continue
            if not end:
                whole, rest = rest, b""
            yield whole + end
    if rest:
        yield rest
