"""The committed catalogue, the script that built it, and the card that describes it."""

import importlib.util
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import date
from importlib import metadata
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

DATA = Path(__file__).resolve().parent.parent / "data"
PARQUET = DATA / "movies.parquet"
CARD = DATA / "README.md"
SCRIPT = DATA / "build_movies.py"

Movie = dict[str, Any]

LISTS = ("genres", "directors", "writers", "cast", "languages", "countries")
NAMES = ("directors", "writers", "cast")
SCHEMA = {
    "movie_id": pa.string(),
    "title": pa.string(),
    "year": pa.int32(),
    "genres": pa.list_(pa.string()),
    "runtime": pa.int32(),
    "certificate": pa.string(),
    "released": pa.date32(),
    "directors": pa.list_(pa.string()),
    "writers": pa.list_(pa.string()),
    "cast": pa.list_(pa.string()),
    "languages": pa.list_(pa.string()),
    "countries": pa.list_(pa.string()),
    "tomatometer": pa.int32(),
    "metascore": pa.int32(),
    "reviews": pa.int32(),
    "box_office": pa.float64(),
    "oscars": pa.int32(),
}

needs_source = pytest.mark.skipif(
    importlib.util.find_spec("bokeh_sampledata") is None,
    reason="bokeh_sampledata, the source of the catalogue, is not installed",
)


@pytest.fixture(scope="module")
def movies() -> list[Movie]:
    return pq.read_table(PARQUET).to_pylist()


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_movies", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def card_table(name: str) -> list[list[str]]:
    """The cells of the body of the card's table between `<!-- table: name -->` and `<!-- end -->`."""
    match = re.search(rf"<!-- table: {name} -->\n(.*?)<!-- end -->", CARD.read_text(encoding="utf-8"), re.DOTALL)
    assert match is not None, f"the card has no table marked {name}"
    lines = [line.strip() for line in match[1].strip().splitlines()]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def number(text: str) -> int:
    return int(text.replace(",", ""))


def known(movie: Movie, column: str) -> bool:
    return movie[column] not in (None, [])


def genre_lists(movies: list[Movie]) -> Counter[str]:
    """Films per genre list: trimmed, without repeats, sorted, joined with ", "."""
    return Counter(", ".join(sorted({g.strip() for g in m["genres"]})) for m in movies if m["genres"])


def count(movies: list[Movie], condition: Callable[[Movie], bool]) -> int:
    return sum(condition(movie) for movie in movies)


# The file


def test_schema_is_exact() -> None:
    schema = pq.read_schema(PARQUET)
    assert dict(zip(schema.names, schema.types, strict=True)) == SCHEMA
    assert schema.names == list(SCHEMA)


def test_counts(movies: list[Movie]) -> None:
    assert len(movies) == 17_472
    assert count(movies, lambda m: m["genres"] == []) == 443
    assert len(genre_lists(movies)) == 1_187
    assert len({genre for m in movies for genre in m["genres"]}) == 21
    assert count(movies, lambda m: m["box_office"] is not None) == 2_760
    assert {m["year"] for m in movies} == set(range(1940, 2015))


def test_ids_are_unique(movies: list[Movie]) -> None:
    ids = [m["movie_id"] for m in movies]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"tt\d{7,8}(-2)?", movie_id) for movie_id in ids)


def test_what_every_movie_has(movies: list[Movie]) -> None:
    for movie in movies:
        assert movie["title"] == movie["title"].strip() != ""
        assert movie["year"] == movie["released"].year
        assert movie["oscars"] >= 0


def test_numbers_are_in_range(movies: list[Movie]) -> None:
    for column in ("tomatometer", "metascore"):
        assert all(0 <= m[column] <= 100 for m in movies if m[column] is not None)
    for column in ("runtime", "reviews", "box_office"):
        assert all(m[column] > 0 for m in movies if m[column] is not None)


@pytest.mark.parametrize("column", LISTS)
def test_lists_hold_trimmed_distinct_text(movies: list[Movie], column: str) -> None:
    for movie in movies:
        values = movie[column]
        assert isinstance(values, list), f"{movie['title']} has no list, an empty one was promised"
        assert all(value == value.strip() != "" for value in values)
        assert len(set(values)) == len(values), movie["title"]


@pytest.mark.parametrize("column", [column for column in LISTS if column != "genres"])
def test_lists_are_sorted_so_no_name_was_cut(movies: list[Movie], column: str) -> None:
    assert [m["title"] for m in movies if m[column] != sorted(m[column])] == []


