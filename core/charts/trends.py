"""The charts of the page Trends: each cluster's share of the films of each year, and its median box office."""

import math
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from core.charts.figure import Figure, specification

HEIGHT, BOX_OFFICE_HEIGHT = 420, 380
BOX_OFFICE_GAP = 0.12  # between two numbers, as a power of ten
FEW_KNOWN = 10  # films with a box office below which a median is marked
MEDIAN = "Median box office (US dollars of the year)"
GAP = 0.034  # between two numbers, as a part of the largest share


def trends(shares: pd.DataFrame) -> Figure:
    """Draw each cluster's share of every year's films as a smooth line with its number at the right end.

    shares has cluster, label, color, stability (in words), year, n_cluster, n_all, share, smooth, smooth_low,
    smooth_high. Selection: `pick` (fields cluster and year) on a click.
    """
    columns = ["cluster", "label", "color", "stability", "year", "n_cluster", "n_all", "share", "smooth"]
    ends = shares.loc[shares["year"] == shares["year"].max(), "smooth"]
    # Never 0, which would say that there is no number.
    number_at = _apart(ends.clip(lower=1e-9), GAP * float(shares["smooth"].max()))
    return Figure(_trends(), shares[columns].assign(number_at=number_at.reindex(shares.index)))


def _apart(ends: pd.Series, gap: float) -> pd.Series:
    """Return where the number of each line stands: beside the line's end, or above the number below it."""
    places: dict[Any, float] = {}
    before = -math.inf
    for row, value in ends.sort_values(kind="stable").items():
        before = places[row] = max(float(value), before + gap)
    return pd.Series(places, dtype=float)


@cache
def _trends() -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["cluster", "year"], on="click", clear="dblclick", nearest=True)
    title = "Share of the year's films (smoothed)"
    base = alt.Chart().encode(
        x=alt.X("year:Q", title="Year", axis=alt.Axis(format="d"), scale=alt.Scale(zero=False, nice=False, padding=14)),
        y=alt.Y("smooth:Q", title=title, axis=alt.Axis(format=".0%")),
        color=alt.Color("color:N", scale=None),
        detail="cluster:N",
        tooltip=[
            alt.Tooltip("label:N", title="Cluster"),
            alt.Tooltip("year:Q", title="Year", format="d"),
            alt.Tooltip("n_cluster:Q", title="Films of the cluster", format=","),
            alt.Tooltip("n_all:Q", title="All films of the year", format=","),
            alt.Tooltip("share:Q", title="Share of the year", format=".1%"),
            alt.Tooltip("smooth:Q", title="Smoothed", format=".1%"),
            alt.Tooltip("stability:N", title="Stability of the cluster"),
        ],
    )
    lines = base.mark_line(strokeWidth=2.2)
    # Only the year that was clicked has a point to see; the others make every year of a line something to click.
    points = (
        base.mark_circle(size=60)
        .encode(opacity=alt.condition(pick, alt.value(1.0), alt.value(0.001), empty=False))
        .add_params(pick)
    )
    numbers = (
        base.transform_filter("datum.number_at")
        .mark_text(align="left", dx=6, fontWeight="bold")
        .encode(y=alt.Y("number_at:Q", title=title), text="cluster:N")
    )
    heading = "Each cluster's share of the year's films"
    return specification(alt.LayerChart(layer=[lines, points, numbers], height=HEIGHT, title=heading))


def box_office(rows: pd.DataFrame) -> Figure:
    """Draw each cluster's median box office over spans of years, hollow where fewer than FEW_KNOWN films have one.

    rows has cluster, label, color, stability (in words), first_year, years (the span in words), n_movies, n_known, q1,
    median, q3 (dollars). Selection: `pick` (fields cluster and first_year) on a click.
    """
    columns = ["cluster", "label", "color", "stability", "first_year", "years", "n_movies", "n_known"]
    known = rows[rows["median"] > 0]  # a logarithm knows no other
    fill = known["color"].where(known["n_known"] >= FEW_KNOWN, "transparent")
    ends = np.log10(known.loc[known["first_year"] == known["first_year"].max(), "median"].astype(float))
    number_at = 10 ** _apart(ends, BOX_OFFICE_GAP)
    rows = known[[*columns, "q1", "median", "q3"]].assign(fill=fill, number_at=number_at.reindex(known.index))
    return Figure(_box_office(), rows)


@cache
def _box_office() -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["cluster", "first_year"], on="click", clear="dblclick")
    powers = [10.0**power for power in range(11)]
    dollars = alt.Axis(values=powers, labelExpr="replace(format(datum.value, '$~s'), 'G', 'B')")
    base = alt.Chart().encode(
        x=alt.X(
            "first_year:Q",
            title="Five years from",
            axis=alt.Axis(format="d", tickMinStep=5),
            scale=alt.Scale(zero=False, nice=False, padding=14),
        ),
        y=alt.Y("median:Q", title=MEDIAN, axis=dollars, scale=alt.Scale(type="log")),
        tooltip=[
            alt.Tooltip("label:N", title="Cluster"),
            alt.Tooltip("years:N", title="Years"),
            alt.Tooltip("median:Q", title="Median box office (dollars of the year)", format="$,.0f"),
            alt.Tooltip("q1:Q", title="Lower quartile", format="$,.0f"),
            alt.Tooltip("q3:Q", title="Upper quartile", format="$,.0f"),
            alt.Tooltip("n_known:Q", title="Films with a box office", format=","),
            alt.Tooltip("n_movies:Q", title="Films of the cluster in these years", format=","),
            alt.Tooltip("stability:N", title="Stability of the cluster"),
        ],
    )
    lines = base.mark_line(strokeWidth=1.2, opacity=0.5).encode(
        color=alt.Color("color:N", scale=None), detail="cluster:N"
    )
    points = (
        base.mark_point(filled=True, size=70, strokeWidth=1.6)
        .encode(
            stroke=alt.Stroke("color:N", scale=None),
            fill=alt.Fill("fill:N", scale=None),
            opacity=alt.condition(pick, alt.value(1.0), alt.value(0.15)),
        )
        .add_params(pick)
    )
    numbers = (
        base.transform_filter("datum.number_at")
        .mark_text(align="left", dx=8, fontWeight="bold")
        .encode(y=alt.Y("number_at:Q", title=MEDIAN), text="cluster:N", color=alt.Color("color:N", scale=None))
    )
    heading = "Median box office, in dollars of the year"
    return specification(alt.LayerChart(layer=[lines, points, numbers], height=BOX_OFFICE_HEIGHT, title=heading))
