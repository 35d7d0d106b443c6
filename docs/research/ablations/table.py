"""Tables of the scores of run.py: ``python table.py scores.csv`` prints Markdown.

A cell holds the mean over datasets of the means over seeds, and in parentheses the difference from the default with its
standard error over datasets. Only datasets on which all variants of the method were run are used.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

COLUMNS = ["given", "free", "kmeans", "leiden", "f1", "pairs"]


def cell(values: pd.Series, reference: pd.Series | None) -> str:
    """Text of a cell of the table."""
    if values.isna().all():
        return ""
    text = f"{values.mean():.3f}"
    if reference is None or reference.isna().all():
        return text
    difference = values - reference
    return f"{text} ({difference.mean():+.3f} ± {difference.std(ddof=1) / np.sqrt(len(difference)):.3f})"


def main() -> None:
    """Print a table for each method."""
    table = pd.read_csv(sys.argv[1])
    for method, rows in table.groupby("method", sort=False):
        variants = list(dict.fromkeys(rows["variant"]))
        complete = rows.groupby(["dataset", "seed"])["variant"].nunique() == len(variants)
        rows = rows.set_index(["dataset", "seed"]).loc[complete[complete].index].reset_index()
        means = rows.groupby(["variant", "dataset"])[[*COLUMNS, "cpu_seconds"]].mean()
        default = means.loc["default"] if "default" in variants else None
        print(f"\n{method}: {rows['dataset'].nunique()} datasets, seeds {sorted(set(rows['seed']))}\n")
        print("| variant |", " | ".join([*COLUMNS, "cpu_seconds"]), "|\n|", "---|" * (len(COLUMNS) + 2), sep="")
        for variant in variants:
            values = means.loc[variant]
            reference = None if default is None or variant == "default" else default
            cells = [cell(values[name], None if reference is None else reference[name]) for name in COLUMNS]
            print("|", " | ".join([variant, *cells, cell(values["cpu_seconds"], None)]), "|")


if __name__ == "__main__":
    main()
