"""Both models on every accelerator that is there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import scclu
from conftest import simulated_counts
from scclu.methods._trainer import resolve_precision

THERE = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}


@pytest.fixture(params=THERE)
def accelerator(request):
    if not THERE[request.param]:
        pytest.skip(f"no {request.param} here")
    return request.param


@pytest.mark.parametrize("tool", ["cicl", "scsiameseclu"])
def test_clusters_on_any_accelerator(tool, accelerator):
    adata = simulated_counts(400)
    model = getattr(scclu.tl, tool)(adata, 3, accelerator=accelerator, max_epochs=5, return_model=True)
    assert scclu.metrics.ari(adata.obs["type"], adata.obs[tool]) > 0.9
    assert adata.obsm[f"X_{tool}"].dtype == np.float32
    tensors = {**dict(model.module.named_parameters()), **dict(model.module.named_buffers())}
    # MPS has no float64
    assert [name for name, tensor in tensors.items() if tensor.dtype == torch.float64] == []
    np.testing.assert_array_equal(model.predict(adata).shape, (400,))


def test_precision_is_asked_of_the_device(accelerator):
    assert resolve_precision("auto", accelerator) in ("bf16-mixed", "32-true")
