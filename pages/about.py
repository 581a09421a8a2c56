"""What runs here: versions, the catalogue and encoder in use, memory and what is stored; as text for a bug report."""

import streamlit as st

from core import controls

catalogue, settings = controls.visit()
st.title("About")
st.markdown(
    "Genrescope clusters a movie catalogue by what its genres mean. This is what runs here, at this moment; reload the "
    "page for newer figures."
)
controls.show_about(catalogue, settings)
