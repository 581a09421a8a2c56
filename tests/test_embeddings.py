import dataclasses
import shutil
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from core import checkpoints, devices, embeddings, encoders
from core.devices import Device, choose
from core.embeddings import Model
from core.encoders import Encoder, EncoderError

MOVIES = Path(__file__).resolve().parents[1] / "data" / "movies.parquet"
MINILM = encoders.get(encoders.DEFAULT_ENCODER)
FOLDER = checkpoints.obtain(MINILM).folder
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
    for file in FOLDER.iterdir():
        if file.is_file() and file.name != "model.safetensors":
            shutil.copy(file, folder)
    monkeypatch.syspath_prepend(tmp_path)
    return dataclasses.replace(MINILM, package="carried_model"), folder


def test_vectors_equal_those_of_sentence_transformers(model: Model, genre_lists: list[str]) -> None:
    from sentence_transformers import SentenceTransformer

    assert len(genre_lists) == 1187
    reference = SentenceTransformer(str(FOLDER), device=model.device.name, local_files_only=True).encode(
        genre_lists, normalize_embeddings=True, show_progress_bar=False
    )
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
    def broken(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=torch.full((*input_ids.shape, 4), torch.nan))

    broken.config = model.module.config  # type: ignore[attr-defined]
    with pytest.raises(EncoderError, match=r"MiniLM .* not a number"):
        next(embeddings.encode_chunks(dataclasses.replace(model, module=broken), ["Drama"]))


class Card:
    """A module that runs out of memory, as a graphics card does, for batches above a size."""

    def __init__(self, fits: int, words: str = "CUDA out of memory.") -> None:
        self.config = SimpleNamespace(max_position_embeddings=512, model_type="bert", hidden_size=2)
        self.fits, self.words, self.batches, self.moves = fits, words, list[int](), list[str]()

    def to(self, where: str) -> "Card":
        self.moves.append(where)
        self.fits = 99
        return self

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        if len(input_ids) > self.fits:
            raise torch.OutOfMemoryError(self.words)
        self.batches.append(len(input_ids))
        return SimpleNamespace(last_hidden_state=input_ids[:, :, None].float().expand(-1, -1, 2))


def test_batches_are_halved_when_memory_runs_out(model: Model) -> None:
    card = Card(fits=3)
    small = dataclasses.replace(model, module=card)
    halved = embeddings.encode(small, ["Drama", "Comedy", "Horror", "War", "Crime", "Music", "Sport"])
    assert card.batches == [3, 2, 2]
    assert (halved == embeddings.encode(dataclasses.replace(model, module=Card(99)), [
        "Drama", "Comedy", "Horror", "War", "Crime", "Music", "Sport"])).all()  # fmt: skip
    assert card.moves == []


def test_the_cpu_goes_on_where_a_graphics_card_is_too_small(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    made, tensor = [], torch.tensor

    def on_cpu(values: list[list[int]], device: str) -> torch.Tensor:
        made.append(device)
        return tensor(values)

    monkeypatch.setattr(torch, "tensor", on_cpu)
    card = Card(fits=0)
    device = Device("cuda", "NVIDIA T4", "float32", "For a test.")
    moved = dataclasses.replace(model, module=card, device=device)
    assert embeddings.encode(moved, ["Drama", "Comedy"]).shape == (2, 2)
    assert card.moves == ["cpu"]
    assert made == ["cuda", "cuda", "cpu", "cpu"]
    assert (moved.device.name, moved.device.dtype) == ("cpu", "float32")
    assert moved.device.reason == "The memory of NVIDIA T4 ran out, so the CPU went on."


def test_no_memory_at_all_is_a_sentence(model: Model) -> None:
    full = dataclasses.replace(model, module=Card(0, "DefaultCPUAllocator: can't allocate memory"), device=CPU)
    with pytest.raises(EncoderError, match=r"not enough memory to encode with MiniLM .* Choose a smaller encoder"):
        embeddings.encode(full, ["Drama", "Comedy"])


def test_the_first_token_where_the_encoder_pools_so(model: Model) -> None:
    first = dataclasses.replace(model, encoder=dataclasses.replace(MINILM, pooling="cls"), module=Card(9))
    start = model.tokenizer("Drama")["input_ids"][0]
    assert embeddings.encode(first, ["Drama"]).tolist() == [[start, start]]


def test_texts_are_cut_to_what_the_model_has_positions_for(model: Model) -> None:
    def limit(model_type: str, positions: int, most: int) -> int:
        config = SimpleNamespace(max_position_embeddings=positions, model_type=model_type, pad_token_id=1)
        encoder = dataclasses.replace(MINILM, max_length=most)
        tokenizer = SimpleNamespace(model_max_length=512)
        module = SimpleNamespace(config=config)
        return embeddings._max_length(dataclasses.replace(model, encoder=encoder, tokenizer=tokenizer, module=module))

    assert limit("bert", 512, 256) == 256
    assert limit("bert", 128, 256) == 128
    assert limit("xlm-roberta", 514, 4096) == 512
    assert limit("distilbert", 1024, 4096) == 512


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
    with pytest.raises(EncoderError, match=r"files of Multi-hot genres .* are not installed"):
        embeddings.load(encoders.get(encoders.BASELINE), CPU)


def test_a_package_that_is_not_installed_is_named() -> None:
    encoder = dataclasses.replace(MINILM, package="no_such_package", repository=None)
    with pytest.raises(EncoderError, match="Install the package no-such-package"):
        embeddings.load(encoder, CPU)


def test_an_encoder_that_does_not_fit_is_refused_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "free_memory", lambda: 123_000_000)
    with pytest.raises(EncoderError, match=r"MiniLM .* needs some \d{3} MB of memory, and 123 MB are free here\."):
        embeddings.load(MINILM, CPU)


