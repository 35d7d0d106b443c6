from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.nn import GCNConv

import scclu
from conftest import simulated_counts
from scclu.methods._randomness import RandomStream, SeededInitialisation

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


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 4, bias=False), GCNConv(4, 3))


def test_initial_weights_are_those_of_the_global_seed():
    state = torch.get_rng_state()
    with SeededInitialisation(7):
        ours = network()
    assert torch.equal(torch.get_rng_state(), state)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        expected = network()
    for name, weights in expected.state_dict().items():
        assert torch.equal(ours.state_dict()[name], weights), name


def test_initial_weights_do_not_depend_on_other_threads():
    """Other threads, such as those that run Lightning, may seed and restore the global random states at any time."""
    with SeededInitialisation(7):
        expected = network().state_dict()
    stop = threading.Event()

    def disturb():
        while not stop.is_set():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                torch.rand(10)

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    try:
        for _ in range(50):
            with SeededInitialisation(7):
                found = network().state_dict()
            assert all(torch.equal(found[name], weights) for name, weights in expected.items())
    finally:
        stop.set()
        disturbing.join()


@pytest.mark.parametrize("n_clusters", [3, None])
@pytest.mark.parametrize("name", ["CICL", "ScSiameseClu"])
def test_two_trainings_at_the_same_time(name, n_clusters):
    """Each thread waits inside an epoch until the other is inside one too, and gets the result that it has alone."""
    import lightning.pytorch as pl

    cls = getattr(scclu.model, name)
    method = {"CICL": "kmeans", "ScSiameseClu": "assignment"}[name] if n_clusters else "tree"

    class Meet(pl.Callback):
        def __init__(self, barrier):
            self.barrier = barrier

        def on_train_epoch_start(self, trainer, plan):
            self.barrier.wait(60)

    def train(seed, barrier):
        adata = simulated_counts(seed=seed)
        cls.setup_anndata(adata, batch_key=None if n_clusters else "batch")
        model = cls(adata, n_clusters, cluster_method=method, random_state=seed)
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
