"""What the page Find asks and shows: the search, the wait for its vector, and what was found."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core import cache, charts, encoders, search
from core.checkpoints import megabytes
from core.controls import glossary, selections
from core.controls.frame import View, visitor
from core.controls.names import tables
from core.controls.picks import (
    FilmPage,
    film_page,
    link_to_cluster,
    remember_pick,
    row_picked,
    show_chart,
    show_pick,
    with_clusters,
)
from core.controls.seeing import polled
from core.controls.words import counted, plain
from core.search import MAX_QUERY, Place
from core.worker import Progress

MEANING, LIKE, WORDS = "By meaning", "Films like this one", "Words in title, director, cast"
MODES = (MEANING, LIKE, WORDS)
EXAMPLE = "haunted house comedy"
MAX_TITLES = 50
PATIENCE = 0.25  # seconds that an answer is waited for before the page says that it waits
LISTS = {
    "genre_list": st.column_config.TextColumn("Genre list", width=190),
    "cosine": glossary.number("Cosine", format="%.3f", width=70),
    "n_movies": glossary.number("Films", format="localized", width=60),
    "cluster": glossary.number("Cluster", width=65),
    "why": st.column_config.TextColumn("Why", width="medium"),
    "overlap": glossary.number("Overlap", format="%.2f", width="small"),
    "name": st.column_config.TextColumn("Cluster name", width="medium"),
}


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found: its place, its cluster (-1 if there is none) with the margin, and the nearest lists.

    `near` has a row for each of the nearest genre lists: list_id, genre_list, n_movies, cluster, name, cosine, and
    for a film why and overlap. `film` is the film whose likes were asked for, None for a query.
    """

    place: Place
    cluster: int
    margin: float
    near: pd.DataFrame
    film: pd.Series | None


def search_box() -> tuple[str, str]:
    """Draw the search with its mode, in the URL as `q` and `how`; return the mode and the text without its edges."""
    how = st.segmented_control(
        "Search", MODES, default=MEANING, required=True, key="how", bind="query-params", on_change=_let_go
    )
    st.text_input(
        "What do you look for?",
        key="q",
        bind="query-params",
        max_chars=MAX_QUERY,
        icon=":material/search:",
        type="search",
        placeholder="A few words, or a title",
        on_change=_let_go,
    )
    text = str(st.session_state["q"] or "").strip()[:MAX_QUERY]
    return how if how in MODES else MEANING, text if search.clean(text) else ""


def _let_go() -> None:
    """Forget what was chosen among the answers to another search."""
    if "near" in st.session_state:
        st.session_state["near"] = None
    st.session_state.pop("stopped_query", None)
    remember_pick("found_map", None)


def _try(how: str, text: str, movie_id: str | None = None) -> None:
    """Search for something else (a callback)."""
    _let_go()
    st.session_state["how"], st.session_state["q"] = how, text[:MAX_QUERY]
    if movie_id is not None:
        st.query_params["film"] = movie_id


def show_examples(view: View) -> None:
    """Draw three searches to click, made of the films at hand."""
    st.markdown("Type what you look for, or try one of these:")
    first = view.catalogue.titles("", view.settings.filters, limit=1)
    examples = [(MEANING, EXAMPLE, f"Films near to “{EXAMPLE}”")]
    if len(first):
        title, directors = str(first["title"].iloc[0]), str(first["directors"].iloc[0])
        examples.append((LIKE, title, f"Films like “{plain(title)}”"))
        person = directors.split(", ")[0] or title
        examples.append((WORDS, person, f"Films with “{plain(person)}” in title, director or cast"))
    with st.container(horizontal=True):
        for how, text, label in examples:
            st.button(label, icon=":material/search:", on_click=_try, args=(how, text), key=f"example_{how}")


def query_found(view: View, text: str) -> Found | None:
    """Return what is near to a query; None where nothing is, or not yet, which is said."""
    if not view.analysis.clustering.n_clusters:
        return None
    query = search.clean(text)
    place = cache.place_query(view.catalogue, view.settings, query)
    if place is None and not _is_stopped(view, query):
        owner = visitor()
        cache.ask_query(view.catalogue, view.settings, query, owner, patience=PATIENCE)
        place = cache.place_query(view.catalogue, view.settings, query)
    if place is None:
        _show_wait(view, query)
        return None
    _show_understood(view, query, place.silent)
    return None if place.silent else _found(view, place, None)


