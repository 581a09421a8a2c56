import base64
import copy
import dataclasses
import hashlib
import json
import random
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import clustering, encoders, recipes
from core.analysis import Analysis
from core.clustering import Name
from core.movies import Catalogue, Filters
from core.names import Clusters, applied
from core.recipes import (
    DEFAULT_K,
    MAX_SEED,
    Encoding,
    Films,
    OwnName,
    Recipe,
    RecipeError,
    Result,
    Settings,
    Source,
)

HEX = "0123456789abcdef" * 4


def films(labels: dict[str, int]) -> Films:
    return Films(
        "film", pa.array(labels, pa.string()), np.array([*labels.values()], np.int64), np.ones(len(labels), np.int64)
    )


FILMS = films({"tt1": 0, "tt2": 1, "é": 0, "": 2, "a\nb": 1})
RECIPE = Recipe(
    catalogue=Source("films.csv", HEX),
    settings=Settings("multi-hot", 3, 7, Filters((1990, 1999), ("French",), (), ("War",), "all", 5), True, "float32"),
    encoding=Encoding(None, None, "none", 0, False),
    n_init=10,
    libraries={"numpy": "2.4.6"},
    result=Result(recipes.label_hash(FILMS), 3, 5),
    names=(OwnName(1, "Mine", "two\nlines"), OwnName(2, "", "only a note")),
    films=recipes.pack(FILMS),
)


def as_bytes(content: Any) -> bytes:
    return json.dumps(content).encode()


# Settings


def test_the_defaults_can_be_used() -> None:
    settings = Settings()
    assert encoders.get(settings.encoder).id == encoders.DEFAULT_ENCODER
    assert clustering.MIN_CLUSTERS <= settings.n_clusters == DEFAULT_K <= clustering.MAX_CLUSTERS
    assert 0 <= settings.random_state <= MAX_SEED < 2**32  # what scikit-learn takes
    assert settings.filters == Filters()


def test_settings_serve_as_the_key_of_a_cache() -> None:
    one = Settings(filters=Filters(years=(1990, 1999), languages=("French",)))
    other = Settings(filters=Filters(years=(1990, 1999), languages=("French",)))
    assert {one: "kept"}[other] == "kept"
    changes = [
        {"encoder": "multi-hot"},
        {"n_clusters": 13},
        {"random_state": 1},
        {"filters": Filters(years=(1990, 1998), languages=("French",))},
        {"filters": Filters(years=(1990, 1999), languages=("French",), genre_mode="all")},
        {"filters": Filters(years=(1990, 1999), languages=("French",), min_reviews=1)},
        {"filters": Filters(years=(1990, 1999), countries=("French",))},
    ]
    assert len({one, *(dataclasses.replace(one, **change) for change in changes)}) == len(changes) + 1


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().n_clusters = 3  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().filters.min_reviews = 3  # type: ignore[misc]


# The hash of the labels


def plain_hash(labels: dict[str, int]) -> str:
    """The same hash in plain Python."""
    ids = sorted(key.encode() for key in labels)
    digest = hashlib.sha256(struct.pack("<q", len(ids)))
    digest.update(b"".join(struct.pack("<q", len(each)) for each in ids) + b"".join(ids))
    digest.update(b"".join(struct.pack("<q", labels[each.decode()]) for each in ids))
    return digest.hexdigest()


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.integers(0, 49)), st.randoms())
def test_the_hash_knows_no_order(labels: dict[str, int], order: random.Random) -> None:
    rows = [*labels.items()]
    order.shuffle(rows)
    assert recipes.label_hash(films(labels)) == recipes.label_hash(films(dict(rows))) == plain_hash(labels)


def test_the_hash_tells_results_apart() -> None:
    some: list[dict[str, int]] = [{}, {"a": 0}, {"b": 0}, {"a": 1}, {"a": 0, "b": 1}, {"a": 1, "b": 0}, {"ab": 0}]
    some += [{"a": 0, "": 1}, {"a": 0, "b": 1, "c": 1}, {"ab": 0, "c": 1}, {"a": 0, "bc": 1}]
    assert len({recipes.label_hash(films(each)) for each in some}) == len(some)
    sliced = pa.array(["x", "a", "b"]).slice(1)
    assert recipes.label_hash(Films("film", sliced, np.array([0, 1]), np.ones(2, np.int64))) == plain_hash(
        {"a": 0, "b": 1}
    )


