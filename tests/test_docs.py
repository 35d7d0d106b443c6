"""Runs the examples in docstrings, in the README and on the pages of the documentation."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

import scclu

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(scclu.__path__, "scclu.") if not module.name.endswith("__main__")
)

PAGES = ["README.md"] + sorted(
    f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md") if "```python\n" in path.read_text()
)
# their examples train several models with the default settings
SLOW = ("docs/scsiameseclu.md", "docs/reproducibility.md")


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    results = doctest.testmod(importlib.import_module(name), extraglobs={"scclu": scclu})
    plt.close("all")
    assert results.failed == 0


# some genes in the marker lists are not in the small dataset
@pytest.mark.filterwarnings("ignore:.*markers are not among:UserWarning")
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.slow) if page in SLOW else page for page in PAGES]
)
def test_pages(page, tmp_path, monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks
    namespace: dict = {}
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)
    plt.close("all")
