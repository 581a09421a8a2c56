import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from core import clustering, embeddings, encoders, explain
from core.clustering import Clustering, Space
from core.movies import Catalogue, Filters

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def baseline(catalogue: Catalogue, weights: IntArray) -> Space:
    vectors = embeddings.multi_hot(catalogue.genre_lists)
    return clustering.space(embeddings.post_process(vectors, encoders.get(encoders.BASELINE)), weights)


@pytest.fixture(scope="module")
def twelve(documents: Space, weights: IntArray) -> Clustering:
    return clustering.fit(documents, weights, 12)


def of(vectors: list[list[float]] | FloatArray, weights: list[int] | IntArray) -> tuple[Space, IntArray]:
    counted = np.asarray(weights, dtype=np.int64)
    return clustering.space(np.asarray(vectors, dtype=np.float32), counted), counted


def distances(vectors: FloatArray, centers: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt(((vectors[:, None] - centers[None]) ** 2).sum(axis=2)))


# The fit


@pytest.mark.parametrize("k", [2, 5, 8, 12, 20, 35, 50])
def test_the_fit_is_the_k_means_of_all_films(documents: Space, weights: IntArray, film_rows: IntArray, k: int) -> None:
    found = clustering.fit(documents, weights, k)
    assert len(film_rows) == 17_029
    reference = KMeans(k, init=found.centers, n_init=1).fit(documents.vectors[film_rows])
    assert reference.labels_.tolist() == found.labels[film_rows].tolist()
    assert found.inertia == pytest.approx(reference.inertia_, rel=1e-9)
    assert np.allclose(reference.cluster_centers_, found.centers, atol=1e-9)


@pytest.mark.parametrize("k", [8, 20, 50])
@pytest.mark.parametrize("encoder", ["documents", "baseline"])
def test_the_fit_is_as_good_as_scikit_learns_own(
    request: pytest.FixtureRequest, weights: IntArray, encoder: str, k: int
) -> None:
    space: Space = request.getfixturevalue(encoder)
    # One seed proves little: scikit-learn's own best of ten differs by up to 2.5 % between seeds. So the mean of five.
    seeds = range(5)
    ours = [clustering.fit(space, weights, k, seed).inertia for seed in seeds]
    with threadpool_limits(limits=1):
        fits = [KMeans(k, n_init=10, random_state=seed).fit(space.vectors, sample_weight=weights) for seed in seeds]
    assert np.mean(ours) <= np.mean([fit.inertia_ for fit in fits]) * 1.01


@pytest.mark.parametrize("k", [2, 12, 50])
def test_what_a_clustering_says_of_itself(documents: Space, weights: IntArray, k: int) -> None:
    found = clustering.fit(documents, weights, k)
    assert found.n_clusters == found.requested == k
    assert found.sizes.tolist() == [int(weights[found.labels == i].sum()) for i in range(k)]
    assert found.sizes.tolist() == sorted(found.sizes.tolist(), reverse=True)
    assert found.sizes.min() > 0
    assert found.sizes.sum() == 17_029
    for i in range(k):
        mean = np.average(documents.vectors[found.labels == i], axis=0, weights=weights[found.labels == i])
        assert np.allclose(found.centers[i], mean, atol=1e-12)
    away = distances(documents.vectors, found.centers)
    own = away[np.arange(len(away)), found.labels]
    assert np.allclose(own, away.min(axis=1))  # nothing would move any more
    assert found.inertia == pytest.approx(float(weights @ own**2), rel=1e-12)


def test_distance_runner_up_and_margin(documents: Space, weights: IntArray, twelve: Clustering) -> None:
    away = distances(documents.vectors, twelve.centers)
    for row in range(len(weights)):
        nearest, second = np.argsort(away[row], kind="stable")[:2]
        assert nearest == twelve.labels[row]
        assert second == twelve.runner_up[row]
        assert twelve.distance[row] == pytest.approx(away[row, nearest], abs=1e-7)
        margin = (away[row, second] - away[row, nearest]) / away[row, second]
        assert twelve.margin[row] == pytest.approx(margin, abs=1e-7)
    assert (twelve.margin >= 0).all()
    assert (twelve.margin <= 1).all()


def test_the_same_seed_gives_the_same_result(documents: Space, weights: IntArray, twelve: Clustering) -> None:
    again = clustering.fit(documents, weights, 12)
    for name in ("labels", "centers", "sizes", "distance", "runner_up", "margin"):
        assert np.array_equal(getattr(again, name), getattr(twelve, name)), name
    assert again.inertia == twelve.inertia
    fits = [clustering.fit(documents, weights, 12, random_state=seed, n_init=1) for seed in range(4)]
    assert len({fit.labels.tobytes() for fit in fits}) > 1  # the seed is used
    assert [fit.random_state for fit in fits] == [0, 1, 2, 3]


