"""The way from vectors to a result, in one place for the app and the command line."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core import clustering, diagnostics, explain
from core.clustering import Clustering, Name, Space
from core.diagnostics import Score
from core.movies import Catalogue, Counts, Filters

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Analysis:
    """A clustering of the films under the filters, with its names and figures.

    weights (n,): films of each genre list. genres: a row for each cluster and genre (`explain.genre_table`).
    seconds: what it took to cluster and to measure.
    """

    counts: Counts
    weights: IntArray
    clustering: Clustering
    names: tuple[Name, ...]
    silhouette: Score
    coherence: Score
    genres: pd.DataFrame
    seconds: float

    @property
    def n_lists(self) -> int:
        """Documents with at least one film: genre lists, or texts."""
        return int((self.weights > 0).sum())

    def notice(self) -> str | None:
        """Say why there are fewer clusters than were asked for, if so."""
        found, asked = self.clustering.n_clusters, self.clustering.requested
        if found == 0:
            return "No film under these filters has a genre, so there is nothing to cluster."
        if found < asked:
            clusters = "is 1 cluster" if found == 1 else f"are {found} clusters"
            lists = "1 genre list" if found == 1 else f"{found} different genre lists"
            return (
                f"There {clusters} instead of {asked}, because these films have only {lists} that the encoder "
                "tells apart."
            )
        return None


def analyse(
    catalogue: Catalogue,
    documents: Space,
    n_clusters: int,
    random_state: int = 0,
    filters: Filters | None = None,
    distances: NDArray[np.float64] | None = None,
) -> Analysis:
    """Cluster the films under the filters, name the clusters and measure them.

    `documents` is in the order of the catalogue's genre lists; `distances`, if at hand, are those between its vectors
    (`diagnostics.distances`) and save time.
    """
    started = time.perf_counter()
    filters = filters or Filters()
    weights = catalogue.weights(filters)
    found = clustering.fit(documents, weights, n_clusters, random_state)
    matrix, genres = explain.membership(catalogue.genre_lists)
    films = explain.genre_films(matrix, weights, found.labels)
    total = max(int(weights.sum()), 1)
    shares = films / np.maximum(found.sizes, 1)[:, None]
    silhouette = diagnostics.affordable(
        diagnostics.silhouette, documents.vectors, weights, found.labels, random_state, distances
    )
    coherence = diagnostics.affordable(diagnostics.coherence, matrix, weights, found.labels, random_state)
    figures = Analysis(
        counts=catalogue.counts(filters),
        weights=weights,
        clustering=found,
        names=clustering.name_clusters(shares, films.sum(axis=0) / total, genres),
        silhouette=silhouette,
        coherence=coherence,
        genres=explain.genre_table(matrix, genres, weights, found.labels),
        seconds=0.0,
    )
    return replace(figures, seconds=time.perf_counter() - started)


def list_table(catalogue: Catalogue, analysis: Analysis, xy: NDArray[np.float64]) -> pd.DataFrame:
    """Return a row for each document with films under the filters, most films first.

    Columns: list_id, text and genre_list (of the document), n_movies, cluster, name (of the cluster), x, y, distance,
    margin, runner_up, runner_up_name (empty where there is none), silhouette.
    """
    here = np.flatnonzero(analysis.weights > 0)
    found = analysis.clustering
    names = np.array([*(name.text for name in analysis.names), ""], dtype=object)
    return pd.DataFrame(
        {
            "list_id": here,
            "text": np.array(catalogue.texts, dtype=object)[here],
            "genre_list": np.array(catalogue.genre_lists, dtype=object)[here],
            "n_movies": analysis.weights[here],
            "cluster": found.labels[here],
            "name": names[found.labels[here]],
            "x": xy[here, 0],
            "y": xy[here, 1],
            "distance": found.distance[here],
            "margin": found.margin[here],
            "runner_up": found.runner_up[here],
            "runner_up_name": names[found.runner_up[here]],
            "silhouette": analysis.silhouette.documents[here],
        }
    ).sort_values(["n_movies", "list_id"], ascending=[False, True], ignore_index=True)


def cluster_table(analysis: Analysis, lists: pd.DataFrame, measures: pd.DataFrame) -> pd.DataFrame:
    """Return a row a cluster: what the overview's table, map badges and bars show.

    lists is `list_table`, measures is `Catalogue.cluster_measures`. Columns: cluster, name, label, leading_genre,
    n_movies, share (of the films with genres), top_genres (with lift), coherence, silhouette, x and y (median over
    films), and the columns of measures.
    """
    sizes = analysis.clustering.sizes
    table = pd.DataFrame(
        {
            "cluster": np.arange(len(sizes)),
            "name": [name.text for name in analysis.names],
            "label": [f"{i} {name.text}" for i, name in enumerate(analysis.names)],
            "leading_genre": [name.genres[0] if name.genres else "" for name in analysis.names],
            "share": sizes / max(int(sizes.sum()), 1),
            "top_genres": top_genres(analysis.genres, len(sizes)),
            "coherence": analysis.coherence.clusters,
            "silhouette": analysis.silhouette.clusters,
            "x": _middles(lists, "x", len(sizes)),
            "y": _middles(lists, "y", len(sizes)),
        }
    )
    return table.merge(measures, on="cluster", how="left")


def with_names(lists: pd.DataFrame, clusters: pd.DataFrame, names: Sequence[Name]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return `list_table` and `cluster_table` with other names, and the column note where a cluster has one."""
    texts = [name.text for name in names]
    of = np.array([*texts, ""], dtype=object)
    lists = lists.assign(name=of[lists["cluster"]], runner_up_name=of[lists["runner_up"]])
    clusters = clusters.assign(name=texts, label=[f"{i} {text}" for i, text in enumerate(texts)])
    if any(name.note for name in names):
        clusters = clusters.assign(note=[name.note for name in names])
    return lists, clusters


def _middles(lists: pd.DataFrame, axis: str, n_clusters: int) -> NDArray[np.float64]:
    """Return where half of each cluster's films lie on either side along an axis, shape (n_clusters,)."""
    ordered = lists.sort_values(["cluster", axis], kind="stable")
    reached = ordered.groupby("cluster")["n_movies"].cumsum()
    half = ordered.groupby("cluster")["n_movies"].transform("sum") / 2
    return ordered[reached >= half].groupby("cluster")[axis].first().reindex(range(n_clusters)).to_numpy(np.float64)


def top_genres(genres: pd.DataFrame, n_clusters: int, n: int = 4) -> list[str]:
    """Name the genres that most films of each cluster have, each with its lift, most frequent first."""
    there = genres[genres["n_cluster"] > 0]
    ordered = there.sort_values(["cluster", "n_cluster", "genre"], ascending=[True, False, True])
    first = ordered.groupby("cluster").head(n)
    named: list[list[str]] = [[] for _ in range(n_clusters)]
    for cluster, genre, share, lift in zip(
        *(first[c].tolist() for c in ("cluster", "genre", "share", "lift")), strict=True
    ):
        named[cluster].append(f"{genre} {share:.0%} (×{lift:.1f})")
    return [", ".join(texts) for texts in named]
