import threading
import time
from collections.abc import Callable

import pytest

from core import background
from core.background import Background, OnProgress, ShouldStop, Task


def until(ready: Callable[[], bool], seconds: float = 10) -> None:
    limit = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < limit
        time.sleep(0.005)


class Steps:
    """Work that goes on step by step when the test says so."""

    def __init__(self) -> None:
        self.go, self.started, self.stopped = threading.Semaphore(0), threading.Event(), threading.Event()
        self.runs = 0

    def __call__(self, on_progress: OnProgress, should_stop: ShouldStop) -> str:
        self.runs += 1
        self.started.set()
        for step in range(3):
            while not self.go.acquire(timeout=0.01):
                if should_stop():
                    self.stopped.set()
                    return "half"
            on_progress(step + 1, 3)
        return "whole"


def test_a_task_is_asked_for_watched_and_found_done() -> None:
    room, work = Background(), Steps()
    assert room.look("a") is None
    assert room.ask("a", work, "visitor").state in ("waiting", "running")
    work.go.release(2)
    until(lambda: room.ask("a", work, "visitor").done == 2)
    assert room.look("a") == Task("running", 2, 3)
    work.go.release()
    until(lambda: room.ask("a", work, "another").state == "done")
    assert room.ask("a", work, "third").result == "whole"
    assert work.runs == 1


def test_work_gives_way_to_pages_but_never_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "PATIENCE", 30.0)
    pages = background.Foreground()
    room, steps = Background(foreground=pages), threading.Semaphore(0)

    def work(on_progress: OnProgress, should_stop: ShouldStop) -> str:
        for step in range(3):
            steps.release()
            should_stop()
            on_progress(step + 1, 3)
        return "whole"

    with pages.under():
        with pages.under():
            room.ask("a", work, "visitor")
            assert steps.acquire(timeout=5)
        assert not steps.acquire(timeout=0.2)  # one page is still being drawn
        assert room.look("a") == Task("running")
    until(lambda: room.ask("a", work, "visitor").state == "done")
    monkeypatch.setattr(background, "PATIENCE", 0.01)
    monkeypatch.setattr(background, "MINOR_PATIENCE", 30.0)
    with pages.under():
        room.ask("b", work, "visitor")
        until(lambda: room.ask("b", work, "visitor").state == "done")
        room.ask("minor", work, "visitor", minor=True)  # and what matters less waits longer
        time.sleep(0.2)
        assert room.look("minor") == Task("running")
        assert not pages.give_way(0.01)
    assert pages.give_way(0.01)
    until(lambda: room.ask("minor", work, "visitor").state == "done")


def test_what_nobody_wants_any_more_is_stopped() -> None:
    room, first, second = Background(), Steps(), Steps()
    room.ask("a", first, "visitor")
    first.started.wait(5)
    room.ask("b", second, "visitor")
    assert first.stopped.wait(5)
    assert room.look("a") is None
    second.go.release(3)
    until(lambda: room.ask("b", second, "visitor").state == "done")


def test_what_another_still_wants_goes_on() -> None:
    room, first, second = Background(), Steps(), Steps()
    room.ask("a", first, "visitor")
    room.ask("a", first, "another")
    first.started.wait(5)
    room.ask("b", second, "visitor")
    first.go.release(3)
    second.go.release(3)
    until(lambda: room.look("b") == Task("done", 3, 3, "whole"))
    assert room.look("a") == Task("done", 3, 3, "whole")


def test_the_last_wish_comes_first() -> None:
    room, busy = Background(), Steps()
    room.ask("busy", busy, 0)
    busy.started.wait(5)
    order: list[str] = []
    for number, key in enumerate("abc"):
        room.ask(key, lambda *_, key=key: order.append(key), number + 1)
    busy.go.release(3)
    until(lambda: len(order) == 3)
    assert order == ["c", "b", "a"]


def test_a_failure_is_remembered_and_then_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    room, runs = Background(), list[int]()

    def fail(on_progress: OnProgress, should_stop: ShouldStop) -> None:
        runs.append(1)
        raise ZeroDivisionError

    room.ask("a", fail, 0)
    until(lambda: room.look("a") == Task("failed"))
    assert room.ask("a", fail, 0).state == "failed"
    assert len(runs) == 1
    monkeypatch.setattr(background, "FAILURE_SECONDS", 0.0)
    room.ask("a", fail, 0)
    until(lambda: len(runs) == 2)


def test_old_results_are_forgotten() -> None:
    room = Background(keep=2)
    for key in range(5):
        room.ask(key, lambda *_: "here", "visitor" + str(key))
        until(lambda key=key: room.look(key) == Task("done", result="here"))
    assert [room.look(key) is not None for key in range(5)] == [False, False, True, True, True]


def test_the_thread_ends_when_there_is_nothing_to_do() -> None:
    room = Background()
    room.ask("a", lambda *_: 1, 0)
    until(lambda: room._thread is None)
    room.ask("b", lambda *_: 2, 0)
    until(lambda: room.look("b") == Task("done", result=2))


def test_who_looks_elsewhere_wants_nothing_any_more() -> None:
    room, work = Background(), Steps()
    room.ask("a", work, "visitor")
    work.started.wait(5)
    room.leave("visitor", unless="a")
    assert not work.stopped.wait(0.1)
    room.leave("visitor", unless="b")
    assert work.stopped.wait(5)
    assert room.look("a") is None
    room.leave("nobody")


def test_a_minor_task_lets_all_others_go_first_also_between_its_steps() -> None:
    room, busy, minor, major = Background(), Steps(), Steps(), Steps()
    room.ask("busy", busy, 0)
    busy.started.wait(5)
    order: list[str] = []
    room.ask("major", lambda *_: order.append("major"), 1)
    room.ask("minor", lambda *_: order.append("minor"), 2, minor=True)
    busy.go.release(3)
    until(lambda: len(order) == 2)
    assert order == ["major", "minor"]

    room.ask("long", minor, 2, minor=True)
    minor.started.wait(5)
    room.ask("urgent", major, 1)
    assert not major.started.wait(0.1)  # a step is not cut in two
    minor.go.release()
    assert major.started.wait(5)
    assert room.look("long") == Task("running", 1, 3)
    room.ask("later", lambda *_: 1, 3, minor=True)
    major.go.release(3)
    until(lambda: room.look("urgent") == Task("done", 3, 3, "whole"))
    assert room.look("later") == Task("waiting")  # a minor one does not go before another
    minor.go.release(2)
    until(lambda: room.look("later") == Task("done", result=1))
    assert room.look("long") == Task("done", 3, 3, "whole")
    assert minor.runs == 1