@pytest.mark.parametrize("threads", ["1", "4"])
def test_the_result_does_not_depend_on_the_number_of_threads(
    vector_store: Path, documents: Space, weights: IntArray, threads: str
) -> None:
    script = """
import json, sys
from pathlib import Path
from core import clustering, embeddings, encoders, movies
from core.vectors import VectorStore
encoder, catalogue = encoders.get(encoders.DEFAULT_ENCODER), movies.open_catalogue()
stored = VectorStore(Path(sys.argv[1])).load(encoders.key(encoder), catalogue.genre_lists)
space = clustering.space(embeddings.post_process(stored, encoder), catalogue.weights())
fits = {k: clustering.fit(space, catalogue.weights(), k, random_state=7) for k in (7, 30)}
print(json.dumps({k: [fit.labels.tolist(), fit.inertia] for k, fit in fits.items()}))
"""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    done = subprocess.run(
        [sys.executable, "-c", script, str(vector_store)],
        env={**os.environ, **dict.fromkeys(names, threads)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    for k, (labels, inertia) in json.loads(done.stdout).items():
        here = clustering.fit(documents, weights, int(k), random_state=7)
        assert labels == here.labels.tolist()
        assert inertia == pytest.approx(here.inertia, rel=1e-12)


def test_what_is_given_is_not_changed(catalogue: Catalogue, documents: Space, weights: IntArray) -> None:
    before = documents.vectors.copy(), documents.components.copy(), weights.copy()
    clustering.fit(documents, weights, 5)
    for array, kept in zip((documents.vectors, documents.components, weights), before, strict=True):
        assert np.array_equal(array, kept)


@pytest.mark.parametrize(
    "filters",
    [Filters(years=(1990, 1999)), Filters(genres=("Horror",)), Filters(languages=("French",), min_reviews=30)],
    ids=str,
)
def test_a_filter_is_a_fit_of_what_is_left(catalogue: Catalogue, documents: Space, filters: Filters) -> None:
    left = catalogue.weights(filters)
    here = left > 0
    assert 100 < here.sum() < 1187
    found = clustering.fit(documents, left, 9)
    assert ((found.labels == -1) == ~here).all()
    assert ((found.runner_up == -1) == ~here).all()
    assert (np.isnan(found.distance) == ~here).all()
    assert (np.isnan(found.margin) == ~here).all()
    assert found.sizes.sum() == left.sum()
    rows = np.repeat(np.arange(len(left)), left)
    reference = KMeans(9, init=found.centers, n_init=1).fit(documents.vectors[rows])
    assert reference.labels_.tolist() == found.labels[rows].tolist()
    assert found.inertia == pytest.approx(reference.inertia_, rel=1e-9)


def test_k_is_lowered_to_the_number_of_lists(documents: Space, weights: IntArray) -> None:
    left = np.where(np.arange(len(weights)) < 7, weights, 0)
    found = clustering.fit(documents, left, 50)
    assert (found.n_clusters, found.requested) == (7, 50)
    assert found.inertia == pytest.approx(0, abs=1e-9)
    assert sorted(found.labels[:7].tolist()) == list(range(7))
    assert found.sizes.tolist() == sorted(weights[:7].tolist(), reverse=True)


@pytest.mark.filterwarnings("error")
def test_lists_with_the_same_vector_are_never_parted() -> None:
    space, weights = of([[1, 0], [0, 1], [1, 0], [0, 1], [1, 0]], [1, 5, 2, 3, 4])
    found = clustering.fit(space, weights, 4)
    assert (found.n_clusters, found.requested) == (2, 4)
    assert found.labels.tolist() == [1, 0, 1, 0, 1]
    assert found.sizes.tolist() == [8, 7]
    assert found.margin.tolist() == [1.0] * 5


@pytest.mark.filterwarnings("error")
def test_one_list_is_one_cluster() -> None:
    space, weights = of([[0.6, 0.8]], [3])
    found = clustering.fit(space, weights, 5)
    assert (found.n_clusters, found.requested) == (1, 5)
    assert found.labels.tolist() == [0]
    assert found.sizes.tolist() == [3]
    assert found.inertia == found.distance[0] == pytest.approx(0, abs=1e-9)
    assert found.runner_up.tolist() == [-1]
    assert np.isnan(found.margin).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [0, 3])
def test_no_film_no_cluster(n: int) -> None:
    space, weights = of(np.eye(4)[:n], [0] * n)
    found = clustering.fit(space, weights, 5)
    assert (found.n_clusters, found.requested, found.inertia) == (0, 5, 0.0)
    assert found.centers.shape == (0, 4)
    assert found.labels.tolist() == found.runner_up.tolist() == [-1] * n
    assert np.isnan(found.margin).all()
    assert np.isnan(found.distance).all()


def test_equally_large_clusters_keep_the_order_of_their_first_list() -> None:
    space, weights = of(np.eye(4), [2, 2, 2, 2])
    assert clustering.fit(space, weights, 4).labels.tolist() == [0, 1, 2, 3]


weighted_points = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(-1, 1)), min_size=n, max_size=n),
        st.lists(st.integers(0, 6), min_size=n, max_size=n),
        st.integers(2, 6),
    )
)


