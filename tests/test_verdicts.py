"""What differs from a recipe, and how many films changed cluster, against plain reckoning."""

import itertools
from collections import Counter
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import recipes, verdicts
from core.analysis import Analysis
from core.movies import Catalogue, Filters
from core.recipes import Encoding, Films, Recipe, RecipeError, Result, Settings, Source
from core.verdicts import Moved

HEX, OTHER = "0123456789abcdef" * 4, "f" * 64
RECIPE = Recipe(
    catalogue=Source("films.csv", HEX),
    settings=Settings("multi-hot", 3, 7, Filters((1990, 1999), genres=("War",)), dtype="float32"),
    encoding=Encoding("owner/name", "abc", "mean", 256, False, "CPU"),
    n_init=10,
    libraries={"numpy": "2.4.6"},
    result=Result(HEX, 3, 100),
)
ELSE = replace(RECIPE, result=Result(OTHER, 3, 100))


def films(labels: dict[str, int], n: dict[str, int] | None = None) -> Films:
    n_movies = np.array([n[key] if n else 1 for key in labels], np.int64)
    return Films(
        "text" if n else "film", pa.array(labels, pa.string()), np.array([*labels.values()], np.int64), n_movies
    )


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3)),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3)),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 9), min_size=8) | st.none(),
)
def test_films_that_moved(theirs: dict[str, int], ours: dict[str, int], n: dict[str, int] | None) -> None:
    """Against all ways to match the clusters one to one."""
    n = n or dict.fromkeys("abcdefgh", 1)
    both = [key for key in ours if key in theirs]
    stays = max(
        sum(n[key] for key in both if renamed[theirs[key]] == ours[key]) for renamed in itertools.permutations(range(4))
    )
    common = sum(n[key] for key in both)
    gone, new = sum(n[key] for key in theirs if key not in ours), sum(n[key] for key in ours if key not in theirs)
    assert verdicts.moved(films(theirs, n), films(ours, n)) == Moved(common, common - stays, gone, new)


def test_the_same_result() -> None:
    found = verdicts.verdict(RECIPE, RECIPE, None)
    assert (found.same, found.differences, found.circumstances) == (True, (), ())
    assert found.sentence == "The same result as the recipe: all 100 films are in the same clusters."
    # Another way to it is said, and is no other result.
    here = replace(RECIPE, settings=replace(RECIPE.settings, random_state=8), libraries={"numpy": "2.5.0"})
    found = verdicts.verdict(RECIPE, here, None)
    assert (found.same, found.differences) == (True, ("Seed: here 8, in the recipe 7.",))
    assert found.circumstances == ("Numpy: here 2.5.0, in the recipe 2.4.6.",)


@pytest.mark.parametrize(
    ("moved", "same", "says"),
    [
        (Moved(100, 7, 0, 0), False, "Not the recipe's result: 7 of 100 films (7.0%) changed cluster."),
        (Moved(1, 1, 0, 0), False, "Not the recipe's result: 1 of 1 film (100.0%) changed cluster."),
        (
            Moved(90, 0, 10, 1),
            False,
            "Not the recipe's result: 0 of 90 films (0.0%) changed cluster; 10 of the recipe's are in no cluster here; "
            "1 here is in no cluster of the recipe.",
        ),
        (Moved(100, 0, 0, 0), True, "The same clusters as the recipe's, under other numbers: no film changed cluster."),
        (
            None,
            False,
            "Not the recipe's result. It carries no films, so how many of them changed cluster is not known.",
        ),
    ],
)
def test_another_result(moved: Moved | None, same: bool, says: str) -> None:
    found = verdicts.verdict(RECIPE, ELSE, moved)
    assert (found.same, found.sentence) == (same, says)
    if not same:
        (hashes,) = found.differences
        assert hashes.startswith("Hash of the clusters: here ffffffffffff, in the recipe 0123456789ab.")
        assert "Nothing else differs" in hashes


OTHERS: dict[str, Any] = {
    "encoder": "tf-idf", "n_clusters": 4, "random_state": 0, "standardize": True, "dtype": "bfloat16", "text": "plot",
    "years": None, "languages": ("French",), "countries": ("France", "Italy"), "genres": (), "genre_mode": "all",
    "min_reviews": 5, "repository": None, "revision": "def", "pooling": "cls", "max_length": 512, "center": True,
}  # fmt: skip


