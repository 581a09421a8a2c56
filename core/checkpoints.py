"""Where a checkpoint's files are, and how they come here: package, folder, cache of the Hub, then the Hub itself.

Files lie in the cache that all Hugging Face libraries share (`HF_HOME`), so what one of them fetched the others find.
The Hub is asked only for files that are not here, after a short question whether it answers, and every file is held
against the hash it is stored under before it is used.
"""

import errno
import hashlib
import importlib.util
import os
import re
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from core.encoders import Encoder, EncoderError

# The Xet protocol reports no plain bytes and cannot go on with half a file.
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

ANSWER_SECONDS = 2.5  # for the Hub's first answer; without network, name servers may hang for longer
FILE = re.compile(
    r"config\.json|tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json|vocab\.txt|"
    r"vocab\.json|merges\.txt|sentencepiece\.bpe\.model|spiece\.model|model\.safetensors(\.index\.json)?|"
    r"model-\d{5}-of-\d{5}\.safetensors"
)
WEIGHTS = "model.safetensors"
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model")
# How much arrives before it is written and told; the library's 10 MiB are a minute of a slow line.
CHUNK_BYTES = 256 * 1024
LOCK_SECONDS = 0.5  # how often is told how far another process is that fetches the same file

Place = Literal["package", "folder", "cache", "hub"]
OnBytes = Callable[[int, int], None]


@dataclass(frozen=True)
class Found:
    """A checkpoint's folder and where it was found; `fetched` tells whether it came from the Hub just now."""

    folder: Path
    place: Place
    fetched: bool = False


def place(encoder: Encoder) -> Place:
    """Tell where an encoder's files would be taken from now, by a look at the disk."""
    if encoder.package and _package_folder(encoder) is not None:
        return "package"
    if encoder.folder is not None:
        return "folder"
    return "cache" if _is_complete(_snapshot(encoder)) else "hub"


def obtain(encoder: Encoder, on_bytes: OnBytes = lambda done, total: None, *, again: bool = False) -> Found:
    """Return the folder of an encoder's files, fetched from the Hub where they are not here.

    `on_bytes` gets the bytes that are here and the bytes there will be; what it raises ends the transfer, and the
    next call goes on with the bytes that are here. Damaged files of the cache are fetched anew; with `again` the Hub
    is asked what else it has, even if the cache looks complete. Raises EncoderError with a sentence for whatever
    stands in the way.
    """
    found = place(encoder)
    if found == "package":
        folder = _package_folder(encoder)
        assert folder is not None
        _check_package(encoder, folder)
        return Found(folder, found)
    if found == "folder":
        assert encoder.folder is not None
        if not any(encoder.folder.glob("*.safetensors")):
            raise EncoderError(
                f"The folder {encoder.folder} of {encoder.title} holds no weights in a .safetensors file. "
                "Other formats can run code when they are read, so they are not opened."
            )
        return Found(encoder.folder, found)
    if encoder.repository is None or encoder.revision is None:
        raise EncoderError(
            f"The files of {encoder.title} are not installed. Install the package {_distribution(encoder)}, then try "
            "again."
        )
    if found == "cache":
        damaged = _damaged(_snapshot(encoder))
        if not damaged and not again:
            return Found(_snapshot(encoder), "cache")
        for path in damaged:
            path.resolve().unlink(missing_ok=True)
            path.unlink(missing_ok=True)
    return Found(_fetch(encoder, on_bytes), "hub", fetched=True)


def remove(encoder: Encoder) -> int:
    """Remove an encoder's files from the Hub's cache and return the bytes that are free now.

    Only files of this revision that no other revision uses; a package's and a deployer's folder stay.
    """
    if encoder.repository is None:
        return 0
    snapshot = _snapshot(encoder)
    blobs, freed = snapshot.parents[1] / "blobs", 0
    mine = {path.resolve() for path in snapshot.glob("*")}
    others = {path.resolve() for path in snapshot.parent.glob("*/*") if path.parent != snapshot}
    for blob in [*(mine - others), *blobs.glob("*.part")]:
        with suppress(OSError):
            size = blob.stat().st_size
            blob.unlink()
            freed += size
    shutil.rmtree(snapshot, ignore_errors=True)
    return freed


