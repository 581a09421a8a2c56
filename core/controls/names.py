"""The analyst's own names and notes: kept for this visit alone, and shown wherever a cluster is named."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from core import analysis, cache
from core import names as names_module
from core.analysis import Analysis
from core.controls.words import plain
from core.movies import Catalogue
from core.names import MAX_NAME, MAX_NOTE, Clusters, Given, NamesError

if TYPE_CHECKING:
    from core.controls.frame import View

MAX_STEPS = 50  # that can be undone


def given() -> tuple[Given, ...]:
    """Return the names and notes that this visitor gave."""
    found: tuple[Given, ...] = st.session_state.get("own_names", ())
    return found


def take(names: tuple[Given, ...], what: str) -> None:
    """Put other names in the place of those there are; it can be undone."""
    steps = st.session_state.setdefault("own_names_before", [])
    steps.append((what, given()))
    del steps[:-MAX_STEPS]
    st.session_state["own_names"] = names


def named(catalogue: Catalogue, computed: Analysis) -> Analysis:
    """Return an analysis with the visitor's names in their places; the one given is shared and stays as it is."""
    if not given():
        return computed
    return replace(computed, names=names_module.applied(given(), _clusters(catalogue, computed)))


def _clusters(catalogue: Catalogue, computed: Analysis) -> Clusters:
    return Clusters(catalogue.texts, computed.weights, computed.clustering.labels, computed.names)


def tables(view: "View", layout: str = "PCA") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return genre lists and clusters (`cache.tables`) under the names that this visitor sees."""
    lists, clusters = cache.tables(view.catalogue, view.settings, layout)
    return analysis.with_names(lists, clusters, view.analysis.names) if given() else (lists, clusters)


def name_and_note(view: "View", cluster: int) -> None:
    """Draw the note of a cluster, and the way to give it another name or note and to take that back."""
    state, name = st.session_state, view.analysis.names[cluster]
    if name.note:
        st.markdown("Note: " + "  \n".join(plain(line) for line in name.note.split("\n")))
    computed = cache.analysis(view.catalogue, view.settings)
    target = (view.settings, cluster, name)
    if state.get("own_name_for") != target or "own_name" not in state:
        state["own_name_for"] = target
        state["own_name"], state["own_note"] = name.text if name.own else "", name.note
    steps = state.get("own_names_before", [])
    with st.container(horizontal=True):
        with st.popover("Name and note", icon=":material/edit:"):
            with st.form("own_name_form", border=False):
                st.text_input("Name", max_chars=MAX_NAME, key="own_name", placeholder=computed.names[cluster].text)
                st.text_area("Note", max_chars=MAX_NOTE, key="own_note", height=120)
                st.form_submit_button("Save", type="primary", on_click=_save, args=(view.catalogue, computed, cluster))
            st.button(
                "Back to the computed name",
                icon=":material/restart_alt:",
                key="computed_name",
                disabled=not name.own,
                on_click=_computed_name,
                args=(view.catalogue, computed, cluster, name.note),
            )
            st.caption(
                "A name follows its films when k, seed, encoder or filters change: to the cluster that shares more "
                "than half of them, else it waits. Only you see it, until this tab is closed or reloaded; the recipe "
                "on the Overview keeps it."
            )
        if steps:
            st.button(
                f"Undo: {plain(steps[-1][0])}", icon=":material/undo:", key="undo_name", on_click=_undo, type="tertiary"
            )
    trouble = state.pop("own_name_trouble", None)
    if trouble:
        st.error(plain(trouble), icon=":material/error:")


def _save(catalogue: Catalogue, computed: Analysis, cluster: int) -> None:
    state = st.session_state
    _give(catalogue, computed, cluster, state["own_name"] or "", state["own_note"] or "")


def _computed_name(catalogue: Catalogue, computed: Analysis, cluster: int, note: str) -> None:
    _give(catalogue, computed, cluster, "", note)


def _give(catalogue: Catalogue, computed: Analysis, cluster: int, name: str, note: str) -> None:
    """Give a cluster a name and a note, or keep the sentence that says why it cannot have them."""
    clusters = _clusters(catalogue, computed)
    before = names_module.applied(given(), clusters)[cluster]
    try:
        names = names_module.give(given(), clusters, cluster, name, note)
    except NamesError as error:
        st.session_state["own_name_trouble"] = str(error)
        return
    after = names_module.applied(names, clusters)[cluster]
    if after != before:
        what = f"“{before.text}” became “{after.text}”" if after.text != before.text else f"note on “{after.text}”"
        take(names, what)
    st.session_state.pop("own_name_for", None)  # the boxes show what was made of it


def _undo() -> None:
    steps = st.session_state.get("own_names_before", [])
    if steps:
        _, st.session_state["own_names"] = steps.pop()
