"""What tells two clusters apart, or one from the rest, and the films behind every row."""

import streamlit as st

from core import cache, controls

KINDS = ("all", "genres", "directors", "writers", "cast", "countries", "languages", "decades", "numbers")

view = controls.current()
st.title("A against B")
controls.scope(view)
controls.show_glossary("compare")
if view.analysis.clustering.n_clusters < 2:
    st.info("There is only one cluster, so there is nothing to hold it against.", icon=":material/info:")
    controls.stop()

a, b = controls.choose_sides(view)
names = (controls.label(view.analysis, a), "the rest" if b is None else controls.label(view.analysis, b))
rows = cache.contrast(view.catalogue, view.settings, a, b)
sure = rows[rows["claim"]]
st.markdown(
    f"**{controls.counted(len(sure), 'difference')}** between {controls.plain(names[0])} and "
    f"{controls.plain(names[1])} can be stood behind; {len(rows) - len(sure):,} more are too small, or rest on too few "
    "films, to say anything. Select a row to see the films behind it."
)
left, right = st.columns([3, 1], vertical_alignment="bottom")
kind = left.segmented_control("Show", KINDS, default=KINDS[0], required=True, key="kind", bind="query-params")
unsure = right.toggle("Also what is not sure", key="unsure", bind="query-params")
shown = rows if unsure else sure
if kind == "numbers":
    shown = shown[~shown["kind"].isin(KINDS)]
elif kind in KINDS[1:]:
    shown = shown[shown["kind"] == kind]
if shown.empty:
    st.info("Nothing of this kind tells them apart for sure.", icon=":material/balance:")
else:
    picked = controls.contrast_table(shown, names, f"Table of what tells {names[0]} from {names[1]}.")
    if picked is not None:
        controls.contrast_films(view, shown.iloc[picked], a, b)
st.caption(
    "Sorted by how surely a row tells the two apart: values by their log-odds ratio over its error (Monroe and others "
    "2008, with both sides together as prior), numbers by Cliff's delta over its error. Shares are of the films that "
    "name such a value at all. A row counts as sure if its interval leaves out 0, at least ten films on either side "
    "have the column, five of them the value, and it holds among all rows of its kind (Benjamini and Hochberg, 5 %). "
    "Box office is in dollars of each film's year."
)
controls.measure_stability(view)
