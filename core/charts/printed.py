"""Charts for files: what the pages tell by pointing at a mark, or in the table beside it, is drawn as well."""

from functools import cache
from typing import Any

import pandas as pd

from core.charts.figure import Figure, specification
from core.charts.overview import BY_CLUSTER, MAP_HEIGHT, MOST_MARKS, _genre_map, genre_map
from core.charts.trends import trends

MAP_WIDTH = 800
MAX_BUBBLES = MOST_MARKS  # more make a file of many megabytes, in which nobody sees more
KEY_ROW = 18  # fifty clusters make the key, and with it the picture, taller


def printed_map(lists: pd.DataFrame, clusters: pd.DataFrame, axes: tuple[str, str], key: bool = True) -> Figure:
    """Draw the map of the genre lists as `genre_map` does, each bubble with a description, with a key of the clusters.

    Where there are more than MAX_BUBBLES lists, the first are drawn. Without the key, a table of the clusters has to
    stand beside it.
    """
    # What a tooltip says beside this has no place on paper.
    rows = genre_map(lists.head(MAX_BUBBLES), clusters.assign(stability=""), axes).data
    films = [f"{n:,} film" if n == 1 else f"{n:,} films" for n in rows["n_movies"].tolist()]
    told = [
        f"{text}: {counted}, in cluster {label}"
        for text, counted, label in zip(rows["text"].str.slice(0, 160), films, rows["label"], strict=True)
    ]
    height = max(MAP_HEIGHT, KEY_ROW * len(clusters))
    return Figure(_with_key(axes, height) if key else _map(axes), rows.assign(told=told))


def printed_trends(shares: pd.DataFrame) -> Figure:
    """Draw `trends` without the points that wait to be clicked, and that nobody can see."""
    figure = trends(shares)
    layers = [figure.spec["layer"][i] for i in (0, 2)]
    return Figure({**_without_clicks(figure.spec), "layer": layers}, figure.data)


def _without_clicks(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name != "params"}


@cache
def _map(axes: tuple[str, str]) -> dict[str, Any]:
    spec = _genre_map(axes)
    _, bubbles, *badges = spec["layer"]
    opacity = {"value": bubbles["encoding"]["opacity"]["condition"]["value"]}  # as where nothing is picked
    described = {**bubbles["encoding"], "description": {"field": "told", "type": "nominal"}, "opacity": opacity}
    return {**_without_clicks(spec), "layer": [{**bubbles, "encoding": described}, *badges]}


@cache
def _with_key(axes: tuple[str, str], height: int) -> dict[str, Any]:
    """Return the map with a key on its right; as tall as the key, where there are many clusters."""
    outer = ("$schema", "config", "title")
    spec = _map(axes)
    left = {name: value for name, value in spec.items() if name not in (*outer, "usermeta")}
    right = {name: value for name, value in _key().items() if name not in outer} | {"view": {"stroke": None}}
    return {
        **{name: spec[name] for name in outer},
        "hconcat": [{**left, "width": MAP_WIDTH, "height": height}, right],
        "spacing": 24,
    }


@cache
def _key() -> dict[str, Any]:
    import altair as alt

    base = (
        alt.Chart()
        .transform_filter("datum.text_color")
        .encode(y=alt.Y("label:N", sort=BY_CLUSTER, axis=None), tooltip=alt.Tooltip("label:N", title="Cluster"))
    )
    disc = base.mark_point(filled=True, size=110, opacity=1)
    discs = disc.encode(x=alt.value(6), color=alt.Color("color:N", scale=None))
    names = base.mark_text(align="left", fontSize=12, limit=260).encode(x=alt.value(18), text="label:N")
    return specification(alt.LayerChart(layer=[discs, names], width=220, height=alt.Step(KEY_ROW)))
