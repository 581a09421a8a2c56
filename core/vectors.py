"""The vector store: a folder of Parquet parts for each encoder, `<root>/<encoder key>/part-*.parquet`.

A part holds `(text, vector)`, is written under a temporary name and renamed, and is never changed after that.
So readers never see half a part, processes never block each other, and what a killed job had finished stays.
"""

import hashlib
import json
import logging
import os
import shutil
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from core.encoders import STORE_VERSION

Float32 = npt.NDArray[np.float32]
Stamp = tuple[int, int, int]

DEFAULT_VECTORS = Path(__file__).resolve().parent.parent / "vectors"

LEFT_SECONDS = 3600.0  # how long a part's temporary file is taken to be still written; it takes milliseconds

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Part:
    """What is remembered of a part between two looks at the folder: all but its vectors.

    `problem` says why the part is skipped; `stamp` is None where it is worth trying again.
    """

    stamp: Stamp | None
    texts: tuple[str, ...] = ()
    dimension: int = 0
    facts: Mapping[str, str] | None = None
    problem: str | None = None


@dataclass(frozen=True)
class _Kept:
    """A chunk that could not be written and lives in memory."""

    rows: Mapping[str, int]
    vectors: Float32
    facts: Mapping[str, str]


@dataclass(frozen=True)
class _Index:
    """A key's parts, the name of the part that serves each text, and which parts are skipped and why."""

    parts: Mapping[str, _Part]
    names: Mapping[str, str]
    skipped: Mapping[str, str]


