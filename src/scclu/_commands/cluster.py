"""``python -m scclu cluster``: a step of a pipeline."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from scclu import __version__
from scclu._commands._reporting import progress, report

if TYPE_CHECKING:
    from anndata import AnnData

# what has an option of its own, or would keep the results from the file
_NOT_TO_SET = "adata, n_clusters, layer, use_rep, key_added, random_state, copy, return_model".split(", ")


def add(commands: argparse._SubParsersAction) -> None:
    """Say what the command takes."""
    cluster = commands.add_parser("cluster", help="cluster the cells of an h5ad, and write them to another")
    cluster.add_argument("input", type=Path, metavar="IN", help="h5ad with the cells; it is not changed")
    cluster.add_argument("output", type=Path, metavar="OUT", help="h5ad to write: the same cells, with clusters")
    cluster.add_argument("--method", required=True, choices=["cicl", "scsiameseclu"])
    cluster.add_argument("--n-clusters", type=int, metavar="K", help="default: found in the data")
    cluster.add_argument("--layer", help="layer to read (default: X)")
    cluster.add_argument("--use-rep", metavar="KEY", help="key of obsm to read in place of genes")
    cluster.add_argument("--seed", type=int, default=0, help="default: 0")
    cluster.add_argument("--key-added", metavar="NAME", help="name of the results (default: the method)")
    cluster.add_argument(
        "--set",
        action="append",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        help="any other argument of scclu.tl.METHOD, such as preset=paper; may be repeated",
    )
    cluster.add_argument("--json", action="store_true", help="print the summary as JSON")
    cluster.add_argument("--overwrite", action="store_true", help="replace OUT if it is there")
    cluster.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit code."""
    try:
        # standard output is the summary's alone, whatever other packages print
        with progress("scclu"), redirect_stdout(sys.stderr):
            try:
                output = _checked_output(arguments.input, arguments.output, overwrite=arguments.overwrite)
                adata, summary = _clustered(arguments)
            except (TypeError, ValueError) as error:
                report(error)
                return 2
            _write(adata, output)
    except OSError as error:
        report(OSError(f"{str(arguments.output)!r} was not written: {error}"))
        return 1
    except KeyboardInterrupt:
        print(f"Interrupted. {str(arguments.output)!r} was not written.", file=sys.stderr)
        return 130
    print(json.dumps(summary) if arguments.json else _sentence(summary, arguments.output))
    return 0


def _setting(text: str) -> tuple[str, Any]:
    """``"name=value"``, apart; the value as JSON where it is JSON, else as text."""
    name, equals, value = text.partition("=")
    if not equals or not name or name in _NOT_TO_SET:
        raise argparse.ArgumentTypeError(
            f"must be NAME=VALUE with an argument of the method other than {', '.join(_NOT_TO_SET)}, "
            f"but {text!r} was passed"
        )
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _checked_output(given: Path, output: Path, *, overwrite: bool) -> Path:
    """Where to write, links followed.

    Raises
    ------
    ValueError
        If that is the input, is there and not to be replaced, or cannot be written.
    """
    if not given.is_file():
        raise ValueError(f"IN must be an h5ad file, but there is none at {str(given)!r}. Pass the path of one.")
    output = output.resolve()
    if output.exists() and output.samefile(given):
        raise ValueError(f"OUT must be another file than IN, but {str(output)!r} is the same. Pass another path.")
    if output.exists() and not output.is_file():
        raise ValueError(f"OUT must be the path of a file, but {str(output)!r} is none. Pass another path.")
    if output.exists() and not overwrite:
        raise ValueError(f"OUT must be a new file, but {str(output)!r} exists. Pass --overwrite, or another path.")
    if not output.parent.is_dir() or not os.access(output.parent, os.W_OK):
        raise ValueError(
            f"OUT must be in a folder that can be written to, but {str(output.parent)!r} is none. "
            "Make it, or pass another path."
        )
    return output


def _clustered(arguments: argparse.Namespace) -> tuple[AnnData, dict[str, Any]]:
    """The cells with their clusters, and the summary.

    Raises
    ------
    TypeError, ValueError
        If the input cannot be read, or the tool refuses it or an argument.
    """
    import anndata as ad

    from scclu import tl

    key = arguments.method if arguments.key_added is None else arguments.key_added
    if "/" in key:
        raise ValueError(f"--key-added must be a name without '/', which h5ad cannot hold, but {key!r} was passed.")
    try:
        adata = ad.read_h5ad(arguments.input)
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"IN must be an h5ad file, but {str(arguments.input)!r} cannot be read: {error}") from error
    start = time.perf_counter()
    getattr(tl, arguments.method)(
        adata,
        arguments.n_clusters,
        layer=arguments.layer,
        use_rep=arguments.use_rep,
        key_added=key,
        random_state=arguments.seed,
        **dict(arguments.set),
    )
    summary = {
        "n_cells": adata.n_obs,
        "n_clusters": adata.uns[key]["n_clusters"],
        "n_clusters_source": adata.uns[key]["n_clusters_source"],
        "sizes": adata.obs[key].value_counts(sort=False).to_dict(),
        "seconds": round(time.perf_counter() - start, 3),
        "version": __version__,
        "key": key,
    }
    return adata, summary


def _write(adata: AnnData, output: Path) -> None:
    """Write beside `output`, then rename: it is there whole or not at all."""
    with TemporaryDirectory(prefix=".scclu-", dir=output.parent) as folder:
        unfinished = Path(folder) / "cells.h5ad"
        adata.write_h5ad(unfinished, compression="gzip")
        os.replace(unfinished, output)


def _sentence(summary: dict[str, Any], output: Path) -> str:
    sizes = ", ".join(map(str, summary["sizes"].values()))
    return (
        f"{summary['n_cells']} cells in {summary['n_clusters']} clusters of {sizes} "
        f"(number of clusters: {summary['n_clusters_source']}; {summary['seconds']:.1f} s). "
        f"Wrote {output}: obs[{summary['key']!r}]."
    )
