"""Files shaped as the real ones are: what they are taken for, and the films they become."""

import dataclasses
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import movies, sources
from core.sources import Films, Limits, Mapping, SourceError

Film = dict[str, Any]

MOVIELENS = """movieId,title,genres
1,Toy Story (1995),Adventure|Animation|Children|Comedy|Fantasy
11,"American President, The (1995)",Comedy|Drama|Romance
69757,(500) Days of Summer (2009),Comedy|Drama|Romance
171495,Cosmos,(no genres listed)
6003,"Babylon 5 (1993–1998)",Sci-Fi
8,2001: A Space Odyssey (1968) ,Adventure|Sci-Fi
"""
IMDB = """tconst\ttitleType\tprimaryTitle\toriginalTitle\tisAdult\tstartYear\tendYear\truntimeMinutes\tgenres
tt0000009\tmovie\tMiss Jerry\tMiss Jerry\t0\t1894\t\\N\t45\tRomance
tt0073045\tmovie\t"Giliap"\t"Giliap"\t0\t1975\t\\N\t137\tCrime,Drama
tt0000001\tshort\tCarmencita\tCarmencita\t0\t1894\t\\N\t1\tDocumentary,Short
tt9999999\tmovie\tNA\tNA\t0\t\\N\t\\N\t\\N\t\\N
"""
METADATA = """adult,belongs_to_collection,budget,genres,id,imdb_id,original_title,overview,popularity,\
production_countries,release_date,revenue,runtime,spoken_languages,tagline,title,vote_average,vote_count
False,"{'id': 10194, 'name': 'Toy Story Collection'}",30000000,"[{'id': 16, 'name': 'Animation'}, \
{'id': 35, 'name': 'Comedy'}]",862,tt0114709,Toy Story,"Led by Woody, Andy's toys
live happily.",21.94,"[{'iso_3166_1': 'US', 'name': 'United States of America'}]",1995-10-30,373554033.0,81.0,\
"[{'iso_639_1': 'en', 'name': 'English'}]",,Toy Story,7.7,5415.0
False,,0,"[{'id': 18, 'name': 'Drama'}]",862,tt0114709,Again,x,1,[],1995-10-30,0,0.0,[],,Again,7.7,5
False,,0,[],2,,Nix,,1,[],,0,,[],,1984,0,1
"""
TMDB_5000 = """budget,genres,homepage,id,keywords,original_language,original_title,overview,popularity,release_date,\
revenue,runtime,status,tagline,title,vote_average,vote_count
237000000,"[{""id"": 28, ""name"": ""Action""}, {""id"": 878, ""name"": ""Science Fiction""}]",,19995,"[]",en,Avatar,\
In the 22nd century,150.4,2009-12-10,2787965087,162,Released,Enter,Avatar,7.2,11800
"""
NETFLIX = """show_id,type,title,director,cast,country,date_added,release_year,rating,duration,listed_in,description
s1,Movie,#Alive,Cho Il,"Yoo Ah-in, Park Shin-hye",South Korea,"September 8, 2020",2020,TV-MA,99 min,"Horror Movies, \
International Movies",As a grisly virus rampages a city.
s2,TV Show,Dark,,Louis Hofmann,Germany,"June 27, 2020",2020,TV-MA,3 Seasons,"Crime TV Shows",A missing child.
"""
WIKIPEDIA = json.dumps(
    [
        {"title": "Cinderella", "year": 1900, "cast": [], "genres": [], "href": None, "extract": "A short."},
        {
            **{"title": "Up", "year": 2009, "cast": ["Ed Asner, Jr.", "B"], "genres": ["Animated", "Comedy"]},
            **{"href": "Up", "extract": "x", "thumbnail": "https://x", "thumbnail_width": 10},
        },
    ]
)


def mapped(content: str | bytes, **changes: Any) -> tuple[Mapping, Films, list[Film]]:
    raw = sources.read_file("films", content if isinstance(content, bytes) else content.encode(), Limits())
    mapping = dataclasses.replace(sources.recognise(raw.table), **changes)
    films = sources.apply(raw, mapping)
    return mapping, films, films.table.to_pylist()


def column(films: list[Film], name: str) -> list[Any]:
    return [film[name] for film in films]


def test_movielens() -> None:
    mapping, films, rows = mapped(MOVIELENS)
    assert mapping.shape == "MovieLens movies"
    assert column(rows, "title") == [
        *("Toy Story", "American President, The", "(500) Days of Summer", "Cosmos", "Babylon 5"),
        "2001: A Space Odyssey",
    ]
    assert column(rows, "year") == [1995, 1995, 2009, None, 1993, 1968]
    assert column(rows, "movie_id")[:2] == ["1", "11"]
    assert rows[3]["genres"] == []
    assert (films.report.without_genres, films.report.unparsed_years, films.report.lists) == (1, 1, 4)
    assert [(p.row, p.column) for p in films.report.problems] == [(4, "year")]


