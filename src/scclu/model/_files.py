"""Model files: weights in safetensors, everything else in JSON. Reading them runs no code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

FORMAT_VERSION = 1
_WEIGHTS, _STATE = "model.safetensors", "model.json"


def write_model(folder: Path, state: dict[str, Any], tensors: dict[str, torch.Tensor], *, overwrite: bool) -> None:
    """Write both files under other names first, so that a failure leaves an earlier model whole."""
    if not overwrite and ((folder / _WEIGHTS).exists() or (folder / _STATE).exists()):
        raise FileExistsError(f"{folder} holds a model already. Pass overwrite=True to replace it, or another folder.")
    text = json.dumps({"format_version": FORMAT_VERSION, **state}, default=_plain)
    folder.mkdir(parents=True, exist_ok=True)
    parts = {name: folder / f".{name}.partial" for name in (_WEIGHTS, _STATE)}
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, parts[_WEIGHTS])
        parts[_STATE].write_text(text)
        for name, part in parts.items():
            os.replace(part, folder / name)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return value.tolist()
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot be saved")


def read_model(folder: Path, class_name: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The state and the tensors of a saved model.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is damaged, of another format version, or of another model class.
    """
    for name in (_STATE, _WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no scclu model: {name} is missing.")
    try:
        state = json.loads((folder / _STATE).read_text())
        tensors = load_file(folder / _WEIGHTS)
    except (ValueError, SafetensorError) as error:
        raise ValueError(f"The model in {folder} is damaged: {error}") from error
    if not isinstance(state, dict) or state.get("format_version") != FORMAT_VERSION:
        version = state.get("format_version") if isinstance(state, dict) else None
        raise ValueError(
            f"The model in {folder} has format version {version}; this scclu reads version {FORMAT_VERSION}."
        )
    if state.get("class") != class_name:
        raise ValueError(
            f"The model in {folder} is a {state.get('class')}, but {class_name}.load was called. "
            f"Call {state.get('class')}.load."
        )
    return state, tensors
