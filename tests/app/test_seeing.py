"""What the log tells of visits: enough to see what happens, and nothing of what people bring."""

import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from streamlit import error_util

from core import analysis, cache, log
from core.controls import seeing
from tests.app.conftest import BASELINE, ROOT, Visit, clear_caches
from tests.app.test_data import bring, use

SECRETS = ("Xylograph", "Quokkadrama", "zebrafile", "Wombatson")
UPLOAD = (
    "title,genres,directors,year\n"
    'Xylograph the First,"Quokkadrama, War",Wombatson,1999\nXylograph Again,Comedy,Wombatson,2001\n'
    'Third Xylograph,"Drama, Quokkadrama",Wombatson,2003\n'
)
PAGES = ("overview", "choose", "cluster", "compare", "trends", "films", "data", "encoders", "about")


@pytest.fixture
def lines(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Everything is written, from level debug on; lines() returns the events since it was last called."""
    monkeypatch.setenv(log.SETTING, "debug")
    core = logging.getLogger("core")
    before, level, factory = [*log._set_up], core.level, logging.getLogRecordFactory()
    for handler in before:
        core.removeHandler(handler)
    log._set_up.clear()

    def read() -> list[dict[str, Any]]:
        said = capfd.readouterr().err
        assert not [secret for secret in SECRETS if secret in said]
        return [json.loads(line) for line in said.splitlines() if line.startswith("{")]

    yield read
    for handler in log._set_up:
        core.removeHandler(handler)
    log._set_up[:] = before
    for handler in before:
        core.addHandler(handler)
    core.setLevel(level)
    logging.setLogRecordFactory(factory)


@pytest.mark.usefixtures("shipped")
def test_nothing_of_an_upload_reaches_the_log(
    lines: Callable[[], list[dict[str, Any]]], offered: dict[str, tuple[str, Callable[[], bytes]]]
) -> None:
    visit = use(bring(UPLOAD, "zebrafile.csv"))
    for page in PAGES:
        visit.go(page)
        for _, make in [*offered.values()]:
            assert make() if callable(make) else make
        offered.clear()
    visit.go("films")
    visit.at.text_input(key="search").set_value("Xylograph")
    visit.run()
    found = lines()
    events = [line["event"] for line in found]
    assert {"session_started", "upload_read", "upload_opened", "analysed", "page_run", "exported"} <= {*events}
    by_name = {line["event"]: line for line in found}
    assert by_name["upload_read"]["rows"] == 3
    assert by_name["upload_opened"]["films"] == 3
    sessions = {line["session"] for line in found if line["event"] in ("session_started", "upload_opened", "exported")}
    assert len(sessions) == 1  # one visit, also where the file is made in another thread
    assert {line["page"] for line in found if line["event"] == "page_run"} >= {"films", "about", "data"}
    assert all({*line} <= {*log.FIELDS} for line in found)


@pytest.mark.usefixtures("shipped")
def test_what_goes_wrong_with_an_upload_does_not_quote_it(
    lines: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = use(bring(UPLOAD, "zebrafile.csv"))

    def fail(catalogue: Any, *_: object) -> None:
        raise KeyError(f"no Xylograph in {catalogue.name}")

    monkeypatch.setattr(analysis, "analyse", fail)
    visit.at.switch_page(str(ROOT / "pages" / "overview.py"))
    visit.at.run()
    assert visit.at.exception
    found = lines()
    (failed,) = [line for line in found if line["event"] == "analysed" and line.get("state") == "failed"]
    assert (failed["error"], failed["level"]) == ("KeyError", "warning")


@pytest.mark.usefixtures("shipped")
def test_streamlits_own_log_of_a_failed_run_has_no_words_of_it(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    Visit("encoders", {"encoder": BASELINE})
    logger, written = logging.getLogger("streamlit.error_util"), io.StringIO()
    handler = logging.StreamHandler(written)  # as its own, which writes to where standard error was at its import
    logger.addHandler(handler)
    try:
        raise KeyError("Xylograph")
    except KeyError as error:
        error_util._log_uncaught_app_exception(error)
    finally:
        logger.removeHandler(handler)
    said = written.getvalue()
    assert "Uncaught app execution" in said
    assert "KeyError at tests/app/test_seeing.py" in said
    assert "Xylograph" not in said


@pytest.mark.usefixtures("shipped")
def test_a_cached_redraw_writes_nothing_and_costs_nothing(
    lines: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = Visit(query={"encoder": BASELINE, "k": "5"})
    cache._ahead().submit(int).result()
    lines()
    visit.run()
    found = lines()
    assert {line["event"] for line in found} <= {"page_run", "analysed"}  # what is looked ahead at has no session
    assert [line["session"] for line in found if line["event"] == "page_run"] != [None]
    logging.getLogger("core").setLevel(logging.INFO)
    calls = 0

    def count(*arguments: object, **named: object) -> None:
        nonlocal calls
        calls += 1

    monkeypatch.setattr(log, "event", count)
    cache._ahead().submit(int).result()
    visit.run()
    assert calls <= 4  # the looks ahead; none of them by the run itself
    clear_caches()


def test_nothing_is_said_of_a_missing_runtime_while_the_server_reads_its_script() -> None:
    script = (
        "import streamlit as st; import core.cache; print('imported', flush=True);"
        "import sys; print('--', file=sys.stderr, flush=True);"
        "st.cache_data(lambda: 1)()"  # without a runtime, and not our doing: this is news
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout == "imported\n"
    before, after = done.stderr.split("--\n")
    assert "No runtime found" not in before
    assert "No runtime found" in after


def test_parts_of_pages_ask_less_often_the_more_visitors_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def fragment(function: object, run_every: float) -> object:
        asked.append(run_every)
        return lambda *arguments: arguments

    monkeypatch.setattr(seeing.st, "fragment", fragment)
    watch = seeing.polled(1.5)(lambda: None)
    for n in (0, 15, 16, 80):
        monkeypatch.setattr(seeing, "_seen", dict.fromkeys(map(str, range(n)), 0.0))
        watch()
    assert asked == [1.5, 1.5, 1.6, 8.0]


def test_a_visitor_whose_page_rests_for_long_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {"long ago": time.monotonic() - seeing.SEEN_SECONDS - 1, "just now": time.monotonic()}
    monkeypatch.setattr(seeing, "_seen", seen)
    Visit("films", {"encoder": BASELINE})
    assert "long ago" not in seen
    assert "just now" in seen
    assert len(seen) == 2
