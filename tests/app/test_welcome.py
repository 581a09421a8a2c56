"""The introduction on the page Overview: its questions lead to pages that answer them, and it can be put away."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from core import encoders
from tests.app.conftest import BASELINE, Visit, unescaped

pytestmark = pytest.mark.usefixtures("stub_worker")
HORROR = "What kinds of horror are there?"
PUT_AWAY = "Got it"


def button(visit: Visit, label: str):  # type: ignore[no-untyped-def]
    return next(each for each in visit.at.button if each.label == label)


def introduced(visit: Visit) -> bool:
    return any(line.startswith("**New here?**") for line in visit.lines)


@pytest.mark.usefixtures("shipped")
def test_it_asks_of_horror_only_and_can_be_undone(films: list[dict[str, object]]) -> None:
    visit = Visit(newcomer=True)
    assert introduced(visit)
    button(visit, HORROR).click()
    visit.run()
    n = sum("Horror" in film["genres"] for film in films)  # type: ignore[operator]
    assert visit.figures["Films"] == f"{n:,}"
    assert visit.settings.filters.genres == ("Horror",)
    button(visit, "Reset filters").click()
    visit.run()
    assert visit.figures["Films"] == "17,472"


@pytest.mark.usefixtures("shipped")
def test_its_links_lead_to_the_pages_that_answer() -> None:
    links = {unescaped(label): (page, query) for label, page, query in Visit(newcomer=True).links}
    assert links["Which clusters grew?"][0] == "trends"
    assert links["How many clusters are there?"][0] == "choose"
    page, query = links[f"Is {encoders.DEFAULT_ENCODER} any better than plain genres?"]
    assert page == "compare_encoders"
    assert f"one={encoders.DEFAULT_ENCODER}" in query
    assert f"other={BASELINE}" in query


@pytest.mark.usefixtures("shipped")
def test_put_away_it_stays_away() -> None:
    visit = Visit(newcomer=True)
    button(visit, PUT_AWAY).click()
    visit.run()
    assert not introduced(visit)
    assert not introduced(visit.go("films").go("overview"))


def test_what_a_catalogue_cannot_answer_is_not_asked(elsewhere: Callable[..., None], tmp_path: Path) -> None:
    films = pd.DataFrame({"title": list("abcd"), "genres": [["War"], ["Drama"], ["War", "Drama"], ["Drama"]]})
    films.to_parquet(tmp_path / "few.parquet")
    elsewhere(tmp_path / "few.parquet")
    visit = Visit(query={"encoder": BASELINE, "k": 2}, newcomer=True)
    assert introduced(visit)
    assert HORROR not in [each.label for each in visit.at.button]
    labels = [label for label, _, _ in visit.links]
    assert "How many clusters are there?" in labels
    assert "Which clusters grew?" not in labels
    assert not any("better than plain genres" in label for label in labels)
