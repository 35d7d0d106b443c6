"""The command ``scclu cluster``."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from contextlib import redirect_stdout
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from scclu import __version__
from scclu._commands._reporting import messages, print_result, report, say
from scclu._commands._signals import Interruption

if TYPE_CHECKING:
    from anndata import AnnData


def _is_store(path: Path) -> bool:
    """Whether a directory is a zarr store, which may be replaced."""
    return (path / "zarr.json").is_file() or (path / ".zgroup").is_file()


# Formats of the output, and what a path of this format must be to be replaced.
_FORMATS = {".h5ad": Path.is_file, ".zarr": _is_store}
# Arguments that have an option of their own, or would prevent results from being written.
_NOT_TO_SET = "adata, n_clusters, alpha, layer, use_rep, batch_key, key_added, random_state, copy, return_model".split(
    ", "
)


def add(commands: argparse._SubParsersAction) -> None:
    """Add the parser of the command."""
    cluster = commands.add_parser("cluster", help="cluster the cells of an h5ad file and write them to another file")
    cluster.add_argument("input", type=Path, metavar="IN", help="h5ad file with the cells; it is not changed")
    cluster.add_argument(
        "output",
        type=Path,
        metavar="OUT",
        help="file to write, with the same cells and their clusters: .h5ad, or .zarr for a zarr store",
    )
    cluster.add_argument("--method", required=True, choices=["cicl", "scsiameseclu"])
    cluster.add_argument(
        "--n-clusters", type=int, metavar="K", help="number of clusters (default: estimated from the data)"
    )
    cluster.add_argument(
        "--alpha",
        type=float,
        default=0.05,
        help="level of the tests that find the number of clusters; smaller values give fewer (default: 0.05)",
    )
    cluster.add_argument("--layer", help="layer to read (default: X)")
    cluster.add_argument("--use-rep", metavar="KEY", help="key of obsm to read instead of genes")
    cluster.add_argument("--batch-key", metavar="COLUMN", help="column of obs with batches, whose effect is removed")
    cluster.add_argument("--seed", type=int, default=0, help="default: 0")
    cluster.add_argument("--key-added", metavar="NAME", help="key under which results are stored (default: the method)")
    cluster.add_argument(
        "--set",
        action="append",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        help="another argument of scclu.tl.METHOD, such as preset=paper; may be repeated",
    )
    cluster.add_argument("--json", action="store_true", help="print the summary as JSON")
    cluster.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    cluster.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    interruption = Interruption()
    with interruption.installed():
        try:
            interruption.release()
            code, summary = _run(arguments, interruption)
        except BaseException:  # what other packages make of an interrupt
            interruption.hold()
            if interruption.signum is None:
                raise
            code, summary = interruption.exit_code, None
        interruption.hold()
        if interruption.signum is not None:
            state = "was not written" if summary is None else "was written before"
            say(f"Interrupted. {str(arguments.output)!r} {state}.")
            return interruption.exit_code
        if summary is None:
            return code
        error = print_result(json.dumps(summary) if arguments.json else _sentence(summary, arguments.output))
        if error is not None:
            report(OSError(f"{str(arguments.output)!r} was written, but its summary could not be printed: {error}"))
        return interruption.exit_code if interruption.signum is not None else int(error is not None)


def _run(arguments: argparse.Namespace, interruption: Interruption) -> tuple[int, dict[str, Any] | None]:
    """Cluster and write the cells; returns the exit code, and the summary if the output was written."""
    try:
        # only the summary goes to standard output, whatever other packages print
        with messages("scclu"), redirect_stdout(sys.stderr):
            try:
                output = _checked_output(arguments.input, arguments.output, overwrite=arguments.overwrite)
                adata, summary = _clustered(arguments)
            except (TypeError, ValueError) as error:
                interruption.check()
                report(error)
                return 2, None
            interruption.check()
            _write(adata, output, interruption)
            return 0, summary
    except OSError as error:
        interruption.check()
        report(OSError(f"{str(arguments.output)!r} was not written: {error}"))
        return 1, None
    except KeyboardInterrupt:
        if interruption.signum is None:
            interruption.signum = signal.SIGINT
        return interruption.exit_code, None


def _setting(text: str) -> tuple[str, Any]:
    """Split ``"name=value"``; the value is parsed as JSON if possible and is text otherwise."""
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
    """Resolve the path of the output, and check it.

    Raises
    ------
    ValueError
        If its format is unknown, or it is the input, is there and not to be replaced, or cannot be written.
    """
    if output.suffix not in _FORMATS:
        raise ValueError(f"OUT must end in {' or '.join(_FORMATS)}, but {str(output)!r} was passed.")
    if not given.is_file():
        raise ValueError(f"IN must be the path of an h5ad file, but there is none at {str(given)!r}.")
    output = output.resolve()
    if output.exists() and output.samefile(given):
        raise ValueError(f"OUT must be another file than IN, but {str(output)!r} is the same. Pass another path.")
    if output.exists() and not _FORMATS[output.suffix](output):
        raise ValueError(
            f"OUT must be the path of a file or zarr store, but {str(output)!r} is something else. Pass another path."
        )
    if output.exists() and not overwrite:
        raise ValueError(f"OUT must be a new file, but {str(output)!r} exists. Pass --overwrite, or another path.")
    if not output.parent.is_dir() or not os.access(output.parent, os.W_OK):
        raise ValueError(
            f"OUT must be in a writable directory, but {str(output.parent)!r} is not one. "
            "Create it, or pass another path."
        )
    return output


def _clustered(arguments: argparse.Namespace) -> tuple[AnnData, dict[str, Any]]:
    """Read and cluster the cells.

    Returns
    -------
    The cells with their clusters, and the summary.

    Raises
    ------
    TypeError, ValueError
        If the input cannot be read, or the tool does not accept it or an argument.
    """
    import anndata as ad

    from scclu import tl
    from scclu._checks import check_number, check_seed

    key = arguments.method if arguments.key_added is None else arguments.key_added
    if "/" in key:
        raise ValueError(f"--key-added must be a name without '/', which h5ad cannot hold, but {key!r} was passed.")
    if arguments.n_clusters is not None:
        check_number("n_clusters", arguments.n_clusters, integer=True, low=2)
    check_number("alpha", arguments.alpha, low=0, high=1)
    check_seed("seed", arguments.seed)
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
        batch_key=arguments.batch_key,
        key_added=key,
        alpha=arguments.alpha,
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


def _write(adata: AnnData, output: Path, interruption: Interruption) -> None:
    """Write the cells to `output` by renaming a complete file or store. From here on, no signal interrupts."""
    interruption.hold()
    folder = Path(mkdtemp(prefix=".scclu-", dir=output.parent))
    try:
        unfinished = folder / f"cells{output.suffix}"
        with interruption.raised_once():
            _write_to(unfinished, adata)
        interruption.check()
        if output.is_dir():  # a directory cannot be replaced in one step
            os.replace(output, folder / "before.zarr")
        os.replace(unfinished, output)
    finally:
        interruption.hold()
        shutil.rmtree(folder, ignore_errors=True)


def _write_to(path: Path, adata: AnnData) -> None:
    """Write the cells in the format that the name of the file says."""
    if path.suffix == ".zarr":
        adata.write_zarr(path)
        return
    import h5py
    from anndata.io import write_elem

    adata.strings_to_categoricals()
    # in memory first: HDF5 crashes when the device is full
    content = BytesIO()
    with h5py.File(content, "w") as file:
        write_elem(file, "/", adata, dataset_kwargs={"compression": "gzip"})
    path.write_bytes(content.getbuffer())


def _sentence(summary: dict[str, Any], output: Path) -> str:
    """Format the summary as text."""
    sizes = ", ".join(map(str, summary["sizes"].values()))
    return (
        f"{summary['n_cells']} cells in {summary['n_clusters']} clusters of {sizes} "
        f"(number of clusters: {summary['n_clusters_source']}; {summary['seconds']:.1f} s). "
        f"Wrote {output}: obs[{summary['key']!r}]."
    )
