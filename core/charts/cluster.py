"""The charts of the Cluster page."""

import altair as alt
import pandas as pd

ROW_HEIGHT = 22
CATALOGUE_GREY = "#8a8f98"
FEW_FILMS = 20


def genre_lifts(genres: pd.DataFrame, color: str) -> alt.LayerChart:
    """Draw the share of each genre in the cluster as a bar with its interval, and a tick for the catalogue's.

    genres has genre, share, share_low, share_high, catalogue_share, lift, lift_low, lift_high, n_cluster, in the
    order to be shown. Selection: `pick` (field genre) on a click.
    """
    pick = alt.selection_point(name="pick", fields=["genre"], on="click", clear="dblclick")
    base = alt.Chart(genres).encode(
        y=alt.Y("genre:N", sort=genres["genre"].tolist(), title="Genre"),
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
    share = alt.X("share:Q", title="Share of films", axis=alt.Axis(format=".0%"), scale=alt.Scale(domain=[0, 1]))
    bars = (
        base.mark_bar(color=color, cornerRadiusEnd=2, height=14)
        .encode(x=share, opacity=alt.condition(pick, alt.value(1.0), alt.value(0.35)))
        .add_params(pick)
    )
    interval = base.mark_rule(color=CATALOGUE_GREY, strokeWidth=2).encode(
        x=alt.X("share_low:Q", title="Share of films"), x2="share_high:Q"
    )
    catalogue = base.mark_tick(color=CATALOGUE_GREY, thickness=3, size=18).encode(
        x=alt.X("catalogue_share:Q", title="Share of films")
    )
    return alt.LayerChart(
        layer=[bars, interval, catalogue], height=alt.Step(ROW_HEIGHT), title="Genres of the cluster's films"
    )


def year_shares(years: pd.DataFrame, color: str, what: str) -> alt.LayerChart:
    """Draw the share of each year's films that are in the cluster, with its interval, and hollow where few films.

    years has year, n_cluster, n_all, share, share_low, share_high. `what` names the films counted.
    Selection: `pick` (field year) on a click.
    """
    pick = alt.selection_point(name="pick", fields=["year"], on="click", clear="dblclick", nearest=True)
    base = alt.Chart(years.assign(few=years["n_all"] < FEW_FILMS)).encode(
        x=alt.X("year:Q", title="Year", axis=alt.Axis(format="d"), scale=alt.Scale(zero=False, nice=False, padding=8)),
        tooltip=[
            alt.Tooltip("year:Q", title="Year", format="d"),
            alt.Tooltip("n_cluster:Q", title=what, format=","),
            alt.Tooltip("n_all:Q", title="All films of the year", format=","),
            alt.Tooltip("share:Q", title="Share of the year", format=".1%"),
            alt.Tooltip("share_low:Q", title="Lower end", format=".1%"),
            alt.Tooltip("share_high:Q", title="Upper end", format=".1%"),
        ],
    )
    axis = alt.Axis(format=".0%")
    interval = base.mark_area(color=color, opacity=0.18, interpolate="monotone").encode(
        y=alt.Y("share_low:Q", title="Share of the year's films", axis=axis), y2="share_high:Q"
    )
    line = base.mark_line(color=color, strokeWidth=1.5, opacity=0.7).encode(
        y=alt.Y("share:Q", title="Share of the year's films")
    )
    points = (
        base.mark_point(color=color, size=42, strokeWidth=1.5)
        .encode(
            y=alt.Y("share:Q", title="Share of the year's films"),
            fill=alt.condition("datum.few", alt.value("transparent"), alt.value(color)),
            opacity=alt.condition(pick, alt.value(1.0), alt.value(0.25)),
        )
        .add_params(pick)
    )
    return alt.LayerChart(layer=[interval, line, points], height=260, title="Share of each year's films")
