"""`python -m tests.mutation diagnostics explain vectors clustering`: run each module's tests against its mutants.

Each mutant is written into a copy of the project and `tests/test_<module>.py` is run on it in a process of its own, the
tests that need no shipped films first, until one fails. A mutant that no test notices has survived. Results go to a
file of JSON lines, so that a run that was stopped goes on where it was; `--report` tells the score and the survivors.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutation.mutants import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("core", "data", "pages", "tests", "docs", "streamlit_app.py", "pyproject.toml", ".streamlit")
# Fixtures that read or encode the shipped films: tests without them take milliseconds and go first.
SHIPPED = {"catalogue", "documents", "baseline", "weights", "film_rows", "plain_films", "vector_store", "analysed"}
# These take ten seconds and more each: only the survivors of all others meet them, with --full.
SLOW = (
    "as_good_as_scikit_learns_own", "no_two_clusters_have_one_name", "tsne_can_be_repeated", "number_of_threads",
    "silhouette_is_scikit_learns_over_all_films", "silhouette_of_the_vectors_as_they_are", "two_processes_and_many",
)  # fmt: skip
ENCODE = """
import sys; from pathlib import Path
from core import encoders, movies, worker; from core.vectors import VectorStore
films = movies.open_catalogue()
worker.work(encoders.get(encoders.DEFAULT_ENCODER), films.genre_lists, VectorStore(Path(sys.argv[1])))
"""


class Hurried:
    """A pytest plug-in: quick tests first, and vectors that were made before."""

    def __init__(self, vectors: Path, full: bool) -> None:
        self.vectors, self.full = vectors, full

    def pytest_collection_modifyitems(self, items: list) -> None:
        from core import worker

        def stored(encoder, texts, store, *_, **__):  # type: ignore[no-untyped-def]
            shutil.copytree(self.vectors, store.root, dirs_exist_ok=True)
            return {"texts": str(len(texts))}

        worker.work = stored
        if not self.full:
            items[:] = [item for item in items if not any(slow in item.name for slow in SLOW)]
        drawn = lambda item: hasattr(getattr(item, "obj", None), "hypothesis")  # noqa: E731
        items.sort(key=lambda item: (bool(SHIPPED & set(item.fixturenames)), drawn(item)))


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="+")
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir()) / "genrescope-mutants.jsonl")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no mutant after so many seconds")
    parser.add_argument("--full", action="store_true", help="run the slow tests too, against what survived the others")
    parser.add_argument("--only-survivors", action="store_true", help="run survivors again, after tests were added")
    parser.add_argument("--report", action="store_true", help="run nothing, tell what the results are")
    options = parser.parse_args()
    if options.report:
        report(options.modules, options.results)
        return
    todo = to_do(options)
    print(f"{len(todo)} mutants to run.", flush=True)
    if todo:
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            run(todo, Path(folder), options)
    report(options.modules, options.results)


def to_do(options: argparse.Namespace) -> list[tuple[str, Mutant]]:
    """Return the mutants without a result, or those whose result is asked for again, in an order drawn once."""
    known = read(options.results)
    wanted = []
    for module in options.modules:
        for mutant in mutants((ROOT / "core" / f"{module}.py").read_text()):
            before = known.get((module, mutant.name))
            survived = before is not None and before["result"] == "survived"
            again = survived and (options.only_survivors or (options.full and not before["full"]))
            if again or (before is None and not options.only_survivors):
                wanted.append((module, mutant))
    random.Random(0).shuffle(wanted)
    return wanted


def read(results: Path) -> dict[tuple[str, str], dict]:
    """Return the last result of each mutant."""
    lines = results.read_text().splitlines() if results.exists() else []
    return {(entry["module"], entry["name"]): entry for entry in map(json.loads, lines)}


def run(todo: list[tuple[str, Mutant]], folder: Path, options: argparse.Namespace) -> None:
    """Run tests against mutants, some at a time, each job in a copy of the project."""
    vectors = options.results.with_suffix(".vectors")
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    os.environ.update(environment)
    sys.dont_write_bytecode = True
    if not vectors.exists():
        subprocess.run([sys.executable, "-c", ENCODE, str(vectors)], cwd=ROOT, env=environment, check=True)
    preload()
    slots = [copied(folder / f"slot{i}") for i in range(options.jobs)]
    limits = {}
    for module in {module for module, _ in todo}:
        known = read(options.results).get((module, f"no mutant, full={options.full}"))
        if known and not options.only_survivors:
            limits[module] = known["seconds"]
            continue
        started = time.monotonic()
        child = begin(slots[0], module, vectors, options.full)
        if waited(child, started + 500) != 0:
            raise SystemExit(f"The tests of {module} fail without a mutant: see {slots[0] / 'log'}")
        limits[module] = 20 + 4 * (time.monotonic() - started)
        note(options.results, module=module, name=f"no mutant, full={options.full}", seconds=limits[module])
    until, running = time.monotonic() + options.seconds, {}
    while todo or running:
        for slot in slots:
            if slot not in running and todo and time.monotonic() < until:
                module, mutant = todo.pop()
                (slot / "core" / f"{module}.py").write_text(mutant.source)
                running[slot] = (module, mutant, begin(slot, module, vectors, options.full), time.monotonic())
        if not running:
            break
        for slot, (module, mutant, child, started) in list(running.items()):
            status = waited(child, started + limits[module], block=False)
            if status is None:
                continue
            del running[slot]
            shutil.copy2(ROOT / "core" / f"{module}.py", slot / "core" / f"{module}.py")
            result = {0: "survived", -1: "took too long"}.get(status, "noticed")
            note(options.results, module=module, name=mutant.name, result=result, full=options.full)
        time.sleep(0.02)


def note(results: Path, **entry: object) -> None:
    """Add a line to the results."""
    with results.open("a") as file:
        file.write(json.dumps(entry) + "\n")


def preload() -> None:
    """Import what takes long and is not mutated, once for all children."""
    import duckdb, hypothesis, pandas, pyarrow.parquet, pytest, scipy.stats, sklearn.cluster, sklearn.metrics  # noqa


def copied(slot: Path) -> Path:
    """Copy the project."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, slot / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            slot.mkdir(exist_ok=True)
            shutil.copy2(source, slot / name)
    return slot


