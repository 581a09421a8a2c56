"""The page Compare encoders: what it says of all encoders and of two, against plain counting."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core import agreement, analysis, cache, clustering, diagnostics, embeddings, encoders, explain, health
from core.analysis import Analysis
from core.movies import Catalogue
from core.recipes import Settings
from core.stability import Seeds, Stability
from core.vectors import VectorStore
from tests.app.conftest import BASELINE, StubWorker, Visit, unescaped

MINILM = encoders.DEFAULT_ENCODER
READY = [MINILM, BASELINE, "tf-idf"]

pytestmark = pytest.mark.usefixtures("shipped")


def there(visit: Visit, key: str = "two_maps") -> bool:
    return any(getattr(node, "key", None) == key for node in visit.at._tree)


def compared(query: dict[str, str] | None = None, ready: Callable[[Visit], bool] = there) -> Visit:
    """The page with the comparison there; what is measured afterwards may still be missing."""
    visit = Visit("compare_encoders", {"k": "12", **(query or {})})
    limit = time.monotonic() + 120
    while not ready(visit):
        assert time.monotonic() < limit
        time.sleep(0.2)
        visit.run()
    return visit


@pytest.fixture(scope="module")
def tf_idf(catalogue: Catalogue) -> Analysis:
    ready = embeddings.post_process(embeddings.tf_idf(catalogue.genre_lists), encoders.get("tf-idf"))
    return analysis.analyse(catalogue, clustering.space(ready, catalogue.weights()), 12)


def test_the_matrix_has_every_two_encoders(
    analysed: Analysis, analysed_multi_hot: Analysis, tf_idf: Analysis, weights: np.ndarray
) -> None:
    labels = [each.clustering.labels for each in (analysed, analysed_multi_hot, tf_idf)]
    mutual, rand = agreement.matrices(weights, labels)
    visit = compared()
    for measure, expected in (("AMI", mutual), ("ARI", rand)):
        visit.at.segmented_control(key="agreement").set_value(measure)
        shown = visit.run().chart("agreement_matrix").pivot(index="one", columns="other", values="value")
        assert shown.loc[READY, READY].to_numpy() == pytest.approx(expected)
    lacking = [caption.value for caption in visit.at.caption if "no vectors" in caption.value]
    assert len(lacking) == 1
    assert "roberta" in lacking[0]


def test_worth_and_health_are_those_of_the_clusters(
    catalogue: Catalogue, analysed: Analysis, analysed_multi_hot: Analysis, tf_idf: Analysis, weights: np.ndarray
) -> None:
    visit = compared()
    worth = visit.alt("agreement of seeds").set_index("encoder")
    assert worth.index.tolist() == READY
    coherence = [each.coherence.overall for each in (analysed, analysed_multi_hot, tf_idf)]
    assert worth["coherence"].tolist() == pytest.approx(coherence)
    assert set(worth["stability"]) == {"measuring"}
    dominant = agreement.dominant_genres(explain.membership(catalogue.genre_lists)[0], weights)
    told = agreement.adjusted_mutual_information(diagnostics.overlap(weights, analysed.clustering.labels, dominant))
    assert worth.loc[MINILM, "dominant_genre"] == pytest.approx(told)
    assert "silhouette" not in [column.lower() for column in worth.columns]
    assert any(caption.value.startswith("Silhouette is left out") for caption in visit.at.caption)
    vectors = visit.alt("effective rank").set_index("encoder")
    hot = embeddings.multi_hot(catalogue.genre_lists)
    assert vectors.loc[BASELINE, "cosine"] == pytest.approx(health.mean_cosine(hot, weights), abs=1e-6)
    assert vectors.loc[BASELINE, ["order", "case"]].tolist() == ["0 %, shift 0", "100 %, unknown"]
    assert vectors.loc["tf-idf", ["order", "case"]].tolist() == ["0 %, shift 0"] * 2
    assert vectors.loc[MINILM, ["order", "case"]].tolist() == ["not measured", "0 %, shift 0"]  # it is uncased


def test_the_sentence_holds_the_encoder_at_hand_against_the_baseline(
    analysed: Analysis, analysed_multi_hot: Analysis
) -> None:
    own, other = (agreement.Worth(each.coherence.overall) for each in (analysed, analysed_multi_hot))
    said = f"**{agreement.verdict(MINILM, own, other)}**"
    assert said in [unescaped(line) for line in compared().lines]
    assert said in [unescaped(line) for line in compared({"encoder": "tf-idf"}).lines]  # the best one there is


def test_what_is_measured_takes_its_place(monkeypatch: pytest.MonkeyPatch, analysed: Analysis) -> None:
    clusters = np.linspace(0.5, 1, 12)
    level = {MINILM: 0.7, BASELINE: 0.6, "tf-idf": 0.5}

    def seeds(catalogue: Catalogue, settings: Settings) -> Seeds:
        return Seeds(0.9, level[settings.encoder] + np.array([-0.001, 0, 0.001]))

    monkeypatch.setattr(cache, "stability", lambda catalogue, settings: Stability(clusters, 50))
    monkeypatch.setattr(cache, "seeds", seeds)
    visit = compared()
    worth = visit.alt("agreement of seeds").set_index("encoder")
    mean = float(analysed.clustering.sizes @ clusters / analysed.clustering.sizes.sum())
    assert worth.loc[MINILM, ["over_seeds", "stability", "lowest", "seeds"]].tolist() == [
        "0.699 to 0.701", f"{mean:.2f}", "shaky 0.50", "0.90",
    ]  # fmt: skip
    said = agreement.verdict(MINILM, agreement.Worth(0.7, 0.001, 3), agreement.Worth(0.6, 0.001, 3))
    assert "better than plain multi-hot genres" in said
    assert f"**{said}**" in [unescaped(line) for line in visit.lines]


def test_a_click_on_the_matrix_chooses_the_two() -> None:
    visit = compared()
    assert (visit.at.selectbox(key="chosen_one").value, visit.at.selectbox(key="chosen_other").value) == (
        MINILM, BASELINE,
    )  # fmt: skip
    visit.select("agreement_matrix", {"pick": [{"one": "tf-idf", "other": MINILM}]})
    assert (visit.at.query_params["one"], visit.at.query_params["other"]) == ("tf-idf", MINILM)
    visit.run()
    assert (visit.at.selectbox(key="chosen_one").value, visit.at.selectbox(key="chosen_other").value) == (
        "tf-idf", MINILM,
    )  # fmt: skip


@pytest.mark.parametrize("query", [{"one": "nonsense", "other": "roberta-base"}, {"one": MINILM, "other": MINILM}])
def test_nonsense_in_a_link_falls_back(query: dict[str, str]) -> None:
    visit = compared(query)
    assert (visit.at.selectbox(key="chosen_one").value, visit.at.selectbox(key="chosen_other").value) == (
        MINILM, BASELINE,
    )  # fmt: skip


def test_matched_clusters_lead_to_the_films_in_common(
    films: list[dict[str, object]], catalogue: Catalogue, analysed_multi_hot: Analysis
) -> None:
    visit = compared()
    table = visit.table("matches")
    other = dict(zip(catalogue.genre_lists, analysed_multi_hot.clustering.labels.tolist(), strict=True))
    row = 2
    a, b = (int(table[side].iloc[row].split()[0]) for side in ("a", "b"))
    expected = {
        film["movie_id"] for film in films if film["cluster"] == a and other.get(str(film["genre_list"])) == b
    }  # fmt: skip
    shown = visit.select("matches", {"rows": [row], "columns": [], "cells": []}).films
    assert set(shown["movie_id"]) == expected
    assert table["n_both"].iloc[row] == len(expected)
    assert set(shown["Cluster in B"]) == {table["b"].iloc[row]}


def test_ribbons_and_bars_lead_to_their_films(films: list[dict[str, object]], analysed: Analysis) -> None:
    visit = compared()
    flow = visit.chart("flow")
    ribbons = flow[~flow["node"]]
    assert len(ribbons) == 4 * ribbons["flow"].nunique()
    assert len(visit.select("flow", {"pick": [{"a": 0, "b": 0}]}).films) > 1000
    shown = visit.select("flow", {"pick": [{"a": 4, "b": -1}]}).films
    assert len(shown) == analysed.clustering.sizes[4]
    visit.select("flow", {"pick": []})
    assert visit.films.empty


def test_lists_that_change_company_lead_to_their_films(films: list[dict[str, object]]) -> None:
    visit = compared()
    table = visit.table("movers")
    shown = visit.select("movers", {"rows": [1], "columns": [], "cells": []}).films
    expected = {film["movie_id"] for film in films if film["genre_list"] == table["genre_list"].iloc[1]}
    assert set(shown["movie_id"]) == expected
    assert len(expected) == table["n_movies"].iloc[1]


def test_a_brush_on_either_map_leads_to_the_same_lists(catalogue: Catalogue, weights: np.ndarray) -> None:
    visit = compared()
    maps = visit.chart("two_maps")
    lists = maps[maps["heading"].isna()]
    assert len(lists) == (weights > 0).sum()
    row = lists.iloc[5]
    for side in ("a", "b"):
        x, y = row[f"x_{side}"], row[f"y_{side}"]
        brush = {"x_a": [x - 1e-6, x + 1e-6], "y_a": [y + 1e-6, y - 1e-6]}
        shown = visit.select("two_maps", {"brush": brush}).films
        assert row["genre_list"] in {", ".join(sorted(text.split(", "))) for text in shown["genres"]}
        assert len(shown) >= row["n_movies"]
    shown = visit.select("two_maps", {"pick": [{"list_id": row["list_id"]}]}).films
    assert len(shown) == row["n_movies"]


def test_variants_are_encoded_when_asked_for(stub_worker: StubWorker, catalogue: Catalogue) -> None:
    visit = compared()
    assert stub_worker.submitted == []
    texts = cache.variants(catalogue, MINILM)
    assert texts.keys() == {"order"}
    (button,) = (each for each in visit.at.button if each.label.startswith("Measure order"))
    assert button.label == "Measure order and letter case of 1 encoder"
    assert any(f"{len(texts['order']):,} texts" in caption.value for caption in visit.at.caption)
    stub_worker.now = stub_worker.now.__class__("job 1", MINILM, "loading", 0, len(texts["order"]), 0)
    button.click()
    visit.run()
    assert stub_worker.submitted == [False]
    assert stub_worker.dtypes == ["float32"]
    (button,) = (each for each in visit.at.button if each.label.startswith("Leave out"))
    button.click()
    visit.run()
    assert any(each.label.startswith("Measure order") for each in visit.at.button)


def test_variants_with_vectors_are_held_against_the_lists(
    elsewhere: Callable[..., None], tmp_path: Path, vector_store: Path, catalogue: Catalogue
) -> None:
    store, stored = VectorStore(tmp_path / "vectors"), VectorStore(vector_store)
    key = encoders.key(encoders.get(MINILM))
    raw = stored.load(key, catalogue.genre_lists)
    rows, texts = health.variants(catalogue.genre_lists, "order")
    store.write(key, catalogue.genre_lists, raw, stored.facts(key))
    new = [row for row, text in enumerate(texts) if text not in set(catalogue.genre_lists)]
    store.write(key, [texts[row] for row in new], raw[rows[new]] + np.float32(0.01), stored.facts(key))
    elsewhere(vectors=tmp_path / "vectors")
    visit = compared()
    said = visit.alt("effective rank").set_index("encoder").loc[MINILM, "order"]
    found = cache.sensitivity(cache.catalogue(), visit.settings, "order")
    assert found is not None
    assert said == f"{100 * found.moved:.1f} %, shift {found.shift:.2f}"
    assert 0 < found.shift < 1
    assert not any(each.label.startswith("Measure order") for each in visit.at.button)


def test_next_to_no_films(elsewhere: Callable[..., None], tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["A", "B"], "genres": [["Drama"], ["War"]]}), tmp_path / "two.parquet")
    elsewhere(movies=tmp_path / "two.parquet")
    visit = compared({"encoder": BASELINE, "k": "2"})
    assert any(line.startswith("No two films") for line in visit.lines)
    assert visit.chart("agreement_matrix")["value"].tolist() == pytest.approx([1] * 4)
    assert isinstance(visit.alt("effective rank"), pd.DataFrame)
