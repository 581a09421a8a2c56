"""What the server does before its first visitor: have ready what the first page needs."""

import ctypes
import gc
import logging
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st
from streamlit import runtime

from core import cache, charts, encoders, log
from core.controls.seeing import write_events
from core.encoders import EncoderError
from core.movies import CatalogueError
from core.recipes import Settings
from core.sources import SourceError
from core.stability import told

logger = logging.getLogger(__name__)

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of malloc.h
HEAPS, LARGE_BYTES = 2, 8 << 20
COLLECT_SECONDS = 30.0  # a file that was made for a visitor is there to be fetched for as long, at least


class _Seldom:
    """Calls a function when asked to, but not again before COLLECT_SECONDS have passed."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function, self._lock, self._last = function, threading.Lock(), -COLLECT_SECONDS

    def __call__(self) -> None:
        with self._lock:
            if time.monotonic() - self._last < COLLECT_SECONDS:
                return
            self._last = time.monotonic()
        self._function()


def keep_files() -> None:
    """See to it that a file which was made for a visitor outlives the runs of all others.

    Streamlit 1.67.0 makes a file when its button is pressed, and throws it away when any two runs have ended since,
    fetched or not: with fifty visitors that is a third of a second. So it is kept from looking more often.
    """
    if runtime.exists():
        manager: Any = runtime.get_instance().media_file_mgr
        if not isinstance(manager.remove_orphaned_files, _Seldom):
            manager.remove_orphaned_files = _Seldom(manager.remove_orphaned_files)


def send_at_once() -> None:
    """Let no answer of this server wait until its first packet is confirmed, which took 40 ms over a kept connection.

    asyncio sees to that for sockets of its own making; Streamlit 1.67.0 brings one that asyncio does not know for TCP.
    Connections inherit the option from the socket that listens.
    """
    sockets = [each for each in gc.get_objects() if issubclass(type(each), socket.socket)]  # isinstance asks the object
    for each in sockets:
        if each.family in (socket.AF_INET, socket.AF_INET6) and _listens(each):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _listens(each: socket.socket) -> bool:
    try:
        return bool(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:  # it is closed
        return False


def share_memory() -> None:
    """Have all threads take memory from few heaps, so that what one gives back serves the others; large arrays apart.

    The C library of most Linuxes (glibc) opens up to eight heaps a core, and each keeps what its threads once needed:
    with fifty visitors 760 MB instead of 650. With a single heap, threads wait for one another there.

    Once a large array was freed, glibc takes the next one from a heap, which cannot shrink below what was put behind
    it: 35 MB that nobody uses. From LARGE_BYTES on, arrays go back to the system at once. With an eighth of that, fresh
    pages cost clustering half of its time again.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_ARENA_MAX, HEAPS)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[dict[str, object]]:
    """Prepare the first page beside the start of the server, which does not wait for it."""
    write_events()
    send_at_once()
    share_memory()
    threading.Thread(target=prepare, name="prepare", daemon=True).start()
    yield {}


def prepare() -> None:
    """Do what the first visit without settings will ask for: read, encode or cluster the films, draw the charts.

    What goes wrong here goes wrong for the visitor again, who is told in words; so it is only logged.
    """
    try:
        with log.timed("prepared"):
            _prepare()
    except (SourceError, CatalogueError, EncoderError) as error:
        logger.warning("%s", error)
    finally:
        # The libraries and the films stay as long as the server: no collection of garbage need look at them, which
        # would take 0.2 s each time.
        gc.collect()
        gc.freeze()


def _prepare() -> None:
    catalogue, settings = cache.server_catalogue(), Settings()
    cache.known_encoders()
    cache.options(catalogue)
    if cache.dtype_at_hand(catalogue, settings) is None:
        cache.worker().submit(encoders.DEFAULT_ENCODER, catalogue.texts)
        return
    lists, clusters = cache.tables(catalogue, settings)  # nobody is here who named anything
    clusters = clusters.assign(stability=told(None))
    genres = cache.analysis(catalogue, settings).genres
    charts.genre_map(lists, clusters, charts.AXES["PCA"])
    charts.sizes(clusters)
    charts.genre_heatmap(genres.merge(clusters[["cluster", "label", "stability"]], on="cluster"), "share")
    if catalogue.n_movies >= cache.COUNTED_MOVIES:  # else it takes no time when asked for
        for column in cache.STAND_OUTS:
            cache.value_counts(catalogue, settings.filters, column)
