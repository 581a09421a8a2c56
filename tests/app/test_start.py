"""What the server has ready before its first visitor."""

import ctypes
import gc
import importlib
import logging
import platform
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.media_file_storage import MediaFileStorageError
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
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


def test_a_file_that_was_made_outlives_the_runs_of_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = MemoryMediaFileStorage("/media")
    manager, now = MediaFileManager(storage), 1_000.0
    monkeypatch.setattr(start.runtime, "exists", lambda: True)
    monkeypatch.setattr(start.runtime, "get_instance", lambda: SimpleNamespace(media_file_mgr=manager))
    monkeypatch.setattr(start.time, "monotonic", lambda: now)
    start.keep_files()
    kept = manager.remove_orphaned_files
    start.keep_files()
    assert manager.remove_orphaned_files is kept

    def fetched() -> bool:
        try:
            return storage.get_file(url.rpartition("/")[2]).content == b"films"
        except MediaFileStorageError:
            return False

    deferred = manager.add_deferred(lambda: b"films", "text/csv", "1", "films.csv")
    manager.remove_orphaned_files()
    url = manager.execute_deferred(deferred)
    now += start.COLLECT_SECONDS + 1
    manager.remove_orphaned_files()  # the first that could mark it
    for _ in range(50):
        now += (start.COLLECT_SECONDS - 2) / 50
        manager.remove_orphaned_files()
    assert fetched()
    now += start.COLLECT_SECONDS
    manager.remove_orphaned_files()
    assert not fetched()


def test_no_answer_waits_for_its_first_packet_to_be_confirmed() -> None:
    with socket.socket() as server, socket.socket() as client, socket.socket() as closed:
        closed.close()
        server.bind(("127.0.0.1", 0))
        server.listen()
        start.send_at_once()
        client.connect(server.getsockname())
        with server.accept()[0] as connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


HEAPS = """if True:
    import ctypes, sys, threading
    from core.controls import start
    libc = ctypes.CDLL(None)
    libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
    if sys.argv[1:]:
        start.share_memory()
    together = threading.Barrier(8)
    threads = [threading.Thread(target=lambda: (libc.malloc(ctypes.c_size_t(1000)), together.wait())) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    out = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
    libc.malloc_info(0, out)
    libc.fclose(out)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has heaps for threads")
def test_threads_take_memory_from_few_heaps() -> None:
    def heaps(*arguments: str) -> int:
        command = [sys.executable, "-c", HEAPS, *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.count("<heap ")

    assert heaps() > 8
    assert heaps("shared") <= start.HEAPS + 1  # one may be from before


LARGE = """if True:
    import ctypes, re, sys
    from core.controls import start
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    if sys.argv[1:]:
        start.share_memory()
    libc.free(ctypes.c_void_p(libc.malloc(ctypes.c_size_t(start.LARGE_BYTES))))
    class Blocks(ctypes.Structure):  # struct mallinfo2 of malloc.h
        _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd u f uord ford keep".split()]
    libc.mallinfo2.restype = Blocks
    before = libc.mallinfo2().hblkhd
    libc.malloc(ctypes.c_size_t(start.LARGE_BYTES))
    print(libc.mallinfo2().hblkhd - before >= start.LARGE_BYTES)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc learns to keep large blocks")
def test_large_arrays_go_back_to_the_system() -> None:
    def apart(*arguments: str) -> str:
        command = [sys.executable, "-c", LARGE, *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    assert (apart(), apart("shared")) == ("False", "True")


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    start.share_memory()
