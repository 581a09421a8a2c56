"""What every page shares on the screen: frame, wait for vectors, picks, tables.

The frame (streamlit_app.py) calls `navigation`, `open_catalogue`, `sidebar` and `wait_for_vectors`; a page starts
with `current`.
"""

from core.controls.encoding import describe, wait_for_vectors
from core.controls.frame import View, current, navigation, open_catalogue, scope, sidebar
from core.controls.picks import (
    choose_cluster,
    cluster_films,
    cluster_genres,
    film_filters,
    genre_picked,
    label,
    link_to_cluster,
    picked_in_chart,
    picked_in_table,
    picked_on_map,
    remember_pick,
    row_picked,
    searched_films,
    show_chart,
    show_pick,
    year_picked,
    year_shares,
)
from core.controls.tables import (
    OVERVIEW_CONFIG,
    all_films,
    cluster_figures,
    downloads,
    figures,
    film_table,
    films_line,
    how_it_was_made,
    list_table,
    overview_columns,
    spread_table,
    stand_out_table,
)
from core.controls.words import counted, plain

__all__ = [
    "OVERVIEW_CONFIG",
    "View",
    "all_films",
    "choose_cluster",
    "cluster_figures",
    "cluster_films",
    "cluster_genres",
    "counted",
    "current",
    "describe",
    "downloads",
    "figures",
    "film_filters",
    "film_table",
    "films_line",
    "genre_picked",
    "how_it_was_made",
    "label",
    "link_to_cluster",
    "list_table",
    "navigation",
    "open_catalogue",
    "overview_columns",
    "picked_in_chart",
    "picked_in_table",
    "picked_on_map",
    "plain",
    "remember_pick",
    "row_picked",
    "scope",
    "searched_films",
    "show_chart",
    "show_pick",
    "sidebar",
    "spread_table",
    "stand_out_table",
    "wait_for_vectors",
    "year_picked",
    "year_shares",
]
