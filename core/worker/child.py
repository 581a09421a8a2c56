"""The worker's child as its keeper sees it: how it starts, how it ends, and what to say of its end."""

import math
import signal
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from core.log import event

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, eq=False)
class Child:
    """A running child, and our end of what is between us."""

    process: subprocess.Popen[bytes]
    connection: Connection


def start(silent_seconds: float) -> Child:
    """Start a child; a message that it does not take within `silent_seconds` fails. Raises OSError."""
    ours, theirs = socket.socketpair()
    limit = struct.pack("ll", math.ceil(silent_seconds), 0)
    for way in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
        ours.setsockopt(socket.SOL_SOCKET, way, limit)
    with theirs:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "core.worker", str(theirs.fileno())],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        except OSError:
            ours.close()
            raise
    event("worker_started", pid=process.pid)
    return Child(process, Connection(ours.detach()))


def end(child: Child, at_once: bool = False) -> int:
    """End a child, gently if it listens; return its exit code, minus the signal's number if one ended it."""
    code = _ended(child, at_once)
    event("worker_ended", pid=child.process.pid, exit_code=code)
    return code


def _ended(child: Child, at_once: bool) -> int:
    child.connection.close()
    if at_once:
        child.process.terminate()
    for harder in (child.process.terminate, child.process.kill):
        try:
            return child.process.wait(1)
        except subprocess.TimeoutExpired:
            harder()
    return child.process.wait()


def death(code: int) -> str:
    """Say what became of a child that ended with an exit code."""
    if code == -signal.SIGKILL:
        return "was stopped by the system (signal 9), most often because memory ran out"
    if code == -signal.SIGABRT:
        return "gave up (signal 6), most often because memory ran out"
    if code < 0:
        return f"was stopped (signal {-code})"
    return f"ended unexpectedly (exit code {code}); the server's log may tell why"


def silence(seconds: float) -> str:
    """Say what became of a child that said nothing for so long."""
    minutes = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
    return f"hung: it said nothing for {minutes}, so it was ended"


def obituary(what: str, done: int, total: int) -> str:
    """Return plain words for a child that did not get to the end of its job."""
    if not done:
        return f"The encoding process {what}. Nothing was finished before that; try again."
    return f"The encoding process {what}. {kept(done, total)}"


def kept(done: int, total: int) -> str:
    """Say what is left of a job that did not get to its end."""
    return f"{done:,} of {total:,} texts are kept; try again to go on from there."
