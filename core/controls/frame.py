"""The frame around every page: its navigation, the catalogue, the sidebar and its settings."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core import cache, encoders
from core.analysis import Analysis
from core.clustering import MAX_CLUSTERS, MIN_CLUSTERS
from core.controls import names, own
from core.controls.encoding import wait_for_vectors
from core.controls.ending import stop
from core.controls.recipes import FILTER_WIDGETS, link_opened, open_recipe, show_verdict, take_link
from core.controls.seeing import note_visit, timed_run
from core.controls.start import keep_files
from core.controls.words import plain
from core.encoders import DTYPES, Encoder, EncoderError
from core.movies import GENRES, Catalogue, CatalogueError, Filters, GenreMode, Options
from core.recipes import DEFAULT_K, MAX_SEED, Settings
from core.sources import SourceError
from core.stability import Stability

PAGES = Path(__file__).resolve().parents[2] / "pages"
LOOKS = PAGES.parent / ".streamlit"
GENRE_MODES: tuple[GenreMode, ...] = ("any", "all", "none")
SHARED = ("encoder", "text", "k", "seed", "standardize", "dtype", *FILTER_WIDGETS.values(), "years", "genres")


@dataclass(frozen=True)
class View:
    """What a page shows: the catalogue, the settings of this run and the clustering they give, under its names.

    stability and agreement (of seeds) are as known when the run began, so that a page does not contradict itself.
    """

    catalogue: Catalogue
    settings: Settings
    analysis: Analysis
    stability: Stability | None = None
    agreement: float | None = None


def navigation() -> st.Page:
    """Set up the browser's tab, declare the pages and return the one that was asked for.

    The tab's icon is our own file: a Material icon there would be fetched from another host.
    """
    note_visit()
    keep_files()
    icon, logo = ((LOOKS / name).read_text() for name in ("icon.svg", "logo.svg"))
    st.set_page_config(page_title="Genrescope", page_icon=icon, layout="wide")
    st.logo(logo, size="large", icon_image=icon)
    return st.navigation(
        [
            st.Page(
                PAGES / "overview.py",
                title="Overview",
                icon=":material/bubble_chart:",
                default=True,
                help="All clusters at a glance: their map, sizes, genres and figures.",
            ),
            st.Page(
                PAGES / "choose.py",
                title="Choose k",
                icon=":material/tune:",
                url_path="choose",
                help="How many clusters: every figure over k, and a recommendation.",
            ),
            st.Page(
                PAGES / "cluster.py",
                title="Cluster",
                icon=":material/zoom_in:",
                url_path="cluster",
                help="One cluster in full, down to its films.",
            ),
            st.Page(
                PAGES / "compare.py",
                title="A against B",
                icon=":material/compare_arrows:",
                url_path="compare",
                help="What tells two clusters apart, or one from the rest.",
            ),
            st.Page(
                PAGES / "trends.py",
                title="Trends",
                icon=":material/show_chart:",
                url_path="trends",
                help="How the clusters came and went over the years.",
            ),
            st.Page(
                PAGES / "find.py",
                title="Find",
                icon=":material/search:",
                url_path="find",
                help="What is near to your own words, or to a film.",
            ),
            st.Page(
                PAGES / "films.py",
                title="Films",
                icon=":material/movie:",
                url_path="films",
                help="Every film with its cluster: search, sort and download.",
            ),
            st.Page(
                PAGES / "data.py",
                title="Data",
                icon=":material/database:",
                url_path="data",
                help="Bring your own films; what the catalogue is made of.",
            ),
            st.Page(
                PAGES / "encoders.py",
                title="Encoders",
                icon=":material/memory:",
                url_path="encoders",
                help="What turns genres into vectors: what is here, and what can be fetched.",
            ),
            st.Page(
                PAGES / "compare_encoders.py",
                title="Compare encoders",
                icon=":material/difference:",
                url_path="compare_encoders",
                help="Which encoder groups films best, where they differ, and whether any beats the baseline.",
            ),
            st.Page(
                PAGES / "about.py",
                title="About",
                icon=":material/info:",
                url_path="about",
                help="Versions, memory and what is stored, for a bug report.",
            ),
        ]
    )


def visitor() -> str:
    """Return a name of this visit, for who wants what in the background."""
    name: str = st.session_state.setdefault("visitor", uuid.uuid4().hex)
    return name


def visit() -> tuple[Catalogue, Settings]:
    """Return the catalogue and the settings of this run; a page that shows no clusters calls this first.

    The first visitor of a cold server who opens a page's own address gets the page without the frame. Then the
    frame is declared and the run starts anew, with it.
    """
    settings = st.session_state.get("settings")
    if not isinstance(settings, Settings):
        navigation()
        st.rerun()
    return cache.reading(settings), settings


def current() -> View:
    """Return what the page is to show; every page of clusters calls this first. It waits for vectors."""
    catalogue, settings = visit()
    wait_for_vectors(catalogue, settings)
    # What was measured for settings that nobody looks at any more would take the time of this page.
    cache.background().leave((visitor(), "stability"), unless=cache.stability_key(catalogue, settings))
    cache.background().leave((visitor(), "seeds"), unless=cache.seeds_key(catalogue, settings))
    found = names.named(catalogue, cache.analysis(catalogue, settings))
    seeds = cache.seeds(catalogue, settings)
    return View(catalogue, settings, found, cache.stability(catalogue, settings), seeds.agreement if seeds else None)


def look_ahead(settings: Settings) -> None:
    """Prepare what the visitor is likely to ask for next; the frame calls this when the page has run.

    A visit's first page takes the browser, which often is on this machine, longer to build than the server to make.
    """
    catalogue = cache.reading(settings)
    after = 0.0 if st.session_state.get("built") else cache.BUILDING_SECONDS
    st.session_state["built"] = True
    if len(catalogue.texts) <= cache.MAX_DISTANCES and cache.dtype_at_hand(catalogue, settings) is not None:
        cache.look_ahead(catalogue, settings, st.session_state.get("map") or "PCA", after)


def open_catalogue() -> Catalogue:
    """Return the catalogue, or say in one sentence why there is none and stop the run."""
    try:
        return cache.catalogue()
    except SourceError as error:
        st.title("The catalogue cannot be opened")
        st.error(plain(str(error)), icon=":material/error:")
        st.caption("Nothing was changed. Correct the file or the setting, then reload this page.")
        stop()


@contextmanager
def explained_trouble() -> Iterator[None]:
    """Show a question that the catalogue could not answer as a sentence, and end the run there.

    The background lets the run go first.
    """
    try:
        with timed_run(), cache.foreground().under():
            yield
    except CatalogueError as error:
        st.error(plain(str(error)), icon=":material/error:")
        stop()


def sidebar(catalogue: Catalogue) -> Settings:
    """Draw the sidebar and return its settings; they are kept for the page and in the URL."""
    options, known = cache.options(catalogue), _known_encoders()
    _carry_over(catalogue)
    link = link_opened()
    with st.sidebar:
        _catalogue_in_use(catalogue)
        st.selectbox(
            "Encoder",
            list(known),
            key="encoder",
            bind="query-params",
            help="  \n".join(f"**{plain(e.id)}**: {plain(e.note)}" for e in known.values()),
        )
        st.selectbox(
            "Text to encode",
            catalogue.text_choices,
            key="text",
            bind="query-params",
            help="What of a film the encoder reads. Films with the same genres have one vector between them; with "
            "titles, nearly every film has its own, which takes longer and gives looser clusters. Multi-hot reads "
            "genres, whatever is chosen here.",
        )
        st.slider(
            "Number of clusters (k)",
            MIN_CLUSTERS,
            MAX_CLUSTERS,
            DEFAULT_K,
            key="k",
            bind="query-params",
        )
        st.number_input(
            "Seed",
            0,
            MAX_SEED,
            0,
            key="seed",
            bind="query-params",
            help="Where k-means starts. If another seed gives other clusters, take them with a pinch of salt.",
        )
        _advanced()
        st.subheader("Filters", help="Filters choose which films count. Nothing is encoded again.")
        filters = _filters(options)
        counts = cache.counts(catalogue, filters)
        st.markdown(f"**{counts.movies:,} of {catalogue.n_movies:,} films**")
        st.button(
            "Reset filters",
            icon=":material/restart_alt:",
            on_click=own.reset_filters,
            args=(options,),
            disabled=filters == Filters(),
        )
        open_recipe(catalogue, known)
    settings = _checked(catalogue, filters, known)
    st.session_state["settings"] = settings
    st.session_state["shared"] = (
        catalogue.key,
        _page(),
        {key: st.session_state[key] for key in SHARED if key in st.session_state},
    )
    take_link(link, settings)
    return settings


def _carry_over(catalogue: Catalogue) -> None:
    """Keep the sidebar's settings, in the URL too, on a change of page.

    A browser that has not drawn a widget yet (its script is still on the way) drops the widget's parameter when a
    link to another page is followed (Streamlit 1.67.0). Back and Forward bring their own settings.
    """
    of, page, values = st.session_state.get("shared", (None, None, {}))
    context = get_script_run_ctx()
    if of != catalogue.key or page == _page() or (context is not None and context.is_history_navigation):
        return
    for key, value in values.items():
        if key not in st.query_params:
            st.session_state[key] = st.session_state.get(key, value)


def _page() -> str | None:
    """Return what tells this run's page from others."""
    context = get_script_run_ctx()
    return context.page_script_hash if context is not None else None


