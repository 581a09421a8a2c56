"""Build data/movies.parquet from the film tables of the Python package bokeh-sampledata 2026.1.

Run ``python data/build_movies.py [--out FILE]``. data/README.md describes the result.

The same input gives the same bytes: rows are in the order of the source's ID, the schema is written out
below, there is one row group, the compression and its level are fixed, and nothing of the moment (no time, no
path, no name of a machine) goes into the file. Parquet does record the version of the library that wrote it,
so the bytes hold for the pyarrow pinned in requirements.txt; another version may give the same rows in other
bytes.

The file is written under a temporary name and then renamed, so a reader never sees half of it.
"""

import argparse
import os
import sqlite3
import sys
from collections.abc import Iterable
from contextlib import closing
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

PACKAGE = "bokeh-sampledata"
PACKAGE_VERSION = "2026.1"
N_MOVIES = 17_472
DEFAULT_OUT = Path(__file__).resolve().parent / "movies.parquet"

TEXTS = pa.list_(pa.string())
SCHEMA = pa.schema(
    [
        ("movie_id", pa.string()),
        ("title", pa.string()),
        ("year", pa.int32()),
        ("genres", TEXTS),
        ("runtime", pa.int32()),
        ("certificate", pa.string()),
        ("released", pa.date32()),
        ("directors", TEXTS),
        ("writers", TEXTS),
        ("cast", TEXTS),
        ("languages", TEXTS),
        ("countries", TEXTS),
        ("tomatometer", pa.int32()),
        ("metascore", pa.int32()),
        ("reviews", pa.int32()),
        ("box_office", pa.float64()),
        ("oscars", pa.int32()),
    ]
)

QUERY = """
SELECT o.imdbID, o.Title, o.Year, o.Genre, o.Runtime, o.Rating AS certificate, o.Released,
       o.Director, o.Writer, o."Cast", o.Language, o.Country, o.Metacritic, o.Oscars,
       t.Meter, t.Reviews, t.BoxOffice
FROM omdb AS o JOIN tomatoes AS t ON t.ID = o.ID
ORDER BY o.ID
"""

# The source joins names with ", ", and some names hold that very text. These are the second halves that
# occur. They were found by looking at every part that breaks the source's alphabetical order (see
# `in_order`), at every part with a title or a rank in it, and at every pair of single words.
NAME_ENDINGS = frozenset(
    {
        "Jr.",
        "Sr.",
        "III",
        "PhD",
        "Ltd.",
        "1st Baron Atholstan",
        "1st Baron Mountevans",
        "1st Baronet",
        "6th Earl of Dudley",
        "7th Marquess of Cholmondeley",
        "9th Prince of Cerveteri",
        "12th Earl of Portland",
        "Countess of Snowdon",
        "Duchess of Beaufort",
        "Duchess of Sussex",
        "Duke of Edinburgh",
        "Prince Consort of Romania",
        "Prince of Monaco",
        "Princess of Wales",
        "Guozhi",  # Shu, Guozhi
        "Silverstein & Partners",  # Goodby, Silverstein & Partners
        "Stills & Nash",  # Crosby, Stills & Nash
        "the Creator",  # Tyler, the Creator
        "Wind & Fire",  # Earth, Wind & Fire
    }
)


class BuildError(Exception):
    """The source is not what this script was written for; the message is one sentence for a person."""


