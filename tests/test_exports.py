import csv
import errno
import io
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core import analysis, charts, clustering, embeddings, exports, movies
from core.analysis import Analysis
from core.clustering import Space
from core.movies import Catalogue, Filters

ROOT = Path(__file__).resolve().parents[1]
ADDED = ["cluster", "cluster_name", "x", "y", "silhouette", "margin", "runner_up"]


@pytest.fixture(scope="module")
def exported(catalogue: Catalogue, documents: Space, analysed: Analysis) -> pa.Table:
    return exports.clustered_films(catalogue.rows(), analysed, documents.xy)


def cells(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))


# Films with their clusters


def test_films_keep_their_order_and_values(exported: pa.Table, plain_films: list[dict[str, Any]]) -> None:
    assert exported.column_names == ["movie_id", "title", "year", "genres", *ADDED]
    for name in ("movie_id", "title", "year", "genres"):
        assert exported[name].to_pylist() == [film[name] for film in plain_films]


def test_films_with_the_same_list_are_never_parted(
    exported: pa.Table, analysed: Analysis, plain_films: list[dict[str, Any]]
) -> None:
    clusters: dict[str | None, set[int | None]] = {}
    for film, cluster in zip(plain_films, exported["cluster"].to_pylist(), strict=True):
        clusters.setdefault(film["genre_list"], set()).add(cluster)
    assert len(clusters) == 1188
    assert {len(found) for found in clusters.values()} == {1}
    assert clusters[None] == {None}
    counted = exported["cluster"].value_counts().to_pylist()
    assert {row["values"]: row["counts"] for row in counted if row["values"] is not None} == dict(
        enumerate(analysed.clustering.sizes.tolist())
    )


def test_stability_goes_along_where_it_is_known(
    catalogue: Catalogue, documents: Space, analysed: Analysis, exported: pa.Table
) -> None:
    worth = np.linspace(0.1, 1.0, 12)
    worth[3] = np.nan
    table = exports.clustered_films(catalogue.rows(), analysed, documents.xy, worth)
    assert table.column_names == [*exported.column_names, "stability"]
    clusters = exported["cluster"].to_pylist()
    expected = [None if cluster in (None, 3) else worth[cluster] for cluster in clusters]
    assert table["stability"].to_pylist() == expected


def test_films_without_genres_have_empty_fields(exported: pa.Table, plain_films: list[dict[str, Any]]) -> None:
    without = np.array([film["genre_list"] is None for film in plain_films])
    assert without.sum() == 443
    for name in ADDED:
        missing = exported[name].is_null().to_numpy()
        assert np.array_equal(missing, without), name


def test_every_figure_is_that_of_the_films_list(
    exported: pa.Table, catalogue: Catalogue, documents: Space, analysed: Analysis
) -> None:
    lists = analysis.list_table(catalogue, analysed, documents.xy).set_index("list_id")
    ids = catalogue.rows()["list_id"].to_pylist()
    for row, list_id in list(zip(exported.to_pylist(), ids, strict=True))[::37]:
        if list_id is None:
            continue
        expected = lists.loc[list_id]
        assert row["cluster_name"] == expected["name"]
        assert {name: row[name] for name in ADDED if name != "cluster_name"} == {
            name: expected[name] for name in ADDED if name != "cluster_name"
        }


def test_a_filter_exports_what_it_leaves(catalogue: Catalogue, documents: Space) -> None:
    filters = Filters(years=(2001, 2001))
    found = analysis.analyse(catalogue, documents, 5, filters=filters)
    table = exports.clustered_films(catalogue.rows(filters), found, documents.xy)
    assert table.num_rows == found.counts.movies
    assert table["cluster"].null_count == found.counts.without_genres
    assert {*table["year"].to_pylist()} == {2001}


