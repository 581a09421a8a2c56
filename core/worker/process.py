"""The child's side: it takes jobs and queries from its connection, and is the only process that imports torch."""

import errno
import gc
import logging
import os
import signal
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from core import embeddings, encoders
from core.checkpoints import OnBytes
from core.devices import Device
from core.encoders import Encoder, EncoderError, WantedDtype
from core.log import SETTING, set_up
from core.vectors import VectorStore
from core.worker.jobs import Progress, StoppedError, bytes_reporter, device_for, work

ORPHAN_SECONDS = 0.3  # how often the child looks whether its server is still there

log = logging.getLogger(__name__)


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
    if hasattr(os, "nice"):  # pages go first where there are fewer processors than work
        os.nice(5)
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
        connection.send(("failed", told_of(error)))


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
        device = device_for(encoder, [text], dtype)
        on_bytes = bytes_reporter(report, on_progress, lambda: inbox.cancelled(job_id))
        if inbox.cancelled(job_id):
            raise StoppedError
        model = shelf.load(encoder, device, on_bytes)
        on_progress(replace(report, state="encoding"))
        vector = embeddings.encode(model, [text])[0]
    except StoppedError:
        on_progress(replace(report, state="cancelled"))
        return
    except (EOFError, ConnectionError):
        raise
    except Exception as error:
        if _is_out_of_memory(error):
            shelf.clear()
        problem = told_of(error)
    connection.send(("answer", job_id, encoders.key(encoder, dtype), text, vector, problem))


def told_of(error: Exception) -> str:
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
