"""The report: its structure as a parser sees it, its figures, and what hostile films can do to it (nothing)."""

import base64
import hashlib
import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core import analysis, charts, clustering, drawing, embeddings, encoders, movies, report
from core.drawing import DrawingError
from core.encoders import BASELINE
from core.legible import legible
from core.movies import Catalogue, Filters
from core.recipes import Settings
from core.report import Findings
from core.stability import Stability

VOID = {"meta", "link", "br", "hr", "img", "input"}
HOSTILE = "</pre></style><script>alert(1)</script>\"' onclick=x & \x00\u202e\u200b"
RECIPE = {"k": 12, "text": f"戦争 {HOSTILE}", "filters": {"years": [1950, 1999]}}
DAY = date(2025, 1, 2)


class Page(HTMLParser):
    """A page as a parser sees it: start tags with their attributes and path, and text with the path to it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str], tuple[str, ...]]] = []
        self.text: list[tuple[str, tuple[str, ...]]] = []
        self.path: list[str] = []
        self.declarations: list[str] = []
        self.feed(text)
        self.close()
        assert self.path == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}, tuple(self.path)))
        assert len({name for name, _ in attrs}) == len(attrs)
        if tag not in VOID:
            self.path.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}, tuple(self.path)))

    def handle_endtag(self, tag: str) -> None:
        assert self.path.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append((data, tuple(self.path)))

    def handle_decl(self, decl: str) -> None:
        self.declarations.append(decl)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes, _ in self.tags if name == tag]

    def said(self, tag: str) -> str:
        return "".join(text for text, path in self.text if tag in path)

    @property
    def words(self) -> str:
        seen = " ".join(text for text, path in self.text if not {"style", "svg"} & {*path})
        return " ".join(seen.split())


def findings(catalogue: Catalogue, k: int = 12, filters: Filters | None = None) -> Findings:
    filters = filters or Filters()
    documents = clustering.space(
        embeddings.post_process(embeddings.multi_hot(catalogue.genre_lists), encoders.get(BASELINE)),
        catalogue.weights(),
    )
    found = analysis.analyse(catalogue, documents, k, 0, filters)
    lists = analysis.list_table(catalogue, found, documents.xy)
    measures = catalogue.cluster_measures(found.clustering.labels, filters)
    clusters = charts.colored(analysis.cluster_table(found, lists, measures))
    settings = Settings(BASELINE, k, filters=filters)
    return Findings(catalogue, settings, found, lists, clusters, charts.AXES["PCA"])


@pytest.fixture(scope="module")
def shipped(catalogue: Catalogue) -> Findings:
    stability = Stability(np.linspace(0.99, 0.44, 12), 50)
    return replace(findings(catalogue), stability=stability)


@pytest.fixture(scope="module")
def text(shipped: Findings) -> str:
    return report.html(shipped, RECIPE, DAY)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


@pytest.fixture
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the charts out, where they are not what is tried: they take seconds."""

    def fail(*_: object) -> list[str]:
        raise DrawingError("No pencil.")

    monkeypatch.setattr(drawing, "svg", fail)


# Structure


def test_it_is_one_page_with_headings_in_order(page: Page, text: str) -> None:
    assert page.declarations == ["DOCTYPE html"]
    assert page.all("html") == [{"lang": "en"}]
    assert [data for data, path in page.text if path == ("html", "head", "title")] == [
        "12 clusters of 17,029 films: Genrescope report"
    ]
    headings = [int(tag[1]) for tag, _, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings.count(1) == 1
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(headings))
    assert headings.count(3) == 12
    assert len(page.all("main")) == len(page.all("header")) == 1
    ids = [attributes["id"] for _, attributes, _ in page.tags if "id" in attributes]
    assert len(ids) == len({*ids})
    links = [attributes["href"] for attributes in page.all("a")]
    assert len(links) > 15
    assert {link.removeprefix("#") for link in links} <= {*ids}
    named = [attributes[name] for _, attributes, _ in page.tags for name in attributes if name == "aria-labelledby"]
    assert {*named} <= {*ids}
    assert len(text) < 1_000_000


