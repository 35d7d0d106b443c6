"""Reading and writing of model files: weights in safetensors, everything else in JSON; no code is executed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

FORMAT_VERSION = 1
_HEAD, _NECK = b'{"sha256": "', b'", '


def write_model(
    folder: Path, state: dict[str, Any], tensors: dict[str, torch.Tensor], *, overwrite: bool, stem: str = "model"
) -> None:
    """Write weights and state. Both are written to temporary files first, so that existing files survive a failure.

    Parameters
    ----------
    folder
        Directory of the files, which is created if it does not exist.
    state
        Everything that is not a tensor.
    tensors
        The weights.
    overwrite
        Replace existing files.
    stem
        Name of the files without their suffixes.

    Raises
    ------
    FileExistsError
        If one of the files exists and `overwrite` is ``False``.
    """
    weights_path, state_path = _paths(folder, stem)
    if not overwrite and (weights_path.exists() or state_path.exists()):
        raise FileExistsError(f"{folder} holds a model already. Pass overwrite=True to replace it, or another folder.")
    weights = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    text = state_text(
        {"format_version": FORMAT_VERSION, "weights_sha256": hashlib.sha256(weights).hexdigest(), **state}
    )
    folder.mkdir(parents=True, exist_ok=True)
    weights_part, state_part = partial_path(weights_path), partial_path(state_path)
    try:
        _write(weights_part, weights)
        _write(state_part, text)
        os.replace(weights_part, weights_path)
    except BaseException:
        weights_part.unlink(missing_ok=True)
        state_part.unlink(missing_ok=True)
        raise
    # if saving stops here, read_model takes the new state from its partial file
    os.replace(state_part, state_path)


def state_text(state: dict[str, Any]) -> bytes:
    """Serialise a state as JSON that begins with the checksum of the rest."""
    return _signed(json.dumps(state, default=_plain).encode()[1:])


def _signed(body: bytes) -> bytes:
    return _HEAD + hashlib.sha256(body).hexdigest().encode() + _NECK + body


def _paths(folder: Path, stem: str) -> tuple[Path, Path]:
    return folder / f"{stem}.safetensors", folder / f"{stem}.json"


def partial_path(path: Path) -> Path:
    """Name of the temporary file that is renamed to `path` when it is complete."""
    return path.with_name(f".{path.name}.partial")


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Write a file and flush it to the disk, so that it is complete before it is renamed."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return value.tolist()
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot be saved")


def read_model(folder: Path, class_name: str, stem: str = "model") -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Read the state and the tensors of a saved model.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is damaged, of another format version, or of another model class.
    """
    weights_path, state_path = _paths(folder, stem)
    for path in (state_path, weights_path):
        if not path.is_file():
            raise FileNotFoundError(f"{folder} holds no scclu {stem}: {path.name} is missing.{_pickles(folder)}")
    weights = weights_path.read_bytes()
    with damage(folder, stem):
        state = _read_state(state_path)
        digest = hashlib.sha256(weights).hexdigest()
        if state["weights_sha256"] != digest and partial_path(state_path).is_file():
            # saving was stopped between its two files
            state = _read_state(partial_path(state_path))
        if state["weights_sha256"] != digest:
            raise ValueError(f"{weights_path.name} has another checksum than {state_path.name} says")
        if state["class"] == class_name:
            return state, load(weights)
    raise ValueError(
        f"The {stem} in {folder} is a {state['class']}, but {class_name}.load was called. Call {state['class']}.load."
    )


def _pickles(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("*model.pt"))
    if not names:
        return ""
    return f" {names[0]} is a pickle, as scvi-tools saves, and loading it could run any code: scclu does not."


def _read_state(path: Path) -> dict[str, Any]:
    text = path.read_bytes()
    state = json.loads(text)
    version = state.get("format_version") if isinstance(state, dict) else None
    if version != FORMAT_VERSION:
        raise _OtherVersion(f"has format version {version}; this scclu reads version {FORMAT_VERSION}")
    if _signed(text[len(_signed(b"")) :]) != text:
        raise ValueError(f"{path.name} has another checksum than it says")
    return state


def check_finite(tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError if a tensor holds NaN or infinite values."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} holds values that are NaN or infinite")


class _OtherVersion(ValueError):
    """The file has a format version that this version of scclu does not read; it is not damaged."""


@contextmanager
def damage(folder: Path, stem: str = "model") -> Iterator[None]:
    """Context manager that converts errors to a ValueError which says that the files are damaged."""
    try:
        yield
    except _OtherVersion as error:
        raise ValueError(f"The {stem} in {folder} {error}.") from None
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        SafetensorError,
        TypeError,
        ValueError,
    ) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) and error.args else error
        raise ValueError(f"The {stem} in {folder} is damaged: {what}") from error
