"""What films and genre lists cost: `python -m tests.benchmarks scale`, into docs/benchmarks.md and a picture.

Rows: the command line on catalogues of 10 thousand to 10 million films, vectors stored, as a process of its own.
Lists: clustering and measuring of 100 to 100,000 distinct genre lists with vectors of MiniLM's size, exactly and by
the short ways that very many take, and what these lose. Processor seconds are given beside the clock's: on a machine
shared with others only they can be compared. `python -m tests.benchmarks.scale --rows 10000 --lists` takes a part.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

import altair as alt
import numpy as np

from core import analysis, clustering, diagnostics, embeddings, encoders, explain, minibatch, movies
from core.vectors import VectorStore
from tests.benchmarks import catalogues, report
from tests.benchmarks.report import Row

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "scale.svg"
TITLE = "What scale costs"
ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
LISTS = (100, 1_000, 5_000, 20_000, 50_000, 100_000)
EXACT_UP_TO = 20_000  # what is quadratic is not tried beyond
TSNE_UP_TO = 20_000
K = 12
WHOLE = "python -m core cluster"
BOUNDS = {10_000_000: (15.0, 2_000.0)}  # of the whole command line, by films: seconds and megabytes
RUNS = 3
BEND = 0.3  # a change of the power from one step to the next that is called a bend


@dataclass(frozen=True)
class Point:
    """A measurement: a series, a size, seconds by the clock and of processors, and peak megabytes (0: not measured)."""

    series: str
    size: int
    wall: float
    cpu: float = math.nan
    megabytes: float = 0.0


@dataclass(frozen=True)
class Loss:
    """What a short way gives up: its value, the exact one, and the standard error it declares (0: none)."""

    what: str
    size: int
    value: float
    exact: float
    error: float = 0.0


Measured = TypeVar("Measured", bound=Point | Loss)


def by_rows(folder: Path, sizes: Sequence[int]) -> Iterator[Point]:
    """Run the command line on catalogues of so many films, several times where it has bounds; vectors are stored."""
    vectors, path = folder / "vectors", folder / "films.parquet"
    _stand_ins(movies.open_catalogue().genre_lists, VectorStore(vectors))
    for size in sizes:
        catalogues.write(path, size)
        runs = [list(_run(path, size, vectors)) for _ in range(RUNS if size in BOUNDS else 1)]
        yield from sorted(runs, key=lambda run: run[0].wall)[len(runs) // 2]
        path.unlink()


def _run(path: Path, size: int, vectors: Path) -> Iterator[Point]:
    """Run the command line once, and yield what the whole of it took, then its parts."""
    said = path.with_name("report.json")
    command = [sys.executable, "-m", "core", "cluster", "--movies", str(path), "--k", str(K)]
    command += ["--out", str(path.with_name("out.parquet")), "--report", str(said)]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "GENRESCOPE_VECTORS": str(vectors)})
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    wall = time.perf_counter() - started
    yield Point(WHOLE, size, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
    for part, seconds in json.loads(said.read_text())["seconds"].items():
        yield Point(f"of it: {part}", size, seconds)


def _stand_ins(texts: Sequence[str], store: VectorStore) -> None:
    """Store vectors of MiniLM's size that keep what genres texts share: encoding is not what is measured here."""
    key, found = encoders.key(encoders.get(encoders.DEFAULT_ENCODER)), embeddings.multi_hot(texts)
    random = np.random.default_rng(0)
    turned = found @ random.normal(size=(found.shape[1], 384)) + 0.05 * random.normal(size=(len(texts), 384))
    store.write(key, list(texts), turned.astype(np.float32), {"encoder": "stand-in"})


