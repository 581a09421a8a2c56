"""Cluster colours: one fixed hue for each leading genre, shades where clusters share one.

The hue depends on nothing but the genre's name, so k, the seed and the encoder may change without the colours
changing places. Any number of clusters gets colours; they are labelled as well, since nobody tells fifty apart.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

# Hue in degrees and lightness (0 to 1) in OKLCH, spread so that genres stay apart for eyes that lack one kind of cone
# too (simulated after Machado, Oliveira and Fernandes 2009), those that lead clusters most often the furthest.
GENRE_TONES = {
    "Action": (26, 0.62),
    "Adventure": (178, 0.61),
    "Animation": (355, 0.82),
    "Biography": (112, 0.55),
    "Comedy": (105, 0.82),
    "Crime": (262, 0.42),
    "Documentary": (161, 0.73),
    "Drama": (274, 0.57),
    "Family": (107, 0.72),
    "Fantasy": (281, 0.75),
    "Film-Noir": (278, 0.49),
    "History": (40, 0.44),
    "Horror": (7, 0.51),
    "Music": (151, 0.82),
    "Musical": (330, 0.57),
    "Mystery": (286, 0.66),
    "News": (203, 0.48),
    "Romance": (340, 0.71),
    "Sci-Fi": (217, 0.82),
    "Science Fiction": (217, 0.82),
    "Sport": (97, 0.49),
    "Thriller": (336, 0.42),
    "War": (121, 0.42),
    "Western": (80, 0.65),
}
CHROMA = 0.14
SHADES = (0.0, 0.15, -0.13, 0.22, 0.08, -0.07, 0.26, -0.17)
LIGHTNESS = (0.38, 0.88)
DRIFT = 9.0  # degrees
WHITE, BLACK = "#ffffff", "#000000"


def cluster_colors(leading_genres: Sequence[str]) -> list[str]:
    """Return a colour (#rrggbb) for each cluster, in the order of the clusters, from its leading genre."""
    used: Counter[tuple[float, float]] = Counter()
    colors = []
    for genre in leading_genres:
        hue, lightness = _tone(genre)
        shades = [shade for shade in SHADES if LIGHTNESS[0] <= lightness + shade <= LIGHTNESS[1]]
        # Beyond the list of shades the hue starts to drift, so that no two clusters get one colour.
        turn, step = divmod(used[hue, lightness], len(shades))
        colors.append(_hex(lightness + shades[step], CHROMA, hue + DRIFT * turn))
        used[hue, lightness] += 1
    return colors


def colored(clusters: pd.DataFrame) -> pd.DataFrame:
    """Add color and text_color to a table of clusters with their leading_genre."""
    colors = cluster_colors(clusters["leading_genre"].tolist())
    return clusters.assign(color=colors, text_color=[readable_on(color) for color in colors])


def with_color(table: pd.DataFrame, colors: pd.Series, text_colors: pd.Series) -> Styler:
    """Return a table whose first column has the colour of each row's cluster."""
    css = [f"background-color: {back}; color: {text}" for back, text in zip(colors, text_colors, strict=True)]
    return table.style.apply(lambda _: css, subset=[table.columns[0]])


def readable_on(color: str) -> str:
    """Return black or white, whichever is easier to read on a colour (WCAG 2 contrast)."""
    luminance = _luminance(color)
    return WHITE if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / (_luminance(BLACK) + 0.05) else BLACK


def _tone(genre: str) -> tuple[float, float]:
    """Return hue and lightness of a genre; one that is not in the list gets them from its name."""
    if genre in GENRE_TONES:
        return GENRE_TONES[genre]
    digest = hashlib.sha256(genre.encode()).digest()
    return int.from_bytes(digest[:2], "big") / 65536 * 360, 0.48 + digest[2] / 255 * 0.24


def _hex(lightness: float, chroma: float, hue: float) -> str:
    """Convert OKLCH to sRGB, taking chroma off until it fits. Source of the matrices: Ottosson (2020), Oklab."""
    angle = np.deg2rad(hue)
    for shrunk in np.linspace(chroma, 0.0, 30):
        a, b = shrunk * np.cos(angle), shrunk * np.sin(angle)
        long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
        medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
        short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
        linear = np.array(
            [
                4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
                -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
                -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
            ]
        )
        if (linear >= -1e-6).all() and (linear <= 1 + 1e-6).all():
            break
    linear = np.clip(linear, 0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = (round(255 * float(channel)) for channel in encoded)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _luminance(color: str) -> float:
    """Return the relative luminance of a colour, as WCAG 2 defines it."""
    channels = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))
