"""Charts as files. Vega draws in a process of its own, so each test here that draws takes a second or two."""

import http.server
import re
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

from core import analysis, charts, clustering, drawing, embeddings
from core.charts import Figure
from core.drawing import DrawingError
from core.movies import Catalogue

ROOT = Path(__file__).resolve().parents[1]
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "\"><script>alert(1)</script> & \x00 \u202e ' ]]>"


@pytest.fixture(scope="module")
def tables(catalogue: Catalogue) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The shipped genre lists in twelve clusters of the baseline, which needs no model."""
    documents = clustering.space(embeddings.multi_hot(catalogue.genre_lists), catalogue.weights())
    found = analysis.analyse(catalogue, documents, 12)
    lists = analysis.list_table(catalogue, found, documents.xy)
    measures = catalogue.cluster_measures(found.clustering.labels)
    return lists, charts.colored(analysis.cluster_table(found, lists, measures))


@pytest.fixture(scope="module")
def drawn(tables: tuple[pd.DataFrame, pd.DataFrame]) -> dict[str, str]:
    """Three drawings of one child: the map with its key, without it, and with names that mean harm."""
    lists, clusters = tables
    axes = charts.AXES["PCA"]
    hostile = charts.printed_map(
        lists.head(5).assign(text=HOSTILE), clusters.assign(label=HOSTILE + clusters["label"]), axes
    )
    figures = [charts.printed_map(lists, clusters, axes), charts.printed_map(lists, clusters, axes, key=False), hostile]
    names = ("map", "without key", "hostile")
    return dict(zip(names, drawing.svg(figures, "file", f"Subtitle {HOSTILE}"), strict=True))


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def bubbles(svg: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(svg).iter() if e.get("aria-roledescription") == "circle"]


@pytest.mark.parametrize("name", ["map", "without key"])
def test_the_map_has_a_mark_for_each_genre_list(
    drawn: dict[str, str], tables: tuple[pd.DataFrame, pd.DataFrame], name: str
) -> None:
    lists, clusters = tables
    marks = bubbles(drawn[name])
    assert len(marks) == len(lists) == 1187
    by_list = {(mark.get("aria-label") or "").split(": ")[0]: mark for mark in marks}
    colors = dict(zip(clusters["cluster"], clusters["color"], strict=True))
    for row in lists.head(40).itertuples():
        mark = by_list[str(row.genre_list)]
        assert mark.get("fill") == colors[row.cluster]
        assert mark.get("aria-label") == (
            f"{row.genre_list}: {row.n_movies:,} film{'s' if row.n_movies > 1 else ''}, in cluster "
            f"{row.cluster} {row.name}"
        )
    written = texts(drawn[name])
    assert [f"{i}" for i in range(12)] == sorted((text for text in written if text.isdigit()), key=int)
    assert (clusters["label"].tolist() == [text for text in written if text in {*clusters["label"]}]) == (name == "map")
    assert {"First principal component", "Second principal component", "Map of the genre lists, by cluster"} <= {
        *written
    }


def test_a_file_can_be_read_on_any_background_and_needs_nothing_else(drawn: dict[str, str]) -> None:
    for svg in drawn.values():
        root = ElementTree.fromstring(svg)
        assert (root[0].tag, root[0].get("fill")) == (f"{SVG}rect", "#ffffff")
        assert "currentColor" not in svg
        tags = {element.tag.removeprefix(SVG) for element in root.iter()}
        assert tags <= {"svg", "g", "path", "text", "rect", "defs", "clipPath", "title", "line"}
        assert not re.search(r"(href|src|style|on\w+)=", svg)
        assert "url(" not in svg or set(re.findall(r"url\((.)", svg)) == {"#"}


def test_hostile_names_are_text_and_nothing_else(drawn: dict[str, str]) -> None:
    svg = drawn["hostile"]
    assert "<script" not in svg
    assert not re.search("[\x00\u202e]", svg)
    shown = "\"><script>alert(1)</script> & ‹U+0000› ‹U+202E› ' ]]>"
    assert f"Subtitle {shown}" in texts(svg)
    assert {(mark.get("aria-label") or "").split(": ")[0] for mark in bubbles(svg)} == {shown}
    assert len(bubbles(svg)) == 5


def test_a_picture_in_a_page_has_one_label_and_titles_to_point_at(drawn: dict[str, str]) -> None:
    inline = drawing.inline(drawn["hostile"], 'A "label" <b>', "one")
    root = ElementTree.fromstring(inline)
    assert (root.tag, root.get("role"), root.get("aria-label")) == (f"{SVG}svg", "img", 'A "label" <b>')
    assert root.get("width") is None
    assert re.fullmatch(r"0 0 \d+ \d+", root.get("viewBox") or "")
    assert [e for e in root.iter() if "aria-label" in e.attrib] == [root]
    titles = [element.text for element in root.iter(f"{SVG}title")]
    assert len(titles) == 5
    assert all(title and title.startswith('"><script>') for title in titles)
    assert "<script" not in inline
    ids = {element.get("id") for element in root.iter() if element.get("id")}
    assert all(name and name.startswith("one-") for name in ids)
    assert {*re.findall(r"url\(#([^)]*)\)", inline)} <= ids
    longest = max(len(number) for e in root.iter() for number in re.findall(r"\.(\d+)", e.get("transform", "")))
    assert longest == 2


@pytest.mark.parametrize("width", [640, 2000])
def test_a_png_has_the_asked_width(tables: tuple[pd.DataFrame, pd.DataFrame], width: int) -> None:
    image = drawing.png(charts.sizes(tables[1].assign(stability="")), "Subtitle", width)
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    found_width, height = struct.unpack(">II", image[16:24])
    assert abs(found_width - width) <= 1
    assert width / 6 < height < width


def test_many_clusters_make_a_taller_key(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    lists, clusters = tables
    many = pd.concat([clusters] * 4).assign(cluster=range(48), label=[f"{i} Cluster" for i in range(48)])
    few = charts.printed_map(lists, clusters, charts.AXES["PCA"])
    tall = charts.printed_map(lists, many, charts.AXES["PCA"])
    assert few.spec["hconcat"][0]["height"] == 480
    assert tall.spec["hconcat"][0]["height"] == 48 * 18
    assert len(charts.printed_map(pd.concat([lists] * 5), clusters, charts.AXES["PCA"]).data) == charts.MAX_BUBBLES + 12


def test_nothing_is_fetched() -> None:
    """A chart that refers to an address is refused, and nobody is asked for it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/x.png"
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "title": "Images",
        "mark": "image",
        "encoding": {"url": {"field": "url"}, "x": {"field": "x", "type": "quantitative"}},
    }
    figure = Figure(spec, pd.DataFrame({"x": [1], "url": [address]}))
    try:
        for draw in (lambda: drawing.png(figure), lambda: drawing.svg([figure], "file")):
            with pytest.raises(DrawingError, match="could not be drawn"):
                draw()
    finally:
        server.shutdown()
        server.server_close()
    assert asked == []


