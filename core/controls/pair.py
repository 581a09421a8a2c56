"""What the page Compare encoders shows of two encoders: matched clusters, flow of films, who changes company, maps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from core import agreement, cache, charts, diagnostics, encoders
from core.analysis import Analysis
from core.controls import glossary, selections
from core.controls.agreement import choose_encoder
from core.controls.frame import View
from core.controls.names import named, tables
from core.controls.picks import label, show_chart
from core.controls.tables import film_table, films_line
from core.controls.words import counted, plain
from core.recipes import Settings

IntArray = NDArray[np.int64]
MOST_MOVERS = 500  # genre lists in the table of those that change company


@dataclass(frozen=True, eq=False)
class Pair:
    """Two encoders with their clusters of the same films; films and partners as from `overlap` and `match`."""

    settings: tuple[Settings, Settings]
    analyses: tuple[Analysis, Analysis]
    films: IntArray
    partners: IntArray

    @property
    def encoders(self) -> tuple[str, str]:
        """The two ids."""
        return self.settings[0].encoder, self.settings[1].encoder


def choose_pair(view: View, ready: Sequence[str]) -> Pair | None:
    """Draw the choice of two encoders, in the URL as `one` and `other`, and return them with their clusters."""
    if len(ready) < 2:
        return None
    own = view.settings.encoder
    left, right = st.columns(2)
    with left:
        one = _choose("one", "Encoder A", ready, own if own in ready else ready[0])
    others = [each for each in ready if each != one]
    likely = next(each for each in (own, encoders.BASELINE, *others) if each in others)
    with right:
        other = _choose("other", "Encoder B", others, likely)
    first, second = (replace(view.settings, encoder=each) for each in (one, other))
    computed = cache.analysis(view.catalogue, first), cache.analysis(view.catalogue, second)
    found = named(view.catalogue, computed[0]), named(view.catalogue, computed[1])
    films = diagnostics.overlap(found[0].weights, found[0].clustering.labels, found[1].clustering.labels)
    return Pair((first, second), found, films, agreement.match(films))


def _choose(side: str, title: str, options: Sequence[str], otherwise: str) -> str:
    asked = st.query_params.get(side) or st.session_state.get(f"last_{side}")
    chosen = asked if asked and asked in options else otherwise
    key = f"chosen_{side}"
    st.session_state[key] = chosen
    st.selectbox(title, options, key=key, on_change=lambda: choose_encoder(side, st.session_state[key]))
    return chosen


def pair_line(pair: Pair) -> str:
    """Say how far the two agree, in AMI, ARI and films in matched clusters."""
    there = pair.partners >= 0
    matched = int(pair.films[np.flatnonzero(there), pair.partners[there]].sum())
    total = int(pair.films.sum())
    weights, (a, b) = pair.analyses[0].weights, pair.analyses
    mutual = agreement.adjusted_mutual_information(pair.films)
    rand = diagnostics.agreement(weights, a.clustering.labels, b.clustering.labels)
    return (
        f"**{matched:,} of {total:,} films ({matched / max(total, 1):.0%})** are in matched clusters; "
        f"AMI {mutual:.2f}, ARI {rand:.2f}."
    )


def _clusters(view: View, settings: Settings) -> pd.DataFrame:
    computed = cache.analysis(view.catalogue, settings)
    other = replace(view, settings=settings, analysis=named(view.catalogue, computed))
    return tables(other)[1][["cluster", "label", "color", "n_movies"]]


def show_matches(view: View, pair: Pair) -> None:
    """Draw the table of matched clusters; a selected row leads to the films in common."""
    rows = agreement.pairs(pair.films, pair.partners)
    names = [
        [label(found, cluster) if cluster >= 0 else "none" for cluster in rows[side]]
        for side, found in zip(("a", "b"), pair.analyses, strict=True)
    ]
    shown = rows.assign(a=names[0], b=names[1])[["a", "n_a", "b", "n_b", "n_both", "jaccard"]]
    cells = [("cell", cell) for cell in zip(rows["a"].tolist(), rows["b"].tolist(), strict=True)]
    number, text = glossary.number, st.column_config.TextColumn
    st.dataframe(
        shown,
        hide_index=True,
        height="content" if len(shown) <= 14 else 460,
        key="matches",
        on_select=lambda: _row_picked(pair, "matches", cells),
        selection_mode="single-row",
        placeholder="",
        alt="Table of the matched clusters of the two encoders with the films they share.",
        column_config={
            "a": text("Cluster in A", width="medium"),
            "n_a": number("Films in A's", format="localized"),
            "b": text("Cluster in B", width="medium"),
            "n_b": number("Films in B's", format="localized"),
            "n_both": number("In common", format="localized"),
            "jaccard": number("Jaccard", format="%.2f"),
        },
    )
    show_picked_films(view, pair, "matches")


def show_flow(view: View, pair: Pair) -> None:
    """Draw the flow of films between the clusters of the two; a click on a ribbon or a bar leads to its films."""
    first, second = (_clusters(view, each) for each in pair.settings)
    show_chart(
        charts.flow(agreement.flows(pair.films, pair.partners), first, second),
        key="flow",
        on_select=lambda: _flow_picked(pair),
        alt="Two columns of bars, the clusters of A and of B, joined by ribbons as wide as the films they share; the "
        "table above has the widest in numbers.",
    )
    show_picked_films(view, pair, "flow")


def show_movers(view: View, pair: Pair) -> None:
    """Draw the genre lists that change company; a selected row leads to their films."""
    labels = [found.clustering.labels for found in pair.analyses]
    rows = agreement.movers(pair.analyses[0].weights, labels[0], labels[1], pair.partners)
    n, total = int(rows["n_movies"].sum()), int(pair.films.sum())
    st.markdown(
        f"**{counted(n, 'film')} of {total:,}**, in {counted(len(rows), 'genre list')}, are in clusters that are not "
        "matched with each other."
    )
    if rows.empty:
        return
    rows = rows.head(MOST_MOVERS)
    shown = pd.DataFrame(
        {
            "genre_list": [view.catalogue.texts[row] for row in rows["list_id"]],
            "n_movies": rows["n_movies"],
            "a": [label(pair.analyses[0], cluster) for cluster in rows["a"]],
            "b": [label(pair.analyses[1], cluster) for cluster in rows["b"]],
            "kept": rows["kept"],
        }
    )
    number, text = glossary.number, st.column_config.TextColumn
    st.dataframe(
        shown,
        hide_index=True,
        height=380 if len(shown) > 9 else "content",
        key="movers",
        on_select=lambda: _row_picked(pair, "movers", [("lists", (row,)) for row in rows["list_id"].tolist()]),
        selection_mode="single-row",
        placeholder="",
        alt="Table of the genre lists whose films change company between the two encoders.",
        column_config={
            "genre_list": text("Genre list", width="medium"),
            "n_movies": number("Films", format="localized", width="small"),
            "a": text("Cluster in A", width="medium"),
            "b": text("Cluster in B", width="medium"),
            "kept": number("Company kept", format="%.2f"),
        },
    )
    show_picked_films(view, pair, "movers")


def show_two_maps(view: View, pair: Pair) -> None:
    """Draw the maps of the two side by side; what is clicked or brushed in one is marked in both."""
    lists = _both_lists(view, pair)
    show_chart(
        charts.two_maps(lists, pair.encoders),
        key="two_maps",
        on_select=lambda: _lists_picked(pair, lists),
        alt="Two maps of the genre lists, by either encoder; the tables above have the clusters in words and numbers.",
    )
    show_picked_films(view, pair, "two_maps")


def _both_lists(view: View, pair: Pair) -> pd.DataFrame:
    """Return a row a genre list with its place and its cluster's label and colour in both."""
    weights = pair.analyses[0].weights
    here = np.flatnonzero(weights > 0)
    onto = cache.documents(view.catalogue, pair.settings[0]).xy
    table = pd.DataFrame(
        {
            "list_id": here,
            "genre_list": np.array(view.catalogue.texts, dtype=object)[here],
            "n_movies": weights[here],
        }
    )
    for side, settings, found in zip(("a", "b"), pair.settings, pair.analyses, strict=True):
        xy = cache.documents(view.catalogue, settings).xy
        xy = xy if side == "a" else agreement.aligned(xy, onto, weights)
        clusters, labels = _clusters(view, settings).set_index("cluster"), found.clustering.labels[here]
        table[f"x_{side}"], table[f"y_{side}"] = xy[here, 0], xy[here, 1]
        for column in ("label", "color"):
            table[f"{column}_{side}"] = clusters[column].reindex(labels).to_numpy()
    return charts.side_by_side(table.sort_values(["n_movies", "list_id"], ascending=[False, True], ignore_index=True))


