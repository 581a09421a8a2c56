"""How the clusters came and went: their share of each year's films."""

import streamlit as st

from core import cache, charts, controls

view = controls.current()
st.title("Trends")
controls.scope(view)
controls.show_glossary("trends")
_, clusters = controls.tables(view)
clusters = controls.with_stability(view, clusters)
shares = cache.trends(view.catalogue, view.settings)
if shares["year"].nunique() < 2:
    st.info("These films lie in a single year, or in none, so there is nothing to compare.", icon=":material/info:")
    controls.stop()

rising, falling = controls.once(view, "risen_and_fallen", lambda: controls.risen_and_fallen(shares, clusters))
st.markdown(
    f"From the first five years to the last five, **{rising}** of the year's films, and **{falling}**. Click a line "
    "to open the films of that cluster and year."
)
controls.show_chart(
    controls.once(
        view,
        "trends",
        lambda: charts.trends(shares.merge(clusters[["cluster", "label", "color", "stability"]], on="cluster")),
    ),
    key="trends",
    on_select=lambda: controls.picked_in_chart("trends"),
    alt="Lines: each cluster's share of every year's films, smoothed; the table below has the numbers.",
)
controls.show_pick(view, "trends")
st.caption(
    "A line is the share of a cluster in all films of a year under the filters, with or without genres, smoothed over "
    "the years around by how many films they have (Gaussian, 2 years). The number at its end is the cluster's. The "
    "single years, with intervals and the films behind them, are on each cluster's page."
)

st.subheader("By decade")
controls.decade_table(view, shares, clusters)
st.caption(
    "Share of the decade's films that are in the cluster. The last row has the films of each decade; where they are "
    "few, shares swing. Select a row to open the cluster."
)
controls.show_pick(view, "decades")

st.subheader("Box office")
controls.show_box_office(view, clusters)
controls.measure_stability(view)
