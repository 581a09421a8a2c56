"""A catalogue of bad intentions in a real browser: shown as it is, nothing runs, and no other host is asked."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Dialog, Page, expect

from core.controls.words import WORD_JOINER
from tests.app.conftest import TITLES
from tests.e2e.conftest import Server, settle
from tests.faults.hostile import HOSTILE, write

pytestmark = pytest.mark.browser
LIVE = ("img[src*=evil]", "img[src=x]", "a[href*=evil]", "a[href^=javascript]", "svg[onload]", "iframe")


def test_every_page_of_a_hostile_catalogue(page: Page, new_server: Callable[..., Server], tmp_path: Path) -> None:
    server = new_server(tmp_path / "vectors", GENRESCOPE_MOVIES=str(write(tmp_path / "films.json")))
    dialogs, asked, problems = list[str](), list[str](), list[str]()

    def dismiss(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    query = f"encoder=multi-hot&k=6&q={quote(HOSTILE['HTML'])}&search={quote('<img')}&how=Films%20like%20this%20one"
    for name, title in TITLES.items():
        path = "" if name == "overview" else name
        page.goto(f"{server.url}/{path}?{query}")
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible(timeout=60_000)
        settle(page)
        main = page.locator("[data-testid=stApp]")
        # What Markdown or HTML of others would have become.
        for element in (
            "img[src*=evil]",
            "img[src=x]",
            "a[href*=evil]",
            "a[href^=javascript]",
            "svg[onload]",
            "iframe",
        ):
            assert main.locator(element).count() == 0, (name, element)
        assert page.locator("[data-testid=stException]").count() == 0, name
    # The words are there, as they were written.
    page.goto(f"{server.url}/find?encoder=multi-hot&k=6&how=Films%20like%20this%20one&q={quote('<img')}")
    expect(page.get_by_text(HOSTILE["HTML"]).first).to_be_attached(timeout=60_000)
    settle(page)
    said = page.locator("[data-testid=stMarkdown]").all_inner_texts()
    assert [line for line in said if HOSTILE["HTML"] in line.replace(WORD_JOINER, "")]
    assert dialogs == []
    assert problems == []
    assert server.errors() == []
    assert asked
    assert not [url for url in asked if "evil" in url.partition("?")[0]]
