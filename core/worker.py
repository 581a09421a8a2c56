"""The one process that imports torch: jobs, their progress, their cancelling, and the process's death.

`Worker` lives in the web process. It owns at most one child, started as `python -m core.worker FD` and spoken
to over a socket pair, and gives it one job at a time. The child writes each finished chunk to the vector
store before it starts the next, so that nothing finished is lost with it. POSIX only: the child inherits its
end of the socket pair as a file descriptor.

A visitor's own words (a query) are encoded too, but never stored: their vectors stay in the memory of the web process,
the latest ones only. Queries go before waiting jobs, and between the chunks of a running job for the same model.
"""

import errno
import gc
import hashlib
import logging
import math
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from core import devices, embeddings, encoders
from core.checkpoints import OnBytes
from core.devices import Device
from core.encoders import DTYPES, Dtype, Encoder, EncoderError, WantedDtype
from core.log import SETTING, Fact, event, set_up
from core.vectors import Float32, VectorStore

State = Literal["queued", "fetching", "loading", "encoding", "done", "cancelled", "failed"]
Load = Callable[[Encoder, Device, OnBytes], embeddings.Model]
Keep = Callable[[str, Sequence[str], Float32, Mapping[str, str]], None]

FINISHED: frozenset[State] = frozenset({"done", "cancelled", "failed"})
POLL_SECONDS = 0.1  # how long the parent listens to the child before it looks after its own wishes
CANCEL_SECONDS = 10.0  # how long the child may take to notice that its job was cancelled
SILENT_SECONDS = 1800.0  # how long the child may say nothing while it has a job; a chunk takes minutes at the worst
FETCH_REPORT_SECONDS = 0.2  # how often the bytes that have arrived are reported
FAILURE_SECONDS = 60.0  # for how long a failed job is handed out again instead of being tried again
JOBS_KEPT = 64  # finished jobs whose progress can still be asked for
ANSWERS_KEPT = 256  # vectors of queries, at most 3 kB each for the encoders that are built in
ASKERS_KEPT = 256  # visitors whose last query is remembered
QUERIES_WAITING = 32
QUERIES_IN_A_ROW = 8  # before a waiting job has its turn
LOADED_SECONDS = 0.3  # what takes less was no loading
ORPHAN_SECONDS = 0.3  # how often the child looks whether its server is still there
REPOSITORY = Path(__file__).resolve().parents[1]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far a job is; counts are distinct texts.

    `done` includes the `already_stored` texts that had a vector before the job started, `total` is all.
    `texts_per_second` and `seconds_left` are None until the first chunk is finished, `position` is the number
    of jobs before this one, `message` a plain sentence where the job failed, and `facts`, once the job is
    done, tell how its vectors were made (`VectorStore.facts`). While the encoder's files are fetched, `bytes_done`
    of `bytes_total` are here, at `bytes_per_second`, and `seconds_left` is the time that the rest of them takes.
    For a query, `seconds_left` is that of the running job while it waits, and that of loading while it loads, None
    where that is not known.
    """

    job_id: str
    encoder_id: str
    state: State
    done: int
    total: int
    already_stored: int
    texts_per_second: float | None = None
    seconds_left: float | None = None
    position: int = 0
    message: str | None = None
    facts: Mapping[str, str] | None = None
    bytes_done: int = 0
    bytes_total: int = 0
    bytes_per_second: float | None = None


class _StoppedError(Exception):
    """The job was cancelled while files were fetched."""


class _SilentError(Exception):
    """The child said nothing for too long."""


def stored(
    store: VectorStore, encoder: Encoder, texts: Sequence[str], dtype: WantedDtype = "auto", owner: str = ""
) -> Dtype | None:
    """Return the number format in which all the texts have vectors (of an owner), float32 before others, or None."""
    for each in _allowed(dtype):
        if not store.missing(encoders.key(encoder, each, owner), texts):
            return each
    return None


def _allowed(dtype: WantedDtype) -> tuple[Dtype, ...]:
    return DTYPES if dtype == "auto" else (dtype,)


def work(
    encoder: Encoder,
    texts: Sequence[str],
    store: VectorStore,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    dtype: WantedDtype = "auto",
    chunk_size: int = 128,
    load: Load = embeddings.load,
    keep: Keep | None = None,
    job_id: str = "",
    owner: str = "",
) -> dict[str, str]:
    """Encode the texts that have no vector yet, chunk by chunk, and return the facts of the store.

    Used by the worker's child and, in its own process, by the command line. `on_progress` gets a Progress
    while files are fetched, when the model starts to load, when encoding starts, after every chunk, and at the end,
    where its state is "done" or "cancelled"; `should_stop` is asked between chunks and while files arrive. A chunk
    that cannot be written, or has an owner, goes to `keep` (`store.keep` if None); `load` may hand out a model that is
    loaded already. Raises EncoderError when the model cannot be loaded or gives no usable vectors.
    """
    wanted = list(dict.fromkeys(texts))
    found = stored(store, encoder, wanted, dtype, owner)
    if found is not None:
        facts = store.facts(encoders.key(encoder, found, owner))
        n = len(wanted)
        on_progress(Progress(job_id, encoder.id, "done", n, n, n, facts=facts))
        return facts
    device = _device(encoder, wanted, dtype)
    key = encoders.key(encoder, device.dtype, owner)
    missing = store.missing(key, wanted)
    already = len(wanted) - len(missing)
    report = Progress(job_id, encoder.id, "loading", already, len(wanted), already)
    try:
        if not should_stop():
            on_progress(report)
            model = load(encoder, device, _bytes_reporter(report, on_progress, should_stop))
            report = replace(report, state="encoding")
            on_progress(report)
            chunks = embeddings.encode_chunks(model, missing, chunk_size)
            kept = partial(keep or store.keep, key)
            put = kept if owner else _putter(store, key, keep or store.keep)
            started = chunk_started = time.perf_counter()
            while not should_stop() and (encoded := next(chunks, None)):
                rows, vectors = encoded
                facts = _chunk_facts(model, len(rows), time.perf_counter() - chunk_started)
                put([missing[row] for row in rows], vectors, facts)
                chunk_started = time.perf_counter()
                report = _after_chunk(report, len(rows), chunk_started - started)
                on_progress(report)
    except _StoppedError:
        pass
    state: State = "done" if report.done == report.total else "cancelled"
    facts = store.facts(key)
    on_progress(replace(report, state=state, seconds_left=None, facts=facts if state == "done" else None))
    return facts


def _device(encoder: Encoder, texts: Sequence[str], dtype: WantedDtype) -> Device:
    """Choose device and number format for a job; raise EncoderError where there is none as wanted."""
    try:
        return devices.choose(dtype, devices.work(encoder.parameters or 0, sum(map(len, texts))))
    except ValueError as error:
        raise EncoderError(str(error)) from error
    except ImportError as error:
        raise EncoderError(
            f"{encoder.title} needs PyTorch, and it cannot be imported here ({error}). Install what requirements.txt "
            "lists, then try again."
        ) from error


def _bytes_reporter(
    report: Progress, on_progress: Callable[[Progress], None], should_stop: Callable[[], bool]
) -> OnBytes:
    """Return what is told of the bytes that arrive: it reports them now and then, and stops where it should."""
    started = last = 0.0
    first = 0

    def on_bytes(done: int, total: int) -> None:
        nonlocal started, last, first
        now = time.perf_counter()
        if not started:
            started, first = now, done
        if done < total and now - last < FETCH_REPORT_SECONDS:
            return
        last = now
        if should_stop():
            raise _StoppedError
        rate = (done - first) / (now - started) if now > started and done > first else None
        left = (total - done) / rate if rate else None
        state: State = "fetching" if done < total else "loading"
        on_progress(
            replace(report, state=state, bytes_done=done, bytes_total=total, bytes_per_second=rate, seconds_left=left)
        )

    return on_bytes


def _after_chunk(report: Progress, n_texts: int, seconds: float) -> Progress:
    done = report.done + n_texts
    rate = (done - report.already_stored) / max(seconds, 1e-9)
    return replace(report, done=done, texts_per_second=rate, seconds_left=(report.total - done) / rate)


def _chunk_facts(model: embeddings.Model, n_texts: int, seconds: float) -> dict[str, str]:
    device = model.device
    return {
        "encoder": model.encoder.id,
        "device": device.label,
        "dtype": device.dtype,
        "reason": device.reason,
        "seconds": f"{seconds:.6f}",
        "texts": str(n_texts),
    }


def _putter(store: VectorStore, key: str, keep: Keep) -> Callable[[list[str], Float32, Mapping[str, str]], None]:
    """Return a function that writes a chunk, or keeps it where the disk cannot be written."""
    warned = False

    def put(texts: list[str], vectors: Float32, facts: Mapping[str, str]) -> None:
        nonlocal warned
        try:
            store.write(key, texts, vectors, facts)
        except OSError as error:  # a read-only folder, a full disk: the work is not lost for that
            if not warned:
                why = error.strerror or error
                log.warning("The vector store cannot be written (%s): vectors stay in memory.", why)
            warned = True
            keep(key, texts, vectors, facts)

    return put


@dataclass(frozen=True, eq=False)
class _Child:
    process: subprocess.Popen[bytes]
    connection: Connection


@dataclass(eq=False)
class _Job:
    """A job as the worker sees it; every field is read and written under the worker's lock.

    A query is a job with one text and `query` set; `sent_to` is the child that has it on its list already.
    """

    progress: Progress
    dtype: WantedDtype
    request: str
    texts: list[str]
    wanted: frozenset[str] = field(default_factory=frozenset)
    cancelled: bool = False
    finished: float = 0.0
    query: bool = False
    owner: str = ""
    sent_to: _Child | None = None
    loading_since: float = 0.0
    fetching_since: float = 0.0
    asked: float = field(default_factory=time.monotonic)
    started: float = 0.0
    exit_code: int | None = None


class Worker:
    """Encodes in a child process, one job at a time; safe to use from many threads.

    No method waits for the child but `close`. Jobs belong to nobody: whoever asks for the same texts gets
    the same job.
    """

    def __init__(
        self,
        store: VectorStore,
        *,
        idle_seconds: float = 600,
        chunk_size: int = 128,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        """Use a store; the child is started by the first job and ended `idle_seconds` after the last.

        A child that has a job and says nothing for `silent_seconds` is taken to hang, and ended.
        """
        self._store = store
        self._idle_seconds = idle_seconds
        self._silent_seconds = silent_seconds
        self._chunk_size = chunk_size
        self._changed = threading.Condition()
        self._jobs: dict[str, _Job] = {}
        self._queue: deque[_Job] = deque()
        self._queries: deque[_Job] = deque()
        self._in_a_row = 0
        self._asked: OrderedDict[str, _Job] = OrderedDict()
        self._answers: OrderedDict[tuple[str, str], Float32] = OrderedDict()
        self._load_seconds: dict[str, float] = {}
        self._running: _Job | None = None
        self._child: _Child | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(
        self,
        encoder_id: str,
        texts: Sequence[str],
        *,
        dtype: WantedDtype = "auto",
        retry: bool = False,
        owner: str = "",
    ) -> str:
        """Ask for vectors of the texts and return the id of the job that makes them.

        That is a job already waiting or running if it covers the missing texts, and one that failed less than
        a minute ago unless `retry` is set: one for the same texts, or for any texts where the encoder could not be
        loaded. With nothing missing the job is done at once. Vectors of an owner are never written: they stay in the
        store's memory, under keys that have the owner in them. Raises ValueError for an unknown encoder and for a
        baseline, which has no model; RuntimeError after `close`.
        """
        encoder = encoders.get(encoder_id)
        if encoder.kind != "transformer":
            raise ValueError(f"{encoder.title} needs no encoding: it has no model.")
        wanted = list(dict.fromkeys(texts))
        found = stored(self._store, encoder, wanted, dtype, owner)
        facts = self._store.facts(encoders.key(encoder, found, owner)) if found else None
        missing = frozenset() if found else frozenset(self._missing(encoder, wanted, dtype, owner))
        request = _request(encoder_id, dtype, wanted)
        with self._changed:
            if self._closed:
                raise RuntimeError("The encoding worker is closed.")
            known = self._known(encoder_id, dtype, request, missing, retry, owner)
            if known is not None:
                return known.progress.job_id
            already = len(wanted) - len(missing)
            progress = Progress(uuid.uuid4().hex, encoder_id, "queued", already, len(wanted), already)
            job = _Job(progress, dtype, request, wanted, frozenset(wanted), owner=owner)
            self._jobs[progress.job_id] = job
            if missing:
                _tell("job_queued", job, texts=len(missing), dtype=dtype)
                self._queue.append(job)
                self._start_thread()
                self._changed.notify_all()
            else:
                self._finish(job, "done", facts=facts)
            return progress.job_id

    def progress(self, job_id: str) -> Progress:
        """Return how far a job is.

        Raises LookupError for a job that never was or finished so long ago that it is forgotten.
        """
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None:
                raise LookupError("This encoding job is no longer known. Ask for it again.")
            if job not in self._queue:
                return job.progress
            position = self._queue.index(job) + (self._running is not None)
            return replace(job.progress, position=position)

    def cancel(self, job_id: str) -> None:
        """Cancel a job: a waiting one at once, a running one after its chunk; finished chunks are kept."""
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None:
                return
            job.cancelled = True
            if job in self._queue:
                self._queue.remove(job)
                self._finish(job, "cancelled")

    def ask(
        self,
        owner: str,
        encoder_id: str,
        text: str,
        *,
        dtype: Dtype = "float32",
        retry: bool = False,
        patience: float = 0.0,
    ) -> Progress:
        """Ask for the vector of a visitor's own text and return how far that is; once done, `answer` has it.

        An owner has one query at a time: another one takes its place. The same one is not asked twice, and one that
        failed less than a minute ago not again unless `retry` is set. An answer is waited for `patience` seconds: most
        take less than a blink. Raises ValueError as `submit` does; RuntimeError after `close`.
        """
        encoder = encoders.get(encoder_id)
        if encoder.kind != "transformer":
            raise ValueError(f"{encoder.title} needs no encoding: it has no model.")
        answer = (encoders.key(encoder, dtype), text)
        request = _request(encoder_id, dtype, [text])
        with self._changed:
            if self._closed:
                raise RuntimeError("The encoding worker is closed.")
            job = self._asked.get(owner)
            if job is None or job.request != request or self._is_void(job, answer, retry):
                job = self._new_query(owner, encoder_id, request, text, dtype, answer)
            self._changed.wait_for(lambda: job.progress.state in FINISHED, patience)
            return self._told(job)

    def answer(self, encoder_id: str, text: str, dtype: Dtype = "float32") -> Float32 | None:
        """Return the vector (d,) of a query before post-processing, None if it is not among the latest answers."""
        key = (encoders.key(encoders.get(encoder_id), dtype), text)
        with self._changed:
            if key in self._answers:
                self._answers.move_to_end(key)
            return self._answers.get(key)

    def drop(self, owner: str) -> None:
        """Stop what an owner asked for, if that is not answered yet."""
        with self._changed:
            self._drop(owner)

    def close(self) -> None:
        """End the child, within five seconds, and every job with it; finished chunks are kept."""
        with self._changed:
            self._closed = True
            for queue in (self._queries, self._queue):
                while queue:
                    self._finish(queue.popleft(), "cancelled")
            thread = self._thread
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(3.5)
            child = self._child
            if thread.is_alive() and child is not None:  # it hangs in a message to a child that does not read
                child.process.kill()
                thread.join(1)

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is none."""
        child = self._child
        return child.process.pid if child is not None and child.process.poll() is None else None

    def _missing(self, encoder: Encoder, texts: Sequence[str], dtype: WantedDtype, owner: str) -> list[str]:
        """Return the texts without a vector, in the number format that has most of them."""
        keys = (encoders.key(encoder, each, owner) for each in _allowed(dtype))
        return min((self._store.missing(key, texts) for key in keys), key=len)

    # What follows runs under the lock.

    def _known(
        self, encoder_id: str, dtype: WantedDtype, request: str, missing: frozenset[str], retry: bool, owner: str
    ) -> _Job | None:
        """Return the job that answers a request already, if there is one."""
        jobs = [
            job for job in reversed(self._jobs.values())
            if (job.progress.encoder_id, job.dtype, job.owner) == (encoder_id, dtype, owner)
        ]  # fmt: skip
        if not missing:
            last = next((job for job in jobs if job.request == request), None)
            return last if last is not None and last.progress.state == "done" else None
        for job in jobs:
            if job.progress.state not in FINISHED and not job.cancelled and missing <= job.wanted:
                return job
        if retry:
            return None
        # A job that never encoded anything could not get or load its model, and others could not either.
        last = next((job for job in jobs if job.request == request or job.progress.texts_per_second is None), None)
        if last is None or last.progress.state != "failed":
            return None
        return last if time.monotonic() - last.finished < FAILURE_SECONDS else None

    def _finish(
        self, job: _Job, state: State, message: str | None = None, facts: Mapping[str, str] | None = None
    ) -> None:
        job.progress = replace(job.progress, state=state, seconds_left=None, message=message, facts=facts)
        job.finished = time.monotonic()
        if job.started or state != "done":  # what was stored already was no work
            _tell_end(job)
        job.texts, job.wanted = [], frozenset()  # a finished job is remembered, its texts are not
        self._changed.notify_all()
        finished = [job_id for job_id, job in self._jobs.items() if job.progress.state in FINISHED]
        for job_id in finished[:-JOBS_KEPT]:
            del self._jobs[job_id]

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="encoding", daemon=True)
            self._thread.start()

    def _is_void(self, job: _Job, answer: tuple[str, str], retry: bool) -> bool:
        """Return whether the same query has to be asked anew."""
        state = job.progress.state
        if state == "failed":
            return retry or time.monotonic() - job.finished > FAILURE_SECONDS
        return job.cancelled or state == "cancelled" or (state == "done" and answer not in self._answers)

    def _new_query(
        self, owner: str, encoder_id: str, request: str, text: str, dtype: Dtype, answer: tuple[str, str]
    ) -> _Job:
        self._drop(owner)
        progress = Progress(uuid.uuid4().hex, encoder_id, "queued", 0, 1, 0)
        job = self._asked[owner] = _Job(progress, dtype, request, [text], query=True)
        self._asked.move_to_end(owner)
        while len(self._asked) > ASKERS_KEPT:
            self._drop(next(iter(self._asked)))
            self._asked.popitem(last=False)
        if answer in self._answers:
            self._answers.move_to_end(answer)
            self._finish(job, "done")
        elif len(self._queries) >= QUERIES_WAITING:
            self._finish(job, "failed", "Too many people search at this moment. Try again in a minute.")
        else:
            self._queries.append(job)
            self._start_thread()
            self._changed.notify_all()
        return job

    def _drop(self, owner: str) -> None:
        job = self._asked.get(owner)
        if job is not None:
            job.cancelled = True
            if job in self._queries:
                self._queries.remove(job)
                self._finish(job, "cancelled")

    def _told(self, job: _Job) -> Progress:
        """Return how far a query is, with its place among those that wait and what is known of the time."""
        if job in self._queries:
            running = self._running
            left = running.progress.seconds_left if running is not None and not running.query else None
            position = self._queries.index(job) + (running is not None)
            return replace(job.progress, position=position, seconds_left=left)
        known = self._load_seconds.get(job.progress.encoder_id)
        if job.progress.state == "loading" and known is not None:
            return replace(job.progress, seconds_left=max(1.0, known - (time.monotonic() - job.loading_since)))
        return job.progress

    def _next(self) -> _Job:
        """Take the job that is to run: a query, unless jobs have waited for many of them."""
        if self._queries and (not self._queue or self._in_a_row < QUERIES_IN_A_ROW):
            self._in_a_row += 1
            return self._queries.popleft()
        self._in_a_row = 0
        return self._queue.popleft()

    def _keep_answer(self, key: tuple[str, str], vector: Float32) -> None:
        self._answers[key] = vector
        while len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)

    # What follows runs in the worker's thread.

    def _serve(self) -> None:
        """Run jobs one after another; after some idle time end the child, and with it this thread."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._queue or self._queries, self._idle_seconds)
                if not self._queue and not self._queries:
                    child, self._child, self._thread = self._child, None, None
                    break
                job = self._running = self._next()
            try:
                self._run(job)
            except Exception as error:  # the thread outlives whatever a job comes to
                log.exception("An encoding job failed.")
                lost, self._child = self._child, None
                if lost is not None:  # what it still says of this job must not be taken for the next one's
                    _end(lost, at_once=True)
                with self._changed:
                    self._finish(job, "failed", f"Encoding failed: {embeddings.summary(error)}")
            with self._changed:
                self._running = None
        if child is not None:
            _end(child)

    def _run(self, job: _Job) -> None:
        """See a job through, from the child's start to the job's end."""
        with self._changed:
            texts = job.texts
            answer = encoders.key(encoders.get(job.progress.encoder_id), job.dtype), texts[0]
            if job.query and answer in self._answers:  # somebody else asked the same
                self._finish(job, "done")
                return
            job.progress, job.loading_since = replace(job.progress, state="loading"), time.monotonic()
            job.started = job.loading_since
            if not job.query:
                _tell("job_started", job, waited=job.started - job.asked)
        try:
            self._child = child = self._ready_child()
        except OSError as error:
            with self._changed:
                why = error.strerror or type(error).__name__
                self._finish(job, "failed", f"The encoding process cannot be started ({why}). Try again later.")
            return
        try:
            root, about = str(self._store.root), job.progress
            if not job.query:
                child.connection.send(
                    ("encode", about.job_id, about.encoder_id, texts, root, self._chunk_size, job.dtype, job.owner)
                )
            elif job.sent_to is not child:
                child.connection.send(("query", about.job_id, about.encoder_id, texts[0], job.dtype))
            self._follow(job, child)
        except (_SilentError, BlockingIOError):  # the latter where a message is not taken, or not said to its end
            self._bury(job, child, texts, hung=True)
        except (EOFError, OSError):  # closed, reset, or closed in the middle of a message
            self._bury(job, child, texts)

    def _follow(self, job: _Job, child: _Child) -> None:
        """Pass on what the child says of a job until the job ends.

        Raises EOFError when the child dies, and _SilentError when it hangs.
        """
        asked: float | None = None
        heard = time.monotonic()
        while True:
            with self._changed:
                cancelled, closed = job.cancelled, self._closed
                fitting = [] if cancelled or closed else self._fitting(job, child)
            for query in fitting:
                child.connection.send(query)
            if cancelled and asked is None:
                child.connection.send(("cancel", job.progress.job_id))
                asked = time.monotonic()
            if closed or (asked is not None and time.monotonic() - asked > CANCEL_SECONDS):
                self._child = None
                _end(child, at_once=True)
                with self._changed:
                    self._finish(job, "cancelled")
                return
            if child.connection.poll(POLL_SECONDS):
                if self._heard(job, child.connection.recv()):
                    return
                heard = time.monotonic()
            elif time.monotonic() - heard > self._silent_seconds:
                raise _SilentError

    def _fitting(self, job: _Job, child: _Child) -> list[tuple[str, ...]]:
        """Return messages for the queries that the model of a running job can answer between its chunks."""
        if job.query or job.progress.state != "encoding":
            return []
        messages: list[tuple[str, ...]] = []
        for query in self._queries:
            if query.progress.encoder_id == job.progress.encoder_id and query.sent_to is not child:
                query.sent_to = child
                messages.append(
                    ("query", query.progress.job_id, query.progress.encoder_id, query.texts[0], query.dtype)
                )
        return messages

    def _heard(self, job: _Job, message: Any) -> bool:
        """Take in one message of the child; return whether it was the job's last."""
        match message:
            case ("progress", Progress() as report) if report.job_id != job.progress.job_id:
                return False  # of a query that was stopped while it waited in the child
            case ("answer", job_id, key, text, vector, problem):
                self._answered(job, job_id, (key, text), vector, problem)
                return bool(job_id == job.progress.job_id)
            case ("progress", Progress() as report):
                self._note_loading(job, report)
                facts = None
                if report.state == "done":  # the child does not know of vectors kept here from jobs before
                    encoder = encoders.get(report.encoder_id)
                    found = stored(self._store, encoder, job.texts, job.dtype, job.owner)
                    key = encoders.key(encoder, found or "float32", job.owner)
                    facts = self._store.facts(key) if found else report.facts
                with self._changed:
                    job.progress = report
                    if report.state in FINISHED:
                        self._finish(job, report.state, facts=facts)
                return report.state in FINISHED
            case ("chunk", key, texts, vectors, facts):
                self._store.keep(key, texts, vectors, facts)
                return False
            case ("failed", text):
                with self._changed:
                    done, total = job.progress.done, job.progress.total
                    kept = f" {_kept(done, total)}" if done > job.progress.already_stored else ""
                    self._finish(job, "failed", f"{text}{kept}")
                return True
        raise ValueError("The encoding process sent a message of an unknown kind.")

    def _answered(
        self, running: _Job, job_id: str, key: tuple[str, str], vector: Float32 | None, problem: str | None
    ) -> None:
        """Take in what a query came to, which may be one that waits while a job runs, or that nobody wants any more."""
        with self._changed:
            if vector is not None:
                vector.flags.writeable = False
                self._keep_answer(key, vector)
            job = next((each for each in (running, *self._queries) if each.progress.job_id == job_id), None)
            if job is not None:
                if job in self._queries:
                    self._queries.remove(job)
                self._finish(job, "failed" if vector is None else "done", problem)

    def _note_loading(self, job: _Job, report: Progress) -> None:
        """Remember how long a model took to load, so that who waits for it again can be told."""
        with self._changed:
            now, before = time.monotonic(), job.progress.state
            if report.state == "fetching" and before != "fetching":
                job.fetching_since = now
                _tell("encoder_fetching", job, bytes=report.bytes_total - report.bytes_done)
            elif before == "fetching" and report.state == "loading":
                _tell("encoder_fetched", job, bytes=report.bytes_total, seconds=now - job.fetching_since)
            if report.state == "fetching" or (report.state == "loading" and report.bytes_total):
                job.loading_since = now
            took = now - job.loading_since
            if report.state == "encoding" and job.progress.state == "loading" and took > LOADED_SECONDS:
                self._load_seconds[report.encoder_id] = took
                _tell("model_loaded", job, seconds=took)

    def _bury(self, job: _Job, child: _Child, texts: list[str], hung: bool = False) -> None:
        """End a job whose child died or hangs, with a sentence that says what is left of it."""
        self._child = None
        code = job.exit_code = _end(child, at_once=hung)
        what = _silence(self._silent_seconds) if hung else _death(code)
        if job.query:
            with self._changed:
                self._finish(job, "cancelled" if job.cancelled else "failed", _obituary(what, 0, 1))
            return
        encoder = encoders.get(job.progress.encoder_id)
        done = len(texts) - len(self._missing(encoder, texts, job.dtype, job.owner))
        with self._changed:
            job.progress = replace(job.progress, done=done)
            if job.cancelled:
                self._finish(job, "cancelled")
            else:
                self._finish(job, "failed", _obituary(what, done, len(texts)))

    def _ready_child(self) -> _Child:
        """Return the child, a new one if there is none alive; raise OSError when none can be started."""
        if self._child is not None:
            if self._child.process.poll() is None:
                return self._child
            _end(self._child)
            self._child = None
        ours, theirs = socket.socketpair()
        limit = struct.pack("ll", math.ceil(self._silent_seconds), 0)
        for way in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, way, limit)
        with theirs:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-m", "core.worker", str(theirs.fileno())],
                    cwd=REPOSITORY,
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                )
            except OSError:
                ours.close()
                raise
        event("worker_started", pid=process.pid)
        return _Child(process, Connection(ours.detach()))


