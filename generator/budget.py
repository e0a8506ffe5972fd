"""What a run may spend, counted while it goes: the workers' counters against the plan's limit.

The coordinator looks several times a second. What was sent between two looks and what is in flight then is still answered, and paid
for: the overshoot is at most what a quarter of a second issues and what is in flight cost.
"""

from __future__ import annotations

from typing import Any

from generator.charge import money, usd
from generator.counters import Counters
from generator.job import Plan


class Budget:
    """``over`` once the limit is reached, by the target's own usage and, where answers came without it, by the most they can cost."""

    def __init__(self, plan: Plan, counters: Counters) -> None:
        self._limit_usd = plan.budget_usd
        self._counters = counters
        self.stopped = False

    def over(self) -> bool:
        """Whether the limit is reached. Without a limit, never."""
        return self._limit_usd is not None and self._spent_usd() + self._guessed_usd() >= self._limit_usd

    def facts(self) -> dict[str, Any] | None:
        """For the manifest; None without a limit."""
        if self._limit_usd is None:
            return None
        return {
            "limit_usd": self._limit_usd,
            "spent_usd": self._spent_usd(),
            "guessed_usd": self._guessed_usd(),
            "stopped": self.stopped,
        }

    def note(self, step: int | None, steps: int) -> str:
        """Why the run stops, for people."""
        where = "before the first step" if step is None else f"in step {step + 1} of {steps}"
        guessed = self._guessed_usd()
        by_guess = f", {money(guessed)} of it a guess for answers without usage" if guessed else ""
        spent = money(self._spent_usd() + guessed)
        limit = money(self._limit_usd or 0.0)
        return f"the budget of {limit} is spent ({spent} so far{by_guess}) {where}: no more arrivals, draining"

    def _spent_usd(self) -> float:
        return usd(self._counters.total("spent_nano_usd"))

    def _guessed_usd(self) -> float:
        return usd(self._counters.total("guessed_nano_usd"))
