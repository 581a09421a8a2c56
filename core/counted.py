"""What `Catalogue.measure_counts` says of clusters without a look at any film: medians, quartiles, films a year."""

from collections.abc import Collection
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.movies import MEASURES

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def measures_of(counted: pd.DataFrame, labels: IntArray) -> pd.DataFrame:
    """Return what `Catalogue.cluster_measures` does, from `Catalogue.measure_counts` under the same filters."""
    parts = _by_cluster(counted, labels)
    n_movies = np.array([n.sum() for _, n in parts["year"]], dtype=np.int64)
    table = pd.DataFrame({"cluster": np.arange(len(n_movies)), "n_movies": n_movies})
    for name, groups in parts.items():
        table[f"median_{name}"] = [_quantile(values, n, 0.5) for values, n in groups]
        table[f"n_{name}"] = [int(n[~np.isnan(values)].sum()) for values, n in groups]
    return table[table["n_movies"] > 0].reset_index(drop=True)


def spread_of(counted: pd.DataFrame, labels: IntArray, cluster: int) -> pd.DataFrame:
    """Return what `Catalogue.spread` does, from `Catalogue.measure_counts` under the same filters."""
    mine = _by_cluster(counted, np.where(labels == cluster, 0, -1))
    rows = []
    for name in sorted(mine):
        here = counted[counted["measure"] == name]
        both = {"cluster": mine[name][0] if mine[name] else None, "catalogue": (here["value"], here["n"])}
        for whose, found in both.items():
            values, n = (np.asarray(part) for part in found or ((), ()))
            if n.sum():
                known = int(n[~np.isnan(values)].sum())
                quartiles = [_quantile(values, n, part) for part in (0.25, 0.5, 0.75)]
                rows.append((name, whose, known, int(n.sum()), *quartiles))
    return pd.DataFrame(rows, columns=["measure", "whose", "n", "n_movies", "q1", "median", "q3"])


def years_of(counted: pd.DataFrame, list_ids: Collection[int]) -> pd.DataFrame:
    """Return what `Catalogue.years` does, from `Catalogue.measure_counts`: n_cluster counts the films of some lists."""
    known = counted[(counted["measure"] == "year") & counted["value"].notna()]
    n_cluster = known["n"].where(known["list_id"].isin(list_ids), 0)
    found = pd.DataFrame({"year": known["value"].astype(np.int64), "n_cluster": n_cluster, "n_all": known["n"]})
    return found.groupby("year", as_index=False).sum()


def _by_cluster(counted: pd.DataFrame, labels: IntArray) -> dict[str, list[tuple[FloatArray, IntArray]]]:
    """Return for year and every measure the values in order, NaN last, and their films, of each cluster."""
    list_ids = counted["list_id"].to_numpy(np.float64)
    clusters = np.full(len(counted), -1, dtype=np.int64)
    has_list = ~np.isnan(list_ids)
    clusters[has_list] = labels[list_ids[has_list].astype(np.int64)]
    measures, values, n = (counted[name].to_numpy() for name in ("measure", "value", "n"))
    parts = {}
    for name in ("year", *MEASURES):
        rows = np.flatnonzero(measures == name)
        rows = rows[np.argsort(clusters[rows], kind="stable")]
        ends = np.searchsorted(clusters[rows], np.arange(int(labels.max(initial=-1)) + 2))
        groups = [rows[start:end] for start, end in pairwise(ends)]
        parts[name] = [(values[group], n[group]) for group in groups]
    return parts


def _quantile(values: FloatArray, n: IntArray, part: float) -> float:
    """Return a quantile of values in order, each n times, as DuckDB's quantile_cont does; NaN is left out."""
    known = ~np.isnan(values)
    values, reached = values[known], np.cumsum(n[known])
    if not len(values):
        return float("nan")
    place = part * (reached[-1] - 1)
    low, high = (values[np.searchsorted(reached, each, side="right")] for each in (np.floor(place), np.ceil(place)))
    return float(low + (high - low) * (place - np.floor(place)))
