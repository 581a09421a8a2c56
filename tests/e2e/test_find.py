"""The page Find in a real browser, with a real model: words, the nearest lists, a film, films like it."""

import urllib.parse

import pytest
from playwright.sync_api import Page, expect

from core.movies import Catalogue
from tests.e2e.conftest import Server, settle

pytestmark = pytest.mark.browser


def parameters(page: Page) -> dict[str, list[str]]:
    return urllib.parse.parse_qs(urllib.parse.urlparse(page.url).query)


def select_first_row(page: Page, table: int) -> None:
    frame = page.locator("[data-testid=stDataFrame]").nth(table)
    frame.scroll_into_view_if_needed()
    frame.click(position={"x": 16, "y": 52})


def test_from_words_to_films_like_one(page: Page, server: Server, catalogue: Catalogue) -> None:
    page.goto(f"{server.url}/find?k=12")
    example = page.get_by_role("button", name="haunted house comedy")
    example.click(timeout=60_000)
    # The model is loaded first, and the page says so.
    nearest = page.get_by_text("Nearest genre list:")
    expect(nearest).to_be_visible(timeout=90_000)
    expect(nearest).to_contain_text("Horror")
    settle(page)
    assert parameters(page)["q"] == ["haunted house comedy"]
    expect(page.locator("[data-testid=stVegaLiteChart] canvas")).to_be_visible()

    select_first_row(page, 0)
    settle(page)
    (near,) = parameters(page)["near"]
    n = len(catalogue.films(list_ids=[catalogue.genre_lists.index(near)]))
    expect(
        page.get_by_text(f"{n} film{'' if n == 1 else 's'}, those of the nearest genre lists first.")
    ).to_be_visible()

    select_first_row(page, 1)
    like = page.get_by_role("button", name="Films like")
    expect(like).to_be_visible(timeout=30_000)
    like.click()
    expect(page.get_by_text("the same genre list.")).to_be_visible(timeout=30_000)
    settle(page)
    assert parameters(page)["how"] == ["Films like this one"]
    film = parameters(page)["film"][0]
    assert film in set(catalogue.films(list_ids=[catalogue.genre_lists.index(near)])["movie_id"])

    # The link says it all: another visitor gets the same film.
    page.goto(page.url)
    expect(page.get_by_text("the same genre list.")).to_be_visible(timeout=60_000)
    assert parameters(page)["film"] == [film]
    assert server.errors() == []
