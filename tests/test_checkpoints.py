import errno
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants, file_download
from huggingface_hub.utils import close_session

from core import checkpoints, devices, embeddings, encoders, worker
from core.checkpoints import WEIGHTS
from core.encoders import Encoder, EncoderError
from core.vectors import VectorStore
from tests.hub import MAX_TOKENS, NOT_TO_BE_FETCHED, OLD_NAMES, OLD_NAMES_REPOSITORY, OLD_NAMES_REVISION, Hub, etag

pytest_plugins = ["tests.hub"]

BERT = encoders.get("bert-base-uncased")
BERT_FILES = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"}


@pytest.fixture(autouse=True)
def cache(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and this machine's Hub in the place of the real one.

    The library reads its settings when it is imported, so they are set where it keeps them. Its client is closed
    before and after, as it holds on to connections and to the proxies of its first use.
    """
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", encoders.SETTING):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    point_to(hub.url, monkeypatch)
    folder = tmp_path / "home" / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    # Read at import too: a file in one piece has no middle.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 16 * 1024)
    close_session()
    yield folder
    close_session()


def point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library not wait before it goes on with a transfer that was cut."""
    monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=lambda seconds: None, time=time.time))


def blobs(cache: Path, encoder: Encoder = BERT) -> Path:
    return cache / f"models--{str(encoder.repository).replace('/', '--')}" / "blobs"


def snapshot(cache: Path, encoder: Encoder = BERT) -> Path:
    return blobs(cache, encoder).parent / "snapshots" / str(encoder.revision)


def on_the_hub(hub: Hub, encoder: Encoder = BERT) -> dict[str, bytes]:
    return hub.repositories[str(encoder.repository), str(encoder.revision)]


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def refused(encoder: Encoder = BERT, within: float = 5.0) -> str:
    """Return the sentence with which an encoder is refused, within some seconds."""
    began = time.monotonic()
    with pytest.raises(EncoderError) as raised:
        checkpoints.obtain(encoder)
    assert time.monotonic() - began < within
    sentence = str(raised.value)
    assert encoder.title in sentence or str(encoder.repository) in sentence, sentence
    assert sentence.endswith("."), sentence
    assert "\n" not in sentence
    return sentence


# What is fetched, and where it is put.


@pytest.mark.parametrize("name", [name for name, each in encoders.ENCODERS.items() if each.center])
def test_a_checkpoint_is_fetched_into_the_cache_of_all_hugging_face_libraries(name: str, hub: Hub, cache: Path) -> None:
    encoder = encoders.get(name)
    expected = {file: content for file, content in on_the_hub(hub, encoder).items() if file not in NOT_TO_BE_FETCHED}
    assert checkpoints.place(encoder) == "hub"
    assert checkpoints.cached_bytes(encoder) == 0
    assert not cache.exists()  # a look changes nothing
    found = checkpoints.obtain(encoder)
    assert found == checkpoints.Found(snapshot(cache, encoder), "hub", fetched=True)
    assert checkpoints.place(encoder) == "cache"
    assert checkpoints.cached_bytes(encoder) == sum(map(len, expected.values()))
    assert checkpoints.weights_bytes(found.folder) == len(expected[WEIGHTS])
    assert {path.name for path in found.folder.iterdir()} == expected.keys()
    assert {path.name for path in blobs(cache, encoder).iterdir()} == {etag(*each) for each in expected.items()}
    for file, content in expected.items():
        link = found.folder / file
        assert link.is_symlink()
        assert not link.readlink().is_absolute()  # the cache can be moved as a whole
        assert link.resolve() == blobs(cache, encoder) / etag(file, content)
        assert link.read_bytes() == content
        there = huggingface_hub.try_to_load_from_cache(
            encoder.repository, file, cache_dir=cache, revision=encoder.revision
        )
        assert there == str(link)
    whole = huggingface_hub.snapshot_download(
        encoder.repository, revision=encoder.revision, cache_dir=cache, local_files_only=True
    )
    assert Path(whole) == found.folder


