"""From a mark to the films behind it: what was clicked, which cluster is shown, which films are chosen."""

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from core import cache
from core.analysis import Analysis
from core.charts import Figure
from core.controls import selections, stability
from core.controls.frame import PAGES, View
from core.controls.words import plain, unit

MOST_CHOICES = 2_000  # texts that are offered in a list: those with most films

# A table of so many films is sent whole, of more in parts: millions would end the browser, and this process. Of ten
# million films, a part takes the longer to find the more films it has; so many take a fifth of a second.
WHOLE_TABLE = 20_000
PART_FILMS = 250


@dataclass(frozen=True, eq=False)
class FilmPage:
    """Films to be shown of the `n` there are: all, or a part from number `first` on (0 is the first film).

    `read` gives so many films (None: all) from a number on.
    """

    films: pd.DataFrame
    n: int
    first: int
    read: Callable[[int | None, int], pd.DataFrame]

    @property
    def cut(self) -> str:
        """Say that not all films are listed, if so."""
        if len(self.films) == self.n:
            return ""
        return (
            f"Listed are films {self.first + 1:,} to {self.first + len(self.films):,} of {self.n:,} in this order, and "
            "the table sorts and searches these only. Go to another part, narrow them down, or download more of them."
        )


def show_chart(figure: Figure, key: str, on_select: Callable[[], None], alt: str) -> None:
    """Draw a chart whose clicks call `on_select`; `alt` must not depend on the rows, see `charts.Figure`."""
    st.vega_lite_chart(figure.data, figure.spec, key=key, on_select=on_select, alt=alt)


def choose_cluster(view: View) -> int:
    """Draw the choice of a cluster, keep it in the URL as `cluster`, and return its number."""
    number = _choose(view, "cluster", "Cluster", int(st.session_state.get("last_cluster", 0)), first=0)
    st.session_state["last_cluster"] = number
    return number


def choose_sides(view: View) -> tuple[int, int | None]:
    """Draw the choice of two clusters, or of one and the rest, in the URL as `a` and `b`; None is the rest."""
    left, right = st.columns(2)
    with left:
        a = _choose(view, "a", "Cluster A", int(st.session_state.get("last_cluster", 0)), first=0)
        stability.badge(view, a)
    with right:
        b = _choose(view, "b", "Cluster B", -1, first=-1)
        if b not in (-1, a):
            stability.badge(view, b)
    return a, None if b in (-1, a) else b


def _choose(view: View, name: str, title: str, otherwise: int, first: int) -> int:
    """Draw the choice of a number from `first` on, kept in the URL under a name; -1 is the rest."""
    numbers = range(first, view.analysis.clustering.n_clusters)
    asked = st.query_params.get(name, str(otherwise))
    number = int(asked) if re.fullmatch(r"-1|[0-9]{1,3}", asked) else otherwise
    number = next(each for each in (number, otherwise, first) if each in numbers)
    key = f"chosen_{name}"
    st.session_state[key] = number
    labels = ["The rest", *labels_with_stability(view)]
    st.selectbox(
        title,
        numbers,
        key=key,
        format_func=lambda i: labels[i + 1],
        help=stability.ABOUT_LABELS,
        on_change=lambda: st.query_params.update({name: str(st.session_state[key])}),
    )
    if st.query_params.get(name) != str(number):
        st.query_params[name] = str(number)
    return number


def label(analysis: Analysis, cluster: int) -> str:
    """Return a cluster's number and name."""
    return f"{cluster} {analysis.names[cluster].text}"


def labels_with_stability(view: View) -> list[str]:
    """Return each cluster's number and name with its stability in brackets."""
    return [f"{label(view.analysis, cluster)} ({told})" for cluster, told in enumerate(stability.words(view))]