def _catalogue_in_use(catalogue: Catalogue) -> None:
    """Say on every page which films these are, with the way to change that."""
    if catalogue.private or cache.uploads_are_on():
        st.page_link(PAGES / "data.py", label=own.catalogue_line(), icon=":material/database:")
    if catalogue.private:
        st.button("Back to the films of this server", icon=":material/undo:", on_click=own.switch, args=(False,))


def _known_encoders() -> Mapping[str, Encoder]:
    """Return the encoders, or say what is wrong with the deployer's setting and stop the run."""
    try:
        return cache.known_encoders()
    except EncoderError as error:
        st.title("The encoders cannot be listed")
        st.error(plain(str(error)), icon=":material/error:")
        st.caption("Nothing was changed. Correct the setting, then restart the app.")
        stop()


def _advanced() -> None:
    """Draw what few need to change about how vectors are made."""
    with st.expander("Advanced"):
        st.toggle(
            "Standardise dimensions",
            key="standardize",
            bind="query-params",
            help="Gives every dimension of the vectors the same variance. It can help raw language models, in which a "
            "few dimensions are far larger than the others.",
        )
        st.selectbox(
            "Number format",
            ["auto", *DTYPES],
            key="dtype",
            bind="query-params",
            help="float32 gives the same vectors on every machine. bfloat16 is faster on graphics cards and on some "
            "processors, and a little less exact. auto takes float32 unless the job is very long.",
        )


