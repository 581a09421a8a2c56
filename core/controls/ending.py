"""How a run ends before the last line of its page."""

from typing import NoReturn

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx


def stop() -> NoReturn:
    """End the run here as st.stop does, and forget the fragments of the page that was shown before.

    Streamlit (1.67.0) forgets them only where a run gets to its last line. A poll of theirs that was on its way when
    the visitor chose something else would then still be answered, draw where there is no place any more, and leave
    the browser with an empty page.
    """
    context = get_script_run_ctx()
    if context is not None:
        context.fragment_storage.clear(new_fragment_ids=context.shared.new_fragment_ids.snapshot())
    st.stop()
