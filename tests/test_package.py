from __future__ import annotations

import subprocess
import sys

import pytest

import scclu


def test_import_is_lazy():
    heavy = {"torch", "scvi", "scanpy", "anndata", "sklearn", "matplotlib"}
    code = f"import sys, scclu; print(sorted({heavy!r} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize("name", scclu.__all__)
def test_submodules_load_and_list_what_they_have(name):
    module = getattr(scclu, name)
    assert name in dir(scclu)
    for public in module.__all__:
        assert getattr(module, public).__doc__


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = scclu.nothing


def test_import_leaves_global_random_state():
    code = (
        "import numpy as np, torch, pickle\n"
        "a, b = pickle.dumps(np.random.get_state()), torch.get_rng_state()\n"
        "import scclu.tl, scclu.benchmark\n"
        "assert pickle.dumps(np.random.get_state()) == a and torch.equal(torch.get_rng_state(), b)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


@pytest.mark.parametrize("name", scclu.__all__)
def test_tab_completion_shows_public_names(name):
    module = getattr(scclu, name)
    assert dir(module) == sorted(module.__all__)
    assert dir(scclu) == sorted([*scclu.__all__, "__version__", "settings"])
