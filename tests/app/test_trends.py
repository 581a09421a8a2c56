"""The Trends page: every share against plain counting."""

import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.analysis import Analysis
from tests.app.conftest import BASELINE, Film, Visit

pytestmark = pytest.mark.usefixtures("shipped")


def test_shares_are_those_of_all_films_of_a_year(films: list[Film]) -> None:
    shown = Visit("trends", {"k": "12"}).chart("trends")
    everyone = Counter(film["year"] for film in films if film["year"] is not None)
    counted = Counter((film["year"], film["cluster"]) for film in films if film["cluster"] is not None)
    assert len(shown) == 12 * len(everyone)
    for row in shown.itertuples():
        assert (row.n_all, row.n_cluster) == (everyone[row.year], counted[row.year, row.cluster])
    assert shown["number_at"].notna().sum() == 12
    ends = shown.dropna(subset="number_at").sort_values("smooth")
    assert (ends["number_at"].diff().dropna() > 0).all()
    assert (ends["number_at"] >= ends["smooth"]).all()


def test_the_table_of_decades(films: list[Film]) -> None:
    table = Visit("trends", {"k": "12"}).table("decades")
    nineties = [film for film in films if film["year"] is not None and film["year"] // 10 == 199]
    assert table["1990s"].iloc[-1] == f"{len(nineties):,}"
    for cluster in range(12):
        share = sum(film["cluster"] == cluster for film in nineties) / len(nineties)
        assert table["1990s"].iloc[cluster] == f"{100 * share:.1f} %"


def test_what_rose_and_fell_is_said_with_its_shares(films: list[Film], analysed: Analysis) -> None:
    years = sorted({film["year"] for film in films if film["year"] is not None})

    def share(cluster: int, span: list[int]) -> float:
        of = [film for film in films if film["year"] in span]
        return sum(film["cluster"] == cluster for film in of) / len(of)

    change = {i: share(i, years[-5:]) - share(i, years[:5]) for i in range(12)}
    words = Visit("trends", {"k": "12"}).lines[1]
    for cluster, verb in ((max(change, key=change.get), "rose"), (min(change, key=change.get), "fell")):
        name = analysed.names[cluster].text
        assert f"{name} {verb} from {share(cluster, years[:5]):.0%} to {share(cluster, years[-5:]):.0%}" in words


def test_a_click_leads_to_the_films_of_cluster_and_year() -> None:
    visit = Visit("trends", {"k": "12"}).select("trends", {"pick": [{"cluster": 3, "year": 1997}]})
    (link,) = visit.links
    assert link[0].endswith("films of 1997")
    assert "cluster=3" in link[2]
    assert "year=1997" in link[2]
    there = Visit("cluster", {"k": "12", "cluster": "3", "year": "1997"})
    assert set(there.films["year"]) == {1997}
    visit.select("decades", {"rows": [5], "columns": [], "cells": []})
    assert ["cluster=5" in link[2] for link in visit.links] == [True]


def test_box_office_over_the_years(films: list[Film]) -> None:
    visit = Visit("trends", {"k": "12"})
    rows = visit.chart("box_office")
    row = rows[rows["n_known"] >= 10].iloc[0]
    mine = [
        film for film in films if film["cluster"] == row["cluster"] and 0 <= (film["year"] or 0) - row["first_year"] < 5
    ]
    known = sorted((film["box_office"] for film in mine if film["box_office"] is not None), reverse=True)
    assert (row["n_movies"], row["n_known"], row["median"]) == (len(mine), len(known), statistics.median(known))
    assert row["years"] == f"{row['first_year']} to {row['first_year'] + 4}"
    assert row["fill"] == row["color"]
    assert set(rows.loc[rows["n_known"] < 10, "fill"]) == {"transparent"}
    assert any("dollars are those of each film's year" in caption.value.lower() for caption in visit.at.caption)

    pick = {"pick": [{"cluster": int(row["cluster"]), "first_year": int(row["first_year"])}]}
    visit.select("box_office", pick)
    assert visit.films["box_office"].tolist() == known
    assert f"{len(known)} of {len(mine)} films have a box office" in visit.lines[-1]
    assert len(visit.links) == 1
    visit.at.slider(key="k").set_value(5)
    visit.run()  # what was clicked meant another cluster
    assert not [element for element in visit.at.dataframe if "movie_id" in element.value]


def test_films_without_box_office_say_so(elsewhere: Callable[..., None], tmp_path: Path) -> None:
    films = pa.table({"title": ["A", "B"], "genres": [["Drama"], ["War"]], "year": pa.array([1999, 2001], pa.int32())})
    pq.write_table(films, tmp_path / "two.parquet")
    elsewhere(movies=tmp_path / "two.parquet")
    visit = Visit("trends", {"encoder": BASELINE, "k": "2"})
    assert [info.value for info in visit.at.info] == ["No film here has a box office and a year."]


def test_one_year_or_none_has_no_trend(elsewhere: Callable[..., None], tmp_path: Path) -> None:
    for year in (1999, None):
        path = tmp_path / f"{year}.parquet"
        genres = [["Drama"], ["Comedy"], ["War"]]
        years = pa.array([year] * 3, pa.int32())
        pq.write_table(pa.table({"title": ["A", "B", "C"], "genres": genres, "year": years}), path)
        elsewhere(movies=path)
        visit = Visit("trends", {"encoder": BASELINE, "k": "2"})
        assert [info.value for info in visit.at.info] == [
            "These films lie in a single year, or in none, so there is nothing to compare."
        ]