@settings(max_examples=80, deadline=None)
@given(weighted_points)
@pytest.mark.filterwarnings("error")
def test_any_fit_is_at_rest(drawn: tuple[list[tuple[int, int, int]], list[int], int]) -> None:
    points, counted, k = drawn
    space, weights = of([list(map(float, point)) for point in points], counted)
    found = clustering.fit(space, weights, k)
    here = np.flatnonzero(weights)
    assert found.n_clusters == min(k, len({points[i] for i in here}))
    assert {*found.labels[here].tolist()} == {*range(found.n_clusters)}
    assert (np.diff(found.sizes) <= 0).all()
    if not len(here):
        return
    for i in range(found.n_clusters):
        mine = found.labels == i
        assert np.allclose(found.centers[i], np.average(space.vectors[mine], axis=0, weights=weights[mine]))
    away = distances(space.vectors[here], found.centers)
    assert np.allclose(away[np.arange(len(here)), found.labels[here]], away.min(axis=1), atol=1e-7)
    for i in here:
        for j in here:
            assert points[i] != points[j] or found.labels[i] == found.labels[j]


def test_the_fit_goes_on_where_components_leave_much_out() -> None:
    lot = np.random.default_rng(5)
    space, weights = of(lot.normal(size=(3000, 160)), lot.integers(1, 9, size=3000))
    assert space.components.shape == (3000, clustering.N_COMPONENTS)
    found = clustering.fit(space, weights, 15, n_init=1)
    away = distances(space.vectors, found.centers)
    assert (found.labels == away.argmin(axis=1)).all()
    reference = KMeans(15, init=found.centers, n_init=1).fit(space.vectors, sample_weight=weights)
    assert reference.inertia_ == pytest.approx(found.inertia, rel=1e-9)


# The space and the map


def test_the_components_are_those_of_numpys_svd(documents: Space, weights: IntArray, film_rows: IntArray) -> None:
    repeated = documents.vectors[film_rows]
    mean = repeated.mean(axis=0)
    _, singular, axes = np.linalg.svd(repeated - mean, full_matrices=False)
    expected = (documents.vectors - mean) @ axes.T
    assert documents.components.shape == (1187, clustering.N_COMPONENTS)
    for i in range(20):
        assert singular[i] > singular[i + 1] * 1.0001  # else the axis would not be defined
        found = documents.components[:, i]
        assert np.allclose(found, expected[:, i], atol=1e-6) or np.allclose(found, -expected[:, i], atol=1e-6)
    variance = weights @ documents.components**2 / weights.sum()
    assert np.allclose(variance, singular[: clustering.N_COMPONENTS] ** 2 / len(film_rows), rtol=1e-6)
    assert np.array_equal(documents.xy, documents.components[:, :2])


def test_documents_are_projected_onto_their_own_places() -> None:
    random = np.random.default_rng(0)
    space, _ = of(random.normal(size=(30, 5)) + 3, random.integers(1, 9, 30))
    assert np.abs(clustering.project(space, space.vectors) - space.xy).max() < 1e-12


def test_the_axes_point_to_where_their_largest_loading_is(documents: Space, weights: IntArray) -> None:
    centred = documents.vectors - np.average(documents.vectors, axis=0, weights=weights)
    for i in range(10):
        axis = (weights * documents.components[:, i]) @ centred  # the axis, up to a positive factor
        assert axis[np.abs(axis).argmax()] > 0


def test_the_space_is_the_same_every_time(documents: Space, weights: IntArray) -> None:
    again = clustering.space(documents.vectors.astype(np.float32), weights)
    for name in ("vectors", "components", "xy", "same"):
        assert np.array_equal(getattr(again, name), getattr(documents, name)), name
    assert again.vectors.dtype == np.float64


