"""The report and the map in a real browser: opened as a file, without network."""

import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from core import analysis, charts, clustering, embeddings, encoders, report
from core.encoders import BASELINE
from core.movies import Catalogue
from core.recipes import Settings
from tests.e2e.conftest import Server, settle

pytestmark = pytest.mark.browser

HOSTILE = "</pre></style><script>document.title='bad'</script><img src=http://127.0.0.1:9/x onerror=alert(1)>"


@pytest.fixture(scope="module")
def file(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    vectors = embeddings.post_process(embeddings.multi_hot(catalogue.genre_lists), encoders.get(BASELINE))
    documents = clustering.space(vectors, catalogue.weights())
    found = analysis.analyse(catalogue, documents, 12)
    lists = analysis.list_table(catalogue, found, documents.xy)
    clusters = analysis.cluster_table(found, lists, catalogue.cluster_measures(found.clustering.labels))
    clusters = charts.colored(clusters.assign(name=[f"{name} {HOSTILE}" for name in clusters["name"]]))
    findings = report.Findings(catalogue, Settings(BASELINE), found, lists, clusters, charts.AXES["PCA"])
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report.html(findings, {"text": HOSTILE}, date(2025, 1, 2)), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Callable[[str, int], Page]]:
    """Open the report by day or by night in a window of some width; whatever it asks for or complains of fails."""
    contexts, requests, complaints = [], list[str](), list[str]()

    def at(scheme: str, width: int) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(file.as_uri())
        page.wait_for_timeout(300)
        return page

    yield at
    for context in contexts:
        context.close()
    assert {*requests} == {file.as_uri()}
    assert complaints == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_without_network_and_fits_every_window(
    opened: Callable[[str, int], Page], scheme: str, width: int
) -> None:
    page = opened(scheme, width)
    expect(page.get_by_role("heading", level=1)).to_have_text("12 clusters of 17,029 films")
    assert page.title() == "12 clusters of 17,029 films: Genrescope report"
    assert page.locator("script, img").count() == 0
    assert page.locator("article").count() == 12
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    paper = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 21, 29)"}[scheme]
    disc = page.locator(".disc.c0").first  # the style sheet with its colours holds under the policy
    assert disc.evaluate("e => getComputedStyle(e).backgroundColor") != "rgba(0, 0, 0, 0)"
    label = page.locator("#map svg text").first
    assert label.evaluate("e => getComputedStyle(e).fill") == page.evaluate(
        "() => getComputedStyle(document.body).color"
    )


def test_its_links_lead_to_the_cards(opened: Callable[[str, int], Page]) -> None:
    page = opened("light", 1280)
    page.locator("#clusters tbody a").nth(3).click()
    expect(page.locator("#cluster-3")).to_be_in_viewport()


def test_it_is_taken_along_from_the_overview(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/?k=6&encoder={BASELINE}&take=Report")
    expect(page.get_by_role("heading", name="What these films are about")).to_be_visible(timeout=60_000)
    settle(page)
    with page.expect_download(timeout=90_000) as download:
        page.get_by_role("button", name="Report as HTML").click()
    assert download.value.suggested_filename == "genrescope-report.html"
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert "6 clusters of 17,029 films" in text
    assert len(re.findall("<article", text)) == 6
    page.get_by_role("radio", name="Map").click()
    settle(page)
    for kind, start in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        with page.expect_download(timeout=90_000) as download:
            page.get_by_role("button", name=f"Map as {kind}").click()
        assert Path(download.value.path()).read_bytes().startswith(start)
    assert not server.errors()
