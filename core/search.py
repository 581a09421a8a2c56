"""A visitor's own words, or one film, among the documents: how near each document is, and where they lie.

A query gets the vector it would have as a document: post-processing subtracts and divides by what it does for the
documents, and a query never changes that. So an answer depends on the query and the catalogue, and on nobody else's
query.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core import clustering, embeddings, reasons
from core.clustering import Space
from core.encoders import Encoder

Float32 = NDArray[np.float32]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MAX_QUERY = 300  # characters
NEAREST = 20  # genre lists that are listed
NAMED = 3  # shared genres that are named; of more, their number says as much
DECIMALS = 6  # of a cosine: below that, float32 vectors differ by rounding only
WORD = re.compile(r"\w+")
JOINERS = "\u200c\u200d"  # which some scripts need inside words


@dataclass(frozen=True, eq=False)
class Place:
    """Where a query, or a document, lies among the documents.

    vector (d,): post-processed. cosine (n,): with every document, rounded to DECIMALS, NaN if either says nothing.
    xy (2,): on the map by PCA. silent: the vector is all zeros, as no word of the query means anything to the encoder.
    """

    vector: FloatArray
    cosine: FloatArray
    xy: FloatArray
    silent: bool


@dataclass(frozen=True)
class Understood:
    """The words of a query that an encoder without a model knows, and those that it leaves out."""

    known: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def text(self) -> str:
        """What is encoded: the known words as a genre list."""
        return ", ".join(self.known)


def clean(text: str) -> str:
    """Return what a visitor typed as one line of printable characters, at most MAX_QUERY."""
    printable = "".join(" " if _unprintable(letter) else letter for letter in text)
    return " ".join(unicodedata.normalize("NFC", printable).split())[:MAX_QUERY].rstrip()


def _unprintable(letter: str) -> bool:
    return unicodedata.category(letter).startswith("C") and letter not in JOINERS


def genres_in(query: str, texts: Sequence[str]) -> Understood:
    """Find the genres of the documents that a query names, whole words in any case, the longest where they overlap.

    A genre of several words ("Science Fiction", "Film-Noir") counts with a space or any sign between them.
    """
    genres = sorted({genre for text in texts for genre in text.split(", ") if genre})
    spelled = {tuple(WORD.findall(genre.casefold())): genre for genre in reversed(genres)}
    longest = max(map(len, spelled), default=0)
    words = WORD.findall(query)
    folded = [word.casefold() for word in words]
    known, unknown, i = list[str](), list[str](), 0
    while i < len(words):
        width = next((n for n in range(longest, 0, -1) if tuple(folded[i : i + n]) in spelled), 0)
        if width:
            known.append(spelled[tuple(folded[i : i + width])])
        else:
            unknown.append(words[i])
        i += max(width, 1)
    return Understood(tuple(dict.fromkeys(known)), tuple(dict.fromkeys(unknown)))


def place(raw: Float32, known: Float32, encoder: Encoder, documents: Space, standardize: bool = False) -> Place:
    """Place a query by its raw vector (d,); known (n, d) are the raw vectors of the documents.

    A vector of zeros stays silent for an encoder without a model, also where the documents are centred: none of its
    words is one of the documents'.
    """
    vector = embeddings.post_process(raw[None], encoder, standardize, known)[0].astype(np.float64)
    silent = not raw.any() or not vector.any()
    return Place(vector, _cosines(documents, vector, silent), clustering.project(documents, vector[None])[0], silent)


def place_of(row: int, documents: Space) -> Place:
    """Place a document of the catalogue, by its row."""
    vector = documents.vectors[row]
    silent = not vector.any()
    return Place(vector, _cosines(documents, vector, silent), documents.xy[row], silent)


def _cosines(documents: Space, vector: FloatArray, silent: bool) -> FloatArray:
    if silent:
        return np.full(len(documents.vectors), np.nan)
    cosines = np.asarray(documents.vectors @ vector)  # all have length 1, or are zeros
    cosines[~documents.vectors.any(axis=1)] = np.nan
    return np.asarray(np.round(np.clip(cosines, -1.0, 1.0), DECIMALS), dtype=np.float64)


def nearest(found: Place, weights: IntArray, n: int = NEAREST) -> IntArray:
    """Return the rows of the n nearest documents that have films, weights (n,): the highest cosine first.

    Of equally near ones the one with more films comes first, then the one that comes first in the catalogue.
    """
    here = np.flatnonzero((weights > 0) & ~np.isnan(found.cosine))
    order = np.lexsort((here, -weights[here], -found.cosine[here]))
    return np.asarray(here[order][:n], dtype=np.int64)


def median_cosine(found: Place, weights: IntArray) -> float:
    """Return the cosine that half of the films reach, weights (n,) being those of each document; NaN without any."""
    here = np.flatnonzero((weights > 0) & ~np.isnan(found.cosine))
    if not len(here):
        return float("nan")
    order = here[np.argsort(-found.cosine[here], kind="stable")]
    reached = np.cumsum(weights[order])
    return float(found.cosine[order[np.searchsorted(reached, reached[-1] / 2)]])


def cluster_of(found: Place, centers: FloatArray) -> tuple[int, float]:
    """Return the cluster with the nearest centre, centers (k, d), and the margin (`reasons.assign`).

    The cluster is -1 where there is none or the place is silent.
    """
    if found.silent:
        return -1, float("nan")
    labels, _, margins = reasons.assign(found.vector[None], centers)
    return int(labels[0]), float(margins[0])


def shared(one: str, other: str) -> tuple[float, str]:
    """Return the Jaccard similarity of two genre lists, 0 to 1, and what the other shares with the one, in words."""
    a, b = ([genre for genre in text.split(", ") if genre] for text in (one, other))
    both = [genre for genre in a if genre in b]
    less, more = [genre for genre in a if genre not in b], [genre for genre in b if genre not in a]
    similarity = len(both) / max(len({*a, *b}), 1)
    if not less and not more:
        return similarity, "the same genres"
    named = f"{', '.join(both)} ({len(both)} of {len(a)})" if len(both) <= NAMED else f"{len(both)} of {len(a)} genres"
    parts = [f"shares {named}" if both else "shares no genre"]
    parts += [f"lacks {', '.join(less)}"] if less else []
    parts += [f"adds {', '.join(more)}"] if more else []
    return similarity, "; ".join(parts)