def test_it_can_neither_run_nor_fetch_anything(page: Page, text: str) -> None:
    (style,) = [data for data, path in page.text if path and path[-1] == "style"]
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy.split("; ") == [
        "default-src 'none'", f"style-src 'sha256-{hashed}'", "img-src data:", "base-uri 'none'", "form-action 'none'"
    ]  # fmt: skip
    names = [tag for tag, _, _ in page.tags]
    assert names.index("meta") < names.index("style")
    assert not {"script", "iframe", "object", "embed", "form", "img", "image", "foreignobject", "base"} & {*names}
    for tag, attributes, _ in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "src", "srcset")], tag
        if "href" in attributes:
            assert attributes["href"].startswith("#") or (tag, attributes["href"]) == ("link", "data:,")
    assert "url(" not in style
    assert "@import" not in style
    addresses = set(re.findall(r"https?://[^\s\"'<]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, not an address


def test_tables_have_captions_or_headings_and_headers(page: Page) -> None:
    tables = [path for tag, _, path in page.tags if tag == "table"]
    assert len(tables) == 2 + 12
    cells = [(attributes, path) for tag, attributes, path in page.tags if tag == "th"]
    assert all(attributes["scope"] in ("col", "row") for attributes, _ in cells)
    assert len(page.all("caption")) == 2
    assert len([1 for attributes, path in cells if attributes["scope"] == "row" and "tbody" in path]) >= 2 * 12


def test_pictures_have_labels_and_marks_that_say_what_they_are(page: Page, text: str, shipped: Findings) -> None:
    pictures = page.all("svg")
    assert len(pictures) == 3
    assert all(picture["role"] == "img" and len(picture["aria-label"]) > 30 for picture in pictures)
    svgs = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    titles = [element.text for element in svgs[0].iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == 1187
    label = shipped.clusters.set_index("cluster")["label"]
    cluster = shipped.lists.set_index("genre_list").loc["Comedy, Drama", "cluster"]
    assert f"Comedy, Drama: 1,052 films, in cluster {label[cluster]}" in titles
    assert "currentColor" in text, "charts follow light and dark"
    assert len(page.all("figcaption")) == 3


def test_by_day_by_night_on_paper_and_on_a_phone(page: Page) -> None:
    style = page.said("style")
    for query in ("prefers-color-scheme:dark", "@media print", "max-width:40rem"):
        assert query in style
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))
    scrolling = [attributes for _, attributes, _ in page.tags if "wide" in attributes.get("class", "").split()]
    assert len(scrolling) == 5
    for attributes in scrolling:  # reached by keyboard, and named
        assert attributes["tabindex"] == "0"
        assert attributes.get("aria-label") or attributes.get("aria-labelledby")


def test_text_on_every_shade_can_be_read() -> None:
    def luminance(rgb: tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for paper, ink in (((255, 255, 255), (28, 34, 51)), ((18, 21, 29), (231, 233, 240))):
        pairs = zip((72, 110, 214), paper, strict=True)
        blend = tuple(report.DARKEST * top + (1 - report.DARKEST) * under for top, under in pairs)
        low, high = sorted((luminance(blend), luminance(ink)))
        assert (high + 0.05) / (low + 0.05) >= 4.5


# Figures


def test_the_figures_are_those_of_the_result(page: Page, shipped: Findings) -> None:
    words, found = page.words, shipped.analysis
    assert "Genrescope report, 2025-01-02" in words
    assert "17,472 of 17,472 films, of which 443 name no genre and are in no cluster" in words
    assert f"Silhouette {found.silhouette.overall:.3f}" in words
    assert f"Coherence {found.coherence.overall:.3f}" in words
    assert "Lowest stability 0.44" in words
    assert shipped.catalogue.fingerprint in words
    for name, size in zip(found.names, found.clustering.sizes, strict=True):
        assert name.text in words
        assert f"{size:,}" in words


def test_cards_tell_what_the_films_are(page: Page, shipped: Findings, plain_films: list[dict[str, Any]]) -> None:
    row = {text: i for i, text in enumerate(shipped.catalogue.genre_lists)}
    labels = shipped.analysis.clustering.labels
    cards = page.words.split("Each cluster ", 2)[-1].split("How to read it")[0]
    position = 0
    for cluster in range(12):
        mine = [film for film in plain_films if film["genre_list"] and labels[row[film["genre_list"]]] == cluster]
        best = sorted((film for film in mine if film["reviews"]), key=lambda film: -film["reviews"])[:8]
        nearest = shipped.lists[shipped.lists["cluster"] == cluster].sort_values("distance", kind="stable").iloc[0]
        position = cards.index(f"{cluster} {shipped.analysis.names[cluster].text} {len(mine):,} films", position)
        card = cards[position:].split("Most borderline genre lists")[0]
        stability = {0: "solid 0.99", 4: "fair 0.79", 11: "shaky 0.44"}
        if cluster in stability:
            assert f"stability {stability[cluster]}" in card
        first = best[0]
        assert f"{legible(first['title'])} ({first['year']}, {first['reviews']:,} reviews)" in card
        assert str(nearest["genre_list"]) in card
        having = Counter(genre for film in mine for genre in {*film["genres"]})
        genre = min(having, key=lambda genre: (-having[genre], genre))
        assert f"{genre} {having[genre]:,} {having[genre] / len(mine):.1%}" in card
    assert page.words.count("Most reviewed films") == 12
    assert page.words.count("Most borderline genre lists") == 12


def test_the_genre_table_holds_the_shares(shipped: Findings, no_drawing: None) -> None:
    page = Page(report.html(shipped, {}, DAY))
    genres = shipped.analysis.genres
    heads = [attributes for tag, attributes, _ in page.tags if tag == "th" and attributes.get("class") == "genre"]
    assert len(heads) == genres["genre"].nunique() > 15
    cells = [(a, path) for tag, a, path in page.tags if tag == "td" and re.match(r"h\d+", a.get("class", ""))]
    assert len(cells) == 12 * len(heads)
    told = [attributes["title"] for attributes, _ in cells if "title" in attributes]
    assert len(told) == int((genres["n_cluster"] > 0).sum())
    row = genres[(genres["cluster"] == 0) & (genres["genre"] == "War")].iloc[0]
    assert f"War: {row['n_cluster']:,} films, {row['share']:.1%}, lift {row['lift']:.1f}" in told
    often = sum("often" in attributes["class"].split() for attributes, _ in cells)
    assert often == int(((genres["lift"] >= 2) & (genres["n_cluster"] > 0)).sum()) > 10
    shades = [int(re.match(r"h(\d+)", attributes["class"])[1]) for attributes, _ in cells]  # type: ignore[index]
    assert (min(shades), max(shades)) == (0, 20)


def test_the_recipe_comes_back_as_it_was(page: Page) -> None:
    shown = page.said("pre")
    assert json.loads(shown) == RECIPE
    assert "戦争" in shown
    assert not {c for c in shown if unicodedata.category(c) in ("Cc", "Cf")} - {"\n"}


def test_filters_are_told(catalogue: Catalogue, no_drawing: None) -> None:
    filters = Filters((1950, 1999), ("English", "French"), (), ("Drama", "War"), "all", 5)
    found = findings(catalogue, 3, filters)
    words = Page(report.html(found, {}, DAY)).words
    phrases = "years 1950 to 1999; in English or French; with all of Drama, War; at least 5 reviews"
    assert phrases in words
    assert phrases in report.in_short(found)
    assert f"{found.analysis.counts.movies:,} of 17,472 films" in words
    assert report.filters_in_words(Filters()) == []


def test_without_charts_it_is_still_a_report(shipped: Findings, no_drawing: None) -> None:
    page = Page(report.html(shipped, {}, DAY))
    assert page.words.count("No pencil.") == 2
    assert page.all("svg") == []
    assert len(page.all("article")) == 12


def test_what_is_not_known_is_said(catalogue: Catalogue, no_drawing: None) -> None:
    words = Page(report.html(findings(catalogue, 2), {}, DAY)).words
    assert "stability not measured" in words
    assert "Lowest stability not measured" in words


# Other people's films


def opened(folder: Path, films: dict[str, list[object]]) -> Catalogue:
    pq.write_table(pa.table(films), folder / "mine.parquet")
    return movies.open_catalogue(folder / "mine.parquet")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    genres = [["Drama"], [f"A {HOSTILE}"], [f"B {HOSTILE}", "Drama"], ["戦争"], ["שלום", "Drama"], ["x" * 3000]]
    names = [f"{i} {HOSTILE}" for i in range(len(genres))]
    catalogue = opened(tmp_path_factory.mktemp("hostile"), {"title": names, "genres": genres, "year": [1990] * 6})
    yield catalogue
    catalogue.connection.close()


def test_hostile_films_stay_text(hostile: Catalogue) -> None:
    found = findings(hostile, 4)
    text = report.html(found, {"title": HOSTILE}, DAY)
    page = Page(text)
    assert "script" not in {tag for tag, _, _ in page.tags}
    assert "onclick" not in {name for _, attributes, _ in page.tags for name in attributes}
    assert not [c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf")]
    shown = legible(HOSTILE)
    for name in (f"A {shown}", f"B {shown}, Drama", "戦争", "x" * 3000, f"0 {shown}"):
        assert name in page.words, name
    assert len(page.all("style")) == len(page.all("pre")) == 1
    assert [svg["role"] for svg in page.all("svg")] == ["img", "img"]  # one year alone has no line
    with_bdi = [text for text, path in page.text if "bdi" in path]
    assert any("שלום" in each for each in with_bdi)
    assert all("bdi" in path for text, path in page.text if "שלום" in text and "svg" not in path)


def test_films_without_anything_but_genres(tmp_path: Path, no_drawing: None) -> None:
    catalogue = opened(tmp_path, {"title": ["A", None, "C"], "genres": [["Drama"], ["Drama"], ["War"]]})
    words = Page(report.html(findings(catalogue, 5), {}, DAY)).words
    catalogue.connection.close()
    assert "Some films" in words
    assert "(no title)" in words
    assert "not known" in words
    assert "There are 2 clusters instead of 5" in words


def test_nothing_to_cluster(catalogue: Catalogue) -> None:
    found = findings(catalogue, 5, Filters(years=(1800, 1801)))
    page = Page(report.html(found, {}, DAY))
    assert "0 clusters of 0 films" in page.words
    assert "there is nothing to cluster" in page.words
    assert page.all("article") == page.all("svg") == []
    assert "Recipe" in page.words


def test_a_single_cluster(catalogue: Catalogue, no_drawing: None) -> None:
    words = Page(report.html(findings(catalogue, 1), {}, DAY)).words
    assert "1 cluster of 17,029 films" in words
    assert "There is no other cluster." in words


def test_many_genres_are_cut_with_a_sentence(tmp_path: Path, no_drawing: None) -> None:
    catalogue = opened(tmp_path, {"title": ["A"] * 60, "genres": [[f"G{i}"] for i in range(60)]})
    page = Page(report.html(findings(catalogue, 50), {}, DAY))
    catalogue.connection.close()
    assert len([1 for tag, a, _ in page.tags if tag == "th" and a.get("class") == "genre"]) == report.MAX_GENRES
    assert "Shown are the 40 most frequent genres of 60." in page.words


# The map as a file


def test_the_map_is_a_file_that_says_what_it_is(shipped: Findings) -> None:
    svg = ElementTree.fromstring(report.map_picture(shipped, "svg"))
    marks = [element for element in svg.iter() if element.get("aria-roledescription") == "circle"]
    assert len(marks) == 1187
    texts = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert "17,029 of 17,472 films in 12 clusters; encoder multi-hot; seed 0" in texts
    png = report.map_picture(shipped, "png")
    assert abs(int.from_bytes(png[16:20], "big") - drawing.PNG_WIDTH) <= 1
