"""The analyst's own names and notes, in simulated sessions."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from core import cache, descent
from core.controls import View, choice
from core.controls import names as controls_names
from core.names import Given
from core.recipes import Settings
from core.sweep import SweepResult
from tests.app.conftest import BASELINE, ROOT, Visit, unescaped

pytestmark = pytest.mark.usefixtures("stub_worker")
HOSTILE = "*Mine* [x](javascript:1) <b>"
QUERY = {"encoder": BASELINE, "k": "12"}


def call(visit: Visit, cluster: int, name: str, note: str = "") -> Visit:
    """Give a cluster a name and a note on its page."""
    visit.at.query_params["cluster"] = str(cluster)
    visit.go("cluster")
    visit.at.text_input(key="own_name").set_value(name)
    visit.at.text_area(key="own_note").set_value(note)
    (save,) = (button for button in visit.at.button if button.label == "Save")
    save.click()
    return visit.run()


def names(visit: Visit) -> list[str]:
    found: list[str] = visit.table("cluster_table")["name"].tolist()
    return found


def computed() -> list[str]:
    return [name.text for name in cache.analysis(cache.catalogue(), Settings(BASELINE)).names]


def test_a_name_is_shown_wherever_its_cluster_is(offered: dict[str, tuple[str, Callable[[], bytes]]]) -> None:
    before = computed()
    visit = call(Visit("cluster", QUERY), 0, f"  {HOSTILE} ", "First line\n# second")
    assert unescaped(visit.lines[1]).startswith(f"**{HOSTILE}** holds")
    assert "Note: First line  \n# second" in [unescaped(line) for line in visit.lines]
    assert visit.at.selectbox(key="chosen_cluster").options[0] == f"0 {HOSTILE} (measuring)"
    assert not [text for text in visit.words if HOSTILE in text]  # no Markdown of it is live

    visit.go("overview")
    assert names(visit) == [HOSTILE, *before[1:]]
    assert visit.table("cluster_table")["note"].tolist() == ["First line\n# second", *[""] * 11]
    assert f"The largest is **{HOSTILE}**" in unescaped(visit.lines[1])
    for chart in ("sizes", "heatmap"):
        rows = visit.chart(chart)
        assert set(rows.loc[rows["cluster"] == 0, "label"]) == {f"0 {HOSTILE}"}
    rows = visit.chart("genre_map")
    assert set(rows.loc[(rows["cluster"] == 0) & rows["text_color"].isna(), "label"]) == {f"0 {HOSTILE}"}
    visit.select("sizes", {"pick": [{"cluster": 0}]})
    assert unescaped(visit.links[0][0]) == f"Open cluster 0: {HOSTILE} (measuring)"
    table = pq.read_table(io.BytesIO(offered["genrescope-films.parquet"][1]())).to_pylist()
    assert {(row["cluster_name"], row["cluster_note"]) for row in table if row["cluster"] == 0} == {
        (HOSTILE, "First line\n# second")
    }

    visit.go("films")
    assert set(visit.films.loc[visit.films["cluster"] == 0, "cluster_name"]) == {HOSTILE}
    visit.go("trends")
    assert f"0 {HOSTILE}" in set(visit.chart("trends")["label"])
    assert f"0 {HOSTILE}" in visit.table("decades")["label"].tolist()
    visit.go("compare")
    assert visit.at.selectbox(key="chosen_a").options[0] == f"0 {HOSTILE} (measuring)"
    lists, _ = cache.tables(cache.catalogue(), visit.settings)
    near = lists.sort_values("margin").query("runner_up == 0").iloc[0]
    visit.at.query_params["cluster"] = str(near["cluster"])
    visit.go("cluster")
    assert HOSTILE in set(visit.table("borderline")["runner_up_name"])
    for text in visit.words:
        assert HOSTILE not in text


def test_nobody_else_sees_it() -> None:
    call(Visit("cluster", QUERY), 0, "Only mine", "secret")
    other = Visit("overview", QUERY)
    assert names(other) == computed()
    assert "note" not in other.table("cluster_table")
    assert cache.tables(cache.catalogue(), Settings(BASELINE))[1]["name"].tolist() == computed()


def test_one_name_for_two_clusters_by_two_visitors() -> None:
    """What is made once for all must not take another visitor's cluster for this one's."""
    for cluster in (2, 3):
        visit = call(Visit("cluster", QUERY), cluster, "The same").go("overview")
        for chart in ("genre_map", "sizes", "heatmap"):
            rows = visit.chart(chart)
            assert set(rows.loc[rows["label"].str.endswith("The same"), "cluster"]) == {cluster}, chart
    rows = Visit("overview", QUERY).chart("sizes")
    assert not rows["label"].str.endswith("The same").any()


def test_a_name_follows_its_films() -> None:
    before = computed()
    visit = call(Visit("cluster", QUERY), before.index("Documentary"), "Last")
    before[before.index("Documentary")] = "Last"
    visit.go("overview")
    visit.at.slider(key="k").set_value(3)  # it went under in a larger one
    assert "Last" not in names(visit.run())
    visit.at.slider(key="k").set_value(13)
    assert names(visit.run()).count("Last") == 1
    visit.at.slider(key="k").set_value(12)
    assert names(visit.run()) == before
    visit.at.slider(key="years").set_range(1990, 2014)
    assert names(visit.run()).count("Last") == 1
    visit.at.slider(key="years").set_range(1940, 2014)
    visit.at.number_input(key="seed").set_value(4)
    assert names(visit.run()).count("Last") == 1
    visit.at.number_input(key="seed").set_value(0)
    assert names(visit.run()) == before


def test_lines_of_descent_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = cache.catalogue()
    found = {k: cache.analysis(catalogue, Settings(BASELINE, k)) for k in (11, 12)}
    given = Given(catalogue.texts, np.flatnonzero(found[12].clustering.labels == 0), "First of all")
    monkeypatch.setattr(choice, "given", lambda: (given,))
    sweep = SweepResult(pd.DataFrame(), {k: each.clustering for k, each in found.items()})
    lines = descent.trace(sweep.clusterings, found[12].weights, catalogue.genre_lists)
    labels = choice._labels(View(catalogue, Settings(BASELINE), found[12]), sweep, lines)
    assert [k for (k, _), label in labels.items() if label.endswith(" First of all")] == [11, 12]
    assert labels[12, 0] == "0 First of all"


def test_undo_and_back_to_the_computed_name() -> None:
    before = computed()[2]
    visit = call(Visit("cluster", QUERY), 2, "One")
    call(visit, 2, "Two", "a note")
    undo = visit.at.button(key="undo_name")
    assert unescaped(undo.label) == "Undo: “One” became “Two”"
    assert not visit.at.button(key="computed_name").disabled
    visit.at.button(key="computed_name").click()
    visit.run()
    assert unescaped(visit.lines[1]).startswith(f"**{before}** holds")
    assert "Note: a note" in visit.lines  # the note stays
    assert visit.at.text_input(key="own_name").value == ""
    assert visit.at.button(key="computed_name").disabled
    for name in ("Two", "One", before):
        visit.at.button(key="undo_name").click()
        visit.run()
        assert unescaped(visit.lines[1]).startswith(f"**{name}** holds")
        assert visit.at.text_input(key="own_name").value == ("" if name == before else name)
    assert "Note: a note" not in visit.lines
    assert not [button for button in visit.at.button if button.key == "undo_name"]


def test_two_clusters_never_get_the_same_name() -> None:
    visit = call(Visit("cluster", QUERY), 2, "Mine")
    call(visit, 3, " MINE")
    assert [unescaped(error.value) for error in visit.at.error] == [
        "Cluster 2 is called “MINE” already. Take another name."
    ]
    assert visit.at.text_input(key="own_name").value == " MINE"  # to be bettered
    assert not visit.run().at.error
    call(visit, 3, computed()[0].lower())
    assert len(visit.at.error) == 1
    assert len(set(names(visit.go("overview")))) == 12


def test_what_the_browser_would_not_let_through_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    # AppTest holds texts to max_chars as a browser does, so the callback is called as a forged message would.
    visit = call(Visit("cluster", QUERY), 1, "x")
    state: dict[str, object] = {"own_name": "y" * 10_000, "own_note": "z" * 10_000}
    monkeypatch.setattr(controls_names.st, "session_state", state)
    found = cache.analysis(cache.catalogue(), visit.settings)
    controls_names._save(cache.catalogue(), found, 1)
    (given,) = state["own_names"]  # type: ignore[misc]
    assert (given.name, given.note) == ("y" * 60, "z" * 500)


def test_names_enter_in_one_place() -> None:
    """Tables of clusters come from `controls.tables`, which knows the visitor's names, and not from the cache."""
    wrong = [
        path.name
        for path in [*(ROOT / "pages").glob("*.py"), *(ROOT / "core" / "controls").glob("*.py")]
        if "cache.tables(" in Path(path).read_text() and path.name not in ("names.py", "start.py")
    ]
    assert wrong == []
