import dataclasses
import shutil
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from core import embeddings, encoders
from core.devices import Device, choose
from core.embeddings import EncoderError, Model
from core.encoders import Encoder

MOVIES = Path(__file__).resolve().parents[1] / "data" / "movies.parquet"
MINILM = encoders.get(encoders.DEFAULT_ENCODER)
CPU = Device("cpu", "CPU", "float32", "For a test.")


@pytest.fixture(scope="module")
def genre_lists() -> list[str]:
    column = pq.read_table(MOVIES, columns=["genres"]).column("genres").to_pylist()
    trimmed = (sorted({genre.strip() for genre in genres or [] if genre.strip()}) for genres in column)
    return sorted({", ".join(genres) for genres in trimmed if genres})


@pytest.fixture(scope="module")
def model() -> Model:
    """The real model, loaded while every attempt to reach another machine fails the test."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("Loading the packaged model tried to use the network.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", refuse)
        patch.setattr(socket.socket, "connect", refuse)
        return embeddings.load(MINILM, choose())


def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Encoder, Path]:
    """A package of our own with the model's small files, and the encoder that names it."""
    folder = tmp_path / "carried_model" / "model"
    folder.mkdir(parents=True)
    (tmp_path / "carried_model" / "__init__.py").write_text("raise ImportError('must not be imported')\n")
    for file in embeddings.model_folder(MINILM).iterdir():
        if file.is_file() and file.name != "model.safetensors":
            shutil.copy(file, folder)
    monkeypatch.syspath_prepend(tmp_path)
    return dataclasses.replace(MINILM, package="carried_model"), folder


def test_vectors_equal_those_of_sentence_transformers(model: Model, genre_lists: list[str]) -> None:
    from sentence_transformers import SentenceTransformer

    assert len(genre_lists) == 1187
    reference = SentenceTransformer(
        str(embeddings.model_folder(MINILM)), device=model.device.name, local_files_only=True
    ).encode(genre_lists, normalize_embeddings=True, show_progress_bar=False)
    ours = embeddings.post_process(embeddings.encode(model, genre_lists), MINILM)
    assert ours.dtype == np.float32
    assert ours.shape == (1187, MINILM.dimension)
    assert np.abs(ours - reference).max() < 1e-5


def test_chunks_cover_every_text_once_and_do_not_change_vectors(model: Model) -> None:
    texts = ["Drama", "", "Comedy, Drama", "Action, Adventure, Sci-Fi", "Drama", "Horror", "word " * 400]
    whole = embeddings.encode(model, texts)
    chunks = list(embeddings.encode_chunks(model, texts, chunk_size=3, batch_size=2))
    assert [len(rows) for rows, _ in chunks] == [3, 3, 1]
    rows = np.concatenate([rows for rows, _ in chunks])
    assert sorted(rows) == list(range(len(texts)))
    assert rows[0] == len(texts) - 1  # the longest comes first
    again = np.concatenate([vectors for _, vectors in chunks])
    assert np.abs(whole[rows] - again).max() < 1e-5
    assert np.abs(whole[0] - whole[4]).max() < 1e-6


def test_long_texts_are_cut_to_the_encoders_length(model: Model) -> None:
    short, long = embeddings.encode(model, ["word " * 254, "word " * 400])
    assert np.abs(short - long).max() < 1e-5


def test_no_texts_give_no_vectors(model: Model) -> None:
    assert embeddings.encode(model, []).shape == (0, 384)
    assert list(embeddings.encode_chunks(model, [])) == []


def test_a_vector_that_is_not_finite_is_an_error(model: Model) -> None:
    import torch

    def broken(input_ids: "torch.Tensor", attention_mask: "torch.Tensor") -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=torch.full((*input_ids.shape, 4), torch.nan))

    with pytest.raises(EncoderError, match=r"MiniLM .* not a number"):
        next(embeddings.encode_chunks(dataclasses.replace(model, module=broken), ["Drama"]))


def test_importing_loads_no_model_library() -> None:
    import subprocess

    code = (
        "import sys, core.embeddings, core.devices, core.encoders; "
        "print({'torch', 'transformers', 'streamlit', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=MOVIES.parents[1], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_the_baseline_has_no_model_to_load() -> None:
    with pytest.raises(EncoderError, match=r"Multi-hot genres .* has no packaged model"):
        embeddings.load(encoders.get(encoders.BASELINE), CPU)


def test_a_package_that_is_not_installed_is_named() -> None:
    encoder = dataclasses.replace(MINILM, package="no_such_package")
    with pytest.raises(EncoderError, match="Install the package no-such-package"):
        embeddings.load(encoder, CPU)


def test_missing_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, _ = packaged(tmp_path, monkeypatch)
    with pytest.raises(EncoderError, match=r"weights of MiniLM .* cannot be read.*Reinstall the package"):
        embeddings.load(encoder, CPU)


def test_other_weights_are_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, folder = packaged(tmp_path, monkeypatch)
    weights = embeddings.model_folder(MINILM) / "model.safetensors"
    (folder / "model.safetensors").write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(EncoderError, match=r"not the expected ones: their SHA-256 starts with .* 53aa51172d14"):
        embeddings.load(encoder, CPU)


def test_damaged_files_beside_good_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, folder = packaged(tmp_path, monkeypatch)
    (folder / "model.safetensors").symlink_to(embeddings.model_folder(MINILM) / "model.safetensors")
    (folder / "tokenizer.json").write_text('{"version": "1.0", ')
    with pytest.raises(EncoderError, match=r"cannot be loaded: .*Reinstall the package carried-model"):
        embeddings.load(encoder, CPU)


def test_post_process_normalises_and_leaves_zeros() -> None:
    vectors = np.array([[3, 4], [0, 0], [0, 2]], dtype=np.float32)
    result = embeddings.post_process(vectors, MINILM)
    assert result.dtype == np.float32
    assert np.allclose(result, [[0.6, 0.8], [0, 0], [0, 1]])
    assert vectors[0, 0] == 3  # the argument is left alone


def test_post_process_centres_where_the_encoder_asks() -> None:
    raw = dataclasses.replace(MINILM, center=True)
    result = embeddings.post_process(np.array([[1, 5], [3, 5]], dtype=np.float32), raw)
    assert np.allclose(result, [[-1, 0], [1, 0]])
    assert embeddings.post_process(np.zeros((0, 2), np.float32), raw).shape == (0, 2)


def test_multi_hot_marks_the_genres() -> None:
    result = embeddings.multi_hot(["Drama", "Comedy, Drama", "", "Action, Comedy"])
    assert result.dtype == np.float32
    assert result.tolist() == [[0, 0, 1], [0, 1, 1], [0, 0, 0], [1, 1, 0]]
    assert embeddings.multi_hot([]).shape == (0, 0)


def test_multi_hot_of_the_catalogue(genre_lists: list[str]) -> None:
    vectors = embeddings.multi_hot(genre_lists)
    assert len(np.unique(vectors, axis=0)) == len(genre_lists)
    assert vectors.sum(axis=1).tolist() == [text.count(", ") + 1 for text in genre_lists]


def test_errors_are_summed_up_in_one_sentence() -> None:
    assert embeddings.summary(ValueError("\nFirst line.\nSecond")) == "ValueError: First line."
    assert embeddings.summary(KeyError()) == "KeyError."
    assert len(embeddings.summary(ValueError("long " * 100))) < 210
