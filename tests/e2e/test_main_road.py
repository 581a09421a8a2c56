"""The main road in a real browser: open, wait, move k, click a cluster, pick a genre, find the films, download."""

import io
import re
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from core import analysis, encoders
from core.clustering import Space
from core.movies import Catalogue, Filters
from tests.e2e.conftest import Server, settle

pytestmark = pytest.mark.browser
expect.set_options(timeout=30_000)


def main_of(page: Page) -> Locator:
    return page.locator("[data-testid=stMain]")


def metric(page: Page, name: str) -> str:
    found = page.locator("[data-testid=stMetric]").filter(has_text=re.compile(rf"^{re.escape(name)}"))
    return found.locator("[data-testid=stMetricValue]").inner_text()


def chart(page: Page, number: int) -> Locator:
    return page.locator("[data-testid=stVegaLiteChart]").nth(number)


def bars(page: Page, number: int) -> Locator:
    return chart(page, number).locator("path[aria-roledescription=bar]")


def seen_from_top(of: Locator) -> list[str]:
    """Return the texts of a chart as the eye meets them."""
    found: list[str] = of.evaluate(
        """e => [...e.querySelectorAll('svg text')]
            .map(t => [t.getBoundingClientRect().y, t.textContent])
            .sort((a, b) => a[0] - b[0]).map(pair => pair[1])"""
    )
    return found


def parameters(page: Page) -> dict[str, list[str]]:
    return urllib.parse.parse_qs(urllib.parse.urlparse(page.url).query)


def move_k(page: Page, steps: int) -> None:
    slider = page.locator("[data-testid=stSlider] input").first
    slider.focus()
    for _ in range(abs(steps)):
        page.keyboard.press("ArrowRight" if steps > 0 else "ArrowLeft")


def test_main_road(page: Page, server: Server, catalogue: Catalogue, documents: Space) -> None:
    page.goto(f"{server.url}/?k=8")
    expect(page.get_by_role("heading", name="What these films are about")).to_be_visible(timeout=60_000)
    settle(page)
    assert metric(page, "Films") == "17,472"
    assert metric(page, "Clusters (k)") == "8"

    move_k(page, 1)
    expect(bars(page, 1)).to_have_count(9)
    settle(page)
    expected = analysis.analyse(catalogue, documents, 9)
    assert metric(page, "Clusters (k)") == "9"
    assert metric(page, "Silhouette") == f"{expected.silhouette.overall:.3f}"
    assert metric(page, "Coherence") == f"{expected.coherence.overall:.3f}"
    assert parameters(page) == {"k": ["9"]}

    # By its label: the order of the marks in the document is not the order on the screen.
    labels = [f"{number} {name.text}" for number, name in enumerate(expected.names)]
    assert [text for text in seen_from_top(chart(page, 1)) if text in labels] == labels
    bars(page, 1).and_(page.locator(f'[aria-label*="{labels[2]};"]')).click()
    link = page.get_by_role("link", name=f"Open cluster 2: {expected.names[2].text}")
    expect(link).to_be_visible()
    link.click()
    expect(page.get_by_role("heading", name="One cluster")).to_be_visible()
    settle(page)
    assert metric(page, "Films") == f"{expected.clustering.sizes[2]:,}"
    assert parameters(page)["k"] == ["9"]
    assert parameters(page)["cluster"] == ["2"]

    genres = expected.genres[expected.genres["cluster"] == 2].sort_values(
        ["n_cluster", "genre"], ascending=[False, True], ignore_index=True
    )
    second = genres.iloc[1]
    bars(page, 0).and_(page.locator(f'[aria-label*="Genre: {second["genre"]};"]')).click()
    line = main_of(page).get_by_text(f"{second['n_cluster']:,} of {expected.clustering.sizes[2]:,} films", exact=True)
    expect(line).to_be_visible()
    settle(page)
    assert parameters(page)["with"] == [second["genre"]]

    films = catalogue.films(expected.clustering.labels, cluster=2, genres=[second["genre"]])
    for kind, read in (("CSV", pd.read_csv), ("Parquet", pq.read_table)):
        with page.expect_download() as download:
            page.get_by_role("button", name=re.compile(rf"These {len(films):,} films as {kind}")).click()
        content = Path(download.value.path()).read_bytes()
        frame = read(io.BytesIO(content))
        table = frame if isinstance(frame, pd.DataFrame) else frame.to_pandas()
        assert sorted(table["movie_id"]) == sorted(films["movie_id"])
    assert not server.errors()


