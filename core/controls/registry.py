"""The registry on the screen: what is here of each encoder, what has to be fetched, and the buttons for both."""

import pandas as pd
import streamlit as st

from core import cache, checkpoints, encoders, worker
from core.checkpoints import megabytes
from core.controls import glossary, selections
from core.controls.encoding import job_progress
from core.controls.frame import PAGES
from core.controls.words import plain
from core.encoders import Encoder
from core.movies import Catalogue
from core.recipes import Settings

FILES = {"package": "installed with the app", "folder": "in a folder of this server"}
POOLING = {"mean": "mean", "cls": "first token", "none": ""}
CASED = {True: "cased", False: "uncased", None: "not stated"}


def encoder_table(catalogue: Catalogue, settings: Settings) -> pd.DataFrame:
    """Return a row for each encoder: what it is, what is here of it, and how fast it was on this machine."""
    return pd.DataFrame([_row(catalogue, settings, encoder) for encoder in cache.known_encoders().values()])


def _row(catalogue: Catalogue, settings: Settings, encoder: Encoder) -> dict[str, object]:
    n = len(set(catalogue.texts))
    row: dict[str, object] = {
        "encoder": encoder.id,
        "files": "none needed",
        "stored": n,
        "of": n,
        "speed": None,
        "device": "",
        "dimension": encoder.dimension,
        "parameters": None if encoder.parameters is None else encoder.parameters / 1e6,
        "languages": encoder.languages,
        "cased": CASED[encoder.cased],
        "then": ", ".join(filter(None, (POOLING[encoder.pooling], "centred" * encoder.center, "length 1"))),
        "license": encoder.license,
    }
    if encoder.kind != "transformer":
        return row
    store = cache.store()
    made = worker.stored(store, encoder, catalogue.texts, settings.dtype, catalogue.owner) or "float32"
    key = encoders.key(encoder, made, catalogue.owner)
    facts = store.facts(key)
    seconds = float(facts.get("seconds") or 0)
    return row | {
        "files": files_line(encoder),
        "stored": n - len(store.missing(key, catalogue.texts)),
        "speed": float(facts["texts"]) / seconds if seconds else None,
        "device": f"{facts['device']}, {facts['dtype']}" if facts else "",
    }


def files_line(encoder: Encoder) -> str:
    """Say where an encoder's files are, or how much has to be fetched."""
    place = checkpoints.place(encoder)
    if place == "hub":
        return f"to fetch: {'size unknown' if encoder.download_bytes is None else megabytes(encoder.download_bytes)}"
    if place == "cache":
        return f"fetched, {megabytes(checkpoints.cached_bytes(encoder))}"
    return FILES[place]


def hardware_line() -> str:
    """Say what encodes here and why, as stored vectors tell."""
    for encoder in cache.known_encoders().values():
        for dtype in encoders.DTYPES:
            facts = cache.store().facts(encoders.key(encoder, dtype)) if encoder.kind == "transformer" else {}
            if facts:
                return f"Encoding runs on {plain(facts['device'])}. {plain(facts['reason'])}"
    return "What hardware encodes here shows when something was encoded."


def show_encoders(table: pd.DataFrame) -> str | None:
    """Draw the table and return the encoder whose row is selected, if one is."""
    number = glossary.number
    chosen = st.dataframe(
        table.assign(stored=[f"{row.stored:,} of {row.of:,}" for row in table.itertuples()]).drop(columns="of"),
        hide_index=True,
        height="content",
        key="encoder_table",
        on_select="rerun",
        selection_mode="single-row",
        placeholder="",
        alt="Table of the encoders with their files, stored vectors, size and speed.",
        column_config={
            "encoder": st.column_config.TextColumn("Encoder", pinned=True),
            "files": st.column_config.TextColumn("Files"),
            "stored": glossary.text("Vectors stored"),
            "dimension": number("Dimensions", format="%d"),
            "parameters": number("Millions of parameters", format="%.1f"),
            "languages": st.column_config.TextColumn("Languages"),
            "cased": st.column_config.TextColumn("Case"),
            "speed": number("Texts a second", format="%.0f"),
            "device": st.column_config.TextColumn("Encoded on"),
            "then": st.column_config.TextColumn(
                "From tokens to vector", help="How a text's tokens become one vector, and what is done to it."
            ),
            "license": st.column_config.TextColumn("Licence"),
        },
    )
    rows = selections.rows_in(chosen.get("selection"), len(table))
    return str(table["encoder"].iloc[rows[0]]) if rows else None


def show_encoder(catalogue: Catalogue, settings: Settings, encoder: Encoder) -> None:
    """Draw one encoder: what it is, the way to its clusters, and what can be fetched or removed."""
    st.subheader(plain(encoder.title))
    source = f" {plain(encoder.repository)}, revision {str(encoder.revision)[:12]}." if encoder.repository else ""
    st.markdown(f"{plain(encoder.note)}{source}")
    here = worker.stored(cache.store(), encoder, catalogue.texts, settings.dtype, catalogue.owner)
    if encoder.kind != "transformer" or here:
        st.page_link(
            PAGES / "overview.py",
            label=f"Cluster the films with {plain(encoder.id)}",
            icon=":material/bubble_chart:",
            query_params={"encoder": encoder.id},
        )
    if encoder.kind != "transformer":
        return
    if not here:
        _encode(catalogue, settings, encoder)
    if cache.setting("GENRESCOPE_DOWNLOADS") != "off":
        _removals(encoder)


def _encode(catalogue: Catalogue, settings: Settings, encoder: Encoder) -> None:
    if st.session_state.get("encode") == encoder.id:
        job_progress(encoder.id, catalogue.texts, settings.dtype, catalogue.owner)
        return
    fetch = checkpoints.place(encoder) == "hub"
    st.button(
        "Fetch and encode" if fetch else "Encode",
        icon=":material/download:" if fetch else ":material/play_arrow:",
        type="primary",
        on_click=lambda: st.session_state.update(encode=encoder.id),
    )
    if fetch:
        st.caption(f"Files {files_line(encoder)}, once. The work goes on if you leave, and other encoders stay usable.")


def _removals(encoder: Encoder) -> None:
    keys = [encoders.key(encoder, dtype) for dtype in encoders.DTYPES]
    stored = any(cache.store().facts(key) for key in keys)
    fetched = encoder.repository is not None and checkpoints.cached_bytes(encoder) > 0
    if not stored and not fetched:
        return
    with st.popover("Remove", icon=":material/delete:"):
        st.markdown("What is removed can be made or fetched again. Everyone who uses this server shares it.")
        if stored:
            st.button("Remove its vectors", on_click=_remove_vectors, args=(encoder, keys))
        if fetched:
            size = megabytes(checkpoints.cached_bytes(encoder))
            st.button(f"Remove its files ({size})", on_click=_remove_files, args=(encoder,))


def _remove_vectors(encoder: Encoder, keys: list[str]) -> None:
    if st.session_state.get("encode") == encoder.id:
        st.session_state.pop("encode")  # or the page would make them anew at once
    try:
        for key in keys:
            cache.store().remove(key)
    except OSError as error:
        st.toast(f"The vectors cannot be removed: {error.strerror}.", icon=":material/error:")


def _remove_files(encoder: Encoder) -> None:
    freed = checkpoints.remove(encoder)
    st.toast(f"{megabytes(freed)} are free again.", icon=":material/check:")
