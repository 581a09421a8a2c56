"""A against B: what two sets of films differ in, each difference with how sure it is.

A is a cluster; B is another one, or the rest: every other film with genres under the filters. Values of lists are
compared by the log-odds ratio with an informative prior, measures by their medians and by Cliff's delta. What too few
films speak for makes no claim.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core import movies
from core.explain import MIN_FILMS, Z95, wilson
from core.movies import NO_FILTERS, Catalogue, Filters

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

KINDS = ("genres", "directors", "cast", "countries", "languages", "decades")
MEASURES = ("year", *movies.MEASURES)
MIN_SIDE = 10
# Pseudo-films of the prior for each film of a side: see `log_odds`.
PRIOR = 0.1
# A resample costs two random numbers, so there can be so many that another seed gives the same interval.
RESAMPLES = 10_000
COLUMNS = (
    *("kind", "value", "n_a", "share_a", "n_b", "share_b", "median_a", "median_b"),
    *("difference", "low", "high", "effect", "effect_low", "effect_high", "z", "claim", "coverage_a", "coverage_b"),
)


def contrast(
    catalogue: Catalogue,
    labels: IntArray,
    a: int,
    b: int | None = None,
    filters: Filters = NO_FILTERS,
    kinds: Sequence[str] = KINDS,
    min_films: int = MIN_FILMS,
    random_state: int = 0,
) -> pd.DataFrame:
    """Return what tells cluster a from cluster b, or without b from the rest, by size of |z|.

    labels has shape (genre lists,). A row is a value of one of `kinds` (of `movies.KINDS`) that at least `min_films`
    films of a and b together have (rarer ones could make no claim), or a measure. Together with a, b and the filters,
    kind and value are what `Catalogue.contrast_films` needs to list the films behind a row.

    kind; value (empty for a measure); n_a, n_b: films with the value, or with a number; share_a, share_b: n_a and n_b
    of the films that have the column filled in (NaN for a measure); median_a, median_b (NaN for a value).
    difference, low, high: the log-odds ratio (`log_odds`), or the difference of the medians in the measure's unit
    (`difference`), with its 95 % interval. effect, effect_low, effect_high: Cliff's delta, -1 to 1, with its 95 %
    interval; for a value, which a film has or has not, that is share_a - share_b (interval: Newcombe 1998, method 10).
    z: what rows are sorted by, the log-odds ratio or Cliff's delta over its standard error, both close to a standard
    normal variable where A and B are alike. claim: whether the row may be read as a difference. coverage_a, coverage_b:
    share of the films that have the column, or the measure, filled in.

    Above zero means more in A. Rows of equal |z| are in the order of the kinds and values; where nothing can be told,
    numbers are NaN and the row comes last.

    A value's claim also has to hold among all values of its kind (`discoveries`): of ten thousand actors who do not
    tell A from B at all, intervals of 95 % would single out hundreds.
    """
    totals = catalogue.contrast_totals(labels, a, b, filters)
    known_a, known_b = (dict(zip(totals.index, totals[name].tolist(), strict=True)) for name in ("n_a", "n_b"))
    films_a, films_b = known_a["films"], known_b["films"]
    parts = []
    for kind in kinds:
        counted = catalogue.contrast_values(kind, labels, a, b, filters, min_films)
        in_a, in_b = known_a[kind], known_b[kind]
        table = _values(counted, in_a, in_b)
        table["claim"] &= discoveries(table["z"].to_numpy(np.float64))
        parts.append(table.assign(kind=kind, coverage_a=_share(in_a, films_a), coverage_b=_share(in_b, films_b)))
    parts.append(_measures(catalogue.contrast_measures(labels, a, b, filters), films_a, films_b, random_state))
    table = pd.concat([part for part in parts if len(part)], ignore_index=True) if any(map(len, parts)) else parts[0]
    order = {kind: place for place, kind in enumerate((*kinds, *MEASURES))}
    keys = pd.DataFrame({"z": -table["z"].abs(), "kind": table["kind"].map(order), "value": table["value"]})
    placed = keys.sort_values(["z", "kind", "value"], kind="stable", na_position="last").index
    return table.loc[placed, list(COLUMNS)].reset_index(drop=True)


def log_odds(counted: pd.DataFrame, in_a: int, in_b: int, prior: float = PRIOR) -> pd.DataFrame:
    """Add log_odds, se, low, high, z and claim to counts of films: is a value more common in A than in B?

    counted has n_a and n_b: films of A and of B that have the value. in_a and in_b are the films each is a part of:
    those with the column filled in. A film that says nothing of its languages is not one without French.

    The log-odds ratio with an informative Dirichlet prior of Monroe, Colaresi and Quinn, "Fightin' Words", Political
    Analysis 16 (2008), 372-403, equations 15 to 23: with y films of n on either side,
    log((y_a + α_a) / (n_a + α0_a - y_a - α_a)) - log((y_b + α_b) / (n_b + α0_b - y_b - α_b)), its variance the sum of
    the reciprocals of these four numbers, z the ratio over its standard error, and α = α0 (y_a + y_b) / (n_a + n_b):
    the prior is α0 more films with the make-up of all that are compared. Their n counts words, each of which is one
    word; a film has several genres. So n counts films, and each value is a question of its own, had or not: the
    marginal of their Dirichlet distribution for one word is the beta distribution of exactly that. All four
    reciprocals stay, as a genre, unlike a word, can be in nearly every film. Like theirs, the make-up is that of A
    and B together. That of the whole catalogue would swamp a pair: 22 action films against none would become 39
    against 19 only because one film in seven anywhere is an action film.

    The strength is α0 = prior x n, a tenth of each side's own size. Were α0 the same for two sides of different size,
    it would pull the smaller one harder, and equal shares would come out as a difference; so, equal shares give zero.
    Where B has no film with a value, α_b is a tenth of those one would expect there: ten films against none are
    enough for a claim between sides of one size, five are not. And as (1 + prior) q (1 - q) >= p (1 - p) for a share p
    drawn to q by the prior, z errs on the side of caution, by 5 % at least. low and high, the 95 % interval, are those
    of the ratio so drawn, which is about a tenth nearer to 0 than the bare one, and more where a share is near 0 or 1.

    claim is False where the side that has more has fewer than MIN_FILMS films with the value, where a side has fewer
    than MIN_SIDE films with the column, and where the interval covers 0. Where every film of A and B has the value,
    or none, there is nothing to tell: NaN.
    """
    y_a, y_b = (counted[name].to_numpy(np.float64) for name in ("n_a", "n_b"))
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (y_a + y_b) / np.float64(in_a + in_b)
        odds_a, variance_a = _log_odds_of_one(y_a, in_a, prior * in_a, pooled)
        odds_b, variance_b = _log_odds_of_one(y_b, in_b, prior * in_b, pooled)
        ratio, error = odds_a - odds_b, np.sqrt(variance_a + variance_b)
        z = ratio / error
    low, high = ratio - Z95 * error, ratio + Z95 * error
    sure = ((low > 0) & (y_a >= MIN_FILMS)) | ((high < 0) & (y_b >= MIN_FILMS))
    claim = sure & (min(in_a, in_b) >= MIN_SIDE)
    return counted.assign(log_odds=ratio, se=error, low=low, high=high, z=z, claim=claim)


def _log_odds_of_one(had: FloatArray, films: int, pseudo: float, pooled: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the log-odds of a value on one side and their variance, NaN where they are infinite."""
    yes = had + pseudo * pooled
    # Not films + pseudo - yes: rounding would leave a trace of films where there are none.
    no = (films - had) + pseudo * (1 - pooled)
    return np.where((yes > 0) & (no > 0), np.log(yes) - np.log(no), np.nan), 1 / yes + 1 / no


