import errno
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from core import devices, embeddings, encoders, worker
from core.checkpoints import OnBytes
from core.devices import Device
from core.embeddings import Float32, Model
from core.encoders import BASELINE, DEFAULT_ENCODER, Encoder, EncoderError
from core.vectors import VectorStore
from core.worker import Progress, Worker, keeper
from core.worker import child as children

ROOT = Path(__file__).resolve().parents[1]
MINILM = encoders.get(DEFAULT_ENCODER)
KEY = encoders.key(MINILM)


@pytest.fixture(scope="module")
def genre_lists() -> list[str]:
    column = pq.read_table(ROOT / "data" / "movies.parquet", columns=["genres"]).column("genres").to_pylist()
    trimmed = (sorted({genre.strip() for genre in genres or [] if genre.strip()}) for genres in column)
    return sorted({", ".join(genres) for genres in trimmed if genres})


@pytest.fixture(scope="module")
def model() -> Model:
    return embeddings.load(MINILM, devices.choose())


@pytest.fixture(scope="module")
def expected(model: Model, genre_lists: list[str]) -> Float32:
    return embeddings.encode(model, genre_lists)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Worker, VectorStore]]:
    """One worker for the tests that need no fresh one: its child has the model loaded already."""
    store = VectorStore(tmp_path_factory.mktemp("shared") / "vectors")
    shared = Worker(store, chunk_size=16)
    yield shared, store
    shared.close()


def until(worker: Worker, job_id: str, ready: Callable[[Progress], bool], seconds: float = 90) -> Progress:
    """Wait until a job's progress is as wanted; a finished job is waited for no longer."""
    limit = time.monotonic() + seconds
    while not ready(progress := worker.progress(job_id)):
        assert progress.state not in ("done", "cancelled", "failed"), progress
        assert time.monotonic() < limit, progress
        time.sleep(0.005)
    return progress


def asked(worker: Worker, owner: str, text: str, encoder: str = DEFAULT_ENCODER, seconds: float = 90) -> Progress:
    """Ask for a query until it comes to an end."""
    limit = time.monotonic() + seconds
    while not finished(progress := worker.ask(owner, encoder, text, patience=0.05)):
        assert time.monotonic() < limit, progress
    return progress


def finished(progress: Progress) -> bool:
    return progress.state in ("done", "cancelled", "failed")


