"""Targets for searches that exist only as a curve: what share of requests is good at a load, request by request."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analysis.searching.course import Ending, next_move
from analysis.searching.part import Done, Goal, Limits, Order
from analysis.searching.sample import sample

Curve = Callable[[float], float]


def knee(at: float, width: float = 0.03) -> Curve:
    """All is good far below ``at``, half of it there, nothing far above."""
    return lambda load: float(0.5 - 0.5 * np.tanh((load / at - 1) / width / 2))


def run(order: Order, curve: Curve, number: int, *, capacity_rps: float = 100.0, axis: str = "rate") -> Done:
    """What an order comes to on a target with this curve; each request misses for itself alone."""
    rng = np.random.default_rng(order.seed)
    if order.kind == "ladder":
        x_rps = capacity_rps * order.load / (order.load + 4)
        n, good = order.requests or 0, curve(x_rps)
    else:
        x_rps = order.load if axis == "rate" else capacity_rps * order.load / (order.load + 4)
        n, good = round(x_rps * (order.window_s or 0.0)), curve(order.load)
    used = np.where(rng.random(n) < good, 0.5, 2.0)
    held = sample(used, np.ones(n))
    return Done(
        f"s-{number:03d}",
        order.kind,
        order.load,
        order.trial,
        order.part,
        held,
        n,
        (order.window_s or 1.0) + order.warmup_s,
        x_rps=x_rps,
        ok_rps=x_rps,
        latency_s=order.load / x_rps if order.kind == "ladder" else 0.1,
        in_flight=order.load if order.kind == "ladder" else x_rps * 0.1,
    )


def search(goal: Goal, limits: Limits, curve: Curve, history: list[Done] | None = None) -> tuple[Ending, list[Done]]:
    """All of a search, at once; ``history``: what it begins with."""
    runs = list(history or [])
    for _ in range(500):
        move = next_move(goal, limits, runs)
        if isinstance(move, Ending):
            return move, runs
        runs.append(run(move, curve, len(runs), axis=goal.axis))
    raise AssertionError("the search does not end")
