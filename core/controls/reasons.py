"""Why is this film here? Its cluster, the runner-up, and where it would be without each of its genres."""

import pandas as pd
import streamlit as st

from core import cache, reasons
from core.controls.encoding import job_progress
from core.controls.frame import View
from core.controls.picks import labels_with_stability, link_to_cluster
from core.controls.words import plain
from core.movies import GENRES


def show_reason(view: View, film: pd.Series) -> None:
    """Draw why a film is in its cluster; it is a row with title and list_id, missing where it names no genre."""
    st.subheader(f"Why is “{plain(str(film['title']))}” here?")
    if pd.isna(film["list_id"]):
        what = "names no genre" if view.catalogue.text == GENRES else "has no such text"
        st.markdown(f"It {what}, so it is in no cluster.")
        return
    list_id = int(film["list_id"])
    genre_list, said = view.catalogue.genre_lists[list_id], view.catalogue.texts[list_id]
    found = cache.reason(view.catalogue, view.settings, list_id)
    if found is None:
        st.markdown("To answer, the encoder reads what remains of the genre lists without each of their genres, once.")
        texts = cache.texts_without_a_genre(view.catalogue, genre_list)
        job_progress(view.settings.encoder, texts, view.settings.dtype)
        return
    names = [name.text for name in view.analysis.names]
    labels = [plain(text) for text in labels_with_stability(view)]
    own = labels[found.cluster]
    text = f"As **{plain(said)}** it is in **{own}**."
    if found.runner_up >= 0:
        text += f" The runner-up is {labels[found.runner_up]}, with a margin of {found.margin:.2f}."
    st.markdown(text)
    if view.settings.encoder != "tf-idf" and view.catalogue.text == GENRES:
        outcome = [(one.genre, names[one.cluster] if one.cluster >= 0 else "no cluster") for one in found.without]
        st.markdown(f"**{plain(reasons.sentence(names[found.cluster], outcome))}**")
    columns = st.columns(2)
    sides = [(found.cluster, found.typical), (found.runner_up, found.runner_up_typical)]
    for column, (cluster, rows) in zip(columns, sides, strict=True):
        if rows:
            typical = "; ".join(plain(view.catalogue.texts[row]) for row in rows)
            column.markdown(f"Most typical of {labels[cluster]}: {typical}.")
            with column:
                link_to_cluster(view, cluster)
    st.caption(
        "Margin: (distance to the runner-up's centre − distance to the own centre) / distance to the runner-up's, in "
        "the encoder's space; near 0 the film might as well be in the other cluster. In brackets how stable a cluster "
        "is."
        + " Without a genre the text that remains is encoded and goes to the nearest centre; the clusters themselves "
        "stay as they are." * (view.catalogue.text == GENRES)
    )