def test_imdb() -> None:
    mapping, films, rows = mapped(IMDB)
    assert (mapping.shape, mapping.kinds) == ("IMDb title.basics", ("movie",))
    assert column(rows, "title") == ["Miss Jerry", '"Giliap"', "NA"]
    assert column(rows, "year") == [1894, 1975, None]
    assert column(rows, "runtime") == [45.0, 137.0, None]
    assert column(rows, "genres") == [["Romance"], ["Crime", "Drama"], []]
    assert (films.report.other_kind, films.report.problems) == (1, ())
    assert len(mapped(IMDB, kinds=())[2]) == 4
    assert column(mapped(IMDB, kinds=("short",))[2], "title") == ["Carmencita"]


def test_tmdb_metadata() -> None:
    mapping, films, rows = mapped(METADATA)
    assert (mapping.shape, films.texts) == ("TMDB movies", ("overview", "tagline"))
    assert column(rows, "title") == ["Toy Story", "1984"]
    one = rows[0]
    assert (one["genres"], one["languages"]) == (["Animation", "Comedy"], ["English"])
    assert (one["countries"], one["year"], one["runtime"]) == (["United States of America"], 1995, 81.0)
    assert (one["box_office"], one["reviews"]) == (373554033.0, 5415)
    assert one["overview"] == "Led by Woody, Andy's toys\nlive happily."
    assert str(one["released"]) == "1995-10-30"
    assert films.report.repeated == 1
    _, kept, rows = mapped(METADATA, keep_repeated=True)
    assert column(rows, "movie_id") == ["862", "862 (2)", "2"]
    assert (rows[1]["box_office"], rows[1]["runtime"]) == (None, None)  # 0 is not known
    assert kept.report.films == 3


def test_tmdb_5000() -> None:
    mapping, _, (film,) = mapped(TMDB_5000)
    assert mapping.shape == "TMDB movies"
    assert (film["genres"], film["languages"], film["year"]) == (["Action", "Science Fiction"], ["en"], 2009)


def test_netflix() -> None:
    mapping, films, (film,) = mapped(NETFLIX)
    assert (mapping.shape, films.texts) == ("Netflix titles", ("description",))
    assert (film["title"], film["genres"]) == ("#Alive", ["Horror Movies", "International Movies"])
    assert (film["runtime"], film["certificate"], film["year"]) == (99.0, "TV-MA", 2020)
    assert film["cast"] == ["Yoo Ah-in", "Park Shin-hye"]
    _, films, _ = mapped(NETFLIX, kinds=())
    assert [(p.row, p.column, p.value) for p in films.report.problems] == [(2, "runtime", "3 Seasons")]


def test_wikipedia() -> None:
    mapping, films, rows = mapped(WIKIPEDIA)
    assert (mapping.shape, films.texts) == ("Wikipedia movie data", ("extract",))
    assert column(rows, "genres") == [[], ["Animated", "Comedy"]]
    assert column(rows, "cast") == [[], ["Ed Asner, Jr.", "B"]]
    assert column(rows, "year") == [1900, 2009]


@pytest.mark.parametrize("mark", ["|", ";", ",", "/"])
def test_anything_with_a_title_and_genres(mark: str) -> None:
    cells = [["Drama", "War"], ["Comedy"], ["War"], ["Comedy", "Drama", "War"]]
    lines = "".join(f"Film {i}\t{1990 + i}\t{mark.join(cell)}\n" for i, cell in enumerate(cells))
    mapping, _, rows = mapped(f"Movie Name\tReleased Year\tGenre\n{lines}")
    assert column(rows, "genres") == cells
    assert column(rows, "year") == [1990, 1991, 1992, 1993]
    assert mark in mapping.delimiter
    # no name says so: the cells do
    _, _, rows = mapped(f"werk\tx\tsorte\n{lines}")
    assert column(rows, "genres") == cells
    assert column(rows, "title") == [f"Film {i}" for i in range(4)]


@pytest.mark.parametrize(
    "cell", ["\"['Drama', 'War']\"", '"[""Drama"", ""War""]"', "\"[{'id': 1, 'name': 'Drama'}, {'name': 'War'}]\""]
)
def test_lists_as_text(cell: str) -> None:
    assert mapped(f"title,genres\nA,{cell}\n")[2][0]["genres"] == ["Drama", "War"]


