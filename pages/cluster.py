"""One cluster in full: its genres, years, films, scores, and what else sets it apart."""

import streamlit as st

from core import cache, charts, controls

SORTS = {"Most reviewed": "reviews", "Most typical": "distance", "Most borderline": "margin"}

view = controls.current()
st.title("One cluster")
controls.scope(view)
controls.show_glossary("cluster")
cluster = controls.choose_cluster(view)
lists, clusters = controls.tables(view)
row = clusters.iloc[cluster]
mine = lists[lists["cluster"] == cluster]
n_films = int(row["n_movies"])
genres = controls.cluster_genres(view, cluster)
unit = controls.unit(view.catalogue)

st.markdown(
    f"**{controls.plain(row['name'])}** holds {controls.counted(n_films, 'film')} ({row['share']:.1%} of those with "
    f"genres) in {controls.counted(len(mine), unit)}. Most frequent: {controls.plain(row['top_genres'])}."
)
controls.badge(view, cluster)
controls.name_and_note(view, cluster)
with st.container(horizontal=True):
    for name, value, help_text in controls.cluster_figures(row):
        st.metric(name, value, help=help_text, border=True, width="content")
if sampled := controls.how_it_was_measured(view):
    st.caption(sampled)

above = st.container()

st.subheader("Films", anchor="films")
controls.film_filters(view, cluster, mine)
# Drawn after the choices, since the years follow them.
left, right = above.columns(2)
with left:
    controls.show_chart(
        controls.once(view, "genre_lifts", lambda: charts.genre_lifts(genres, row["color"]), cluster),
        key="genre_lifts",
        on_select=controls.genre_picked,
        alt="Bars: share of the cluster's films that have each genre, beside the catalogue's share.",
    )
    st.caption(
        "A bar is the share of the cluster's films that have the genre, the thin line its 95 % interval (Wilson), the "
        "grey tick the share in all films with genres. Point at a bar for the lift. Click it to see those films "
        f"below.{controls.genres_drawn(len(genres))}"
    )
with right:
    years = controls.year_shares(view, cluster)
    if years.empty:
        st.info("No film here has a year.", icon=":material/info:")
    else:
        controls.show_chart(
            controls.once(
                view, "year_shares", lambda: charts.year_shares(years, row["color"]), cluster, *controls.genres_chosen()
            ),
            key="year_shares",
            on_select=controls.year_picked,
            alt="Line: share of each year's films that are in this cluster.",
        )
        st.caption(
            "A point is a year: films of the cluster (with the genres chosen below, if any) out of all films of that "
            "year under the filters, with or without genres; hollow points have fewer than 20 films. The line weighs "
            "the films of the years around (Gaussian, 2 years), the band is its 95 % interval (Wilson). Click a point "
            "to see its films below."
        )

line = st.empty()
order = st.segmented_control(
    "Order", list(SORTS), default="Most reviewed", required=True, key="order", bind="query-params"
)
page = controls.cluster_films(view, cluster, lists, SORTS.get(order, "reviews"))
line.markdown(controls.films_line(page.n, n_films))
if page.films.empty:
    st.info("No film has all of this. Take one of the choices away.", icon=":material/search_off:")
else:
    alt = f"{len(page.films):,} films of cluster {row['label']}."
    picked = controls.film_table(page.films, alt, "cluster_films", pick=True, part=page.first)
    if page.cut:
        st.info(page.cut, icon=":material/info:")
    st.caption(
        "Select a film to see why it is here. Margin tells how safely a film sits here: near 0 it might as well be in "
        "the runner-up cluster, higher is safer. Click a column's head to sort; search with the magnifying glass."
    )
    if picked is not None:
        controls.show_reason(view, page.films.iloc[picked])
    controls.film_downloads(view, page, f"genrescope-cluster-{cluster}")

st.subheader(f"Typical and borderline {unit}s")
left, right = st.columns(2)
with left:
    st.markdown("**Nearest to the centre**")
    nearest = mine.sort_values("distance", kind="stable").head(10)
    controls.list_table(view, nearest, ("distance",), "typical", f"Typical {unit}s of cluster {row['label']}.")
with right:
    st.markdown("**Might as well be elsewhere**")
    close = mine.dropna(subset="margin").sort_values("margin", kind="stable").head(10)
    controls.list_table(
        view, close, ("margin", "runner_up_name"), "borderline", f"Borderline {unit}s of {row['label']}."
    )
st.caption(
    "Distance is to the cluster's centre in the encoder's space. Select a row to see the films with exactly that "
    f"{unit}, [above](#films)."
)

st.subheader("What stands out")
column = st.segmented_control(
    "Look at", cache.STAND_OUTS, default=cache.STAND_OUTS[0], required=True, key="look", bind="query-params"
)
column = column if column in cache.STAND_OUTS else cache.STAND_OUTS[0]
table, n_with = cache.stand_outs(view.catalogue, view.settings, cluster, column)
if table.empty:
    st.info(f"No {column} stand out in this cluster.", icon=":material/balance:")
else:
    controls.stand_out_table(table, column, f"{column.title()} that stand out in cluster {row['label']}.")
st.caption(
    f"{n_with:,} of {n_films:,} films name {column}. Listed is what at least five films of the cluster have and what "
    "it surely has more of than the catalogue: the lower end of the lift's 95 % interval is above 1. Select a director "
    "to see the films, [above](#films)."
)

st.subheader("Scores, runtime and box office")
controls.spread_table(
    cache.spread(view.catalogue, view.settings, cluster), f"Medians and quartiles of cluster {row['label']}."
)
st.caption(
    "Median, and in brackets the middle half of the films. “Known for” tells how many films have the value at all. Box "
    "office is the largest gross that was reported, often worldwide, in dollars of its year."
)
controls.measure_stability(view)
