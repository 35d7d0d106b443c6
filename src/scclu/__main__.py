"""The command line interface, ``scclu`` or ``python -m scclu``."""

from __future__ import annotations

import argparse
import signal
import sys

from scclu import __version__
from scclu._commands import benchmark, cluster, demo
from scclu._commands._reporting import open_streams


def main(argv: list[str] | None = None) -> int:
    """Run a command; return the exit code."""
    open_streams()
    parser = argparse.ArgumentParser(prog="scclu", description="Deep clustering of single cells.")
    parser.add_argument("--version", action="version", version=f"scclu {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for command in (demo, cluster, benchmark):
        command.add(commands)
    is_process = argv is None
    argv = sys.argv[1:] if argv is None else argv
    if argv[:2] == ["benchmark", "scale"]:  # a directory named "scale" must be given as ./scale
        argv = ["benchmark-scale", *argv[2:]]
    arguments = parser.parse_args(argv)
    code = arguments.run(arguments)
    if is_process and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # the process is about to end: an exception in what Python still has to do would be printed and ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return code


if __name__ == "__main__":
    sys.exit(main())
