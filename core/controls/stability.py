"""How much a cluster is worth, wherever it is shown: measured in the background, and told as soon as it is known."""

import time
from collections.abc import Callable, Hashable
from typing import Literal, TypeVar

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from core import cache, stability
from core.controls.frame import View, visitor
from core.controls.glossary import TERMS
from core.controls.names import given
from core.controls.seeing import polled

T = TypeVar("T")

REST_SECONDS = 1.0  # while the slider is still moving, measuring would only be in its way
LOOKS: dict[str, tuple[str, Literal["green", "yellow", "red", "gray"]]] = {
    "solid": (":material/verified:", "green"),
    "fair": (":material/rule:", "yellow"),
    "shaky": (":material/vital_signs:", "red"),
    "measuring": (":material/hourglass_top:", "gray"),
    "not": (":material/help:", "gray"),
}
ABOUT_LABELS = "In brackets how stable the cluster is: solid, fair or shaky, from 0 to 1."


def values(view: View) -> list[float | None]:
    """Return the stability of every cluster: None while it is being measured, NaN where that is not possible."""
    if view.stability is not None:
        return [float(value) for value in view.stability.clusters]
    failed = cache.stability_failed(view.catalogue, view.settings)
    return [float("nan") if failed else None] * view.analysis.clustering.n_clusters


def numbers(view: View) -> NDArray[np.float64]:
    """Return the stability of every cluster, shape (k,), NaN where it is not known."""
    return np.array([np.nan if value is None else value for value in values(view)])


def words(view: View) -> list[str]:
    """Return the stability of every cluster in words."""
    return [stability.told(value) for value in values(view)]


def with_stability(view: View, clusters: pd.DataFrame) -> pd.DataFrame:
    """Add the column stability, in words, to rows that have a column cluster."""
    told = words(view)
    return clusters.assign(stability=[told[cluster] for cluster in clusters["cluster"]])


def once(view: View, name: str, make: Callable[[], T], *others: Hashable) -> T:
    """Return what `make` does, called once for the films, settings and stabilities of the page (`cache.once`).

    `name` tells what it makes from other things, `others` are what else it depends on. Frames become Arrow tables.
    What has names of the visitor's own is made each time: nothing that is shared ever has them.
    """
    if given():
        return make()
    return cache.once(view.catalogue, view.settings, (name, tuple(words(view)), *others), make)


def badge(view: View, cluster: int) -> None:
    """Draw a cluster's stability as a badge."""
    told = words(view)[cluster]
    icon, color = LOOKS[told.split()[0]]
    st.badge(f"Stability {told}", icon=icon, color=color, help=TERMS["Stability"])


@polled(1.5)
def _watch(view: View) -> None:
    """Ask for the stability or, where the page shows it already, for the seed agreement, and say how far it is."""
    known = view.stability is not None
    key = cache.stability_key(view.catalogue, view.settings)
    since = st.session_state.get("looking")
    if since is None or since[0] != key:
        since = st.session_state["looking"] = (key, time.monotonic())
    what, step = ("how much the seed matters", "seeds") if known else ("how stable the clusters are", "refits")
    if time.monotonic() - since[1] < REST_SECONDS:
        st.caption(f"{what.capitalize()} is measured in a moment.")
        return
    ask, kind = (cache.measure_seeds, "seeds") if known else (cache.measure_stability, "stability")
    task = ask(view.catalogue, view.settings, (visitor(), kind))
    if task.state == "done":
        st.rerun()
    elif task.state == "failed":
        st.caption(f"{what.capitalize()} could not be measured. Reload the page to try again.")
    else:
        done = f"{task.done} of {task.total} {step}" if task.total else "waiting for its turn"
        st.caption(f"Measuring {what}: {done}.")


def measure_stability(view: View, seeds: bool = False) -> None:
    """Ask for the stability of the clusters, then perhaps for the seed agreement; the page runs again when known."""
    if not view.analysis.clustering.n_clusters:
        return
    if view.stability is None or (seeds and view.agreement is None):
        _watch(view)
    else:  # a line in its place, so that nothing moves
        st.caption(f"Stability was measured over {stability.N_REFITS} draws of the films.")