def _request(encoder_id: str, dtype: WantedDtype, texts: Sequence[str]) -> str:
    """Return a short name for the same texts asked of the same encoder, in whatever order."""
    return hashlib.sha256(repr((encoder_id, dtype, sorted(texts))).encode()).hexdigest()


def _tell(name: str, job: _Job, level: int = logging.INFO, **facts: Fact) -> None:
    """Write an event of a job; its texts are nobody's business but their owner's."""
    event(name, level=level, job=job.progress.job_id[:12], encoder=job.progress.encoder_id, **facts)


def _tell_end(job: _Job) -> None:
    progress, facts = job.progress, job.progress.facts or {}
    _tell(
        "query_ended" if job.query else "job_ended",
        job,
        logging.WARNING if progress.state == "failed" else logging.DEBUG if job.query else logging.INFO,
        state=progress.state,
        texts=progress.done - progress.already_stored,
        texts_per_second=progress.texts_per_second,
        seconds=job.finished - (job.started or job.asked),
        device=facts.get("device"),
        dtype=facts.get("dtype"),
        exit_code=job.exit_code,
    )


def _end(child: _Child, at_once: bool = False) -> int:
    """End a child, gently if it listens; return its exit code, minus the signal's number if one ended it."""
    code = _ended(child, at_once)
    event("worker_ended", pid=child.process.pid, exit_code=code)
    return code


