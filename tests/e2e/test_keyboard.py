"""By keyboard and by screen reader: every control of every page can be reached and has a name, every chart a text."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server, settle

pytestmark = pytest.mark.browser

PAGES = {
    "overview": "/?k=6",
    "cluster": "/cluster?k=6&cluster=1",
    "compare": "/compare?k=6",
    "trends": "/trends?k=6",
    "find": "/find?k=6",
    "films": "/films?k=6",
    "data": "/data",
    "encoders": "/encoders",
    "about": "/about",
}

# What the Tab key can stop at and is drawn; in a group of choices one of them stands for all.
STOPS = """() => [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')]
  .filter((each) => each.tabIndex >= 0 && !each.disabled && each.checkVisibility({visibilityProperty: true})
    && each.getClientRects().length && !each.closest('[inert], [aria-hidden=true]'))"""
NAMELESS = f"""() => ({STOPS})().filter((each) => {{
    const ids = (each.getAttribute('aria-labelledby') || '').split(' ');
    const by = ids.map((id) => document.getElementById(id)?.innerText);
    const names = [each.getAttribute('aria-label'), each.title, each.innerText, each.placeholder, ...by,
      ...[...(each.labels || [])].map((label) => label.innerText || label.getAttribute('aria-label'))];
    return ['A', 'BUTTON', 'INPUT', 'SELECT', 'TEXTAREA'].includes(each.tagName) && !names.some((name) => name?.trim());
  }}).map((each) => each.outerHTML.slice(0, 200))"""
MISSED = f"""() => ({STOPS})().filter((each) => ['A', 'BUTTON', 'INPUT', 'SELECT', 'TEXTAREA'].includes(each.tagName)
    && !each.hasAttribute('data-met') && each.type !== 'radio'
    && each.getAttribute('role') !== 'radio').map((each) => each.outerHTML.slice(0, 200))"""
MEET = """() => {
  const at = document.activeElement;
  const before = at.hasAttribute('data-met');
  at.setAttribute('data-met', '');
  return at === document.body ? 'body' : before ? 'again' : 'new';
}"""


@pytest.fixture(scope="module", params=PAGES)
def opened(request: pytest.FixtureRequest, browser, server: Server) -> Page:  # type: ignore[no-untyped-def]
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{server.url}{PAGES[request.param]}")
    expect(page.get_by_test_id("stHeading").first).to_be_visible(timeout=60_000)
    settle(page)
    expect(page.get_by_test_id("stMain")).not_to_contain_text("measuring", timeout=60_000)
    settle(page)
    yield page
    page.close()


def test_every_control_has_a_name(opened: Page) -> None:
    assert opened.evaluate(f"({STOPS})().length") > 15
    assert opened.evaluate(NAMELESS) == []


def test_every_control_is_reached_with_the_tab_key(opened: Page) -> None:
    opened.evaluate("() => { document.activeElement?.blur(); window.scrollTo(0, 0); }")
    for _ in range(250):
        opened.keyboard.press("Tab")
        if opened.evaluate(MEET) == "body" and not opened.evaluate(MISSED):
            break
    assert opened.evaluate(MISSED) == []


def test_every_chart_and_table_has_a_text(opened: Page) -> None:
    nameless = opened.evaluate(
        """() => [...document.querySelectorAll('[data-testid=stVegaLiteChart], [data-testid=stDataFrame]')].filter(
          (each) => ![each, ...each.querySelectorAll('[aria-label], [role]')].some(
            (part) => (part.getAttribute('aria-label') || '').length > 20)
          ).map((each) => each.outerHTML.slice(0, 300))"""
    )
    assert nameless == []
