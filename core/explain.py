"""Why a cluster is what it is: genres and people it has more of than the catalogue, typical and borderline lists."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.clustering import Clustering

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Z95 = 1.959963984540054
MIN_FILMS = 5


def membership(genre_lists: Sequence[str]) -> tuple[FloatArray, tuple[str, ...]]:
    """Return which genre each list has, shape (n, genres) of 0 and 1, and the genres in alphabetical order.

    An empty list has none.
    """
    sets = [[genre for genre in text.split(", ") if genre] for text in genre_lists]
    genres = tuple(sorted({genre for genre_set in sets for genre in genre_set}))
    column = {genre: i for i, genre in enumerate(genres)}
    matrix = np.zeros((len(sets), len(genres)))
    for row, genre_set in enumerate(sets):
        matrix[row, [column[genre] for genre in genre_set]] = 1.0
    return matrix, genres


def genre_films(matrix: FloatArray, weights: IntArray, labels: IntArray) -> IntArray:
    """Count the films of each cluster that have each genre, shape (k, genres)."""
    here = np.flatnonzero(labels >= 0)
    films = np.zeros((int(labels.max(initial=-1)) + 1, len(labels)))
    films[labels[here], here] = weights[here]
    return np.asarray(np.rint(films @ matrix), dtype=np.int64)


def genre_table(matrix: FloatArray, genres: Sequence[str], weights: IntArray, labels: IntArray) -> pd.DataFrame:
    """Return a row for each cluster and genre: cluster, genre, and the columns of `compare`.

    The catalogue is every film under the filters that is in a cluster.
    """
    films = genre_films(matrix, weights, labels)
    k = len(films)
    sizes = np.bincount(labels[labels >= 0], weights=weights[labels >= 0], minlength=k)
    counted = pd.DataFrame(
        {
            "cluster": np.repeat(np.arange(k), len(genres)),
            "genre": np.tile(np.asarray(genres, dtype=object), k),
            "n_cluster": films.reshape(-1),
            "n_all": np.tile(films.sum(axis=0), k),
        }
    )
    return compare(counted, np.repeat(sizes, len(genres)), float(sizes.sum()))


def compare(counted: pd.DataFrame, in_cluster: float | FloatArray, in_all: float) -> pd.DataFrame:
    """Add shares and lift, each with a 95 % interval, to counts of films.

    counted has n_cluster (films of the cluster that have the value) and n_all (films of the catalogue that do);
    in_cluster and in_all are the films each is a part of. Adds share, share_low, share_high, catalogue_share,
    lift, lift_low, lift_high. Shares have Wilson's interval (1927). The lift's is exp(log lift ± 1.96 s) with
    s² = 1/a - 1/n - 1/A + 2a/(nA) - 1/N, the delta method on the four counts of one table: a and A films with the
    value among the n of the cluster and the N of the catalogue, of which the cluster is a part.
    """
    a, whole = counted["n_cluster"].to_numpy(np.float64), counted["n_all"].to_numpy(np.float64)
    n, total = np.broadcast_to(np.asarray(in_cluster, dtype=np.float64), a.shape), np.float64(in_all)
    low, high = wilson(a, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = (a / n) / (whole / total)
        variance = 1 / a - 1 / n - 1 / whole + 2 * a / (n * whole) - 1 / total
        spread = np.exp(Z95 * np.sqrt(np.maximum(variance, 0.0)))
        lift_low = np.where(a > 0, lift / spread, 0.0)
        lift_high = np.where(a > 0, lift * spread, np.nan)
        shares = {"share": a / n, "share_low": low, "share_high": high, "catalogue_share": whole / total}
    return counted.assign(**shares, lift=lift, lift_low=lift_low, lift_high=lift_high)


def wilson(successes: FloatArray, trials: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return Wilson's 95 % interval of a share, lower and upper bound; NaN where there are no trials."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = successes / trials
        middle = (share + Z95**2 / (2 * trials)) / (1 + Z95**2 / trials)
        half = Z95 / (1 + Z95**2 / trials) * np.sqrt(share * (1 - share) / trials + Z95**2 / (4 * trials**2))
    # The share itself lies within; rounding alone could put 0 or 1 just outside.
    return np.clip(middle - half, 0.0, share), np.clip(middle + half, share, 1.0)


def year_shares(years: pd.DataFrame) -> pd.DataFrame:
    """Add share, share_low and share_high (Wilson, 95 %) to a row a year with n_cluster and n_all films."""
    counted, everyone = years["n_cluster"].to_numpy(np.float64), years["n_all"].to_numpy(np.float64)
    low, high = wilson(counted, everyone)
    return years.assign(share=counted / everyone, share_low=low, share_high=high)


def standing_out(counted: pd.DataFrame, in_cluster: int, in_all: int, min_films: int = MIN_FILMS) -> pd.DataFrame:
    """Return the values a cluster surely has more of than the catalogue, the surest first.

    counted has value, n_cluster and n_all. Kept are those with at least `min_films` films in the cluster whose
    lift is above 1 at the lower end of its interval; they are sorted by that end.
    """
    table = compare(counted[counted["n_cluster"] >= min_films], in_cluster, in_all)
    sure = table[table["lift_low"] > 1]
    return sure.sort_values(["lift_low", "n_cluster"], ascending=False, ignore_index=True)


def typical(clustering: Clustering, cluster: int, n: int = 10) -> IntArray:
    """Return the genre lists (row numbers) nearest to the cluster's centre, nearest first."""
    members = np.flatnonzero(clustering.labels == cluster)
    return members[np.argsort(clustering.distance[members], kind="stable")][:n]


def borderline(clustering: Clustering, cluster: int, n: int = 10) -> IntArray:
    """Return the genre lists (row numbers) of a cluster with the smallest margin, smallest first."""
    members = np.flatnonzero((clustering.labels == cluster) & ~np.isnan(clustering.margin))
    return members[np.argsort(clustering.margin[members], kind="stable")][:n]


def smoothed_shares(years: pd.DataFrame, bandwidth: float = 2.0) -> pd.DataFrame:
    """Add smooth, smooth_low and smooth_high to a row a year with year, n_cluster and n_all films.

    The share of films around each year, where a film counts by a Gaussian kernel of the distance in years: a weighted
    share, not a mean of shares, so years with few films say little. The interval is Wilson's (1927, 95 %) for the
    number of films that such weights are worth, (sum of weights)² / sum of squared weights (Kish 1965).
    """
    year = years["year"].to_numpy(np.float64)
    counted, everyone = years["n_cluster"].to_numpy(np.float64), years["n_all"].to_numpy(np.float64)
    kernel = np.exp(-0.5 * ((year[:, None] - year[None]) / bandwidth) ** 2)
    films = kernel @ everyone
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (kernel @ counted) / films
        worth = films**2 / (kernel**2 @ everyone)
    low, high = wilson(share * worth, worth)
    return years.assign(smooth=share, smooth_low=low, smooth_high=high)
