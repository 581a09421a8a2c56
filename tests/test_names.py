"""The analyst's own names: which cluster each belongs to, against a plain reckoning over sets of films."""

import numpy as np
import pytest
from hypothesis import given as inputs
from hypothesis import settings
from hypothesis import strategies as st

from core.clustering import Name
from core.names import (
    MAX_GIVEN,
    MAX_NAME,
    MAX_NOTE,
    Clusters,
    Given,
    NamesError,
    alike,
    applied,
    clean,
    give,
    matched,
    similarity,
)

TEXTS = tuple(f"list {i}" for i in range(12))
WORDS = ("Drama", "Comedy", "War", "Horror", "Western", "Music")


def clusters(labels: list[int], weights: list[int] | None = None, texts: tuple[str, ...] = TEXTS) -> Clusters:
    found = np.array(labels)
    names = tuple(Name(WORDS[i], (WORDS[i],)) for i in range(int(found.max()) + 1))
    return Clusters(texts, np.array(weights or [1] * len(labels)), found, names)


THREE = clusters([0] * 6 + [1] * 4 + [2] * 2)


def texts(names: tuple[Name, ...]) -> list[str]:
    return [name.text for name in names]


def shown(names: tuple[Given, ...], here: Clusters) -> list[str]:
    return texts(applied(names, here))


@settings(max_examples=60, deadline=None)
@inputs(
    st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 5), st.booleans()), min_size=12, max_size=12), st.booleans()
)
def test_similarity_is_jaccard_over_the_films_that_are_here(rows: list[tuple[int, int, bool]], elsewhere: bool) -> None:
    labels = np.array([label for label, _, _ in rows])
    weights = np.array([n for _, n, _ in rows])
    labels[weights == 0] = -1
    weights[labels < 0] = 0
    members = np.flatnonzero([mine for _, _, mine in rows])
    here = Clusters(TEXTS, weights, labels, tuple(Name(word, ()) for word in WORDS[:4]))
    named = Given(TEXTS, members)
    if elsewhere:  # given to the same texts in another catalogue
        order = np.random.default_rng(0).permutation(12)
        named = Given(tuple(TEXTS[i] for i in order), np.flatnonzero(np.isin(order, members)))
    films = {(row, film) for row in range(12) for film in range(weights[row])}
    mine = {film for film in films if film[0] in members}
    for cluster in range(4):
        its = {film for film in films if labels[film[0]] == cluster}
        expected = len(mine & its) / len(mine | its) if mine | its else 0
        assert similarity(named, here)[cluster] == pytest.approx(expected)


def test_a_name_follows_its_films_and_comes_back() -> None:
    names = give((), THREE, 1, "Date night", "For two.")
    assert shown(names, THREE) == ["Drama", "Date night", "War"]
    assert applied(names, THREE)[1] == Name("Date night", ("Comedy",), own=True, note="For two.")
    # under another number
    assert shown(names, clusters([2] * 6 + [0] * 4 + [1] * 2)) == ["Date night", "Comedy", "War"]
    # most of its films are still together
    assert shown(names, clusters([0] * 7 + [1] * 3 + [2] * 2)) == ["Drama", "Date night", "War"]
    # it was split into halves, or went under in a larger one: no cluster is called so
    assert shown(names, clusters([0] * 6 + [1, 1, 3, 3] + [2] * 2)) == ["Drama", "Comedy", "War", "Horror"]
    assert shown(names, clusters([0] * 10 + [1] * 2)) == ["Drama", "Comedy"]
    # a filter leaves few of its films, and of the others
    assert shown(names, clusters([0, -1, -1, -1, -1, -1, 1, -1, -1, -1, 2, -1])) == ["Drama", "Date night", "War"]
    # or none at all
    assert shown(names, clusters([0] * 6 + [-1] * 4 + [1] * 2)) == ["Drama", "Comedy"]
    assert shown(names, THREE) == ["Drama", "Date night", "War"]


def test_films_decide_and_not_lists() -> None:
    names = give((), THREE, 1, "Mine", "")
    lists = [0] * 6 + [1, 2, 2, 2] + [3] * 2
    assert shown(names, clusters(lists)) == ["Drama", "Comedy", "Mine", "Horror"]
    assert shown(names, clusters(lists, [1] * 6 + [9, 1, 1, 1] + [1] * 2)) == ["Drama", "Mine", "War", "Horror"]


def test_a_name_of_a_small_choice_of_films_is_not_put_on_a_large_cluster() -> None:
    few = clusters([-1] * 6 + [0, -1, -1, -1] + [1, -1])
    names = give((), few, 0, "Two films in Hindi", "")
    assert shown(names, few)[0] == "Two films in Hindi"
    assert "Two films in Hindi" not in shown(names, THREE)