# What was picked last: where, under which two settings, and a cell (a, b; -1 is any) or some genre lists.
Picked = tuple[str, tuple[int, ...]]


def _remember(source: str, pair: Pair, picked: Picked | None) -> None:
    st.session_state["pair_pick"] = None if picked is None else (source, pair.settings, picked)


def _row_picked(pair: Pair, source: str, values: Sequence[Picked]) -> None:
    rows = selections.rows(source, len(values))
    _remember(source, pair, values[rows[0]] if rows else None)


def _flow_picked(pair: Pair) -> None:
    points = selections.points("flow", "a", "b")
    _remember("flow", pair, ("cell", (points[0]["a"], points[0]["b"])) if points else None)


def _lists_picked(pair: Pair, lists: pd.DataFrame) -> None:
    """Remember the genre lists that a click or a brush on one of the maps chose."""
    points, brush = selections.points("two_maps", "list_id"), selections.brush("two_maps")
    if points:
        _remember("two_maps", pair, ("lists", tuple(point["list_id"] for point in points)))
        return
    if not {"x_a", "y_a"} <= brush.keys():
        _remember("two_maps", pair, None)
        return
    inside = [
        lists[f"x_{side}"].between(*brush["x_a"]) & lists[f"y_{side}"].between(*brush["y_a"]) for side in ("a", "b")
    ]
    _remember("two_maps", pair, ("lists", tuple(lists.loc[inside[0] | inside[1], "list_id"].tolist())))


