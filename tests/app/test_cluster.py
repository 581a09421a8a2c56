"""The page Cluster, in a simulated session."""

import io
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from core import analysis, cache, explain
from core.analysis import Analysis
from core.clustering import Space
from core.controls import start
from core.controls.tables import MEASURE_NAMES
from core.movies import Catalogue
from tests.app.conftest import Film, Visit, clear_caches, ids, unescaped

pytestmark = pytest.mark.usefixtures("stub_worker", "shipped")


def members(films: list[Film], cluster: int) -> list[Film]:
    return [film for film in films if film["cluster"] == cluster]


def shown(visit: Visit) -> list[str]:
    return visit.films["movie_id"].tolist()


def a_genre(films: list[Film]) -> str:
    """Return a genre that many of the films have, and not all."""
    counted = Counter(genre for film in films for genre in film["genres"])
    return next(genre for genre, n in counted.most_common() if 0 < n < len(films))


def names(films: list[Film], text: str) -> list[Film]:
    """Return the films that have a text in title, directors or cast."""
    return [
        film
        for film in films
        if any(text.lower() in said.lower() for said in (film["title"], *film["directors"], *film["cast"]))
    ]


def test_every_cluster_in_full(analysed: Analysis, films: list[Film]) -> None:
    visit = Visit("cluster")
    assert visit.at.selectbox(key="chosen_cluster").options == [
        f"{i} {name.text} (measuring)" for i, name in enumerate(analysed.names)
    ]
    for cluster in range(12):
        visit.at.selectbox(key="chosen_cluster").set_value(cluster)
        visit.run()
        mine = members(films, cluster)
        lists = {film["genre_list"] for film in mine}
        assert visit.at.query_params["cluster"] == str(cluster)
        said = unescaped(visit.lines[1])
        assert said.startswith(f"**{analysed.names[cluster].text}** holds {len(mine):,} films ({len(mine) / 17029:.1%}")
        assert f"in {len(lists):,} genre lists" in said
        scores = [film["tomatometer"] for film in mine if film["tomatometer"] is not None]
        assert visit.figures == {
            "Films": f"{len(mine):,}",
            "Coherence": f"{analysed.coherence.clusters[cluster]:.3f}",
            "Silhouette": f"{analysed.silhouette.clusters[cluster]:.3f}",
            "Median Tomatometer": f"{np.median(scores):.0f} %",
            "Median year": f"{np.median([film['year'] for film in mine]):.0f}",
        }
        assert f"**{len(mine):,} of {len(mine):,} films**" in visit.lines
        assert shown(visit) == ids(mine)
        bars = visit.chart("genre_lifts")
        counted = Counter(genre for film in mine for genre in film["genres"])
        assert dict(zip(bars["genre"], bars["n_cluster"], strict=True)) == counted


def test_genres_and_years_with_their_denominators(films: list[Film]) -> None:
    visit = Visit("cluster", {"cluster": "4"})
    mine = members(films, 4)
    bars = visit.chart("genre_lifts").set_index("genre")
    genre = a_genre(mine)
    having = [film for film in mine if genre in film["genres"]]
    overall = sum(genre in film["genres"] for film in films) / 17029
    assert bars.loc[genre, "share"] == pytest.approx(len(having) / len(mine))
    assert bars.loc[genre, "catalogue_share"] == pytest.approx(overall)
    assert bars.loc[genre, "lift"] == pytest.approx(len(having) / len(mine) / overall)

    def years_are(some: list[Film]) -> bool:
        points = visit.chart("year_shares")
        everyone = Counter(film["year"] for film in films)
        counted = Counter(film["year"] for film in some)
        wanted = [(year, counted[year], n) for year, n in sorted(everyone.items())]
        return points[["year", "n_cluster", "n_all"]].to_records(index=False).tolist() == wanted

    assert years_are(mine)
    visit.at.multiselect(key="with").set_value([genre])
    visit.run()
    assert years_are(having)
    # A link shows the years of the genres it names at the first run.
    visit = Visit("cluster", {"cluster": "4", "with": genre})
    assert years_are(having)


