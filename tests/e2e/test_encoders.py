"""The five encoders of the demo in a real browser, from a Hub on this machine to clusters, and a Hub that fails."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server, settle
from tests.hub import FAMILIES, Hub

pytest_plugins = ["tests.hub"]
pytestmark = pytest.mark.browser


@pytest.fixture
def small_server(new_server: Callable[..., Server], hub: Hub, tmp_path: Path) -> Server:
    """A server whose Hub is the one on this machine, with nothing fetched and nothing stored."""
    return new_server(
        tmp_path / "vectors",
        HF_ENDPOINT=hub.url,
        HF_HOME=str(tmp_path / "home"),
        HF_HUB_OFFLINE="0",
        TRANSFORMERS_OFFLINE="0",
    )


def choose(page: Page, encoder: str) -> None:
    page.locator("[data-testid=stSidebar] [data-testid=stSelectbox]").first.locator("input").click()
    page.get_by_role("option", name=encoder, exact=True).click()


def test_switching_the_encoder_is_one_click_for_all_five(page: Page, small_server: Server) -> None:
    page.goto(f"{small_server.url}/?encoder=multi-hot&k=9")
    page.wait_for_selector("[data-testid=stMetric]", timeout=60_000)
    for encoder in FAMILIES:
        settle(page)
        choose(page, encoder)
        made = page.get_by_text(f"({encoder}), float32, on CPU")
        expect(made).to_be_visible(timeout=60_000)
        expect(page.locator("[data-testid=stMetric]").filter(has_text="Clusters (k)")).to_contain_text("9")
        assert f"encoder={encoder}" in page.url
    page.get_by_role("link", name="Encoders", exact=True).click()
    expect(page.get_by_role("heading", name="Encoders", exact=True)).to_be_visible()
    # The default encoder is among them: the server began with it when it started.
    expect(page.get_by_text("8 of 8 encoders")).to_be_visible(timeout=30_000)
    assert small_server.errors() == []


def test_a_hub_that_fails_gives_a_sentence_and_a_retry(page: Page, small_server: Server, hub: Hub) -> None:
    hub.mood = "broken"
    page.goto(f"{small_server.url}/?encoder=roberta-base")
    error = page.get_by_role("alert")
    expect(error).to_contain_text("answered with error 500", timeout=60_000)
    expect(error).to_contain_text("choose another encoder")
    hub.mood = "well"
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector("[data-testid=stMetric]", timeout=60_000)
    expect(page.get_by_text("(roberta-base), float32, on CPU")).to_be_visible()
