"""``p99(ttft) < 800ms`` and its like: the syntax of pass-or-fail rules, and which requests they are about. What the figures are is the
analysis's to say.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from generator import units
from generator.names import OUTCOMES

LATENCIES = ("ttft", "ttft_wire", "ttfo", "ttst", "tpot", "ntpot", "icl", "e2e", "lateness")
STATISTICS = ("mean", "min", "max")
RATES = ("requests", "goodput", "output_tokens", "good_tokens")
FLUIDITY = "fluidity"
"""A share, unlike the latencies that stand in the same place."""

CHANCE = 0.001
"""How unlikely so many requests on the wrong side must be under a rule that just holds, before it is broken beyond chance. Far below 5 %:
a run that goes is judged again at every look, and requests under load are not independent.
"""

TAIL = 0.99
"""Percentiles from here on are the ones that reports withhold where too little was measured, and those that lie as far down."""

Operator = Literal["<", "<=", ">", ">="]
_RULE = re.compile(r"\s*([a-z][a-z0-9.]*)\s*(?:\(\s*([a-z_0-9]+)\s*\))?\s*(<=|>=|<|>)\s*(.+?)\s*\Z")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)\Z")


@dataclass(frozen=True, slots=True)
class Threshold:
    """``statistic`` is a percentile (p99), mean, min, max, ``share`` (of an outcome), ``rate`` or ``attainment``. ``limit`` is in
    ms for latencies, within [0, 1] for shares, fluidity and attainment, per second for rates.
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

    @property
    def probability(self) -> float | None:
        """0.99 of p99; None where the statistic is no percentile."""
        found = _PERCENTILE.match(self.statistic)
        return float(found[1]) / 100 if found else None


def parse(text: str) -> Threshold:
    """Raises ValueError with the nearest valid word."""
    found = _RULE.match(text)
    if not found:
        raise ValueError(f"{text!r}: a rule such as 'p99(ttft) < 800ms' or 'share(rate_limited) < 1%' is wanted")
    statistic, metric, operator, limit = found.groups()
    if statistic == "attainment" and metric is None:
        return Threshold(text, statistic, "", cast("Operator", operator), units.share(_number(limit)))
    if statistic == "goodput" and metric is None:
        return Threshold(text, "rate", "goodput", cast("Operator", operator), units.rate_rps(limit))
    if statistic in ("attainment", "goodput"):
        raise ValueError(f"{text!r}: {statistic} is of nothing else; write {statistic} {operator} {limit}")
    if metric is None:
        raise ValueError(f"{text!r}: {statistic} of what? Write {statistic}(ttft)")
    if statistic == "share":
        _known(text, metric, (*OUTCOMES, "failed"))
        return Threshold(text, statistic, metric, cast("Operator", operator), units.share(_number(limit)))
    if statistic == "rate":
        _known(text, metric, RATES)
        return Threshold(text, statistic, metric, cast("Operator", operator), units.rate_rps(limit))
    if not _PERCENTILE.match(statistic) and statistic not in STATISTICS:
        near = difflib.get_close_matches(
            statistic, (*STATISTICS, "share", "rate", "attainment", "goodput", "p99"), 1, 0.0
        )
        raise ValueError(f"{text!r}: unknown statistic {statistic!r}; nearest: {near[0]!r}")
    _known(text, metric, (*LATENCIES, FLUIDITY))
    value = units.share(_number(limit)) if metric == FLUIDITY else units.duration_ns(limit) / 1e6
    rule = Threshold(text, statistic, metric, cast("Operator", operator), value)
    # So near to an end that floating point cannot tell it from one is the end, too: p0, and p99.9 with twenty nines.
    if (p := rule.probability) is not None and max(p, 1 - p) == 1:
        extreme, instead = ("largest", "max") if p > 0.5 else ("smallest", "min")
        raise ValueError(f"{text!r}: {statistic} is the {extreme} of all; write {instead}({metric})")
    return rule


LIVE = ("ttft", "ttft_wire", "tpot", "ntpot", "e2e", "lateness")
"""What is known of a request when it ends, without its chunks: of these a rule can be judged while the run goes on."""


