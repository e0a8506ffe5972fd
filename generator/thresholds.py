"""``p99(ttft) < 800ms`` and its like: the syntax of pass-or-fail rules. What the figures are is the analysis's to say."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal, cast

from generator import units
from generator.names import OUTCOMES

LATENCIES = ("ttft", "ttft_wire", "ttfo", "ttst", "tpot", "ntpot", "icl", "e2e", "lateness")
STATISTICS = ("mean", "min", "max")
RATES = ("requests", "goodput", "output_tokens")

Operator = Literal["<", "<=", ">", ">="]
_RULE = re.compile(r"\s*([a-z][a-z0-9.]*)\s*(?:\(\s*([a-z_0-9]+)\s*\))?\s*(<=|>=|<|>)\s*(.+?)\s*\Z")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)\Z")


@dataclass(frozen=True, slots=True)
class Threshold:
    """``statistic`` is a percentile (p99), mean, min, max, ``share`` (of an outcome), ``rate`` or ``attainment``. ``limit`` is in
    ms for latencies, within [0, 1] for shares and attainment, per second for rates.
    """

    text: str
    statistic: str
    metric: str
    operator: Operator
    limit: float

    def holds(self, figure: float) -> bool:
        return {
            "<": figure < self.limit,
            "<=": figure <= self.limit,
            ">": figure > self.limit,
            ">=": figure >= self.limit,
        }[self.operator]


def parse(text: str) -> Threshold:
    """Raises ValueError with the nearest valid word."""
    found = _RULE.match(text)
    if not found:
        raise ValueError(f"{text!r}: a rule such as 'p99(ttft) < 800ms' or 'share(rate_limited) < 1%' is wanted")
    statistic, metric, operator, limit = found.groups()
    if statistic == "attainment" and metric is None:
        return Threshold(text, statistic, "", cast("Operator", operator), units.share(_number(limit)))
    if metric is None:
        raise ValueError(f"{text!r}: {statistic} of what? Write {statistic}(ttft)")
    if statistic == "share":
        _known(text, metric, (*OUTCOMES, "failed"))
        return Threshold(text, statistic, metric, cast("Operator", operator), units.share(_number(limit)))
    if statistic == "rate":
        _known(text, metric, RATES)
        return Threshold(text, statistic, metric, cast("Operator", operator), units.rate_rps(limit))
    if not _PERCENTILE.match(statistic) and statistic not in STATISTICS:
        near = difflib.get_close_matches(statistic, (*STATISTICS, "share", "rate", "attainment", "p99"), 1, 0.0)
        raise ValueError(f"{text!r}: unknown statistic {statistic!r}; nearest: {near[0]!r}")
    _known(text, metric, LATENCIES)
    return Threshold(text, statistic, metric, cast("Operator", operator), units.duration_ns(limit) / 1e6)


def _known(text: str, word: str, words: tuple[str, ...]) -> None:
    if word not in words:
        near = difflib.get_close_matches(word, words, 1, 0.0)
        raise ValueError(f"{text!r}: unknown word {word!r}; nearest: {near[0]!r} (known: {', '.join(words)})")


def _number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
