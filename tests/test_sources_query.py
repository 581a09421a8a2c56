"""A deployer's query instead of a file, and other shapes through every door."""

from pathlib import Path

import duckdb
import pytest

from core import movies, sources
from core.sources import SourceError

FILMS = "SELECT unnest(['A', 'B', 'B']) AS title, unnest([['War', 'Drama'], ['War'], NULL]) AS genres"


def test_the_rows_of_a_query() -> None:
    catalogue = movies.open_catalogue(query=f"{FILMS};")
    assert (catalogue.n_movies, catalogue.genre_lists) == (3, ("Drama, War", "War"))
    assert catalogue.fingerprint == movies.open_catalogue(query=FILMS).fingerprint
    assert catalogue.fingerprint != movies.open_catalogue(query=f"{FILMS} LIMIT 2").fingerprint
    with pytest.raises(movies.CatalogueError):
        catalogue._table("SELECT * FROM read_csv('README.md')")  # closed to the outside all the same


def test_a_query_in_another_shape_over_a_database(tmp_path: Path) -> None:
    path = tmp_path / "theirs.duckdb"
    with duckdb.connect(str(path)) as theirs:
        theirs.execute(
            "CREATE TABLE basics AS SELECT 'tt1' AS tconst, 'movie' AS titleType, 'X' AS primaryTitle, "
            "'1999' AS startYear, 'War,Drama' AS genres UNION ALL SELECT 'tt2', 'short', 'Y', '2000', 'War'"
        )
    before = path.read_bytes()
    catalogue = movies.open_catalogue(path, query="FROM basics")
    assert catalogue.films()[["movie_id", "title", "year"]].to_numpy().tolist() == [["tt1", "X", 1999]]
    assert catalogue.notes == (
        "The query was read as IMDb title.basics.",
        "Rows left out as they are of another kind: 1.",
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELEC 1", "cannot be answered"),
        ("FROM nowhere", "cannot be answered"),
        ("SELECT 1 AS a", "The query has no column that looks like titles"),
        ("SELECT 'A' AS title, 'War' AS genres, 'soon' AS year", "The query, row 1, column year: “soon”"),
    ],
)
def test_a_query_that_gives_no_films(query: str, words: str) -> None:
    with pytest.raises(SourceError, match=r"GENRESCOPE_QUERY|The query") as caught:
        movies.open_catalogue(query=query)
    assert words in str(caught.value)


def test_a_query_goes_with_no_other_file() -> None:
    with pytest.raises(SourceError, match=r"goes with a \.duckdb file or with none"):
        movies.open_catalogue(movies.SHIPPED, query=FILMS)


def test_a_path_in_another_shape(tmp_path: Path) -> None:
    path = tmp_path / "movies.csv"
    path.write_text("movieId,title,genres\n7,Toy Story (1995),Children's|War\n8,Nix (1999),(no genres listed)\n")
    catalogue = movies.open_catalogue(path)
    assert catalogue.films()[["movie_id", "title", "year"]].to_numpy().tolist() == [
        ["7", "Toy Story", 1995],
        ["8", "Nix", 1999],
    ]
    assert catalogue.genre_lists == ("Children's, War",)
    assert catalogue.counts().without_genres == 1
    assert catalogue.notes == ("movies.csv was read as MovieLens movies.",)
    assert catalogue.fingerprint == sources.fingerprint(path)
    assert not catalogue.private