class VectorStore:
    """Vectors by encoder key and text: on disk, or in memory where the disk cannot be written.

    Safe to use from many threads and many processes. Parts that cannot be trusted (unreadable, foreign, of
    another store version, with a wrong checksum or dimension) are skipped, logged once, and listed by
    `damaged`; their texts count as missing.
    """

    def __init__(self, root: Path) -> None:
        """Use a folder, which need not exist yet."""
        self.root = Path(root).absolute()
        self._lock = threading.RLock()
        self._indexes: dict[str, _Index] = {}
        self._kept: dict[str, list[_Kept]] = {}
        self._swept: set[str] = set()

    def missing(self, key: str, texts: Sequence[str]) -> list[str]:
        """Return the distinct texts without a vector, in the order of the texts."""
        with self._lock:
            names = self._look(key).names
            kept = {text for chunk in self._kept.get(key, ()) for text in chunk.rows}
        return [text for text in dict.fromkeys(texts) if text not in names and text not in kept]

    def load(self, key: str, texts: Sequence[str]) -> Float32:
        """Return the vectors of the texts, shape (n_texts, dimension), in their order.

        Raises LookupError, with a sentence that tells how many, when texts have no vector.
        """
        with self._lock:
            index = self._look(key)
            kept = list(self._kept.get(key, ()))
        wanted = set(texts)
        found: dict[str, Float32] = {}
        for chunk in kept:
            found |= {text: chunk.vectors[row] for text, row in chunk.rows.items() if text in wanted}
        for name in {index.names[text] for text in wanted if text in index.names and text not in found}:
            # Read and checked again: a part may have been damaged or removed since the last look.
            part, vectors = self._read(key, name)
            if part.problem is not None:
                self._distrust(key, name, part)
                continue
            for row, text in enumerate(part.texts):
                if text in wanted and index.names.get(text) == name:
                    found[text] = vectors[row]
        if len(found) < len(wanted):
            lacking = len(wanted) - len(found)
            raise LookupError(f"{lacking:,} of {len(wanted):,} texts have no stored vector. Encode them first.")
        return np.stack([found[text] for text in texts]) if texts else np.zeros((0, 0), dtype=np.float32)

    def write(self, key: str, texts: Sequence[str], vectors: Float32, facts: Mapping[str, str]) -> None:
        """Store vectors (n_texts, dimension) as one part, with facts about how they were made.

        Raises ValueError when texts and vectors do not fit together or a value is not finite, and OSError
        when the disk cannot be written, which leaves nothing behind.
        """
        name, data = part(key, texts, vectors, facts)
        folder = self.root / key
        folder.mkdir(parents=True, exist_ok=True)
        if key not in self._swept:
            self._swept.add(key)
            _sweep(folder)
        temporary = folder / f".{name}.tmp"
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(folder / name)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(folder)

    def keep(self, key: str, texts: Sequence[str], vectors: Float32, facts: Mapping[str, str]) -> None:
        """Keep vectors (n_texts, dimension) in memory, for as long as this object lives.

        Raises ValueError as `write` does.
        """
        vectors = _checked(texts, vectors).copy()
        kept = _Kept({text: row for row, text in enumerate(texts)}, vectors, dict(facts))
        with self._lock:
            self._kept.setdefault(key, []).append(kept)

    def remove(self, key: str) -> None:
        """Forget a key's vectors: delete its folder, and what is kept in memory. Raises OSError where it cannot."""
        with self._lock:
            self._kept.pop(key, None)
            if (self.root / key).is_dir():
                shutil.rmtree(self.root / key)

    def remove_of(self, owner: str) -> None:
        """Forget what an owner has in memory."""
        with self._lock:
            for key in [key for key in self._kept if key.endswith(f".{owner}")]:
                del self._kept[key]

    def in_memory(self, key: str) -> bool:
        """Return whether some of the key's vectors are in memory only, as the disk could not be written."""
        with self._lock:
            return bool(self._kept.get(key))

    def facts(self, key: str) -> dict[str, str]:
        """Return how the key's vectors were made; empty where there are none.

        The newest part's facts, with `seconds` (encoding time in seconds) and `texts` summed over all parts.
        """
        with self._lock:
            index = self._look(key)
            used = [
                (part.facts or {}, len(part.texts))
                for name, part in sorted(index.parts.items())
                if name not in index.skipped
            ]
            used += [(chunk.facts, len(chunk.rows)) for chunk in self._kept.get(key, ())]
        if not used:
            return {}
        seconds = sum(_number(facts.get("seconds", "")) for facts, _ in used)
        texts = sum(count for _, count in used)
        return {**used[-1][0], "seconds": f"{seconds:.3f}", "texts": str(texts)}

    def size(self) -> tuple[int, int]:
        """Return how many parts the folder has, of all keys, and their bytes on the disk; what is in memory is not."""
        try:
            folders = [folder for folder in self.root.iterdir() if folder.is_dir()]
        except OSError:  # no folder yet: nothing stored
            return 0, 0
        sizes = [size for folder in folders for size, _, _ in _listing(folder).values()]
        return len(sizes), sum(sizes)

    def damaged(self, key: str) -> list[str]:
        """Return the file names of the key's parts that are skipped, sorted."""
        with self._lock:
            return sorted(self._look(key).skipped)

    def _look(self, key: str) -> _Index:
        """Look at the folder, read the parts that are new or changed, and return the index of all."""
        old = self._indexes.get(key, _Index({}, {}, {}))
        parts: dict[str, _Part] = {}
        for name, stamp in _listing(self.root / key).items():
            known = old.parts.get(name)
            parts[name] = known if known and known.stamp == stamp else self._read(key, name, stamp)[0]
        if parts != old.parts:
            self._settle(key, parts)
        return self._indexes.get(key, old)

    def _settle(self, key: str, parts: Mapping[str, _Part]) -> None:
        """Make the index of a key anew from its parts, and log what is newly skipped."""
        skipped = {name: part.problem for name, part in parts.items() if part.problem is not None}
        sizes: Counter[int] = Counter()
        for name in sorted(parts, reverse=True):
            sizes[parts[name].dimension] += len(parts[name].texts)
        # The dimension that most texts have is the right one, the newest of equals: an odd part must neither
        # win over the others nor over those that are written in its stead.
        dimension = max(sizes, key=lambda size: sizes[size], default=0)
        for name, part in parts.items():
            if part.problem is None and part.dimension != dimension:
                skipped[name] = f"its vectors have {part.dimension} numbers, the others' {dimension}"
        names: dict[str, str] = {}
        for name in sorted(parts.keys() - skipped.keys()):
            for text in parts[name].texts:
                names.setdefault(text, name)  # the oldest serves, so that a vector once served stays
        before = self._indexes.get(key, _Index({}, {}, {})).skipped
        for name in sorted(skipped.keys() - before.keys()):
            log.warning("The vector store skips %s/%s: %s.", key, name, skipped[name])
        self._indexes[key] = _Index(parts, names, skipped)

    def _distrust(self, key: str, name: str, part: _Part) -> None:
        """Skip a part that was fine when the folder was looked at, and is not now."""
        with self._lock:
            parts = dict(self._look(key).parts)
            if name in parts:
                self._settle(key, {**parts, name: part})

    def _read(self, key: str, name: str, stamp: Stamp | None = None) -> tuple[_Part, Float32]:
        """Read and check a part; what is wrong with it is in the part's `problem`."""
        nothing = np.zeros((0, 0), dtype=np.float32)
        path = self.root / key / name
        try:
            stamp = stamp or _stamp(path.stat())
            data = path.read_bytes()
        except OSError as error:  # of the moment perhaps, so no stamp: the next look tries again
            return _Part(None, problem=f"it cannot be read ({error.strerror or type(error).__name__})"), nothing
        try:
            texts, vectors, facts = part_contents(data, key)
        except MemoryError:
            return _Part(None, problem="there is no memory to read it"), nothing
        except Exception as error:  # foreign bytes make pyarrow raise errors of many kinds
            return _Part(stamp, problem=_reason(error)), nothing
        return _Part(stamp, texts, vectors.shape[1], facts), vectors