def _ended(child: _Child, at_once: bool) -> int:
    child.connection.close()
    if at_once:
        child.process.terminate()
    for harder in (child.process.terminate, child.process.kill):
        try:
            return child.process.wait(1)
        except subprocess.TimeoutExpired:
            harder()
    return child.process.wait()


def _death(code: int) -> str:
    """Say what became of a child that ended with an exit code."""
    if code == -signal.SIGKILL:
        return "was stopped by the system (signal 9), most often because memory ran out"
    if code == -signal.SIGABRT:
        return "gave up (signal 6), most often because memory ran out"
    if code < 0:
        return f"was stopped (signal {-code})"
    return f"ended unexpectedly (exit code {code}); the server's log may tell why"


def _silence(seconds: float) -> str:
    minutes = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
    return f"hung: it said nothing for {minutes}, so it was ended"


def _obituary(what: str, done: int, total: int) -> str:
    """Return plain words for a child that did not get to the end of its job."""
    if not done:
        return f"The encoding process {what}. Nothing was finished before that; try again."
    return f"The encoding process {what}. {_kept(done, total)}"


def _kept(done: int, total: int) -> str:
    return f"{done:,} of {total:,} texts are kept; try again to go on from there."


class _Shelf:
    """The one model that stays loaded between jobs, in the child."""

    def __init__(self) -> None:
        self.model: embeddings.Model | None = None

    def holds(self, encoder: Encoder, dtype: str) -> bool:
        """Return whether the loaded model is the one that is wanted."""
        return self.model is not None and self.model.encoder == encoder and self.model.device.dtype == dtype

    def clear(self) -> None:
        """Let go of the model."""
        self.model = None
        gc.collect()

    def load(self, encoder: Encoder, device: Device, on_bytes: OnBytes) -> embeddings.Model:
        """Return the model, loaded anew if it is another one."""
        if self.model is None or not self.holds(encoder, device.dtype):
            self.clear()  # first let go of the old one: two may not fit into memory
            self.model = embeddings.load(encoder, device, on_bytes)
        return self.model


