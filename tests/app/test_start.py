"""What the server has ready before its first visitor."""

import gc
import importlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.web.server.app_discovery import discover_asgi_app

from core import analysis, cache
from core.controls import start
from tests.app.conftest import ROOT, StubWorker, Visit, clear_caches


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("shipped")
def test_what_is_prepared_is_no_garbage_to_look_at_after_every_run() -> None:
    clear_caches()
    start.prepare()
    assert gc.get_freeze_count() > 100_000
    assert len(gc.get_objects()) < gc.get_freeze_count() / 10
    clear_caches()


@pytest.mark.usefixtures("shipped")
def test_the_first_visit_finds_the_films_clustered(monkeypatch: pytest.MonkeyPatch) -> None:
    clear_caches()
    start.prepare()
    cache._ahead().shutdown(wait=True, cancel_futures=True)
    monkeypatch.setattr(analysis, "analyse", None)
    monkeypatch.setattr(cache, "look_ahead", lambda *args: None)
    assert Visit().chart("genre_map")["cluster"].nunique() == 12
    clear_caches()


def test_without_vectors_encoding_starts_before_anybody_asks(
    elsewhere: Callable[..., None], stub_worker: StubWorker
) -> None:
    elsewhere()
    start.prepare()
    assert stub_worker.submitted == [False]


def test_a_catalogue_that_cannot_be_opened_does_not_keep_the_server_from_starting(
    elsewhere: Callable[..., None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere(movies=tmp_path / "none.parquet")
    with caplog.at_level(logging.WARNING):
        start.prepare()
    assert "none.parquet" in caplog.text


def test_streamlit_finds_the_app_in_its_script() -> None:
    found = discover_asgi_app(ROOT / "streamlit_app.py")
    assert found.import_string == "streamlit_app:app"
    assert isinstance(importlib.import_module("streamlit_app").app, st.App)
