"""Time of both default calls beside scVI's default training: ``python -m scclu.benchmark.timing FILE LABELS``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import anndata as ad

from scclu import tl

from .peers import scvi_kmeans


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main(argv: Sequence[str] | None = None) -> int:
    """Print seconds of each, the ratios, and seconds of CICL on 700 of the cells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="h5ad with counts in X")
    parser.add_argument("labels", help="column of obs whose number of categories is K; nothing else of it is used")
    arguments = parser.parse_args(argv)
    adata = ad.read_h5ad(arguments.file)
    k = adata.obs[arguments.labels].nunique()
    few = adata[:: max(1, adata.n_obs // 700)][:700].copy()
    # imports and compilation are not what is compared
    tl.cicl(few.copy(), min(k, 3), max_epochs=1)
    tl.scsiameseclu(few.copy(), min(k, 3), max_epochs=1)
    cicl = _seconds(lambda: tl.cicl(adata, k))
    siamese = _seconds(lambda: tl.scsiameseclu(adata, k))
    small = _seconds(lambda: tl.cicl(few, min(k, 3)))
    scvi = _seconds(lambda: scvi_kmeans(adata, k))
    print(f"cells {adata.n_obs}: CICL {cicl:.1f} s, scVI {scvi:.1f} s, ratio {cicl / scvi:.3f}")
    print(f"cells {adata.n_obs}: scSiameseClu {siamese:.1f} s, scVI {scvi:.1f} s, ratio {siamese / scvi:.3f}")
    print(f"cells {few.n_obs}: CICL {small:.1f} s, {small / few.n_obs / (cicl / adata.n_obs):.2f} times as long a cell")
    return 0


if __name__ == "__main__":
    sys.exit(main())
