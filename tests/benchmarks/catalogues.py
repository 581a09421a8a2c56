"""Catalogues of any size, drawn from the shipped films: what the benchmarks of scale and their tests read.

    python -m tests.benchmarks.catalogues films.parquet --rows 10000000
    python -m tests.benchmarks.catalogues films.parquet --rows 200000 --lists 100000

A film is a film of the shipped catalogue with a title and an id of its own, so genres, years, people and scores go
together as they do there. With a number of distinct genre lists the shipped lists give way to others: the most
frequent ones, then new ones whose genres are drawn as often as the shipped films have them. The more frequent a
list, the more films: n of rank r is in proportion to 1 / r, as it is nearly so in the shipped catalogue.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.movies import SHIPPED

ROWS_AT_ONCE = 250_000
LONGEST = 9  # genres in a drawn list, at most


def write(path: Path, n_rows: int, n_lists: int | None = None, seed: int = 0) -> None:
    """Write a Parquet file of n_rows films; with n_lists, of exactly so many distinct genre lists.

    Raises ValueError where there are fewer films than genre lists.
    """
    if n_lists is not None and n_lists > n_rows:
        raise ValueError(f"{n_rows:,} films cannot have {n_lists:,} different genre lists.")
    random = np.random.default_rng(seed)
    shipped = pq.read_table(SHIPPED)
    lists = None if n_lists is None else pa.array(genre_lists(shipped, n_lists, random), pa.list_(pa.string()))
    writer: pq.ParquetWriter | None = None
    try:
        for start in range(0, n_rows, ROWS_AT_ONCE):
            numbers = np.arange(start, min(start + ROWS_AT_ONCE, n_rows))
            films = _films(shipped, numbers, random)
            if lists is not None:
                films = films.set_column(
                    films.column_names.index("genres"), "genres", lists.take(_ranks(numbers, len(lists), random))
                )
            writer = writer or pq.ParquetWriter(path, films.schema, compression="zstd")
            writer.write_table(films)
    finally:
        if writer is not None:
            writer.close()


def _films(shipped: pa.Table, numbers: np.ndarray, random: np.random.Generator) -> pa.Table:
    """Return shipped films drawn with replacement, each with an id and a title of its own."""
    films = shipped.take(pa.array(random.integers(len(shipped), size=len(numbers))))
    text = pc.cast(pa.array(numbers), pa.string())
    titles = pc.binary_join_element_wise(films["title"], text, " ")
    ids = pc.binary_join_element_wise(pa.scalar("f"), text, "")
    films = films.set_column(films.column_names.index("title"), "title", titles)
    return films.set_column(films.column_names.index("movie_id"), "movie_id", ids)


def _ranks(numbers: np.ndarray, n_lists: int, random: np.random.Generator) -> pa.Array:
    """Draw a list for each film: the first films have each list once, so that none is missing."""
    chances = 1 / np.arange(1, n_lists + 1)
    drawn = random.choice(n_lists, size=len(numbers), p=chances / chances.sum())
    return pa.array(np.where(numbers < n_lists, np.minimum(numbers, n_lists - 1), drawn))


def genre_lists(shipped: pa.Table, n_lists: int, random: np.random.Generator) -> list[list[str]]:
    """Return so many distinct genre lists, the shipped ones first, most frequent first."""
    found = Counter(tuple(sorted(set(genres))) for genres in shipped["genres"].to_pylist() if genres)
    lists = [list(genres) for genres, _ in found.most_common(n_lists)]
    known = {tuple(genres) for genres in lists}
    films = Counter(genre for genres in shipped["genres"].to_pylist() for genre in genres)
    names = np.array(sorted(films))
    chances = np.sqrt([films[name] for name in names])  # tempered, or rare genres would hardly ever meet
    while len(lists) < n_lists:
        keys = np.log(random.random((n_lists, len(names)))) / chances
        order = np.argsort(-keys, axis=1)  # a weighted draw without replacement (Efraimidis and Spirakis 2006)
        for row, size in zip(order, random.integers(2, LONGEST + 1, size=n_lists), strict=True):
            drawn = tuple(sorted(names[row[:size]].tolist()))
            if drawn not in known and len(lists) < n_lists:
                known.add(drawn)
                lists.append(list(drawn))
    return lists


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.catalogues")
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--lists", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write(options.path, options.rows, options.lists, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
