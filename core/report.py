"""Files that tell a result to people who do not have the app: an HTML page of its own, and the map as a picture.

The page needs nothing but a browser: no script, no network, and a policy that forbids both. What comes from the
catalogue is shown by `legible` and escaped, whatever it holds.
"""

import base64
import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from core import charts, drawing, encoders, explain, stability
from core.analysis import Analysis
from core.drawing import DrawingError
from core.legible import HIDDEN, legible
from core.movies import Catalogue, Filters
from core.recipes import Settings
from core.stability import Stability

if TYPE_CHECKING:
    import jinja2

HERE = Path(__file__).resolve().parent
POLICY = "default-src 'none'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'"
MAX_GENRES = 40  # columns of the genre table
N_GENRES, N_LISTS, N_FILMS = 6, 5, 8  # on each cluster's card
N_SHADES, DARKEST = 20, 0.65  # text stays readable on the darkest shade, by day and by night
OFTEN = 2.0
FEWEST_YEARS = 3
GENRE_MODES = {"any": "any of", "all": "all of", "none": "none of"}


@dataclass(frozen=True, eq=False)
class Findings:
    """A result with the tables that show it.

    lists: `analysis.list_table`; clusters: `analysis.cluster_table` with `charts.colored`; axes: the titles of the
    map's axes; stability: None while it is not known.
    """

    catalogue: Catalogue
    settings: Settings
    analysis: Analysis
    lists: pd.DataFrame
    clusters: pd.DataFrame
    axes: tuple[str, str]
    stability: Stability | None = None


def map_picture(found: Findings, kind: Literal["svg", "png"]) -> bytes:
    """Return the map with a key of its clusters as a file. Raises DrawingError."""
    figure = charts.printed_map(found.lists, found.clusters, found.axes)
    if kind == "png":
        return drawing.png(figure, in_short(found))
    (image,) = drawing.svg([figure], "file", in_short(found))
    return image.encode()


def in_short(found: Findings) -> str:
    """Say in a line what was clustered, and how."""
    counts, settings = found.analysis.counts, found.settings
    parts = [
        f"{counts.clustered:,} of {found.catalogue.n_movies:,} films in {_counted(len(found.clusters), 'cluster')}",
        f"encoder {settings.encoder}",
        f"seed {settings.random_state}",
        *filters_in_words(settings.filters),
    ]
    if len(found.lists) > charts.MAX_BUBBLES:
        parts.append(f"the {charts.MAX_BUBBLES:,} largest of {len(found.lists):,} genre lists")
    return "; ".join(parts)


def filters_in_words(filters: Filters) -> list[str]:
    """Return a phrase for each filter that is set."""
    phrases = []
    if filters.years is not None:
        phrases.append(f"years {filters.years[0]} to {filters.years[1]}")
    if filters.languages:
        phrases.append(f"in {' or '.join(filters.languages)}")
    if filters.countries:
        phrases.append(f"from {' or '.join(filters.countries)}")
    if filters.genres:
        phrases.append(f"with {GENRE_MODES[filters.genre_mode]} {', '.join(filters.genres)}")
    if filters.min_reviews:
        phrases.append(f"at least {_counted(filters.min_reviews, 'review')}")
    return phrases


def html(found: Findings, recipe: Mapping[str, object], made: date) -> str:
    """Return the report as one HTML page; where its charts cannot be drawn, a sentence says so.

    recipe: what decides the result, shown as JSON. Raises core.movies.CatalogueError.
    """
    style = _style(found.clusters)
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    values = {
        "policy": POLICY.format(hashed),
        "style": _safe(style),
        "made": made.isoformat(),
        "heading": f"{_counted(len(found.clusters), 'cluster')} of {_counted(found.analysis.counts.clustered, 'film')}",
        "notice": found.analysis.notice(),
        "figures": _figures(found),
        "facts": _facts(found),
        "n_lists": len(found.lists),
        "n_drawn": charts.MAX_BUBBLES,
        "n_clustered": found.analysis.counts.clustered,
        "clusters": _clusters(found),
        "films_heading": "Most reviewed films" if "reviews" in found.catalogue.columns else "Some films",
        "recipe": _json(recipe),
        "basis": found.analysis.silhouette.basis,
        **_pictures(found),
        **_heat(found.analysis.genres),
    }
    return _template().render(values)


@cache
def _template() -> "jinja2.Template":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        finalize=lambda value: legible(value) if type(value) is str else value,  # not what `_safe` has marked
    )
    environment.filters |= {
        "whole": lambda n: f"{n:,}",
        "percent": lambda share: f"{share:.1%}",
        "figure": _number,
        "counted": _counted,
    }
    return environment.get_template("report.html")


