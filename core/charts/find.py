"""The chart of the page Find."""

from functools import cache
from typing import Any

import pandas as pd

from core.charts.figure import CANVAS, Figure, specification

FOUND_HEIGHT = 420
MARK = "#d6246e"  # readable on a light and on a dark page
FAR, NEAR = 0.2, 0.95  # opacities


def found_map(lists: pd.DataFrame, clusters: pd.DataFrame, mark: dict[str, Any], axes: tuple[str, str]) -> Figure:
    """Draw the map of the genre lists with a query marked and the lists nearest to it brought forward.

    lists has x, y, n_movies, genre_list, cluster, cosine, near (true for the nearest); clusters has cluster, label,
    color; mark is where the query is: x, y, cluster, note (what stands beside it). Selection: `pick` (fields cluster
    and genre_list) on a click.
    """
    bubbles = lists.merge(clusters[["cluster", "label", "color"]], on="cluster").assign(query=False, note="")
    bubbles["strength"] = bubbles["near"].map({True: NEAR, False: FAR})
    # Small bubbles lie on large ones, and near ones on all others.
    bubbles["depth"] = bubbles["near"] * (bubbles["n_movies"].max() + 1) - bubbles["n_movies"]
    columns = ["x", "y", "n_movies", "genre_list", "cluster", "label", "color", "cosine", "near", "strength", "depth"]
    label = clusters.loc[clusters["cluster"] == mark["cluster"], "label"]
    query = pd.DataFrame(
        [{"genre_list": "", "near": False, **mark, "label": label.iloc[0] if len(label) else "none", "query": True}]
    )
    return Figure(_found_map(axes), pd.concat([bubbles[[*columns, "query", "note"]], query]))


@cache
def _found_map(axes: tuple[str, str]) -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["cluster", "genre_list"], on="click", clear="dblclick")
    # Axes show no numbers: only the distances between bubbles mean something.
    hidden = alt.Axis(labels=False, ticks=False, domain=False, grid=False)
    loose = alt.Scale(zero=False, nice=False, padding=18)
    base = alt.Chart().encode(
        x=alt.X("x:Q", title=axes[0], axis=hidden, scale=loose),
        y=alt.Y("y:Q", title=axes[1], axis=hidden, scale=loose),
    )
    circles = (
        base.transform_filter("!datum.query")
        .mark_circle()
        .encode(
            color=alt.Color("color:N", scale=None),
            order=alt.Order("depth:Q", sort="ascending"),
            size=alt.Size("n_movies:Q", scale=alt.Scale(range=[18, 1600]), legend=None),
            opacity=alt.condition(pick, alt.value(1.0), alt.Opacity("strength:Q", scale=None), empty=False),
            stroke=alt.condition("datum.near", alt.value(MARK), alt.value("#8884")),
            strokeWidth=alt.condition("datum.near", alt.value(2), alt.value(0.5)),
            tooltip=[
                alt.Tooltip("genre_list:N", title="Genre list"),
                alt.Tooltip("cosine:Q", title="Cosine", format=".3f"),
                alt.Tooltip("n_movies:Q", title="Films", format=","),
                alt.Tooltip("label:N", title="Cluster"),
            ],
        )
        .add_params(pick)
    )
    marked = base.transform_filter("datum.query").encode(
        tooltip=[alt.Tooltip("note:N", title="Mark"), alt.Tooltip("label:N", title="Nearest cluster")]
    )
    diamond = marked.mark_point(shape="diamond", filled=True, size=260, color=MARK, stroke="white", opacity=1)
    words = marked.mark_text(dy=-18, fontSize=13, fontWeight="bold", color=MARK).encode(text="note:N")
    return specification(
        alt.LayerChart(
            layer=[circles, diamond, words],
            height=FOUND_HEIGHT,
            title="Map of the genre lists, the nearest ones ringed",
            usermeta=CANVAS,
        )
    )