def cached_bytes(encoder: Encoder) -> int:
    """Return the bytes that an encoder's files take in the Hub's cache, 0 where there are none."""
    if encoder.repository is None:
        return 0
    return sum(path.stat().st_size for path in _snapshot(encoder).glob("*") if path.is_file())


def weights_bytes(folder: Path) -> int:
    """Return the size of a checkpoint's weights in bytes."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def _package_folder(encoder: Encoder) -> Path | None:
    """Return the folder inside the package; the package is found, not imported, as that may bring libraries."""
    spec = importlib.util.find_spec(encoder.package) if encoder.package else None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def _check_package(encoder: Encoder, folder: Path) -> None:
    """Raise EncoderError where the packaged weights are missing, unreadable, or not those that were pinned."""
    cure = f"Reinstall the package {_distribution(encoder)}, then try again."
    try:
        found = _sha256(folder / WEIGHTS)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise EncoderError(f"The weights of {encoder.title} cannot be read ({why}). {cure}") from error
    if found != encoder.weights_sha256:
        raise EncoderError(
            f"The weights of {encoder.title} are not the expected ones: their SHA-256 starts with "
            f"{found[:12]} and should start with {str(encoder.weights_sha256)[:12]}. {cure}"
        )


def _distribution(encoder: Encoder) -> str:
    return (encoder.package or "").replace("_", "-")


def _snapshot(encoder: Encoder) -> Path:
    """Return the folder of the encoder's revision in the Hub's cache, which need not exist."""
    from huggingface_hub import constants

    if encoder.repository is None or encoder.revision is None:
        return Path(constants.HF_HUB_CACHE) / "none"
    name = "models--" + encoder.repository.replace("/", "--")
    return Path(constants.HF_HUB_CACHE) / name / "snapshots" / encoder.revision


def _is_complete(snapshot: Path) -> bool:
    """Tell whether a snapshot has all that loading needs."""
    if not (snapshot / "config.json").is_file():
        return False
    if not any((snapshot / name).is_file() for name in VOCABULARIES):
        return False
    index = snapshot / f"{WEIGHTS}.index.json"
    if not index.is_file():
        return (snapshot / WEIGHTS).is_file()
    shards = set(re.findall(r"model-\d{5}-of-\d{5}\.safetensors", index.read_text(encoding="utf-8", errors="replace")))
    return bool(shards) and all((snapshot / shard).is_file() for shard in shards)


def _damaged(snapshot: Path) -> list[Path]:
    """Return the files of a snapshot whose content is not what their name in the cache says."""
    return [path for path in sorted(snapshot.iterdir()) if FILE.fullmatch(path.name) and not _is_sound(path.resolve())]


def _is_sound(blob: Path) -> bool:
    """Hold a file against the hash that is its name: SHA-256 for large files, git's SHA-1 for small ones."""
    try:
        return _matches(blob, blob.name)
    except OSError:
        return False


def _matches(path: Path, etag: str) -> bool:
    """Tell whether a file has the content that an ETag of the Hub promises; True where it is no hash."""
    if re.fullmatch("[0-9a-f]{64}", etag):
        return _sha256(path) == etag
    if re.fullmatch("[0-9a-f]{40}", etag):
        content = path.read_bytes()
        return hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest() == etag
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class _File:
    """A file of a repository: its name, where to get it, its hash and its size in bytes."""

    name: str
    url: str
    etag: str
    size: int


def _fetch(encoder: Encoder, on_bytes: OnBytes) -> Path:
    """Fetch what is missing of an encoder's files and return their folder."""
    from huggingface_hub.errors import HTTPError

    snapshot = _snapshot(encoder)
    blobs = snapshot.parents[1] / "blobs"
    try:
        files = _files(encoder)
    except (OSError, HTTPError) as error:
        raise EncoderError(_because(encoder, error, asking=True)) from error
    try:
        blobs.mkdir(parents=True, exist_ok=True)
        snapshot.mkdir(parents=True, exist_ok=True)
        total = sum(file.size for file in files)
        here = {file.etag: _size(blobs / file.etag) or _size(blobs / f"{file.etag}.part") for file in files}
        _check_space(encoder, blobs, total - sum(here.values()))
        done = 0
        # Small files first: what is wrong with a repository shows before its weights have travelled.
        for file in sorted(files, key=lambda file: file.size):
            _transfer(encoder, file, blobs, lambda n, before=done: on_bytes(before + n, total))  # type: ignore[misc]
            done += file.size
            _link(blobs / file.etag, snapshot / file.name)
    except (OSError, HTTPError) as error:
        raise EncoderError(_because(encoder, error)) from error
    return snapshot


