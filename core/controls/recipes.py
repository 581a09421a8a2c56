"""The recipe of a result: copied as a link, downloaded, opened, and held against what is here."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import streamlit as st

from core import cache, log, recipes, verdicts
from core.controls import names
from core.controls.words import plain
from core.encoders import Encoder
from core.movies import NO_FILTERS, Catalogue, Filters, Options
from core.recipes import Films, Recipe, RecipeError, Settings
from core.verdicts import Verdict

if TYPE_CHECKING:
    from core.controls.frame import View

# The widgets of the sidebar, by what they set; all others have the name of what they set.
WIDGETS = {"n_clusters": "k", "random_state": "seed"}
FILTER_WIDGETS = {"languages": "language", "countries": "country", "genre_mode": "match", "min_reviews": "reviews"}
LINKED = "recipe"  # the parameter of a link
MAX_MEGABYTES = recipes.MAX_BYTES // 1_000_000


@dataclass(frozen=True, eq=False)
class Opened:
    """A recipe that was opened from a file, or from a link.

    A link has the settings, a stamp (`recipes.stamp`) and what it asked for that is not to be had here (`refused`).
    """

    settings: Settings
    name: str = ""
    recipe: Recipe | None = None
    films: Films | None = None
    stamp: str = ""
    refused: tuple[str, ...] = ()


def query(settings: Settings) -> list[tuple[str, str]]:
    """Return the settings as the parameters of a link, without filters that do nothing."""
    found = []
    for each in fields(Settings):
        if each.name != "filters":
            found += _parameters(WIDGETS.get(each.name, each.name), getattr(settings, each.name))
    for each in fields(Filters):
        value = getattr(settings.filters, each.name)
        if value != getattr(NO_FILTERS, each.name):
            found += _parameters(FILTER_WIDGETS.get(each.name, each.name), value)
    return found


def _parameters(key: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, bool):
        return [(key, str(value).lower())]
    return [(key, str(each)) for each in (value if isinstance(value, tuple) else (value,))]


def apply(settings: Settings, options: Options, choices: Collection[str], known: Mapping[str, Encoder]) -> None:
    """Set the sidebar's widgets, in a callback, as far as this catalogue and server have what is asked for.

    What they have not is seen afterwards, when the settings are held against the recipe's.
    """
    filters = settings.filters
    values = {WIDGETS.get(each.name, each.name): getattr(settings, each.name) for each in fields(Settings)}
    values |= {FILTER_WIDGETS.get(each.name, each.name): getattr(filters, each.name) for each in fields(Filters)}
    if settings.encoder not in known:
        del values["encoder"]
    if settings.text not in choices:
        del values["text"]
    for key, there in (("language", options.languages), ("country", options.countries), ("genres", options.genres)):
        values[key] = [value for value in values[key] if value in there]
    values["reviews"] = min(filters.min_reviews, options.max_reviews)
    if options.years:
        first, last = options.years
        years = filters.years or options.years
        values["years"] = (min(max(years[0], first), last), max(min(years[1], last), first))
    for key, value in values.items():
        if key in st.session_state:
            st.session_state[key] = value


def open_recipe(catalogue: Catalogue, known: Mapping[str, Encoder]) -> None:
    """Draw where a recipe's file can be dropped; its settings are then taken, and every page says what came of it."""
    with st.expander("Open a recipe", icon=":material/receipt_long:"):
        trouble = st.session_state.get("recipe_trouble")
        if trouble:
            st.error(plain(trouble), icon=":material/error:")
        st.file_uploader(
            "A recipe's JSON file",
            type="json",
            key="recipe_file",
            max_upload_size=MAX_MEGABYTES,
            on_change=_open,
            args=(catalogue, known),
            help="Downloaded on the Overview, here or elsewhere, or taken from the report of the command line. Its "
            "settings and names take the place of yours, and every page says whether the result is the same.",
        )


def _open(catalogue: Catalogue, known: Mapping[str, Encoder]) -> None:
    state = st.session_state
    file = state["recipe_file"]
    state.pop("recipe_trouble", None)
    if file is None:
        return
    try:
        recipe = recipes.read(file.getvalue())
        films = recipes.unpack(recipe)
        if recipe.settings.encoder not in known:
            raise RecipeError(f"settings.encoder: “{recipe.settings.encoder}” is not one of this server's encoders.")
    except RecipeError as error:
        state["recipe_trouble"] = f"{file.name} was not opened, and nothing was changed. {error}"
        return
    apply(recipe.settings, cache.options(catalogue), catalogue.text_choices, known)
    if recipe.names or names.given():
        names.take(recipes.given_names(recipe, films, catalogue), f"names from {file.name}")
    state["opened"] = Opened(recipe.settings, file.name, replace(recipe, films=None), films)


def link_opened() -> dict[str, list[str]]:
    """Return the parameters of a link with a recipe, before widgets have taken theirs; nothing without a recipe."""
    return {key: st.query_params.get_all(key) for key in st.query_params} if LINKED in st.query_params else {}


