"""Texts to vectors: load a checkpoint, encode, post-process.

torch and transformers are imported inside functions only, and only the worker process and the command line
call those, so that the web process stays small.
"""

import hashlib
import importlib.util
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.devices import Device, cpu_count
from core.encoders import Encoder

Float32 = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


class EncoderError(Exception):
    """An encoder cannot be used; the message is a plain sentence that a page can show."""


@dataclass(frozen=True)
class Model:
    """A loaded encoder, ready to encode on its device."""

    encoder: Encoder
    device: Device
    tokenizer: Any
    module: Any


def load(encoder: Encoder, device: Device) -> Model:
    """Load a packaged encoder onto a device, without any use of the network.

    The weights' SHA-256 is checked first. Raises EncoderError when the package or the weights are missing,
    when the weights are not the expected ones, and when the files cannot be loaded.
    """
    folder = model_folder(encoder)
    check_weights(encoder, folder)
    try:
        tokenizer, module = _from_folder(folder, device)
    except ImportError as error:
        raise EncoderError(
            f"{encoder.title} needs PyTorch and transformers, and they cannot be imported here ({error}). "
            "Install what requirements.txt lists, then try again."
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # damaged files raise JSONDecodeError, SafetensorError, plain Exception, ...
        cure = f"Reinstall the package {_distribution(encoder)}, then try again."
        raise EncoderError(f"{encoder.title} cannot be loaded: {summary(error)} {cure}") from error
    return Model(encoder, device, tokenizer, module)


def model_folder(encoder: Encoder) -> Path:
    """Return the folder of the checkpoint's files inside the package that carries them.

    The package is found but not imported: importing it may bring libraries that are not needed.
    Raises EncoderError when the encoder has no package or the package is not installed.
    """
    if encoder.package is None:
        raise EncoderError(f"{encoder.title} has no packaged model to load.")
    spec = importlib.util.find_spec(encoder.package)
    if spec is None or not spec.submodule_search_locations:
        name = _distribution(encoder)
        raise EncoderError(
            f"The files of {encoder.title} are not installed. Install the package {name}, then try again."
        )
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def check_weights(encoder: Encoder, folder: Path) -> None:
    """Check that the weights in a folder are the ones the encoder was pinned to.

    Raises EncoderError when model.safetensors is missing, unreadable, or has another SHA-256.
    """
    cure = f"Reinstall the package {_distribution(encoder)}, then try again."
    try:
        with (folder / "model.safetensors").open("rb") as weights:
            found = hashlib.file_digest(weights, "sha256").hexdigest()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise EncoderError(f"The weights of {encoder.title} cannot be read ({why}). {cure}") from error
    if found != encoder.weights_sha256:
        raise EncoderError(
            f"The weights of {encoder.title} are not the expected ones: their SHA-256 starts with "
            f"{found[:12]} and should start with {str(encoder.weights_sha256)[:12]}. {cure}"
        )


def encode(model: Model, texts: Sequence[str], batch_size: int = 64) -> Float32:
    """Encode texts into an array of shape (n_texts, dimension), in the order of the texts.

    The vectors are pooled but neither centred nor normalised: see `post_process`.
    Raises EncoderError when a vector is not finite.
    """
    vectors = np.zeros((len(texts), model.module.config.hidden_size), dtype=np.float32)
    for indices, chunk in encode_chunks(model, texts, max(1, len(texts)), batch_size):
        vectors[indices] = chunk
    return vectors


def encode_chunks(
    model: Model, texts: Sequence[str], chunk_size: int = 128, batch_size: int = 64
) -> Iterator[tuple[IntArray, Float32]]:
    """Encode texts chunk by chunk; yield the chunk's row numbers and its vectors (n, dimension).

    Texts are tokenised once and taken longest first: what does not fit into memory fails at the start, and
    an estimate of the time left errs on the long side. Every chunk has `chunk_size` texts but the last.
    Raises EncoderError when a vector is not finite.
    """
    import torch

    if not texts:
        return
    tokens: list[list[int]] = model.tokenizer(
        list(texts),
        truncation=True,
        max_length=model.encoder.max_length,
        return_attention_mask=False,
        return_token_type_ids=False,
    )["input_ids"]
    order = sorted(range(len(texts)), key=lambda row: len(tokens[row]), reverse=True)
    for start in range(0, len(order), chunk_size):
        rows = order[start : start + chunk_size]
        pooled: list[Float32] = []
        # inference_mode is entered anew for every chunk: a generator must not leave it on while it waits.
        with torch.inference_mode():
            # Texts of one batch have equally many tokens, so nothing is padded and nothing computed in vain.
            for _, group in itertools.groupby(rows, key=lambda row: len(tokens[row])):
                alike = list(group)
                for begin in range(0, len(alike), batch_size):
                    pooled.append(_pool(model, [tokens[row] for row in alike[begin : begin + batch_size]]))
        vectors = np.concatenate(pooled)
        if not np.isfinite(vectors).all():
            raise EncoderError(
                f"{model.encoder.title} gave a vector with a value that is not a number, so nothing of this "
                "batch was kept. Try again; if it happens again, choose another encoder."
            )
        yield np.array(rows, dtype=np.int64), vectors


def post_process(vectors: Float32, encoder: Encoder) -> Float32:
    """Return the vectors (n, dimension) that are clustered: centred if the encoder asks for it, length 1.

    The mean that is subtracted is the plain one over the documents, not weighted by films, so that a filter
    never moves a vector. A vector of zeros stays one.
    """
    result = np.asarray(vectors, dtype=np.float32)
    if encoder.center and len(result):
        result = (result - result.mean(axis=0, dtype=np.float64)).astype(np.float32)
    norms = np.linalg.norm(result, axis=1, keepdims=True)
    return np.asarray(result / np.where(norms == 0, 1, norms), dtype=np.float32)


def multi_hot(genre_lists: Sequence[str]) -> Float32:
    """Return the baseline's vectors (n, n_genres): 1 where a genre is in the list, else 0.

    Lists are genres joined with ", "; columns are the genres in alphabetical order. Rows are not normalised:
    `post_process` does that.
    """
    split = [[genre for genre in text.split(", ") if genre] for text in genre_lists]
    columns = {genre: column for column, genre in enumerate(sorted({genre for row in split for genre in row}))}
    vectors = np.zeros((len(split), len(columns)), dtype=np.float32)
    for row, genres in enumerate(split):
        vectors[row, [columns[genre] for genre in genres]] = 1
    return vectors


def summary(error: BaseException) -> str:
    """Return an exception as one short sentence: its type and the first line of its message."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    text = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return f"{text[:200].rstrip('. ')}."


def _from_folder(folder: Path, device: Device) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    # A checkpoint without its pooler is what is wanted here, not something to report on every load.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if device.name == "cpu":
        torch.set_num_threads(cpu_count())
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    module = AutoModel.from_pretrained(
        folder,
        dtype=getattr(torch, device.dtype),
        use_safetensors=True,
        trust_remote_code=False,
        add_pooling_layer=False,
        local_files_only=True,
    )
    return tokenizer, module.to(device.name).eval()


def _pool(model: Model, tokens: list[list[int]]) -> Float32:
    import torch

    input_ids = torch.tensor(tokens, device=model.device.name)
    # Nothing is padded, so the mask is all ones and the masked mean is the mean over all tokens.
    output = model.module(input_ids=input_ids, attention_mask=torch.ones_like(input_ids))
    pooled: Float32 = output.last_hidden_state.float().mean(dim=1).cpu().numpy()
    return pooled


def _distribution(encoder: Encoder) -> str:
    return (encoder.package or "").replace("_", "-")
