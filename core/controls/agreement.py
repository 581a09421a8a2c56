"""What the page Compare encoders shows of all encoders: their agreement, what their clusters and vectors are worth."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from core import agreement, cache, charts, encoders, health
from core.agreement import Comparison, Worth
from core.background import Task
from core.charts.agreement import Agreement
from core.controls import glossary, selections
from core.controls.encoding import job_progress
from core.controls.frame import PAGES, View, visitor
from core.controls.picks import show_chart
from core.controls.seeing import polled
from core.controls.words import counted, plain
from core.health import Sensitivity
from core.movies import GENRES
from core.recipes import Settings
from core.stability import told

MEASURING = "measuring"
LOADING_SECONDS = 8.0  # of a model, on a small machine


def ready_encoders(view: View) -> tuple[str, ...]:
    """Return the encoders that can be compared, and say which ones lack vectors."""
    ready = cache.ready_encoders(view.catalogue, view.settings)
    lacking = [each for each in cache.known_encoders() if each not in ready]
    if lacking:
        st.caption(f"Not here, as they have no vectors of these films yet: {plain(', '.join(lacking))}.")
        st.page_link(PAGES / "encoders.py", label="Fetch and encode on the page Encoders", icon=":material/memory:")
    return ready


def ask_for_comparison(view: View, ready: tuple[str, ...]) -> Task:
    """Ask for the comparison of all encoders, and return how far it is."""
    return cache.compare_encoders(view.catalogue, view.settings, ready, (visitor(), "encoders"))


@polled(0.7)
def watch_comparison(view: View, ready: tuple[str, ...]) -> None:
    """Draw how far the comparison is, and run the page again when it is there."""
    task = ask_for_comparison(view, ready)
    if task.state == "done":
        st.rerun()
    elif task.state == "failed":
        st.error("The encoders could not be compared. Reload the page to try again.", icon=":material/error:")
    else:
        done = f"{task.done} of {counted(len(ready), 'encoder')} clustered"
        st.progress(task.done / len(ready), text=done if task.total else "Clustering with the first encoder")


def _each(view: View, ready: Sequence[str]) -> list[Settings]:
    return [replace(view.settings, encoder=each) for each in ready]


def _known(view: View, ready: Sequence[str]) -> int:
    """Return how many of the measurements that take seconds are there, two an encoder."""
    return sum(
        (cache.stability(view.catalogue, each) is not None) + (cache.seeds(view.catalogue, each) is not None)
        for each in _each(view, ready)
    )


def measure_worth(view: View, ready: Sequence[str]) -> None:
    """Measure stability and seed agreement of one encoder after another, and run the page again as they come."""
    known = st.session_state["worth_shown"] = _known(view, ready)
    if known < 2 * len(ready):
        _watch_worth(view, ready)


@polled(1.0)
def _watch_worth(view: View, ready: Sequence[str]) -> None:
    known = _known(view, ready)
    if known > st.session_state["worth_shown"]:
        st.rerun()
    owner = (visitor(), "worth")
    # What the sentence at the top speaks of comes first.
    first = (view.settings.encoder, encoders.BASELINE)
    order = sorted(_each(view, ready), key=lambda each: first.index(each.encoder) if each.encoder in first else 2)
    for each in order:
        for what, look, ask in (
            ("stability", cache.stability, cache.measure_stability),
            ("agreement of seeds", cache.seeds, cache.measure_seeds),
        ):
            if look(view.catalogue, each) is not None:
                continue
            if ask(view.catalogue, each, owner).state == "failed":
                st.caption("Stability and agreement of seeds could not be measured. Reload the page to try again.")
            else:
                left = f"{known} of {2 * len(ready)} are known"
                st.progress(known / (2 * len(ready)), text=f"Measuring the {what} of {plain(each.encoder)}; {left}")
            return


def show_agreement(comparison: Comparison, measure: Agreement) -> None:
    """Draw the matrix of agreement; a click on a cell chooses its two encoders."""
    ids = comparison.frame["encoder"].tolist()
    one, other = (grid.reshape(-1) for grid in np.meshgrid(range(len(ids)), range(len(ids)), indexing="ij"))
    pairs = pd.DataFrame(
        {
            "one": [ids[i] for i in one],
            "other": [ids[i] for i in other],
            "place_one": one,
            "place_other": other,
            "AMI": comparison.mutual.reshape(-1),
            "ARI": comparison.rand.reshape(-1),
        }
    )
    show_chart(
        charts.agreement_matrix(pairs, measure),
        key="agreement_matrix",
        on_select=_cell_picked,
        alt="Matrix: how far the clusters of each two encoders agree, 1 where they are the same and 0 as by chance.",
    )


def _cell_picked() -> None:
    """Choose the two encoders of the cell that was clicked (a callback of the matrix)."""
    points = selections.points("agreement_matrix")
    if points and {"one", "other"} <= points[0].keys() and points[0]["one"] != points[0]["other"]:
        for side in ("one", "other"):
            choose_encoder(side, str(points[0][side]))


def choose_encoder(side: str, encoder: str) -> None:
    """Choose an encoder as one of the two, and keep it in the URL."""
    st.session_state[f"last_{side}"] = encoder
    st.query_params[side] = encoder


def _worth(view: View, coherence: dict[str, float]) -> dict[str, Worth]:
    """Return the coherence of encoders over the seeds if that is known of all, else as it is with the seed at hand."""
    found = {each.encoder: cache.seeds(view.catalogue, each) for each in _each(view, list(coherence))}
    known = {each: seeds.coherence for each, seeds in found.items() if seeds is not None and len(seeds.coherence) > 1}
    if len(known) < len(coherence):
        return {each: Worth(value) for each, value in coherence.items()}
    return {each: Worth(float(n.mean()), float(n.std(ddof=1)), len(n)) for each, n in known.items()}


def summary(view: View, comparison: Comparison) -> str:
    """Say in a sentence or two whether the encoder at hand, or the best one, is better than the baseline."""
    frame = comparison.frame.set_index("encoder")
    models = [each for each in frame.index if encoders.get(each).kind == "transformer"]
    if frame["coherence"].isna().any():
        return "No two films under these filters share a cluster, so there is nothing to compare."
    if not models:
        return "Only the baselines have vectors of these films, so there is no encoder to hold against them."
    coherence = {each: float(value) for each, value in frame["coherence"].items()}
    best = max(models, key=lambda each: coherence[each])
    subject = view.settings.encoder if view.settings.encoder in models else best
    worth = _worth(view, {each: coherence[each] for each in dict.fromkeys((subject, best, encoders.BASELINE))})
    text = f"**{plain(agreement.verdict(subject, worth[subject], worth[encoders.BASELINE]))}**"
    if best != subject:
        text += f" The most coherent clusters are those of {plain(best)} ({worth[best].coherence:.3f})."
    return text


def worth_table(view: View, comparison: Comparison) -> pd.DataFrame:
    """Return a row an encoder with what its clusters are worth, as text where it may still be measured."""
    rows = []
    for row, each in zip(
        comparison.frame.to_dict("records"), _each(view, comparison.frame["encoder"].tolist()), strict=True
    ):
        stable, seeds = cache.stability(view.catalogue, each), cache.seeds(view.catalogue, each)
        spread = "" if seeds is None else f"{seeds.coherence.min():.3f} to {seeds.coherence.max():.3f}"
        rows.append(
            {
                "encoder": row["encoder"],
                "coherence": row["coherence"],
                "over_seeds": spread or MEASURING,
                "stability": MEASURING if stable is None else _mean_stability(view, each, stable.clusters),
                "lowest": MEASURING if stable is None else told(stable.lowest),
                "seeds": MEASURING if seeds is None else f"{seeds.agreement:.2f}",
                "first_genre": row["first_genre"],
                "dominant_genre": row["dominant_genre"],
            }
        )
    return pd.DataFrame(rows)


def _mean_stability(view: View, settings: Settings, clusters: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> str:
    sizes = cache.analysis(view.catalogue, settings).clustering.sizes
    return f"{float(sizes @ clusters / sizes.sum()):.2f}" if len(clusters) else "not known"


def show_worth(table: pd.DataFrame) -> None:
    """Draw what each encoder's clusters are worth, side by side."""
    number, text = glossary.number, glossary.text
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        placeholder="not defined",
        alt="Table of the encoders with coherence, stability, agreement of seeds and agreement with genres.",
        column_config={
            "encoder": st.column_config.TextColumn("Encoder", pinned=True),
            "coherence": number("Coherence", format="%.3f"),
            "over_seeds": text("Over seeds"),
            "stability": text("Mean stability"),
            "lowest": text("Lowest"),
            "seeds": text("Seeds agree"),
            "first_genre": number("First genre", format="%.2f"),
            "dominant_genre": number("Dominant genre", format="%.2f"),
        },
    )