def test_a_second_call_asks_nobody(hub: Hub) -> None:
    first = checkpoints.obtain(BERT)
    hub.asked.clear()
    second = checkpoints.obtain(BERT)
    assert (second.folder, second.place, second.fetched) == (first.folder, "cache", False)
    assert hub.asked == []


def test_only_what_is_needed_is_fetched_and_each_file_once(hub: Hub) -> None:
    checkpoints.obtain(BERT)
    assert sorted(hub.fetched()) == sorted(BERT_FILES)
    assert hub.fetched()[-1] == WEIGHTS  # what is wrong with a repository shows before its weights have travelled
    assert {each.name for each in hub.requests() if "/resolve/" in each.path} == BERT_FILES
    assert {each.path.split("/")[4] for each in hub.requests() if "/resolve/" in each.path} == {BERT.revision}
    assert len(hub.requests(name=str(BERT.revision))) == 1  # the question what there is


def test_what_the_libraries_fetched_is_found_without_a_request(hub: Hub, cache: Path) -> None:
    huggingface_hub.snapshot_download(BERT.repository, revision=BERT.revision, cache_dir=cache)
    hub.asked.clear()
    assert checkpoints.place(BERT) == "cache"
    assert checkpoints.obtain(BERT).place == "cache"
    assert hub.asked == []


def test_what_lacks_of_a_snapshot_of_the_libraries_is_fetched(hub: Hub, cache: Path) -> None:
    huggingface_hub.hf_hub_download(str(BERT.repository), "config.json", revision=BERT.revision, cache_dir=cache)
    hub.asked.clear()
    assert checkpoints.place(BERT) == "hub"
    assert checkpoints.obtain(BERT).fetched
    assert sorted(hub.fetched()) == sorted(BERT_FILES - {"config.json"})


def test_the_bytes_told_only_grow_and_end_at_the_total(hub: Hub, at_once: None) -> None:
    total = sum(len(on_the_hub(hub)[name]) for name in BERT_FILES)
    for mood in ("well", "cut once"):
        checkpoints.remove(BERT)
        hub.reset()
        hub.mood = mood  # type: ignore[assignment]
        told: list[tuple[int, int]] = []
        checkpoints.obtain(BERT, lambda done, of, told=told: told.append((done, of)))  # type: ignore[misc]
        assert {of for _, of in told} == {total}
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert told[0][0] == 0
        assert told[-1][0] == total
        assert len(told) > 8  # and on the way


# Transfers that end in the middle.


def test_a_transfer_cut_in_the_middle_goes_on_within_the_call(hub: Hub, at_once: None) -> None:
    hub.mood = "cut once"
    found = checkpoints.obtain(BERT)
    assert (found.folder / WEIGHTS).read_bytes() == on_the_hub(hub)[WEIGHTS]
    first, second = (each for each in hub.requests("GET", WEIGHTS) if each.server == "store")
    assert "range" not in first.headers
    begin = int(second.headers["range"].removeprefix("bytes=").partition("-")[0])
    assert 0 < begin <= hub.cut_at


