"""The five encoders of the Hub in a real child of the worker, from the first request to clusters."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from core import clustering, embeddings, encoders
from core.embeddings import Float32
from core.encoders import DEFAULT_ENCODER, Encoder
from core.movies import Catalogue
from core.vectors import VectorStore
from core.worker import FINISHED, Progress, Worker
from tests.hub import FAMILIES, MAX_TOKENS, NOT_TO_BE_FETCHED, WEIGHTS, Hub, etag

pytest_plugins = ["tests.hub"]

ODD_TEXTS = ["Drama", "drama", "DRAMA", "Science Fiction", "Ünknown ☃ Genre", "War, " * 100, "Film-Noir"]


@pytest.fixture(scope="module")
def home(running_hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The child's Hugging Face home, empty at first, in an environment that points it to the Hub of the tests."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            patch.delenv(name, raising=False)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            patch.delenv(name, raising=False)
        patch.setenv("HF_ENDPOINT", running_hub.url)
        patch.setenv("HF_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def shared(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Worker, VectorStore]]:
    """One worker for all tests, as its child loads torch once."""
    store = VectorStore(tmp_path_factory.mktemp("shared") / "vectors")
    shared = Worker(store)
    yield shared, store
    shared.close()


def follow(worker: Worker, job_id: str, ready: Callable[[Progress], bool] = lambda progress: False) -> list[Progress]:
    """Return what was seen of a job's progress, until it is as wanted or finished."""
    seen: list[Progress] = []
    limit = time.monotonic() + 90
    while not seen or not (ready(seen[-1]) or seen[-1].state in FINISHED):
        assert time.monotonic() < limit, seen[-1]
        progress = worker.progress(job_id)
        if not seen or progress != seen[-1]:
            seen.append(progress)
        time.sleep(0.005)
    return seen


def cached(home: Path, encoder: Encoder) -> Path:
    return home / "hub" / f"models--{str(encoder.repository).replace('/', '--')}"


