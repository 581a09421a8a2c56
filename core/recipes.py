"""The settings that decide a result."""

from dataclasses import dataclass

from core.encoders import DEFAULT_ENCODER, WantedDtype
from core.movies import GENRES, NO_FILTERS, Filters

DEFAULT_K = 12
MAX_SEED = 9999


@dataclass(frozen=True)
class Settings:
    """What the analyst chose: everything beside the catalogue that decides which film is in which cluster.

    `standardize` is a step of post-processing (`embeddings.post_process`), `dtype` the number format of encoding,
    `text` what of a film is encoded (`Catalogue.text_choices`).
    """

    encoder: str = DEFAULT_ENCODER
    n_clusters: int = DEFAULT_K
    random_state: int = 0
    filters: Filters = NO_FILTERS
    standardize: bool = False
    dtype: WantedDtype = "auto"
    text: str = GENRES
