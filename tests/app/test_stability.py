"""What a cluster is worth, wherever it is shown: before and after it is known."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from core import cache, stability
from core.analysis import Analysis
from core.stability import Seeds, Stability
from tests.app.conftest import Visit, unescaped

pytestmark = pytest.mark.usefixtures("shipped")
WORTH = np.linspace(0.4, 1.0, 12)
WORDS = [stability.told(value) for value in WORTH]
CHARTS = {"overview": ("genre_map", "sizes", "heatmap"), "trends": ("trends", "box_office")}


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A way to have stability and seed agreement become known."""

    def become() -> None:
        monkeypatch.setattr(cache, "stability", lambda catalogue, settings: Stability(WORTH, 50))
        monkeypatch.setattr(cache, "seeds", lambda catalogue, settings: Seeds(0.8712, np.zeros(0)))

    return become


def chosen(visit: Visit, key: str) -> Any:
    return visit.at.selectbox(key=key)


@pytest.mark.parametrize("page", CHARTS)
def test_charts_name_it_and_stay_the_same_otherwise(page: str, known: Callable[[], None]) -> None:
    visit = Visit(page, {"k": "12"})
    before = {name: (visit.spec(name), visit.element(name).proto.alt) for name in CHARTS[page]}
    for name in CHARTS[page]:
        assert set(visit.chart(name)["stability"]) == {"measuring"}
        assert "stability" in str(before[name][0])
    assert len(visit.at._fragment_storage._fragments) == 1
    known()
    visit.run()
    for name in CHARTS[page]:
        rows = visit.chart(name)
        assert rows["stability"].tolist() == [WORDS[cluster] for cluster in rows["cluster"]]
        assert (visit.spec(name), visit.element(name).proto.alt) == before[name]
    assert not visit.at._fragment_storage._fragments  # nobody asks any more


def test_overview_has_the_seed_agreement_after_stability(known: Callable[[], None]) -> None:
    visit = Visit(query={"k": "12"})
    assert visit.figures["Seed agreement"] == "measuring"
    assert set(visit.table("cluster_table")["stability"]) == {"measuring"}
    known()
    assert visit.run().figures["Seed agreement"] == "0.871"
    assert visit.table("cluster_table")["stability"].tolist() == WORDS
    visit.select("cluster_table", {"rows": [3], "columns": [], "cells": []})
    assert [unescaped(link[0]).endswith(f" ({WORDS[3]})") for link in visit.links] == [True]


def test_choices_and_badges(analysed: Analysis, known: Callable[[], None]) -> None:
    visit = Visit("compare", {"k": "12", "a": "2", "b": "5"})
    known()
    labels = [f"{i} {name.text} ({WORDS[i]})" for i, name in enumerate(analysed.names)]
    measuring = [label.rpartition(" (")[0] + " (measuring)" for label in labels]
    assert chosen(visit, "chosen_a").options == measuring
    assert sum("Stability measuring" in line for line in visit.lines) == 2
    visit.run()
    assert chosen(visit, "chosen_a").options == labels
    assert chosen(visit, "chosen_b").options == ["The rest", *labels]
    for cluster in (2, 5):
        assert any(f"Stability {WORDS[cluster]}" in line for line in visit.lines)
    visit.at.query_params["b"] = "-1"  # the rest is no cluster
    assert sum("Stability " in line for line in visit.run().lines) == 1
    visit.at.query_params["cluster"] = "7"
    visit.go("cluster")
    assert any(f"Stability {WORDS[7]}" in line for line in visit.lines)
    assert chosen(visit, "chosen_cluster").options == labels


def test_what_cannot_be_measured_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "stability_failed", lambda catalogue, settings: True)
    visit = Visit("cluster", {"k": "12", "cluster": "1"})
    assert any("Stability not known" in line for line in visit.lines)


def test_lists_and_files_of_films(
    known: Callable[[], None], offered: dict[str, tuple[str, Callable[[], bytes]]]
) -> None:
    def exported(name: str) -> dict[str, list[Any]]:
        return pq.read_table(io.BytesIO(offered[f"{name}.parquet"][1]())).to_pydict()

    visit = Visit("films", {"k": "12"})
    assert set(visit.films["stability"].dropna()) == {"measuring"}
    assert set(exported("genrescope-search")["stability"]) == {None}
    known()
    shown = visit.run().films
    with_genres = shown["cluster"].notna()
    assert shown.loc[with_genres, "stability"].tolist() == [WORDS[i] for i in shown.loc[with_genres, "cluster"]]
    assert shown.loc[~with_genres, "stability"].isna().all()
    expected = [None if cluster is None else WORTH[cluster] for cluster in exported("genrescope-search")["cluster"]]
    assert exported("genrescope-search")["stability"] == expected
    visit.go("overview")
    films = exported("genrescope-films")
    assert films["stability"] == [None if cluster is None else WORTH[cluster] for cluster in films["cluster"]]
    visit.at.query_params["cluster"] = "4"
    visit.go("cluster")
    assert set(exported("genrescope-cluster-4")["stability"]) == {WORTH[4]}
