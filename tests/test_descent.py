import numpy as np
import pytest
from numpy.typing import NDArray

from core import clustering, descent, explain
from core.clustering import Clustering, Space
from core.movies import Catalogue

IntArray = NDArray[np.int64]


def whole(values: list[int]) -> IntArray:
    return np.array(values, dtype=np.int64)


def labelled(labels: list[int]) -> Clustering:
    found = whole(labels)
    k, n = int(found.max()) + 1, len(found)
    return Clustering(
        found, np.zeros((k, 1)), np.bincount(found[found >= 0]), 0.0, np.zeros(n), found, np.zeros(n), k, 0
    )


@pytest.fixture(scope="module")
def clusterings(documents: Space, weights: IntArray) -> dict[int, Clustering]:
    return {k: clustering.fit(documents, weights, k) for k in range(2, 9)}


def test_descent_by_hand() -> None:
    weights = whole([10, 1, 5, 5, 0])
    fits = {
        2: labelled([0, 0, 1, 1, -1]),
        3: labelled([0, 2, 1, 1, -1]),  # the first cluster loses 1 of 11 films, the second stays
        4: labelled([0, 3, 1, 2, -1]),  # the second is halved
    }
    sizes = {2: [11, 10], 3: [10, 10, 1], 4: [10, 5, 5, 1]}
    fits = {k: Clustering(**{**vars(fit), "sizes": whole(sizes[k])}) for k, fit in fits.items()}
    nodes, edges = descent.follow(fits, weights)
    assert nodes["k"].tolist() == [2, 2, 3, 3, 3, 4, 4, 4, 4]
    assert nodes["cluster"].tolist() == [0, 1, 0, 1, 2, 0, 1, 2, 3]
    assert nodes["n_movies"].tolist() == [11, 10, 10, 10, 1, 10, 5, 5, 1]
    assert nodes["lineage"].tolist() == [0, 1, 0, 1, 2, 0, 3, 4, 2]
    assert nodes["survives"].tolist() == [3, 2, 3, 2, 2, 3, 1, 1, 2]
    assert edges[["k", "parent", "cluster", "n_movies"]].to_numpy().tolist() == [
        [3, 0, 0, 10],
        [3, 0, 2, 1],
        [3, 1, 1, 10],
        [4, 0, 0, 10],
        [4, 1, 1, 5],
        [4, 1, 2, 5],
        [4, 2, 3, 1],
    ]
    assert edges["share_of_parent"].tolist() == pytest.approx([10 / 11, 1 / 11, 1, 1, 0.5, 0.5, 1])
    assert edges["share_of_child"].tolist() == [1.0] * 7


def test_no_film_gets_lost_on_the_way(weights: IntArray, clusterings: dict[int, Clustering]) -> None:
    nodes, edges = descent.follow(clusterings, weights)
    assert (nodes.groupby("k")["n_movies"].sum() == weights.sum()).all()
    assert (edges.groupby("k")["n_movies"].sum() == weights.sum()).all()
    assert (edges["n_movies"] > 0).all()
    assert np.allclose(edges.groupby(["k", "parent"])["share_of_parent"].sum(), 1)
    assert np.allclose(edges.groupby(["k", "cluster"])["share_of_child"].sum(), 1)
    for lineage, line in nodes.groupby("lineage"):
        assert line["k"].tolist() == list(range(line["k"].min(), line["k"].max() + 1)), lineage
        assert (line["survives"] == len(line)).all()
    assert nodes["survives"].max() > 1


def test_descent_of_one_k_and_of_none() -> None:
    nodes, edges = descent.follow({3: labelled([0, 1, 2])}, whole([1, 1, 1]))
    assert nodes["survives"].tolist() == [1, 1, 1]
    assert edges.empty
    nodes, edges = descent.follow({}, whole([]))
    assert nodes.columns.tolist() == ["k", "cluster", "n_movies", "lineage", "survives"]
    assert len(nodes) == len(edges) == 0
    assert edges.columns.tolist() == ["k", "parent", "cluster", "n_movies", "share_of_parent", "share_of_child"]


def test_clusters_are_named_and_placed_as_on_their_pages(
    catalogue: Catalogue, weights: IntArray, clusterings: dict[int, Clustering]
) -> None:
    found = descent.trace(clusterings, weights, catalogue.genre_lists)
    matrix, genres = explain.membership(catalogue.genre_lists)
    everyone = weights @ matrix / weights.sum()
    for k, fit in clusterings.items():
        shares = explain.genre_films(matrix, weights, fit.labels) / fit.sizes[:, None]
        assert found.names[k] == clustering.name_clusters(shares, everyone, genres)
        row = found.nodes[found.nodes["k"] == k].sort_values("x")
        ends = row["n_movies"].cumsum() / weights.sum()
        assert row["x"].to_numpy() == pytest.approx((ends - row["n_movies"] / weights.sum() / 2).to_numpy())
    at = found.nodes.set_index(["k", "cluster"])["x"]
    for edge in found.edges.itertuples():
        assert edge.x == at[edge.k, edge.cluster]
        assert edge.parent_k == edge.k - 1
        assert edge.parent_x == at[edge.parent_k, edge.parent]
        assert edge.share_of_child >= descent.MIN_SHARE
    kept = descent.follow(clusterings, weights)[1]["share_of_child"] >= descent.MIN_SHARE
    assert len(found.edges) == kept.sum() < len(kept)


def test_children_lie_in_the_order_of_those_they_come_from() -> None:
    fits = {2: labelled([0, 0, 1, 1]), 3: labelled([3, 1, 0, 2])}
    found = descent.trace(fits, whole([1, 1, 1, 1]), ["Action", "Drama", "Horror", "War"])
    row = found.nodes[found.nodes["k"] == 3].sort_values("x")
    assert row["cluster"].tolist() == [1, 3, 0, 2]
    assert row["x"].tolist() == pytest.approx([1 / 8, 3 / 8, 5 / 8, 7 / 8])


def test_nothing_to_trace() -> None:
    found = descent.trace({}, whole([]), [])
    assert found.nodes.empty
    assert found.edges.empty
    assert "x" in found.nodes
    assert "parent_x" in found.edges