def _found(view: View, place: Place, film: pd.Series | None) -> Found | None:
    lists, _ = tables(view)
    rows = [int(row) for row in search.nearest(place, view.analysis.weights)]
    if film is not None:  # its own list is the first one, also among others that the encoder does not tell apart
        own = int(film["list_id"])
        rows = [own, *(row for row in rows if row != own)][: search.NEAREST]
    near = lists.set_index("list_id", drop=False).loc[rows].reset_index(drop=True)
    near = near.assign(cosine=place.cosine[rows])
    if film is not None:
        texts = view.catalogue.genre_lists
        told = [search.shared(texts[rows[0]], texts[row]) for row in rows]
        near = near.assign(why=[words for _, words in told], overlap=[overlap for overlap, _ in told])
    cluster, margin = search.cluster_of(place, view.analysis.clustering.centers)
    return Found(place, cluster, margin, near, film)


def _show_understood(view: View, query: str, silent: bool) -> None:
    """Say which words an encoder without a model knows, and what to do where it knows none."""
    words = cache.understood(view.catalogue, view.settings, query)
    if words is None:
        return
    title = plain(encoders.get(view.settings.encoder).title)
    if not words.known or silent:
        which = "a genre of these films" if view.settings.encoder == encoders.BASELINE else "in what it has read"
        st.info(
            f"{title} knows no meaning of words, and none of yours is {which}. Choose an encoder with a model in the "
            f"sidebar, such as {encoders.DEFAULT_ENCODER}, or search the words in titles and names.",
            icon=":material/search_off:",
        )
        return
    line = f"{title} understood **{plain(', '.join(words.known))}**"
    if words.unknown:
        line += f" and left out {plain(', '.join(words.unknown))}, which it does not know"
    st.markdown(f"{line}.")


def _is_stopped(view: View, query: str) -> bool:
    return bool(st.session_state.get("stopped_query") == (view.settings.encoder, query))


def _show_wait(view: View, query: str) -> None:
    """Say what the search waits for, or that it was stopped."""
    if _is_stopped(view, query):
        st.info("The search was stopped.", icon=":material/pause_circle:")
        st.button(
            "Go on",
            icon=":material/play_arrow:",
            type="primary",
            on_click=lambda: st.session_state.pop("stopped_query", None),
        )
    else:
        _watch(view, query)


@polled(0.5)
def _watch(view: View, query: str) -> None:
    if _is_stopped(view, query):
        st.rerun()  # Stop runs this fragment alone: to go on here would ask again
    progress = cache.ask_query(view.catalogue, view.settings, query, visitor())
    if progress.state == "done":
        st.rerun()
    elif progress.state == "failed":
        st.error(plain(progress.message or "Your words could not be encoded."), icon=":material/error:")
        st.button("Try again", icon=":material/refresh:", type="primary", on_click=_ask_again, args=(view, query))
    else:
        if progress.state == "fetching":
            share = progress.bytes_done / max(progress.bytes_total, 1)
            st.progress(min(share, 1.0), text=waits_for(progress))
        else:
            st.info(waits_for(progress), icon=":material/hourglass_top:")
        st.button("Stop", icon=":material/stop:", on_click=_stop, args=(view.settings.encoder, query))


def waits_for(progress: Progress) -> str:
    """Say in a sentence what a query waits for."""
    left = progress.seconds_left
    about = "" if left is None else f", about {max(1, round(left)):,} s left"
    if progress.state == "queued" and progress.position:
        before = "1 job is" if progress.position == 1 else f"{progress.position} jobs are"
        return f"Your words wait to be read: {before} before them{about and f' ({about[2:]} for the one that runs)'}."
    if progress.state == "fetching":
        here = f"Fetching the model: {progress.bytes_done / 1e6:,.0f} of {megabytes(progress.bytes_total)}"
        return f"{here}{about}."
    if progress.state in ("queued", "loading"):
        return f"Loading the model to read your words{about or ': some seconds'}."
    return "The model reads your words."


def _ask_again(view: View, query: str) -> None:
    cache.ask_query(view.catalogue, view.settings, query, visitor(), retry=True)


def _stop(encoder_id: str, query: str) -> None:
    cache.worker().drop(visitor())
    st.session_state["stopped_query"] = (encoder_id, query)


