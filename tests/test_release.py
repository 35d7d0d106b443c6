"""Tests that versions, links and metadata of a release are consistent."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import scclu

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# scripts/src/ecosystem_scripts/schema.json in scverse/ecosystem-packages: the required keys and those that scclu uses
ECOSYSTEM_KEYS = {
    *("name", "description", "project_home", "documentation_home", "tutorials_home", "install", "primary_category"),
    *("tags", "license", "language", "contact", "test_command", "category"),
}
# of the allowed tags, those that can apply to scclu
ECOSYSTEM_TAGS = {
    *("scRNA-seq", "clustering", "dimensionality reduction", "visualization", "deep learning", "optimal transport"),
    *("cell-type annotation", "benchmarking", "pipeline", "GPU acceleration", "preprocessing"),
}


def test_lowest_versions_are_the_bounds():
    bounds = set()
    for requirement in map(Requirement, PROJECT["dependencies"]):
        (lowest,) = (specifier.version for specifier in requirement.specifier if specifier.operator == ">=")
        bounds.add(f"{requirement.name}=={lowest}")
    lines = (ROOT / ".ci" / "lowest.txt").read_text().splitlines()
    assert {line for line in lines if not line.startswith("#")} == bounds


def test_changelog_has_the_version():
    headings = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert scclu.__version__ in headings
    versions = [Version(heading) for heading in headings if heading != "Unreleased"]
    assert versions == sorted(versions, reverse=True)


def test_every_action_is_pinned_to_a_commit():
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        for action in re.findall(r"uses: *(.*)", workflow.read_text()):
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), f"{workflow.name}: {action}"


def test_one_version():
    stated = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert stated is not None and stated[1] == scclu.__version__


def test_ecosystem_entry_fits_the_schema():
    text = (ROOT / ".ci" / "ecosystem" / "meta.yaml").read_text()
    entry = yaml.safe_load(text)
    # the version is read-only in the schema: the registry takes it from PyPI
    assert set(entry) == ECOSYSTEM_KEYS
    assert entry["primary_category"] == "scRNA-seq"
    assert 1 <= len(entry["tags"]) == len(set(entry["tags"])) <= 10
    assert set(entry["tags"]) <= ECOSYSTEM_TAGS
    assert (entry["license"], entry["language"], entry["category"]) == (PROJECT["license"], "Python", "ecosystem")
    assert entry["install"] == {"pypi": PROJECT["name"]}
    assert "/en/" not in text
