"""What the server does, as lines of JSON on standard error: numbers and fixed words, never what people brought.

An event is one line, `{"time": ..., "level": ..., "event": ..., "session": ..., ...}`. EVENTS lists the events and
FIELDS what a line may have; tests and docs/deployment.md hold to both. Titles, texts, queries and names of uploads
have no field. What other code of the house says through `logging` becomes an event `message`. Of an exception only its
kind and the lines of code that it passed are written, whoever logs it: its words may quote a film.
"""

import hashlib
import json
import logging
import math
import os
import secrets
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Fact = str | int | float | bool | None

SETTING = "GENRESCOPE_LOG"
DEBUG = logging.DEBUG
LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL + 1,
}
DEFAULT_LEVEL = "info"
EVENTS = {
    "started": "the server runs; with its versions",
    "prepared": "the first page is ready before its first visitor",
    "session_started": "a visitor opened the app",
    "page_run": "a page was drawn (level debug)",
    "catalogue_opened": "the films of the server were read",
    "upload_read": "a visitor's file was read",
    "upload_opened": "a visitor's films were put to use",
    "analysed": "films were clustered, named and measured",
    "mapped": "a map was laid out by t-SNE",
    "task_asked": "somebody asked for work in the background: stability, sweep, seeds or encoders",
    "task_ended": "such work ended; state: done, stopped or failed",
    "job_queued": "somebody asked for vectors",
    "job_started": "the encoding process got the job",
    "job_ended": "the job ended; state: done, cancelled or failed",
    "query_ended": "a visitor's words were encoded; without the words (level debug)",
    "encoder_fetching": "the files of an encoder began to arrive",
    "encoder_fetched": "they are here",
    "model_loaded": "an encoder was loaded into memory",
    "worker_started": "the encoding process was started",
    "worker_ended": "the encoding process ended",
    "exported": "a file was made for download",
    "message": "anything else, in words",
}
FIELDS = (
    *("time", "level", "event", "session", "job"),
    *("task", "encoder", "kind", "state", "page", "seconds", "waited", "k", "steps"),
    *("films", "documents", "rows", "texts", "texts_per_second", "bytes", "fingerprint"),
    *("device", "dtype", "pid", "exit_code", "genrescope", "python", "streamlit"),
    *("error", "where", "logger", "text"),
)
MAX_LETTERS = 500  # of a value

_LOG = logging.getLogger("core.log")
_KEY = secrets.token_bytes(32)  # another one in every process: hashes of sessions cannot be compared across restarts
_ROOT = Path(__file__).resolve().parent.parent
_set_up: list[logging.Handler] = []
_session: list[Callable[[], str | None]] = []


def event(name: str, *, level: int = logging.INFO, **facts: Fact) -> None:
    """Write an event of EVENTS with facts of FIELDS; costs next to nothing where its level is not written.

    Numbers are seconds, bytes or counts. A text is a fixed word or an identity, never what a visitor brought.
    """
    if _LOG.isEnabledFor(level):
        _LOG.log(level, name, extra={"facts": facts})


def is_debug() -> bool:
    """Tell whether events of level debug are written."""
    return _LOG.isEnabledFor(logging.DEBUG)


@contextmanager
def timed(name: str, *, level: int = logging.INFO, **facts: Fact) -> Iterator[dict[str, Fact]]:
    """Write an event with the seconds that the block took; the block may add facts to what it is given.

    If the block raises, the event has the state "failed" and the exception's kind, and its level is a warning; if a
    run is stopped in it, the state "stopped".
    """
    more: dict[str, Fact] = {**facts}
    started = time.perf_counter()
    try:
        yield more
    except BaseException as error:  # Streamlit ends runs by what is no Exception
        if isinstance(error, Exception):
            more |= {"state": "failed", "error": type(error).__name__}
            level = max(level, logging.WARNING)
        else:
            more["state"] = "stopped"
        raise
    finally:
        event(name, level=level, **more, seconds=time.perf_counter() - started)


def hashed(session_id: str) -> str:
    """Return a short name of a session that leads nobody back to it: 8 hex digits of a keyed hash."""
    return hashlib.blake2b(session_id.encode(), key=_KEY, digest_size=4).hexdigest()


def session() -> str | None:
    """Return the short name of the session whose run this thread is, None in threads that serve everyone."""
    found = _session[0]() if _session else None
    return hashed(found) if found else None


def is_set_up() -> bool:
    """Tell whether events are written in this process already."""
    return bool(_set_up)


def set_up(
    setting: str | None, session_id: Callable[[], str | None] | None = None, *, all_loggers: bool = False
) -> None:
    """Begin to write events from the level of the setting on; again, to change the level.

    `session_id` returns the id of the session whose run the calling thread is. With `all_loggers` what any library says
    through `logging` is written as well. A setting that is no level counts as info, and a message says so.
    """
    wanted = (setting or DEFAULT_LEVEL).strip().lower()
    logger = logging.getLogger(None if all_loggers else "core")
    logging.getLogger("core").setLevel(LEVELS.get(wanted, logging.INFO))
    _session[:] = [session_id] if session_id else []
    if not _set_up:
        handler = _StandardError()
        handler.setFormatter(Lines())
        logger.addHandler(handler)
        _set_up.append(handler)
        logging.setLogRecordFactory(_record)
    if wanted not in LEVELS:
        _LOG.warning("%s is none of %s, so events are written from info on.", SETTING, ", ".join(LEVELS))


class Lines(logging.Formatter):
    """Makes a line of JSON of a record; what is not ASCII is escaped, so that a line stays one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        facts: dict[str, Any] | None = getattr(record, "facts", None)
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": "message" if facts is None else record.msg,
            "session": session(),
        }
        if facts is None:
            line |= {"logger": record.name, "text": record.getMessage()}
        line |= facts or {}
        line |= {name: getattr(record, name, None) for name in ("error", "where") if name not in line}
        order = {name: place for place, name in enumerate(FIELDS)}
        known = {name: _short(value) for name, value in line.items() if value is not None}
        return json.dumps(dict(sorted(known.items(), key=lambda each: order.get(each[0], len(order)))))


def _short(value: Any) -> Any:
    """Return a value fit for a line: few decimals, no NaN, no long text."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return str(value)[:MAX_LETTERS]


class _StandardError(logging.Handler):
    """Writes to whatever standard error is at the moment, a line at a time."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # a log that cannot be written must not end what it tells of
            self.handleError(record)


_plain_record = logging.getLogRecordFactory()


def _record(*arguments: Any, **named: Any) -> logging.LogRecord:
    """Make a record that has of an exception its kind and place only; every logger of the process gets these."""
    record = _plain_record(*arguments, **named)
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        kind, where = type(error).__name__, places(error)
        record.__dict__.update(error=kind, where=where, exc_info=None, exc_text=f"{kind} at {where}")
    return record


def places(error: BaseException) -> str:
    """Return the lines of code that an exception passed, the last one first; without its words."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{_relative(frame.filename)}:{frame.lineno} {frame.name}" for frame in reversed(frames[-8:]))


def _relative(filename: str) -> str:
    """Return a path inside the project, or a file's name and folder: a whole path may name somebody's home."""
    path = Path(filename)
    if path.is_relative_to(_ROOT) and ".venv" not in path.parts:
        return str(path.relative_to(_ROOT))
    return os.path.join(*path.parts[-2:]) if len(path.parts) > 1 else filename  # noqa: PTH118
