"""What a newcomer reads first: what is shown, and questions that the pages answer. Gone once dismissed."""

import streamlit as st

from core import cache, encoders
from core.controls.frame import PAGES, View
from core.controls.words import plain
from core.movies import GENRES

SUBGENRE = "Horror"  # the question is asked where the catalogue has it


def show_welcome(view: View) -> None:
    """Draw the introduction with its questions, unless this visitor has put it away.

    A question whose column or genre is not there is left out, so each leads to a page that answers it.
    """
    if st.session_state.get("welcomed"):
        return
    options = cache.options(view.catalogue)
    with st.container(border=True):
        st.markdown(
            "**New here?** An encoder has read the genres of every film and made a point of them: near points mean "
            "alike. K-means gathers the points into k **clusters**, each named after the genres that set it apart. "
            "Move k in the sidebar, or click any bubble, bar or row: a link leads down to the films."
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            if SUBGENRE in options.genres:
                st.button(
                    f"What kinds of {SUBGENRE.lower()} are there?",
                    icon=":material/filter_alt:",
                    on_click=_only,
                    args=(SUBGENRE,),
                    help=f"Counts only films with {SUBGENRE}; “Reset filters” in the sidebar brings the others back.",
                )
            if options.years:
                st.page_link(PAGES / "trends.py", label="Which clusters grew?", icon=":material/show_chart:")
            model = view.settings.encoder
            if model != encoders.BASELINE and view.settings.text == GENRES:
                st.page_link(
                    PAGES / "compare_encoders.py",
                    label=f"Is {plain(model)} any better than plain genres?",
                    icon=":material/difference:",
                    query_params={"one": model, "other": encoders.BASELINE},
                )
            st.page_link(PAGES / "choose.py", label="How many clusters are there?", icon=":material/tune:")
            st.button("Got it", icon=":material/check:", on_click=_dismiss, type="tertiary")


def _only(genre: str) -> None:
    st.session_state["genres"], st.session_state["match"] = [genre], "any"


def _dismiss() -> None:
    st.session_state["welcomed"] = True
