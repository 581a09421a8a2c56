"""Which hardware encodes and in which number format, as a value that can be shown."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CGROUP_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True)
class Device:
    """The hardware and dtype of an encoding run, and a sentence that says why these."""

    name: Literal["cuda", "mps", "cpu"]
    label: str
    dtype: Literal["float32"]
    reason: str


def choose() -> Device:
    """Return the fastest usable device: CUDA, then Apple's MPS, then the CPU.

    Imports torch, so only the worker process and the command line call it.
    """
    import torch

    why_float32 = "Numbers are float32, so that vectors agree between machines."
    if torch.cuda.is_available():
        reason = f"PyTorch can use a CUDA graphics card here. {why_float32}"
        return Device("cuda", torch.cuda.get_device_name(), "float32", reason)
    if torch.backends.mps.is_available():
        label = "Apple graphics processor"
        return Device("mps", label, "float32", f"PyTorch can use Apple's graphics processor here. {why_float32}")
    count = cpu_count()
    label = f"CPU, {count} core" if count == 1 else f"CPU, {count} cores"
    reason = f"PyTorch finds no graphics processor it can use here. {why_float32}"
    return Device("cpu", label, "float32", reason)


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
        quota, period = CGROUP_CPU_LIMIT.read_text().split()
        count = min(count, round(int(quota) / int(period)))
    except (OSError, ValueError):  # no cgroup, or "max": no limit
        pass
    return max(1, count)
