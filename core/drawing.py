"""Charts as files: SVG and PNG, drawn by Vega in a process of its own, without a browser and without network.

The library that holds Vega takes 100 MB while it draws. So `python -m core.drawing` draws what comes through its input
and ends. It brings its own fonts, and is allowed to fetch nothing.
"""

import base64
import json
import logging
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree

from core.legible import legible

if TYPE_CHECKING:
    from core.charts import Figure

log = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parents[1]
SECONDS = 60.0
PNG_WIDTH = 2000
VEGA_LITE = "6.4"
SVG = "http://www.w3.org/2000/svg"
WIDTH = 800
SUBTITLE_LETTERS = 150
LONG = re.compile(r"(\.\d\d)\d+")  # hundredths of a pixel are enough, and half the size
# A page sets the colour of what it holds; a file lies on white, wherever it is opened.
INK: dict[str, dict[str, str | None]] = {
    "page": {"background": None, "ink": "currentColor", "line": "#8884"},
    "file": {"background": "#ffffff", "ink": "#1c2233", "line": "#d7dae4"},
}
Paper = Literal["page", "file"]

_one_at_a_time = threading.Lock()


class DrawingError(RuntimeError):
    """A chart that could not be drawn; the text is a plain sentence fit to be shown."""


def svg(figures: Sequence["Figure"], paper: Paper, subtitle: str | None = None) -> list[str]:
    """Draw charts as SVG, for a file of its own or for a page that sets the colour. Raises DrawingError.

    subtitle is drawn below the title of each.
    """
    return [str(image) for image in _drawn(figures, paper, subtitle, None)]


def png(figure: "Figure", subtitle: str | None = None, width: int = PNG_WIDTH) -> bytes:
    """Draw a chart as PNG on white, `width` pixels wide. Raises DrawingError."""
    (image,) = _drawn([figure], "file", subtitle, width)
    return base64.b64decode(image)


def inline(image: str, label: str, name: str) -> str:
    """Return an SVG as part of an HTML page: one picture with a label, whose marks tell what they are when pointed at.

    It grows with the page. `name` keeps its inner references apart from those of other pictures on the page.
    """
    ElementTree.register_namespace("", SVG)
    root = ElementTree.fromstring(image)
    for element in root.iter():
        told = element.attrib.pop("aria-label", None)
        kind = element.attrib.pop("aria-roledescription", None)
        if told is not None and kind == "circle":
            ElementTree.SubElement(element, f"{{{SVG}}}title").text = told
        for attribute in ("aria-hidden", "role", "class", "pointer-events"):
            element.attrib.pop(attribute, None)
        for attribute, value in element.attrib.items():
            if attribute == "id":
                element.set(attribute, f"{name}-{value}")
            elif attribute in ("d", "transform"):
                element.set(attribute, LONG.sub(r"\1", value))
            elif "url(#" in value:
                element.set(attribute, value.replace("url(#", f"url(#{name}-"))
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.set("role", "img")
    root.set("aria-label", label)
    return ElementTree.tostring(root, encoding="unicode")


def _drawn(figures: Sequence["Figure"], paper: Paper, subtitle: str | None, png_width: int | None) -> list[str]:
    """Have the child draw; it answers with texts, a PNG as base64."""
    drawings = [_chart(figure, subtitle) for figure in figures]
    order = {"charts": drawings, "config": _config(paper), "png_width": png_width}
    if not _one_at_a_time.acquire(timeout=SECONDS):
        raise DrawingError("Too many charts are being drawn at the moment. Try again in a minute.")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "core.drawing"],
            cwd=REPOSITORY,
            input=json.dumps(order).encode(),
            capture_output=True,
            timeout=SECONDS,
            check=True,
        )
        images: list[str] = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise DrawingError(f"The chart was not drawn within {SECONDS:.0f} seconds. Narrow the filters.") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace")
        # The last line names the error; those before may quote the chart, and so a film.
        log.error("A chart could not be drawn: exit status %d, %s.", error.returncode, _kind_of_error(said))
        if "No module named 'vl_convert'" in said:
            raise DrawingError("Charts cannot be drawn, as vl-convert-python is not installed.") from error
        raise DrawingError("The chart could not be drawn. Try again; the tables say the same.") from error
    except (OSError, ValueError) as error:
        raise DrawingError("The chart could not be drawn, as no process for it could be started.") from error
    finally:
        _one_at_a_time.release()
    return images


def _kind_of_error(said: str) -> str:
    """Return the kind of error that a child died of, without its words."""
    last = (said.strip().splitlines() or [""])[-1]
    found = re.match(r"[A-Za-z_.]+(?=:|$)", last)
    return found[0] if found else "no Python error"


def _chart(figure: "Figure", subtitle: str | None) -> dict[str, Any]:
    """Return a complete specification, in which hidden characters of the texts are named."""
    data = figure.data
    texts = [str(name) for name in data if any(isinstance(value, str) for value in data[name])]
    clean = data.assign(
        **{name: [legible(value) if isinstance(value, str) else value for value in data[name]] for name in texts}
    )
    spec = {**figure.spec, "data": {"values": json.loads(clean.to_json(orient="records", double_precision=15))}}
    spec.pop("usermeta", None)
    if "hconcat" not in spec:
        spec.setdefault("width", WIDTH)
    if subtitle is not None:
        spec["title"] = {"text": spec["title"], "subtitle": textwrap.wrap(legible(subtitle), SUBTITLE_LETTERS)}
    return spec


def _config(paper: Paper) -> dict[str, Any]:
    look = INK[paper]
    ink, line = look["ink"], look["line"]
    return {
        "background": look["background"],
        "font": "sans-serif",
        "axis": {"labelColor": ink, "titleColor": ink, "gridColor": line, "domainColor": line, "tickColor": line},
        "legend": {"labelColor": ink, "titleColor": ink},
        "text": {"color": ink},
        "title": {"color": ink, "subtitleColor": ink, "anchor": "start", "fontSize": 15, "offset": 12},
        "view": {"stroke": line},
    }


def _child() -> None:
    """Draw what the input asks for and answer on the output."""
    import vl_convert

    order = json.load(sys.stdin.buffer)
    images = []
    for spec in order["charts"]:
        image = vl_convert.vegalite_to_svg(
            spec, vl_version=VEGA_LITE, config=order["config"], allowed_base_urls=[], show_warnings=False
        )
        root = ElementTree.fromstring(image)
        if any(name.rpartition("}")[2] == "href" for element in root.iter() for name in element.attrib):
            raise ValueError("A chart refers to something outside of it, which would be fetched.")
        if order["png_width"] is not None:
            scale = order["png_width"] / float(root.attrib["width"])
            image = base64.b64encode(vl_convert.svg_to_png(image, scale=scale)).decode()
        images.append(image)
    json.dump(images, sys.stdout)


if __name__ == "__main__":
    _child()
