"""The commands ``scclu benchmark`` and ``scclu benchmark scale``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scclu._commands._reporting import progress, report


def add(commands: argparse._SubParsersAction) -> None:
    """Add the parsers of the commands."""
    benchmark = commands.add_parser("benchmark", help="compare methods on all labelled h5ad files of a directory")
    benchmark.add_argument("folder", type=Path, help="directory with .h5ad files that have labels in obs")
    benchmark.add_argument("--methods", nargs="+", help="default: all; an unknown name lists them")
    benchmark.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="default: 0 1 2")
    benchmark.add_argument(
        "--out", type=Path, default=Path("benchmark"), help="directory for the results (default: benchmark)"
    )
    benchmark.add_argument(
        "--labels-key", default="cell_type", help="column of obs with the labels (default: cell_type)"
    )
    benchmark.add_argument(
        "--batch-key",
        help="column of obs with the batches: compare methods that correct for them, on the files that have the column",
    )
    benchmark.add_argument("--modes", nargs="+", default=["true-k", "k-free"], help="default: true-k k-free")
    benchmark.add_argument("--timeout", type=float, help="time limit for a run in seconds (default: none)")
    benchmark.add_argument("--retry-failed", action="store_true", help="repeat runs that failed before")
    benchmark.set_defaults(run=run)
    scale = commands.add_parser(
        "benchmark-scale",
        prog="scclu benchmark scale",
        help="measure run time and memory against the number of cells",
    )
    scale.add_argument("--cells", nargs="+", type=int, help="default: 10000 50000 200000")
    scale.add_argument("--genes", type=int, default=2000, help="default: 2000")
    scale.add_argument("--methods", nargs="+", help="default: cicl scsiameseclu scanpy")
    scale.add_argument("--modes", nargs="+", default=["free", "given"], help="number of types; default: free given")
    scale.add_argument("--batches", type=int, default=1, help="number of batches (default: 1)")
    scale.add_argument("--on-disk", action="store_true", help="leave the counts on disk (not for scanpy)")
    scale.add_argument("--out", type=Path, default=Path("scaling"), help="directory for the results (default: scaling)")
    scale.add_argument("--timeout", type=float, help="time limit for a run in seconds (default: none)")
    scale.add_argument("--seed", type=int, default=0, help="default: 0")
    scale.set_defaults(run=run_scale)


def run(arguments: argparse.Namespace) -> int:
    """Run ``benchmark``; return the exit code."""
    from scclu import benchmark

    try:
        with progress("scclu.benchmark"):
            options = {
                name: getattr(arguments, name)
                for name in ("out", "labels_key", "batch_key", "modes", "timeout", "retry_failed")
            }
            table = benchmark.run(arguments.folder, arguments.methods, arguments.seeds, **options)
    except (ImportError, OSError, TypeError, ValueError) as error:
        report(error)
        return 2
    except KeyboardInterrupt:
        print(
            f"Interrupted. Run the same command again to resume from the results in {arguments.out}.", file=sys.stderr
        )
        return 130
    counts = table["status"].value_counts()
    print(", ".join(f"{n} {status}" for status, n in counts.items()))
    print(f"Wrote tables and figure to {arguments.out}.")
    return 0 if "ok" in counts else 1


def run_scale(arguments: argparse.Namespace) -> int:
    """Run ``benchmark scale``; return the exit code."""
    from scclu.benchmark.scaling import CELLS, run_scaling

    try:
        with progress("scclu.benchmark"):
            table = run_scaling(
                arguments.out,
                cells=arguments.cells or CELLS,
                methods=arguments.methods,
                modes=arguments.modes,
                n_genes=arguments.genes,
                n_batches=arguments.batches,
                on_disk=arguments.on_disk,
                timeout=arguments.timeout,
                seed=arguments.seed,
            )
    except (OSError, TypeError, ValueError) as error:
        report(error)
        return 2
    except KeyboardInterrupt:
        return 130
    print(table.to_string(index=False, float_format="{:.3g}".format))
    print(f"Wrote tables and figure to {arguments.out}.")
    return 0 if len(table) else 1
