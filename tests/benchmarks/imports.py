"""What the web process imports before the first page, and what that costs (`python -X importtime`)."""

import subprocess
import sys
from collections import defaultdict

from tests.benchmarks import report

RUNS, SHOWN = 5, 10
WHAT = "from core import controls"
WHY = {
    "streamlit": "the pages",
    "pandas": "tables and charts' rows; Streamlit needs it too",
    "pyarrow": "films on their way from DuckDB, Parquet files; Streamlit needs it too",
    "duckdb": "the catalogue",
    "numpy": "k-means and every figure",
    "core": "our own modules",
    "altair": "Streamlit's charts",
}


def imported() -> tuple[dict[str, float], float]:
    """Return milliseconds by top-level package, modules of the standard library as one, and their sum."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", WHAT], capture_output=True, text=True, cwd=report.ROOT, check=True
    )
    spent: defaultdict[str, float] = defaultdict(float)
    for line in run.stderr.splitlines():
        itself, *_, name = line.removeprefix("import time:").split("|") if line.count("|") == 2 else ("", "")
        if itself.strip().isdigit():  # not the heading, not a warning
            top = name.strip().partition(".")[0]
            spent["the standard library" if top in sys.stdlib_module_names else top] += int(itself) / 1e3
    return spent, sum(spent.values())


def section() -> tuple[str, bool]:
    """Return the section of docs/benchmarks.md: the quickest of some runs, package by package."""
    spent, total = min((imported() for _ in range(RUNS)), key=lambda run: run[1])
    rows = [
        (name, f"{ms:.0f} ms", WHY.get(name, ""))
        for name, ms in sorted(spent.items(), key=lambda item: -item[1])[:SHOWN]
    ]
    rows.append(("everything", f"{total:.0f} ms", f"the quickest of {RUNS} runs"))
    made_by = report.made_by("imports", ("streamlit", "pandas", "pyarrow", "duckdb", "numpy"))
    table = report.table(("package", "its own modules take", "what for"), rows)
    heavy = {"torch", "transformers", "sklearn", "scipy"} & set(spent)
    never = "torch, transformers, scikit-learn and SciPy are not among them (tests/test_imports.py)."
    return f"{made_by}\n\n`{WHAT}`, with files in the system's cache. {never}\n\n{table}", not heavy
