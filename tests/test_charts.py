import copy
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import altair as alt
import jsonschema
import numpy as np
import pandas as pd
import pytest

from core import agreement, analysis, charts, clustering, diagnostics, explain, inventory
from core.analysis import Analysis
from core.charts import Figure, colors
from core.clustering import Space
from core.movies import Catalogue

AXES = ("First principal component", "Second principal component")
INVENTED = ["Kitchen sink", "Ärger", "", "Science Fiction & Fantasy"]


@pytest.fixture(scope="module")
def tables(catalogue: Catalogue, documents: Space, analysed: Analysis) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of genre lists and clusters as the app has them."""
    lists = analysis.list_table(catalogue, analysed, documents.xy)
    clusters = analysis.cluster_table(analysed, lists, catalogue.cluster_measures(analysed.clustering.labels))
    colored = charts.cluster_colors(clusters["leading_genre"].tolist())
    return lists, clusters.assign(
        color=colored, text_color=[charts.readable_on(color) for color in colored], stability="solid 0.91"
    )


@pytest.fixture(scope="module")
def figures(
    catalogue: Catalogue, analysed: Analysis, tables: tuple[pd.DataFrame, pd.DataFrame]
) -> dict[str, Callable[[bool], Figure]]:
    """A way to draw each chart, from all rows or from a part of them."""
    lists, clusters = tables
    genres = analysed.genres.merge(clusters[["cluster", "label", "stability"]], on="cluster")
    one = analysed.genres[(analysed.genres["cluster"] == 3) & (analysed.genres["n_cluster"] > 0)]
    years = explain.smoothed_shares(explain.year_shares(catalogue.years(analysed.clustering.labels, 3)))
    about = clusters[["cluster", "label", "color", "stability"]]
    shares = catalogue.years_by_cluster(analysed.clustering.labels).merge(about)
    shares = explain.smoothed_shares(explain.year_shares(shares))
    points = pd.DataFrame(
        {"k": [2, 3, 4], "value": [0.1, 0.2, 0.3], "text": ["0.1"] * 3, "current": [True, False, False]}
    )
    nodes = clusters.assign(k=3, survives=1, stability=[None, 0.9, 0.7, 0.5] * 3)
    nodes = nodes[["k", "cluster", "x", "n_movies", "label", "color", "survives", "stability"]]
    near = lists.assign(cosine=0.5, near=lists["list_id"] < 30)
    mark = {"x": 0.0, "y": 0.1, "cluster": 3, "note": "Your words"}
    lines = nodes.assign(parent_k=2, parent_x=0.5, share_of_child=1.0).drop(columns=["survives", "stability"])
    shared = diagnostics.overlap(analysed.weights, analysed.clustering.labels, analysed.clustering.labels % 5)
    flows = agreement.flows(shared, agreement.match(shared))
    fives = clusters[:5].assign(n_movies=shared.sum(axis=0))
    pairs = pd.DataFrame(
        {"one": list("aabb"), "other": list("abab"), "AMI": [1, 0.2, -0.1, 1], "ARI": [1, 0.3, 0.3, 1]}
    )
    pairs = pairs.assign(place_one=[0, 0, 1, 1], place_other=[0, 1, 0, 1])
    both = lists.assign(x_a=lists["x"], y_a=lists["y"], x_b=-lists["x"], y_b=lists["y"], label_a="A", label_b="B")
    both = charts.side_by_side(both.assign(color_a="#aa3311", color_b="#3366cc"))
    gross = catalogue.box_office_by_cluster(analysed.clustering.labels).assign(years="1990 to 1994")
    gross = gross.merge(about)
    weights = catalogue.weights()
    frequencies = inventory.genre_counts(catalogue.genre_lists, weights)
    together = inventory.co_occurrence(catalogue.genre_lists, weights)
    return {
        "agreement, AMI": lambda part: charts.agreement_matrix(pairs[: 2 if part else None], "AMI"),
        "agreement, ARI": lambda part: charts.agreement_matrix(pairs[: 2 if part else None], "ARI"),
        "flow": lambda part: charts.flow(
            flows[flows["a"] < (3 if part else 99)], clusters[: 3 if part else None], fives
        ),
        "two maps": lambda part: charts.two_maps(both[: 9 if part else None], ("x", "y") if part else ("a", "b")),
        "map": lambda part: charts.genre_map(lists[: 50 if part else None], clusters[: 3 if part else None], AXES),
        "found": lambda part: charts.found_map(near[: 50 if part else None], clusters, mark, AXES),
        "sizes": lambda part: charts.sizes(clusters[: 3 if part else None]),
        "heat map, share": lambda part: charts.genre_heatmap(genres[: 30 if part else None], "share"),
        "heat map, lift": lambda part: charts.genre_heatmap(genres[: 30 if part else None], "lift"),
        "genres": lambda part: charts.genre_lifts(one[: 3 if part else None], "#aa3311" if part else "#3366cc"),
        "years": lambda part: charts.year_shares(years[: 5 if part else None], "#aa3311" if part else "#3366cc"),
        "trends": lambda part: charts.trends(shares[: 50 if part else None]),
        "box office": lambda part: charts.box_office(gross[: 50 if part else None]),
        "over k": lambda part: charts.over_k(points[: 2 if part else None], "Silhouette", ".2f", "Silhouette"),
        "missing": lambda part: charts.missing_values(catalogue.missing_values()[: 2 if part else None]),
        "frequencies": lambda part: charts.genre_frequencies(frequencies[: 3 if part else None]),
        "together": lambda part: charts.co_occurrence(together[: 9 if part else None]),
        "by year": lambda part: charts.films_by_year(catalogue.films_by_year()[: 5 if part else None]),
        "descent": lambda part: charts.lines_of_descent(nodes[: 2 if part else None], lines[: 1 if part else None]),
    }


NAMES = ["agreement, AMI", "agreement, ARI", "flow", "two maps"]
NAMES += [
    "map",
    "sizes",
    "heat map, share",
    "heat map, lift",
    "genres",
    "years",
    "trends",
    "box office",
    "over k",
    "descent",
]
NAMES += ["found"]
NAMES += ["missing", "frequencies", "together", "by year"]


def parts(node: Any) -> Iterator[dict[str, Any]]:
    """Go through all objects of a specification."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from parts(child)