def test_films_of_the_catalogue(catalogue: Catalogue, analysed: Analysis, plain_films: list[dict[str, Any]]) -> None:
    rows = {text: i for i, text in enumerate(catalogue.genre_lists)}
    labels = analysed.clustering.labels
    chosen = Settings(filters=Filters(years=(1980, 1989)))
    eighties = [film for film in plain_films if film["genre_list"] and 1980 <= film["year"] <= 1989]
    found = recipes.films_of(catalogue, chosen, labels)
    assert found.unit == "film"
    assert dict(zip(found.keys.to_pylist(), found.labels.tolist(), strict=True)) == {
        film["movie_id"]: labels[rows[film["genre_list"]]] for film in eighties
    }
    # Above the limit there is a line for each text, with its films.
    found = recipes.films_of(catalogue, chosen, labels, limit=100)
    assert found.unit == "text"
    expected: dict[str, list[int]] = {}
    for film in eighties:
        key = hashlib.sha256("\n".join([film["genre_list"]] * 2).encode()).hexdigest()[:16]
        expected.setdefault(key, [int(labels[rows[film["genre_list"]]]), 0])[1] += 1
    lines = zip(found.keys.to_pylist(), found.labels.tolist(), found.n_movies.tolist(), strict=True)
    assert {key: [label, n] for key, label, n in lines} == expected


def test_the_recipe_of_a_clustering(catalogue: Catalogue, analysed: Analysis) -> None:
    encoder = encoders.get("all-MiniLM-L6-v2")
    recipe = recipes.of(catalogue, Settings(), analysed.clustering, encoder, "float32", "CPU")
    assert recipe.catalogue == Source("movies.parquet", catalogue.fingerprint)
    assert recipe.settings == Settings(dtype="float32")  # what “auto” came to
    assert recipe.encoding == Encoding(encoder.repository, encoder.revision, "mean", 256, False, "CPU")
    assert (recipe.n_init, recipe.result.n_clusters, recipe.result.n_movies) == (clustering.N_INIT, 12, 17029)
    assert recipe.libraries["numpy"] == np.__version__
    assert {"python", "scikit-learn", "torch", "transformers"} <= recipe.libraries.keys()
    assert re.fullmatch(r"[0-9a-f]{16}-[0-9a-f]{12}-[0-9a-f]{8}", recipes.stamp(recipe))
    assert len(json.dumps(recipes.write(recipe))) < 2000
    packed = recipes.pack(recipes.films_of(catalogue, Settings(), analysed.clustering.labels))
    assert packed
    assert len(packed) < 120_000
    carried = recipes.unpack(dataclasses.replace(recipe, films=packed))
    assert carried
    assert recipes.label_hash(carried) == recipe.result.label_hash


def test_the_stamp_changes_with_what_decides_the_result() -> None:
    def changed(**change: Any) -> str:
        return recipes.stamp(dataclasses.replace(RECIPE, **change))

    stamps = [
        changed(),
        changed(result=Result(HEX, 3, 5)),
        changed(catalogue=Source("films.csv", "f" * 64)),
        changed(encoding=Encoding(None, "abc", "none", 0, False)),
        changed(n_init=20),
    ]
    assert len({*stamps}) == len(stamps)
    device = changed(encoding=Encoding(None, None, "none", 0, False, "another device"), libraries={}, names=())
    assert device == stamps[0]


# Writing and reading


def test_what_is_written_is_read() -> None:
    written = json.dumps(recipes.write(RECIPE))
    assert recipes.read(written.encode()) == RECIPE
    assert recipes.read(b"\xef\xbb\xbf" + written.encode()) == RECIPE  # as some editors save it
    carried = recipes.unpack(RECIPE)
    assert carried
    assert (carried.keys.to_pylist(), carried.labels.tolist()) == (FILMS.keys.to_pylist(), FILMS.labels.tolist())
    bare = dataclasses.replace(RECIPE, films=None, names=())
    assert recipes.read(as_bytes(recipes.write(bare))) == bare
    assert recipes.unpack(bare) is None


def test_a_setting_that_is_not_named_is_the_default() -> None:
    content = recipes.write(RECIPE)
    del content["settings"]["text"]
    assert recipes.read(as_bytes(content)).settings.text == Settings().text


@pytest.mark.parametrize("each", dataclasses.fields(Settings), ids=lambda each: each.name)
def test_every_setting_is_carried(each: "dataclasses.Field[Any]") -> None:
    """Also one that is added later."""
    value = getattr(Settings(), each.name)
    other = {
        "encoder": "multi-hot", "dtype": "bfloat16", "filters": Filters(min_reviews=3), "text": "plot",
    }.get(each.name)  # fmt: skip
    if other is None:
        other = not value if isinstance(value, bool) else value + 1
    chosen = dataclasses.replace(Settings(), **{each.name: other})
    found = recipes.read(as_bytes(recipes.write(dataclasses.replace(RECIPE, settings=chosen))))
    assert found.settings == chosen


