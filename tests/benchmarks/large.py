"""The app on ten million films: `python -m tests.benchmarks large`; GENRESCOPE_LARGE_FILMS sets another number.

The films are drawn from the shipped ones (`catalogues`), the vectors are MiniLM's own and stored. Moving k is timed in
a real browser, the way to a genre's films over the app's own protocol, until the page's run has ended.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

from core import encoders, movies, worker
from core.vectors import VectorStore
from tests.benchmarks import catalogues, report
from tests.benchmarks.app import memory, redraw
from tests.benchmarks.report import Row
from tests.benchmarks.visitors import Visitor
from tests.e2e.conftest import CHROMIUM, FLAGS, Server, settle

FILMS = 10_000_000
MOVES = 8
GENRES = ("Drama", "Comedy", "Action", "Thriller", "Romance", "Horror")
MAX_MOVE_MS, MAX_DRILL_MS = 1_000, 1_000
NOTE = """
Moving k is timed as on the shipped films, from the key press to the frame that shows the new k everywhere. A
drill-down is a page of a cluster with a genre that nobody asked for before: it counts the films exactly and lists the
first 250, the other parts at a click. The first visit waits until the films are read, which the server begins when it
starts.
"""


def drill_downs(url: str) -> tuple[list[float], list[float], float, int]:
    """Open films of a cluster and genre; return seconds of new ones, of the same ones again, and of a download."""

    async def visit() -> tuple[list[float], list[float], float, int]:
        async with Visitor(url) as visitor:
            await visitor.open(k=12)
            ways = [{"cluster": cluster, "with": genre} for cluster, genre in zip(range(6), GENRES, strict=True)]
            new, again = [], []
            for found in (new, again):
                for way in ways:
                    found.append(await visitor.go("cluster", k=12, **way))
            await visitor.go("films")
            seconds, size = await visitor.download("as Parquet")
            return new, again, seconds, size

    return asyncio.run(visit())


def rows(folder: Path, n_films: int) -> Iterator[Row]:
    """Measure, and yield the lines of the table."""
    films, vectors = folder / "films.parquet", folder / "vectors"
    catalogues.write(films, n_films)
    worker.work(encoders.get(encoders.DEFAULT_ENCODER), movies.open_catalogue().genre_lists, VectorStore(vectors))
    started = time.perf_counter()
    server = Server(vectors, folder / "log", GENRESCOPE_MOVIES=str(films))
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = browser.new_page()
            page.goto(f"{server.url}/?k=8")
            page.wait_for_selector("[data-testid=stVegaLiteChart] canvas", timeout=300_000)
            seconds = time.perf_counter() - started
            yield Row(f"From the start of the server to the map of {n_films:,} films", seconds, "s")
            settle(page)
            page.wait_for_timeout(5_000)
            moves = [redraw(page, k, bars=True) for k in range(9, 9 + MOVES)]
            yield Row(f"Moving k by one (median of {MOVES})", statistics.median(moves), "ms", MAX_MOVE_MS)
            browser.close()
        new, again, download, size = drill_downs(server.url)
        for what, took in (("new", new), ("again", again)):
            name, milliseconds = f"To a genre's films, {what}", [1e3 * each for each in took]
            yield Row(f"{name} (median of {len(took)})", statistics.median(milliseconds), "ms", MAX_DRILL_MS)
            yield Row(f"{name} (slowest of {len(took)})", max(milliseconds), "ms")
        yield Row(f"A download of the first 100,000 films as Parquet ({size / 2**20:.1f} MB)", download, "s")
        yield Row("Memory of the web process (resident)", memory(server)[0], "MB")
        yield Row("Lines of the log that tell of an exception", len(server.errors()), "", 1)
    finally:
        server.stop()


def section() -> tuple[str, bool]:
    """Return the section of docs/benchmarks.md, and whether all bounds were kept."""
    n_films = int(os.environ.get("GENRESCOPE_LARGE_FILMS", str(FILMS)))
    with tempfile.TemporaryDirectory() as folder:
        found = report.gather(rows(Path(folder), n_films))
    return f"{report.made_by('large', ('streamlit', 'duckdb'))}\n\n{report.bounds(found)}\n{NOTE}", all(
        row.good for row in found
    )
