"""Households held out by a hash of their id, so that new households and another row order move nobody across."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pandas as pd


def held_out(household_ids: pd.Series, share: float, purpose: str) -> npt.NDArray[np.bool_]:
    """Which rows belong to the `share` of households drawn for a purpose.

    >>> held_out(pd.Series(["a", "b", "a"]), 0.5, "split/1")[[0, 2]].tolist()
    [True, True]
    """
    return np.asarray(shares(household_ids, purpose) < share, np.bool_)


def shares(household_ids: pd.Series, purpose: str) -> npt.NDArray[np.float64]:
    """A number in [0, 1) per row that depends on nothing but the household and the purpose.

    Name the seed in the purpose. Draws of different purposes are independent, so that a draw among the households
    that another one left still finds its share.
    """
    position, unique = pd.factorize(household_ids)
    key = purpose.encode()
    drawn = [
        int.from_bytes(hashlib.blake2b(str(household).encode(), digest_size=8, key=key).digest(), "big") >> 11
        for household in unique
    ]
    return np.array(drawn, np.float64)[position] / 2.0**53


def households_text(share: float) -> str:
    """Who is held out, in words; a share of 0 holds nobody out."""
    if share > 0.0:
        return f"{share:.0%} of the households, drawn by a hash of their id, are only in the test"
    return "the same households may be in training and test"