def test_same_numbers_are_same_vectors() -> None:
    space, _ = of([[1, 0], [0, 1], [1, 0], [0.5, 0.5]], [1, 1, 1, 1])
    assert space.same[0] == space.same[2]
    assert len({*space.same.tolist()}) == 3


def test_shipped_lists_all_differ(documents: Space, baseline: Space) -> None:
    assert len({*documents.same.tolist()}) == len({*baseline.same.tolist()}) == 1187


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("n", "d"), [(0, 0), (0, 3), (1, 1), (1, 5), (2, 1), (3, 2)])
def test_small_spaces_have_a_map(n: int, d: int) -> None:
    lot = np.random.default_rng(0)
    space, weights = of(lot.normal(size=(n, d)), np.arange(n) + 1)
    assert space.xy.shape == (n, 2)
    assert np.isfinite(space.xy).all()
    assert clustering.fit(space, weights, 2).n_clusters == min(2, n)
    assert np.array_equal(clustering.tsne(space), space.xy) or n > 3


def test_tsne_can_be_repeated_and_keeps_neighbours(documents: Space, weights: IntArray, twelve: Clustering) -> None:
    rows = np.argsort(-weights, kind="stable")[:150]
    space, _ = of(documents.vectors[rows], weights[rows])
    xy = clustering.tsne(space)
    assert xy.shape == (150, 2)
    assert np.isfinite(xy).all()
    assert np.array_equal(clustering.tsne(space), xy)
    near, far = distances(space.vectors, space.vectors), distances(xy, xy)
    shared = [len({*np.argsort(near[i])[1:11]} & {*np.argsort(far[i])[1:11]}) for i in range(150)]
    assert np.mean(shared) > 5  # by chance it would be 0.7 of 10


def test_of_very_many_documents_some_are_laid_out_and_the_others_put_beside_them() -> None:
    random = np.random.default_rng(0)
    space, _ = of(random.normal(size=(60, 5)), random.integers(1, 9, 60))
    found = clustering.tsne(space, random_state=4, n_documents=20)
    rows = np.sort(np.random.default_rng(4).choice(60, 20, replace=False))
    assert found.shape == (60, 2)
    assert len(np.unique(found[rows], axis=0)) == 20
    near = distances(space.components, space.components[rows]).argmin(axis=1)
    assert np.array_equal(found, found[rows][near])


@pytest.mark.parametrize("n", [4, 5, 31])
def test_tsne_of_few_or_equal_documents(n: int) -> None:
    assert np.isfinite(clustering.tsne(of(np.eye(40)[:n], [1] * n)[0])).all()
    assert np.isfinite(clustering.tsne(of(np.ones((n, 3)), [1] * n)[0])).all()


# Names


def names_of(catalogue: Catalogue, found: Clustering, weights: IntArray) -> tuple[clustering.Name, ...]:
    matrix, genres = explain.membership(catalogue.genre_lists)
    films = explain.genre_films(matrix, weights, found.labels)
    return clustering.name_clusters(films / found.sizes[:, None], films.sum(axis=0) / weights.sum(), genres)


@pytest.mark.parametrize("encoder", ["documents", "baseline"])
def test_no_two_clusters_have_one_name(
    request: pytest.FixtureRequest, catalogue: Catalogue, weights: IntArray, encoder: str
) -> None:
    space: Space = request.getfixturevalue(encoder)
    for k in range(clustering.MIN_CLUSTERS, clustering.MAX_CLUSTERS + 1):
        found = clustering.fit(space, weights, k, n_init=1)
        names = names_of(catalogue, found, weights)
        assert len({name.text for name in names}) == k
        assert all(name.genres and name.text for name in names)


def test_a_name_says_what_a_cluster_has_more_of(catalogue: Catalogue, weights: IntArray, twelve: Clustering) -> None:
    matrix, genres = explain.membership(catalogue.genre_lists)
    films = explain.genre_films(matrix, weights, twelve.labels)
    overall = films.sum(axis=0) / weights.sum()
    for i, name in enumerate(names_of(catalogue, twelve, weights)):
        share = dict(zip(genres, films[i] / twelve.sizes[i], strict=True))
        lift = {genre: share[genre] / q for genre, q in zip(genres, overall, strict=True)}
        leading = name.genres[0]
        assert lift[leading] > 1
        assert share[leading] >= clustering.MIN_NAME_SHARE
        parts = {g: share[g] * np.log(lift[g]) for g in genres if share[g] >= 0.25}
        assert leading == max(parts, key=lambda genre: parts[genre])


