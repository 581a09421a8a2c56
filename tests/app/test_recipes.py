"""Recipes in simulated sessions: copied, downloaded, opened, and held against what is here."""

import io
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet as pq
import pytest

from core.__main__ import main
from core.controls.recipes import WIDGETS
from core.movies import Filters
from core.recipes import Settings
from tests.app.conftest import BASELINE, ROOT, Visit, unescaped
from tests.app.test_names import call, names

pytestmark = pytest.mark.usefixtures("stub_worker")
Offered = dict[str, tuple[str, Callable[[], bytes]]]
FILE = "genrescope-recipe.json"
QUERY = {
    "encoder": BASELINE, "k": "7", "seed": "3", "standardize": "true", "years": ["1980", "2005"],
    "language": ["English", "French"], "genres": ["Comedy", "Drama"], "match": "any", "reviews": "2",
}  # fmt: skip
FILTERS = Filters((1980, 2005), ("English", "French"), (), ("Comedy", "Drama"), "any", 2)
SETTINGS = Settings(BASELINE, 7, 3, FILTERS, True, "float32")


def with_box(visit: Visit) -> Visit:
    """Open the part of the Overview that has the recipe."""
    visit.at.session_state["recipe_box"] = True
    return visit.go("overview")


def recipe_of(visit: Visit, offered: Offered) -> dict[str, Any]:
    with_box(visit)
    found: dict[str, Any] = json.loads(offered[FILE][1]())
    return found


def link_of(visit: Visit) -> dict[str, Any]:
    (code,) = with_box(visit).at.code
    return {key: value if len(value) > 1 else value[0] for key, value in parse_qs(urlsplit(code.value).query).items()}


def open_file(visit: Visit, content: Any, name: str = "mine.json") -> Visit:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    visit.at.file_uploader(key="recipe_file").set_value((name, data, "application/json"))
    return visit.run()


def verdict(visit: Visit) -> tuple[str, list[str]]:
    """Return what the page says of the recipe, and what differs."""
    (box,) = [*visit.at.main.success, *visit.at.main.warning]
    lines = [line for text in visit.lines if text.startswith("- ") for line in text.split("\n")]
    return unescaped(box.value), [unescaped(line[2:]) for line in lines]


def test_the_same_in_the_app_and_on_the_command_line(offered: Offered, tmp_path: Path) -> None:
    visit = call(Visit("cluster", QUERY), 2, "Mine", "a note")
    recipe = recipe_of(visit, offered)
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    out, report = tmp_path / "films.parquet", tmp_path / "report.json"
    arguments = ["cluster", "--recipe", tmp_path / "recipe.json", "--out", out, "--report", report]
    assert main([str(each) for each in arguments]) == 0
    again = json.loads(report.read_text())["recipe"]
    assert again["result"]["label_hash"] == recipe["result"]["label_hash"]
    assert again == recipe
    # The films' file of the command line is the app's.
    columns = ["movie_id", "cluster", "cluster_name", "cluster_note", "runner_up"]
    shown = io.BytesIO(offered["genrescope-films.parquet"][1]())
    assert pq.read_table(out, columns=columns).equals(pq.read_table(shown, columns=columns))
    # And the other way round: what the command line wrote is the same result in the app.
    other = open_file(Visit("trends"), again)
    assert verdict(other) == (
        f"**mine.json**: The same result as the recipe: all {recipe['result']['n_movies']:,} films are in the same "
        "clusters.",
        [],
    )
    assert other.settings == SETTINGS
    assert names(other.go("overview"))[2] == "Mine"
    assert other.table("cluster_table")["note"].tolist()[2] == "a note"


def test_every_setting_has_a_widget_and_is_in_the_link() -> None:
    visit = Visit("overview", QUERY)
    assert visit.settings == Settings(BASELINE, 7, 3, FILTERS, True)
    link = link_of(visit)
    assert {WIDGETS.get(each.name, each.name) for each in fields(Settings)} - {"filters"} <= link.keys()
    assert len(str(link)) < 500
    there = {key for key in link if key not in ("recipe", "text")}  # text has no widget yet
    assert there <= {getattr(node, "key", None) for node in visit.at.sidebar}


def test_a_link_gives_the_same_and_says_so() -> None:
    link = link_of(Visit("overview", QUERY))
    visit = Visit("overview", link)
    assert visit.settings == SETTINGS
    assert "recipe" not in visit.at.query_params
    said, differs = verdict(visit)
    assert (said[:35], differs) == ("The same result as the link's: all ", [])
    for page in ("cluster", "films", "trends", "compare", "choose"):
        assert verdict(visit.go(page))[0] == said
    # It stays, and says so when the settings are others.
    visit.at.slider(key="k").set_value(6)
    said, differs = verdict(visit.go("overview"))
    assert said.startswith("Not the result that the link was copied from.")
    assert differs[0] == "Number of clusters (k): here 6, in the recipe 7."
    assert differs[1].startswith("Hash of the clusters: here ")
    visit.at.button(key="recipe_again").click()
    assert visit.run().settings == SETTINGS
    assert verdict(visit)[1] == []
    assert not [button for button in visit.at.button if button.key == "recipe_again"]
    visit.at.button(key="recipe_dismiss").click()
    assert not visit.run().at.success
    assert not visit.go("films").at.success