def test_a_transfer_that_stalls_goes_on_within_the_call(
    hub: Hub, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    hub.mood = "stalls once"
    found = checkpoints.obtain(BERT)
    assert (found.folder / WEIGHTS).read_bytes() == on_the_hub(hub)[WEIGHTS]


def test_a_transfer_cut_again_and_again_says_so_and_keeps_what_is_here(hub: Hub, cache: Path, at_once: None) -> None:
    hub.mood = "cut always"
    sentence = refused()
    assert "was cut" in sentence
    assert "What has arrived is kept; try again to go on." in sentence
    assert checkpoints.place(BERT) == "hub"  # half a checkpoint is none
    (part,) = blobs(cache).glob("*.part")
    kept = part.stat().st_size
    assert 0 < kept <= hub.cut_at
    hub.reset()
    checkpoints.obtain(BERT)
    assert hub.fetched() == [WEIGHTS]
    assert [each.headers["range"] for each in hub.requests("GET", WEIGHTS)] == [f"bytes={kept}-"] * 2


class Stop(Exception):
    """What a cancelled job raises in the middle of a transfer."""


def stop_at(bytes_done: int) -> Callable[[int, int], None]:
    def on_bytes(done: int, total: int) -> None:
        if done >= bytes_done:
            raise Stop

    return on_bytes


def test_a_cancelled_transfer_is_taken_up_where_it_stopped(hub: Hub, cache: Path) -> None:
    with pytest.raises(Stop):
        checkpoints.obtain(BERT, stop_at(70_000))
    (part,) = blobs(cache).glob("*.part")
    kept = part.stat().st_size
    assert kept >= 30_000
    assert on_the_hub(hub)[WEIGHTS].startswith(part.read_bytes())
    hub.asked.clear()
    told: list[int] = []
    found = checkpoints.obtain(BERT, lambda done, total: told.append(done))
    assert (found.folder / WEIGHTS).read_bytes() == on_the_hub(hub)[WEIGHTS]
    assert hub.fetched() == [WEIGHTS]
    assert hub.requests("GET", WEIGHTS)[-1].headers["range"] == f"bytes={kept}-"
    assert not list(blobs(cache).glob("*.part"))
    assert told == sorted(told)
    assert told[-1] == sum(len(on_the_hub(hub)[name]) for name in BERT_FILES)


def test_a_cancelled_transfer_keeps_all_bytes_that_were_told(hub: Hub, cache: Path) -> None:
    told: list[int] = []

    def on_bytes(done: int, total: int) -> None:
        told.append(done)
        stop_at(70_000)(done, total)

    with pytest.raises(Stop):
        checkpoints.obtain(BERT, on_bytes)
    assert sum(path.stat().st_size for path in blobs(cache).iterdir()) == told[-1]


def test_a_server_that_knows_no_parts_of_files_sends_all_again(hub: Hub) -> None:
    with pytest.raises(Stop):
        checkpoints.obtain(BERT, stop_at(70_000))
    hub.mood = "no ranges"
    told: list[tuple[int, int]] = []
    found = checkpoints.obtain(BERT, lambda done, total: told.append((done, total)))
    assert (found.folder / WEIGHTS).read_bytes() == on_the_hub(hub)[WEIGHTS]
    assert max(done for done, _ in told) == told[-1][0] == told[-1][1]  # and never more than all


def test_half_of_a_small_file_is_completed_though_the_hub_sends_it_compressed(hub: Hub, cache: Path) -> None:
    content = on_the_hub(hub)["tokenizer.json"]
    blobs(cache).mkdir(parents=True)
    (blobs(cache) / f"{etag('tokenizer.json', content)}.part").write_bytes(content[:1000])
    told: list[tuple[int, int]] = []
    found = checkpoints.obtain(BERT, lambda done, total: told.append((done, total)))
    assert (found.folder / "tokenizer.json").read_bytes() == content
    assert hub.fetched().count("tokenizer.json") == 1
    assert [done for done, _ in told] == sorted(done for done, _ in told)  # though the half was sent again


@pytest.mark.parametrize("rest", [b"", b"and more"], ids=["whole", "longer than the file"])
def test_a_part_that_is_whole_already_is_checked_and_used(rest: bytes, hub: Hub, cache: Path) -> None:
    weights = on_the_hub(hub)[WEIGHTS]
    blobs(cache).mkdir(parents=True)
    (blobs(cache) / f"{etag(WEIGHTS, weights)}.part").write_bytes(weights + rest)
    found = checkpoints.obtain(BERT)
    assert WEIGHTS not in hub.fetched()
    assert (found.folder / WEIGHTS).read_bytes() == weights


def test_a_part_with_other_content_is_fetched_anew(hub: Hub, cache: Path) -> None:
    weights = on_the_hub(hub)[WEIGHTS]
    blobs(cache).mkdir(parents=True)
    (blobs(cache) / f"{etag(WEIGHTS, weights)}.part").write_bytes(b"x" * 1000)
    found = checkpoints.obtain(BERT)
    assert (found.folder / WEIGHTS).read_bytes() == weights
    assert hub.fetched().count(WEIGHTS) == 2


def test_two_at_once_do_not_spoil_each_others_transfer(hub: Hub, cache: Path) -> None:
    hub.mood, hub.rate = "slow", 400_000
    problems: list[Exception] = []

    def obtain() -> None:
        try:
            checkpoints.obtain(BERT)
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=obtain) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert (snapshot(cache) / WEIGHTS).read_bytes() == on_the_hub(hub)[WEIGHTS]