def gone(pid: int, seconds: float = 30) -> bool:
    """Wait for a process to end; one that has ended and was not collected yet counts."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


# With a real child. These run in this order on the one shared worker, so that few models are loaded.


def test_a_whole_job_that_others_join(
    shared: tuple[Worker, VectorStore], genre_lists: list[str], expected: Float32
) -> None:
    worker, store = shared
    seen: list[Progress] = []
    assert worker.pid is None
    job_id = worker.submit(DEFAULT_ENCODER, genre_lists)
    assert worker.submit(DEFAULT_ENCODER, list(reversed(genre_lists))) == job_id
    assert worker.submit(DEFAULT_ENCODER, genre_lists[:10]) == job_id
    until(worker, job_id, lambda progress: seen.append(progress) or finished(progress) or progress.done > 0)
    assert worker.submit(DEFAULT_ENCODER, genre_lists) == job_id  # though fewer are missing by now
    done = until(worker, job_id, lambda progress: seen.append(progress) or finished(progress))
    assert done.state == "done", done
    assert (done.done, done.total, done.already_stored) == (1187, 1187, 0)
    states = list(dict.fromkeys(progress.state for progress in seen))
    assert states[-2:] == ["encoding", "done"]
    assert "loading" in states
    counts = [progress.done for progress in seen]
    assert counts == sorted(counts)
    middle = next(progress for progress in seen if 0 < progress.done < 1187)
    assert middle.texts_per_second > 0
    assert middle.seconds_left > 0
    assert done.facts["device"] == devices.choose().label
    assert (done.facts["dtype"], done.facts["texts"], done.facts["encoder"]) == (
        "float32",
        "1187",
        DEFAULT_ENCODER,
    )
    assert float(done.facts["seconds"]) > 0
    assert store.missing(KEY, genre_lists) == []
    assert not store.in_memory(KEY)
    assert np.abs(store.load(KEY, genre_lists) - expected).max() < 1e-5


def test_nothing_missing_is_done_at_once(shared: tuple[Worker, VectorStore], genre_lists: list[str]) -> None:
    worker, store = shared
    job_id = worker.submit(DEFAULT_ENCODER, genre_lists[:100])
    progress = worker.progress(job_id)
    assert (progress.state, progress.done, progress.total, progress.already_stored) == ("done", 100, 100, 100)
    assert progress.facts == store.facts(KEY)
    assert worker.submit(DEFAULT_ENCODER, genre_lists[:100]) == job_id
    assert worker.submit(DEFAULT_ENCODER, genre_lists[:99]) != job_id


def test_a_job_tells_the_log_how_much_it_did_and_not_of_what(
    shared: tuple[Worker, VectorStore], caplog: pytest.LogCaptureFixture
) -> None:
    worker, _ = shared
    with caplog.at_level(logging.DEBUG, logger="core"):
        job_id = worker.submit(DEFAULT_ENCODER, ["A film that nobody shall hear of", "Xylograph"])
        until(worker, job_id, finished)
        asked(worker, "somebody", "Xylograph again")
    told = {record.msg: record.facts for record in caplog.records if hasattr(record, "facts")}  # type: ignore[attr-defined]
    once = ("worker_started", "model_loaded")  # where no test before had them
    assert [name for name in told if name not in once] == ["job_queued", "job_started", "job_ended", "query_ended"]
    assert {told[name]["job"] for name in ("job_queued", "job_started", "job_ended")} == {job_id[:12]}
    assert told["job_queued"]["texts"] == 2
    ended = told["job_ended"]
    assert (ended["state"], ended["texts"], ended["encoder"]) == ("done", 2, DEFAULT_ENCODER)
    assert ended["device"] == devices.choose().label
    assert ended["texts_per_second"] > 0
    assert 0 < ended["seconds"] < 90
    assert told["query_ended"]["state"] == "done"
    assert not [word for word in ("Xylograph", "nobody", "somebody") if word in str(told)]


def test_the_queue_and_cancelling(shared: tuple[Worker, VectorStore]) -> None:
    worker, store = shared
    pid = worker.pid
    assert psutil.Process(pid).nice() == 5 + os.nice(0)  # pages go first
    first = worker.submit(DEFAULT_ENCODER, [f"first {number}" for number in range(5000)])
    second = worker.submit(DEFAULT_ENCODER, [f"second {number}" for number in range(5000)])
    third = worker.submit(DEFAULT_ENCODER, ["third", "Drama"])
    until(worker, first, lambda progress: progress.done >= 16)
    assert (worker.progress(second).state, worker.progress(second).position) == ("queued", 1)
    assert worker.progress(third).position == 2
    worker.cancel(second)
    assert worker.progress(second).state == "cancelled"
    assert worker.progress(third).position == 1
    worker.cancel(first)
    again = worker.submit(DEFAULT_ENCODER, ["first 4999", "first 4998", *(f"first {n}" for n in range(9))])
    assert again != first  # nobody joins a job that is being cancelled
    cancelled = until(worker, first, finished)
    assert cancelled.state == "cancelled"
    assert 16 <= cancelled.done < 5000
    assert until(worker, third, finished).state == "done"
    assert worker.progress(third).already_stored == 1
    assert until(worker, again, finished).state == "done"
    assert worker.pid == pid  # a cancelled job costs neither the process nor the model
    kept = 5000 - len(store.missing(KEY, [f"first {number}" for number in range(5000)]))
    assert kept >= cancelled.done
    worker.cancel(first)  # too late, and no harm
    assert worker.progress(first) == cancelled


def test_a_query_is_answered_and_nothing_of_it_is_stored(shared: tuple[Worker, VectorStore], model: Model) -> None:
    worker, store = shared
    before = sorted(store.root.rglob("*"))
    text = "haunted house comedy"
    assert worker.answer(DEFAULT_ENCODER, text) is None
    done = asked(worker, "me", text)
    assert done.state == "done"
    found = worker.answer(DEFAULT_ENCODER, text)
    assert np.abs(found - embeddings.encode(model, [text])[0]).max() < 1e-5
    assert not found.flags.writeable
    assert store.missing(KEY, [text]) == [text]
    assert sorted(store.root.rglob("*")) == before
    assert not store.in_memory(KEY)
    # Who asks the same is answered at once, by another job.
    again = worker.ask("somebody else", DEFAULT_ENCODER, text)
    assert again.state == "done"
    assert again.job_id != done.job_id
    assert worker.ask("me", DEFAULT_ENCODER, text).job_id == done.job_id


def test_what_an_owner_has_encoded_is_never_written(shared: tuple[Worker, VectorStore], model: Model) -> None:
    worker, store = shared
    texts = [f"my plot {number}" for number in range(20)]
    files = {file for file in store.root.rglob("*") if file.is_file()}
    done = until(worker, worker.submit(DEFAULT_ENCODER, texts, owner="me"), finished)
    assert (done.state, done.done) == ("done", 20)
    mine = encoders.key(model.encoder, owner="me")
    assert mine not in (KEY, encoders.key(model.encoder, owner="you"))
    assert np.abs(store.load(mine, texts) - embeddings.encode(model, texts)).max() < 1e-5
    assert {file for file in store.root.rglob("*") if file.is_file()} == files
    for other in (KEY, encoders.key(model.encoder, owner="you")):
        assert store.missing(other, texts) == texts
    store.remove_of("you")
    assert not store.missing(mine, texts)
    store.remove_of("me")
    assert store.missing(mine, texts) == texts


def test_a_query_goes_between_the_chunks_of_a_long_job(shared: tuple[Worker, VectorStore], model: Model) -> None:
    worker, _ = shared
    running = worker.submit(DEFAULT_ENCODER, [f"long {number}" for number in range(5000)])
    until(worker, running, lambda progress: progress.done >= 16)
    for text in ("one", "another one"):
        assert asked(worker, "me", text).state == "done"
        found = worker.answer(DEFAULT_ENCODER, text)
        assert np.abs(found - embeddings.encode(model, [text])[0]).max() < 1e-5
    middle = worker.progress(running)
    assert (middle.state, middle.total) == ("encoding", 5000)
    assert 16 <= middle.done < 5000
    worker.cancel(running)
    assert until(worker, running, finished).state == "cancelled"


def test_killed_in_the_middle_and_started_again(
    shared: tuple[Worker, VectorStore], genre_lists: list[str], expected: Float32
) -> None:
    worker, store = shared
    for file in (store.root / KEY).iterdir():
        file.unlink()
    job_id = worker.submit(DEFAULT_ENCODER, genre_lists)
    until(worker, job_id, lambda progress: progress.done >= 64)
    pid = worker.pid
    os.kill(pid, signal.SIGKILL)
    failed = until(worker, job_id, finished)
    assert failed.state == "failed"
    left = len(store.missing(KEY, genre_lists))
    assert 0 < left <= 1187 - 64
    assert failed.done == 1187 - left
    assert failed.message == (
        "The encoding process was stopped by the system (signal 9), most often because memory ran out. "
        f"{failed.done:,} of 1,187 texts are kept; try again to go on from there."
    )
    assert worker.pid is None
    assert worker.submit(DEFAULT_ENCODER, genre_lists) == job_id  # remembered for a minute
    before = {file.name for file in (store.root / KEY).glob("part-*")}
    retry = worker.submit(DEFAULT_ENCODER, genre_lists, retry=True)
    assert retry != job_id
    done = until(worker, retry, finished)
    assert (done.state, done.already_stored, done.done) == ("done", 1187 - left, 1187)
    assert worker.pid not in (None, pid)
    new = [file for file in (store.root / KEY).glob("part-*") if file.name not in before]
    assert sum(pq.read_metadata(file).num_rows for file in new) == left  # the rest, and only the rest
    assert np.abs(store.load(KEY, genre_lists) - expected).max() < 1e-5


def test_where_the_disk_cannot_be_written_any_more(shared: tuple[Worker, VectorStore], model: Model) -> None:
    worker, store = shared
    texts = [f"in memory {number}" for number in range(300)]
    aside = store.root.rename(store.root.with_name("aside"))
    store.root.write_text("in the way, for root too")
    try:
        with pytest.raises(OSError, match="Not a directory"):
            store.write(encoders.key(model.encoder), ["probe"], np.ones((1, 384), dtype=np.float32), {})
        assert not store.in_memory(KEY)
        done = until(worker, worker.submit(DEFAULT_ENCODER, texts), finished)
        assert (done.state, done.done) == ("done", 300), done
        assert done.facts["texts"] == "300"
        assert store.in_memory(KEY)
        assert np.abs(store.load(KEY, texts) - embeddings.encode(model, texts)).max() < 1e-5
        assert worker.progress(worker.submit(DEFAULT_ENCODER, texts)).state == "done"
    finally:
        store.root.unlink()
        aside.rename(store.root)
    assert VectorStore(store.root).missing(KEY, texts) == texts


def test_closing_in_the_middle_of_a_job(shared: tuple[Worker, VectorStore]) -> None:
    worker, _ = shared
    running = worker.submit(DEFAULT_ENCODER, [f"closing {number}" for number in range(5000)])
    waiting = worker.submit(DEFAULT_ENCODER, ["waiting"])
    until(worker, running, lambda progress: progress.done > 0)
    pid = worker.pid
    worker.close()
    assert gone(pid, seconds=0.5)
    assert worker.pid is None
    assert worker.progress(running).state == "cancelled"
    assert worker.progress(waiting).state == "cancelled"
    worker.close()
    with pytest.raises(RuntimeError, match="closed"):
        worker.submit(DEFAULT_ENCODER, ["Drama"])


SERVER = """
import sys, time
from pathlib import Path
from core.vectors import VectorStore
from core.worker import Worker
if __name__ == "__main__":
    worker = Worker(VectorStore(Path(sys.argv[1])), chunk_size=1)
    job_id = worker.submit("all-MiniLM-L6-v2", [f"text {number}" for number in range(5000)])
    while not worker.progress(job_id).done:
        time.sleep(0.01)
    print(worker.pid, sorted({"torch", "transformers", "streamlit"} & set(sys.modules)), flush=True)
    time.sleep(60)
