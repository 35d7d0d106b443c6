"""A lock that the processes and threads of a machine share, by a file."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt

logger = logging.getLogger(__name__)
# seconds between two attempts
_PAUSE = 0.1
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


@contextmanager
def file_lock(path: Path, waiting: str) -> Iterator[None]:
    """Let one thread of one process at a time inside; the others wait.

    The operating system releases the lock of a process that ends, however it ends. The file is removed at the end of
    the block. On a file system without locks, the block is entered without one.

    Parameters
    ----------
    path
        File of the lock, which is created. Its directory is created too.
    waiting
        Message that is logged if another holds the lock.

    Raises
    ------
    OSError
        If the file cannot be created.
    """
    file = _acquire(path, waiting)
    try:
        yield
    finally:
        if fcntl is not None:
            # while the lock is held, so that nobody can lock a file that has no name any more and believe it is alone
            if _is_current(file, path):
                with suppress(OSError):
                    path.unlink()
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)  # also for a child that inherited the file
        os.close(file)
        if fcntl is None:  # Windows does not remove open files; it refuses if another has opened the file meanwhile
            with suppress(OSError):
                path.unlink()


def _acquire(path: Path, waiting: str) -> int:
    said = False
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # the directory was removed in between
            continue
        try:
            locked = _try_to_lock(file)
            # the one that held the lock may have removed the file that was opened here
            if locked and _is_current(file, path):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        if not locked:
            if not said:
                logger.info(waiting)
                said = True
            time.sleep(_PAUSE)


def _try_to_lock(file: int) -> bool:
    try:
        if fcntl is None:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        logger.warning("Files cannot be locked here (%s): equal trainings at the same time are not kept apart.", error)
    return True


def _is_current(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False
