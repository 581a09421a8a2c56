"""Large Parquet files: the same catalogue as from a plain reading, whatever the cells look like."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import bulk, counted, movies
from core.movies import Catalogue, Filters
from core.sources import SourceError

GENRES = [
    ["Drama"],
    ["Comedy", "Drama"],
    ["Drama", "Comedy"],
    [],
    None,
    [" Drama", "drama "],
    ["A,B", None],
    [""],
    ["Drama", "Drama"],
]
TEXTS = ["Drama", "Comedy|Drama", "Drama; Comedy", "", None, " Drama", "A,B,", "|", "Drama,Drama"]


def write(path: Path, genres: list[Any], **columns: Any) -> Path:
    n = len(genres)
    kind = pa.list_(pa.string()) if any(isinstance(cell, list) for cell in genres) else pa.string()
    rows = {"title": [f"Film {i}" for i in range(n)], "genres": pa.array(genres, kind), **columns}
    pq.write_table(pa.table(rows), path, row_group_size=4)
    return path


def opened(path: Path) -> tuple[Catalogue, Catalogue, Catalogue]:
    """Return a catalogue read plainly, as a large one, and as the command line reads a large one."""
    plain = movies.open_catalogue(path, bulk_rows=10**9)
    return plain, movies.open_catalogue(path, bulk_rows=0), movies.open_catalogue(path, bulk_rows=0, light=True)


def whole(catalogue: Catalogue) -> pa.Table:
    schema = pa.schema(
        [("movie_id", pa.string()), ("title", pa.string()), ("year", pa.int32()), ("genres", pa.list_(pa.string()))]
    ).append(pa.field("list_id", pa.int32()))
    return pa.concat_tables([part.cast(schema) for part in catalogue.slices()])


@pytest.mark.parametrize("genres", [GENRES, TEXTS], ids=["lists", "texts"])
@pytest.mark.parametrize("rows_at_once", [3, 1000])
def test_the_same_as_a_plain_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genres: list[Any], rows_at_once: int
) -> None:
    monkeypatch.setattr(bulk, "SLICE_ROWS", rows_at_once)
    monkeypatch.setattr(bulk, "BATCH_ROWS", rows_at_once)
    n = len(genres)
    path = write(
        tmp_path / "films.parquet",
        genres,
        movie_id=[None if i == 2 else f"id {i}" for i in range(n)],
        year=pa.array([None if i == 1 else 1990 + i for i in range(n)], pa.int32()),
        reviews=pa.array([i * 7 % 5 for i in range(n)], pa.int64()),
        box_office=pa.array([float("nan") if i == 3 else i * 1.5 for i in range(n)]),
        languages=[[" French "], [], None, ["English", ""]] * (n // 4) + [[]] * (n % 4),
        directors=["A. B.|C. D."] * n,
    )
    plain, large, light = opened(path)
    assert large.left_out == bulk.LEFT_OUT
    assert light.file == path
    for other in (large, light):
        assert (other.genre_lists, other.n_movies, other.fingerprint) == (plain.genre_lists, n, plain.fingerprint)
        assert other.weights().tolist() == plain.weights().tolist()
        assert other.counts() == plain.counts()
        assert other.ids().to_pylist() == plain.ids().to_pylist()
        assert other.text_choices == ("genres",)
        assert whole(other).to_pylist() == plain.rows().to_pylist()
    assert whole(plain).to_pylist() == plain.rows().to_pylist()
    assert large.films().equals(plain.films())
    assert large.options() == plain.options()
    french = Filters(languages=("French",), years=(1990, 1995))
    assert large.weights(french).tolist() == plain.weights(french).tolist()


def test_the_shipped_films(catalogue: Catalogue) -> None:
    _, large, light = opened(movies.SHIPPED)
    assert large.genre_lists == light.genre_lists == catalogue.genre_lists
    assert whole(light).to_pylist() == whole(large).to_pylist() == catalogue.rows().to_pylist()
    found = large.films(search="scorsese", limit=20)
    wanted = catalogue.films(search="scorsese")
    assert set(found["movie_id"]) <= set(wanted["movie_id"])
    assert (large.columns | set(bulk.LEFT_OUT)) == catalogue.columns


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.none() | st.lists(st.sampled_from(["a", "b", "c", "", "ab"]) | st.none(), max_size=6), max_size=40),
    st.booleans(),
)
def test_cells_are_told_apart(cells: list[list[str | None] | None], coded: bool) -> None:
    column = pa.array(cells, pa.list_(pa.string()))
    if coded:
        column = pa.array(cells, pa.list_(pa.dictionary(pa.int32(), pa.string())))
    found, texts = bulk._cells_of(column)
    assert [texts[number] for number in found] == [",".join(value for value in cell or [] if value) for cell in cells]


def test_very_long_cells(tmp_path: Path) -> None:
    cells = [[f"g{i}" for i in range(200)], [f"g{i}" for i in range(199)], [f"g{i}" for i in range(200)]]
    numbers, texts = bulk.cells(write(tmp_path / "films.parquet", cells), "genres")
    assert [texts[number] for number in numbers] == [",".join(cell) for cell in cells]
    assert len(texts) == 2


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"movie_id": ["a", "b", "a"]}, "rows 1 and 3, column movie_id: “a” stands twice"),
        ({"movie_id": ["3", "b", None]}, "rows 1 and 3, column movie_id: “3” stands twice"),
        ({"year": ["1990", "soon", None]}, "row 2, column year: “soon” is not a whole number"),
        ({"box_office": [1.0, float("inf"), float("nan")]}, "row 2, column box_office: “inf” is not a number"),
        ({"reviews": pa.array([1, 2**40, 3], pa.int64())}, "row 2, column reviews: “1099511627776” is not a whole"),
    ],
)
@pytest.mark.parametrize("light", [False, True])
def test_what_is_wrong_is_named(tmp_path: Path, columns: dict[str, Any], words: str, light: bool) -> None:
    path = write(tmp_path / "films.parquet", [["Drama"]] * 3, **columns)
    with pytest.raises(SourceError, match=words.replace("(", r"\(")):
        movies.open_catalogue(path, bulk_rows=0, light=light)


def test_files_that_are_not_read_this_way(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "films.csv").write_text("title,genres\nA,Drama\n")
    assert not bulk.is_bulk(tmp_path / "broken.parquet", 0)
    assert not bulk.is_bulk(tmp_path / "films.csv", 0)
    assert not bulk.is_bulk(tmp_path / "nowhere.parquet", 0)
    assert not bulk.is_bulk(movies.SHIPPED)


def test_the_command_line_reads_lightly_sooner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "films.parquet", [["Drama"], ["War"], ["Drama"]])
    assert movies.open_catalogue(path, light=True).file is None
    monkeypatch.setattr(bulk, "LIGHT_ROWS", 3)
    assert movies.open_catalogue(path, light=True).file == path
    assert movies.open_catalogue(path).file is None
    numbered = write(tmp_path / "numbered.parquet", [["Drama"], ["War"], ["Drama"]], movie_id=[3, 2, 1])
    catalogue = movies.open_catalogue(numbered, light=True)
    assert catalogue.file is None
    assert catalogue.left_out == ()


def test_it_is_closed_to_the_outside(tmp_path: Path) -> None:
    path = write(tmp_path / "films.parquet", GENRES)
    for catalogue in opened(path)[1:]:
        for sql in (f"SELECT * FROM read_parquet('{path}')", f"ATTACH '{tmp_path / 'x.db'}'", "SET threads = 1"):
            with pytest.raises(duckdb.Error):
                catalogue.connection.execute(sql)


def test_films_in_pages(catalogue: Catalogue) -> None:
    labels = np.arange(len(catalogue.genre_lists)) % 5
    everyone = catalogue.films(labels, cluster=2)
    assert catalogue.n_films(labels, cluster=2) == len(everyone)
    pages = [catalogue.films(labels, cluster=2, limit=700, offset=start) for start in range(0, len(everyone), 700)]
    assert [i for page in pages for i in page["movie_id"]] == everyone["movie_id"].tolist()
    assert catalogue.films(labels, cluster=2, limit=5, offset=10**6).columns.tolist() == everyone.columns.tolist()
    places = np.random.default_rng(0).random(len(labels))
    places[::7] = np.nan
    placed = catalogue.films(labels, cluster=2, places=places)
    got = [places[int(i)] for i in placed["list_id"]]
    known = [place for place in got if place == place]
    assert known == sorted(known)
    assert all(place != place for place in got[len(known) :])
    first = catalogue.films(labels, cluster=2, places=places, limit=50)
    pd.testing.assert_frame_equal(placed.head(50), first, check_dtype=False)  # no number lacks: whole ones
    assert catalogue.n_films(without_genres=True) == catalogue.counts().without_genres


@pytest.mark.parametrize("filters", [Filters(), Filters(years=(1990, 1999), genres=("Drama",))])
def test_medians_and_quartiles_from_counts(catalogue: Catalogue, filters: Filters) -> None:
    labels = np.arange(len(catalogue.genre_lists)) % 7
    labels[catalogue.weights(filters) == 0] = -1
    table = catalogue.measure_counts(filters)
    wanted = catalogue.cluster_measures(labels, filters)
    pd.testing.assert_frame_equal(counted.measures_of(table, labels)[wanted.columns], wanted, check_dtype=False)
    spread = catalogue.spread(labels, 3, filters)
    pd.testing.assert_frame_equal(counted.spread_of(table, labels, 3)[spread.columns], spread, check_dtype=False)
    for genres in ((), ("Drama",), ("Comedy", "Drama"), ("Nothing",)):
        years = catalogue.years(labels, 3, genres, filters)
        got = counted.years_of(table, catalogue.lists_with(labels, 3, genres))
        pd.testing.assert_frame_equal(got, years, check_dtype=False)


@pytest.mark.parametrize("filters", [Filters(), Filters(years=(1990, 1999), genres=("Drama",))])
def test_films_counted_by_their_lists_alone(catalogue: Catalogue, filters: Filters) -> None:
    labels = np.arange(len(catalogue.genre_lists)) % 7
    weights = catalogue.weights(filters)
    wishes: list[dict[str, Any]] = [
        *({}, {"cluster": 2}, {"cluster": 2, "genres": ["Drama"]}, {"list_ids": [3, 40]}),
        *({"cluster": 2, "years": (1995, 1999)}, {"cluster": 2, "search": "love"}, {"genres": ["Nothing"]}),
        *({"cluster": 2, "lacking": "box_office"}, {"without_genres": True}),
    ]
    for wish in wishes:
        n = catalogue.n_films(labels, **wish, filters=filters)
        assert catalogue.n_films(labels, **wish, filters=filters, weights=weights) == n
        assert len(catalogue.films(labels, **wish, filters=filters)) == n
    by_title = catalogue.by("title")
    labels, weights = np.arange(len(by_title.texts)) % 7, by_title.weights(filters)
    wish = {"cluster": 2, "genres": ["Drama"], "filters": filters}
    assert by_title.n_films(labels, **wish, weights=weights) == by_title.n_films(labels, **wish) > 0
