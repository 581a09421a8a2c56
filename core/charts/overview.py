"""The charts of the Overview page."""

import altair as alt
import pandas as pd

MAP_HEIGHT = 480
ROW_HEIGHT = 22
GREY = "#7d8492"  # readable on a light and on a dark page
FROM_NOTHING = ["rgba(72, 110, 214, 0.03)", "rgba(72, 110, 214, 1)"]  # lets the page shine through at zero
AROUND_ONE = ["rgba(222, 126, 40, 0.5)", "rgba(128, 128, 128, 0.04)", "rgba(72, 110, 214, 1)"]


def _cluster_color(clusters: pd.DataFrame) -> alt.Color:
    """Return the colour encoding of clusters: clusters has cluster and color. The labels serve as the legend."""
    scale = alt.Scale(domain=clusters["cluster"].tolist(), range=clusters["color"].tolist())
    return alt.Color("cluster:N", scale=scale, legend=None)


def genre_map(lists: pd.DataFrame, clusters: pd.DataFrame, axes: tuple[str, str]) -> alt.LayerChart:
    """Draw the map of the genre lists: a bubble a list, sized by films, coloured and numbered by cluster.

    lists has x, y, n_movies, genre_list, cluster, name; clusters has cluster, name, color, text_color, x, y, n_movies.
    Selections: `pick` (field cluster) on a click, `brush` (x and y) on a drag.
    """
    pick = alt.selection_point(name="pick", fields=["cluster"], on="click", clear="dblclick")
    brush = alt.selection_interval(name="brush", encodings=["x", "y"])
    # Axes show no numbers: only the distances between bubbles mean something.
    hidden = alt.Axis(labels=False, ticks=False, domain=False, grid=False)
    loose = alt.Scale(zero=False, nice=False, padding=18)
    x, y = alt.X("x:Q", title=axes[0], axis=hidden, scale=loose), alt.Y("y:Q", title=axes[1], axis=hidden, scale=loose)
    bubbles = (
        alt.Chart(lists)
        .mark_circle(strokeWidth=0.5, stroke="#8884")
        .encode(
            x=x,
            y=y,
            size=alt.Size("n_movies:Q", title="Films", scale=alt.Scale(range=[18, 1600]), legend=None),
            color=_cluster_color(clusters),
            opacity=alt.condition(pick, alt.value(0.78), alt.value(0.12)),
            order=alt.Order("n_movies:Q", sort="descending"),
            tooltip=[
                alt.Tooltip("genre_list:N", title="Genre list"),
                alt.Tooltip("n_movies:Q", title="Films", format=","),
                alt.Tooltip("cluster:N", title="Cluster"),
                alt.Tooltip("name:N", title="Name"),
            ],
        )
        .add_params(pick, brush)
    )
    badge = alt.Chart(clusters).encode(
        x=x,
        y=y,
        tooltip=[
            alt.Tooltip("cluster:N", title="Cluster"),
            alt.Tooltip("name:N", title="Name"),
            alt.Tooltip("n_movies:Q", title="Films", format=","),
        ],
    )
    discs = badge.mark_point(filled=True, size=330, stroke="white", strokeWidth=1.5, opacity=1).encode(
        color=_cluster_color(clusters)
    )
    numbers = badge.mark_text(fontSize=11, fontWeight="bold").encode(
        text="cluster:N", color=alt.Color("text_color:N", scale=None)
    )
    return alt.LayerChart(
        layer=[bubbles, discs, numbers], height=MAP_HEIGHT, title="Map of the genre lists, by cluster"
    )


def sizes(clusters: pd.DataFrame) -> alt.LayerChart:
    """Draw the films in each cluster as bars, largest first; clusters has cluster, label, color, n_movies, share.

    Selection: `pick` (field cluster) on a click.
    """
    pick = alt.selection_point(name="pick", fields=["cluster"], on="click", clear="dblclick")
    base = alt.Chart(clusters).encode(
        y=alt.Y("label:N", sort=clusters["label"].tolist(), title="Cluster", axis=alt.Axis(labelLimit=230)),
        x=alt.X(
            "n_movies:Q",
            title="Films",
            axis=alt.Axis(tickCount=6),
            scale=alt.Scale(domain=[0, 1.12 * int(clusters["n_movies"].max())], nice=False),
        ),
    )
    bars = (
        base.mark_bar(cornerRadiusEnd=2)
        .encode(
            color=_cluster_color(clusters),
            opacity=alt.condition(pick, alt.value(1.0), alt.value(0.35)),
            tooltip=[
                alt.Tooltip("label:N", title="Cluster"),
                alt.Tooltip("n_movies:Q", title="Films", format=","),
                alt.Tooltip("share:Q", title="Share of films with genres", format=".1%"),
            ],
        )
        .add_params(pick)
    )
    counts = base.mark_text(align="left", dx=4, color=GREY).encode(text=alt.Text("n_movies:Q", format=","))
    return alt.LayerChart(layer=[bars, counts], height=alt.Step(ROW_HEIGHT), title="Films in each cluster")


def genre_heatmap(genres: pd.DataFrame, measure: str, order: list[str]) -> alt.Chart:
    """Draw genre by cluster; genres has cluster, label, genre, share, lift, n_cluster; measure is share or lift.

    Share runs from nothing to all films; lift is on a logarithmic scale around 1, from orange (rarer than in the
    catalogue) to blue (more frequent). Selection: `pick` (fields cluster and genre) on a click.
    """
    pick = alt.selection_point(name="pick", fields=["cluster", "genre"], on="click", clear="dblclick")
    if measure == "share":
        color = alt.Color(
            "share:Q",
            title="Share of films",
            scale=alt.Scale(domain=[0, 1], range=FROM_NOTHING),
            legend=alt.Legend(format=".0%"),
        )
    else:
        color = alt.Color(
            "shown:Q",
            title="Lift",
            scale=alt.Scale(type="log", domain=[1 / 8, 1, 8], range=AROUND_ONE, clamp=True),
            legend=alt.Legend(values=[0.125, 0.25, 0.5, 1, 2, 4, 8], format="~g"),
        )
    title = "Genre by cluster: " + ("share of the cluster's films" if measure == "share" else "lift")
    shown = genres.assign(shown=genres["lift"].clip(lower=1 / 8, upper=8))
    heat: alt.Chart = (
        alt.Chart(shown, height=alt.Step(ROW_HEIGHT), title=title)
        .mark_rect(strokeWidth=1, stroke="#8883")
        .encode(
            x=alt.X("genre:N", title="Genre", axis=alt.Axis(labelAngle=-45, labelOverlap=False)),
            y=alt.Y("label:N", title="Cluster", sort=order, axis=alt.Axis(labelLimit=230)),
            color=color,
            opacity=alt.condition(pick, alt.value(1.0), alt.value(0.35)),
            tooltip=[
                alt.Tooltip("label:N", title="Cluster"),
                alt.Tooltip("genre:N", title="Genre"),
                alt.Tooltip("n_cluster:Q", title="Films", format=","),
                alt.Tooltip("share:Q", title="Share of the cluster", format=".1%"),
                alt.Tooltip("lift:Q", title="Lift", format=".2f"),
            ],
        )
        .add_params(pick)
    )
    return heat
