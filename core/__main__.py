"""The same job without a browser: `python -m core cluster | embed | encoders`.

Results go to files, progress and errors to stderr. Bad input ends with one line and exit status 2, and leaves
nothing half-written behind. A recipe that does not give its clusters here ends with exit status 1.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa

from core import (
    analysis,
    charts,
    checkpoints,
    clustering,
    devices,
    embeddings,
    encoders,
    exports,
    minibatch,
    movies,
    names,
    ray_engine,
    recipes,
    report,
    stability,
    verdicts,
    worker,
)
from core.analysis import Analysis
from core.checkpoints import megabytes
from core.clustering import MAX_CLUSTERS, MIN_CLUSTERS, Space
from core.drawing import DrawingError
from core.embeddings import Float32
from core.encoders import Dtype, Encoder, EncoderError, WantedDtype
from core.movies import GENRES, Catalogue, CatalogueError, Filters
from core.names import Clusters, Given
from core.recipes import DEFAULT_K, MAX_SEED, Recipe, RecipeError, Settings
from core.report import Findings
from core.sources import SourceError
from core.vectors import DEFAULT_VECTORS, VectorStore
from core.worker import Progress

BAD_INPUT = 2
FLAGS = {
    "k": "n_clusters",
    "seed": "random_state",
    "encoder": "encoder",
    "dtype": "dtype",
    "standardize": "standardize",
    "text": "text",
}
ANOTHER_RESULT = 1  # than the recipe's


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        _check_outputs(options)
        status: int | None = options.run(options)
    except (SourceError, CatalogueError, EncoderError, DrawingError, ValueError, OSError) as error:
        sentence = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        named = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        print(f"genrescope: {named}{' '.join(sentence.split())}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("genrescope: stopped; vectors that were finished are kept.", file=sys.stderr)
        return 130
    return status or 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        """Say what is wrong in one line; the usage is there for --help."""
        self.exit(BAD_INPUT, f"genrescope: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m core", description="Cluster a movie catalogue by what its genres mean.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    cluster = commands.add_parser("cluster", help="write one row a film with its cluster")
    cluster.add_argument("--k", type=_whole(MIN_CLUSTERS, MAX_CLUSTERS), help=f"number of clusters ({DEFAULT_K})")
    cluster.add_argument("--seed", type=_whole(0, MAX_SEED), help="where k-means starts (0)")
    cluster.add_argument("--out", type=Path, required=True, help="a .parquet or .csv file")
    cluster.add_argument("--report", type=Path, help="a .json file for the figures")
    cluster.add_argument(
        "--standardize", action="store_true", default=None, help="give every dimension the same variance"
    )
    cluster.add_argument(
        "--recipe", type=Path, help="a recipe's .json file: takes its settings and filters, and says what differs here"
    )
    cluster.add_argument("--clusters", type=Path, help="a .parquet or .csv file for the table of clusters")
    cluster.add_argument("--genres", type=Path, help="a .parquet or .csv file for the genres by cluster")
    cluster.add_argument("--map", type=Path, help="a .svg or .png file for the map")
    cluster.add_argument("--html", type=Path, help="a .html file that tells it all, for any browser")
    cluster.set_defaults(run=_cluster)
    embed = commands.add_parser("embed", help="fill the vector store")
    embed.add_argument("--out", type=Path, help="also write text and vector to a .parquet file")
    embed.add_argument("--engine", choices=("local", "ray"), default="local", help="here, or on a Ray cluster")
    embed.add_argument("--address", help="of a Ray cluster; without it, workers on this machine")
    embed.add_argument("--workers", type=_whole(1, 10_000), default=2, help="how many processes encode, with Ray")
    embed.add_argument("--gpus", type=float, default=0, help="graphics cards for each of them, with Ray")
    embed.add_argument("--vectors", help="the vector store, a folder or an address such as s3://bucket/vectors")
    embed.set_defaults(run=_embed)
    for command in (cluster, embed):
        command.add_argument(
            "--movies",
            help="films instead of the shipped ones: .parquet (also a folder or pattern), .duckdb, .csv, .tsv, .json, "
            ".jsonl, the last four also in .gz; known shapes are recognised",
        )
        command.add_argument("--query", help="a DuckDB query whose rows are the films")
        command.add_argument("--encoder", help=f"see: python -m core encoders ({encoders.DEFAULT_ENCODER})")
        command.add_argument("--text", help="what is encoded: genres, “title and genres”, or a column (genres)")
        command.add_argument("--dtype", choices=("auto", *encoders.DTYPES), help="number format (auto)")
    listing = commands.add_parser("encoders", help="list the encoders")
    listing.set_defaults(run=_encoders, out=None)
    return parser


def _whole(low: int, high: int):  # type: ignore[no-untyped-def]  # argparse calls it with the text
    def parse(text: str) -> int:
        if not text.isascii() or not text.lstrip("-").isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"“{text}” is not a whole number from {low} to {high}")
        return int(text)

    return parse


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuse a file name that could not be written before any work is done."""
    endings = {
        "out": exports.ENDINGS if options.command == "cluster" else (".parquet",),
        "report": (".json",),
        "clusters": exports.ENDINGS,
        "genres": exports.ENDINGS,
        "map": (".svg", ".png"),
        "html": (".html", ".htm"),
    }
    taken: set[Path] = set()
    for name, allowed in endings.items():
        path: Path | None = getattr(options, name, None)
        if path is None:
            continue
        if path.suffix.lower() not in allowed:
            raise ValueError(f"--{name} {path.name} must end in {' or '.join(allowed)}.")
        if not path.parent.is_dir():
            raise ValueError(f"--{name} {path}: the folder {path.parent} does not exist.")
        if path.resolve() in taken:
            raise ValueError(f"--{name} {path.name} is the file of another option; give each a name of its own.")
        taken.add(path.resolve())


