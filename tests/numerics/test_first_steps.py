"""Losses stay finite in the first steps of training."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import simulated_counts
from first_steps import N_STEPS, Setting, first_losses


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize(
    ("method", "preset"),
    [
        ("cicl", "default"),
        ("scsiameseclu", "default"),
        pytest.param("scsiameseclu", "paper", marks=pytest.mark.slow),
    ],
)
def test_finite(method, preset, precision, seed):
    """First 50 steps of training with finite losses and weights, on simulated cells."""
    setting = Setting(method, preset, precision, seed, "simulated")
    losses, finite = first_losses(simulated_counts(100, 40), 3, setting)
    assert finite and len(losses) == N_STEPS and np.isfinite(losses).all()
