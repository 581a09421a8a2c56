"""Cells that hold several values: delimited text, JSON lists, and lists as Python prints them, read without `eval`.

A list that a file format has as such (JSON, Parquet) travels as its items, each followed by `ITEM`.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

ITEM = "\x1f"  # the unit separator of ASCII: no text that people write has it
DELIMITERS = ("|", ";", ",", "/")
MAX_DEPTH = 8
NAMES = ("name", "title", "genre", "label", "value")
# A text in quotes, with its prefix as in Python 2; a bracket or mark; anything else up to the next of these.
TOKEN = re.compile(
    r"""\s*(?:(?P<text>[uUbBrR]{0,2}(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))|(?P<mark>[\[\](){},:])|(?P<bare>[^\s\[\](){},:'"]+))""",
    re.DOTALL,
)
ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "\n": ""}
PAIRS = {"[": "]", "(": ")", "{": "}"}
NOTHING = ("None", "null", "nan", "NaN")


def joined(items: Iterable[str]) -> str | None:
    """Return a list as it travels in a text column, None if it is empty."""
    return "".join(f"{item.replace(ITEM, ' ')}{ITEM}" for item in items) or None


def looks_like_list(cell: str) -> bool:
    """Tell whether a cell is written as a list or an object of a programming language."""
    text = cell.strip()
    return text[:1] in ("[", "{") and text[-1:] in ("]", "}")


def is_list(cell: str) -> bool:
    """Tell whether a cell is a list that needs no delimiter."""
    return ITEM in cell or looks_like_list(cell)


def items(cell: str, delimiters: str) -> list[str] | None:
    """Return the values of a cell, trimmed, without empty ones; None if it starts as a list and cannot be read as one.

    A comma parts two values too where `delimiters` has any, so that a joined list can be read back from its text.
    """
    if ITEM in cell:
        found: Sequence[str] | None = cell.split(ITEM)
    elif looks_like_list(cell):
        found = parse(cell)
    else:
        found = [cell]
        if delimiters:
            found = re.split(f"[{re.escape(delimiters)}]", cell)
    if found is None:
        return None
    if delimiters:
        found = [part for item in found for part in item.split(",")]
    return [item for item in (" ".join(part.split()) if "\n" in part else part.strip() for part in found) if item]


def parse(cell: str) -> list[str] | None:
    """Return the items of a JSON list or a list as Python prints it, of an object its name; None if it is neither."""
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        value = _python(cell)
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        return None
    return [text for text in map(_named, value) if text]


def _named(value: Any) -> str | None:
    """Return an item as text: a scalar as it is, of an object what it is called."""
    if isinstance(value, dict):
        texts = [value[name] for name in NAMES if isinstance(value.get(name), str)]
        texts += [each for each in value.values() if isinstance(each, str)]
        return texts[0] if texts else None
    if value is None or isinstance(value, list | bool):
        return None
    return str(value)


def _python(cell: str) -> Any:
    """Read a Python literal of texts, numbers, lists, tuples, sets and dicts. Returns None where it is none.

    Commas are not insisted on: numpy prints its arrays without them.
    """
    stack: list[tuple[str, list[Any]]] = [("", [])]
    place = 0
    text = cell.strip()
    while place < len(text):
        token = TOKEN.match(text, place)
        if token is None:
            return None
        place = token.end()
        mark = token["mark"]
        if mark in PAIRS and mark is not None:
            stack.append((PAIRS[mark], []))
            if len(stack) > MAX_DEPTH:
                return None
        elif mark == ":":
            if stack[-1][0] != "}" or not stack[-1][1]:
                return None
            stack[-1][1].append(_COLON)
        elif mark is not None and mark != ",":
            closing, values = stack.pop()
            if mark != closing or not stack:
                return None
            stack[-1][1].append(_dict(values) if _COLON in values else values)
        elif token["text"] is not None:
            stack[-1][1].append(_unquoted(token["text"]))
        elif token["bare"] is not None:
            stack[-1][1].append(None if token["bare"] in NOTHING else token["bare"])
    return stack[0][1][0] if len(stack) == 1 and len(stack[0][1]) == 1 else None


_COLON = object()


def _dict(values: list[Any]) -> dict[str, Any]:
    """Return keys and values from key, colon, value, key, colon, value."""
    found = {}
    for i, value in enumerate(values):
        if value is _COLON and i + 1 < len(values) and isinstance(values[i - 1], str):
            found[values[i - 1]] = values[i + 1]
    return found


def _unquoted(token: str) -> str:
    quote = token[-1]
    start = token.index(quote)
    text = token[start + 1 : -1]
    return text if "r" in token[:start].lower() else ESCAPE.sub(_unescaped, text)


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) == 1:
        return ESCAPED.get(code, code)
    number = int(code[1:], 16)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"


def find_delimiter(cells: Sequence[str]) -> str:
    """Return which of `DELIMITERS` most cells have, "" if none has any; cells that are lists say nothing."""
    counted = Counter[str]()
    for cell in cells:
        if not is_list(cell):
            counted.update(mark for mark in DELIMITERS if mark in cell)
    return max(DELIMITERS, key=lambda mark: (counted[mark], -DELIMITERS.index(mark))) if counted else ""