def show_picked_films(view: View, pair: Pair, source: str) -> None:
    """Draw the films behind what was picked in this chart or table, if something was."""
    kept = st.session_state.get("pair_pick")
    if not kept or kept[:2] != (source, pair.settings):
        return
    mine, what = _chosen(view, pair, kept[2])
    films = view.catalogue.films(np.where(mine, 0, -1), cluster=0, filters=view.settings.filters)
    for place, (side, found) in enumerate(zip("AB", pair.analyses, strict=True)):
        names = np.array([label(found, cluster) for cluster in range(found.clustering.n_clusters)], dtype=object)
        films.insert(3 + place, f"Cluster in {side}", names[found.clustering.labels[films["list_id"].to_numpy()]])
    st.markdown(f"{films_line(len(films), int(pair.films.sum()))}: {what}")
    film_table(films, f"{len(films):,} films behind what was picked.", f"films_of_{source}")


def _chosen(view: View, pair: Pair, picked: Picked) -> tuple[NDArray[np.bool_], str]:
    """Return which genre lists were picked, and what they are in words."""
    kind, values = picked
    mine = pair.analyses[0].weights > 0
    if kind == "lists":
        known = [row for row in values if 0 <= row < len(mine)]
        what = plain(view.catalogue.texts[known[0]]) if len(known) == 1 else f"{len(known):,} genre lists"
        return mine & np.isin(np.arange(len(mine)), known), what
    named: list[str] = []
    for side, found, cluster in zip("AB", pair.analyses, values, strict=True):
        if 0 <= cluster < found.clustering.n_clusters:
            mine = mine & (found.clustering.labels == cluster)
            named.append(f"in {plain(label(found, cluster))} of {side}")
    return mine, " and ".join(named)
