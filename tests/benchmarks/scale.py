"""What films and genre lists cost: `python -m tests.benchmarks.scale`, into docs/benchmarks.md and a picture.

Rows: the command line on catalogues of 10 thousand to 10 million films, vectors stored, as a process of its own.
Lists: clustering and measuring of 100 to 100,000 distinct genre lists with vectors of MiniLM's size. Processor seconds
are given beside the clock's: on a machine shared with others only they can be compared.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core import analysis, clustering, diagnostics, embeddings, encoders, minibatch, movies
from core.vectors import VectorStore
from tests.benchmarks import catalogues, report

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "scale.svg"
TITLE = "What scale costs"
ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
LISTS = (100, 1_000, 5_000, 20_000, 100_000)
EXACT_UP_TO = 20_000  # what is quadratic is not tried beyond
K = 12


@dataclass(frozen=True)
class Point:
    """A measurement: a series, a size, seconds by the clock and of processors, and peak megabytes (0: not measured)."""

    series: str
    size: int
    wall: float
    cpu: float
    megabytes: float = 0.0


def by_rows(folder: Path, sizes: Sequence[int]) -> Iterator[Point]:
    """Run the command line on catalogues of so many films; the vectors are there before."""
    vectors = folder / "vectors"
    _stand_ins(movies.open_catalogue().genre_lists, VectorStore(vectors))
    for size in sizes:
        path = folder / f"{size}.parquet"
        catalogues.write(path, size)
        said = folder / "report.json"
        command = [sys.executable, "-m", "core", "cluster", "--movies", str(path), "--k", str(K)]
        command += ["--out", str(folder / "out.parquet"), "--report", str(said)]
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "GENRESCOPE_VECTORS": str(vectors)})
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        wall = time.perf_counter() - started
        yield Point("command line", size, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
        for part, seconds in json.loads(said.read_text())["seconds"].items():
            yield Point(f"of it: {part}", size, seconds, math.nan)
        path.unlink()


def _stand_ins(texts: Sequence[str], store: VectorStore) -> None:
    """Store vectors of MiniLM's size that keep what genres texts share: encoding is not what is measured here."""
    key, found = encoders.key(encoders.get(encoders.DEFAULT_ENCODER)), embeddings.multi_hot(texts)
    random = np.random.default_rng(0)
    turned = found @ random.normal(size=(found.shape[1], 384)) + 0.05 * random.normal(size=(len(texts), 384))
    store.write(key, list(texts), turned.astype(np.float32), {"encoder": "stand-in"})


def by_lists(folder: Path, sizes: Sequence[int]) -> Iterator[Point]:
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
        for name, bound in (("k-means, every document", 10**9), ("k-means, mini-batches", 0)):
            if bound and size > EXACT_UP_TO:
                continue
            minibatch.MINIBATCH_DOCUMENTS, kept = bound, minibatch.MINIBATCH_DOCUMENTS
            with measured(name, size) as point:
                found = clustering.fit(space, weights, K)
            minibatch.MINIBATCH_DOCUMENTS = kept
            yield point()
            print(f"{name}, {size:,} lists: inertia {found.inertia:.1f}", file=sys.stderr)
        if size <= EXACT_UP_TO:
            with measured("silhouette, exact", size) as point:
                exact = diagnostics.silhouette(space.vectors, weights, found.labels)
            yield point()
        with measured("silhouette, a sample", size) as point:
            some = diagnostics.sampled(diagnostics.silhouette, space.vectors, weights, found.labels)
        yield point()
        said = f"exact {exact.overall:.4f}" if size <= EXACT_UP_TO else ""
        print(f"silhouette of {size:,} lists: {some.overall:.4f} ± {some.error} {said}", file=sys.stderr)
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
    lines = ["| what | size | processor seconds | seconds by the clock | peak memory |", "|---|---|---|---|---|"]
    for point in points:
        cpu = "" if math.isnan(point.cpu) else f"{point.cpu:.2f}"
        memory = f"{point.megabytes:,.0f} MB" if point.megabytes else ""
        lines.append(f"| {point.series} | {point.size:,} | {cpu} | {point.wall:.2f} | {memory} |")
    return "\n".join(lines)


COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b", "#ff7f0e")


def picture(points: Sequence[Point], title: str, axis: str, top: int = 0) -> str:
    """Return one panel of an SVG: processor seconds over size, both logarithmic, a line a series."""
    known = [point for point in points if not math.isnan(point.cpu)]
    sizes, seconds = [math.log10(p.size) for p in known], [math.log10(max(p.cpu, 1e-3)) for p in known]
    low, high = math.floor(min(seconds)), math.ceil(max(seconds))
    first, last = min(sizes), max(sizes)

    def at(point: Point) -> tuple[float, float]:
        x = 70 + 420 * (math.log10(point.size) - first) / max(last - first, 1e-9)
        y = top + 250 - 200 * (math.log10(max(point.cpu, 1e-3)) - low) / max(high - low, 1)
        return x, y

    parts = [f'<text x="70" y="{top + 30}" font-weight="bold">{title}</text>']
    for power in range(low, high + 1):
        y = top + 250 - 200 * (power - low) / max(high - low, 1)
        parts.append(f'<line x1="70" x2="490" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="62" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for size in sorted({point.size for point in known}):
        x, _ = at(Point("", size, 1, 1))
        parts.append(f'<text x="{x:.1f}" y="{top + 268}" text-anchor="middle">{size:,}</text>')
    parts.append(f'<text x="280" y="{top + 290}" text-anchor="middle">{axis}</text>')
    parts.append(f'<text x="18" y="{top + 150}" transform="rotate(-90 18 {top + 150})" text-anchor="middle">')
    parts.append("Processor seconds</text>")
    for number, series in enumerate(dict.fromkeys(point.series for point in known)):
        color = COLORS[number % len(COLORS)]
        places = [at(point) for point in known if point.series == series]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in places]
        parts.append(f'<text x="505" y="{top + 60 + 18 * number}" fill="{color}">{series}</text>')
    return "\n".join(parts)


def section(rows: Sequence[int] = ROWS, lists: Sequence[int] = LISTS) -> tuple[str, bool]:
    """Measure, draw the picture, and return the section of the document; no bounds are kept or broken."""
    by_size: tuple[list[Point], list[Point]] = ([], [])
    with tempfile.TemporaryDirectory() as folder:
        for points, found in zip(by_size, (by_rows(Path(folder), rows), by_lists(Path(folder), lists)), strict=True):
            for point in found:
                points.append(point)
                print(table([point]).splitlines()[-1], file=sys.stderr, flush=True)
    titles = [("python -m core cluster, by films", "Films"), (f"By distinct genre lists, k = {K}", "Lists")]
    panels = [
        picture(points, title, axis, 310 * number)
        for number, (points, (title, axis)) in enumerate(zip(by_size, titles, strict=True))
        if points
    ]
    PICTURE.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="720" height="620" font-family="sans-serif" font-size="12">\n'
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(panels) + "\n</svg>\n"
    )
    made_by = report.made_by("scale", ("duckdb", "pyarrow", "numpy"))
    body = (
        f"{made_by}\nThe cores are shared with others: compare processor seconds. The command line's own parts are by "
        f"the clock.\n\n![Cost over size](images/scale.svg)\n\n### By films\n\n{table(by_size[0])}\n\n"
        f"### By distinct genre lists\n\n{table(by_size[1])}"
    )
    return body, True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=list(ROWS))
    parser.add_argument("--lists", type=int, nargs="*", default=list(LISTS))
    options = parser.parse_args(arguments)
    report.write(TITLE, section(options.rows, options.lists)[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
