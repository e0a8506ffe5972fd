"""Rules that may stop a run while it goes: workers count, the coordinator judges.

A rule is turned into "how many of the requests are on its wrong side", which counts exactly: p99(ttft) < 800ms is broken
where more than 1 % take 800 ms or longer. Nothing is approximated by bins, and nothing is counted where no rule asks for it. Counts
live in an mmapped file of float64, a cell for each worker, rule and step: each number has one writer, and steps that overlap
(``drain: none``) keep apart. The final judgement is SQL's, on all facts; this one only ever decides to stop.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generator import thresholds
from generator.job import Plan
from generator.thresholds import CHANCE, Rule, Threshold

if TYPE_CHECKING:
    from generator.stream import Stream

N, WRONG, SUM, SQUARES, OPEN = range(5)
"""Requests that count; of these on the wrong side of the rule; the sum of their figures in ms, and of the figures' squares; requests that
have no end yet.
"""

_WIDTH = 5
LEAST_FOR_MEAN = 30
"""A mean of fewer requests is not judged: its spread is not known yet."""

_FAR_MEAN = 3.29  # of a normal law, 0.1 % lie outside on both sides together

_MS = 1e6


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that has been broken beyond chance. ``requests`` were looked at, ``wrong`` of them on the wrong side. ``figure``: the share of
    ``wrong`` (ms for a mean), held against ``limit``, the most that the rule allows. ``told`` says it in words.
    """

    rule: Rule
    step_id: int
    requests: int
    wrong: int
    figure: float
    limit: float
    told: str

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        facts = {"rule": thresholds.named(self.rule), "step_id": self.step_id, "requests": self.requests}
        return facts | {"wrong": self.wrong, "figure": self.figure, "limit": self.limit, "told": self.told}


class Tripwires:
    """``sent`` and ``closed`` are told of each recorded request, in a worker; ``broken`` is asked several times a second, by the coordinator."""

    def __init__(self, path: Path, plan: Plan, create: bool = False) -> None:
        self._rules = [(rule, thresholds.parse(rule.text)) for rule in plan.thresholds if rule.abort]
        self._steps = len(plan.steps)
        self._workers = plan.workers
        size = plan.workers * len(self._rules) * self._steps * _WIDTH * 8
        fd = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o644)
        try:
            if create:
                os.ftruncate(fd, size)
            self._map = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        self._table = memoryview(self._map).cast("d")
        self._judges = [_judge(threshold, plan.slo or {}) for _, threshold in self._rules]
        self._about: dict[tuple[int, str, str], list[int]] = {}

    def sent(self, stream: Stream, worker: int) -> None:
        """One request was sent, which will have an end."""
        if _counts(stream):
            for number in self._numbers(stream):
                self._table[self._at(worker, number, stream.step_id) + OPEN] += 1

    def closed(self, stream: Stream, outcome: str, worker: int) -> None:
        """One request has its end, or was dropped and never sent."""
        if not _counts(stream):
            return
        table = self._table
        for number in self._numbers(stream):
            at = self._at(worker, number, stream.step_id)
            if outcome != "dropped":
                table[at + OPEN] -= 1
            counts, wrong, figure_ms = self._judges[number](stream, outcome)
            if counts:
                table[at + N] += 1
                table[at + WRONG] += wrong
                table[at + SUM] += figure_ms
                table[at + SQUARES] += figure_ms * figure_ms

    def broken(self, elapsed_ns: Mapping[int, int]) -> Broken | None:
        """The first rule that is broken in one of these steps, of which each has begun so long ago."""
        for number, (rule, threshold) in enumerate(self._rules):
            for step_id, since_ns in elapsed_ns.items():
                if (rule.steps is not None and step_id not in rule.steps) or since_ns < rule.delay_ns:
                    continue
                cells = [self._at(worker, number, step_id) for worker in range(self._workers)]
                n, wrong, total, squares, open_ = (sum(self._table[at + k] for at in cells) for k in range(_WIDTH))
                if _ends_early(threshold):
                    n += max(0, open_)
                found = _verdict(threshold, int(n), int(wrong), total, squares)
                if found is not None:
                    figure, limit, told = found
                    return Broken(rule, step_id, int(n), int(wrong), figure, limit, told)
        return None

    def _numbers(self, stream: Stream) -> list[int]:
        """Which rules are about this request."""
        assert stream.step is not None
        spec = stream.prompt.spec or stream.step.workload
        key = (stream.step_id, spec.name, stream.target.name)
        if (found := self._about.get(key)) is None:
            tags = spec.tags.split(",") if spec.tags else ()
            found = self._about[key] = [
                number
                for number, (rule, _) in enumerate(self._rules)
                if (rule.steps is None or stream.step_id in rule.steps)
                and thresholds.is_about(rule, spec.name, stream.target.name, tags)
            ]
        return found

    def _at(self, worker: int, rule: int, step_id: int) -> int:
        return ((worker * len(self._rules) + rule) * self._steps + step_id) * _WIDTH