"""


def test_no_child_outlives_its_server_and_no_torch_in_it(tmp_path: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        pid_text, loaded = server.stdout.readline().split(maxsplit=1)
        child = psutil.Process(int(pid_text))
        assert loaded.strip() == "[]"
        assert child.cmdline()[1:3] == ["-m", "core.worker"]
        assert Path(f"/proc/{child.pid}/fd/0").samefile(os.devnull)
        child.send_signal(signal.SIGINT)  # Ctrl-C in the terminal reaches both
        time.sleep(0.2)
        assert child.is_running()
    finally:
        server.kill()
        server.communicate()
    assert gone(child.pid)
    # It had 5,000 chunks to do, so it went in the middle of its job.
    stored = 5000 - len(VectorStore(tmp_path).missing(KEY, [f"text {number}" for number in range(5000)]))
    assert 0 < stored < 5000


# Without a model: a child of our own making stands in for one that misbehaves.


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let the worker start a child that runs this code, with `connection` and the first `message`."""
    start = (
        "import os, sys, time\nfrom multiprocessing.connection import Connection\n"
        "connection = Connection(int(sys.argv[-1]))\nmessage = connection.recv()\n"
    )
    popen = subprocess.Popen

    def instead(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        return popen([sys.executable, "-c", start + code, command[-1]], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(children.subprocess, "Popen", instead)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("os.kill(os.getpid(), 15)", "was stopped (signal 15). Nothing was finished before that; try again."),
        ("sys.exit(3)", "ended unexpectedly (exit code 3); the server's log may tell why. Nothing was"),
        ("connection.send(('failed', 'A plain sentence.'))", "A plain sentence."),
        (
            "connection.send(('nonsense',)); time.sleep(9)",
            "Encoding failed: ValueError: The encoding process",
        ),
        ("os.write(connection.fileno(), b'\\0\\0\\1\\0half')", "ended unexpectedly (exit code 0)"),
    ],
    ids=["signal", "exit", "told", "nonsense", "half a message"],
)
def test_a_child_that_fails(code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, code)
    worker = Worker(VectorStore(tmp_path))
    try:
        failed = until(worker, worker.submit(DEFAULT_ENCODER, ["Drama"]), finished)
        assert failed.state == "failed"
        assert message in failed.message
    finally:
        worker.close()


