"""The command line: what it writes, what it says, and what it leaves behind when it fails."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest

from core import devices, drawing, encoders
from core.__main__ import main
from core.analysis import Analysis, analyse
from core.clustering import Space
from core.drawing import DrawingError
from core.movies import Catalogue
from core.sources import fingerprint
from core.stability import verdict

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = [
    *("movie_id", "title", "year", "genres", "cluster", "cluster_name", "x", "y", "silhouette", "margin", "runner_up"),
]


@pytest.fixture
def expected(catalogue: Catalogue, documents: Space) -> Analysis:
    return analyse(catalogue, documents, 8)


@pytest.fixture
def stored(vector_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRESCOPE_VECTORS", str(vector_store))


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def test_cluster_writes_a_row_a_film_in_input_order(
    stored: None, tmp_path: Path, plain_films: list[dict[str, Any]], expected: Analysis, catalogue: Catalogue
) -> None:
    out, report = tmp_path / "clusters.parquet", tmp_path / "report.json"
    assert run("cluster", "--k", "8", "--out", out, "--report", report) == 0
    table = pq.read_table(out)
    assert table.column_names == COLUMNS
    assert table["movie_id"].to_pylist() == [film["movie_id"] for film in plain_films]
    assert table["genres"].to_pylist() == [film["genres"] for film in plain_films]
    row = {text: i for i, text in enumerate(catalogue.genre_lists)}
    labels = [
        None if film["genre_list"] is None else int(expected.clustering.labels[row[film["genre_list"]]])
        for film in plain_films
    ]
    assert table["cluster"].to_pylist() == labels
    without = np.array([label is None for label in labels])
    for name in ("cluster_name", "x", "y", "silhouette", "margin", "runner_up"):
        assert (np.array([value is None for value in table[name].to_pylist()]) == without).all(), name

    said = json.loads(report.read_text())
    assert (said["movies"], said["clustered"], said["without_genres"], said["genre_lists"]) == (17472, 17029, 443, 1187)
    assert (said["encoder"], said["k"], said["seed"], said["dtype"]) == ("all-MiniLM-L6-v2", 8, 0, "float32")
    assert said["revision"] == encoders.get("all-MiniLM-L6-v2").revision
    assert said["device"]
    assert said["fingerprint"] == fingerprint(ROOT / "data" / "movies.parquet")
    assert said["inertia"] == pytest.approx(expected.clustering.inertia, rel=1e-12)
    assert said["silhouette"] == pytest.approx(expected.silhouette.overall, abs=1e-12)
    assert said["coherence"] == pytest.approx(expected.coherence.overall, abs=1e-12)
    assert said["seconds"].keys() == {"load", "embed", "cluster", "write", "total"}
    assert [each["movies"] for each in said["clusters"]] == expected.clustering.sizes.tolist()


def test_csv_holds_the_same_and_runs_no_formula(
    stored: None, tmp_path: Path, plain_films: list[dict[str, Any]]
) -> None:
    assert run("cluster", "--k", "8", "--out", tmp_path / "clusters.csv") == 0
    with (tmp_path / "clusters.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["movie_id"] for row in rows] == [film["movie_id"] for film in plain_films]
    assert not [row["title"] for row in rows if row["title"].startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert {row["title"] for row in rows if row["title"] == "'+1"}, "the catalogue has a film called +1"
    assert sum(row["cluster"] == "" for row in rows) == 443


def test_seed_and_encoder_are_taken(stored: None, tmp_path: Path) -> None:
    reports = []
    for name, more in (("a", []), ("b", ["--seed", "1"]), ("c", ["--encoder", "multi-hot"])):
        report = tmp_path / f"{name}.json"
        assert run("cluster", "--k", "9", "--out", tmp_path / f"{name}.csv", "--report", report, *more) == 0
        reports.append(json.loads(report.read_text()))
    assert [report["seed"] for report in reports] == [0, 1, 0]
    assert [report["encoder"] for report in reports] == ["all-MiniLM-L6-v2", "all-MiniLM-L6-v2", "multi-hot"]
    assert reports[2]["device"] is None
    assert len({report["inertia"] for report in reports}) == 3


def test_own_movies_and_too_few_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films = tmp_path / "mine.csv"
    films.write_text("title,genres\nNA,Drama|Comedy\n1984,\n#Alive,Horror\n")
    out = tmp_path / "out.csv"
    assert run("cluster", "--k", "8", "--encoder", "multi-hot", "--movies", films, "--out", out) == 0
    said = capsys.readouterr().err
    assert "There are 2 clusters instead of 8" in said
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["title"], row["cluster"]) for row in rows] == [("NA", "0"), ("1984", ""), ("#Alive", "1")]


def test_another_text_can_be_clustered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films = tmp_path / "mine.csv"
    films.write_text("title,genres\nred dog,Drama\nred dog,\nblue cat,Drama\n,War\nred dog,Drama\n")
    out, report = tmp_path / "out.csv", tmp_path / "report.json"
    arguments = ("--encoder", "tf-idf", "--movies", films, "--out", out, "--report", report)
    assert run("cluster", "--k", "2", "--text", "title", *arguments) == 0
    with out.open(newline="") as file:
        assert [row["cluster"] for row in csv.DictReader(file)] == ["0", "0", "1", "", "0"]
    said = json.loads(report.read_text())
    assert (said["text"], said["clustered"], said["without_genres"]) == ("title", 4, 1)
    assert run("cluster", "--text", "plot", *arguments) == 2
    assert "plot is not one of genres, title and genres, title." in capsys.readouterr().err


def test_embed_writes_text_and_normalised_vectors(
    stored: None, tmp_path: Path, catalogue: Catalogue, documents: Space
) -> None:
    assert run("embed", "--out", tmp_path / "vectors.parquet") == 0
    table = pq.read_table(tmp_path / "vectors.parquet")
    assert table.column_names == ["text", "vector"]
    assert table["text"].to_pylist() == list(catalogue.genre_lists)
    vectors = np.array(table["vector"].to_pylist(), dtype=np.float32)
    assert np.array_equal(vectors, documents.vectors.astype(np.float32))


def test_encoders_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("encoders") == 0
    said = capsys.readouterr()
    lines = [line.split("\t") for line in said.out.splitlines()]
    assert [line[0] for line in lines[1:]] == list(encoders.ENCODERS)
    assert {len(line) for line in lines} == {len(lines[0])}
    files = {line[0]: line[lines[0].index("files")] for line in lines}
    assert (files["all-MiniLM-L6-v2"], files["multi-hot"]) == ("in a package", "none needed")
    device = devices.choose()
    assert said.err == f"Device: {device.label}, {device.dtype}. {device.reason}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "command"),
        (["cluster"], "--out"),
        (["cluster", "--k", "1", "--out", "x.csv"], "from 2 to 50"),
        (["cluster", "--k", "51", "--out", "x.csv"], "from 2 to 50"),
        (["cluster", "--k", "eight", "--out", "x.csv"], "“eight”"),
        (["cluster", "--seed", "-1", "--out", "x.csv"], "from 0 to 9999"),
        (["cluster", "--out", "x.xlsx"], ".parquet or .csv"),
        (["cluster", "--out", "x.csv", "--report", "r.txt"], ".json"),
        (["cluster", "--out", "nowhere/x.csv"], "nowhere does not exist"),
        (["cluster", "--out", "x.csv", "--encoder", "gpt"], "all-MiniLM-L6-v2, distilbert-base-uncased"),
        (["cluster", "--out", "x.csv", "--movies", "none.csv"], "none.csv was not found"),
        (["cluster", "--out", "x.csv", "--movies", "bad.csv"], "row 2, column year: “soon”"),
        (["cluster", "--out", "x.csv", "--html", "r.pdf"], ".html"),
        (["cluster", "--out", "x.csv", "--map", "m.jpg"], ".svg or .png"),
        (["cluster", "--out", "x.csv", "--map", "nowhere/m.svg"], "nowhere does not exist"),
        (["cluster", "--out", "x.csv", "--clusters", "c.txt"], ".parquet or .csv"),
        (["cluster", "--out", "x.csv", "--genres", "./x.csv"], "name of its own"),
        (["embed", "--out", "x.csv"], ".parquet"),
    ],
)
def test_bad_input_is_one_line_status_two_and_leaves_nothing(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text("title,genres,year\nA,Drama,1999\nB,Drama,soon\n")
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = int(stop.code or 0)
    said = capsys.readouterr()
    assert status == 2
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1, said.err
    assert words in said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv"]


def test_a_file_that_was_there_survives_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "clusters.csv"
    out.write_text("mine")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(out))

    monkeypatch.setattr(os, "fdopen", full)
    assert run("cluster", "--encoder", "multi-hot", "--out", out) == 2
    assert "No space left" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["clusters.csv"]


# Recipes


@pytest.fixture
def recipe(tmp_path: Path) -> dict[str, Any]:
    """The recipe in the report of five clusters of the baseline."""
    arguments = ("--k", "5", "--seed", "3", "--standardize", "--encoder", "multi-hot")
    assert run("cluster", *arguments, "--out", tmp_path / "first.parquet", "--report", tmp_path / "first.json") == 0
    found: dict[str, Any] = json.loads((tmp_path / "first.json").read_text())["recipe"]
    return found


def replay(recipe: dict[str, Any], folder: Path, *arguments: str | Path) -> int:
    (folder / "recipe.json").write_text(json.dumps(recipe))
    out = ("--out", folder / "again.parquet", "--report", folder / "again.json")
    return run("cluster", "--recipe", folder / "recipe.json", *out, *arguments)


def test_a_recipe_gives_the_same_again(
    recipe: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert replay(recipe, tmp_path) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[1:] == ["genrescope: The same result as the recipe: all 17,029 films are in the same clusters."]
    assert pq.read_table(tmp_path / "again.parquet").equals(pq.read_table(tmp_path / "first.parquet"))
    assert json.loads((tmp_path / "again.json").read_text())["recipe"] == recipe
    # Flags that say the same are no contradiction.
    assert replay(recipe, tmp_path, "--k", "5", "--seed", "3", "--standardize", "--encoder", "multi-hot") == 0


def test_names_and_filters_of_a_recipe_are_taken(recipe: dict[str, Any], tmp_path: Path) -> None:
    recipe["names"] = [{"cluster": 2, "name": "Mine", "note": "a note"}]
    assert replay(recipe, tmp_path) == 0
    rows = pq.read_table(tmp_path / "again.parquet").to_pylist()
    assert {(row["cluster_name"], row["cluster_note"]) for row in rows if row["cluster"] == 2} == {("Mine", "a note")}
    assert {row["cluster_note"] for row in rows if row["cluster"] != 2} == {None}
    report = json.loads((tmp_path / "again.json").read_text())
    assert (report["clusters"][2]["name"], report["clusters"][2]["note"]) == ("Mine", "a note")
    assert report["recipe"]["names"] == recipe["names"]

    recipe["settings"]["filters"]["years"] = [1980, 1989]
    assert replay(recipe, tmp_path) == 1
    rows = pq.read_table(tmp_path / "again.parquet").to_pylist()
    assert {row["year"] // 10 for row in rows} == {198}
    assert json.loads((tmp_path / "again.json").read_text())["movies"] == len(rows)


def test_a_recipe_that_gives_something_else_says_what(
    recipe: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe["settings"]["standardize"] = False
    recipe["encoding"]["revision"] = "another"
    recipe["libraries"]["numpy"] = "1.0"
    capsys.readouterr()
    status = replay(recipe, tmp_path)
    said = capsys.readouterr().err
    assert status == 1
    assert "films" in said
    assert "changed cluster." in said
    assert "genrescope: Revision of the encoder: here none, in the recipe another." in said
    assert f"genrescope: Numpy: here {np.__version__}, in the recipe 1.0." in said
    assert (tmp_path / "again.parquet").exists()  # what came out here, and it was said that it is another


def test_a_recipe_of_other_films(recipe: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pq.read_table(ROOT / "data" / "movies.parquet")
    pq.write_table(table.slice(2000), tmp_path / "fewer.parquet")
    status = replay(recipe, tmp_path, "--movies", tmp_path / "fewer.parquet")
    said = capsys.readouterr().err
    gone = sum(bool(genres) for genres in table["genres"].to_pylist()[:2000])
    assert status == 1
    assert f" of {17029 - gone:,} films (" in said
    assert f"; {gone:,} of the recipe's are in no cluster here." in said
    assert "genrescope: Catalogue: here fewer.parquet (content " in said


@pytest.mark.parametrize(
    ("change", "arguments", "says"),
    [
        ({}, ("--k", "6"), "--k 6 contradicts the recipe, which says 5. Leave out one of them."),
        ({}, ("--seed", "0"), "--seed 0 contradicts the recipe, which says 3."),
        ({}, ("--encoder", "tf-idf"), "--encoder tf-idf contradicts the recipe, which says multi-hot."),
        ({}, ("--dtype", "auto"), "--dtype auto contradicts the recipe, which says float32."),
        ({"standardize": False}, ("--standardize",), "--standardize contradicts the recipe, which says False."),
        ({"encoder": "evil"}, (), "There is no encoder “evil”. The known encoders are:"),
        ({"n_clusters": 1}, (), "--recipe recipe.json: settings.n_clusters: 1 is not from 2 to 50."),
    ],
)
def test_a_recipe_that_cannot_be_followed(
    recipe: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    arguments: tuple[str, ...],
    says: str,
) -> None:
    recipe["settings"].update(change)
    capsys.readouterr()
    assert replay(recipe, tmp_path, *arguments) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"genrescope: {says}")
    assert not (tmp_path / "again.parquet").exists()


def test_a_recipe_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cluster", "--recipe", tmp_path / "none.json", "--out", tmp_path / "out.csv") == 2
    assert "none.json: No such file" in capsys.readouterr().err


def test_as_a_command_it_needs_no_streamlit(tmp_path: Path) -> None:
    """The real command, in a process of its own; nothing but the result goes to the disk."""
    code = "import runpy, sys; sys.modules['streamlit'] = None; runpy.run_module('core', run_name='__main__')"
    arguments = ["cluster", "--k", "5", "--encoder", "multi-hot", "--out", str(tmp_path / "c.parquet")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "17,029 of 17,472 films in 5 clusters" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["c.parquet"]


def test_everything_that_can_be_taken_along(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films = tmp_path / "mine.csv"
    films.write_text(
        "title,genres,year\n" + "".join(f"F{i},{'Drama|' * (i % 2)}G{i % 5},{1990 + i}\n" for i in range(30))
    )
    names = {"out": "f.csv", "clusters": "c.parquet", "genres": "g.csv", "map": "m.svg", "html": "r.html"}
    options = [word for name, file in names.items() for word in (f"--{name}", tmp_path / file)]
    arguments = ["cluster", "--k", "3", "--encoder", "multi-hot", "--movies", films]
    assert run(*arguments, *options, "--report", tmp_path / "r.json") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names.values(), "mine.csv", "r.json"])
    clusters = pq.read_table(tmp_path / "c.parquet").to_pylist()
    said = json.loads((tmp_path / "r.json").read_text())
    assert [row["n_movies"] for row in clusters] == [each["movies"] for each in said["clusters"]]
    assert all(0 <= row["stability"] <= 1 for row in clusters)
    with (tmp_path / "g.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 6
    assert sum(int(row["n_cluster"]) for row in rows if row["genre"] == "Drama") == 15
    marks = ElementTree.parse(tmp_path / "m.svg").iter()
    assert len([mark for mark in marks if mark.get("aria-roledescription") == "circle"]) == 10
    html = (tmp_path / "r.html").read_text()
    assert "3 clusters of 30 films" in html
    assert f"stability {verdict(clusters[0]['stability'])} {clusters[0]['stability']:.2f}" in html
    assert "mine.csv" in html
    assert str(tmp_path) not in html
    assert "written to f.csv, g.csv, c.parquet, m.svg, r.html, r.json." in capsys.readouterr().err


def test_a_map_that_cannot_be_drawn_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise DrawingError("No pencil.")

    monkeypatch.setattr(drawing, "_drawn", fail)
    options = ["--out", tmp_path / "f.csv", "--map", tmp_path / "m.png", "--report", tmp_path / "r.json"]
    assert run("cluster", "--encoder", "multi-hot", *options) == 2
    assert capsys.readouterr().err == "genrescope: No pencil.\n"
    assert list(tmp_path.iterdir()) == []
