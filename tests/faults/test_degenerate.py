"""Catalogues of next to nothing, or of far too much: every page says something true and raises nothing."""

import csv
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from core.charts import MOST_GENRES
from tests.app.conftest import BASELINE, TITLES, Visit

FULL = {"year": "1990", "directors": "Ann", "countries": "Norway", "languages": "Sami", "reviews": "7"}
MANY = 5_000
Film = dict[str, str]


def film(number: int, genres: str, **more: str) -> Film:
    return {"title": f"Film {number}", "genres": genres, **FULL, **more}


CATALOGUES: dict[str, tuple[list[Film], dict[str, str]]] = {
    "no film": ([], {}),
    "one film": ([film(0, "Drama")], {}),
    "two films": ([film(0, "Drama"), film(1, "War")], {}),
    "the same genres": ([film(n, "Drama|War", year=str(1990 + n % 9)) for n in range(40)], {}),
    "no genres at all": ([film(n, "", year=str(1990 + n)) for n in range(5)], {}),
    "fewer lists than k": ([film(n, "Drama|War|Crime"[: 5 + 4 * (n % 3)]) for n in range(9)], {"k": "50"}),
    "one film in a filter": (
        [film(n, "Drama", year=str(1990 + n)) for n in range(8)] + [film(9, "War|Crime", year="2010")],
        {"genres": "Crime"},
    ),
    "a filter leaves none with genres": ([film(0, "Drama"), film(1, "", countries="Chad")], {"country": "Chad"}),
}


def write(path: Path, films: list[Film]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["title", "genres", *FULL])
        writer.writeheader()
        writer.writerows(films)
    return path


def left(films: list[Film], query: dict[str, str]) -> list[Film]:
    return [
        each
        for each in films
        if query.get("genres", "") in ["", *each["genres"].split("|")]
        and query.get("country", each["countries"]) == each["countries"]
    ]


@pytest.mark.usefixtures("stub_worker")
@pytest.mark.parametrize("name", CATALOGUES)
def test_every_page_says_something_true(elsewhere: Callable[..., None], tmp_path: Path, name: str) -> None:
    films, query = CATALOGUES[name]
    elsewhere(movies=write(tmp_path / "films.csv", films))
    n, some = len(films), left(films, query)
    lists = {each["genres"] for each in some} - {""}
    visit = Visit("overview", {"encoder": BASELINE, "q": "drama", "how": "Words in title, director, cast", **query})
    for page in TITLES:
        visit.go(page)
        assert [line.value for line in visit.at.sidebar.markdown] == [f"**{len(some)} of {n} films**"]
        said = " ".join(visit.words + [info.value for info in visit.at.info])
        assert "nan" not in said.lower().split()
        assert "None" not in said.split()
        assert not [figure for figure in visit.figures.values() if figure.lower() in ("nan", "none", "inf", "-inf")]
        if page not in ("data", "encoders", "about"):
            assert f"**{len(some)} of {n} films**" in visit.lines[0]
            if not lists:
                assert [warning.value for warning in visit.at.warning] == [
                    "No film under these filters has a genre, so there is nothing to cluster."
                ]
    visit.go("overview")
    if lists:
        assert visit.figures["Clusters (k)"] == str(min(len(lists), visit.settings.n_clusters))
        assert visit.table("cluster_table")["n_movies"].sum() == sum(bool(each["genres"]) for each in some)


@pytest.mark.usefixtures("stub_worker")
def test_a_filter_that_leaves_one_film_is_spoken_of_as_one(elsewhere: Callable[..., None], tmp_path: Path) -> None:
    films, query = CATALOGUES["one film in a filter"]
    elsewhere(movies=write(tmp_path / "films.csv", films))
    visit = Visit("overview", {"encoder": BASELINE, **query})
    assert any("with 1 film (100%)" in line for line in visit.lines)
    assert visit.figures["Silhouette"] == "not defined"
    assert visit.go("cluster").films["title"].tolist() == ["Film 9"]
    assert visit.go("films").films["title"].tolist() == ["Film 9"]


@pytest.mark.usefixtures("stub_worker")
def test_five_thousand_genres(elsewhere: Callable[..., None], tmp_path: Path) -> None:
    """Each film has twenty genres, ten of its own and ten of the next one's: every genre is rare, and none the same."""
    own = [[f"Genre {n * 10 + i:04}" for i in range(10)] for n in range(MANY // 10)]
    films = [film(n, "|".join(own[n] + own[(n + 1) % len(own)]), year=str(1960 + n % 50)) for n in range(len(own))]
    elsewhere(movies=write(tmp_path / "films.csv", films))
    visit = Visit("overview", {"encoder": BASELINE, "k": "8", "q": "genre 0007"})
    assert visit.figures["Films"] == visit.figures["Genre lists"] == "500"
    assert len(visit.at.multiselect(key="genres").options) == MANY
    assert visit.table("cluster_table")["n_movies"].sum() == 500
    drawn = {"overview": "heatmap", "cluster": "genre_lifts", "data": "genre_frequencies"}
    for page in TITLES:
        visit.go(page)
        for chart in itertools.chain(visit.at.get("vega_lite_chart"), visit.at.get("arrow_vega_lite_chart")):
            assert len(chart.proto.data.data) < 500_000
        if page in drawn:
            assert visit.chart(drawn[page])["genre"].nunique() == MOST_GENRES
            assert any(f"Drawn are the {MOST_GENRES} most frequent of" in each.value for each in visit.at.caption)
    visit.go("films").at.multiselect(key="genres").set_value(["Genre 0007"])
    visit.run()
    assert visit.films["title"].tolist() == ["Film 0", "Film 499"]