def test_films_that_are_filtered_out_have_no_cluster(catalogue: Catalogue, documents: Space) -> None:
    found = analysis.analyse(catalogue, documents, 5, filters=Filters(genres=("War",)))
    table = exports.clustered_films(catalogue.rows(), found, documents.xy)
    assert table.num_rows == 17_472
    in_cluster = [["War" in genres for genres in table["genres"].to_pylist()][i] for i in range(3)]
    assert [value is not None for value in table["cluster"].to_pylist()[:3]] == in_cluster
    assert len(table) - table["cluster"].null_count == found.clustering.sizes.sum()


def test_a_single_cluster_has_no_runner_up(catalogue: Catalogue, documents: Space) -> None:
    found = analysis.analyse(catalogue, documents, 1)
    table = exports.clustered_films(catalogue.rows(), found, documents.xy)
    assert table["cluster"].null_count == 443
    for name in ("runner_up", "margin", "silhouette"):
        assert table[name].null_count == 17_472


def test_nothing_to_export(catalogue: Catalogue, documents: Space) -> None:
    filters = Filters(years=(1800, 1801))
    found = analysis.analyse(catalogue, documents, 5, filters=filters)
    table = exports.clustered_films(catalogue.rows(filters), found, documents.xy)
    assert table.num_rows == 0
    assert table.column_names[-len(ADDED) :] == ADDED
    assert cells(exports.csv_bytes(table)) == [table.column_names]
    assert exports.clustered_films(catalogue.rows(), found, documents.xy)["cluster"].null_count == 17_472