def _settings(options: argparse.Namespace, asked: Recipe | None) -> Settings:
    """Return the settings of the recipe, if there is one, else of the flags. A flag that says otherwise is an error."""
    settings = asked.settings if asked else Settings()
    for flag, name in FLAGS.items():
        value = getattr(options, flag, None)
        if value is None:
            continue
        if asked and value != getattr(settings, name):
            raise ValueError(
                f"--{flag} {'' if value is True else f'{value} '}contradicts the recipe, which says "
                f"{getattr(settings, name)}. Leave out one of them."
            )
        settings = replace(settings, **{name: value})
    return settings


def _recipe(path: Path | None) -> Recipe | None:
    if path is None:
        return None
    try:
        return recipes.read(path.read_bytes())
    except RecipeError as error:
        raise ValueError(f"--recipe {path.name}: {error}") from error


def _cluster(options: argparse.Namespace) -> int:
    started = time.perf_counter()
    asked = _recipe(options.recipe)
    settings = _settings(options, asked)
    encoder = encoders.get(settings.encoder)
    catalogue = _open(*_asked(options), settings, light=_is_light(options, settings))
    loaded = time.perf_counter()
    vectors, facts = _vectors(catalogue, encoder, settings.dtype)
    ready = embeddings.post_process(vectors, encoder, settings.standardize)
    documents = clustering.space(ready, catalogue.weights())
    embedded = time.perf_counter()
    found = analysis.analyse(catalogue, documents, settings.n_clusters, settings.random_state, settings.filters)
    dtype: Dtype = next((each for each in encoders.DTYPES if each == facts.get("dtype")), "float32")
    # The ids of all films are read and sorted for it: with very many, as long as writing them takes.
    described = ThreadPoolExecutor(1).submit(
        recipes.of, catalogue, settings, found.clustering, encoder, dtype, facts.get("device")
    )
    verdict = None
    if asked:
        carried = recipes.unpack(asked)
        found = _named(catalogue, found, recipes.given_names(asked, carried, catalogue))
        verdict = verdicts.judge(asked, carried, described.result(), catalogue, found.clustering.labels)
    films = recipes.films_of(catalogue, settings, found.clustering.labels)
    clustered = time.perf_counter()
    if notice := found.notice():
        print(f"genrescope: {notice}", file=sys.stderr)
    said = {
        "movies": found.counts.movies,
        "clustered": found.counts.clustered,
        "without_genres": found.counts.without_genres,
        "genre_lists": found.n_lists,
        "catalogue": catalogue.name,
        "fingerprint": catalogue.fingerprint,
        "encoder": encoder.id,
        "revision": encoder.revision,
        "device": facts.get("device"),
        "device_reason": facts.get("reason"),
        "dtype": dtype,
        "standardize": settings.standardize,
        "text": settings.text,
        "k": found.clustering.n_clusters,
        "k_requested": settings.n_clusters,
        "seed": settings.random_state,
        "inertia": found.clustering.inertia,
        "silhouette": _number(found.silhouette.overall),
        "coherence": _number(found.coherence.overall),
        "sampled_films": found.silhouette.sampled,
        "silhouette_error": found.silhouette.error,
        "coherence_error": found.coherence.error,
        "mini_batches": minibatch.wanted(found.n_lists),
        "clusters": [
            {
                "cluster": i,
                "name": name.text,
                "movies": int(found.clustering.sizes[i]),
                "silhouette": _number(found.silhouette.clusters[i]),
                "coherence": _number(found.coherence.clusters[i]),
                **({"note": name.note} if name.note else {}),
            }
            for i, name in enumerate(found.names)
        ],
    }
    others = _files_of(options, settings, catalogue, found, documents, described)
    exports.write_parts(
        (exports.clustered_films(films, found, documents.xy) for films in catalogue.slices(settings.filters)),
        options.out,
    )
    own = recipes.own_names(found.names)
    said["recipe"] = recipes.write(replace(described.result(), names=own, films=recipes.pack(films)))
    said["seconds"] = {
        "load": round(loaded - started, 3),
        "embed": round(embedded - loaded, 3),
        "cluster": round(clustered - embedded, 3),
        "write": round(time.perf_counter() - clustered, 3),
        "total": round(time.perf_counter() - started, 3),
    }
    if options.report:
        others[options.report] = json.dumps(said, indent=2, ensure_ascii=False).encode() + b"\n"
    for path, content in others.items():
        exports.write_bytes(content, path)
    print(
        f"{found.counts.clustered:,} of {found.counts.movies:,} films in {found.clustering.n_clusters} clusters, "
        f"written to {', '.join(path.name for path in (options.out, *others))}.",
        file=sys.stderr,
    )
    if verdict is None:
        return 0
    for sentence in (verdict.sentence, *verdict.differences, *verdict.circumstances):
        print(f"genrescope: {sentence}", file=sys.stderr)
    return 0 if verdict.same else ANOTHER_RESULT