def _safe(markup: str) -> str:
    """Mark as not to be escaped what was made here."""
    import markupsafe

    return markupsafe.Markup(markup)


def _style(clusters: pd.DataFrame) -> str:
    """Return the page's one style sheet. The policy names its hash, so no other style holds, not even an attribute."""
    shades = [f".h{i}{{background:rgb(72 110 214/{DARKEST * i / N_SHADES:.3f})}}" for i in range(1, N_SHADES + 1)]
    colors = zip(clusters["cluster"], clusters["color"], clusters["text_color"], strict=True)
    discs = [f".c{cluster}{{background:{color};color:{text}}}" for cluster, color, text in colors]
    return "\n".join([(HERE / "report.css").read_text(encoding="utf-8"), *shades, *discs])


def _json(recipe: Mapping[str, object]) -> str:
    """Return the recipe as JSON that can be copied; hidden characters are written as JSON writes them, \\u202e."""
    import markupsafe

    text = json.dumps(dict(recipe), indent=2, ensure_ascii=False, default=str)
    seen = (
        json.dumps(character)[1:-1] if character != "\n" and unicodedata.category(character) in HIDDEN else character
        for character in text
    )
    return markupsafe.escape("".join(seen))


def _figures(found: Findings) -> list[tuple[str, str]]:
    counts, result = found.analysis.counts, found.analysis
    return [
        ("Films with genres", f"{counts.clustered:,}"),
        ("Without genres", f"{counts.without_genres:,}"),
        ("Genre lists", f"{result.n_lists:,}"),
        ("Clusters (k)", f"{result.clustering.n_clusters}"),
        ("Silhouette", _number(result.silhouette.overall, 3)),
        ("Coherence", _number(result.coherence.overall, 3)),
        ("Lowest stability", "not measured" if found.stability is None else _number(found.stability.lowest)),
    ]


def _facts(found: Findings) -> list[tuple[str, str]]:
    counts, settings = found.analysis.counts, found.settings
    encoder = encoders.get(settings.encoder)
    checkpoint = f", {encoder.repository} at {encoder.revision}" if encoder.repository else ""
    films = f"{counts.movies:,} of {_counted(found.catalogue.n_movies, 'film')}"
    return [
        ("Films", f"{films}, of which {counts.without_genres:,} name no genre and are in no cluster"),
        ("Filters", "; ".join(filters_in_words(settings.filters)) or "none"),
        ("Catalogue", f"{found.catalogue.name}, SHA-256 {found.catalogue.fingerprint}"),
        ("Encoder", f"{encoder.title}{checkpoint}"),
        ("Dimensions", "standardised" if settings.standardize else "as they are"),
        ("Asked for", f"k = {found.analysis.clustering.requested}, seed {settings.random_state}"),
        ("Map", " and ".join(found.axes)),
    ]


def _pictures(found: Findings) -> dict[str, Any]:
    """Return the charts as they are set into the page, or why there are none."""
    empty = {"map": None, "sizes": None, "trends": None, "no_picture": ""}
    if found.clusters.empty:
        return empty
    years, clusters = _trends(found), found.clusters.assign(stability="")  # tooltips are not drawn
    drawings = [
        (charts.printed_map(found.lists, found.clusters, found.axes, key=False), "map", _told_map(found)),
        (charts.sizes(clusters), "sizes", "Bars: films in each cluster, as in the table above."),
    ]
    if years["year"].nunique() >= FEWEST_YEARS:
        told = f"Lines: each cluster's share of the films of each year, {years['year'].min()} to {years['year'].max()}."
        drawings.append((charts.printed_trends(years), "trends", told))
    try:
        images = drawing.svg([figure for figure, _, _ in drawings], "page")
    except DrawingError as error:
        return {**empty, "no_picture": str(error)}
    inlined = {
        name: _safe(drawing.inline(image, label, name))
        for image, (_, name, label) in zip(images, drawings, strict=True)
    }
    trends = {"picture": inlined["trends"]} if "trends" in inlined else None
    return {**empty, **inlined, "trends": trends}


def _told_map(found: Findings) -> str:
    drawn = _counted(min(len(found.lists), charts.MAX_BUBBLES), "genre list")
    return (
        f"Map of {drawn}: a bubble a list, sized by films and coloured by cluster. The table below has the clusters in "
        "words and numbers."
    )


