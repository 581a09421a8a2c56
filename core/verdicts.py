"""Is this what the recipe says? What differs here, and how many films changed cluster."""

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from core import diagnostics, recipes
from core.movies import Catalogue
from core.recipes import STAMP, Films, Recipe, RecipeError, Settings, stamp

IntArray = NDArray[np.int64]

WORDS = {
    "n_clusters": "number of clusters (k)",
    "random_state": "seed",
    "standardize": "standardised dimensions",
    "dtype": "number format",
    "text": "what is encoded",
    "years": "filter on years",
    "languages": "filter on languages",
    "countries": "filter on countries",
    "genres": "filter on genres",
    "genre_mode": "how films must have the filter's genres",
    "min_reviews": "filter on reviews, at least",
    "repository": "repository of the encoder",
    "revision": "revision of the encoder",
    "pooling": "pooling of the encoder",
    "max_length": "tokens of a text that are read",
    "center": "centring of the vectors",
    "n_init": "starts of k-means (n_init)",
}
SHOWN = 12  # digits of a hash


@dataclass(frozen=True)
class Moved:
    """Films, counted: `common` are in both results, `gone` in the recipe alone, `new` here alone.

    `changed` of the common ones are in another cluster, once clusters are matched.
    """

    common: int
    changed: int
    gone: int
    new: int


@dataclass(frozen=True)
class Verdict:
    """Whether a recipe gave the same clusters here: a sentence, and what differs, a sentence each.

    `circumstances` are what differs of the machine: it can explain another result, and is none by itself.
    """

    same: bool
    sentence: str
    differences: tuple[str, ...]
    circumstances: tuple[str, ...] = ()


def moved(recipe: Films, here: Films) -> Moved:
    """Count the films that are in another cluster here, under the matching of clusters that leaves fewest of them.

    Both must have the same unit. Where that is texts, films of a text count as often as it has films here.
    """
    places = pc.index_in(here.keys, value_set=recipe.keys)
    known = places.is_valid().to_numpy(zero_copy_only=False)
    rows = places.drop_null().to_numpy().astype(np.int64)
    films = diagnostics.overlap(here.n_movies[known], recipe.labels[rows], here.labels[known])
    match = diagnostics.matching(films)
    stayed = int(films[np.flatnonzero(match >= 0), match[match >= 0]].sum())
    common = int(films.sum())
    seen = np.zeros(len(recipe.labels), dtype=bool)
    seen[rows] = True
    return Moved(common, common - stayed, int(recipe.n_movies[~seen].sum()), int(here.n_movies[~known].sum()))


def judge(recipe: Recipe, films: Films | None, here: Recipe, catalogue: Catalogue, labels: IntArray) -> Verdict:
    """Hold a recipe, and the films that it carries, against the clusters here: labels (n,) of the documents."""
    if films is None or recipe.result.label_hash == here.result.label_hash:
        return verdict(recipe, here, None)
    found = recipes.films_of(catalogue, here.settings, labels, limit=None if films.unit == "film" else 0)
    return verdict(recipe, here, moved(films, found))


def verdict(recipe: Recipe, here: Recipe, films: Moved | None) -> Verdict:
    """Hold a recipe against what is here; `films` is not needed where the label hashes are the same."""
    settings = settings_differ(recipe.settings, here.settings)
    differences = (*_catalogue(recipe, here), *settings, *_encoding(recipe, here))
    circumstances = _circumstances(recipe, here)
    if recipe.result.label_hash == here.result.label_hash:
        n = here.result.n_movies
        said = f"The same result as the recipe: all {n:,} films are in the same clusters."
        return Verdict(True, said, differences, circumstances)
    hashes = differ("hash of the clusters", here.result.label_hash[:SHOWN], recipe.result.label_hash[:SHOWN])
    if not differences and not circumstances:
        hashes += " Nothing else differs: the machine may compute otherwise, or the recipe was edited."
    differences = (*differences, hashes)
    if films is None:
        said = "Not the recipe's result. It carries no films, so how many of them changed cluster is not known."
        return Verdict(False, said, differences, circumstances)
    if not (films.changed or films.gone or films.new):
        said = "The same clusters as the recipe's, under other numbers: no film changed cluster."
        return Verdict(True, said, differences, circumstances)
    return Verdict(False, _changed(films), differences, circumstances)


