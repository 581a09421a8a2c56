"""Own films in a real browser: drop a file, change what was understood, cluster, take the result, read it back."""

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Server, settle
from tests.e2e.test_main_road import main_of, metric

pytestmark = pytest.mark.browser

GENRES = ("Drama", "Comedy", "War", "Sci-Fi", "Horror")
FILMS = [(f"Film {i}", 1980 + i % 30, [GENRES[i % 5], GENRES[(i * i + 1) % 5]]) for i in range(60)]
FORMULA = "=1+1"


def film_file() -> bytes:
    """A file that is not ours in any way: UTF-16, semicolons, a slash between genres, a title like a formula."""
    lines = ["Werk;Jahr;Sorte", *(f"{title};{year};{'/'.join(genres)}" for title, year, genres in FILMS)]
    return "\r\n".join([*lines, f"{FORMULA};1999;War", "Ohne;2001;"]).encode("utf-16")


def test_from_a_file_to_clusters_and_back(
    page: Page, browser: Browser, new_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = new_server(tmp_path / "vectors")
    page.goto(f"{server.url}/data?encoder=multi-hot&k=4&genres=Musical")
    expect(page.get_by_role("heading", name="Data", exact=True)).to_be_visible(timeout=60_000)
    settle(page)
    page.set_input_files(
        "[data-testid=stMain] input[type=file]", {"name": "filme.csv", "mimeType": "text/csv", "buffer": film_file()}
    )
    expect(page.get_by_text("Recognised as Films with a title and genres")).to_be_visible(timeout=60_000)
    settle(page)
    assert metric(page, "Rows in the file") == metric(page, "Films to use") == "62"
    assert metric(page, "Films without genres") == "1"
    main_of(page).get_by_role("button", name="Slash /").click()  # and now each cell is one genre
    settle(page)
    assert "/" in main_of(page).inner_text()
    main_of(page).get_by_role("button", name="Slash /").click()
    settle(page)
    page.get_by_role("button", name="Use these films").click()
    expect(page.get_by_text("In use: Your file filme.csv: 62 films.")).to_be_visible(timeout=60_000)

    page.get_by_role("link", name="See their clusters").click()
    expect(page.get_by_role("heading", name="What these films are about")).to_be_visible(timeout=60_000)
    settle(page)
    assert metric(page, "Films") == "62"
    assert metric(page, "Clusters (k)") == "4"
    with page.expect_download() as download:
        page.get_by_role("button", name="as CSV").click()
    content = Path(download.value.path()).read_bytes()
    table = pd.read_csv(io.BytesIO(content), keep_default_na=False)
    assert table["title"].tolist() == [*(title for title, *_ in FILMS), f"'{FORMULA}", "Ohne"]
    assert table["genres"].tolist()[:60] == [", ".join(dict.fromkeys(genres)) for *_, genres in FILMS]
    assert (table["cluster"] == "").tolist() == [False] * 61 + [True]
    assert table["cluster"].nunique() == 5

    # Another visitor, with the very address, sees the films of the server.
    stranger = browser.new_context().new_page()
    stranger.goto(page.url)
    expect(stranger.get_by_text("17,472 of 17,472 films").first).to_be_visible(timeout=60_000)
    stranger.context.close()

    # The export is a file that can be brought again.
    page.get_by_role("link", name="Your file filme.csv: 62 films").click()
    expect(page.get_by_role("heading", name="Data", exact=True)).to_be_visible(timeout=60_000)
    settle(page)
    page.set_input_files(
        "[data-testid=stMain] input[type=file]", {"name": "again.csv", "mimeType": "text/csv", "buffer": content}
    )
    expect(page.get_by_text("again.csv is CSV")).to_be_visible(timeout=60_000)
    settle(page)
    assert metric(page, "Films to use") == "62"
    page.get_by_role("button", name="Remove my file").click()
    expect(page.get_by_text("In use: The films of this server.")).to_be_visible(timeout=60_000)
    settle(page)
    assert metric(page, "Films") == "17,472"
    assert not server.errors()
