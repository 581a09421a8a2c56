import dataclasses
import re

import pytest

from core import encoders


def test_default_and_baseline_are_in_the_registry() -> None:
    assert encoders.get(encoders.DEFAULT_ENCODER).kind == "transformer"
    assert encoders.get(encoders.BASELINE).kind == "multi-hot"
    assert all(name == encoder.id for name, encoder in encoders.ENCODERS.items())


def test_an_unknown_id_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"“word2vec”.*all-MiniLM-L6-v2, multi-hot"):
        encoders.get("word2vec")


def test_models_are_pinned() -> None:
    for encoder in encoders.ENCODERS.values():
        if encoder.kind == "transformer":
            assert re.fullmatch("[0-9a-f]{40}", encoder.revision or "")
            assert re.fullmatch("[0-9a-f]{64}", encoder.weights_sha256 or "")


def test_keys_are_distinct_and_safe_as_folder_names() -> None:
    keys = [encoders.key(encoder) for encoder in encoders.ENCODERS.values()]
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
