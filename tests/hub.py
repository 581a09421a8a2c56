"""A Hub on this machine: small random checkpoints under the real names, served the way huggingface.co serves them.

A test module that wants it says `pytest_plugins = ["tests.hub"]` and asks for the fixture `hub`. As on the real Hub,
large files are kept elsewhere: a request for them is sent on to a second server, which must not see the token. Small
files travel compressed if the client accepts that, and then not in parts.

(PYTEST_DONT_REWRITE: test modules import names from here before pytest would, which it warns of otherwise.)
"""

import gzip
import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from core import encoders

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = "model.safetensors"
# The five that come from the Hub, with the family whose file layout they have.
FAMILIES = {
    "distilbert-base-uncased": "distilbert",
    "bert-base-uncased": "bert",
    "bert-base-cased": "bert",
    "roberta-base": "roberta",
    "xlm-roberta-base": "xlm-roberta",
}
OLD_NAMES = "old-names"  # bert-base-uncased with the names of parts that the real one's weights still have
OLD_NAMES_REPOSITORY, OLD_NAMES_REVISION = "acme/old-names", "0a" * 20
MAX_TOKENS = 64
LARGE_VOCABULARY = 32_000  # xlm-roberta-base's is the largest, which makes its weights 4 MB: enough to be in the middle
NOT_TO_BE_FETCHED = ("README.md", ".gitattributes", "pytorch_model.bin", "flax_model.msgpack", "onnx/model.onnx")

