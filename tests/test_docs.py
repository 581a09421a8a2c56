"""The documents keep up: every page, setting and option has its words, and every link leads somewhere."""

import argparse
import ast
import re
import tomllib
from pathlib import Path

import pytest

from core import __main__ as command_line

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("", "docs", "docs/guide", "data", ".ci")
DOCUMENTS = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
SETTING = re.compile(r"GENRESCOPE_[A-Z_]*[A-Z]")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def settings_in(*folders: str) -> set[str]:
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {name for path in files for name in SETTING.findall(path.read_text())}


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def anchors(path: Path) -> set[str]:
    """The names of a document's headings, as they are in links."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def pages() -> list[tuple[str, str]]:
    """File and title of every page of the navigation."""
    tree = ast.parse((ROOT / "core" / "controls" / "frame.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "st.Page"]
    found = []
    for call in calls:
        (file,) = [node.value for node in ast.walk(call.args[0]) if isinstance(node, ast.Constant)]
        title = next(keyword.value for keyword in call.keywords if keyword.arg == "title")
        found.append((str(file).removesuffix(".py"), ast.literal_eval(title)))
    return found


def options() -> set[tuple[str, str]]:
    parser = command_line._parser()
    (commands,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {
        (name, flag)
        for name, command in commands.choices.items()
        for action in command._actions
        for flag in action.option_strings
        if flag not in ("-h", "--help")
    }


def section(start: str) -> str:
    """The part of the page on configuration that begins with some words and ends at the next table's."""
    return CONFIGURATION.partition(start)[2].partition("\nOptions of")[0]


def test_every_page_has_its_page_in_the_guide() -> None:
    shown = pages()
    assert len(shown) >= 10
    assert {file for file, _ in shown} >= {path.stem for path in (ROOT / "pages").glob("*.py")}
    index = (ROOT / "docs" / "guide" / "README.md").read_text()
    for file, title in shown:
        guide = ROOT / "docs" / "guide" / f"{file}.md"
        assert guide.is_file(), f"docs/guide/{file}.md is missing"
        assert guide.read_text().startswith(f"# {title}\n"), f"{guide.name} is not headed “{title}”"
        assert f"[{title}]({file}.md)" in index, f"the index of the guide does not lead to {file}.md"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in LINK.findall(without_code(document.read_text())):
        if re.match(r"https?:|mailto:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (document.parent / file).resolve() if file else document
        assert path.exists(), f"{document.name} leads to {target}, which is not there"
        assert path.is_relative_to(ROOT), f"{document.name} leads out of the repository: {target}"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{document.name}: {path.name} has no heading #{anchor}"


def test_the_links_are_found() -> None:
    assert len(DOCUMENTS) >= 18
    assert sum(len(LINK.findall(without_code(path.read_text()))) for path in DOCUMENTS) >= 40


def test_every_setting_is_documented() -> None:
    named = set(SETTING.findall(CONFIGURATION))
    known = settings_in("core")
    assert len(known) >= 10
    assert not known - named, "settings that docs/configuration.md does not name"
    assert not named - known, "settings that docs/configuration.md names and the code does not know"


def test_no_document_names_a_setting_that_does_not_exist() -> None:
    known = settings_in("core", "tests", "data")
    for document in DOCUMENTS:
        assert set(SETTING.findall(document.read_text())) <= known, document.name


def test_every_option_of_the_command_line_is_documented() -> None:
    places = {name: section("Options of `cluster` and `embed`") for name in ("cluster", "embed")}
    places["cluster"] += section("Options of `cluster`, which")
    places["embed"] += section("Options of `embed`, which")
    known = options()
    for name, flag in known:
        assert f"| `{flag}` |" in places[name], f"{flag} of {name}"
    for name, text in places.items():
        documented = set(re.findall(r"^\| `(--[a-z-]+)` \|", text, flags=re.MULTILINE))
        assert documented == {flag for command, flag in known if command == name}


def test_what_streamlit_is_told_is_documented() -> None:
    told = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    table = CONFIGURATION.partition("## `.streamlit/config.toml`")[2].partition("\n## ")[0]
    for group, entries in told.items():
        for name, value in entries.items():
            if group == "theme":
                assert "| `theme.*` |" in table
                continue
            shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
            assert f"| `{group}.{name}` | `{shown}` |" in table
    for group, name in re.findall(r"^\| `(\w+)\.(\w+)` \|", table, flags=re.MULTILINE):
        assert name in told[group]


def test_the_numbers_of_the_readme_are_those_that_were_measured() -> None:
    readme, measured = ((ROOT / name).read_text() for name in ("README.md", "docs/benchmarks.md"))
    table = readme.partition("| what | here | scikit-learn | ratio |\n|---|---|---|---|\n")[2].partition("\n\n")[0]
    rows = table.splitlines()
    assert len(rows) == 5
    for row in rows:
        assert f"\n{row} " in measured, f"docs/benchmarks.md does not say: {row}"