FIGURE = Figure({"title": "T", "mark": "point"}, pd.DataFrame({"x": [1]}))


@pytest.mark.parametrize(
    ("child", "sentence"),
    [
        ("raise ModuleNotFoundError(\"No module named 'vl_convert'\")", "vl-convert-python is not installed"),
        ("raise SystemExit(1)", "could not be drawn. Try again"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "could not be drawn. Try again"),
        ("print('no JSON')", "no process for it could be started"),
        ("import time; time.sleep(60)", "was not drawn within"),
    ],
)
def test_trouble_is_a_sentence(child: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run

    def other(_: list[str], **options: Any) -> Any:
        return run([sys.executable, "-c", child], **options)

    monkeypatch.setattr(drawing.subprocess, "run", other)
    monkeypatch.setattr(drawing, "SECONDS", 2.0)
    with pytest.raises(DrawingError) as caught:
        drawing.svg([FIGURE], "file")
    assert sentence in str(caught.value)
    assert str(ROOT) not in str(caught.value)
    assert not drawing._one_at_a_time.locked()


def test_one_drawing_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "SECONDS", 0.05)
    with drawing._one_at_a_time, pytest.raises(DrawingError, match="Try again in a minute"):
        drawing.svg([FIGURE], "file")


def test_vega_never_enters_this_process() -> None:
    code = "import sys; from core import drawing, report; print('vl_convert' in sys.modules, 'altair' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False", "False"], done.stderr
    assert "vl_convert" not in sys.modules
