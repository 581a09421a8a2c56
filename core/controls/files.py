"""What a visitor takes along: tables, the map and the report. A file is made when its button is pressed."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from typing import Literal

import pandas as pd
import pyarrow as pa
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import cache, charts, drawing, exports, log, recipes, report
from core.controls import stability
from core.controls.frame import View
from core.controls.names import tables
from core.controls.picks import FilmPage
from core.controls.words import counted, plain, these
from core.drawing import DrawingError
from core.movies import CatalogueError

MIME = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "svg": "image/svg+xml",
    "png": "image/png",
    "html": "text/html",
}
TITLES = {"csv": "CSV", "parquet": "Parquet", "svg": "SVG", "png": "PNG", "html": "HTML"}
FORMULAS = "In CSV, text that a spreadsheet would run as a formula (it starts with = + - @) is led by an apostrophe."
GENRES = (
    "A row for each cluster and genre: films, share and lift with their 95 % intervals, and the share in all films "
    "with genres."
)
WHAT = ("Films", "Clusters", "Genres by cluster", "Map", "Report")

# A download is made in the memory of this process, for everyone who asks: so many films take some 100 MB as CSV.
DOWNLOAD_FILMS = 100_000
DOWNLOAD_ROWS = 500_000

Make = Callable[[], bytes]


def all_films(view: View) -> Iterator[pa.Table]:
    """Yield the films under the filters with what the clustering says of them, in input order, part after part.

    They are DOWNLOAD_ROWS at most.
    """
    xy = cache.documents(view.catalogue, view.settings).xy
    left = DOWNLOAD_ROWS
    for films in view.catalogue.slices(view.settings.filters):
        yield exports.clustered_films(films.slice(0, left), view.analysis, xy, stability.numbers(view))
        left -= len(films)
        if left <= 0:
            return


def listed_films(view: View, films: pd.DataFrame) -> pd.DataFrame:
    """Return listed films as they leave in a file: the stability of their cluster is a number, empty if not known."""
    cluster = films["list_id"].map(pd.Series(view.analysis.clustering.labels))
    worth = cluster.map(pd.Series(stability.numbers(view)))
    return films.drop(columns=["list_id", "stability"], errors="ignore").assign(stability=worth)


def take_with_you(view: View, layout: str) -> None:
    """Draw the choice of what to take along, what is in it, and a button for each kind of file."""
    what = st.segmented_control("What", WHAT, default=WHAT[0], required=True, key="take", bind="query-params")
    if what == "Clusters":
        _cluster_table(view, layout)
    elif what == "Genres by cluster":
        downloads(lambda: exports.genre_rows(view.analysis), "genrescope-genres", "Genres by cluster", GENRES)
    elif what == "Map":
        pictures: dict[str, Make] = {
            "svg": lambda: report.map_picture(_findings(view, layout), "svg"),
            "png": lambda: report.map_picture(_findings(view, layout), "png"),
        }
        words = (
            f"The map by {layout} with a key of its clusters, as it is above. SVG can be enlarged without loss and "
            "edited; PNG is 2,000 pixels wide. Drawing takes some seconds."
        )
        _drawn(pictures, "genrescope-map", "Map", words)
    elif what == "Report":
        words = (
            "One page with figures, map, tables, a card for each cluster and the recipe. It opens in any browser, "
            "without network, and can be printed or sent by mail. Making it takes some seconds."
        )
        if cache.stability(view.catalogue, view.settings) is None:
            words += " The stability of the clusters is still being measured: wait for it if the report should have it."
        _drawn({"html": lambda: _report(view, layout)}, "genrescope-report", "Report", words)
    else:
        films, without = view.analysis.counts.movies, view.analysis.counts.without_genres
        words = (
            f"{counted(films, 'film')} under the filters with cluster, place on the map, silhouette, margin and "
            f"runner-up; empty for {without:,} without genres."
        )
        if films > DOWNLOAD_ROWS:
            words = (
                f"The first {DOWNLOAD_ROWS:,} of {words} They are in the order of the catalogue; "
                "`python -m core cluster` writes a catalogue of any size to a file."
            )
        downloads(lambda: all_films(view), "genrescope-films", "Films", words)


def _cluster_table(view: View, layout: str) -> None:
    words = "A row a cluster: the table above with stability, place on the map, and the medians of every measure."

    def rows() -> pd.DataFrame:
        _, clusters = tables(view, layout)
        found = cache.stability(view.catalogue, view.settings)
        return exports.cluster_rows(clusters, None if found is None else found.clusters)

    downloads(rows, "genrescope-clusters", "Clusters", words)


def _findings(view: View, layout: str) -> report.Findings:
    lists, clusters = tables(view, layout)
    return report.Findings(
        catalogue=view.catalogue,
        settings=view.settings,
        analysis=view.analysis,
        lists=lists,
        clusters=clusters,
        axes=charts.AXES[layout],
        stability=cache.stability(view.catalogue, view.settings),
    )


def _report(view: View, layout: str) -> bytes:
    found = _findings(view, layout)
    recipe = replace(cache.recipe(view.catalogue, view.settings), names=recipes.own_names(view.analysis.names))
    return report.html(found, recipes.write(recipe), date.today()).encode()


def film_downloads(view: View, page: FilmPage, name: str) -> None:
    """Draw the downloads of a page's films: all of them, or the first DOWNLOAD_FILMS."""
    n = min(page.n, DOWNLOAD_FILMS)
    what = these(n, "film") if n == page.n else f"The first {n:,} of these films"
    downloads(lambda: listed_films(view, page.films if len(page.films) == n else page.read(n, 0)), name, what)


