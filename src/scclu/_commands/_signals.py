"""Signals that end a command: SIGINT, SIGTERM, and SIGHUP where it exists."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interruption:
    """The signal that ends the command.

    After :meth:`release`, a signal raises KeyboardInterrupt, and is remembered: an exception that is raised inside a
    callback of another package may be swallowed or replaced there. Whoever must not continue then calls :meth:`check`.

    Attributes
    ----------
    signum
        Number of the first signal that was received; ``None`` if there was none.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._raises = False
        self._once = False

    @property
    def exit_code(self) -> int:
        """Exit code for a command that the signal ends, as shells report it."""
        return 128 + (self.signum or signal.SIGINT)

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal was received."""
        if self.signum is not None:
            raise KeyboardInterrupt

    def release(self) -> None:
        """From now on, raise KeyboardInterrupt for signals; for one that was received before, at once."""
        self._raises = True
        self.check()

    def hold(self) -> None:
        """From now on, only remember signals."""
        self._raises = False

    @contextmanager
    def raised_once(self) -> Iterator[None]:
        """Raise for the first signal inside the block and hold others, so that cleaning up is not interrupted."""
        self._once, self._raises = True, True
        try:
            self.check()
            yield
        finally:
            self._raises = False

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is None:
            self.signum = signum
        if self._raises:
            self._raises = not self._once
            raise KeyboardInterrupt

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Receive signals inside the block. Those that are ignored, as by nohup, stay ignored."""
        before = {}
        if threading.current_thread() is threading.main_thread():
            before = {each: signal.getsignal(each) for each in _SIGNALS}
            before = {each: handler for each, handler in before.items() if handler not in (signal.SIG_IGN, None)}
        try:
            for each in before:
                signal.signal(each, self._receive)
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
