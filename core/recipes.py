"""The settings that decide a result, and its recipe: all it takes to make it again, and to tell whether that worked.

A recipe is JSON with a format version. It carries, beside what decides the result, a hash of the films' clusters and,
so that it can be said how many films changed cluster, these clusters themselves: 80 kB for 17,000 films.
"""

import base64
import binascii
import hashlib
import json
import platform
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.clustering import N_INIT, Clustering, Name
from core.encoders import DEFAULT_ENCODER, Dtype, Encoder, WantedDtype
from core.movies import GENRES, NO_FILTERS, Catalogue, Filters
from core.names import MAX_NAME, MAX_NOTE, Given, alike, clean
from core.recipe_json import MAX_ENTRIES, column, object_of, parse, value_of
from core.recipe_json import MAX_SEED as MAX_SEED
from core.recipe_json import RecipeError as RecipeError

IntArray = NDArray[np.int64]

DEFAULT_K = 12
HASHED_FILMS = 1_000_000  # at a time
FORMAT, VERSION = "genrescope recipe", 1
LIBRARIES = ("numpy", "scikit-learn", "torch", "transformers")  # their versions can change vectors or labels
MAX_BYTES, MAX_UNPACKED = 16_000_000, 32_000_000
HEX = re.compile(r"[0-9a-f]{64}")
STAMP = re.compile(r"([0-9a-f]{16})-([0-9a-f]{12})-([0-9a-f]{8})")


@dataclass(frozen=True)
class Settings:
    """What the analyst chose: everything beside the catalogue that decides which film is in which cluster.

    `standardize` is a step of post-processing (`embeddings.post_process`), `dtype` the number format of encoding,
    `text` what of a film is encoded (`Catalogue.text_choices`).
    """

    encoder: str = DEFAULT_ENCODER
    n_clusters: int = DEFAULT_K
    random_state: int = 0
    filters: Filters = NO_FILTERS
    standardize: bool = False
    dtype: WantedDtype = "auto"
    text: str = GENRES


@dataclass(frozen=True)
class Source:
    """The catalogue of a recipe: its file's name and the SHA-256 of its content."""

    name: str
    fingerprint: str


@dataclass(frozen=True)
class Encoding:
    """How the vectors of a recipe were made; `center` is a step of post-processing, `device` where it happened."""

    repository: str | None
    revision: str | None
    pooling: str
    max_length: int
    center: bool
    device: str | None = None


@dataclass(frozen=True)
class Result:
    """What came out: the hash of (movie_id, cluster) of all films in clusters, and how many of both there are."""

    label_hash: str
    n_clusters: int
    n_movies: int


@dataclass(frozen=True)
class OwnName:
    """What the analyst called a cluster (empty: nothing) and wrote about it."""

    cluster: int
    name: str = ""
    note: str = ""


@dataclass(frozen=True)
class Recipe:
    """All that decides a result, and what came out. `films` are the films' clusters, packed (`pack`)."""

    catalogue: Source
    settings: Settings
    encoding: Encoding
    n_init: int
    libraries: Mapping[str, str]
    result: Result
    names: tuple[OwnName, ...] = ()
    films: str | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Films:
    """Which cluster each film is in; all three are in the same order, which does not matter.

    unit "film": keys (n,) are movie_ids, n_movies is 1 everywhere. unit "text": keys are `text_key` of the documents.
    """

    unit: Literal["film", "text"]
    keys: pa.Array
    labels: IntArray
    n_movies: IntArray


def of(
    catalogue: Catalogue, settings: Settings, found: Clustering, encoder: Encoder, dtype: Dtype, device: str | None
) -> Recipe:
    """Return the recipe of a clustering of the catalogue's films, without names and films.

    Its settings name the number format that the vectors do have, where "auto" chose it.
    """
    films = films_of(catalogue, settings, found.labels, limit=None)
    return Recipe(
        catalogue=Source(catalogue.name, catalogue.fingerprint),
        settings=replace(settings, dtype=dtype),
        encoding=Encoding(
            encoder.repository, encoder.revision, encoder.pooling, encoder.max_length, encoder.center, device
        ),
        n_init=N_INIT,
        libraries=versions(),
        result=Result(label_hash(films), found.n_clusters, len(films.keys)),
    )


