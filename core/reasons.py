"""Why a film is where it is: its genre list's place among the centres, and where it would be without each genre.

A new text gets the vector it would have in the catalogue: what post-processing subtracts and divides by is always
that of the catalogue's own genre lists.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core import embeddings, explain
from core.clustering import Clustering
from core.encoders import Encoder

Float32 = NDArray[np.float32]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

N_TYPICAL = 3


@dataclass(frozen=True)
class Without:
    """Where a genre list would be without one of its genres.

    text: the list that remains. cluster: where it would be, -1 if its vector says nothing. distance to that
    cluster's centre, and margin (`Clustering`): a small one means that it hardly decides for it.
    """

    genre: str
    text: str
    cluster: int
    distance: float
    margin: float


@dataclass(frozen=True)
class Reason:
    """Why a genre list is in its cluster.

    row: of the catalogue's genre lists. runner_up: the second nearest cluster, -1 if there is none. distance and
    margin as in `Clustering`. typical, runner_up_typical: rows of at most three lists nearest to either centre.
    without: what each genre does, in the order of the list; empty if it has only one, as nothing would remain.
    """

    row: int
    cluster: int
    runner_up: int
    distance: float
    margin: float
    typical: tuple[int, ...]
    runner_up_typical: tuple[int, ...]
    without: tuple[Without, ...]

    @property
    def deciding(self) -> tuple[Without, ...]:
        """The genres without which it would be in another cluster."""
        return tuple(one for one in self.without if one.cluster not in (self.cluster, -1))


@dataclass(frozen=True, eq=False)
class Places:
    """Where new texts would be: labels, distances and margins, each (n,), as `assign` returns them."""

    labels: IntArray
    distances: FloatArray
    margins: FloatArray


def without_each(genre_list: str) -> list[tuple[str, str]]:
    """Return each genre of a list with the text that remains without it, in the order of the list.

    Empty if there is only one genre: a text without any has no place.
    """
    genres = genre_list.split(", ")
    if len(genres) < 2:
        return []
    return [(genre, ", ".join(genres[:i] + genres[i + 1 :])) for i, genre in enumerate(genres)]


def assign(vectors: FloatArray | Float32, centers: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the nearest centre of post-processed vectors (n, d), the distance to it, and the margin, each (n,).

    centers (k, d) are those of a clustering. The margin is (distance to the runner-up centre - own distance) /
    distance to the runner-up centre, NaN where there is no second centre. Without any centre labels are -1 and
    distances NaN.
    """
    n, k = len(vectors), len(centers)
    margins = np.full(n, np.nan)
    if k == 0:
        return np.full(n, -1, dtype=np.int64), np.full(n, np.nan), margins
    exact = np.asarray(vectors, dtype=np.float64)
    squared = (exact**2).sum(axis=1)[:, None] + (centers**2).sum(axis=1)[None] - 2 * exact @ centers.T
    away = np.sqrt(np.maximum(squared, 0.0))
    labels = away.argmin(axis=1)
    nearest = np.sort(away, axis=1)[:, :2]
    if k > 1:
        own, second = nearest.T
        margins = np.divide(second - own, second, out=np.zeros(n), where=second > 0)
    return labels, nearest[:, 0], margins


def multi_hot(texts: Sequence[str], genre_lists: Sequence[str]) -> Float32:
    """Return the baseline's vectors of new texts, shape (n, genres of the catalogue), as `embeddings.multi_hot` does.

    The columns are those of the catalogue's genre lists; a genre that the catalogue does not have is left out.
    """
    genres = sorted({genre for text in genre_lists for genre in text.split(", ") if genre})
    columns = {genre: column for column, genre in enumerate(genres)}
    vectors = np.zeros((len(texts), len(columns)), dtype=np.float32)
    for row, text in enumerate(texts):
        vectors[row, [columns[genre] for genre in text.split(", ") if genre in columns]] = 1
    return vectors


def placed(new: Float32, stored: Float32, encoder: Encoder, centers: FloatArray, standardize: bool = False) -> Places:
    """Say in which cluster new texts would be, from their raw vectors (n, d) and the catalogue's, stored (m, d).

    For the multi-hot baseline they come from `multi_hot`, for an encoder from the vector store. A vector of zeros (a
    text with no genre that the catalogue has) says nothing: its label is -1, its distance and margin NaN. Raises
    ValueError for TF-IDF, whose vectors depend on all texts at once, so that a new text has none.
    """
    if encoder.kind == "tf-idf":
        raise ValueError(f"{encoder.title} has vectors of the catalogue's own texts only.")
    labels, distances, margins = assign(embeddings.post_process(new, encoder, standardize, stored), centers)
    silent = ~np.asarray(new).any(axis=1)
    return Places(
        labels=np.where(silent, -1, labels),
        distances=np.where(silent, np.nan, distances),
        margins=np.where(silent, np.nan, margins),
    )


def reason(clustering: Clustering, row: int, genre_list: str, places: Places | None) -> Reason:
    """Gather why genre list `row` is in its cluster; places are those of the texts of `without_each(genre_list)`.

    Without places nothing is said of what remains without a genre.

    Raises ValueError for a list without films under the filters, which is in no cluster, and for places that are not
    one for each text.
    """
    cluster, runner_up = int(clustering.labels[row]), int(clustering.runner_up[row])
    if cluster < 0:
        raise ValueError(f"{genre_list} has no film under these filters, so it is in no cluster.")
    texts = without_each(genre_list) if places else []
    columns = (places.labels, places.distances, places.margins) if places else ()
    found = zip(texts, *(column.tolist() for column in columns), strict=True)
    return Reason(
        row=row,
        cluster=cluster,
        runner_up=runner_up,
        distance=float(clustering.distance[row]),
        margin=float(clustering.margin[row]),
        typical=_typical(clustering, cluster),
        runner_up_typical=_typical(clustering, runner_up) if runner_up >= 0 else (),
        without=tuple(Without(*text, *place) for text, *place in found),
    )


def _typical(clustering: Clustering, cluster: int) -> tuple[int, ...]:
    return tuple(explain.typical(clustering, cluster, N_TYPICAL).tolist())


def sentence(here: str, without: Sequence[tuple[str, str]]) -> str:
    """Say in plain words what each genre does; here is the name of the own cluster.

    without has, for each genre, the name of the cluster where the list would be without it; it is empty for a list of
    one genre. Genres that lead to the same cluster are named together.
    """
    if not without:
        return "It has only one genre, so there is none to leave out."
    elsewhere: dict[str, list[str]] = {}
    for genre, there in without:
        if there != here:
            elsewhere.setdefault(there, []).append(genre)
    if not elsewhere:
        return "Without any one of its genres it stays here."
    parts = [f"without {_either(genres)} it would be in {there}" for there, genres in elsewhere.items()]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _either(genres: Sequence[str]) -> str:
    return genres[0] if len(genres) == 1 else f"{', '.join(genres[:-1])} or {genres[-1]}"
