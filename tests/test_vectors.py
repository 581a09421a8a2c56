import errno
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core import vectors as vectors_module
from core.vectors import VectorStore

ROOT = Path(__file__).resolve().parents[1]
KEY = "minilm-0123456789ab"
FACTS = {
    "device": "CPU, 2 cores",
    "dtype": "float32",
    "reason": "For a test.",
    "seconds": "1.5",
    "texts": "3",
}
TEXTS = ["Drama", "Comedy, Drama", "Ärger, 戦争"]


def numbers(texts: list[str], dimension: int = 4) -> np.ndarray:
    """Vectors that depend on nothing but their text."""
    rows = [np.random.default_rng(list(text.encode())).normal(size=dimension) for text in texts]
    return np.array(rows, dtype=np.float32)


@pytest.fixture
def store(tmp_path: Path) -> VectorStore:
    return VectorStore(tmp_path / "vectors")


def part(store: VectorStore) -> Path:
    (path,) = (store.root / KEY).glob("part-*.parquet")
    return path


def test_an_empty_store(store: VectorStore) -> None:
    assert store.missing(KEY, ["Drama", "Comedy", "Drama"]) == ["Drama", "Comedy"]
    assert store.facts(KEY) == {}
    assert store.damaged(KEY) == []
    assert not store.in_memory(KEY)
    assert not store.root.exists()  # looking writes nothing
    with pytest.raises(LookupError, match=r"2 of 2 texts have no stored vector"):
        store.load(KEY, ["Drama", "Comedy"])


def test_what_is_written_is_read_in_any_order(store: VectorStore) -> None:
    store.write(KEY, TEXTS, numbers(TEXTS), FACTS)
    for reader in (store, VectorStore(store.root)):
        order = [TEXTS[2], TEXTS[0], TEXTS[2]]
        loaded = reader.load(KEY, order)
        assert loaded.dtype == np.float32
        assert np.array_equal(loaded, numbers(order))
        assert reader.missing(KEY, [*TEXTS, "Horror"]) == ["Horror"]
        with pytest.raises(LookupError, match="1 of 2 texts"):
            reader.load(KEY, ["Drama", "Horror"])
        assert reader.load(KEY, []).size == 0
    assert store.missing("another-key", ["Drama"]) == ["Drama"]


def test_the_layout_is_one_that_others_can_read(store: VectorStore) -> None:
    store.write(KEY, TEXTS, numbers(TEXTS), FACTS)
    table = pq.read_table(part(store))
    assert table.column_names == ["text", "vector"]
    assert table.schema.field("text").type == pa.string()
    assert table.schema.field("vector").type.value_type == pa.float32()
    assert table.column("text").to_pylist() == TEXTS
    assert {b"genrescope.version", b"genrescope.sha256", b"genrescope.facts"} <= table.schema.metadata.keys()
    numbers_of = pq.ParquetFile(part(store)).metadata.row_group(0).column(1)
    assert numbers_of.compression == "ZSTD"
    assert not numbers_of.has_dictionary_page


def test_facts_are_those_of_the_newest_part_with_sums(store: VectorStore) -> None:
    store.write(KEY, TEXTS[:1], numbers(TEXTS[:1]), FACTS)
    store.write(KEY, TEXTS[1:], numbers(TEXTS[1:]), {**FACTS, "device": "NVIDIA T4", "seconds": "0.25"})
    facts = store.facts(KEY)
    assert facts["device"] == "NVIDIA T4"
    assert facts["dtype"] == "float32"
    assert float(facts["seconds"]) == 1.75
    assert facts["texts"] == "3"


