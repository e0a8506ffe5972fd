"""Many questions at once: how many of the answers may be chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RATE = 0.05
"""Of the differences that are called shown, at most this share is chance, on average."""


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Benjamini & Hochberg (1995): the least false-discovery rate at which each would be called shown, in the order given."""
    count = len(p_values)
    if not count:
        return []
    order = np.argsort(p_values)
    raised = np.asarray(p_values, dtype=np.float64)[order] * count / np.arange(1, count + 1)
    falling = np.minimum.accumulate(raised[::-1])[::-1]
    found = np.empty(count)
    found[order] = np.minimum(falling, 1.0)
    return [float(value) for value in found]
