"""Search: the genre lists and films nearest to some words or to a film, or words in titles and names."""

import streamlit as st

from core import controls

AXES = {
    "PCA": ("First principal component", "Second principal component"),
    "t-SNE": ("t-SNE, first axis", "t-SNE, second axis"),
}

view = controls.current()
st.title("Find")
controls.scope(view, needs_clusters=False)
controls.show_glossary("find")
how, text = controls.search_box()
without = view.analysis.counts.without_genres
found, page = None, None

if not text:
    controls.show_examples(view)
elif how == controls.WORDS:
    page = controls.searched_films(view, text, only_without_genres=False)
    st.markdown(controls.films_line(page.n, view.analysis.counts.movies))
elif how == controls.LIKE:
    found = controls.film_found(view, text)
else:
    found = controls.query_found(view, text)
    controls.show_words_instead(view, text)

if found is not None:
    st.markdown(controls.found_sentence(view, found))
    if found.film is None and found.cluster >= 0:
        controls.link_to_cluster(view, found.cluster)
    layout = st.segmented_control(
        "Map layout", list(AXES), default="PCA", required=True, key="map", bind="query-params",
        help="PCA gives what is new a place of its own. t-SNE has none for it, so the mark lies on the nearest list.",
    )  # fmt: skip
    layout = layout if layout in AXES else "PCA"
    left, right = st.columns([5, 6])
    with left:
        controls.show_found_map(view, found, layout, AXES[layout])
        mark = "this film" if found.film is not None else "your words"
        if layout == "t-SNE" and found.film is None:
            mark += ", on the nearest list, as t-SNE has no place for what is new"
        st.caption(
            "A bubble is a genre list, its area its films, its colour its cluster; the nearest lists have a ring. "
            f"The diamond is {mark}; near on the map is not always near in the encoder's space. "
            "Click a bubble for its films."
        )
    with right:
        controls.found_lists(found, "Table of the nearest genre lists with cosine, films and cluster.")
        st.caption(f"{controls.what_a_cosine_means(view, found)} Select a row to see its films below.")
    st.subheader("Films")
    page = controls.found_films(view, found)
    st.markdown(f"**{controls.counted(page.n, 'film')}**, those of the nearest genre lists first.")

if page is not None:
    if page.films.empty:
        st.info("No film has this. Try fewer letters, or take choices away.", icon=":material/search_off:")
    else:
        alt = f"{len(page.films):,} films that were found."
        picked = controls.film_table(page.films, alt, "found_films", pick=True, part=page.first)
        if page.cut:
            st.info(page.cut, icon=":material/info:")
        if picked is not None:
            controls.show_found_film(view, page.films.iloc[picked])
        st.caption(
            "Films of one genre list are equally near, whatever they tell: among them the most reviewed come first. "
            "Select a film to open its cluster or to see films like it."
            if found is not None
            else "The words are looked for as they stand, in any case. Most reviewed first. Select a film to open its "
            "cluster or to see films like it."
        )
        controls.film_downloads(view, page, "genrescope-find")
if without:
    st.caption(
        f"{controls.counted(without, 'film')} without genres cannot be found by meaning, only by words in title, "
        "director and cast."
    )
