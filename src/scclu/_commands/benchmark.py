"""``python -m scclu benchmark``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ._reporting import progress, report


def add(commands: argparse._SubParsersAction) -> None:
    """Say what the command takes."""
    benchmark = commands.add_parser("benchmark", help="compare methods on every labelled h5ad of a folder")
    benchmark.add_argument("folder", type=Path, help="folder with .h5ad files that have labels in obs")
    benchmark.add_argument("--methods", nargs="+", help="default: all; an unknown name lists them")
    benchmark.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="default: 0 1 2")
    benchmark.add_argument("--out", type=Path, default=Path("benchmark"), help="results (default: benchmark)")
    benchmark.add_argument("--labels-key", default="cell_type", help="column of obs (default: cell_type)")
    benchmark.add_argument("--modes", nargs="+", default=["true-k", "k-free"], help="default: true-k k-free")
    benchmark.add_argument("--timeout", type=float, help="seconds that a run may take (default: no limit)")
    benchmark.add_argument("--retry-failed", action="store_true", help="run again what failed before")
    benchmark.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit code."""
    from scclu import benchmark

    try:
        with progress("scclu.benchmark"):
            options = {
                name: getattr(arguments, name) for name in ("out", "labels_key", "modes", "timeout", "retry_failed")
            }
            table = benchmark.run(arguments.folder, arguments.methods, arguments.seeds, **options)
    except (OSError, TypeError, ValueError) as error:
        report(error)
        return 2
    except KeyboardInterrupt:
        print(f"Interrupted. The same command goes on from what is in {arguments.out}.", file=sys.stderr)
        return 130
    counts = table["status"].value_counts()
    print(", ".join(f"{n} {status}" for status, n in counts.items()))
    print(f"Tables and figure are in {arguments.out}.")
    return 0 if "ok" in counts else 1
