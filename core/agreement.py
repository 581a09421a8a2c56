"""How far two encoders put the same films together: agreement above chance, matched clusters, who changes company.

Every figure counts films: a genre list counts as often as it has films, so each equals the figure over repeated rows.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core import diagnostics
from core.health import Health

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SAME_COHERENCE = 0.01  # as in the choice of k: a smaller step says nothing


def adjusted_mutual_information(films: IntArray) -> float:
    """Return the adjusted mutual information of two clusterings: 1 if they are the same, about 0 by chance.

    films (k of the first, k of the second) counts the films in each pair of clusters (`diagnostics.overlap`). The
    mutual information less what is expected of it, over the mean of the two entropies less the same. NaN without
    films. Source: Vinh, Epps and Bailey (2010), Journal of Machine Learning Research 11, 2837-2854; the same value
    as scikit-learn's `adjusted_mutual_info_score` over repeated rows.
    """
    table = films[films.sum(axis=1) > 0][:, films.sum(axis=0) > 0]
    if table.size == 0:
        return float("nan")
    if 1 in table.shape:  # a single cluster tells nothing, unless the other one is single too
        return 1.0 if table.shape == (1, 1) else 0.0
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    total = float(rows.sum())
    cells = table[table > 0] / total
    by_chance = (rows[:, None] / total * columns[None] / total)[table > 0]
    mutual = max(float((cells * np.log(cells / by_chance)).sum()), 0.0)
    expected = expected_mutual_information(rows, columns)
    entropy = (_entropy(rows / total) + _entropy(columns / total)) / 2
    # Where every film is a cluster of its own both differences are 0 but for rounding, and agreement is whole.
    least = float(np.finfo(np.float64).eps)
    return _at_least(mutual - expected, least) / _at_least(entropy - expected, least)


def _entropy(shares: FloatArray) -> float:
    return float(-(shares * np.log(shares)).sum())


def _at_least(value: float, least: float) -> float:
    """Keep a value away from 0 without a change of its sign."""
    return min(value, -least) if value < 0 else max(value, least)


def expected_mutual_information(rows: IntArray, columns: IntArray) -> float:
    """Return the mutual information that two clusterings with these numbers of films have by chance.

    rows (r,) and columns (c,) are films of each cluster, with the same sum N and none of them 0. If the films are
    dealt at random, a pair of clusters with a and b films shares n of them with the hypergeometric probability of n.
    Source: Vinh, Epps and Bailey (2010), equation 24a. The probabilities come from the ratios of neighbours, which are
    exact for any N. Left out is what lies more than 12 standard deviations and 60 films from the mean: by Bernstein's
    inequality (for draws without replacement Hoeffding 1963) that has a probability below 1e-30.
    """
    total = int(rows.sum())
    sizes, times = np.unique(columns, return_counts=True)
    return sum(
        int(often) * float(times @ _expected_of_a_row(int(size), sizes, total))
        for size, often in zip(*np.unique(rows, return_counts=True), strict=True)
    )


def _expected_of_a_row(a: int, b: IntArray, total: int) -> FloatArray:
    """Return what a cluster of a films adds, with each of the other clusters of b (c,) films, shape (c,)."""
    mean = a * (b / total)
    reach = 12 * np.sqrt(mean * (1 - np.maximum(a, b) / total)) + 60
    first = np.maximum(np.maximum(a + b - total, 0), np.floor(mean - reach).astype(np.int64))
    last = np.minimum(np.minimum(a, b), np.ceil(mean + reach).astype(np.int64))
    n = first[:, None] + np.arange(int((last - first).max()) + 1)
    inside = n <= last[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        up = np.log((a - n) * (b[:, None] - n) / ((n + 1.0) * (total - a - b[:, None] + n + 1)))
        logs = np.cumsum(np.where(inside[:, 1:], up[:, :-1], 0.0), axis=1)
        logs = np.where(inside, np.concatenate([np.zeros((len(b), 1)), logs], axis=1), -np.inf)
        chances = np.exp(logs - logs.max(axis=1, keepdims=True))
        information = np.where(inside & (n > 0), n / total * np.log(n / mean[:, None]), 0.0)
    return np.asarray((chances * information).sum(axis=1) / chances.sum(axis=1))


def matrices(weights: IntArray, labels: Sequence[IntArray]) -> tuple[FloatArray, FloatArray]:
    """Return adjusted mutual information and adjusted Rand index of all pairs of m clusterings, each (m, m).

    weights (n,) films; labels are m arrays (n,), -1 where a list has no film.
    """
    m = len(labels)
    mutual, rand = np.full((m, m), np.nan), np.full((m, m), np.nan)
    for i in range(m):
        for j in range(i, m):
            films = diagnostics.overlap(weights, labels[i], labels[j])
            mutual[i, j] = mutual[j, i] = adjusted_mutual_information(films)
            rand[i, j] = rand[j, i] = diagnostics.agreement(weights, labels[i], labels[j])
    return mutual, rand


@dataclass(frozen=True, eq=False)
class Measured:
    """An encoder with its clusters of the films: labels (n,), their coherence, and how healthy its vectors are."""

    encoder: str
    labels: IntArray
    coherence: float
    health: Health


@dataclass(frozen=True, eq=False)
class Comparison:
    """m encoders held against each other.

    mutual, rand (m, m): adjusted mutual information and adjusted Rand index of each two. frame: a row an encoder with
    encoder, coherence, first_genre and dominant_genre (adjusted mutual information with the film's genre), and the
    fields of `Health`.
    """

    mutual: FloatArray
    rand: FloatArray
    frame: pd.DataFrame


def compare(measured: Sequence[Measured], weights: IntArray, dominant: IntArray, first: pd.DataFrame) -> Comparison:
    """Hold encoders against each other and against two ways to sort films by a single genre.

    weights (n,) films; dominant (n,) as from `dominant_genres`; first has list_id, genre and n_movies, films by the
    genre that they name first (`Catalogue.first_genres`).
    """
    named = pd.factorize(first["genre"])[0].astype(np.int64)
    rows, films = first["list_id"].to_numpy(np.int64), first["n_movies"].to_numpy(np.int64)
    frame = pd.DataFrame(
        [
            {
                "encoder": each.encoder,
                "coherence": each.coherence,
                "first_genre": adjusted_mutual_information(diagnostics.overlap(films, each.labels[rows], named)),
                "dominant_genre": adjusted_mutual_information(diagnostics.overlap(weights, each.labels, dominant)),
                **asdict(each.health),
            }
            for each in measured
        ]
    )
    return Comparison(*matrices(weights, [each.labels for each in measured]), frame)


def dominant_genres(membership: FloatArray, weights: IntArray) -> IntArray:
    """Return the column of each list's dominant genre, shape (n,): the one that the fewest films have.

    membership (n, genres) of 0 and 1, weights (n,) films. The rarest genre of a list says most about it: log(N / n)
    is the information in it. Of equally rare ones the first in the alphabet.
    """
    films = weights @ membership
    return np.asarray(np.where(membership > 0, films, np.inf).argmin(axis=1), dtype=np.int64)


def match(films: IntArray) -> IntArray:
    """Match clusters one to one so that as many films as possible are in matched ones; return partners, shape (k,).

    films (k, other k) as from `diagnostics.overlap`. -1 where a cluster is left over, or shares no film with what is
    left. Source: `diagnostics.matching`.
    """
    partners = diagnostics.matching(films)
    if films.size == 0:
        return partners
    shared = films[np.arange(len(films)), partners] > 0
    return np.where((partners >= 0) & shared, partners, -1)


def pairs(films: IntArray, partners: IntArray) -> pd.DataFrame:
    """Return a row for each pair of matched clusters, and for each cluster left over, most films in common first.

    films (k, other k) and partners (k,) as from `match`. Columns: a, b (-1 where there is none), n_a, n_b, n_both,
    jaccard (NaN without a partner).
    """
    similar = diagnostics.jaccard(films)
    n_a, n_b = films.sum(axis=1), films.sum(axis=0)
    rows: list[tuple[int, int, int, int, int, float]] = []
    for a, b in enumerate(partners.tolist()):
        if b >= 0:
            rows.append((a, b, int(n_a[a]), int(n_b[b]), int(films[a, b]), float(similar[a, b])))
        else:
            rows.append((a, -1, int(n_a[a]), 0, 0, float("nan")))
    alone = sorted(set(range(len(n_b))) - set(partners.tolist()))
    rows += [(-1, b, 0, int(n_b[b]), 0, float("nan")) for b in alone]
    table = pd.DataFrame(rows, columns=["a", "b", "n_a", "n_b", "n_both", "jaccard"])
    return table.sort_values(["n_both", "n_a", "n_b"], ascending=False, kind="stable", ignore_index=True)


def flows(films: IntArray, partners: IntArray) -> pd.DataFrame:
    """Return a row for each pair of clusters that share films: a, b, n_movies, share_a, share_b, matched."""
    a, b = np.nonzero(films)
    n = films[a, b]
    return pd.DataFrame(
        {
            "a": a,
            "b": b,
            "n_movies": n,
            "share_a": n / films.sum(axis=1)[a],
            "share_b": n / films.sum(axis=0)[b],
            "matched": partners[a] == b,
        }
    )


def movers(weights: IntArray, first: IntArray, second: IntArray, partners: IntArray) -> pd.DataFrame:
    """Return the genre lists that change company, those that most films leave and join first.

    weights (n,) films, first and second (n,) labels, partners as from `match(overlap(first, second))`. A list changes
    company if its cluster of the second is not the partner of its cluster of the first. Columns: list_id, n_movies, a,
    b, kept: the Jaccard similarity of the films it shares a cluster with in the first and in the second, itself
    included. Sorted by n_movies x (1 - kept).
    """
    similar = diagnostics.jaccard(diagnostics.overlap(weights, first, second))
    here = np.flatnonzero((first >= 0) & (second >= 0))
    away = here[partners[first[here]] != second[here]]
    a, b = first[away], second[away]
    table = pd.DataFrame({"list_id": away, "n_movies": weights[away], "a": a, "b": b, "kept": similar[a, b]})
    order = np.lexsort((away, -weights[away] * (1 - similar[a, b])))
    return table.iloc[order].reset_index(drop=True)


def aligned(xy: FloatArray, onto: FloatArray, weights: IntArray) -> FloatArray:
    """Turn or mirror a map xy (n, 2) so that it lies as close to another one (n, 2) as it can; distances stay.

    weights (n,) films. Principal components have no direction of their own, so that two maps may differ by a turn that
    means nothing. Source: the orthogonal Procrustes problem (Schönemann 1966).
    """
    total = max(int(weights.sum()), 1)
    here, there = xy - weights @ xy / total, onto - weights @ onto / total
    left, _, right = np.linalg.svd((here * weights[:, None]).T @ there)
    return np.asarray(here @ left @ right)


@dataclass(frozen=True)
class Worth:
    """How coherent an encoder's clusters are: the mean over so many seeds, and their standard deviation."""

    coherence: float
    spread: float = 0.0
    n_seeds: int = 1


def verdict(encoder: str, own: Worth, baseline: Worth) -> str:
    """Say in a sentence whether an encoder groups films better than plain multi-hot genres do.

    As well means that coherences differ by less than 0.01, or by less than twice the standard deviation that the seeds
    give the difference.
    """
    gain = own.coherence - baseline.coherence
    noise = 2 * float(np.hypot(own.spread, baseline.spread))
    if not abs(gain) >= max(SAME_COHERENCE, noise):
        how = "as well as plain multi-hot genres do"
    elif gain > 0:
        how = "better than plain multi-hot genres do"
    else:
        how = "less well than plain multi-hot genres do"
    numbers = f"{own.coherence:.3f} against {baseline.coherence:.3f}"
    n = min(own.n_seeds, baseline.n_seeds)
    seeds = f", mean of {n} seeds, which differ by ±{max(own.spread, baseline.spread):.3f}" if n > 1 else ""
    return f"{encoder} groups films {how}; its gain in coherence is {gain:+.3f} ({numbers}{seeds})."
