"""What ``GET /compare`` answers, typed; docs/report.md has the units, docs/comparing.md what the figures mean."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

MOST = 8
"""Runs in one comparison: more colours than this are not told apart on a page."""


class Difference(BaseModel):
    """One figure of one run at one load, against the baseline's. From ``a`` on null where there is not enough data."""

    arm: str = Field(description="The run that is held against the baseline.")
    load: str = Field(description="What was asked of both: name, cell, rate or slots of the step.")
    metric: Literal["ttft_ms", "tpot_ms", "e2e_ms", "ok_share", "good_share", "cost_usd"]
    figure: str = Field(description="p50, p90, p95, p99; share; mean.")
    turns: int = Field(description="0: runs made apart took no turns.")
    a: float | None = Field(description="The baseline's.")
    b: float | None = Field(description="The arm's.")
    difference: float | None = Field(description="b − a.")
    low: float | None = Field(description="Of its 95 % interval.")
    high: float | None = Field(description="Of its 95 % interval.")
    relative: float | None = Field(description="Difference over a; null where a is 0.")
    relative_low: float | None
    relative_high: float | None
    p_value: float | None
    adjusted_p_value: float | None = Field(
        description="After Benjamini–Hochberg over all figures of all runs of this comparison."
    )
    detectable: float | None = Field(description="The smallest difference that such data show four times in five.")
    n: list[int] | None = Field(description="Requests of the baseline and of the arm.")
    n_effective: list[int] | None = Field(description="As many independent ones would be as sure.")
    from_turns: bool | None
    verdict: Literal["better", "worse", "no difference shown", "not enough data"] = Field(description="Of the arm.")


class Comparison(BaseModel):
    """Runs made apart, each held against the first."""

    kind: Literal["apart"]
    baseline: str
    arms: list[str] = Field(description="The other runs, in the order in which they were named.")
    figures: list[Difference] = Field(description="One for each arm, load, metric and figure that both have.")
    turns: list[dict[str, Any]] = Field(description="Empty: runs made apart took no turns.")
    assumptions: list[str]
    left_out: dict[str, list[str]] = Field(description="Run → its steps that no pair has.")
    cannot_exclude: list[str] = Field(
        description="What else may look like a difference; of several arms each line begins with its run."
    )
