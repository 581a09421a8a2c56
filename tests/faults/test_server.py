"""The server itself: ended in the middle of a job, and what it gives away."""

import csv
import itertools
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from core import encoders
from core.encoders import DEFAULT_ENCODER
from core.vectors import VectorStore
from tests.e2e.conftest import Server
from tests.test_worker import gone

KEY = encoders.key(encoders.get(DEFAULT_ENCODER))
GENRES = ("Action", "Comedy", "Crime", "Drama", "Fantasy", "Horror", "Music", "Romance", "Sport", "Thriller", "War")
SECRETS = (b"root:", b"a secret", b"hf_notToBeSeen", b"import ", b"PAR1", b"[core]")
LISTS = [", ".join(some) for n in (2, 3, 4, 5, 6) for some in itertools.combinations(GENRES, n)]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(**settings: str) -> Server:
        started.append(Server(tmp_path / "vectors", tmp_path / f"log {len(started)}", **settings))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def until(ready: Callable[[], bool], seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_ended_in_the_middle_of_a_job(start: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("title", "genres"), *((f"Film {n}", text) for n, text in enumerate(LISTS))])
    folder = tmp_path / "vectors" / KEY
    parts = lambda: {each.name: each.read_bytes() for each in folder.glob("part-*")}  # noqa: E731

    server = start(GENRESCOPE_MOVIES=str(path))  # it starts to encode before its first visitor
    until(lambda: bool(parts()))
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert any(child.cmdline()[1:3] == ["-m", "core.worker"] for child in children)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(30)
    assert time.monotonic() - began < 5
    assert all(gone(child.pid, seconds=3) for child in children)
    assert server.errors() == []
    before, store = parts(), VectorStore(tmp_path / "vectors")
    n_left = len(store.missing(KEY, LISTS))
    assert 0 < n_left < len(LISTS)
    assert store.damaged(KEY) == []

    again = start(GENRESCOPE_MOVIES=str(path))
    until(lambda: not VectorStore(tmp_path / "vectors").missing(KEY, LISTS))
    after = parts()
    assert {name: after.get(name) for name in before} == before  # what was finished is used, not made anew
    assert int(VectorStore(tmp_path / "vectors").facts(KEY)["texts"]) == len(LISTS)  # each text once
    assert again.errors() == []


def test_the_server_hands_out_no_file_of_its_machine(start: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("a secret")
    server = start(GENRESCOPE_MOVIES="data/movies.parquet", HF_TOKEN="hf_notToBeSeen")
    names = ("etc/passwd", str(tmp_path / "secret.txt").lstrip("/"), "proc/self/environ")
    up = "/".join([".."] * 12)
    ways = (up, up.replace("..", "%2e%2e"), up.replace("/", "%2f"), "")
    places = ("", "static/", "media/", "app/static/", "component/")
    tried = [f"/{place}{way}/{name}" for name in names for place in places for way in ways]
    tried += ["/streamlit_app.py", "/.streamlit/secrets.toml", "/data/movies.parquet", "/core/cache.py", "/.git/config"]
    for address in tried:
        try:
            with urllib.request.urlopen(f"{server.url}{address}", timeout=10) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            content = error.read()
        # The page itself answers where an address is not known.
        assert not [secret for secret in SECRETS if secret in content[:4000]], address
    assert "hf_notToBeSeen" not in server.log.read_text()
