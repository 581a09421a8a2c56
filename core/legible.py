"""Text that other people wrote, made fit for a file that is read by eye."""

import re
import unicodedata

# Control, format (bidirectional, zero-width), private, unassigned and line-separating characters.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Persian, Indic scripts and joined emoji are written with these between their characters; among Latin letters nobody
# needs them.
JOINERS = re.compile(r"(?<=[^\x00-\u02ff])[\u200c\u200d]+(?=[^\x00-\u02ff])")


def legible(text: str) -> str:
    """Return a text in one line in which every character can be seen: a hidden one is named, as in ‹U+202E›.

    What would turn the direction of a line, have no width, or is not allowed in XML thus cannot mislead a reader or
    break a file. It is not escaped for HTML.
    """
    line = " ".join(text.split())
    if line.isascii() and line.isprintable():
        return line
    kept = {place for joined in JOINERS.finditer(line) for place in range(*joined.span())}
    return "".join(
        f"‹U+{ord(character):04X}›" if i not in kept and unicodedata.category(character) in HIDDEN else character
        for i, character in enumerate(line)
    )
