"""Strict reading of a recipe's JSON: every value is of its type and within bounds, or an error names its field."""

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal

from core.clustering import MAX_CLUSTERS, MIN_CLUSTERS

MAX_SEED = 9999
MAX_TEXT, MAX_ITEMS, MAX_NUMBER = 1000, 5000, 10**12
MAX_ENTRIES = 200_000  # films of a recipe that carries each of them; above, it carries a line for each text
LIMITS = {
    "settings.n_clusters": (MIN_CLUSTERS, MAX_CLUSTERS),
    "settings.random_state": (0, MAX_SEED),
    "result.n_clusters": (0, MAX_CLUSTERS),
}


class RecipeError(ValueError):
    """A recipe that cannot be read; the text is a plain sentence fit to be shown."""


def parse(data: bytes, field: str) -> Any:
    """Return what JSON says, without a key twice and without NaN. Raises RecipeError, which speaks of the field."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise RecipeError(f"{field}: a key stands twice in it.")
        return found

    def refuse(word: str) -> None:
        raise RecipeError(f"{field}: {word} is not a number.")

    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=once, parse_constant=refuse)
    except RecipeError:
        raise
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{field}: it is not JSON, or was cut off.") from error


def object_of(value: Any, name: str, known: set[str]) -> dict[str, Any]:
    """Return an object of JSON that has no other keys than the known ones. Raises RecipeError."""
    if not isinstance(value, dict):
        raise RecipeError(f"{name or 'The file'}: it is not an object of JSON.")
    for key in value:
        if key not in known:
            shown = key[:60].encode("utf-8", "backslashreplace").decode()
            inside = f"{name}.{shown}" if name else shown
            raise RecipeError(f"{inside}: this version of Genrescope does not know such a field.")
    return value


def value_of(value: Any, kind: Any, name: str) -> Any:
    """Return a value of JSON as a type says, which may be one of our dataclasses. Raises RecipeError."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return _read_fields(value, kind, name)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inside:
            return None
        literals = [one for part in inside if typing.get_origin(part) is Literal for one in typing.get_args(part)]
        return value_of(value, Literal[tuple(literals)] if literals else inside[0], name)
    if origin is Literal:
        if not isinstance(value, str) or value not in inside:
            raise RecipeError(f"{name}: it is not one of {', '.join(inside)}.")
        return value
    if origin is tuple:
        item = inside[0]
        found = tuple(_list(value, item, name))
        if inside[-1] is not Ellipsis and len(found) != len(inside):
            raise RecipeError(f"{name}: it does not have {len(inside)} values.")
        return found
    if origin is Mapping:
        if not isinstance(value, dict) or len(value) > MAX_ITEMS:
            raise RecipeError(f"{name}: it is not an object of JSON with a few values.")
        return {_plain(key, str, name): value_of(each, str, f"{name}.{key[:40]}") for key, each in value.items()}
    return _plain(value, kind, name)


def _read_fields(value: Any, kind: Any, name: str) -> Any:
    hints, there = typing.get_type_hints(kind), fields(kind)
    value = object_of(value, name, {each.name for each in there})
    found = {}
    for each in there:
        inside = f"{name}.{each.name}" if name else each.name
        if each.name in value:
            found[each.name] = value_of(value[each.name], hints[each.name], inside)
        elif each.default is MISSING:
            raise RecipeError(f"{inside}: it is missing.")
    return kind(**found)


def _list(value: Any, kind: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise RecipeError(f"{name}: it is not a list.")
    if len(value) > MAX_ITEMS:
        raise RecipeError(f"{name}: it has too many values ({len(value):,}).")
    return [value_of(each, kind, f"{name}[{i}]") for i, each in enumerate(value)]


def column(value: Any, kind: type, name: str) -> list[Any]:
    """Return a long list as `_list` does, without asking for each value by itself."""
    if not isinstance(value, list) or len(value) > MAX_ENTRIES or {*map(type, value)} - {kind}:
        raise RecipeError(f"{name}: it is not a list of at most {MAX_ENTRIES:,} values of its kind.")
    if kind is str:
        _plain(max(value, key=len, default=""), str, name)
        _check_text("".join(value), name)
    elif value and not 0 <= min(value) <= max(value) <= MAX_NUMBER:
        raise RecipeError(f"{name}: a value is not from 0 to {MAX_NUMBER:,}.")
    return value


def _plain(value: Any, kind: Any, name: str) -> str | int | bool:
    words = {str: "a text", int: "a whole number", bool: "true or false"}
    if type(value) is not kind:  # a bool is an int to isinstance
        raise RecipeError(f"{name}: it is not {words[kind]}.")
    if isinstance(value, str):
        if len(value) > MAX_TEXT and name != "films":
            raise RecipeError(f"{name}: it is longer than {MAX_TEXT:,} characters.")
        _check_text(value, name)
    elif isinstance(value, int) and not isinstance(value, bool):
        low, high = LIMITS.get(name, (0, MAX_NUMBER))
        if not low <= value <= high:
            raise RecipeError(f"{name}: {str(value)[:20]} is not from {low} to {high:,}.")
    return value  # type: ignore[no-any-return]


def _check_text(text: str, name: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RecipeError(f"{name}: it is not proper Unicode text.") from error
