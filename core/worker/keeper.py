"""The keeper of the child, in the web process: jobs and queries in their order, and what becomes of each."""

import hashlib
import logging
import threading
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core import embeddings, encoders
from core.encoders import Dtype, Encoder, WantedDtype
from core.log import Fact, event
from core.vectors import Float32, VectorStore
from core.worker import child as children
from core.worker.child import Child
from core.worker.jobs import FINISHED, Progress, State, allowed, stored

POLL_SECONDS = 0.1  # how long the parent listens to the child before it looks after its own wishes
CANCEL_SECONDS = 10.0  # how long the child may take to notice that its job was cancelled
SILENT_SECONDS = 1800.0  # how long the child may say nothing while it has a job; a chunk takes minutes at the worst
FAILURE_SECONDS = 60.0  # for how long a failed job is handed out again instead of being tried again
JOBS_KEPT = 64  # finished jobs whose progress can still be asked for
ANSWERS_KEPT = 256  # vectors of queries, at most 3 kB each for the encoders that are built in
ASKERS_KEPT = 256  # visitors whose last query is remembered
QUERIES_WAITING = 32
QUERIES_IN_A_ROW = 8  # before a waiting job has its turn
LOADED_SECONDS = 0.3  # what takes less was no loading

log = logging.getLogger(__name__)


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
    sent_to: Child | None = None
    loading_since: float = 0.0
    fetching_since: float = 0.0
    asked: float = field(default_factory=time.monotonic)
    started: float = 0.0
    exit_code: int | None = None


class _SilentError(Exception):
    """The child said nothing for too long."""


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
        self._child: Child | None = None
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
        keys = (encoders.key(encoder, each, owner) for each in allowed(dtype))
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
                    children.end(lost, at_once=True)
                with self._changed:
                    self._finish(job, "failed", f"Encoding failed: {embeddings.summary(error)}")
            with self._changed:
                self._running = None
        if child is not None:
            children.end(child)

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

    def _follow(self, job: _Job, child: Child) -> None:
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
                children.end(child, at_once=True)
                with self._changed:
                    self._finish(job, "cancelled")
                return
            if child.connection.poll(POLL_SECONDS):
                if self._heard(job, child.connection.recv()):
                    return
                heard = time.monotonic()
            elif time.monotonic() - heard > self._silent_seconds:
                raise _SilentError

    def _fitting(self, job: _Job, child: Child) -> list[tuple[str, ...]]:
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
                    kept = f" {children.kept(done, total)}" if done > job.progress.already_stored else ""
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

    def _bury(self, job: _Job, child: Child, texts: list[str], hung: bool = False) -> None:
        """End a job whose child died or hangs, with a sentence that says what is left of it."""
        self._child = None
        code = job.exit_code = children.end(child, at_once=hung)
        what = children.silence(self._silent_seconds) if hung else children.death(code)
        if job.query:
            with self._changed:
                self._finish(job, "cancelled" if job.cancelled else "failed", children.obituary(what, 0, 1))
            return
        encoder = encoders.get(job.progress.encoder_id)
        done = len(texts) - len(self._missing(encoder, texts, job.dtype, job.owner))
        with self._changed:
            job.progress = replace(job.progress, done=done)
            if job.cancelled:
                self._finish(job, "cancelled")
            else:
                self._finish(job, "failed", children.obituary(what, done, len(texts)))

    def _ready_child(self) -> Child:
        """Return the child, a new one if there is none alive; raise OSError when none can be started."""
        if self._child is not None:
            if self._child.process.poll() is None:
                return self._child
            children.end(self._child)
            self._child = None
        return children.start(self._silent_seconds)


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
