"""Who may import what: the rules of docs/architecture.md, read from the source and tried in processes of their own."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
    [*(ROOT / "core").rglob("*.py"), *(ROOT / "pages").rglob("*.py"), ROOT / "streamlit_app.py"],
)
HEAVY = ("torch", "transformers", "sentence_transformers", "ray")

# Who in core may import a library at all; a name stands for a module and for what is inside a package.
ONLY_IN = {
    "streamlit": ("core.cache", "core.controls"),
    "duckdb": ("core.bulk", "core.movies", "core.sources", "core.vectors"),
    "altair": ("core.charts",),
    "sklearn": ("core.clustering", "core.diagnostics", "core.embeddings"),
    "torch": ("core.embeddings", "core.devices"),
    "transformers": ("core.embeddings", "core.devices"),
    "huggingface_hub": ("core.checkpoints",),
    "vl_convert": ("core.drawing",),
    "jinja2": ("core.report",),
    "ray": ("core.ray_engine",),
    "sentence_transformers": (),
    "pages": (),
}
PAGES_IMPORT = ("streamlit", "core.cache", "core.controls", "core.charts")


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


CORE = [module_of(path) for path in FILES if path.is_relative_to(ROOT / "core")]
WITHOUT_STREAMLIT = [name for name in CORE if not name.startswith(ONLY_IN["streamlit"])]


def imports(source: str, module: str, is_package: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield every name that a source imports and whether that happens inside a function.

    `from a import b` counts as a.b, as nobody can tell from the source whether b is a module.
    """

    def walk(node: ast.AST, inside: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                package = module.split(".")
                base = package[: len(package) - child.level + is_package] if child.level else []
                start = ".".join([*base, *([child.module] if child.module else [])])
                yield from ((f"{start}.{alias.name}", inside) for alias in child.names)
            elif (
                isinstance(child, ast.Call)
                and ast.unparse(child.func).rpartition(".")[2] in ("import_module", "__import__")
                and child.args
                and isinstance(child.args[0], ast.Constant)
            ):
                yield str(child.args[0].value), inside
            yield from walk(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))

    yield from walk(ast.parse(source), False)


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """Return a sentence for each import that breaks a rule."""
    found = []
    for name, inside in imports(source, module, is_package):
        if within(module, "pages") and not within(name, "__future__", *PAGES_IMPORT):
            found.append(f"{module} imports {name}: a page imports only {', '.join(PAGES_IMPORT)}.")
        if not within(module, "core"):
            if within(name, *HEAVY):
                found.append(f"{module} imports {name}, and the web process must not.")
            continue
        for library, allowed in ONLY_IN.items():
            if within(name, library) and not within(module, *allowed):
                found.append(f"{module} imports {name}: only {' and '.join(allowed) or 'nobody in core'} may.")
        if within(name, *HEAVY) and not inside:
            found.append(f"{module} imports {name} outside of a function.")
        if within(name, *ONLY_IN["streamlit"]) and not within(module, *ONLY_IN["streamlit"]):
            found.append(f"{module} imports {name}, and so Streamlit.")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_breaks_a_rule(path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8"), module_of(path), path.name == "__init__.py") == []


def test_the_rules_speak_of_what_is_there() -> None:
    assert {"core", "core.movies", "core.clustering", "core.charts.overview", "core.__main__"} <= {*CORE}
    named = {name for allowed in ONLY_IN.values() for name in allowed} | {*PAGES_IMPORT[1:]}
    assert named <= {*CORE}
    assert len([path for path in FILES if path.parent.name == "pages"]) >= 3
    used = {library: set[str]() for library in ONLY_IN}
    for path in FILES:
        for name, _ in imports(path.read_text(encoding="utf-8"), module_of(path), path.name == "__init__.py"):
            for library in ONLY_IN:
                if within(name, library):
                    used[library].add(module_of(path))
    # the libraries are found where one knows them to be, so an empty list above means something
    assert {"core.movies", "core.sources.database"} <= used["duckdb"]
    assert "core.charts.overview" in used["altair"]
    assert "core.clustering" in used["sklearn"]
    assert "core.cache" in used["streamlit"]
    assert used["vl_convert"] == {"core.drawing"}
    assert used["jinja2"] == {"core.report"}
    assert used["torch"] == {"core.embeddings", "core.devices"}
    assert used["pages"] == set()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.clustering", "import torch"),
        ("core.clustering", "def f():\n    import torch"),
        ("core.clustering", "def f():\n    from transformers import AutoModel"),
        ("core.worker", "def f():\n    import torch"),
        ("core.embeddings", "import torch"),
        ("core.embeddings", "import torch.nn as nn"),
        ("core.embeddings", "if True:\n    from transformers import AutoModel"),
        ("core.embeddings", "class A:\n    import torch"),
        ("core.embeddings", "try:\n    import torch\nexcept ImportError:\n    torch = None"),
        ("core.devices", "import importlib\nimportlib.import_module('torch')"),
        ("core.clustering", "def f():\n    __import__('torch')"),
        ("core.encoders", "from sentence_transformers import SentenceTransformer"),
        ("core.ray_engine", "import ray"),
        ("core.worker", "def f():\n    import ray"),
        ("core.movies", "import streamlit as st"),
        ("core.charts.overview", "def f():\n    from streamlit import cache_data"),
        ("core.analysis", "from core import cache"),
        ("core.__main__", "from core.cache import store"),
        ("core.exports", "from . import controls"),
        ("core.charts.figure", "from ..controls import words"),
        ("core.cache", "import pages"),
        ("core.controls.frame", "from pages import overview"),
        ("core.controls", "def f():\n    import pages.overview"),
        ("core.analysis", "import duckdb"),
        ("core.cache", "from duckdb import connect"),
        ("core.exports", "import altair"),
        ("core.controls", "import altair as alt"),
        ("core.explain", "from sklearn.cluster import KMeans"),
        ("core.charts", "import sklearn"),
        ("core.report", "def f():\n    import vl_convert"),
        ("core.controls.files", "import jinja2"),
        ("pages.overview", "import pandas as pd"),
        ("pages.overview", "from pathlib import Path"),
        ("pages.overview", "from core import movies"),
        ("pages.overview", "from core import cache, explain"),
        ("pages.overview", "import core"),
        ("pages.overview", "def f():\n    import duckdb"),
        ("pages.overview", "from core.controlsomething import x"),
        ("streamlit_app", "import torch"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str) -> None:
    assert violations(source, module) != []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.embeddings", "def f():\n    import torch\n    from transformers import AutoModel"),
        ("core.devices", "def f():\n    if True:\n        import torch"),
        ("core.ray_engine", "def f():\n    import ray"),
        ("core.vectors", "import duckdb\nimport pyarrow.parquet as pq"),
        ("core.diagnostics", "from sklearn.metrics import silhouette_score"),
        ("core.charts.anything", "import altair as alt\nfrom core.charts.figure import Figure"),
        ("core.controls.frame", "import streamlit as st\nfrom core import cache\nfrom . import words"),
        ("core.worker", "from core import torchlike, embeddings"),
        (
            "pages.overview",
            "from __future__ import annotations\nimport streamlit as st\nfrom core import cache, charts",
        ),
        ("pages.overview", "from core.charts import sizes\nfrom core.controls import current"),
        ("streamlit_app", "from pathlib import Path\nimport streamlit as st\nfrom core import controls"),
    ],
)
def test_a_right_import_is_let_through(module: str, source: str) -> None:
    assert violations(source, module) == []


