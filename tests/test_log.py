import ast
import json
import logging
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import log
from core.background import Background

ROOT = Path(__file__).resolve().parents[1]
TITLE = "A film that nobody shall hear of"


@pytest.fixture
def fresh() -> Iterator[None]:
    """A process in which nothing is set up, and in which nothing stays so."""
    handlers, session, factory = [*log._set_up], [*log._session], logging.getLogRecordFactory()
    core = logging.getLogger("core")
    level, before = core.level, [*core.handlers]
    for handler in handlers:
        core.removeHandler(handler)
    log._set_up.clear()
    yield
    core.handlers[:], log._set_up[:], log._session[:] = before, handlers, session
    core.setLevel(level)
    logging.setLogRecordFactory(factory)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    found = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert all({*line} <= {*log.FIELDS} and line["event"] in log.EVENTS for line in found)
    return found


@pytest.mark.usefixtures("fresh")
def test_an_event_is_one_line_of_json_in_a_fixed_order(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up(None, lambda: "a session of Streamlit")
    log.event("analysed", k=12, seconds=0.123456, encoder="naïve\nname", fingerprint=None)
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", found.pop("time"))
    assert found.pop("session") == log.hashed("a session of Streamlit")
    assert found == {"level": "info", "event": "analysed", "encoder": "naïve\nname", "seconds": 0.1235, "k": 12}
    assert line.isascii()
    assert [*json.loads(line)][:4] == ["time", "level", "event", "session"]


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("setting", "written"),
    [
        (None, ["info", "warning", "error"]),
        ("DEBUG ", ["debug", "info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
        ("off", []),
        ("loud", ["warning", "info", "warning", "error"]),  # the first one says that this is no level
    ],
)
def test_the_setting_chooses_what_is_written(
    setting: str | None, written: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_up(setting)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        log.event("analysed", level=level)
    assert [line["level"] for line in lines(capsys)] == written


@pytest.mark.usefixtures("fresh")
def test_a_second_set_up_changes_the_level_and_doubles_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("info")
    log.set_up("warning")
    log.event("analysed")
    log.event("analysed", level=logging.ERROR)
    assert len(lines(capsys)) == 1


def test_the_short_name_of_a_session_is_its_own_and_leads_nowhere() -> None:
    assert log.hashed("a") == log.hashed("a") != log.hashed("b")
    assert re.fullmatch("[0-9a-f]{8}", log.hashed("a"))
    assert len(log._KEY) == 32  # without this key, of this process alone, nobody can try sessions


@pytest.mark.usefixtures("fresh")
def test_of_an_exception_only_its_kind_and_places_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up(None)
    for name in ("core.somewhere", "streamlit.error_util", "uvicorn.error"):
        logger = logging.getLogger(name)
        other = logging.StreamHandler(sys.stderr)  # as Streamlit's loggers have their own
        if not name.startswith("core"):
            logger.addHandler(other)
        try:
            raise KeyError(TITLE)
        except KeyError:
            logger.exception("It failed.")
        logger.removeHandler(other)
    said = capsys.readouterr().err
    assert TITLE not in said
    assert said.count("KeyError") == 3
    assert said.count("tests/test_log.py:") == 3
    assert "Traceback" not in said
    first = json.loads(said.splitlines()[0])
    assert (first["event"], first["logger"], first["text"]) == ("message", "core.somewhere", "It failed.")
    assert first["error"] == "KeyError"


@pytest.mark.usefixtures("fresh")
def test_a_path_outside_the_project_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up(None)
    with pytest.raises(json.JSONDecodeError), log.timed("exported", kind="csv"):
        json.loads("{")
    try:
        json.loads("{")
    except ValueError as error:
        where = log.places(error)
    assert str(ROOT) not in where
    assert "json/decoder.py:" in where
    assert re.search(r" < tests/test_log\.py:\d+ test_a_path", where)
    assert str(Path(json.__file__).parent.parent) not in where


@pytest.mark.usefixtures("fresh")
def test_timed_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up(None)
    with log.timed("exported", kind="csv") as told:
        time.sleep(0.02)
        told["bytes"] = 7
    with pytest.raises(ValueError, match=TITLE), log.timed("exported", kind="csv"):
        raise ValueError(TITLE)
    with pytest.raises(SystemExit), log.timed("exported", kind="csv"):
        raise SystemExit
    well, badly, left = lines(capsys)
    assert (well["bytes"], well["level"]) == (7, "info")
    assert 0.02 <= float(str(well["seconds"])) < 1
    assert "state" not in well
    assert (badly["state"], badly["error"], badly["level"]) == ("failed", "ValueError", "warning")
    assert (left["state"], left["level"]) == ("stopped", "info")
    assert TITLE not in json.dumps([badly, left])


@pytest.mark.usefixtures("fresh")
def test_odd_values(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up(None)
    log.event("analysed", seconds=float("nan"), texts_per_second=float("inf"), encoder="x" * 10_000, bytes=10**15)
    (line,) = lines(capsys)
    assert "seconds" not in line or line["seconds"] is None
    assert (len(str(line["encoder"])), line["bytes"]) == (log.MAX_LETTERS, 10**15)


@pytest.mark.usefixtures("fresh")
def test_a_broken_standard_error_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def write(self, text: str) -> None:
            raise BrokenPipeError

    log.set_up(None)
    monkeypatch.setattr(sys, "stderr", Broken())
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.event("analysed")


@pytest.mark.usefixtures("fresh")
def test_many_threads_write_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up(None)
    threads = [
        threading.Thread(target=lambda: [log.event("analysed", k=k, encoder="x" * 300) for k in range(50)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(capsys)) == 400


@pytest.mark.usefixtures("fresh")
def test_an_event_that_is_not_written_costs_next_to_nothing() -> None:
    log.set_up("warning")
    started = time.perf_counter()
    for _ in range(1000):
        log.event("analysed", k=12, seconds=1.0)
    assert (time.perf_counter() - started) / 1000 < 50e-6  # 1 µs where nothing else runs


@pytest.mark.usefixtures("fresh")
def test_work_in_the_background_tells_when_it_was_asked_for_and_how_it_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise ValueError(TITLE)

    log.set_up(None)
    room = Background()
    for key, work in ((("stability", TITLE), lambda *_: 1), (("sweep", TITLE), fail)):
        room.ask(key, work, "visitor")
        limit = time.monotonic() + 10
        while room.look(key).state not in ("done", "failed"):  # type: ignore[union-attr]
            assert time.monotonic() < limit
            time.sleep(0.005)
    found = lines(capsys)
    assert [(line["event"], line["task"], line.get("state")) for line in found] == [
        ("task_asked", "stability", None),
        ("task_ended", "stability", "done"),
        ("task_asked", "sweep", None),
        ("task_ended", "sweep", "failed"),
    ]
    assert [found[0]["job"], found[2]["job"]] == [found[1]["job"], found[3]["job"]]
    assert (found[3]["error"], found[3]["level"]) == ("ValueError", "warning")
    assert TITLE not in json.dumps(found)


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield every call in the source that writes an event, with its file."""
    for path in [*(ROOT / "core").rglob("*.py"), *(ROOT / "pages").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if path.name != "log.py" and name in ("log.event", "log.timed", "event", "_tell"):
                yield path.name, node  # type: ignore[misc]


def test_every_event_and_field_of_the_source_is_known_and_the_other_way_round() -> None:
    events, fields = set[str](), {"time", "level", "event", "session", "logger", "text", "error", "where", "state"}
    for file, call in calls():
        first, names = call.args[0], {keyword.arg for keyword in call.keywords if keyword.arg}
        options = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
        if file == "keeper.py" and isinstance(first, ast.Name):  # _tell itself
            options = []
        for option in options:
            assert isinstance(option, ast.Constant), (file, ast.unparse(call))
            events.add(option.value)
        assert names <= {*log.FIELDS}, (file, ast.unparse(call))
        fields |= names
    assert events | {"message"} == {*log.EVENTS}
    # what a timed block adds is not in its call
    assert {*log.FIELDS} - fields <= {"films", "documents", "rows", "fingerprint", "bytes"}


def test_the_docs_list_every_event_and_field() -> None:
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|$", text, re.MULTILINE))
    assert {name: table.get(name) for name in log.EVENTS} == log.EVENTS
    assert all(f"`{name}`" in text for name in (*log.FIELDS, *log.LEVELS, log.SETTING))
