"""What was measured of a limiter beside what its target declares of it."""

from __future__ import annotations

from typing import Any

from analysis.onset.limiter import CONCURRENCY, REQUESTS, Limiter, Range
from analysis.onset.observed import Observed

Row = dict[str, Any]


def compared(declared: Row, limiters: tuple[Limiter, ...], seen: Observed) -> Row:
    """A row of ``rate_limit_declared`` with the limiter of its dimension and three ratios, measured over declared: ``size_ratio`` (size
    over the limit), ``minute_ratio`` (refill a minute over the limit, for limits that are per minute), ``refill_ratio``.

    Where charges are proportional in this run, a limiter found in one unit is compared in the other, by the rule that comes closest to
    what is declared; ``charge`` names it.
    """
    found: Row = {"charge": None, "size": None, "refill_per_s": None}
    dimension = dimension_of(declared["dimension"])
    if dimension is None and len(limiters) == 1 and declared["source"] == "message":
        units = [(limiters[0].candidate.charge, limiters[0].size, limiters[0].refill)]  # it can mean no other
    else:
        units = [unit for limiter in limiters for unit in _in_units(limiter, seen, dimension)]
    if units:
        rule, size, refill = min(units, key=lambda unit: _distance(declared, unit[1], unit[2]))
        found = {"charge": rule, "size": size.value, "refill_per_s": refill.value if refill else None}
    limit, said = declared["limit_units"], declared["refill_per_s"]
    return {
        "source": declared["source"],
        "dimension": declared["dimension"],
        "answers": declared["answers"],
        "limit": limit,
        "refill_per_s": said,
        "wait_s": declared["wait_s"],
        "measured": found,
        "size_ratio": _ratio(found["size"], limit),
        "minute_ratio": _ratio(found["refill_per_s"], None if limit is None else limit / 60),
        "refill_ratio": _ratio(found["refill_per_s"], said),
    }


def dimension_of(said: str | None) -> str | None:
    """``requests`` or ``tokens`` out of TPM, RPD, input tokens per minute; None where it is neither."""
    text = (said or "").lower()
    if "token" in text or text in {"tpm", "tpd", "itpm", "otpm", "tph"}:
        return "tokens"
    return REQUESTS if "request" in text or text in {"rpm", "rpd", "rph"} else None


def _in_units(limiter: Limiter, seen: Observed, dimension: str | None) -> list[tuple[str, Range, Range | None]]:
    """(rule, size, refill) of the limiter in every unit of the dimension in which it can be told."""
    if limiter.candidate.law == CONCURRENCY or dimension is None:
        return []
    rule = limiter.candidate.charge
    factors = {rule: 1.0} | dict(seen.alike.get(rule, {}))
    return [
        (name, limiter.size.over(1 / factor), limiter.refill.over(1 / factor) if limiter.refill else None)
        for name, factor in factors.items()
        if (name == REQUESTS) == (dimension == REQUESTS)
    ]


def _distance(declared: Row, size: Range, refill: Range | None) -> float:
    """How far the nearest ratio is from 1; where nothing is declared, all are alike."""
    limit, said = declared["limit_units"], declared["refill_per_s"]
    rate = refill.value if refill else None
    ratios = (_ratio(rate, said), _ratio(rate, limit / 60 if limit else None), _ratio(size.value, limit))
    return min((abs(r - 1) for r in ratios if r is not None), default=0.0)


def _ratio(measured: float | None, declared: float | None) -> float | None:
    return measured / declared if measured is not None and declared else None
