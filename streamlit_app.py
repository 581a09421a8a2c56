"""The frame: page config, navigation and the shared sidebar; then the page that was asked for runs."""

from core import controls

page = controls.navigation()
with controls.explained_trouble():
    catalogue = controls.open_catalogue()
    settings = controls.sidebar(catalogue)
    page.run()
    controls.look_ahead(catalogue, settings)