def split_list(text: str | None) -> list[str]:
    """Return the trimmed parts of a text joined with commas; no text gives an empty list."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def split_names(text: str | None) -> list[str]:
    """Return the names in a text joined with commas, with "Sammy Davis, Jr." in one piece."""
    names: list[str] = []
    for part in split_list(text):
        if names and part in NAME_ENDINGS:
            names[-1] += f", {part}"
        else:
            names.append(part)
    return names


def in_order(values: list[str], column: str, title: str) -> list[str]:
    """Return the values; raise BuildError unless they are sorted, as the source sorts every list but genres.

    A list out of order means that a name with a comma in it was cut in two.
    """
    if values != sorted(values):
        raise BuildError(f"{title}: the {column} are out of order, so a name may have been cut at a comma.")
    return values


def whole(value: float | None, column: str, title: str) -> int | None:
    """Return a number as int, or None; raise BuildError if it has a fraction."""
    if value is None:
        return None
    if value != int(value):
        raise BuildError(f"{title}: the {column} is {value}, and a whole number was expected.")
    return int(value)


def unique_ids(ids: Iterable[str]) -> list[str]:
    """Return the ids with "-2", "-3" and so on after the second, third and later use of the same one."""
    seen: dict[str, int] = {}
    result = []
    for movie_id in ids:
        seen[movie_id] = seen.get(movie_id, 0) + 1
        result.append(movie_id if seen[movie_id] == 1 else f"{movie_id}-{seen[movie_id]}")
    return result


def source_path() -> Path:
    """Return the SQLite file of the installed package; raise BuildError if it is not the right one."""
    try:
        version = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        raise BuildError(f"{PACKAGE} {PACKAGE_VERSION} is not installed.") from None
    if version != PACKAGE_VERSION:
        raise BuildError(f"{PACKAGE} {PACKAGE_VERSION} is needed, but {version} is installed.")
    from bokeh_sampledata.movies_data import movie_path

    return Path(movie_path)


def read_source(path: Path) -> list[sqlite3.Row]:
    """Return one row per film in the order of the source's ID; raise BuildError on another number of rows."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        counts = {
            "omdb": connection.execute("SELECT count(*) FROM omdb").fetchone()[0],
            "tomatoes": connection.execute("SELECT count(*) FROM tomatoes").fetchone()[0],
        }
        rows = connection.execute(QUERY).fetchall()
    counts["omdb joined with tomatoes"] = len(rows)
    for name, count in counts.items():
        if count != N_MOVIES:
            raise BuildError(f"{name} has {count:,} rows in the source, and {N_MOVIES:,} were expected.")
    return rows


def movie(row: sqlite3.Row) -> dict[str, Any]:
    """Return one film with the columns of SCHEMA; its movie_id is the source's and may repeat."""
    title = row["Title"].strip()
    return {
        "movie_id": row["imdbID"],
        "title": title,
        "year": row["Year"],
        "genres": split_list(row["Genre"]),
        "runtime": whole(row["Runtime"], "runtime", title),
        "certificate": row["certificate"],
        "released": date.fromisoformat(row["Released"]),
        "directors": in_order(split_names(row["Director"]), "directors", title),
        "writers": in_order(split_names(row["Writer"]), "writers", title),
        "cast": in_order(split_names(row["Cast"]), "cast", title),
        "languages": in_order(split_list(row["Language"]), "languages", title),
        "countries": in_order(split_list(row["Country"]), "countries", title),
        "tomatometer": row["Meter"],
        "metascore": row["Metacritic"],
        "reviews": row["Reviews"],
        "box_office": row["BoxOffice"],
        "oscars": row["Oscars"],
    }


def build_table() -> pa.Table:
    """Return the whole catalogue as a table with SCHEMA."""
    movies = [movie(row) for row in read_source(source_path())]
    for record, movie_id in zip(movies, unique_ids(record["movie_id"] for record in movies), strict=True):
        record["movie_id"] = movie_id
    return pa.Table.from_pylist(movies, schema=SCHEMA)


def write(table: pa.Table, out: Path) -> None:
    """Write the table to `out` under a temporary name, then rename it."""
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        pq.write_table(
            table,
            temporary,
            version="2.6",
            data_page_version="1.0",
            compression="zstd",
            compression_level=22,
            row_group_size=N_MOVIES,
            store_schema=False,  # Parquet's own types already say all of SCHEMA
        )
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)


def main() -> None:
    """Build the file and say where it is; leave with one sentence and status 1 if that cannot be done."""
    parser = argparse.ArgumentParser(description="Build movies.parquet from bokeh-sampledata.")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="the file to write")
    out: Path = parser.parse_args().out
    try:
        write(build_table(), out)
    except BuildError as error:
        sys.exit(str(error))
    print(f"{out}: {N_MOVIES:,} movies, {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
