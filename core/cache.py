"""Every cached function of the app: what is kept, for whom, and how much of it.

Keys are identities (fingerprint, encoder id, k, seed, filters), never arrays or frames: Streamlit hashes large ones
by sample. Shared arrays are read-only. What is passed with a leading underscore is not part of the key.
"""

import atexit
import dataclasses
import functools
import importlib
import os
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core import (
    agreement,
    charts,
    clustering,
    counted,
    diagnostics,
    embeddings,
    encoders,
    explain,
    health,
    inventory,
    log,
    movies,
    reasons,
    recipes,
    search,
    sources,
    sweep,
)
from core import analysis as analysis_module
from core import contrast as contrast_module
from core import descent as descent_module
from core import stability as stability_module
from core import worker as worker_module
from core.agreement import Comparison
from core.analysis import Analysis
from core.background import Background, Foreground, OnProgress, ShouldStop, Task
from core.charts import Figure
from core.clustering import FloatArray, Space
from core.descent import Descent
from core.embeddings import Float32, TfIdf
from core.encoders import Dtype, Encoder
from core.health import Sensitivity
from core.movies import GENRES, Catalogue, Counts, Filters, IntArray, Options
from core.reasons import Reason
from core.recipes import Recipe, Settings
from core.search import Place, Understood
from core.sources import Limits, SourceError
from core.stability import Seeds, Stability
from core.sweep import SweepResult
from core.uploads import OwnFilms
from core.vectors import DEFAULT_VECTORS, VectorStore
from core.worker import Progress, Worker

T = TypeVar("T")
P = ParamSpec("P")

STAND_OUTS = ("directors", "countries", "languages")  # what a cluster may have more of than the catalogue
MAX_LISTS_AT_ONCE = 5000  # whose texts without each genre are encoded in one go
COUNTED_MOVIES = 500_000  # from here on medians come from counts, made once for each filter and not for each k
LOOK_AHEAD_SECONDS = 1.0  # in which no page must be drawn for a moment, or the next k is not prepared
BUILDING_SECONDS = 2.0  # for which a browser that draws its first page has the processors to itself
MAX_DISTANCES = 2048  # genre lists whose distances are kept: 32 MB

# Arrow's own allocator keeps what it has freed: 40 MB in this process, for nothing.
pa.set_memory_pool(pa.system_memory_pool())
# Nor are its threads worth starting for tables of a few thousand rows; DuckDB, which reads the films, has its own.
pa.set_cpu_count(1)


def setting(name: str) -> str | None:
    """Return a deployer's setting: the environment variable of that name, else the Streamlit secret."""
    if os.environ.get(name):
        return os.environ[name]
    try:
        value = st.secrets.get(name)
    except StreamlitSecretNotFoundError:
        return None
    return str(value) if value else None


def catalogue() -> Catalogue:
    """Return the catalogue of this visit: the visitor's own films if they use any, else those of the server.

    Raises SourceError.
    """
    own = own_films()
    return own.catalogue if own is not None and own.in_use else server_catalogue()


def own_films() -> OwnFilms | None:
    """Return the films that this visitor brought, None if they brought none."""
    own = st.session_state.get("own_films")
    return own if isinstance(own, OwnFilms) else None


def server_catalogue() -> Catalogue:
    """Return the catalogue of the server, opened anew when its file has changed. Raises SourceError.

    A query has no file to look at: it is asked once, and again when the server starts anew.
    """
    query, chosen = setting("GENRESCOPE_QUERY"), setting("GENRESCOPE_MOVIES")
    path = Path(chosen or movies.SHIPPED)
    try:
        path = path.expanduser()
        stamp = tuple(_stamp(file) for file in sources.files(path))
        return _catalogue(None if query and not chosen else path, query, stamp)
    except (OSError, RuntimeError) as error:  # no right to look into its folder, a name too long, no such home
        why = error.strerror if isinstance(error, OSError) else error
        raise SourceError(f"The catalogue {path.name} cannot be read: {why}. Check GENRESCOPE_MOVIES.") from error


def _stamp(file: Path) -> tuple[int, ...]:
    """Return what tells a file from the one that was there before, also where that had the same time and size."""
    status = file.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


@st.cache_resource(max_entries=2, show_spinner="Opening the catalogue")
def _catalogue(path: Path | None, query: str | None, stamp: tuple[tuple[int, ...], ...]) -> Catalogue:
    # The charts need Altair, a quarter of a second to import: time enough while DuckDB reads the films.
    threading.Thread(target=importlib.import_module, args=("altair",), daemon=True).start()
    with log.timed("catalogue_opened") as told:
        found = movies.open_catalogue(path, query=query)
        told |= {"films": found.n_movies, "documents": len(found.texts), "fingerprint": found.fingerprint[:12]}
    return found


def uploads_are_on() -> bool:
    """Tell whether visitors may bring their own films."""
    return (setting("GENRESCOPE_UPLOADS") or "on").strip().lower() != "off"


