"""The page Films, in a simulated session."""

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.analysis import Analysis
from tests.app.conftest import BASELINE, Film, Visit, ids

pytestmark = pytest.mark.usefixtures("stub_worker")

NONE_MATCHES = "No film matches. Try fewer letters, or take filters away."
SEARCHES = {
    "a name, in any case": "ScorSESE",
    "spaces around it are not meant": "  godfather ",
    "two words in order": "star wars",
    "an accent": "ÉTÉ",
    "an apostrophe": "'",
    "a double quote": '"',
    "SQL wildcards": "%",
    "or": "_",
    "SQL": "' OR 1=1 --",
    "more SQL": "'; DROP TABLE movies; --",
    "Markdown": "**",
    "or a star": "*",
    "a link": "[x](javascript:1)",
    "HTML": "<b>",
    "a parenthesis, as in a pattern": "(",
    "any character, as in a pattern": ".*",
    "a dollar": "$",
    "a backslash": "\\",
    "an icon": ":material/home:",
    "what is in no film": "qqqqqqqqqq",
}


def shown(visit: Visit) -> list[str]:
    return visit.films["movie_id"].tolist()


@pytest.mark.usefixtures("shipped")
def test_every_film_with_its_cluster(films: list[Film], analysed: Analysis) -> None:
    visit = Visit("films")
    assert visit.lines[:2] == [
        "**17,472 of 17,472 films**; 443 of them name no genre and are in no cluster.",
        "**17,472 of 17,472 films**",
    ]
    table = visit.films
    assert table["movie_id"].tolist() == ids(films)
    film = {film["movie_id"]: film for film in films}
    clusters = [None if pd.isna(cluster) else int(cluster) for cluster in table["cluster"]]
    assert clusters == [film[i]["cluster"] for i in table["movie_id"]]
    names = [None if c is None else analysed.names[c].text for c in clusters]
    assert [name if isinstance(name, str) else None for name in table["cluster_name"]] == names
    assert table["title"].tolist() == [film[i]["title"] for i in table["movie_id"]]
    assert table["genres"].tolist() == [", ".join(film[i]["genres"]) for i in table["movie_id"]]

    visit.at.toggle(key="without").set_value(True)
    without = visit.run().films
    assert without["movie_id"].tolist() == ids([film for film in films if not film["genres"]])
    assert len(without) == 443
    assert without["cluster"].isna().all()
    assert without["cluster_name"].isna().all()
    assert "**443 of 17,472 films**" in visit.lines
    visit.at.text_input(key="search").set_value("a")
    assert 0 < len(visit.run().films) < 443
    assert visit.films["genres"].eq("").all()


@pytest.mark.usefixtures("shipped")
def test_the_search_is_literal(films: list[Film]) -> None:
    text_of = {film["movie_id"]: [film["title"], *film["directors"], *film["cast"]] for film in films}
    visit = Visit("films")
    found = {}
    for what, search in SEARCHES.items():
        visit.at.text_input(key="search").set_value(search)
        visit.run()
        wanted = [
            film for film in films if any(search.strip().lower() in said.lower() for said in text_of[film["movie_id"]])
        ]
        found[what] = len(wanted)
        assert shown(visit) == ids(wanted), what
        assert f"**{len(wanted):,} of 17,472 films**" in visit.lines
        assert [info.value for info in visit.at.info] == ([] if wanted else [NONE_MATCHES])
    assert found["a name, in any case"] == 57
    assert min(found[what] for what in ("a double quote", "SQL wildcards", "or", "Markdown", "a dollar")) > 0
    visit.at.text_input(key="search").set_value("   ")
    assert len(shown(visit.run())) == 17472


@pytest.mark.usefixtures("shipped")
def test_from_a_link_and_with_filters(films: list[Film], offered: dict[str, tuple[str, Callable[[], bytes]]]) -> None:
    visit = Visit("films", {"search": "the", "language": "French", "years": ["1950", "1969"]})
    some = [film for film in films if "French" in film["languages"] and 1950 <= film["year"] <= 1969]
    wanted = [
        film
        for film in some
        if any("the" in said.lower() for said in (film["title"], *film["directors"], *film["cast"]))
    ]
    assert 0 < len(wanted) < len(some)
    assert shown(visit) == ids(wanted)
    assert visit.lines[0].startswith(f"**{len(some):,} of 17,472 films** pass the filters")
    assert visit.lines[1] == f"**{len(wanted):,} of {len(some):,} films**"
    label, make = offered["genrescope-search.parquet"]
    assert label == f"These {len(wanted):,} films as Parquet"
    assert pq.read_table(io.BytesIO(make()))["movie_id"].to_pylist() == ids(wanted)
    csv = pd.read_csv(io.BytesIO(offered["genrescope-search.csv"][1]()))
    assert csv["movie_id"].tolist() == ids(wanted)

    assert len(shown(Visit("films", {"without": "true"}))) == 443
    assert len(shown(Visit("films", {"without": "perhaps"}))) == 17472
    assert Visit("films", {"search": "x" * 100_000}).at.text_input(key="search").value == "x" * 200


def test_very_many_films(
    elsewhere: Callable[..., None], tmp_path: Path, offered: dict[str, tuple[str, Callable[[], bytes]]]
) -> None:
    n = 30_000
    films = {
        "movie_id": [f"m{i}" for i in range(n)],
        "title": [f"Film {i}" for i in range(n)],
        "genres": [["Drama"]] * n,
    }
    pq.write_table(pa.table(films), tmp_path / "films.parquet")
    elsewhere(movies=tmp_path / "films.parquet")
    visit = Visit("films", {"encoder": BASELINE})
    assert "**30,000 of 30,000 films**" in visit.lines
    assert shown(visit) == films["movie_id"][:250]
    (cut,) = (info.value for info in visit.at.info)
    assert cut.startswith("Listed are films 1 to 250 of 30,000 in this order")
    (part,) = (each for each in visit.at.number_input if each.label == "Part of the list (of 120)")
    part.set_value(120)
    assert shown(visit.run()) == films["movie_id"][-250:]
    assert next(info.value for info in visit.at.info).startswith("Listed are films 29,751 to 30,000 of 30,000")
    label, make = offered["genrescope-search.parquet"]
    assert label == "These 30,000 films as Parquet"
    assert pq.read_table(io.BytesIO(make()))["movie_id"].to_pylist() == films["movie_id"]
    visit.at.text_input(key="search").set_value("film 2999")
    assert shown(visit.run()) == [f"m{i}" for i in (2999, *range(29990, 30000))]
    assert [info.value for info in visit.at.info] == []
    visit.at.text_input(key="search").set_value("film 1")
    assert len(shown(visit.run())) == 11_111
