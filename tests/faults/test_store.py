"""The vector store when the disk is full or read-only, when others write to it, and when somebody meddles with it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core import devices, embeddings, encoders, vectors, worker
from core.devices import Device
from core.embeddings import Model
from core.encoders import DEFAULT_ENCODER
from core.vectors import VectorStore

ROOT = Path(__file__).resolve().parents[2]
MINILM = encoders.get(DEFAULT_ENCODER)
KEY = encoders.key(MINILM)
TEXTS = [f"text {number}" for number in range(64)]


def numbers(texts: list[str], dimension: int = 384) -> np.ndarray:
    """Vectors that depend on nothing but their text."""
    return np.array([np.random.default_rng(list(t.encode())).normal(size=dimension) for t in texts], dtype=np.float32)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder whose vectors are `numbers`: how they are made is no matter here."""

    def load(encoder: encoders.Encoder, device: Device, on_bytes: object) -> Model:
        return Model(encoder, device, None, None)

    def chunks(model: Model, texts: list[str], size: int) -> object:
        for start in range(0, len(texts), size):
            rows = np.arange(start, min(start + size, len(texts)))
            yield rows, numbers([texts[row] for row in rows])

    monkeypatch.setattr(devices, "choose", lambda *args: Device("cpu", "CPU", "float32", "For a test."))
    monkeypatch.setattr(embeddings, "encode_chunks", chunks)
    monkeypatch.setattr(worker.work, "__kwdefaults__", {**worker.work.__kwdefaults__, "load": load})


def encode(store: VectorStore) -> None:
    worker.work(MINILM, TEXTS, store, chunk_size=8)


def whole(store: VectorStore) -> bool:
    return np.array_equal(store.load(KEY, TEXTS), numbers(TEXTS))


@pytest.mark.usefixtures("quick")
def test_a_disk_that_fills_up_in_the_middle(mounted: Callable[[str], Path], caplog: pytest.LogCaptureFixture) -> None:
    disk = mounted("size=72k")  # a part of eight texts takes some 12 kB
    store = VectorStore(disk / "vectors")
    encode(store)
    assert whole(store)  # what had no room is in memory, so that the visitor gets an answer
    assert store.in_memory(KEY)
    assert "cannot be written (No space left on device): vectors stay in memory" in caplog.text
    assert caplog.text.count("cannot be written") == 1
    # What was written before is sound, and there is no half of anything.
    other = VectorStore(store.root)
    kept = [text for text in TEXTS if text not in other.missing(KEY, TEXTS)]
    assert 0 < len(kept) < len(TEXTS)
    assert np.array_equal(other.load(KEY, kept), numbers(kept))
    assert other.damaged(KEY) == []
    assert not list(disk.rglob("*.tmp"))
    # With room again, the rest is encoded and nothing else.
    subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
    encode(other)
    assert whole(other)
    assert not other.in_memory(KEY)
    assert int(other.facts(KEY)["texts"]) == len(TEXTS)


@pytest.mark.usefixtures("quick")
def test_a_read_only_disk(mounted: Callable[[str], Path]) -> None:
    disk = mounted("size=1m")
    half = VectorStore(disk)
    half.write(KEY, TEXTS[:32], numbers(TEXTS[:32]), {})
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    store = VectorStore(disk)
    encode(store)
    assert whole(store)
    assert store.in_memory(KEY)
    assert half.missing(KEY, TEXTS) == TEXTS[32:]  # which reads what was there
    with pytest.raises(OSError, match="Read-only file system"):
        store.write(KEY, ["more"], numbers(["more"]), {})
    with pytest.raises(OSError, match="Read-only file system"):
        store.remove(KEY)


LIMITED = """
import resource, sys
from pathlib import Path
from core.vectors import VectorStore
from tests.faults.test_store import KEY, TEXTS, numbers
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    VectorStore(Path(sys.argv[1])).write(KEY, TEXTS, numbers(TEXTS), {})
except OSError as error:
    print(error.strerror)
"""


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """The limit of a process rather than of a disk: needs no right to mount one."""
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout == "File too large\n"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


