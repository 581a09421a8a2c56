"""Which hardware encodes and in which number format, as a value that can be shown; and how much memory is free."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from core.encoders import Dtype, WantedDtype

CGROUP = Path("/sys/fs/cgroup")
CPU_INFO = Path("/proc/cpuinfo")
MEMORY_INFO = Path("/proc/meminfo")
LONG_JOB_SECONDS = 120.0
# Multiplications and additions a second in float32, on the slow side, to tell long jobs from short ones.
CORE_FLOPS, GPU_FLOPS = 0.1e12, 10e12
TOKENS_PER_CHARACTER = 0.3


@dataclass(frozen=True)
class Device:
    """The hardware and dtype of an encoding run, and a sentence that says why these."""

    name: Literal["cuda", "mps", "cpu"]
    label: str
    dtype: Dtype
    reason: str


def choose(dtype: WantedDtype = "auto", flops: float = 0.0) -> Device:
    """Return the fastest usable device (CUDA, then Apple's MPS, then the CPU) with a number format.

    `flops` is the work of the job (`work`). float32 is the rule, as its vectors agree from machine to machine;
    with "auto", bfloat16 is taken for jobs that would last longer than two minutes, where the hardware is fast at it.
    Raises ValueError, with a sentence, when bfloat16 is asked for where it brings nothing. Imports torch, so only
    the worker process and the command line call it.
    """
    device = _hardware()
    fast = _fast_at_bfloat16(device)
    if dtype == "bfloat16" and not fast:
        raise ValueError(
            f"bfloat16 needs a graphics card or a processor with AMX or AVX512-BF16, and this is {device.label}: it "
            "would be slower here and less exact. Choose float32."
        )
    if dtype == "bfloat16":
        return replace(device, dtype="bfloat16", reason=f"{device.reason} Numbers are bfloat16, as was asked for.")
    seconds = flops / (GPU_FLOPS if device.name == "cuda" else CORE_FLOPS * cpu_count())
    if dtype == "auto" and fast and seconds > LONG_JOB_SECONDS:
        why = f"Numbers are bfloat16, as float32 would take some {seconds / 60:,.0f} minutes."
        return replace(device, dtype="bfloat16", reason=f"{device.reason} {why}")
    return replace(device, reason=f"{device.reason} Numbers are float32, so that vectors agree between machines.")


def work(parameters: int, characters: int) -> float:
    """Return the floating point operations of encoding texts of so many characters, roughly: two a parameter and token.

    Source: Kaplan et al. (2020), section 2.1, forward pass.
    """
    return 2.0 * parameters * TOKENS_PER_CHARACTER * characters


def _hardware() -> Device:
    import torch

    if torch.cuda.is_available():
        reason = "PyTorch can use a CUDA graphics card here."
        return Device("cuda", torch.cuda.get_device_name(), "float32", reason)
    if torch.backends.mps.is_available():
        reason = "PyTorch can use Apple's graphics processor here."
        return Device("mps", "Apple graphics processor", "float32", reason)
    return cpu("PyTorch finds no graphics processor it can use here.")


def cpu(reason: str) -> Device:
    """Return the CPU as a device, float32, with a sentence that says why."""
    count = cpu_count()
    return Device("cpu", f"CPU, {count} core" if count == 1 else f"CPU, {count} cores", "float32", reason)


def _fast_at_bfloat16(device: Device) -> bool:
    """Tell whether bfloat16 is faster than float32 here: in software it is slower."""
    if device.name == "cuda":
        import torch

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.name == "mps":
        return False
    try:
        flags = CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:  # macOS has no such file
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


def cpu_count() -> int:
    """Return how many CPU cores this process may use, at least 1.

    That is the affinity mask, cut to a container's CPU limit where one is set: more threads than that
    wait for each other.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity mask
        count = os.cpu_count() or 1
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()
        count = min(count, round(int(quota) / int(period)))
    except (OSError, ValueError):  # no cgroup, or "max": no limit
        pass
    return max(1, count)


def free_memory() -> int | None:
    """Return the bytes of memory a process can still take: the machine's, or less where a container's limit is less.

    What only caches files counts as free, as the system gives it up. None where nothing tells (macOS).
    """
    free = [bytes_free for bytes_free in (_free_of_machine(), _free_of_container()) if bytes_free is not None]
    return min(free, default=None)


def _free_of_machine() -> int | None:
    try:
        lines = MEMORY_INFO.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None


def _free_of_container() -> int | None:
    """Return what is left under the limit of cgroup version 2, or version 1, if there is one."""
    for limit, used, inactive in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most = int((CGROUP / limit).read_text())
            taken = int((CGROUP / used).read_text())
        except (OSError, ValueError):  # not this version, or "max": no limit
            continue
        if most < 1 << 60:  # version 1 writes a number near 2**63 for none
            return max(0, most - taken + _cached((CGROUP / limit).with_name("memory.stat"), inactive))
    return None


def _cached(path: Path, name: str) -> int:
    try:
        return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.split()[0] == name)
    except (OSError, StopIteration, ValueError, IndexError):
        return 0


def resident_memory(pid: int | None = None) -> int | None:
    """Return the bytes of memory that a process holds now, this one's by default; None where nothing tells (macOS)."""
    try:
        lines = Path(f"/proc/{pid or os.getpid()}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None


def memory_limit() -> tuple[int, Literal["machine", "container"]] | None:
    """Return the bytes of memory there are for all processes together, and who sets that limit; None if unknown."""
    try:
        lines = MEMORY_INFO.read_text().splitlines()
        machine = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            most = int((CGROUP / name).read_text())
        except (OSError, ValueError):  # not this version, or "max": no limit
            continue
        if most < machine:
            return most, "container"
    return machine, "machine"
