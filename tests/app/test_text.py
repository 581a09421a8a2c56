"""Other texts than genres: every page works with documents of which nearly each has one film."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.app.conftest import ROOT, Visit

PAGES = ("overview", "cluster", "choose", "compare", "trends", "films", "encoders")


@pytest.fixture
def titles(elsewhere: Callable[..., None], tmp_path: Path) -> dict[str, str]:
    """The first 400 shipped films, by TF-IDF of their titles."""
    path = tmp_path / "some.parquet"
    pq.write_table(pq.read_table(ROOT / "data" / "movies.parquet").slice(0, 400), path)
    elsewhere(movies=path)
    return {"encoder": "tf-idf", "text": "title", "k": "5"}


def test_every_page_shows_clusters_of_titles(titles: dict[str, str]) -> None:
    visit = Visit(query=titles)
    assert visit.settings.text == "title"
    films = pq.read_table(ROOT / "data" / "movies.parquet").slice(0, 400).to_pylist()
    documents = {(film["title"].strip(), *sorted({genre.strip() for genre in film["genres"]})) for film in films}
    assert visit.figures["Texts"] == str(len(documents))
    assert set(visit.chart("genre_map")["text"]) - {""} <= {title[:160] for title, *_ in documents}
    for page in PAGES:
        visit.go(page)
        assert visit.settings.text == "title"
    visit.go("cluster")
    text = visit.element("list").options[0]
    visit.element("list").set_value(text)
    visit.run()
    assert set(visit.films["title"]) == {text}
    visit.select("cluster_films", {"rows": [0]})
    assert any("As **" in line for line in visit.lines)


def test_a_text_nobody_knows_and_an_encoder_that_reads_genres_fall_back(titles: dict[str, str]) -> None:
    assert Visit(query=titles | {"text": "plot"}).settings.text == "genres"
    visit = Visit(query=titles | {"encoder": "multi-hot"})
    assert visit.settings.text == "genres"
    assert "Genre lists" in visit.figures