def _changed(films: Moved) -> str:
    share = films.changed / max(films.common, 1)
    verb = "film" if films.changed == 1 else "films"
    said = f"Not the recipe's result: {films.changed:,} of {films.common:,} {verb} ({share:.1%}) changed cluster"
    if films.gone:
        said += f"; {films.gone:,} of the recipe's {'is' if films.gone == 1 else 'are'} in no cluster here"
    if films.new:
        said += f"; {films.new:,} here {'is' if films.new == 1 else 'are'} in no cluster of the recipe"
    return f"{said}."


def link_verdict(asked: str, settings: Settings, now: Settings, here: Recipe) -> Verdict:
    """Hold what a link carries (`recipes.stamp`), and the settings it was opened with, against what is here.

    Raises RecipeError where the link's part cannot be read.
    """
    parts, ours = STAMP.fullmatch(asked), STAMP.fullmatch(stamp(here))
    if parts is None or ours is None:
        raise RecipeError("The link's recipe cannot be read: it was changed or cut off. The settings of the link hold.")
    names = ("hash of the clusters", "hash of the catalogue", "hash of how vectors and clusters are made")
    found = [differ(*each) for each in zip(names, ours.groups(), parts.groups(), strict=True) if each[1] != each[2]]
    differences = (*settings_differ(settings, now), *found)
    if parts[1] == ours[1]:
        said = f"The same result as the link's: all {here.result.n_movies:,} films are in the same clusters."
        return Verdict(True, said, differences)
    said = (
        "Not the result that the link was copied from. How many films changed cluster, the recipe's file can tell: ask "
        "for it."
    )
    return Verdict(False, said, differences)


def _catalogue(recipe: Recipe, here: Recipe) -> tuple[str, ...]:
    ours, theirs = here.catalogue, recipe.catalogue
    if ours.fingerprint == theirs.fingerprint:
        return ()
    shown = (f"{each.name} (content {each.fingerprint[:SHOWN]})" for each in (ours, theirs))
    return (differ("catalogue", *shown),)


def settings_differ(recipe: Settings, here: Settings) -> tuple[str, ...]:
    """Return a sentence for each setting, and each filter, that differs."""
    pairs = [(each.name, getattr(here, each.name), getattr(recipe, each.name)) for each in fields(Settings)]
    ours, theirs = asdict(here.filters), asdict(recipe.filters)
    pairs = [pair for pair in pairs if pair[0] != "filters"] + [(name, ours[name], theirs[name]) for name in ours]
    return tuple(differ(words(name), a, b) for name, a, b in pairs if a != b)


def _encoding(recipe: Recipe, here: Recipe) -> tuple[str, ...]:
    pairs = [("n_init", here.n_init, recipe.n_init)]
    if recipe.settings.encoder == here.settings.encoder:  # of another encoder all of it is another
        ours, theirs = asdict(here.encoding), asdict(recipe.encoding)
        pairs = [(name, ours[name], theirs[name]) for name in ours if name != "device"] + pairs
    return tuple(differ(words(name), a, b) for name, a, b in pairs if a != b)


def _circumstances(recipe: Recipe, here: Recipe) -> tuple[str, ...]:
    names = list(dict.fromkeys([*here.libraries, *recipe.libraries]))
    pairs: list[tuple[str, Any, Any]] = [(name, here.libraries.get(name), recipe.libraries.get(name)) for name in names]
    pairs.append(("device that encoded", here.encoding.device, recipe.encoding.device))
    return tuple(differ(name, a, b) for name, a, b in pairs if a != b)


def words(name: str) -> str:
    """Return what a setting is called."""
    return WORDS.get(name, name.replace("_", " "))


def differ(what: str, here: Any, recipe: Any) -> str:
    """Say in a sentence how something is here and in the recipe."""
    return f"{what[0].upper()}{what[1:]}: here {_shown(here)}, in the recipe {_shown(recipe)}."


def _shown(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return (" to " if all(isinstance(each, int) for each in value) else ", ").join(map(str, value))
    return str(value)
