"""The charts of the Overview page."""

from functools import cache
from typing import Any, Literal

import numpy as np
import pandas as pd

from core.charts.figure import CANVAS, GREY, MOST_GENRES, ROW_HEIGHT, Figure, specification

AXES = {
    "PCA": ("First principal component", "Second principal component"),
    "t-SNE": ("t-SNE, first axis", "t-SNE, second axis"),
}
MAP_HEIGHT = 480
MOST_MARKS = 4_000  # bubbles that a browser draws without a wait
CELLS = 48  # of a side of the map, where density is drawn
LONGEST_TEXT = 160  # characters in a tooltip
LEAST_LIFT, MOST_LIFT = 1 / 8, 8
FROM_NOTHING = ["rgba(72, 110, 214, 0.03)", "rgba(72, 110, 214, 1)"]  # lets the page shine through at zero
AROUND_ONE = ["rgba(222, 126, 40, 0.5)", "rgba(128, 128, 128, 0.04)", "rgba(72, 110, 214, 1)"]
# Not the order of the rows: rows that are swapped in the browser come after those that stayed.
BY_CLUSTER = {"field": "cluster", "op": "min", "order": "ascending"}

Measure = Literal["share", "lift"]


def genre_map(lists: pd.DataFrame, clusters: pd.DataFrame, axes: tuple[str, str]) -> Figure:
    """Draw the map of the genre lists: a bubble a list, sized by films, coloured and numbered by cluster.

    lists has x, y, n_movies, text, cluster; clusters has cluster, label, color, text_color, stability
    (in words), x, y, n_movies. Selections: `pick` (field cluster) on a click, `brush` (x and y) on a drag.
    Of more than MOST_MARKS lists some are drawn, before the density of the films of all.
    """
    # A row with a text colour is a cluster's badge, one with an end (x2, y2) a cell of the density.
    bubbles = drawn(lists)
    bubbles = (
        bubbles.assign(text=bubbles["text"].str.slice(0, LONGEST_TEXT))
        .merge(clusters[["cluster", "label", "color", "stability"]], on="cluster")
        .assign(text_color=None)
    )
    badges = clusters.assign(text="")
    columns = ["x", "y", "n_movies", "text", "cluster", "label", "stability", "color", "text_color"]
    rows = pd.concat([bubbles[columns], badges[columns]]).assign(x2=np.nan, y2=np.nan)
    if len(bubbles) < len(lists):
        cells = density(lists).assign(text="", cluster=-1, label="", stability="", color=None, text_color=None)
        rows = pd.concat([rows, cells])
    return Figure(_genre_map(axes), rows)


def density(lists: pd.DataFrame) -> pd.DataFrame:
    """Count the films in each of CELLS times CELLS equal cells of the map: x, y, x2, y2, n_movies, none empty."""
    x, y = lists["x"].to_numpy(float), lists["y"].to_numpy(float)
    films, sides, heights = np.histogram2d(x, y, bins=CELLS, weights=lists["n_movies"].to_numpy(float))
    across, up = np.nonzero(films)
    places = {"x": sides[across], "y": heights[up], "x2": sides[across + 1], "y2": heights[up + 1]}
    return pd.DataFrame({**places, "n_movies": films[across, up].astype(np.int64)})


