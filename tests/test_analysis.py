import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from core import analysis, clustering, diagnostics, embeddings, encoders, explain, movies
from core.analysis import Analysis
from core.clustering import Space
from core.movies import Catalogue, Counts, Filters

IntArray = NDArray[np.int64]

NINETIES = Filters(years=(1990, 1999), countries=("France", "UK"))
NOTHING = Filters(years=(1800, 1801))


@pytest.fixture
def open_lists(tmp_path: Path) -> Iterator[Callable[[list[str | None]], tuple[Catalogue, Space]]]:
    """A way to open films of one's own by their genre lists, in the space of the baseline."""
    opened: list[Catalogue] = []

    def open_films(lists: list[str | None]) -> tuple[Catalogue, Space]:
        path = tmp_path / f"films{len(opened)}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([["title", "genres"], *(["A", text or ""] for text in lists)])
        catalogue = movies.open_catalogue(path)
        opened.append(catalogue)
        vectors = embeddings.multi_hot(catalogue.genre_lists)
        space = embeddings.post_process(vectors, encoders.get(encoders.BASELINE))
        return catalogue, clustering.space(space, catalogue.weights())

    yield open_films
    for catalogue in opened:
        catalogue.connection.close()


@pytest.fixture(scope="module")
def lists(catalogue: Catalogue, documents: Space, analysed: Analysis) -> pd.DataFrame:
    return analysis.list_table(catalogue, analysed, documents.xy)


@pytest.fixture(scope="module")
def clusters(catalogue: Catalogue, analysed: Analysis, lists: pd.DataFrame) -> pd.DataFrame:
    measures = catalogue.cluster_measures(analysed.clustering.labels)
    return analysis.cluster_table(analysed, lists, measures)


def test_an_analysis_is_made_of_its_parts(
    catalogue: Catalogue, documents: Space, weights: IntArray, analysed: Analysis
) -> None:
    found = clustering.fit(documents, weights, 12)
    matrix, genres = explain.membership(catalogue.genre_lists)
    assert analysed.counts == Counts(17_472, 443)
    assert analysed.n_lists == 1187
    assert np.array_equal(analysed.weights, weights)
    assert np.array_equal(analysed.clustering.labels, found.labels)
    assert analysed.silhouette.overall == diagnostics.silhouette(documents.vectors, weights, found.labels).overall
    assert analysed.coherence.overall == diagnostics.coherence(matrix, weights, found.labels).overall
    pd.testing.assert_frame_equal(analysed.genres, explain.genre_table(matrix, genres, weights, found.labels))
    assert len({name.text for name in analysed.names}) == 12
    assert analysed.notice() is None
    assert analysed.seconds > 0


def test_the_figures_of_the_shipped_films(analysed: Analysis) -> None:
    assert analysed.coherence.overall == pytest.approx(0.62, abs=0.015)  # measured beforehand at k = 12
    assert 0.3 < analysed.silhouette.overall < 0.6


def test_an_analysis_of_some_films(catalogue: Catalogue, documents: Space) -> None:
    found = analysis.analyse(catalogue, documents, 6, random_state=3, filters=NINETIES)
    left = catalogue.weights(NINETIES)
    assert found.counts == catalogue.counts(NINETIES)
    assert found.n_lists == (left > 0).sum()
    assert found.clustering.sizes.sum() == found.counts.clustered == left.sum()
    assert found.clustering.random_state == 3
    assert found.genres.groupby("cluster")["catalogue_share"].max().nunique() == 1
    films = catalogue.films(found.clustering.labels, cluster=2, filters=NINETIES)
    assert len(films) == found.clustering.sizes[2]


@pytest.mark.parametrize(
    ("lists", "notice"),
    [
        (["War", "Drama", "Drama, War", None], None),
        (
            ["War", "Drama", None],
            "There are 2 clusters instead of 3, because these films have only 2 different genre lists",
        ),
        (["War", "War"], "There is 1 cluster instead of 3, because these films have only 1 genre list"),
        ([None, None], "No film under these filters has a genre, so there is nothing to cluster."),
        ([], "No film under these filters has a genre, so there is nothing to cluster."),
    ],
    ids=["enough", "two", "one", "films without genres", "no films"],
)
@pytest.mark.filterwarnings("error")
def test_a_notice_says_why_there_are_fewer_clusters(
    open_lists: Callable[[list[str | None]], tuple[Catalogue, Space]], lists: list[str | None], notice: str | None
) -> None:
    catalogue, space = open_lists(lists)
    found = analysis.analyse(catalogue, space, 3)
    assert found.counts == Counts(len(lists), lists.count(None))
    assert found.n_lists == found.clustering.n_clusters == len({*lists} - {None})
    said = found.notice()
    assert said == notice if said is None or notice is None else said.startswith(notice)


@pytest.mark.filterwarnings("error")
def test_without_films_there_is_an_empty_analysis(catalogue: Catalogue, documents: Space) -> None:
    nothing = analysis.analyse(catalogue, documents, 5, filters=NOTHING)
    assert nothing.counts == Counts(0, 0)
    assert nothing.n_lists == nothing.clustering.n_clusters == 0
    assert nothing.names == ()
    assert nothing.genres.empty
    assert np.isnan(nothing.silhouette.overall)
    assert np.isnan(nothing.coherence.overall)
    assert nothing.notice() == "No film under these filters has a genre, so there is nothing to cluster."
    lists = analysis.list_table(catalogue, nothing, documents.xy)
    clusters = analysis.cluster_table(nothing, lists, catalogue.cluster_measures(nothing.clustering.labels, NOTHING))
    full = analysis.analyse(catalogue, documents, 2)
    some = analysis.list_table(catalogue, full, documents.xy)
    assert lists.empty
    assert clusters.empty
    assert list(lists.columns) == list(some.columns)
    assert list(clusters.columns) == list(
        analysis.cluster_table(full, some, catalogue.cluster_measures(full.clustering.labels)).columns
    )


