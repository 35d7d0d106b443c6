"""The dependencies that pyproject.toml declares are those that the source imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
# packages whose modules have another name
IMPORTED_AS = {
    "pot": "ot",
    "scikit-learn": "sklearn",
    "scvi-tools": "scvi",
    "torch-geometric": "torch_geometric",
}
# declared although src does not import them, with the reason
NOT_IMPORTED = {
    "pynndescent": "scanpy.pp.neighbors calls what versions from 0.7 lack, and scanpy has no upper limit",
}
# imported within functions of the benchmark alone
OPTIONAL = "batch-benchmark"


def imported_modules() -> dict[str, set[str]]:
    """Top-level modules that src imports, other than its own and the standard library's, with the importing files."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            for name in names:
                module = name.split(".")[0]
                if module != "scclu" and module not in sys.stdlib_module_names:
                    found.setdefault(module, set()).add(path.relative_to(ROOT).as_posix())
    return found


def declared_modules(group: str | None = None) -> dict[str, str]:
    """Modules of the declared dependencies, or of those in a group, with the names of their packages."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    requirements = declared["dependency-groups"][group] if group else declared["project"]["dependencies"]
    packages = [re.match(r"[\w.-]+", requirement)[0].lower() for requirement in requirements]
    return {IMPORTED_AS.get(package, package.replace("-", "_")): package for package in packages}


def test_what_is_imported_is_declared():
    declared = declared_modules() | declared_modules(OPTIONAL)
    missing = {name: files for name, files in imported_modules().items() if name not in declared}
    assert missing == {}


def test_what_is_declared_is_imported():
    imported = imported_modules()
    unused = {package for module, package in declared_modules().items() if module not in imported}
    assert unused == set(NOT_IMPORTED)


def test_what_is_optional_is_imported_by_the_benchmark_alone():
    imported = imported_modules()
    for module in declared_modules(OPTIONAL):
        assert all(file.startswith("src/scclu/benchmark/") for file in imported[module])
        for file in imported[module]:
            statements = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
            at_once = [ast.unparse(each) for each in statements if isinstance(each, ast.Import | ast.ImportFrom)]
            assert not any(module in statement for statement in at_once)


def test_the_lowest_versions_are_those_of_declared_packages():
    pinned = (ROOT / ".ci" / "lowest.txt").read_text(encoding="utf-8").splitlines()
    names = {line.split("==")[0].strip().lower() for line in pinned if line.strip() and not line.startswith("#")}
    assert set(declared_modules().values()) <= names
