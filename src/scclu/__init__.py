"""Deep clustering of single cells with CICL and scSiameseClu, for scanpy and AnnData."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ._settings import settings as settings

if TYPE_CHECKING:
    from types import ModuleType

    from . import benchmark, datasets, metrics, model, pl, tl

__version__ = "0.2.0"
__all__ = ["benchmark", "datasets", "metrics", "model", "pl", "tl"]


def __getattr__(name: str) -> ModuleType:
    # submodules load on first use, so that `import scclu` does not wait for torch and scvi
    if name in __all__:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__", "settings"])
