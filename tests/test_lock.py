"""requirements.lock against requirements.txt and what is installed."""

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
WITHOUT = {"torch"}  # whose wheel depends on the hardware, with all that only it needs


def pinned(name: str) -> dict[str, str]:
    """Return the packages of a file with their versions."""
    lines = (line.partition("#")[0].split("--hash")[0].strip(" \\\n") for line in (ROOT / name).read_text().split("\n"))
    pairs = (line.split("==") for line in lines if "==" in line)
    return {canonicalize_name(package): version.strip() for package, version in pairs}


def needed(package: str, found: set[str]) -> set[str]:
    """Return a package with all that it needs here."""
    name = canonicalize_name(package)
    if name in found or name in WITHOUT:
        return found
    found.add(name)
    for line in metadata.requires(package) or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed(requirement.name, found)
    return found


def test_the_lock_has_what_is_required_at_its_version() -> None:
    required, locked = pinned("requirements.txt"), pinned("requirements.lock")
    assert {name: locked.get(name) for name in required.keys() - WITHOUT} == {
        name: version for name, version in required.items() if name not in WITHOUT
    }
    assert not WITHOUT & locked.keys()


def test_the_lock_has_all_that_comes_with_it() -> None:
    everything: set[str] = set()
    for name in pinned("requirements.txt"):
        needed(name, everything)
    assert everything <= pinned("requirements.lock").keys()


def test_every_line_has_a_hash() -> None:
    text = (ROOT / "requirements.lock").read_text()
    entries = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+) \\\n    --hash=sha256:([0-9a-f]{64})$", text, re.MULTILINE)
    assert len(entries) == len(pinned("requirements.lock")) > 50
    assert "://" not in text
