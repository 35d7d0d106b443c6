"""Approximate search of nearest neighbours in lists of cells that are near each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from sklearn.cluster import KMeans

from scclu._process import known_warnings_ignored, worker_threads

# nearest lists that are searched; the number of lists is the square root of the number of cells
_SEARCHED = 16
# cells per list that the centres are fitted to
_FITTED = 32
_MAX_ITER = 10
# distances in memory at a time, for each thread
_BLOCK = 2**22
# distances that are skipped together if none of them is small enough
_RUN = 64


def nearest_in_lists(reference: np.ndarray, query: np.ndarray, n_neighbors: int, *, random_state: int) -> np.ndarray:
    """Indices of the nearest reference rows for each query row, approximately, nearest first.

    K-means divides the reference into lists. A query row is compared with the rows of the 16 lists that are nearest to
    its own list, in products of matrices. The result depends neither on the number of threads nor on other query rows.

    Parameters
    ----------
    reference, query
        Arrays ``(n_reference, n_dims)`` and ``(n_query, n_dims)``.
    n_neighbors
        Number of neighbours, at most n_reference.
    random_state
        Seed of K-means.

    Returns
    -------
    ``(n_query, n_neighbors)`` int32.

    References
    ----------
    Jégou, Douze and Schmid (2011), Product quantization for nearest neighbor search, section IV.
    """
    # squared distances are differences of squares, which are small around the mean
    mean, same = reference.mean(axis=0, dtype=np.float64), query is reference
    reference = (reference - mean).astype(np.float32)
    query = reference if same else (query - mean).astype(np.float32)
    n_lists = int(np.sqrt(len(reference)))
    rows = np.random.default_rng(random_state).permutation(len(reference))[: _FITTED * n_lists]
    kmeans = KMeans(n_lists, init="random", n_init=1, max_iter=_MAX_ITER, random_state=random_state)
    with known_warnings_ignored.held(), worker_threads() as pool:
        centers = kmeans.fit(reference[rows]).cluster_centers_
        half_norms = np.square(centers).sum(axis=1) / 2
        of_reference = _nearest_center(reference, centers, half_norms, pool)
        of_query = of_reference if same else _nearest_center(query, centers, half_norms, pool)
        # the rows of a list are next to each other
        order, queries = (np.argsort(each, kind="stable").astype(np.int32) for each in (of_reference, of_query))
        ends, query_ends = (np.cumsum(np.bincount(each, minlength=n_lists)) for each in (of_reference, of_query))
        sizes, lists = np.diff(ends, prepend=0), reference[order]
        # half the squared distance without the norm of the query is one product: x'x / 2 - q'x
        lists = np.column_stack((-lists, np.square(lists).sum(axis=1) / 2))
        query = np.column_stack((query, np.ones(len(query), dtype=np.float32)))
        found = np.empty((len(query), n_neighbors), dtype=np.int32)

        def search(number: int) -> None:
            asked = queries[query_ends[number - 1] if number else 0 : query_ends[number]]
            if not len(asked):
                return
            near = np.argsort(half_norms - centers @ centers[number], kind="stable")
            enough = int(np.searchsorted(np.cumsum(sizes[near]), n_neighbors)) + 1
            searched = [np.arange(ends[each] - sizes[each], ends[each]) for each in near[: max(_SEARCHED, enough)]]
            candidates = np.concatenate(searched)
            points, names = lists[candidates], order[candidates]
            for part in np.array_split(asked, -(-len(asked) * len(candidates) // _BLOCK)):
                if len(part):
                    found[part] = _lowest(query[part] @ points.T, names, n_neighbors)

        list(pool.map(search, range(n_lists)))
    return found


def _nearest_center(
    points: np.ndarray, centers: np.ndarray, half_norms: np.ndarray, pool: ThreadPoolExecutor
) -> np.ndarray:
    size = max(1, _BLOCK // len(centers))
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return np.concatenate(list(pool.map(lambda part: (half_norms - part @ centers.T).argmin(axis=1), parts)))


# without regard to NaN, the minimum of several values is computed at once
@njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "reassoc"})
def _lowest(distance: np.ndarray, names: np.ndarray, n_lowest: int) -> np.ndarray:  # pragma: no cover
    """Names of the columns with the lowest values of each row, in ascending order, ``(n_rows, n_lowest)``."""
    n_rows, n_columns = distance.shape
    found = np.empty((n_rows, n_lowest), dtype=names.dtype)
    for row in range(n_rows):
        values = distance[row]
        lowest = np.full(n_lowest, np.inf, dtype=distance.dtype)
        for start in range(0, n_columns, _RUN):
            stop = min(start + _RUN, n_columns)
            least = values[start]
            for column in range(start + 1, stop):
                least = min(least, values[column])
            if not least < lowest[-1]:
                continue
            for column in range(start, stop):
                value = values[column]
                if value < lowest[-1]:
                    place = n_lowest - 1
                    while place > 0 and lowest[place - 1] > value:
                        lowest[place], found[row, place] = lowest[place - 1], found[row, place - 1]
                        place -= 1
                    lowest[place], found[row, place] = value, names[column]
    return found