def by_lists(folder: Path, sizes: Sequence[int]) -> Iterator[Point | Loss]:
    """Cluster and measure so many distinct genre lists, exactly and by the short ways."""
    for size in sizes:
        path = folder / f"lists-{size}.parquet"
        catalogues.write(path, max(2 * size, 10_000), n_lists=size)
        catalogue, store = movies.open_catalogue(path), VectorStore(folder / f"vectors-{size}")
        _stand_ins(catalogue.genre_lists, store)
        encoder, weights = encoders.get(encoders.DEFAULT_ENCODER), catalogue.weights()
        raw = store.load(encoders.key(encoder), catalogue.genre_lists)
        with measured("space (components)", size) as point:
            space = clustering.space(embeddings.post_process(raw, encoder), weights)
        yield point()
        membership, _ = explain.membership(catalogue.genre_lists)
        with patch.object(minibatch, "MINIBATCH_DOCUMENTS", 0), measured("k-means, mini-batches", size) as point:
            short = clustering.fit(space, weights, K)
        yield point()
        with patch.object(minibatch, "MINIBATCH_DOCUMENTS", size), measured("k-means, exact", size) as point:
            found = clustering.fit(space, weights, K)
        yield point()
        yield Loss("inertia of k-means by mini-batches", size, short.inertia, found.inertia)
        exact = size <= EXACT_UP_TO
        for measure in (diagnostics.silhouette, diagnostics.coherence):
            name = measure.__name__
            of = space.vectors if name == "silhouette" else membership
            with measured(f"{name}, a sample", size) as point:
                some = diagnostics.sampled(measure, of, weights, found.labels)
            yield point()
            if exact:
                with measured(f"{name}, exact", size) as point:
                    every = measure(of, weights, found.labels)
                yield point()
                yield Loss(f"{name} of a sample", size, some.overall, every.overall, some.error or 0.0)
        if size <= TSNE_UP_TO:
            for name, most in (("t-SNE, exact", size), ("t-SNE, a sample", clustering.TSNE_DOCUMENTS)):
                with measured(name, size) as point:
                    clustering.tsne(space, n_documents=most)
                yield point()
        with measured("a move of k, as the app does it", size) as point:
            analysis.analyse(catalogue, space, K + 1)
        yield point()
        catalogue.connection.close()


class measured:  # reads as a word: with measured(...)
    """Measure a block; calling it afterwards gives the Point."""

    def __init__(self, series: str, size: int) -> None:
        self.series, self.size = series, size

    def __enter__(self) -> "measured":
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu

    def __call__(self) -> Point:
        return Point(self.series, self.size, self.wall, self.cpu)


def table(points: Sequence[Point]) -> str:
    """Return the points as a Markdown table."""
    rows = []
    for point in points:
        cpu = "" if math.isnan(point.cpu) else f"{point.cpu:.2f}"
        memory = f"{point.megabytes:,.0f} MB" if point.megabytes else ""
        rows.append((point.series, f"{point.size:,}", cpu, f"{point.wall:.2f}", memory))
    return report.table(("what", "size", "processor seconds", "seconds by the clock", "peak memory"), rows)


def growth(points: Sequence[Point]) -> str:
    """Return a table of the powers of the size with which processor seconds grow, and the sizes where these change.

    The power of a step is log(seconds after / before) / log(size after / before): 0 does not grow, 1 in proportion.
    """
    rows = []
    for series, line in _lines(points).items():
        steps = [
            (first.size, second.size, math.log(second.cpu / first.cpu) / math.log(second.size / first.size))
            for first, second in pairwise(line)
        ]
        bends = [f"{size:,}" for (_, size, before), (_, _, after) in pairwise(steps) if abs(after - before) > BEND]
        powers = ", ".join(f"{power:.1f} to {size:,}" for _, size, power in steps)
        rows.append((series, powers, ", ".join(bends)))
    return report.table(("what", "power of the size, step by step", "bends at"), rows)