def test_the_table_of_lists(
    catalogue: Catalogue, documents: Space, weights: IntArray, analysed: Analysis, lists: pd.DataFrame
) -> None:
    assert sorted(lists["list_id"]) == list(range(1187))
    order = sorted(range(1187), key=lambda i: (-weights[i], i))
    assert lists["list_id"].tolist() == order
    ids = lists["list_id"].to_numpy()
    names = [name.text for name in analysed.names]
    assert lists["genre_list"].tolist() == [catalogue.genre_lists[i] for i in ids]
    assert lists["n_movies"].tolist() == weights[ids].tolist()
    assert lists["cluster"].tolist() == analysed.clustering.labels[ids].tolist()
    assert lists["name"].tolist() == [names[analysed.clustering.labels[i]] for i in ids]
    assert lists["runner_up_name"].tolist() == [names[analysed.clustering.runner_up[i]] for i in ids]
    assert np.array_equal(lists[["x", "y"]], documents.xy[ids])
    for column in ("distance", "margin", "runner_up"):
        assert np.array_equal(lists[column], getattr(analysed.clustering, column)[ids])
    assert np.array_equal(lists["silhouette"], analysed.silhouette.documents[ids])


def test_the_table_of_lists_has_only_those_with_films(catalogue: Catalogue, documents: Space) -> None:
    found = analysis.analyse(catalogue, documents, 4, filters=NINETIES)
    lists = analysis.list_table(catalogue, found, documents.xy)
    assert sorted(lists["list_id"]) == np.flatnonzero(catalogue.weights(NINETIES)).tolist()
    assert lists["cluster"].between(0, 3).all()
    assert lists["n_movies"].sum() == found.counts.clustered


def test_a_single_cluster_has_no_runner_up(
    open_lists: Callable[[list[str | None]], tuple[Catalogue, Space]],
) -> None:
    catalogue, space = open_lists(["War", "War", None])
    found = analysis.analyse(catalogue, space, 2)
    lists = analysis.list_table(catalogue, found, space.xy)
    assert lists[["genre_list", "n_movies", "cluster", "name", "runner_up", "runner_up_name"]].to_numpy().tolist() == [
        ["War", 2, 0, "War", -1, ""]
    ]
    assert lists["margin"].isna().all()
    clusters = analysis.cluster_table(found, lists, catalogue.cluster_measures(found.clustering.labels))
    assert clusters[["name", "n_movies", "share", "top_genres"]].to_numpy().tolist() == [
        ["War", 2, 1.0, "War 100% (×1.0)"]
    ]


def test_the_table_of_clusters(
    catalogue: Catalogue, analysed: Analysis, lists: pd.DataFrame, clusters: pd.DataFrame
) -> None:
    assert clusters["cluster"].tolist() == list(range(12))
    assert clusters["name"].tolist() == [name.text for name in analysed.names]
    assert clusters["label"].tolist() == [f"{i} {name.text}" for i, name in enumerate(analysed.names)]
    assert clusters["leading_genre"].tolist() == [name.genres[0] for name in analysed.names]
    assert clusters["n_movies"].tolist() == analysed.clustering.sizes.tolist()
    assert clusters["share"].sum() == pytest.approx(1)
    assert np.allclose(clusters["share"], analysed.clustering.sizes / 17_029)
    assert np.array_equal(clusters["coherence"], analysed.coherence.clusters)
    assert np.array_equal(clusters["silhouette"], analysed.silhouette.clusters)
    measures = catalogue.cluster_measures(analysed.clustering.labels)
    pd.testing.assert_frame_equal(clusters[measures.columns], measures, check_dtype=False)


def test_a_badge_is_in_the_middle_of_its_films(lists: pd.DataFrame, clusters: pd.DataFrame) -> None:
    for row in clusters.to_dict("records"):
        mine = lists[lists["cluster"] == row["cluster"]]
        for axis in ("x", "y"):
            films = np.sort(np.repeat(mine[axis], mine["n_movies"]))
            assert row[axis] == np.percentile(films, 50, method="inverted_cdf")


def test_a_badge_between_two_halves_takes_the_lower(
    open_lists: Callable[[list[str | None]], tuple[Catalogue, Space]],
) -> None:
    catalogue, space = open_lists(["War", "Drama"])
    found = analysis.analyse(catalogue, space, 1)
    lists = analysis.list_table(catalogue, found, space.xy)
    clusters = analysis.cluster_table(found, lists, catalogue.cluster_measures(found.clustering.labels))
    assert space.xy[0, 0] != space.xy[1, 0]
    assert clusters["x"].tolist() == [space.xy[:, 0].min()]


def test_top_genres_are_the_most_frequent_with_their_lift(analysed: Analysis, clusters: pd.DataFrame) -> None:
    for cluster, text in enumerate(clusters["top_genres"]):
        mine = analysed.genres[analysed.genres["cluster"] == cluster]
        rows = sorted(mine.to_dict("records"), key=lambda row: (-row["n_cluster"], row["genre"]))
        expected = [f"{r['genre']} {r['share']:.0%} (×{r['lift']:.1f})" for r in rows[:4] if r["n_cluster"]]
        assert text == ", ".join(expected)