def refuse_abort(rule: Threshold) -> None:
    """Raises ValueError where the rule cannot be judged before the step is over, with what can."""
    instead = f"a rule that stops a run is a percentile, mean, min or max of {', '.join(LIVE)}, a share of an outcome, or attainment"
    if rule.statistic == "rate":
        like = "; attainment >= 90% is its like" if rule.metric == "goodput" else ""
        raise ValueError(f"{rule.text!r}: a rate is known when its step is over{like}; {instead}")
    if rule.metric and rule.statistic != "share" and rule.metric not in LIVE:
        raise ValueError(f"{rule.text!r}: {rule.metric} is computed from the chunks, when the run is over; {instead}")
    upwards = rule.operator in (">", ">=")
    if (rule.statistic == "max" and upwards) or (rule.statistic == "min" and not upwards):
        raise ValueError(f"{rule.text!r}: what is still to come can mend it until the step is over; {instead}")
    if rule.statistic == "attainment" and not upwards:
        raise ValueError(f"{rule.text!r}: attainment stops a run where it is too low: attainment >= 90%")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a run: ``text`` is judged in each of ``steps`` apart (None: in every one), over the requests of ``workload``, to ``target``
    and with all of ``tags`` (``k=v``), where these are given. ``abort``: the run stops once it is broken, not before ``delay_ns`` of the
    step are over.
    """

    text: str
    steps: tuple[int, ...] | None = None
    workload: str | None = None
    target: str | None = None
    tags: tuple[str, ...] = ()
    abort: bool = False
    delay_ns: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """A workload's requests in a step: what a rule can be narrowed to. ``tags``: ``k=v`` each."""

    step_id: int
    step: str
    workload: str
    target: str
    tags: frozenset[str]


class UnmatchedError(ValueError):
    """A selector that nothing matches. ``key`` is the one to blame."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def narrowed(
    text: str,
    parts: Sequence[Part],
    *,
    step: str | int | None = None,
    workload: str | None = None,
    target: str | None = None,
    tag: Mapping[str, str] | None = None,
    abort: bool = False,
    delay_ns: int = 0,
) -> Rule:
    """The rule over those parts that match all that is said; ``step`` is a name or a number. Raises UnmatchedError with the nearest."""
    tags = tuple(f"{key}={value}" for key, value in (tag or {}).items())
    if isinstance(step, int):
        numbers = sorted({p.step_id for p in parts})
        if step not in numbers:
            raise UnmatchedError("step", f"there is no step {step}; the run has {_numbers(numbers)}")
    elif step is not None:
        _there("step", step, (p.step for p in parts))
    if workload is not None:
        _there("workload", workload, (p.workload for p in parts))
    if target is not None:
        _there("target", target, (p.target for p in parts))
    for pair in tags:
        _there("tag", pair, (t for p in parts for t in p.tags))
    rule = Rule(text, None, workload, target, tags, abort, delay_ns)
    if step is None and not about_some(rule):
        return rule
    matching = [p for p in parts if step in (None, p.step, p.step_id) and is_about(rule, p.workload, p.target, p.tags)]
    if not matching:
        key = next(
            k for k, v in (("step", step), ("tag", tag), ("workload", workload), ("target", target)) if v is not None
        )
        raise UnmatchedError(key, "each of the selectors matches something, but no requests match all of them together")
    return Rule(text, tuple(sorted({p.step_id for p in matching})), workload, target, tags, abort, delay_ns)


def about_some(rule: Rule) -> bool:
    """Whether it is about some of a step's requests only."""
    return bool(rule.workload or rule.target or rule.tags)


def is_about(rule: Rule, workload: str, target: str, tags: Iterable[str]) -> bool:
    """Whether requests of this workload, target and ``k=v`` tags count, in the steps that the rule is for."""
    return rule.workload in (None, workload) and rule.target in (None, target) and set(rule.tags) <= set(tags)


def _there(key: str, word: str, words: Iterable[str]) -> None:
    known = sorted(set(words))
    if word in known:
        return
    what = f"no {key} {word!r}"
    if not known:
        raise UnmatchedError(key, f"{what}; there is none at all")
    near = difflib.get_close_matches(word, known, 1, 0.0)[0]
    listed = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
    raise UnmatchedError(key, f"{what}; nearest: {near!r} (there are: {listed})")


def _numbers(numbers: Sequence[int]) -> str:
    return f"step {numbers[0]} alone" if len(numbers) == 1 else f"steps {numbers[0]} to {numbers[-1]}"


def stored(rule: Rule) -> str | dict[str, Any]:
    """As the manifest has it: its text alone where that says all."""
    return rule.text if rule == Rule(rule.text) else asdict(rule)


def restored(value: str | Mapping[str, Any]) -> Rule:
    """What ``stored`` made, in memory or from JSON."""
    if isinstance(value, str):
        return Rule(value)
    steps = value.get("steps")
    return Rule(**{**value, "steps": None if steps is None else tuple(steps), "tags": tuple(value.get("tags") or ())})


def named(rule: Rule) -> str:
    """The rule with what it is about: ``p99(ttft) < 800ms [tenant=a]``; its steps are told beside it."""
    about = [
        *rule.tags,
        *(f"{key} {value}" for key, value in (("workload", rule.workload), ("target", rule.target)) if value),
    ]
    return f"{rule.text} [{', '.join(about)}]" if about else rule.text


def _known(text: str, word: str, words: tuple[str, ...]) -> None:
    if word not in words:
        near = difflib.get_close_matches(word, words, 1, 0.0)
        raise ValueError(f"{text!r}: unknown word {word!r}; nearest: {near[0]!r} (known: {', '.join(words)})")


def _number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