def test_weights_that_lack_a_part_are_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers fills what is missing with random numbers."""
    from safetensors.numpy import load_file, save_file

    encoder, folder = packaged(tmp_path, monkeypatch)
    weights = load_file(FOLDER / "model.safetensors")
    weights = {name: value for name, value in weights.items() if "layer.3.attention.self.query" not in name}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    monkeypatch.setattr(checkpoints, "_check_package", lambda encoder, folder: None)
    with pytest.raises(EncoderError, match=r"lack 2 of the model's parts, encoder\.layer\.3\.attention\.self\.query"):
        embeddings.load(encoder, CPU)


def test_missing_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, _ = packaged(tmp_path, monkeypatch)
    with pytest.raises(EncoderError, match=r"weights of MiniLM .* cannot be read.*Reinstall the package"):
        embeddings.load(encoder, CPU)


def test_other_weights_are_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, folder = packaged(tmp_path, monkeypatch)
    weights = FOLDER / "model.safetensors"
    (folder / "model.safetensors").write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(EncoderError, match=r"not the expected ones: their SHA-256 starts with .* 53aa51172d14"):
        embeddings.load(encoder, CPU)


def test_damaged_files_beside_good_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, folder = packaged(tmp_path, monkeypatch)
    (folder / "model.safetensors").symlink_to(FOLDER / "model.safetensors")
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


def test_standardised_dimensions_all_count_alike() -> None:
    random = np.random.default_rng(0)
    raw = (random.normal(size=(500, 3)) * [1, 100, 0]).astype(np.float32) + 7
    plain = embeddings.post_process(raw, dataclasses.replace(MINILM, center=True))
    assert (plain**2).mean(axis=0)[1] > 0.9  # one dimension decides everything
    even = embeddings.post_process(raw, MINILM, standardize=True)
    assert np.abs((even**2).mean(axis=0) - [0.5, 0.5, 0]).max() < 0.05
    assert np.allclose(np.linalg.norm(even, axis=1), 1)


def test_multi_hot_marks_the_genres() -> None:
    result = embeddings.multi_hot(["Drama", "Comedy, Drama", "", "Action, Comedy"])
    assert result.dtype == np.float32
    assert result.tolist() == [[0, 0, 1], [0, 1, 1], [0, 0, 0], [1, 1, 0]]
    assert embeddings.multi_hot([]).shape == (0, 0)


def test_multi_hot_of_the_catalogue(genre_lists: list[str]) -> None:
    vectors = embeddings.multi_hot(genre_lists)
    assert len(np.unique(vectors, axis=0)) == len(genre_lists)
    assert vectors.sum(axis=1).tolist() == [text.count(", ") + 1 for text in genre_lists]


def test_tf_idf_keeps_the_cosines_where_nothing_is_cut() -> None:
    """With fewer words than components the reduction only turns the space."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = ["a ghost in the house", "the house of the ghost", "two lawyers meet", "", "lawyers in the house", "ghost"]
    reduced = embeddings.tf_idf(texts)
    assert reduced.dtype == np.float32
    exact = TfidfVectorizer().fit_transform(texts).toarray()
    assert reduced.shape[0] == 6
    assert np.abs(reduced @ reduced.T - exact @ exact.T).max() < 0.05
    assert (embeddings.tf_idf(texts) == reduced).all()


@pytest.mark.parametrize("texts", [[], [""], ["", "?!"], ["word"], ["word", "word"]])
def test_tf_idf_of_next_to_nothing(texts: list[str]) -> None:
    vectors = embeddings.tf_idf(texts)
    assert len(vectors) == len(texts)
    assert np.isfinite(vectors).all()


def test_only_baselines_are_made_without_a_model(genre_lists: list[str]) -> None:
    assert embeddings.baseline(encoders.get("tf-idf"), genre_lists, genre_lists).shape[1] <= 100
    assert (
        embeddings.baseline(encoders.get("multi-hot"), ["?"], genre_lists) == embeddings.multi_hot(genre_lists)
    ).all()
    with pytest.raises(ValueError, match="has a model"):
        embeddings.baseline(MINILM, genre_lists, genre_lists)


def test_errors_are_summed_up_in_one_sentence() -> None:
    assert embeddings.summary(ValueError("\nFirst line.\nSecond")) == "ValueError: First line."
    assert embeddings.summary(KeyError()) == "KeyError."
    assert len(embeddings.summary(ValueError("long " * 100))) < 210


def test_tf_idf_by_numpy_is_that_of_scikit_learn(genre_lists: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*genre_lists, "", "X", "drama Drama DRAMA, Ärger"]
    ours = embeddings.tf_idf(texts)
    monkeypatch.setattr(embeddings, "SMALL_MATRIX", 0)
    theirs = embeddings.tf_idf(texts)
    assert ours.shape == theirs.shape
    assert ours @ ours.T == pytest.approx(theirs @ theirs.T, abs=1e-5)
