import math

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from core import clustering, explain
from core.clustering import Clustering, Space
from core.movies import Catalogue

IntArray = NDArray[np.int64]

INTERVALS = ["share", "share_low", "share_high", "catalogue_share", "lift", "lift_low", "lift_high"]


def counts(*rows: tuple[int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["n_cluster", "n_all"]).assign(value=[f"v{i}" for i in range(len(rows))])


@pytest.fixture(scope="module")
def ten(documents: Space, weights: IntArray) -> Clustering:
    return clustering.fit(documents, weights, 10)


# Genres


def test_membership_by_hand() -> None:
    matrix, genres = explain.membership(["Drama", "Comedy, Drama", "Sci-Fi, War"])
    assert genres == ("Comedy", "Drama", "Sci-Fi", "War")
    assert matrix.tolist() == [[0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]
    assert explain.membership([])[1] == ()


def test_the_genre_table_is_that_of_pandas(catalogue: Catalogue, weights: IntArray, ten: Clustering) -> None:
    matrix, genres = explain.membership(catalogue.genre_lists)
    table = explain.genre_table(matrix, genres, weights, ten.labels)
    films = catalogue.rows().to_pandas().dropna(subset="list_id")
    films["cluster"] = ten.labels[films["list_id"].astype(int)]
    pairs = films[["movie_id", "cluster", "genres"]].explode("genres").drop_duplicates()
    counted = pairs.groupby(["cluster", "genres"]).size().unstack(fill_value=0).sort_index(axis=1)
    sizes = films.groupby("cluster").size()

    assert genres == tuple(counted.columns)
    assert table[["cluster", "genre"]].to_numpy().tolist() == [[k, g] for k in range(10) for g in genres]
    assert table["n_cluster"].tolist() == counted.to_numpy().reshape(-1).tolist()
    assert table["n_all"].tolist() == counted.sum().tolist() * 10
    share = (counted.div(sizes, axis=0)).to_numpy()
    overall = counted.sum().to_numpy() / len(films)
    assert np.allclose(table["share"], share.reshape(-1))
    assert np.allclose(table["catalogue_share"], np.tile(overall, 10))
    assert np.allclose(table["lift"], (share / overall).reshape(-1))
    assert (table["share_low"] <= table["share"]).all()
    assert (table["share_high"] >= table["share"]).all()
    seen = table[table["n_cluster"] > 0]
    assert (seen["lift_low"] <= seen["lift"]).all()
    assert (seen["lift_high"] >= seen["lift"]).all()


def test_lists_without_films_do_not_count() -> None:
    matrix, genres = explain.membership(["Drama", "Drama, War", "War"])
    weights, labels = np.array([3, 0, 2]), np.array([0, -1, 1])
    assert explain.genre_films(matrix, weights, labels).tolist() == [[3, 0], [0, 2]]
    table = explain.genre_table(matrix, genres, weights, labels)
    assert table["n_all"].tolist() == [3, 2, 3, 2]
    assert table["catalogue_share"].tolist() == [0.6, 0.4, 0.6, 0.4]


@pytest.mark.filterwarnings("error")
def test_without_any_film_the_genre_table_is_empty() -> None:
    matrix, genres = explain.membership(["Drama", "War"])
    table = explain.genre_table(matrix, genres, np.array([0, 0]), np.array([-1, -1]))
    assert table.empty
    assert {"cluster", "genre", "n_cluster", "n_all", *INTERVALS} == {*table.columns}


# Intervals


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3: Wilson's score without correction.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(successes: int, trials: int, low: float, high: float) -> None:
    found = explain.wilson(np.array([successes]), np.array([trials]))
    assert [round(float(bound[0]), 4) for bound in found] == [low, high]


@pytest.mark.filterwarnings("error")
def test_wilson_at_the_edges() -> None:
    low, high = explain.wilson(np.array([0.0, 0, 20, 1]), np.array([0.0, 20, 20, 1]))
    assert np.isnan(low[0])
    assert np.isnan(high[0])
    assert low[1] == 0
    assert high[2] == 1
    assert round(float(low[2]), 4) == round(1 - 0.1611, 4)
    assert 0 < low[3] < high[3] <= 1


def log_lift(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lift from the four cells (in cluster with value, in cluster without, outside with, outside without)."""
    a, b, c, _ = np.moveaxis(cells, -1, 0)
    return np.asarray(np.log(a * cells.sum(axis=-1) / ((a + b) * (a + c))))


@pytest.mark.parametrize("cells", [(30, 70, 100, 800), (5, 20, 7, 968), (400, 100, 300, 200), (50, 50, 450, 450)])
def test_the_variance_of_log_lift_is_that_of_the_delta_method(cells: tuple[int, ...]) -> None:
    counted = np.array(cells, dtype=np.float64)
    total = counted.sum()
    share = counted / total
    steps = np.eye(4) * 1e-5
    gradient = np.array([(log_lift(share + s) - log_lift(share - s)) / 2e-5 for s in steps])
    covariance = (np.diag(share) - np.outer(share, share)) / total
    expected = math.sqrt(gradient @ covariance @ gradient)
    a, b, c, _ = cells
    (row,) = explain.compare(counts((a, a + c)), a + b, int(total)).to_dict("records")
    assert row["lift"] == pytest.approx(math.exp(log_lift(counted)))
    for bound in (row["lift_high"] / row["lift"], row["lift"] / row["lift_low"]):
        assert math.log(bound) / explain.Z95 == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "shares", [(0.06, 0.04, 0.2, 0.7), (0.02, 0.08, 0.1, 0.8), (0.2, 0.05, 0.3, 0.45)], ids=["lift 2.3", "1.7", "1.6"]
)
def test_the_lift_interval_covers_the_truth_95_times_in_100(shares: tuple[float, ...]) -> None:
    lot = np.random.default_rng(1)
    cells = lot.multinomial(1500, shares, size=6000)
    a, b, c, _ = cells.T
    table = explain.compare(pd.DataFrame({"n_cluster": a, "n_all": a + c}), (a + b).astype(np.float64), 1500)
    truth = math.exp(log_lift(np.array(shares)))
    covered = ((table["lift_low"] <= truth) & (truth <= table["lift_high"])).mean()
    assert 0.94 < covered < 0.96  # the standard error of such a share is 0.003
    # and it errs on both sides alike
    assert 0.015 < (table["lift_low"] > truth).mean() < 0.035
    assert 0.015 < (table["lift_high"] < truth).mean() < 0.035


@pytest.mark.filterwarnings("error")
def test_compare_at_the_edges() -> None:
    nothing, everything, unknown = explain.compare(counts((0, 10), (50, 100), (0, 0)), 50, 100).to_dict("records")
    assert nothing["lift"] == nothing["lift_low"] == 0
    assert math.isnan(nothing["lift_high"])
    assert nothing["share_low"] == 0
    assert nothing["share_high"] > 0
    assert everything["share"] == everything["lift"] == 1  # every film has it, so nothing is uncertain
    assert everything["lift_low"] == pytest.approx(1)
    assert everything["lift_high"] == pytest.approx(1)
    assert math.isnan(unknown["lift"])
    assert unknown["catalogue_share"] == 0
    assert explain.compare(counts((0, 0)), 0, 0)[INTERVALS].isna().sum().sum() >= 5


def test_compare_adds_to_a_copy() -> None:
    counted = counts((5, 10))
    table = explain.compare(counted, 20, 100)
    assert list(counted.columns) == ["n_cluster", "n_all", "value"]
    assert list(table.columns) == [*counted.columns, *INTERVALS]
    assert table["lift"].tolist() == [2.5]


def test_shares_of_years() -> None:
    years = pd.DataFrame({"year": [1999, 2000], "n_cluster": [15, 0], "n_all": [148, 20]})
    table = explain.year_shares(years)
    assert table["share"].tolist() == [15 / 148, 0]
    assert table["share_low"].round(4).tolist() == [0.0624, 0]
    assert table["share_high"].round(4).tolist() == [0.1605, 0.1611]
    assert table["year"].tolist() == [1999, 2000]
    assert explain.year_shares(years[:0]).empty


# What stands out


def test_what_stands_out_is_sure_and_in_order() -> None:
    counted = counts((4, 4), (5, 5), (40, 60), (90, 400), (20, 200), (8, 9), (50, 500), (0, 100), (30, 60))
    table = explain.standing_out(counted, 100, 1000)
    every = explain.compare(counted, 100, 1000)
    sure = every[(every["n_cluster"] >= explain.MIN_FILMS) & (every["lift_low"] > 1)]
    assert set(table["value"]) == set(sure["value"])
    assert "v0" not in set(table["value"])  # four films are too few, whatever their lift
    assert not {"v6", "v7"} & set(table["value"])  # as common as anywhere, and not there at all
    assert table["lift_low"].tolist() == sorted(sure["lift_low"], reverse=True)
    assert table.index.tolist() == list(range(len(table)))
    assert "v0" in set(explain.standing_out(counted, 100, 1000, min_films=4)["value"])


def test_of_equally_sure_values_the_one_with_more_films_comes_first() -> None:
    counted = counts((10, 10), (20, 20))
    table = explain.compare(counted, 100, 1000)
    assert table["lift_low"][1] == table["lift_low"][0] > 1
    assert explain.standing_out(counted, 100, 1000)["n_cluster"].tolist() == [20, 10]


@pytest.mark.filterwarnings("error")
def test_nothing_stands_out_of_nothing() -> None:
    assert explain.standing_out(counts(), 0, 0).empty
    assert explain.standing_out(counts((1, 5)), 100, 1000).empty


def test_what_stands_out_in_a_shipped_cluster(catalogue: Catalogue, weights: IntArray, ten: Clustering) -> None:
    for cluster in range(10):
        counted, n_cluster, n_all = catalogue.shares("countries", ten.labels, cluster)
        table = explain.standing_out(counted, n_cluster, n_all)
        assert (table["lift_low"] > 1).all()
        assert (table["n_cluster"] >= 5).all()
        expected = (counted["n_cluster"] / n_cluster) / (counted["n_all"] / n_all)
        found = table.set_index("value")["lift"]
        assert np.allclose(found, expected.set_axis(counted["value"])[found.index])


# Typical and borderline


def test_typical_lists_are_the_nearest(documents: Space, ten: Clustering) -> None:
    for cluster in range(10):
        members = np.flatnonzero(ten.labels == cluster)
        away = np.linalg.norm(documents.vectors - ten.centers[cluster], axis=1)
        found = explain.typical(ten, cluster)
        assert len(found) == min(10, len(members))
        assert {*found} <= {*members}
        assert np.allclose(away[found], np.sort(away[members])[:10], atol=1e-7)


def test_borderline_lists_have_the_smallest_margin(ten: Clustering) -> None:
    for cluster in range(10):
        members = np.flatnonzero(ten.labels == cluster)
        found = explain.borderline(ten, cluster, n=5)
        assert ten.margin[found].tolist() == sorted(ten.margin[members])[:5]
        assert {*found} <= {*members}


def test_a_single_cluster_has_no_borderline() -> None:
    weights = np.array([1, 2])
    one = clustering.fit(clustering.space(np.ones((2, 3), dtype=np.float32), weights), weights, 2)
    assert explain.borderline(one, 0).tolist() == []
    assert explain.typical(one, 0).tolist() == [0, 1]


def test_smoothed_shares_weigh_years_by_their_films() -> None:
    years = pd.DataFrame({"year": [2000, 2001, 2002], "n_cluster": [1, 50, 0], "n_all": [1, 100, 1]})
    smooth = explain.smoothed_shares(years)
    assert abs(smooth["smooth"] - 0.5).max() < 0.02  # single films do not move it
    # By the formula, one film at a time.
    films = [(year, k < hits) for year, hits, n in years.itertuples(index=False) for k in range(n)]
    for row in smooth.itertuples():
        weights = np.array([np.exp(-0.5 * ((year - row.year) / 2) ** 2) for year, _ in films])
        share = sum(weight for weight, (_, hit) in zip(weights, films, strict=True) if hit) / weights.sum()
        low, high = explain.wilson(*(np.array([x * weights.sum() ** 2 / (weights**2).sum()]) for x in (share, 1.0)))
        assert np.allclose([row.smooth, row.smooth_low, row.smooth_high], [share, low[0], high[0]])
    assert (smooth["smooth_low"] <= smooth["smooth"]).all()
    assert (smooth["smooth"] <= smooth["smooth_high"]).all()


def test_a_year_far_from_all_others_keeps_its_own_share() -> None:
    years = pd.DataFrame({"year": [1900, 2000], "n_cluster": [3, 10], "n_all": [4, 40]})
    smooth = explain.smoothed_shares(years)
    assert np.allclose(smooth["smooth"], [0.75, 0.25])
    assert np.allclose(smooth["smooth_low"], explain.wilson(np.array([3.0, 10.0]), np.array([4.0, 40.0]))[0])


def test_nothing_to_smooth() -> None:
    nothing = pd.DataFrame({"year": [], "n_cluster": [], "n_all": []})
    assert explain.smoothed_shares(nothing).empty


def test_an_empty_genre_list_has_no_genre() -> None:
    matrix, genres = explain.membership(["", "Drama, War", ""])
    assert genres == ("Drama", "War")
    assert matrix.tolist() == [[0, 0], [1, 1], [0, 0]]


def test_a_lift_surely_above_one_is_enough_to_stand_out() -> None:
    counted = counts((60, 400), (45, 400))
    every = explain.compare(counted, 100, 1000)
    assert 1 < every["lift_low"][0] < 1.5
    assert every["lift_low"][1] < 1 < every["lift"][1]
    assert explain.standing_out(counted, 100, 1000)["value"].tolist() == ["v0"]


def test_no_share_is_above_one() -> None:
    films = np.arange(1, 3000, dtype=np.float64)
    assert (explain.wilson(films, films)[1] == 1).all()


def test_films_are_counted_in_whole_numbers() -> None:
    films = explain.genre_films(np.array([[1.0, 0], [1, 1]]), np.array([3, 4]), np.array([0, 1]))
    assert films.dtype == np.int64
    assert films.tolist() == [[3, 0], [4, 4]]
