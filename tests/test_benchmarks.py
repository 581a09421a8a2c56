import pytest

from tests.benchmarks import report
from tests.benchmarks.report import Comparison, Row


def test_a_part_leaves_the_others_as_they_were() -> None:
    document = report.with_section("", "The app", "| a | 1 s |\n\nSaid of it.")
    document = report.with_section(document, "Encoders", "made then\n\n### Small\n\n| b |")
    again = report.with_section(document, "Clustering", "| c |")
    assert again.startswith(document)
    assert report.with_section(again, "The app", "| a | 2 s |") == again.replace(
        "| a | 1 s |\n\nSaid of it.", "| a | 2 s |"
    )
    assert report.with_section(again, "Clustering", "| c |") == again


def test_the_document_is_what_the_parts_write() -> None:
    document = report.DOCUMENT.read_text(encoding="utf-8")
    titles = [line[3:] for line in document.splitlines() if line.startswith("## ")]
    section = document.partition(f"## {titles[0]}\n\n")[2].partition("\n\n## ")[0]
    assert report.with_section(document, titles[0], section) == document


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (Row("Visit", 2.96, "s", 3), ("Visit", "3.0 s", "3.0 s", "yes")),
        (Row("Visit", 3.04, "s", 3), ("Visit", "3.0 s", "3.0 s", "no")),
        (Row("Memory", 400.2, "MB"), ("Memory", "400 MB", "", "")),
        (Comparison("Fit", 0.1, 0.9, times=8), ("Fit", "0.100 s", "0.9 s", "9x", "8x at least", "yes")),
        (Comparison("Fit", 0.1, 0.7, times=8), ("Fit", "0.100 s", "0.7 s", "7x", "8x at least", "no")),
        (
            Comparison("All", 5, 999, times=100, within=4),
            ("All", "5.000 s", "999.0 s", "200x", "100x at least, 4 s at most", "no"),
        ),
        (Comparison("All", 1, 2), ("All", "1.000 s", "2.0 s", "2x", "", "")),
    ],
)
def test_cells_and_bounds(row: Row | Comparison, cells: tuple[str, ...]) -> None:
    assert row.cells() == cells
    assert row.good == ("no" not in cells)
