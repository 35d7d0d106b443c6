import warnings

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.mixture import GaussianMixture

from scclu.cluster.mixture import tied_mixture


@pytest.mark.parametrize(("n_cells", "n_clusters", "n_dims"), [(60, 3, 2), (500, 6, 12), (3000, 15, 20)])
def test_assigns_as_scikit_learn_does(n_cells: int, n_clusters: int, n_dims: int) -> None:
    blobs, _ = make_blobs(n_cells, n_dims, centers=n_clusters, cluster_std=4.0, random_state=1)
    mixing = np.random.default_rng(1).normal(size=(n_dims, n_dims))
    values = (blobs - blobs.mean(0)) @ mixing
    fitted = values[::2]
    model = GaussianMixture(
        n_clusters, covariance_type="tied", reg_covar=1e-4 * values.var(), max_iter=60, random_state=7
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged in 60 iterations
        expected = model.fit(fitted).predict(values)
    assert model.n_iter_ > 3  # else it is K-means that is compared
    np.testing.assert_array_equal(tied_mixture(fitted, values, n_clusters, 7), expected)


@pytest.mark.parametrize("cell", [0.0, 5.0])
def test_identical_cells_have_one_cluster(cell: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # K-means finds one distinct cell
        found = tied_mixture(np.full((20, 3), cell), np.full((20, 3), cell), 3, 0)
    assert len(set(found)) == 1