def _files(encoder: Encoder) -> list[_File]:
    """Ask the Hub for the files of the pinned revision, within a few seconds."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    if os.environ.get("GENRESCOPE_DOWNLOADS") == "off":
        raise EncoderError(
            f"{encoder.title} is not on this machine, and this server fetches no encoders. Choose another one."
        )
    if constants.HF_HUB_OFFLINE:
        raise EncoderError(
            f"{encoder.title} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it. Unset HF_HUB_OFFLINE, "
            "or choose another encoder."
        )
    files: list[_File] = []
    for name in _names(encoder):
        url = hf_hub_url(str(encoder.repository), name, revision=encoder.revision)
        about = get_hf_file_metadata(url, timeout=2 * ANSWER_SECONDS)
        etag = about.etag or ""
        if not re.fullmatch(r"[\w.-]+", etag) or about.size is None or about.commit_hash != encoder.revision:
            raise EncoderError(_no_hub(encoder, f"file {name}"))
        files.append(_File(name, url, etag, about.size))
    return files


def _names(encoder: Encoder) -> list[str]:
    """Return the names of the files that are needed, or raise what the Hub says, or a timeout of our own."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HFValidationError, HTTPError

    answers: list[Any] = []

    def ask() -> None:
        try:
            answers.append(
                HfApi().model_info(str(encoder.repository), revision=encoder.revision, timeout=ANSWER_SECONDS)
            )
        except Exception as error:  # handed over to the thread that waits
            answers.append(error)

    # A thread, as the search for a host's name cannot be given a time limit.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    answer = answers[0] if answers else TimeoutError()
    if isinstance(answer, HFValidationError):
        raise EncoderError(
            f"{encoder.repository} is no name that a repository of the Hub can have. Correct the setting."
        ) from answer
    # What is no error of the network is one of understanding: a page to log in, say, where JSON should be.
    if isinstance(answer, OSError | HTTPError):
        raise answer
    if isinstance(answer, Exception):
        raise EncoderError(_no_hub(encoder, type(answer).__name__)) from answer
    names = [each.rfilename for each in answer.siblings or [] if FILE.fullmatch(each.rfilename)]
    if not any(name.endswith(".safetensors") for name in names):
        raise EncoderError(
            f"{encoder.repository} at {constants.ENDPOINT} has no weights in a .safetensors file. Other formats can "
            "run code when they are read, so they are not opened."
        )
    if f"{WEIGHTS}.index.json" in names and WEIGHTS in names:
        names = [name for name in names if name != f"{WEIGHTS}.index.json" and not name.startswith("model-")]
    return names


