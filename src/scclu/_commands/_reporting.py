"""What commands say while they run."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def progress(name: str) -> Iterator[None]:
    """Show what a logger says on standard error, and take being terminated as an interrupt.

    Parameters
    ----------
    name
        Of the logger.
    """
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    # schedulers and workflow managers end a job so; what it started or left unfinished goes with it
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        logger.removeHandler(handler)
        logger.setLevel(level)


def report(error: Exception) -> None:
    """Say on standard error what is wrong, in one line."""
    print("error:", " ".join(str(error).split()), file=sys.stderr)
