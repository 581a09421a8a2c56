"""The charts of the page Choose k: a figure over k, and how the clusters of one k come from those of the one before."""

from functools import cache
from typing import Any

import pandas as pd

from core import stability
from core.charts.figure import CANVAS, GREY, Figure, specification

MEASURE_HEIGHT, DESCENT_HEIGHT = 230, 640
FULL, FILLS = 0.95, {"fair": 0.4, "shaky": 0.05}  # a circle is as full as its cluster is stable
LINE, MARK = "#486ed6", "#de7e28"


def over_k(rows: pd.DataFrame, title: str, form: str, axis: str) -> Figure:
    """Draw a figure over k as a line with a point for each k; the current k's point is larger and of another colour.

    rows has k, value (NaN where not known yet), text (its tooltip) and current (whether it is the k of the page).
    Selection: `pick` (field k) on a click.
    """
    return Figure(_over_k(title, form, axis), rows[["k", "value", "text", "current"]].dropna(subset="value"))


@cache
def _over_k(title: str, form: str, axis: str) -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["k"], on="click", clear="dblclick", nearest=True)
    base = alt.Chart().encode(
        x=alt.X("k:Q", title="Number of clusters (k)", axis=alt.Axis(format="d", tickMinStep=1, grid=False)),
        y=alt.Y("value:Q", title=axis, axis=alt.Axis(format=form, tickCount=4), scale=alt.Scale(zero=False)),
        tooltip=[alt.Tooltip("k:Q", title="k", format="d"), alt.Tooltip("text:N", title=title)],
    )
    line = base.mark_line(color=LINE, strokeWidth=1.5, opacity=0.6)
    points = (
        base.mark_point(filled=True, opacity=1)
        .encode(
            color=alt.condition("datum.current", alt.value(MARK), alt.value(LINE)),
            size=alt.condition("datum.current", alt.value(110), alt.value(34)),
        )
        .add_params(pick)
    )
    return specification(alt.LayerChart(layer=[line, points], height=MEASURE_HEIGHT, title=title))


def lines_of_descent(nodes: pd.DataFrame, edges: pd.DataFrame) -> Figure:
    """Draw a row of clusters for each k, a circle a cluster sized by films, and a line for the films that move along.

    nodes has k, cluster, x, n_movies, label, color, survives (the number of k over which the cluster stays the same)
    and stability (NaN where it is not known); edges has k, x, parent_k, parent_x, n_movies, share_of_child, label,
    color. Selection: `pick` (fields k and cluster) on a click.
    """
    words = [stability.told(None if pd.isna(value) else float(value)) for value in nodes["stability"]]
    circles = nodes.assign(
        node=True,
        tip=[
            f"k = {row.k}, cluster {row.label}: {row.n_movies:,} films; stability: {told}; the same over "
            f"{row.survives} k"
            for row, told in zip(nodes.itertuples(), words, strict=True)
        ],
        fill=[FILLS.get(told.split()[0], FULL) for told in words],
    )
    lines = edges.assign(
        node=False,
        tip=[
            f"{row.n_movies:,} films, {row.share_of_child:.0%} of {row.label}, come along" for row in edges.itertuples()
        ],
    )
    columns = ["node", "k", "cluster", "x", "parent_k", "parent_x", "n_movies", "survives", "fill", "color", "tip"]
    return Figure(_lines_of_descent(), pd.concat([lines, circles]).reindex(columns=columns))


@cache
def _lines_of_descent() -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["k", "cluster"], on="click", clear="dblclick")
    hidden = alt.Axis(labels=False, ticks=False, domain=False, grid=False)
    rows = alt.Axis(format="d", tickMinStep=1, grid=False, domain=False)
    base = alt.Chart().encode(
        x=alt.X(
            "x:Q",
            title="Clusters side by side, as wide as their films are many",
            axis=hidden,
            scale=alt.Scale(domain=[0, 1], padding=12),
        ),
        y=alt.Y(
            "k:Q", title="Number of clusters (k)", axis=rows, scale=alt.Scale(reverse=True, zero=False, padding=12)
        ),
        color=alt.Color("color:N", scale=None),
        tooltip=[alt.Tooltip("tip:N", title="Films")],
    )
    lines = (
        base.transform_filter("!datum.node")
        .mark_rule(opacity=0.35)
        .encode(
            x2="parent_x:Q",
            y2="parent_k:Q",
            size=alt.Size("n_movies:Q", scale=alt.Scale(range=[0.6, 14]), legend=None),
        )
    )
    circles = (
        base.transform_filter("datum.node")
        .mark_point(filled=True)
        .encode(
            size=alt.Size("n_movies:Q", scale=alt.Scale(range=[12, 620]), legend=None),
            fillOpacity=alt.FillOpacity("fill:Q", scale=None, legend=None),
            # A grey ring for clusters that stay the same over five k and more.
            stroke=alt.condition("datum.survives >= 5", alt.value(GREY), alt.Stroke("color:N", scale=None)),
            strokeWidth=alt.condition("datum.survives >= 5", alt.value(2.5), alt.value(1)),
            opacity=alt.condition(pick, alt.value(0.95), alt.value(0.3)),
        )
        .add_params(pick)
    )
    return specification(
        alt.LayerChart(
            layer=[lines, circles], height=DESCENT_HEIGHT, title="Where the clusters come from",
            usermeta=CANVAS,
        ).resolve_scale(size="independent")
    )  # fmt: skip