def test_a_child_that_does_not_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "import signal; signal.signal(15, signal.SIG_IGN); time.sleep(60)")
    monkeypatch.setattr(keeper, "CANCEL_SECONDS", 0.2)
    impatient = Worker(VectorStore(tmp_path))
    job_id = impatient.submit(DEFAULT_ENCODER, ["Drama"])
    until(impatient, job_id, lambda progress: progress.state == "loading")
    impatient.cancel(job_id)
    assert until(impatient, job_id, finished).state == "cancelled"
    job_id = impatient.submit(DEFAULT_ENCODER, ["Drama"])  # a cancelled job is not handed out again
    until(impatient, job_id, lambda progress: progress.state == "loading" and impatient.pid is not None)
    pid = impatient.pid
    began = time.monotonic()
    impatient.close()
    assert time.monotonic() - began < 5
    assert gone(pid, seconds=0.5)


def test_an_idle_child_leaves_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "connection.send(('failed', 'No.')); connection.recv()")
    idle = Worker(VectorStore(tmp_path), idle_seconds=0.2)
    try:
        for _ in range(2):
            job_id = idle.submit(DEFAULT_ENCODER, ["Drama"], retry=True)
            until(idle, job_id, lambda progress: progress.message == "No.")
            limit = time.monotonic() + 10
            while idle.pid is not None and time.monotonic() < limit:
                time.sleep(0.02)
            assert idle.pid is None
    finally:
        idle.close()


