"""Every film under the filters with its cluster, those without genres included."""

import streamlit as st

from core import controls

view = controls.current()
st.title("Films")
controls.scope(view, needs_clusters=False)
controls.show_glossary("films")

with st.container(horizontal=True, vertical_alignment="bottom"):
    st.text_input(
        "Search in title, directors and cast",
        key="search",
        bind="query-params",
        max_chars=200,
        icon=":material/search:",
        type="search",
    )
    only_without = st.toggle("Only films without genres", key="without", bind="query-params")
page = controls.searched_films(view, st.session_state["search"], bool(only_without))
st.markdown(controls.films_line(page.n, view.analysis.counts.movies))
if page.films.empty:
    st.info("No film matches. Try fewer letters, or take filters away.", icon=":material/search_off:")
else:
    picked = controls.film_table(
        page.films, f"{len(page.films):,} films with their clusters.", "all_films", pick=True, part=page.first
    )
    if page.cut:
        st.info(page.cut, icon=":material/info:")
    st.caption(
        "Select a film to see why it is where it is. Most reviewed first; click a column's head to sort. A film "
        "without genres has no cluster. Open a cluster from the Overview, or pick it on the page Cluster."
    )
    if picked is not None:
        controls.show_reason(view, page.films.iloc[picked])
    controls.film_downloads(view, page, "genrescope-search")
controls.measure_stability(view)
