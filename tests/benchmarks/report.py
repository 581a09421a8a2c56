"""The tables of docs/benchmarks.md: each part in a section of its own, which says when and where it was made."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
INTRODUCTION = """# Benchmarks

`make bench` measures everything; `python -m tests.benchmarks app`, `clustering`, `encoding`, `encoders`, `scale`,
`large`, `text`, `imports` or `load` measures one part and leaves the others' sections as they are. Bounds that were not
kept are shown as such.
"""


@dataclass(frozen=True)
class Row:
    """A line of the table: what was measured, and the bound it is held against, if it has one."""

    what: str
    value: float
    unit: str
    bound: float | None = None

    @property
    def good(self) -> bool:
        return self.bound is None or self.value < self.bound

    def cells(self) -> tuple[str, str, str, str]:
        digits = 1 if self.unit == "s" else 0
        if self.bound is None:
            return self.what, f"{self.value:.{digits}f} {self.unit}", "", ""
        kept = "yes" if self.good else "no"
        return self.what, f"{self.value:.{digits}f} {self.unit}", f"{self.bound:.{digits}f} {self.unit}", kept


@dataclass(frozen=True)
class Comparison:
    """The same work done here and by scikit-learn, in seconds, and the bounds it is held against, if any.

    times: how many times faster it has to be; within: the seconds it has to take at most.
    """

    what: str
    ours: float
    theirs: float
    times: float | None = None
    within: float | None = None

    @property
    def good(self) -> bool:
        fast = self.times is None or self.theirs / self.ours >= self.times
        return fast and (self.within is None or self.ours < self.within)

    def cells(self) -> tuple[str, ...]:
        bounds = [f"{self.times:.0f}x at least"] if self.times else []
        bounds += [f"{self.within:.0f} s at most"] if self.within else []
        kept = ("yes" if self.good else "no") if bounds else ""
        times = f"{self.theirs / self.ours:.0f}x"
        return self.what, f"{self.ours:.3f} s", f"{self.theirs:.1f} s", times, ", ".join(bounds), kept


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |".replace("| --- ", "|---").replace("--- |", "---|") for cells in lines)


def gather(found: Iterable[Row]) -> list[Row]:
    """Return the rows, and tell each on standard error as soon as it is measured."""
    rows = []
    for row in found:
        rows.append(row)
        print(" | ".join(row.cells()), file=sys.stderr, flush=True)
    return rows


def bounds(rows: Iterable[Row]) -> str:
    """Return a table of what was measured and the bounds it is held against."""
    return table(("what", "measured", "at most", "kept"), [row.cells() for row in rows])


def made_by(part: str, packages: tuple[str, ...]) -> str:
    """Say with what command, when, from what and on what machine a section was made."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"Made by `python -m tests.benchmarks {part}` on {time.strftime('%Y-%m-%d')}, at commit "
        f"{commit.strip() or 'unknown'}, on {os.cpu_count()} cores\n({platform.machine()}, {platform.system()}), "
        f"Python {platform.python_version()}, {versions}."
    )


def with_section(document: str, title: str, body: str) -> str:
    """Return the document with the section of this title written anew, or added at the end; the rest stays."""
    _, *sections = document.split("\n## ")
    kept = {section.partition("\n")[0]: section.partition("\n")[2].strip() for section in sections}
    kept[title] = body.strip()
    return "\n".join([INTRODUCTION, *(f"## {name}\n\n{text}\n" for name, text in kept.items())])


def write(title: str, body: str) -> None:
    """Write a section of docs/benchmarks.md."""
    document = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    DOCUMENT.write_text(with_section(document, title, body), encoding="utf-8")
