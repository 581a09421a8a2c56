"""The tables and figures that pages show."""

from collections.abc import Hashable
from typing import Any

import pandas as pd
import streamlit as st

from core import cache, encoders, minibatch
from core.controls import glossary, selections
from core.controls.frame import View
from core.controls.glossary import TERMS
from core.controls.picks import row_picked
from core.controls.words import plain, unit

LAZY_ROWS = 20_000
STABILITY_COLUMN = glossary.text("Stability", width="small")
OVERVIEW_CONFIG = {
    "cluster": glossary.number("Cluster", width="small"),
    "name": st.column_config.TextColumn("Name", width="medium"),
    "n_movies": glossary.number("Films", format="localized", width="small"),
    "percent": glossary.number("Share", format="%.1f %%", width="small"),
    "coherence": glossary.number("Coherence", format="%.2f", width="small"),
    "silhouette": glossary.number("Silhouette", format="%.2f", width="small"),
    "stability": STABILITY_COLUMN,
    "median_year": glossary.number("Year", format="%d", width="small"),
    "median_tomatometer": glossary.number("Tomatometer", format="%d %%", width="small"),
    "n_tomatometer": glossary.number("Rated films", format="localized", width="small"),
    "top_genres": st.column_config.TextColumn("Most frequent genres, share (×lift)", width="large"),
    "note": st.column_config.TextColumn("Your note", width="medium"),
}
MEASURE_NAMES = {
    "year": ("Year", "{:.0f}"),
    "tomatometer": ("Tomatometer (%)", "{:.0f}"),
    "metascore": ("Metascore (of 100)", "{:.0f}"),
    "reviews": ("Reviews", "{:,.0f}"),
    "runtime": ("Runtime (minutes)", "{:.0f}"),
    "box_office": ("Box office (million US dollars)", "{:,.1f}"),
}


def figures(view: View) -> list[tuple[str, str, str]]:
    """Return the headline figures: name, value, and what it means."""
    found = view.analysis
    return [
        ("Films", f"{found.counts.movies:,}", TERMS["Films"]),
        ("Without genres", f"{found.counts.without_genres:,}", TERMS["Without genres"]),
        (f"{unit(view.catalogue).capitalize()}s", f"{found.n_lists:,}", TERMS["Genre lists"]),
        ("Clusters (k)", f"{found.clustering.n_clusters}", TERMS["Clusters (k)"]),
        (
            "Silhouette",
            _figure(found.silhouette.overall),
            f"{TERMS['Silhouette']} {found.silhouette.basis}.",
        ),
        ("Coherence", _figure(found.coherence.overall), f"{TERMS['Coherence']} {found.coherence.basis}."),
        (
            "Seed agreement",
            "measuring" if view.agreement is None else _figure(view.agreement),
            TERMS["Seed agreement"],
        ),
    ]


def cluster_figures(row: pd.Series) -> list[tuple[str, str, str]]:
    """Return a cluster's headline figures: name, value, and what it means."""
    score, n_score = row["median_tomatometer"], int(row["n_tomatometer"])
    return [
        ("Films", f"{int(row['n_movies']):,}", TERMS["Films"]),
        ("Coherence", _figure(row["coherence"]), TERMS["Coherence"]),
        ("Silhouette", _figure(row["silhouette"]), TERMS["Silhouette"]),
        (
            "Median Tomatometer",
            "not known" if n_score == 0 else f"{score:.0f} %",
            f"Half of the {n_score:,} films that have a Tomatometer are above it.",
        ),
        (
            "Median year",
            "not known" if int(row["n_year"]) == 0 else f"{row['median_year']:.0f}",
            f"Half of the {int(row['n_year']):,} films that have a year are later.",
        ),
    ]


def how_it_was_measured(view: View) -> str:
    """Say which figures are those of a sample, empty where all are exact."""
    score, n_lists = view.analysis.silhouette, view.analysis.n_lists
    if score.sampled is None:
        return ""
    how = " K-means took mini-batches." if minibatch.wanted(n_lists) else ""
    return (
        f"There are {n_lists:,} {unit(view.catalogue)}s, too many to hold each against all: silhouette "
        f"({score.precision}) and coherence ({view.analysis.coherence.precision}) are those of a sample of "
        f"{score.sampled:,} films. A cluster's own figures rest on its part of them, and are not defined where that is "
        f"too small.{how}"
    )


def _figure(value: float) -> str:
    return "not defined" if value != value else f"{value:.3f}"


def how_it_was_made(view: View) -> str:
    """Say which encoder ran where and why, and what it took."""
    encoder = encoders.get(view.settings.encoder)
    clustered = f"Clustered and measured in {view.analysis.seconds:.2f} s."
    if view.settings.standardize:
        clustered = f"Dimensions are standardised. {clustered}"
    if encoder.kind != "transformer":
        return f"Encoder: {plain(encoder.title)}. No model and no graphics card are needed. {clustered}"
    dtype = cache.dtype_at_hand(view.catalogue, view.settings) or "float32"
    facts = cache.store().facts(encoders.key(encoder, dtype, view.catalogue.owner))
    seconds = float(facts.get("seconds", "nan"))
    return (
        f"Encoder: {plain(encoder.title)}, {dtype}, on {plain(facts.get('device', 'unknown'))}. "
        f"{plain(facts.get('reason', ''))} Encoding took {seconds:.1f} s, once. {clustered}"
    )