def upload_limits() -> Limits:
    """Return how much of an upload is read at most. Raises SourceError for a setting that is no number."""
    return sources.limits(setting, sources.UPLOAD_LIMITS)


def forget_films(key: str, owner: str) -> None:
    """Drop what is held of a visitor's films beside their session: results under the catalogue's key, their vectors."""
    background().forget(key)
    store().remove_of(owner)


def forget_own_films() -> None:
    """Drop all that this session's caches hold of its own films."""
    for cached in _of_sessions:
        cached.clear()


_of_sessions: list[Any] = []


def _of_films(**options: Any) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Cache a function of a catalogue: for all visitors, or in the session alone if the films are a visitor's own.

    The fingerprint of an upload is a part of recipes and so no secret. What an upload gives is therefore not kept where
    a key could reach it from another session: Streamlit keeps a cache for each session, and drops it with the session.
    A thread beside the pages has no session; there the function runs without a cache.

    What is kept is not copied, but nobody can change it: frames are handed out as views that are copied when they
    are written to.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        shared, own = (
            st.cache_resource(scope=scope, hash_funcs=_HASHED, **options)(function) for scope in ("global", "session")
        )
        _of_sessions.append(own)

        @functools.wraps(function)
        def call(*arguments: P.args, **named: P.kwargs) -> T:
            films = arguments[0]
            assert isinstance(films, Catalogue)
            chosen: Callable[P, T] = shared
            if films.private:
                chosen = function if get_script_run_ctx(suppress_warning=True) is None else own
            found: T = chosen(*arguments, **named)
            return _view(found)

        call.clear = shared.clear  # type: ignore[attr-defined]
        return call

    return decorate


# Their texts name all that is in them, and are made sixty times as fast as Streamlit's own hash of them.
_HASHED: Any = {Settings: repr, Filters: repr}


def _view(value: T) -> T:
    """Return frames, also those in a tuple, as views that are copied when they are written to."""
    found: Any = value
    if isinstance(found, pd.DataFrame):
        found = found.copy(deep=False)
    elif type(found) is tuple:
        found = tuple(map(_view, found))
    return found  # type: ignore[no-any-return]


def reading(settings: Settings) -> Catalogue:
    """Return the catalogue of this visit as it is read by the text of the settings."""
    found = catalogue()
    return found if settings.text == found.text else _reading(found, found.fingerprint, settings.text)


@_of_films(max_entries=4, show_spinner=False)
def _reading(_catalogue: Catalogue, fingerprint: str, text: str) -> Catalogue:
    return _catalogue.by(text)


def store() -> VectorStore:
    """Return the vector store of this server."""
    return _store(setting("GENRESCOPE_VECTORS") or str(DEFAULT_VECTORS))


@st.cache_resource(show_spinner=False)
def _store(folder: str) -> VectorStore:
    return VectorStore(Path(folder).expanduser())


def worker() -> Worker:
    """Return the one worker of this server; its process ends with the server's."""
    found = store()
    return _worker(str(found.root), found)


@st.cache_resource(show_spinner=False)
def _worker(folder: str, _store: VectorStore) -> Worker:
    found = Worker(_store)
    atexit.register(found.close)
    return found


def known_encoders() -> Mapping[str, Encoder]:
    """Return the encoders of this server by id. Raises EncoderError where the setting cannot be understood."""
    for name in (encoders.SETTING, "GENRESCOPE_DOWNLOADS"):
        value = setting(name)
        if value:
            os.environ[name] = value  # for the worker process, which knows no secrets
    return encoders.known()


def dtype_at_hand(catalogue: Catalogue, settings: Settings) -> Dtype | None:
    """Return the number format in which every genre list of the catalogue has a vector, None where some have none."""
    encoder = encoders.get(settings.encoder)
    if encoder.kind != "transformer":
        return "float32"
    return worker_module.stored(store(), encoder, catalogue.texts, settings.dtype, catalogue.owner)


def documents(catalogue: Catalogue, settings: Settings) -> Space:
    """Return the catalogue's documents as points of an encoder's space. They must have vectors."""
    dtype = dtype_at_hand(catalogue, settings) or "float32"
    few = len(catalogue.texts) <= MAX_DISTANCES
    make = _documents if few else _many_documents
    return make(catalogue, catalogue.fingerprint, catalogue.text, settings.encoder, dtype, settings.standardize)


@_of_films(max_entries=8, show_spinner=False)
def _documents(
    _catalogue: Catalogue, fingerprint: str, text: str, encoder_id: str, dtype: Dtype, standardize: bool
) -> Space:
    return _space(_catalogue, fingerprint, text, encoder_id, dtype, standardize)


