"""Visits: what the log is told of them, and how often their pages may ask how far something is.

Who a visitor is the log is not told, only which events belong to the same visit.
"""

import functools
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core import __version__, cache, log

P = ParamSpec("P")


POLLS_A_SECOND = 10.0  # of all visitors together: each takes the server some ten milliseconds
SEEN_SECONDS = 60.0  # whose page last ran longer ago does not count

_seen: dict[str, float] = {}  # by session: when a page of theirs last ran
_seeing = threading.Lock()


def write_events() -> None:
    """Begin to write events, as GENRESCOPE_LOG says; a second time does nothing.

    The server calls this when it starts, and the frame, since some hosts run the script without the server's part.
    """
    if log.is_set_up():
        return
    setting = cache.setting(log.SETTING)
    if setting:
        os.environ[log.SETTING] = setting  # for the worker process, which knows no secrets
    log.set_up(setting, _session_id)
    log.event("started", genrescope=__version__, python=platform.python_version(), streamlit=st.__version__)


def _session_id() -> str | None:
    """Return the id of the session whose run this thread is."""
    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context is not None else None


def note_visit() -> None:
    """Count the visit of this run, and tell the log of a session's first."""
    write_events()
    context, now = get_script_run_ctx(suppress_warning=True), time.monotonic()
    if context is not None:
        with _seeing:
            _seen[context.session_id] = now
            for session in [session for session, last in _seen.items() if now - last > SEEN_SECONDS]:
                del _seen[session]
    if "noted" not in st.session_state:
        st.session_state["noted"] = True
        log.event("session_started")


def polled(seconds: float) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Have a part of a page draw itself again after so many seconds, or more where there are many visitors."""

    def decorate(function: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(function)
        def call(*arguments: P.args, **named: P.kwargs) -> None:
            st.fragment(function, run_every=max(seconds, len(_seen) / POLLS_A_SECOND))(*arguments, **named)

        return call

    return decorate


@contextmanager
def timed_run() -> Iterator[None]:
    """Tell the log, at level debug, which page a run drew and how long that took."""
    started = time.perf_counter()
    try:
        yield
    finally:
        if log.is_debug():
            log.event("page_run", level=log.DEBUG, page=_page(), seconds=time.perf_counter() - started)


def _page() -> str | None:
    """Return the address of the page that runs, without its query: a fixed word, and empty for the first page."""
    context = get_script_run_ctx(suppress_warning=True)
    if context is None:
        return None
    page = context.pages_manager.get_pages().get(context.page_script_hash)
    return str(page["url_pathname"]) if page is not None and "url_pathname" in page else None