Mood = Literal[
    "well", "unknown", "gated", "revision gone", "bad token", "broken", "broken files", "broken bodies", "cut once",
    "cut always", "stalls once", "damaged", "damaged once", "no safetensors", "slow", "silent", "silent files",
    "no ranges", "no hub", "other commit",
]  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A request that arrived; header names are in lower case."""

    server: Literal["hub", "store"]
    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def name(self) -> str:
        """The last part of the path: the name of a file, as both servers put it there."""
        return self.path.rpartition("/")[2]


class Hub:
    """Both servers, what they hold, and how they behave: `mood` can be changed at any time.

    `cut_at` is the byte of the weights where a transfer is cut or stalls, `rate` the bytes per second of a slow one.
    """

    def __init__(self) -> None:
        """Start both servers; nothing is on them yet."""
        self.repositories: dict[tuple[str, str], dict[str, bytes]] = {}
        self.asked: list[Asked] = []
        self.released = threading.Event()
        self._servers = [_Server(self, "hub"), _Server(self, "store")]
        self.url, self.store_url = (server.url for server in self._servers)
        self.reset()

    def reset(self) -> None:
        """Behave well again, forget what was asked, and let go of clients that are kept waiting."""
        self.mood: Mood = "well"
        self.cut_at, self.rate, self.mishaps = 50_000, 100_000, 0
        self.released.set()
        self.released = threading.Event()
        self.asked.clear()

    def close(self) -> None:
        """Stop both servers."""
        self.released.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def add(self, repository: str, revision: str, files: Mapping[str, bytes]) -> None:
        """Offer files as one revision of a repository."""
        self.repositories[repository, revision] = dict(files)

    def requests(self, method: str | None = None, name: str | None = None) -> list[Asked]:
        """Return what was asked with a method, of a file."""
        return [
            each for each in list(self.asked) if method in (None, each.method) and name in (None, each.name)
        ]  # fmt: skip

    def fetched(self) -> list[str]:
        """Return the names of the files whose content was asked for, in that order, without forwarded requests."""
        return [
            each.path.partition("/resolve/")[2].partition("/")[2]
            for each in self.requests("GET")
            if each.server == "hub" and "/resolve/" in each.path
        ]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub, name: Literal["hub", "store"]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub, self.name = hub, name
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that hang up in the middle are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the system holds each body back for 40 ms, waiting for more
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing; the tests look at `Hub.asked`."""

    def do_GET(self) -> None:
        hub, path = self.server.hub, urlsplit(self.path).path
        headers = {name.lower(): value for name, value in self.headers.items()}
        hub.asked.append(Asked(self.server.name, self.command, path, headers))
        is_file = "/resolve/" in path
        if hub.mood == "silent" or (hub.mood == "silent files" and is_file):
            hub.released.wait(30)
            self.close_connection = True
        elif hub.mood == "broken" or (hub.mood == "broken files" and is_file):
            self._refuse(500)
        elif hub.mood == "broken bodies" and is_file and self.command == "GET":
            self._refuse(503)
        elif hub.mood == "no hub":
            self._say(200, b"<html>Welcome! Please accept the terms of this network.</html>", {"X-Portal": "yes"})
        elif hub.mood == "unknown":
            self._refuse(404, "RepoNotFound")
        elif hub.mood == "revision gone":
            self._refuse(404, "RevisionNotFound")
        elif hub.mood == "bad token":
            self._refuse(401, message="Invalid credentials in Authorization header")
        elif hub.mood == "gated" and is_file:  # what there is may be seen, the files may not
            self._refuse(403 if "authorization" in headers else 401, "GatedRepo")
        elif self.server.name == "store":
            self._stored(path)
        elif path.startswith("/api/models/"):
            self._about(path.removeprefix("/api/models/"))
        elif is_file:
            self._resolve(path)
        else:
            self._refuse(404)

    do_HEAD = do_GET

    def _about(self, path: str) -> None:
        """Tell what is in a repository."""
        owner, name, rest, revision = [*path.split("/", 3), "", ""][:4]
        repository = f"{owner}/{name}"
        revisions = {
            commit: files for (name, commit), files in self.server.hub.repositories.items() if name == repository
        }
        if not revisions:
            self._refuse(404, "RepoNotFound")
            return
        commit = next(iter(revisions)) if revision in ("", "main") else revision
        if commit not in revisions:
            self._refuse(404, "RevisionNotFound")
            return
        names = sorted(revisions[commit])
        if rest == "tree":
            self._say_json([_entry(name, revisions[commit][name]) for name in names])
            return
        if self.server.hub.mood == "no safetensors":
            names = [name for name in names if not name.endswith(".safetensors")]
        about = {"id": repository, "sha": commit, "private": False, "siblings": [{"rfilename": name} for name in names]}
        self._say_json(about)

    def _say_json(self, value: object) -> None:
        self._say(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _resolve(self, path: str) -> None:
        """Answer for a file: a small one with its content, a large one with the place where it is."""
        hub = self.server.hub
        repository, _, rest = path[1:].partition("/resolve/")
        commit, _, name = rest.partition("/")
        if not any(repository == each for each, _ in hub.repositories):
            self._refuse(404, "RepoNotFound")
            return
        if (repository, commit) not in hub.repositories:
            self._refuse(404, "RevisionNotFound")
            return
        content = hub.repositories[repository, commit].get(name)
        if content is None:
            self._refuse(404, "EntryNotFound")
            return
        about = {"X-Repo-Commit": "f" * 40 if hub.mood == "other commit" else commit, "Accept-Ranges": "bytes"}
        if is_large(name):
            digest = hashlib.sha256(content).hexdigest()
            there = self.server.hub.store_url + f"/{repository}/{commit}/{digest}/{name}"
            about |= {"Location": there, "X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(content))}
            self._say(302, b"Found. Redirecting.", about)
            return
        about["ETag"] = f'"{git_hash(content)}"'
        if self.command == "GET" and "gzip" in self.headers.get("Accept-Encoding", ""):
            about["ETag"] = f"W/{about['ETag']}"
            self._say(200, gzip.compress(content), {**about, "Content-Encoding": "gzip"}, chunked=True)
        else:
            self._send(content, about)

    def _stored(self, path: str) -> None:
        """Hand out a large file from where it is kept."""
        owner, name, commit, digest, file = path[1:].split("/", 4)
        content = self.server.hub.repositories.get((f"{owner}/{name}", commit), {}).get(file)
        if content is None:
            self._refuse(404)
        else:
            self._send(content, {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"}, mishaps=file == WEIGHTS)

    def _send(self, content: bytes, about: Mapping[str, str], mishaps: bool = False) -> None:
        """Send a file, or the part that was asked for, with the mishaps of the hub's mood."""
        hub = self.server.hub
        begin, status = 0, 200
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes=") and hub.mood != "no ranges":
            begin, status = int(wanted.removeprefix("bytes=").partition("-")[0]), 206
            if begin >= len(content):
                self._say(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                return
            about = {**about, "Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"}
        body, mood = content[begin:], hub.mood
        until = len(body)
        if mishaps and self.command == "GET":
            first = hub.mishaps == 0
            if mood == "damaged" or (mood == "damaged once" and first):
                body = body[:-1] + bytes([body[-1] ^ 1])
            if mood == "cut always" or (mood in ("cut once", "stalls once") and first):
                until = max(0, hub.cut_at - begin)
            hub.mishaps += 1
        self._head(status, {**about, "Content-Length": str(len(body))})
        if self.command == "HEAD":
            return
        step = max(1, hub.rate // 50) if mood == "slow" else len(body)
        for start in range(0, until, step):
            self.wfile.write(body[start : min(start + step, until)])
            if mood == "slow":
                time.sleep(0.02)
        self.wfile.flush()
        if until < len(body):
            if mood == "stalls once":
                hub.released.wait(30)
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def _refuse(self, status: int, code: str | None = None, message: str | None = None) -> None:
        about = {"X-Error-Code": code} if code else {}
        self._say(status, b"", {**about, "X-Error-Message": message or code or "Something is wrong here"})

    def _say(self, status: int, body: bytes, about: Mapping[str, str], chunked: bool = False) -> None:
        length = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(body))}
        self._head(status, {**about, **length})
        if self.command == "HEAD":
            return
        self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def is_large(name: str) -> bool:
    """Tell whether the Hub keeps a file elsewhere; it goes by the ending."""
    return name.endswith((".safetensors", ".bin", ".model", ".msgpack", ".onnx"))


def git_hash(content: bytes) -> str:
    """Return the hash under which git, and so the Hub, knows a small file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _entry(name: str, content: bytes) -> dict[str, Any]:
    """Return what the Hub's listing of a folder says of a file."""
    about = {"type": "file", "path": name, "size": len(content), "oid": git_hash(content)}
    large = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return {**about, "lfs": large} if is_large(name) else about


def etag(name: str, content: bytes) -> str:
    """Return the name that a file has in the Hub's cache."""
    return hashlib.sha256(content).hexdigest() if is_large(name) else git_hash(content)


def files_in(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="session")
def small_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with small checkpoints: the five real ids, and one with old names of parts; not to be written to."""
    root = tmp_path_factory.mktemp("checkpoints")
    folders = {name: build(root / name, name, seed) for seed, name in enumerate(FAMILIES)}
    folders[OLD_NAMES] = with_old_names(folders["bert-base-uncased"], root / OLD_NAMES)
    return folders


@pytest.fixture(scope="session")
def running_hub(small_checkpoints: dict[str, Path]) -> Iterator[Hub]:
    """The one Hub of all tests, with the small checkpoints under the real names and pinned revisions."""
    running = Hub()
    for name, folder in small_checkpoints.items():
        encoder = encoders.ENCODERS.get(name)
        repository, revision = (encoder.repository, encoder.revision) if encoder else (None, None)
        running.add(repository or OLD_NAMES_REPOSITORY, revision or OLD_NAMES_REVISION, files_in(folder))
    yield running
    running.close()


@pytest.fixture
def hub(running_hub: Hub) -> Iterator[Hub]:
    """The Hub, well-behaved at the start of every test."""
    running_hub.reset()
    before = dict(running_hub.repositories)
    yield running_hub
    running_hub.repositories = before
    running_hub.reset()


def genre_lists() -> list[str]:
    """Return the shipped genre lists, sorted."""
    column = pq.read_table(ROOT / "data" / "movies.parquet", columns=["genres"]).column("genres").to_pylist()
    trimmed = (sorted({genre.strip() for genre in genres or [] if genre.strip()}) for genres in column)
    return sorted({", ".join(genres) for genres in trimmed if genres})


def build(folder: Path, name: str, seed: int) -> Path:
    """Make a small checkpoint with random weights and a tokenizer of its own, laid out as the real one's files."""
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    family = FAMILIES[name]
    lower = name.endswith("uncased")
    tokenizer = {"roberta": _byte_pairs, "xlm-roberta": _pieces}.get(family, lambda: _word_pieces(lower))()
    n_tokens = LARGE_VOCABULARY if family == "xlm-roberta" else len(tokenizer)
    small = {"vocab_size": n_tokens, "pad_token_id": tokenizer.pad_token_id, "initializer_range": 0.2}
    if family == "distilbert":
        sizes = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": MAX_TOKENS}
        model: Any = transformers.DistilBertForMaskedLM
        config: Any = transformers.DistilBertConfig(**small, **sizes)
    else:
        kinds = {
            "bert": (transformers.BertForMaskedLM, transformers.BertConfig),
            "roberta": (transformers.RobertaForMaskedLM, transformers.RobertaConfig),
            "xlm-roberta": (transformers.XLMRobertaForMaskedLM, transformers.XLMRobertaConfig),
        }
        # RoBERTa counts positions from two on, so the real one has 514 of them for 512 tokens.
        offset, token_types = (0, 2) if family == "bert" else (2, 1)
        model, config_class = kinds[family]
        config = config_class(
            **small, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
            max_position_embeddings=MAX_TOKENS + offset, type_vocab_size=token_types,
        )  # fmt: skip
    torch.manual_seed(seed)
    model(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # The real ones say no more than this.
    about = {"model_max_length": MAX_TOKENS, **({"do_lower_case": lower} if family in ("bert", "distilbert") else {})}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    _write_vocabulary(folder, family, tokenizer)
    for other in NOT_TO_BE_FETCHED:
        (folder / other).parent.mkdir(exist_ok=True)
        (folder / other).write_bytes(b"never fetched " * 100)
    return folder


def with_old_names(source: Path, folder: Path) -> Path:
    """Copy a BERT checkpoint and call its parts as the first checkpoints did, with more of them than are needed."""
    import torch
    from safetensors.torch import load, save_file

    files = files_in(source)
    parts = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in load(files.pop(WEIGHTS)).items()
    }
    parts["bert.pooler.dense.weight"], parts["bert.pooler.dense.bias"] = torch.randn(32, 32), torch.randn(32)
    parts["bert.embeddings.position_ids"] = torch.arange(MAX_TOKENS).unsqueeze(0)
    parts["cls.seq_relationship.weight"], parts["cls.seq_relationship.bias"] = torch.randn(2, 32), torch.randn(2)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    save_file(parts, folder / WEIGHTS, metadata={"format": "pt"})
    return folder


def _genres() -> list[str]:
    return sorted({genre for genres in genre_lists() for genre in genres.split(", ")})


def _word_pieces(lower: bool) -> Any:
    """Return BERT's kind of tokenizer: most genres whole, the others in pieces."""
    from transformers import BertTokenizer

    words = sorted({word.lower() if lower else word for genre in _genres() for word in genre.split()})
    letters = sorted(set("".join(words)) | set("abcdefghijklmnopqrstuvwxyz0123456789,.-"))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    whole = [word for place, word in enumerate(words) if place % 4 and len(word) > 1]
    vocabulary = [*special, *letters, *(f"##{letter}" for letter in letters), *whole]
    return BertTokenizer(vocab={token: number for number, token in enumerate(vocabulary)}, do_lower_case=lower)


def _byte_pairs() -> Any:
    """Return RoBERTa's kind of tokenizer, trained on the genre lists."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizer

    trained = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trained.train_from_iterator(genre_lists(), vocab_size=330, min_frequency=1, special_tokens=special)
    trained.add_special_tokens(["<mask>"])
    model = json.loads(trained.to_str())["model"]
    vocabulary = {**model["vocab"], "<mask>": len(model["vocab"])}
    return RobertaTokenizer(vocab=vocabulary, merges=[tuple(pair) for pair in model["merges"]])


def _pieces() -> Any:
    """Return XLM-RoBERTa's kind of tokenizer: pieces with probabilities, as SentencePiece makes them."""
    from transformers import XLMRobertaTokenizer

    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    letters = sorted(set("".join(_genres())) | set("abcdefghijklmnopqrstuvwxyz0123456789,.- "))
    words = sorted({word for genre in _genres() for word in genre.split()})
    pieces = [
        ("▁", -2.0),
        *((f"▁{word}", -5.0) for word in words),
        *((letter, -8.0) for letter in letters if letter != " "),
    ]
    pieces += [(word[len(word) // 2 :], -7.0) for word in words if len(word) > 5]
    return XLMRobertaTokenizer(vocab=[*special, *dict(pieces).items(), ("<mask>", 0.0)])


def _write_vocabulary(folder: Path, family: str, tokenizer: Any) -> None:
    """Write the vocabulary once more, into the files that each family had before there was tokenizer.json."""
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    if family == "roberta":
        (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
        merges = (" ".join(pair) for pair in model["merges"])
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    elif family == "xlm-roberta":
        # Its real form is a message of SentencePiece, which nothing here reads.
        (folder / "sentencepiece.bpe.model").write_text(
            "\n".join(piece for piece, _ in model["vocab"]), encoding="utf-8"
        )
    else:
        ordered = sorted(model["vocab"], key=lambda token: int(model["vocab"][token]))
        (folder / "vocab.txt").write_text("\n".join([*ordered, ""]), encoding="utf-8")