def versions() -> dict[str, str]:
    """Return the versions of the libraries that matter; nothing is imported for it."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def own_names(names: tuple[Name, ...]) -> tuple[OwnName, ...]:
    """Return what the analyst called the clusters and wrote about them."""
    return tuple(
        OwnName(i, name.text if name.own else "", name.note) for i, name in enumerate(names) if name.own or name.note
    )


def films_of(catalogue: Catalogue, settings: Settings, labels: IntArray, limit: int | None = MAX_ENTRIES) -> Films:
    """Return which cluster each film under the filters is in; a line for each text if there are too many films."""
    n_movies = catalogue.weights(settings.filters)
    if limit is None or n_movies.sum() <= limit:
        table = catalogue.ids(settings.filters)
        rows = table["list_id"].to_numpy()
        return Films("film", table["movie_id"].combine_chunks(), labels[rows], np.broadcast_to(np.int64(1), len(rows)))
    here = np.flatnonzero(n_movies)
    return Films("text", pa.array([text_key(catalogue, row) for row in here.tolist()]), labels[here], n_movies[here])


def text_key(catalogue: Catalogue, row: int) -> str:
    """Return what stands for a document in a recipe: 16 hex digits of the SHA-256 of its text and its genre list."""
    return hashlib.sha256(f"{catalogue.texts[row]}\n{catalogue.genre_lists[row]}".encode()).hexdigest()[:16]


def label_hash(films: Films) -> str:
    """Return the SHA-256 (64 hex digits) of which film is in which cluster, whatever the films' order.

    It is taken over the number of films, the lengths of their ids, the ids (UTF-8, in the order of their bytes) and
    the clusters in the same order; numbers are 64-bit, little-endian.
    """
    order = pc.array_sort_indices(films.keys)
    parts = [order[start : start + HASHED_FILMS] for start in range(0, len(order), HASHED_FILMS)]
    lengths = pc.binary_length(films.keys)
    digest = hashlib.sha256(len(order).to_bytes(8, "little"))
    for part in parts:
        digest.update(lengths.take(part).to_numpy().astype("<i8").tobytes())
    for part in parts:
        text = films.keys.take(part)
        digest.update(memoryview(text.buffers()[2] or b"")[: pc.sum(pc.binary_length(text)).as_py()])
    for part in parts:
        digest.update(films.labels[part.to_numpy()].astype("<i8").tobytes())
    return digest.hexdigest()


def pack(films: Films) -> str | None:
    """Return films as text for JSON: compressed and in base64; None where even texts are too many."""
    if len(films.keys) > MAX_ENTRIES:
        return None
    content: dict[str, Any] = {"unit": films.unit, "keys": films.keys.to_pylist(), "labels": films.labels.tolist()}
    if films.unit == "text":
        content["n_movies"] = films.n_movies.tolist()
    return base64.b64encode(zlib.compress(json.dumps(content, ensure_ascii=False).encode(), 6)).decode()


def unpack(recipe: Recipe) -> Films | None:
    """Return the films that a recipe carries, None if it carries none. Raises RecipeError."""
    if recipe.films is None:
        return None
    try:
        inflater = zlib.decompressobj()
        data = inflater.decompress(base64.b64decode(recipe.films, validate=True), MAX_UNPACKED)
        if inflater.unconsumed_tail or not inflater.eof:
            raise RecipeError("films: it is cut off, or larger than a recipe's films can be.")
    except (binascii.Error, zlib.error, ValueError) as error:
        if isinstance(error, RecipeError):
            raise
        raise RecipeError("films: it is not what a recipe packs its films into.") from error
    content = object_of(parse(data, "films"), "films", {"unit", "keys", "labels", "n_movies"})
    unit = value_of(content.get("unit"), Literal["film", "text"], "films.unit")
    keys = column(content.get("keys"), str, "films.keys")
    labels = column(content.get("labels"), int, "films.labels")
    n_movies = column(content.get("n_movies", [1] * len(keys)), int, "films.n_movies")
    if not len(keys) == len(labels) == len(n_movies) or len(set(keys)) < len(keys):
        raise RecipeError("films: its lists do not fit together.")
    if labels and max(labels) >= recipe.result.n_clusters:
        raise RecipeError(f"films.labels: a cluster is not one of the {recipe.result.n_clusters} of the result.")
    if n_movies and (min(n_movies) < 1 or (unit == "film" and max(n_movies) > 1)):
        raise RecipeError("films.n_movies: a number of films is not what it can be.")
    return Films(unit, pa.array(keys, pa.string()), np.array(labels, np.int64), np.array(n_movies, np.int64))


def given_names(recipe: Recipe, films: Films | None, catalogue: Catalogue) -> tuple[Given, ...]:
    """Return a recipe's names as given to the documents here that its films have; none if it carries no films."""
    if films is None or not recipe.names:
        return ()
    if films.unit == "film":
        table = catalogue.ids()
        places = pc.index_in(table["movie_id"].combine_chunks(), value_set=films.keys)
        known = places.is_valid().to_numpy(zero_copy_only=False)
        rows, found = table["list_id"].to_numpy()[known], films.labels[places.drop_null().to_numpy()]
    else:
        keys = pa.array([text_key(catalogue, row) for row in range(len(catalogue.texts))])
        places = pc.index_in(keys, value_set=films.keys)
        rows = np.flatnonzero(places.is_valid().to_numpy(zero_copy_only=False))
        found = films.labels[places.drop_null().to_numpy()]
    texts = catalogue.texts
    return tuple(Given(texts, np.unique(rows[found == own.cluster]), own.name, own.note) for own in recipe.names)


