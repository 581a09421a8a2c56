import dataclasses
import re
from pathlib import Path

import pytest

from core import encoders


def test_default_and_baseline_are_in_the_registry() -> None:
    assert encoders.get(encoders.DEFAULT_ENCODER).kind == "transformer"
    assert encoders.get(encoders.BASELINE).kind == "multi-hot"
    assert all(name == encoder.id for name, encoder in encoders.ENCODERS.items())


def test_an_unknown_id_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"“word2vec”.*all-MiniLM-L6-v2, .*xlm-roberta-base, multi-hot, tf-idf"):
        encoders.get("word2vec")


def test_models_are_pinned() -> None:
    for encoder in encoders.ENCODERS.values():
        if encoder.kind == "transformer":
            assert re.fullmatch("[0-9a-f]{40}", encoder.revision or "")
            assert re.fullmatch(r"[\w.-]+/[\w.-]+", encoder.repository or "")
            assert encoder.pooling == "mean"
            assert encoder.dimension
            assert encoder.parameters
            assert encoder.download_bytes
            assert encoder.license != "not stated"
            assert encoder.cased is not None


def test_keys_are_distinct_and_safe_as_folder_names() -> None:
    keys = [encoders.key(each, dtype) for each in encoders.ENCODERS.values() for dtype in encoders.DTYPES]
    keys = [key for key in keys if not key.startswith(("multi-hot", "tf-idf"))]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*", key) for key in keys)
    odd = dataclasses.replace(encoders.get("all-MiniLM-L6-v2"), id="../Über uns/model")
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", encoders.key(odd))


@pytest.mark.parametrize(
    "change",
    [{"repository": "a/b"}, {"revision": "0" * 40}, {"pooling": "none"}, {"max_length": 128}],
    ids=lambda change: next(iter(change)),
)
def test_key_changes_with_what_changes_a_vector(change: dict[str, object]) -> None:
    encoder = encoders.get("all-MiniLM-L6-v2")
    changed = dataclasses.replace(encoder, **change)  # type: ignore[arg-type]
    assert encoders.key(changed) != encoders.key(encoder)


def test_key_changes_with_dtype_and_store_version(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = encoders.get("all-MiniLM-L6-v2")
    key = encoders.key(encoder)
    assert encoders.key(encoder, "bfloat16") != key
    monkeypatch.setattr(encoders, "STORE_VERSION", encoders.STORE_VERSION + 1)
    assert encoders.key(encoder) != key


def test_key_stays_when_only_words_or_post_processing_change() -> None:
    encoder = encoders.get("all-MiniLM-L6-v2")
    changed = dataclasses.replace(encoder, title="Other", note="Other", center=True)
    assert encoders.key(changed) == encoders.key(encoder)


def test_the_five_of_the_demo_are_raw_checkpoints_and_centred() -> None:
    five = ["distilbert-base-uncased", "bert-base-uncased", "bert-base-cased", "roberta-base", "xlm-roberta-base"]
    assert [encoder.id for encoder in encoders.ENCODERS.values() if encoder.center] == five
    assert [encoders.get(name).cased for name in five] == [False, False, True, True, True]


REVISION = "0123456789abcdef0123456789abcdef01234567"


def test_deployers_add_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my-encoder"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    entry = f"acme/small@{REVISION}?pooling=cls&center=yes&max_length=128"
    monkeypatch.setenv(encoders.SETTING, f"{entry},\n {folder} ; acme/other@{REVISION}")
    known = encoders.known()
    assert list(known) == [*encoders.ENCODERS, "small", "my-encoder", "other"]
    small, mine, other = list(known.values())[-3:]
    assert (small.repository, small.revision) == ("acme/small", REVISION)
    assert (small.pooling, small.center, small.max_length) == ("cls", True, 128)
    assert (other.pooling, other.center, other.max_length) == ("mean", False, 512)
    assert (mine.folder, mine.repository) == (folder, None)
    assert encoders.get("small") == small
    assert len({encoders.key(each) for each in (small, mine, other)}) == 3
    with pytest.raises(ValueError, match="my-encoder, other"):
        encoders.get("acme/small")


def test_a_folders_key_follows_its_content(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "notes.md").write_text("no part of it")
    before = encoders.key(encoders.parse(str(tmp_path)))
    (tmp_path / "notes.md").write_text("still none")
    assert encoders.key(encoders.parse(str(tmp_path))) == before
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert encoders.key(encoders.parse(str(tmp_path))) != before


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("acme/small", "is not owner/name@revision"),
        ("acme/small@main", "is not owner/name@revision"),
        (f"small@{REVISION}", "is not owner/name@revision"),
        (f"https://acme/small@{REVISION}", "is not owner/name@revision"),
        (f"../../etc@{REVISION}", "has no config.json"),
        ("/no/such/folder", "the folder /no/such/folder has no config.json"),
        (f"acme/small@{REVISION}?pooling=max", "“pooling=max”"),
        (f"acme/small@{REVISION}?max_length=0", "“max_length=0”"),
        (f"acme/small@{REVISION}?trust=yes", "“trust=yes”"),
        (f"acme/roberta-base@{REVISION}", "there is an encoder roberta-base already"),
        (f"a/x@{REVISION} b/x@{REVISION}", "there is an encoder x already"),
    ],
)
def test_an_entry_that_is_not_understood_is_named(entry: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(encoders.SETTING, entry)
    with pytest.raises(encoders.EncoderError, match=re.escape(words)) as raised:
        encoders.known()
    assert str(raised.value).startswith("GENRESCOPE_ENCODERS: ")
