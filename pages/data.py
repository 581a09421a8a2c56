"""The films themselves: bring your own, see what was understood, and what the catalogue in use is made of."""

import streamlit as st

from core import cache, charts, controls

catalogue, _ = controls.visit()
st.title("Data")
st.markdown(f"In use: **{controls.catalogue_line()}**.")
controls.show_switch()

st.subheader("Bring your own films")
if cache.uploads_are_on():
    controls.bring_films()
else:
    st.info("Uploads are switched off on this server.", icon=":material/block:")

st.subheader("The catalogue in use")
st.caption("All its films, whatever the filters.")
controls.show_glossary("data")
with st.container(horizontal=True):
    for name, value, help_text in controls.counts_of(catalogue):
        st.metric(name, value, help=help_text, border=True, width="content")

frequencies, pairs = cache.genre_tables(catalogue)
for key, figure, alt, caption in (
    (
        "missing_values",
        charts.missing_values(cache.missing_values(catalogue)),
        "Bars: films that lack each column of the catalogue.",
        "A bar is the share of films that have nothing in a column; the number is films. Columns that the catalogue "
        "does not have at all are not shown. Click a bar to see these films.",
    ),
    (
        "genre_frequencies",
        charts.genre_frequencies(frequencies),
        "Bars: films of each genre, most frequent first.",
        f"A film counts for each of its genres. Click a bar to see the films.{controls.genres_drawn(len(frequencies))}",
    ),
    (
        "co_occurrence",
        charts.co_occurrence(pairs),
        "Heat map: how many films of each frequent genre also have each other one.",
        "A row is a genre, a field the share of its films that have the column's genre as well; the 25 most frequent "
        "genres. Rows and columns differ: most animation is for families, most films for families are not animated. "
        "Click a field to see the films.",
    ),
    (
        "films_by_year",
        charts.films_by_year(cache.films_by_year(catalogue)),
        "Bars: films of each year.",
        "Films without a year are left out here and counted above. Click a bar to see the year's films.",
    ),
):
    if figure.data.empty:
        st.info("These films have nothing to draw here.", icon=":material/info:")
        continue
    controls.show_chart(
        figure,
        key=key,
        on_select=lambda key=key: controls.picked_health(key),
        alt=alt,
    )
    controls.show_health_films(catalogue, key)
    st.caption(caption)
