"""How many clusters? Every figure over k, a recommendation, and where the clusters come from."""

import streamlit as st

from core import controls

view = controls.current()
st.title("Choose k")
controls.scope(view)
controls.show_glossary("choose")
ks = controls.range_of_k()
task = controls.ask_for_all_k(view, ks)
if task.state != "done":
    controls.watch_figures(view, ks)
    controls.stop()

result = task.result
measured = result.frame["k"].tolist()
if len(measured) < 2:
    st.info("These films have too few different genre lists for a choice of k.", icon=":material/info:")
    controls.stop()
known = controls.what_is_known(view, measured)
frame = controls.figures_over_k(result, known)
controls.recommend(frame, known)
controls.watch_rest(view, measured, known)
controls.show_figures(view, frame)
sampled = controls.how_it_was_measured(view)
if sampled:
    st.caption(sampled)
st.caption(
    f"Every {'other ' if sampled else ''}figure is exact over all {int(view.analysis.weights.sum()):,} films with "
    f"genres, for k from {measured[0]} "
    f"to {measured[-1]}. The larger point is the k of the sidebar; click a point to take its k. Silhouette, "
    "Calinski-Harabasz, Davies-Bouldin and inertia are measured in the encoder's space, coherence on the genres. "
    "Stability and seed agreement take seconds for each k, so their points come one after another."
)

st.subheader("Where the clusters come from")
controls.show_descent(view, result, known)
st.caption(
    "A row is a k, a circle a cluster, as large as its films are many and in its colour; a line joins two clusters "
    "that share films, as thick as these are many. Circles with a ring stay the same cluster over five k and more (at "
    "least 90 % of their films). Pale circles are fair, hollow ones shaky; full ones are solid, or their stability is "
    "not measured yet. Click a circle to take its k."
)
