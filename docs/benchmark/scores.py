"""Scores of the benchmark as Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scclu.benchmark.panel import AT_K, FREE, METHODS
from scclu.benchmark.tables import markdown

OURS, PEERS = ("cicl", "scsiameseclu", "core"), ("pca-kmeans", "leiden", "scvi-kmeans", "scvi-leiden")
MODES = {AT_K: "true K", FREE: "K free"}
# datasets on which the settings of version 0.1.0 were chosen
TUNED = (
    *("yan", "pollen", "usoskin150", "kolodziejczyk_subset", "zheng500", "mixology_celseq2_5cl", "baron_mouse2"),
    *("zheng_pbmc_purified9", "mouse_bladder_top2000", "worm_neuron", "pbmc4k_top2000", "young_kidney_top2000"),
)
# datasets whose batches have an effect, for which no method of this benchmark corrects
BATCHES = ("kang_ifnb_2k", "mixology_5batches", "mixology_rnamix2")
# smaller differences are ties
TIE = 0.005
# factor within which a number of clusters is near that of the labels
NEAR = 1.5
# to which means are rounded first, so that a sum in another order, as of another pandas, does not change what is shown
_DIGITS = 9


class Results:
    """What the tables are computed from.

    Attributes
    ----------
    table
        The runs.
    quoted
        Scores from other sources.
    sets
        Table with a row for each dataset, with its numbers of cells and types.
    groups
        Names of groups of datasets, and the datasets.
    """

    def __init__(self, table: pd.DataFrame, quoted: pd.DataFrame):
        self.table, self.quoted = table, quoted
        names = sorted({*table["data"], *quoted["data"]})
        self.sets = table.groupby("data")[["n_cells", "n_types"]].max().reindex(names)
        tuned = self.sets.index.isin(TUNED)
        self.groups = {f"all {len(tuned)}": self.sets.index}
        if 0 < tuned.sum() < len(tuned):
            self.groups |= {f"tuned {tuned.sum()}": self.sets.index[tuned]}
            self.groups |= {f"other {(~tuned).sum()}": self.sets.index[~tuned]}

    def methods(self, mode: str, among: tuple[str, ...] = OURS + PEERS) -> list[str]:
        """Methods with at least one run in a mode, also if it failed."""
        return [name for name in among if mode in METHODS[name].modes and self._runs(name, mode).any()]

    def _runs(self, method: str, mode: str) -> pd.Series:
        return (self.table["method"] == method) & (self.table["mode"] == mode)

    def scores(self, method: str, mode: str, value: str = "ari", how: str = "mean") -> pd.Series:
        """Mean over the seeds of each dataset; NaN if no run succeeded."""
        done = self.table[self._runs(method, mode) & (self.table["status"] == "ok")]
        return done.groupby("data")[value].agg(how).reindex(self.sets.index)

    def quotes(self, mode: str) -> dict[str, pd.Series]:
        """Scores of each dataset from other sources, by the name of the method."""
        part = self.quoted[self.quoted["mode"] == mode]
        return {
            str(name): rows.set_index("data")["ari"].reindex(self.sets.index)
            for name, rows in part.groupby("method", sort=False)
        }

    def all_scores(self, mode: str) -> dict[str, pd.Series]:
        """ARI of each dataset by the name of the method: measured ones, then quoted ones."""
        measured = {METHODS[name].title: self.scores(name, mode) for name in self.methods(mode)}
        return measured | {f"*{name}*": scores for name, scores in self.quotes(mode).items()}


def _mean(scores: pd.Series) -> str:
    """Mean over datasets; the number of datasets in brackets if some are missing."""
    done = scores.dropna()
    if done.empty:
        return "–"
    return f"{round(done.mean(), _DIGITS):.3f}" + (f" ({len(done)})" if len(done) < len(scores) else "")


def _number(value: float, spec: str = ".3f") -> str:
    return "–" if np.isnan(value) else format(value, spec)


def _table(rows: list[list[str]], columns: list[str]) -> str:
    return markdown(pd.DataFrame(rows, columns=columns))


def summary(results: Results) -> str:
    """Mean ARI of each method over each group of datasets in both modes."""
    scores = {mode: results.all_scores(mode) for mode in MODES}
    rows = [
        [
            name,
            *(
                _mean(scores[mode][name][sets]) if name in scores[mode] else ""
                for mode in MODES
                for sets in results.groups.values()
            ),
        ]
        for name in scores[AT_K] | scores[FREE]
    ]
    return _table(rows, ["Method", *(f"{mode}: {group}" for mode in MODES.values() for group in results.groups)])


def _difference(first: pd.Series, second: pd.Series) -> tuple[float, float, int]:
    """Mean difference, its standard error over the datasets of both methods, and their number."""
    values = (first - second).dropna()
    mean, error = values.mean(), values.std() / np.sqrt(max(len(values), 1))
    return round(float(mean), _DIGITS), round(float(error), _DIGITS), len(values)


def differences(results: Results) -> str:
    """Mean difference of each method of scclu to each other method, with its standard error, wins, ties and losses."""
    rows = []
    for mode, name in MODES.items():
        for ours in results.methods(mode, OURS):
            for peer in results.methods(mode, ("core", *PEERS)):
                first, second = results.scores(ours, mode), results.scores(peer, mode)
                if ours == peer or not (n_sets := _difference(first, second)[2]):
                    continue
                row = [name, f"{METHODS[ours].title} minus {METHODS[peer].title}", str(n_sets)]
                for sets in results.groups.values():
                    mean, error, n = _difference(first[sets], second[sets])
                    row.append(f"{mean:+.3f} ({error:.3f})" if n > 1 else "–")
                gap = (first - second).dropna()
                row.append(f"{(gap > TIE).sum()} / {(gap.abs() <= TIE).sum()} / {(gap < -TIE).sum()}")
                rows.append(row)
    return _table(rows, ["Mode", "Difference", "Datasets", *results.groups, "Wins / ties / losses"])


def claims(results: Results, peers: Sequence[tuple[str, str]]) -> str:
    """Sentences on the lead of the methods of scclu, or its absence, and on the number of clusters that they find.

    `peers` are pairs of a mode and a method with which to compare them.
    """
    said = []
    for mode, peer in peers:
        parts = [_lead(results, mode, ours, peer) for ours in results.methods(mode, ("cicl", "scsiameseclu"))]
        if any(parts) and peer in results.methods(mode):
            where = "At the true K" if mode == AT_K else "Without K"
            said.append(f"- {where}, compared with {METHODS[peer].title}: {'; '.join(filter(None, parts))}.")
    near = [_near(results, method) for method in results.methods(FREE, ("cicl", "scsiameseclu", "leiden"))]
    if near:
        said.append(f"- The number of clusters found is within a factor of {NEAR:g} of K with {', '.join(near)}.")
    return "\n".join(said) or "- The methods of scclu have no results yet."


def _lead(results: Results, mode: str, ours: str, peer: str) -> str:
    """Differences of two methods on each group of datasets; empty if they have no results."""
    parts = []
    for group, sets in results.groups.items():
        mean, error, n = _difference(results.scores(ours, mode)[sets], results.scores(peer, mode)[sets])
        if n > 1:
            parts.append(f"{mean:+.3f} ({error:.3f}) on {_described(group, n, len(sets))}")
    return f"{METHODS[ours].title} {', '.join(parts)}" if parts else ""


def _near(results: Results, method: str) -> str:
    ratio = (results.scores(method, FREE, "n_clusters") / results.sets["n_types"]).dropna()
    return f"{METHODS[method].title} on {ratio.between(1 / NEAR, NEAR).sum()} of {len(ratio)} datasets"


def _described(group: str, n: int, n_sets: int) -> str:
    kind = group.split()[0]
    text = {"all": f"all {n_sets} datasets", "tuned": f"the {n_sets} tuned ones", "other": f"the {n_sets} others"}[kind]
    return text if n == n_sets else f"{n} of {text}"


def by_set(results: Results, mode: str, value: str = "ari") -> str:
    """Score of each dataset and method; without K, also the number of clusters found."""
    methods = results.methods(mode)
    scores = {METHODS[name].title: results.scores(name, mode, value) for name in methods}
    found = {METHODS[name].title: results.scores(name, mode, "n_clusters") for name in methods}
    if value == "ari":
        scores |= {f"*{name}*": each for name, each in results.quotes(mode).items()}
    show_k = mode == FREE and value == "ari"
    rows = []
    for name, (n_cells, n_types) in results.sets.iterrows():
        row = [f"{name} †" if name in BATCHES else str(name), _number(n_cells, ",.0f"), _number(n_types, ".0f")]
        best = max((round(each[name], 3) for title, each in scores.items() if title[0] != "*"), default=np.nan)
        for title, each in scores.items():
            text = _number(each[name])
            text = f"**{text}**" if title[0] != "*" and round(each[name], 3) == best else text
            row.append(text + (f" ({found[title][name]:.1f})" if show_k and title in found and text != "–" else ""))
        rows.append(row)
    rows.append(["**mean**", "", "", *(_mean(each) for each in scores.values())])
    deviations = [results.scores(name, mode, value, "std").mean() for name in methods]
    if not np.isnan(deviations).all():
        shown = ["" if np.isnan(each) else f"{each:.3f}" for each in deviations]
        rows.append(["SD over seeds", "", "", *shown, *[""] * (len(scores) - len(shown))])
    return _table(rows, ["Dataset", "Cells", "K", *scores])


def costs(results: Results) -> str:
    """Medians of time and memory over datasets, and the median ratio to Leiden on the same datasets."""
    rows = []
    for mode, name in MODES.items():
        for method in results.methods(mode):
            cpu, leiden = (results.scores(each, mode, "cpu_s") for each in (method, "leiden"))
            values = [cpu / leiden, *(results.scores(method, mode, cost) for cost in ("cpu_s", "call_s", "peak_mb"))]
            shown = [
                _number(each.dropna().median(), spec)
                for each, spec in zip(values, (".2f", ".1f", ".1f", ".0f"), strict=True)
            ]
            rows.append([name, METHODS[method].title, str(cpu.notna().sum()), *shown])
    ratio = "Processor time / that of Leiden"
    return _table(rows, ["Mode", "Method", "Datasets", ratio, "Processor time (s)", "Run time (s)", "Memory (MB)"])


def sources(results: Results) -> str:
    """Sources of the scores that are quoted."""
    found = results.quoted.groupby(["method", "source"], sort=False)["data"].nunique()
    return "\n".join(f"- *{method}* ({n} datasets): {source}" for (method, source), n in found.items())


def missing(results: Results) -> str:
    """Runs without a result, and why."""
    said = []
    for error, runs in results.table[results.table["status"] != "ok"].groupby("error", sort=False):
        methods = ", ".join(METHODS[name].title for name in runs["method"].unique())
        sets = ", ".join(runs["data"].unique())
        said.append(f"- {error}: {len(runs)} runs of {methods} on {sets}.")
    return "\n".join(said) or "All runs have a result."


def protocol(results: Results, run: dict) -> str:
    """Seeds, versions, machine and date."""
    seeds = {
        name: ", ".join(map(str, sorted(results.table.loc[results.table["method"] == name, "seed"].unique())))
        for name in OURS + PEERS
    }
    known = [text for text in seeds.values() if text]
    usual = max(known, key=known.count)
    others = [f"{METHODS[name].title}: {text}" for name, text in seeds.items() if text not in ("", usual)]
    same = usual + (f" ({'; '.join(others)})" if others else "")
    packages = ", ".join(f"{name} {number}" for name, number in run["packages"].items())
    absent = [METHODS[name].title for name, text in seeds.items() if not text]
    return (
        f"*Seeds {same}; results of {run['date']}, {run['processor']}, {run['cores']} cores, threads per process: "
        f"{run['threads']}; Python {run['python']}, {packages}"
        + (f"; **not run yet: {', '.join(absent)}**" if absent else "")
        + ".*"
    )
