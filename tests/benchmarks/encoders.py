"""Speed and peak memory of the five encoders of the demo at their real size, with random weights.

The shapes are those of the originals, so time and memory are theirs; what the vectors mean is not. All go through one
worker process of the app, one after another, as an analyst has it who switches from one to the next.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from core import encoders
from core.vectors import VectorStore
from core.worker import FINISHED, Worker
from tests import hub
from tests.benchmarks import report

NOTE = """
Random weights in the shapes of the originals, all 1,187 genre lists, float32, one worker process after it has imported
torch; peak memory is since the encoder before was let go.
"""
SHAPES = {
    "distilbert-base-uncased": {"vocab_size": 30_522},
    "bert-base-uncased": {"vocab_size": 30_522},
    "bert-base-cased": {"vocab_size": 28_996},
    "roberta-base": {"vocab_size": 50_265, "max_position_embeddings": 514, "type_vocab_size": 1},
    "xlm-roberta-base": {"vocab_size": 250_002, "max_position_embeddings": 514, "type_vocab_size": 1},
}
PREFIX = "full-size-"


def build(folder: Path, name: str) -> Path:
    """Make a checkpoint with the original's shape, random weights and a small tokenizer of its family."""
    import torch
    import transformers

    classes = {
        "distilbert": (transformers.DistilBertForMaskedLM, transformers.DistilBertConfig),
        "bert": (transformers.BertForMaskedLM, transformers.BertConfig),
        "roberta": (transformers.RobertaForMaskedLM, transformers.RobertaConfig),
        "xlm-roberta": (transformers.XLMRobertaForMaskedLM, transformers.XLMRobertaConfig),
    }
    hub.build(folder, name, 0)
    pad = json.loads((folder / "config.json").read_text())["pad_token_id"]
    model, config = classes[hub.FAMILIES[name]]
    torch.manual_seed(0)
    model(config(**SHAPES[name], pad_token_id=pad)).save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 512}))
    return folder


def peak_memory(process: psutil.Process) -> float:
    """Return the most megabytes the process held resident since the last call, as the kernel counted."""
    folder = Path(f"/proc/{process.pid}")
    peak = int((folder / "status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
    (folder / "clear_refs").write_text("5")
    return peak


def measure(folder: Path) -> Iterator[tuple[str, float, float, float, float]]:
    """Yield for each encoder: id, seconds to load, texts a second, peak MB, and MB held when it is done."""
    texts = hub.genre_lists()
    checkpoints = {name: build(folder / f"{PREFIX}{name}", name) for name in SHAPES}
    os.environ[encoders.SETTING] = ",".join(map(str, checkpoints.values()))
    worker = Worker(VectorStore(folder / "vectors"))
    try:
        # The first job bears the import of torch, so it is one that nobody reads.
        for name, wanted in [("distilbert-base-uncased", ["Drama"]), *((name, texts) for name in SHAPES)]:
            started, loaded = time.perf_counter(), 0.0
            job = worker.submit(checkpoints[name].name, wanted)
            while (progress := worker.progress(job)).state not in FINISHED:
                if progress.state == "encoding" and not loaded:
                    loaded = time.perf_counter() - started
                time.sleep(0.02)
            if progress.state != "done" or worker.pid is None or progress.facts is None:
                raise RuntimeError(f"{name}: {progress.message}")
            child = psutil.Process(worker.pid)
            speed = len(wanted) / float(progress.facts["seconds"])
            if len(wanted) > 1:
                yield name, loaded, speed, peak_memory(child), child.memory_info().rss / 2**20
    finally:
        worker.close()
        os.environ.pop(encoders.SETTING, None)


def table() -> str:
    """Return the measurements as a Markdown table."""
    lines = [
        "| encoder | loading | texts a second | peak memory of the worker | held after encoding |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, loaded, speed, peak, held in measure(Path(folder)):
            lines.append(f"| {name} | {loaded:.1f} s | {speed:,.0f} | {peak:,.0f} MB | {held:,.0f} MB |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


def section() -> tuple[str, bool]:
    """Return the section of docs/benchmarks.md; it has no bounds."""
    return f"{report.made_by('encoders', ('torch', 'transformers'))}\n{NOTE}\n{table()}", True
