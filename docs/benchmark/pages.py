"""Tables of the benchmark on docs/benchmark.md and in the README: ``python docs/benchmark/pages.py`` writes them.

They are computed from the files in this folder alone. ``make benchmark`` runs the methods, and then copies their
results here with ``python docs/benchmark/pages.py --results FOLDER``:

results.csv
    one row per run, as ``scclu benchmark`` writes it.
run.json
    versions of the packages, machine and date.
quoted.csv
    scores from other sources, which are not measured again.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from figure import draw
from scores import MODES, OURS, Results, by_set, claims, costs, differences, missing, protocol, sources, summary

from scclu import __version__
from scclu.benchmark.panel import AT_K, FREE, METHODS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGES = (ROOT / "docs" / "benchmark.md", ROOT / "README.md")
FIGURE = ROOT / "docs" / "_static" / "benchmark.png"
PACKAGES = ("anndata", "igraph", "numpy", "scanpy", "scikit-learn", "scvi-tools", "torch", "umap-learn")
COLUMNS = ("data", "method", "mode", "seed", "status", "n_cells", "n_types", "n_clusters", "ari", "nmi", "acc")
# the strongest other method in each mode, with which the README compares
STRONGEST = ((AT_K, "pca-kmeans"), (FREE, "leiden"))
COSTS = ("call_s", "cpu_s", "peak_mb")


def collect(folder: Path) -> None:
    """Copy the results of ``scclu benchmark --out FOLDER`` to this folder, and record versions, machine and date."""
    table = pd.read_csv(folder / "results.csv").round(
        {"ari": 4, "nmi": 4, "acc": 4, "call_s": 2, "cpu_s": 2, "peak_mb": 0}
    )
    table["n_clusters"] = table["n_clusters"].astype("Int64")
    table[[*COLUMNS, *COSTS, "error"]].to_csv(HERE / "results.csv", index=False)
    run = {
        "date": f"{datetime.date.today():%Y-%m-%d}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "python": platform.python_version(),
        "packages": {"scclu": __version__} | {name: version(name) for name in PACKAGES},
    }
    (HERE / "run.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def load() -> tuple[Results, dict]:
    """Read the files of this folder."""
    results = Results(pd.read_csv(HERE / "results.csv"), pd.read_csv(HERE / "quoted.csv"))
    return results, json.loads((HERE / "run.json").read_text(encoding="utf-8"))


def blocks(results: Results, run: dict) -> dict[str, str]:
    """Text of each generated part of the pages."""
    return {
        "protocol": protocol(results, run),
        "summary": summary(results),
        "lead": claims(results, STRONGEST),
        "all-leads": claims(results, (*STRONGEST, (AT_K, "scvi-kmeans"), (FREE, "scvi-leiden"))),
        "differences": differences(results),
        "true-k": by_set(results, AT_K),
        "k-free": by_set(results, FREE),
        "true-k-nmi": by_set(results, AT_K, "nmi"),
        "k-free-nmi": by_set(results, FREE, "nmi"),
        "costs": costs(results),
        "quoted": sources(results),
        "missing": missing(results),
    }


def filled(page: str, texts: dict[str, str]) -> str:
    """Replace what is between ``<!-- benchmark: NAME -->`` and ``<!-- end -->`` in a page.

    Raises
    ------
    KeyError
        If there is no text with such a name.
    """
    return re.sub(
        r"(<!-- benchmark: ([\w-]+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}\n{texts[match[2]]}\n\n{match[3]}",
        page,
        flags=re.DOTALL,
    )


def digest() -> str:
    """Digest of the results, which the figure contains."""
    return hashlib.sha256((HERE / "results.csv").read_bytes()).hexdigest()


def main(argv: list[str] | None = None) -> int:
    """Write the pages and the figure; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, help="folder that scclu benchmark has written, to copy results from")
    arguments = parser.parse_args(argv)
    if arguments.results is not None:
        collect(arguments.results)
    results, run = load()
    texts = blocks(results, run)
    for path in PAGES:
        path.write_text(filled(path.read_text(encoding="utf-8"), texts), encoding="utf-8")
    panels = {
        mode: [(METHODS[name].title, results.scores(name, mode), name in OURS) for name in results.methods(mode)]
        for mode in MODES
    }
    draw(panels, FIGURE, description=digest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