def test_link_opened_elsewhere_keeps_its_settings_on_every_page(
    browser: Browser, new_server: Callable[..., Server], vector_store: Path, catalogue: Catalogue
) -> None:
    """The first visitor of a cold server opens a page's own link; every setting is there, and on every page after."""
    cold = new_server(vector_store)
    wanted = {
        "k": ["7"],
        "seed": ["3"],
        "encoder": [encoders.BASELINE],
        "years": ["1950", "1999"],
        "language": ["English", "French"],
        "genres": ["Drama"],
        "match": ["all"],
        "reviews": ["5"],
    }
    filters = Filters(
        years=(1950, 1999), languages=("English", "French"), genres=("Drama",), genre_mode="all", min_reviews=5
    )
    left = catalogue.counts(filters)
    fresh = browser.new_context()
    try:
        page = fresh.new_page()
        query = urllib.parse.urlencode({**wanted, "cluster": ["2"], "with": ["Drama"]}, doseq=True)
        page.goto(f"{cold.url}/cluster?{query}")
        expect(page.get_by_role("heading", name="One cluster")).to_be_visible(timeout=60_000)
        settle(page)
        assert page.get_by_role("dialog").count() == 0
        assert parameters(page) == {**wanted, "cluster": ["2"], "with": ["Drama"]}
        for name, heading in (
            ("Films", "Films"),
            ("Overview", "What these films are about"),
            ("Cluster", "One cluster"),
        ):
            page.get_by_role("link", name=name, exact=True).click()
            expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
            settle(page)
            assert {key: parameters(page)[key] for key in wanted} == wanted
            expect(main_of(page).get_by_text(f"{left.movies:,} of 17,472 films pass the filters")).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="One cluster")).to_be_visible()
        settle(page)
        assert {key: parameters(page)[key] for key in wanted} == wanted
        assert not cold.errors()
    finally:
        fresh.close()


@pytest.mark.parametrize("late", ["Multiselect", "NumberInput", "ButtonGroup", "(Multiselect|NumberInput|ButtonGroup)"])
def test_settings_outlive_a_page_left_before_all_of_it_was_drawn(page: Page, server: Server, late: str) -> None:
    """A slow line: widgets whose scripts are still on the way when a link is followed keep their settings."""
    wanted = {"k": ["6"], "seed": ["3"], "genres": ["Drama"], "match": ["all"], "reviews": ["5"]}
    held: list[Route] = []
    page.route(re.compile(rf"/static/js/{late}\."), lambda route: held.append(route))
    page.goto(f"{server.url}/films?{urllib.parse.urlencode(wanted, doseq=True)}")
    expect(page.get_by_role("heading", name="Films", exact=True)).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Number of clusters (k)")).to_be_visible()
    settle(page)
    assert held, "no script was held back: they have other names now"
    page.get_by_role("link", name="Encoders", exact=True).click()
    expect(page.get_by_role("heading", name="Encoders", exact=True)).to_be_visible()
    settle(page)
    for route in held:
        route.continue_()
    expect(page.get_by_role("spinbutton", name="Seed")).to_have_value("3")
    expect(page.get_by_role("radio", name="all", exact=True)).to_be_checked()
    settle(page)
    assert parameters(page) == wanted


