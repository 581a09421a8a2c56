"""All clusters at a glance: figures, the map, the table, sizes, and the genres by cluster."""

import streamlit as st

from core import charts, controls

# The same words for every k: with others, the browser builds the chart anew instead of swapping its rows.
ALT = {
    "map": "Map of the genre lists: a bubble a list, sized by films and coloured by cluster. The table below has the "
    "clusters in words and numbers.",
    "sizes": "Bars: films in each cluster, largest first, as in the table of clusters above.",
    "heatmap": "Heat map: how many films of each cluster have each genre; the largest are in the table of clusters.",
}

view = controls.current()
found, n_clusters = view.analysis, view.analysis.clustering.n_clusters

st.title("What these films are about")
controls.scope(view)
largest, sizes = found.names[0].text, found.clustering.sizes
st.markdown(
    f"By what their genres mean, the films fall into **{controls.counted(n_clusters, 'cluster')}**. The largest is "
    f"**{controls.plain(largest)}** with {controls.counted(sizes[0], 'film')} ({sizes[0] / sizes.sum():.0%}). "
    "Pick a cluster in any chart or table to open it."
)
controls.show_welcome(view)

with st.container(horizontal=True):
    for name, value, help_text in controls.figures(view):
        st.metric(name, value, help=help_text, border=True, width="content")
st.caption(controls.how_it_was_made(view))
if sampled := controls.how_it_was_measured(view):
    st.caption(sampled)
controls.show_glossary("overview")

layout = st.segmented_control(
    "Map layout",
    list(charts.AXES),
    default="PCA",
    required=True,
    key="map",
    bind="query-params",
    help="PCA keeps the large distances and is there at once. t-SNE keeps neighbours together and takes some seconds "
    "the first time. Neither changes a cluster or a figure: these are computed in the encoder's own space.",
)
layout = layout if layout in charts.AXES else "PCA"
lists, clusters = controls.tables(view, layout)
clusters = controls.with_stability(view, clusters)
controls.show_chart(
    controls.once(view, "map", lambda: charts.genre_map(lists, clusters, charts.AXES[layout]), layout),
    key="genre_map",
    on_select=lambda: controls.picked_on_map("genre_map", lists),
    alt=ALT["map"],
)
controls.show_pick(view, "genre_map")
n_drawn = min(len(lists), charts.MOST_MARKS)
if n_drawn < len(lists):
    st.caption(
        f"The map draws {n_drawn:,} of {len(lists):,} texts, drawn at random by their films. Behind them is the "
        "density of all: the darker a cell, the more films. No figure depends on that."
    )
st.caption(
    f"A bubble is one {controls.unit(view.catalogue)}, and its area the number of films that have it. Bubbles close "
    "together mean similar "
    "things to the encoder. A disc with a number marks the middle of a cluster. Click a bubble, or drag over "
    "several, to pick a cluster; double-click to let go."
)

st.subheader("Clusters")
st.dataframe(
    charts.with_color(controls.overview_columns(clusters), clusters["color"], clusters["text_color"]),
    hide_index=True,
    height="content" if n_clusters <= 12 else 460,
    key="cluster_table",
    on_select=lambda: controls.picked_in_table("cluster_table", clusters["cluster"]),
    selection_mode="single-row",
    column_config=controls.OVERVIEW_CONFIG,
    placeholder="",
    alt=f"Table of the {n_clusters} clusters with their films, genres, coherence and silhouette.",
)
controls.show_pick(view, "cluster_table")
st.caption(
    "Select a row to open a cluster. Share is of the films with genres. ×2.0 after a genre means twice as common as in "
    "the catalogue. Year and Tomatometer are medians over the films that have one; rated films have a Tomatometer."
)
controls.measure_stability(view, seeds=True)

controls.show_chart(
    controls.once(view, "sizes", lambda: charts.sizes(clusters)),
    key="sizes",
    on_select=lambda: controls.picked_in_chart("sizes"),
    alt=ALT["sizes"],
)
controls.show_pick(view, "sizes")
st.caption("Colours follow a cluster's leading genre and stay when k changes. Click a bar to open its cluster.")

measure = st.segmented_control(
    "Show", ["share", "lift"], default="share", required=True, key="heat", bind="query-params",
    help="Share: how many of the cluster's films have the genre. Lift: that share over the genre's share in all films.",
)  # fmt: skip
measure = measure if measure == "lift" else "share"
n_genres = found.genres["genre"].nunique()
controls.show_chart(
    controls.once(
        view,
        "heatmap",
        lambda: charts.genre_heatmap(
            found.genres.merge(clusters[["cluster", "label", "stability"]], on="cluster"), measure
        ),
        measure,
    ),
    key="heatmap",
    on_select=lambda: controls.picked_in_chart("heatmap"),
    alt=ALT["heatmap"],
)
controls.show_pick(view, "heatmap")
st.caption(
    "A row is a cluster, a column a genre. For lift, blue is more frequent than in the catalogue and orange rarer. "
    f"Click a field to open the films of that cluster with that genre.{controls.genres_drawn(n_genres)}"
)

st.subheader("Take it with you")
controls.take_with_you(view, layout)
controls.recipe_box(view)
