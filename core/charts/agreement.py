"""The charts of the page Compare encoders: agreement of all, the flow of films between two, and their two maps."""

from functools import cache
from typing import Any, Literal

import numpy as np
import pandas as pd

from core.charts.figure import CANVAS, GREY, Figure, specification

CELL = 44
FLOW_HEIGHT, MAP_HEIGHT = 560, 420
BETWEEN = 0.12  # the two maps, as a part of the width of one
GAP = 0.012  # between two clusters, as a part of all films
NAMED = 0.018  # a cluster with a smaller part of the films has no room for its name
BEND = (0.0, 0.12, 0.88, 1.0)  # a ribbon runs straight at its ends
FROM_PALE, DARK_ENOUGH = ["#e8edfb", "#2b4bb0"], 0.72  # where white can be read better than black

Agreement = Literal["AMI", "ARI"]
BY_ONE, BY_OTHER = ({"field": f"place_{side}", "op": "min", "order": "ascending"} for side in ("one", "other"))


def agreement_matrix(pairs: pd.DataFrame, measure: Agreement) -> Figure:
    """Draw how far each two encoders agree; pairs has one, other (ids), place_one, place_other, AMI and ARI.

    Selection: `pick` (fields one and other) on a click.
    """
    rows = pairs.assign(value=pairs[measure], shown=pairs[measure].clip(0, 1))
    return Figure(_agreement_matrix(measure), rows[["one", "other", "place_one", "place_other", "value", "shown"]])


@cache
def _agreement_matrix(measure: Agreement) -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["one", "other"], on="click", clear="dblclick")
    base = alt.Chart().encode(
        x=alt.X(
            "other:N", title="Encoder", sort=BY_OTHER, axis=alt.Axis(labelAngle=-40, labelLimit=150, labelOverlap=False)
        ),
        y=alt.Y("one:N", title="Encoder", sort=BY_ONE, axis=alt.Axis(labelLimit=170)),
        tooltip=[
            alt.Tooltip("one:N", title="Encoder"),
            alt.Tooltip("other:N", title="and"),
            alt.Tooltip("value:Q", title=measure, format=".3f"),
        ],
    )
    cells = (
        base.mark_rect(strokeWidth=1, stroke="#8883")
        .encode(
            color=alt.Color(
                "shown:Q", title=measure, scale=alt.Scale(domain=[0, 1], range=FROM_PALE),
                legend=alt.Legend(orient="top", format=".1f"),
            ),
            opacity=alt.condition(pick, alt.value(1.0), alt.value(0.4)),
        )
        .add_params(pick)
    )  # fmt: skip
    numbers = base.mark_text(fontSize=12).encode(
        text=alt.Text("value:Q", format=".2f"),
        color=alt.condition(f"datum.shown > {DARK_ENOUGH}", alt.value("white"), alt.value("black")),
    )
    titles = {
        "AMI": "Agreement of clusters: adjusted mutual information",
        "ARI": "Agreement of clusters: adjusted Rand index",
    }
    return specification(alt.LayerChart(layer=[cells, numbers], height=alt.Step(CELL), title=titles[measure]))


def flow(flows: pd.DataFrame, first: pd.DataFrame, second: pd.DataFrame) -> Figure:
    """Draw the clusters of two encoders as two columns of bars, and the films they share as ribbons between these.

    flows has a, b, n_movies, share_a, share_b; first and second have cluster, label, color, n_movies of either
    encoder. Selection: `pick` (fields a and b) on a click; a bar has -1 on the other side.
    """
    middles = _middles(first["n_movies"].to_numpy(), first["cluster"].to_numpy())
    pull = (flows["n_movies"] * flows["a"].map(middles)).groupby(flows["b"]).sum()
    pull = pull / flows.groupby("b")["n_movies"].sum()
    # The clusters of the second stand where most of their films come from, so that few ribbons cross.
    second = second.assign(pull=second["cluster"].map(pull)).sort_values(["pull", "cluster"], kind="stable")
    left, right = _bars(first, "a", 0.0), _bars(second, "b", 1.0)
    return Figure(_flow(), pd.concat([_ribbons(flows, left, right), left, right], ignore_index=True)[FLOW_COLUMNS])


FLOW_COLUMNS = ["node", "flow", "a", "b", "x", "x2", "low", "high", "color", "label", "label_x", "label_y", "tip"]


