"""Two browsers on one server at the same time: what one visitor brings, names and filters, the other never sees."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Server, settle
from tests.e2e.test_main_road import main_of, metric

pytestmark = pytest.mark.browser

SECRET = "Only mine"
FILMS = "title;year;genres\n" + "".join(
    f"{SECRET} {i};{1990 + i % 9};{genres}\n" for i, genres in enumerate(["War|Drama", "Comedy", "Musical|War"] * 9)
)
LINK = "?encoder=multi-hot&k=6"
PAGES = ("", "cluster", "compare", "trends", "films", "data", "encoders", "about")


def open_at(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_test_id("stHeading").first).to_be_visible(timeout=60_000)
    settle(page)


def words(page: Page) -> str:
    """What the page says once the stability of its clusters is known, which is everybody's."""
    expect(main_of(page)).not_to_contain_text("measuring", timeout=60_000)
    expect(main_of(page)).not_to_contain_text("waits for its turn", timeout=60_000)
    settle(page)
    return main_of(page).inner_text()


def test_upload_names_and_filters_stay_with_their_visitor(
    page: Page, browser: Browser, new_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = new_server(tmp_path / "vectors")
    with browser.new_context(viewport={"width": 1280, "height": 900}) as another:
        other = another.new_page()
        open_at(other, f"{server.url}/cluster{LINK}&cluster=2")
        before = words(other)

        # A name and a note, in the very cluster that the other visitor looks at.
        open_at(page, f"{server.url}/cluster{LINK}&cluster=2")
        page.get_by_role("button", name="Name and note").click()
        page.get_by_role("textbox", name="Name").fill(SECRET)
        page.get_by_role("button", name="Save").click()
        settle(page)
        page.keyboard.press("Escape")
        expect(page.get_by_text(f"{SECRET} holds")).to_be_visible()
        # A filter, by the sidebar.
        page.get_by_test_id("stSidebar").get_by_role("combobox", name="Country").press_sequentially("France")
        page.get_by_role("option").filter(has_text="France").first.click()
        settle(page)
        assert "country=France" in page.url
        open_at(other, f"{server.url}/cluster{LINK}&cluster=2")
        assert words(other) == before
        assert "17,472 of 17,472 films" in before

        # Films of one's own, with both looking at all of their pages.
        open_at(page, f"{server.url}/data{LINK}")
        upload = {"name": f"{SECRET}.csv", "mimeType": "text/csv", "buffer": FILMS.encode()}
        page.set_input_files("[data-testid=stMain] input[type=file]", upload)
        page.get_by_role("button", name="Use these films").click(timeout=60_000)
        expect(page.get_by_text(f"In use: Your file {SECRET}.csv: 27 films.")).to_be_visible(timeout=60_000)
        page.get_by_role("link", name="See their clusters").click()
        expect(page.get_by_role("heading", name="What these films are about")).to_be_visible(timeout=60_000)
        settle(page)
        assert metric(page, "Films") == "27"
        for name in PAGES:
            open_at(other, f"{server.url}/{name}{LINK}")
            assert SECRET not in other.content()
        open_at(other, f"{server.url}/films{LINK}&search={SECRET.replace(' ', '+')}")
        expect(other.get_by_text("No film matches.")).to_be_visible()
        assert metric(page, "Films") == "27"  # and nothing of theirs came over here
    assert server.errors() == []
    assert SECRET not in server.log.read_text()
    assert not [file for file in tmp_path.rglob("*") if SECRET.encode() in file.name.encode()]