def discoveries(z: FloatArray, rate: float = 0.05) -> NDArray[np.bool_]:
    """Tell which of many z (n,) are so large that of those told at most a share of `rate` is due to chance.

    Benjamini and Hochberg, Journal of the Royal Statistical Society B 57 (1995), 289-300, two-sided, as far as z is
    normal: of a few films against many it goes further up by chance than a normal variable does. NaN never is told.
    """
    chances = np.array([math.erfc(abs(one) / math.sqrt(2)) if one == one else 1.0 for one in z.tolist()])
    ordered = np.sort(chances)
    below = np.flatnonzero(ordered <= rate * np.arange(1, len(z) + 1) / max(len(z), 1))
    return np.asarray(chances <= (ordered[below[-1]] if len(below) else -1.0))


def _values(counted: pd.DataFrame, in_a: int, in_b: int) -> pd.DataFrame:
    """Return the rows of a contrast for the values of a kind, without kind and coverage."""
    table = log_odds(counted, in_a, in_b).rename(columns={"log_odds": "difference"})
    n_a, n_b = (table[name].to_numpy(np.float64) for name in ("n_a", "n_b"))
    low_a, high_a = wilson(n_a, np.full_like(n_a, in_a))
    low_b, high_b = wilson(n_b, np.full_like(n_b, in_b))
    with np.errstate(divide="ignore", invalid="ignore"):
        share_a, share_b = n_a / np.float64(in_a), n_b / np.float64(in_b)
    effect = share_a - share_b
    return table.assign(
        share_a=share_a,
        share_b=share_b,
        median_a=np.nan,
        median_b=np.nan,
        effect=effect,
        effect_low=effect - np.hypot(share_a - low_a, high_b - share_b),
        effect_high=effect + np.hypot(high_a - share_a, share_b - low_b),
    )


