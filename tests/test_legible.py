import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.legible import HIDDEN, legible


@pytest.mark.parametrize(
    "text", ["", "Drama", "Film-Noir, Sci-Fi", "戦争 🎬", "Ärger", "<b>&amp;", "e\u0301", "👩🏽‍🚀", "می\u200cروم"]
)
def test_what_can_be_seen_stays(text: str) -> None:
    assert legible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b", "a‹U+0000›b"),
        ("evil\u202egpj.exe", "evil‹U+202E›gpj.exe"),
        ("in\u200bvisible", "in‹U+200B›visible"),
        ("ad\u00admin", "ad‹U+00AD›min"),
        ("\ufeffDrama", "‹U+FEFF›Drama"),
        ("a\u200db", "a‹U+200D›b"),  # joins nothing among Latin letters
        ("\u200d戦", "‹U+200D›戦"),
        ("x\ufffe\uffff", "x‹U+FFFE›‹U+FFFF›"),
        ("\ud800", "‹U+D800›"),
        ("\U000e0041", "‹U+E0041›"),
        ("\x1b[31m", "‹U+001B›[31m"),
        (" two\r\nlines\t\u2028of ", "two lines of"),
    ],
)
def test_what_cannot_be_seen_is_named(text: str, shown: str) -> None:
    assert legible(text) == shown


@given(st.text())
def test_nothing_hidden_is_left_but_joiners(text: str) -> None:
    shown = legible(text)
    assert {c for c in shown if unicodedata.category(c) in HIDDEN} <= {"\u200c", "\u200d"}
    assert "\n" not in shown
    assert legible(shown) == shown
