"""Where the clusters of each k come from: which stay, split and merge on the way from one k to the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core import diagnostics, explain
from core.clustering import Clustering, Name, name_clusters

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SAME_CLUSTER = 0.9
MIN_SHARE = 0.02  # of the child's films: a thinner line would not be seen


@dataclass(frozen=True, eq=False)
class Descent:
    """The lines of descent, laid out to be drawn.

    nodes: as from `follow`, with x (the middle of the cluster's stretch of its row, 0 to 1). edges: those of `follow`
    with at least MIN_SHARE of the child's films, with x of the child, parent_k and parent_x. names: of the clusters of
    each k.
    """

    nodes: pd.DataFrame
    edges: pd.DataFrame
    names: Mapping[int, tuple[Name, ...]]


def trace(clusterings: Mapping[int, Clustering], weights: IntArray, genre_lists: Sequence[str]) -> Descent:
    """Follow the clusters over k, name them and place them side by side.

    weights (n,) films of all clusterings; genre_lists (n,) the genres of the documents.
    """
    nodes, edges = follow(clusterings, weights)
    names = _names(clusterings, weights, genre_lists)
    nodes = _placed(nodes, edges)
    places = nodes[["k", "cluster", "x"]]
    edges = edges[edges["share_of_child"] >= MIN_SHARE].merge(places, on=["k", "cluster"])
    parents = places.rename(columns={"k": "parent_k", "cluster": "parent", "x": "parent_x"})
    edges = edges.assign(parent_k=edges["k"] - 1).merge(parents, on=["parent_k", "parent"])
    return Descent(nodes, edges, names)


def follow(clusterings: Mapping[int, Clustering], weights: IntArray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Follow the films from each k to the next one: which clusters stay, split and merge.

    weights (n,) films of all clusterings. Returns nodes and edges. nodes, a row for each k and cluster: k, cluster,
    n_movies, lineage (a number kept for as long as the cluster survives) and survives (over how many k in a row it
    does, this one included). A cluster survives if one of the next k has a Jaccard similarity of at least 0.9 with
    it, over films. edges, a row for each pair of clusters of neighbouring k that share films: k (of the child),
    parent, cluster (the child), n_movies (that move along), share_of_parent, share_of_child.
    """
    ks = sorted(clusterings)
    nodes, edges = [pd.DataFrame(columns=["k", "cluster", "n_movies", "lineage"], dtype=np.int64)], [_edges(0, None)]
    lineages, n_lineages = np.zeros(0, dtype=np.int64), 0
    for position, k in enumerate(ks):
        found = clusterings[k]
        previous = np.full(found.n_clusters, -1, dtype=np.int64)
        if position:
            films = diagnostics.overlap(weights, clusterings[ks[position - 1]].labels, found.labels)
            similar = diagnostics.jaccard(films)
            # Above one half there is at most one such pair for either cluster, so no lineage can fork.
            parents, children = np.nonzero(similar >= SAME_CLUSTER)
            previous[children] = lineages[parents]
            edges.append(_edges(k, films))
        born = np.flatnonzero(previous < 0)
        previous[born] = n_lineages + np.arange(len(born))
        lineages, n_lineages = previous, n_lineages + len(born)
        row = {"k": k, "cluster": np.arange(found.n_clusters), "n_movies": found.sizes, "lineage": lineages}
        nodes.append(pd.DataFrame(row))
    table = pd.concat(nodes, ignore_index=True)
    survives = table.groupby("lineage")["k"].transform("size").astype(np.int64)
    return table.assign(survives=survives), pd.concat(edges, ignore_index=True)


def _edges(k: int, films: IntArray | None) -> pd.DataFrame:
    """Return the edges into the clusters of a k; films (parents, children) are those that move along."""
    films = np.zeros((0, 0), dtype=np.int64) if films is None else films
    parent, cluster = np.nonzero(films)
    moved = films[parent, cluster]
    return pd.DataFrame(
        {
            "k": np.full(len(moved), k, dtype=np.int64),
            "parent": parent,
            "cluster": cluster,
            "n_movies": moved,
            "share_of_parent": moved / films.sum(axis=1)[parent],
            "share_of_child": moved / films.sum(axis=0)[cluster],
        }
    )


def _placed(nodes: pd.DataFrame, edges: pd.DataFrame) -> pd.DataFrame:
    """Place each row's clusters side by side, as wide as their films, in the order of those they come from."""
    before: dict[int, float] = {}
    parts = [nodes.iloc[:0].assign(x=0.0)]
    for k, row in nodes.groupby("k"):
        come = edges[edges["k"] == k]
        pull = (come["n_movies"] * come["parent"].map(before)).groupby(come["cluster"]).sum()
        pull = pull / come.groupby("cluster")["n_movies"].sum()
        order = row.assign(pull=row["cluster"].map(pull)).sort_values(["pull", "cluster"], kind="stable")
        share = order["n_movies"] / order["n_movies"].sum()
        order = order.assign(x=share.cumsum() - share / 2)
        before = dict(zip(order["cluster"], order["x"], strict=True))
        parts.append(order.drop(columns="pull"))
    return pd.concat(parts, ignore_index=True)


def _names(
    clusterings: Mapping[int, Clustering], weights: IntArray, genre_lists: Sequence[str]
) -> dict[int, tuple[Name, ...]]:
    """Name the clusters of every k, as the page of that k does."""
    matrix, genres = explain.membership(genre_lists)
    everyone = weights @ matrix / max(int(weights.sum()), 1)
    return {
        k: name_clusters(explain.genre_films(matrix, weights, found.labels) / found.sizes[:, None], everyone, genres)
        for k, found in clusterings.items()
    }
