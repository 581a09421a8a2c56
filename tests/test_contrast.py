import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from core import contrast, movies
from core.analysis import Analysis
from core.movies import Catalogue, Filters

Film = dict[str, Any]
IntArray = NDArray[np.int64]

KIND_COLUMNS = {kind: kind for kind in contrast.KINDS if kind != "decades"}
SIGNED = ("difference", "effect", "z")
MIRRORED = (("low", "high"), ("effect_low", "effect_high"))
SIDES = (("n_a", "n_b"), ("share_a", "share_b"), ("median_a", "median_b"), ("coverage_a", "coverage_b"))


def counted(*rows: tuple[int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["n_a", "n_b"]).assign(value=[f"v{i}" for i in range(len(rows))])


def compared(a: Any, b: Any, random_state: int = 0) -> contrast.Difference:
    """The difference of two samples."""
    one, other = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return contrast.difference(*contrast.distribution(one, other), random_state)


def swapped(table: pd.DataFrame) -> pd.DataFrame:
    """The table that A and B the other way round should give."""
    other = table.copy()
    for name in SIGNED:
        other[name] = 0.0 - table[name]
    for low, high in MIRRORED:
        other[low], other[high] = 0.0 - table[high], 0.0 - table[low]
    for one, two in SIDES:
        other[one], other[two] = table[two], table[one]
    return other


@pytest.fixture(scope="module")
def pair(catalogue: Catalogue, analysed: Analysis) -> pd.DataFrame:
    return contrast.contrast(catalogue, analysed.clustering.labels, 6, 4)


@pytest.fixture(scope="module")
def rest(catalogue: Catalogue, analysed: Analysis) -> pd.DataFrame:
    return contrast.contrast(catalogue, analysed.clustering.labels, 9)


# Log-odds


def test_log_odds_by_hand() -> None:
    # 30 of 100 films against 20 of 300; the prior adds 10 and 30 films, of which an eighth (50 of 400) has the value:
    # 31.25 have and 78.75 have not, against 23.75 and 306.25
    (row,) = contrast.log_odds(counted((30, 20)), 100, 300).to_dict("records")
    assert row["log_odds"] == pytest.approx(math.log(31.25 / 78.75) - math.log(23.75 / 306.25))
    assert row["log_odds"] == pytest.approx(1.6326, abs=5e-5)
    assert row["se"] == pytest.approx(math.sqrt(1 / 31.25 + 1 / 78.75 + 1 / 23.75 + 1 / 306.25))
    assert row["z"] == pytest.approx(row["log_odds"] / row["se"])
    # -0.924259 + 2.556820 over the root of 0.032 + 0.012698 + 0.042105 + 0.003265 = 0.090069
    assert row["z"] == pytest.approx(5.4398, abs=5e-5)
    assert row["low"] == pytest.approx(row["log_odds"] - 1.959964 * row["se"])
    assert row["high"] == pytest.approx(row["log_odds"] + 1.959964 * row["se"])
    assert row["claim"]


def fightin_words(y_i: int, y_j: int, n_i: int, n_j: int, prior: float) -> tuple[float, float, float]:
    """Monroe, Colaresi and Quinn (2008) word for word: delta (16), its variance (18 and 19) and zeta (22)."""
    pi = (y_i + y_j) / (n_i + n_j)
    terms, variance = [], 0.0
    for y, n in ((y_i, n_i), (y_j, n_j)):
        alpha_0 = prior * n
        alpha_w = alpha_0 * pi  # (23)
        terms.append(math.log((y + alpha_w) / (n + alpha_0 - y - alpha_w)))
        variance += 1 / (y + alpha_w) + 1 / (n + alpha_0 - y - alpha_w)
    delta = terms[0] - terms[1]
    return delta, variance, delta / math.sqrt(variance)


@pytest.mark.parametrize("prior", [0.01, 0.1, 1.0])
def test_log_odds_are_those_of_the_paper(prior: float) -> None:
    lot = np.random.default_rng(4)
    n_i, n_j = 250, 4000
    rows = [(int(lot.integers(0, n_i)), int(lot.integers(0, n_j))) for _ in range(200)]
    rows += [(0, 5), (5, 0), (250, 3999), (249, 4000)]
    table = contrast.log_odds(counted(*rows), n_i, n_j, prior)
    expected = np.array([fightin_words(*row, n_i, n_j, prior) for row in rows])
    assert np.allclose(table[["log_odds", "z"]], expected[:, [0, 2]], rtol=1e-11)
    assert np.allclose(table["se"] ** 2, expected[:, 1], rtol=1e-11)


def test_equal_shares_have_no_log_odds_whatever_the_sizes() -> None:
    table = contrast.log_odds(counted((9, 900), (1, 100), (5, 500)), 10, 1000)
    assert table["log_odds"].abs().max() < 1e-12
    assert not table["claim"].any()


@pytest.mark.filterwarnings("error")
def test_too_few_films_claim_nothing() -> None:
    # five against none are enough, where ten times as many could have had it; four are not
    assert contrast.log_odds(counted((5, 0), (400, 0)), 1000, 10_000)["claim"].tolist() == [True, True]
    table = contrast.log_odds(counted((4, 0), (2, 3), (1, 4)), 1000, 100_000)
    assert (table["low"] > 0).all()
    assert not table["claim"].any()
    assert contrast.log_odds(counted((10, 0)), 10, 10)["claim"].tolist() == [True]
    assert contrast.log_odds(counted((9, 0)), 9, 1000)["claim"].tolist() == [False]  # nine films are too few for a side
    assert contrast.log_odds(counted((0, 0)), 100, 100)["log_odds"].isna().tolist() == [True]
    everyone = contrast.log_odds(counted((100, 30)), 100, 30)
    assert everyone["z"].isna().tolist() == [True]
    assert everyone["claim"].tolist() == [False]
    for sides in ((0, 50), (0, 0)):
        assert not contrast.log_odds(counted((0, 20)), *sides)["claim"].any()


@pytest.mark.parametrize("share", [0.002, 0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize(("n_a", "n_b"), [(750, 16_000), (1300, 1300), (30, 2000)])
def test_where_nothing_differs_at_most_one_in_twenty_intervals_says_so(share: float, n_a: int, n_b: int) -> None:
    lot = np.random.default_rng(5)
    table = contrast.log_odds(
        pd.DataFrame({"n_a": lot.binomial(n_a, share, 4000), "n_b": lot.binomial(n_b, share, 4000)}), n_a, n_b
    )
    assert ((table["low"] > 0) | (table["high"] < 0)).mean() < 0.055
    assert table["claim"].mean() < 0.055
    if n_a * share > 50:  # and it is not just timid
        assert ((table["low"] > 0) | (table["high"] < 0)).mean() > 0.03


def test_discoveries_are_those_of_scipy() -> None:
    lot = np.random.default_rng(6)
    for _ in range(20):
        z = np.concatenate([lot.normal(size=200), lot.normal(3, 1, size=int(lot.integers(0, 60)))])
        expected = stats.false_discovery_control(2 * stats.norm.sf(np.abs(z))) <= 0.05
        assert contrast.discoveries(z).tolist() == expected.tolist()
        assert contrast.discoveries(-z).tolist() == expected.tolist()
    assert contrast.discoveries(np.array([np.nan, 9.0])).tolist() == [False, True]
    assert contrast.discoveries(np.array([])).tolist() == []


# Measures


def by_pairs(a: list[float], b: list[float]) -> float:
    return sum((x > y) - (x < y) for x in a for y in b) / (len(a) * len(b))


@pytest.mark.parametrize("seed", range(30))
def test_cliffs_delta_is_that_of_all_pairs(seed: int) -> None:
    lot = np.random.default_rng(seed)
    a = lot.integers(0, lot.integers(2, 40), size=lot.integers(1, 60)).astype(float)
    b = lot.integers(0, 30, size=lot.integers(1, 60)).astype(float) + lot.integers(-3, 3)
    found = compared(a, b)
    assert found.delta == pytest.approx(by_pairs(a.tolist(), b.tolist()), abs=1e-14)
    assert -1 <= found.delta_low <= found.delta <= found.delta_high <= 1
    assert (found.median_a, found.median_b) == (np.median(a), np.median(b))
    if len({*a, *b}) > 1:
        test = stats.mannwhitneyu(a, b, use_continuity=False, method="asymptotic")
        assert 2 * stats.norm.sf(abs(found.z)) == pytest.approx(test.pvalue, rel=1e-9)
        assert np.sign(found.z) == np.sign(found.delta)


def test_the_variance_of_cliffs_delta_is_that_of_its_dominance_matrix() -> None:
    lot = np.random.default_rng(2)
    a, b = lot.integers(0, 12, 23).astype(float), lot.integers(2, 15, 31).astype(float)
    dominance = np.sign(a[:, None] - b[None])
    delta, (m, n) = dominance.mean(), dominance.shape
    rows = n**2 * ((dominance.mean(axis=1) - delta) ** 2).sum()
    columns = m**2 * ((dominance.mean(axis=0) - delta) ** 2).sum()
    variance = (rows + columns - ((dominance - delta) ** 2).sum()) / (m * n * (m - 1) * (n - 1))
    z = 1.959963984540054
    room = z * math.sqrt(variance) * math.sqrt((1 - delta**2) ** 2 + z**2 * variance)
    found = compared(a, b)
    for bound, sign in ((found.delta_low, -1), (found.delta_high, 1)):
        assert bound == pytest.approx((delta - delta**3 + sign * room) / (1 - delta**2 + z**2 * variance), rel=1e-12)


def test_cliffs_interval_is_the_published_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # the example of R's package effsize, which takes Student's t with 14 degrees of freedom for the normal quantile
    monkeypatch.setattr(contrast, "Z95", float(stats.t.ppf(0.975, 14)))
    found = compared([10, 10, 20, 20, 20, 30, 30, 30, 40, 50], [10, 20, 30, 40, 40, 50])
    assert found.delta == -0.25
    assert (found.delta_low, found.delta_high) == (pytest.approx(-0.7265846), pytest.approx(0.3890062))


@pytest.mark.filterwarnings("error")
def test_cliffs_delta_at_the_edges() -> None:
    apart = compared([5, 6, 7, 8], [1, 2])
    assert (apart.delta, apart.delta_high) == (1, 1)
    assert -1 < apart.delta_low < 0  # two films against four prove little
    below = compared([1, 2], [5, 6, 7, 8])
    assert (below.delta, below.delta_low, below.delta_high) == (-1, -1, -apart.delta_low)
    alike = compared([3, 3, 3], [3, 3])
    assert (alike.delta, alike.z, alike.difference) == (0, 0, 0)
    single = compared([2], [1, 3])
    assert (single.delta_low, single.delta_high) == (-1, 1)
    none = compared([], [1, 2])
    assert (none.n_a, none.n_b, none.median_b) == (0, 2, 1.5)
    assert math.isnan(none.delta)
    assert math.isnan(none.low)
    assert not none.claim
    assert compared([np.nan, 1], [2, np.nan, np.nan]).n_b == 1


@pytest.mark.parametrize("size", [1, 2, 7, 8, 60])
def test_medians_of_resamples_are_those_of_drawn_samples(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contrast, "RESAMPLES", 20_000)
    lot = np.random.default_rng(7)
    sample = lot.integers(0, 10, size).astype(float)
    drawn = np.median(lot.choice(sample, (20_000, size)), axis=1)
    values, n, _ = contrast.distribution(sample, np.zeros(0))
    found = contrast._resampled_medians(values, n, np.random.default_rng(8))
    for value in {*drawn.tolist(), *found.tolist()}:
        assert (found <= value).mean() == pytest.approx((drawn <= value).mean(), abs=0.02)


@pytest.mark.parametrize(("n_a", "n_b"), [(25, 40), (200, 75)])
@pytest.mark.parametrize("whole", [False, True])
def test_the_bootstrap_interval_covers_the_truth_95_times_in_100(
    n_a: int, n_b: int, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contrast, "RESAMPLES", 1000)
    lot = np.random.default_rng(9)
    covered = 0
    for _ in range(600):
        a, b = lot.normal(62, 20, n_a), lot.normal(50, 15, n_b)
        found = compared(np.rint(a), np.rint(b)) if whole else compared(a, b)
        covered += found.low <= 12 <= found.high
    assert 0.92 < covered / 600 < 0.985  # the standard error of such a share is 0.009


def test_the_interval_hardly_depends_on_the_seed() -> None:
    lot = np.random.default_rng(1)
    a, b = lot.normal(62, 20, 300), lot.normal(50, 15, 100)
    found = [compared(a, b, seed) for seed in range(5)]
    assert found[0] == compared(a, b, 0)
    assert len({one.low for one in found}) > 1
    width = found[0].high - found[0].low
    assert max(one.low for one in found) - min(one.low for one in found) < 0.1 * width


@pytest.mark.parametrize("seed", range(10))
def test_turned_round_a_difference_changes_its_sign_and_nothing_else(seed: int) -> None:
    lot = np.random.default_rng(seed)
    a = lot.integers(0, 30, 12 if seed % 2 else 20).astype(float)
    b = lot.integers(5, 40, 20).astype(float)
    one, other = compared(a, b), compared(b, a)
    assert (one.difference, one.low, one.high) == (-other.difference, -other.high, -other.low)
    assert (one.delta, one.z) == (-other.delta, -other.z)
    assert (one.delta_low, one.delta_high) == (pytest.approx(-other.delta_high), pytest.approx(-other.delta_low))


def test_a_measure_of_few_films_claims_nothing() -> None:
    high, low = list(range(100, 150)), list(range(50))
    assert compared(high, low).claim
    assert compared(high[:10], low).claim
    assert not compared(high[:9], low).claim
    assert not compared(low, low).claim


def test_a_million_films_are_no_trouble() -> None:
    lot = np.random.default_rng(3)
    found = compared(lot.normal(1, 1, 600_000), lot.normal(0, 1, 400_000))
    assert found.low < 1 < found.high
    assert found.high - found.low < 0.02
    assert found.delta == pytest.approx(2 * stats.norm.cdf(1 / math.sqrt(2)) - 1, abs=0.005)


# All together


def plain_side(plain_films: list[Film], catalogue: Catalogue, labels: IntArray) -> Callable[[Film], int]:
    by_list = dict(zip(catalogue.genre_lists, labels.tolist(), strict=True))
    return lambda film: by_list.get(film["genre_list"], -1)


@pytest.mark.parametrize("b", [4, None])
@pytest.mark.parametrize("filters", [Filters(), Filters(years=(1960, 1999), min_reviews=5)], ids=str)
def test_rows_are_those_of_plain_python(
    catalogue: Catalogue, plain_films: list[Film], analysed: Analysis, b: int | None, filters: Filters
) -> None:
    labels = analysed.clustering.labels
    cluster_of = plain_side(plain_films, catalogue, labels)
    left = [
        film
        for film in plain_films
        if filters.years is None or (1960 <= film["year"] <= 1999 and (film["reviews"] or 0) >= 5)
    ]
    a_films = [film for film in left if cluster_of(film) == 6]
    b_films = [film for film in left if film["genre_list"] and (cluster_of(film) == b if b else cluster_of(film) != 6)]
    table = contrast.contrast(catalogue, labels, 6, b, filters)
    rows = {(row["kind"], row["value"]): row for row in table.to_dict("records")}
    assert len(rows) == len(table) > 500
    expected = set()
    for kind in contrast.KINDS:

        def values(film: Film, kind: str = kind) -> set[str]:
            return {f"{film['year'] // 10 * 10}s"} if kind == "decades" else {*film[kind]}

        mine, theirs = (Counter(v for film in side for v in values(film)) for side in (a_films, b_films))
        known_a, known_b = (sum(bool(values(film)) for film in side) for side in (a_films, b_films))
        for value in {*mine, *theirs}:
            if mine[value] + theirs[value] < 5:
                continue
            expected.add((kind, value))
            row = rows[kind, value]
            assert (row["n_a"], row["n_b"]) == (mine[value], theirs[value])
            assert row["share_a"] == pytest.approx(mine[value] / known_a)
            assert row["effect"] == pytest.approx(mine[value] / known_a - theirs[value] / known_b)
            assert row["coverage_a"] == pytest.approx(known_a / len(a_films))
            assert row["coverage_b"] == pytest.approx(known_b / len(b_films))
    for kind in contrast.MEASURES:
        one, other = ([film[kind] for film in side if film[kind] is not None] for side in (a_films, b_films))
        row = rows[kind, ""]
        expected.add((kind, ""))
        assert (row["n_a"], row["n_b"]) == (len(one), len(other))
        assert (row["median_a"], row["median_b"]) == (np.median(one), np.median(other))
        assert row["difference"] == np.median(one) - np.median(other)
        assert row["coverage_b"] == pytest.approx(len(other) / len(b_films))
    assert {*rows} == expected


def test_rows_are_sorted_by_how_much_they_tell_apart(pair: pd.DataFrame, rest: pd.DataFrame) -> None:
    for table in (pair, rest):
        assert tuple(table.columns) == contrast.COLUMNS
        assert table.index.tolist() == list(range(len(table)))
        z = table["z"].abs().fillna(-1).tolist()
        assert z == sorted(z, reverse=True)
        assert not table.duplicated(["kind", "value"]).any()
        claimed = table[table["claim"]]
        assert len(claimed) > 20
        assert ((claimed["low"] > 0) | (claimed["high"] < 0)).all()
        assert (np.sign(claimed["difference"]) == np.sign(claimed["z"])).all()
        assert claimed["effect"].between(-1, 1).all()
        more = claimed["n_a"].where(claimed["difference"] > 0, claimed["n_b"])
        assert (more >= 5).all()
    assert pair.loc[0, ["kind", "value"]].tolist() == ["genres", "Drama"]
    assert rest.loc[0, ["kind", "value"]].tolist() == ["genres", "Horror"]


def test_effects_lie_in_their_intervals(pair: pd.DataFrame) -> None:
    assert (pair["effect_low"] <= pair["effect"] + 1e-12).all()
    assert (pair["effect_high"] >= pair["effect"] - 1e-12).all()
    # Newcombe (1998), Statistics in Medicine 17, 873-890, table II, method 10: 56 of 70 against 48 of 80
    row = contrast._values(counted((56, 48)), 70, 80).iloc[0]
    assert row[["effect", "effect_low", "effect_high"]].astype(float).round(4).tolist() == [0.2, 0.0524, 0.3339]


def test_turned_round_only_the_signs_change(catalogue: Catalogue, analysed: Analysis, pair: pd.DataFrame) -> None:
    other = contrast.contrast(catalogue, analysed.clustering.labels, 4, 6)
    pd.testing.assert_frame_equal(other, swapped(pair), check_exact=False, rtol=1e-12, atol=1e-12, check_dtype=False)


def test_a_cluster_differs_from_itself_in_nothing(catalogue: Catalogue, analysed: Analysis) -> None:
    for cluster in (0, 5, 11):
        table = contrast.contrast(catalogue, analysed.clustering.labels, cluster, cluster)
        assert len(table) > 100
        assert not table["claim"].any()
        assert (table["z"].fillna(0) == 0).all()
        assert (table["difference"].fillna(0) == 0).all()


def test_a_few_films_claim_nothing(catalogue: Catalogue, weights: IntArray) -> None:
    labels = np.ones(len(weights), dtype=np.int64)
    labels[np.flatnonzero(weights == 3)[:3]] = 0
    for table in (contrast.contrast(catalogue, labels, 0), contrast.contrast(catalogue, labels, 0, 1)):
        assert len(table) > 1000
        assert not table["claim"].any()


def test_of_films_chosen_by_lot_hardly_an_actor_is_claimed(catalogue: Catalogue, plain_films: list[Film]) -> None:
    lot = np.random.default_rng(0)
    films = [film for film in plain_films if film["cast"]]
    codes, _ = pd.factorize(np.array([v for film in films for v in {*film["cast"]}], dtype=object))
    owner = np.repeat(np.arange(len(films)), [len({*film["cast"]}) for film in films])
    told, alone = [], []
    for _ in range(20):
        chosen = lot.permutation(len(films)) < 750
        n_a, n_all = (np.bincount(codes[mask], minlength=codes.max() + 1) for mask in (chosen[owner], owner >= 0))
        table = contrast.log_odds(pd.DataFrame({"n_a": n_a, "n_b": n_all - n_a}), 750, len(films) - 750)
        table = table[n_all >= 5]
        told.append(table["claim"] & contrast.discoveries(table["z"].to_numpy()))
        alone.append(table["claim"])
    assert np.sum(alone) / 20 > 10  # what intervals by themselves would claim of some 10,000 actors
    assert np.sum(told) / 20 < 0.5


@pytest.mark.filterwarnings("error")
def test_without_films_there_are_no_rows(catalogue: Catalogue, analysed: Analysis) -> None:
    labels = analysed.clustering.labels
    nobody = Filters(years=(1, 2))
    table = contrast.contrast(catalogue, labels, 0, 1, nobody)
    assert table.empty
    assert tuple(table.columns) == contrast.COLUMNS
    one_sided = contrast.contrast(catalogue, labels, 0, 99)
    assert len(one_sided) > 100
    assert not one_sided["claim"].any()


def test_kinds_can_be_chosen_and_rare_values_asked_for(catalogue: Catalogue, analysed: Analysis) -> None:
    labels = analysed.clustering.labels
    table = contrast.contrast(catalogue, labels, 0, 1, kinds=("writers",), min_films=1)
    assert {*table["kind"]} == {"writers", *contrast.MEASURES}
    assert (table["n_a"] + table["n_b"]).min() == 1
    with pytest.raises(ValueError, match=r"^titles is not one of genres, "):
        contrast.contrast(catalogue, labels, 0, 1, kinds=("titles",))
    assert {*contrast.KINDS} < {*movies.KINDS}


def test_the_films_behind_each_row_can_be_opened(catalogue: Catalogue, analysed: Analysis, pair: pd.DataFrame) -> None:
    labels = analysed.clustering.labels
    for row in pair[pair["claim"] | (pair["value"] == "")].groupby("kind").head(3).to_dict("records"):
        films = catalogue.contrast_films(row["kind"], row["value"], labels, 6, 4)
        assert (films["in_a"].sum(), films["in_b"].sum()) == (row["n_a"], row["n_b"])
