"""Words that are safe to show."""

import re

from core.charts import MOST_GENRES
from core.legible import legible
from core.movies import GENRES, Catalogue

MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>$:~^&])")
# What the browser looks for again after the Markdown is read, where no backslash helps: icons, addresses, arrows.
LIVE = re.compile(r":(?=\S)|@(?=\S)|www(?=\.)|[-<>~=](?=[-<>=])", re.IGNORECASE)
WORD_JOINER = "\u2060"  # has no width


def plain(text: str) -> str:
    """Return a text in which no character means anything to Markdown: what people bring is shown as it is.

    Hidden characters, which could turn the line around or pass for nothing, are shown by name (`legible`).
    """
    return MARKDOWN.sub(r"\\\1", LIVE.sub(rf"\g<0>{WORD_JOINER}", legible(text)))


def unit(catalogue: Catalogue) -> str:
    """Return what a document of the catalogue is called: a genre list, or a text where others are encoded."""
    return "genre list" if catalogue.text == GENRES else "text"


def different(catalogue: Catalogue) -> str:
    """Say how many different texts there are to encode."""
    return f"{len(set(catalogue.texts)):,} different {unit(catalogue)}s"


def counted(n: int, noun: str) -> str:
    """Return a number with its noun, which takes an s unless there is one."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def genres_drawn(n: int) -> str:
    """Say which genres a chart draws, empty where it draws all n."""
    return f" Drawn are the {MOST_GENRES} most frequent of {n:,} genres." if n > MOST_GENRES else ""


def these(n: int, noun: str) -> str:
    """Return what is meant by a button that is about a number of things: “This film”, “These 12 films”."""
    return f"This {noun}" if n == 1 else f"These {counted(n, noun)}"