def test_no_name_ending_stands_alone(movies: list[Movie], script: ModuleType) -> None:
    names = {name for m in movies for column in NAMES for name in m[column]}
    assert names & script.NAME_ENDINGS == set()
    endings = {name.split(", ", 1)[1] for name in names if ", " in name}
    assert endings == script.NAME_ENDINGS, "an ending that the script knows does not occur, or the reverse"


def test_genres_keep_one_order(movies: list[Movie]) -> None:
    before = {pair for m in movies for pair in combinations(m["genres"], 2)}
    assert not {(a, b) for a, b in before if (b, a) in before}


def test_genres_have_no_comma(movies: list[Movie]) -> None:
    assert not any("," in genre for m in movies for genre in m["genres"])


# The script


@needs_source
def test_rebuild_gives_the_same_bytes(tmp_path: Path) -> None:
    out = tmp_path / "movies.parquet"
    subprocess.run([sys.executable, str(SCRIPT), "--out", str(out)], check=True, capture_output=True)
    built_with = pq.ParquetFile(PARQUET).metadata.created_by
    assert out.read_bytes() == PARQUET.read_bytes(), f"built with {built_with}, here is pyarrow {pa.__version__}"
    assert list(tmp_path.iterdir()) == [out], "a temporary file was left behind"


@needs_source
def test_rows_are_the_source_rows(movies: list[Movie], script: ModuleType) -> None:
    """Read the source another way, column by column, and compare with the file."""
    connection = sqlite3.connect(script.source_path())
    omdb = connection.execute("SELECT Title, Year, Genre, Runtime, Oscars, ID FROM omdb ORDER BY ID").fetchall()
    tomatoes = connection.execute("SELECT Meter, Reviews, BoxOffice, ID FROM tomatoes ORDER BY ID").fetchall()
    connection.close()
    assert [row[-1] for row in omdb] == [row[-1] for row in tomatoes]
    columns = ("title", "year", "genres", "runtime", "oscars", "tomatometer", "reviews", "box_office")
    for movie, left, right in zip(movies, omdb, tomatoes, strict=True):
        row = {**movie, "genres": ", ".join(movie["genres"])}
        assert tuple(row[column] for column in columns) == left[:-1] + right[:-1]


@needs_source
def test_another_package_version_is_refused(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "movies.parquet"
    monkeypatch.setattr(metadata, "version", lambda name: "2025.0")
    monkeypatch.setattr(sys, "argv", ["build_movies.py", "--out", str(out)])
    with pytest.raises(SystemExit) as stop:
        script.main()
    assert stop.value.code == "bokeh-sampledata 2026.1 is needed, but 2025.0 is installed."
    assert not out.exists()


def test_a_missing_package_is_named(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(script.BuildError, match=r"^bokeh-sampledata 2026\.1 is not installed\.$"):
        script.source_path()


@needs_source
def test_another_number_of_rows_is_refused(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "N_MOVIES", 17_473)
    with pytest.raises(script.BuildError, match=r"^omdb has 17,472 rows in the source, and 17,473 were expected\.$"):
        script.read_source(script.source_path())


def test_a_failed_write_leaves_the_old_file(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(table: pa.Table, path: Path, **options: Any) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left")

    out = tmp_path / "movies.parquet"
    out.write_bytes(b"old")
    monkeypatch.setattr(script.pq, "write_table", half)
    with pytest.raises(OSError, match="no space left"):
        script.write(script.SCHEMA.empty_table(), out)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("movies.parquet", b"old")]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (None, []),
        ("", []),
        (" , ", []),
        ("Tony Curtis", ["Tony Curtis"]),
        ("Sammy Davis, Jr., Tony Curtis", ["Sammy Davis, Jr.", "Tony Curtis"]),
        ("Earth, Wind & Fire,  Frankie Howerd ", ["Earth, Wind & Fire", "Frankie Howerd"]),
        ("Jr.", ["Jr."]),
    ],
)
def test_split_names(script: ModuleType, text: str | None, names: list[str]) -> None:
    assert script.split_names(text) == names


def test_a_cut_name_stops_the_build(script: ModuleType) -> None:
    assert script.in_order(["Amy", "Zoe"], "cast", "A film") == ["Amy", "Zoe"]
    with pytest.raises(script.BuildError, match=r"^A film: the cast are out of order"):
        script.in_order(["Zoe", "Countess of Nowhere"], "cast", "A film")


