"""One thread for numpy's matrix products: at the size of this app a second costs more than it brings.

The number of BLAS threads is a setting of the whole process. Left to every function by itself, the first one to finish
would lift the limit that another, in another thread, still counts on (threadpoolctl 3.8 ignores all threads but the one
that came first, so the others go without). So there is one limit, kept for as long as anybody needs it.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController


class _Limit:
    """Counts who needs the limit; the first one sets it, and the last one puts back what was there before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._modules = 0
        self._before: dict[str, int] = {}
        self._controller: ThreadpoolController | None = None

    def enter(self) -> None:
        with self._lock:
            # A library that was loaded since then must be limited too; to look for them takes milliseconds.
            fresh = self._controller is None or self._modules != len(sys.modules)
            if fresh:
                self._modules, self._controller = len(sys.modules), ThreadpoolController()
            if fresh or self._users == 0:
                self._limit()
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for library in self._libraries():
                    if library.filepath in self._before:
                        _set(library, self._before.pop(library.filepath))

    def _limit(self) -> None:
        for library in self._libraries():
            if library.filepath not in self._before:
                self._before[library.filepath] = library.get_num_threads()
                _set(library, 1)

    def _libraries(self) -> list[Any]:
        return list(self._controller.select(user_api="blas").lib_controllers) if self._controller else []


def _set(library: Any, n: int) -> None:
    """Set a library's threads, whichever thread set them before: the lock sees to it that nobody fights over them."""
    let_go = getattr(library, "clear_controlling_thread", None)
    if let_go is not None:
        let_go(force=True)
    library.set_num_threads(n)
    if let_go is not None:
        let_go(force=True)


_limit = _Limit()


@contextmanager
def one_thread() -> Iterator[None]:
    """Have matrix products (BLAS) run in one thread, in the whole process, until the last one who asked is done."""
    _limit.enter()
    try:
        yield
    finally:
        _limit.leave()
