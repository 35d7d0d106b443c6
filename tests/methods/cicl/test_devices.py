"""CICL on several devices: the same as on one, whose minibatch they divide."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import simulated_counts
from scclu.methods._randomness import RandomStream
from scclu.methods.cicl.batches import Minibatch, _Rows
from scclu.methods.cicl.loss import ClusterAwareContrastiveLoss
from scclu.methods.cicl.model import CICL
from scclu.methods.cicl.module import CICLModule, Share

# 5 steps of 61 and 60 cells: one device has a cell less than the other
_CALL = {"max_epochs": 1, "batch_size": 61, "accelerator": "cpu", "precision": "32-true"}
_SCRIPT = """
    import os
    import numpy as np
    import scclu
    from conftest import simulated_counts

    adata = simulated_counts(301)
    model = scclu.tl.cicl(adata, 3, devices=2, strategy="ddp", checkpoint_dir="state", return_model=True, **{call})
    state = {{name: value.numpy() for name, value in model.module.state_dict().items()}}
    loss = model.history["loss"]["loss"]
    np.savez(f"rank{{os.environ['LOCAL_RANK']}}.npz", loss=loss, labels=model.predict(), **state)
"""


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(_SCRIPT.format(call=_CALL)))
    paths = [str(Path(__file__).parents[2]), *sys.path]
    threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "script.py"]
    ended = subprocess.run(command, cwd=tmp_path, env=os.environ | threads, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "Warning" not in ended.stderr
    assert list((tmp_path / "state").iterdir()) == []
    adata = simulated_counts(301)
    CICL.setup_anndata(adata)
    model = CICL(adata, 3)
    model.train(**_CALL, enable_progress_bar=False)
    for rank in range(2):
        with np.load(tmp_path / f"rank{rank}.npz") as found:
            np.testing.assert_allclose(found["loss"], model.history["loss"]["loss"], atol=1e-4)
            np.testing.assert_array_equal(found["labels"], model.predict())
            for name, value in model.module.state_dict().items():
                np.testing.assert_allclose(found[name], value.numpy(), atol=1e-4, err_msg=name)


@pytest.mark.parametrize("n_ranks", [1, 2, 3, 4])
def test_devices_divide_a_minibatch(n_ranks):
    matrix = np.arange(20, dtype=np.float32)[:, None]
    parts = [
        _Rows(matrix, np.arange(len(matrix)), rank, n_ranks)[np.array([7, 3, 9, 1, 12])] for rank in range(n_ranks)
    ]
    cells = torch.cat([part.cells for part in parts]).flatten().tolist()
    assert cells == [1, 3, 7, 9, 12]
    for part in parts:
        assert isinstance(part, Minibatch) and part.n_cells == 5
        assert part.labels.tolist() == part.cells.flatten().tolist()
        assert part.cells.flatten().tolist() == cells[part.start : part.start + len(part.cells)]


@pytest.mark.parametrize("chunk_rows", [None, 3])
def test_shares_of_the_losses_sum_to_them(chunk_rows):
    torch.manual_seed(0)
    z, labels = torch.randn(2, 7, 4), torch.tensor([0, 1, 1, 2, 0, 0, 1])
    loss = ClusterAwareContrastiveLoss(0.3, chunk_rows)
    parts = [torch.stack(loss(z, labels, cells)) for cells in (slice(0, 3), slice(3, 6), slice(6, 7), slice(7, 7))]
    torch.testing.assert_close(sum(parts), torch.stack(loss(z, labels)))


def test_views_do_not_depend_on_the_number_of_devices():
    moments = torch.tensor([[0.0], [1.0], [0.0], [1.0]]).expand(4, 6).clone()
    sizes = {"n_layers": 1, "n_heads": 1, "n_hidden": 4, "attention": "cell", "n_components": 0, "max_value": None}
    settings = {"mask_rate": 0.5, "noise_scale": 1.0, "temperature": 0.5, "cluster_weight": 0.1, "dof": 1.0}
    module = CICLModule(moments, 2, **sizes, **settings)
    x = torch.randn(5, 6)
    module.augmentation = RandomStream(1)
    whole = module.augment(x)
    for cells in (slice(0, 3), slice(3, 5)):
        module.augmentation = RandomStream(1)
        torch.testing.assert_close(module.augment(x[cells], Share(5, cells, 2, lambda own: own)), whole[:, cells])


@pytest.mark.parametrize("several", [{"devices": 2}, {"strategy": "ddp"}, {"num_nodes": 2}])
def test_cells_that_attend_to_each_other_cannot_be_divided(adata, several):
    CICL.setup_anndata(adata)
    with pytest.raises(ValueError, match=r'attention="batch".*were passed. Use one device'):
        CICL(adata, 3, attention="batch", n_hidden=16).train(1, accelerator="cpu", **several)
