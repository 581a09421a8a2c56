"""The analyst's own names and notes: what they were given to, and which cluster they belong to now.

A name is kept with the documents of the cluster it was given to. Whatever k, seed, encoder or filters make of the
films, it goes to the cluster that is most like that one, and to none where none is like it: dropped, not misplaced.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.clustering import Name

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MAX_NAME, MAX_NOTE = 60, 500
MAX_GIVEN = 200  # names that are remembered; the oldest go first
# Above a half no two clusters can be the match of one name, nor two names of one clustering that of one cluster.
MIN_JACCARD = 0.5


class NamesError(ValueError):
    """A name that cannot be given; the text is a plain sentence fit to be shown."""


@dataclass(frozen=True, eq=False)
class Given:
    """A name (empty: the computed one stays) and a note, and the documents of the cluster they were given to.

    `members` are rows of `texts`, the documents of the catalogue at that time, shared with it and not copied.
    """

    texts: tuple[str, ...]
    members: IntArray
    name: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class Clusters:
    """The clusters at hand: texts, weights (films) and labels of the documents, all (n,), and the computed names."""

    texts: tuple[str, ...]
    weights: IntArray
    labels: IntArray
    names: tuple[Name, ...]


def clean(text: str, limit: int, lines: bool = False) -> str:
    """Return a text without invisible characters and needless spaces, cut to a limit; `lines` keeps its lines."""
    parts = unicodedata.normalize("NFC", text.replace("\r\n", "\n")).split("\n") if lines else [text]
    shown = [" ".join(_visible(part).split()) for part in parts]
    return "\n".join(shown).strip()[:limit].rstrip()


def _visible(text: str) -> str:
    """Return a text without control, direction and other invisible characters; those that part words become spaces."""
    kinds = ((character, unicodedata.category(character)) for character in unicodedata.normalize("NFC", text))
    return "".join(" " if kind in ("Cc", "Zl", "Zp") else "" if kind[0] == "C" else c for c, kind in kinds)


def alike(text: str) -> str:
    """Return what two names have in common that read the same."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def similarity(given: Given, clusters: Clusters) -> FloatArray:
    """Return the Jaccard similarity of a name's documents with each cluster, over the films that are here now, (k,)."""
    mine = np.zeros(len(clusters.texts), dtype=bool)
    if given.texts is clusters.texts:
        mine[given.members] = True
    else:
        names = {given.texts[row] for row in given.members}
        mine[:] = [text in names for text in clusters.texts]
    here = clusters.labels >= 0
    k = len(clusters.names)
    sizes = np.bincount(clusters.labels[here], weights=clusters.weights[here], minlength=k)
    mine &= here
    both = np.bincount(clusters.labels[mine], weights=clusters.weights[mine], minlength=k)
    either = clusters.weights[mine].sum() + sizes - both
    return np.asarray(np.divide(both, either, out=np.zeros(k), where=either > 0))


def matched(given: Sequence[Given], clusters: Clusters) -> dict[int, int]:
    """Return for each cluster that has one the number of its name: the most alike first, of equals the newest."""
    pairs = [
        (-float(similar[cluster]), -number, int(cluster))
        for number, similar in ((number, similarity(each, clusters)) for number, each in enumerate(given))
        for cluster in np.flatnonzero(similar > MIN_JACCARD)
    ]
    found: dict[int, int] = {}
    for _, number, cluster in sorted(pairs):
        if cluster not in found and -number not in found.values():
            found[cluster] = -number
    return found


def applied(given: Sequence[Given], clusters: Clusters) -> tuple[Name, ...]:
    """Return the names of the clusters with the analyst's own in their places, no two alike."""
    found = matched(given, clusters)
    names = list(clusters.names)
    if not found:
        return clusters.names
    taken: set[str] = set()
    # Own names come first: where a computed one reads the same, it is that one which gets a number.
    order = sorted(range(len(names)), key=lambda i: (i not in found or not given[found[i]].name, i))
    for cluster in order:
        name, own = names[cluster], given[found[cluster]] if cluster in found else None
        text = own.name if own and own.name else name.text
        text = _distinct(text, taken)
        taken.add(alike(text))
        names[cluster] = replace(
            name, text=text, note=own.note if own else "", own=bool(own and own.name)
        )  # fmt: skip
    return tuple(names)


def _distinct(text: str, taken: set[str]) -> str:
    candidate, number = text, 2
    while alike(candidate) in taken:
        candidate, number = f"{text} ({number})", number + 1
    return candidate


def give(given: Sequence[Given], clusters: Clusters, cluster: int, name: str, note: str) -> tuple[Given, ...]:
    """Return the names after a cluster was given a name and a note; empty ones take them away.

    What the cluster had before is replaced. Raises NamesError where another cluster is called so.
    """
    name, note = clean(name, MAX_NAME), clean(note, MAX_NOTE, lines=True)
    others = {alike(other.text): i for i, other in enumerate(applied(given, clusters)) if i != cluster}
    if alike(name) in others:
        raise NamesError(f"Cluster {others[alike(name)]} is called “{name}” already. Take another name.")
    if name == clusters.names[cluster].text:
        name = ""
    kept = list(given)
    while (number := matched(kept, clusters).get(cluster)) is not None:
        del kept[number]
        if name or note:
            break  # one that was hidden here may belong to a cluster of another k
    if name or note:
        members = np.flatnonzero(clusters.labels == cluster)
        kept.append(Given(clusters.texts, members, name, note))
    return tuple(kept[-MAX_GIVEN:])
