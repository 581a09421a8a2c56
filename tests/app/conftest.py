"""The app in a simulated session: what AppTest needs so that every page runs inside its frame, as users get it."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import streamlit as st
from streamlit import config
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest, local_script_runner

from core import analysis, cache, clustering, embeddings, encoders
from core.analysis import Analysis
from core.background import Task
from core.clustering import Space
from core.controls.words import WORD_JOINER
from core.movies import Catalogue
from core.recipes import Settings
from core.worker import Progress

ROOT = Path(__file__).resolve().parents[2]
# AppTest takes a folder pages/ beside the script for the old way of making pages and runs these without the frame. So
# its script lies elsewhere (in a temporary folder) and runs ours.
ENTRY = f"import runpy\nrunpy.run_path({str(ROOT / 'streamlit_app.py')!r}, run_name='__main__')"
TITLES = {
    "overview": "What these films are about",
    "choose": "Choose k",
    "cluster": "One cluster",
    "compare": "A against B",
    "trends": "Trends",
    "find": "Find",
    "films": "Films",
    "encoders": "Encoders",
    "compare_encoders": "Compare encoders",
    "data": "Data",
    "about": "About",
}
WAITING = "Reading the genres"
TROUBLES = ("The catalogue cannot be opened", "The encoders cannot be listed")
BASELINE = encoders.BASELINE

Film = dict[str, Any]


class Visit:
    """A visitor's session. Every run fails the test if the page shows an exception, and is on the page asked for.

    The introduction of the page Overview is put away, unless the visitor is a newcomer.
    """

    # Each AppTest looks through all installed packages for components, a quarter of a second; one look is enough.
    components: Any = None

    def __init__(
        self,
        page: str = "overview",
        query: dict[str, Any] | None = None,
        app: AppTest | None = None,
        *,
        newcomer: bool = False,
    ) -> None:
        self.at = AppTest.from_string(ENTRY, default_timeout=60) if app is None else app
        if not newcomer:
            self.at.session_state["welcomed"] = True
        self.at._bidi_component_manager = Visit.components
        self.at.query_params.update(query or {})
        self.page = page
        if page != "overview":  # before the first run a page is known by its file name only, the default one not at all
            self.at.switch_page(str(ROOT / "pages" / f"{page}.py"))
        self.run()
        Visit.components = self.at._bidi_component_manager

    def go(self, page: str) -> "Visit":
        self.page = page
        self.at.switch_page(str(ROOT / "pages" / f"{page}.py"))
        return self.run()

    def run(self) -> "Visit":
        self.at.run()
        return self._check()

    def run_fragment(self) -> "Visit":
        """Run the page's only fragment alone, as a click inside it does in a browser."""
        (fragment,) = self.at._fragment_storage._fragments
        with pytest.MonkeyPatch.context() as patch:
            rerun = partial(local_script_runner.RerunData, fragment_id=fragment)
            patch.setattr(local_script_runner, "RerunData", rerun)
            self.at.run()
        return self

    def select(self, key: str, selection: dict[str, Any]) -> "Visit":
        """Select marks of a chart or rows of a table, which AppTest itself cannot, and run."""
        states = self.at._tree.get_widget_states()
        value = json.dumps({"selection": selection})
        states.widgets.append(WidgetState(id=self.element(key).proto.id, string_value=value))
        self.at._run(states)
        return self._check()

    def _check(self) -> "Visit":
        assert not self.at.exception, [(e.value, e.stack_trace) for e in self.at.exception]
        assert [title.value for title in self.at.title] in (
            [title] for title in (TITLES[self.page], WAITING, *TROUBLES)
        )
        return self

    @property
    def settings(self) -> Settings:
        return self.at.session_state["settings"]

    @property
    def lines(self) -> list[str]:
        """What the page says: its texts, without those of the sidebar."""
        return [element.value for element in self.at.main.markdown]

    @property
    def words(self) -> list[str]:
        """Every text of page and sidebar in which Markdown would be rendered."""
        at = self.at
        texts = [
            element.value for kind in ("title", "subheader", "markdown", "caption") for element in getattr(at, kind)
        ]
        texts += [element.value for kind in ("error", "warning", "info", "page_link") for element in getattr(at, kind)]
        texts += [text for metric in at.metric for text in (metric.label, metric.value)]
        return texts + [button.label for kind in (at.button, at.download_button) for button in kind]

    @property
    def figures(self) -> dict[str, str]:
        return {metric.label: metric.value for metric in self.at.metric}

    def element(self, key: str) -> Any:
        (found,) = (node for node in self.at._tree if getattr(node, "key", None) == key)
        return found

    def chart(self, key: str) -> pd.DataFrame:
        """Return the rows that a chart draws."""
        return pa.ipc.open_stream(self.element(key).proto.data.data).read_pandas()

    def spec(self, key: str) -> dict[str, Any]:
        return json.loads(self.element(key).proto.spec)

    def table(self, key: str) -> pd.DataFrame:
        return self.element(key).value

    def alt(self, words: str) -> pd.DataFrame:
        """Return the only table whose description has these words."""
        (found,) = (element for element in self.at.dataframe if words in element.proto.alt)
        return found.value

    @property
    def films(self) -> pd.DataFrame:
        """The table of films on the pages Cluster and Films; no rows where the page says that there are none."""
        tables = [element.value for element in self.at.dataframe if "movie_id" in element.value]
        assert len(tables) <= 1
        return tables[0] if tables else pd.DataFrame({"movie_id": []})

    @property
    def links(self) -> list[tuple[str, str, str]]:
        """The links of the page to others, without that of the sidebar: text, address and query."""
        return [(link.value, link.proto.page, link.proto.query_string) for link in self.at.main.get("page_link")]