def write(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as what `json.dumps` takes."""
    return {"format": FORMAT, "version": VERSION, **asdict(recipe)}


def read(data: bytes) -> Recipe:
    """Return the recipe that a JSON file holds. Raises RecipeError with one sentence that names the field."""
    if len(data) > MAX_BYTES:
        raise RecipeError(f"The file is larger than a recipe can be ({MAX_BYTES // 1_000_000} MB).")
    content = parse(data, "The file")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise RecipeError(f"format: it is not “{FORMAT}”, so this is no recipe of Genrescope.")
    if content.get("version") != VERSION or isinstance(content["version"], bool):
        raise RecipeError(f"version: this version of Genrescope reads recipes of version {VERSION} only.")
    recipe: Recipe = value_of({k: v for k, v in content.items() if k not in ("format", "version")}, Recipe, "")
    hashes = {"catalogue.fingerprint": recipe.catalogue.fingerprint, "result.label_hash": recipe.result.label_hash}
    for name, text in hashes.items():
        if not HEX.fullmatch(text):
            raise RecipeError(f"{name}: it is not a SHA-256 (64 hex digits).")
    _check_names(recipe)
    films = unpack(recipe)
    if films is not None and films.unit == "film" and label_hash(films) != recipe.result.label_hash:
        raise RecipeError("films: they do not fit result.label_hash, so the file was changed.")
    return recipe


def _check_names(recipe: Recipe) -> None:
    for i, own in enumerate(recipe.names):
        if own.cluster >= max(recipe.result.n_clusters, 1):
            raise RecipeError(f"names[{i}].cluster: there is no cluster {own.cluster} in the result.")
        if own.name != clean(own.name, MAX_NAME) or own.note != clean(own.note, MAX_NOTE, lines=True):
            raise RecipeError(
                f"names[{i}]: a name has at most {MAX_NAME} characters, a note {MAX_NOTE}, and no invisible ones."
            )
    for what in ([own.cluster for own in recipe.names], [alike(own.name) for own in recipe.names if own.name]):
        if len(set(what)) < len(what):
            raise RecipeError("names: two of them are the same, or for the same cluster.")


def stamp(recipe: Recipe) -> str:
    """Return what a link carries beside the settings: the starts of three hashes, of labels, catalogue and encoding."""
    how = asdict(replace(recipe.encoding, device=None)) | {"n_init": recipe.n_init}
    digest = hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()
    return f"{recipe.result.label_hash[:16]}-{recipe.catalogue.fingerprint[:12]}-{digest[:8]}"
