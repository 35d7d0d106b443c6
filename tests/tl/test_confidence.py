from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import roc_auc_score

from scclu import tl


@pytest.mark.slow
@pytest.mark.parametrize("tool", [tl.cicl, tl.scsiameseclu])
def test_wrongly_clustered_cells_have_less_confidence(data_dir, tool):
    adata = ad.read_h5ad(data_dir / "zheng_pbmc_purified9.h5ad")
    tool(adata, adata.obs["cell_type"].nunique())
    key = tool.__name__
    overlap = pd.crosstab(adata.obs["cell_type"], adata.obs[key])
    types, clusters = linear_sum_assignment(-overlap.to_numpy())
    names = dict(zip(overlap.columns[clusters], overlap.index[types], strict=True))
    right = adata.obs[key].map(names).to_numpy(str) == adata.obs["cell_type"].to_numpy(str)
    assert 0.5 < np.mean(right) < 0.95
    assert roc_auc_score(right, adata.obs[f"{key}_confidence"]) >= 0.7
