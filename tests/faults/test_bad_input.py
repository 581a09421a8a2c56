"""Bad input from links, searches, names and the catalogue itself: shown literally, or let go of."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from core.controls import plain
from tests.app.conftest import BASELINE, TITLES, Visit, unescaped
from tests.faults.hostile import HOSTILE, LONG, write

HUGE = "9" * 100_000
# What Markdown, HTML, LaTeX and Streamlit would make something of; with a backslash before it, it is text.
MARKUP = re.compile(r"(?<!\\)(<img|<script|<svg|!\[i\]|\[x\]\(|https://evil|www\.evil|:red\[|:material/home:|\$\\href)")
HIDDEN = ("\u202e", "\u2066", "\u200b", "\ufeff", "\x00", "\x1b")
NUMBERS = ("k", "seed", "years", "reviews", "cluster", "a", "b", "year", "film", "near", "one", "other")
NO_NUMBERS = (HUGE, "NaN", "1e400", "-0", "0x10", "\u0663", "\x00", "", "1;2", "[1]", "null", "\u202e5", "1,000", "--1")
WORDS = ("q", "search", "find", "with", "list", "how", "map", "heat", "order", "look", "match", "text", "kind", "take")
TEXTS = (*HOSTILE.values(), LONG * 10)


def clean(visit: Visit) -> None:
    """Fail where a page has markup of others in a place that renders Markdown, or an error of the program."""
    for text in visit.words:
        assert not MARKUP.search(text), text[:300]
        assert not [hidden for hidden in HIDDEN if hidden in text], text[:300]
        assert "Traceback" not in text


@pytest.mark.usefixtures("shipped", "stub_worker")
@pytest.mark.parametrize("page", TITLES)
def test_whatever_a_link_says(page: str) -> None:
    links: list[dict[str, str | list[str]]] = [
        {name: NO_NUMBERS[(turn * 5 + place) % len(NO_NUMBERS)] for place, name in enumerate(NUMBERS)}
        | {name: TEXTS[(turn * 5 + place) % len(TEXTS)] for place, name in enumerate(WORDS)}
        for turn in range(3)
    ]
    links.append({"k": ["3", "4", HUGE], "genres": ["Drama"] * 5_000, "encoder": [BASELINE] * 9, "cluster": ["1"] * 99})
    for query in links:
        visit = Visit(page, {"encoder": BASELINE, **query})
        assert 2 <= visit.settings.n_clusters <= 50
        assert visit.settings.filters.genres in ((), ("Drama",))
        assert visit.settings.text == "genres"
        clean(visit)


@pytest.mark.usefixtures("stub_worker")
def test_a_hostile_catalogue_on_every_page(elsewhere: Callable[..., None], tmp_path: Path) -> None:
    elsewhere(movies=write(tmp_path / "films.json"))
    visit = Visit("overview", {"encoder": BASELINE, "k": "6"})
    for page in TITLES:
        clean(visit.go(page))
    titles = visit.go("films").films["title"].tolist()
    assert set(titles) == set(HOSTILE.values())
    # Films are looked at, searched for, and searched for those like them.
    for row in range(0, len(HOSTILE), 2):
        clean(visit.select("all_films", {"rows": [row], "columns": [], "cells": []}))
        for how in ("Films like this one", "By meaning"):
            visit.at.query_params.update({"q": titles[row][:300], "how": how})
            clean(visit.go("find"))
        visit.go("films")


@pytest.mark.usefixtures("shipped", "stub_worker")
def test_hostile_searches_find_nothing_and_break_nothing() -> None:
    visit = Visit("films", {"encoder": BASELINE})
    for text in HOSTILE.values():
        visit.at.text_input(key="search").set_value(text)
        visit.run()
        assert visit.films.empty
        clean(visit)
    visit.at.text_input(key="search").set_value("%")
    assert all("%" in title for title in visit.run().films["title"])
    visit.at.text_input(key="search").set_value("")
    assert len(visit.run().films) == 17_472  # and no table was dropped


@pytest.mark.usefixtures("shipped", "stub_worker")
def test_hostile_names_and_notes() -> None:
    visit = Visit("cluster", {"encoder": BASELINE, "k": "5"})
    for number, text in enumerate(HOSTILE.values()):
        visit.at.text_input(key="own_name").set_value(text)
        visit.at.text_area(key="own_note").set_value(text)
        next(button for button in visit.at.button if button.label == "Save").click()
        clean(visit.run())
        if number % 5 == 0:
            for page in ("overview", "compare", "cluster"):
                clean(visit.go(page))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_hidden_characters_are_named(text: str) -> None:
    shown = plain(text)
    assert not [hidden for hidden in HIDDEN if hidden in shown]
    assert ("\u202e" in text) == ("‹U+202E›" in unescaped(shown).replace("\\", ""))
    assert plain("سلام\u200cها") == "سلام\u200cها"  # which Persian is written with