def _lines(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Return the points of each series whose processor seconds are known, by size; a series of one is left out."""
    known = [point for point in points if not math.isnan(point.cpu)]
    lines = {series: [p for p in known if p.series == series] for series in dict.fromkeys(p.series for p in known)}
    return {series: sorted(line, key=lambda p: p.size) for series, line in lines.items() if len(line) > 1}


def losses(found: Sequence[Loss]) -> str:
    """Return a table of what the short ways give up."""
    rows = []
    for loss in found:
        error = f" ± {loss.error:.4f}" if loss.error else ""
        off = f"{100 * (loss.value / loss.exact - 1):+.2f} %" if loss.exact else ""
        rows.append((loss.what, f"{loss.size:,}", f"{loss.value:,.4f}{error}", f"{loss.exact:,.4f}", off))
    return report.table(("what", "lists", "the short way", "exactly", "difference"), rows)


def panel(points: Sequence[Point], title: str, axis: str) -> alt.Chart:
    """Return a chart of processor seconds over size, both logarithmic, a line a series."""
    values = [
        {"size": point.size, "seconds": max(point.cpu, 1e-3), "series": series}
        for series, line in _lines(points).items()
        for point in line
    ]
    sizes = sorted({value["size"] for value in values})
    chart = alt.Chart(alt.Data(values=values), title=title, width=420, height=240).mark_line(point=True)
    return chart.encode(
        alt.X("size:Q", scale=alt.Scale(type="log"), title=axis, axis=alt.Axis(values=sizes, format=",d")),
        alt.Y("seconds:Q", scale=alt.Scale(type="log"), title="Processor seconds", axis=alt.Axis(tickCount=6)),
        alt.Color("series:N", sort=None, title=None, legend=alt.Legend(labelLimit=300)),
    )


def section(rows: Sequence[int] = ROWS, lists: Sequence[int] = LISTS) -> tuple[str, bool]:
    """Measure, draw the picture, and return the section of the document and whether all bounds were kept."""
    with tempfile.TemporaryDirectory() as folder:
        films = list(_told(by_rows(Path(folder), rows)))
        found = list(_told(by_lists(Path(folder), lists)))
    documents = [point for point in found if isinstance(point, Point)]
    lost = [loss for loss in found if isinstance(loss, Loss)]
    bounds = list(_held(films))
    panels = [panel(films, WHOLE, "Films"), panel(documents, f"By distinct genre lists, k = {K}", "Lists")]
    alt.vconcat(*panels).resolve_scale(color="independent").save(PICTURE)
    parts = (
        report.made_by("scale", ("duckdb", "pyarrow", "numpy")),
        "The cores are shared with others: compare processor seconds. The command line's own parts are by the clock.",
        "![Processor seconds over films and over genre lists](images/scale.svg)",
        *(["### Bounds", report.bounds(bounds)] if bounds else []),
        "### By films",
        table(films),
        "### By distinct genre lists",
        table(documents),
        "### Where it bends",
        "A power of 0 does not grow with the size, 1 grows in proportion, 2 with its square. It bends at a size where "
        f"the\npower changes by more than {BEND}.",
        growth([*films, *documents]),
        "### What the short ways lose",
        losses(lost),
    )
    return "\n\n".join(parts), all(row.good for row in bounds)


def _told(found: Iterable[Measured]) -> Iterator[Measured]:
    """Yield what is measured, and tell each on standard error as soon as it is."""
    for one in found:
        line = table([one]) if isinstance(one, Point) else losses([one])
        print(line.splitlines()[-1], file=sys.stderr, flush=True)
        yield one


def _held(films: Sequence[Point]) -> Iterator[Row]:
    """Yield the rows of the sizes that have bounds."""
    for point in films:
        if point.series == WHOLE and point.size in BOUNDS:
            seconds, megabytes = BOUNDS[point.size]
            yield Row(f"{WHOLE}, {point.size:,} films (median of {RUNS})", point.wall, "s", seconds)
            yield Row("its peak memory", point.megabytes, "MB", megabytes)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=list(ROWS))
    parser.add_argument("--lists", type=int, nargs="*", default=list(LISTS))
    options = parser.parse_args(arguments)
    report.write(TITLE, section(options.rows, options.lists)[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