PARTS = {each.name for kind in (Settings, Filters, Encoding) for each in fields(kind)} - {"filters", "device"}


@pytest.mark.parametrize("name", sorted(PARTS))
def test_each_part_is_named(name: str) -> None:
    """Every setting, every filter and every part of the encoding, also one that is added later."""
    settings, encoding = RECIPE.settings, RECIPE.encoding
    other = OTHERS.get(name, "another")
    if hasattr(settings, name):
        settings = replace(settings, **{name: other})
    elif hasattr(settings.filters, name):
        settings = replace(settings, filters=replace(settings.filters, **{name: other}))
    else:
        encoding = replace(encoding, **{name: other})
    found = verdicts.verdict(RECIPE, replace(ELSE, settings=settings, encoding=encoding), Moved(100, 7, 0, 0))
    said, hashes = found.differences
    assert said.lower().startswith(verdicts.words(name).lower())
    assert hashes.endswith("in the recipe 0123456789ab.")


def test_words_of_a_difference() -> None:
    here = replace(
        ELSE,
        catalogue=Source("other.csv", OTHER),
        settings=Settings("multi-hot", 3, 7, Filters(countries=("France", "Italy")), standardize=True, dtype="float32"),
        n_init=20,
        libraries={"torch": "2.13.0"},
        encoding=replace(RECIPE.encoding, device="GPU"),
    )
    found = verdicts.verdict(RECIPE, here, Moved(90, 7, 10, 0))
    assert found.differences == (
        "Catalogue: here other.csv (content ffffffffffff), in the recipe films.csv (content 0123456789ab).",
        "Standardised dimensions: here on, in the recipe off.",
        "Filter on years: here none, in the recipe 1990 to 1999.",
        "Filter on countries: here France, Italy, in the recipe none.",
        "Filter on genres: here none, in the recipe War.",
        "Starts of k-means (n_init): here 20, in the recipe 10.",
        "Hash of the clusters: here ffffffffffff, in the recipe 0123456789ab.",
    )
    assert found.circumstances == (
        "Torch: here 2.13.0, in the recipe none.",
        "Numpy: here none, in the recipe 2.4.6.",
        "Device that encoded: here GPU, in the recipe CPU.",
    )
    # Of another encoder the revision is another one, which goes without saying.
    other = replace(
        ELSE, settings=replace(RECIPE.settings, encoder="tf-idf"), encoding=Encoding(None, None, "none", 0, False)
    )
    assert len(verdicts.verdict(RECIPE, other, None).differences) == 2


def test_a_link() -> None:
    settings = RECIPE.settings
    stamp = recipes.stamp(RECIPE)
    found = verdicts.link_verdict(stamp, settings, settings, RECIPE)
    assert (found.same, found.differences) == (True, ())
    here = replace(ELSE, catalogue=Source("films.csv", OTHER), n_init=20)
    found = verdicts.link_verdict(stamp, settings, replace(settings, random_state=8), here)
    assert not found.same
    assert [each.partition(":")[0] for each in found.differences] == [
        "Seed", "Hash of the clusters", "Hash of the catalogue", "Hash of how vectors and clusters are made",
    ]  # fmt: skip
    for nonsense in ("", "x", stamp[:-1], stamp + "0", stamp.upper(), "-" * 38):
        with pytest.raises(RecipeError, match="The link's recipe cannot be read"):
            verdicts.link_verdict(nonsense, settings, settings, RECIPE)


def test_a_recipe_is_judged_by_films_and_by_texts(catalogue: Catalogue, analysed: Analysis) -> None:
    labels = analysed.clustering.labels
    here = replace(RECIPE, settings=Settings(), result=Result(OTHER, 12, 17029))
    merged = np.where(labels == 11, 10, labels)  # two clusters became one
    n = Counter(np.repeat(labels, analysed.weights).tolist())
    for limit in (None, 100):
        carried = recipes.films_of(catalogue, Settings(), labels, limit)
        found = verdicts.judge(RECIPE, carried, here, catalogue, merged)
        assert found.sentence.startswith(f"Not the recipe's result: {min(n[10], n[11]):,} of 17,029 films")
        # the same clusters under other numbers
        found = verdicts.judge(RECIPE, carried, here, catalogue, 11 - labels)
        assert (found.same, found.sentence[:16]) == (True, "The same cluster")
    assert verdicts.judge(RECIPE, None, here, catalogue, labels).sentence.startswith("Not the recipe's result. It carr")
