"""The command line interface, ``python -m scclu``."""

from __future__ import annotations

import argparse
import sys

from scclu._commands import benchmark, cluster, demo


def main(argv: list[str] | None = None) -> int:
    """Run a command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scclu", description="Deep clustering of single cells.")
    commands = parser.add_subparsers(dest="command", required=True)
    for command in (demo, cluster, benchmark):
        command.add(commands)
    argv = sys.argv[1:] if argv is None else argv
    if argv[:2] == ["benchmark", "scale"]:  # a directory named "scale" must be given as ./scale
        argv = ["benchmark-scale", *argv[2:]]
    arguments = parser.parse_args(argv)
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
