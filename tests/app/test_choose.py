"""The page Choose k, and the stability that every page shows as soon as it is known."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core import cache, clustering, diagnostics, stability, sweep
from core.clustering import Space
from core.movies import Catalogue
from tests.app.conftest import BASELINE, Visit, unescaped

pytestmark = pytest.mark.usefixtures("shipped")


def until(visit: Visit, ready: Callable[[], bool], seconds: float = 120) -> Visit:
    """Run the page again and again, as its fragments do in a browser."""
    limit = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < limit
        time.sleep(0.2)
        visit.run()
    return visit


def chosen(query: dict[str, str]) -> Visit:
    """The page with all figures there; stabilities may still be missing."""
    visit = Visit("choose", {"most": "10", **query})
    return until(visit, lambda: any(getattr(node, "key", None) == "over_silhouette" for node in visit.at._tree))


def test_every_figure_is_that_of_the_clustering_shown_for_its_k(
    catalogue: Catalogue, documents: Space, weights: np.ndarray
) -> None:
    visit = chosen({"k": "7"})
    shown = visit.chart("over_silhouette")
    assert shown["k"].tolist() == list(range(2, 11))
    assert shown.loc[shown["current"], "k"].tolist() == [7]
    for k in (2, 7, 10):
        found = clustering.fit(documents, weights, k)
        score = diagnostics.silhouette(documents.vectors, weights, found.labels).overall
        assert shown.loc[shown["k"] == k, "value"].item() == pytest.approx(score, abs=1e-9)
    descent = visit.chart("descent")
    nodes = descent[descent["node"]]
    assert nodes.groupby("k").size().tolist() == list(range(2, 11))
    assert set(nodes.groupby("k")["n_movies"].sum()) == {17_029}


def test_lines_of_descent_reach_as_far_as_the_figures() -> None:
    for most in (10, 20, 10):
        shown = chosen({"k": "7", "most": str(most)}).chart("descent").query("node")
        assert sorted(set(shown["k"])) == list(range(2, most + 1))


def test_a_click_on_a_point_sets_k() -> None:
    visit = chosen({"k": "7"})
    visit.select("over_coherence", {"pick": [{"k": 4}]})
    assert visit.settings.n_clusters == 4
    visit.select("descent", {"pick": [{"k": 9, "cluster": 1}]})
    assert visit.settings.n_clusters == 9
    visit.select("over_coherence", {"pick": [{"k": 4000}]})
    assert visit.settings.n_clusters == 9


def test_the_recommendation_is_that_of_the_rule(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    lowest = {2: 0.99, 3: 0.9, 4: 0.95, 5: 0.88, 6: 0.5, 7: 0.4, 8: 0.7, 9: 0.6, 10: 0.5}

    def known(catalogue: Catalogue, settings: object) -> stability.Stability:
        k = settings.n_clusters  # type: ignore[attr-defined]
        return stability.Stability(np.array([1.0, lowest[k], *[1.0] * (k - 2)]), 50)

    monkeypatch.setattr(cache, "stability", known)
    visit = chosen({"k": "7"})
    frame = visit.chart("over_silhouette")[["k", "value"]].rename(columns={"value": "silhouette"})
    frame["coherence"] = visit.chart("over_coherence")["value"]
    frame["stability"] = [lowest[k] for k in frame["k"]]
    frame["smallest"] = visit.chart("over_smallest")["value"]
    expected = sweep.recommend(frame)
    said = [each.value for kind in (visit.at.success, visit.at.info) for each in kind]
    assert len(said) == 1
    assert (expected.k is None) == bool(visit.at.info)
    assert expected.sentence in unescaped(said[0])
    assert visit.chart("over_stability")["value"].tolist() == [lowest[k] for k in frame["k"]]
    assert visit.chart("over_agreement").empty  # not known yet
    nodes = visit.chart("descent").query("node")
    of = dict(list(nodes.groupby("cluster")))
    assert set(of[0]["fill"]) == {0.95}
    assert all("stability: solid 1.00;" in tip for tip in of[0]["tip"])
    fills = of[1].set_index("k")["fill"]
    assert (fills[[2, 3, 4, 5]] == 0.95).all()
    assert fills[8] == fills[9] < fills[2]
    assert fills[6] == fills[7] == fills[10] < fills[8]


@pytest.mark.measured
def test_stability_is_measured_in_the_background_and_then_the_seed_agreement() -> None:
    visit = Visit(query={"k": "12", "seed": "0"})
    until(visit, lambda: cache.stability(cache.catalogue(), visit.settings) is not None)
    found = cache.stability(cache.catalogue(), visit.settings)
    assert found is not None
    assert found.n_refits >= 50
    visit.run()
    table = visit.table("cluster_table")
    assert table["stability"].tolist() == [stability.told(value) for value in found.clusters]
    visit.at.query_params["cluster"] = "3"
    badges = [line.value for line in visit.go("cluster").at.markdown if "Stability" in line.value]
    assert any(stability.told(found.clusters[3]) in badge for badge in badges)
    other = replace(visit.settings, random_state=5)
    assert cache.stability(cache.catalogue(), other) is None  # nobody asked
    visit.go("overview")
    until(visit, lambda: visit.figures["Seed agreement"] != "measuring")
    assert 0.5 < float(visit.figures["Seed agreement"]) <= 1
    whatever_the_seed = cache.seeds(cache.catalogue(), other)
    assert visit.figures["Seed agreement"] == f"{whatever_the_seed.agreement:.3f}"
    assert not visit.at._fragment_storage._fragments  # nothing is asked for any more


def test_too_few_lists_for_a_choice(elsewhere: Callable[..., None], tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["A", "B"], "genres": [["Drama"], ["War"]]}), tmp_path / "two.parquet")
    elsewhere(movies=tmp_path / "two.parquet")
    visit = Visit("choose", {"encoder": BASELINE, "most": "10"})
    until(visit, lambda: bool(visit.at.info))
    assert visit.at.info[0].value == "These films have too few different genre lists for a choice of k."