WRITER = """
import sys, numpy as np
from pathlib import Path
from core.vectors import VectorStore
root, key, name = sys.argv[1:]
store = VectorStore(Path(root))
for n in range(12):
    texts = [f"{name} {n} {m}" for m in range(4)] + [f"all {n}"]
    lacking = store.missing(key, texts)
    if lacking:
        store.write(key, lacking, np.full((len(lacking), 8), n + 1, np.float32), {"seconds": "0.1"})
"""


@pytest.mark.parametrize("n", [2, 8])
def test_many_processes_fill_one_store(tmp_path: Path, n: int) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path), KEY]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [subprocess.Popen([*command, str(i)], cwd=ROOT, env=environment) for i in range(n)]
    reader, wanted = VectorStore(tmp_path), [f"{i} {j} {m}" for i in range(n) for j in range(12) for m in range(4)]
    while any(process.poll() is None for process in processes):
        missing = set(reader.missing(KEY, wanted))
        found = [text for text in wanted if text not in missing]
        if found:
            assert reader.load(KEY, found)[:, 0].tolist() == [int(text.split()[1]) + 1 for text in found]
        assert reader.damaged(KEY) == []
        time.sleep(0.05)
    assert [process.wait() for process in processes] == [0] * n
    wanted += [f"all {j}" for j in range(12)]
    assert reader.missing(KEY, wanted) == []
    assert reader.load(KEY, wanted[-12:])[:, 0].tolist() == list(range(1, 13))
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.usefixtures("quick")
def test_whatever_lies_in_the_folder_costs_its_own_texts_only(tmp_path: Path) -> None:
    """Half a part, foreign files, a flipped byte and another version: all at once, and only their texts are encoded."""
    store = VectorStore(tmp_path)
    for start in range(0, 40, 8):
        store.write(KEY, TEXTS[start : start + 8], numbers(TEXTS[start : start + 8]), {})
    half, flipped, older, *sound = sorted((tmp_path / KEY).iterdir())
    half.write_bytes(half.read_bytes()[:5000])
    damaged = bytearray(flipped.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    flipped.write_bytes(damaged)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "STORE_VERSION", vectors.STORE_VERSION + 1)
        older.write_bytes(vectors._part_bytes(KEY, TEXTS[16:24], numbers(TEXTS[16:24]), {}))
    (tmp_path / KEY / "part-z.parquet").write_text("SELECT 1")
    (tmp_path / KEY / "holiday.jpg").write_bytes(os.urandom(500))
    (tmp_path / KEY / "part-y.parquet").symlink_to("/dev/zero")
    (tmp_path / "notes.txt").write_text("not a folder of an encoder")

    seen: list[int] = []
    fresh = VectorStore(tmp_path)
    worker.work(MINILM, TEXTS, fresh, lambda progress: seen.append(progress.already_stored), chunk_size=8)
    assert set(seen) == {16}
    assert whole(fresh)
    assert fresh.damaged(KEY) == sorted([half.name, flipped.name, older.name, "part-z.parquet"])
    assert (tmp_path / KEY / "holiday.jpg").exists()  # nothing of others is touched
    assert len(sound) == 2


def test_what_a_killed_writer_left_is_swept_away_in_time(tmp_path: Path) -> None:
    folder = tmp_path / KEY
    folder.mkdir()
    old, new, other = (folder / name for name in (".part-1.parquet.tmp", ".part-2.parquet.tmp", ".mine.tmp"))
    for path in (old, new, other):
        path.write_bytes(b"half a part")
    hours_ago = time.time() - 2 * vectors.LEFT_SECONDS
    for path in (old, other):
        os.utime(path, (hours_ago, hours_ago))
    store = VectorStore(tmp_path)
    assert store.missing(KEY, TEXTS) == TEXTS
    assert old.exists()  # reading removes nothing
    store.write(KEY, TEXTS, numbers(TEXTS), {})
    assert not old.exists()
    assert new.exists()  # somebody may be writing to it
    assert other.exists()
    assert store.missing(KEY, TEXTS) == []


def test_short_memory_is_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    VectorStore(tmp_path).write(KEY, TEXTS, numbers(TEXTS), {})

    def no_memory(data: bytes, key: str) -> None:
        raise MemoryError

    store = VectorStore(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(vectors, "part_contents", no_memory)
        assert store.missing(KEY, TEXTS) == TEXTS
    assert store.missing(KEY, TEXTS) == []  # tried again, though the file has not changed
    assert whole(store)