@dataclass
class _Inbox:
    """What the server said and the child has not dealt with yet; reading raises EOFError when the server is gone."""

    connection: Connection
    messages: deque[Any] = field(default_factory=deque)

    def take(self) -> Any:
        """Return the next message, waiting for it if there is none."""
        return self.messages.popleft() if self.messages else self.connection.recv()

    def look(self) -> None:
        """Take in what has arrived, without waiting."""
        while self.connection.poll():
            self.messages.append(self.connection.recv())

    def cancelled(self, job_id: str) -> bool:
        """Return whether a job is to stop."""
        self.look()
        return ("cancel", job_id) in self.messages

    def queries(self, shelf: _Shelf) -> list[Any]:
        """Take out the queries that the loaded model can answer."""
        fitting = [
            message for message in self.messages
            if message[0] == "query" and shelf.holds(encoders.get(message[2]), message[4])
        ]  # fmt: skip
        for message in fitting:
            self.messages.remove(message)
        return fitting


def serve(fd: int) -> None:
    """Run the child's side: take jobs from the connection until its other end is closed.

    One model stays loaded between jobs. The end of the connection, that is of the server, is the child's end. Within
    a chunk a thread looks after that: a server that gets SIGTERM has no time to tell.
    """
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server; its end is the child's end
    with suppress(OSError):  # where memory runs out, the kernel shall take this process, not the server
        Path("/proc/self/oom_score_adj").write_text("500")
    set_up(os.environ.get(SETTING), all_loggers=True)
    inbox, shelf = _Inbox(Connection(fd)), _Shelf()
    store: VectorStore | None = None
    with suppress(EOFError, OSError):
        while True:
            match inbox.take():  # anything else is a cancel that came too late
                case ("encode", job_id, encoder_id, texts, root, chunk_size, dtype, owner):
                    if store is None or store.root != Path(root):
                        store = VectorStore(Path(root))
                    _serve_job(inbox, shelf, job_id, encoder_id, texts, store, chunk_size, dtype, owner)
                case ("query", _, _, _, _) as query:
                    _serve_query(inbox, shelf, query)