def overview_columns(clusters: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the cluster table in the order they are shown."""
    clusters = clusters.assign(percent=100 * clusters["share"])
    return clusters[[column for column in OVERVIEW_CONFIG if column in clusters]]


def films_line(n: int, of: int) -> str:
    """Say how many films are listed, out of how many."""
    return f"**{n:,} of {of:,} films**"


def film_table(films: pd.DataFrame, alt: str, key: str, pick: bool = False, part: int = 0) -> int | None:
    """Show films as a table that scrolls and sorts; rows travel as they are looked at where there are very many.

    With `pick` a row can be selected, where all rows travel at once; its number is returned. Another `part` of the
    films is another table, in which nothing is selected.
    """
    lazy = len(films) > LAZY_ROWS
    pick = pick and not lazy
    number = glossary.number
    chosen: Any = st.dataframe(
        films,
        hide_index=True,
        height=420,
        lazy=lazy,
        key=f"{key}_{part}" if part else key,
        on_select="rerun" if pick else "ignore",
        selection_mode="single-row",
        alt=alt,
        placeholder="",
        column_config={
            "movie_id": None,
            "list_id": None,
            "title": st.column_config.TextColumn("Title", width="medium", pinned=True),
            "year": number("Year", format="%d", width="small"),
            "genres": st.column_config.TextColumn("Genres", width="medium"),
            "cosine": number("Cosine", format="%.3f", width="small"),
            "why": st.column_config.TextColumn("Why", width="medium"),
            "cluster": number("Cluster", width="small"),
            "cluster_name": st.column_config.TextColumn("Cluster name"),
            "stability": STABILITY_COLUMN,
            "tomatometer": number("Tomatometer (%)", width="small"),
            "metascore": number("Metascore", width="small"),
            "reviews": number("Reviews", width="small"),
            "runtime": number("Runtime (min)", format="%d", width="small"),
            "box_office": number("Box office ($)", format="localized"),
            "oscars": number("Oscars", width="small"),
            "directors": st.column_config.TextColumn("Directors"),
            "countries": st.column_config.TextColumn("Countries"),
            "languages": st.column_config.TextColumn("Languages"),
            "certificate": st.column_config.TextColumn("Certificate", width="small"),
            "margin": number("Margin", format="%.2f", width="small"),
            "distance": None,
            "runner_up": number("Runner-up", width="small"),
        },
    )
    rows = selections.rows_in(chosen.get("selection"), len(films)) if pick else []
    return rows[0] if rows else None


def list_table(view: View, lists: pd.DataFrame, columns: tuple[str, ...], key: str, alt: str) -> None:
    """Show documents; a selected one narrows the films to those that have exactly its text."""
    st.dataframe(
        lists[["text", "n_movies", *columns]],
        hide_index=True,
        key=key,
        on_select=lambda: row_picked(key, "list", lists["text"]),
        selection_mode="single-row",
        placeholder="",
        alt=alt,
        column_config={
            "text": st.column_config.TextColumn(unit(view.catalogue).capitalize(), width="medium"),
            "n_movies": glossary.number("Films", format="localized", width="small"),
            "distance": glossary.number("Distance", format="%.2f", width="small"),
            "margin": glossary.number("Margin", format="%.2f", width="small"),
            "runner_up_name": st.column_config.TextColumn("Runner-up cluster"),
        },
    )


def stand_out_table(table: pd.DataFrame, column: str, alt: str) -> None:
    """Show values with their lift; a selected director is searched for among the films."""
    shown = table[["value", "n_cluster", "n_all", "share", "lift", "lift_low", "lift_high"]].head(100)
    shown = shown.assign(share=100 * shown["share"])
    people = column == "directors"
    st.dataframe(
        shown,
        hide_index=True,
        key=f"stand_out_{column}",
        on_select=(lambda: row_picked(f"stand_out_{column}", "find", shown["value"])) if people else "ignore",
        selection_mode="single-row",
        alt=alt,
        column_config={
            "value": st.column_config.TextColumn("Name", width="medium"),
            "n_cluster": glossary.number("Films here", format="localized", width="small"),
            "n_all": glossary.number("Films in all", format="localized", width="small"),
            "share": glossary.number("Share here", format="%.1f %%", width="small"),
            "lift": glossary.number("Lift", format="%.1f", width="small"),
            "lift_low": glossary.number("Lift, lower end", format="%.1f", width="small"),
            "lift_high": glossary.number("Lift, upper end", format="%.1f", width="small"),
        },
    )


def spread_table(spread: pd.DataFrame, alt: str) -> None:
    """Show median, quartiles and coverage of each measure, in the cluster and in the catalogue."""
    by_measure: dict[str, list[dict[Hashable, Any]]] = {}
    for each in spread[spread["n"] > 0].to_dict("records"):
        by_measure.setdefault(each["measure"], []).append(each)
    rows = []
    for measure, (title, form) in MEASURE_NAMES.items():
        cells, unit_size = {"Measure": title}, 1e6 if measure == "box_office" else 1
        for each in by_measure.get(measure, []):
            q1, median, q3 = (form.format(each[name] / unit_size) for name in ("q1", "median", "q3"))
            cells[f"This {each['whose']}"] = f"{median} ({q1} to {q3})"
            cells[f"Known for ({each['whose']})"] = f"{each['n']:,} of {each['n_movies']:,}"
        if len(cells) > 1:
            rows.append(cells)
    columns = ["Measure", "This cluster", "Known for (cluster)", "This catalogue", "Known for (catalogue)"]
    st.dataframe(pd.DataFrame(rows, columns=columns), hide_index=True, placeholder="none", alt=alt)
