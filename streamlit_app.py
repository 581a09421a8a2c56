"""The frame: page config, navigation and the shared sidebar; then the page that was asked for runs."""

from core import controls

if __name__ == "__main__":  # a visitor's run
    page = controls.navigation()
    with controls.explained_trouble():
        catalogue = controls.open_catalogue()
        settings = controls.sidebar(catalogue)
        page.run()
        controls.look_ahead(settings)
else:  # the server, which finds `app` here and prepares the first page while it starts
    import streamlit as st

    app = st.App(__file__, lifespan=controls.lifespan)
