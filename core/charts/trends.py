"""The chart of the page Trends: each cluster's share of the films of each year."""

from functools import cache
from typing import Any

import pandas as pd

from core.charts.figure import Figure, specification

HEIGHT = 420
GAP = 0.034  # between two numbers, as a part of the largest share


def trends(shares: pd.DataFrame) -> Figure:
    """Draw each cluster's share of every year's films as a smooth line with its number at the right end.

    shares has cluster, label, color, year, n_cluster, n_all, share, smooth, smooth_low, smooth_high. Selection:
    `pick` (fields cluster and year) on a click.
    """
    columns = ["cluster", "label", "color", "year", "n_cluster", "n_all", "share", "smooth"]
    return Figure(_trends(), shares[columns].assign(number_at=_apart(shares)))


def _apart(shares: pd.DataFrame) -> pd.Series:
    """Return where each line's number stands, at its last year: beside its end, or above the number below it."""
    ends = shares[shares["year"] == shares["year"].max()].sort_values("smooth", kind="stable")
    gap, places = GAP * float(shares["smooth"].max()), {}
    before = 1e-9 - gap  # never 0, which would say that there is no number
    for row, value in ends["smooth"].items():
        before = places[row] = max(float(value), before + gap)
    return pd.Series(places, dtype=float).reindex(shares.index)


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
