"""JSON and JSON lines: one object a film. Numbers stay as they are written, lists keep their items."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import pyarrow as pa

from core.sources.columns import Limits, SourceError
from core.sources.lists import joined
from core.sources.table import CHUNK, MAX_COLUMNS, Chunks, check_names, too_long

SPACE = re.compile(r"[\s\ufeff]*")
TOO_DEEP = "it is nested too deeply. A film is an object with texts, numbers and lists."


def read(name: str, file: TextIO, limits: Limits, on_progress: Callable[[], None]) -> tuple[pa.Table, int, str]:
    """Return the films as a table of texts, how many there are, and which kind of JSON it is. Raises SourceError."""
    text = file.read()
    start = SPACE.match(text).end()  # type: ignore[union-attr]
    if text[start] == "[":
        return *_table(name, _array(name, text, start), limits, on_progress), "JSON (array)"
    rest = _first_object_end(name, text, start)
    if rest < len(text):
        return *_table(name, _objects(name, text, start), limits, on_progress), "JSON lines"
    inside = _list_inside(name, text, start)
    if inside is not None:
        return *_table(name, iter(inside), limits, on_progress), "JSON (a list inside an object)"
    return *_table(name, _objects(name, text, start), limits, on_progress), "JSON lines"


def _decoder() -> json.JSONDecoder:
    # Numbers as they are written: 1984 may be a title, and 0.10 is not 0.1.
    return json.JSONDecoder(
        object_pairs_hook=_object, parse_int=str, parse_float=str, parse_constant=lambda _: None, strict=False
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise KeyError(next(key for i, (key, _) in enumerate(pairs) if key in {k for k, _ in pairs[:i]}))
    return found


def _decode(name: str, text: str, place: int, number: int) -> tuple[Any, int]:
    """Return the value that starts at a place, and where it ends."""
    try:
        return _DECODER.raw_decode(text, place)
    except RecursionError as error:
        raise SourceError(f"{name}, film {number:,}: {TOO_DEEP}") from error
    except KeyError as error:
        raise SourceError(f"{name}, film {number:,}, names {str(error.args[0])[:60]} more than once.") from error
    except ValueError as error:
        where = getattr(error, "pos", place)
        line = text.count("\n", 0, where) + 1
        what = "the file ends within a film; it is cut off" if where >= len(text.rstrip()) else "it is not JSON"
        raise SourceError(f"{name}, line {line:,} (film {number:,}): {what}. Check the file.") from error


_DECODER = _decoder()


def _first_object_end(name: str, text: str, place: int) -> int:
    _, end = _decode(name, text, place, 1)
    return SPACE.match(text, end).end()  # type: ignore[union-attr]


def _list_inside(name: str, text: str, place: int) -> list[Any] | None:
    """Return the only list of objects that an object holds, None if it holds none or several."""
    value, _ = _decode(name, text, place, 1)
    lists = [each for each in value.values() if isinstance(each, list) and each and isinstance(each[0], dict)]
    films = "title" in {key.lower() for key in value}
    return lists[0] if len(lists) == 1 and not films else None


def _array(name: str, text: str, place: int) -> Iterator[Any]:
    """Yield the items of an array one by one, so that only one is in memory as objects."""
    place = SPACE.match(text, place + 1).end()  # type: ignore[union-attr]
    number = 1
    if text[place : place + 1] == "]":
        return
    while True:
        value, place = _decode(name, text, place, number)
        yield value
        place = SPACE.match(text, place).end()  # type: ignore[union-attr]
        mark = text[place : place + 1]
        if mark == "]":
            break
        if mark != ",":
            line = text.count("\n", 0, place) + 1
            what = "a comma or ] is missing" if mark else "the file ends before its array does; it is cut off"
            raise SourceError(f"{name}, line {line:,} (after film {number:,}): {what}. Check the file.")
        place = SPACE.match(text, place + 1).end()  # type: ignore[union-attr]
        number += 1


def _objects(name: str, text: str, place: int) -> Iterator[Any]:
    number = 1
    while place < len(text):
        value, place = _decode(name, text, place, number)
        yield value
        place = SPACE.match(text, place).end()  # type: ignore[union-attr]
        if text[place : place + 1] == ",":  # some programs part the lines so
            place = SPACE.match(text, place + 1).end()  # type: ignore[union-attr]
        number += 1


def _table(name: str, films: Iterator[Any], limits: Limits, on_progress: Callable[[], None]) -> tuple[pa.Table, int]:
    """Make a table of the first films, and count the rest. Columns stand in the order in which they appear."""
    columns: dict[str, list[str | None]] = {}
    parts: list[pa.Table] = []
    n = kept = here = 0
    for n, film in enumerate(films, start=1):
        if not isinstance(film, dict):
            raise SourceError(f"{name}, film {n:,} is not an object with names and values.")
        if limits.rows is not None and kept >= limits.rows:
            continue
        for key, value in film.items():
            text = _text(value)
            if text is not None and len(text) > limits.cell:
                raise too_long(name, n, key, len(text), limits)
            if key not in columns:
                columns[key] = [None] * here
                if len(columns) > MAX_COLUMNS:
                    check_names(name, list(columns))
            columns[key].append(text)
        kept, here = kept + 1, here + 1
        for values in columns.values():
            if len(values) < here:
                values.append(None)
        if here == CHUNK:
            parts.append(_part(name, columns, limits))
            columns, here = {key: [] for key in columns}, 0
            on_progress()
    if here:
        parts.append(_part(name, columns, limits))
    on_progress()
    table = pa.concat_tables(parts, promote_options="default") if parts else pa.table({})
    return table.rename_columns(check_names(name, table.column_names)), n


def _part(name: str, columns: dict[str, list[str | None]], limits: Limits) -> pa.Table:
    chunks = Chunks(name, list(columns), limits)
    chunks.add(list(columns.values()))
    return chunks.table()


def _text(value: Any) -> str | None:
    """Return a value as text: lists keep their items, whatever is nested deeper is JSON again."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and all(each is None or isinstance(each, str) for each in value):
        return joined(each for each in value if each)
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return None
