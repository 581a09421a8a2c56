"""The page About: what it tells, and what it does not."""

import os
import platform
import re
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import streamlit as st

from core import __version__, cache, devices
from core.controls import about
from core.movies import Catalogue
from tests.app.conftest import BASELINE, ROOT, StubWorker, Visit, unescaped
from tests.app.test_data import bring, use

REVISION = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"


def told(visit: Visit) -> dict[str, str]:
    """Return what the page's tables say, by name."""
    rows: dict[str, str] = {}
    for table in visit.at.table:
        frame: pd.DataFrame = table.value
        rows |= {str(name): unescaped(str(value)) for name, value in zip(frame.index, frame.iloc[:, 0], strict=True)}
    return rows


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that the page's button offered, the last one last."""
    offered: list[str] = []
    draw = st.download_button

    def note(label: str, data: Any, **options: Any) -> bool:
        if options.get("file_name") == "genrescope-about.txt":
            offered.append(data.decode())
        return draw(label, data=data, **options)

    monkeypatch.setattr(st, "download_button", note)
    return offered


@pytest.mark.usefixtures("shipped")
def test_facts_of_an_encoder(catalogue: Catalogue, vector_store: Path, reports: list[str]) -> None:
    visit = Visit("about")
    found = told(visit)
    assert found["Genrescope"] == __version__
    assert found["Python"].startswith(platform.python_version())
    for name, distribution in (
        ("Streamlit", "streamlit"),
        ("DuckDB", "duckdb"),
        ("NumPy", "numpy"),
        ("PyTorch", "torch"),
    ):
        assert found[name] == metadata.version(distribution)
    assert (found["Name"], found["Films"], found["Genre lists"]) == ("movies.parquet", "17,472", "1,187")
    assert found["Fingerprint (SHA-256)"] == f"{catalogue.fingerprint[:12]}…"
    assert (found["In use"], found["Revision"]) == ("all-MiniLM-L6-v2", REVISION)
    assert found["Device"] == devices.cpu("").label or not found["Device"].startswith("CPU")
    assert found["Number format"] == "float32"
    assert found["Why"].endswith("so that vectors agree between machines.")
    parts = list(vector_store.glob("*/part-*.parquet"))
    assert found["Parts"] == str(len(parts))
    assert found["Size"] == f"{sum(part.stat().st_size for part in parts) / 1e6:,.0f} MB"
    assert found["Folder"] == vector_store.name
    (report,) = reports
    lines = {line.strip().partition(": ")[0]: line.partition(": ")[2] for line in report.splitlines()}
    assert lines["Fingerprint (SHA-256)"] == catalogue.fingerprint
    changing = ("Web process", "Fingerprint (SHA-256)")
    assert {name: lines[name] for name in found if name not in changing} == {
        name: value for name, value in found.items() if name not in changing
    }


def test_memory_is_that_of_the_processes(stub_worker: StubWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    own = devices.resident_memory()
    assert own is not None
    assert 50e6 < own < 20e9
    assert devices.resident_memory(os.getpid()) == pytest.approx(own, rel=0.2)
    rows = {fact.name: fact.value for fact in about._memory()}
    assert rows["Encoding process"].startswith("not running")
    megabytes = float(rows["Web process"].removesuffix(" MB").replace(",", ""))
    assert megabytes == pytest.approx(own / 1e6, rel=0.2)
    monkeypatch.setattr(stub_worker, "pid", os.getppid(), raising=False)
    rows = {fact.name: fact.value for fact in about._memory()}
    assert re.fullmatch(r"[\d,]+ MB", rows["Encoding process"])
    monkeypatch.setattr(stub_worker, "pid", 2**22 + 1, raising=False)  # it ended in this very moment
    assert {fact.name: fact.value for fact in about._memory()}["Encoding process"] == "not known"


@pytest.mark.usefixtures("shipped")
def test_without_a_model_and_without_vectors(
    elsewhere: Callable[..., None], tmp_path: Path, stub_worker: StubWorker
) -> None:
    found = told(Visit("about", {"encoder": BASELINE}))
    assert found["Device"] == "none: no model is needed"
    elsewhere(vectors=tmp_path / "none")
    found = told(Visit("about"))
    assert found["Device"] == "not known until something is encoded"
    assert (found["Parts"], found["Size"]) == ("0", "0 MB")
    assert stub_worker.submitted == []  # the page asks for nothing


@pytest.mark.usefixtures("shipped")
def test_it_tells_no_path_no_setting_and_no_name_of_an_upload(
    reports: list[str], monkeypatch: pytest.MonkeyPatch, vector_store: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_a_secret")
    monkeypatch.setenv("GENRESCOPE_QUERY_OF_NOBODY", "another secret")
    visit = use(bring("title,genres\nOne,Drama\nTwo,Comedy\nThree,War\n", "my diary.csv"))
    visit.go("about")
    assert told(visit)["Name"] == "my diary.csv"  # to the visitor alone
    shown = " ".join([*visit.words, *told(visit).values()])
    for text in (shown, reports[-1]):
        for secret in (
            "hf_a_secret",
            "another secret",
            str(ROOT),
            str(vector_store.parent),
            str(Path.home()),
            sys.prefix,
        ):
            assert secret not in text
    assert "diary" not in reports[-1]
    assert "a file of the visitor's own" in reports[-1]


def test_torch_is_not_imported_for_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # to import it would raise
    assert {fact.name: fact.value for fact in about._versions()}["PyTorch"] == metadata.version("torch")


def test_a_name_that_looks_like_markdown_is_shown_as_it_is(elsewhere: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "*bold* [link](x).csv"
    path.write_text("title,genres\nOne,Drama\nTwo,Comedy\n")
    elsewhere(movies=path)
    visit = Visit("about", {"encoder": BASELINE})
    (shown,) = [t.value.iloc[0, 0] for t in visit.at.table if "Films" in t.value.index]
    assert "\\*bold\\*" in shown
    assert told(visit)["Name"] == path.name


def test_the_version_is_the_projects() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["version"] == __version__


@pytest.mark.usefixtures("shipped")
def test_the_limit_is_the_containers_where_that_is_less(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = devices.memory_limit()
    assert machine is not None
    monkeypatch.setattr(devices, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("1000000000\n")
    assert devices.memory_limit() == (1_000_000_000, "container")
    (tmp_path / "memory.max").write_text("max\n")
    unlimited = devices.memory_limit()
    assert unlimited is not None
    assert unlimited[1] == "machine"
    assert unlimited[0] >= machine[0]
    monkeypatch.setattr(devices, "MEMORY_INFO", tmp_path / "none")
    assert devices.memory_limit() is None
    assert cache.store().size()[0] > 0
