"""What the report says of money: figures under stable keys, and the words and tables of it where a price is known."""

from __future__ import annotations

import math
from typing import Any

Row = dict[str, Any]

_OF_STEP = {
    "usd": "cost_usd",
    "main_usd": "main_cost_usd",
    "usd_per_request": "usd_per_request",
    "usd_per_ok_request": "usd_per_ok_request",
    "usd_per_good_request": "usd_per_good_request",
    "usd_per_million_output_tokens": "usd_per_million_output_tokens",
    "cached_share": "cached_share",
    "priced_requests": "priced_requests",
    "unknown_requests": "unknown_requests",
}
_OF_RUN = {
    "usd": "cost_usd",
    "probe_usd": "probe_usd",
    "warmup_usd": "warmup_usd",
    "main_usd": "main_usd",
    "priced_requests": "priced_requests",
    "unknown_requests": "unknown_requests",
}

COLUMNS = {
    "in all": "usd",
    "a request": "usd_per_request",
    "an ok request": "usd_per_ok_request",
    "a good request": "usd_per_good_request",
    "10⁶ output tokens": "usd_per_million_output_tokens",
}
"""Heading → key of a step's costs, for tables."""


def of_step(row: Row) -> Row:
    """A row of the relation ``cost``, or of none."""
    return {key: row.get(column) for key, column in _OF_STEP.items()}


def of_run(rows: list[Row]) -> Row:
    """The row of the relation ``run_cost``, or none."""
    row = rows[0] if rows else {}
    return {key: row.get(column) for key, column in _OF_RUN.items()}


def told(report: Row) -> bool:
    """Whether there is anything to say of money: a cost, or a price that no usage came to meet."""
    return report["totals"]["cost"]["usd"] is not None or any(target["price"] for target in report["run"]["targets"])


def total(report: Row) -> str:
    """What the run cost in a few words."""
    usd = report["totals"]["cost"]["usd"]
    return "what the run cost is not known" if usd is None else f"{dollars(usd)} in all, probes and warm-up included"


def columns(steps: list[Row]) -> dict[str, str]:
    """Of COLUMNS, those of which some step has a figure."""
    return {name: key for name, key in COLUMNS.items() if any(s["cost"][key] is not None for s in steps)}


def dollars(usd: float | None) -> str:
    """``$12.34``; below a dollar three significant digits, never in powers of ten; – where unknown."""
    if usd is None:
        return "–"
    if usd == 0 or usd >= 1:
        return f"${usd:,.2f}"
    digits = 2 - math.floor(math.log10(usd))
    return f"${usd:.{digits}f}"


def price_lines(run: Row) -> list[str]:
    """A line a priced target: its prices, whose they are and of when."""
    return [
        f"{_of_target(target, run)}{_tiers(target['price'])} ({target['price']['source']}, {target['price']['date']})"
        for target in run["targets"]
        if target["price"]
    ]


def notes(report: Row) -> list[str]:
    """What a reader of the costs must know beyond them."""
    cost, found = report["totals"]["cost"], []
    if cost["unknown_requests"]:
        n = cost["unknown_requests"]
        was = "request was" if n == 1 else "requests were"
        found.append(
            f"{n:,} {was} sent at a cost that is not known, for want of usage at the end of the answer or of a price: "
            "these figures leave that out."
        )
    budget = report["run"]["budget"]
    if budget and budget["stopped"]:
        guessed = f", {dollars(budget['guessed_usd'])} of it a guess" if budget["guessed_usd"] else ""
        spent = dollars(budget["spent_usd"] + budget["guessed_usd"])
        found.append(f"The run was stopped by its budget of ${budget['limit_usd']:g}: {spent} was spent{guessed}.")
    return found


def _of_target(target: Row, run: Row) -> str:
    return f"{target['name']}: " if len(run["targets"]) > 1 else ""


def _tiers(price: Row) -> str:
    words = {"input": "in", "output": "out", "cached": "cached", "cache_write": "written to the cache"}
    told = []
    for tier in price["tiers"]:
        parts = ", ".join(f"${tier[key]:g} {word}" for key, word in words.items() if tier.get(key) is not None)
        above = f" above {tier['above_tokens']:,} input tokens" if tier["above_tokens"] else " per million tokens"
        told.append(parts + above)
    return "; ".join(told)
