"""What a table of films is: which of its columns holds what, how its genres are written, and which rows count.

`recognise` proposes a `Mapping` from the names of the columns and the first rows. It is a value: a person sees it,
changes it, and `applying.apply` follows it to the letter.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from core.sources import lists
from core.sources.columns import COLUMNS, REQUIRED, TEXT_NAMES

SAMPLE = 2000
OWN = "Genrescope"
# Names under which others keep what our columns hold, without blanks and marks, the likeliest first.
ALIASES: dict[str, tuple[str, ...]] = {
    "movie_id": (
        *("movieid", "tconst", "showid", "filmid", "imdbid", "imdbtitleid", "tmdbid", "titleid", "wikidataid", "id"),
        *("const", "imdb", "uid", "key"),
    ),
    "title": (
        *("title", "primarytitle", "movietitle", "filmtitle", "movie", "film", "name", "moviename", "filmname"),
        *("seriestitle", "showtitle", "originaltitle", "titel", "titre", "titulo", "titolo"),
    ),
    "year": (
        *("year", "startyear", "releaseyear", "releasedyear", "yearofrelease", "titleyear", "productionyear"),
        *("yearreleased", "jahr", "annee", "ano", "anno"),
    ),
    "genres": (
        *("genres", "genre", "listedin", "moviegenre", "moviegenres", "genrelist", "categories", "category"),
        *("genrenames", "subgenres", "kind", "tags", "gattung", "genero", "generos", "genere"),
    ),
    "runtime": (
        "runtime",
        "runtimeminutes",
        "runtimemin",
        "runtimemins",
        "duration",
        "durationmin",
        "length",
        "minutes",
    ),
    "certificate": ("certificate", "contentrating", "mpaarating", "mpaa", "certification", "agerating"),
    "released": ("released", "releasedate", "releasedon", "datepublished", "premiered"),
    "directors": ("directors", "director", "directedby", "directorname"),
    "writers": ("writers", "writer", "writtenby", "screenwriter", "screenwriters"),
    "cast": ("cast", "actors", "stars", "starring", "castnames"),
    "languages": ("languages", "language", "spokenlanguages", "originallanguage"),
    "countries": ("countries", "country", "productioncountries", "countryoforigin", "origin"),
    "tomatometer": ("tomatometer", "rottentomatoes", "tomatometerrating"),
    "metascore": ("metascore", "metacritic"),
    "reviews": ("reviews", "numvotes", "votecount", "votes", "noofvotes", "numberofvotes", "numreviews"),
    "box_office": ("boxoffice", "revenue", "gross", "worldwidegross", "boxofficeusd"),
    "oscars": ("oscars", "oscarswon", "academyawards"),
}


@dataclass(frozen=True)
class Mapping:
    """How a table becomes films; a frozen value that a person can edit (`dataclasses.replace`).

    shape: what the table was taken for. columns: pairs of our column and theirs. delimiter: the characters that part
    two genres, none if each cell is one genre; lists are read whatever it is. year_in_title: the title ends with its
    year in brackets. missing: texts that mean that nothing is known. no_genres: texts that mean that a film has none.
    kind_column, kinds: only rows whose cell in this column is one of these count (all, where kinds is empty).
    zero_missing: our columns in which 0 means that nothing is known. synonyms: pairs of a genre and what it becomes.
    keep_repeated: films whose id stood before are kept, under an id of their own. texts: columns of theirs with free
    text that are kept.
    """

    shape: str
    columns: tuple[tuple[str, str], ...]
    delimiter: str = ""
    year_in_title: bool = False
    missing: tuple[str, ...] = ()
    no_genres: tuple[str, ...] = ()
    kind_column: str | None = None
    kinds: tuple[str, ...] = ()
    zero_missing: tuple[str, ...] = ()
    synonyms: tuple[tuple[str, str], ...] = ()
    keep_repeated: bool = False
    texts: tuple[str, ...] = ()

    def theirs(self, column: str) -> str | None:
        """Return their column that holds one of ours, None if none does."""
        return dict(self.columns).get(column)

    def with_column(self, column: str, theirs: str | None) -> "Mapping":
        """Return the mapping with one of our columns taken from another of theirs, or from none."""
        found = {**dict(self.columns), column: theirs}
        return replace(self, columns=tuple((name, found[name]) for name in COLUMNS if found.get(name)))  # type: ignore[misc]


def recognise(table: pa.Table) -> Mapping:
    """Propose how a table of texts becomes films, from its names and first rows.

    What is not found is left out of the mapping, title and genres too: nothing is forced.
    """
    head = table.slice(0, SAMPLE)
    lower = {name.strip().lower(): name for name in head.column_names}
    names = set(lower)
    for shape, signs, make in _SHAPES:
        if signs <= names and (found := make(head, lower)) is not None:
            return replace(found, shape=shape, texts=_texts(head, found))
    found = _generic(head)
    return replace(found, texts=_texts(head, found))


def _by_alias(head: pa.Table, first: dict[str, str] | None = None) -> tuple[tuple[str, str], ...]:
    """Find our columns by the names that they go by; `first` names some of theirs in lower case beforehand."""
    by_name: dict[str, str] = {}
    for name in head.column_names:
        by_name.setdefault(_bare(name), name)
    found: dict[str, str] = {}
    for ours, theirs in (first or {}).items():
        found[ours] = by_name[_bare(theirs)]
    for ours, aliases in ALIASES.items():
        if ours not in found:
            name = next((by_name[alias] for alias in aliases if alias in by_name), None)
            if name is not None and (ours in found or name not in found.values()):
                found[ours] = name
    if "year" not in found and "released" in found:
        found["year"] = found["released"]
    return tuple((name, found[name]) for name in COLUMNS if name in found)


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _movielens(head: pa.Table, lower: dict[str, str]) -> Mapping:
    return Mapping("", _by_alias(head), "|", year_in_title=True, no_genres=("(no genres listed)",))


def _imdb(head: pa.Table, lower: dict[str, str]) -> Mapping:
    kind = lower.get("titletype")
    there = set(distinct(head, kind)) if kind else set()
    kinds = ("movie",) if "movie" in there else ()
    columns = _by_alias(head, {"title": "primaryTitle"})
    return Mapping("", columns, ",", missing=("\\N",), kind_column=kind, kinds=kinds)


def _tmdb(head: pa.Table, lower: dict[str, str]) -> Mapping | None:
    cells = distinct(head, lower["genres"])
    if not lower.keys() & {"vote_average", "popularity", "tagline", "budget"} or not cells:
        return None
    delimiter = "" if _mostly_lists(cells) else lists.find_delimiter(cells)
    first = {"title": "title", **({"movie_id": "id"} if "id" in lower else {})}
    return Mapping("", _by_alias(head, first), delimiter or ",", zero_missing=("runtime", "box_office"))


def _netflix(head: pa.Table, lower: dict[str, str]) -> Mapping:
    kind = lower.get("type")
    kinds = ("Movie",) if kind and "Movie" in distinct(head, kind) else ()
    first = {"certificate": "rating"} if "rating" in lower else {}
    return Mapping("", _by_alias(head, first), ",", kind_column=kind, kinds=kinds)


def _wikipedia(head: pa.Table, lower: dict[str, str]) -> Mapping | None:
    return Mapping("", _by_alias(head), ",") if lower.keys() & {"extract", "href", "thumbnail"} else None


def _own(head: pa.Table, lower: dict[str, str]) -> Mapping | None:
    """Our own columns under their own names; genres that are written in another way make it another shape."""
    cells = distinct(head, lower["genres"])
    if _mostly_lists(cells) or lists.find_delimiter(cells) == "/":
        return None
    return Mapping("", tuple((name, lower[name]) for name in COLUMNS if name in lower), "|;,")


_SHAPES = (
    ("IMDb title.basics", {"tconst", "primarytitle", "genres"}, _imdb),
    ("MovieLens movies", {"movieid", "title", "genres"}, _movielens),
    ("Netflix titles", {"show_id", "title", "listed_in"}, _netflix),
    ("TMDB movies", {"title", "genres", "release_date"}, _tmdb),
    ("Wikipedia movie data", {"title", "year", "cast", "genres"}, _wikipedia),
    (OWN, {"title", "genres"}, _own),
)
NAMES_OF_SHAPES = (*(shape for shape, *_ in _SHAPES), "Films with a title and genres")


def _generic(head: pa.Table) -> Mapping:
    """Anything with a title and a genre-like column: by names first, then by what the cells look like."""
    found = dict(_by_alias(head))
    if "genres" not in found and (genres := _genre_like(head, set(found.values()))) is not None:
        found["genres"] = genres
    if "title" not in found and (title := _title_like(head, set(found.values()))) is not None:
        found["title"] = title
    columns = tuple((name, found[name]) for name in COLUMNS if name in found)
    cells = distinct(head, found["genres"]) if "genres" in found else []
    in_title = "year" not in found and "title" in found and _years_in_titles(head, found["title"])
    missing = tuple(text for text in ("\\N",) if any(text in distinct(head, name) for name in head.column_names))
    return Mapping(
        NAMES_OF_SHAPES[-1],
        columns,
        lists.find_delimiter(cells),
        year_in_title=in_title,
        missing=missing,
        no_genres=tuple(text for text in ("(no genres listed)",) if text in cells),
    )


def distinct(table: pa.Table, column: str) -> list[str]:
    """Return the different texts of a column, without missing ones."""
    return [text for text in pc.unique(table[column]).to_pylist() if text is not None]


def frequent(table: pa.Table, column: str, most: int = 100) -> dict[str, int]:
    """Return the most frequent texts of a column with their rows, most rows first."""
    counted = pc.value_counts(table[column])
    pairs = zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True)
    ordered = sorted(((text, n) for text, n in pairs if text is not None), key=lambda pair: (-pair[1], pair[0]))
    return dict(ordered[:most])


def _mostly_lists(cells: Sequence[str]) -> bool:
    return sum(map(lists.looks_like_list, cells)) > len(cells) / 2


def _years_in_titles(head: pa.Table, title: str) -> bool:
    cells = distinct(head, title)
    return sum(bool(re.search(r"\(\d{4}\)\s*$", cell)) for cell in cells) > len(cells) / 2


def _genre_like(head: pa.Table, taken: set[str]) -> str | None:
    """Return the column whose cells are made of few short words that come again and again."""
    best, best_score = None, 0.0
    for name in head.column_names:
        cells = [cell for cell in head[name].to_pylist() if cell is not None]
        if name in taken or len(cells) < 3 or max(map(len, cells)) > 400:
            continue
        parted = [lists.items(cell, lists.find_delimiter(distinct(head, name))) or [] for cell in cells]
        words = Counter(word for part in parted for word in part)
        short = [word for word in words if 2 < len(word) <= 30 and not any(c.isdigit() for c in word)]
        if not words or len(short) < 0.8 * len(words) or len(words) < 2:
            continue
        several = sum(len(part) > 1 for part in parted) / len(parted)
        again = 1 - len(words) / words.total()
        score = again * (0.3 + several)
        if again > 0.3 and several > 0.1 and score > best_score:
            best, best_score = name, score
    return best


def _title_like(head: pa.Table, taken: set[str]) -> str | None:
    """Return the text column whose cells differ most and are as short as titles."""
    best, best_score = None, 0.5
    for name in head.column_names:
        cells = [cell for cell in head[name].to_pylist() if cell is not None]
        if name in taken or not cells:
            continue
        letters = sum(any(c.isalpha() for c in cell) for cell in cells) / len(cells)
        short = sum(len(cell) <= 120 for cell in cells) / len(cells)
        score = len({*cells}) / len(head) * letters * short
        if score > best_score:
            best, best_score = name, score
    return best


def _texts(head: pa.Table, mapping: Mapping) -> tuple[str, ...]:
    """Return their columns of free text, by name."""
    taken = {theirs for _, theirs in mapping.columns}
    return tuple(name for name in head.column_names if _bare(name) in TEXT_NAMES and name not in taken)


# Genres that are called differently by different people, without blanks and marks.
SAME = (
    ("Science Fiction", ("scifi", "sf", "sciencefiction", "sciencefictionfilm")),
    ("Biography", ("biography", "biographical", "biopic", "biographicalfilm")),
    ("Animation", ("animation", "animated", "animatedfilm")),
    ("Documentary", ("documentary", "documentaries", "documentaryfilm")),
    ("Comedy", ("comedy", "comedies", "comedyfilm")),
    ("Drama", ("drama", "dramas", "dramafilm")),
    ("Thriller", ("thriller", "thrillers", "thrillerfilm")),
    ("Western", ("western", "westerns", "westernfilm")),
    ("Musical", ("musical", "musicals", "musicalfilm")),
    ("Children", ("children", "childrens", "kids")),
    ("Sport", ("sport", "sports", "sportsfilm")),
    ("Romance", ("romance", "romantic", "romancefilm")),
)


def suggest_synonyms(genres: dict[str, int]) -> list[tuple[str, str]]:
    """Return pairs of a genre and one that seems to mean the same and that more films have; genres has films of each.

    Only case, blanks and marks, and a short table of names (`SAME`) are looked at. Nothing follows from it by itself.
    """
    table = {bare: name for name, bares in SAME for bare in bares}
    groups: dict[str, list[str]] = {}
    for genre in genres:
        bare = _bare(genre)
        groups.setdefault(table.get(bare, bare), []).append(genre)
    pairs = []
    for alike in groups.values():
        best = max(alike, key=lambda genre: (genres[genre], genre))
        pairs += [(genre, best) for genre in sorted(alike) if genre != best]
    return sorted(pairs)


def unmapped(mapping: Mapping) -> tuple[str, ...]:
    """Return which of the columns that every film needs the mapping does not name."""
    return tuple(name for name in REQUIRED if mapping.theirs(name) is None)
