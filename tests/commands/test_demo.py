from __future__ import annotations

import anndata as ad
import pytest

from scclu.__main__ import main


@pytest.mark.filterwarnings("ignore::UserWarning")  # of umap and matplotlib
def test_demo(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    printed = capsys.readouterr().out
    for method in ("CICL", "PCA + K-means", "PCA + Leiden"):
        assert method in printed
    adata = ad.read_h5ad(tmp_path / "demo" / "pbmc68k_reduced.h5ad")
    assert adata.obs["cicl"].nunique() == 10 and adata.obsm["X_cicl"].shape[0] == 700
    assert (tmp_path / "demo" / "cicl.png").stat().st_size > 20_000