@dataclass(frozen=True)
class Difference:
    """How a measure differs between A and B; NaN where a side has no number.

    n_a, n_b: films with a number. difference: median_a - median_b, low and high its 95 % interval. delta: Cliff's,
    with its 95 % interval and z (`cliffs_delta`).
    """

    n_a: int
    n_b: int
    median_a: float
    median_b: float
    difference: float
    low: float
    high: float
    delta: float
    delta_low: float
    delta_high: float
    z: float

    @property
    def claim(self) -> bool:
        """Whether both sides have MIN_SIDE films and the interval of the difference leaves out 0."""
        return min(self.n_a, self.n_b) >= MIN_SIDE and (self.low > 0 or self.high < 0)


def distribution(a: FloatArray, b: FloatArray) -> tuple[FloatArray, IntArray, IntArray]:
    """Return the distinct values of two samples in order, and how often each has them, all (m,). NaN is no value."""
    both = np.concatenate([a[~np.isnan(a)], b[~np.isnan(b)]])
    values, places = np.unique(both, return_inverse=True)
    cut = int((~np.isnan(a)).sum())
    n_a, n_b = (np.bincount(part, minlength=len(values)) for part in (places[:cut], places[cut:]))
    return values, n_a.astype(np.int64), n_b.astype(np.int64)


def difference(values: FloatArray, n_a: IntArray, n_b: IntArray, random_state: int = 0) -> Difference:
    """Compare a measure between A and B; values (m,) are distinct and in order, n_a and n_b (m,) films that have each.

    The interval of the difference of the medians is the percentile bootstrap's (Efron 1979) from RESAMPLES resamples
    of either side. No film is drawn for it (`_resampled_medians`), so that it takes as long for a million films as for
    a hundred. The same seed gives the same interval; A and B the other way round give it the other way round.
    """
    total_a, total_b = int(n_a.sum()), int(n_b.sum())
    delta, delta_low, delta_high, z = cliffs_delta(n_a, n_b)
    nan = float("nan")
    if min(total_a, total_b) == 0:
        median_a, median_b = (float(_median(values, n)) if n.sum() else nan for n in (n_a, n_b))
        return Difference(total_a, total_b, median_a, median_b, nan, nan, nan, nan, nan, nan, nan)
    median_a, median_b = _median(values, n_a), _median(values, n_b)
    # Drawn in an order that does not depend on which side is called A.
    turned = _comes_first(n_b, n_a)
    random = np.random.default_rng(random_state)
    first, second = (_resampled_medians(values, n, random) for n in ((n_b, n_a) if turned else (n_a, n_b)))
    low, high = np.quantile(first - second, (0.025, 0.975)).tolist()
    if turned:
        low, high = -high, -low
    return Difference(
        total_a, total_b, median_a, median_b, median_a - median_b, low, high, delta, delta_low, delta_high, z
    )


def _comes_first(one: IntArray, other: IntArray) -> bool:
    """Order two samples by their films, and equally many by the first value that sets them apart."""
    if one.sum() != other.sum():
        return bool(one.sum() < other.sum())
    apart = np.flatnonzero(one != other)
    return len(apart) > 0 and bool(one[apart[0]] < other[apart[0]])