def _bars(clusters: pd.DataFrame, side: str, x: float) -> pd.DataFrame:
    """Return a row a cluster with its place in a column of bars, from 0 down to 1 and the gaps."""
    n = clusters["n_movies"].to_numpy(np.float64)
    share = n / max(n.sum(), 1)
    low = np.concatenate([[0.0], np.cumsum(share + GAP)[:-1]])
    out = -1 if side == "a" else 1
    bars = pd.DataFrame(
        {
            "node": True,
            "flow": "",
            "cluster": clusters["cluster"].to_numpy(),
            "a": -1,
            "b": -1,
            "x": x,
            "x2": x + out * 0.02,
            "low": low,
            "high": low + share,
            "color": clusters["color"].to_numpy(),
            "label": np.where(share >= NAMED, clusters["label"].to_numpy(dtype=object), ""),
            "label_x": x + out * (0.51 if side == "a" else 0.035),
            "label_y": low + share / 2,
            "tip": [
                f"{label}: {films:,} films"
                for label, films in zip(clusters["label"], clusters["n_movies"], strict=True)
            ],
        }
    )
    bars[side] = bars["cluster"]
    return bars


def _middles(films: "np.ndarray[Any, Any]", clusters: "np.ndarray[Any, Any]") -> dict[int, float]:
    ends = np.cumsum(films)
    return dict(zip(clusters.tolist(), (ends - films / 2).tolist(), strict=True))


def _ribbons(flows: pd.DataFrame, left: pd.DataFrame, right: pd.DataFrame) -> pd.DataFrame:
    """Return four rows a ribbon: where its lower and upper edge are at each x of BEND."""
    total = max(float(flows["n_movies"].sum()), 1.0)
    share = flows["n_movies"] / total
    places = {}
    for side, other, bars in (("a", "b", left), ("b", "a", right)):
        start, facing = bars.set_index("cluster")["low"], (right if side == "a" else left).set_index("cluster")["low"]
        ordered = flows.assign(share=share, facing=flows[other].map(facing)).sort_values([side, "facing"])
        before = ordered.groupby(side)["share"].cumsum() - ordered["share"]
        places[side] = (ordered[side].map(start) + before).reindex(flows.index)
    names = {
        side: bars.set_index("cluster")["tip"].str.rpartition(":")[0] for side, bars in (("a", left), ("b", right))
    }
    shares = zip(
        flows["n_movies"], flows["share_a"], flows["a"].map(names["a"]), flows["share_b"], flows["b"].map(names["b"]),
        strict=True,
    )  # fmt: skip
    base = flows.assign(
        node=False,
        flow=flows["a"].astype(str) + " to " + flows["b"].astype(str),
        color=flows["a"].map(left.set_index("cluster")["color"]),
        label="",
        tip=[f"{n:,} films: {of_a:.0%} of {a} and {of_b:.0%} of {b}" for n, of_a, a, of_b, b in shares],
    )
    ends = [places["a"], places["a"], places["b"], places["b"]]
    return pd.concat([base.assign(x=x, low=low, high=low + share) for x, low in zip(BEND, ends, strict=True)])


@cache
def _flow() -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["a", "b"], on="click", clear="dblclick")
    # A bar that is picked keeps all its ribbons.
    of_a = "isDefined(pick.a) && pick.b[0] == -1 && pick.a[0] == datum.a"
    of_b = "isDefined(pick.a) && pick.a[0] == -1 && pick.b[0] == datum.b"
    chosen: Any = {"or": [{"param": "pick"}, of_a, of_b]}
    hidden = alt.Axis(labels=False, ticks=False, domain=False, grid=False)
    tooltip = [alt.Tooltip("tip:N", title="Films")]
    across = alt.X(
        "x:Q", title="Encoder A on the left, encoder B on the right", axis=hidden, scale=alt.Scale(domain=[-0.52, 1.48])
    )
    down = alt.Y("low:Q", title="Films", axis=hidden, scale=alt.Scale(reverse=True, nice=False, zero=False))
    base = alt.Chart().encode(x=across, y=down, tooltip=tooltip)
    color = alt.Color("color:N", scale=None)
    ribbons = (
        base.transform_filter("!datum.node")
        .mark_area(interpolate="monotone", line=False)
        .encode(
            y2="high:Q",
            detail="flow:N",
            color=color,
            opacity=alt.OpacityValue(0.07, condition={"test": chosen, "value": 0.5}),
        )
        .add_params(pick)
    )
    nodes = base.transform_filter("datum.node")
    bars = nodes.mark_rect(stroke=GREY, strokeWidth=0.5).encode(x2="x2:Q", y2="high:Q", color=color).add_params(pick)
    names = nodes.mark_text(align="left", baseline="middle", color=GREY, limit=200, fontSize=12).encode(
        x=alt.X("label_x:Q", title="Encoder A on the left, encoder B on the right"),
        y=alt.Y("label_y:Q", title="Films"),
        text="label:N",
    )
    title = "Where the films of A's clusters are in B"
    return specification(alt.LayerChart(layer=[ribbons, bars, names], height=FLOW_HEIGHT, title=title, usermeta=CANVAS))