@_of_films(max_entries=1, show_spinner="Preparing the texts")
def _many_documents(
    _catalogue: Catalogue, fingerprint: str, text: str, encoder_id: str, dtype: Dtype, standardize: bool
) -> Space:
    """Keep one space of many documents: 17,000 of 768 dimensions are 100 MB."""
    return _space(_catalogue, fingerprint, text, encoder_id, dtype, standardize)


def _space(
    catalogue: Catalogue, fingerprint: str, text: str, encoder_id: str, dtype: Dtype, standardize: bool
) -> Space:
    encoder = encoders.get(encoder_id)
    vectors = _raw(catalogue, fingerprint, text, encoder_id, dtype)
    ready = embeddings.post_process(vectors, encoder, standardize)
    return _frozen(clustering.space(ready, catalogue.weights()))


@_of_films(max_entries=2, show_spinner=False)
def _distances(_catalogue: Catalogue, fingerprint: str, settings: Settings) -> FloatArray:
    return _frozen(diagnostics.distances(documents(_catalogue, settings).vectors))


def tsne(catalogue: Catalogue, settings: Settings) -> FloatArray:
    """Return the t-SNE map of an encoder's space, shape (genre lists, 2)."""
    return _tsne(catalogue, catalogue.fingerprint, _space_settings(settings))


def _space_settings(settings: Settings) -> Settings:
    """Return the settings with all that does not decide the encoder's space at its default."""
    return Settings(
        encoder=settings.encoder, standardize=settings.standardize, dtype=settings.dtype, text=settings.text
    )


@_of_films(
    max_entries=8,
    show_spinner="Laying out the map by t-SNE: about ten seconds, once for each encoder",
)
def _tsne(_catalogue: Catalogue, fingerprint: str, settings: Settings) -> FloatArray:
    space = documents(_catalogue, settings)
    with log.timed("mapped", encoder=settings.encoder, documents=len(space.vectors)):
        return _frozen(clustering.tsne(space))


def analysis(catalogue: Catalogue, settings: Settings) -> Analysis:
    """Return the clustering of the films under the settings, with its names and figures."""
    few = len(catalogue.texts) <= MAX_DISTANCES
    return (_analysis if few else _long_analysis)(catalogue, catalogue.fingerprint, settings)


@_of_films(
    max_entries=8,
    show_spinner="Clustering many texts: this takes some seconds, once for each setting",
)
def _long_analysis(_catalogue: Catalogue, fingerprint: str, settings: Settings) -> Analysis:
    return _analysis.__wrapped__(_catalogue, fingerprint, settings)  # type: ignore[no-any-return, attr-defined]


@_of_films(max_entries=32, show_spinner=False)
def _analysis(_catalogue: Catalogue, fingerprint: str, settings: Settings) -> Analysis:
    space = documents(_catalogue, settings)
    few = len(space.vectors) <= MAX_DISTANCES
    distances = _distances(_catalogue, fingerprint, _space_settings(settings)) if few else None
    with log.timed("analysed", encoder=settings.encoder, k=settings.n_clusters, documents=len(space.vectors)):
        return _frozen(
            analysis_module.analyse(
                _catalogue, space, settings.n_clusters, settings.random_state, settings.filters, distances
            )
        )


@_of_films(max_entries=2, show_spinner=False)
def _options(_catalogue: Catalogue, fingerprint: str) -> Options:
    return _catalogue.options()


def options(catalogue: Catalogue) -> Options:
    """Return what the filters can be set to."""
    return _options(catalogue, catalogue.fingerprint)


@_of_films(max_entries=256, show_spinner=False)
def _counts(_catalogue: Catalogue, fingerprint: str, text: str, filters: Filters) -> Counts:
    return _catalogue.counts(filters)


def counts(catalogue: Catalogue, filters: Filters) -> Counts:
    """Return how many films the filters leave."""
    return _counts(catalogue, catalogue.fingerprint, catalogue.text, filters)


@_of_films(max_entries=2, show_spinner="Counting the films' years and scores")
def _measure_counts(_catalogue: Catalogue, fingerprint: str, text: str, filters: Filters) -> pd.DataFrame:
    return _catalogue.measure_counts(filters)


def _counted(catalogue: Catalogue, settings: Settings) -> pd.DataFrame:
    return _measure_counts(catalogue, catalogue.fingerprint, catalogue.text, settings.filters)


@_of_films(max_entries=32, show_spinner=False)
def _cluster_measures(_catalogue: Catalogue, fingerprint: str, settings: Settings) -> pd.DataFrame:
    labels = analysis(_catalogue, settings).clustering.labels
    if _catalogue.n_movies < COUNTED_MOVIES:
        return _catalogue.cluster_measures(labels, settings.filters)
    return counted.measures_of(_counted(_catalogue, settings), labels)


def cluster_measures(catalogue: Catalogue, settings: Settings) -> pd.DataFrame:
    """Return a row a cluster with the median of every measure (`Catalogue.cluster_measures`)."""
    return _cluster_measures(catalogue, catalogue.fingerprint, settings)


