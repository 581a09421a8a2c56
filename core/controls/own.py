"""A visitor's own films: which catalogue the pages show, the switch between the two, and the way back to none."""

import uuid

import streamlit as st

from core import cache
from core.controls.words import counted, plain
from core.movies import Options

# What is chosen for one catalogue and means something else, or nothing, in another.
OF_ONE_CATALOGUE = (
    *("picked", "picked_data", "last_cluster", "chosen_cluster", "chosen_a", "chosen_b"),
    *("with", "year", "list", "find", "search", "without"),
)
IN_URL = ("cluster", "a", "b")


def catalogue_line() -> str:
    """Say which catalogue the pages show."""
    own = cache.own_films()
    if own is not None and own.in_use:
        return f"Your file {plain(own.catalogue.name)}: {counted(own.catalogue.n_movies, 'film')}"
    return "The films of this server"


def switch(to_own: bool) -> None:
    """Show the visitor's own films or the server's (a callback), and let go of what was chosen for the others."""
    own = cache.own_films()
    if own is not None:
        own.in_use = to_own
    forget_choices()


def remove() -> None:
    """Let go of the visitor's films, of their file and of all that was computed from them (a callback)."""
    own = cache.own_films()
    if own is not None:
        own.let_go()
    for key in [str(key) for key in st.session_state if str(key) == "own_films" or str(key).startswith("upload")]:
        del st.session_state[key]
    st.session_state["uploader"] = uuid.uuid4().hex  # another key empties the widget, and Streamlit drops the file
    cache.forget_own_films()
    forget_choices()


def forget_choices() -> None:
    """Let go of every choice that means something in one catalogue only, in the session and in the URL.

    Filters are set to count all films: a parameter of the URL that a widget is bound to goes with the widget's value.
    """
    for key in OF_ONE_CATALOGUE:
        st.session_state.pop(key, None)
    for key in IN_URL:
        if key in st.query_params:
            del st.query_params[key]
    reset_filters(cache.options(cache.catalogue()))


def reset_filters(options: Options) -> None:
    """Have the filters count all films of the catalogue with these options (a callback)."""
    empty: dict[str, object] = {"language": [], "country": [], "genres": [], "match": "any", "reviews": 0}
    for key, value in (empty | {"years": options.years}).items():
        if key in st.session_state:
            if value is None:
                del st.session_state[key]
            else:
                st.session_state[key] = value


def show_switch() -> None:
    """Draw which films are in use, and the way back or away, if the visitor brought any."""
    own = cache.own_films()
    if own is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if own.in_use:
            st.button(
                "Back to the films of this server",
                icon=":material/undo:",
                on_click=switch,
                args=(False,),
                key="to_server",
            )
        else:
            st.button(
                f"Show your file {plain(own.catalogue.name)} again",
                icon=":material/redo:",
                on_click=switch,
                args=(True,),
                key="to_own",
            )
        st.button("Remove my file", icon=":material/delete:", on_click=remove, key="remove_own")
    for note in own.catalogue.notes if own.in_use else ():
        st.caption(plain(note))