def test_whole_refuses_fractions(script: ModuleType) -> None:
    assert script.whole(None, "runtime", "A film") is None
    assert script.whole(90.0, "runtime", "A film") == 90
    with pytest.raises(script.BuildError, match=r"A film: the runtime is 90\.5"):
        script.whole(90.5, "runtime", "A film")


def test_unique_ids(script: ModuleType) -> None:
    assert script.unique_ids(["a", "b", "a", "a", "b"]) == ["a", "b", "a-2", "a-3", "b-2"]


# The card


def test_card_columns(movies: list[Movie]) -> None:
    types = {
        pa.string(): "text",
        pa.int32(): "int32",
        pa.float64(): "double",
        pa.date32(): "date",
        pa.list_(pa.string()): "list of text",
    }
    rows = card_table("columns")
    assert [(row[0], row[1]) for row in rows] == [(f"`{name}`", types[kind]) for name, kind in SCHEMA.items()]
    for name, *_, with_it, without_it in rows:
        expected = sum(known(movie, name.strip("`")) for movie in movies)
        assert (name, number(with_it), number(without_it)) == (name, expected, len(movies) - expected)


def test_card_genres(movies: list[Movie]) -> None:
    films = Counter(genre for m in movies for genre in m["genres"])
    expected = sorted(films.items(), key=lambda item: (-item[1], item[0]))
    assert [(genre, number(text)) for genre, text in card_table("genres")] == expected


def test_card_facts(movies: list[Movie]) -> None:
    lists = genre_lists(movies)
    runtimes = [m["runtime"] for m in movies if m["runtime"] is not None]
    reviews = [m["reviews"] for m in movies if m["reviews"] is not None]
    same = Counter((m["title"], m["year"]) for m in movies)
    assert max(same.values()) == 2
    new_year = (1, 1)
    expected = {
        "films": len(movies),
        "first year": min(m["year"] for m in movies),
        "last year": max(m["year"] for m in movies),
        "films from 2000 or later": count(movies, lambda m: m["released"] >= date(2000, 1, 1)),
        "films with genres": sum(lists.values()),
        "films without genres": count(movies, lambda m: not m["genres"]),
        "genres": len({genre for m in movies for genre in m["genres"]}),
        "distinct genre lists": len(lists),
        "genre lists that only one film has": sum(films == 1 for films in lists.values()),
        "films whose only genre is Drama": count(movies, lambda m: m["genres"] == ["Drama"]),
        "most genres on one film": max(len(m["genres"]) for m in movies),
        "films dated 1 January": count(movies, lambda m: (m["released"].month, m["released"].day) == new_year),
        "films with a box office": count(movies, lambda m: known(m, "box_office")),
        "films with a box office below 1,000 dollars": count(
            movies, lambda m: known(m, "box_office") and m["box_office"] < 1000
        ),
        "shortest runtime in minutes": min(runtimes),
        "longest runtime in minutes": max(runtimes),
        "films shorter than 40 minutes": sum(minutes < 40 for minutes in runtimes),
        "films longer than 240 minutes": sum(minutes > 240 for minutes in runtimes),
        "fewest reviews": min(reviews),
        "most reviews": max(reviews),
        "films with an Oscar": count(movies, lambda m: m["oscars"] > 0),
        "films in English": count(movies, lambda m: "English" in m["languages"]),
        "distinct languages": len({language for m in movies for language in m["languages"]}),
        "films from the United States": count(movies, lambda m: "United States" in m["countries"]),
        "distinct countries": len({country for m in movies for country in m["countries"]}),
        "distinct titles": len({m["title"] for m in movies}),
        "pairs of films with the same title and year": sum(films == 2 for films in same.values()),
        "largest cast": max(len(m["cast"]) for m in movies),
        "distinct names with a comma in them": len(
            {name for m in movies for column in NAMES for name in m[column] if "," in name}
        ),
    }
    assert {fact: number(text) for fact, text in card_table("facts")} == expected


def test_card_repeated_ids(movies: list[Movie]) -> None:
    seconds = {m["movie_id"] for m in movies if "-" in m["movie_id"]}
    repeated = seconds | {movie_id.split("-")[0] for movie_id in seconds}
    expected = {m["movie_id"]: f"{m['title']} ({m['year']})" for m in movies if m["movie_id"] in repeated}
    assert len(expected) == 4
    assert dict(card_table("repeated")) == expected


def test_card_box_office_below_1000_are_the_fractions(movies: list[Movie]) -> None:
    gross = [m["box_office"] for m in movies if m["box_office"] is not None]
    assert {value for value in gross if value < 1000} == {value for value in gross if not value.is_integer()}
