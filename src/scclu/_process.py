"""State that belongs to the whole process, for calls in several threads at once."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache, wraps
from types import FrameType
from typing import Any, ParamSpec, TypeVar

from threadpoolctl import ThreadpoolController

_P = ParamSpec("_P")
_T = TypeVar("_T")
_lock = threading.RLock()


@contextmanager
def process_lock() -> Iterator[None]:
    """Let only one thread at a time inside.

    For code that is not thread-safe: igraph's random numbers, parallel functions of numba, scvi-tools' registers.
    """
    with _lock:
        yield


def one_at_a_time(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """A function whose calls from several threads run one after another (:func:`process_lock`)."""

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with _lock:
            return function(*args, **kwargs)

    return call


class SharedSetting:
    """A setting of the process that several threads may need at once.

    The first thread that needs it makes the setting, and the last one undoes it. If each thread made and undid it by
    itself, the one that ends first would take it from the others, and the last one would restore what another had set.

    Parameters
    ----------
    make
        Makes the setting and returns the function that undoes it.
    """

    def __init__(self, make: Callable[[], Callable[[], Any]]):
        self._make = make
        self._lock = threading.Lock()
        self._depth = 0
        self._undo: Callable[[], Any]
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self._forget_other_threads)

    @contextmanager
    def held(self) -> Iterator[None]:
        """The setting holds inside the block."""
        with self._lock:
            if not self._depth:
                self._undo = self._make()
            self._depth += 1
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
                if not self._depth:
                    self._undo()

    def _forget_other_threads(self) -> None:
        self._lock = threading.Lock()


# patterns of messages that say nothing to a user
_KNOWN_WARNINGS = (
    # the cells are in memory: worker processes would only copy them; and epochs of few minibatches are intended
    ".*does not have many workers.*",
    ".*The number of training batches.*",
    # there is no early stopping to disable
    "early_stopping was automatically disabled",
    # uses of deprecated functions of torch in Lightning
    ".*all_gather is deprecated.*",
    ".*LeafSpec.*",
    # fewer distinct cells than clusters: the models warn of empty clusters themselves
    "Number of distinct clusters .* found smaller than n_clusters",
    # scipy makes the CSR matrices that are converted to tensors
    "Sparse CSR tensor support is in beta",
    "Sparse invariant checks are implicitly disabled",
)


def _ignore_known_warnings() -> Callable[[], Any]:
    stack = ExitStack()
    stack.enter_context(warnings.catch_warnings())
    for message in _KNOWN_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    return stack.close


known_warnings_ignored = SharedSetting(_ignore_known_warnings)
"""Warnings of other packages that say nothing to a user are not shown. Every ``warnings.catch_warnings`` of this
package belongs inside it: filters are global, and what threads leave behind is undone at its end."""


def _silence_loggers() -> Callable[[], Any]:
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "scvi")]
    levels = [logger.level for logger in loggers]
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(max(level, logging.WARNING))

    def undo() -> None:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

    return undo


quiet_loggers = SharedSetting(_silence_loggers)
"""Hides Lightning's messages about devices that do not exist and its advertisements, and what scvi-tools registers."""


def _silence_scanpy() -> Callable[[], Any]:
    import scanpy as sc

    verbosity = sc.settings.verbosity
    sc.settings.verbosity = "error"
    return lambda: setattr(sc.settings, "verbosity", verbosity)


scanpy_is_quiet = SharedSetting(_silence_scanpy)
"""scanpy says nothing about steps that are internal to this package, whatever ``scanpy.settings.verbosity`` is."""


def _forget_other_threads() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    # a thread that holds the lock does not exist in the child
    os.register_at_fork(after_in_child=_forget_other_threads)


@cache
def _threadpools() -> ThreadpoolController:
    # cached, because finding the libraries takes longer than K-means on a few hundred cells
    return ThreadpoolController()


def _limit_blas() -> Callable[[], Any]:
    return _threadpools().limit(limits=1, user_api="blas").restore_original_limits


# BLAS has one number of threads per process, OpenMP one per calling thread
_one_blas_thread = SharedSetting(_limit_blas)


@contextmanager
def one_thread() -> Iterator[None]:
    """Context manager that limits the numerical libraries to one thread."""
    with _one_blas_thread.held(), _threadpools().limit(limits=1, user_api="openmp"):
        yield


@contextmanager
def interrupt_deferred() -> Iterator[None]:
    """Context manager that handles an interrupt at its end, for compiled code that an error in a callback crashes."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    received: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda *details: received.append(details))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if received:
            handler(*received[0])


@contextmanager
def worker_threads() -> Iterator[ThreadPoolExecutor]:
    """Context manager with a pool of as many threads as torch uses, each with numerical libraries on one thread.

    What a thread computes then does not depend on the number of threads.
    """
    import torch

    n_threads = torch.get_num_threads()  # 1 within one_thread
    with one_thread(), ThreadPoolExecutor(n_threads, initializer=_limit_worker) as pool:
        yield pool


def _limit_worker() -> None:
    # the limit of OpenMP is one of the calling thread
    _threadpools().limit(limits=1, user_api="openmp")