def test_choices_leave_exactly_these_films(films: list[Film]) -> None:
    mine = members(films, 0)
    visit = Visit("cluster", {"cluster": "0"})

    def leaves(wanted: list[Film]) -> bool:
        line = f"**{len(wanted):,} of {len(mine):,} films**"
        return shown(visit.run()) == ids(wanted) and line in visit.lines

    genre = a_genre(mine)
    year, n_year = Counter(film["year"] for film in mine).most_common(1)[0]
    genre_list = Counter(film["genre_list"] for film in mine).most_common(3)[2][0]
    assert 0 < n_year < len(mine)

    visit.at.multiselect(key="with").set_value([genre])
    having = [film for film in mine if genre in film["genres"]]
    assert leaves(having)
    third = Counter(g for film in having for g in film["genres"] if g != genre).most_common(2)[1][0]
    visit.at.multiselect(key="with").set_value([genre, third])
    both = [film for film in mine if {genre, third} <= set(film["genres"])]
    assert leaves(both)
    assert 0 < len(both) < len(having) < len(mine)
    visit.at.selectbox(key="year").set_value(both[0]["year"])
    assert leaves([film for film in both if film["year"] == both[0]["year"]])
    visit.at.multiselect(key="with").set_value([])
    visit.at.selectbox(key="year").set_value(year)
    assert leaves([film for film in mine if film["year"] == year])
    visit.at.selectbox(key="year").set_value(None)
    visit.at.selectbox(key="list").set_value(genre_list)
    assert leaves([film for film in mine if film["genre_list"] == genre_list])
    visit.at.selectbox(key="list").set_value(None)
    for text in ("SCORSESE", "the", "%", "'", "1"):
        visit.at.text_input(key="find").set_value(text)
        assert leaves(names(mine, text))
    visit.at.text_input(key="find").set_value("' OR 1=1 --")
    assert leaves([])
    assert [info.value for info in visit.at.info] == ["No film has all of this. Take one of the choices away."]
    visit.at.text_input(key="find").set_value("")
    assert leaves(mine)


def test_choices_from_a_link(films: list[Film]) -> None:
    mine = members(films, 2)
    film = next(film for film in mine if len(film["genres"]) > 2 and film["directors"])
    query = {
        "cluster": "2",
        "with": film["genres"][:2],
        "list": film["genre_list"],
        "year": str(film["year"]),
        "find": film["directors"][0].upper(),
        "order": "Most typical",
    }
    visit = Visit("cluster", query)
    wanted = [
        other
        for other in names(mine, film["directors"][0])
        if (other["genre_list"], other["year"]) == (film["genre_list"], film["year"])
    ]
    assert film in wanted
    assert shown(visit) == ids(wanted)
    assert visit.at.query_params == query

    # What the link names and the cluster does not have is let go of.
    nonsense = {"with": "Nonsense", "list": "Nonsense", "year": "1066", "order": "evil", "look": "evil"}
    assert shown(Visit("cluster", {"cluster": "2", **nonsense})) == ids(mine)
    assert shown(Visit("cluster", {"cluster": "2", "year": "x", "with": "", "list": "", "find": ""})) == ids(mine)
    # A text is cut to what the box takes.
    visit = Visit("cluster", {"cluster": "2", "find": "x" * 100_000})
    assert visit.at.text_input(key="find").value == "x" * 200
    assert shown(visit) == []


def test_order(films: list[Film]) -> None:
    mine = members(films, 1)
    visit = Visit("cluster", {"cluster": "1"})
    by_reviews = ids(mine)
    film = {film["movie_id"]: film for film in mine}
    assert shown(visit) == by_reviews
    reviews = visit.films["reviews"].dropna().tolist()
    assert reviews == sorted(reviews, reverse=True)
    visit.at.segmented_control(key="order").set_value("Most typical")
    assert shown(visit.run()) == sorted(by_reviews, key=lambda i: film[i]["distance"])
    visit.at.segmented_control(key="order").set_value("Most borderline")
    assert shown(visit.run()) == sorted(by_reviews, key=lambda i: film[i]["margin"])
    assert visit.films["margin"].tolist() == pytest.approx([film[i]["margin"] for i in shown(visit)])
    visit.at.segmented_control(key="order").set_value("Most reviewed")
    assert shown(visit.run()) == by_reviews


def test_typical_and_borderline_lists(analysed: Analysis, catalogue: Catalogue, films: list[Film]) -> None:
    visit = Visit("cluster", {"cluster": "3"})
    found, count = analysed.clustering, Counter(film["genre_list"] for film in members(films, 3))
    for key, column, wanted in (
        ("typical", "distance", explain.typical(found, 3)),
        ("borderline", "margin", explain.borderline(found, 3)),
    ):
        table = visit.table(key)
        values = getattr(found, column)[wanted]
        assert len(table) == 10
        assert table[column].tolist() == pytest.approx(values)
        assert table[column].is_monotonic_increasing
        assert set(table["text"]) == {catalogue.genre_lists[i] for i in wanted}
        assert table["n_movies"].tolist() == [count[text] for text in table["text"]]
    rows = {text: i for i, text in enumerate(catalogue.genre_lists)}
    runners_up = [found.runner_up[rows[text]] for text in table["text"]]
    assert table["runner_up_name"].tolist() == [analysed.names[i].text for i in runners_up]

    # A selected list shows the films that have exactly it, and lets go of them again.
    text = visit.table("borderline")["text"].iloc[2]
    visit.select("borderline", {"rows": [2], "columns": [], "cells": []})
    assert visit.at.selectbox(key="list").value == text
    assert shown(visit) == ids([film for film in films if film["genre_list"] == text])
    visit.select("borderline", {"rows": [], "columns": [], "cells": []})
    assert len(shown(visit)) == len(members(films, 3))


