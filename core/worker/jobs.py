"""One job: how far it is, and the work itself, which gives texts their vectors chunk by chunk.

The work runs in the child of `Worker` or, for the command line, in its own process.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from core import devices, embeddings, encoders
from core.checkpoints import OnBytes
from core.devices import Device
from core.encoders import DTYPES, Dtype, Encoder, EncoderError, WantedDtype
from core.vectors import Float32, VectorStore

State = Literal["queued", "fetching", "loading", "encoding", "done", "cancelled", "failed"]
Load = Callable[[Encoder, Device, OnBytes], embeddings.Model]
Keep = Callable[[str, Sequence[str], Float32, Mapping[str, str]], None]

FINISHED: frozenset[State] = frozenset({"done", "cancelled", "failed"})
FETCH_REPORT_SECONDS = 0.2  # how often the bytes that have arrived are reported

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


class StoppedError(Exception):
    """The job was cancelled while files were fetched."""


def stored(
    store: VectorStore, encoder: Encoder, texts: Sequence[str], dtype: WantedDtype = "auto", owner: str = ""
) -> Dtype | None:
    """Return the number format in which all the texts have vectors (of an owner), float32 before others, or None."""
    for each in allowed(dtype):
        if not store.missing(encoders.key(encoder, each, owner), texts):
            return each
    return None


def allowed(dtype: WantedDtype) -> tuple[Dtype, ...]:
    """Return the number formats that a wanted one allows, float32 first."""
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
    device = device_for(encoder, wanted, dtype)
    key = encoders.key(encoder, device.dtype, owner)
    missing = store.missing(key, wanted)
    already = len(wanted) - len(missing)
    report = Progress(job_id, encoder.id, "loading", already, len(wanted), already)
    try:
        if not should_stop():
            on_progress(report)
            model = load(encoder, device, bytes_reporter(report, on_progress, should_stop))
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
    except StoppedError:
        pass
    state: State = "done" if report.done == report.total else "cancelled"
    facts = store.facts(key)
    on_progress(replace(report, state=state, seconds_left=None, facts=facts if state == "done" else None))
    return facts


def device_for(encoder: Encoder, texts: Sequence[str], dtype: WantedDtype) -> Device:
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


def bytes_reporter(
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
            raise StoppedError
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