@pytest.mark.parametrize(
    ("texts", "vectors", "words"),
    [
        (["a", "b"], np.array([[1, 2], [np.nan, 1]], np.float32), "not a finite number"),
        (["a"], np.array([[np.inf]], np.float32), "not a finite number"),
        (["a"], np.ones((2, 2), np.float32), "do not fit"),
        (["a"], np.ones(2, np.float32), "do not fit"),
        ([], np.ones((0, 2), np.float32), "do not fit"),
        (["a", "a"], np.ones((2, 2), np.float32), "occurs twice"),
    ],
)
def test_bad_vectors_are_refused(store: VectorStore, texts: list[str], vectors: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        store.write(KEY, texts, vectors, FACTS)
    with pytest.raises(ValueError, match=words):
        store.keep(KEY, texts, vectors, FACTS)
    assert not store.root.exists()


def test_kept_vectors_count_as_stored(store: VectorStore) -> None:
    store.write(KEY, TEXTS[:1], numbers(TEXTS[:1]), FACTS)
    given = numbers(TEXTS[1:])
    store.keep(KEY, TEXTS[1:], given, FACTS)
    given[:] = 0  # the store has a copy of its own
    assert store.in_memory(KEY)
    assert store.missing(KEY, TEXTS) == []
    assert np.array_equal(store.load(KEY, TEXTS), numbers(TEXTS))
    assert store.facts(KEY)["texts"] == "3"
    assert VectorStore(store.root).missing(KEY, TEXTS) == TEXTS[1:]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = VectorStore(tmp_path / "file" / "vectors")
    with pytest.raises(OSError, match="Not a directory"):
        store.write(KEY, TEXTS, numbers(TEXTS), FACTS)
    assert store.missing(KEY, TEXTS) == TEXTS


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing_behind(store: VectorStore, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store.write(KEY, TEXTS[:1], numbers(TEXTS[:1]), FACTS)
    with monkeypatch.context() as patch:
        patch.setattr(*{"fsync": (os, "fsync", full), "replace": (Path, "replace", full)}[step])
        with pytest.raises(OSError, match="No space left"):
            store.write(KEY, TEXTS[1:], numbers(TEXTS[1:]), FACTS)
    assert list((store.root / KEY).iterdir()) == [part(store)]
    assert store.missing(KEY, TEXTS) == TEXTS[1:]


def test_readers_never_see_a_part_before_it_is_whole(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    replace = Path.replace

    def look_first(self: Path, target: Path) -> Path:
        assert self.parent == target.parent
        seen.append(VectorStore(store.root).missing(KEY, TEXTS))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", look_first)
    store.write(KEY, TEXTS, numbers(TEXTS), FACTS)
    assert seen == [TEXTS]
    assert store.missing(KEY, TEXTS) == []


def test_leftovers_are_never_read(store: VectorStore) -> None:
    store.write(KEY, TEXTS, numbers(TEXTS), FACTS)
    path = part(store)
    path.rename(path.with_name(f".{path.name}.tmp"))
    (path.parent / "part-folder.parquet").mkdir()
    (path.parent / "notes.txt").write_text("not a part")
    assert store.missing(KEY, TEXTS) == TEXTS
    assert store.damaged(KEY) == []


def test_any_flipped_byte_is_harmless(store: VectorStore) -> None:
    store.write(KEY, TEXTS, numbers(TEXTS), FACTS)
    path = part(store)
    good = path.read_bytes()
    expected = numbers(TEXTS)
    caught = 0
    for place in range(0, len(good), 7):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :])
        reader = VectorStore(store.root)
        if reader.missing(KEY, TEXTS):
            assert reader.missing(KEY, TEXTS) == TEXTS
            assert reader.damaged(KEY) == [path.name]
            caught += 1
        else:  # the byte meant nothing
            assert np.array_equal(reader.load(KEY, TEXTS), expected)
    assert caught > len(good) / 7 / 2


def _foreign(key: str, version: int, path: Path) -> None:
    """Write a part for another key or store version."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors_module, "STORE_VERSION", version)
        path.write_bytes(vectors_module._part_bytes(key, TEXTS, numbers(TEXTS), FACTS))


def test_parts_that_cannot_be_trusted_are_skipped_and_logged_once(
    store: VectorStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.write(KEY, TEXTS, numbers(TEXTS), FACTS)
    good = part(store)
    folder = good.parent
    (folder / "part-1.parquet").write_bytes(b"")
    (folder / "part-2.parquet").write_bytes(good.read_bytes()[:-40])
    (folder / "part-3.parquet").write_bytes(os.urandom(2000))
    pq.write_table(pa.table({"text": TEXTS, "vector": numbers(TEXTS).tolist()}), folder / "part-4.parquet")
    _foreign("another-key", vectors_module.STORE_VERSION, folder / "part-5.parquet")
    _foreign(KEY, vectors_module.STORE_VERSION + 1, folder / "part-6.parquet")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert store.missing(KEY, [*TEXTS, "Horror"]) == ["Horror"]
    assert store.damaged(KEY) == [f"part-{number}.parquet" for number in range(1, 7)]
    assert len(caplog.records) == 6
    assert "part-5.parquet: it belongs to another-key." in caplog.text
    assert f"part-6.parquet: it is of store version {vectors_module.STORE_VERSION + 1}" in caplog.text
    assert np.array_equal(store.load(KEY, TEXTS), numbers(TEXTS))
    assert store.facts(KEY)["texts"] == "3"


def test_a_part_of_another_dimension_is_skipped(store: VectorStore) -> None:
    store.write(KEY, ["odd"], numbers(["odd"], dimension=3), FACTS)
    store.write(KEY, TEXTS, numbers(TEXTS), FACTS)
    assert store.missing(KEY, ["odd", *TEXTS]) == ["odd"]
    assert len(store.damaged(KEY)) == 1
    store.write(KEY, ["odd"], numbers(["odd"]), FACTS)
    assert np.array_equal(store.load(KEY, ["odd", *TEXTS]), numbers(["odd", *TEXTS]))


def test_damage_between_two_looks(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(KEY, TEXTS, numbers(TEXTS), FACTS)
    assert store.missing(KEY, TEXTS) == []
    path = part(store)
    status = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as rot on the disk: no stamp tells
    with pytest.raises(LookupError, match="3 of 3"):
        store.load(KEY, TEXTS)
    assert store.missing(KEY, TEXTS) == TEXTS
    store.write(KEY, TEXTS, numbers(TEXTS), FACTS)
    assert np.array_equal(store.load(KEY, TEXTS), numbers(TEXTS))


def test_removed_and_repaired_parts_are_noticed(store: VectorStore) -> None:
    store.write(KEY, TEXTS, numbers(TEXTS), FACTS)
    path = part(store)
    good = path.read_bytes()
    assert store.missing(KEY, TEXTS) == []
    path.unlink()
    assert store.missing(KEY, TEXTS) == TEXTS
    path.write_bytes(good[:100])
    assert store.damaged(KEY) == [path.name]
    path.write_bytes(good)
    assert store.missing(KEY, TEXTS) == []
    assert store.damaged(KEY) == []


def test_looking_again_reads_no_file_again(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in TEXTS:
        store.write(KEY, [text], numbers([text]), FACTS)
    store.missing(KEY, TEXTS)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail(f"{self.name} was read again"))
    assert store.missing(KEY, TEXTS) == []
    assert store.facts(KEY)["texts"] == "3"


WRITER = """
import sys, numpy as np
from pathlib import Path
from core.vectors import VectorStore
store = VectorStore(Path(sys.argv[1]))
for n in range(40):
    texts = [f"{sys.argv[3]} {n} {m}" for m in range(5)] + ["both"]
    store.write(sys.argv[2], texts, np.full((6, 8), n + 1, np.float32), {"seconds": "0.1"})
"""


def test_two_processes_and_many_threads_at_once(store: VectorStore) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(store.root), KEY, name], cwd=ROOT)
        for name in ("left", "right")
    ]
    wanted = [f"{name} {n} {m}" for name in ("left", "right") for n in range(40) for m in range(5)]
    problems: list[object] = []

    def read() -> None:
        while any(process.poll() is None for process in processes):
            missing = set(store.missing(KEY, wanted))
            stored = [text for text in wanted if text not in missing]
            if stored:
                expected = [int(text.split()[1]) + 1 for text in stored]
                if store.load(KEY, stored)[:, 0].tolist() != expected:
                    problems.append("wrong vectors")
            problems.extend(store.damaged(KEY))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in processes] == [0, 0]
    assert problems == []
    assert store.missing(KEY, [*wanted, "both"]) == []
    assert len(list((store.root / KEY).iterdir())) == 80
