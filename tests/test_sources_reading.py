"""Bytes become a table of texts: kinds, encodings, delimiters, limits, and what is broken is named."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import sources
from core.sources import Limits, Raw, Reading, SourceError, lists

LIMITS = Limits(megabytes=5, rows=1000, cell=1000)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1f"), max_size=20)
NAMES = ("first", "second", "third")


def read(content: str | bytes, name: str = "films.csv", limits: Limits = LIMITS, **choices: Any) -> Raw:
    content = content if isinstance(content, bytes) else content.encode()
    return sources.read_file(name, content, limits, Reading(**choices))


def rows(raw: Raw) -> list[tuple[str | None, ...]]:
    return [tuple(row.values()) for row in raw.table.to_pylist()]


def refused(content: str | bytes, limits: Limits = LIMITS, **choices: Any) -> str:
    with pytest.raises(SourceError) as caught:
        read(content, limits=limits, **choices)
    sentence = str(caught.value)
    assert sentence.startswith("films.csv")
    assert sentence.endswith(".") or "says:" in sentence
    assert len(sentence) < 400
    return sentence


def written(table: list[tuple[str, ...]], delimiter: str = ",", end: str = "\r\n", **options: Any) -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, lineterminator=end, **options).writerows(table)
    return file.getvalue()


# Delimited text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("delimiter", [*",;\t|", "^", "~", ":"])
def test_any_delimiter_in_any_encoding(delimiter: str, encoding: str) -> None:
    table = [("Titre", "Genre"), ("Amélie", "Comédie"), ("A,B;C|D", "x\ty"), ('say "hi"', "two\nlines")]
    content = written(table, delimiter).encode(encoding)
    for zipped in (content, gzip.compress(content)):
        raw = read(zipped)
        assert raw.table.column_names == ["Titre", "Genre"]
        assert rows(raw) == table[1:]
        assert raw.reading.delimiter == delimiter
    assert "packed with gzip" in read(gzip.compress(content)).how


@settings(max_examples=60, deadline=None)
@given(
    table=st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_the_csv_module_writes_is_read_back(
    table: list[tuple[str, ...]], delimiter: str, end: str, quoting: int
) -> None:
    if quoting == csv.QUOTE_MINIMAL:  # then the module leaves an end of line that is not its own without quotes
        table = [tuple(cell.replace("\r", "").replace("\n", "") for cell in row) for row in table]
    content = written([NAMES, *table], delimiter, end, quoting=quoting)
    raw = read(content, delimiter=delimiter, encoding="utf-8")
    assert rows(raw) == [tuple(cell or None for cell in row) for row in table]


@settings(max_examples=150, deadline=None)
@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda text: f"a,b\n{text}".encode())))
def test_whatever_the_bytes_are_they_are_read_or_refused_in_words(content: bytes) -> None:
    try:
        raw = sources.read_file("films.csv", content, LIMITS)
    except SourceError:
        return
    assert 0 < len(raw.table) == raw.n_rows - raw.n_ragged
    assert all(field.type == pa.string() for field in raw.table.schema)


def test_texts_stay_as_they_are() -> None:
    table = [
        ("title", "genres"),
        *((text, "War") for text in ("NA", "None", "1984", "007", "1e5", "#Alive", " a ", "nan")),
    ]
    assert rows(read(written(table))) == table[1:]


def test_excel_hint_of_the_delimiter() -> None:
    assert rows(read("sep=;\r\ntitle;genres\r\nA,B;War\r\n")) == [("A,B", "War")]


def test_quotes_of_imdb_are_part_of_the_text() -> None:
    content = 'tconst\ttitleType\tprimaryTitle\tgenres\ntt1\tmovie\t"Giliap"\tDrama\ntt2\tmovie\t"Open\tWar\n'
    assert [row[2] for row in rows(read(content))] == ['"Giliap"', '"Open']
    assert "never closed" in refused(content, quoted=True)


def test_what_is_chosen_counts_more_than_what_is_found() -> None:
    assert read("a,b;c\n1,2;3\n", delimiter=";").table.column_names == ["a,b", "c"]
    assert rows(read("title,genres\n\xc0\xe1,x\n".encode("latin-1"), encoding="cp1251")) == [("Аб", "x")]


def test_columns_without_a_name_are_numbered() -> None:
    assert read(",title,\n0,A,x\n").table.column_names == ["(column 1)", "title", "(column 3)"]


def test_ragged_rows_name_the_first_five_or_are_left_out() -> None:
    content = "title,genres\n" + "".join(f"A{i},War\nB{i}\n" for i in range(7))
    sentence = refused(content)
    assert [f"line {line} has 1 cell instead of 2" in sentence for line in (3, 5, 7, 9, 11, 13)] == [True] * 5 + [False]
    assert "and 2 more" in sentence
    raw = read(content, leave_out_ragged=True)
    assert (len(raw.table), raw.n_rows, raw.n_ragged, raw.cut) == (7, 14, 7, None)
    assert [problem.row for problem in raw.problems] == [2, 4, 6, 8, 10, 12, 14]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty (0 bytes)"),
        (" \n\n", "nothing but blank space"),
        ("title,genres\n", "column names and no rows"),
        ('title,genres\nA,War\n"B,War\nC,War\n', "line 3: a quote is opened and never closed"),
        ('title,genres\n"A"x,War\n', "line 2: a quote"),
        ("title,Title\nA,B\n", "names the column Title more than once"),
        (b"title,genres\nA\0B,War\n" + b"x" * 4000, "zero bytes"),
        ("title,genres\nÄÖÜ,x\n".encode() * 9 + b"\xff,x\n", "line 19: the text is UTF-8 and damaged there"),
        (b"title,genres\n\x81\x8d,x\n", "neither UTF-8, UTF-16 nor Windows-1252"),
        (b"PK\x03\x04" + b"x" * 99, "Excel workbook (.xlsx) or a ZIP archive"),
        (b"\xd0\xcf\x11\xe0" + b"x" * 99, "old Excel"),
        (b"SQLite format 3\0" + b"x" * 99, "SQLite"),
        (b"x" * 8 + b"DUCK" + b"x" * 99, "DuckDB database, which is not accepted"),
        (b"MZ" + b"x" * 99, "is a program"),
        (b"\x7fELF" + b"x" * 99, "is a program"),
        (b"#!/bin/sh\nrm x\n", "is a script"),
        ("<!DOCTYPE html><html>", "a web page"),
        (gzip.compress(b"title,genres\nA,War\n" * 99, mtime=0)[:-20], "damaged or cut off"),
        (gzip.compress(b"PK\x03\x04" + b"x" * 99, mtime=0), "Excel"),
        (",".join(f"c{i}" for i in range(600)) + "\n" + "x," * 599 + "x", "600 columns, and 500 is the most"),
    ],
)
def test_what_is_broken_is_named(content: str | bytes, words: str) -> None:
    assert words in refused(content)


# Limits


def test_more_rows_than_are_read_are_counted() -> None:
    raw = read("title\tgenres\n" + "A\tWar\n" * 1234)
    assert (len(raw.table), raw.n_rows) == (1000, 1234)
    assert raw.cut == "Only the first 1,000 of 1,234 rows are read."
    assert read("title\tgenres\n" + "A\tWar\n" * 1000).cut is None
    films = json.dumps([{"title": "A"}] * 1234)
    assert read(films).cut == "Only the first 1,000 of 1,234 rows are read."


@pytest.mark.parametrize("where", ["csv", "json", "parquet"])
def test_a_long_cell_is_refused_with_its_place(where: str) -> None:
    films = [{"title": "A", "genres": "War"}] * 70 + [{"title": "B" * 1001, "genres": "War"}]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(films), buffer)
    content = {
        "csv": written([("title", "genres"), *((film["title"], film["genres"]) for film in films)]).encode(),
        "json": json.dumps(films).encode(),
        "parquet": buffer.getvalue(),
    }[where]
    assert "row 71, column title: the cell has 1,001 characters, and 1,000 is the most" in refused(content)


@pytest.mark.parametrize("start", [b"title,genres\n", b'title,genres\n"', b""])
def test_a_cell_without_end_is_refused_early(start: bytes) -> None:
    refused(gzip.compress(start + b"x" * 4_000_000))


def test_what_unpacks_to_too_much_is_refused() -> None:
    assert "unpacks to more than 5 MB" in refused(gzip.compress(b"title,genres\n" + b"A,War\n" * 1_000_000))
    assert "has 6 MB, and this server reads at most 5 MB" in refused(b"title,genres\n" + b"A,War\n" * 1_000_000)
    buffer = io.BytesIO()
    pq.write_table(pa.table({"title": ["x" * 900] * 9000}), buffer)
    assert len(buffer.getvalue()) < 100_000
    assert "unpacks to more than 5 MB" in refused(buffer.getvalue(), Limits(megabytes=5, cell=1000))


def test_limits_come_from_settings() -> None:
    found = sources.limits({"GENRESCOPE_MAX_ROWS": "7"}.get, sources.UPLOAD_LIMITS)
    assert (found.rows, found.cell) == (7, sources.UPLOAD_LIMITS.cell)
    for wrong in ("0", "-1", "many", "1e3", "9" * 40, "٣٣x"):
        with pytest.raises(SourceError, match="GENRESCOPE_MAX_ROWS"):
            sources.limits({"GENRESCOPE_MAX_ROWS": wrong}.get, sources.UPLOAD_LIMITS)


# JSON

FILMS = [
    {"title": "1984", "year": 1984, "cast": ["Alan Hale, Jr.", "B"], "genres": ["War"], "score": 0.10},
    {"title": "B", "extra": None, "genres": [], "seen": True, "nested": {"a": [1, {"b": 2}]}},
]


@pytest.mark.parametrize(
    ("content", "how"),
    [
        (json.dumps(FILMS), "JSON (array)"),
        (json.dumps(FILMS, indent=2), "JSON (array)"),
        ("\n".join(map(json.dumps, FILMS)), "JSON lines"),
        ("\r\n\r\n".join(map(json.dumps, FILMS)) + "\r\n", "JSON lines"),
        (json.dumps({"count": 2, "films": FILMS}), "JSON (a list inside an object)"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_of_every_kind(content: str, how: str, encoding: str) -> None:
    raw = read(content.encode(encoding))
    assert raw.how.startswith(how)
    one, other = raw.table.to_pylist()
    assert (one["title"], one["year"], one["score"], other["seen"]) == ("1984", "1984", "0.1", "true")
    assert lists.items(one["cast"], "") == ["Alan Hale, Jr.", "B"]
    assert (other["year"], other["genres"], other["extra"]) == (None, None, None)
    assert json.loads(other["nested"]) == {"a": ["1", {"b": "2"}]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('[{"title": ' + "[" * 100_000, "nested too deeply"),
        ('[{"title": "A"}', "cut off"),
        ('[{"title": "A"', "cut off"),
        ('{"title": "A"}\n{"title": \n', "cut off"),
        ('[{"title": "A"} {"title": "B"}]', "a comma or ] is missing"),
        ('[{"title": "A"}, {"title": B}]', "line 1 (film 2): it is not JSON"),
        ('{"title": "A"}\n{"title": B}\n', "line 2 (film 2): it is not JSON"),
        ('[{"title": "A", "title": "B"}]', "film 1, names title more than once"),
        ("[1, 2]", "film 1 is not an object"),
        ("[]", "no rows"),
        ('[{"title": 1' + "0" * 5000 + "}]", "5,001 characters"),
        ("[{" + ",".join(f'"c{i}": 1' for i in range(501)) + "}]", "501 columns"),
    ],
)
def test_json_that_is_broken(content: str, words: str) -> None:
    assert words in refused(content)


def test_half_a_pair_of_surrogates_is_replaced() -> None:
    assert rows(read('[{"title": "\\ud800x"}]')) == [("?x",)]


# Parquet


def test_parquet_with_foreign_types() -> None:
    table = pa.table(
        {
            "title": pa.array(["A", "B"]).dictionary_encode(),
            "year": pa.array([1984.0, float("nan")]),
            "when": pa.array([0, None], pa.timestamp("s", tz="UTC")),
            "price": pa.array([1, None], pa.decimal128(5, 2)),
            "genres": pa.array([["War", "Drama"], []], pa.large_list(pa.large_string())),
            "nulls": pa.array([["War", None], None], pa.list_(pa.string())),
            "objects": pa.array([[{"id": 1, "name": "War"}], None]),
            "struct": pa.array([{"a": 1}, None]),
            "bytes": pa.array([b"\xff\xfe", None]),
            "nothing": pa.nulls(2),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    raw = read(buffer.getvalue())
    one, other = raw.table.to_pylist()
    assert (one["title"], one["year"], one["price"]) == ("A", "1984", "1.00") or one["year"] == "1984.0"
    assert one["when"].startswith("1970-01-01")
    assert [lists.items(one[name], "|") for name in ("genres", "nulls", "objects")] == [
        ["War", "Drama"],
        ["War"],
        ["War"],
    ]
    assert json.loads(one["struct"]) == {"a": 1}
    assert {other[name] for name in other if name != "title"} == {None}
    assert "bytes" not in one
    assert "left out, as they hold no text: bytes" in raw.how


def test_parquet_is_read_in_full_and_cut() -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"title": [str(i) for i in range(5000)]}), buffer, row_group_size=700)
    assert [row[0] for row in rows(read(buffer.getvalue(), limits=Limits()))] == [str(i) for i in range(5000)]
    raw = read(buffer.getvalue())
    assert [row[0] for row in rows(raw)] == [str(i) for i in range(1000)]
    assert raw.cut == "Only the first 1,000 of 5,000 rows are read."
    for broken in (buffer.getvalue()[:500], b"PAR1" + b"x" * 99 + b"PAR1"):
        assert "cannot be read as Parquet" in refused(broken)


# Lists in cells


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("['Drama', 'War']", ["Drama", "War"]),
        ('["Drama", "War"]', ["Drama", "War"]),
        ("[{'id': 16, 'name': 'Animation'}, {'id': 35, 'name': \"Children's\"}]", ["Animation", "Children's"]),
        ('[{"id": 16, "name": "Animation"}]', ["Animation"]),
        ("[u'Drama', r'War', b'X']", ["Drama", "War", "X"]),
        ("['It\\'s', 'a\\\\b', '\\u00e9\\x41']", ["It's", "a\\b", "éA"]),
        ("['Drama' 'War']", ["Drama", "War"]),
        ("{'Drama', 'War'}", ["Drama", "War"]),
        ("[('Drama', 1), None, nan, '']", []),
        ("[1, 2.5]", ["1", "2.5"]),
        ("[]", []),
        ("[{}]", []),
        ("['Drama'", None),
        ("[Drama']", None),
        ("['a'] + ['b']", None),
        ("[" * 50 + "]" * 50, []),
        ("__import__('os').system('x')", None),
        ("[__import__('os')]", ["__import__"]),
    ],
)
def test_lists_are_read_without_running_anything(cell: str, found: list[str] | None) -> None:
    assert lists.parse(cell) == found


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_a_list_as_python_or_json_prints_it_is_read_back(items: list[str]) -> None:
    for printed in (
        repr(items),
        json.dumps(items),
        json.dumps(items, ensure_ascii=False),
        repr([{"name": i} for i in items]),
    ):
        assert lists.parse(printed) == [item for item in items if item]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="[]{}()'\",:\\ aNu1\n", max_size=40))
def test_any_text_is_a_list_or_none(cell: str) -> None:
    found = lists.parse(cell)
    assert found is None or all(isinstance(item, str) and item for item in found)


def test_a_file_on_disk_gives_what_its_bytes_give(tmp_path: Path) -> None:
    content = b"title,genres\nA,War\n"
    (tmp_path / "films.csv").write_bytes(content)
    one, other = sources.read_file("films.csv", tmp_path / "films.csv", LIMITS), read(content)
    assert rows(one) == rows(other)
    assert one.fingerprint == other.fingerprint
