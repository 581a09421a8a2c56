"""A chart as it is sent to the browser: a specification that stays the same, and rows that change.

Altair takes a quarter of a second to import. So the functions that build specifications import it themselves, and the
first visitor of a server sees figures while it loads.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    import altair as alt
    import pyarrow as pa

# A thousand marks take the browser a third of a second as SVG and a tenth of that on a canvas. What a screen reader
# would find in the marks is in the tables.
CANVAS = {"embedOptions": {"renderer": "canvas"}}
GREY = "#7d8492"  # readable on a light and on a dark page
MOST_GENRES = 60  # rows or columns of a chart that can still be told apart; the most frequent ones are drawn
ROW_HEIGHT = 22


@dataclass(frozen=True, eq=False)
class Figure:
    """A Vega-Lite specification without data, and the rows it draws.

    Altair needs some 40 ms to build and check a specification, and the browser some 100 ms to build a chart anew. So
    specifications are built once, hold nothing that depends on the rows, and the browser only swaps these.
    """

    spec: dict[str, Any]
    data: "pd.DataFrame | pa.Table"


def specification(chart: "alt.Chart | alt.LayerChart") -> dict[str, Any]:
    """Return a chart's specification without data. Raises altair's SchemaValidationError."""
    import altair as alt

    chart.data = alt.NamedData("source")  # without any, Altair does not accept transformations
    spec: dict[str, Any] = chart.to_dict()
    del spec["data"]
    return spec
