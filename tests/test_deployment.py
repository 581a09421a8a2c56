"""The container file and docs/deployment.md: what can be held to without a container runtime."""

import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINES = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
DOCS = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")


def told(word: str) -> list[str]:
    """Return what follows an instruction, each time that it is given."""
    return [" ".join(line.split()[1:]) for line in LINES if line.split()[:1] == [word]]


def kept(path: str) -> bool:
    """Tell whether .dockerignore lets a file into the build: the last line that fits decides."""
    wanted = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        fits = any(fnmatch.fnmatch(part, pattern) for part in (path, *[str(each) for each in Path(path).parents][:-1]))
        fits = fits or (line.startswith("**/") and pattern in Path(path).parts)
        if fits:
            wanted = line.startswith("!")
    return wanted


def test_it_runs_as_a_user_without_rights_after_all_is_installed() -> None:
    (user,) = told("USER")
    assert user == "genrescope"
    order = [line.split()[0] for line in LINES if line.strip() and not line.startswith((" ", "#"))]
    assert max(i for i, word in enumerate(order) if word in ("RUN", "COPY")) < order.index("USER")
    assert order.index("USER") < order.index("CMD")
    (made,) = [line for line in told("RUN") if "useradd" in line]
    assert "--uid 10001" in made
    assert "10001" in DOCS
    assert not [line for line in told("COPY") if "--chown" in line]  # the app belongs to root


def test_health_volume_and_port() -> None:
    (health,) = told("HEALTHCHECK")
    assert "/_stcore/health" in health
    assert told("VOLUME") == ["/vectors"]
    (environment,) = [line for line in told("ENV") if "GENRESCOPE_VECTORS" in line]
    assert environment == "GENRESCOPE_VECTORS=/vectors HF_HOME=/vectors/hub"
    assert told("EXPOSE") == ["8501"]
    assert told("CMD")[0].count("8501") == 1
    assert "8501" in health


def test_it_copies_what_runs_and_nothing_else(tmp_path: Path) -> None:
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for line in told("COPY"):
        *sources, target = line.split()
        for source in sources:
            for file in files:
                if (file == source or file.startswith(f"{source}/")) and kept(file):
                    goal = tmp_path / target / (file if target == "./" else Path(file).relative_to(source))
                    goal = goal if target.endswith("/") or file != source else tmp_path / Path(file).name
                    goal = tmp_path / target / Path(file).name if target.endswith("/") else goal
                    goal.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(ROOT / file, goal)
    there = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    runs = {
        file for file in files
        if file.startswith(("core/", "pages/", ".streamlit/")) or file in ("streamlit_app.py", "data/movies.parquet")
    }  # fmt: skip
    assert there - runs == {"requirements.txt", "data/README.md"}
    assert runs <= there
    assert not kept(".streamlit/secrets.toml")
    assert not kept("vectors/anything/part-1.parquet")
    assert not kept("core/__pycache__/log.cpython-311.pyc")
    script = "from core import controls, movies; print(movies.open_catalogue().n_movies)"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout == "17472\n", done.stderr


def test_no_host_of_packages_is_named() -> None:
    for text in (DOCS, *LINES):
        assert not re.search(r"https?://(?!127\.0\.0\.1|genrescope\b)", text.replace("http {", ""))


@pytest.mark.parametrize("file", ["Containerfile", "docs/deployment.md"])
def test_torch_is_the_version_that_requirements_pin(file: str) -> None:
    (pinned,) = re.findall(r"^torch==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    text = (ROOT / file).read_text(encoding="utf-8")
    assert {version.removesuffix("+cpu") for version in re.findall(r"torch==([\d.]+(?:\+cpu)?)", text)} <= {pinned}
    assert "requirements.txt" in text
