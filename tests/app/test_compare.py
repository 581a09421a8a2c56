"""The page A against B: what it says of two clusters, against plain counting."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core import contrast
from core.analysis import Analysis
from core.movies import Catalogue
from tests.app.conftest import BASELINE, Film, Visit

pytestmark = pytest.mark.usefixtures("shipped")


def said(visit: Visit) -> str:
    (line,) = [line for line in visit.lines if "can be stood behind" in line]
    return line


def pick(visit: Visit, row: int) -> Visit:
    return visit.select("contrast", {"rows": [row], "columns": [], "cells": []})


def test_only_what_can_be_stood_behind_is_shown_first(catalogue: Catalogue, analysed: Analysis) -> None:
    rows = contrast.contrast(catalogue, analysed.clustering.labels, 6, 4)
    visit = Visit("compare", {"k": "12", "a": "6", "b": "4"})
    table = visit.table("contrast")
    sure = rows[rows["claim"]]
    assert len(table) == len(sure) < len(rows)
    assert table["value"].tolist() == sure["value"].tolist()
    assert f"**{len(sure)} differences**" in said(visit)
    visit.at.toggle(key="unsure").set_value(True)
    assert len(visit.run().table("contrast")) == len(rows)


def test_shares_and_counts_are_those_of_the_films(films: list[Film]) -> None:
    visit = Visit("compare", {"k": "12", "a": "6", "b": "4", "kind": "countries"})
    table = visit.table("contrast")
    assert set(table["what"]) == {"Country"}
    for row in table.itertuples():
        for side, cluster in (("a", 6), ("b", 4)):
            known = [film for film in films if film["cluster"] == cluster and film["countries"]]
            n = sum(row.value in film["countries"] for film in known)
            assert getattr(row, side) == f"{n / len(known):.1%} ({n:,} films)"
    assert table["log_odds"].notna().all()
    assert table["delta"].isna().all()


def test_a_row_opens_the_films_behind_it(films: list[Film]) -> None:
    visit = Visit("compare", {"k": "12", "a": "6", "kind": "countries"})
    assert "the rest can be stood behind" in said(visit)
    country = visit.table("contrast")["value"].iloc[0]
    shown = pick(visit, 0).films
    expected = {
        film["movie_id"]: "A" if film["cluster"] == 6 else "B"
        for film in films
        if film["cluster"] is not None and country in film["countries"]
    }
    assert dict(zip(shown["movie_id"], shown["side"], strict=True)) == expected


def test_numbers_open_films_too() -> None:
    visit = pick(Visit("compare", {"k": "12", "a": "6", "b": "4", "kind": "numbers"}), 0)
    assert visit.table("contrast")["value"].tolist() == [""] * len(visit.table("contrast"))
    assert len(visit.films) > 100


@pytest.mark.parametrize(
    ("query", "sides"),
    [({"a": "99", "b": "-7"}, ("0", "-1")), ({"a": "x", "b": "3"}, ("0", "3")), ({"a": "3", "b": "3"}, ("3", "3"))],
)
def test_nonsense_in_a_link_falls_back(query: dict[str, str], sides: tuple[str, str]) -> None:
    visit = Visit("compare", {"k": "12", **query})
    assert (visit.at.query_params["a"], visit.at.query_params["b"]) == sides
    if sides[1] in ("-1", sides[0]):  # a cluster against itself is held against the rest
        assert "the rest can be stood behind" in said(visit)


def test_a_single_cluster_has_nothing_beside_it(elsewhere: Callable[..., None], tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["A", "B"], "genres": [["Drama"], ["Drama"]]}), tmp_path / "one.parquet")
    elsewhere(movies=tmp_path / "one.parquet")
    visit = Visit("compare", {"encoder": BASELINE})
    assert [info.value for info in visit.at.info] == [
        "There is only one cluster, so there is nothing to hold it against."
    ]


def test_two_films_make_no_claim(elsewhere: Callable[..., None], tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["A", "B"], "genres": [["Drama"], ["War"]]}), tmp_path / "two.parquet")
    elsewhere(movies=tmp_path / "two.parquet")
    visit = Visit("compare", {"encoder": BASELINE, "k": "2"})
    assert "**0 differences**" in said(visit)
    assert "Nothing of this kind tells them apart for sure." in [info.value for info in visit.at.info]
