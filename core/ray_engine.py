"""Encoding on a cluster of machines: Ray Data hands out the texts, and actors with the worker's own code encode them.

`python -m core embed --engine ray` is the way in. Every finished chunk is a part of the vector store, written by the
actor that made it, so what was finished when something dies is not made again. The store may be in object storage:
anything pyarrow has a file system for. ray is imported inside functions only, and only here; requirements-ray.txt.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import fs

from core import devices, embeddings, encoders, vectors
from core.encoders import Dtype, Encoder, EncoderError, WantedDtype

REPOSITORY = Path(__file__).resolve().parents[1]
CHUNK = 1024
PASSED_ON = ("GENRESCOPE_ENCODERS", "HF_HOME", "HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE", "OMP_NUM_THREADS")
NEEDED = "--engine ray needs Ray, which is not installed here. Install it with: pip install -r requirements-ray.txt"


def is_uri(text: str) -> bool:
    """Return whether a place is named as s3://bucket/folder is, and not as a path."""
    return "://" in text


def file_system(place: str) -> tuple[Any, str]:
    """Return the pyarrow file system of a path or an address, and the path in it. Raises ValueError."""
    if not is_uri(place):
        return fs.LocalFileSystem(), str(Path(place).expanduser().absolute())
    try:
        system, path = fs.FileSystem.from_uri(place)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{place} is no place that can be read: {' '.join(str(error).split())[:160]}") from error
    return system, path.rstrip("/")


@contextmanager
def local_copy(place: str) -> Iterator[Path]:
    """Give a catalogue as a file here: itself, or for an address a copy that goes again."""
    if not is_uri(place):
        yield Path(place).expanduser()
        return
    system, path = file_system(place)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(path).name
        with system.open_input_stream(path) as source, copy.open("wb") as target:
            while chunk := source.read(1 << 22):
                target.write(chunk)
        yield copy


def stored(system: Any, folder: str, key: str) -> set[str]:
    """Return the texts that have a vector in the folder of an encoder key, in parts that can be trusted."""
    found: set[str] = set()
    for info in system.get_file_info(fs.FileSelector(folder, allow_not_found=True)):
        if vectors.is_part(info.base_name):
            with suppress(OSError, ValueError, KeyError, pa.ArrowException), system.open_input_file(info.path) as file:
                found.update(vectors.part_contents(file.read(), key)[0])
    return found


def write(system: Any, folder: str, name: str, data: bytes) -> None:
    """Write a part so that no reader finds half of it: under another name first where the disk is local."""
    system.create_dir(folder, recursive=True)
    if not isinstance(system, fs.LocalFileSystem):  # object storage shows an object when it is whole
        with system.open_output_stream(f"{folder}/{name}") as stream:
            stream.write(data)
        return
    temporary = f"{folder}/.{name}.tmp"
    with system.open_output_stream(temporary) as stream:
        stream.write(data)
    system.move(temporary, f"{folder}/{name}")


class Encode:
    """What runs in an actor: one model, loaded once, that encodes batches of texts and writes each as a part."""

    def __init__(self, encoder_id: str, place: str, dtype: Dtype) -> None:
        """Load the model on the actor's own device."""
        encoder = encoders.get(encoder_id)
        self.model = embeddings.load(encoder, devices.choose(dtype))
        self.key = encoders.key(encoder, dtype)
        self.system, root = file_system(place)
        self.folder = f"{root}/{self.key}"

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Encode a batch of texts, write it, and return how many there were."""
        texts = [str(text) for text in batch["text"]]
        made = embeddings.encode(self.model, texts)
        device = self.model.device
        facts = {
            "encoder": self.model.encoder.id,
            "device": device.label,
            "dtype": device.dtype,
            "reason": f"{device.reason} Encoded on a Ray cluster.",
            "seconds": "nan",
            "texts": str(len(texts)),
        }
        write(self.system, self.folder, *vectors.part(self.key, texts, made, facts))
        return {"texts": np.array([len(texts)])}


def encode(
    encoder: Encoder,
    texts: Sequence[str],
    place: str,
    *,
    address: str | None = None,
    n_workers: int = 2,
    gpus: float = 0,
    dtype: WantedDtype = "auto",
    chunk_size: int = CHUNK,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Give every text a vector in the store at a path or an address, and return how many had to be made.

    With an `address` the work is done by that cluster, else by one of `n_workers` processes on this machine; each
    worker takes one core and `gpus` graphics cards. An actor that dies is started anew, and its batch done again.
    on_progress gets texts done and in all; Ray draws its own progress too. Raises EncoderError, ValueError.
    """
    try:
        import ray
    except ImportError as error:
        raise EncoderError(NEEDED) from error
    wanted = list(dict.fromkeys(texts))
    chosen: Dtype = "float32" if dtype == "auto" else dtype
    key = encoders.key(encoder, chosen)
    system, root = file_system(place)
    here = stored(system, f"{root}/{key}", key)
    missing = sorted((text for text in wanted if text not in here), key=len, reverse=True)  # alike texts together
    done = len(wanted) - len(missing)
    on_progress(done, len(wanted))
    if not missing:
        return 0
    started = not ray.is_initialized()
    if started:
        _start(ray, address, n_workers)
    try:
        rows = ray.data.from_arrow(pa.table({"text": missing})).repartition(-(-len(missing) // chunk_size))
        place = place if is_uri(place) else root  # actors have a working folder of their own
        counted = rows.map_batches(
            Encode,
            fn_constructor_args=(encoder.id, place, chosen),
            batch_size=chunk_size,
            compute=ray.data.ActorPoolStrategy(size=n_workers),
            num_cpus=1,
            num_gpus=gpus or None,
        )
        for batch in counted.iter_batches(batch_size=1):
            done += int(batch["texts"].sum())
            on_progress(min(done, len(wanted)), len(wanted))
    except (ray.exceptions.RayError, ray.data.exceptions.SystemException) as error:
        raise EncoderError(
            f"The Ray cluster could not finish: {embeddings.summary(error)} Run it again to go on."
        ) from error
    finally:
        if started:
            ray.shutdown()
    return len(missing)


def _start(ray: Any, address: str | None, n_workers: int) -> None:
    """Join a cluster, sending it this code, or start one of n_workers cores on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anyone
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    try:
        if address is None:
            environment = {"env_vars": {**passed, "PYTHONPATH": str(REPOSITORY)}}
            ray.init(num_cpus=n_workers + 1, include_dashboard=False, log_to_driver=False, runtime_env=environment)
            return
        leave = ["vectors", ".venv", ".git", "docs", "tests", "*.parquet"]
        ray.init(address, runtime_env={"working_dir": str(REPOSITORY), "excludes": leave, "env_vars": passed})
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise EncoderError(
            f"No Ray cluster answers at {address or 'this machine'}: {embeddings.summary(error)}"
        ) from error