@pytest.mark.filterwarnings("error")
def test_a_catalogue_in_which_no_film_has_a_genre(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("title,genres\nA,\nB,\n")
    catalogue = movies.open_catalogue(tmp_path / "mine.csv")
    space = clustering.space(embeddings.multi_hot(catalogue.genre_lists), catalogue.weights())
    table = exports.clustered_films(catalogue.rows(), analysis.analyse(catalogue, space, 5), space.xy)
    catalogue.connection.close()
    assert table["title"].to_pylist() == ["A", "B"]
    assert all(table[name].null_count == 2 for name in ADDED)


# Files


def test_parquet_comes_back_as_it_was(exported: pa.Table, tmp_path: Path) -> None:
    exports.write(exported, tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").equals(exported)
    assert pq.read_table(io.BytesIO(exports.parquet_bytes(exported))).equals(exported)


def test_csv_comes_back_as_it_was(exported: pa.Table, tmp_path: Path) -> None:
    exports.write(exported, tmp_path / "out.csv")
    header, *rows = cells((tmp_path / "out.csv").read_bytes())
    assert header == exported.column_names
    assert len(rows) == 17_472
    for row, film in zip(rows, exported.to_pylist(), strict=True):
        assert row[0] == film["movie_id"]
        assert row[1] == exports.neutralise(film["title"])
        assert row[2] == ("" if film["year"] is None else str(film["year"]))
        assert row[3] == ", ".join(film["genres"])
        assert row[5] == (film["cluster_name"] or "")
        for cell, name in zip(row[4:], ADDED, strict=True):
            if name != "cluster_name":
                assert (float(cell) if cell else None) == film[name]


def test_csv_can_be_opened_as_a_catalogue(exported: pa.Table, tmp_path: Path) -> None:
    exports.write(exported, tmp_path / "out.csv")
    again = movies.open_catalogue(tmp_path / "out.csv")
    assert again.n_movies == 17_472
    assert len(again.genre_lists) == 1187
    again.connection.close()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_formulas_are_neutralised(start: str) -> None:
    text = f"{start}HYPERLINK(1)"
    assert exports.neutralise(text) == f"'{text}"
    frames = [
        pd.DataFrame({"text": [text, "plain"]}),
        pd.DataFrame({"text": pd.Categorical([text, "plain"])}),
        pa.table({"text": pa.array([text, "plain"], pa.large_string())}),
        pa.table({"text": pa.array([[text, "b"], ["plain"]])}),
        pa.table({"text": pa.chunked_array([[text], ["plain"]])}),
    ]
    for frame in frames:
        _, first, second = cells(exports.csv_bytes(frame))
        assert first[0].startswith(f"'{text}")
        assert second == ["plain"]


@pytest.mark.parametrize("text", ["", "plain", " =1", "a=1", "'=1", "1-2", "#Alive", "ümlaut", "3:10 to Yuma"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert exports.neutralise(text) == text
    assert cells(exports.csv_bytes(pd.DataFrame({"text": [text], "n": [1]})))[1] == [text, "1"]


def test_numbers_are_not_taken_for_formulas() -> None:
    table = pa.table({"a": [-1, 2], "b": [-0.5, None], "c": [True, None], "d": [None, ["x", "y"]], "e": [None, "-"]})
    assert cells(exports.csv_bytes(table)) == [
        ["a", "b", "c", "d", "e"],
        ["-1", "-0.5", "true", "", ""],
        ["2", "", "", "x, y", "'-"],
    ]


def test_quotes_commas_and_line_ends_survive_csv() -> None:
    titles = ['say "hi"', "a,b", "two\nlines", "two\r\nlines", "''", '"', "戦争 🎬", " spaces "]
    frame = pd.DataFrame({"title": titles, "n": range(len(titles))})
    assert [row[0] for row in cells(exports.csv_bytes(frame))[1:]] == titles


def test_the_index_of_a_frame_is_not_exported() -> None:
    frame = pd.DataFrame({"a": [1, 2]}, index=[7, 8])
    assert cells(exports.csv_bytes(frame)) == [["a"], ["1"], ["2"]]
    assert pq.read_table(io.BytesIO(exports.parquet_bytes(frame))).column_names == ["a"]


TABLE = pa.table({"title": ["A"]})


@pytest.mark.parametrize("name", ["out.CSV", "out.Parquet", "a b.csv", "it's.parquet"])
def test_a_file_is_written_by_its_ending(tmp_path: Path, name: str) -> None:
    exports.write(TABLE, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert content == (exports.csv_bytes(TABLE) if "csv" in name.lower() else exports.parquet_bytes(TABLE))
    assert list(tmp_path.iterdir()) == [tmp_path / name]


@pytest.mark.parametrize("name", ["out", "out.xlsx", "csv", "out.csv.gz"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must end in \.parquet or \.csv\.$"):
        exports.write(TABLE, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        exports.write(TABLE, tmp_path / "out.csv")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o640
    assert os.umask(before) == before  # the umask is left as it was


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")

    class Full(io.BytesIO):
        def write(self, content: Any) -> int:
            raise error

    def full(handle: int, mode: str) -> Full:
        os.close(handle)
        return Full()

    monkeypatch.setattr(exports.os, "fdopen", full)
    with pytest.raises(type(error)):
        exports.write(TABLE, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_takes_no_more_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    script = f"""
import resource
from pathlib import Path
from core import exports
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    exports.write_bytes(b"x" * 100_000, Path({str(path)!r}))
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == os.strerror(errno.EFBIG), done.stderr
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_take_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        exports.write(TABLE, tmp_path / "nowhere" / "out.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OSError, match=r"folder\.csv"):
        exports.write(TABLE, tmp_path / "folder.csv")
    assert list(tmp_path.iterdir()) == [tmp_path / "folder.csv"]
    assert list((tmp_path / "folder.csv").iterdir()) == []


def test_notes_are_a_column_where_there_are_some(catalogue: Catalogue, documents: Space, analysed: Analysis) -> None:
    names = list(analysed.names)
    names[2] = replace(names[2], text="=1+1", own=True, note="@note\nof two lines")
    table = exports.clustered_films(catalogue.rows(), replace(analysed, names=tuple(names)), documents.xy)
    assert table.column_names[-1] == "cluster_note"
    rows = table.select(["cluster", "cluster_name", "cluster_note"]).to_pylist()
    assert {row["cluster_note"] for row in rows if row["cluster"] == 2} == {"@note\nof two lines"}
    assert {row["cluster_note"] for row in rows if row["cluster"] != 2} == {None}
    assert {row["cluster_name"] for row in rows if row["cluster"] == 2} == {"=1+1"}
    lines = cells(exports.csv_bytes(table.select(["cluster_name", "cluster_note"])))
    assert ["'=1+1", "'@note\nof two lines"] in lines


# Tables


def test_the_table_of_clusters_leaves_without_what_only_draws_it(
    catalogue: Catalogue, documents: Space, analysed: Analysis
) -> None:
    lists = analysis.list_table(catalogue, analysed, documents.xy)
    measures = catalogue.cluster_measures(analysed.clustering.labels)
    clusters = charts.colored(analysis.cluster_table(analysed, lists, measures))
    rows = exports.cluster_rows(clusters)
    assert rows.columns[:7].tolist() == [
        "cluster",
        "name",
        "n_movies",
        "share",
        "top_genres",
        "coherence",
        "silhouette",
    ]
    assert rows["stability"].isna().all()
    assert not {"label", "leading_genre", "color", "text_color"} & {*rows.columns}
    assert {*clusters.columns} - {*rows.columns} == {"label", "leading_genre", "color", "text_color"}
    for name in {*rows.columns} - {"stability"}:
        pd.testing.assert_series_equal(rows[name], clusters[name])
    known = exports.cluster_rows(clusters, np.linspace(0, 1, 12))
    assert known["stability"].tolist() == np.linspace(0, 1, 12).tolist()
    back = pq.read_table(io.BytesIO(exports.parquet_bytes(known))).to_pandas()
    pd.testing.assert_frame_equal(back, known, check_dtype=False)
    read = pd.read_csv(io.BytesIO(exports.csv_bytes(known)))
    pd.testing.assert_frame_equal(read, known, check_dtype=False, rtol=1e-12)


def test_genres_by_cluster_come_back_as_they_were(analysed: Analysis) -> None:
    rows = exports.genre_rows(analysed)
    assert rows.columns[:3].tolist() == ["cluster", "cluster_name", "genre"]
    assert "cluster_name" not in analysed.genres  # the analysis is shared
    pd.testing.assert_frame_equal(rows.drop(columns="cluster_name"), analysed.genres)
    assert [analysed.names[cluster].text for cluster in rows["cluster"]] == rows["cluster_name"].tolist()
    back = pq.read_table(io.BytesIO(exports.parquet_bytes(rows))).to_pandas()
    pd.testing.assert_frame_equal(back, rows, check_dtype=False)
    assert len(cells(exports.csv_bytes(rows))) == len(rows) + 1


def test_a_cluster_named_like_a_formula_is_neutralised(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("title,genres\nA,=cmd()\nB,Drama\n")
    catalogue = movies.open_catalogue(tmp_path / "mine.csv")
    space = clustering.space(embeddings.multi_hot(catalogue.genre_lists), catalogue.weights())
    rows = exports.genre_rows(analysis.analyse(catalogue, space, 2))
    catalogue.connection.close()
    assert "=cmd()" in rows["genre"].tolist()
    assert not [cell for row in cells(exports.csv_bytes(rows)) for cell in row if cell.startswith("=")]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_parts_make_the_same_file_as_one_table(tmp_path: Path, ending: str) -> None:
    table = pa.table({"title": ["=1+1", "B", "C"], "genres": [["x", "y"], [], None], "year": [1, None, 3]})
    parts = (table.slice(start, 1) for start in range(3))
    exports.write_parts(parts, tmp_path / f"films{ending}")
    written = (tmp_path / f"films{ending}").read_bytes()
    assert exports.file_bytes([table.slice(0, 2), table.slice(2)], ending)
    if ending == ".csv":
        assert written == exports.csv_bytes(table) == exports.file_bytes(iter([table]), ending)
    else:
        assert pq.read_table(tmp_path / "films.parquet").to_pylist() == table.to_pylist()


def test_a_part_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def parts() -> Iterator[pa.Table]:
        yield pa.table({"a": [1]})
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        exports.write_parts(parts(), tmp_path / "films.parquet")
    assert list(tmp_path.iterdir()) == []