def reference(folder: Path, texts: list[str]) -> Float32:
    """Encode in the plainest way: one text at a time, in float64, with tokens straight from tokenizer.json."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForMaskedLM

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    model = AutoModelForMaskedLM.from_pretrained(folder, local_files_only=True).base_model.double().eval()
    vectors = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a model gains nothing from more, and they get in the child's way
    with torch.inference_mode():
        for text in texts:
            tokens = tokenizer.encode(text)
            ids, mask = torch.tensor([tokens.ids]), torch.tensor([tokens.attention_mask])
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
            vectors.append((hidden * mask[..., None]).sum(dim=1)[0] / mask.sum())
    torch.set_num_threads(threads)
    return np.asarray(torch.stack(vectors).float())


# These run in this order: what comes later needs what was fetched and stored before.


@pytest.mark.parametrize("name", FAMILIES)
def test_from_the_first_request_to_clusters(
    name: str,
    shared: tuple[Worker, VectorStore],
    home: Path,
    hub: Hub,
    small_checkpoints: dict[str, Path],
    catalogue: Catalogue,
) -> None:
    worker, store = shared
    encoder = encoders.get(name)
    texts = [*catalogue.genre_lists, *(text for text in ODD_TEXTS if text not in catalogue.genre_lists)]
    assert not cached(home, encoder).exists()
    if name == "bert-base-uncased":
        hub.mood, hub.rate = "slow", 200_000
    seen = follow(worker, worker.submit(name, texts))
    done = seen[-1]
    assert done.state == "done", done
    assert (done.done, done.total) == (len(texts), len(texts))
    states = list(dict.fromkeys(progress.state for progress in seen))
    assert [state for state in states if state in ("fetching", "encoding", "done")][-3:] in (
        ["fetching", "encoding", "done"],
        ["encoding", "done"],
    )
    total = sum(path.stat().st_size for path in cached(home, encoder).glob("snapshots/*/*"))
    fetching = [progress for progress in seen if progress.state == "fetching"]
    assert {progress.bytes_total for progress in fetching} <= {total}
    if name == "bert-base-uncased":
        assert fetching
        assert [progress.bytes_done for progress in fetching] == sorted(progress.bytes_done for progress in fetching)
    wanted = {path.name for path in small_checkpoints[name].iterdir() if path.is_file()} - {*NOT_TO_BE_FETCHED}
    assert sorted(hub.fetched()) == sorted(wanted)
    assert done.facts is not None
    assert (done.facts["encoder"], done.facts["dtype"]) == (name, "float32")

    key = encoders.key(encoder)
    assert store.missing(key, texts) == []
    sample = [*catalogue.genre_lists[::4], *ODD_TEXTS]
    expected = reference(small_checkpoints[name], sample)
    assert np.abs(store.load(key, sample) - expected).max() < 1e-5
    drama, small_drama = store.load(key, ["Drama", "drama"])
    assert np.array_equal(drama, small_drama) == (not encoder.cased)

    vectors = embeddings.post_process(store.load(key, catalogue.genre_lists), encoder)
    weights = catalogue.weights()
    found = clustering.fit(clustering.space(vectors, weights), weights, 8)
    assert found.n_clusters == 8
    assert found.sizes.min() > 0


def test_what_was_fetched_once_is_not_asked_for_again(shared: tuple[Worker, VectorStore], hub: Hub) -> None:
    worker, _ = shared
    hub.mood = "broken"
    for name in ("roberta-base", "distilbert-base-uncased"):  # neither is the one that is loaded now
        assert follow(worker, worker.submit(name, [f"new to {name}"]))[-1].state == "done"
    assert hub.asked == []


def test_a_failure_is_remembered_for_a_minute_and_others_go_on(
    shared: tuple[Worker, VectorStore], home: Path, hub: Hub
) -> None:
    worker, store = shared
    encoder = encoders.get("bert-base-cased")
    shutil.rmtree(cached(home, encoder))
    hub.mood = "broken"
    pid = worker.pid
    job_id = worker.submit(encoder.id, ["a text without a vector"])
    failed = follow(worker, job_id)[-1]
    assert failed.state == "failed"
    assert failed.message == (
        f"{hub.url} could not deliver BERT, cased (bert-base-cased): it answered with error 500. Try again in some "
        "minutes, or choose another encoder."
    )
    asked = len(hub.asked)
    assert 0 < asked <= 2
    jobs = {worker.submit(encoder.id, ["a text without a vector"]) for _ in range(5)}
    jobs |= {worker.submit(encoder.id, [f"another text {number}", "Drama"]) for number in range(5)}
    assert jobs == {job_id}
    assert len(hub.asked) == asked
    # What is stored is served all the same, and other encoders are not touched.
    assert worker.progress(worker.submit(encoder.id, ["Drama"])).state == "done"
    minilm = follow(worker, worker.submit(DEFAULT_ENCODER, ["Drama", "War"]))[-1]
    assert minilm.state == "done", minilm
    assert store.load(encoders.key(encoders.get(DEFAULT_ENCODER)), ["Drama", "War"]).shape == (2, 384)
    assert embeddings.multi_hot(["Drama", "War"]).shape == (2, 2)
    assert len(hub.asked) == asked
    assert worker.pid == pid  # a failed job costs neither the process nor what waits behind it

    again = worker.submit(encoder.id, ["a text without a vector"], retry=True)
    assert again != job_id
    assert follow(worker, again)[-1].state == "failed"
    assert len(hub.asked) == 2 * asked
    hub.reset()
    healed = worker.submit(encoder.id, ["a text without a vector"], retry=True)
    assert follow(worker, healed)[-1].state == "done"


def test_cancelling_in_the_middle_of_a_transfer_keeps_the_bytes(
    shared: tuple[Worker, VectorStore], home: Path, hub: Hub
) -> None:
    worker, _ = shared
    encoder = encoders.get("xlm-roberta-base")
    files = hub.repositories[str(encoder.repository), str(encoder.revision)]
    shutil.rmtree(cached(home, encoder))
    hub.mood, hub.rate = "slow", 1_500_000  # some three seconds for the weights
    pid = worker.pid
    job_id = worker.submit(encoder.id, ["a text for later"])
    small = sum(len(content) for name, content in files.items() if name not in (*NOT_TO_BE_FETCHED, WEIGHTS))
    seen = follow(worker, job_id, lambda progress: progress.bytes_done > small + 500_000)
    assert seen[-1].state == "fetching", seen[-1]
    assert seen[-1].bytes_per_second
    assert seen[-1].seconds_left
    worker.cancel(job_id)
    began = time.monotonic()
    assert follow(worker, job_id)[-1].state == "cancelled"
    assert time.monotonic() - began < 2
    assert worker.pid == pid
    (part,) = (cached(home, encoder) / "blobs").glob("*.part")
    assert part.name == f"{etag(WEIGHTS, files[WEIGHTS])}.part"
    kept = part.stat().st_size
    assert kept >= seen[-1].bytes_done - small
    assert not list(cached(home, encoder).glob(f"snapshots/*/{WEIGHTS}"))
    hub.reset()
    done = follow(worker, worker.submit(encoder.id, ["a text for later"]))[-1]
    assert done.state == "done", done
    assert hub.fetched() == [WEIGHTS]
    assert hub.requests("GET", WEIGHTS)[-1].headers["range"] == f"bytes={kept}-"