def _check_space(encoder: Encoder, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise EncoderError(
            f"{encoder.title} needs {megabytes(needed)} more on the disk of the Hub's cache, and {megabytes(free)} are "
            "free. Free some, or point HF_HOME to another disk."
        )


def _no_hub(encoder: Encoder, what: str) -> str:
    from huggingface_hub import constants

    return (
        f"{encoder.title} cannot be fetched: the server at {constants.ENDPOINT} does not answer as a Hub does "
        f"({what}). Check HF_ENDPOINT, and whether the network asks for a login."
    )


def _transfer(encoder: Encoder, file: _File, blobs: Path, on_bytes: Callable[[int], None]) -> None:
    """Bring a file into the cache's blobs, going on with what is here of it; one process at a time."""
    from filelock import Timeout
    from huggingface_hub.utils import WeakFileLock

    blob, part = blobs / file.etag, blobs / f"{file.etag}.part"
    lock = blobs.parents[1] / ".locks" / blobs.parent.name / f"{file.etag}.lock"  # where the library has its own
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        if blob.is_file() and _is_sound(blob):
            on_bytes(file.size)
            return
        try:
            with WeakFileLock(lock, timeout=LOCK_SECONDS):
                if not blob.is_file() or not _is_sound(blob):
                    _transfer_alone(encoder, file, part, on_bytes)
                    part.replace(blob)
                on_bytes(file.size)
                return
        except Timeout:
            on_bytes(min(_size(part), file.size))


def _transfer_alone(encoder: Encoder, file: _File, part: Path, on_bytes: Callable[[int], None]) -> None:
    from huggingface_hub import constants
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    constants.DOWNLOAD_CHUNK_SIZE = min(constants.DOWNLOAD_CHUNK_SIZE, CHUNK_BYTES)
    for attempt in (1, 2):
        resumed = min(_size(part), file.size)
        with part.open("ab") as target:
            target.truncate(resumed)
            on_bytes(resumed)
            http_get(
                file.url,
                _Told(target, on_bytes),
                resume_size=resumed,
                headers=build_hf_headers(),
                expected_size=file.size,
                tqdm_class=_Silence,
            )
        if _matches(part, file.etag):
            return
        part.unlink()
        if attempt == 2:
            raise EncoderError(
                f"{file.name} of {encoder.title} arrived damaged twice: it is not the file that the Hub announces. "
                "Try again later, or check the proxy between here and the Hub."
            )


class _Told:
    """A file that tells after every write how many bytes it has: what is told is kept, also if that ends it all."""

    def __init__(self, file: BinaryIO, on_bytes: Callable[[int], None]) -> None:
        self._file, self._on_bytes = file, on_bytes

    def write(self, data: bytes) -> int:
        written = self._file.write(data)
        self._on_bytes(self._file.tell())
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Silence:
    """What http_get takes for a progress bar."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def update(self, n: int) -> None:
        pass

    def __enter__(self) -> "_Silence":
        return self

    def __exit__(self, *args: object) -> None:
        return None


def _link(blob: Path, target: Path) -> None:
    """Put a file into a snapshot as the Hub's library does: a link, or a copy where links cannot be made."""
    target.unlink(missing_ok=True)
    try:
        target.symlink_to(Path("../..") / "blobs" / blob.name)
    except OSError:
        shutil.copyfile(blob, target)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _because(encoder: Encoder, error: Exception, asking: bool = False) -> str:
    """Say in a sentence why an encoder's files could not be fetched, and what to do.

    `asking` tells that nothing had been transferred yet: the Hub was only asked what it has.
    """
    from huggingface_hub import constants, errors

    title, repository, host = encoder.title, encoder.repository, constants.ENDPOINT
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{repository} is gated: its owners ask for consent first. Accept their terms on the Hub, set HF_TOKEN to "
            "a token of that account, and try again."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return (
            f"The revision {str(encoder.revision)[:12]} of {repository} is gone from {host}. Choose another encoder, "
            "or pin another revision."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"There is no repository {repository} at {host}, or it is private and needs HF_TOKEN. Choose another "
            "encoder, or correct the setting."
        )
    if isinstance(error, errors.HfHubHTTPError):
        status = getattr(error.response, "status_code", "unknown")
        if status in (401, 403):
            return (
                f"{host} does not hand out {title} (error {status}). Check HF_TOKEN: it may have expired, or lack the "
                "permission to read."
            )
        return (
            f"{host} could not deliver {title}: it answered with error {status}. Try again in some minutes, or choose "
            "another encoder."
        )
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of the Hub's cache is full, so {title} was not fetched. Free some space and try again."
    if number in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return (
            f"The folder of the Hub's cache cannot be written ({os.strerror(number)}), so {title} was not fetched. "
            "Check HF_HOME."
        )
    unreachable = ("ConnectError", "ConnectTimeout", "ProxyError")
    if asking or isinstance(error, TimeoutError) or type(error).__name__ in unreachable:
        return (
            f"{title} is not on this machine, and {host} does not answer. Check the network and try again, or choose "
            "an encoder that is here."
        )
    said = " ".join(str(error).split())[:160].rstrip(". ") or type(error).__name__
    return f"The transfer of {title} from {host} was cut ({said}). What has arrived is kept; try again to go on."


def megabytes(n: int) -> str:
    """Return a number of bytes in megabytes (of 1,000,000 bytes), as text."""
    return f"{n / 1e6:,.0f} MB"
