"""The encoding process killed, starved of memory or hung: a clear sentence, and what was finished is kept."""

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core import encoders
from core.encoders import DEFAULT_ENCODER
from core.vectors import VectorStore
from core.worker import Worker, keeper, process
from core.worker import child as children
from tests.test_worker import finished, gone, until

KEY = encoders.key(encoders.get(DEFAULT_ENCODER))
TEXTS = [f"text {number}" for number in range(32)]

# A child of our own making: it does what the real one does, without a model, and misbehaves at a place of our choice.
CHILD = """
import os, signal, sys, time
import numpy as np
from pathlib import Path
from multiprocessing.connection import Connection
from core import encoders
from core.encoders import DEFAULT_ENCODER
from core.vectors import VectorStore
from core.worker import Progress
connection = Connection(int(sys.argv[-1]))
def misbehave():
    Path({marker!r}).touch()
    {how}
if {place!r} == "before it listens": misbehave()
_, job_id, encoder_id, texts, root, *_ = connection.recv()
store = VectorStore(Path(root))
key = encoders.key(encoders.get(DEFAULT_ENCODER))
missing = store.missing(key, texts)
already = done = len(texts) - len(missing)
def say(state): connection.send(("progress", Progress(job_id, encoder_id, state, done, len(texts), already, 9.0, 1.0)))
say("loading")
if {place!r} == "at the start": misbehave()
say("encoding")
for start in range(0, len(missing), 8):
    chunk = missing[start:start + 8]
    store.write(key, chunk, np.ones((len(chunk), 384), np.float32), {{"seconds": "1"}})
    done += len(chunk)
    say("encoding")
    if {place!r} == "in the middle" and done == 16: misbehave()
if {place!r} == "at the end": misbehave()
say("done")
connection.recv()
"""
POPEN = subprocess.Popen
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"
ABORTED = "os.abort()"
HUNG = "time.sleep(600)"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
STOPPED = "os.kill(os.getpid(), signal.SIGSTOP)"
MEMORY = "was stopped by the system (signal 9), most often because memory ran out."
SILENT = "hung: it said nothing for 2 seconds, so it was ended."
NOTHING = "Nothing was finished before that; try again."
HALF = "16 of 32 texts are kept; try again to go on from there."
ALL = "32 of 32 texts are kept; try again to go on from there."


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Worker]:
    made = Worker(VectorStore(tmp_path))
    yield made
    made.close()