def test_a_child_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(children.subprocess, "Popen", refuse)
    lonely = Worker(VectorStore(tmp_path))
    failed = until(lonely, lonely.submit(DEFAULT_ENCODER, ["Drama"]), finished)
    assert failed.message == "The encoding process cannot be started (Cannot allocate memory). Try again later."
    lonely.close()


def test_a_failure_is_remembered_for_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "connection.send(('failed', 'No.')); time.sleep(60)")
    failing = Worker(VectorStore(tmp_path))
    try:
        job_id = failing.submit(DEFAULT_ENCODER, ["Drama", "Comedy"])
        until(failing, job_id, finished)
        assert failing.submit(DEFAULT_ENCODER, ["Comedy", "Drama"]) == job_id
        assert failing.submit(DEFAULT_ENCODER, ["War"]) == job_id  # the encoder could not be loaded, for whatever text
        assert failing.submit("roberta-base", ["War"]) != job_id
        assert failing.submit(DEFAULT_ENCODER, ["War"], dtype="bfloat16") != job_id
        assert failing.submit(DEFAULT_ENCODER, ["Comedy", "Drama"], retry=True) != job_id
        monkeypatch.setattr(keeper, "FAILURE_SECONDS", 0.0)
        assert failing.submit(DEFAULT_ENCODER, ["Horror"]) != failing.submit(DEFAULT_ENCODER, ["War"])
    finally:
        failing.close()