def link_to_cluster(
    view: View, cluster: int, genre: str | None = None, year: int | None = None, genre_list: str | None = None
) -> None:
    """Draw a link to a cluster's page, with a genre, a year or a genre list chosen there if one is given."""
    name = f"{view.analysis.names[cluster].text} ({stability.words(view)[cluster]})"
    text = f"Open cluster {cluster}: {plain(name)}"
    if genre:
        text += f", films with {plain(genre)}"
    if year is not None:
        text += f", films of {year}"
    if genre_list:
        text += f", films with exactly {plain(genre_list)}"
    # An empty parameter clears what was chosen on that page before.
    chosen = {"with": genre or "", "year": "" if year is None else str(year), "list": genre_list or "", "find": ""}
    st.page_link(
        PAGES / "cluster.py", label=text, icon=":material/zoom_in:", query_params={"cluster": str(cluster), **chosen}
    )


def remember_pick(
    source: str,
    cluster: int | None,
    genre: str | None = None,
    year: int | None = None,
    genre_list: str | None = None,
) -> None:
    """Keep the cluster that was picked in a chart or table, so that the way to it is shown beside that one.

    It is kept with the settings it was picked under: under others its number means another cluster.
    """
    settings = st.session_state["settings"]
    st.session_state["picked"] = None if cluster is None else (source, settings, cluster, genre, year, genre_list)


def show_pick(view: View, source: str) -> None:
    """Draw the way to the cluster that was picked in this chart or table, if one was."""
    picked = st.session_state.get("picked")
    if picked and picked[:2] == (source, view.settings) and picked[2] in range(view.analysis.clustering.n_clusters):
        link_to_cluster(view, *picked[2:])


def picked_in_chart(source: str) -> None:
    """Remember what a click in the chart with this key chose (a callback of `show_chart`)."""
    points = selections.points(source, "cluster")
    if points:
        genre, year = points[0].get("genre"), selections.whole_number(points[0].get("year"))
        remember_pick(source, points[0]["cluster"], None if genre is None else str(genre), year)
    else:
        remember_pick(source, None)


def picked_on_map(source: str, lists: pd.DataFrame) -> None:
    """Remember the cluster that a click or a brush on the map chose: the one with most films inside the brush."""
    if selections.points(source, "cluster"):
        picked_in_chart(source)
        return
    brush = selections.brush(source)
    inside = lists
    for axis in ("x", "y"):
        if axis in brush:
            inside = inside[inside[axis].between(*brush[axis])]
    if not brush or inside.empty:
        remember_pick(source, None)
    else:
        films = inside.groupby("cluster")["n_movies"].sum()
        remember_pick(source, int(films.sort_values(ascending=False, kind="stable").index.to_numpy()[0]))


def picked_in_table(source: str, clusters: pd.Series) -> None:
    """Remember the cluster of the selected row of the table with this key."""
    rows = selections.rows(source, len(clusters))
    remember_pick(source, int(clusters.iloc[rows[0]]) if rows else None)


def genre_picked() -> None:
    """Choose the genre that was clicked, or let go of it (a callback of the genre chart)."""
    points = selections.points("genre_lifts")
    st.session_state["with"] = [str(point["genre"]) for point in points if "genre" in point]


def year_picked() -> None:
    """Choose the year that was clicked, or let go of it (a callback of the chart of years)."""
    points = selections.points("year_shares", "year")
    st.session_state["year"] = points[0]["year"] if points else None


def row_picked(table: str, choice: str, values: pd.Series) -> None:
    """Set one of the film choices to the value of the selected row (a callback of a table)."""
    rows = selections.rows(table, len(values))
    st.session_state[choice] = str(values.iloc[rows[0]]) if rows else ("" if choice == "find" else None)


def film_filters(view: View, cluster: int, lists: pd.DataFrame) -> None:
    """Draw the choices that narrow a cluster's films; they are in the URL."""
    genres = cluster_genres(view, cluster)["genre"].tolist()
    years = cache.year_shares(view.catalogue, view.settings, cluster, ())
    first, second, third, fourth = st.columns(4)
    first.multiselect("With all of these genres", genres, key="with", bind="query-params", placeholder="Any")
    second.selectbox(
        f"With exactly this {unit(view.catalogue)}",
        lists["text"].drop_duplicates().head(MOST_CHOICES).tolist(),
        index=None,
        key="list",
        bind="query-params",
        placeholder="Any",
    )
    third.selectbox(
        "Year",
        years["year"].tolist(),
        index=None,
        key="year",
        bind="query-params",
        placeholder="Any",
    )
    fourth.text_input(
        "Title, director or cast",
        key="find",
        bind="query-params",
        max_chars=200,
        icon=":material/search:",
        type="search",
    )


