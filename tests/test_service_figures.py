"""The figures that the catalogue keeps of a run, and how sure they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from console.web.figures import _share_of

Row = dict[str, Any]


def step(requests: int, arrivals: str = "poisson", **more: Any) -> Row:
    """All of them good, over 20 s."""
    return {
        "arrivals": arrivals,
        "burstiness": None,
        "requests": requests,
        "goodput_rps": requests / 20,
        "attainment": 1.0,
        "attainment_low": 0.99,
        "attainment_high": 1.0,
    } | more


def test_goodputs_interval_is_as_wide_as_arrivals_vary() -> None:
    """Runs of one scenario with seeds of their own offer 20/s more or less: the interval of each holds that, as often as it says."""
    draws = np.random.default_rng(5).poisson(400, 1000)
    bounds = [_share_of(step(int(n)), "goodput_rps") for n in draws]
    held = np.mean([low <= 20 <= high for low, high in bounds if low is not None and high is not None])
    assert len(bounds) == 1000
    assert 0.93 <= held <= 0.98


@pytest.mark.parametrize(
    ("made", "low", "high"),
    [
        (step(400, "constant"), 19.8, 20.0),
        (step(400, "gamma", burstiness=4.0), 20 - 20 * (0.01**2 + 0.049**2) ** 0.5, 20 * 1.049),
        (step(400, "closed", attainment=0.5, goodput_rps=10.0, attainment_low=0.4, attainment_high=0.6), 8.0, 12.0),
    ],
)
def test_what_is_not_drawn_does_not_vary(made: Row, low: float, high: float) -> None:
    """Constant arrivals are attainment's alone; bursts vary by the law of their gaps; a closed loop has no rate of its own."""
    assert _share_of(made, "goodput_rps") == pytest.approx((low, high))


def test_nothing_good_has_no_interval_of_goodput() -> None:
    none = step(400, goodput_rps=0.0, attainment=0.0, attainment_low=0.0, attainment_high=0.1)
    assert _share_of(none, "goodput_rps") == (None, None)
    assert _share_of(none, "attainment") == (0.0, 0.1)
