"""What a page asks again and again while something is measured: it must stop, and never harm another page."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.e2e.conftest import Server, settle

pytestmark = pytest.mark.browser


class Line:
    """The connection between page and server; what the server says can be held back, as where the network is slow."""

    def __init__(self, page: Page) -> None:
        """Put it into a page that has not been opened yet."""
        self.held: list[str | bytes] | None = None
        self.asked = 0
        page.route_web_socket("**/_stcore/stream*", self._route)

    def _route(self, browser: WebSocketRoute) -> None:
        self._browser, server = browser, browser.connect_to_server()
        browser.on_message(lambda message: self._ask(server, message))
        server.on_message(self._say)

    def _ask(self, server: WebSocketRoute, message: str | bytes) -> None:
        self.asked += 1
        server.send(message)

    def _say(self, message: str | bytes) -> None:
        if self.held is None:
            self._browser.send(message)
        else:
            self.held.append(message)

    def release(self) -> None:
        held, self.held = self.held or [], None
        for message in held:
            self._browser.send(message)


@pytest.fixture
def fresh_server(new_server: Callable[..., Server], tmp_path: Path) -> Server:
    """A server without any vectors, and with nowhere to fetch a model from."""
    return new_server(tmp_path / "vectors", HF_HOME=str(tmp_path / "home"))


def test_a_poll_that_comes_late_leaves_the_next_page_alone(page: Page, fresh_server: Server) -> None:
    """A poll of the page before that is answered after the switch would draw where there is no place any more."""
    line = Line(page)
    page.goto(f"{fresh_server.url}/?encoder=multi-hot&k=50")
    expect(page.get_by_text("How stable the clusters are is measured in a moment")).to_be_visible(timeout=60_000)
    page.locator("[data-testid=stSidebar] [data-testid=stSelectbox]").first.locator("input").click()
    line.held, line.asked = [], 0
    page.get_by_role("option", name="bert-base-uncased", exact=True).click()
    page.wait_for_timeout(4_000)  # the page before still polls: it has not heard of the switch
    assert line.asked >= 2
    line.release()
    expect(page.get_by_role("heading", name="Reading the genres")).to_be_visible(timeout=20_000)
    page.wait_for_timeout(1_000)
    expect(page.get_by_role("heading", name="Reading the genres")).to_be_visible()


def test_polls_stop_when_all_is_known_and_nothing_jumps(page: Page, server: Server) -> None:
    line = Line(page)
    page.goto(f"{server.url}/?k=4")
    agreement = page.locator("[data-testid=stMetric]").filter(has_text="Seed agreement")
    expect(agreement).to_contain_text("measuring", timeout=60_000)
    settle(page)
    end = page.get_by_role("heading", name="Take it with you")
    before = end.bounding_box()
    charts = page.locator("[data-testid=stVegaLiteChart] .marks")
    expect(charts).to_have_count(3)
    charts.evaluate_all("nodes => nodes.forEach(node => node.dataset.seen = 'yes')")
    expect(agreement).not_to_contain_text("measuring", timeout=120_000)
    settle(page)
    expect(page.get_by_text("Stability was measured over 50 draws")).to_be_visible()
    assert end.bounding_box() == before
    # The charts got new rows; none was built anew.
    assert charts.evaluate_all("nodes => nodes.map(node => node.dataset.seen)") == ["yes"] * 3
    asked = line.asked
    page.wait_for_timeout(4_000)
    assert line.asked == asked