def opened(path: Path, plan: Plan, create: bool = False) -> Tripwires | None:
    """None where no rule of the plan may stop it."""
    return Tripwires(path, plan, create) if any(rule.abort for rule in plan.thresholds) else None


def _counts(stream: Stream) -> bool:
    return stream.phase == "main" and stream.step is not None and stream.cancel is None


# -- what a request counts for ------------------------------------------------------------------------------------------------

Judge = Callable[["Stream", str], tuple[bool, bool, float]]
"""(it counts, it is on the wrong side, its figure in ms) of an ended request."""


def _first_ns(stream: Stream) -> int | None:
    return stream.answer.first_row_ns if stream.answer else None


def _last_ns(stream: Stream) -> int | None:
    """Of a whole answer, which has no chunks, the end of its body."""
    if stream.answer is None:
        return None
    return stream.answer.last_row_ns or (None if stream.answer.streamed else stream.done_ns)


def _between_ms(begun_ns: int | None, ended_ns: int | None) -> float | None:
    return None if begun_ns is None or ended_ns is None else (ended_ns - begun_ns) / _MS


def _tpot_ms(stream: Stream) -> float | None:
    """Unknown here where the target reasoned: which of the tokens it showed is for the analysis to find out. A first chunk of several
    tokens counts as one, which makes TPOT smaller, never larger."""
    answer = stream.answer
    took_ms = _between_ms(_first_ns(stream), _last_ns(stream))
    if answer is None or took_ms is None or answer.reasoning_tokens or (answer.output_tokens or 0) < 2:
        return None
    return took_ms / ((answer.output_tokens or 0) - 1)


def _ntpot_ms(stream: Stream) -> float | None:
    took_ms = _between_ms(stream.scheduled_ns, _last_ns(stream))
    tokens = stream.answer.output_tokens if stream.answer else None
    return took_ms / tokens if took_ms is not None and tokens else None


_FIGURES: dict[str, Callable[[Stream], float | None]] = {
    "ttft": lambda s: _between_ms(s.scheduled_ns, _first_ns(s)),
    "ttft_wire": lambda s: _between_ms(s.sent_ns, _first_ns(s)),
    "tpot": _tpot_ms,
    "ntpot": _ntpot_ms,
    "e2e": lambda s: _between_ms(s.scheduled_ns, _last_ns(s)),
    "lateness": lambda s: _between_ms(s.scheduled_ns, s.issued_ns or None),
}
"""By the words of ``thresholds.LIVE``."""


def _judge(rule: Threshold, slo: Mapping[str, float]) -> Judge:
    if rule.statistic == "share":
        upwards = rule.operator in (">", ">=")
        failed = rule.metric == "failed"

        def shared(_: Stream, outcome: str) -> tuple[bool, bool, float]:
            hit = outcome != "ok" if failed else outcome == rule.metric
            return True, hit is not upwards, 0.0

        return shared
    if rule.statistic == "attainment":
        limits = [(_FIGURES[k.removesuffix("_ms")], v) for k, v in slo.items() if k.removesuffix("_ms") in _FIGURES]

        def attained(stream: Stream, outcome: str) -> tuple[bool, bool, float]:
            # What cannot be known here (ttfo, icl, fluidity) counts as met: the misses are never too many.
            late = outcome != "ok" or any((ms := of(stream)) is not None and ms > limit for of, limit in limits)
            return True, late, 0.0

        return attained
    of = _FIGURES[rule.metric]
    everyone = rule.metric == "lateness"

    def timed(stream: Stream, outcome: str) -> tuple[bool, bool, float]:
        ms = of(stream) if everyone or outcome == "ok" else None
        return (False, False, 0.0) if ms is None else (True, not rule.holds(ms), ms)

    return timed


