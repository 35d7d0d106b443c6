"""The command line: ``python -m scclu``."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path


def _demo(arguments: argparse.Namespace) -> int:
    from scclu.benchmark.demo import run_demo

    table = run_demo(arguments.out, seed=arguments.seed)
    print(f"\n700 PBMC, ten labelled types, seed {arguments.seed}; labels were seen by the metrics alone\n")
    print(table.to_string(float_format="{:.3f}".format))
    print(f"\nWrote {arguments.out / 'pbmc68k_reduced.h5ad'} and {arguments.out / 'cicl.png'}.")
    return 0


def _benchmark(arguments: argparse.Namespace) -> int:
    from scclu import benchmark

    progress = logging.getLogger("scclu.benchmark")
    progress.setLevel(logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    progress.addHandler(handler)
    # a run in progress is ended with its parent, however that is asked to end
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options = {name: getattr(arguments, name) for name in ("out", "labels_key", "modes", "timeout", "retry_failed")}
        table = benchmark.run(arguments.folder, arguments.methods, arguments.seeds, **options)
    except (OSError, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"Interrupted. The same command goes on from what is in {arguments.out}.", file=sys.stderr)
        return 130
    finally:
        progress.removeHandler(handler)
        signal.signal(signal.SIGTERM, before)
    counts = table["status"].value_counts()
    print(", ".join(f"{n} {status}" for status, n in counts.items()))
    print(f"Tables and figure are in {arguments.out}.")
    return 0 if "ok" in counts else 1


def _add_benchmark(commands: argparse._SubParsersAction) -> None:
    benchmark = commands.add_parser("benchmark", help="compare methods on every labelled h5ad of a folder")
    benchmark.add_argument("folder", type=Path, help="folder with .h5ad files that have labels in obs")
    benchmark.add_argument("--methods", nargs="+", help="default: all; an unknown name lists them")
    benchmark.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="default: 0 1 2")
    benchmark.add_argument("--out", type=Path, default=Path("benchmark"), help="results (default: benchmark)")
    benchmark.add_argument("--labels-key", default="cell_type", help="column of obs (default: cell_type)")
    benchmark.add_argument("--modes", nargs="+", default=["true-k", "k-free"], help="default: true-k k-free")
    benchmark.add_argument("--timeout", type=float, help="seconds that a run may take (default: no limit)")
    benchmark.add_argument("--retry-failed", action="store_true", help="run again what failed before")
    benchmark.set_defaults(run=_benchmark)


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scclu", description="Deep clustering of single cells.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="cluster 700 embedded PBMC and compare with scanpy's usual pipelines")
    demo.add_argument("--out", type=Path, default=Path("demo"), help="folder for the results (default: demo)")
    demo.add_argument("--seed", type=int, default=0)
    demo.set_defaults(run=_demo)
    _add_benchmark(commands)
    arguments = parser.parse_args(argv)
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