# Damage.


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_a_damaged_file_of_the_cache_is_found_and_only_that_one_is_fetched(name: str, hub: Hub, cache: Path) -> None:
    checkpoints.obtain(BERT)
    hub.asked.clear()
    damage(snapshot(cache) / name)
    assert checkpoints.place(BERT) == "cache"  # it takes more than a look to see it
    found = checkpoints.obtain(BERT)
    assert (found.place, found.fetched) == ("hub", True)
    assert hub.fetched() == [name]
    assert (found.folder / name).read_bytes() == on_the_hub(hub)[name]
    assert checkpoints.obtain(BERT).place == "cache"


def test_a_file_that_was_cut_short_is_found_and_fetched(hub: Hub, cache: Path) -> None:
    checkpoints.obtain(BERT)
    hub.asked.clear()
    weights = snapshot(cache) / WEIGHTS
    os.truncate(weights.resolve(), 1000)
    assert (checkpoints.obtain(BERT).folder / WEIGHTS).read_bytes() == on_the_hub(hub)[WEIGHTS]
    assert hub.fetched() == [WEIGHTS]


def test_a_link_to_nothing_is_found_and_fetched(hub: Hub, cache: Path) -> None:
    checkpoints.obtain(BERT)
    hub.asked.clear()
    (snapshot(cache) / "vocab.txt").resolve().unlink()
    (snapshot(cache) / WEIGHTS).resolve().unlink()
    assert checkpoints.place(BERT) == "hub"
    checkpoints.obtain(BERT)
    assert hub.fetched() == ["vocab.txt", WEIGHTS]


def test_damaged_and_the_hub_is_gone(hub: Hub, cache: Path) -> None:
    checkpoints.obtain(BERT)
    damage(snapshot(cache) / WEIGHTS)
    hub.mood = "broken"
    assert "error 500" in refused()
    assert checkpoints.place(BERT) == "hub"
    assert (snapshot(cache) / "config.json").is_file()  # the sound ones stay
    hub.reset()
    checkpoints.obtain(BERT)
    assert hub.fetched() == [WEIGHTS]


def test_a_file_that_arrives_damaged_once_is_fetched_again(hub: Hub) -> None:
    hub.mood = "damaged once"
    found = checkpoints.obtain(BERT)
    assert (found.folder / WEIGHTS).read_bytes() == on_the_hub(hub)[WEIGHTS]
    assert hub.fetched().count(WEIGHTS) == 2


def test_a_file_that_arrives_damaged_twice_is_not_used(hub: Hub, cache: Path) -> None:
    hub.mood = "damaged"
    sentence = refused()
    assert "model.safetensors of BERT, uncased (bert-base-uncased) arrived damaged twice" in sentence
    assert hub.fetched().count(WEIGHTS) == 2
    assert not (snapshot(cache) / WEIGHTS).exists()
    assert checkpoints.place(BERT) == "hub"


