"""The command ``scclu demo``."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the parser of the command."""
    demo = commands.add_parser("demo", help="cluster 700 PBMC, test the clusters, and compare with standard pipelines")
    demo.add_argument("--out", type=Path, default=Path("demo"), help="directory for the results (default: demo)")
    demo.add_argument("--seed", type=int, default=0)
    demo.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    import scclu
    from scclu.benchmark.demo import run_demo

    before = scclu.settings.verbosity
    scclu.settings.verbosity = "warning"  # the report says what matters
    try:
        demo = run_demo(arguments.out, seed=arguments.seed)
    finally:
        scclu.settings.verbosity = before
    print(f"\n700 PBMC, ten labelled types, seed {arguments.seed}; only the metrics use the labels\n")
    print(demo.scores.to_string(float_format="{:.3f}".format))
    print()
    for finding in demo.findings:
        print(textwrap.fill(finding, width=100, initial_indent="- ", subsequent_indent="  "))
    print(f"\nWrote into {arguments.out}: {', '.join(path.name for path in demo.files)}.")
    return 0
