import os
from pathlib import Path

import pytest
import torch

from core import devices


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without graphics processors and without a container's limit."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(devices, "CGROUP_CPU_LIMIT", tmp_path / "cpu.max")


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(("cores", "label"), [({0}, "CPU, 1 core"), ({0, 3, 5}, "CPU, 3 cores")])
def test_cpu_counts_the_cores_it_may_use(cores: set[int], label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: cores, raising=False)
    device = devices.choose()
    assert (device.name, device.label, device.dtype) == ("cpu", label, "float32")
    assert device.reason.startswith("PyTorch finds no graphics processor")


@pytest.mark.usefixtures("bare")
def test_apple_graphics_come_before_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    device = devices.choose()
    assert (device.name, device.dtype) == ("mps", "float32")
    assert "Apple" in device.reason


@pytest.mark.usefixtures("bare")
def test_cuda_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA T4")
    device = devices.choose()
    assert (device.name, device.label, device.dtype) == ("cuda", "NVIDIA T4", "float32")
    assert "CUDA" in device.reason


def test_the_device_chosen_here_works() -> None:
    device = devices.choose()
    assert torch.ones(2, device=device.name, dtype=getattr(torch, device.dtype)).sum().item() == 2


@pytest.mark.parametrize(
    ("limit", "count"),
    [("200000 100000", 2), ("150000 100000", 2), ("20000 100000", 1), ("max 100000", 8), ("nonsense", 8)],
)
def test_cpu_count_respects_a_containers_limit(
    limit: str, count: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    monkeypatch.setattr(devices, "CGROUP_CPU_LIMIT", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert devices.cpu_count() == count


def test_cpu_count_without_an_affinity_mask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(devices, "CGROUP_CPU_LIMIT", tmp_path / "cpu.max")
    assert devices.cpu_count() == (os.cpu_count() or 1)
