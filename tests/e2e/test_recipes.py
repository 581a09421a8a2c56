"""A recipe goes from one browser to another: as a link, which AppTest knows no address for, and as a file."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Server, settle

pytestmark = pytest.mark.browser


def test_a_recipe_is_opened_elsewhere(
    page: Page, browser: Browser, new_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = new_server(tmp_path / "vectors")
    page.goto(f"{server.url}/cluster?encoder=multi-hot&k=9&years=1980&years=1999&cluster=2")
    page.get_by_role("button", name="Name and note").click(timeout=60_000)
    page.get_by_role("textbox", name="Name").fill("Mine <b>")
    page.get_by_role("button", name="Save").click()
    settle(page)
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Overview").click()
    page.get_by_text("Recipe: how to make this result again").click()
    link = page.get_by_test_id("stCode").inner_text(timeout=60_000).strip()
    assert link.startswith(f"{server.url}/?encoder=multi-hot&k=9&")
    with page.expect_download() as download:
        page.get_by_role("button", name="Recipe as JSON").click()
    file = tmp_path / "recipe.json"
    download.value.save_as(file)
    assert [own["name"] for own in json.loads(file.read_text())["names"]] == ["Mine <b>"]

    other = browser.new_page()
    other.goto(link)
    expect(other.get_by_text("The same result as the link's: all ")).to_be_visible(timeout=60_000)
    assert "recipe=" not in other.url
    other.goto(f"{server.url}/cluster?encoder=multi-hot&cluster=2")
    other.get_by_text("Open a recipe").click(timeout=60_000)
    other.locator("input[type=file]").set_input_files(file)
    expect(other.get_by_text("The same result as the recipe: all ")).to_be_visible(timeout=60_000)
    expect(other.get_by_text("Mine <b> holds")).to_be_visible()
    assert "years=1980" in other.url
    other.close()
    assert server.errors() == []
