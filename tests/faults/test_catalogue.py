"""The server's catalogue when it is damaged, locked, too new, or replaced while the app runs."""

import os
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core import bulk, movies
from core.sources import SourceError
from tests.app.conftest import BASELINE, TROUBLES, Visit, unescaped

FILMS = [(f"Film {number}", ["Drama", "War"][: 1 + number % 2], 1990 + number) for number in range(6)]


def write_duckdb(path: Path, n: int = len(FILMS)) -> Path:
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE movies (title VARCHAR, genres VARCHAR[], year INTEGER)")
        connection.executemany("INSERT INTO movies VALUES (?, ?, ?)", FILMS[:n])
    return path


def write_parquet(path: Path, n: int = len(FILMS)) -> Path:
    titles, genres, years = zip(*FILMS[:n], strict=True)
    pq.write_table(pa.table({"title": titles, "genres": list(genres), "year": years}), path)
    return path


WRITERS = {"mine.duckdb": write_duckdb, "mine.parquet": write_parquet}


def trouble(visit: Visit) -> str:
    """Return the one sentence that the app says in the place of a page."""
    assert visit.at.title[0].value == TROUBLES[0]
    (error,) = visit.at.error
    sentence = unescaped(error.value)
    assert "Traceback" not in sentence
    assert "\n" not in sentence
    return sentence


def films(visit: Visit) -> str:
    return visit.figures["Films"]


def chosen_years(visit: Visit) -> tuple[int, int]:
    return visit.at.sidebar.slider(key="years").value


@pytest.mark.parametrize("name", WRITERS)
def test_replaced_while_the_app_runs(elsewhere: Callable[..., None], tmp_path: Path, name: str) -> None:
    path, write = tmp_path / name, WRITERS[name]
    write(path)
    elsewhere(movies=path)
    visit = Visit(query={"encoder": BASELINE})
    assert films(visit) == "6"
    assert chosen_years(visit) == (1990, 1995)
    # Half a copy of the new one: a sentence. The whole one: its films.
    whole = write(tmp_path / f"new {name}", 4).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "cannot be read as" in trouble(visit.run())
    path.write_bytes(whole)
    assert films(visit.run()) == "4"
    assert chosen_years(visit) == (1990, 1993)  # all years stay all years, whichever these are
    if name.endswith("duckdb"):  # put in its place at one stroke, with the time and the size of the old one
        status, other = path.stat(), write(tmp_path / "other.duckdb", 3)
        os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert other.stat().st_size == status.st_size
        other.replace(path)
        assert films(visit.run()) == "3"
    # Gone, and back again.
    path.unlink()
    assert "was not found" in trouble(visit.run())
    write(path, 5)
    assert films(visit.run()) == "5"
    assert chosen_years(visit) == (1990, 1994)
    # A choice of years that the next catalogue does not have is let go, or kept as far as it has them.
    visit.at.sidebar.slider(key="years").set_value((1992, 1994))
    assert films(visit.run()) == "3"
    write(path, 4)
    assert films(visit.run()) == "2"
    write(path, 2)
    assert films(visit.run()) == "2"
    assert chosen_years(visit) == (1990, 1991)


