"""What a release says about itself agrees with itself."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

import scclu

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


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
    for name in ("CITATION.cff", ".ci/ecosystem/meta.yaml"):
        stated = re.search(r"^version: (.*)$", (ROOT / name).read_text(), re.MULTILINE)
        assert stated is not None and stated[1] == scclu.__version__, name