def two_maps(lists: pd.DataFrame, names: tuple[str, str]) -> Figure:
    """Draw the maps of two encoders side by side, a bubble a genre list; what is chosen in one is marked in both.

    lists is as from `side_by_side`, with label_a, color_a, label_b, color_b; names are the encoders'. Selections:
    `pick` (field list_id) on a click, `brush` (x_a and y_a) on a drag, over either map.
    """
    # Both maps are layers of one view: of several views the browser would make a picture of fixed width.
    columns = ["list_id", "genre_list", "n_movies"]
    columns += [f"{column}_{side}" for side in ("a", "b") for column in ("x", "y", "label", "color")]
    headings = pd.DataFrame(
        {
            "heading": [f"{side}: {name}" for side, name in zip("AB", names, strict=True)],
            "x_a": [0.5, 1.5 + BETWEEN],
            "y_a": 1.1,
        }
    )
    return Figure(_two_maps(), pd.concat([lists[columns], headings], ignore_index=True))


def side_by_side(lists: pd.DataFrame) -> pd.DataFrame:
    """Bring two maps into one picture: x_a, y_a from 0 to 1, and x_b beyond it, as two_maps draws them."""
    placed = lists.copy()
    for axis in ("x_a", "y_a", "x_b", "y_b"):
        values = lists[axis] - lists[axis].min()
        placed[axis] = values / max(float(values.max()), 1e-12)
    return placed.assign(x_b=placed["x_b"] + 1 + BETWEEN)


@cache
def _two_maps() -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["list_id"], on="click", clear="dblclick")
    brush = alt.selection_interval(name="brush", encodings=["x", "y"])
    hidden = alt.Axis(labels=False, ticks=False, domain=False, grid=False)
    x_title, y_title = "First principal component, in A and in B", "Second principal component"
    inside = " || ".join(
        f"(inrange(datum.x_{side}, brush.x_a) && inrange(datum.y_{side}, brush.y_a))" for side in ("a", "b")
    )
    marked: Any = {"and": [{"param": "pick"}, f"!isDefined(brush.x_a) || {inside}"]}

    def bubbles(side: str) -> alt.Chart:
        chart: alt.Chart = (
            alt.Chart()
            .transform_filter("!datum.heading")
            .mark_circle(strokeWidth=0.5, stroke="#8884")
            .encode(
                x=alt.X(f"x_{side}:Q", title=x_title, axis=hidden, scale=alt.Scale(domain=[-0.04, 2.04 + BETWEEN])),
                y=alt.Y(f"y_{side}:Q", title=y_title, axis=hidden, scale=alt.Scale(domain=[-0.05, 1.13])),
                color=alt.Color(f"color_{side}:N", scale=None),
                size=alt.Size("n_movies:Q", scale=alt.Scale(range=[14, 900]), legend=None),
                order=alt.Order("n_movies:Q", sort="descending"),
                opacity=alt.OpacityValue(0.05, condition={"test": marked, "value": 0.8}),
                tooltip=[
                    alt.Tooltip("genre_list:N", title="Genre list"),
                    alt.Tooltip("n_movies:Q", title="Films", format=","),
                    alt.Tooltip("label_a:N", title="Cluster in A"),
                    alt.Tooltip("label_b:N", title="Cluster in B"),
                ],
            )
        )
        return chart

    headings = (
        alt.Chart()
        .transform_filter("datum.heading")
        .mark_text(color=GREY, fontSize=13, fontWeight="bold")
        .encode(
            x=alt.X("x_a:Q", title=x_title),
            y=alt.Y("y_a:Q", title=y_title),
            text="heading:N",
            tooltip=[alt.Tooltip("heading:N", title="Encoder")],
        )
    )
    layers = [bubbles("a").add_params(pick, brush), bubbles("b").add_params(pick), headings]
    title = "The same genre lists in two maps"
    return specification(alt.LayerChart(layer=layers, height=MAP_HEIGHT, title=title, usermeta=CANVAS))
