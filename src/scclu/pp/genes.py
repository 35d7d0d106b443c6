"""Gene names of two sources, matched without guessing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class GeneMatch:
    """Which names were found under which.

    Attributes
    ----------
    found
        The name asked for, to the name that is there.
    by_case
        Those of `found` that differ in case.
    unmatched
        Names that are not there, or that are there in several other spellings.
    """

    found: dict[str, str]
    by_case: dict[str, str]
    unmatched: list[str]


def match_genes(wanted: Iterable[str], available: Iterable[str]) -> GeneMatch:
    """Match gene names exactly, else without regard to case where one name only fits.

    Parameters
    ----------
    wanted
        Names to look for; repeated ones count once.
    available
        Names that are there.

    Returns
    -------
    The match. No two names of `wanted` are given the same name: an exact one goes first, and two that differ in case
    only are both unmatched.

    Examples
    --------
    >>> from scclu.pp.genes import match_genes
    >>> match_genes(["CD3E", "Ms4a1", "none"], ["Cd3e", "Ms4a1"])
    GeneMatch(found={'CD3E': 'Cd3e', 'Ms4a1': 'Ms4a1'}, by_case={'CD3E': 'Cd3e'}, unmatched=['none'])
    """
    names = list(dict.fromkeys(map(str, wanted)))
    there = list(map(str, available))
    exact = set(there)
    taken = exact.intersection(names)
    folded: dict[str, list[str]] = defaultdict(list)
    for name in there:
        if name not in taken:
            folded[name.casefold()].append(name)
    askers: dict[str, int] = defaultdict(int)
    for name in names:
        askers[name.casefold()] += name not in exact
    found, by_case, unmatched = {}, {}, []
    for name in names:
        fits = folded[name.casefold()]
        if name in exact:
            found[name] = name
        elif len(fits) == 1 and askers[name.casefold()] == 1:
            found[name] = by_case[name] = fits[0]
        else:
            unmatched.append(name)
    return GeneMatch(found, by_case, unmatched)
