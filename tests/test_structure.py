"""The structure of the source: layers, sizes of files, and names of modules.

docs/contributing.md draws the layers in its first block marked ``text``, the highest first. There is a line for each
layer: the names of its packages and modules, separated by commas, and a description after a colon. Packages end with a
slash.
Imports run from a line to the lines below it, never upwards and never between two names of one line.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import scclu

SOURCE = Path(scclu.__file__).parent
ROOT = Path(__file__).parents[1]
FILES = sorted(SOURCE.rglob("*.py"))
MOST_LINES = 350
PUBLIC = [name for name in scclu.__all__ if (SOURCE / name).is_dir()]


def drawn_layers() -> dict[str, int]:
    """The layer of each dotted name in the picture; the highest has the smallest number."""
    block = re.search(r"```text\n(.*?)```", (ROOT / "docs" / "contributing.md").read_text(), re.DOTALL)[1]
    lines = [line.split(":")[0].split(",") for line in block.strip().splitlines()]
    return {name.strip().strip("/").replace("/", "."): layer for layer, names in enumerate(lines) for name in names}


def imported_modules(path: Path) -> set[str]:
    """Dotted names in scclu that a file imports, also within functions."""
    package = ["scclu", *path.relative_to(SOURCE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("scclu.") for name in found if name.startswith("scclu.")}


def part_of(name: str, layers: dict[str, int]) -> str | None:
    """The longest name in the picture that contains a dotted name."""
    return max((part for part in layers if f"{name}.".startswith(f"{part}.")), key=len, default=None)


def test_picture_is_complete():
    layers = drawn_layers()
    top = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in FILES} - {"__init__"}
    assert {part.split(".")[0] for part in layers} == top
    for part in layers:
        path = SOURCE / part.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), part


# scclu/__init__.py loads the public packages on demand
@pytest.mark.parametrize("path", [path for path in FILES if path != SOURCE / "__init__.py"], ids=str)
def test_imports_run_downwards(path):
    layers = drawn_layers()
    own = part_of(".".join(path.relative_to(SOURCE).with_suffix("").parts), layers)
    for name in imported_modules(path) - {"__version__"}:
        other = part_of(name, layers)
        assert other is not None, f"{name} is not in the picture"
        assert other == own or layers[other] > layers[own], f"{own} imports {name}"


def test_upward_imports_are_found(tmp_path, monkeypatch):
    """The parser sees imports of every form."""
    monkeypatch.setitem(globals(), "SOURCE", tmp_path)
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "x.py"
    path.write_text(
        "import scclu.tl\nfrom scclu import pl\nfrom .. import model\nfrom ..graph import knn\nfrom . import y\n"
        "def f():\n    from scclu.cluster.final import partition\n    import numpy\n"
    )
    assert imported_modules(path) == {"tl", "pl", "model", "graph.knn", "data.y", "cluster.final.partition"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("package", PUBLIC)
def test_no_function_shadows_its_module(package):
    """In a public package, a name is either a module or an object."""
    modules = {path.stem for path in (SOURCE / package).glob("*.py")}
    assert not modules & set(getattr(scclu, package).__all__)
