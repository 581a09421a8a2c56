"""What the page Choose k shows: figures over k as they become known, and where the clusters come from."""

from dataclasses import dataclass, replace
from functools import partial

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import cache, charts, sweep
from core.background import Task
from core.clustering import MAX_CLUSTERS, MIN_CLUSTERS
from core.controls import selections, stability
from core.controls.frame import View, visitor
from core.controls.names import given
from core.controls.picks import show_chart
from core.controls.seeing import polled
from core.controls.words import plain
from core.descent import Descent
from core.names import Clusters, applied
from core.stability import Stability
from core.sweep import SweepResult

DEFAULT_MOST = 30
STEP = 4  # the page runs again when so many more figures are known
MEASURES = {
    "silhouette": ("Silhouette", ".2f", "How much nearer films are to their own cluster; higher is better."),
    "coherence": ("Coherence", ".2f", "How much of their genres two films of a cluster share; higher is better."),
    "stability": ("Lowest stability", ".2f", "Of the least stable cluster: 0.85 is solid, below 0.6 is shaky."),
    "agreement": ("Seed agreement", ".2f", "How alike 20 clusterings are that differ in their seed; 1 is best (ARI)."),
    "calinski_harabasz": ("Calinski-Harabasz", "~s", "Spread between clusters over spread within; higher is better."),
    "davies_bouldin": ("Davies-Bouldin", ".2f", "How alike the most alike clusters are; lower is better."),
    "inertia": ("Inertia", "~s", "Sum of squared distances; it always falls with k, so look for the bend."),
    "smallest": ("Smallest cluster", "~s", "A cluster of a few films is rarely worth a name."),
}


def range_of_k() -> tuple[int, ...]:
    """Draw the choice of the largest k to look at, and return all k up to it."""
    most = st.select_slider(
        "Look at k up to", [10, 20, DEFAULT_MOST, 40, MAX_CLUSTERS], DEFAULT_MOST, key="most", bind="query-params"
    )
    return tuple(range(MIN_CLUSTERS, int(most) + 1))


def ask_for_all_k(view: View, ks: tuple[int, ...]) -> Task:
    """Ask for the figures of every k, and return how far they are."""
    return cache.measure_all_k(view.catalogue, view.settings, ks, (visitor(), "sweep"))


@polled(0.7)
def watch_figures(view: View, ks: tuple[int, ...]) -> None:
    """Draw how far the figures of every k are, and run the page again when they are there."""
    task = ask_for_all_k(view, ks)
    if task.state == "done":
        st.rerun()
    elif task.state == "failed":
        st.error("The figures could not be computed. Reload the page to try again.", icon=":material/error:")
    else:
        st.progress(task.done / max(task.total, 1), text=f"{task.done} of {len(ks)} k measured")


@dataclass(frozen=True)
class Known:
    """What is known by k of that which takes seconds each: the stability of its clusters, and the seed agreement."""

    stability: dict[int, Stability]
    agreement: dict[int, float]

    @property
    def n(self) -> int:
        """How many figures these are."""
        return len(self.stability) + len(self.agreement)


def what_is_known(view: View, ks: list[int]) -> Known:
    """Return what is known of every k; the page and its fragment each look for themselves."""
    of = {k: replace(view.settings, n_clusters=k) for k in ks}
    stabilities = {k: cache.stability(view.catalogue, settings) for k, settings in of.items()}
    seeds = {k: cache.seeds(view.catalogue, settings) for k, settings in of.items()}
    return Known(
        {k: found for k, found in stabilities.items() if found is not None},
        {k: found.agreement for k, found in seeds.items() if found is not None},
    )


def watch_rest(view: View, ks: list[int], shown: Known) -> None:
    """Have the stabilities measured, then the seed agreements, and run the page again whenever more are known."""
    if shown.n < 2 * len(ks):
        _watch_rest(view, ks, shown)
    else:  # a line in its place, so that nothing moves
        st.progress(1.0, text=f"Stability and seed agreement are known for all {len(ks)} k")


@polled(1.0)
def _watch_rest(view: View, ks: list[int], shown: Known) -> None:
    known = what_is_known(view, ks)
    first, ask = len(known.stability) < len(ks), cache.measure_stability
    if known.n == 2 * len(ks) or known.n - shown.n >= STEP or (not first and len(shown.stability) < len(ks)):
        st.rerun()
    kind, found = "stability", set(known.stability)
    if not first:
        kind, found, ask = "seeds", set(known.agreement), cache.measure_seeds
    # The k at hand first, then its neighbours: what is looked at is known first.
    nearest = min((k for k in ks if k not in found), key=lambda k: abs(k - view.settings.n_clusters))
    task = ask(view.catalogue, replace(view.settings, n_clusters=nearest), (visitor(), f"{kind} of all k"))
    text = f"{'Stability' if first else 'Seed agreement'} known for {len(found)} of {len(ks)} k"
    failed = f"; k = {nearest} could not be measured. Reload the page to try again."
    st.progress(len(found) / len(ks), text=text + (failed if task.state == "failed" else f"; now k = {nearest}"))


