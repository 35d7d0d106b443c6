"""``python -m scclu benchmark scale``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ._reporting import progress, report


def add(commands: argparse._SubParsersAction) -> None:
    """Say what the command takes."""
    scale = commands.add_parser(
        "benchmark-scale", prog="python -m scclu benchmark scale", help="time and memory against the number of cells"
    )
    scale.add_argument("--cells", nargs="+", type=int, help="default: 10000 50000 100000")
    scale.add_argument("--genes", type=int, default=2000, help="default: 2000")
    scale.add_argument("--methods", nargs="+", help="default: cicl scsiameseclu leiden")
    scale.add_argument("--on-disk", action="store_true", help="leave the counts on disk (cicl only)")
    scale.add_argument("--out", type=Path, default=Path("scaling"), help="table and figure (default: scaling)")
    scale.add_argument("--timeout", type=float, help="seconds that a run may take (default: no limit)")
    scale.add_argument("--seed", type=int, default=0, help="default: 0")
    scale.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit code."""
    from scclu.benchmark.scaling import CELLS, run_scaling

    try:
        with progress("scclu.benchmark"):
            table = run_scaling(
                arguments.out,
                cells=arguments.cells or CELLS,
                methods=arguments.methods,
                n_genes=arguments.genes,
                on_disk=arguments.on_disk,
                timeout=arguments.timeout,
                seed=arguments.seed,
            )
    except (OSError, ValueError) as error:
        report(error)
        return 2
    except KeyboardInterrupt:
        return 130
    print(table.to_string(index=False, float_format="{:.3g}".format))
    print(f"Table and figure are in {arguments.out}.")
    return 0 if len(table) else 1