def wrong(change: Callable[[dict[str, Any]], Any]) -> str:
    """Return what is said of the recipe after a change of its JSON."""
    content = copy.deepcopy(recipes.write(RECIPE))
    content["libraries"] = dict(content["libraries"])
    content["names"] = [dict(own) for own in content["names"]]
    replaced = change(content)
    with pytest.raises(RecipeError) as caught:
        recipes.read(replaced if isinstance(replaced, bytes) else as_bytes(content))
    said = str(caught.value)
    assert "\n" not in said
    assert said.endswith(".")
    assert len(said) < 250
    return said


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        inside: Any = content
        for key in path[:-1]:
            inside = inside[key]
        inside[path[-1]] = value

    return change


def packed(content: Any) -> str:
    return base64.b64encode(zlib.compress(json.dumps(content).encode())).decode()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (put("version", value=2), "version: this version"),
        (put("version", value=True), "version: this version"),
        (put("format", value="other"), "format: it is not"),
        (put("extra", value=1), "extra: this version of Genrescope does not know such a field"),
        (put("settings", "colour", value=1), "settings.colour: this version"),
        (put("settings", "\ud800", value=1), "settings.\\ud800: this version"),
        (put("settings", "n_clusters", value=99), "settings.n_clusters: 99 is not from 2 to 50"),
        (put("settings", "n_clusters", value=12.0), "settings.n_clusters: it is not a whole number"),
        (put("settings", "n_clusters", value="12"), "settings.n_clusters: it is not a whole number"),
        (put("settings", "n_clusters", value=True), "settings.n_clusters: it is not a whole number"),
        (put("settings", "random_state", value=-1), "settings.random_state: -1 is not from 0 to 9,999"),
        (put("settings", "random_state", value=10**4000), "settings.random_state: 1000"),
        (put("settings", "standardize", value=1), "settings.standardize: it is not true or false"),
        (put("settings", "dtype", value="float16"), "settings.dtype: it is not one of float32, bfloat16, auto"),
        (put("settings", "dtype", value=[]), "settings.dtype: it is not one of"),
        (put("settings", "encoder", value="x" * 1001), "settings.encoder: it is longer than 1,000 characters"),
        (put("settings", "encoder", value="\ud800"), "settings.encoder: it is not proper Unicode"),
        (put("settings", "filters", value=[]), "settings.filters: it is not an object"),
        (put("settings", "filters", "years", value=[1990]), "settings.filters.years: it does not have 2 values"),
        (put("settings", "filters", "years", value=[1990, None]), "settings.filters.years[1]: it is not a whole"),
        (put("settings", "filters", "genres", value="War"), "settings.filters.genres: it is not a list"),
        (put("settings", "filters", "genres", value=["War", 1]), "settings.filters.genres[1]: it is not a text"),
        (put("settings", "filters", "genres", value=["War"] * 5001), "settings.filters.genres: it has too many"),
        (put("settings", "filters", "genre_mode", value="evil"), "settings.filters.genre_mode: it is not one of any"),
        (put("catalogue", "fingerprint", value="abc"), "catalogue.fingerprint: it is not a SHA-256"),
        (put("result", "label_hash", value=HEX.upper()), "result.label_hash: it is not a SHA-256"),
        (put("result", "label_hash", value=HEX), "films: they do not fit result.label_hash"),
        (put("libraries", value={"numpy": 2}), "libraries.numpy: it is not a text"),
        (put("libraries", value=[]), "libraries: it is not an object"),
        (put("names", 0, "cluster", value=3), "names[0].cluster: there is no cluster 3"),
        (put("names", 0, "name", value="x" * 61), "names[0]: a name has at most 60"),
        (put("names", 0, "note", value="x" * 501), "names[0]: a name has at most 60 characters, a note 500"),
        (put("names", 0, "name", value="\u202ex"), "names[0]: a name has"),
        (put("names", 1, "name", value="MINE"), "names: two of them are the same"),
        (put("names", 1, "cluster", value=1), "names: two of them are the same, or for the same cluster"),
        (put("films", value="?"), "films: it is not what a recipe packs"),
        (put("films", value="eHh4eHg="), "films: it is not what a recipe packs"),
        (put("films", value=packed({"unit": "film"})), "films.keys: it is not a list"),
        (put("films", value=packed({"unit": "x", "keys": [], "labels": []})), "films.unit: it is not one of"),
        (put("films", value=packed({"unit": "film", "keys": ["a"], "labels": []})), "films: its lists do not fit"),
        (put("films", value=packed({"unit": "film", "keys": ["a", "a"], "labels": [0, 0]})), "films: its lists do not"),
        (put("films", value=packed({"unit": "film", "keys": ["a"], "labels": [3]})), "films.labels: a cluster is not"),
        (put("films", value=packed({"unit": "film", "keys": ["a"], "labels": [-1]})), "films.labels: a value is not"),
        (put("films", value=packed({"unit": "film", "keys": ["a"], "labels": [0.5]})), "films.labels: it is not a l"),
        (put("films", value=packed({"unit": "film", "keys": ["\ud800"], "labels": [0]})), "films.keys: it is not"),
        (
            put("films", value=packed({"unit": "text", "keys": ["a"], "labels": [0], "n_movies": [10**30]})),
            "films.n_movies: a value is not",
        ),
        (lambda content: content.pop("settings"), "settings: it is missing"),
        (lambda content: content["result"].pop("n_movies"), "result.n_movies: it is missing"),
        (lambda _: b"", "The file: it is not JSON"),
        (lambda _: b"\xff\xfe", "The file: it is not JSON"),
        (lambda _: b"[" * 100_000, "The file: it is not JSON"),
        (lambda _: b"[]", "format: it is not"),
        (lambda _: b'{"format": 1, "format": 2}', "The file: a key stands twice"),
        (lambda content: as_bytes(content).replace(b'"n_init": 10', b'"n_init": NaN'), "The file: NaN is not a number"),
        (lambda content: as_bytes(content).replace(b'"n_init": 10', b'"n_init": 1e999'), "n_init: it is not a whole"),
        (lambda content: as_bytes(content)[:-20], "The file: it is not JSON, or was cut off"),
        (lambda _: b" " * (recipes.MAX_BYTES + 1), "The file is larger than a recipe can be (16 MB)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_sentence(change: Callable[[dict[str, Any]], Any], says: str) -> None:
    assert wrong(change).startswith(says)


def test_films_that_unpack_to_something_huge_are_refused() -> None:
    bomb = base64.b64encode(zlib.compress(b'"' + b" " * (recipes.MAX_UNPACKED + 10) + b'"')).decode()
    assert wrong(put("films", value=bomb)) == "films: it is cut off, or larger than a recipe's films can be."


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["any", "float32"]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_change_is_read_or_refused(data: st.DataObject) -> None:
    """Whatever stands in any place: it is one sentence, or a recipe that is written and read again alike."""
    content = copy.deepcopy(recipes.write(RECIPE))
    inside: Any = content
    while isinstance(inside, dict | list) and inside:
        keys = [*inside] if isinstance(inside, dict) else [*range(len(inside))]
        key, parent = data.draw(st.sampled_from(keys)), inside
        inside = parent[key]
        if isinstance(parent, tuple) or data.draw(st.booleans()):
            break
    if isinstance(parent, dict | list):
        parent[key] = data.draw(JSON)
    said, recipe = "", None
    try:
        recipe = recipes.read(as_bytes(content))
    except RecipeError as error:
        said = str(error)
    assert recipe is not None or (said.endswith(".") and said.encode())
    assert recipe is None or recipes.read(as_bytes(recipes.write(recipe))) == recipe


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | JSON.map(as_bytes))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(RecipeError):
        recipes.read(data)


# Names


def test_names_of_a_recipe_find_their_clusters(catalogue: Catalogue, analysed: Analysis, tmp_path: Path) -> None:
    labels = analysed.clustering.labels
    here = Clusters(catalogue.texts, analysed.weights, labels, analysed.names)
    own = (OwnName(4, "Four", "a note"), OwnName(9, "", "only a note"))
    for limit in (None, 100):  # with films, and with texts
        carried = recipes.films_of(catalogue, Settings(), labels, limit)
        recipe = dataclasses.replace(RECIPE, names=own)
        found = applied(recipes.given_names(recipe, carried, catalogue), here)
        assert [i for i, name in enumerate(found) if name != analysed.names[i]] == [4, 9]
        assert (found[4].text, found[4].note, found[9].text) == ("Four", "a note", analysed.names[9].text)
        assert recipes.own_names(found) == own
    assert recipes.given_names(recipe, None, catalogue) == ()
    assert recipes.own_names((Name("Drama", ("Drama",)),)) == ()