def tables(catalogue: Catalogue, settings: Settings, layout: str = "PCA") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the genre lists (`list_table`) on a map and the clusters (`cluster_table`) with their colours."""
    return _tables(catalogue, catalogue.fingerprint, settings, layout)


@_of_films(max_entries=32, show_spinner=False)
def _tables(
    _catalogue: Catalogue, fingerprint: str, settings: Settings, layout: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    found = analysis(_catalogue, settings)
    space = documents(_catalogue, settings)
    xy = tsne(_catalogue, settings) if layout == "t-SNE" else space.xy
    lists = analysis_module.list_table(_catalogue, found, xy)
    clusters = analysis_module.cluster_table(found, lists, cluster_measures(_catalogue, settings))
    return lists, charts.colored(clusters)


@_of_films(max_entries=96, show_spinner=False)
def _once(_catalogue: Catalogue, fingerprint: str, settings: Settings, what: Hashable, _make: Callable[[], Any]) -> Any:
    made = _make()
    if isinstance(made, Figure):
        return dataclasses.replace(made, data=_arrow(made.data))
    return _arrow(made) if isinstance(made, pd.DataFrame) else made


def _arrow(rows: pd.DataFrame | pa.Table) -> pa.Table:
    """Return rows as they go to the browser, which takes most of the time that showing them does."""
    return rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)


def once(catalogue: Catalogue, settings: Settings, what: Hashable, make: Callable[[], T]) -> T:
    """Return what `make` does, a chart, a table or words; it is called once for `what` under these settings.

    `what` must name all that the result depends on beside the films and the settings. Frames become Arrow tables.
    """
    found: T = _once(catalogue, catalogue.fingerprint, settings, what, make)
    return found


def recipe(catalogue: Catalogue, settings: Settings) -> Recipe:
    """Return the recipe of the clustering (`recipes.of`), without names and films."""
    return _recipe(catalogue, catalogue.fingerprint, settings)


@_of_films(max_entries=32, show_spinner=False)
def _recipe(_catalogue: Catalogue, fingerprint: str, settings: Settings) -> Recipe:
    encoder = encoders.get(settings.encoder)
    dtype = dtype_at_hand(_catalogue, settings) or "float32"
    key = encoders.key(encoder, dtype, _catalogue.owner)
    facts = store().facts(key) if encoder.kind == "transformer" else {}
    found = analysis(_catalogue, settings).clustering
    return recipes.of(_catalogue, settings, found, encoder, dtype, facts.get("device"))


def look_ahead(catalogue: Catalogue, settings: Settings, layout: str = "PCA", after: float = 0.0) -> None:
    """Cluster by the next k up and down in the background: the slider is mostly moved by little.

    One thread serves all visitors, and a new wish takes the place of those that wait. So it never uses more than one
    core, and never works on what nobody looks at any more. While pages are being drawn all the time it does nothing,
    nor in the first seconds (`after`).
    """
    if catalogue.private:
        return  # the thread would hold films that are to go with their session
    for wish in _wishes:
        wish.cancel()
    _overtaken[0].set()
    overtaken = _overtaken[0] = threading.Event()
    start = time.monotonic() + after
    _wishes[:] = [
        _ahead().submit(
            _tables_ahead,
            catalogue,
            dataclasses.replace(settings, n_clusters=k),
            layout,
            lambda: not overtaken.wait(max(0.0, start - time.monotonic())),
            foreground(),
        )
        for k in (settings.n_clusters + step for step in (1, -1, 2, -2))
        if clustering.MIN_CLUSTERS <= k <= clustering.MAX_CLUSTERS
    ]


def _tables_ahead(
    catalogue: Catalogue, settings: Settings, layout: str, still_wanted: Callable[[], bool], pages: Foreground
) -> None:
    if still_wanted() and pages.give_way(LOOK_AHEAD_SECONDS):
        tables(catalogue, settings, layout)


_wishes: list[Future[Any]] = []
_overtaken = [threading.Event()]  # that of the latest wishes: set when others take their place


@st.cache_resource(show_spinner=False)
def _ahead() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="look-ahead")


@_of_films(max_entries=32, show_spinner=False)
def _spread(_catalogue: Catalogue, fingerprint: str, settings: Settings, cluster: int) -> pd.DataFrame:
    labels = analysis(_catalogue, settings).clustering.labels
    if _catalogue.n_movies < COUNTED_MOVIES:
        return _catalogue.spread(labels, cluster, settings.filters)
    return counted.spread_of(_counted(_catalogue, settings), labels, cluster)


def spread(catalogue: Catalogue, settings: Settings, cluster: int) -> pd.DataFrame:
    """Return the quartiles of every measure in a cluster and in the catalogue (`Catalogue.spread`)."""
    return _spread(catalogue, catalogue.fingerprint, settings, cluster)


@_of_films(max_entries=16, show_spinner=False)
def _value_counts(
    _catalogue: Catalogue, fingerprint: str, text: str, filters: Filters, column: str
) -> tuple[pd.DataFrame, tuple[IntArray, int]]:
    return _catalogue.value_counts(column, filters), _catalogue.known_counts(column, filters)


def value_counts(catalogue: Catalogue, filters: Filters, column: str) -> tuple[pd.DataFrame, tuple[IntArray, int]]:
    """Return how many films have each value of a list column, and any at all (`Catalogue.value_counts`)."""
    return _value_counts(catalogue, catalogue.fingerprint, catalogue.text, filters, column)


@_of_films(max_entries=128, show_spinner=False)
def _stand_outs(
    _catalogue: Catalogue, fingerprint: str, settings: Settings, cluster: int, column: str
) -> tuple[pd.DataFrame, int]:
    labels = analysis(_catalogue, settings).clustering.labels
    everyone = value_counts(_catalogue, settings.filters, column)
    found, n_cluster, n_all = _catalogue.shares(column, labels, cluster, settings.filters, everyone)
    return explain.standing_out(found, n_cluster, n_all), n_cluster


def stand_outs(catalogue: Catalogue, settings: Settings, cluster: int, column: str) -> tuple[pd.DataFrame, int]:
    """Return what a cluster has more of (`explain.standing_out`), and how many of its films have the column."""
    return _stand_outs(catalogue, catalogue.fingerprint, settings, cluster, column)


@_of_films(max_entries=128, show_spinner=False)
def _year_shares(
    _catalogue: Catalogue, fingerprint: str, settings: Settings, cluster: int, genres: tuple[str, ...]
) -> pd.DataFrame:
    labels = analysis(_catalogue, settings).clustering.labels
    if _catalogue.n_movies < COUNTED_MOVIES or _catalogue.text != GENRES:
        years = _catalogue.years(labels, cluster, genres, settings.filters)
    else:
        years = counted.years_of(_counted(_catalogue, settings), _catalogue.lists_with(labels, cluster, genres))
    return explain.smoothed_shares(explain.year_shares(years))


def year_shares(catalogue: Catalogue, settings: Settings, cluster: int, genres: tuple[str, ...]) -> pd.DataFrame:
    """Return the share of each year's films in a cluster and with all the genres (`explain.smoothed_shares`)."""
    return _year_shares(catalogue, catalogue.fingerprint, settings, cluster, genres)


