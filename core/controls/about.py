"""What runs here, as facts: for the page About, and as text for a bug report.

No environment value, no whole path and no address is among them: what a visitor sends on names nothing of the machine.
"""

import platform
from dataclasses import dataclass
from importlib import metadata

import streamlit as st

from core import __version__, cache, devices, encoders
from core.checkpoints import megabytes
from core.controls.words import plain, unit
from core.movies import Catalogue
from core.recipes import Settings

LIBRARIES = ("streamlit", "duckdb", "numpy", "pyarrow", "pandas", "altair", "scikit-learn", "torch", "transformers")
NAMES = {"streamlit": "Streamlit", "duckdb": "DuckDB", "numpy": "NumPy", "torch": "PyTorch", "altair": "Altair"}


@dataclass(frozen=True)
class Fact:
    """A fact: its name, its value, and the value as a bug report has it where that says less."""

    name: str
    value: str
    reported: str | None = None


def facts(catalogue: Catalogue, settings: Settings) -> dict[str, list[Fact]]:
    """Return the facts by heading; their values are plain text, not Markdown."""
    return {
        "Versions": _versions(),
        "Catalogue": _catalogue(catalogue),
        "Encoder": _encoder(catalogue, settings),
        "Memory": _memory(),
        "Vector store": _store(),
    }


def _versions() -> list[Fact]:
    """Return the versions, read from what is installed: nothing is imported for it."""
    found = [
        Fact("Genrescope", __version__),
        Fact("Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}"),
    ]
    for name in LIBRARIES:
        try:
            found.append(Fact(NAMES.get(name, name), metadata.version(name)))
        except metadata.PackageNotFoundError:
            found.append(Fact(NAMES.get(name, name), "not installed"))
    return found


def _catalogue(catalogue: Catalogue) -> list[Fact]:
    own = "a file of the visitor's own"
    return [
        Fact("Name", catalogue.name, own if catalogue.private else None),
        Fact("Films", f"{catalogue.n_movies:,}"),
        Fact(f"{unit(catalogue).capitalize()}s", f"{len(set(catalogue.texts)):,}"),
        Fact("Fingerprint (SHA-256)", f"{catalogue.fingerprint[:12]}…", catalogue.fingerprint),  # whole, it is cut
    ]


def _encoder(catalogue: Catalogue, settings: Settings) -> list[Fact]:
    """Return which encoder is in use and what made its vectors, as these tell themselves."""
    encoder = encoders.get(settings.encoder)
    found = [Fact("In use", encoder.id), Fact("Text", settings.text)]
    if encoder.kind != "transformer":
        return [*found, Fact("Device", "none: no model is needed")]
    dtype = cache.dtype_at_hand(catalogue, settings)
    made = cache.store().facts(encoders.key(encoder, dtype, catalogue.owner)) if dtype else {}
    if encoder.repository:
        found += [Fact("Repository", encoder.repository), Fact("Revision", encoder.revision or "none")]
    unknown = "not known until something is encoded"
    return [
        *found,
        Fact("Device", made.get("device", unknown)),
        Fact("Number format", made.get("dtype", settings.dtype)),
        Fact("Why", made.get("reason", unknown)),
    ]


def _memory() -> list[Fact]:
    limit, pid = devices.memory_limit(), cache.worker().pid
    server, child = devices.resident_memory(), devices.resident_memory(pid) if pid else None
    idle = "not running: it starts with the first job and ends some minutes after the last"
    return [
        Fact("Web process", _size(server)),
        Fact("Encoding process", idle if pid is None else _size(child)),
        Fact("Limit", "not known" if limit is None else f"{megabytes(limit[0])}, set by the {limit[1]}"),
        Fact("CPU cores", str(devices.cpu_count())),
    ]


def _store() -> list[Fact]:
    store = cache.store()
    parts, size = store.size()
    return [Fact("Folder", store.root.name), Fact("Parts", f"{parts:,}"), Fact("Size", megabytes(size))]


def _size(n: int | None) -> str:
    return "not known" if n is None else megabytes(n)


def report(found: dict[str, list[Fact]]) -> str:
    """Return the facts as text for a bug report, a line each."""
    lines = ["Genrescope: facts for a bug report"]
    for heading, group in found.items():
        lines += ["", heading]
        lines += [f"  {fact.name}: {' '.join((fact.reported or fact.value).split())}" for fact in group]
    return "\n".join(lines) + "\n"


def show_about(catalogue: Catalogue, settings: Settings) -> None:
    """Draw the facts under their headings, and the button that hands them out as text."""
    found = facts(catalogue, settings)
    st.download_button(
        "These facts as text",
        data=report(found).encode(),
        file_name="genrescope-about.txt",
        mime="text/plain",
        on_click="ignore",
        icon=":material/download:",
        key="download_about",
    )
    st.caption(
        "For a bug report. It names no file of yours, no path, no setting and nobody. Say beside it what you did, what "
        "you expected and what happened."
    )
    for heading, group in found.items():
        st.subheader(heading)
        st.table({fact.name: plain(fact.value) for fact in group}, border="horizontal")
