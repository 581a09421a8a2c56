"""Every number that a page shows is explained: at its own head, and one click away under the page's glossary."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from core.controls import choice, glossary
from tests.app.conftest import BASELINE, ROOT, TITLES, Visit

pytestmark = pytest.mark.usefixtures("shipped", "stub_worker")
NAMES = {"A less B (95 % interval)": "A less B"}
QUERY = {"encoder": BASELINE, "k": "5", "most": "4", "q": "haunted comedy"}


def explained(visit: Visit) -> dict[str, str]:
    """What the glossary of the page says, by term."""
    (button,) = (
        block for block in visit.at.main.get("popover") if block.proto.popover.label == "What the numbers mean"
    )
    (table,) = button.get("table")
    return {str(row[0]): str(row[1]) for row in table.value.reset_index().to_numpy()}


def shown(visit: Visit) -> dict[str, str]:
    """The numbers that the page shows, figures and columns, and what the head of each says."""
    found = {metric.label: metric.proto.help for metric in visit.at.metric}
    for frame in visit.at.main.dataframe:
        for key, column in json.loads(frame.proto.columns or "{}").items():
            if (
                key in frame.value
                and column
                and (column.get("type_config", {}).get("type") == "number" or column.get("help"))
            ):
                found[column["label"]] = column.get("help") or ""
    return {NAMES.get(name, name): text for name, text in found.items()}


def complete(visit: Visit, page: str) -> Visit:
    """The page once all that takes its time is there."""
    last = {"compare_encoders": "two_maps", "choose": "descent"}.get(page)
    limit = time.monotonic() + 120
    while last and not any(getattr(node, "key", None) == last for node in visit.at._tree):
        assert time.monotonic() < limit
        time.sleep(0.2)
        visit.run()
    return visit


@pytest.mark.parametrize("page", [page for page in TITLES if page != "about"])
def test_every_number_of_a_page_is_explained(page: str) -> None:
    visit = complete(Visit(page, QUERY), page)
    said, numbers = explained(visit), shown(visit)
    assert said == {term: glossary.TERMS[term] for term in glossary.PAGES[page]}
    assert bool(numbers) == (page != "choose")
    unexplained = {name for name in numbers if name not in said}
    assert unexplained <= {"From tokens to vector"}  # a column of words
    assert not [name for name, text in numbers.items() if not text]


def test_every_figure_over_k_is_explained() -> None:
    assert {title for title, _, _ in choice.MEASURES.values()} == set(glossary.PAGES["choose"])


def test_every_term_is_one_of_a_page() -> None:
    assert {term for terms in glossary.PAGES.values() for term in terms} == set(glossary.TERMS)
    assert set(glossary.PAGES) == set(TITLES) - {"about"}


def test_the_guide_has_the_same_words() -> None:
    lines = (ROOT / "docs" / "guide" / "glossary.md").read_text().splitlines()
    rows: list[Any] = [re.fullmatch(r"\| \*\*(.+?)\*\* \| (.+) \|", line) for line in lines]
    assert {row[1]: row[2] for row in rows if row} == glossary.TERMS
    assert "glossary.md" in Path(ROOT / "docs" / "guide" / "README.md").read_text()