def sensitivities(view: View, ready: Sequence[str]) -> dict[tuple[str, health.Variant], Sensitivity | None]:
    """Return what order and letter case do to the films of each encoder; None where texts have to be encoded.

    Empty where something else than genre lists is encoded.
    """
    if view.catalogue.text != GENRES:
        return {}
    return {
        (each.encoder, kind): cache.sensitivity(view.catalogue, each, kind)
        for each in _each(view, ready)
        for kind in health.VARIANTS
    }


def show_health(comparison: Comparison, found: dict[tuple[str, health.Variant], Sensitivity | None]) -> None:
    """Draw how healthy each encoder's vectors are."""
    frame = comparison.frame[["encoder", "cosine_before", "cosine", "effective_rank", "dimensions"]].copy()
    for kind in health.VARIANTS:
        frame[kind] = [_in_words(found[each, kind]) if found else "for genres only" for each in frame["encoder"]]
    number, text = glossary.number, glossary.text
    st.dataframe(
        frame,
        hide_index=True,
        height="content",
        placeholder="not defined",
        alt="Table of the encoders with mean cosine, effective rank, and what order and letter case do.",
        column_config={
            "encoder": st.column_config.TextColumn("Encoder", pinned=True),
            "cosine_before": number("Cosine, encoded", format="%.3f"),
            "cosine": number("Cosine, clustered", format="%.3f"),
            "effective_rank": number("Effective rank", format="%.1f"),
            "dimensions": number("Of dimensions", format="%d"),
            "order": text("Reverse order"),
            "case": text("Small letters"),
        },
    )