def test_replaced_while_it_is_read(tmp_path: Path) -> None:
    """Whoever reads while another file takes its place gets the films of one of the two, or a sentence."""
    path, versions = tmp_path / "mine.parquet", [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for version, n in zip(versions, (6, 3), strict=True):
        write_parquet(version, n)
    shutil.copy(versions[0], path)
    done, found, said = threading.Event(), list[int](), list[str]()

    def replace() -> None:
        turn = 0
        while not done.wait(0.01):
            turn += 1
            shutil.copy(versions[turn % 2], tmp_path / "next")
            (tmp_path / "next").replace(path)

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        while len(found) < 5:
            assert len(said) < 200
            try:
                catalogue = movies.open_catalogue(path)
            except SourceError as error:
                said.append(str(error))
                continue
            found.append(catalogue.n_movies)
            catalogue.connection.close()
    finally:
        done.set()
        thread.join()
    assert set(found) <= {3, 6}
    assert all("mine.parquet" in sentence for sentence in said)


def test_locked_by_a_writer(elsewhere: Callable[..., None], tmp_path: Path) -> None:
    path = write_duckdb(tmp_path / "mine.duckdb")
    elsewhere(movies=path)
    script = (
        f"import duckdb; held = duckdb.connect({str(path)!r}); print('held', flush=True); input(); "
        "held.execute(\"INSERT INTO movies VALUES ('New', ['War'], 1999)\"); held.execute('CHECKPOINT'); "
        "print('wrote', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        try:
            assert writer.stdout.readline() == "held\n"
            visit = Visit(query={"encoder": BASELINE})
            assert trouble(visit) == (
                "The database mine.duckdb is being written by another program. Close that program and try again."
            )
        finally:
            writer.communicate("\n\n", timeout=60)
    assert films(visit.run()) == "7"  # and what it wrote is there


def test_the_app_holds_no_lock(elsewhere: Callable[..., None], tmp_path: Path) -> None:
    path = write_duckdb(tmp_path / "mine.duckdb")
    elsewhere(movies=path)
    visit = Visit(query={"encoder": BASELINE})
    script = (
        f"import duckdb; duckdb.connect({str(path)!r}).execute(\"INSERT INTO movies VALUES ('New', ['War'], 1999)\")"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert films(visit.run()) == "7"


def newer_duckdb(path: Path) -> Path:
    """A database whose version number is one that no DuckDB has yet."""
    content = bytearray(write_duckdb(path).read_bytes())
    assert content[8:12] == b"DUCK"
    content[12:20] = (9999).to_bytes(8, "little")
    # DuckDB's checksum of a block, here of the header's 4,096 bytes.
    checksum = 5381
    for (number,) in struct.iter_unpack("<Q", content[8:4096]):
        checksum ^= (number * 0xBF58476D1CE4E5B9) % 2**64
    content[:8] = checksum.to_bytes(8, "little")
    path.write_bytes(content)
    return path


def encrypted_parquet(path: Path) -> Path:
    """The ending of a Parquet file with an encrypted footer, which is a later addition to the format."""
    content = write_parquet(path).read_bytes()
    path.write_bytes(b"PARE" + content[4:-4] + b"PARE")
    return path


def newer_parquet(path: Path) -> Path:
    """A Parquet file with a compression that is not known yet."""
    content = write_parquet(path).read_bytes()
    # In the footer's ColumnMetaData the field codec (4, of type i32) follows the path: 0x15 and the zigzag of SNAPPY.
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    changed = content[footer:].replace(b"title\x15\x02", b"title\x15\x50").replace(b"year\x15\x02", b"year\x15\x50")
    assert changed != content[footer:]
    path.write_bytes(content[:footer] + changed)
    return path


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("mine.duckdb", newer_duckdb, "was written by a newer version of DuckDB than the one here"),
        ("mine.parquet", encrypted_parquet, "mine.parquet cannot be read as Parquet."),
        ("mine.parquet", newer_parquet, "mine.parquet cannot be read as Parquet."),
    ],
    ids=["newer DuckDB", "encrypted Parquet", "newer Parquet"],
)
def test_a_format_that_is_too_new(
    elsewhere: Callable[..., None], tmp_path: Path, name: str, make: Callable[[Path], Path], words: str
) -> None:
    elsewhere(movies=make(tmp_path / name))
    sentence = trouble(Visit(query={"encoder": BASELINE}))
    assert words in sentence
    assert str(tmp_path) not in sentence


def places(size: int, seed: int, n: int) -> list[int]:
    return np.random.default_rng(seed).integers(size, size=n).tolist()


@pytest.mark.parametrize("name", WRITERS)
def test_one_byte_flipped_anywhere(tmp_path: Path, name: str) -> None:
    """Read, with the byte as a letter of some title, or refused in a sentence; nothing else."""
    good = WRITERS[name](tmp_path / f"good {name}").read_bytes()
    path, said = tmp_path / name, list[str]()
    # A small database is mostly empty; its first blocks are what matters.
    size = min(len(good), 20_000)
    for place in [*range(0, 40, 6), *range(len(good) - 40, len(good), 5), *places(size, 1, 15)]:
        path.write_bytes(good[:place] + bytes([good[place] ^ (1 << place % 8)]) + good[place + 1 :])
        try:
            catalogue = movies.open_catalogue(path)
            catalogue.films()
            catalogue.options()
            catalogue.connection.close()
        except (SourceError, movies.CatalogueError) as error:
            said.append(str(error))
    assert len(said) > 5
    assert not [sentence for sentence in said if "\n" in sentence or "Traceback" in sentence]


def test_a_million_films_with_a_flipped_byte_are_refused_in_words_too(tmp_path: Path) -> None:
    """Such files go another way (`core.bulk`), whose reader is Arrow's."""
    good = write_parquet(tmp_path / "good.parquet").read_bytes()
    path, said = tmp_path / "mine.parquet", list[str]()
    for place in places(len(good), 2, 40):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0xFF]) + good[place + 1 :])
        with duckdb.connect(config=movies.HARDENED) as connection:
            try:
                bulk.read(connection, path) if bulk.is_bulk(path, 1) else None
            except SourceError as error:
                said.append(str(error))
    assert said
    assert all("mine.parquet" in sentence for sentence in said)