def film_found(view: View, text: str) -> Found | None:
    """Draw the choice among the films with such a title, and return what is like it; None where that is nothing."""
    film = _choose_film(view, text)
    if film is None or not view.analysis.clustering.n_clusters:
        return None
    name = f"**{plain(_name(film))}**"
    if pd.isna(film["list_id"]):
        st.info(
            f"{name} names no genre, so it has no place among the others: it can be found by words, and nothing can be "
            "said to be like it.",
            icon=":material/search_off:",
        )
        return None
    return _found(view, cache.place_film(view.catalogue, view.settings, int(film["list_id"])), film)


def _choose_film(view: View, text: str) -> pd.Series | None:
    """Draw the choice of a film by its title, kept in the URL as `film`; None where no title fits."""
    films = view.catalogue.titles(text, view.settings.filters, MAX_TITLES + 1)
    if films.empty:
        st.info(
            "No title has these letters under the filters. Try fewer, or take filters away.",
            icon=":material/search_off:",
        )
        return None
    more, films = len(films) > MAX_TITLES, films.head(MAX_TITLES)
    ids = films["movie_id"].tolist()
    asked = st.query_params.get("film")
    chosen = str(asked if asked in ids else ids[0])
    st.session_state["chosen_film"] = chosen
    names = {movie_id: _name(film) for movie_id, (_, film) in zip(ids, films.iterrows(), strict=True)}
    st.selectbox(
        "Film",
        ids,
        key="chosen_film",
        format_func=lambda movie_id: names[movie_id],
        on_change=_film_chosen,
        help=f"The {MAX_TITLES} best of more films: type more of the title." if more else None,
    )
    if asked != chosen:
        st.query_params["film"] = chosen
    return films.iloc[ids.index(chosen)]


def _film_chosen() -> None:
    _let_go()
    st.query_params["film"] = str(st.session_state["chosen_film"])


def _name(film: pd.Series) -> str:
    """Return a film's title with what tells it from others of that title."""
    year = "year not known" if pd.isna(film["year"]) else f"{int(film['year'])}"
    return f"{film['title']} ({year}{', ' if film['directors'] else ''}{film['directors'] or ''})"


def show_found_map(view: View, found: Found, layout: str, axes: tuple[str, str]) -> None:
    """Draw the map with the query, or the film, marked; a click chooses a genre list."""
    lists, clusters = tables(view, layout)
    lists = lists.assign(cosine=found.place.cosine[lists["list_id"]], near=lists["list_id"].isin(found.near["list_id"]))
    x, y = found.place.xy
    if layout == "t-SNE":  # which has no place for what is new
        x, y = lists.loc[lists["list_id"] == found.near["list_id"].iloc[0], ["x", "y"]].iloc[0]
    note = "Your words" if found.film is None else "This film"
    show_chart(
        charts.found_map(lists, clusters, {"x": x, "y": y, "cluster": found.cluster, "note": note}, axes),
        key="found_map",
        on_select=partial(_picked_on_found_map, found.near["genre_list"].tolist()),
        alt="Map of the genre lists with your search marked; the nearest lists are in the table beside it.",
    )
    show_pick(view, "found_map")


def _picked_on_found_map(near: list[str]) -> None:
    """Remember the list that was clicked, and narrow the films to it if it is one of the nearest (a callback)."""
    points = selections.points("found_map", "cluster")
    if not points:
        remember_pick("found_map", None)
        return
    genre_list = str(points[0].get("genre_list") or "")
    remember_pick("found_map", points[0]["cluster"], genre_list=genre_list)
    if genre_list in near:
        st.session_state["near"] = genre_list


def found_lists(found: Found, alt: str) -> None:
    """Show the nearest genre lists; a selected one narrows the films to those that have exactly it."""
    st.dataframe(
        found.near[[column for column in LISTS if column in found.near]],
        hide_index=True,
        height=420,
        key="near_lists",
        on_select=partial(row_picked, "near_lists", "near", found.near["genre_list"]),
        selection_mode="single-row",
        placeholder="",
        alt=alt,
        column_config=LISTS,
    )