def test_names_by_hand() -> None:
    genres = ["Comedy", "Drama", "Horror", "War"]
    overall = np.array([0.4, 0.5, 0.1, 0.1])
    shares = np.array(
        [
            [0.3, 1.0, 0.0, 0.1],  # Drama alone is above its share in the catalogue
            [0.0, 0.5, 1.0, 0.0],  # Horror; Drama is as common as anywhere
            [1.0, 0.9, 0.0, 0.0],  # Comedy p log(p/q) = 0.92, Drama 0.53: both
            [1.0, 0.6, 0.0, 0.0],  # Comedy 0.92, Drama 0.11: less than 35 % of it
            [0.4, 0.0, 0.24, 0.9],  # War; Horror has more lift, but too few films
        ]
    )
    names = clustering.name_clusters(shares, overall, genres)
    assert [name.text for name in names] == ["Drama", "Horror", "Comedy & Drama", "Comedy", "War"]
    assert [name.genres for name in names][2:4] == [("Comedy", "Drama"), ("Comedy",)]


def test_a_name_has_three_genres_at_most() -> None:
    overall = np.full(5, 0.1)
    (name,) = clustering.name_clusters(np.array([[0.9, 0.8, 0.7, 0.6, 0.5]]), overall, list("abcde"))
    assert name.text == "a, b & c"


def test_clusters_that_would_be_called_the_same_are_told_apart() -> None:
    genres = ["Comedy", "Drama", "War"]
    overall = np.array([0.3, 0.3, 0.3])
    alike = np.array([1.0, 0.2, 0.1])
    names = clustering.name_clusters(np.tile(alike, (5, 1)), overall, genres)
    assert [name.text for name in names] == [
        "Comedy",
        "Comedy & Drama",
        "Comedy, Drama & War",
        "Comedy (2)",
        "Comedy (3)",
    ]
    assert {name.genres[0] for name in names} == {"Comedy"}


def test_a_genre_that_looks_like_a_numbered_name() -> None:
    overall = np.array([0.3, 0.3])
    shares = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    names = clustering.name_clusters(shares, overall, ["Comedy", "Comedy (2)"])
    assert [name.text for name in names] == ["Comedy (2)", "Comedy", "Comedy (3)", "Comedy (4)"]


def test_a_cluster_with_nothing_above_the_catalogue_is_named_by_its_commonest() -> None:
    names = clustering.name_clusters(np.array([[0.2, 0.24, 0.1]]), np.array([0.5, 0.5, 0.5]), list("abc"))
    assert names[0].genres == ("b",)


def test_clusters_without_any_genre_have_names_too() -> None:
    names = clustering.name_clusters(np.zeros((2, 1)), np.array([0.0]), ["War"])
    assert [name.text for name in names] == ["No genres", "No genres (2)"]
    assert [name.genres for name in names] == [(), ()]
    assert clustering.name_clusters(np.zeros((0, 1)), np.array([0.0]), ["War"]) == ()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.sampled_from([0.0, 0.2, 0.25, 0.5, 1.0]), min_size=3, max_size=3), min_size=1, max_size=30))
def test_any_names_differ(shares: list[list[float]]) -> None:
    table = np.array(shares)
    names = clustering.name_clusters(table, np.maximum(table.mean(axis=0), 1e-9), ["Comedy", "Drama", "War"])
    assert len({name.text for name in names}) == len(shares)


def test_a_fit_in_full_gives_no_warning(documents: Space, weights: IntArray, recwarn: pytest.WarningsRecorder) -> None:
    clustering.fit(documents, weights, 50)
    assert [warning for warning in recwarn if issubclass(warning.category, ConvergenceWarning)] == []


def test_a_computed_name_is_not_the_analysts_own() -> None:
    (name,) = clustering.name_clusters(np.array([[1.0, 0.0]]), np.array([0.5, 0.5]), ["Comedy", "Drama"])
    assert name == clustering.Name("Comedy", ("Comedy",), own=False, note="")


def test_more_dimensions_than_points_give_the_same_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    vectors, weights = random.normal(size=(12, 40)).astype(np.float32), random.integers(1, 9, size=12)
    plain = clustering.space(vectors, weights)
    monkeypatch.setattr(clustering, "WIDE", 20)
    wide = clustering.space(vectors, weights)
    width = wide.components.shape[1]
    assert width == 11  # as many as points, less their mean
    assert np.allclose(wide.components, plain.components[:, :width], atol=1e-8)
    assert np.allclose(wide.axes, plain.axes, atol=1e-8)
    assert np.allclose(plain.components[:, width:], 0, atol=1e-7)
