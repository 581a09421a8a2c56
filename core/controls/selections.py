"""What a browser says was selected in a chart or a table, as far as it can be true.

A browser sends what it likes: rows that no table has, numbers that are words, points without the fields of the chart.
What makes no sense counts as not selected.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

WHOLE = re.compile(r"-?[0-9]{1,9}(\.0*)?")


def rows_in(selected: Any, n: int) -> list[int]:
    """Return the selected rows of a table of n rows."""
    rows = selected.get("rows") if isinstance(selected, Mapping) else None
    return [row for row in _listed(rows) if isinstance(row, int) and not isinstance(row, bool) and 0 <= row < n]


def rows(table: str, n: int) -> list[int]:
    """Return the selected rows of the table with this key, which has n rows."""
    return rows_in(_selection(table), n)


def points(chart: str, *numbers: str) -> list[dict[str, Any]]:
    """Return the marks that were clicked in the chart with this key.

    `numbers` are fields that each must have as a whole number; such a field is an int then.
    """
    found = []
    for point in _listed(_selection(chart).get("pick")):
        if isinstance(point, Mapping):
            whole = {name: whole_number(point.get(name)) for name in numbers}
            if None not in whole.values():
                found.append({**point, **whole})
    return found


def brush(chart: str) -> dict[str, tuple[float, float]]:
    """Return the span of each axis that a brush in the chart with this key covers, the lower end first."""
    drawn, found = _selection(chart).get("brush"), {}
    for axis, span in drawn.items() if isinstance(drawn, Mapping) else ():
        ends = [end for end in _listed(span) if isinstance(end, int | float) and math.isfinite(end)]
        if len(ends) == 2:
            found[str(axis)] = (min(ends), max(ends))
    return found


def whole_number(value: Any) -> int | None:
    """Return a number, or a text of a few digits, as an int; None for anything else and for what no film can have."""
    if isinstance(value, str) and WHOLE.fullmatch(value):
        return int(value.partition(".")[0])
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 and value == int(value):
        return int(value)
    return None


def _selection(key: str) -> Mapping[str, Any]:
    found = st.session_state[key].get("selection")
    return found if isinstance(found, Mapping) else {}


def _listed(values: Any) -> Sequence[Any]:
    return values if isinstance(values, list | tuple) else ()