def _trends(found: Findings) -> pd.DataFrame:
    years = found.catalogue.years_by_cluster(found.analysis.clustering.labels, found.settings.filters)
    each = [explain.smoothed_shares(explain.year_shares(rows)) for _, rows in years.groupby("cluster")]
    shares = pd.concat(each, ignore_index=True) if each else years
    return shares.merge(found.clusters[["cluster", "label", "color"]].assign(stability=""), on="cluster")


def _heat(genres: pd.DataFrame) -> dict[str, Any]:
    """Return the genre table: its genres, most films first, and a row of cells for each cluster."""
    totals = genres.groupby("genre")[["n_all", "catalogue_share"]].first()
    totals = totals.reset_index().sort_values(["n_all", "genre"], ascending=[False, True])
    shown = totals.head(MAX_GENRES)
    order = {genre: place for place, genre in enumerate(shown["genre"])}
    rows = []
    for _, mine in genres[genres["genre"].isin(order)].groupby("cluster"):
        cells = sorted(mine.to_dict("records"), key=lambda cell: order[str(cell["genre"])])
        rows.append([_cell(cell) for cell in cells])
    foot = [_percent(share) for share in shown["catalogue_share"]]
    return {"genres": list(order), "n_genres": len(totals), "heat": rows, "heat_foot": foot}


def _cell(cell: Mapping[Any, Any]) -> dict[str, Any]:
    films, share, lift = int(cell["n_cluster"]), float(cell["share"]), float(cell["lift"])
    return {
        "films": films,
        "text": _percent(share) if films else "",
        "shade": round(N_SHADES * share),
        "often": films > 0 and lift >= OFTEN,
        "told": f"{cell['genre']}: {_counted(films, 'film')}, {share:.1%}, lift {lift:.1f}",
    }


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.005 else "<1"


def _clusters(found: Findings) -> list[dict[Any, Any]]:
    """Return what table and cards tell of each cluster."""
    best = found.catalogue.best_known(found.analysis.clustering.labels, N_FILMS, found.settings.filters)
    rows = []
    for row in found.clusters.to_dict("records"):
        cluster = int(row["cluster"])
        mine = found.lists[found.lists["cluster"] == cluster]
        rated = int(row["n_tomatometer"])
        rows.append(
            {
                **row,
                "n_movies": int(row["n_movies"]),
                "n_lists": len(mine),
                "stability": _stability(found, cluster),
                "year": f"{row['median_year']:.0f}" if row["n_year"] else "not known",
                "tomatometer": f"{row['median_tomatometer']:.0f} % ({rated:,})" if rated else "not known",
                "genres": _top_genres(found.analysis.genres, cluster),
                "films": [_film(film) for film in best[best["cluster"] == cluster].to_dict("records")],
                "typical": _lists(mine.sort_values("distance", kind="stable")),
                "borderline": _lists(mine.dropna(subset="margin").sort_values("margin", kind="stable")),
            }
        )
    return rows


def _stability(found: Findings, cluster: int) -> str:
    if found.stability is None:
        return "not measured"
    value = float(found.stability.clusters[cluster])
    return "not known" if np.isnan(value) else f"{stability.verdict(value)} {value:.2f}"


def _top_genres(genres: pd.DataFrame, cluster: int) -> list[dict[str, Any]]:
    mine = genres[(genres["cluster"] == cluster) & (genres["n_cluster"] > 0)]
    first = mine.sort_values(["n_cluster", "genre"], ascending=[False, True]).head(N_GENRES)
    return [
        {
            "genre": row["genre"],
            "films": int(row["n_cluster"]),
            "share": row["share"],
            "lift": f"{row['lift']:.2f} ({row['lift_low']:.2f} to {row['lift_high']:.2f})",
        }
        for row in first.to_dict("records")
    ]


def _film(film: Mapping[Any, Any]) -> dict[str, str]:
    parts = [] if pd.isna(film["year"]) else [f"{film['year']:.0f}"]
    if not pd.isna(film["reviews"]):
        parts.append(_counted(int(film["reviews"]), "review"))
    title = "" if pd.isna(film["title"]) else str(film["title"])
    return {"title": title or "(no title)", "told": ", ".join(parts)}


def _lists(lists: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "genre_list": row["text"],
            "films": int(row["n_movies"]),
            "margin": f"{row['margin']:.2f}",
            "runner_up": f"{row['runner_up']} {row['runner_up_name']}",
        }
        for row in lists.head(N_LISTS).to_dict("records")
    ]


def _number(value: float, digits: int = 2) -> str:
    return "not defined" if np.isnan(value) else f"{value:.{digits}f}"


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
