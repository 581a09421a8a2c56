"""The columns of the movies table, the limits of what is read, and the one error of this package."""

from collections.abc import Callable
from dataclasses import dataclass

TEXT_COLUMNS = ("movie_id", "title", "certificate")
LIST_COLUMNS = ("genres", "directors", "writers", "cast", "languages", "countries")
WHOLE_COLUMNS = ("year", "tomatometer", "metascore", "reviews", "oscars")
NUMBER_COLUMNS = ("runtime", "box_office")
DATE_COLUMNS = ("released",)
SQL_TYPES = {
    **dict.fromkeys(TEXT_COLUMNS, "VARCHAR"),
    **dict.fromkeys(LIST_COLUMNS, "VARCHAR[]"),
    **dict.fromkeys(WHOLE_COLUMNS, "INTEGER"),
    **dict.fromkeys(NUMBER_COLUMNS, "DOUBLE"),
    **dict.fromkeys(DATE_COLUMNS, "DATE"),
}
COLUMNS = (
    *("movie_id", "title", "year", "genres", "runtime", "certificate", "released", "directors", "writers"),
    *("cast", "languages", "countries", "tomatometer", "metascore", "reviews", "box_office", "oscars"),
)
REQUIRED = ("title", "genres")
# Names of columns that hold free text of a film. They are kept beside ours.
TEXT_NAMES = ("overview", "plot", "description", "extract", "synopsis", "summary", "storyline", "tagline", "keywords")
MEGABYTE = 1_000_000


class SourceError(ValueError):
    """A catalogue that cannot be used; the text is a plain sentence fit to be shown."""


@dataclass(frozen=True)
class Limits:
    """How much is read at most; None is no limit. Deployers set them, see `SETTINGS`.

    megabytes: of an upload, packed and unpacked. rows: of an upload. cell: characters. documents: different texts
    that an upload may give to encode.
    """

    megabytes: int | None = None
    rows: int | None = None
    cell: int = 100_000
    documents: int | None = None


UPLOAD_LIMITS = Limits(megabytes=100, rows=200_000, documents=20_000)
SETTINGS = {
    "megabytes": "GENRESCOPE_MAX_UPLOAD_MB",
    "rows": "GENRESCOPE_MAX_ROWS",
    "cell": "GENRESCOPE_MAX_CELL",
    "documents": "GENRESCOPE_MAX_DOCUMENTS",
}


def limits(setting: Callable[[str], str | None], otherwise: Limits) -> Limits:
    """Return the limits that the deployer's settings name, others as they are. Raises SourceError for a bad one."""
    found = {}
    for field, name in SETTINGS.items():
        value = setting(name)
        if value is None:
            continue
        if not value.strip().isdecimal() or not 0 < int(value) < 10**12:
            raise SourceError(f"The setting {name} is “{value[:40]}”, and must be a whole number above 0.")
        found[field] = int(value)
    return Limits(**{**vars(otherwise), **found})
