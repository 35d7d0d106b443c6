from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

import scclu
from conftest import simulated_counts
from scclu.methods._randomness import RandomStream, isolated_randomness

CPU = torch.device("cpu")


def test_a_stream_resumes_where_it_was():
    stream = RandomStream(3)
    assert stream.state_dict() == {}
    first = torch.rand(5, generator=stream.on(CPU))
    state = stream.state_dict()
    second = torch.rand(5, generator=stream.on(CPU))
    resumed = RandomStream(99)
    resumed.load_state_dict(state)
    assert torch.equal(torch.rand(5, generator=resumed.on(CPU)), second)
    resumed.load_state_dict({})
    assert not torch.equal(torch.rand(5, generator=resumed.on(CPU)), first)
    assert torch.equal(torch.rand(5, generator=RandomStream(3).on(CPU)), first)


def test_isolated_randomness_seeds_and_restores():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    with isolated_randomness(1):
        first = torch.rand(2), np.random.rand(2)
    with isolated_randomness(1):
        second = torch.rand(2), np.random.rand(2)
    assert torch.equal(first[0], second[0]) and np.array_equal(first[1], second[1])
    assert torch.equal(torch.get_rng_state(), before[0]) and np.array_equal(np.random.get_state()[1], before[1])


@pytest.mark.parametrize("name", ["CICL", "ScSiameseClu"])
def test_two_trainings_at_the_same_time(name):
    """Each thread waits inside an epoch until the other is inside one too, and gets the result that it has alone."""
    import lightning.pytorch as pl

    cls = getattr(scclu.model, name)
    method = {"CICL": "kmeans", "ScSiameseClu": "assignment"}[name]

    class Meet(pl.Callback):
        def __init__(self, barrier):
            self.barrier = barrier

        def on_train_epoch_start(self, trainer, plan):
            self.barrier.wait(60)

    def train(seed, barrier):
        adata = simulated_counts(seed=seed)
        cls.setup_anndata(adata)
        model = cls(adata, 3, cluster_method=method, random_state=seed)
        model.train(2, accelerator="cpu", enable_progress_bar=False, callbacks=[Meet(barrier)])
        return model.get_latent_representation(), model.predict()

    alone = [train(seed, threading.Barrier(1)) for seed in (0, 1)]
    barrier, together = threading.Barrier(2), {}
    state = torch.get_rng_state()
    threads = [
        threading.Thread(target=lambda seed=seed: together.__setitem__(seed, train(seed, barrier))) for seed in (0, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in (0, 1):
        for expected, found in zip(alone[seed], together[seed], strict=True):
            np.testing.assert_array_equal(found, expected)
    assert torch.equal(torch.get_rng_state(), state)
