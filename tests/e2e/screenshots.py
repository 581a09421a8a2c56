"""Take the pictures of docs/images: `python -m tests.e2e.screenshots` (all pages, light and dark, wide and narrow)."""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect, sync_playwright

from tests.e2e.conftest import CHROMIUM, FLAGS, ROOT, Server, settle

PAGES = {
    "overview": "/?k=12",
    "choose": "/choose?k=12",
    "cluster": "/cluster?k=12&cluster=1&with=Comedy",
    "find": "/find?k=12&q=haunted+house+comedy",
    "films": "/films?search=alien",
    "data": "/data",
    "encoders": "/encoders",
    "compare_encoders": "/compare_encoders?k=12",
    "compare": "/compare?k=12&a=6&b=4",
    "trends": "/trends?k=12",
    "about": "/about",
}
CONTENT = "[data-testid=stDataFrame], [data-testid=stVegaLiteChart], [data-testid=stTable]"
WIDTHS = {"": 1280, "-narrow": 390}


def save(picture: bytes, path: Path) -> None:
    """Write a picture in 256 colours of its own, a third of the size and the same to the eye."""
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    images = ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder) / "vectors", Path(folder) / "log")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for scheme in ("light", "dark"):
            for suffix, width in WIDTHS.items():
                page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
                for name, path in PAGES.items():
                    page.goto(f"{server.url}{path}")
                    page.wait_for_selector(
                        "[data-testid=stDataFrame], [data-testid=stVegaLiteChart], [data-testid=stTable]",
                        timeout=120_000,
                    )
                    settle(page)
                    expect(page.get_by_test_id("stMain")).not_to_contain_text("measuring", timeout=120_000)
                    height = page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollHeight")
                    page.set_viewport_size({"width": width, "height": min(height, 5000)})
                    page.wait_for_timeout(2_000)
                    save(page.screenshot(), images / f"{name}{suffix}-{scheme}.png")
                    page.set_viewport_size({"width": width, "height": 900})
                page.close()
        browser.close()
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
