from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from scclu.data.tensors import batch_tensor, embed_cells
from scclu.methods.cicl import batches
from scclu.methods.cicl.batches import CellBatches, MinibatchSampler


@pytest.mark.parametrize(("n_cells", "batch_size"), [(1, 5), (5, 5), (6, 5), (129, 128), (1000, 256)])
def test_a_pass_has_each_cell_once_and_no_rest(n_cells, batch_size):
    sampler = MinibatchSampler(n_cells, batch_size, seed=0)
    rows = list(sampler)
    assert len(rows) == len(sampler)
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(n_cells))
    sizes = [len(batch) for batch in rows]
    assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1


def test_an_epoch_is_bounded_and_the_next_one_goes_on(monkeypatch):
    monkeypatch.setattr(batches, "MAX_EPOCH_STEPS", 3)
    sampler = MinibatchSampler(60, 10, seed=0)
    first, second = list(sampler), list(sampler)
    assert len(first) == len(second) == 3
    np.testing.assert_array_equal(np.sort(np.concatenate(first + second)), np.arange(60))


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix])
def test_batches_are_dense_rows(convert):
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    torch.testing.assert_close(batch_tensor(convert(values), np.array([1, 3])), torch.from_numpy(values[[1, 3]]))
    loader = CellBatches(convert(values), 4, seed=0).train_dataloader()
    torch.testing.assert_close(torch.cat([batch.cells for batch in loader]), torch.from_numpy(values))
    embedded = embed_cells(lambda x: 2 * x, convert(values), torch.device("cpu"), batch_size=3)
    np.testing.assert_array_equal(embedded, 2 * values)
