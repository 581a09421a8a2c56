"""What people bring becomes films: CSV, TSV, JSON, Parquet and DuckDB, in the shapes that public data sets have.

`reading` turns bytes into a table of texts, `shapes` proposes a `Mapping` that says what is what, `applying` follows it
and reports what it could not use, and `database` makes the `movies` table that the rest of the app reads. What comes
from a visitor goes through the first three only; SQL sees films that are already typed.
"""

from core.sources.applying import Films, Report, apply, shown, texts
from core.sources.columns import (
    COLUMNS,
    LIST_COLUMNS,
    SETTINGS,
    SQL_TYPES,
    TEXT_COLUMNS,
    UPLOAD_LIMITS,
    Limits,
    SourceError,
    limits,
)
from core.sources.database import BLANKS, Loaded, create, files, fingerprint, read, read_query, told
from core.sources.reading import ENCODINGS, Raw
from core.sources.reading import read as read_file
from core.sources.shapes import OWN, Mapping, frequent, recognise, suggest_synonyms, unmapped
from core.sources.table import Problem, Reading

__all__ = [
    "BLANKS",
    "COLUMNS",
    "ENCODINGS",
    "LIST_COLUMNS",
    "OWN",
    "SETTINGS",
    "SQL_TYPES",
    "TEXT_COLUMNS",
    "UPLOAD_LIMITS",
    "Films",
    "Limits",
    "Loaded",
    "Mapping",
    "Problem",
    "Raw",
    "Reading",
    "Report",
    "SourceError",
    "apply",
    "create",
    "files",
    "fingerprint",
    "frequent",
    "limits",
    "read",
    "read_file",
    "read_query",
    "recognise",
    "shown",
    "suggest_synonyms",
    "texts",
    "told",
    "unmapped",
]
