"""Threads that share the work of a function."""

from __future__ import annotations

import threading

import torch

from scclu._process import worker_threads


def test_as_many_workers_as_torch_has_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        together = threading.Barrier(3)
        with worker_threads() as pool:
            arrived = list(pool.map(lambda _: together.wait(timeout=20), range(3)))
        assert sorted(arrived) == [0, 1, 2]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
