"""Encoding on a cluster: the same vectors as here, whatever dies in the middle."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from core import encoders, ray_engine
from core.movies import Catalogue
from core.vectors import VectorStore

ROOT = Path(__file__).resolve().parents[1]
MINILM = encoders.get(encoders.DEFAULT_ENCODER)
KEY = encoders.key(MINILM)


def test_places(tmp_path: Path) -> None:
    assert ray_engine.is_uri("s3://bucket/vectors")
    assert not ray_engine.is_uri("vectors")
    system, path = ray_engine.file_system(f"file://{tmp_path}/vectors")
    ray_engine.write(system, f"{path}/{KEY}", *ray_engine.vectors.part(KEY, ["a"], np.ones((1, 3), np.float32), {}))
    assert ray_engine.stored(system, f"{path}/{KEY}", KEY) == {"a"}
    assert ray_engine.stored(system, f"{path}/{KEY}", "another") == set()
    assert VectorStore(tmp_path / "vectors").load(KEY, ["a"]).tolist() == [[1, 1, 1]]
    (tmp_path / "vectors" / KEY / "part-broken.parquet").write_bytes(b"no")
    assert ray_engine.stored(system, f"{path}/{KEY}", KEY) == {"a"}
    with pytest.raises(ValueError, match="is no place that can be read"):
        ray_engine.file_system("nothing://x")
    (tmp_path / "films.csv").write_text("title,genres\n")
    with ray_engine.local_copy(f"file://{tmp_path}/films.csv") as copy:
        assert copy.read_text() == "title,genres\n"
        assert copy != tmp_path / "films.csv"
    assert not copy.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "ray", "--encoder", "multi-hot"], "needs no encoding"),
        (["--engine", "ray", "--out", "x.parquet"], "--out is for --engine local"),
        (["--address", "auto"], "need --engine ray"),
        (["--vectors", "s3://bucket/x"], "need --engine ray"),
    ],
)
def test_what_cannot_be_asked_for(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    from core.__main__ import main

    assert main(["embed", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(encoders.EncoderError, match=r"requirements-ray\.txt"):
        ray_engine.encode(MINILM, ["Drama"], str(tmp_path))


def encoding_processes() -> list[psutil.Process]:
    """Return the processes of Ray below this one in which an actor encodes."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "MapWorker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_two_workers_one_of_them_killed(catalogue: Catalogue, vector_store: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")
    texts = catalogue.genre_lists[:400]
    place, killed = tmp_path / "vectors", list[int]()

    def kill_one() -> None:
        """Kill an actor when the first part is there."""
        while not list(place.rglob("part-*.parquet")):
            time.sleep(0.05)
        for process in encoding_processes()[:1]:
            killed.append(process.pid)
            process.kill()

    thread = threading.Thread(target=kill_one, daemon=True)
    thread.start()
    told: list[tuple[int, int]] = []
    made = ray_engine.encode(
        MINILM, texts, str(place), n_workers=2, chunk_size=20, on_progress=lambda *far: told.append(far)
    )
    thread.join(5)
    assert made == 400
    assert len(killed) == 1
    assert told[0] == (0, 400)
    assert told[-1] == (400, 400)
    encoded = VectorStore(place).load(KEY, texts)
    assert np.abs(encoded - VectorStore(vector_store).load(KEY, texts)).max() < 1e-5
    assert ray_engine.encode(MINILM, texts, str(place)) == 0  # nothing left to do, and no cluster is started


def test_importing_it_loads_no_ray() -> None:
    words = "import sys; from core import ray_engine; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", words], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False"