def unescaped(text: str) -> str:
    """Return a text as it looks once its Markdown is rendered, if all it has is escaped characters."""
    return re.sub(r"\\(.)", r"\1", text).replace(WORD_JOINER, "")


def clear_caches() -> None:
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture(scope="session", autouse=True)
def clean_house() -> Iterator[None]:
    """Start and end without cached values, and have the app show what went wrong."""
    shown = config.get_option("client.showErrorDetails")
    config.set_option("client.showErrorDetails", "full")
    clear_caches()
    yield
    cache._ahead().shutdown(cancel_futures=True)
    clear_caches()
    config.set_option("client.showErrorDetails", shown)


@pytest.fixture(autouse=True)
def no_browser_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    """No browser is there whose first page the next k would have to wait for."""
    monkeypatch.setattr(cache, "BUILDING_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def nothing_is_measured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stability and seed agreement stay unknown, whatever other tests did, unless a test is marked `measured`."""
    if request.node.get_closest_marker("measured") is None:
        for name in ("stability", "seeds"):
            monkeypatch.setattr(cache, name, lambda catalogue, settings: None)
            monkeypatch.setattr(cache, f"measure_{name}", lambda catalogue, settings, owner: Task("waiting"))


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch, vector_store: Path) -> None:
    """The app with the shipped films and MiniLM's vectors of them. What it caches serves the next test as well."""
    monkeypatch.setenv("GENRESCOPE_VECTORS", str(vector_store))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Have the app look for films, or for vectors, elsewhere: elsewhere(movies=PATH, vectors=PATH)."""

    def move(movies: Path | str | None = None, vectors: Path | None = None) -> None:
        clear_caches()
        monkeypatch.setenv("GENRESCOPE_VECTORS", str(vectors or tmp_path / "vectors"))
        if movies is not None:
            monkeypatch.setenv("GENRESCOPE_MOVIES", str(movies))

    yield move
    clear_caches()


class StubWorker:
    """A worker whose job is where the test wants it to be."""

    pid = None

    def __init__(self) -> None:
        self.submitted: list[bool] = []  # whether it was to be tried again
        self.dtypes: list[str] = []
        self.cancelled: list[str] = []
        self.now = Progress("job 1", encoders.DEFAULT_ENCODER, "loading", 0, 1187, 0)

    def submit(
        self, encoder_id: str, texts: Sequence[str], *, dtype: str = "auto", retry: bool = False, owner: str = ""
    ) -> str:
        assert (encoder_id, len(set(texts))) == (self.now.encoder_id, self.now.total)
        self.dtypes.append(dtype)
        self.submitted.append(retry)
        return self.now.job_id

    def progress(self, job_id: str) -> Progress:
        assert job_id == self.now.job_id
        return self.now

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)


@pytest.fixture
def stub_worker(monkeypatch: pytest.MonkeyPatch) -> StubWorker:
    """Nothing is encoded; the worker notes what it is asked for."""
    stub = StubWorker()
    monkeypatch.setattr(cache, "worker", lambda: stub)
    return stub


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, Callable[[], bytes]]]:
    """What the download buttons of the last run offer: file name -> label and the function that makes the file.

    AppTest has no way to press them: such a file is made when the browser asks for its address.
    """
    files: dict[str, tuple[str, Callable[[], bytes]]] = {}
    draw = st.download_button

    def note(label: str, data: Callable[[], bytes], file_name: str, **options: Any) -> bool:
        files[file_name] = (label, data)
        return draw(label, data=data, file_name=file_name, **options)

    monkeypatch.setattr(st, "download_button", note)
    return files


@pytest.fixture(scope="session")
def multi_hot(catalogue: Catalogue) -> Space:
    """The shipped genre lists as the baseline sees them."""
    vectors = embeddings.post_process(embeddings.multi_hot(catalogue.genre_lists), encoders.get(BASELINE))
    return clustering.space(vectors, catalogue.weights())


@pytest.fixture(scope="session")
def analysed_multi_hot(catalogue: Catalogue, multi_hot: Space) -> Analysis:
    """The shipped films in twelve clusters of the baseline."""
    return analysis.analyse(catalogue, multi_hot, 12)


@pytest.fixture(scope="session")
def films(plain_films: list[Film], catalogue: Catalogue, analysed: Analysis) -> list[Film]:
    """The shipped films with what the twelve clusters of MiniLM say of them, in the order of the file."""
    row = {text: i for i, text in enumerate(catalogue.genre_lists)}
    found = analysed.clustering
    told = []
    for film in plain_films:
        i = row.get(film["genre_list"])
        known = {"cluster": None} if i is None else {
            "cluster": int(found.labels[i]),
            "distance": float(found.distance[i]),
            "margin": float(found.margin[i]),
        }  # fmt: skip
        told.append({**film, **known})
    return told


def ids(films: Sequence[Film]) -> list[str]:
    """Return the films' ids in the order the app lists them: most reviewed first, then as in the file."""
    unknown = np.inf
    ordered = sorted(films, key=lambda film: unknown if film["reviews"] is None else -film["reviews"])
    return [film["movie_id"] for film in ordered]
