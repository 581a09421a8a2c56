"""Words that are safe to show."""

import re

MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>$:~^&])")


def plain(text: str) -> str:
    """Return a text in which no character means anything to Markdown: what people bring is shown as it is."""
    return MARKDOWN.sub(r"\\\1", text).replace("\n", " ")
