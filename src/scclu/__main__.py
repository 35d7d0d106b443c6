"""The command line: ``python -m scclu``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def _demo(arguments: argparse.Namespace) -> int:
    from scclu.benchmark.demo import run_demo

    table = run_demo(arguments.out, seed=arguments.seed)
    print(f"\n700 PBMC, ten labelled types, seed {arguments.seed}; labels were seen by the metrics alone\n")
    print(table.to_string(float_format="{:.3f}".format))
    print(f"\nWrote {arguments.out / 'pbmc68k_reduced.h5ad'} and {arguments.out / 'cicl.png'}.")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scclu", description="Deep clustering of single cells.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="cluster 700 embedded PBMC and compare with scanpy's usual pipelines")
    demo.add_argument("--out", type=Path, default=Path("demo"), help="folder for the results (default: demo)")
    demo.add_argument("--seed", type=int, default=0)
    demo.set_defaults(run=_demo)
    arguments = parser.parse_args(argv)
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
