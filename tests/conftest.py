"""What all tests share: no network hub, no writing into the project, and the shipped films embedded once."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Read when huggingface_hub and transformers are imported, so set before anything else.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from core import analysis, clustering, embeddings, encoders, movies, worker
from core.analysis import Analysis
from core.clustering import Space
from core.movies import Catalogue
from core.vectors import VectorStore

ROOT = Path(__file__).resolve().parents[1]
MINILM = encoders.get(encoders.DEFAULT_ENCODER)


@pytest.fixture(scope="session", autouse=True)
def settings_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep whatever the code under test stores out of the project, and a deployer's settings out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENRESCOPE_VECTORS", str(tmp_path_factory.mktemp("vectors-of-nobody")))
        patch.delenv("GENRESCOPE_MOVIES", raising=False)
        yield


@pytest.fixture(scope="session")
def catalogue() -> Iterator[Catalogue]:
    """The shipped films. Opened once: it is read-only."""
    opened = movies.open_catalogue()
    yield opened
    opened.connection.close()


@pytest.fixture(scope="session")
def plain_films() -> list[dict[str, Any]]:
    """The shipped films as plain Python values, with their genre list, in the order of the file; not to be changed."""
    films = pq.read_table(ROOT / "data" / "movies.parquet").to_pylist()
    for film in films:
        film["genre_list"] = ", ".join(sorted({genre.strip() for genre in film["genres"]})) or None
    return films


@pytest.fixture(scope="session")
def vector_store(tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Path:
    """The folder of a vector store with MiniLM's vectors of the shipped genre lists; not to be written to."""
    folder = tmp_path_factory.mktemp("vectors")
    facts = worker.work(MINILM, catalogue.genre_lists, VectorStore(folder))
    assert facts["texts"] == str(len(catalogue.genre_lists))
    return folder


@pytest.fixture(scope="session")
def documents(catalogue: Catalogue, vector_store: Path) -> Space:
    """The shipped genre lists in MiniLM's space, read-only as in the app."""
    stored = VectorStore(vector_store).load(encoders.key(MINILM), catalogue.genre_lists)
    space = clustering.space(embeddings.post_process(stored, MINILM), catalogue.weights())
    for array in (space.vectors, space.components, space.xy, space.same):
        array.flags.writeable = False
    return space


@pytest.fixture(scope="session")
def weights(catalogue: Catalogue) -> NDArray[np.int64]:
    """Films of each shipped genre list, read-only."""
    counted = catalogue.weights()
    counted.flags.writeable = False
    return counted


@pytest.fixture(scope="session")
def film_rows(weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """One entry for each of the 17,029 films with genres: the row of its genre list."""
    return np.repeat(np.arange(len(weights)), weights)


@pytest.fixture(scope="session")
def analysed(catalogue: Catalogue, documents: Space) -> Analysis:
    """The shipped films in twelve clusters; not to be changed."""
    return analysis.analyse(catalogue, documents, 12)