def _end_with(server: int) -> None:
    """End this process when the server's has ended. Parts are renamed when they are whole, so none is lost or half."""
    while os.getppid() == server:
        time.sleep(ORPHAN_SECONDS)
    os._exit(0)


def _serve_job(
    inbox: _Inbox,
    shelf: _Shelf,
    job_id: str,
    encoder_id: str,
    texts: list[str],
    store: VectorStore,
    chunk_size: int,
    dtype: WantedDtype,
    owner: str,
) -> None:
    """Run one job in the child; raise EOFError or ConnectionError when the server is gone."""
    connection = inbox.connection

    def should_stop() -> bool:
        stopped = inbox.cancelled(job_id)
        for query in [] if stopped else inbox.queries(shelf):
            _serve_query(inbox, shelf, query, quiet=True)
        return stopped

    try:
        work(
            encoders.get(encoder_id),
            texts,
            store,
            on_progress=lambda progress: connection.send(("progress", progress)),
            should_stop=should_stop,
            dtype=dtype,
            chunk_size=chunk_size,
            load=shelf.load,
            keep=lambda *chunk: connection.send(("chunk", *chunk)),
            job_id=job_id,
            owner=owner,
        )
    except (EOFError, ConnectionError):
        raise
    except Exception as error:  # the server is told whatever it is, and the child is ready for the next job
        if _is_out_of_memory(error):
            shelf.clear()
        connection.send(("failed", _told_of(error)))


