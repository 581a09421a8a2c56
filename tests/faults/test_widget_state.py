"""What a browser may send beyond what a widget offers: it falls back, and nothing of it reaches another visitor."""

import json
from typing import Any

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState

from core.controls.selections import brush, points, rows, rows_in, whole_number
from tests.app.conftest import BASELINE, TITLES, Visit
from tests.faults.test_bad_input import MARKUP

EVIL = "</script><img src=x onerror=alert(1)>\x00\u202e"
ROWS: list[Any] = [10**12, -1, "0", None, 1.5, True, [0], {"row": 0}]
FIELDS = ("cluster", "k", "year", "first_year", "a", "b", "one", "other", "list_id", "genre", "genre_list", "column")
NONSENSE: list[dict[str, Any]] = [
    dict.fromkeys(FIELDS, value) for value in (EVIL, 10**30, -7, 999_999, 1e300, None, True, {"a": [1]}, [1, 2])
]
SELECTIONS: list[dict[str, Any]] = [
    {"rows": ROWS, "columns": [EVIL], "cells": [[0, EVIL]], "pick": NONSENSE, "brush": {"x": [EVIL, None], "y": 5}},
    {"rows": EVIL, "columns": 5, "cells": [], "pick": [5, None, EVIL, [], {}], "brush": EVIL},
    {"rows": {}, "pick": [NONSENSE[2]], "brush": {"x": [1e300, -1e300], "y": [], "x_a": ["a", "b"], "y_a": [1, 2, 3]}},
    {"rows": [-1], "pick": [NONSENSE[3]], "brush": {axis: [-1e9, 1e9] for axis in ("x", "y", "x_a", "y_a", EVIL)}},
]  # fmt: skip


def sent(node: Any, number: int) -> dict[str, Any] | None:
    """Return a value of the right type for a widget, and beyond what it offers."""
    match node.type:
        case "selectbox" | "text_input" | "text_area":
            return {"string_value": EVIL * (1 if number % 2 else 2_000)}
        case "multiselect" | "button_group":
            return {"string_array_value": {"data": [EVIL, "' OR 1=1 --", EVIL][: number + 1]}}
        case "slider":
            return {"double_array_value": {"data": [[1e12], [-5.0, 1e9], [3.7, 2.0, 1.0], []][number]}}
        case "select_slider":
            return {"string_array_value": {"data": [[EVIL], [], [EVIL, EVIL], ["50"] * 3][number]}}
        case "number_input":
            return {"double_value": [1e12, -1.0, 0.5, 1e300][number]}
        case "dataframe" | "arrow_data_frame" | "vega_lite_chart" | "arrow_vega_lite_chart":
            return {"string_value": json.dumps({"selection": SELECTIONS[number]})}
    return None


@pytest.mark.usefixtures("shipped", "stub_worker")
@pytest.mark.parametrize("page", TITLES)
def test_values_that_no_widget_offers(page: str) -> None:
    visit = Visit(page, {"encoder": BASELINE, "k": "5", "q": "war", "cluster": "1"})
    kinds = set()
    for number in range(len(SELECTIONS)):
        states = visit.at._tree.get_widget_states()
        known = {state.id: state for state in states.widgets}
        for node in visit.at._tree:
            widget = getattr(getattr(node, "proto", None), "id", "")
            value = sent(node, number) if widget else None
            if value is None or getattr(node, "key", None) == "encoder":  # which stays at the one that needs no worker
                continue
            kinds.add(node.type)
            if widget in known:
                states.widgets.remove(known[widget])
            ((name, content),) = value.items()
            state = WidgetState(id=widget)
            if isinstance(content, dict):
                getattr(state, name).data.extend(content["data"])
            else:
                setattr(state, name, content)
            states.widgets.append(state)
        visit.at._run(states)
        visit._check()
        assert visit.settings.n_clusters in range(2, 51)
        assert visit.settings.random_state >= 0
        assert not visit.settings.filters.genres
        assert not [text for text in visit.words if MARKUP.search(text) or "\u202e" in text]
    assert {"selectbox", "multiselect", "slider", "number_input"} <= kinds


@pytest.mark.usefixtures("shipped", "stub_worker")
def test_garbage_ends_at_its_sender() -> None:
    """Bytes that no browser sends end that visitor's run, within Streamlit; another visitor notices nothing."""
    sender, other = (Visit("overview", {"encoder": BASELINE, "k": "5"}) for _ in range(2))
    states = sender.at._tree.get_widget_states()
    states.widgets.append(WidgetState(id=sender.element("cluster_table").proto.id, string_value="{not JSON"))
    sender.at._run(states)
    assert other.run().figures["Clusters (k)"] == "5"
    assert Visit("films", {"encoder": BASELINE, "k": "5"}).lines[0].startswith("**17,472 of 17,472 films**")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *((7, 7), (7.0, 7), ("7", 7), ("-7", -7), ("1990.0", 1990), (0, 0)),
        *((7.5, None), (True, None), (None, None), ("", None), ("7" * 10, None), ("٧", None), ([7], None)),
        *((float("nan"), None), (float("inf"), None), (1e300, None), (10**30, None), ("0x7", None)),
    ],
)
def test_whole_numbers(value: Any, number: int | None) -> None:
    assert whole_number(value) == number


def test_rows_and_points_and_brushes(monkeypatch: pytest.MonkeyPatch) -> None:
    import streamlit as st

    def says(selection: Any) -> None:
        monkeypatch.setattr(st, "session_state", {"it": {"selection": selection}})

    says(
        {
            "rows": [2, *ROWS, 0, 3],
            "pick": [{"cluster": 1.0, "genre": "War"}, *NONSENSE],
            "brush": {"x": [2, -1], "y": [0]},
        }
    )
    assert rows("it", 3) == [2, 0]
    assert points("it", "cluster") == [{"cluster": 1, "genre": "War"}, NONSENSE[2], NONSENSE[3]]
    assert len(points("it")) == 1 + len(NONSENSE)
    assert brush("it") == {"x": (-1, 2)}
    for nothing in (None, 5, "x", [], {"rows": 5, "pick": 5, "brush": 5}):
        says(nothing)
        assert (rows("it", 9), points("it"), brush("it"), rows_in(nothing, 9)) == ([], [], {}, [])
