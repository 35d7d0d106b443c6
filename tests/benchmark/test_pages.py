"""The benchmark's tables in the README and on its page, which docs/benchmark/pages.py writes."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "benchmark"


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module("pages")
    for name in ("pages", "scores", "figure"):
        sys.modules.pop(name)


@pytest.fixture
def results(pages):
    """Three datasets, of which scVI has finished two; CICL is best on the first, scVI on the second."""
    scores = {"cicl": (0.9, 0.5, 0.7), "pca-kmeans": (0.6, 0.4, 0.7), "leiden": (0.5, 0.5, 0.5)}
    scores["scvi-kmeans"] = (0.8, 0.9, np.nan)
    rows = [
        {
            **{"data": data, "method": method, "mode": mode, "seed": seed, "n_cells": 1000, "n_types": 4},
            **{"n_clusters": 4 + 3 * (method == "leiden"), "ari": value + 0.01 * seed, "nmi": 0.5},
            **{"call_s": 9.0, "cpu_s": 2.0 if method == "leiden" else 6.0, "peak_mb": 700.0},
            "status": "failed" if np.isnan(value) else "ok",
            "error": "stopped after 5 s (timeout)" if np.isnan(value) else None,
        }
        for method, values in scores.items()
        for data, value in zip(["yan", "mixology_rnamix2", "goolam"], values, strict=True)
        for mode in (("true-k", "k-free") if method in ("cicl", "leiden") else ("true-k",))
        for seed in (0, 1)
    ]
    quoted = pd.DataFrame(
        [["yan", "Other", "true-k", 0.3, "a paper"]], columns=["data", "method", "mode", "ari", "source"]
    )
    return pages.Results(pd.DataFrame(rows), quoted)


def test_pages_are_those_that_the_files_give(pages):
    texts = pages.blocks(*pages.load())
    for path in pages.PAGES:
        page = path.read_text(encoding="utf-8")
        assert pages.filled(page, texts) == page, f"{path.name}: run python docs/benchmark/pages.py"
        assert "<!-- benchmark: summary -->" in page
    with Image.open(pages.FIGURE) as figure:
        assert figure.text["Description"] == pages.digest(), "run python docs/benchmark/pages.py"


def test_files_have_versions_and_no_paths():
    text = "".join((FOLDER / name).read_text() for name in ("results.csv", "run.json", "quoted.csv"))
    assert not re.search(r"/(home|tmp|root|work|Users)\b|[A-Z]:\\", text)
    assert '"scclu"' in text and '"processor"' in text and '"date"' in text


def test_tables(pages, results):
    run = {"date": "d", "processor": "p", "cores": 2, "threads": "1", "python": "3", "packages": {"scclu": "9"}}
    texts = pages.blocks(results, run)
    summary = texts["summary"].splitlines()
    groups = ["all 3", "tuned 1", "other 2"]
    columns = ["Method", *(f"{mode}: {group}" for mode in ("true K", "K free") for group in groups)]
    assert summary[0] == f"| {' | '.join(columns)} |"
    assert "| CICL | 0.705 | 0.905 | 0.605 | 0.705 | 0.905 | 0.605 |" in summary
    assert "| scVI + K-means | 0.855 (2) | 0.805 | 0.905 (1) |  |  |  |" in summary
    assert "| *Other* | 0.300 (1) | 0.300 | – |  |  |  |" in summary
    # 0.3, 0.1 and 0.0
    assert "CICL minus PCA + K-means | 3 | +0.133 (0.088) | – | +0.050 (0.050) | 2 / 1 / 0 |" in texts["differences"]
    assert "CICL minus scVI + K-means | 2 | -0.150 (0.250) | – | – | 1 / 0 / 1 |" in texts["differences"]
    assert "compared with scVI + K-means: CICL -0.150 (0.250) on 2 of all 3 datasets." in texts["all-leads"]
    assert "scVI" not in texts["lead"]
    assert "CICL on 3 of 3 datasets, Leiden on 0 of 3 datasets" in texts["lead"]
    assert "| mixology_rnamix2 † | 1,000 | 4 | 0.505 | 0.405 | 0.505 | **0.905** | – |" in texts["true-k"]
    assert "| yan | 1,000 | 4 | **0.905** (4.0) | 0.505 (7.0) |" in texts["k-free"]
    assert "| SD over seeds |  |  | 0.007 | 0.007 | 0.007 | 0.007 |  |" in texts["true-k"]
    assert "| true K | CICL | 3 | 3.00 | 6.0 | 9.0 | 700 |" in texts["costs"]
    assert texts["missing"].splitlines()[0] == "- stopped after 5 s (timeout): 2 runs of scVI + K-means on goolam."
    assert "Seeds 0, 1;" in texts["protocol"] and "scclu 9" in texts["protocol"]
    assert "not run yet: scSiameseClu, No network, scVI + Leiden" in texts["protocol"]


def test_an_unknown_block_is_an_error(pages):
    assert pages.filled("a\n<!-- benchmark: x -->\nold\n<!-- end -->\n", {"x": "new"}) == (
        "a\n<!-- benchmark: x -->\n\nnew\n\n<!-- end -->\n"
    )
    with pytest.raises(KeyError, match="y"):
        pages.filled("<!-- benchmark: y -->\n<!-- end -->", {"x": "new"})


def test_results_are_collected_and_drawn(pages, results, tmp_path, monkeypatch):
    for name in ("README.md", "benchmark.md"):
        (tmp_path / name).write_text("<!-- benchmark: summary -->\n<!-- end -->\n")
    monkeypatch.setattr(pages, "HERE", tmp_path)
    monkeypatch.setattr(pages, "PAGES", (tmp_path / "README.md", tmp_path / "benchmark.md"))
    monkeypatch.setattr(pages, "FIGURE", tmp_path / "benchmark.png")
    results.quoted.to_csv(tmp_path / "quoted.csv", index=False)
    (tmp_path / "out").mkdir()
    results.table.assign(acc=0.5, ari=1 / 3).to_csv(tmp_path / "out" / "results.csv", index=False)
    assert pages.main(["--results", str(tmp_path / "out")]) == 0
    assert pd.read_csv(tmp_path / "results.csv")["ari"].eq(0.3333).all()
    assert (tmp_path / "README.md").read_text().count("| CICL | 0.333 |") == 1
    assert (tmp_path / "README.md").read_text() == (tmp_path / "benchmark.md").read_text()
    with Image.open(tmp_path / "benchmark.png") as figure:
        assert figure.text["Description"] == pages.digest() and figure.width > 1000