def child_that(monkeypatch: pytest.MonkeyPatch, folder: Path, how: str = "pass", place: str = "") -> Path:
    """Have the worker start such a child; return the file that is there when it misbehaves."""
    marker = folder / "misbehaves"
    code = CHILD.format(how=how, place=place, marker=str(marker))

    def instead(command: list[str], **options: object) -> object:
        return POPEN([sys.executable, "-c", code, command[-1]], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(children.subprocess, "Popen", instead)
    return marker


def lose_patience(quick: Worker, marker: Path, seconds: float = 2) -> None:
    """Shorten the time limit once the child hangs: before that, it is a slow machine that takes its time."""
    limit = time.monotonic() + 60
    while not marker.exists():
        assert time.monotonic() < limit
        time.sleep(0.02)
    quick._silent_seconds = seconds


@pytest.mark.parametrize(
    ("how", "place", "words"),
    [
        (KILLED, "before it listens", f"{MEMORY} {NOTHING}"),
        (KILLED, "at the start", f"{MEMORY} {NOTHING}"),
        (KILLED, "in the middle", f"{MEMORY} {HALF}"),
        (KILLED, "at the end", f"{MEMORY} {ALL}"),
        (ABORTED, "in the middle", f"gave up (signal 6), most often because memory ran out. {HALF}"),
        (HUNG, "before it listens", f"{SILENT} {NOTHING}"),
        (HUNG, "at the start", f"{SILENT} {NOTHING}"),
        (DEAF, "in the middle", f"{SILENT} {HALF}"),
        (STOPPED, "in the middle", f"{SILENT} {HALF}"),
        (HUNG, "at the end", f"{SILENT} {ALL}"),
    ],
)
def test_whenever_it_ends_nothing_finished_is_lost(
    how: str, place: str, words: str, quick: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = child_that(monkeypatch, tmp_path, how, place)
    job_id = quick.submit(DEFAULT_ENCODER, TEXTS)
    if SILENT in words:
        lose_patience(quick, marker)
    failed = until(quick, job_id, finished)
    assert failed.state == "failed"
    assert failed.message == f"The encoding process {words}"
    assert quick.pid is None
    # The next try starts another process, which does the rest and only that.
    before = {path.name for path in (tmp_path / KEY).glob("part-*")}
    child_that(monkeypatch, tmp_path)
    quick._silent_seconds = keeper.SILENT_SECONDS
    done = until(quick, quick.submit(DEFAULT_ENCODER, TEXTS, retry=True), finished)
    assert (done.state, done.done, done.already_stored) == ("done", 32, failed.done)
    assert before <= {path.name for path in (tmp_path / KEY).glob("part-*")}
    assert np.array_equal(VectorStore(tmp_path).load(KEY, TEXTS), np.ones((32, 384)))


def test_a_child_that_takes_no_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of very many texts does not fit into the pipe, so that to send it would wait for ever."""
    child_that(monkeypatch, tmp_path, HUNG, "before it listens")
    impatient = Worker(VectorStore(tmp_path), silent_seconds=1)
    failed = until(
        impatient, impatient.submit(DEFAULT_ENCODER, [f"{number} " * 50 for number in range(20_000)]), finished
    )
    assert failed.message.startswith("The encoding process hung: it said nothing for 1 seconds")
    assert impatient.pid is None
    impatient.close()


def test_others_go_on_after_a_hang(quick: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = child_that(monkeypatch, tmp_path, HUNG, "at the start")
    hangs, waits = quick.submit(DEFAULT_ENCODER, TEXTS), quick.submit(DEFAULT_ENCODER, ["another"])
    until(quick, hangs, lambda progress: progress.state == "loading" and quick.pid is not None)
    pid = quick.pid
    child_that(monkeypatch, tmp_path)
    lose_patience(quick, marker, 1)
    until(quick, hangs, lambda progress: progress.state == "failed")
    quick._silent_seconds = keeper.SILENT_SECONDS
    assert until(quick, waits, finished).state == "done"
    assert quick.progress(hangs).state == "failed"
    assert gone(pid)


def test_a_slow_child_is_left_alone(quick: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = child_that(monkeypatch, tmp_path, "[(time.sleep(1), say('encoding')) for _ in range(5)]", "in the middle")
    job_id = quick.submit(DEFAULT_ENCODER, TEXTS)
    lose_patience(quick, marker, 3)
    assert until(quick, job_id, finished).state == "done"


def test_real_want_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real child with a limit on its memory that is too small for PyTorch."""

    def limited(command: list[str], **options: object) -> object:
        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))

        return POPEN(command, preexec_fn=limit, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(children.subprocess, "Popen", limited)
    starved = Worker(VectorStore(tmp_path))
    try:
        failed = until(starved, starved.submit(DEFAULT_ENCODER, TEXTS), finished)
        assert failed.state == "failed"
        assert failed.message == (
            "Memory ran out in the encoding process. Free some, or choose a smaller encoder such as MiniLM "
            "(all-MiniLM-L6-v2), then try again."
        )
    finally:
        starved.close()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), True),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory"),
            True,
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (OSError(28, "No space left on device"), False),
    ],
)
def test_want_of_memory_is_known_by_its_many_names(error: Exception, told: bool) -> None:
    assert ("Memory ran out in the encoding process." in process.told_of(error)) is told
    wrapped = encoders.EncoderError("MiniLM cannot be loaded.")
    wrapped.__cause__ = error
    assert ("Memory ran out" in process.told_of(wrapped)) is told


def test_a_failure_in_the_middle_says_what_is_kept(
    quick: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child_that(monkeypatch, tmp_path, "connection.send(('failed', 'It broke.')); connection.recv()", "in the middle")
    failed = until(quick, quick.submit(DEFAULT_ENCODER, TEXTS), finished)
    assert failed.message == f"It broke. {HALF}"