def _in_words(found: Sensitivity | None) -> str:
    if found is None:
        return "not measured"
    if found.n_films == 0:
        return "no such films"
    if found.moved == 0 and found.shift == 0:
        return "0 %, shift 0"
    if found.shift != found.shift:
        return f"{100 * found.moved:.0f} %, unknown"
    return f"{100 * found.moved:.1f} %, shift {found.shift:.2f}"


def measure_sensitivity(view: View, found: dict[tuple[str, health.Variant], Sensitivity | None]) -> None:
    """Offer to encode the genre lists written otherwise; when asked to, do so for one encoder after another."""
    lacking = list(dict.fromkeys(encoder for (encoder, _), known in found.items() if known is None))
    left_out = st.session_state.get("sensitivity")  # a set once it was asked for
    wanted = [each for each in lacking if each not in (left_out or ())]
    if left_out is not None and wanted:
        encoder = wanted[0]
        st.markdown(f"{plain(encoder)} reads the genre lists in reverse order and in small letters.")
        dtype = cache.dtype_at_hand(view.catalogue, replace(view.settings, encoder=encoder)) or "float32"
        job_progress(encoder, _texts(view, encoder), dtype)
        st.button(f"Leave out {plain(encoder)}", icon=":material/skip_next:", on_click=lambda: left_out.add(encoder))
        return
    st.session_state.pop("sensitivity", None)
    if not lacking:
        return
    texts = {each: _texts(view, each) for each in lacking}
    n = sum(len(each) for each in texts.values())
    st.button(
        f"Measure order and letter case of {counted(len(lacking), 'encoder')}",
        icon=":material/play_arrow:",
        on_click=lambda: st.session_state.update(sensitivity=set()),
    )
    st.caption(
        f"{n:,} texts have to be encoded for that, about {_seconds(view, texts)} in all. They are stored, so this "
        "happens once. The baselines need no encoding."
    )


def _texts(view: View, encoder: str) -> tuple[str, ...]:
    written = cache.variants(view.catalogue, encoder)
    return tuple(dict.fromkeys(text for kind in health.VARIANTS for text in written.get(kind, ())))


def _seconds(view: View, texts: dict[str, tuple[str, ...]]) -> str:
    """Say how long it takes to encode, by the speed at which the vectors here were made."""
    seconds = 0.0
    for encoder, each in texts.items():
        dtype = cache.dtype_at_hand(view.catalogue, replace(view.settings, encoder=encoder)) or "float32"
        facts = cache.store().facts(encoders.key(encoders.get(encoder), dtype))
        n, took = float(facts.get("texts") or 0), float(facts.get("seconds") or 0)
        seconds += LOADING_SECONDS + (len(each) * took / n if n else 0)
    return f"{seconds:,.0f} seconds" if seconds < 100 else f"{seconds / 60:,.0f} minutes"