def test_finished_jobs_are_forgotten_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "JOBS_KEPT", 3)
    store = VectorStore(tmp_path)
    texts = [f"text {number}" for number in range(6)]
    store.keep(KEY, texts, np.ones((6, 4), np.float32), {})
    idle = Worker(store)
    jobs = [idle.submit(DEFAULT_ENCODER, [text]) for text in texts]
    assert [idle.progress(job_id).state for job_id in jobs[3:]] == ["done"] * 3
    for job_id in [*jobs[:3], "never was"]:
        with pytest.raises(LookupError, match="no longer known"):
            idle.progress(job_id)
        idle.cancel(job_id)
    idle.close()


def test_what_cannot_be_asked_for(tmp_path: Path) -> None:
    idle = Worker(VectorStore(tmp_path))
    with pytest.raises(ValueError, match=r"Multi-hot .* needs no encoding"):
        idle.submit(BASELINE, ["Drama"])
    with pytest.raises(ValueError, match="There is no encoder “bert”"):
        idle.submit("bert", ["Drama"])
    assert idle.pid is None
    idle.close()


def test_many_threads_ask_for_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "time.sleep(60)")
    popular = Worker(VectorStore(tmp_path))
    jobs: list[str] = []
    threads = [
        threading.Thread(target=lambda: jobs.append(popular.submit(DEFAULT_ENCODER, ["Drama", "War"])))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    popular.close()
    assert len(jobs) == 20
    assert len(set(jobs)) == 1


# Queries, with a child of our own making. It notes in a file what it gets, and answers a query with its length.

ANSWERS = """
import numpy as np
from pathlib import Path
from core.worker import Progress
told = Path(os.environ["TOLD"])
while True:
    with told.open("a") as file:
        print(*[str(part) for part in message[:4]], sep="|", file=file)
    if message[0] == "query":
        if message[3] == "die":
            os.kill(os.getpid(), 9)
        if message[3] == "refuse":
            connection.send(("answer", message[1], "key", message[3], None, "No."))
        elif message[3] != "slow":
            vector = np.full(3, len(message[3]), "f4")
            connection.send(("answer", message[1], os.environ["KEY"], message[3], vector, None))
    elif message[0] == "encode":
        connection.send(("progress", Progress(message[1], message[2], "encoding", 1, 9, 0, 1.0, 40.0)))
        if "end" in message[3]:
            connection.send(("failed", "End."))
    elif message[0] == "cancel":
        connection.send(("progress", Progress(message[1], "any", "cancelled", 0, 1, 0)))
    message = connection.recv()
"""


@pytest.fixture
def answering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Worker, Path]]:
    """A worker with such a child, and the file of what that got: kind, job, encoder, text."""
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    monkeypatch.setenv("KEY", KEY)
    stand_in(monkeypatch, ANSWERS)
    answering = Worker(VectorStore(tmp_path / "vectors"))
    yield answering, tmp_path / "told"
    answering.close()