@settings(max_examples=60, deadline=None)
@inputs(st.lists(st.lists(st.integers(0, 4), min_size=12, max_size=12), min_size=1, max_size=6), st.data())
def test_no_two_clusters_are_called_the_same(rows: list[list[int]], data: st.DataObject) -> None:
    names: tuple[Given, ...] = ()
    words = st.sampled_from([*WORDS, *(word.upper() for word in WORDS), "Mine", "Mine (2)", " mine ", ""])
    for row in rows:
        here = clusters([*np.unique(row, return_inverse=True)[1]])
        for cluster in range(len(here.names)):
            before = texts(applied(names, here))
            try:
                names = give(names, here, cluster, data.draw(words), data.draw(st.sampled_from(["", "a note"])))
            except NamesError:
                assert texts(applied(names, here)) == before
            found = applied(names, here)
            assert len({alike(name.text) for name in found}) == len(found)
            assert [name.genres for name in found] == [name.genres for name in here.names]  # colours stay


def test_a_name_that_is_taken_is_refused_and_a_computed_one_steps_aside() -> None:
    with pytest.raises(NamesError, match="Cluster 0 is called “drama” already"):
        give((), THREE, 1, "drama", "")
    names = give((), THREE, 0, "Horror", "")
    # at another k a cluster computes that name for itself
    four = clusters([0] * 6 + [1] * 3 + [2] * 2 + [3])
    assert shown(names, four) == ["Horror", "Comedy", "War", "Horror (2)"]


def test_another_name_takes_the_place_of_the_one_that_is_shown() -> None:
    names = give((), THREE, 1, "First", "")
    other = clusters([0] * 7 + [1] * 3 + [2] * 2)
    names = give(names, other, 1, "Second", "")
    assert len(names) == 1
    assert shown(names, THREE)[1] == shown(names, other)[1] == "Second"
    # a name that is not shown here is not lost
    names = give(give((), THREE, 1, "Small", ""), clusters([0] * 10 + [1] * 2), 0, "Large", "")
    assert shown(names, THREE)[1] == "Small"


def test_back_to_the_computed_name() -> None:
    names = give((), THREE, 1, "Mine", "a note")
    assert applied(give(names, THREE, 1, "", "a note"), THREE)[1] == Name("Comedy", ("Comedy",), note="a note")
    assert give(names, THREE, 1, "Comedy", "") == ()
    # also where two names of other k would both fit
    both = (Given(TEXTS, np.arange(6, 10), "A"), Given(TEXTS, np.arange(7, 10), "B"))
    assert set(matched(both, THREE)) == {1}
    assert give(both, THREE, 1, "", "") == ()


def test_the_most_alike_name_wins_and_of_equals_the_newest() -> None:
    near, far = Given(TEXTS, np.arange(6, 10), "Near"), Given(TEXTS, np.arange(7, 10), "Far")
    assert shown((near, far), THREE)[1] == shown((far, near), THREE)[1] == "Near"
    assert shown((near, Given(TEXTS, np.arange(6, 10), "Newer")), THREE)[1] == "Newer"


def test_many_names_are_bounded() -> None:
    names: tuple[Given, ...] = ()
    for i in range(MAX_GIVEN + 5):
        here = clusters([0], [1], (f"text {i}",))
        names = give(names, here, 0, f"name {i}", "")
    assert len(names) == MAX_GIVEN
    assert names[-1].name == f"name {MAX_GIVEN + 4}"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  a \t b\n", "a b"),
        ("a\u202eb\u200bc\x00d", "abc d"),
        ("\ud800x", "x"),
        ("e\u0301", "é"),
        ("x" * 100, "x" * MAX_NAME),
        ("<b>*x*</b>", "<b>*x*</b>"),  # shown as it is
    ],
)
def test_names_are_cleaned(text: str, cleaned: str) -> None:
    assert clean(text, MAX_NAME) == cleaned


@settings(max_examples=60, deadline=None)
@inputs(st.text(), st.sampled_from([(MAX_NAME, False), (MAX_NOTE, True)]))
def test_cleaning_twice_changes_nothing(text: str, kind: tuple[int, bool]) -> None:
    once = clean(text, *kind)
    assert clean(once, *kind) == once
    assert len(once) <= kind[0]
    assert kind[1] or "\n" not in once
    once.encode()


def test_a_note_keeps_its_lines() -> None:
    assert clean(" a  b \r\n\r\n c ", MAX_NOTE, lines=True) == "a b\n\nc"
    assert len(clean("x" * 1000, MAX_NOTE, lines=True)) == MAX_NOTE
