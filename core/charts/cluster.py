"""The charts of the Cluster page."""

from functools import cache
from typing import Any

import pandas as pd

from core.charts.figure import GREY, MOST_GENRES, ROW_HEIGHT, Figure, specification

YEARS_HEIGHT = 260
FEW_FILMS = 20
# Not the order of the rows: rows that are swapped in the browser come after those that stayed.
BY_FILMS = {"field": "n_cluster", "op": "max", "order": "descending"}


def genre_lifts(genres: pd.DataFrame, color: str) -> Figure:
    """Draw the share of each genre in the cluster as a bar with its interval, and a tick for the catalogue's.

    genres has genre, share, share_low, share_high, catalogue_share, lift, lift_low, lift_high, n_cluster, in the
    order to be shown, of which the first MOST_GENRES are. Selection: `pick` (field genre) on a click.
    """
    genres = genres.head(MOST_GENRES)
    columns = ["genre", "n_cluster", "share", "share_low", "share_high", "catalogue_share"]
    return Figure(_genre_lifts(), genres[[*columns, "lift", "lift_low", "lift_high"]].assign(color=color))


@cache
def _genre_lifts() -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["genre"], on="click", clear="dblclick")
    base = alt.Chart().encode(
        y=alt.Y("genre:N", sort=BY_FILMS, title="Genre"),
        tooltip=[
            alt.Tooltip("genre:N", title="Genre"),
            alt.Tooltip("n_cluster:Q", title="Films in the cluster", format=","),
            alt.Tooltip("share:Q", title="Share of the cluster", format=".1%"),
            alt.Tooltip("catalogue_share:Q", title="Share of the catalogue", format=".1%"),
            alt.Tooltip("lift:Q", title="Lift", format=".2f"),
            alt.Tooltip("lift_low:Q", title="Lift, lower end", format=".2f"),
            alt.Tooltip("lift_high:Q", title="Lift, upper end", format=".2f"),
        ],
    )
    title = "Share of films"
    share = alt.X("share:Q", title=title, axis=alt.Axis(format=".0%"), scale=alt.Scale(domain=[0, 1]))
    bars = (
        base.mark_bar(cornerRadiusEnd=2, height=14)
        .encode(
            x=share,
            color=alt.Color("color:N", scale=None),
            opacity=alt.condition(pick, alt.value(1.0), alt.value(0.35)),
        )
        .add_params(pick)
    )
    interval = base.mark_rule(color=GREY, strokeWidth=2).encode(x=alt.X("share_low:Q", title=title), x2="share_high:Q")
    catalogue = base.mark_tick(color=GREY, thickness=3, size=18).encode(x=alt.X("catalogue_share:Q", title=title))
    return specification(
        alt.LayerChart(
            layer=[bars, interval, catalogue],
            height=alt.Step(ROW_HEIGHT),
            title="Genres of the cluster's films",
        )
    )


def year_shares(years: pd.DataFrame, color: str) -> Figure:
    """Draw the share of each year's films as points, hollow where there are few films, and a smooth line with its band.

    years has year, n_cluster, n_all, share, share_low, share_high, smooth, smooth_low, smooth_high. Selection: `pick`
    (field year) on a click.
    """
    few = years["n_all"] < FEW_FILMS
    return Figure(_year_shares(), years.assign(color=color, fill=few.map({True: "transparent", False: color})))


@cache
def _year_shares() -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["year"], on="click", clear="dblclick", nearest=True)
    title = "Share of the year's films"
    base = alt.Chart().encode(
        x=alt.X("year:Q", title="Year", axis=alt.Axis(format="d"), scale=alt.Scale(zero=False, nice=False, padding=8)),
        color=alt.Color("color:N", scale=None),
        tooltip=[
            alt.Tooltip("year:Q", title="Year", format="d"),
            alt.Tooltip("n_cluster:Q", title="Films counted", format=","),
            alt.Tooltip("n_all:Q", title="All films of the year", format=","),
            alt.Tooltip("share:Q", title="Share of the year", format=".1%"),
            alt.Tooltip("share_low:Q", title="Lower end", format=".1%"),
            alt.Tooltip("share_high:Q", title="Upper end", format=".1%"),
        ],
    )
    interval = base.mark_area(opacity=0.18, interpolate="monotone").encode(
        y=alt.Y("smooth_low:Q", title=title, axis=alt.Axis(format=".0%")), y2="smooth_high:Q"
    )
    line = base.mark_line(strokeWidth=2, opacity=0.9).encode(y=alt.Y("smooth:Q", title=title))
    points = (
        base.mark_point(size=42, strokeWidth=1.5)
        .encode(
            y=alt.Y("share:Q", title=title),
            fill=alt.Fill("fill:N", scale=None),
            opacity=alt.condition(pick, alt.value(1.0), alt.value(0.25)),
        )
        .add_params(pick)
    )
    return specification(
        alt.LayerChart(layer=[interval, line, points], height=YEARS_HEIGHT, title="Share of each year's films")
    )