def test_again_asks_the_hub_though_all_seems_to_be_here(hub: Hub, cache: Path) -> None:
    checkpoints.obtain(BERT)
    (snapshot(cache) / "tokenizer_config.json").unlink()
    assert checkpoints.obtain(BERT).place == "cache"
    found = checkpoints.obtain(BERT, again=True)
    assert found.fetched
    assert {path.name: path.read_bytes() for path in found.folder.iterdir()} == {
        name: on_the_hub(hub)[name] for name in BERT_FILES
    }


def test_what_lacks_for_loading_is_fetched(hub: Hub, cache: Path) -> None:
    encoder = encoders.get("xlm-roberta-base")
    checkpoints.obtain(encoder)
    (snapshot(cache, encoder) / "tokenizer.json").unlink()
    assert checkpoints.obtain(encoder).place == "cache"
    model = embeddings.load(encoder, devices.cpu("A test."))
    assert len(model.tokenizer("Action, Drama")["input_ids"]) == 5


# Whatever stands in the way has a sentence of its own.


@pytest.mark.parametrize(
    ("mood", "words"),
    [
        ("unknown", ["There is no repository google-bert/bert-base-uncased", "HF_TOKEN"]),
        ("gated", ["google-bert/bert-base-uncased is gated", "HF_TOKEN", "Accept their terms"]),
        ("revision gone", ["The revision 86b5e0934494 of google-bert/bert-base-uncased is gone"]),
        ("broken", ["could not deliver", "error 500", "Try again in some minutes"]),
        ("broken files", ["could not deliver", "error 500", "Try again in some minutes"]),
        ("broken bodies", ["could not deliver", "error 503", "Try again in some minutes"]),
        ("no safetensors", ["google-bert/bert-base-uncased", "has no weights in a .safetensors file", "run code"]),
        ("silent", ["is not on this machine", "does not answer", "Check the network"]),
        ("no hub", ["does not answer as a Hub does", "HF_ENDPOINT"]),
        ("other commit", ["does not answer as a Hub does", "HF_ENDPOINT"]),
        ("bad token", ["HF_TOKEN"]),
    ],
)
def test_what_the_hub_refuses_is_said_in_a_sentence(mood: str, words: list[str], hub: Hub, cache: Path) -> None:
    hub.mood = mood  # type: ignore[assignment]
    sentence = refused()
    for word in words:
        assert word in sentence
    assert checkpoints.place(BERT) == "hub"
    hub.reset()
    assert checkpoints.obtain(BERT).fetched  # nothing is left that would be in the way


def test_a_hub_that_stops_answering_before_the_files(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "ANSWER_SECONDS", 0.5)
    hub.mood = "silent files"
    assert "does not answer" in refused(within=2)


