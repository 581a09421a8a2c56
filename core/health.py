"""How healthy an encoder's vectors are: do they fill their space, and do order and letter case of genres move them?

Figures of different encoders can be held against each other: cosines, ranks and ratios have no unit of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core import reasons
from core.clustering import Clustering
from core.embeddings import Float32, post_process
from core.encoders import Encoder
from core.threads import one_thread

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Vectors = NDArray[np.floating[Any]]
Variant = Literal["order", "case"]

VARIANTS: tuple[Variant, ...] = ("order", "case")


def mean_cosine(vectors: Vectors, weights: IntArray) -> float:
    """Return the mean cosine of two films with different texts: 0 where directions are even, 1 in a narrow cone.

    vectors (n, d) of any length, weights (n,) films. Exact, over all such pairs of films, from the length of the sum:
    (|sum w x|² - sum w² |x|²) / (W² - sum w²) with x of length 1. A vector of zeros has cosine 0 with all. NaN with
    fewer than two texts. Known as anisotropy: Ethayarajh (2019), arXiv 1909.00512.
    """
    films = weights.astype(np.float64)
    pairs = films.sum() ** 2 - (films**2).sum()
    if pairs == 0:
        return float("nan")
    exact = _of_length_one(vectors)
    with one_thread():
        together = films @ exact
        alone = films**2 @ (exact**2).sum(axis=1)
    return float((together @ together - alone) / pairs)


def effective_rank(vectors: Vectors, weights: IntArray) -> float:
    """Return how many dimensions the films use: 1 on a line, d where all d are used alike.

    The exponential of the entropy of the singular values, as shares of their sum, of all films' vectors (n, d) less
    their mean, each film a row. NaN where nothing varies. Source: Roy and Vetterli (2007), The effective rank. k-means
    sees differences only, so the mean is taken off.
    """
    films = weights.astype(np.float64)
    total = films.sum()
    if total == 0:
        return float("nan")
    exact = np.asarray(vectors, dtype=np.float64)
    with one_thread():
        centred = (exact - films @ exact / total) * np.sqrt(films)[:, None]
        # Of the two products the smaller one; singular values are roots of its eigenvalues.
        product = centred.T @ centred if exact.shape[1] <= exact.shape[0] else centred @ centred.T
        values = np.linalg.eigvalsh(product)
    kept = values[values > values.max() * 1e-13]  # what lies below is rounding
    if len(kept) == 0 or kept.max() <= 1e-12 * total:
        return float("nan")
    shares = np.sqrt(kept) / np.sqrt(kept).sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


@dataclass(frozen=True)
class Health:
    """Figures of an encoder's vectors: mean cosine before and after post-processing, effective rank, dimensions."""

    cosine_before: float
    cosine: float
    effective_rank: float
    dimensions: int


def measure(stored: Vectors, ready: Vectors, weights: IntArray) -> Health:
    """Measure vectors as stored (n, d) and as clustered (n, d); weights (n,) films."""
    return Health(
        mean_cosine(stored, weights), mean_cosine(ready, weights), effective_rank(ready, weights), ready.shape[1]
    )


def _of_length_one(vectors: Vectors) -> FloatArray:
    exact = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    return np.asarray(exact / np.where(norms == 0, 1, norms))


def variants(genre_lists: Sequence[str], kind: Variant) -> tuple[IntArray, tuple[str, ...]]:
    """Return genre lists written another way: their rows (m,) and m texts.

    order: the genres from last to first ("Drama, Comedy"); a list of one genre has no other order. case: in small
    letters ("comedy, drama").
    """
    if kind == "case":
        return np.arange(len(genre_lists)), tuple(text.lower() for text in genre_lists)
    rows = [row for row, text in enumerate(genre_lists) if ", " in text]
    return np.array(rows, dtype=np.int64), tuple(", ".join(genre_lists[row].split(", ")[::-1]) for row in rows)


@dataclass(frozen=True)
class Sensitivity:
    """What writing genres another way does to films.

    moved: share of the n_films films in question that would be in another cluster, or in none. shift: how far their
    vectors move, as a part of the distance of two films with different texts (roots of mean squares); 0 if not at all,
    1 if the text says as little as another film's. NaN where undefined.
    """

    moved: float
    shift: float
    n_films: int


def sensitivity(
    rows: IntArray,
    new: Float32,
    stored: Float32,
    encoder: Encoder,
    found: Clustering,
    weights: IntArray,
    standardize: bool = False,
) -> Sensitivity:
    """Measure what other texts do to the films of these rows.

    rows (m,) as from `variants`, new (m, d) vectors of the other texts and stored (n, d) of the catalogue's own, both
    before post-processing; weights (n,) films. The clusters stay as they are, and a text goes to the nearest centre.
    """
    films = weights[rows].astype(np.float64)
    here = np.flatnonzero(films > 0)
    if len(here) == 0:
        return Sensitivity(float("nan"), float("nan"), 0)
    rows, new, films = rows[here], new[here], films[here]
    places = reasons.placed(new, stored, encoder, found.centers, standardize)
    moved = float(films @ (places.labels != found.labels[rows]) / films.sum())
    ours = np.asarray(post_process(stored, encoder, standardize), dtype=np.float64)
    theirs = np.asarray(post_process(new, encoder, standardize, stored), dtype=np.float64)
    speaks = films * np.asarray(new).any(axis=1)  # a vector of zeros says nothing, so it is nowhere
    squared = float(speaks @ ((ours[rows] - theirs) ** 2).sum(axis=1) / speaks.sum()) if speaks.any() else float("nan")
    typical = 2 - 2 * mean_cosine(ours, weights)  # between two vectors of length 1
    shift = float(np.sqrt(squared / typical)) if typical > 0 else float("nan")
    return Sensitivity(moved, shift, int(films.sum()))


def untouched(rows: IntArray, weights: IntArray) -> Sensitivity:
    """Return the answer for an encoder to which the other texts are the same texts."""
    return Sensitivity(0.0, 0.0, int(weights[rows].sum()))