def _serve_query(inbox: _Inbox, shelf: _Shelf, query: tuple[Any, ...], quiet: bool = False) -> None:
    """Answer one query in the child; raise EOFError or ConnectionError when the server is gone.

    `quiet` is for between the chunks of a job, whose progress is what the server follows.
    """
    _, job_id, encoder_id, text, dtype = query
    connection, encoder = inbox.connection, encoders.get(encoder_id)
    report = Progress(job_id, encoder_id, "loading", 0, 1, 0)

    def on_progress(progress: Progress) -> None:
        if not quiet:
            connection.send(("progress", progress))

    vector, problem = None, None
    try:
        device = _device(encoder, [text], dtype)
        on_bytes = _bytes_reporter(report, on_progress, lambda: inbox.cancelled(job_id))
        if inbox.cancelled(job_id):
            raise _StoppedError
        model = shelf.load(encoder, device, on_bytes)
        on_progress(replace(report, state="encoding"))
        vector = embeddings.encode(model, [text])[0]
    except _StoppedError:
        on_progress(replace(report, state="cancelled"))
        return
    except (EOFError, ConnectionError):
        raise
    except Exception as error:
        if _is_out_of_memory(error):
            shelf.clear()
        problem = _told_of(error)
    connection.send(("answer", job_id, encoders.key(encoder, dtype), text, vector, problem))


def _told_of(error: Exception) -> str:
    """Note an error in the log, and return it as a sentence."""
    if _is_out_of_memory(error):
        log.warning("An encoding job ran out of memory: %s", embeddings.summary(error))
        return (
            "Memory ran out in the encoding process. Free some, or choose a smaller encoder such as "
            f"{encoders.get(encoders.DEFAULT_ENCODER).title}, then try again."
        )
    if isinstance(error, EncoderError):
        log.warning("An encoding job failed: %s", error)
        return str(error)
    log.exception("An encoding job failed.")
    return f"Encoding failed: {embeddings.summary(error)}"


def _is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or what it comes from, says that there was no memory to be had."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return True
        said = str(error).lower()
        # torch, the loader of libraries, and Rust say it in words only.
        if any(words in said for words in ("allocate memory", "out of memory", "failed to map segment", "bad alloc")):
            return True
        error = error.__cause__
    return False


if __name__ == "__main__":
    # What travels is made of core.worker's classes, and this module is __main__ here.
    from core import worker

    worker.serve(int(sys.argv[1]))
    # Taking torch down in good order takes a second, and there is nothing left to save.
    os._exit(0)