# -- when a rule is broken ----------------------------------------------------------------------------------------------------


def _verdict(rule: Threshold, n: int, wrong: int, total: float, squares: float) -> tuple[float, float, str] | None:
    """(figure, limit, words) of a rule that is broken beyond chance, else None."""
    if rule.statistic == "mean":
        return _mean(rule, n, total, squares)
    allowed = _allowed(rule)
    if wrong == 0 or likely(wrong, n, allowed) >= CHANCE:
        return None
    whom = "requests, those in flight included," if _ends_early(rule) else "requests that had ended"
    told = f"{wrong:,} of {n:,} {whom} {_fault(rule)}, {wrong / n:.2%}; {allowed:.2%} may"
    return wrong / n, allowed, told


def _ends_early(rule: Threshold) -> bool:
    """Whether the wrong side may end sooner than the right one: a refusal comes at once, a good answer takes its time. What has ended is then
    no fair sample of what was asked, so what is in flight counts as right until it has ended. Of a limit from above the right ones end first.
    """
    return rule.statistic in ("share", "attainment") or (rule.statistic != "mean" and rule.operator in (">", ">="))


def _fault(rule: Threshold) -> str:
    """What the wrong ones did, in words."""
    upwards = rule.operator in (">", ">=")
    if rule.statistic == "attainment":
        return "missed the SLO"
    if rule.statistic != "share":
        return f"had {rule.metric} {_OTHERWISE[rule.operator]} {rule.limit:g} ms"
    if rule.metric == "failed":
        return "did not fail" if upwards else "failed"
    return f"were {'not ' if upwards else ''}{rule.metric}"


_OTHERWISE = {"<": "of at least", "<=": "above", ">": "of at most", ">=": "below"}


def _allowed(rule: Threshold) -> float:
    """The share of requests that may be on the wrong side of a rule that holds."""
    upwards = rule.operator in (">", ">=")
    if rule.statistic in ("share", "attainment"):
        return round(1 - rule.limit, 12) if upwards else rule.limit
    if rule.probability is not None:
        return rule.probability if upwards else round(1 - rule.probability, 12)
    return 0.0  # max and min: a single one breaks them, and nothing to come mends that


def _mean(rule: Threshold, n: int, total: float, squares: float) -> tuple[float, float, str] | None:
    if n < LEAST_FOR_MEAN:
        return None
    mean = total / n
    spread = math.sqrt(max(0.0, squares / n - mean * mean) / n)
    nearest = mean - _FAR_MEAN * spread if rule.operator in ("<", "<=") else mean + _FAR_MEAN * spread
    if rule.holds(nearest):
        return None
    told = f"mean {rule.metric} of {n:,} requests that had ended was {mean:.4g} ms; the limit is {rule.limit:g} ms"
    return mean, rule.limit, told


def likely(wrong: int, n: int, allowed: float) -> float:
    """P(Binomial(n, allowed) ≥ wrong): how likely so many are where the rule just holds. Exact: near no requests at all, where a run is
    best stopped, approximations call a single bad one proof."""
    wrong = min(wrong, n)  # counts of other processes are read one after another, and may tear
    if wrong <= 0 or allowed >= 1:
        return 1.0
    if allowed <= 0:
        return 0.0
    if wrong <= n * allowed:
        return 1.0  # no rarer than what is expected; its exact value would decide nothing
    log_term = math.lgamma(n + 1) - math.lgamma(wrong + 1) - math.lgamma(n - wrong + 1)
    term = math.exp(log_term + wrong * math.log(allowed) + (n - wrong) * math.log1p(-allowed))
    total, odds = 0.0, allowed / (1 - allowed)
    for k in range(wrong, n + 1):
        total += term
        term *= (n - k) / (k + 1) * odds  # above the mean each term is smaller than the one before
        if term < total * 1e-9:
            break
    return total
