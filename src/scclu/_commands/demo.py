"""The command ``scclu demo``."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the parser of the command."""
    demo = commands.add_parser("demo", help="cluster 700 PBMC and compare with scanpy's standard pipelines")
    demo.add_argument("--out", type=Path, default=Path("demo"), help="directory for the results (default: demo)")
    demo.add_argument("--seed", type=int, default=0)
    demo.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    from scclu.benchmark.demo import run_demo

    table = run_demo(arguments.out, seed=arguments.seed)
    print(f"\n700 PBMC, ten labelled types, seed {arguments.seed}; only the metrics use the labels\n")
    print(table.to_string(float_format="{:.3f}".format))
    print(f"\nWrote {arguments.out / 'pbmc68k_reduced.h5ad'} and {arguments.out / 'cicl.png'}.")
    return 0
