"""Free text, every document another: `python -m tests.benchmarks text`; GENRESCOPE_TEXTS sets another number.

The plots are of words of the shipped films' titles, as often as these have them: what a plot says is not measured, its
length is. The command line encodes them with MiniLM, is killed with a third of them done, and started again.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from core import analysis, charts, clustering, devices, embeddings, encoders, movies
from core.movies import Catalogue
from core.vectors import VectorStore
from tests.benchmarks import report
from tests.benchmarks.report import Row

ROOT = Path(__file__).resolve().parents[2]
TEXTS, WORDS = 36_000, 60
MOST_MARKS = 5_000
FEWER, MOST_GROWTH = 9, 1.15  # of memory, with so many times the texts
COLUMN, K = "plot", 12
NOTE = f"""
{WORDS} words a plot, drawn from the words of the shipped films' titles. Memory is the resident one of all processes of
the command. Speed is that of the second run from its first finished chunk on, without imports and loading.
"""


def plots(n: int, seed: int = 0) -> list[str]:
    """Return so many different texts of WORDS words."""
    titles = pq.read_table(movies.SHIPPED)["title"].to_pylist()
    found = Counter(word.lower() for title in titles for word in title.split())
    words, often = np.array(list(found)), np.array(list(found.values()), dtype=np.float64)
    drawn = np.random.default_rng(seed).choice(len(words), size=(n, WORDS), p=often / often.sum())
    return [" ".join(words[row]) for row in drawn]


def embed(films: Path, vectors: Path, watch: Callable[[float], bool]) -> None:
    """Run the command line until it ends, or until `watch`, called with its megabytes, says no; then kill it."""
    command = [sys.executable, "-m", "core", "embed", "--movies", str(films), "--text", COLUMN]
    environment = {**os.environ, "GENRESCOPE_VECTORS": str(vectors)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None:
        time.sleep(1.0)
        if not watch(megabytes(process.pid)):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return
    assert process.returncode == 0


def megabytes(pid: int) -> float:
    """Return the resident memory of a process and all that it started."""
    try:
        root = psutil.Process(pid)
        return sum(each.memory_info().rss for each in (root, *root.children(recursive=True))) / 2**20
    except psutil.Error:
        return 0.0


def rows(folder: Path, n: int) -> Iterator[Row]:
    """Measure, and yield the lines of the table."""
    films, store, texts = folder / "films.parquet", VectorStore(folder / "vectors"), plots(n)
    genres = pa.array([["Drama"]] * n, pa.list_(pa.string()))
    titles = [f"Film {i}" for i in range(n)]
    pq.write_table(pa.table({"title": titles, "genres": genres, COLUMN: texts}), films)
    assert len(set(texts)) == n
    key = encoders.key(encoders.get(encoders.DEFAULT_ENCODER))

    def left() -> int:
        return len(VectorStore(store.root).missing(key, texts))

    few, sizes = folder / "few.parquet", [0.0]

    def note(size: float) -> bool:
        sizes.append(size)
        return True

    pq.write_table(pq.read_table(films).slice(0, n // FEWER), few)
    embed(few, folder / "few", note)
    yield Row(f"Most memory, {n // FEWER:,} plots", max(sizes), "MB")

    embed(films, store.root, lambda size: left() > n * 2 / 3)
    before = left()
    yield Row("Vectors that a kill in the middle left, of all", 100 * (n - before) / n, "%")

    seen: list[tuple[float, int, float]] = []

    def watch(size: float) -> bool:
        seen.append((time.perf_counter(), before - left(), size))
        return True

    embed(films, store.root, watch)
    assert left() == 0
    going = [each for each in seen if 0 < each[1] < before]
    seconds, done = going[-1][0] - going[0][0], going[-1][1] - going[0][1]
    yield Row(f"Plots a second after that, {tokens_of(texts[:1000]):.0f} tokens each", done / seconds, "")
    most = max(size for _, _, size in seen)
    yield Row(f"Most memory, {n:,} plots", most, "MB", MOST_GROWTH * max(sizes))
    started = time.perf_counter()
    drawn = the_map(movies.open_catalogue(films).by(COLUMN), store)
    yield Row(f"From stored vectors to k = {K} and its map", time.perf_counter() - started, "s")
    cells = drawn["x2"].notna()
    yield Row("Marks on the map: texts and clusters", (~cells).sum(), "", MOST_MARKS)
    yield Row("Marks behind them: cells of the density of all", cells.sum(), "", MOST_MARKS)


def the_map(catalogue: Catalogue, store: VectorStore) -> pd.DataFrame:
    """Cluster the texts and return the marks of the map."""
    encoder = encoders.get(encoders.DEFAULT_ENCODER)
    vectors = embeddings.post_process(store.load(encoders.key(encoder), catalogue.texts), encoder)
    space = clustering.space(vectors, catalogue.weights())
    found = analysis.analyse(catalogue, space, K)
    lists = analysis.list_table(catalogue, found, space.xy)
    clusters = analysis.cluster_table(found, lists, catalogue.cluster_measures(found.clustering.labels))
    return charts.genre_map(lists, charts.colored(clusters).assign(stability=""), charts.AXES["PCA"]).data


def tokens_of(texts: list[str]) -> float:
    """Return how many tokens a text has for MiniLM on average."""
    model = embeddings.load(encoders.get(encoders.DEFAULT_ENCODER), devices.choose("float32"))
    return statistics.mean(len(ids) for ids in model.tokenizer(texts)["input_ids"])


def section() -> tuple[str, bool]:
    """Return the section of docs/benchmarks.md, and whether all bounds were kept."""
    n = int(os.environ.get("GENRESCOPE_TEXTS", str(TEXTS)))
    with tempfile.TemporaryDirectory() as folder:
        found = report.gather(rows(Path(folder), n))
    head = f"{report.made_by('text', ('torch', 'transformers'))}\n{n:,} plots, all different."
    return f"{head}\n\n{report.bounds(found)}\n{NOTE}", all(row.good for row in found)
