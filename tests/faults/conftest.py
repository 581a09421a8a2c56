"""What tests of faults share: the app in a simulated session, and disks that are small or cannot be written."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app.conftest import clean_house, elsewhere, nothing_is_measured, shipped, stub_worker

__all__ = ["clean_house", "elsewhere", "nothing_is_measured", "shipped", "stub_worker"]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a disk in memory with options of mount(8), as in mounted("size=64k"); skip where that is not allowed."""
    places: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / f"disk {len(places)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no disk can be mounted here: {getattr(error, 'stderr', error)}")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", str(place)], check=True)