def downloads(
    frame: Callable[[], pd.DataFrame | pa.Table | Iterator[pa.Table]], name: str, what: str, words: str = ""
) -> None:
    """Draw two buttons that hand out a frame, or its parts, as CSV and as Parquet; words tell what is in it."""

    def make(kind: str) -> bytes:
        found = frame()
        return exports.file_bytes([found] if isinstance(found, pd.DataFrame | pa.Table) else found, f".{kind}")

    with st.container(horizontal=True):
        for kind in ("csv", "parquet"):
            _button(kind, partial(make, kind), name, what)
    st.caption(f"{words} {FORMULAS}".strip())


def _drawn(makers: dict[str, Make], name: str, what: str, words: str) -> None:
    """Draw a button for each kind of file that takes seconds to make; below them is told how it went."""
    row, told = st.container(horizontal=True), st.empty()
    st.caption(words)
    for kind, make in makers.items():
        key, making = f"making_{name}_{kind}", _Making()
        before = st.session_state.setdefault(key, making)
        with row:
            pressed = _button(kind, partial(_noted, make, making), name, what, on_click="rerun")
        if pressed or before.started:
            _watch(before, told)
        st.session_state[key] = making


def _button(kind: str, make: Make, name: str, what: str, on_click: Literal["ignore", "rerun"] = "ignore") -> bool:
    return st.download_button(
        f"{what} as {TITLES[kind]}",
        data=partial(_logged, kind, name, make, log.session()),
        file_name=f"{name}.{kind}",
        mime=MIME[kind],
        on_click=on_click,
        icon=":material/download:",
        key=f"download_{name}_{kind}",
    )


def _logged(kind: str, name: str, make: Make, session: str | None) -> bytes:
    """Make a file and tell the log; the thread that makes it has no session, so it is told whose it is."""
    with log.timed("exported", kind=f"{name}.{kind}", session=session) as told:
        made = make()
        told["bytes"] = len(made)
    return made


@dataclass
class _Making:
    """How far a file is. It is made in a thread that cannot speak to the page, while the page runs and watches."""

    started: bool = False
    ended: threading.Event = field(default_factory=threading.Event)
    trouble: str | None = None


def _noted(make: Make, making: _Making) -> bytes:
    """Make a file and note what comes of it. Streamlit says only that it failed."""
    making.started = True
    try:
        return make()
    except (CatalogueError, DrawingError) as error:
        making.trouble = str(error)
        raise
    except Exception:
        making.trouble = "The file could not be made. Reload the page and try again."
        raise
    finally:
        making.ended.set()


def _watch(making: _Making, told: DeltaGenerator) -> None:
    """Stay until a file is made, and tell it if there was trouble. Another click on the page ends the stay."""
    deadline = time.monotonic() + 2 * drawing.SECONDS
    while not making.ended.wait(0.2) and time.monotonic() < deadline:
        told.caption("The file is being made.")
    if making.trouble:
        told.error(plain(making.trouble), icon=":material/error:")
    else:
        told.empty()
