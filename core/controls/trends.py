"""Words and table of the page Trends."""

import pandas as pd
import streamlit as st

from core import explain
from core.controls.picks import picked_in_table
from core.controls.words import plain

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


def decade_table(shares: pd.DataFrame, clusters: pd.DataFrame) -> None:
    """Draw each cluster's share of each decade's films, and the films of each decade as the last row."""
    films = shares.assign(decade=[f"{year // 10 * 10}s" for year in shares["year"]])
    counted = films.pivot_table(index="cluster", columns="decade", values=["n_cluster", "n_all"], aggfunc="sum")
    table = 100 * counted["n_cluster"] / counted["n_all"]
    labels = clusters.set_index("cluster")["label"]
    table.insert(0, "label", [labels[cluster] for cluster in table.index])
    everyone = {"label": "Films of the decade", **{name: f"{n:,}" for name, n in counted["n_all"].iloc[0].items()}}
    shown = pd.concat(
        [table.map(lambda value: value if isinstance(value, str) else f"{value:.1f} %"), pd.DataFrame([everyone])]
    )
    st.dataframe(
        shown,
        hide_index=True,
        height="content" if len(shown) <= 14 else 460,
        key="decades",
        on_select=lambda: picked_in_table("decades", pd.Series(table.index)),
        selection_mode="single-row",
        placeholder="",
        alt="Table of each cluster's share of the films of each decade.",
        column_config={"label": st.column_config.TextColumn("Cluster", pinned=True)},
    )