def test_marks_lead_to_films(films: list[Film]) -> None:
    mine = members(films, 5)
    visit = Visit("cluster", {"cluster": "5"})
    genre = visit.chart("genre_lifts")["genre"].iloc[1]
    visit.select("genre_lifts", {"pick": [{"genre": genre}]})
    assert visit.at.multiselect(key="with").value == [genre]
    assert shown(visit) == ids([film for film in mine if genre in film["genres"]])
    visit.select("genre_lifts", {"pick": []})
    year = Counter(film["year"] for film in mine).most_common(1)[0][0]
    visit.select("year_shares", {"pick": [{"year": year}]})
    assert visit.at.selectbox(key="year").value == year
    assert shown(visit) == ids([film for film in mine if film["year"] == year])
    visit.select("year_shares", {"pick": []})
    assert len(shown(visit)) == len(mine)
    director = visit.table("stand_out_directors")["value"].iloc[0]
    visit.select("stand_out_directors", {"rows": [0], "columns": [], "cells": []})
    assert visit.at.text_input(key="find").value == director
    assert shown(visit) == ids(names(mine, director))
    assert len(shown(visit)) >= 5


def test_a_year_without_films_of_the_cluster(films: list[Film]) -> None:
    empty, cluster = next(
        (year, cluster)
        for cluster in range(11, -1, -1)
        for year in sorted({film["year"] for film in films})
        if not any(film["year"] == year for film in members(films, cluster))
    )
    visit = Visit("cluster", {"cluster": str(cluster)})
    assert len(shown(visit)) > 0
    visit.select("year_shares", {"pick": [{"year": empty}]})
    assert visit.at.selectbox(key="year").value == empty
    assert shown(visit) == []
    assert [info.value for info in visit.at.info] == ["No film has all of this. Take one of the choices away."]


@pytest.mark.parametrize(
    ("column", "key"), [("directors", "stand_out_directors"), ("countries", None), ("languages", None)]
)
def test_what_stands_out(films: list[Film], column: str, key: str | None) -> None:
    visit = Visit("cluster", {"cluster": "1", "look": column})
    mine = [film for film in members(films, 1) if film[column]]
    everyone = [film for film in films if film[column]]
    here = Counter(value for film in mine for value in set(film[column]))
    there = Counter(value for film in everyone for value in set(film[column]))
    counted = pd.DataFrame(
        [(value, n, there[value]) for value, n in here.items()], columns=["value", "n_cluster", "n_all"]
    )
    wanted = explain.standing_out(counted, len(mine), len(everyone)).head(100)
    table = visit.alt(f"{column.title()} that stand out")
    assert (visit.table(key) if key else table).equals(table)
    assert 0 < len(table) == len(wanted)
    assert table["lift_low"].tolist() == pytest.approx(wanted["lift_low"].tolist())
    assert (table["lift_low"] > 1).all()
    assert dict(zip(table["value"], table["n_cluster"], strict=True)) == {
        value: here[value] for value in table["value"]
    }
    assert table["share"].tolist() == pytest.approx([100 * here[value] / len(mine) for value in table["value"]])
    words = f"{len(mine):,} of {len(members(films, 1)):,} films name {column}"
    assert any(caption.value.startswith(words) for caption in visit.at.main.caption)


def test_scores_and_box_office_with_coverage(films: list[Film]) -> None:
    table = Visit("cluster", {"cluster": "6"}).alt("Medians and quartiles").set_index("Measure")
    assert table.index.tolist() == [title for title, _ in MEASURE_NAMES.values()]
    for some, whose in ((members(films, 6), "cluster"), (films, "catalogue")):
        for measure, (title, form) in MEASURE_NAMES.items():
            scale = 1e6 if measure == "box_office" else 1
            known = [film[measure] / scale for film in some if film[measure] is not None]
            q1, median, q3 = (form.format(value) for value in np.percentile(known, [25, 50, 75]))
            assert table.loc[title, f"This {whose}"] == f"{median} ({q1} to {q3})"
            assert table.loc[title, f"Known for ({whose})"] == f"{len(known):,} of {len(some):,}"


