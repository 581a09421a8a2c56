import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController, threadpool_limits

from core import clustering, diagnostics, threads
from core.clustering import Space
from core.threads import one_thread

WAIT = 30


def blas_threads() -> set[int]:
    """The thread counts that the BLAS libraries of this process are set to."""
    return {each["num_threads"] for each in ThreadpoolController().select(user_api="blas").info()}


@pytest.fixture(autouse=True)
def two_threads_before() -> Iterator[None]:
    """Give every test two threads to start from, whatever the machine has."""
    with threadpool_limits(limits=2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("BLAS without a second thread")
        yield


def together(*works: Callable[[], None]) -> None:
    """Do several things in threads of their own, and let no failure get lost."""
    failures: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    started = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join(WAIT)
    assert not any(thread.is_alive() for thread in started)
    assert failures == []


def test_the_limit_holds_inside_and_is_gone_after() -> None:
    with one_thread():
        assert blas_threads() == {1}
        with one_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {2}


def test_what_goes_wrong_inside_lifts_it() -> None:
    with pytest.raises(ZeroDivisionError), one_thread():
        raise ZeroDivisionError
    assert blas_threads() == {2}


def test_who_ends_first_does_not_lift_the_limit_of_another() -> None:
    first_in, second_in, first_out, seen = threading.Event(), threading.Event(), threading.Event(), []

    def first() -> None:
        with one_thread():
            first_in.set()
            assert second_in.wait(WAIT)
        seen.append(blas_threads())
        first_out.set()

    def second() -> None:
        assert first_in.wait(WAIT)
        with one_thread():
            second_in.set()
            assert first_out.wait(WAIT)
            seen.append(blas_threads())

    together(first, second)
    assert seen == [{1}, {1}]
    assert blas_threads() == {2}


def test_many_threads_in_and_out() -> None:
    def work() -> None:
        for _ in range(200):
            with one_thread():
                assert controller.info()[0]["num_threads"] == 1

    controller = ThreadpoolController().select(user_api="blas")
    together(*[work] * 6)
    assert blas_threads() == {2}


def test_a_library_that_is_loaded_meanwhile_is_limited_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with one_thread():
        # as if the libraries were new: unknown, with two threads, and brought by a module that was just imported
        before = threads._limit._before.copy()
        threads._limit._before.clear()
        for library in ThreadpoolController().select(user_api="blas").lib_controllers:
            threads._set(library, 2)
        monkeypatch.setitem(sys.modules, "a_module_that_loads_a_library", threads)
        with one_thread():
            assert blas_threads() == {1}
        assert threads._limit._before == before
    assert blas_threads() == {2}


def test_fits_and_figures_leave_the_setting_as_it_was(documents: Space, weights: NDArray[np.int64]) -> None:
    def fit() -> None:
        for _ in range(2):
            clustering.fit(documents, weights, 5, n_init=1)

    def measure() -> None:
        for _ in range(4):
            diagnostics.silhouette(documents.vectors, weights, weights % 3)

    together(fit, measure, fit)
    assert blas_threads() == {2}
