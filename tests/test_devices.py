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
    monkeypatch.setattr(devices, "CGROUP", tmp_path)


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
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
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
    monkeypatch.setattr(devices, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert devices.cpu_count() == count


def test_cpu_count_without_an_affinity_mask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(devices, "CGROUP", tmp_path)
    assert devices.cpu_count() == (os.cpu_count() or 1)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("flags", ["fpu amx_bf16 amx_tile", "fpu avx512_bf16"])
def test_bfloat16_for_long_jobs_on_a_processor_that_is_fast_at_it(
    flags: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(devices, "CPU_INFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    hour = 3600 * devices.CORE_FLOPS * devices.cpu_count()
    assert devices.choose().dtype == "float32"
    assert devices.choose("auto", hour / 1000).dtype == "float32"
    long = devices.choose("auto", hour)
    assert long.dtype == "bfloat16"
    assert long.reason.endswith("Numbers are bfloat16, as float32 would take some 60 minutes.")
    assert devices.choose("float32", hour).dtype == "float32"
    assert devices.choose("bfloat16").reason.endswith("Numbers are bfloat16, as was asked for.")


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("content", ["flags : fpu avx512f\n", None])
def test_bfloat16_is_refused_where_it_is_slow(
    content: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(devices, "CPU_INFO", tmp_path / "cpuinfo")
    if content:
        (tmp_path / "cpuinfo").write_text(content)
    assert devices.choose("auto", 1e18).dtype == "float32"
    with pytest.raises(ValueError, match="Choose float32"):
        devices.choose("bfloat16")


def test_the_shipped_catalogue_is_no_long_job() -> None:
    largest = devices.work(277_453_056, 1187 * 30)
    assert largest / (devices.CORE_FLOPS * 2) < devices.LONG_JOB_SECONDS


def memory(tmp_path: Path, available: int | None, files: dict[str, str]) -> None:
    if available is not None:
        (tmp_path / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable:  {available // 1024} kB\n")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)


@pytest.mark.parametrize(
    ("available", "files", "free"),
    [
        (8 << 30, {}, 8 << 30),
        (8 << 30, {"memory.max": "max\n", "memory.current": "5"}, 8 << 30),
        (
            8 << 30,
            {
                "memory.max": f"{2 << 30}\n",
                "memory.current": f"{1 << 30}\n",
                "memory.stat": f"anon 1\ninactive_file {1 << 20}\n",
            },
            (1 << 30) + (1 << 20),
        ),
        (1 << 20, {"memory.max": f"{2 << 30}\n", "memory.current": "0\n"}, 1 << 20),
        (8 << 30, {"memory.max": "100\n", "memory.current": "200\n"}, 0),
        (
            8 << 30,
            {"memory/memory.limit_in_bytes": f"{1 << 30}\n", "memory/memory.usage_in_bytes": f"{1 << 29}\n"},
            1 << 29,
        ),
        (
            8 << 30,
            {"memory/memory.limit_in_bytes": f"{2**63 - 4096}\n", "memory/memory.usage_in_bytes": "1\n"},
            8 << 30,
        ),
        (None, {}, None),
    ],
    ids=[
        "machine",
        "no limit",
        "container",
        "machine has less",
        "over the limit",
        "version 1",
        "version 1, none",
        "unknown",
    ],
)
def test_free_memory(
    available: int | None, files: dict[str, str], free: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    memory(tmp_path, available, files)
    monkeypatch.setattr(devices, "CGROUP", tmp_path)
    monkeypatch.setattr(devices, "MEMORY_INFO", tmp_path / "meminfo")
    assert devices.free_memory() == free


def test_free_memory_of_this_machine() -> None:
    free = devices.free_memory()
    assert free is None or 0 < free < 1 << 50
