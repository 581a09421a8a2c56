"""The encoders: what each is, what is here of it, how fast it was, and what can be fetched or removed."""

import streamlit as st

from core import cache, controls

catalogue, settings = controls.visit()
table = controls.encoder_table(catalogue, settings)
ready = int((table["stored"] == table["of"]).sum())

st.title("Encoders")
st.markdown(
    f"An encoder turns each {controls.unit(catalogue)} ({len(set(catalogue.texts)):,} here) into a vector, a point in "
    f"a space where near means alike. **{ready} of {controls.counted(len(table), 'encoder')}** can be used at once; "
    "the others are fetched and encode the first time somebody chooses them. "
    f"{controls.hardware_line()} Select a row to see more."
)
controls.show_glossary("encoders")
chosen = controls.show_encoders(table)
st.caption(
    "multi-hot and tf-idf are baselines without a model: if an encoder does not group films better than they do, its "
    "size buys nothing. Speed and device are those of the vectors stored here. Cased encoders tell “Drama” from "
    "“drama”. Raw language models are centred: the mean over all genre lists is taken off."
)
controls.show_encoder(catalogue, settings, cache.known_encoders()[chosen or settings.encoder])