def views(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return spec.get("layer", [spec])


def contrast(one: str, other: str) -> float:
    """Contrast of two colours by WCAG 2, worked out from its text and from nothing of ours."""

    def luminance(color: str) -> float:
        channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


# Charts


@pytest.mark.parametrize("name", NAMES)
def test_every_chart_is_valid_vega_lite(figures: dict[str, Callable[[bool], Figure]], name: str) -> None:
    figure = figures[name](False)
    assert "data" not in figure.spec
    # altair checks what it is given against the schema of Vega-Lite
    rows = json.loads(figure.data[::40].to_json(orient="records"))
    chart = alt.Chart.from_dict({**figure.spec, "data": {"values": rows}})
    assert chart.to_dict()["$schema"].startswith("https://vega.github.io/schema/vega-lite/")


def test_what_is_not_vega_lite_is_found_out(figures: dict[str, Callable[[bool], Figure]]) -> None:
    broken = copy.deepcopy(figures["sizes"](False).spec)
    broken["layer"][0]["mark"]["type"] = "no such mark"
    with pytest.raises(jsonschema.ValidationError):
        alt.Chart.from_dict({**broken, "data": {"values": []}})


@pytest.mark.parametrize("name", NAMES)
def test_every_chart_has_a_title_and_titles_of_its_axes(
    figures: dict[str, Callable[[bool], Figure]], name: str
) -> None:
    spec = figures[name](False).spec
    assert spec["title"]
    for view in views(spec):
        for channel in ("x", "y"):
            assert view["encoding"][channel]["title"], channel
        tells = view["mark"].get("tooltip", True) is not None  # or it says that it has none
        for tooltip in view["encoding"]["tooltip"] if tells else ():
            assert tooltip["title"], tooltip
        color = view["encoding"].get("color", {})
        assert (
            color.get("scale", ...) is None or color.get("title") or not color or "condition" in color
        )  # a legend has a title


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_a_column(figures: dict[str, Callable[[bool], Figure]], name: str) -> None:
    figure = figures[name](False)
    fields = {part["field"] for part in parts(figure.spec) if isinstance(part.get("field"), str)}
    fields |= {field for part in parts(figure.spec) for field in part.get("fields", [])}
    filters = [part["filter"] for part in parts(figure.spec) if "filter" in part]
    fields |= {field for text in filters for field in re.findall(r"datum\.(\w+)", text)}
    assert len(fields) >= 3
    assert fields <= {*figure.data.columns}


@pytest.mark.parametrize("name", NAMES)
def test_a_specification_stays_the_same_when_rows_change(
    figures: dict[str, Callable[[bool], Figure]], name: str
) -> None:
    whole, part = figures[name](False), figures[name](True)
    assert json.dumps(whole.spec) == json.dumps(part.spec)
    assert 0 < len(part.data) < len(whole.data)


@pytest.mark.parametrize("name", NAMES)
def test_a_click_can_be_picked_up(figures: dict[str, Callable[[bool], Figure]], name: str) -> None:
    spec = figures[name](False).spec
    params = {part["name"]: part for part in parts(spec) if {"name", "select"} <= part.keys()}
    picked = {
        **{"heat map, share": ["cluster", "genre"], "heat map, lift": ["cluster", "genre"]},
        **{"genres": ["genre"], "years": ["year"], "trends": ["cluster", "year"]},
        **{"over k": ["k"], "descent": ["k", "cluster"], "flow": ["a", "b"], "two maps": ["list_id"]},
        **{"agreement, AMI": ["one", "other"], "agreement, ARI": ["one", "other"]},
        "found": ["cluster", "genre_list"],
        "box office": ["cluster", "first_year"],
        **{"missing": ["column"], "frequencies": ["genre"], "together": ["genre", "other"], "by year": ["year"]},
    }
    expected = picked.get(name, ["cluster"])
    assert params["pick"]["select"]["fields"] == expected
    assert params["pick"]["select"]["type"] == "point"
    assert ("brush" in params) == (name in ("map", "two maps"))
    conditions = [part["param"] for part in parts(spec) if "param" in part]
    assert {*conditions} == (set() if name == "over k" else {"pick"})  # there a column marks the k of the page


def test_ribbons_join_bars_of_the_same_height(figures: dict[str, Callable[[bool], Figure]]) -> None:
    rows = figures["flow"](False).data
    ribbons, bars = rows[~rows["node"]], rows[rows["node"]]
    for side, x in (("a", 0.0), ("b", 1.0)):
        ends = ribbons[ribbons["x"] == x].sort_values([side, "low"])
        for cluster, mine in ends.groupby(side):
            (bar,) = bars[bars[side] == cluster].to_dict("records")
            # One lies upon the other, from one end of the bar to the other.
            edges = [bar["low"], *mine["high"]]
            assert mine["low"].tolist() == pytest.approx(edges[:-1])
            assert edges[-1] == pytest.approx(bar["high"])
    widths = (ribbons["high"] - ribbons["low"]).groupby(ribbons["flow"])
    assert (widths.max() - widths.min()).abs().max() < 1e-12
    named = bars["label"] != ""
    assert (bars["high"] - bars["low"])[named].min() >= 0.018


def test_two_maps_do_not_overlap(figures: dict[str, Callable[[bool], Figure]]) -> None:
    rows = figures["two maps"](False).data
    lists = rows[rows["heading"].isna()]
    assert lists["x_a"].between(0, 1).all()
    assert lists["x_b"].min() > 1
    assert lists["y_b"].between(0, 1).all()
    assert rows["heading"].dropna().tolist() == ["A: a", "B: b"]


def test_the_map_has_a_bubble_for_each_list_and_a_badge_for_each_cluster(
    tables: tuple[pd.DataFrame, pd.DataFrame], figures: dict[str, Callable[[bool], Figure]]
) -> None:
    lists, clusters = tables
    rows = figures["map"](False).data
    bubbles, badges = rows[rows["text_color"].isna()], rows[rows["text_color"].notna()]
    assert (len(bubbles), len(badges)) == (1187, 12)
    assert bubbles["n_movies"].is_monotonic_decreasing  # small ones lie on top
    colored = dict(zip(clusters["cluster"], clusters["color"], strict=True))
    assert [colored[i] for i in bubbles["cluster"]] == bubbles["color"].tolist()
    expected = lists.set_index("text")[["x", "y", "n_movies", "cluster"]]
    found = bubbles.set_index("text")[["x", "y", "n_movies", "cluster"]]
    pd.testing.assert_frame_equal(found, expected.loc[found.index], check_dtype=False)
    assert (
        badges[["x", "y", "text_color"]].to_numpy().tolist() == clusters[["x", "y", "text_color"]].to_numpy().tolist()
    )


def test_a_search_is_marked_on_the_map_and_near_lists_stand_out(
    tables: tuple[pd.DataFrame, pd.DataFrame], figures: dict[str, Callable[[bool], Figure]]
) -> None:
    rows = figures["found"](False).data
    (mark,) = rows[rows["query"]].to_dict("records")
    label = tables[1]["label"].iloc[3]
    assert (mark["x"], mark["y"], mark["cluster"], mark["label"], mark["note"]) == (0.0, 0.1, 3, label, "Your words")
    bubbles = rows[~rows["query"]]
    assert len(bubbles) == 1187
    near = bubbles["near"].astype(bool)
    assert near.sum() == 30
    assert bubbles.loc[near, "strength"].min() > bubbles.loc[~near, "strength"].max()
    assert bubbles.loc[near, "depth"].min() > bubbles.loc[~near, "depth"].max()  # drawn later, so on top
    nowhere = {"x": 0.0, "y": 0.0, "cluster": -1, "note": "Your words"}
    figure = charts.found_map(tables[0].assign(cosine=0.5, near=False), tables[1], nowhere, AXES)
    assert figure.data["label"].iloc[-1] == "none"


def test_the_axes_of_the_map_are_named_by_the_page(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    for axes in (AXES, ("t-SNE, first axis", "t-SNE, second axis")):
        spec = charts.genre_map(*tables, axes).spec
        assert {view["encoding"]["x"]["title"] for view in views(spec)} == {axes[0]}
        assert {view["encoding"]["y"]["title"] for view in views(spec)} == {axes[1]}


def test_bars_stand_in_the_order_of_the_clusters(
    tables: tuple[pd.DataFrame, pd.DataFrame], figures: dict[str, Callable[[bool], Figure]]
) -> None:
    figure = figures["sizes"](False)
    assert figure.data["label"].tolist() == tables[1]["label"].tolist()
    for view in views(figure.spec):
        # Vega-Lite would sort by name otherwise
        assert view["encoding"]["y"]["sort"] == {"field": "cluster", "op": "min", "order": "ascending"}


def test_the_heat_map_has_a_field_for_each_genre_and_cluster(
    analysed: Analysis, figures: dict[str, Callable[[bool], Figure]]
) -> None:
    rows = figures["heat map, lift"](False).data
    assert len(rows) == 12 * analysed.genres["genre"].nunique() == len(rows.drop_duplicates(["label", "genre"]))
    assert rows["shown"].between(1 / 8, 8).all()
    inside = rows["lift"].between(1 / 8, 8)
    assert (rows["shown"] == rows["lift"])[inside].all()
    assert not inside.all()
    share = figures["heat map, share"](False).spec
    assert share["title"] != figures["heat map, lift"](False).spec["title"]
    assert share["encoding"]["color"]["scale"]["domain"] == [0, 1]


def test_years_with_few_films_are_hollow() -> None:
    counted = pd.DataFrame({"year": [1940, 1941, 1942], "n_cluster": [1, 5, 0], "n_all": [19, 20, 1]})
    rows = charts.year_shares(explain.year_shares(counted), "#3366cc").data
    assert rows["fill"].tolist() == ["transparent", "#3366cc", "transparent"]


@pytest.mark.parametrize("name", ["genres", "years"])
def test_charts_of_one_cluster_have_its_color(figures: dict[str, Callable[[bool], Figure]], name: str) -> None:
    assert {*figures[name](False).data["color"]} == {"#3366cc"}
    assert {*figures[name](True).data["color"]} == {"#aa3311"}


def test_a_table_shows_the_colors_of_its_clusters() -> None:
    table = pd.DataFrame({"cluster": [0, 1], "name": ["War", "Drama"]})
    styler = charts.with_color(table, pd.Series(["#111111", "#eeeeee"]), pd.Series(["#ffffff", "#000000"]))
    html = styler.to_html()
    assert "background-color: #111111" in html
    assert "background-color: #eeeeee" in html
    styler._compute()
    assert {column for (_, column), css in styler.ctx.items() if css} == {0}


# Colours


def oklab(color: str, eyes: np.ndarray | None = None) -> np.ndarray:
    """A colour in OKLab by the forward way of Ottosson (2020); ours goes back. `eyes` (3, 3): as these see it."""
    channels = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return lab @ np.cbrt(cones @ (linear if eyes is None else np.clip(eyes @ linear, 0, 1)))


def oklch(color: str) -> tuple[float, float, float]:
    """Lightness, chroma and hue of a colour."""
    lightness, a, b = oklab(color)
    return float(lightness), math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360


def apart(one: float, other: float) -> float:
    """Degrees between two hues."""
    return abs((one - other + 180) % 360 - 180)


@pytest.fixture(scope="module")
def leading(catalogue: Catalogue, documents: Space) -> dict[tuple[int, int], list[str]]:
    """Leading genres of clusters by k and seed."""
    weights = catalogue.weights()
    matrix, genres = explain.membership(catalogue.genre_lists)
    found = {}
    for k, seed in itertools.product((4, 8, 12, 20, 35, 50), (0, 1)):
        fit = clustering.fit(documents, weights, k, seed, n_init=2)
        films = explain.genre_films(matrix, weights, fit.labels)
        names = clustering.name_clusters(films / fit.sizes[:, None], films.sum(axis=0) / weights.sum(), genres)
        found[k, seed] = [name.genres[0] for name in names]
    return found


def test_the_first_cluster_of_a_genre_has_its_color_whatever_k_and_seed(
    leading: dict[tuple[int, int], list[str]],
) -> None:
    seen: dict[str, set[str]] = {}
    for genres in leading.values():
        first: dict[str, str] = {}
        for genre, color in zip(genres, charts.cluster_colors(genres), strict=True):
            first.setdefault(genre, color)
        for genre, color in first.items():
            seen.setdefault(genre, set()).add(color)
    assert len(seen) > 12
    assert {len(found) for found in seen.values()} == {1}
    assert len({color for found in seen.values() for color in found}) == len(seen)


def test_clusters_that_share_a_genre_share_its_hue(leading: dict[tuple[int, int], list[str]]) -> None:
    shared = 0
    for genres in leading.values():
        hues: dict[str, list[float]] = {}
        for genre, color in zip(genres, charts.cluster_colors(genres), strict=True):
            hues.setdefault(genre, []).append(oklch(color)[2])
        for genre, found in hues.items():
            shared += len(found) > 1
            assert max(apart(found[0], other) for other in found) < 12, genre
    assert shared > 10


def test_colors_of_shipped_clusters_all_differ(leading: dict[tuple[int, int], list[str]]) -> None:
    for (k, _), genres in leading.items():
        assert len({*charts.cluster_colors(genres)}) == k


def test_fifty_clusters_of_one_genre_all_have_colors_of_their_own() -> None:
    found = {genre: len({*charts.cluster_colors([genre] * 50)}) for genre in [*colors.GENRE_TONES, *INVENTED]}
    assert {*found.values()} == {50}, found


def test_clusters_of_all_genres_have_colors_of_their_own() -> None:
    genres = [*colors.GENRE_TONES, *INVENTED]
    assert len({*charts.cluster_colors(genres)}) == len(genres)


@pytest.mark.parametrize("genre", INVENTED)
def test_a_genre_that_is_not_in_the_list_has_a_color_too(genre: str) -> None:
    (color,) = charts.cluster_colors([genre])
    assert color == charts.cluster_colors(["Drama", genre])[1]
    assert len(color) == 7
    assert int(color[1:], 16) >= 0


def test_a_color_depends_on_the_clusters_of_its_genre_alone() -> None:
    alone = charts.cluster_colors(["Drama", "Drama", "War"])
    assert charts.cluster_colors(["War", "Comedy", "Drama", "Drama"])[2:] == alone[:2]
    assert charts.cluster_colors(["War", "Comedy", "Drama", "Drama"])[0] == alone[2]
    assert charts.cluster_colors([]) == []


# Machado, Oliveira and Fernandes 2009, severity 1: what is left of linear RGB where one kind of cone is missing.
MISSING_CONE = {
    "none": np.eye(3),
    "red": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "green": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "blue": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def nearest(shown: list[str], cone: str) -> float:
    """The smallest distance of two colours; 0.02 is what one just notices."""
    points = [oklab(color, MISSING_CONE[cone]) for color in shown]
    return min(float(np.linalg.norm(one - other)) for one, other in itertools.combinations(points, 2))


@pytest.mark.parametrize("cone", MISSING_CONE)
def test_clusters_stay_apart_for_color_blind_eyes(analysed: Analysis, cone: str) -> None:
    leading = [name.genres[0] for name in analysed.names]
    once = list(dict.fromkeys(leading))
    assert len(once) >= 10
    assert nearest(charts.cluster_colors(once), cone) > 0.07
    assert nearest(charts.cluster_colors(leading), cone) > 0.03  # with shades of a genre that leads two
    every = [genre for genre in colors.GENRE_TONES if genre != "Science Fiction"]  # which is Sci-Fi by another name
    assert nearest(charts.cluster_colors(every), cone) > 0.025


def test_text_on_a_color_can_be_read() -> None:
    every = {color for genre in [*colors.GENRE_TONES, *INVENTED] for color in charts.cluster_colors([genre] * 50)}
    assert len(every) > 500
    for color in every:
        chosen = charts.readable_on(color)
        best = max(contrast(color, text) for text in (colors.WHITE, colors.BLACK))
        assert contrast(color, chosen) == best
        assert best > 4.3  # on every colour but a few in between it is 4.5 or more, what WCAG asks for
    assert charts.readable_on("#ffffff") == colors.BLACK
    assert charts.readable_on("#000000") == colors.WHITE


@pytest.mark.parametrize("color", ["#808080", "#c08040", "#2e8b57", "#6a5acd", "#b04060", "#202428", "#f0e0d0"])
def test_oklch_is_turned_into_srgb(color: str) -> None:
    found = colors._hex(*oklch(color))
    assert all(abs(int(found[i : i + 2], 16) - int(color[i : i + 2], 16)) <= 1 for i in (1, 3, 5)), found


@pytest.mark.parametrize("hue", range(0, 360, 15))
def test_a_color_that_no_screen_can_show_loses_chroma_alone(hue: int) -> None:
    for lightness in (0.4, 0.6, 0.85):
        found, chroma, other = oklch(colors._hex(lightness, 0.4, hue))
        assert found == pytest.approx(lightness, abs=0.01)
        assert apart(other, hue) < 5
        assert 0.03 < chroma < 0.4


def test_charts_of_nothing(analysed: Analysis, tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    lists, clusters = tables
    empty = [
        charts.genre_map(lists[:0], clusters[:0], AXES),
        charts.sizes(clusters[:0]),
        charts.genre_heatmap(analysed.genres[:0].assign(label="", stability=""), "lift"),
        charts.genre_lifts(analysed.genres[:0], "#3366cc"),
        charts.year_shares(
            pd.DataFrame(columns=["year", "n_cluster", "n_all", "share", "share_low", "share_high"]), "#0"
        ),
    ]
    assert [len(figure.data) for figure in empty] == [0] * 5


def test_values_without_an_interval_are_drawn_without_one(analysed: Analysis) -> None:
    missing = analysed.genres[analysed.genres["n_cluster"] == 0]
    rows = charts.genre_lifts(missing, "#3366cc").data
    assert len(rows) > 0
    assert rows["lift_high"].isna().all()
    assert not any(math.isinf(value) for value in rows.select_dtypes(np.number).to_numpy().reshape(-1))


# For files


def test_the_printed_map_is_valid_vega_lite(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    for key in (True, False):
        figure = charts.printed_map(*tables, AXES, key)
        rows = json.loads(figure.data[::40].to_json(orient="records"))
        assert alt.Chart.from_dict({**figure.spec, "data": {"values": rows}}).to_dict()
        assert ("hconcat" in figure.spec) == key
        assert "param" not in json.dumps(figure.spec)  # there is nobody to click
    assert "told" not in charts.genre_map(*tables, AXES).data  # the page's map stays as it was
    assert "description" not in json.dumps(charts.genre_map(*tables, AXES).spec)


def test_the_printed_trends_have_nothing_to_click(
    figures: dict[str, Callable[[bool], Figure]], tables: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    whole = figures["trends"](False)
    printed = charts.printed_trends(whole.data.drop(columns="number_at"))
    assert [view["mark"]["type"] for view in printed.spec["layer"]] == ["line", "text"]
    assert [view["mark"]["type"] for view in whole.spec["layer"]] == ["line", "circle", "text"]
    assert alt.Chart.from_dict({**printed.spec, "data": {"values": []}}).to_dict()
    pd.testing.assert_frame_equal(printed.data, whole.data)


def test_a_table_of_clusters_is_colored() -> None:
    clusters = pd.DataFrame({"cluster": [0, 1], "leading_genre": ["War", "Drama"]})
    found = charts.colored(clusters)
    assert found["color"].tolist() == charts.cluster_colors(["War", "Drama"])
    assert found["text_color"].tolist() == [charts.readable_on(color) for color in found["color"]]
    assert "color" not in clusters


def test_of_very_many_texts_the_map_draws_some_by_their_films(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    lists, clusters = tables
    many = pd.concat([lists] * 5, ignore_index=True).assign(list_id=range(5 * len(lists)))
    figure = charts.genre_map(many, clusters.assign(stability=""), AXES)
    drawn = figure.data
    bubbles = drawn[drawn["text_color"].isna() & drawn["x2"].isna()]
    assert len(bubbles) == charts.MOST_MARKS < len(many)
    again = charts.genre_map(many, clusters.assign(stability=""), AXES).data
    pd.testing.assert_frame_equal(drawn, again)
    large, small = many["n_movies"] > 100, many["n_movies"] == 1
    assert (bubbles["n_movies"] > 100).sum() == large.sum()  # next to certain
    assert 0 < (bubbles["n_movies"] == 1).sum() < small.sum()

    cells = drawn[drawn["x2"].notna()]
    assert cells["n_movies"].sum() == many["n_movies"].sum()
    for cell in cells.sample(20, random_state=0).itertuples():
        last = (cell.x2 == many["x"].max(), cell.y2 == many["y"].max())  # these cells hold their far sides, too
        across = (many["x"] >= cell.x) & ((many["x"] < cell.x2) | (last[0] & (many["x"] == cell.x2)))
        up = (many["y"] >= cell.y) & ((many["y"] < cell.y2) | (last[1] & (many["y"] == cell.y2)))
        assert cell.n_movies == many.loc[across & up, "n_movies"].sum()
    assert [layer["mark"]["type"] for layer in figure.spec["layer"]] == ["rect", "circle", "point", "text"]
    few = charts.genre_map(lists, clusters.assign(stability=""), AXES)
    assert few.data["x2"].isna().all()
    assert few.spec == figure.spec
