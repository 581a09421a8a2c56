"""What the server does before its first visitor: have ready what the first page needs."""

import gc
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st

from core import cache, charts, encoders, log
from core.controls.seeing import write_events
from core.encoders import EncoderError
from core.movies import CatalogueError
from core.recipes import Settings
from core.sources import SourceError
from core.stability import told

logger = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[dict[str, object]]:
    """Prepare the first page beside the start of the server, which does not wait for it."""
    write_events()
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
