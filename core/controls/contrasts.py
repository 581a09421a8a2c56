"""The table of the page A against B, and the films behind its rows."""

from collections.abc import Hashable
from typing import Any

import pandas as pd
import streamlit as st

from core.controls import glossary, selections
from core.controls.frame import View
from core.controls.tables import MEASURE_NAMES, film_table, films_line
from core.controls.words import plain

KINDS = {
    "genres": "Genre",
    "directors": "Director",
    "writers": "Writer",
    "cast": "Cast",
    "countries": "Country",
    "languages": "Language",
    "decades": "Decade",
}
OSCARS = ("Oscars", "{:.0f}")


def shown_contrast(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a contrast as they are read: what, how it is in A and in B, and how far apart they are."""
    table = pd.DataFrame([_row(row) for row in rows.to_dict("records")], columns=["what", "value", "a", "b", "apart"])
    values = rows["kind"].isin(KINDS).to_numpy()
    log_odds = rows["difference"].where(values).to_numpy()
    return table.assign(log_odds=log_odds, delta=rows["effect"].mask(values).to_numpy())


def _row(row: dict[Hashable, Any]) -> dict[str, str]:
    kind, value = str(row["kind"]), str(row["value"])
    if kind in KINDS:
        sides = {side: f"{row[f'share_{side}']:.1%} ({row[f'n_{side}']:,} films)" for side in ("a", "b")}
        apart = f"{100 * row['effect']:+.1f} points"
        interval = f" ({100 * row['effect_low']:+.1f} to {100 * row['effect_high']:+.1f})"
        return {"what": KINDS[kind], "value": value, **sides, "apart": apart + interval}
    name, form = MEASURE_NAMES.get(kind, OSCARS)
    scale = 1e6 if kind == "box_office" else 1.0

    def number(column: str, sign: str = "") -> str:
        return form.replace("{:", "{:" + sign).format(row[column] / scale)

    sides = {
        side: f"median {number(f'median_{side}')} (known for {row[f'coverage_{side}']:.0%})" for side in ("a", "b")
    }
    apart = f"{number('difference', '+')} ({number('low', '+')} to {number('high', '+')})"
    return {"what": name, "value": "", **sides, "apart": apart}


def contrast_table(rows: pd.DataFrame, names: tuple[str, str], alt: str) -> int | None:
    """Draw the rows of a contrast and return the number of the selected one, if one is."""
    chosen = st.dataframe(
        shown_contrast(rows),
        hide_index=True,
        height=460,
        key="contrast",
        on_select="rerun",
        selection_mode="single-row",
        placeholder="",
        alt=alt,
        column_config={
            "what": st.column_config.TextColumn("What", pinned=True),
            "value": st.column_config.TextColumn("Value", pinned=True, width="small"),
            "a": st.column_config.TextColumn(f"A: {names[0]}"),
            "b": st.column_config.TextColumn(f"B: {names[1]}"),
            "apart": st.column_config.TextColumn("A less B (95 % interval)", help=glossary.TERMS["A less B"]),
            "log_odds": glossary.number("Log-odds ratio", format="%+.2f"),
            "delta": glossary.number("Cliff's delta", format="%+.2f"),
        },
    )
    picked = selections.rows_in(chosen.get("selection"), len(rows))
    return picked[0] if picked else None


def contrast_films(view: View, row: pd.Series, a: int, b: int | None) -> None:
    """Draw the films behind a row of a contrast, with the side each is on."""
    kind, value = str(row["kind"]), str(row["value"])
    films = view.catalogue.contrast_films(
        kind, value, view.analysis.clustering.labels, a, b, view.settings.filters
    )  # fmt: skip
    what = f"{KINDS[kind]} {value}" if kind in KINDS else f"{MEASURE_NAMES.get(kind, OSCARS)[0]} known"
    st.subheader(plain(what))
    films.insert(2, "side", films["in_a"].map({True: "A", False: "B"}))
    n_a = int(films["in_a"].sum())
    st.markdown(f"{films_line(len(films), len(films))}: {n_a:,} in A, {len(films) - n_a:,} in B")
    film_table(films.drop(columns=["in_a", "in_b"]), f"{len(films):,} films behind the row.", "contrast_films")