def _named(catalogue: Catalogue, found: Analysis, given: Sequence[Given]) -> Analysis:
    """Return an analysis with a recipe's names in their places."""
    clusters = Clusters(catalogue.texts, found.weights, found.clustering.labels, found.names)
    return replace(found, names=names.applied(given, clusters))


def _files_of(
    options: argparse.Namespace,
    settings: Settings,
    catalogue: Catalogue,
    found: Analysis,
    documents: Space,
    described: Future[Recipe],
) -> dict[Path, bytes]:
    """Return what is to be written beside the films: all of it is made before any of it is."""
    files: dict[Path, bytes] = {}
    if options.genres:
        files[options.genres] = exports.table_bytes(exports.genre_rows(found), options.genres)
    if not (options.clusters or options.map or options.html):
        return files
    lists = analysis.list_table(catalogue, found, documents.xy)
    measures = catalogue.cluster_measures(found.clustering.labels, settings.filters)
    clusters = charts.colored(analysis.cluster_table(found, lists, measures))
    stable = None
    if options.clusters or options.html:
        print("Measuring how stable the clusters are.", file=sys.stderr)
        stable = stability.bootstrap(documents, found.weights, found.clustering)
    findings = Findings(catalogue, settings, found, lists, clusters, charts.AXES["PCA"], stable)
    if options.clusters:
        rows = exports.cluster_rows(clusters, None if stable is None else stable.clusters)
        files[options.clusters] = exports.table_bytes(rows, options.clusters)
    if options.map:
        svg = options.map.suffix.lower() == ".svg"
        files[options.map] = report.map_picture(findings, "svg" if svg else "png")
    if options.html:
        recipe = replace(described.result(), names=recipes.own_names(found.names))
        page = report.html(findings, recipes.write(recipe), date.today())
        files[options.html] = page.encode()
    return files


def _embed(options: argparse.Namespace) -> None:
    settings = _settings(options, None)
    encoder = encoders.get(settings.encoder)
    if options.engine == "ray":
        _embed_on_ray(options, settings, encoder)
        return
    if options.address or (options.vectors and ray_engine.is_uri(options.vectors)):
        raise ValueError("--address, and --vectors with an address, need --engine ray.")
    if options.vectors:
        os.environ["GENRESCOPE_VECTORS"] = options.vectors
    catalogue = _open(*_asked(options), settings, light=settings.text == GENRES)
    vectors, _ = _vectors(catalogue, encoder, settings.dtype)
    ready = embeddings.post_process(vectors, encoder)
    if options.out:
        rows = {text: row for row, text in enumerate(catalogue.texts)}
        column = pa.array([ready[row] for row in rows.values()], pa.list_(pa.float32()))
        exports.write(pa.table({"text": list(rows), "vector": column}), options.out)
    print(f"{len(set(catalogue.texts)):,} texts have vectors of {encoder.id}.", file=sys.stderr)


def _embed_on_ray(options: argparse.Namespace, settings: Settings, encoder: Encoder) -> None:
    if encoder.kind != "transformer":
        raise ValueError(f"{encoder.title} needs no encoding: it has no model.")
    if options.out:
        raise ValueError("--out is for --engine local; with Ray the vectors are in the vector store.")
    place = options.vectors or os.environ.get("GENRESCOPE_VECTORS") or str(DEFAULT_VECTORS)
    chosen, query = _asked(options)
    with ray_engine.local_copy(chosen) if chosen else nullcontext() as path:
        texts = _open(path, query, settings, light=settings.text == GENRES).texts
    made = ray_engine.encode(
        encoder,
        texts,
        place,
        address=options.address,
        n_workers=options.workers,
        gpus=options.gpus,
        dtype=settings.dtype,
        on_progress=lambda done, total: print(f"{done:,} of {total:,} texts have vectors.", file=sys.stderr),
    )
    print(f"{made:,} of {len(set(texts)):,} texts were encoded by {encoder.id}.", file=sys.stderr)


