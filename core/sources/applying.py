"""A table of texts and a mapping become films, and a report of everything that was understood and what was not.

Every different cell is looked at once: 200,000 films have some thousand different genre cells and years.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from core.sources import lists, values
from core.sources.columns import (
    COLUMNS,
    DATE_COLUMNS,
    LIST_COLUMNS,
    NUMBER_COLUMNS,
    WHOLE_COLUMNS,
    SourceError,
)
from core.sources.reading import Raw
from core.sources.shapes import Mapping, unmapped
from core.sources.table import Problem

PEOPLE = "|;,"  # what parts two values of the other columns that hold lists
LONGEST_GENRE = 80
NAMED = 200  # problems of one kind that are named; all are counted
ARROW_TYPES = {
    **dict.fromkeys(LIST_COLUMNS, pa.list_(pa.string())),
    **dict.fromkeys(WHOLE_COLUMNS, pa.int32()),
    **dict.fromkeys(NUMBER_COLUMNS, pa.float64()),
    **dict.fromkeys(DATE_COLUMNS, pa.date32()),
}
PARSERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "year": (values.year, "not a year; left empty"),
    **dict.fromkeys(set(WHOLE_COLUMNS) - {"year"}, (values.whole, "not a whole number; left empty")),
    **dict.fromkeys(NUMBER_COLUMNS, (values.number, "not a number; left empty")),
    **dict.fromkeys(DATE_COLUMNS, (values.day, "not a date; left empty")),
}


@dataclass(frozen=True)
class Report:
    """What became of a file's rows; every count is of rows. The rows of `lists` are different genre lists.

    rows: of the file. cut: after the last row that is read. ragged: left out as their cells do not fit the columns.
    other_kind: left out by the mapping's kinds. repeated: their id stood before (left out, unless the mapping keeps
    them). films: what is left. by_column: cells that could not be read, by our column.
    """

    rows: int
    cut: int
    ragged: int
    other_kind: int
    repeated: int
    repeated_kept: bool
    films: int
    lists: int
    without_genres: int
    without_title: int
    without_year: int
    unparsed_years: int
    by_column: tuple[tuple[str, int], ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, eq=False)
class Films:
    """Films with our columns, and `texts`, columns of free text beside them. genres: the films of each genre."""

    table: pa.Table
    columns: frozenset[str]
    texts: tuple[str, ...]
    genres: dict[str, int]
    report: Report


class _Notes:
    """The problems met so far: a few of each kind with their place, and how many there are."""

    def __init__(self, problems: Sequence[Problem] = ()) -> None:
        self.problems = list(problems)
        self.counts: dict[str, int] = {}

    def add(self, column: str, rows: pa.Array, cells: pa.Array, what: str) -> None:
        """Note cells that could not be used; rows are their numbers in the file."""
        self.counts[column] = self.counts.get(column, 0) + len(rows)
        first = zip(rows.slice(0, NAMED).to_pylist(), cells.slice(0, NAMED).to_pylist(), strict=True)
        self.problems += [Problem(row, column, shown(cell)[:60], what) for row, cell in first]


def shown(cell: str) -> str:
    """Return a cell as it is shown: the items of a list beside each other."""
    return " | ".join(filter(None, cell.split(lists.ITEM))) if lists.ITEM in cell else cell


def apply(raw: Raw, mapping: Mapping) -> Films:
    """Turn a table of texts into films by a mapping. Raises SourceError where it names no title or no genres.

    Rows keep their order. What cannot be read is left empty and told of in the report.
    """
    _check(raw, mapping)
    notes = _Notes(raw.problems)
    table = raw.table.append_column("\0row", pa.array(range(1, len(raw.table) + 1), pa.int64()))
    table, other_kind = _of_kind(table, mapping)
    table = table.combine_chunks()
    table, ids, repeated = _identified(table, mapping, notes)
    rows = table["\0row"].combine_chunks()
    made: dict[str, pa.Array] = {"movie_id": ids}
    made["title"], in_title = _titles(table, mapping)
    for name in COLUMNS[2:]:
        theirs = mapping.theirs(name)
        if theirs is not None:
            made[name] = _column(name, _cells(table, theirs, mapping), mapping, rows, notes)
    if in_title is not None and mapping.theirs("year") is None:
        made["year"] = in_title
    texts, extra = _texts(table, mapping)
    films = pa.table({**{name: made.get(name, _nothing(name, len(table))) for name in COLUMNS}, **extra})
    genres, n_lists = _genres(made["genres"])
    report = _report(raw, mapping, films, notes, other_kind, repeated, n_lists, table, in_title)
    columns = frozenset(name for name in made if name != "movie_id" or mapping.theirs("movie_id"))
    return Films(films, columns, texts, genres, report)


def _check(raw: Raw, mapping: Mapping) -> None:
    there = set(raw.table.column_names)
    named = ", ".join(raw.table.column_names[:40])
    for name in unmapped(mapping):
        what = {"title": "titles", "genres": "genres"}[name]
        raise SourceError(f"{raw.name} has no column that looks like {what}. Its columns are: {named}.")
    used = [theirs for _, theirs in mapping.columns] + [*filter(None, [mapping.kind_column]), *mapping.texts]
    for theirs in used:
        if theirs not in there:
            raise SourceError(f"{raw.name} has no column named {theirs}. Its columns are: {named}.")


def _cells(table: pa.Table, column: str, mapping: Mapping) -> pa.Array:
    """Return a column with NULL wherever its text says that nothing is known."""
    cells = table[column].combine_chunks()
    if isinstance(cells, pa.ChunkedArray):
        cells = pa.concat_arrays(cells.chunks) if cells.num_chunks else pa.array([], pa.string())
    if mapping.missing:
        cells = pc.if_else(pc.is_in(cells, pa.array(mapping.missing)), pa.scalar(None, pa.string()), cells)
    return cells


def _of_kind(table: pa.Table, mapping: Mapping) -> tuple[pa.Table, int]:
    if not mapping.kind_column or not mapping.kinds:
        return table, 0
    kept = table.filter(pc.is_in(table[mapping.kind_column], pa.array(mapping.kinds)))
    return kept, len(table) - len(kept)


def _identified(table: pa.Table, mapping: Mapping, notes: _Notes) -> tuple[pa.Table, pa.Array, int]:
    """Return the rows that count, their ids, and how many rows had an id that stood before."""
    rows = table["\0row"].combine_chunks()
    theirs = mapping.theirs("movie_id")
    numbers = rows.cast(pa.string())
    if theirs is None:
        return table, numbers, 0
    cells = _cells(table, theirs, mapping)
    ids = pc.coalesce(cells, numbers)
    seen: dict[str, int] = {}
    again = []
    made = ids.to_pylist()
    if len(pc.unique(ids)) == len(ids):
        return table, ids, 0
    taken = set(made)
    for i, movie_id in enumerate(made):
        n = seen[movie_id] = seen.get(movie_id, 0) + 1
        if n > 1:
            again.append(i)
            while mapping.keep_repeated and made[i] in taken:
                made[i] = f"{movie_id} ({n})"
                n += 1
            taken.add(made[i])
    which = pa.array(again, pa.int64())
    what = "this id stood before; kept under another" if mapping.keep_repeated else "this id stood before; left out"
    notes.add("movie_id", rows.take(which), ids.take(which), what)
    if mapping.keep_repeated:
        return table, pa.array(made, pa.string()), len(again)
    first = [True] * len(made)
    for i in again:
        first[i] = False
    kept = pa.array(first)
    return table.filter(kept), ids.filter(kept), len(again)


def _titles(table: pa.Table, mapping: Mapping) -> tuple[pa.Array, pa.Array | None]:
    """Return titles, and the years that stand in them if the mapping says that they do."""
    theirs = mapping.theirs("title")
    assert theirs is not None
    titles = pc.fill_null(_cells(table, theirs, mapping), "")
    if not mapping.year_in_title:
        return titles, None
    parted = [values.year_of_title(title) for title in titles.to_pylist()]
    return pa.array([title for title, _ in parted], pa.string()), pa.array([year for _, year in parted], pa.int32())


def _column(name: str, cells: pa.Array, mapping: Mapping, rows: pa.Array, notes: _Notes) -> pa.Array:
    """Return one of our columns, made from the different cells of theirs."""
    if name not in ARROW_TYPES:
        return cells
    coded = cells.dictionary_encode()
    different = coded.dictionary.to_pylist()
    made: list[Any]
    if name == "genres":
        made, bad, what = _genre_lists(different, mapping)
    elif name in LIST_COLUMNS:
        made = [lists.items(cell, "" if lists.is_list(cell) else PEOPLE) for cell in different]
        bad, what = [value is None for value in made], "not a list; left empty"
    else:
        parser, what = PARSERS[name]
        made = [parser(cell) if cell.strip() else None for cell in different]
        bad = [value is None and bool(cell.strip()) for value, cell in zip(made, different, strict=True)]
        if name in mapping.zero_missing:
            made = [value or None for value in made]
    if any(bad):
        wrong = pc.fill_null(pa.array(bad).take(coded.indices), False)
        notes.add(name, rows.filter(wrong), cells.filter(wrong), what)
    found = pa.array(made, ARROW_TYPES[name]).take(coded.indices)
    if name in LIST_COLUMNS:
        found = pc.if_else(pc.is_null(found), pa.scalar([], ARROW_TYPES[name]), found)
    return found


def _genre_lists(cells: Sequence[str], mapping: Mapping) -> tuple[list[list[str]], list[bool], str]:
    """Return the genres of each different cell, and whether it could be read."""
    synonyms, none = dict(mapping.synonyms), {*mapping.no_genres}
    made, bad = [], []
    for cell in cells:
        found = [] if cell.strip() in none else lists.items(cell, mapping.delimiter or ",")
        wrong = found is None or any(len(genre) > LONGEST_GENRE for genre in found)
        bad.append(wrong)
        genres = [] if wrong else [genre for genre in found or () if genre not in none]
        made.append([*dict.fromkeys(synonyms.get(genre, genre) for genre in genres)])
    return made, bad, f"no list of genres of up to {LONGEST_GENRE} characters; the film has no genres"


def _texts(table: pa.Table, mapping: Mapping) -> tuple[tuple[str, ...], dict[str, pa.Array]]:
    """Return the columns of free text under names that none of ours has."""
    found = {}
    for theirs in mapping.texts:
        name = theirs.lower()
        if name not in COLUMNS and name not in found:
            found[name] = _cells(table, theirs, mapping)
    return tuple(found), found


def _nothing(name: str, n: int) -> pa.Array:
    if name in LIST_COLUMNS:
        return pa.array([[]] * n, ARROW_TYPES[name])
    return pa.nulls(n, ARROW_TYPES.get(name, pa.string()))


def _genres(column: pa.Array) -> tuple[dict[str, int], int]:
    """Return the films of each genre, most films first, and the number of different lists."""
    flat = pc.value_counts(column.flatten())
    counted = dict(zip(flat.field(0).to_pylist(), flat.field(1).to_pylist(), strict=True))
    joined = pc.unique(pc.binary_join(column, lists.ITEM)).to_pylist()
    different = {tuple(sorted({*text.split(lists.ITEM)})) for text in joined if text}
    return dict(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))), len(different)


def texts(films: Films) -> tuple[str, ...]:
    """Return the different genre lists of films as they are encoded, in alphabetical order."""
    column = films.table["genres"].combine_chunks()
    joined = pc.unique(pc.binary_join(column, lists.ITEM)).to_pylist()
    return tuple(sorted({", ".join(sorted({*text.split(lists.ITEM)})) for text in joined if text}))


def _report(
    raw: Raw,
    mapping: Mapping,
    films: pa.Table,
    notes: _Notes,
    other_kind: int,
    repeated: int,
    n_lists: int,
    table: pa.Table,
    in_title: pa.Array | None,
) -> Report:
    empty = pc.equal(films["title"], "")
    rows = table["\0row"].combine_chunks()
    if pc.any(empty).as_py():
        which = rows.filter(empty.combine_chunks())
        notes.add("title", which, pa.array([""] * len(which)), "no title; kept with an empty one")
    if in_title is not None and mapping.theirs("year") is None and in_title.null_count:
        lacking = in_title.is_null()
        notes.add("year", rows.filter(lacking), films["title"].combine_chunks().filter(lacking), "no year in the title")
    return Report(
        rows=raw.n_rows,
        cut=raw.n_rows - raw.n_ragged - len(raw.table),
        ragged=raw.n_ragged,
        other_kind=other_kind,
        repeated=repeated,
        repeated_kept=mapping.keep_repeated,
        films=len(films),
        lists=n_lists,
        without_genres=int(pc.sum(pc.equal(pc.list_value_length(films["genres"]), 0)).as_py() or 0),
        without_title=int(pc.sum(empty).as_py() or 0),
        without_year=films["year"].null_count,
        unparsed_years=notes.counts.get("year", 0),
        by_column=tuple((name, n) for name, n in notes.counts.items()),
        problems=tuple(notes.problems),
    )