def test_a_cluster_that_is_gone(catalogue: Catalogue, documents: Space, films: list[Film]) -> None:
    visit = Visit("cluster", {"cluster": "11"})
    assert shown(visit) == ids(members(films, 11))
    genre = visit.at.multiselect(key="with").options[-1]
    visit.at.multiselect(key="with").set_value([genre])
    assert len(shown(visit.run())) > 0
    visit.at.slider(key="k").set_value(5)
    visit.run()
    five = analysis.analyse(catalogue, documents, 5)
    assert visit.at.selectbox(key="chosen_cluster").value == 0
    assert len(visit.at.selectbox(key="chosen_cluster").options) == 5
    assert visit.at.query_params["cluster"] == "0"
    assert visit.figures["Films"] == f"{five.clustering.sizes[0]:,}"

    # The page remembers the cluster while other pages are looked at, and a link to another one is followed.
    visit.at.selectbox(key="chosen_cluster").set_value(3)
    visit.run().go("overview").go("films")
    del visit.at.query_params["cluster"]
    assert visit.go("cluster").at.selectbox(key="chosen_cluster").value == 3
    assert visit.at.query_params["cluster"] == "3"
    visit.at.query_params["cluster"] = "1"
    assert visit.run().at.selectbox(key="chosen_cluster").value == 1
    for nonsense in ("77", "5", "-1", "abc", "²", "9" * 100_000):
        visit = Visit("cluster", {"k": "5", "cluster": nonsense})
        assert visit.at.selectbox(key="chosen_cluster").value == 0
        assert visit.at.query_params["cluster"] == "0"
        assert visit.figures["Films"] == f"{five.clustering.sizes[0]:,}"


def test_filters_narrow_a_cluster(films: list[Film], catalogue: Catalogue, documents: Space) -> None:
    visit = Visit("cluster", {"cluster": "0", "country": "France", "years": ["1960", "1979"]})
    found = analysis.analyse(catalogue, documents, 12, 0, visit.settings.filters)
    label = dict(zip(catalogue.genre_lists, found.clustering.labels.tolist(), strict=True))
    some = [film for film in films if "France" in film["countries"] and 1960 <= film["year"] <= 1979]
    mine = [film for film in some if film["genre_list"] and label[film["genre_list"]] == 0]
    assert 0 < len(mine) < len(some)
    assert shown(visit) == ids(mine)
    assert visit.lines[0].startswith(f"**{len(some):,} of 17,472 films** pass the filters")


def test_downloads(offered: dict[str, tuple[str, Callable[[], bytes]]], films: list[Film]) -> None:
    genre = a_genre(members(films, 7))
    Visit("cluster", {"cluster": "7", "with": genre, "order": "Most borderline"})
    mine = [film for film in members(films, 7) if genre in film["genres"]]
    assert sorted(offered) == ["genrescope-cluster-7.csv", "genrescope-cluster-7.parquet"]
    label, make = offered["genrescope-cluster-7.parquet"]
    assert label == f"These {len(mine):,} films as Parquet"
    table = pq.read_table(io.BytesIO(make())).to_pandas()
    assert sorted(table["movie_id"]) == sorted(film["movie_id"] for film in mine)
    assert table["margin"].is_monotonic_increasing
    csv = pd.read_csv(io.BytesIO(offered["genrescope-cluster-7.csv"][1]()))
    assert csv["movie_id"].tolist() == table["movie_id"].tolist()


def test_a_single_film_is_not_spoken_of_as_many(
    offered: dict[str, tuple[str, Callable[[], bytes]]], films: list[Film]
) -> None:
    titles = Counter(film["title"] for film in members(films, 7))
    title = max((title for title, n in titles.items() if n == 1), key=len)
    visit = Visit("cluster", {"cluster": "7", "find": title})
    assert len(shown(visit)) == 1
    assert {label for label, _ in offered.values()} == {"This film as CSV", "This film as Parquet"}


def test_where_films_are_many_counts_show_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a large catalogue has counted by genre list says what a look at each film does, on the whole page."""

    def page() -> tuple[list[pd.DataFrame], dict[str, str], list[str]]:
        visit = Visit("cluster", {"cluster": "4", "with": "Drama", "k": "7"})
        tables = [visit.alt("Medians and quartiles"), visit.alt("Directors that stand out")]
        return (
            [visit.chart("year_shares"), visit.chart("genre_lifts"), visit.films, *tables],
            visit.figures,
            visit.lines,
        )

    wanted, *others = page()
    clear_caches()
    monkeypatch.setattr(cache, "COUNTED_MOVIES", 1)
    start.prepare()  # counts ahead what every cluster is held against
    for ask in ("cluster_measures", "spread", "years", "known_counts"):
        monkeypatch.setattr(Catalogue, ask, None)
    got, *rest = page()
    clear_caches()
    assert rest == others
    for one, other in zip(got, wanted, strict=True):
        pd.testing.assert_frame_equal(one, other, check_dtype=False)