@pytest.mark.parametrize("token", [None, "hf_of_somebody"])
def test_gated_with_and_without_a_token(token: str | None, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    hub.mood = "gated"
    assert "is gated: its owners ask for consent first" in refused()


def test_without_network_the_answer_comes_fast(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    point_to(f"http://127.0.0.1:{port}", monkeypatch)
    sentence = refused(within=3)
    assert f"http://127.0.0.1:{port} does not answer. Check the network and try again" in sentence


def test_a_host_that_swallows_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        # With its queue full the system answers no further attempt to connect, as a firewall would.
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        time.sleep(0.05)
        point_to(f"http://127.0.0.1:{address[1]}", monkeypatch)
        assert "does not answer" in refused(within=3.5)
        for each in waiting:
            each.close()


def test_a_name_server_that_hangs(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    patience = threading.Event()

    def hang(*args: object, **options: object) -> None:
        patience.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    point_to("http://hub.invalid", monkeypatch)
    try:
        assert "http://hub.invalid does not answer" in refused(within=3.5)
    finally:
        patience.set()


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    point_to("http://hub.invalid", monkeypatch)
    assert "http://hub.invalid does not answer" in refused(within=3)


def test_where_fetching_is_forbidden_nobody_is_asked(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids to fetch it" in refused(within=1)
    assert hub.asked == []


def test_where_fetching_is_forbidden_the_cache_still_serves(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.obtain(BERT)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert checkpoints.obtain(BERT).place == "cache"


def test_a_disk_with_too_little_room_is_noticed_before_the_transfer(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    sentence = refused()
    assert "more on the disk of the Hub's cache" in sentence
    assert "HF_HOME" in sentence
    assert hub.fetched() == []


def test_only_what_lacks_must_fit_onto_the_disk(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stop):
        checkpoints.obtain(BERT, stop_at(70_000))
    kept = sum(path.stat().st_size for path in blobs(cache).iterdir())
    needed = sum(len(on_the_hub(hub)[name]) for name in BERT_FILES) - kept
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=needed - 1))
    assert "more on the disk" in refused()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=needed))
    assert checkpoints.obtain(BERT).fetched


def test_a_disk_that_fills_up_in_the_transfer(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    http_get = file_download.http_get

    def full(url: str, *args: object, **options: object) -> None:
        if url.endswith(WEIGHTS):
            raise OSError(errno.ENOSPC, "No space left on device")
        http_get(url, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(file_download, "http_get", full)
    assert "The disk of the Hub's cache is full, so BERT, uncased (bert-base-uncased) was not fetched." in refused()


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_a_cache_that_cannot_be_written(depth: int, hub: Hub, cache: Path) -> None:
    way = [cache, blobs(cache).parent, blobs(cache), snapshot(cache)][depth]
    way.parent.mkdir(parents=True)
    way.write_text("in the way, for root too")
    sentence = refused()
    assert "The folder of the Hub's cache cannot be written" in sentence
    assert "HF_HOME" in sentence


# Forgetting.


def test_removing_frees_the_bytes_and_keeps_other_revisions(hub: Hub, cache: Path) -> None:
    files = on_the_hub(hub)
    other = encoders.parse(f"{BERT.repository}@{'5' * 40}")
    hub.add(str(BERT.repository), str(other.revision), {**files, "config.json": files["config.json"] + b"\n"})
    assert checkpoints.remove(BERT) == 0
    checkpoints.obtain(BERT)
    checkpoints.obtain(other)
    free = checkpoints.remove(BERT)
    assert free == len(files["config.json"])  # all other files are the other revision's too
    assert checkpoints.place(BERT) == "hub"
    assert checkpoints.cached_bytes(BERT) == 0
    assert not snapshot(cache).exists()
    hub.asked.clear()
    assert checkpoints.obtain(other).place == "cache"
    assert hub.asked == []
    kept = checkpoints.cached_bytes(other)
    assert checkpoints.remove(other) == kept > 0
    assert list(blobs(cache).iterdir()) == []


def test_removing_frees_what_half_a_transfer_left(hub: Hub, cache: Path) -> None:
    with pytest.raises(Stop):
        checkpoints.obtain(BERT, stop_at(70_000))
    kept = sum(path.stat().st_size for path in blobs(cache).iterdir())
    assert checkpoints.remove(BERT) == kept > 0
    assert list(blobs(cache).iterdir()) == []
    assert checkpoints.remove(BERT) == 0


def test_packages_and_folders_are_not_removed(small_checkpoints: dict[str, Path]) -> None:
    folder = small_checkpoints["bert-base-uncased"]
    before = sorted(folder.iterdir())
    assert checkpoints.remove(encoders.parse(str(folder))) == 0
    assert sorted(folder.iterdir()) == before
    assert checkpoints.remove(encoders.get("multi-hot")) == 0
    minilm = encoders.get(encoders.DEFAULT_ENCODER)
    assert checkpoints.remove(minilm) == 0
    assert checkpoints.place(minilm) == "package"


# The token.


def test_the_token_goes_to_the_hub_and_nowhere_else(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody")
    told: list[object] = []
    checkpoints.obtain(BERT, lambda *numbers: told.append(numbers))
    asked = {name: [each for each in hub.asked if each.server == name] for name in ("hub", "store")}
    assert len(asked["hub"]) > len(BERT_FILES)
    assert {each.headers.get("authorization") for each in asked["hub"]} == {"Bearer hf_of_somebody"}
    assert asked["store"]
    assert all("hf_of_somebody" not in str(each.headers) + each.path for each in asked["store"])
    assert "hf_of_somebody" not in str(told)


@pytest.mark.parametrize("mood", ["unknown", "broken", "gated", "bad token"])
def test_no_sentence_shows_the_token(
    mood: str, hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody")
    hub.mood = mood  # type: ignore[assignment]
    assert "hf_of_somebody" not in refused() + caplog.text


def test_without_a_token_none_is_sent(hub: Hub) -> None:
    checkpoints.obtain(BERT)
    assert all("authorization" not in each.headers for each in hub.asked)


# What a deployer adds.


def test_a_deployers_repository_is_fetched_loaded_and_encodes(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = f"{OLD_NAMES_REPOSITORY}@{OLD_NAMES_REVISION}"
    monkeypatch.setenv(encoders.SETTING, f"{entry}?center=yes&max_length=16")
    encoder = encoders.get(OLD_NAMES)
    store = VectorStore(tmp_path / "vectors")
    seen: list[worker.Progress] = []
    facts = worker.work(encoder, ["Action, Drama", "War"], store, seen.append)
    assert facts["encoder"] == OLD_NAMES
    assert {"fetching", "loading", "encoding", "done"} <= {progress.state for progress in seen}
    assert store.load(encoders.key(encoder), ["War"]).shape == (1, 32)
    assert sorted(hub.fetched()) == sorted(BERT_FILES)


def test_old_names_of_parts_give_the_same_vectors(small_checkpoints: dict[str, Path]) -> None:
    texts = ["Action, Drama", "War", "western " * 100]
    old, new = (
        embeddings.encode(embeddings.load(encoders.parse(str(small_checkpoints[name])), devices.cpu("A test.")), texts)
        for name in (OLD_NAMES, "bert-base-uncased")
    )
    assert np.array_equal(old, new)


def test_a_deployers_folder_loads_and_encodes_without_the_hub(
    hub: Hub, small_checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(small_checkpoints["roberta-base"], tmp_path / "of-ours")
    monkeypatch.setenv(encoders.SETTING, f"{folder}?pooling=cls")
    encoder = encoders.get("of-ours")
    assert checkpoints.place(encoder) == "folder"
    assert checkpoints.obtain(encoder) == checkpoints.Found(folder, "folder")
    model = embeddings.load(encoder, devices.cpu("A test."))
    vectors = embeddings.encode(model, ["Action, Drama", "War", "Drama " * 200])
    assert vectors.shape == (3, 32)
    assert np.linalg.norm(vectors, axis=1).min() > 0
    assert embeddings._max_length(model) == MAX_TOKENS
    assert hub.asked == []
    (folder / WEIGHTS).unlink()
    assert "holds no weights in a .safetensors file" in str(refused_folder(encoder))


def refused_folder(encoder: Encoder) -> EncoderError:
    with pytest.raises(EncoderError) as raised:
        checkpoints.obtain(encoder)
    return raised.value


def test_an_unknown_id_fetches_nothing(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(encoders.SETTING, f"{OLD_NAMES_REPOSITORY}@{OLD_NAMES_REVISION}")
    asking = worker.Worker(VectorStore(tmp_path / "vectors"))
    for unknown in (
        "acme/other", OLD_NAMES_REPOSITORY, f"{OLD_NAMES_REPOSITORY}@{'1' * 40}", f"{OLD_NAMES}@{'1' * 40}",
        "../old-names", hub.url, "bert-base-uncased?center=no", "google-bert/bert-base-uncased",
    ):  # fmt: skip
        with pytest.raises(ValueError, match="There is no encoder"):
            asking.submit(unknown, ["Drama"])
    assert asking.pid is None
    asking.close()
    assert hub.asked == []


def test_an_entry_that_the_hub_does_not_have_is_refused_in_words(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(encoders.SETTING, f"acme/never-was@{'1' * 40} {OLD_NAMES_REPOSITORY}@{'2' * 40}")
    assert "There is no repository acme/never-was" in refused(encoders.get("never-was"))
    assert f"The revision 222222222222 of {OLD_NAMES_REPOSITORY} is gone" in refused(encoders.get(OLD_NAMES))


@pytest.mark.parametrize("name", ["acme/a--b", "acme/" + "x" * 100, "acme/.hidden"])
def test_a_name_that_the_hub_does_not_allow_is_refused_in_words(name: str) -> None:
    refused(encoders.parse(f"{name}@{'1' * 40}"))


def test_a_deployers_repository_without_tokenizer_json_is_found_in_the_cache(
    hub: Hub, small_checkpoints: dict[str, Path]
) -> None:
    encoder = encoders.parse(f"acme/older@{'3' * 40}")
    files = hub.repositories[str(encoders.get("roberta-base").repository), str(encoders.get("roberta-base").revision)]
    hub.add("acme/older", "3" * 40, {name: content for name, content in files.items() if name != "tokenizer.json"})
    checkpoints.obtain(encoder)
    assert checkpoints.place(encoder) == "cache"
    model = embeddings.load(encoder, devices.cpu("A test."))
    assert len(model.tokenizer("Action, Drama")["input_ids"]) == 5


def test_weights_in_several_files_are_fetched_and_loaded(hub: Hub, small_checkpoints: dict[str, Path]) -> None:
    encoder = encoders.parse(f"acme/sharded@{'4' * 40}")
    hub.add("acme/sharded", "4" * 40, sharded(on_the_hub(hub)))
    found = checkpoints.obtain(encoder)
    assert len(list(found.folder.glob("model-*-of-00002.safetensors"))) == 2
    assert checkpoints.place(encoder) == "cache"
    whole = encoders.parse(str(small_checkpoints["bert-base-uncased"]))
    one, other = (
        embeddings.encode(embeddings.load(each, devices.cpu("A test.")), ["Action, Drama", "War"])
        for each in (encoder, whole)
    )
    assert np.array_equal(one, other)
    next(found.folder.glob("model-00002*")).resolve().unlink()
    assert checkpoints.place(encoder) == "hub"


def sharded(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files of a checkpoint with its weights in two, as the Hub has large ones."""
    from safetensors.torch import load, save

    parts = load(files[WEIGHTS])
    names = sorted(parts)
    halves = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    index = {"metadata": {}, "weight_map": {name: file for file, half in halves.items() for name in half}}
    return {
        **{name: content for name, content in files.items() if name != WEIGHTS},
        **{file: save({name: parts[name] for name in half}, {"format": "pt"}) for file, half in halves.items()},
        f"{WEIGHTS}.index.json": json.dumps(index).encode(),
    }


# Sound files of the cache that cannot be loaded all the same.


def test_sound_files_stay_when_loading_fails_and_the_hub_is_gone(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.obtain(BERT)
    hub.mood = "broken"

    def fail(*args: object) -> None:
        raise RuntimeError("a library that is too old")

    monkeypatch.setattr(embeddings, "_from_folder", fail)
    with pytest.raises(EncoderError, match="a library that is too old"):
        embeddings.load(BERT, devices.cpu("A test."))
    assert checkpoints.place(BERT) == "cache"  # others on this machine use them too
    hub.reset()
    assert checkpoints.obtain(BERT).place == "cache"