def take_link(asked: dict[str, list[str]], settings: Settings) -> None:
    """Remember what a link carries of its recipe; it leaves the address, as the settings may change from here on."""
    if not asked:
        return
    del st.query_params[LINKED]
    given: dict[str, list[str]] = {}
    for key, value in query(settings):
        given.setdefault(key, []).append(value)
    names = {**WIDGETS, **FILTER_WIDGETS}
    names = {each.name: names.get(each.name, each.name) for each in (*fields(Settings), *fields(Filters))}
    refused = tuple(
        verdicts.differ(verdicts.words(name), tuple(given.get(key, ())), tuple(value[:60] for value in asked[key]))
        for name, key in names.items()
        if key in asked and sorted(asked[key]) != sorted(given.get(key, ()))
    )
    st.session_state["opened"] = Opened(settings, stamp=asked[LINKED][-1][:100], refused=refused)


def show_verdict(view: "View") -> None:
    """Say, until it is dismissed, whether the recipe that was opened gave the same result here, and what differs."""
    opened = st.session_state.get("opened")
    if not isinstance(opened, Opened):
        return
    here = cache.recipe(view.catalogue, view.settings)
    known = st.session_state.get("verdict")
    if known is None or known[0] is not opened or known[1] != here:
        known = st.session_state["verdict"] = (opened, here, _verdict(view, opened, here))
    found: Verdict = known[2]
    with st.container(border=True, key="recipe_verdict"):
        draw, icon = (st.success, "check_circle") if found.same else (st.warning, "difference")
        name = f"**{plain(opened.name)}**: " if opened.name else ""
        draw(f"{name}{plain(found.sentence)}", icon=f":material/{icon}:")
        if found.differences:
            st.markdown("\n".join(f"- {plain(each)}" for each in found.differences))
        if found.circumstances:
            st.caption("The machine differs too: " + " ".join(plain(each) for each in found.circumstances))
        with st.container(horizontal=True):
            if verdicts.settings_differ(opened.settings, here.settings if opened.recipe else view.settings):
                st.button(
                    "Back to the recipe's settings",
                    icon=":material/undo:",
                    key="recipe_again",
                    on_click=_again,
                    args=(view.catalogue, opened),
                )
            st.button("Dismiss", icon=":material/close:", key="recipe_dismiss", on_click=_dismiss)


def _verdict(view: "View", opened: Opened, here: Recipe) -> Verdict:
    if opened.recipe is None:
        try:
            found = verdicts.link_verdict(opened.stamp, opened.settings, view.settings, here)
        except RecipeError as error:
            return Verdict(False, str(error), opened.refused)
        return replace(found, differences=(*opened.refused, *found.differences))
    return verdicts.judge(opened.recipe, opened.films, here, view.catalogue, view.analysis.clustering.labels)


def _again(catalogue: Catalogue, opened: Opened) -> None:
    apply(opened.settings, cache.options(catalogue), catalogue.text_choices, cache.known_encoders())


def _dismiss() -> None:
    for key in ("opened", "verdict"):
        st.session_state.pop(key, None)


def recipe_box(view: "View") -> None:
    """Draw the recipe of the result, as a link and as a file, for whoever opens it."""
    box = st.expander(
        "Recipe: how to make this result again", icon=":material/receipt_long:", key="recipe_box", on_change="rerun"
    )
    if not box.open:
        return
    with box:
        recipe, session = cache.recipe(view.catalogue, view.settings), log.session()
        st.markdown("**As a link**, with every setting. It has no room for your names and notes.")
        address = (st.context.url or "").partition("?")[0].rstrip("/")
        link = urlencode([*query(recipe.settings), (LINKED, recipes.stamp(recipe))])
        st.code(f"{address}/?{link}", language=None, wrap_lines=True)
        st.markdown(
            "**As a file**, with your names and notes, and each film's cluster. Open it in the sidebar, or give it to "
            "`python -m core cluster --recipe genrescope-recipe.json --out films.parquet`."
        )
        st.download_button(
            "Recipe as JSON",
            data=lambda: _logged_recipe(view, session),
            file_name="genrescope-recipe.json",
            mime="application/json",
            on_click="ignore",
            icon=":material/download:",
            key="download_recipe",
        )
        st.caption(
            f"The films' clusters have the hash {recipe.result.label_hash[:12]}, the catalogue's content "
            f"{recipe.catalogue.fingerprint[:12]}. Opened elsewhere, both say whether the same came out; the file also "
            "tells how many films changed cluster."
        )


def _logged_recipe(view: "View", session: str | None) -> bytes:
    with log.timed("exported", kind="genrescope-recipe.json", session=session) as told:
        made = recipe_json(view)
        told["bytes"] = len(made)
    return made


def recipe_json(view: "View") -> bytes:
    """Return the recipe of what is shown as a JSON file, with names, notes and the films' clusters."""
    films = recipes.films_of(view.catalogue, view.settings, view.analysis.clustering.labels)
    recipe = replace(
        cache.recipe(view.catalogue, view.settings),
        names=recipes.own_names(view.analysis.names),
        films=recipes.pack(films),
    )
    return json.dumps(recipes.write(recipe), ensure_ascii=False, indent=1).encode()
