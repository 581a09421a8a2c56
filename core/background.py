"""Work that takes seconds, done in one thread beside the pages: asked for, watched, and found finished later.

Pages must not freeze while fifty clusterings are made. They ask for a result by a key, get told how far it is, and ask
again. Nobody owns a task, but a visitor who asks for another one of the same kind no longer wants the one before, and
what nobody wants is stopped. One task at a time, so that visitors queue instead of taking each other's cores; a minor
one lets all others go before, also between its own steps. Every task lets pages go before: between its steps it waits
while one is being drawn.
"""

import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from core import log

OnProgress = Callable[[int, int], None]
ShouldStop = Callable[[], bool]
Work = Callable[[OnProgress, ShouldStop], Any]

# Seconds that a step waits for pages at most, so that work goes on however busy a server is.
PATIENCE, MINOR_PATIENCE = 0.5, 2.0
FAILURE_SECONDS = 60.0  # for how long a failed task is handed out again instead of being tried again


@dataclass(frozen=True)
class Task:
    """How far a piece of work is: `done` of `total` steps; `result` once it is done."""

    state: Literal["waiting", "running", "done", "failed"]
    done: int = 0
    total: int = 0
    result: Any = None


@dataclass
class _Wish:
    """A task with its work and who wants it; read and written under the lock."""

    work: Work
    minor: bool = False
    task: Task = field(default_factory=lambda: Task("waiting"))
    owners: set[Hashable] = field(default_factory=set)
    finished: float = 0.0
    job: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    asked: float = field(default_factory=time.monotonic)


@dataclass(eq=False)
class Foreground:
    """How many things are done that somebody waits for: pages are drawn `under` it, and others `give_way`."""

    n: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @contextmanager
    def under(self) -> Iterator[None]:
        """Do what somebody waits for."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def give_way(self, seconds: float) -> bool:
        """Return when nobody waits for anything, or after some seconds; whether it is quiet."""
        with self._changed:
            return self._changed.wait_for(lambda: self.n == 0, seconds)

    def _count(self, step: int) -> None:
        with self._changed:
            self.n += step
            self._changed.notify_all()


class Background:
    """Does one task at a time, the one asked for last first, minor ones at the end; safe to use from many threads."""

    def __init__(self, keep: int = 128, foreground: Foreground | None = None) -> None:
        """Keep the results of the `keep` tasks that were asked for last; give way to `foreground` between steps."""
        self._keep = keep
        self._foreground = foreground or Foreground()
        self._changed = threading.Condition()
        self._wishes: OrderedDict[Hashable, _Wish] = OrderedDict()
        self._wants: dict[Hashable, Hashable] = {}
        self._thread: threading.Thread | None = None

    def ask(self, key: Hashable, work: Work, owner: Hashable, minor: bool = False) -> Task:
        """Return how far the task with this key is, after having asked for it if nobody had.

        `work(on_progress, should_stop)` returns the result, or whatever when `should_stop` says so. `owner` is who
        asks, with the kind of thing that is asked for: what the same owner wanted before is let go of. A minor task
        waits for all that are not, and whenever it calls `on_progress` it lets those go first that were asked for
        meanwhile.
        """
        with self._changed:
            self._want(owner, key)
            wish = self._wishes.get(key)
            if wish is not None and wish.task.state == "failed" and time.monotonic() - wish.finished > FAILURE_SECONDS:
                wish = None
            if wish is None:
                wish = self._wishes[key] = _Wish(work, minor)
                log.event("task_asked", task=_kind(key), job=wish.job)
            self._wishes.move_to_end(key)
            wish.owners.add(owner)
            self._forget()
            if wish.task.state == "waiting" and self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="background", daemon=True)
                self._thread.start()
            return wish.task

    def look(self, key: Hashable) -> Task | None:
        """Return how far a task is without asking for it, None if nobody did."""
        with self._changed:
            wish = self._wishes.get(key)
            return wish.task if wish is not None else None

    def leave(self, owner: Hashable, unless: Hashable = None) -> None:
        """Let go of what an owner wanted, unless that has the key `unless`."""
        with self._changed:
            if self._wants.get(owner, unless) != unless:
                self._want(owner, unless)

    def forget(self, part: Hashable) -> None:
        """Drop every task whose key is a tuple with this part, its result included, and stop those that run."""
        with self._changed:
            for key in [key for key in self._wishes if isinstance(key, tuple) and part in key]:
                del self._wishes[key]  # a running one notices that it is gone

    # What follows runs under the lock.

    def _take(self, minor: bool) -> tuple[Hashable, _Wish] | None:
        """Return what to do next and note that it runs, None if nothing waits; minor tasks only where they may."""
        waiting = [(key, wish) for key, wish in self._wishes.items() if wish.task.state == "waiting"]
        major = [(key, wish) for key, wish in waiting if not wish.minor]
        if not major and not (minor and waiting):
            return None
        key, wish = (major or waiting)[-1]
        wish.task = Task("running")
        return key, wish

    def _want(self, owner: Hashable, key: Hashable) -> None:
        """Note what an owner wants now, and let go of what it wanted before."""
        before = self._wants.get(owner)
        self._wants[owner] = key
        if before is None or before == key or before not in self._wishes:
            return
        wish = self._wishes[before]
        wish.owners.discard(owner)
        if not wish.owners and wish.task.state in ("waiting", "running"):
            del self._wishes[before]  # a running one notices that it is gone

    def _forget(self) -> None:
        ended = [key for key, wish in self._wishes.items() if wish.task.state in ("done", "failed")]
        for key in ended[: max(0, len(ended) - self._keep)]:
            del self._wishes[key]
        if len(self._wants) > 1000:  # visitors who left
            self._wants = {owner: key for owner, key in self._wants.items() if key in self._wishes}

    # What follows runs in the thread.

    def _serve(self) -> None:
        while True:
            with self._changed:
                found = self._take(minor=True)
                if found is None:
                    self._thread = None
                    return
            self._run(*found)

    def _let_go_first(self) -> None:
        """Do what is not minor, in the middle of a minor task."""
        while True:
            with self._changed:
                found = self._take(minor=False)
            if found is None:
                return
            self._run(*found)

    def _run(self, key: Hashable, wish: _Wish) -> None:
        def on_progress(done: int, total: int) -> None:
            with self._changed:
                wish.task = replace(wish.task, done=done, total=total)
            if wish.minor:
                self._let_go_first()

        def gone() -> bool:
            with self._changed:
                return self._wishes.get(key) is not wish

        def should_stop() -> bool:
            if not gone():
                self._foreground.give_way(MINOR_PATIENCE if wish.minor else PATIENCE)
            return gone()

        started = time.monotonic()
        why: dict[str, str] = {}
        try:
            result = wish.work(on_progress, should_stop)
            task = replace(wish.task, state="done", result=result)
        except Exception as error:  # the thread outlives whatever a task comes to
            why = {"error": type(error).__name__, "where": log.places(error)}
            task = replace(wish.task, state="failed")
        log.event(
            "task_ended",
            level=logging.WARNING if task.state == "failed" else logging.INFO,
            task=_kind(key),
            job=wish.job,
            state="stopped" if task.state == "done" and gone() else task.state,
            steps=task.done,
            waited=started - wish.asked,
            seconds=time.monotonic() - started,
            **why,
        )
        with self._changed:
            wish.task, wish.finished = task, time.monotonic()


def _kind(key: Hashable) -> str:
    """Return the kind of a task: the first part of its key where that is a word, as it is for all of the app's."""
    return key[0] if isinstance(key, tuple) and key and isinstance(key[0], str) else "task"
