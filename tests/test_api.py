"""The lists of what is public agree, and what is public follows one grammar."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import scclu

API = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
PUBLIC = [(module, name) for module in scclu.__all__ for name in getattr(scclu, module).__all__]
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def documented():
    """Names listed in the API page, by module."""
    names: dict[str, list[str]] = {}
    for block in re.findall(r"```{eval-rst}\n(.*?)```", API, re.DOTALL):
        module = re.search(r"currentmodule:: scclu\.(\w+)", block)[1]
        names[module] = re.findall(r"^   (\w+)$", block, re.MULTILINE)
    return names


def parameters(function):
    return inspect.signature(function).parameters


def positional(function):
    return [name for name, parameter in parameters(function).items() if parameter.kind in POSITIONAL]


def sections(function):
    """The numpydoc sections of a docstring, with their text."""
    parts = re.split(r"^([A-Z][A-Za-z ]+)\n-{3,}$", inspect.getdoc(function), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("module", scclu.__all__)
def test_api_page_lists_what_is_public(module):
    assert sorted(documented()[module]) == sorted(getattr(scclu, module).__all__)


def test_api_page_lists_each_name_once():
    for names in documented().values():
        assert len(names) == len(set(names))


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_docstrings_are_numpydoc_with_an_example(module, name):
    item = getattr(getattr(scclu, module), name)
    found = sections(item)
    assert ">>>" in found.get("Examples", "")
    if not inspect.isfunction(item):
        return
    assert {"Returns", "Yields"} & set(found)
    if not parameters(item):
        return
    # every argument has its lines, under its own name
    listed = {
        word.strip("* ")
        for line in re.findall(r"^\S.*$", found["Parameters"], re.MULTILINE)
        for word in line.split(",")
    }
    assert listed == set(parameters(item))


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_few_arguments_are_positional(module, name):
    assert len(positional(getattr(getattr(scclu, module), name))) <= 3


@pytest.mark.parametrize("name", [name for module, name in PUBLIC if module == "tl"])
def test_tools_take_adata_and_write_as_scanpy_does(name):
    tool = getattr(scclu.tl, name)
    assert positional(tool)[0] == "adata"
    if "AnnData" in str(inspect.signature(tool).return_annotation):
        assert parameters(tool)["copy"].default is False
        assert parameters(tool)["copy"].kind is parameters(tool)["key_added"].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("name", [name for module, name in PUBLIC if module == "pl"])
def test_figures_take_axes_and_do_not_save(name):
    figure = getattr(scclu.pl, name)
    if positional(figure)[:1] != ["adata"]:
        pytest.skip(f"{name} draws nothing")
    assert {"show", "return_fig"} <= set(parameters(figure))
    assert "save" not in parameters(figure)