def test_queries_go_first_but_not_for_ever(answering: tuple[Worker, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    worker_, told = answering
    monkeypatch.setattr(keeper, "QUERIES_IN_A_ROW", 2)
    holding = worker_.submit("bert-base-uncased", ["hold"])
    until(worker_, holding, lambda progress: progress.state == "encoding")
    waiting = worker_.submit(DEFAULT_ENCODER, ["end"])
    for number in range(4):
        progress = worker_.ask(f"visitor {number}", DEFAULT_ENCODER, f"query {number}")
        # It waits for the running job alone, which says how long that takes.
        assert (progress.state, progress.position, progress.seconds_left) == ("queued", number + 1, 40.0)
    worker_.cancel(holding)
    for number in range(4):
        assert asked(worker_, f"visitor {number}", f"query {number}").state == "done"
    until(worker_, waiting, lambda progress: progress.state == "failed" or finished(progress))
    order = [line.split("|")[3] for line in told.read_text().splitlines() if line.startswith(("query", "encode"))]
    assert order == ["['hold']", "query 0", "query 1", "['end']", "query 2", "query 3"]
    assert worker_.answer(DEFAULT_ENCODER, "query 3").tolist() == [7, 7, 7]


def test_a_visitor_has_one_query(answering: tuple[Worker, Path]) -> None:
    worker_, told = answering
    first = worker_.ask("me", DEFAULT_ENCODER, "slow", patience=0.2)
    assert first.state in ("queued", "loading")
    assert worker_.ask("me", DEFAULT_ENCODER, "slow").job_id == first.job_id
    other = worker_.ask("you", DEFAULT_ENCODER, "you")
    assert (other.state, other.position) == ("queued", 1)
    worker_.drop("you")
    stopped = worker_.ask("you", DEFAULT_ENCODER, "you")  # asked again after it was stopped
    assert stopped.job_id != other.job_id
    done = asked(worker_, "me", "short")  # in the place of the slow one, which is stopped though it runs
    assert done.state == "done"
    assert worker_.answer(DEFAULT_ENCODER, "slow") is None
    assert asked(worker_, "you", "you").state == "done"
    assert [line.split("|")[0] for line in told.read_text().splitlines()] == ["query", "cancel", "query", "query"]
    worker_.drop("nobody")


def test_a_query_that_fails_is_not_asked_over_and_over(answering: tuple[Worker, Path]) -> None:
    worker_, told = answering
    failed = asked(worker_, "me", "refuse")
    assert (failed.state, failed.message) == ("failed", "No.")
    assert worker_.ask("me", DEFAULT_ENCODER, "refuse") == failed
    assert worker_.ask("me", DEFAULT_ENCODER, "refuse", retry=True).job_id != failed.job_id
    assert asked(worker_, "me", "refuse").state == "failed"
    dead = asked(worker_, "me", "die")
    assert dead.message.endswith("because memory ran out. Nothing was finished before that; try again.")
    assert asked(worker_, "me", "fine").state == "done"  # by a new child
    assert len(told.read_text().splitlines()) == 4


def test_what_is_kept_of_queries_is_bounded(answering: tuple[Worker, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    worker_, _ = answering
    monkeypatch.setattr(keeper, "ANSWERS_KEPT", 2)
    monkeypatch.setattr(keeper, "ASKERS_KEPT", 3)
    monkeypatch.setattr(keeper, "QUERIES_WAITING", 2)
    for owner, text in enumerate(("a", "bb", "a", "ccc")):
        assert asked(worker_, str(owner), text).state == "done"
    # The two that were asked for last, and "a" was asked for after "bb".
    assert [worker_.answer(DEFAULT_ENCODER, text) is None for text in ("a", "bb", "ccc")] == [False, True, False]
    assert len(worker_._jobs) == 0  # what is asked is no job that others could ask about
    assert not any(job.texts for job in worker_._asked.values())  # and is not remembered
    assert list(worker_._asked) == ["1", "2", "3"]
    with pytest.raises(ValueError, match=r"Multi-hot .* needs no encoding"):
        worker_.ask("x", BASELINE, "Drama")


def test_too_many_queries(answering: tuple[Worker, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    worker_, _ = answering
    monkeypatch.setattr(keeper, "QUERIES_WAITING", 2)
    limit = time.monotonic() + 30
    while worker_.ask("x", DEFAULT_ENCODER, "slow").state != "loading":
        assert time.monotonic() < limit
    assert [worker_.ask(visitor, DEFAULT_ENCODER, visitor).state for visitor in "yzw"] == ["queued", "queued", "failed"]
    assert "Too many people search" in worker_.ask("w", DEFAULT_ENCODER, "w").message
    worker_.close()
    with pytest.raises(RuntimeError, match="closed"):
        worker_.ask("x", DEFAULT_ENCODER, "slow")


def test_how_long_a_model_takes_to_load_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(
        monkeypatch,
        """
from core.worker import Progress
while True:
    report = Progress(message[1], message[2], "loading", 0, 1, 0)
    connection.send(("progress", report))
    time.sleep(0.5)
    connection.send(("progress", Progress(message[1], message[2], "encoding", 0, 1, 0)))
    connection.send(("answer", message[1], "key", message[3], None, "No."))
    message = connection.recv()
""",
    )
    slow = Worker(VectorStore(tmp_path))
    try:
        assert asked(slow, "me", "first").state == "failed"
        assert slow._load_seconds[DEFAULT_ENCODER] > 0.3
        slow._load_seconds[DEFAULT_ENCODER] = 50.0
        limit = time.monotonic() + 30
        while (progress := slow.ask("me", DEFAULT_ENCODER, "second")).state != "loading":
            assert time.monotonic() < limit
        assert 40 < progress.seconds_left <= 50
    finally:
        slow.close()


# The part that the child and the command line share, in this process.


def test_work_without_a_child(tmp_path: Path, model: Model, genre_lists: list[str], expected: Float32) -> None:
    store = VectorStore(tmp_path)
    seen: list[Progress] = []
    facts = worker.work(
        MINILM, [*genre_lists[:50], genre_lists[0]], store, seen.append, chunk_size=20, load=lambda *_: model
    )
    assert [progress.state for progress in seen] == ["loading", *["encoding"] * 4, "done"]
    assert [progress.done for progress in seen] == [0, 0, 20, 40, 50, 50]
    assert facts == seen[-1].facts == store.facts(KEY)
    assert np.abs(store.load(KEY, genre_lists[:50]) - expected[:50]).max() < 1e-5

    def never(encoder: Encoder, device: Device, on_bytes: OnBytes) -> Model:
        raise AssertionError("nothing is missing, so no model is needed")

    seen.clear()
    assert worker.work(MINILM, genre_lists[:50], store, seen.append, load=never) == facts
    assert [(progress.state, progress.already_stored) for progress in seen] == [("done", 50)]


def test_work_stops_between_chunks(tmp_path: Path, model: Model, genre_lists: list[str]) -> None:
    store = VectorStore(tmp_path)
    seen: list[Progress] = []
    worker.work(
        MINILM,
        genre_lists[:50],
        store,
        seen.append,
        lambda: bool(seen) and seen[-1].done >= 20,
        chunk_size=10,
        load=lambda *_: model,
    )
    assert (seen[-1].state, seen[-1].done, seen[-1].facts) == ("cancelled", 20, None)
    assert len(store.missing(KEY, genre_lists[:50])) == 30


def test_work_goes_on_in_memory_when_the_disk_is_full(
    tmp_path: Path, model: Model, genre_lists: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = VectorStore(tmp_path)
    write = VectorStore.write
    calls = []

    def full_after_one(self: VectorStore, *chunk: object) -> None:
        calls.append(chunk)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, *chunk)  # type: ignore[arg-type]

    monkeypatch.setattr(VectorStore, "write", full_after_one)
    facts = worker.work(MINILM, genre_lists[:50], store, chunk_size=20, load=lambda *_: model)
    assert facts["texts"] == "50"
    assert store.in_memory(KEY)
    assert store.load(KEY, genre_lists[:50]).shape == (50, 384)
    assert len(VectorStore(tmp_path).missing(KEY, genre_lists[:50])) == 30


def test_an_encoders_own_words_are_passed_on(tmp_path: Path) -> None:
    def refuse(encoder: Encoder, device: Device, on_bytes: OnBytes) -> Model:
        raise EncoderError("The weights are not the expected ones.")

    with pytest.raises(EncoderError, match="not the expected ones"):
        worker.work(MINILM, ["Drama"], VectorStore(tmp_path), load=refuse)
