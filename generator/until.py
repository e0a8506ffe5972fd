"""``ci(p99(ttft)) < 5%``: when repeating may end. The syntax; what the interval is, the analysis says."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass

from generator import units
from generator.thresholds import LATENCIES

LEAST = 3
"""Repetitions before a rule is asked: two may agree by chance, and Student's factor on their one degree of freedom is 12.7."""

RATES = ("requests", "goodput", "output_tokens")

UNBOUNDED = ("icl",)
"""Latencies that are kept as counts of gaps, not by request: nothing says how neighbouring ones hang together."""

_RULE = re.compile(r"\s*ci\(\s*([^<>]*?)\s*\)\s*(<=|<)\s*(.+?)\s*\Z")
_FIGURE = re.compile(r"([a-z][a-z0-9.]*)\s*(?:\(\s*([a-z_0-9]*)\s*\))?\Z")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)\Z")
_STATISTICS = ("mean", "rate", "goodput", "attainment", "p50", "p90", "p95", "p99")


@dataclass(frozen=True, slots=True)
class Figure:
    """``statistic``: a percentile (``p99``), ``mean``, ``rate`` or ``attainment``; ``metric`` is empty for the last."""

    statistic: str
    metric: str

    @property
    def text(self) -> str:
        return f"{self.statistic}({self.metric})" if self.metric else self.statistic

    @property
    def probability(self) -> float | None:
        """Of a percentile; None of anything else."""
        found = _PERCENTILE.match(self.statistic)
        return float(found[1]) / 100 if found else None


@dataclass(frozen=True, slots=True)
class Until:
    """Half the width of the figure's 95 % interval, over the figure, is to come below ``limit`` (within (0, 1]), or down to it where that
    is ``enough``, in every step.
    """

    text: str
    figure: Figure
    limit: float
    enough: bool = False

    def reached(self, half_width_share: float) -> bool:
        return half_width_share < self.limit or (self.enough and half_width_share == self.limit)


def least_n(p: float | None) -> int:
    """The smallest n whose largest value lies above a percentile with 95 % confidence, as ``least_n`` of macros.sql; of a percentile below
    the median the smallest value below it. 1 for what is none.
    """
    return 1 if p is None else math.ceil(math.log(0.05) / math.log(max(p, 1 - p)))


def parse(text: str) -> Until:
    """Raises ValueError with the nearest valid word."""
    found = _RULE.match(text)
    if not found:
        raise ValueError(
            f"{text!r}: a rule such as 'ci(p99(ttft)) < 5%' is wanted: the figure, and how narrow its interval is to be"
        )
    figure, operator, limit = found.groups()
    share = units.share(_number(limit))
    if share == 0:
        raise ValueError(f"{text!r}: no number of repetitions makes an interval of width 0; give a share above 0%")
    return Until(text, _figure(text, figure), share, enough=operator == "<=")


def _figure(text: str, word: str) -> Figure:
    found = _FIGURE.match(word)
    if not found:
        raise ValueError(f"{text!r}: {word!r} is no figure; write p99(ttft), mean(e2e), goodput or rate(output_tokens)")
    statistic, metric = found[1], found[2] or ""
    if statistic in ("attainment", "goodput"):
        if metric:
            raise ValueError(f"{text!r}: {statistic} is of nothing else; write {statistic}")
        return Figure("attainment", "") if statistic == "attainment" else Figure("rate", "goodput")
    percentile = _PERCENTILE.match(statistic)
    p = float(percentile[1]) / 100 if percentile else 0.5
    if max(p, 1 - p) == 1:
        extreme = "largest" if p > 0.5 else "smallest"
        raise ValueError(f"{text!r}: {statistic} is the {extreme} of so many, which has no interval; p50(ttft) has")
    if not percentile and statistic not in ("mean", "rate"):
        near = difflib.get_close_matches(statistic, _STATISTICS, 1, 0.0)
        raise ValueError(
            f"{text!r}: no interval of {statistic!r}; nearest: {near[0]!r} (known: {', '.join(_STATISTICS)})"
        )
    if not metric:
        raise ValueError(
            f"{text!r}: {statistic} of what? Write {statistic}({'requests' if statistic == 'rate' else 'ttft'})"
        )
    known = RATES if statistic == "rate" else tuple(m for m in LATENCIES if m not in UNBOUNDED)
    if metric not in known:
        near = difflib.get_close_matches(metric, known, 1, 0.0)
        raise ValueError(f"{text!r}: unknown word {metric!r}; nearest: {near[0]!r} (known: {', '.join(known)})")
    return Figure(statistic, metric)


def _number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
