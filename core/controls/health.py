"""What was picked in a chart of the catalogue's health, and the films behind it."""

import pandas as pd
import streamlit as st

from core import cache
from core.controls import selections
from core.controls.glossary import TERMS
from core.controls.tables import film_table
from core.controls.words import counted, plain
from core.movies import Catalogue

FIELDS = {
    "missing_values": ("column",),
    "genre_frequencies": ("genre",),
    "co_occurrence": ("genre", "other"),
    "films_by_year": ("year",),
}


def counts_of(catalogue: Catalogue) -> list[tuple[str, str, str]]:
    """Return the catalogue's counts: name, value, and what it means."""
    missing = cache.missing_values(catalogue).set_index("column")["n_missing"]
    counts = [
        ("Films", catalogue.n_movies, "All films of the catalogue, whatever the filters."),
        ("Genre lists", len(catalogue.genre_lists), TERMS["Genre lists"]),
        ("Without genres", int(missing.get("genres", catalogue.n_movies)), TERMS["Without genres"]),
        ("Without a year", int(missing.get("year", catalogue.n_movies)), TERMS["Without a year"]),
        ("Without a title", int(missing.get("title", 0)), TERMS["Without a title"]),
    ]
    return [(name, f"{value:,}", help_text) for name, value, help_text in counts]


def picked_health(source: str) -> None:
    """Remember what a click in the chart with this key chose (a callback of `show_chart`)."""
    points = selections.points(source, *(["year"] if source == "films_by_year" else []))
    values = tuple(points[0].get(field) for field in FIELDS[source]) if points else ()
    st.session_state["picked_data"] = (source, values) if values and None not in values else None


def show_health_films(catalogue: Catalogue, source: str) -> None:
    """Draw the films behind the mark that was picked in this chart, if one was."""
    picked = st.session_state.get("picked_data")
    if not picked or picked[0] != source:
        return
    films, words = _films(catalogue, source, picked[1])
    st.markdown(f"**{counted(len(films), 'film')}** {words}.")
    if len(films):
        film_table(films, f"Films {words}.", f"films_of_{source}")


def _films(catalogue: Catalogue, source: str, values: tuple[object, ...]) -> tuple[pd.DataFrame, str]:
    """Return the films behind a mark, and what they are in words."""
    first = str(values[0])
    if source == "missing_values":
        known = cache.missing_values(catalogue)["column"].tolist()
        found = catalogue.films(lacking=first) if first in known else catalogue.films(list_ids=[])
        return found, f"without {plain(first)}"
    if source == "films_by_year":
        year = int(float(first))
        return catalogue.films(years=(year, year)), f"of {year}"
    genres = [str(value) for value in values]
    return catalogue.films(genres=genres), f"with {plain(' and '.join(genres))}"
