"""One cell of text becomes a year, a number or a date; None where it is not one."""

import re
from datetime import date, datetime

YEAR = re.compile(r"(?<!\d)(1[89]\d\d|20\d\d)(?!\d)")
YEAR_IN_TITLE = re.compile(r"\s*\((?:[IVX]+\)\s*\()?((?:18|19|20)\d\d)(?:\s*[-\u2013]\s*(?:\d{2,4})?)?\)\s*$")
NUMBER = re.compile(
    r"[$€£]?\s*([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|[-+]?\.\d+)\s*(?:%|min\.?|mins\.?|minutes?|m)?", re.I
)
GROUPED = re.compile(r"[$€£]?\s*[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
HOURS = re.compile(r"(\d{1,2})\s*(?:h|hr|hrs|hours?)\.?\s*(?:(\d{1,2})\s*(?:m|min|mins|minutes?)?\.?)?", re.I)
DATES = ("%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y", "%d-%b-%Y", "%Y/%m/%d", "%Y%m%d")
LARGEST = 2**31


def year(cell: str) -> int | None:
    """Return the only year of 1800 to 2099 that a cell names: 1995, 1995.0, 1995-10-30, October 1995."""
    found = {*YEAR.findall(re.sub(r"\.0+$", "", cell.strip()))}
    return int(found.pop()) if len(found) == 1 else None


def year_of_title(title: str) -> tuple[str, int | None]:
    """Return a title without the year in brackets at its end, and that year: of several years the first."""
    match = YEAR_IN_TITLE.search(title)
    if match is None or not title[: match.start()].strip():
        return title, None
    return title[: match.start()], int(match[1])


def number(cell: str) -> float | None:
    """Return a number: 7.5, 1e6, $1,000,000, 90 min, 1h 30m, 97 %."""
    text = cell.strip()
    if GROUPED.fullmatch(text):
        text = text.replace(",", "")
    match = NUMBER.fullmatch(text)
    if match:
        value = float(match[1])
        return value if abs(value) < 1e300 else None
    hours = HOURS.fullmatch(text)
    return 60.0 * int(hours[1]) + int(hours[2] or 0) if hours else None


def whole(cell: str) -> int | None:
    """Return a whole number that fits 32 bits."""
    value = number(cell)
    return int(value) if value is not None and value == int(value) and abs(value) < LARGEST else None


def day(cell: str) -> date | None:
    """Return a date: 1995-10-30, with or without a time, October 30, 1995, 30 Oct 1995."""
    text = cell.strip()
    try:
        return date.fromisoformat(text[:10]) if text[10:11] in ("", " ", "T") else None
    except ValueError:
        pass
    for form in DATES:
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    return None