@_of_films(max_entries=2, show_spinner=False)
def _raw(_catalogue: Catalogue, fingerprint: str, text: str, encoder_id: str, dtype: Dtype) -> Float32:
    """Return the vectors of the documents before post-processing."""
    encoder = encoders.get(encoder_id)
    if encoder.kind == "transformer":
        return _frozen(store().load(encoders.key(encoder, dtype, _catalogue.owner), _catalogue.texts))
    return _frozen(embeddings.baseline(encoder, _catalogue.texts, _catalogue.genre_lists))


def texts_without_a_genre(catalogue: Catalogue, genre_list: str) -> tuple[str, ...]:
    """Return what remains of a genre list without each genre; of all lists, where there are not too many of them.

    One job for all of them costs little more than one for a few: most of it is loading the model.
    """
    lists = catalogue.genre_lists if len(catalogue.genre_lists) <= MAX_LISTS_AT_ONCE else (genre_list,)
    return tuple(dict.fromkeys(text for each in lists for _, text in reasons.without_each(each)))


def reason(catalogue: Catalogue, settings: Settings, list_id: int) -> Reason | None:
    """Return why a genre list is in its cluster (`reasons.reason`), None while texts lack vectors for an answer."""
    encoder = encoders.get(settings.encoder)
    dtype = dtype_at_hand(catalogue, settings) or "float32"
    genre_list = catalogue.genre_lists[list_id]
    texts = [text for _, text in reasons.without_each(genre_list)]
    clustering = analysis(catalogue, settings).clustering
    if encoder.kind == "tf-idf" or not texts or catalogue.text != GENRES:
        return reasons.reason(clustering, list_id, genre_list, None)
    if encoder.kind == "multi-hot":
        new = reasons.multi_hot(texts, catalogue.genre_lists)
    elif store().missing(encoders.key(encoder, dtype), texts):
        return None
    else:
        new = store().load(encoders.key(encoder, dtype), texts)
    raw = _raw(catalogue, catalogue.fingerprint, catalogue.text, settings.encoder, dtype)
    places = reasons.placed(new, raw, encoder, clustering.centers, settings.standardize)
    return reasons.reason(clustering, list_id, genre_list, places)


def understood(catalogue: Catalogue, settings: Settings, query: str) -> Understood | None:
    """Return which words of a query an encoder without a model knows, None for one with a model."""
    kind = encoders.get(settings.encoder).kind
    if kind == "transformer":
        return None
    if kind == "multi-hot":
        return search.genres_in(query, catalogue.genre_lists)
    known, unknown = _tf_idf(catalogue, catalogue.fingerprint, settings.text).words(query)
    return Understood(tuple(known), tuple(unknown))


