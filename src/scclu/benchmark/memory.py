"""Memory of the current process."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path


def peak_memory() -> float:
    """Largest resident memory of this process so far, in GB; NaN if the system does not report it."""
    # the maximum that getrusage reports includes the process that started this one: prefer Linux's own record
    if (peak := _linux_status("VmHWM")) is not None:
        return peak
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def resident_memory() -> float:
    """Resident memory of this process, in GB; NaN if the system does not report it."""
    resident = _linux_status("VmRSS")
    return float("nan") if resident is None else resident


def reset_peak_memory() -> None:
    """Make :func:`peak_memory` count from now on, on Linux; elsewhere, the peak remains that of the whole process."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _linux_status(name: str) -> float | None:
    """A size that Linux reports for this process, in GB; None on other systems."""
    status = Path("/proc/self/status")
    found = re.search(rf"{name}:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 / 1e9 if found else None