def test_back_brings_the_settings_of_then(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/films")
    expect(page.get_by_role("heading", name="Films", exact=True)).to_be_visible(timeout=60_000)
    settle(page)
    page.get_by_role("link", name="Encoders", exact=True).click()
    expect(page.get_by_role("heading", name="Encoders", exact=True)).to_be_visible()
    settle(page)
    before = page.locator("[data-testid=stSlider] input").first.input_value()
    move_k(page, 3)
    expect(page).to_have_url(re.compile(r"[?]k=\d+$"))
    settle(page)
    while "/encoders" in page.url:
        page.go_back()
        settle(page)
    expect(page.get_by_role("heading", name="Films", exact=True)).to_be_visible()
    settle(page)
    assert parameters(page) == {}
    assert page.locator("[data-testid=stSlider] input").first.input_value() == before


@pytest.mark.parametrize("path", ["/", "/cluster", "/films"])
def test_first_visit_of_a_cold_server_gets_page_and_frame(
    page: Page, new_server: Callable[..., Server], vector_store: Path, path: str
) -> None:
    cold = new_server(vector_store)
    page.goto(f"{cold.url}{path}?k=5")
    headings = {"/": "What these films are about", "/cluster": "One cluster", "/films": "Films"}
    expect(page.get_by_role("heading", name=headings[path], exact=True)).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Number of clusters (k)")).to_be_visible()
    settle(page)
    assert page.get_by_role("dialog").count() == 0
    assert parameters(page)["k"] == ["5"]
    assert not cold.errors()


def test_brush_on_the_map_picks_a_cluster(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/?k=8")
    expect(page.get_by_role("heading", name="What these films are about")).to_be_visible(timeout=60_000)
    expect(chart(page, 2).locator("canvas")).to_be_visible()
    settle(page)
    canvas = chart(page, 0).locator("canvas")
    # All of it must be in sight: the mouse reaches nothing beyond the window's edge.
    canvas.evaluate("e => e.scrollIntoView({block: 'center'})")
    page.wait_for_timeout(500)
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.8 * box["height"], steps=8)
    page.mouse.up()
    expect(page.get_by_role("link", name=re.compile(r"Open cluster \d+: "))).to_be_visible()
    assert not server.errors()


def test_table_row_leads_to_its_cluster(page: Page, server: Server, catalogue: Catalogue, documents: Space) -> None:
    page.goto(f"{server.url}/?k=6")
    expect(page.get_by_role("heading", name="What these films are about")).to_be_visible(timeout=60_000)
    settle(page)
    table = page.locator("[data-testid=stDataFrame]").first
    table.scroll_into_view_if_needed()
    # The grid is a canvas: the third row's checkbox is in the first column.
    table.click(position={"x": 16, "y": 35 * 3 + 17})
    name = analysis.analyse(catalogue, documents, 6).names[2].text
    expect(page.get_by_role("link", name=f"Open cluster 2: {name}")).to_be_visible()


def test_visitor_waits_for_vectors_and_gets_clusters(
    page: Page, browser: Browser, new_server: Callable[..., Server], tmp_path: Path
) -> None:
    """Nothing stored: the page shows progress; a tab that is closed does not stop it; a second visitor joins."""
    server = new_server(tmp_path / "vectors")
    page.goto(server.url)
    expect(page.get_by_role("heading", name="Reading the genres")).to_be_visible(timeout=60_000)
    expect(page.get_by_text(re.compile(r"of 1,187 texts"))).to_be_visible()
    page.close()
    second = browser.new_context()
    try:
        visitor = second.new_page()
        visitor.goto(server.url)
        heading = visitor.get_by_role("heading", name="What these films are about")
        expect(heading).to_be_visible(timeout=120_000)
        settle(visitor)
        assert metric(visitor, "Genre lists") == "1,187"
    finally:
        second.close()
    stored = [pq.read_table(part, columns=["text"]).num_rows for part in (tmp_path / "vectors").rglob("part-*.parquet")]
    assert sum(stored) == 1187, "each genre list was encoded once"
    assert not server.errors()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_page_needs_no_sideways_scrolling(browser: Browser, server: Server, scheme: str) -> None:
    phone = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
    try:
        page = phone.new_page()
        for path, heading in (("/", "What these films are about"), ("/cluster", "One cluster"), ("/films", "Films")):
            page.goto(f"{server.url}{path}")
            expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible(timeout=60_000)
            settle(page)
            main = main_of(page)
            assert main.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    finally:
        phone.close()


def test_stop_keeps_what_is_done_and_go_on_takes_it_up(
    page: Page, new_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = new_server(tmp_path / "vectors")
    page.goto(server.url)
    # Streamlit has a button of that name in its own header.
    main_of(page).get_by_role("button", name="Stop").click(timeout=60_000)
    expect(page.get_by_text("Encoding was stopped.")).to_be_visible()
    page.wait_for_timeout(2_000)
    expect(page.get_by_text("Encoding was stopped.")).to_be_visible()
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="What these films are about")).to_be_visible(timeout=120_000)
    assert not server.errors()