def drawn(lists: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that the map draws: all, or MOST_MARKS of them drawn by their films, the same at every call.

    Without replacement, each next one with chances in proportion to its films: the smallest of exponential variables
    with these rates (Efraimidis and Spirakis 2006).
    """
    if len(lists) <= MOST_MARKS:
        return lists
    waits = np.random.default_rng(0).exponential(size=len(lists)) / lists["n_movies"].to_numpy()
    return lists.iloc[np.sort(np.argsort(waits, kind="stable")[:MOST_MARKS])]


@cache
def _genre_map(axes: tuple[str, str]) -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["cluster"], on="click", clear="dblclick")
    brush = alt.selection_interval(name="brush", encodings=["x", "y"])
    # Axes show no numbers: only the distances between bubbles mean something.
    hidden = alt.Axis(labels=False, ticks=False, domain=False, grid=False)
    loose = alt.Scale(zero=False, nice=False, padding=18)
    color = alt.Color("color:N", scale=None)
    base = alt.Chart().encode(
        x=alt.X("x:Q", title=axes[0], axis=hidden, scale=loose),
        y=alt.Y("y:Q", title=axes[1], axis=hidden, scale=loose),
        tooltip=[
            alt.Tooltip("text:N", title="Text"),
            alt.Tooltip("n_movies:Q", title="Films", format=","),
            alt.Tooltip("label:N", title="Cluster"),
            alt.Tooltip("stability:N", title="Stability of the cluster"),
        ],
    )
    circles = (
        base.transform_filter("!datum.text_color && !isValid(datum.x2)")
        .mark_circle(strokeWidth=0.5, stroke="#8884")
        .encode(
            color=color,
            order=alt.Order("n_movies:Q", sort="descending"),
            size=alt.Size("n_movies:Q", scale=alt.Scale(range=[18, 1600]), legend=None),
            opacity=alt.condition(pick, alt.value(0.78), alt.value(0.12)),
        )
        .add_params(pick, brush)
    )
    badge = base.transform_filter("datum.text_color")
    discs = badge.mark_point(filled=True, size=330, stroke="white", strokeWidth=1.5, opacity=1).encode(color=color)
    numbers = badge.mark_text(fontSize=11, fontWeight="bold").encode(
        text="cluster:N", color=alt.Color("text_color:N", scale=None)
    )
    # Without a tooltip, a cell takes no click that was meant for a bubble.
    cells = (
        alt.Chart()
        .transform_filter("isValid(datum.x2)")
        .mark_rect(color="#888888", tooltip=None)
        .encode(
            **{name: base.encoding[name] for name in ("x", "y")},
            x2="x2:Q",
            y2="y2:Q",
            opacity=alt.Opacity("n_movies:Q", scale=alt.Scale(type="log", range=[0.05, 0.45]), legend=None),
        )
    )
    return specification(
        alt.LayerChart(
            layer=[cells, circles, discs, numbers],
            height=MAP_HEIGHT,
            title="Map of the genre lists, by cluster",
            usermeta=CANVAS,
        )
    )


def sizes(clusters: pd.DataFrame) -> Figure:
    """Draw the films in each cluster as bars, largest first.

    clusters has cluster, label, color, stability (in words), n_movies, share. Selection: `pick` (field cluster) on a
    click.
    """
    return Figure(_sizes(), clusters[["cluster", "label", "color", "stability", "n_movies", "share"]])


@cache
def _sizes() -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["cluster"], on="click", clear="dblclick")
    base = alt.Chart().encode(
        y=alt.Y("label:N", sort=BY_CLUSTER, title="Cluster", axis=alt.Axis(labelLimit=170)),
        x=alt.X("n_movies:Q", title="Films", axis=alt.Axis(tickCount=6)),
        tooltip=[
            alt.Tooltip("label:N", title="Cluster"),
            alt.Tooltip("n_movies:Q", title="Films", format=","),
            alt.Tooltip("share:Q", title="Share of films with genres", format=".1%"),
            alt.Tooltip("stability:N", title="Stability"),
        ],
    )
    bars = (
        base.mark_bar(cornerRadiusEnd=2)
        .encode(
            color=alt.Color("color:N", scale=None),
            opacity=alt.condition(pick, alt.value(1.0), alt.value(0.35)),
        )
        .add_params(pick)
    )
    counts = base.mark_text(align="left", dx=4, color=GREY).encode(text=alt.Text("n_movies:Q", format=","))
    title = "Films in each cluster"
    return specification(alt.LayerChart(layer=[bars, counts], height=alt.Step(ROW_HEIGHT), title=title))


def genre_heatmap(genres: pd.DataFrame, measure: Measure) -> Figure:
    """Draw genre by cluster; genres has cluster, label, stability (in words), genre, share, lift, n_cluster.

    Of more than MOST_GENRES genres the most frequent are drawn.

    Share runs from nothing to all films; lift is on a logarithmic scale around 1, from orange (rarer than in the
    catalogue) to blue (more frequent). Selection: `pick` (fields cluster and genre) on a click.
    """
    rows = genres[["cluster", "label", "stability", "genre", "n_cluster", "share", "lift"]]
    frequent = rows.groupby("genre")["n_cluster"].sum().nlargest(MOST_GENRES).index
    rows = rows[rows["genre"].isin(frequent)]
    return Figure(_genre_heatmap(measure), rows.assign(shown=rows["lift"].clip(LEAST_LIFT, MOST_LIFT)))


@cache
def _genre_heatmap(measure: Measure) -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["cluster", "genre"], on="click", clear="dblclick")
    colors = {
        "share": alt.Color(
            "share:Q",
            title="Share of films",
            scale=alt.Scale(domain=[0, 1], range=FROM_NOTHING),
            legend=alt.Legend(format=".0%", orient="top"),
        ),
        "lift": alt.Color(
            "shown:Q",
            title="Lift",
            scale=alt.Scale(type="log", domain=[LEAST_LIFT, 1, MOST_LIFT], range=AROUND_ONE, clamp=True),
            legend=alt.Legend(values=[LEAST_LIFT, 0.25, 0.5, 1, 2, 4, MOST_LIFT], format="~g", orient="top"),
        ),
    }
    titles = {"share": "Genre by cluster: share of the cluster's films", "lift": "Genre by cluster: lift"}
    return specification(
        alt.Chart(height=alt.Step(ROW_HEIGHT), title=titles[measure], usermeta=CANVAS)
        .mark_rect(strokeWidth=1, stroke="#8883")
        .encode(
            x=alt.X("genre:N", title="Genre", axis=alt.Axis(labelAngle=-90, labelOverlap="greedy")),
            y=alt.Y("label:N", title="Cluster", sort=BY_CLUSTER, axis=alt.Axis(labelLimit=170)),
            color=colors[measure],
            opacity=alt.condition(pick, alt.value(1.0), alt.value(0.35)),
            tooltip=[
                alt.Tooltip("label:N", title="Cluster"),
                alt.Tooltip("genre:N", title="Genre"),
                alt.Tooltip("n_cluster:Q", title="Films", format=","),
                alt.Tooltip("share:Q", title="Share of the cluster", format=".1%"),
                alt.Tooltip("lift:Q", title="Lift", format=".2f"),
                alt.Tooltip("stability:N", title="Stability of the cluster"),
            ],
        )
        .add_params(pick)
    )