def _encoders(options: argparse.Namespace) -> None:
    """List the encoders, with what this machine has of them, and the device that would encode."""
    columns = ("id", "dimension", "parameters", "languages", "cased", "licence", "files", "repository", "revision")
    print("\t".join((*columns, "note")))
    for encoder in encoders.known().values():
        fields = (
            encoder.id,
            _known(encoder.dimension, "depends on the films" if encoder.kind != "transformer" else "not known"),
            _known(encoder.parameters, "not known"),
            encoder.languages,
            {True: "cased", False: "uncased", None: "not stated"}[encoder.cased],
            encoder.license,
            _files(encoder),
            encoder.repository or str(encoder.folder or "-"),
            encoder.revision or "-",
            encoder.note,
        )
        print("\t".join(fields))
    try:
        device = devices.choose()
        print(f"Device: {device.label}, {device.dtype}. {device.reason}", file=sys.stderr)
    except ImportError as error:
        print(f"Device: none, as PyTorch cannot be imported ({error}).", file=sys.stderr)


def _known(number: int | None, otherwise: str) -> str:
    return otherwise if number is None else f"{number:,}"


def _files(encoder: Encoder) -> str:
    """Say where an encoder's files are, or what has to be fetched."""
    if encoder.kind != "transformer":
        return "none needed"
    where = checkpoints.place(encoder)
    if where == "hub":
        size = "of unknown size" if encoder.download_bytes is None else megabytes(encoder.download_bytes)
        return f"to be fetched, {size}"
    return {"package": "in a package", "folder": "in a folder", "cache": "in the Hub's cache"}[where]


def _asked(options: argparse.Namespace) -> tuple[str | None, str | None]:
    """Return the file and the query that are asked for, by the flags or else by the environment."""
    asked = options.movies or options.query
    chosen = options.movies if asked else os.environ.get("GENRESCOPE_MOVIES")
    query = options.query if asked else os.environ.get("GENRESCOPE_QUERY")
    return chosen or None, query or None


def _open(chosen: str | Path | None, query: str | None, settings: Settings, light: bool = False) -> Catalogue:
    """Open the catalogue that is asked for, and say what was understood of it; what the command says comes first."""
    catalogue = movies.open_catalogue(Path(chosen).expanduser() if chosen else None, query=query, light=light)
    for note in catalogue.notes:
        print(f"genrescope: {note}", file=sys.stderr)
    return catalogue.by(settings.text)


def _is_light(options: argparse.Namespace, settings: Settings) -> bool:
    """Return whether the genre lists of the films are all that is looked at, but for what is written of each film."""
    asked = options.clusters or options.map or options.html
    return settings.text == GENRES and settings.filters == Filters() and not asked


def _vectors(catalogue: Catalogue, encoder: Encoder, dtype: WantedDtype) -> tuple[Float32, dict[str, str]]:
    """Return the vectors of all genre lists as the encoder gave them, and how they were made."""
    if encoder.kind != "transformer":
        return embeddings.baseline(encoder, catalogue.texts, catalogue.genre_lists), {}
    store = VectorStore(Path(os.environ.get("GENRESCOPE_VECTORS") or DEFAULT_VECTORS).expanduser())
    facts = worker.work(encoder, catalogue.texts, store, _say, dtype=dtype)
    made = worker.stored(store, encoder, catalogue.texts, dtype) or "float32"
    return store.load(encoders.key(encoder, made), catalogue.texts), facts


def _say(progress: Progress) -> None:
    if progress.state == "fetching" and progress.seconds_left is not None:
        here = f"{progress.bytes_done / 1e6:,.0f} of {megabytes(progress.bytes_total)}"
        print(f"Fetching the model: {here}, {progress.seconds_left:.0f} s left.", file=sys.stderr)
    elif progress.state == "loading":
        print("Loading the model.", file=sys.stderr)
    elif progress.texts_per_second is not None and progress.seconds_left is not None:
        print(
            f"{progress.done:,} of {progress.total:,} texts encoded, {progress.texts_per_second:,.0f} texts a "
            f"second, {progress.seconds_left:.1f} s left.",
            file=sys.stderr,
        )


def _number(value: float) -> float | None:
    """JSON has no NaN: what is not defined is null."""
    return None if value != value else float(value)


if __name__ == "__main__":
    sys.exit(main())