def cluster_genres(view: View, cluster: int) -> pd.DataFrame:
    """Return the genres that occur in a cluster, most frequent first (`explain.genre_table`)."""
    table = view.analysis.genres
    mine = table[(table["cluster"] == cluster) & (table["n_cluster"] > 0)]
    return mine.sort_values(["n_cluster", "genre"], ascending=[False, True], ignore_index=True)


def genres_chosen() -> tuple[str, ...]:
    """Return the genres that the cluster's films must have (`film_filters`)."""
    return tuple(st.session_state.get("with") or ())


def year_shares(view: View, cluster: int) -> pd.DataFrame:
    """Return the share of each year's films that are in the cluster and have the genres chosen on the page."""
    return cache.year_shares(view.catalogue, view.settings, cluster, genres_chosen())


def cluster_films(view: View, cluster: int, lists: pd.DataFrame, order: str = "reviews") -> FilmPage:
    """Return the cluster's films that the choices leave, with distance, margin and runner-up of their genre list.

    The order is "reviews", "distance" or "margin".
    """
    state, found = st.session_state, view.analysis.clustering
    chosen = lists[lists["text"] == state["list"]] if state["list"] else None
    narrowed: dict[str, Any] = {
        "cluster": cluster,
        "genres": state["with"],
        "list_ids": None if chosen is None else chosen["list_id"].tolist(),
        "years": (state["year"], state["year"]) if state["year"] else None,
        "search": state["find"] or "",
        "filters": view.settings.filters,
    }
    places = {"distance": found.distance, "margin": found.margin}.get(order)

    def read(limit: int | None, offset: int) -> pd.DataFrame:
        films = view.catalogue.films(found.labels, **narrowed, places=places, limit=limit, offset=offset)
        return films.merge(lists[["list_id", "distance", "margin", "runner_up"]], on="list_id", how="left")

    n = view.catalogue.n_films(found.labels, **narrowed, weights=view.analysis.weights)
    return film_page(read, n, (view.settings, narrowed, order))


def searched_films(view: View, search: str | None, only_without_genres: bool) -> FilmPage:
    """Return the films under the filters that match a text, with their cluster, if they have one."""
    narrowed: dict[str, Any] = {
        "search": search or "",
        "without_genres": only_without_genres,
        "filters": view.settings.filters,
    }

    def read(limit: int | None, offset: int) -> pd.DataFrame:
        return with_clusters(view, view.catalogue.films(**narrowed, limit=limit, offset=offset)).reset_index(drop=True)

    return film_page(read, view.catalogue.n_films(**narrowed), narrowed)


def film_page(read: Callable[[int | None, int], pd.DataFrame], n: int, what: object) -> FilmPage:
    """Return the n films that `read` gives; where they are too many for a table, draw the choice of a part of them.

    `what` tells which films they are: of others the first part is shown again.
    """
    if n <= WHOLE_TABLE:
        return FilmPage(read(None, 0), n, 0, read)
    parts = math.ceil(n / PART_FILMS)
    key = hashlib.sha256(repr(what).encode()).hexdigest()[:12]
    part = st.number_input(
        f"Part of the list (of {parts:,})", 1, parts, key=f"part_{key}", width=220, icon=":material/list:"
    )
    first = (int(part) - 1) * PART_FILMS
    return FilmPage(read(PART_FILMS, first), n, first, read)


def with_clusters(view: View, films: pd.DataFrame) -> pd.DataFrame:
    """Return films (with list_id) with the number and the name of their cluster, if they have one."""
    names = [name.text for name in view.analysis.names]
    cluster = films["list_id"].map(pd.Series(view.analysis.clustering.labels)).astype("Int64")
    films.insert(4, "cluster", cluster)
    films.insert(5, "cluster_name", cluster.map(dict(enumerate(names))))
    films.insert(6, "stability", cluster.map(dict(enumerate(stability.words(view)))))
    return films