def begin(slot: Path, module: str, vectors: Path, full: bool) -> int:
    """Start the tests of a module in a copy of the project; return the process."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    os.chdir(slot)
    log = os.open(slot / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.path[:] = [str(slot), *(path for path in sys.path if path not in ("", str(ROOT)))]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("core", "tests")]:
        del sys.modules[name]
    status = 1
    try:
        import pytest

        flags = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0", "--tb=line"]
        status = int(pytest.main([f"tests/test_{module}.py", *flags], plugins=[Hurried(vectors, full)]))
    finally:
        sys.stdout.flush()
        os._exit(status)


def waited(child: int, until: float, block: bool = True) -> int | None:
    """Return a child's exit status, -1 if it had to be ended, None if it still runs."""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1
        if time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -1
        if not block:
            return None
        time.sleep(0.05)


def report(modules: list[str], results: Path) -> None:
    """Print the score of each module and its survivors."""
    known = read(results)
    for module in modules:
        names = [mutant.name for mutant in mutants((ROOT / "core" / f"{module}.py").read_text())]
        found = {name: known[module, name]["result"] for name in names if (module, name) in known}
        noticed = sum(result != "survived" for result in found.values())
        score = f"{noticed / len(found):.1%}" if found else "nothing"
        print(f"{module}: {noticed} of {len(found)} mutants noticed ({score}); {len(names) - len(found)} not run")
        for name, result in found.items():
            if result == "survived":
                print(f"  survived  {name}")


if __name__ == "__main__":
    main()