def _median(values: FloatArray, n: IntArray) -> float:
    """Return the median of a sample given by its distinct values and how often it has them."""
    reached, total = np.cumsum(n), int(n.sum())
    places = np.searchsorted(reached, [(total - 1) // 2, total // 2], side="right")
    return float(values[places].mean())


def _resampled_medians(values: FloatArray, n: IntArray, random: np.random.Generator) -> FloatArray:
    """Return the medians of RESAMPLES samples drawn with replacement, without drawing them.

    A film drawn with replacement is a uniform number U on (0, 1), looked up in the sorted films. So the k-th of N
    drawn films is the k-th of N uniform numbers, looked up, and that has the beta distribution (k, N - k + 1); the
    next one up is the smallest of N - k uniform numbers on what is left above it. See David and Nagaraja, Order
    Statistics (2003), chapter 2; Efron (1979), section 3, on the median.
    """
    reached, total = np.cumsum(n), int(n.sum())
    half = (total + 1) // 2
    middle = random.beta(half, total - half + 1, RESAMPLES)
    # For an even number of films the median lies half way between the two in the middle.
    above = middle + (1 - middle) * random.beta(1, half, RESAMPLES) if total % 2 == 0 else middle
    places = np.minimum((np.array([middle, above]) * total).astype(np.int64), total - 1)
    found: FloatArray = values[np.searchsorted(reached, places, side="right")].mean(axis=0)
    return found


def cliffs_delta(n_a: IntArray, n_b: IntArray) -> tuple[float, float, float, float]:
    """Return Cliff's delta, its 95 % interval (low, high) and z, from how many films of A and B have each value.

    n_a and n_b have shape (m,), in the order of the values: sorting has been done, and the rest takes O(m). Delta is
    the share of pairs in which A's film is higher minus the share in which B's is (Cliff, Psychological Bulletin 114
    (1993), 494-509). The interval is his asymmetric one with the unbiased variance (Cliff 1996; Feng and Cliff 2004);
    where one side lies wholly above the other the variance says nothing, and Wilson's interval of a share of 1 among
    as many films as the smaller side has takes its place. z is delta over its standard error if A and B were alike,
    with ties: the statistic of Mann and Whitney (1947). NaN where a side has no film.
    """
    total_a, total_b = int(n_a.sum()), int(n_b.sum())
    if min(total_a, total_b) == 0:
        return (float("nan"),) * 4
    # For each value: films of the other side below it minus those above it.
    over_b = 2 * np.cumsum(n_b) - n_b - total_b
    over_a = 2 * np.cumsum(n_a) - n_a - total_a
    pairs = float(total_a * total_b)
    delta = int((n_a * over_b).sum()) / pairs
    both, total = (n_a + n_b).astype(np.float64), total_a + total_b
    ties = float((both**3 - both).sum()) / (total * (total - 1.0))
    alike = max(total + 1 - ties, 0.0) / (3 * pairs)
    low, high = _delta_interval(delta, n_a, n_b, over_a / total_a, over_b / total_b)
    return delta, low, high, delta / float(np.sqrt(alike)) if alike > 0 else 0.0


def _delta_interval(
    delta: float, n_a: IntArray, n_b: IntArray, over_a: FloatArray, over_b: FloatArray
) -> tuple[float, float]:
    """Return Cliff's asymmetric 95 % interval of delta; over_b and over_a are a film's own deltas, by its value."""
    total_a, total_b = float(n_a.sum()), float(n_b.sum())
    if abs(delta) == 1:
        smaller = min(total_a, total_b)
        inner = (smaller - Z95**2) / (smaller + Z95**2)
        return (inner, 1.0) if delta > 0 else (-1.0, -inner)
    if min(total_a, total_b) < 2:
        return -1.0, 1.0
    rows = total_b**2 * float(n_a @ (over_b - delta) ** 2)
    columns = total_a**2 * float(n_b @ (-over_a - delta) ** 2)
    pairs = total_a * total_b
    single = pairs * (1 - delta**2) - float(n_a.astype(np.float64) @ n_b)
    variance = (rows + columns - single) / (pairs * (total_a - 1) * (total_b - 1))
    # Cliff's lower bound: the estimate can fall below what any two samples with this delta have.
    spread = Z95**2 * max(variance, (1 - delta**2) / (pairs - 1))
    room = float(np.sqrt(spread * ((1 - delta**2) ** 2 + spread)))
    scale = 1 - delta**2 + spread
    return max((delta - delta**3 - room) / scale, -1.0), min((delta - delta**3 + room) / scale, 1.0)


def _measures(counted: pd.DataFrame, films_a: int, films_b: int, random_state: int) -> pd.DataFrame:
    """Return the rows of a contrast for the measures that any film of A or B has."""
    rows = []
    for kind in MEASURES:
        mine = counted[counted["measure"] == kind]
        if mine.empty:
            continue
        values, n_a, n_b = mine["value"].to_numpy(np.float64), mine["n_a"].to_numpy(), mine["n_b"].to_numpy()
        found = difference(values, n_a, n_b, random_state)
        rows.append(
            {
                **{"kind": kind, "value": "", "n_a": found.n_a, "share_a": np.nan, "n_b": found.n_b},
                **{"share_b": np.nan, "median_a": found.median_a, "median_b": found.median_b},
                **{"difference": found.difference, "low": found.low, "high": found.high, "effect": found.delta},
                **{"effect_low": found.delta_low, "effect_high": found.delta_high, "z": found.z},
                **{"claim": found.claim, "coverage_a": _share(found.n_a, films_a)},
                "coverage_b": _share(found.n_b, films_b),
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