@_of_films(max_entries=1, show_spinner=False)
def _tf_idf(_catalogue: Catalogue, fingerprint: str, text: str) -> TfIdf:
    return _frozen(embeddings.fit_tf_idf(_catalogue.texts))


def ask_query(
    catalogue: Catalogue, settings: Settings, query: str, owner: str, *, retry: bool = False, patience: float = 0.0
) -> Progress:
    """Ask the worker for the vector of a query, and return how far it is (`Worker.ask`)."""
    dtype = dtype_at_hand(catalogue, settings) or "float32"
    return worker().ask(owner, settings.encoder, query, dtype=dtype, retry=retry, patience=patience)


def place_query(catalogue: Catalogue, settings: Settings, query: str) -> Place | None:
    """Return where a query lies among the documents (`search.place`), None while it has no vector.

    Its vector comes from the memory of the worker's keeper, from the documents' genres, or from the fitted words.
    """
    encoder = encoders.get(settings.encoder)
    dtype = dtype_at_hand(catalogue, settings) or "float32"
    if encoder.kind == "transformer":
        vector = worker().answer(encoder.id, query, dtype)
        if vector is None:
            return None
    elif encoder.kind == "multi-hot":
        vector = reasons.multi_hot([search.genres_in(query, catalogue.genre_lists).text], catalogue.genre_lists)[0]
    else:
        vector = _tf_idf(catalogue, catalogue.fingerprint, settings.text).project([query])[0]
    # What is kept for all is bounded and small: a text that nobody else can ask for without knowing it.
    return _place(catalogue, catalogue.fingerprint, _space_settings(settings), dtype, query, vector)


@_of_films(max_entries=8, show_spinner=False)
def _place(
    _catalogue: Catalogue, fingerprint: str, settings: Settings, dtype: Dtype, query: str, _vector: Float32
) -> Place:
    encoder = encoders.get(settings.encoder)
    needed = encoder.center or settings.standardize
    known = _raw(_catalogue, fingerprint, _catalogue.text, settings.encoder, dtype) if needed else _vector[None]
    return _frozen(search.place(_vector, known, encoder, documents(_catalogue, settings), settings.standardize))


def place_film(catalogue: Catalogue, settings: Settings, list_id: int) -> Place:
    """Return where a film's document lies among the others."""
    return search.place_of(list_id, documents(catalogue, settings))


@_of_films(max_entries=32, show_spinner="Comparing")
def _contrast(_catalogue: Catalogue, fingerprint: str, settings: Settings, a: int, b: int | None) -> pd.DataFrame:
    labels = analysis(_catalogue, settings).clustering.labels
    return contrast_module.contrast(_catalogue, labels, a, b, settings.filters)


def contrast(catalogue: Catalogue, settings: Settings, a: int, b: int | None) -> pd.DataFrame:
    """Return what tells cluster a from cluster b, or from the rest, by how much it does (`contrast.contrast`)."""
    return _contrast(catalogue, catalogue.fingerprint, settings, a, b)


@st.cache_resource(show_spinner=False)
def background() -> Background:
    """Return what does this server's work in the background; it keeps its results."""
    return Background(foreground=foreground())


@st.cache_resource(show_spinner=False)
def foreground() -> Foreground:
    """Return what pages are drawn under, so that work in the background gives way to them."""
    return Foreground()


def stability_key(catalogue: Catalogue, settings: Settings) -> Hashable:
    """Return the key of the stability of a clustering in `background`."""
    return ("stability", catalogue.key, settings)


def stability(catalogue: Catalogue, settings: Settings) -> Stability | None:
    """Return how stable the clusters are (`stability.bootstrap`), None while that is not known."""
    task = background().look(stability_key(catalogue, settings))
    return task.result if task is not None and task.state == "done" else None


def measure_stability(catalogue: Catalogue, settings: Settings, owner: Hashable) -> Task:
    """Ask for the stability of the clusters, and return how far it is."""

    # Here, not in the thread: that has no session, and so not what is kept there of a visitor's own films.
    found, space = analysis(catalogue, settings), documents(catalogue, settings)

    def work(on_progress: OnProgress, should_stop: ShouldStop) -> Stability:
        return stability_module.bootstrap(
            space, found.weights, found.clustering, should_stop=should_stop, on_progress=on_progress
        )

    return background().ask(stability_key(catalogue, settings), work, owner)


def stability_failed(catalogue: Catalogue, settings: Settings) -> bool:
    """Return whether the stability of the clusters could not be measured."""
    task = background().look(stability_key(catalogue, settings))
    return task is not None and task.state == "failed"


