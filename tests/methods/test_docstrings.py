"""The docstrings of the models state the values of both presets."""

from __future__ import annotations

import inspect

import pytest

import scclu
from scclu.methods.cicl import settings as cicl
from scclu.methods.scsiameseclu import settings as scsiameseclu


@pytest.mark.parametrize("preset", ["default", "paper"])
@pytest.mark.parametrize(
    ("model", "presets"), [(scclu.model.CICL, cicl.PRESETS), (scclu.model.ScSiameseClu, scsiameseclu.PRESETS)]
)
def test_values_of_presets(model, presets, preset):
    settings = presets[preset]
    names = [name for name in inspect.signature(model).parameters if hasattr(settings, name)]
    expected = ", ".join(f"{name}={getattr(settings, name)!r}" for name in names)
    text = " ".join(inspect.getdoc(model).split())
    assert f'``"{preset}"`` is {expected}.' in text