def test_a_link_that_asks_for_what_is_not_here(elsewhere: Callable[..., None], vector_store: Path) -> None:
    elsewhere(vectors=vector_store)  # the default encoder takes the place of one that is not here
    link = link_of(Visit("overview", QUERY))
    visit = Visit("overview", {**link, "encoder": "evil<b>", "language": ["English", "Nonsense"]})
    said, differs = verdict(visit)
    assert said.startswith("Not the result that the link was copied from.")
    assert differs[:2] == [
        "Encoder: here all-MiniLM-L6-v2, in the recipe evil<b>.",
        "Filter on languages: here English, in the recipe English, Nonsense.",
    ]
    for nonsense in ("", "x", "x" * 10_000, link["recipe"][:-1]):
        visit = Visit("overview", {**link, "recipe": nonsense})
        assert verdict(visit)[0].startswith("The link's recipe cannot be read: it was changed or cut off.")
        assert visit.settings == SETTINGS


def test_a_recipe_that_gives_something_else(offered: Offered) -> None:
    recipe = recipe_of(Visit("overview", {"encoder": BASELINE, "k": "8"}), offered)
    recipe["settings"]["random_state"] = 3
    recipe["catalogue"]["fingerprint"] = "f" * 64
    recipe["encoding"]["revision"] = "*another*"
    recipe["libraries"]["numpy"] = "1.0"
    visit = open_file(Visit("films"), recipe, "*my*.json")
    assert visit.settings == Settings(BASELINE, 8, 3, dtype="float32")
    said, differs = verdict(visit)
    assert said.startswith("**\\*my*.json**: ") or said.startswith("***my*.json**: ")
    assert " of 17,029 films (" in said
    assert said.endswith(" changed cluster.")
    told = [each.partition(":")[0] for each in differs]
    assert told == ["Catalogue", "Revision of the encoder", "Hash of the clusters"]
    machine = next(unescaped(each.value) for each in visit.at.main.caption if "machine" in each.value)
    assert machine.endswith("in the recipe 1.0.")
    assert not [text for text in visit.words if "*another*" in text]
    # With the recipe's own seed it is the same result, though the catalogue's file is said to be another.
    visit.at.number_input(key="seed").set_value(0)
    said, differs = verdict(visit.run())
    assert "The same result as the recipe" in said
    assert [each.partition(":")[0] for each in differs] == ["Catalogue", "Seed", "Revision of the encoder"]


def test_filters_that_this_catalogue_does_not_have(
    offered: Offered, elsewhere: Callable[..., None], tmp_path: Path
) -> None:
    recipe = recipe_of(Visit("overview", QUERY), offered)
    small = tmp_path / "small.parquet"
    table = pq.read_table(ROOT / "data" / "movies.parquet")
    years = table["year"].to_pylist()
    pq.write_table(
        table.take([i for i, year in enumerate(years) if 1990 <= year <= 2000]).drop_columns(["languages"]), small
    )
    elsewhere(movies=small)
    visit = open_file(Visit("overview", {"encoder": BASELINE}), recipe)
    said, differs = verdict(visit)
    assert "Not the recipe's result: " in said
    assert "of the recipe's are in no cluster here" in said
    told = {each.partition(":")[0]: each for each in differs}
    assert {"Catalogue", "Filter on years", "Filter on languages"} <= told.keys()
    assert told["Filter on years"] == "Filter on years: here none, in the recipe 1980 to 2005."
    assert told["Filter on languages"] == "Filter on languages: here none, in the recipe English, French."


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "The file: it is not JSON, or was cut off."),
        ({"format": "genrescope recipe", "version": 1, "**x**": 1}, "**x**: this version of Genrescope does not know"),
        (
            {"format": "genrescope recipe", "version": 9},
            "version: this version of Genrescope reads recipes of version 1",
        ),
    ],
)
def test_a_file_that_is_no_recipe(content: Any, says: str) -> None:
    visit = open_file(Visit("overview", QUERY), content)
    (error,) = visit.at.sidebar.error
    assert unescaped(error.value).startswith(f"mine.json was not opened, and nothing was changed. {says}")
    assert says not in error.value or "*" not in says
    assert visit.settings == Settings(BASELINE, 7, 3, FILTERS, True)
    assert not visit.at.success


def test_an_encoder_that_is_not_here(offered: Offered) -> None:
    visit = Visit("overview", QUERY)
    recipe = recipe_of(visit, offered)
    recipe["settings"]["encoder"] = "evil"
    before = visit.settings
    open_file(visit, recipe)
    assert unescaped(visit.at.sidebar.error[0].value).endswith("“evil” is not one of this server's encoders.")
    assert visit.settings == before
    recipe["settings"]["encoder"] = BASELINE
    assert not open_file(visit, recipe).at.sidebar.error


def test_opening_a_recipe_can_be_undone_for_names(offered: Offered) -> None:
    visit = call(Visit("cluster", {"encoder": BASELINE}), 0, "Theirs")
    recipe = recipe_of(visit, offered)
    visit = call(Visit("cluster", {"encoder": BASELINE}), 0, "Ours")
    open_file(visit, recipe)
    assert names(visit.go("overview"))[0] == "Theirs"
    visit.go("cluster")
    assert unescaped(visit.at.button(key="undo_name").label) == "Undo: names from mine.json"
    visit.at.button(key="undo_name").click()
    visit.run()
    assert names(visit.go("overview"))[0] == "Ours"
