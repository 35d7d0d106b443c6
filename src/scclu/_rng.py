"""Random seeds: independent streams derived from one ``random_state``."""

from __future__ import annotations

import zlib

import numpy as np


def spawn_seeds(random_state: int, n: int) -> list[int]:
    """Seeds for `n` consumers of randomness, below 2^32 as scikit-learn requires.

    The streams are independent of each other and of those of every other `random_state`, neighbouring ones included.

    Parameters
    ----------
    random_state
        The user's seed, or one that :func:`child_seed` returned.
    n
        Number of seeds. A larger `n` keeps the first ones.

    Examples
    --------
    >>> from scclu._rng import spawn_seeds
    >>> spawn_seeds(0, 3)[:2] == spawn_seeds(0, 2)
    True
    """
    return [_first_word(child) for child in np.random.SeedSequence(random_state).spawn(n)]


def child_seed(random_state: int, name: str) -> int:
    """Seed for the consumer of randomness called `name`, below 2^32.

    Parameters
    ----------
    random_state
        The user's seed, or one that this function returned.
    name
        Any text. Each name has a stream of its own, which does not depend on how many others there are.

    Examples
    --------
    >>> from scclu._rng import child_seed
    >>> child_seed(0, "weights") == child_seed(0, "batches")
    False
    """
    # what SeedSequence.spawn does, with a key that is derived from the name instead of the position
    return _first_word(np.random.SeedSequence(random_state, spawn_key=(zlib.crc32(name.encode()), len(name))))


def _first_word(sequence: np.random.SeedSequence) -> int:
    return int(sequence.generate_state(1)[0])
