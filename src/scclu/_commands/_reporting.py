"""Progress, results and error messages of the commands."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def open_streams() -> None:
    """Replace standard streams that are closed (``2>&-``) by streams that go nowhere.

    Otherwise, the next file that is opened would get the number of the closed stream, and what other packages print
    would be written into it.
    """
    with suppress(OSError):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(number, True)
        os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))


@contextmanager
def progress(name: str) -> Iterator[None]:
    """Print the messages of a logger to standard error, and treat SIGTERM as a keyboard interrupt.

    Parameters
    ----------
    name
        Name of the logger.
    """
    # schedulers end jobs by SIGTERM: an exception lets the command clean up
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with messages(name):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def messages(name: str) -> Iterator[None]:
    """Print the messages of the logger `name` to standard error."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def report(error: Exception) -> None:
    """Print an error to standard error in one line."""
    say(f"error: {' '.join(str(error).split())}")


def say(text: str) -> None:
    """Print a line to standard error, or nothing if that is not possible any more."""
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def print_result(text: str) -> OSError | None:
    """Print a result to standard output; returns the error if that is not possible (closed pipe, full device)."""
    try:
        print(text, flush=True)
    except OSError as error:
        # Python flushes what is left at its end, and would fail again
        with suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return error
    return None
