"""What a model says about itself: its losses, and its parameters as text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd


class DescriptionMixin:
    """Losses and parameters of a model."""

    history_: dict[str, np.ndarray]
    init_params_: dict[str, Any]
    settings: Any
    random_state: int
    is_trained: bool

    @property
    def history(self) -> dict[str, pd.DataFrame]:
        """Mean of each loss over each epoch, in the format of scvi-tools.

        One data frame per loss, with the name of the loss as its only column and the index ``"epoch"``; empty before
        training.
        """
        return {
            name: pd.DataFrame({name: values}, index=pd.RangeIndex(len(values), name="epoch"))
            for name, values in self.history_.items()
        }

    @property
    def summary_string(self) -> str:
        """Class, number of clusters, preset, settings and training status as text."""
        given = self.init_params_["non_kwargs"]
        n_clusters = getattr(self, "n_clusters", given["n_clusters"])
        values = {"n_clusters": n_clusters, "preset": given["preset"], **asdict(self.settings)}
        values["random_state"] = self.random_state
        return "\n".join(
            [
                f"{type(self).__name__} model with the following parameters:",
                ", ".join(f"{name}: {value!r}" for name, value in values.items()),
                f"Training status: {'Trained' if self.is_trained else 'Not Trained'}",
            ]
        )

    def __repr__(self) -> str:
        return self.summary_string
