import dataclasses

import pytest

from core import clustering, encoders
from core.movies import Filters
from core.recipes import DEFAULT_K, MAX_SEED, Settings


def test_the_defaults_can_be_used() -> None:
    settings = Settings()
    assert encoders.get(settings.encoder).id == encoders.DEFAULT_ENCODER
    assert clustering.MIN_CLUSTERS <= settings.n_clusters == DEFAULT_K <= clustering.MAX_CLUSTERS
    assert 0 <= settings.random_state <= MAX_SEED < 2**32  # what scikit-learn takes
    assert settings.filters == Filters()


def test_settings_serve_as_the_key_of_a_cache() -> None:
    one = Settings(filters=Filters(years=(1990, 1999), languages=("French",)))
    other = Settings(filters=Filters(years=(1990, 1999), languages=("French",)))
    assert {one: "kept"}[other] == "kept"
    changes = [
        {"encoder": "multi-hot"},
        {"n_clusters": 13},
        {"random_state": 1},
        {"filters": Filters(years=(1990, 1998), languages=("French",))},
        {"filters": Filters(years=(1990, 1999), languages=("French",), genre_mode="all")},
        {"filters": Filters(years=(1990, 1999), languages=("French",), min_reviews=1)},
        {"filters": Filters(years=(1990, 1999), countries=("French",))},
    ]
    assert len({one, *(dataclasses.replace(one, **change) for change in changes)}) == len(changes) + 1


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().n_clusters = 3  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().filters.min_reviews = 3  # type: ignore[misc]