def _filters(options: Options) -> Filters:
    """Draw the filters that this catalogue has columns for."""
    _fit(options)
    years = None
    if options.years and options.years[0] < options.years[1]:
        years = st.slider("Years", *options.years, options.years, key="years", bind="query-params")
        years = (min(years), max(years))  # a link may name them the wrong way round
    languages = _several("Language", options.languages, "language")
    countries = _several("Country", options.countries, "country")
    genres = _several("Genres", options.genres, "genres")
    mode = st.segmented_control(
        "Films must have",
        GENRE_MODES,
        default="any",
        required=True,
        key="match",
        bind="query-params",
        disabled=not genres,
        help="Any, all or none of the genres chosen above.",
    )
    reviews = 0
    if options.max_reviews:
        reviews = st.number_input(
            "Reviews, at least", 0, options.max_reviews, 0, step=5, key="reviews", bind="query-params"
        )
    return Filters(
        years=None if years == options.years else years,
        languages=tuple(sorted(languages)),
        countries=tuple(sorted(countries)),
        genres=tuple(sorted(genres)),
        genre_mode=mode if genres and mode in GENRE_MODES else "any",
        min_reviews=max(0, int(reviews)),
    )


def _fit(options: Options) -> None:
    """Keep what was chosen within what there is, where another catalogue has taken the place of the one before."""
    state, span = st.session_state, options.years
    before = state.get("years_there")
    state["years_there"] = span
    if "years" in state and span and before and before != span:
        first, last = max(span[0], min(state["years"])), min(span[1], max(state["years"]))
        all_of_them = tuple(state["years"]) == before or first > last
        state["years"] = span if all_of_them else (first, last)
    if "reviews" in state and state["reviews"] > options.max_reviews:
        state["reviews"] = options.max_reviews


def _several(label: str, values: dict[str, int], key: str) -> list[str]:
    if not values:
        return []
    return st.multiselect(label, list(values), key=key, bind="query-params", placeholder="Any")


def _checked(catalogue: Catalogue, filters: Filters, known: Mapping[str, Encoder]) -> Settings:
    """Check again what widgets check in the browser only."""
    state = st.session_state
    encoder = known.get(state["encoder"]) or known[encoders.DEFAULT_ENCODER]
    reads_text = encoder.kind != "multi-hot" and state["text"] in catalogue.text_choices
    return Settings(
        encoder=encoder.id,
        n_clusters=min(max(int(state["k"]), MIN_CLUSTERS), MAX_CLUSTERS),
        random_state=min(max(int(state["seed"]), 0), MAX_SEED),
        filters=filters,
        standardize=bool(state["standardize"]),
        dtype=next((dtype for dtype in DTYPES if dtype == state["dtype"]), "auto"),
        text=state["text"] if reads_text else GENRES,
    )


def scope(view: View, needs_clusters: bool = True) -> None:
    """Say which films the page speaks of and what was left out of the clusters; stop where it needs some.

    Where a recipe was opened, say what came of it.
    """
    counts, notice = view.analysis.counts, view.analysis.notice()
    line = f"**{counts.movies:,} of {view.catalogue.n_movies:,} films**"
    if counts.movies < view.catalogue.n_movies:
        line += " pass the filters"
    if counts.without_genres:
        what = "name no genre" if view.catalogue.text == GENRES else "have no such text"
        line += f"; {counts.without_genres:,} of them {what} and are in no cluster"
    st.markdown(line + ".")
    if view.catalogue.left_out:
        columns = plain(", ".join(view.catalogue.left_out))
        st.caption(f"Not loaded, as this catalogue is so large: {columns}. No search looks into them.")
    if notice:
        st.warning(notice, icon=":material/info:")
    show_verdict(view)
    if needs_clusters and view.analysis.clustering.n_clusters == 0:
        stop()
