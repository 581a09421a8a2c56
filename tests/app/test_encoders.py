"""The Encoders page, and what the sidebar's advanced part changes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core import cache, checkpoints, encoders
from core.vectors import VectorStore
from tests.app.conftest import BASELINE, StubWorker, Visit, unescaped

REVISION = "0123456789abcdef0123456789abcdef01234567"
ROBERTA = encoders.get("roberta-base")


@pytest.fixture(autouse=True)
def empty_cache_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever lies in the cache of the machine that runs the tests is none of theirs."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def select(visit: Visit, encoder_id: str) -> Visit:
    row = visit.table("encoder_table")["encoder"].tolist().index(encoder_id)
    return visit.select("encoder_table", {"rows": [row], "columns": [], "cells": []})


@pytest.mark.usefixtures("shipped")
def test_the_registry_as_a_table(vector_store: Path) -> None:
    visit = Visit("encoders")
    table = visit.table("encoder_table").set_index("encoder")
    assert table.index.tolist() == list(encoders.ENCODERS)
    assert table["stored"].to_dict() == {
        name: "1,187 of 1,187" if name in ("all-MiniLM-L6-v2", "multi-hot", "tf-idf") else "0 of 1,187"
        for name in encoders.ENCODERS
    }
    assert table.loc["all-MiniLM-L6-v2", "files"] == "installed with the app"
    assert table.loc["xlm-roberta-base", "files"] == "to fetch: 1,130 MB"
    assert table.loc["multi-hot", "files"] == "none needed"
    assert table.loc["bert-base-cased", "then"] == "mean, centred, length 1"
    facts = VectorStore(vector_store).facts(encoders.key(encoders.get("all-MiniLM-L6-v2")))
    assert table.loc["all-MiniLM-L6-v2", "speed"] == pytest.approx(1187 / float(facts["seconds"]))
    assert table.loc["all-MiniLM-L6-v2", "device"] == f"{facts['device']}, float32"
    assert table["speed"].isna().sum() == len(table) - 1
    assert "**3 of 8 encoders** can be used at once" in visit.lines[0]
    assert "PyTorch" in visit.lines[0]


@pytest.mark.usefixtures("shipped")
def test_an_encoder_that_is_here_leads_to_its_clusters() -> None:
    visit = select(Visit("encoders"), BASELINE)
    assert [title.value for title in visit.at.subheader if "Multi" in title.value] == [
        "Multi\\-hot genres \\(no model\\)"
    ]
    assert visit.links == [("Cluster the films with multi\\-hot", "", "encoder=multi-hot")]
    assert not visit.at.main.button


def test_an_encoder_is_fetched_and_encoded_when_asked_for(
    elsewhere: Callable[..., None], stub_worker: StubWorker
) -> None:
    elsewhere()
    stub_worker.now = replace(
        stub_worker.now, encoder_id="roberta-base", state="fetching", bytes_done=125_400_000, bytes_total=501_600_000
    )
    visit = select(Visit("encoders", {"encoder": BASELINE, "dtype": "float32"}), "roberta-base")
    assert stub_worker.submitted == []  # to look is not to ask
    assert [button.label for button in visit.at.main.button] == ["Fetch and encode"]
    assert "Files to fetch: 502 MB, once." in visit.at.caption[-1].value
    visit.at.main.button[0].click()
    visit.run()
    assert stub_worker.submitted == [False]
    assert stub_worker.dtypes == ["float32"]
    (bar,) = visit.at.get("progress")
    assert (bar.value, bar.proto.text) == (25, "Fetching the model: 125 of 502 MB.")
    stub_worker.now = replace(stub_worker.now, bytes_per_second=12.5e6, seconds_left=30.1)
    visit.run()
    (bar,) = visit.at.get("progress")
    assert bar.proto.text == "Fetching the model: 125 of 502 MB, 12.5 MB a second, about 30 s left."
    stub_worker.now = replace(stub_worker.now, state="failed", message="There is no repository x at y.")
    visit.run()
    assert [error.value for error in visit.at.error] == ["There is no repository x at y\\."]
    assert [button.label for button in visit.at.main.button] == ["Try again"]
    # Everyone else goes on.
    assert Visit(query={"encoder": BASELINE}).figures["Films"] == "17,472"


def test_vectors_and_files_can_be_removed(
    elsewhere: Callable[..., None], tmp_path: Path, stub_worker: StubWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(vectors=tmp_path / "vectors")
    texts = list(cache.catalogue().genre_lists)
    facts = {"device": "CPU", "dtype": "float32", "reason": "For a test.", "seconds": "2", "texts": str(len(texts))}
    vectors = np.random.default_rng(0).normal(size=(len(texts), 8)).astype(np.float32)
    cache.store().write(encoders.key(ROBERTA), texts, vectors, facts)
    snapshot = checkpoints._snapshot(ROBERTA)
    snapshot.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (snapshot / name).write_bytes(b"x" * 1_000_000)
    visit = select(Visit("encoders", {"encoder": BASELINE}), "roberta-base")
    table = visit.table("encoder_table").set_index("encoder")
    assert table.loc["roberta-base", ["files", "stored", "speed"]].tolist() == [
        "fetched, 3 MB",
        "1,187 of 1,187",
        1187 / 2,
    ]
    monkeypatch.setenv("GENRESCOPE_DOWNLOADS", "off")
    assert not visit.run().at.main.button
    monkeypatch.delenv("GENRESCOPE_DOWNLOADS")
    by_label = {button.label: button for button in visit.run().at.main.button}
    assert list(by_label) == ["Remove its vectors", "Remove its files (3 MB)"]
    by_label["Remove its files (3 MB)"].click()
    visit.run()
    assert not snapshot.exists()
    assert [button.label for button in visit.at.main.button] == ["Remove its vectors"]
    visit.at.main.button[0].click()
    visit.run()
    assert visit.table("encoder_table").set_index("encoder").loc["roberta-base", "stored"] == "0 of 1,187"
    assert [button.label for button in visit.at.main.button] == ["Fetch and encode"]
    assert stub_worker.submitted == []


@pytest.mark.usefixtures("shipped")
def test_a_link_cannot_ask_for_anything_else(stub_worker: StubWorker) -> None:
    for asked in ("acme/evil", f"acme/evil@{REVISION}", "https://example.org/x", "../../etc/passwd"):
        visit = Visit("encoders", {"encoder": asked, "dtype": "float64", "standardize": "maybe"})
        assert (visit.settings.encoder, visit.settings.dtype) == (encoders.DEFAULT_ENCODER, "auto")
        assert visit.settings.standardize is False
    assert stub_worker.submitted == []


@pytest.mark.usefixtures("shipped")
def test_the_deployers_encoders_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(encoders.SETTING, f"acme/*bold*@{REVISION}")
    visit = Visit("encoders", {"encoder": BASELINE})
    (error,) = visit.at.error
    assert "is not owner/name@revision" in unescaped(error.value)
    monkeypatch.setenv(encoders.SETTING, f"acme/small_one@{REVISION}")
    visit = select(Visit("encoders", {"encoder": BASELINE}), "small_one")
    table = visit.table("encoder_table").set_index("encoder")
    assert table.loc["small_one", "files"] == "to fetch: size unknown"
    assert "small_one" in visit.at.sidebar.selectbox(key="encoder").options


@pytest.mark.usefixtures("shipped")
def test_standardised_dimensions_give_another_result() -> None:
    plain = Visit()
    changed = Visit(query={"standardize": "true"})
    assert changed.settings.standardize is True
    assert changed.figures["Silhouette"] != plain.figures["Silhouette"]
    captions = [caption.value for caption in changed.at.caption]
    assert any("Dimensions are standardised." in caption for caption in captions)
    plain.at.sidebar.toggle(key="standardize").set_value(True)
    assert plain.run().figures == changed.figures


@pytest.mark.usefixtures("shipped")
def test_every_page_with_the_free_text_baseline() -> None:
    visit = Visit(query={"encoder": "tf-idf", "k": "5"})
    assert visit.figures["Clusters (k)"] == "5"
    for page in ("cluster", "films", "encoders", "overview"):
        visit.go(page)
