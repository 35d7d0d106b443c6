"""Progress and error messages of the commands."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def progress(name: str) -> Iterator[None]:
    """Print the messages of a logger to standard error, and treat SIGTERM as a keyboard interrupt.

    Parameters
    ----------
    name
        Name of the logger.
    """
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    # schedulers end jobs by SIGTERM: an exception lets the command clean up
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        logger.removeHandler(handler)
        logger.setLevel(level)


def report(error: Exception) -> None:
    """Print an error to standard error in one line."""
    print("error:", " ".join(str(error).split()), file=sys.stderr)