def figures_over_k(result: SweepResult, known: Known) -> pd.DataFrame:
    """Return the figures of every k with stability and seed agreement where they are known."""
    lowest = {k: found.lowest for k, found in known.stability.items()}
    return result.frame.assign(
        stability=[lowest.get(k, float("nan")) for k in result.frame["k"]],
        agreement=[known.agreement.get(k, float("nan")) for k in result.frame["k"]],
    )


def recommend(frame: pd.DataFrame, known: Known) -> None:
    """Say which k stands out and why, or that none does; nothing is final before every stability is known."""
    found = sweep.recommend(frame)
    if not known.stability:
        st.info("Which k to take shows when the stability of the clusters is known.", icon=":material/hourglass_top:")
    elif found.k is None:
        st.info(plain(found.sentence), icon=":material/balance:")
    else:
        st.success(f"**Take {plain(found.sentence)}**", icon=":material/recommend:")


def show_figures(view: View, frame: pd.DataFrame) -> None:
    """Draw every figure over k; a click on a point sets k."""
    columns: list[DeltaGenerator] = []
    for measure, (title, _, how) in MEASURES.items():
        columns = columns or [*st.columns(2)]  # anew for each row, so that charts stand in line whatever captions do
        with columns.pop(0):
            show_chart(
                stability.once(view, "over_k", partial(_over_k, view, frame, measure), measure, *frame[measure]),
                key=f"over_{measure}",
                on_select=partial(_k_picked, f"over_{measure}"),
                alt=f"Line: {title} for every k. {how}",
            )
            st.caption(how)


def _over_k(view: View, frame: pd.DataFrame, measure: str) -> charts.Figure:
    """Draw one figure over k."""
    title, form, _ = MEASURES[measure]
    rows = pd.DataFrame({"k": frame["k"], "value": frame[measure].astype(float)})
    rows["text"] = [f"{value:,.4g}" for value in rows["value"]]
    rows["current"] = rows["k"] == view.analysis.clustering.n_clusters
    return charts.over_k(rows, title, form, axis="Films" if measure == "smallest" else title)


def _k_picked(chart: str) -> None:
    """Set k to the one that was clicked (a callback of the charts)."""
    points = selections.points(chart, "k")
    if points and MIN_CLUSTERS <= points[0]["k"] <= MAX_CLUSTERS:
        st.session_state["k"] = points[0]["k"]


def show_descent(view: View, result: SweepResult, known: Known) -> None:
    """Draw how the clusters of every k come from those of the k before, and how stable each is where that is known."""
    found = cache.descent(view.catalogue, view.settings, result)
    labels = _labels(view, result, found)
    show_chart(
        stability.once(
            view,
            "descent",
            partial(_descent, found, labels, known),
            tuple(result.clusterings),
            tuple(known.stability),
        ),
        key="descent",
        on_select=partial(_k_picked, "descent"),
        alt="Rows of circles, a row for each k and a circle for each cluster, joined where films move along.",
    )


def _descent(found: Descent, labels: dict[tuple[int, int], str], known: Known) -> charts.Figure:
    """Draw the lines of descent, with what is known of the clusters' stability."""
    worth = {(k, i): float(value) for k, each in known.stability.items() for i, value in enumerate(each.clusters)}
    nodes, edges = (
        table.assign(label=[labels[each] for each in zip(table["k"], table["cluster"], strict=True)])
        for table in (found.nodes, found.edges)
    )
    at = zip(nodes["k"], nodes["cluster"], strict=True)
    return charts.lines_of_descent(nodes.assign(stability=[worth.get(each, float("nan")) for each in at]), edges)


def _labels(view: View, result: SweepResult, found: Descent) -> dict[tuple[int, int], str]:
    """Return number and name of every cluster of every k, under the names that this visitor gave."""
    names = found.names
    if given():
        texts, weights = view.catalogue.texts, view.analysis.weights
        names = {
            k: applied(given(), Clusters(texts, weights, result.clusterings[k].labels, each))
            for k, each in names.items()
        }
    return {(k, i): f"{i} {name.text}" for k, each in names.items() for i, name in enumerate(each)}
