"""What a catalogue is made of: how often genres come, and which come together."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core import explain

IntArray = NDArray[np.int64]


def genre_counts(genre_lists: Sequence[str], weights: IntArray) -> pd.DataFrame:
    """Return a row a genre, most films first: genre, n_movies, share (of the films with genres), n_alone.

    weights (genre lists,) are the films of each list; n_alone counts films that have this genre and no other.
    """
    matrix, genres = explain.membership(genre_lists)
    alone = (matrix.sum(axis=1) == 1) * weights
    found = pd.DataFrame(
        {
            "genre": np.asarray(genres, dtype=object),
            "n_movies": np.rint(weights @ matrix).astype(np.int64),
            "n_alone": np.rint(alone @ matrix).astype(np.int64),
        }
    )
    found["share"] = found["n_movies"] / max(int(weights.sum()), 1)
    return found.sort_values(["n_movies", "genre"], ascending=[False, True], ignore_index=True)


def co_occurrence(genre_lists: Sequence[str], weights: IntArray, most: int = 25) -> pd.DataFrame:
    """Return a row for each ordered pair of the `most` most frequent genres: how many films have both.

    Columns: genre, other, n_movies, n_genre (films with the first), n_other (with the other), share (of the first's
    films that have the other too). A genre
    with itself is left out.
    """
    matrix, genres = explain.membership(genre_lists)
    films = np.rint(weights @ matrix).astype(np.int64)
    order = np.lexsort((np.arange(len(genres)), -films))[:most]
    part = matrix[:, order]
    both = np.rint(part.T @ (part * np.asarray(weights)[:, None])).astype(np.int64)
    names = np.asarray(genres, dtype=object)[order]
    n = len(order)
    found = pd.DataFrame(
        {
            "genre": np.repeat(names, n),
            "other": np.tile(names, n),
            "n_movies": both.reshape(-1),
            "n_genre": np.repeat(films[order], n),
            "n_other": np.tile(films[order], n),
        }
    )
    found["share"] = found["n_movies"] / np.maximum(found["n_genre"], 1)
    return found[found["genre"] != found["other"]].reset_index(drop=True)
