"""Words, tables and picks of the page Trends."""

import pandas as pd
import streamlit as st

from core import cache, charts, explain
from core.controls import selections, stability
from core.controls.frame import View
from core.controls.picks import labels_with_stability, link_to_cluster, picked_in_table, show_chart
from core.controls.tables import STABILITY_COLUMN, film_table
from core.controls.words import counted, plain

SPAN = 5  # years at either end that are held against each other


def risen_and_fallen(shares: pd.DataFrame, clusters: pd.DataFrame) -> tuple[str, str]:
    """Say which cluster's share rose most from the first years to the last, and which fell most, where it is sure."""
    years = sorted(shares["year"].unique())
    first, last = (_ends(shares, span) for span in (years[:SPAN], years[-SPAN:]))
    change = (last["share"] - first["share"]).sort_values(kind="stable")
    words = []
    for verb, cluster, sure in (
        ("rose", change.index[-1], last["low"] > first["high"]),
        ("fell", change.index[0], last["high"] < first["low"]),
    ):
        if not sure[cluster]:
            words.append(f"no cluster surely {verb}")
            continue
        name = plain(str(clusters.loc[clusters["cluster"] == cluster, "name"].to_numpy()[0]))
        words.append(f"{name} {verb} from {first['share'][cluster]:.0%} to {last['share'][cluster]:.0%}")
    return words[0], words[1]


def _ends(shares: pd.DataFrame, years: list[int]) -> pd.DataFrame:
    """Return each cluster's share of the films of some years, with its 95 % interval (Wilson)."""
    films = shares[shares["year"].isin(years)].groupby("cluster")[["n_cluster", "n_all"]].sum()
    counted, everyone = (films[column].to_numpy(float) for column in ("n_cluster", "n_all"))
    low, high = explain.wilson(counted, everyone)
    return pd.DataFrame({"share": counted / everyone, "low": low, "high": high}, index=films.index)


def decade_table(view: View, shares: pd.DataFrame, clusters: pd.DataFrame) -> None:
    """Draw each cluster's share of each decade's films, and the films of each decade as the last row."""
    shown = stability.once(view, "decades", lambda: _decades(shares, clusters))
    in_order = shares["cluster"].drop_duplicates().sort_values()
    st.dataframe(
        shown,
        hide_index=True,
        height="content" if len(shown) <= 14 else 460,
        key="decades",
        on_select=lambda: picked_in_table("decades", in_order),
        selection_mode="single-row",
        placeholder="",
        alt="Table of each cluster's share of the films of each decade.",
        column_config={
            "label": st.column_config.TextColumn("Cluster", pinned=True),
            "stability": STABILITY_COLUMN,
        },
    )


def _decades(shares: pd.DataFrame, clusters: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each cluster and, last, one for all films, with a column for each decade."""
    films = shares.assign(decade=[f"{year // 10 * 10}s" for year in shares["year"]])
    counted = films.pivot_table(index="cluster", columns="decade", values=["n_cluster", "n_all"], aggfunc="sum")
    table = 100 * counted["n_cluster"] / counted["n_all"]
    about = clusters.set_index("cluster")
    table.insert(0, "label", [about["label"][cluster] for cluster in table.index])
    table.insert(1, "stability", [about["stability"][cluster] for cluster in table.index])
    everyone = {
        "label": "Films of the decade",
        "stability": "",
        **{name: f"{n:,}" for name, n in counted["n_all"].iloc[0].items()},
    }
    return pd.concat(
        [table.map(lambda value: value if isinstance(value, str) else f"{value:.1f} %"), pd.DataFrame([everyone])]
    )


def show_box_office(view: View, clusters: pd.DataFrame) -> None:
    """Draw the median box office of each cluster over the years, and the films behind the point that was clicked."""
    rows = cache.box_office(view.catalogue, view.settings)
    known, films = int(rows["n_known"].sum()), int(rows["n_movies"].sum())
    if not known:
        st.info("No film here has a box office and a year.", icon=":material/info:")
        return
    show_chart(
        stability.once(view, "box_office", lambda: _box_office(rows, clusters)),
        key="box_office",
        on_select=lambda: _span_picked(view),
        alt="Lines with points: each cluster's median box office over spans of five years, in dollars of the year.",
    )
    st.caption(
        f"A point is the median over the films of a cluster and five years that have a box office: {known:,} of "
        f"{films:,} films with a genre and a year ({known / films:.0%}). Hollow points rest on fewer than "
        f"{charts.FEW_KNOWN} films and say little. Dollars are those of each film's year, and prices rose, so a rising "
        "line is no proof of larger audiences. A box office is the largest gross that was reported, often worldwide; "
        "which films have one is no random choice. The scale is logarithmic. Click a point to list its films."
    )
    _films_of_the_span(view)


def _box_office(rows: pd.DataFrame, clusters: pd.DataFrame) -> charts.Figure:
    """Draw the median box office of each cluster and span of years."""
    rows = rows.merge(clusters[["cluster", "label", "color", "stability"]], on="cluster")
    return charts.box_office(rows.assign(years=[f"{year} to {year + SPAN - 1}" for year in rows["first_year"]]))


def _span_picked(view: View) -> None:
    """Remember the cluster and the first of the years that were clicked (a callback of the chart)."""
    points = selections.points("box_office", "cluster", "first_year")
    chosen = (view.settings, points[0]["cluster"], points[0]["first_year"]) if points else None
    st.session_state["span"] = chosen


def _films_of_the_span(view: View) -> None:
    """List the films with a box office behind the point that was clicked, if one was under these settings."""
    picked = st.session_state.get("span")
    if not picked or picked[0] != view.settings or picked[1] not in range(view.analysis.clustering.n_clusters):
        return
    _, cluster, first = picked
    films = view.catalogue.films(
        view.analysis.clustering.labels,
        cluster=cluster,
        years=(first, first + SPAN - 1),
        filters=view.settings.filters,
    )
    known = films[films["box_office"].notna()].sort_values("box_office", ascending=False, kind="stable")
    name = labels_with_stability(view)[cluster]
    st.markdown(
        f"**{plain(name)}, {first} to {first + SPAN - 1}: {len(known):,} of {counted(len(films), 'film')} "
        f"{'has' if len(known) == 1 else 'have'} a box office**, the largest first"
    )
    film_table(known, f"{len(known):,} films with a box office.", "span_films")
    link_to_cluster(view, cluster)
