"""Reading matrices: the same bits for every storage, type and place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from input_checks import DTYPES, PLACES, STORAGES, cells, on_disk, placed
from scclu.data.disk import DiskMatrix
from scclu.data.matrix import canonical_order, read_matrix, reordered


def bits(matrix):
    """Everything that a matrix consists of."""
    if not sparse.issparse(matrix):
        return type(matrix), matrix.dtype, matrix.shape, matrix.flags.c_contiguous, matrix.tobytes()
    parts = [getattr(matrix, name) for name in ("data", "indices", "indptr")]
    return type(matrix), matrix.dtype, matrix.shape, [(part.dtype, part.tobytes()) for part in parts]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mostly_zeros", [True, False])
def test_storage_does_not_matter(storage, dtype, place, mostly_zeros, tmp_path):
    """The same values are read to the same bits: at once, and block by block in the order of training."""
    values = cells().X
    values = values * (np.random.default_rng(0).random(values.shape) < 0.3) if mostly_zeros else values + 1
    values = values.astype(dtype)
    plain, arguments = placed(values.astype(np.float32), place)
    expected, expected_names, _ = read_matrix(plain, **arguments)
    assert sparse.issparse(expected) == (mostly_zeros and place != "obsm")
    adata, arguments = placed(STORAGES[storage](values), place)
    with on_disk(adata, storage, tmp_path) as stored:
        matrix, names, _ = read_matrix(stored, **arguments)
        assert bits(matrix) == bits(expected)
        np.testing.assert_array_equal(names, expected_names)
        lazy, _, _ = read_matrix(stored, **arguments, by_block=True)
        order = canonical_order(lazy)
        np.testing.assert_array_equal(order, canonical_order(expected))
        rows = reordered(lazy, order)[:]
        # a block of a matrix on disk may be sparse where the whole matrix is dense
        assert isinstance(lazy, DiskMatrix) or bits(rows) == bits(reordered(expected, order))
        np.testing.assert_array_equal(dense(rows), dense(expected)[order])


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 12), st.integers(1, 6)), elements=st.integers(0, 5).map(float)),
    st.integers(0, 2**32 - 1),
)
def test_canonical_order_depends_on_the_values_alone(values, seed):
    shuffled = values[np.random.default_rng(seed).permutation(len(values))]
    for convert in (np.asarray, sparse.csr_matrix):
        a, b = convert(values), convert(shuffled)
        np.testing.assert_array_equal(dense(a[canonical_order(a)]), dense(b[canonical_order(b)]))
