"""A visitor's own films: what a session holds of them, and how they go.

An upload belongs to one session. Its catalogue is a database of its own in memory, held by the session's state alone;
what is computed from it goes into caches of that session (`cache`) and into tasks under a key that nobody else has
(`Catalogue.key`). With the session, or at the press of a button, all of it goes. What stays is the vectors of its genre
lists, in the store that everyone shares: a text such as “Drama, War” is no secret, and nothing tells whose it was.
Vectors of other texts (titles, plots) are never written and go with the rest.
"""

import hashlib
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from core import movies, sources
from core.movies import Catalogue
from core.sources import Films, Mapping, Raw


@dataclass(eq=False)
class OwnFilms:
    """The films a visitor brought; `in_use` tells whether the pages show them or those of the server."""

    catalogue: Catalogue
    in_use: bool = True

    def let_go(self) -> None:
        """Close the database and have everything forgotten that is held elsewhere; a second time does nothing."""
        self._finalizer()

    def held(self, forget: Callable[[str, str], None]) -> "OwnFilms":
        """Return these films, let go of when nobody holds them any more; `forget` gets the catalogue's key and salt."""
        self._finalizer = weakref.finalize(self, _close, self.catalogue, forget)
        return self


def _close(catalogue: Catalogue, forget: Callable[[str, str], None]) -> None:
    forget(catalogue.key, catalogue.salt)
    catalogue.connection.close()


def fingerprint(raw: Raw, mapping: Mapping) -> str:
    """Return what tells these films from others: the file and every choice made with it (SHA-256, 64 hex digits)."""
    return hashlib.sha256(repr((raw.fingerprint, raw.reading, len(raw.table), mapping)).encode()).hexdigest()


def open_own(raw: Raw, mapping: Mapping, films: Films, forget: Callable[[str, str], None]) -> OwnFilms:
    """Return mapped films as a catalogue of this session. Raises SourceError."""
    return OwnFilms(movies.open_films(films, raw.name, fingerprint(raw, mapping))).held(forget)


def problem_with(films: Films, limits: sources.Limits) -> str | None:
    """Say why these films cannot be used, None if they can."""
    report = films.report
    if report.films == 0:
        return "No row is left to use. Choose other kinds of rows, or another file."
    if report.lists == 0:
        return "No film has a genre, so there is nothing to cluster. Choose another column for the genres."
    if limits.documents is not None and report.lists > limits.documents:
        return (
            f"These films have {report.lists:,} different genre lists, and this server encodes at most "
            f"{limits.documents:,} of an upload. Check the column and the delimiter of the genres, or bring fewer."
        )
    return None