def run(script: str) -> list[str]:
    """Run a script in a process of its own and return the lines it prints."""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_core_loads_neither_torch_nor_streamlit() -> None:
    lines = run(f"""
import importlib, sys
for name in {WITHOUT_STREAMLIT}:
    importlib.import_module(name)
    print(name, *({{"streamlit", *{HEAVY}}} & {{*sys.modules}}))
""")
    assert lines == WITHOUT_STREAMLIT


def test_each_module_can_be_imported_first_and_loads_no_torch() -> None:
    # Each in a process of its own: forked from one that has the libraries, as loading these takes most of the time.
    lines = run(f"""
import importlib, os, sys, traceback
import altair, duckdb, pandas, pyarrow.parquet, sklearn.cluster, sklearn.manifold, streamlit
assert not {{*{HEAVY}}} & {{*sys.modules}}
assert not any(name == "core" or name.startswith("core.") for name in sys.modules)
for name in {CORE}:
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0, name
        continue
    status = 1
    try:
        importlib.import_module(name)
        print(name, *({{*{HEAVY}}} & {{*sys.modules}}), flush=True)
        status = 0
    except BaseException:
        traceback.print_exc()
    os._exit(status)
""")
    assert lines == CORE


def test_torch_is_loaded_by_the_call_that_needs_it() -> None:
    # else the two tests above would pass wherever torch is not installed
    assert run("from core import devices; import sys; devices.choose(); print('torch' in sys.modules)") == ["True"]
