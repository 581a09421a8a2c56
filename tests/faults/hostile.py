"""Texts of bad intentions, and a catalogue full of them."""

import json
from pathlib import Path

LONG = "Very long " * 1_000
HOSTILE = {
    "SQL": "Robert'); DROP TABLE movies;--",
    "quotes": "\" OR \"\"=\" ' OR ''='",
    "HTML": "<img src=x onerror=alert(1)><script>alert(2)</script>",
    "SVG": "<svg/onload=fetch('http://evil.example/a')>",
    "image": "![i](http://evil.example/i.png)",
    "link": "[x](javascript:alert(3))",
    "address": "https://evil.example/b www.evil.example me@evil.example",
    "formula": "$\\href{http://evil.example}{x^2}$ \\(y\\)",
    "block": "# Heading\n> quote\n\n| a | b |\n|---|---|\n```js\nalert(4)\n```",
    "directive": ":material/home: :red[red] :streamlit: ~~gone~~ **bold** -> x",
    "template": "{{7*7}} ${7*7} {% raw %} %s %n",
    "direction": "abc\u202edef\u2066ghi\u2069 \u200bzero\u200d\ufeffwidth\u00ad",
    "NUL": "before\x00after \x07\x1b[31mred\x7f",
    "combining": "Z" + "\u0300\u0301\u0302\u0303" * 40,
    "long": LONG.strip(),
    "emoji": "\U0001f469\u200d\U0001f4bb \u202a\u202b",
}
GENRES = ("Drama", "War", "Comedy", "Horror", "<b>Crime</b>", "$x^2$", ":red[Sport]", "Sci\u202eFi", "G" * 200)


def write(path: Path) -> Path:
    """Write films in which every text is hostile, as JSON, which can say it all; genres are many and few in turn."""
    films = []
    for number in range(64):
        kind = list(HOSTILE)[number % len(HOSTILE)]
        text = HOSTILE[kind]
        genres = [GENRES[number % len(GENRES)], GENRES[number * number % 7]]
        films.append(
            {
                "movie_id": f"{number} {text[:40]}",
                "title": text,
                "genres": genres,
                "year": 1980 + number % 30,
                "directors": [text.replace(",", " ")],
                "languages": [text[:60].replace(",", " ")],
                "countries": [text[:60].replace(",", " ")],
                "certificate": text[:60],
                "reviews": number,
                "box_office": 1000 * number,
                "tomatometer": number,
            }
        )
    path.write_text(json.dumps(films))
    return path
