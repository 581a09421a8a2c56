"""The frame: page config, navigation and the shared sidebar; then the page that was asked for runs."""

from pathlib import Path

import streamlit as st

from core import controls

ICON = Path(__file__).parent / ".streamlit" / "icon.svg"

# A Material icon in the browser's tab would be fetched from another host.
st.set_page_config(page_title="Genrescope", page_icon=ICON.read_text(), layout="wide")
st.logo((ICON.parent / "logo.svg").read_text(), size="large", icon_image=ICON.read_text())

page = controls.navigation()
catalogue = controls.open_catalogue()
settings = controls.sidebar(catalogue)
controls.wait_for_vectors(catalogue, settings)
page.run()
