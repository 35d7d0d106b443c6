"""Settings of the package, and how messages and warnings reach the user."""

from __future__ import annotations

import builtins
import contextlib
import logging
import os
import sys
import warnings
from types import FrameType

_PACKAGE = os.path.join(os.path.dirname(__file__), "")
_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}


class _LastResort(logging.Handler):
    """Prints messages that no other handler takes: to the output of a notebook cell, and to standard error elsewhere.

    With a handler of the user's, such as that of :func:`logging.basicConfig`, messages are printed once, by that one.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message in a line of its own, with the level of warnings and errors."""
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            if any(handler is not self for handler in logger.handlers):
                return
            logger = logger.parent if logger.propagate else None
        level = f"{record.levelname}: " if record.levelno >= logging.WARNING else ""
        stream = sys.stdout if hasattr(builtins, "__IPYTHON__") else sys.stderr
        try:
            # services and pythonw have no streams
            if stream is not None:
                stream.write(f"{level}{record.getMessage()}\n")
                stream.flush()
        except Exception:  # noqa: BLE001  as for every handler: a message that cannot be printed stops nothing
            self.handleError(record)


class Settings:
    """Settings of the package.

    Examples
    --------
    >>> scclu.settings.verbosity
    'info'
    >>> scclu.settings.verbosity = "warning"  # no message unless something is wrong
    >>> scclu.settings.verbosity = "info"
    """

    def __init__(self) -> None:
        self._logger = logging.getLogger("scclu")
        if self._logger.level == logging.NOTSET:
            self._logger.setLevel(logging.INFO)
        if not any(isinstance(handler, _LastResort) for handler in self._logger.handlers):
            self._logger.addHandler(_LastResort())

    @property
    def verbosity(self) -> str:
        """Least important messages to print.

        ``"error"``, ``"warning"``, ``"info"`` (default: also the kind of values that was found, the number of clusters
        that was found, and where results were written) or ``"debug"`` (also each step). It is the level of the logger
        ``"scclu"`` of :mod:`logging`.
        """
        level = self._logger.getEffectiveLevel()
        return next((name for name, lowest in _LEVELS.items() if lowest <= level), "debug")

    @verbosity.setter
    def verbosity(self, value: str) -> None:
        if value not in _LEVELS:
            raise ValueError(f"verbosity must be one of {', '.join(map(repr, _LEVELS))}, but {value!r} was passed.")
        self._logger.setLevel(_LEVELS[value])

    def __repr__(self) -> str:
        return f"Settings(verbosity={self.verbosity!r})"


settings = Settings()


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning at the line of the user's code that called this package, however deep the call is."""
    frame: FrameType | None = sys._getframe(1)
    depth, level, inside = 1, 1, False
    while frame is not None:
        depth += 1
        name = frame.f_code.co_filename
        # decorators that are context managers add a frame of contextlib between the user and this package
        is_ours = name.startswith(_PACKAGE) or (inside and name == contextlib.__file__)
        if is_ours:
            level = depth + 1
        inside = is_ours
        frame = frame.f_back
    warnings.warn(message, category, stacklevel=level)
