"""The mutants of a module: each is one change, none touches types or words, and all of them can be parsed."""

import ast
from pathlib import Path

import pytest

from tests.mutation.mutants import mutants

ROOT = Path(__file__).resolve().parents[1]


def changed(code: str) -> set[str]:
    return {mutant.source for mutant in mutants(code)}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("a = b < c", {"a = b <= c"}),
        ("a = b + 1", {"a = b - 1", "a = b + 2"}),
        ("a = 0.5", {"a = 1.0"}),
        ("a = b and (not c)", {"a = b or not c", "a = b and c"}),
        ("a = f(b, axis=c)", {"a = f(b)"}),
        ("f(a)", {"pass"}),
        ("a += b", {"a -= b"}),
        ("if a:\n    b = c", {"if not a:\n    b = c"}),
        ("for a in b:\n    break", {"for a in b:\n    continue"}),
    ],
)
def test_what_a_mutant_is(code: str, expected: set[str]) -> None:
    assert changed(code) == expected


@pytest.mark.parametrize(
    "code", ['"""Words."""', "a: int | None = None", "def f(a: int | str) -> int | None:\n    return a", "a = 'words'"]
)
def test_types_and_words_stay(code: str) -> None:
    assert changed(code) == set()


def test_each_mutant_of_a_module_is_another_module() -> None:
    source = (ROOT / "core" / "threads.py").read_text()
    found = list(mutants(source))
    assert len(found) >= 10
    assert len({mutant.name for mutant in found}) == len({mutant.source for mutant in found}) == len(found)
    for mutant in found:
        ast.parse(mutant.source)
        assert mutant.source != ast.unparse(ast.parse(source))