def test_what_cannot_be_read_is_told_with_row_and_column() -> None:
    content = (
        "title,genres,year,runtime,released,votes\n"
        'A,War,soon,90 min,1999-12-31,"1,234"\n,War,1995.0,long,31.12.1999,1.5\n'
        f'C,"[\'War",1995-10-01,1h 30m,"October 3, 1999",7\nD,{"x" * 81},12345,,,\n'
    )
    _, films, rows = mapped(content)
    assert column(rows, "year") == [None, 1995, 1995, None]
    assert column(rows, "title") == ["A", "", "C", "D"]
    found = [(p.row, p.column, p.value[:5]) for p in films.report.problems]
    assert set(found) == {(1, "year", "soon"), (4, "year", "12345"), (4, "genres", "xxxxx"), (2, "title", "")} | {
        (2, "runtime", "long"),
        (2, "released", "31.12"),
    }
    _, films, rows = mapped(content.replace("title,", "Film,"))
    assert column(rows, "runtime") == [90.0, None, 90.0, None]
    assert column(rows, "reviews") == [1234, None, 7, None]
    assert [str(day) for day in column(rows, "released")] == ["1999-12-31", "None", "1999-10-03", "None"]
    found = [(p.row, p.column) for p in films.report.problems]
    assert Counter(name for _, name in found) == dict(films.report.by_column)
    assert {(2, "runtime"), (2, "released"), (2, "reviews")} <= {*found}


def test_no_title_or_no_genres() -> None:
    raw = sources.read_file("films.csv", b"rank,colour\n1,2\n", Limits())
    with pytest.raises(SourceError, match=r"no column that looks like titles\. Its columns are: rank, colour"):
        sources.apply(raw, sources.recognise(raw.table))
    mapping = sources.recognise(raw.table).with_column("title", "rank").with_column("genres", "nowhere")
    with pytest.raises(SourceError, match="has no column named nowhere"):
        sources.apply(raw, mapping)


def test_nothing_is_merged_unless_the_mapping_says_so() -> None:
    content = "Film,Genre\nA,Sci-Fi|Drama\nB,Science Fiction\nC,drama\nD,sci-fi|Sci-Fi\nE,Sci-Fi\n"
    _, films, _ = mapped(content)
    assert films.genres == {"Sci-Fi": 3, "Drama": 1, "Science Fiction": 1, "drama": 1, "sci-fi": 1}
    pairs = sources.suggest_synonyms(films.genres)
    assert pairs == [("Drama", "drama"), ("Science Fiction", "Sci-Fi"), ("sci-fi", "Sci-Fi")]
    _, films, rows = mapped(content, synonyms=tuple(pairs))
    assert films.genres == {"Sci-Fi": 4, "drama": 2}
    assert rows[3]["genres"] == ["Sci-Fi"]


def test_our_own_files_come_to_the_same_through_both_doors(tmp_path: Path) -> None:
    """An upload of our own columns gives what a deployer's file gives."""
    path = tmp_path / "mine.parquet"
    pq.write_table(pq.read_table(movies.SHIPPED).slice(0, 3000), path)
    raw = sources.read_file("mine.parquet", path.read_bytes(), Limits())
    mapping = sources.recognise(raw.table)
    assert mapping.shape == sources.OWN
    films = sources.apply(raw, mapping)
    assert films.report.problems == ()
    uploaded, theirs = movies.open_films(films, "mine.parquet", "x"), movies.open_catalogue(path)
    assert uploaded.genre_lists == theirs.genre_lists == sources.texts(films)
    assert uploaded.columns == theirs.columns
    sql = "SELECT * FROM movies ORDER BY row_id"
    ours = [{k: row[k] for k in row if k != "year"} for row in uploaded._table(sql).to_pylist()]
    assert ours == [{k: row[k] for k in row if k != "year"} for row in theirs._table(sql).to_pylist()]


GENRE = st.text(st.characters(categories=["Lu", "Ll", "Nd"]), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    table=st.lists(
        st.tuples(st.text(st.characters(categories=["Lu", "Ll"]), max_size=9), st.lists(GENRE, max_size=4)),
        min_size=1,
        max_size=12,
    )
)
def test_genre_lists_are_those_of_plain_python(table: list[tuple[str, list[str]]]) -> None:
    content = json.dumps([{"title": title, "genres": genres, "rank": "x"} for title, genres in table])
    _, films, rows = mapped(content)
    assert column(rows, "genres") == [list(dict.fromkeys(genres)) for _, genres in table]
    plain = {", ".join(sorted({*genres})) for _, genres in table if genres}
    assert films.report.lists == len(plain)
    assert sources.texts(films) == tuple(sorted(plain))
    catalogue = movies.open_films(films, "x", "y")
    assert catalogue.genre_lists == tuple(sorted(plain))
    assert catalogue.counts().without_genres == films.report.without_genres == sum(not genres for _, genres in table)


@pytest.mark.skipif(not os.environ.get("GENRESCOPE_PUBLIC_FILES"), reason="needs a folder of public files")
def test_public_files() -> None:
    """Whatever lies in the folder is read without an error."""
    for path in sorted(Path(os.environ["GENRESCOPE_PUBLIC_FILES"]).iterdir()):
        raw = sources.read_file(path.name, path, Limits(), sources.Reading(leave_out_ragged=True))
        films = sources.apply(raw, sources.recognise(raw.table))
        assert films.report.films > 0
        assert films.report.lists > 1