def _listing(folder: Path) -> dict[str, Stamp]:
    """Return the parts in a folder with what changes when a file does; temporary files are left out."""
    listing: dict[str, Stamp] = {}
    with suppress(OSError), os.scandir(folder) as entries:  # no folder yet: nothing stored
        for entry in entries:
            if is_part(entry.name):
                with suppress(OSError):  # removed in this very moment
                    if entry.is_file():
                        listing[entry.name] = _stamp(entry.stat())
    return listing


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed while they wrote have left: temporary files that nobody writes to."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".part-") and entry.name.endswith(".tmp"):
                with suppress(OSError):
                    if time.time() - entry.stat().st_mtime > LEFT_SECONDS:
                        Path(entry.path).unlink()


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ino


def _checked(texts: Sequence[str], vectors: Float32) -> Float32:
    """Return the vectors as a contiguous float32 array; raise ValueError when they do not fit the texts."""
    result = np.ascontiguousarray(vectors, dtype="<f4")
    if not texts or result.ndim != 2 or result.shape[0] != len(texts) or result.shape[1] == 0:
        raise ValueError(f"{len(texts)} texts do not fit vectors of shape {result.shape}.")
    if len(set(texts)) != len(texts):
        raise ValueError("A text occurs twice among those to store.")
    if not np.isfinite(result).all():
        raise ValueError("A vector holds a value that is not a finite number, so none was stored.")
    return result


def _checksum(key: str, texts: Sequence[str], vectors: Float32, facts: str) -> str:
    """Return the SHA-256 over all a part holds, its key included: a part moved elsewhere is foreign there."""
    head = json.dumps([STORE_VERSION, key, list(texts), list(vectors.shape), facts])
    digest = hashlib.sha256(head.encode())
    digest.update(vectors.astype("<f4").tobytes())
    return digest.hexdigest()


def part(key: str, texts: Sequence[str], vectors: Float32, facts: Mapping[str, str]) -> tuple[str, bytes]:
    """Return the name and the bytes of a new part with vectors (n_texts, dimension). Raises ValueError as `write`."""
    data = _part_bytes(key, texts, _checked(texts, vectors), facts)
    # The name starts with the time, so names in order are parts in the order they were written.
    return f"part-{time.time_ns():020d}-{uuid.uuid4().hex[:12]}.parquet", data


def is_part(name: str) -> bool:
    """Return whether a file name is that of a part that is whole."""
    return name.startswith("part-") and name.endswith(".parquet")


def _part_bytes(key: str, texts: Sequence[str], vectors: Float32, facts: Mapping[str, str]) -> bytes:
    """Return a part as the bytes of a Parquet file."""
    about = json.dumps(dict(facts), sort_keys=True)
    metadata = {
        "genrescope.version": str(STORE_VERSION),
        "genrescope.key": key,
        "genrescope.facts": about,
        "genrescope.sha256": _checksum(key, texts, vectors, about),
    }
    offsets = pa.array(np.arange(len(texts) + 1) * vectors.shape[1], pa.int32())
    table = pa.table(
        {
            "text": pa.array(list(texts), pa.string()),
            "vector": pa.ListArray.from_arrays(offsets, pa.array(vectors.ravel(), pa.float32())),
        }
    ).replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    # Numbers that are all different gain nothing from a dictionary.
    pq.write_table(table, sink, use_dictionary=False, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def part_contents(data: bytes, key: str) -> tuple[tuple[str, ...], Float32, dict[str, str]]:
    """Return a part's texts, vectors (n, dimension) and facts; raise what shows that it cannot be trusted."""
    # In this thread: others cannot be started where memory is short, and then a part would seem damaged.
    table = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(use_threads=False)
    metadata = {name.decode(): value.decode() for name, value in (table.schema.metadata or {}).items()}
    version = metadata.get("genrescope.version")
    if version is None:
        raise ValueError("it was not written by this vector store")
    if version != str(STORE_VERSION):
        raise ValueError(f"it is of store version {version}, this is version {STORE_VERSION}")
    if metadata.get("genrescope.key") != key:
        raise ValueError(f"it belongs to {metadata.get('genrescope.key')}")
    texts = tuple(table.column("text").to_pylist())
    column = table.column("vector").combine_chunks()
    vectors = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(len(texts), -1)
    widths = column.value_lengths().to_numpy(zero_copy_only=False)
    facts = metadata["genrescope.facts"]
    good = (widths == vectors.shape[1]).all() and np.isfinite(vectors).all()
    if not good or _checksum(key, texts, vectors, facts) != metadata["genrescope.sha256"]:
        raise ValueError("its checksum does not match")
    return texts, vectors, json.loads(facts)


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(". ") or type(error).__name__


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the file system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
