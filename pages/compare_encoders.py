"""Encoders held against each other and against the baseline: agreement, worth, health, and two of them in full."""

import streamlit as st

from core import controls

view = controls.current()
st.title("Compare encoders")
controls.scope(view)
controls.show_glossary("compare_encoders")
ready = controls.ready_encoders(view)
task = controls.ask_for_comparison(view, ready)
if task.state != "done":
    controls.watch_comparison(view, ready)
    controls.stop()

comparison = task.result
st.markdown(controls.summary(view, comparison))
st.caption(
    "Coherence is how much of their genres two films of a cluster share (mean Jaccard). It counts names of genres, as "
    "multi-hot does, so it gives an encoder no credit for knowing that Mystery and Thriller are alike; the films that "
    "change company, below, show what it makes of that."
)

st.subheader("Agreement")
measure = st.segmented_control(
    "Agreement as", ["AMI", "ARI"], default="AMI", required=True, key="agreement", bind="query-params",
    help="AMI, adjusted mutual information: what one clustering tells of the other. ARI, adjusted Rand index: pairs of "
    "films on which both agree; large clusters count more. Both are 1 for the same clusters and about 0 by chance.",
)  # fmt: skip
controls.show_agreement(comparison, measure if measure == "ARI" else "AMI")
st.caption(
    "A field is how far the clusters of two encoders agree over all films, at the k, seed and filters of the sidebar. "
    "Click a field to see its two encoders in full below."
)

st.subheader("What their clusters are worth")
controls.show_worth(controls.worth_table(view, comparison))
controls.measure_worth(view, ready)
st.caption(
    "Silhouette is left out on purpose: it is measured with the distances of each encoder's own space, and these have "
    "no common unit. What is here counts films and genres only. First and dominant genre are the AMI of the clusters "
    "with the genre that a film names first, which need not be the one that matters most, and with the rarest of its "
    "genres in the whole catalogue."
)

st.subheader("Health of their vectors")
sensitive = controls.sensitivities(view, ready)
controls.show_health(comparison, sensitive)
controls.measure_sensitivity(view, sensitive)
st.caption(
    "Where the mean cosine is near 1 as encoded, all vectors point the same way, and centring has to undo that. Genres "
    "in reverse order (“Drama, Comedy” instead of “Comedy, Drama”, films with two genres and more) and in small "
    "letters mean the same; what moves then is noise. To multi-hot a genre in small letters is one it has never seen."
)

st.subheader("Two encoders")
pair = controls.choose_pair(view, ready)
if pair is None:
    st.info("There is only one encoder with vectors, so there is nothing to hold it against.", icon=":material/info:")
    controls.stop()
st.markdown(controls.pair_line(pair))
controls.show_matches(view, pair)
st.caption(
    "Clusters are matched one to one so that as many films as possible are in matched clusters (Hungarian method). "
    "Select a row to see the films in common."
)
controls.show_flow(view, pair)
st.caption(
    "A bar is a cluster, as long as its films are many; a ribbon is the films that a cluster of A and one of B share, "
    "in the colour of A's. Clusters of B stand where most of their films come from. Click a ribbon or a bar to see its "
    "films; small clusters show their names when pointed at."
)

st.subheader("Films that change company")
controls.show_movers(view, pair)
st.caption(
    "A film changes company if its cluster in B is not the match of its cluster in A. Company kept is the share of "
    "films that are with it in both among those with it in either. First come the lists where most films lose most. "
    "Select a row to see the films."
)

st.subheader("Two maps")
controls.show_two_maps(view, pair)
st.caption(
    "A bubble is one genre list, its area the number of films, its colour the cluster it is in. B's map is turned so "
    "that it lies like A's. Click a bubble, or drag over several, to mark the same lists in both maps "
    "and to see their films; double-click to let go."
)
