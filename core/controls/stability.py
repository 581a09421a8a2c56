"""How much a cluster is worth, wherever it is shown: measured in the background, and told as soon as it is known."""

import time

import pandas as pd
import streamlit as st

from core import cache, stability
from core.controls.frame import View, visitor

REST_SECONDS = 1.0  # while the slider is still moving, measuring would only be in its way
COLORS = {"solid": "green", "fair": "yellow", "shaky": "red"}
ICONS = {"solid": ":material/verified:", "fair": ":material/rule:", "shaky": ":material/vital_signs:"}


def words(value: float) -> str:
    """Return a stability as a word and a number."""
    return "not known" if value != value else f"{stability.verdict(value)} {value:.2f}"


def with_stability(view: View, clusters: pd.DataFrame) -> pd.DataFrame:
    """Add the column stability to the table of clusters, as words; it says so while it is being measured."""
    found = cache.stability(view.catalogue, view.settings)
    values = ["measuring"] * len(clusters) if found is None else [words(value) for value in found.clusters]
    return clusters.assign(stability=values)


def badge(view: View, cluster: int) -> None:
    """Draw a cluster's stability as a badge; until it is known, measure it."""
    found = cache.stability(view.catalogue, view.settings)
    if found is None:
        measure_stability(view)
        return
    value = float(found.clusters[cluster])
    verdict = stability.verdict(value)
    st.badge(
        f"Stability {words(value)}",
        icon=ICONS[verdict],
        color=COLORS[verdict],  # type: ignore[arg-type]
        help=f"When films are drawn anew and clustered again, {found.n_refits} times, this cluster shares {value:.0%} "
        "of its films with the one that is most like it (mean Jaccard, Hennig 2007). Solid from 0.85, fair from 0.6; a "
        "shaky one should not be quoted.",
    )


@st.fragment(run_every=1.5)
def _watch(view: View) -> None:
    key = cache.stability_key(view.catalogue, view.settings)
    since = st.session_state.get("looking")
    if since is None or since[0] != key:
        since = st.session_state["looking"] = (key, time.monotonic())
    if time.monotonic() - since[1] < REST_SECONDS:
        st.caption("The stability of the clusters is measured in a moment.")
        return
    task = cache.measure_stability(view.catalogue, view.settings, (visitor(), "stability"))
    if task.state == "done":
        st.rerun()
    elif task.state == "failed":
        st.caption("The stability of the clusters could not be measured. Reload the page to try again.")
    else:
        done = f"{task.done} of {task.total} refits" if task.total else "waiting for its turn"
        st.caption(f"Measuring how stable the clusters are: {done}.")


def measure_stability(view: View) -> None:
    """Ask for the stability of the clusters, and run the page again when it is known."""
    if cache.stability(view.catalogue, view.settings) is None and view.analysis.clustering.n_clusters:
        _watch(view)