def measure_all_k(catalogue: Catalogue, settings: Settings, ks: tuple[int, ...], owner: Hashable) -> Task:
    """Ask for the figures of every k (`sweep.sweep`), and return how far they are."""

    def work(on_progress: OnProgress, should_stop: ShouldStop) -> SweepResult:
        space = documents(catalogue, settings)
        few = len(space.vectors) <= MAX_DISTANCES
        return sweep.sweep(
            space,
            catalogue.weights(settings.filters),
            explain.membership(catalogue.genre_lists)[0],
            ks,
            settings.random_state,
            _distances(catalogue, catalogue.fingerprint, _space_settings(settings)) if few else None,
            should_stop=should_stop,
            on_progress=on_progress,
        )

    any_k = dataclasses.replace(settings, n_clusters=0)
    return background().ask(("sweep", catalogue.key, any_k, ks), work, owner)


@_of_films(max_entries=8, show_spinner=False)
def _descent(
    _catalogue: Catalogue, fingerprint: str, any_k: Settings, ks: tuple[int, ...], _result: SweepResult
) -> Descent:
    found = descent_module.trace(_result.clusterings, _catalogue.weights(any_k.filters), _catalogue.genre_lists)
    colors = {
        (k, i): color
        for k, names in found.names.items()
        for i, color in enumerate(charts.cluster_colors([next(iter(name.genres), "") for name in names]))
    }
    nodes, edges = (
        table.assign(color=[colors[each] for each in zip(table["k"], table["cluster"], strict=True)])
        for table in (found.nodes, found.edges)
    )
    return dataclasses.replace(found, nodes=nodes, edges=edges)


def descent(catalogue: Catalogue, settings: Settings, result: SweepResult) -> Descent:
    """Return where the clusters of every k of a sweep come from (`descent.trace`), with their colours. Read it only."""
    any_k = dataclasses.replace(settings, n_clusters=0)
    return _descent(catalogue, catalogue.fingerprint, any_k, tuple(result.clusterings), result)


def ready_encoders(catalogue: Catalogue, settings: Settings) -> tuple[str, ...]:
    """Return the ids of the encoders that can be used at once: those with all vectors, and the baselines."""
    return tuple(
        each for each in known_encoders() if dtype_at_hand(catalogue, dataclasses.replace(settings, encoder=each))
    )


def compare_encoders(catalogue: Catalogue, settings: Settings, ids: tuple[str, ...], owner: Hashable) -> Task:
    """Ask for a comparison of encoders under these settings (`agreement.compare`), and return how far it is."""

    def measured(each: Settings) -> agreement.Measured:
        dtype = dtype_at_hand(catalogue, each) or "float32"
        found, ready = analysis(catalogue, each), documents(catalogue, each).vectors
        raw = _raw(catalogue, catalogue.fingerprint, catalogue.text, each.encoder, dtype)
        return agreement.Measured(
            each.encoder,
            found.clustering.labels,
            found.coherence.overall,
            health.measure(raw, ready, found.weights),
        )

    def work(on_progress: OnProgress, should_stop: ShouldStop) -> Comparison | None:
        done = []
        for each in sides:
            if should_stop():
                return None
            done.append(measured(each))
            on_progress(len(done), len(sides))
        dominant = agreement.dominant_genres(explain.membership(catalogue.genre_lists)[0], catalogue.weights())
        weights, first = catalogue.weights(settings.filters), catalogue.first_genres(settings.filters)
        return agreement.compare(done, weights, dominant, first)

    sides = [dataclasses.replace(settings, encoder=each) for each in ids]
    dtypes = tuple(dtype_at_hand(catalogue, each) for each in sides)
    any_encoder = dataclasses.replace(settings, encoder="")
    return background().ask(("encoders", catalogue.key, any_encoder, ids, dtypes), work, owner)


def seeds_key(catalogue: Catalogue, settings: Settings) -> Hashable:
    """Return the key in `background` of what the seed does: the seed that is chosen makes no difference to it."""
    return ("seeds", catalogue.key, dataclasses.replace(settings, random_state=0))


def seeds(catalogue: Catalogue, settings: Settings) -> Seeds | None:
    """Return what the seed does to the clusters (`stability.over_seeds`), None while that is not known."""
    task = background().look(seeds_key(catalogue, settings))
    return task.result if task is not None and task.state == "done" else None


def measure_seeds(catalogue: Catalogue, settings: Settings, owner: Hashable) -> Task:
    """Ask for what the seed does to the clusters, after whatever else is asked for, and return how far it is."""
    space = documents(catalogue, settings)

    def work(on_progress: OnProgress, should_stop: ShouldStop) -> Seeds:
        return stability_module.over_seeds(
            space,
            catalogue.weights(settings.filters),
            settings.n_clusters,
            explain.membership(catalogue.genre_lists)[0],
            should_stop=should_stop,
            on_progress=on_progress,
        )

    return background().ask(seeds_key(catalogue, settings), work, owner, minor=True)