def found_films(view: View, found: Found) -> FilmPage:
    """Draw the choice of one of the nearest lists, in the URL as `near`, and return its films, or those of all.

    The nearest list's come first; of equally near films the most reviewed one. For a film, those with the same list
    come first, and it is not among them.
    """
    chosen = st.selectbox(
        "Only films with exactly this genre list",
        found.near["genre_list"].drop_duplicates().tolist(),
        index=None,
        key="near",
        bind="query-params",
        placeholder=f"Any of the {counted(len(found.near), 'nearest list')}",
    )
    near = found.near if chosen is None else found.near[found.near["genre_list"] == chosen]
    ids, filters, film = near["list_id"].tolist(), view.settings.filters, found.film
    extra = [column for column in ("cosine", "why") if column in near]
    places = np.full(len(view.catalogue.texts), np.nan)
    places[ids] = -near["cosine"].to_numpy()
    if film is not None and not pd.isna(film["list_id"]):
        places[int(film["list_id"])] = -2  # before all cosines
    narrowed: dict[str, Any] = {
        "list_ids": ids,
        "but": None if film is None else film["movie_id"],
        "filters": filters,
    }

    def read(limit: int | None, offset: int) -> pd.DataFrame:
        films = view.catalogue.films(**narrowed, places=places, limit=limit, offset=offset)
        films = films.merge(near[["list_id", *extra]], on="list_id", how="left")
        films = with_clusters(view, films)
        for column in reversed(extra):
            films.insert(4, column, films.pop(column))
        return films.reset_index(drop=True)

    return film_page(read, view.catalogue.n_films(**narrowed), (chosen, found.near["list_id"].tolist()))


def show_found_film(view: View, film: pd.Series) -> None:
    """Draw the ways on from a film that was selected: its cluster, and the films like it."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if pd.isna(film["cluster"]):
            st.markdown(f"“{plain(str(film['title']))}” names no genre, so it is in no cluster.")
            return
        link_to_cluster(view, int(film["cluster"]), genre_list=view.catalogue.genre_lists[int(film["list_id"])])
        st.button(
            f"Films like “{plain(str(film['title']))}”",
            icon=":material/join_inner:",
            on_click=_try,
            args=(LIKE, str(film["title"]), str(film["movie_id"])),
            key="like_selected",
        )


def show_words_instead(view: View, text: str) -> None:
    """Say how many films have the words in their title, director or cast, and draw the way to them."""
    n = view.catalogue.count_found(text, view.settings.filters)
    with st.container(horizontal=True, vertical_alignment="center"):
        have = "has" if n == 1 else "have"
        st.markdown(f"**{counted(n, 'film')}** {have} “{plain(text)}” in title, director or cast.")
        if n:
            st.button("Show them", icon=":material/match_word:", on_click=_try, args=(WORDS, text), key="words_instead")


def found_sentence(view: View, found: Found) -> str:
    """Say what is nearest, and how near that is beside the rest."""
    first: Any = found.near.iloc[0]
    cluster = f"{found.cluster} {view.analysis.names[found.cluster].text}"
    if found.film is not None:
        same = int(first["n_movies"]) - 1
        others = {0: "No other film has", 1: "1 other film has"}.get(same, f"{same:,} other films have")
        return (
            f"**{plain(_name(found.film))}** is **{plain(first['genre_list'])}**, in cluster {plain(cluster)}. "
            f"{others} the same genre list."
        )
    median = search.median_cosine(found.place, view.analysis.weights)
    margin = "" if found.margin != found.margin else f", with a margin of {found.margin:.2f}"
    return (
        f"Nearest genre list: **{plain(first['genre_list'])}**, cosine {first['cosine']:.2f}; half of the films have "
        f"{median:.2f} or more. Nearest cluster: **{plain(cluster)}**{margin}."
    )


def what_a_cosine_means(view: View, found: Found) -> str:
    """Say honestly what is compared with what, and what its cosine is worth."""
    if view.settings.encoder == encoders.BASELINE:
        how = "Cosine counts shared genres: those in both lists over the root of the product of both lengths."
    else:
        how = (
            "Cosine: 1 is the same direction in the encoder's space, 0 says nothing in common. Compare it within one "
            "search only."
        )
    if found.film is not None:
        return f"{how} Films are compared by their genres, not by their plots."
    heard = "counts only as far as the encoder links it with genres"
    if encoders.get(view.settings.encoder).kind != "transformer":
        heard = "does not count"
    return f"{how} Your words are compared with lists of genres, not with plots: what no genre tells {heard}."
