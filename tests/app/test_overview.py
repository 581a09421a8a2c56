"""The page Overview, in a simulated session."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from core import analysis, clustering, drawing, embeddings, encoders, movies
from core.analysis import Analysis
from core.charts import Figure
from core.clustering import Space
from core.controls import plain
from core.drawing import DrawingError
from core.movies import Catalogue
from tests.app.conftest import BASELINE, Film, StubWorker, Visit, unescaped

pytestmark = pytest.mark.usefixtures("stub_worker")


def sizes_of(visit: Visit) -> list[int]:
    return visit.table("cluster_table")["n_movies"].tolist()


def known(films: list[Film], column: str) -> list[float]:
    return [film[column] for film in films if film[column] is not None]


@pytest.mark.usefixtures("shipped")
def test_figures_and_words(analysed: Analysis, stub_worker: StubWorker) -> None:
    visit = Visit()
    assert visit.figures == {
        "Films": "17,472",
        "Without genres": "443",
        "Genre lists": "1,187",
        "Clusters (k)": "12",
        "Silhouette": f"{analysed.silhouette.overall:.3f}",
        "Coherence": f"{analysed.coherence.overall:.3f}",
        "Seed agreement": "measuring",
    }
    assert visit.lines[0] == "**17,472 of 17,472 films**; 443 of them name no genre and are in no cluster."
    largest = analysed.clustering.sizes[0]
    assert "**12 clusters**" in visit.lines[1]
    assert f"with {largest:,} films ({largest / 17029:.0%})" in visit.lines[1]
    made = visit.at.main.caption[0].value
    assert made.startswith("Encoder: MiniLM \\(all\\-MiniLM\\-L6\\-v2\\), float32, on CPU")
    assert "Encoding took" in made
    assert not visit.at.warning
    assert stub_worker.submitted == []


@pytest.mark.usefixtures("shipped")
def test_table_of_clusters(analysed: Analysis, films: list[Film]) -> None:
    table = Visit().table("cluster_table")
    assert table["cluster"].tolist() == list(range(12))
    assert table["name"].tolist() == [name.text for name in analysed.names]
    assert table["n_movies"].tolist() == sorted(table["n_movies"], reverse=True)
    assert table["coherence"].to_numpy() == pytest.approx(analysed.coherence.clusters)
    assert table["silhouette"].to_numpy() == pytest.approx(analysed.silhouette.clusters)
    for row in table.itertuples():
        mine = [film for film in films if film["cluster"] == row.cluster]
        assert row.n_movies == len(mine)
        assert row.percent == pytest.approx(100 * len(mine) / 17029)
        assert row.median_year == np.median(known(mine, "year"))
        scores = known(mine, "tomatometer")
        assert (row.n_tomatometer, row.median_tomatometer) == (len(scores), np.median(scores))
        genre, share = row.top_genres.split(" (×")[0].rsplit(" ", 1)
        having = sum(genre in film["genres"] for film in mine)
        assert having == max(sum(g in film["genres"] for film in mine) for g in {g for f in mine for g in f["genres"]})
        assert share == f"{having / len(mine):.0%}"


@pytest.mark.usefixtures("shipped")
def test_charts_have_the_films(analysed: Analysis, catalogue: Catalogue, documents: Space, films: list[Film]) -> None:
    visit = Visit()
    drawn = visit.chart("genre_map")
    badges = drawn[drawn["text_color"].notna()]
    assert badges["cluster"].tolist() == list(range(12))
    bubbles = drawn[drawn["text_color"].isna()].set_index("text").loc[list(catalogue.genre_lists)]
    assert len(drawn) == 1187 + 12
    assert bubbles["cluster"].tolist() == analysed.clustering.labels.tolist()
    assert bubbles["n_movies"].tolist() == catalogue.weights().tolist()
    assert bubbles[["x", "y"]].to_numpy() == pytest.approx(documents.xy)
    assert bubbles["color"].nunique() == 12

    sizes = visit.chart("sizes")
    assert sizes["n_movies"].tolist() == analysed.clustering.sizes.tolist()
    assert sizes["label"].tolist() == [f"{i} {name.text}" for i, name in enumerate(analysed.names)]
    assert sizes["color"].tolist() == badges["color"].tolist()

    fields = visit.chart("heatmap").set_index(["cluster", "genre"])
    genres = {genre for film in films for genre in film["genres"]}
    assert len(fields) == 12 * len(genres)
    for cluster, genre in [(0, "Drama"), (3, "Comedy"), (11, "Western")]:
        mine = [film for film in films if film["cluster"] == cluster]
        having = sum(genre in film["genres"] for film in mine)
        overall = sum(genre in film["genres"] for film in films) / 17029
        field = fields.loc[(cluster, genre)]
        assert field["n_cluster"] == having
        assert field["share"] == pytest.approx(having / len(mine))
        assert field["lift"] == pytest.approx(having / len(mine) / overall)


@pytest.mark.usefixtures("shipped")
def test_k_seed_and_encoder_change_the_clusters(
    analysed: Analysis, catalogue: Catalogue, documents: Space, analysed_multi_hot: Analysis, stub_worker: StubWorker
) -> None:
    visit = Visit()
    assert sizes_of(visit) == analysed.clustering.sizes.tolist()

    visit.at.slider(key="k").set_value(5)
    five = analysis.analyse(catalogue, documents, 5)
    assert sizes_of(visit.run()) == five.clustering.sizes.tolist()
    assert len(sizes_of(visit)) == 5
    assert visit.figures["Clusters (k)"] == "5"
    assert visit.figures["Silhouette"] == f"{five.silhouette.overall:.3f}"
    assert visit.figures["Coherence"] == f"{five.coherence.overall:.3f}"
    assert len(visit.chart("sizes")) == 5
    assert visit.chart("heatmap")["cluster"].nunique() == 5
    assert visit.figures["Films"] == "17,472"

    visit.at.slider(key="k").set_value(12)
    visit.at.number_input(key="seed").set_value(7)
    seven = analysis.analyse(catalogue, documents, 12, 7)
    assert sizes_of(visit.run()) == seven.clustering.sizes.tolist()
    assert visit.figures["Silhouette"] == f"{seven.silhouette.overall:.3f}"
    assert sizes_of(visit) != analysed.clustering.sizes.tolist()

    visit.at.number_input(key="seed").set_value(0)
    visit.at.selectbox(key="encoder").set_value(BASELINE)
    assert sizes_of(visit.run()) == analysed_multi_hot.clustering.sizes.tolist()
    assert visit.figures["Coherence"] == f"{analysed_multi_hot.coherence.overall:.3f}"
    assert sizes_of(visit) != analysed.clustering.sizes.tolist()
    assert visit.at.main.caption[0].value.startswith("Encoder: Multi\\-hot genres \\(no model\\). No model")

    visit.at.selectbox(key="encoder").set_value(encoders.DEFAULT_ENCODER)
    assert sizes_of(visit.run()) == analysed.clustering.sizes.tolist()
    assert stub_worker.submitted == []


@pytest.mark.usefixtures("shipped")
def test_heat_map_of_shares_or_lifts() -> None:
    def color(visit: Visit) -> tuple[str, str]:
        return visit.spec("heatmap")["encoding"]["color"]["field"], visit.spec("heatmap")["title"]

    visit = Visit()
    assert color(visit) == ("share", "Genre by cluster: share of the cluster's films")
    visit.at.segmented_control(key="heat").set_value("lift")
    assert color(visit.run()) == ("shown", "Genre by cluster: lift")
    rows = visit.chart("heatmap")
    assert rows["lift"].max() > 8
    assert rows["shown"].tolist() == rows["lift"].clip(1 / 8, 8).tolist()
    assert color(Visit(query={"heat": "lift"})) == ("shown", "Genre by cluster: lift")


def test_map_layout(elsewhere: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    some = ("Drama", "Comedy", "Action", "War")
    lists = ["|".join(genre for bit, genre in enumerate(some) if number >> bit & 1) for number in range(1, 16)]
    path.write_text("title,genres\n" + "".join(f"Film {i},{text}\n" for i, text in enumerate(lists)))
    elsewhere(movies=path)
    catalogue = movies.open_catalogue(path)
    vectors = embeddings.post_process(embeddings.multi_hot(catalogue.genre_lists), encoders.get(BASELINE))
    space = clustering.space(vectors, catalogue.weights())
    # What t-SNE does is tried in test_clustering.py; here it is enough that its map can be told from the other one.
    tsne = 1 + space.xy[:, ::-1]
    monkeypatch.setattr(clustering, "tsne", lambda documents: tsne if np.allclose(documents.xy, space.xy) else None)

    def is_at(visit: Visit, axis: str, xy: np.ndarray) -> bool:
        rows = visit.chart("genre_map")
        rows = rows[rows["text_color"].isna()].set_index("text").loc[list(catalogue.genre_lists)]
        return axis in json.dumps(visit.spec("genre_map")) and np.allclose(rows[["x", "y"]], xy, atol=1e-6)

    visit = Visit(query={"encoder": BASELINE})
    assert is_at(visit, "First principal component", space.xy)
    figures = visit.figures
    visit.at.segmented_control(key="map").set_value("t-SNE")
    assert is_at(visit.run(), "t-SNE, first axis", tsne)
    assert visit.figures == figures
    visit.at.segmented_control(key="map").set_value("PCA")
    assert is_at(visit.run(), "First principal component", space.xy)
    # A link shows the map it names at the first run.
    assert is_at(Visit(query={"encoder": BASELINE, "map": "t-SNE"}), "t-SNE, first axis", tsne)
    assert is_at(Visit(query={"encoder": BASELINE, "map": "nonsense"}), "First principal component", space.xy)


@pytest.mark.usefixtures("shipped")
def test_what_is_picked_leads_to_its_cluster(analysed: Analysis, catalogue: Catalogue) -> None:
    def link(cluster: int, genre: str = "") -> list[tuple[str, str, str]]:
        text = f"Open cluster {cluster}: {plain(analysed.names[cluster].text)} \\(measuring\\)"
        text += f", films with {genre}" if genre else ""
        return [(text, "cluster", f"cluster={cluster}&with={genre}&year=&list=&find=")]

    visit = Visit()
    assert visit.links == []
    nothing = {"rows": [], "columns": [], "cells": []}
    assert visit.select("cluster_table", {**nothing, "rows": [3]}).links == link(3)
    assert visit.run().links == link(3)  # it stays
    assert visit.select("genre_map", {"pick": [{"cluster": 2}]}).links == link(2)  # and gives way to the next
    assert visit.select("sizes", {"pick": [{"cluster": 11}]}).links == link(11)
    assert visit.select("heatmap", {"pick": [{"cluster": 4, "genre": "War"}]}).links == link(4, "War")
    assert visit.select("heatmap", {"pick": []}).links == []

    # A brush picks the cluster with most films inside it.
    bubbles = visit.chart("genre_map").query("text_color.isna()")
    middle = bubbles["x"].median()
    inside = bubbles[(bubbles["x"] >= middle) & (bubbles["y"] <= 0)]
    most = int(inside.groupby("cluster")["n_movies"].sum().idxmax())
    brush = {"x": [middle, bubbles["x"].max()], "y": [0, bubbles["y"].min()]}
    assert visit.select("genre_map", {"brush": brush}).links == link(most)
    assert visit.select("genre_map", {"brush": {"x": [98, 99], "y": [98, 99]}}).links == []

    # With fewer clusters, the one that was picked may be gone.
    assert visit.select("cluster_table", {**nothing, "rows": [11]}).links == link(11)
    visit.at.slider(key="k").set_value(5)
    assert visit.run().links == []
    assert visit.select("cluster_table", {**nothing, "rows": [99]}).links == []
    # One that is still there by its number is another cluster.
    assert len(visit.select("cluster_table", {**nothing, "rows": [2]}).links) == 1
    visit.at.slider(key="k").set_value(6)
    assert visit.run().links == []


@pytest.mark.usefixtures("shipped")
def test_downloads(offered: dict[str, tuple[str, Callable[[], bytes]]], films: list[Film]) -> None:
    Visit()
    assert sorted(offered) == ["genrescope-films.csv", "genrescope-films.parquet"]
    label, make = offered["genrescope-films.parquet"]
    assert label == "Films as Parquet"
    rows = pq.read_table(io.BytesIO(make())).to_pylist()
    assert [row["movie_id"] for row in rows] == [film["movie_id"] for film in films]
    assert [row["cluster"] for row in rows] == [film["cluster"] for film in films]
    assert sum(row["cluster_name"] is None for row in rows) == 443
    csv = pd.read_csv(io.BytesIO(offered["genrescope-films.csv"][1]()), keep_default_na=False)
    assert csv["movie_id"].tolist() == [film["movie_id"] for film in films]
    assert (csv["cluster"] == "").sum() == 443

    # Filters narrow it.
    visit = Visit(query={"genres": ["War", "Western"], "match": "all"})
    both = [film for film in films if {"War", "Western"} <= set(film["genres"])]
    label, make = offered["genrescope-films.parquet"]
    assert any(caption.value.startswith(f"{len(both)} films under the filters") for caption in visit.at.main.caption)
    assert [row["movie_id"] for row in pq.read_table(io.BytesIO(make())).to_pylist()] == [f["movie_id"] for f in both]


@pytest.mark.usefixtures("shipped")
def test_tables_to_take_along(offered: dict[str, tuple[str, Callable[[], bytes]]], analysed: Analysis) -> None:
    visit = Visit()
    offered.clear()
    visit.at.segmented_control(key="take").set_value("Clusters")
    visit.run()
    assert {name: label for name, (label, _) in offered.items()} == {
        "genrescope-clusters.csv": "Clusters as CSV",
        "genrescope-clusters.parquet": "Clusters as Parquet",
    }
    rows = pq.read_table(io.BytesIO(offered["genrescope-clusters.parquet"][1]())).to_pylist()
    assert [row["n_movies"] for row in rows] == analysed.clustering.sizes.tolist()
    assert [row["name"] for row in rows] == [name.text for name in analysed.names]
    offered.clear()
    assert Visit(query={"take": "Genres by cluster"}).figures  # a link names it too
    assert sorted(offered) == ["genrescope-genres.csv", "genrescope-genres.parquet"]
    table = pd.read_csv(io.BytesIO(offered["genrescope-genres.csv"][1]()))
    assert table["n_cluster"].tolist() == analysed.genres["n_cluster"].tolist()
    offered.clear()
    Visit(query={"take": "nonsense"})
    assert sorted(offered) == ["genrescope-films.csv", "genrescope-films.parquet"]


@pytest.mark.usefixtures("shipped")
def test_map_and_report_to_take_along(
    offered: dict[str, tuple[str, Callable[[], bytes]]], analysed: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is drawn is tried in test_drawing.py and test_report.py; here it is enough that it is this page's.
    drawn: list[pd.DataFrame] = []

    def draw(figures: list[Figure], *_: object) -> list[str]:
        drawn.extend(figure.data for figure in figures)
        return ['<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'] * len(figures)

    monkeypatch.setattr(drawing, "_drawn", draw)
    Visit(query={"take": "Map"})
    pictures = ["genrescope-map.png", "genrescope-map.svg"]
    assert sorted(offered) == pictures
    assert [offered[name][0] for name in pictures] == ["Map as PNG", "Map as SVG"]
    assert offered["genrescope-map.svg"][1]().startswith(b"<svg")
    assert len(drawn[0]) == 1187 + 12
    offered.clear()
    Visit(query={"take": "Report"})
    (name,) = offered
    assert (name, offered[name][0]) == ("genrescope-report.html", "Report as HTML")
    page = offered[name][1]().decode()
    assert "12 clusters of 17,029 films" in page
    assert analysed.names[3].text.replace("&", "&amp;") in page
    assert "all-MiniLM-L6-v2" in page


@pytest.mark.usefixtures("shipped")
def test_trouble_with_a_picture_is_told_in_words(
    offered: dict[str, tuple[str, Callable[[], bytes]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DrawingError("No *pencil*.")

    monkeypatch.setattr(drawing, "_drawn", fail)
    visit = Visit(query={"take": "Map"})
    assert not visit.at.error
    with pytest.raises(DrawingError):
        offered["genrescope-map.png"][1]()
    assert [unescaped(error.value) for error in visit.run().at.error] == ["No *pencil*."]
    assert not visit.run().at.error  # told once
