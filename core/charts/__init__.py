"""The charts: a tidy frame in, a `Figure` (specification and rows) out, one function a chart.

`figure` tells why the two are kept apart, `colors` gives each cluster its colour, `printed` draws for files, the
others draw what the pages of their names show. Titles, axis titles and units are set here; the caption that tells how
to read a chart is the page's.
"""

from core.charts.agreement import agreement_matrix, flow, side_by_side, two_maps
from core.charts.choice import lines_of_descent, over_k
from core.charts.cluster import genre_lifts, year_shares
from core.charts.colors import cluster_colors, colored, readable_on, with_color
from core.charts.data import co_occurrence, films_by_year, genre_frequencies, missing_values
from core.charts.figure import MOST_GENRES, Figure
from core.charts.find import found_map
from core.charts.overview import AXES, MOST_MARKS, genre_heatmap, genre_map, sizes
from core.charts.printed import MAX_BUBBLES, printed_map, printed_trends
from core.charts.trends import FEW_KNOWN, box_office, trends

__all__ = [
    "AXES",
    "FEW_KNOWN",
    "MAX_BUBBLES",
    "MOST_GENRES",
    "MOST_MARKS",
    "Figure",
    "agreement_matrix",
    "box_office",
    "cluster_colors",
    "co_occurrence",
    "colored",
    "films_by_year",
    "flow",
    "found_map",
    "genre_frequencies",
    "genre_heatmap",
    "genre_lifts",
    "genre_map",
    "lines_of_descent",
    "missing_values",
    "over_k",
    "printed_map",
    "printed_trends",
    "readable_on",
    "side_by_side",
    "sizes",
    "trends",
    "two_maps",
    "with_color",
    "year_shares",
]
