"""Tests that the tutorials run in a new kernel and are stored with the outputs of such a run."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "tutorials").glob("*.ipynb"))
QUICKEST = "annotate-classify"
MACHINE = re.compile(r"/(home|root|tmp|usr|work|Users|private|var)/|[A-Z]:\\\\", re.ASCII)

by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def outputs(path):
    return [output for cell in code_cells(path) for output in cell["outputs"]]


def is_picture(output):
    return bool(output.get("data", {}).get("image/png"))


def reads_data(path):
    """Whether the notebook reads a real dataset from the folder SCCLU_DATA."""
    return any("SCCLU_DATA" in "".join(cell["source"]) for cell in code_cells(path))


def test_five_need_no_data_and_six_do():
    assert sorted(path.stem for path in NOTEBOOKS if reads_data(path)) == [
        "batches",
        "diagnostics",
        "label-new-cells",
        "pancreas",
        "pbmc",
        "test-clusters",
    ]
    assert len(NOTEBOOKS) == 11


def test_the_page_lists_these_notebooks():
    listed = re.findall(r"<([\w-]+)>$", (ROOT / "tutorials" / "index.md").read_text(), re.MULTILINE)
    assert sorted(listed) == [path.stem for path in NOTEBOOKS]


@by_name
def test_stored_as_it_ran_in_order(path):
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))


@by_name
def test_stored_with_pictures_and_without_errors_or_warnings(path):
    stored = outputs(path)
    assert sum(is_picture(output) for output in stored) >= 3
    assert not [output for output in stored if output["output_type"] == "error" or output.get("name") == "stderr"]


@by_name
def test_stored_file_is_small_and_of_no_machine(path):
    notebook = json.loads(path.read_text())
    assert path.stat().st_size < (1_000_000 if reads_data(path) else 400_000)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    for cell in notebook["cells"]:
        assert set(cell["metadata"]) <= {"tags"}
        assert not MACHINE.search("".join(cell["source"]))
    texts = [json.dumps({key: value for key, value in output.items() if key != "data"}) for output in outputs(path)]
    texts += [
        json.dumps(text) for output in outputs(path) for kind, text in output.get("data", {}).items() if "text" in kind
    ]
    assert not [text for text in texts if MACHINE.search(text) or "Epoch" in text]


@by_name
def test_listed_on_the_page(path):
    index = (path.parent / "index.md").read_text()
    assert f"]({path.name})" in index
    assert f"<{path.stem}>" in index  # the navigation
    assert f"](tutorials/{path.name})" in (ROOT / "README.md").read_text()


def test_without_data_the_notebooks_that_read_it_are_left_as_they_are(monkeypatch, capsys):
    pytest.importorskip("nbclient", reason="nbclient executes the tutorials; it is in the dependency group test")
    monkeypatch.syspath_prepend(ROOT / "tutorials")
    monkeypatch.delenv("SCCLU_DATA", raising=False)
    import execute

    path = ROOT / "tutorials" / "pancreas.ipynb"
    before = path.read_bytes()
    execute.main(["pancreas"])
    assert "pancreas.ipynb is skipped: SCCLU_DATA" in capsys.readouterr().out
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "path",
    [path if path.stem == QUICKEST else pytest.param(path, marks=pytest.mark.slow) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_runs_from_a_clean_state(path, monkeypatch):
    for package in ("nbclient", "ipykernel"):
        pytest.importorskip(package, reason=f"{package} executes the tutorials; it is in the dependency group test")
    if reads_data(path) and not os.environ.get("SCCLU_DATA"):
        pytest.skip("SCCLU_DATA does not name the folder of the labelled data sets")
    monkeypatch.syspath_prepend(ROOT / "tutorials")
    import execute

    executed = execute.execute(path)
    assert any(is_picture(output) for cell in executed.cells for output in cell.get("outputs", []))
    assert [cell.source for cell in executed.cells if cell.cell_type == "code"] == [
        "".join(cell["source"]) for cell in code_cells(path)
    ]