def variants(catalogue: Catalogue, encoder_id: str) -> dict[health.Variant, tuple[str, ...]]:
    """Return the genre lists written otherwise (`health.variants`) that an encoder could tell from their own text."""
    encoder = encoders.get(encoder_id)
    told = {"order": encoder.kind == "transformer", "case": encoder.kind != "tf-idf" and encoder.cased is not False}
    return {kind: health.variants(catalogue.genre_lists, kind)[1] for kind in health.VARIANTS if told[kind]}


def sensitivity(catalogue: Catalogue, settings: Settings, kind: health.Variant) -> Sensitivity | None:
    """Return what writing genres otherwise does to the films, None while the texts lack vectors."""
    encoder, texts = encoders.get(settings.encoder), variants(catalogue, settings.encoder).get(kind)
    dtype = dtype_at_hand(catalogue, settings) or "float32"
    if texts and encoder.kind == "transformer" and store().missing(encoders.key(encoder, dtype), texts):
        return None
    return _sensitivity(catalogue, catalogue.fingerprint, settings, kind, dtype)


@_of_films(max_entries=32, show_spinner=False)
def _sensitivity(
    _catalogue: Catalogue, fingerprint: str, settings: Settings, kind: health.Variant, dtype: Dtype
) -> Sensitivity:
    rows, texts = health.variants(_catalogue.genre_lists, kind)
    weights = _catalogue.weights(settings.filters)
    if kind not in variants(_catalogue, settings.encoder):
        return health.untouched(rows, weights)
    encoder = encoders.get(settings.encoder)
    if encoder.kind == "multi-hot":
        new = reasons.multi_hot(texts, _catalogue.genre_lists)
    else:
        new = store().load(encoders.key(encoder, dtype), texts)
    raw = _raw(_catalogue, fingerprint, _catalogue.text, settings.encoder, dtype)
    found = analysis(_catalogue, settings).clustering
    return health.sensitivity(rows, new, raw, encoder, found, weights, settings.standardize)


@_of_films(max_entries=16, show_spinner=False)
def _trends(_catalogue: Catalogue, fingerprint: str, settings: Settings) -> pd.DataFrame:
    years = _catalogue.years_by_cluster(analysis(_catalogue, settings).clustering.labels, settings.filters)
    each = [explain.smoothed_shares(explain.year_shares(rows)) for _, rows in years.groupby("cluster")]
    return pd.concat(each, ignore_index=True) if each else years


def trends(catalogue: Catalogue, settings: Settings) -> pd.DataFrame:
    """Return a row for each cluster and year with its share of the year's films (`explain.smoothed_shares`)."""
    return _trends(catalogue, catalogue.fingerprint, settings)


@_of_films(max_entries=2, show_spinner=False)
def _missing_values(_catalogue: Catalogue, fingerprint: str) -> pd.DataFrame:
    return _catalogue.missing_values()


def missing_values(catalogue: Catalogue) -> pd.DataFrame:
    """Return how many films lack each column (`Catalogue.missing_values`)."""
    return _missing_values(catalogue, catalogue.fingerprint)


@_of_films(max_entries=2, show_spinner=False)
def _films_by_year(_catalogue: Catalogue, fingerprint: str) -> pd.DataFrame:
    return _catalogue.films_by_year()


def films_by_year(catalogue: Catalogue) -> pd.DataFrame:
    """Return the films of each year (`Catalogue.films_by_year`)."""
    return _films_by_year(catalogue, catalogue.fingerprint)


@_of_films(max_entries=2, show_spinner=False)
def _genre_tables(_catalogue: Catalogue, fingerprint: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    weights = _catalogue.weights()
    lists = _catalogue.genre_lists
    return inventory.genre_counts(lists, weights), inventory.co_occurrence(lists, weights)


def genre_tables(catalogue: Catalogue) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return how frequent the genres are and which come together (`inventory`)."""
    return _genre_tables(catalogue, catalogue.fingerprint)


@_of_films(max_entries=16, show_spinner=False)
def _box_office(_catalogue: Catalogue, fingerprint: str, settings: Settings) -> pd.DataFrame:
    return _catalogue.box_office_by_cluster(analysis(_catalogue, settings).clustering.labels, settings.filters)


def box_office(catalogue: Catalogue, settings: Settings) -> pd.DataFrame:
    """Return a row for each cluster and five years with the median (`Catalogue.box_office_by_cluster`)."""
    return _box_office(catalogue, catalogue.fingerprint, settings)


def _frozen(value: T) -> T:
    """Make the arrays of a shared value read-only, so that no session can change what another one sees."""
    fields: list[Any] = [value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [getattr(value, field.name) for field in dataclasses.fields(value)]
    for field in fields:
        if isinstance(field, np.ndarray):
            field.flags.writeable = False
        elif dataclasses.is_dataclass(field):
            _frozen(field)
    return value
