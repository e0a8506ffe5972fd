"""A pass-or-fail rule as a person writes it: its text alone, or with the requests that it is about and what is to happen."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from generator import thresholds
from generator.scenario.fields import Duration, Strict, WrongError, short_or_long
from generator.scenario.session import Tags


def _step(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str) or (isinstance(value, int) and value < 0):
        raise ValueError(f"a step's name or its number from 0 is wanted, not {value!r:.80}")
    return value


StepRef = Annotated[
    Any,
    BeforeValidator(_step),
    WithJsonSchema({"type": ["string", "integer"], "minimum": 0}),
]


class ThresholdForm(Strict):
    """``p99(ttft) < 800ms``, or ``{rule: p99(ttft) < 800ms, step: warm, tag: {tenant: a}, abort: true, delay: 10s}``."""

    rule: str = Field(
        description="Such as p99(ttft) < 800ms, share(rate_limited) < 1%, goodput > 18/s, attainment >= 99%."
    )
    step: StepRef | None = Field(default=None, description="Only in the steps of this name or number (from 0).")
    tag: Tags | None = Field(default=None, min_length=1, description="Only requests with all of these tags.")
    workload: str | None = Field(default=None, description="Only requests of this workload.")
    target: str | None = Field(default=None, description="Only requests to this target.")
    abort: bool = Field(
        default=False, description="Stop the run as soon as what has ended breaks the rule beyond chance."
    )
    delay: Duration | None = Field(
        default=None, description="With abort: how long after a step's start it is first judged."
    )

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        return {"rule": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _sensible(self) -> ThresholdForm:
        try:
            rule = thresholds.parse(self.rule)
            if self.abort:
                thresholds.refuse_abort(rule)
        except ValueError as e:
            raise WrongError(str(e), "rule") from None
        if self.delay is not None and not self.abort:
            raise WrongError("delay goes with abort: true; without it a rule is judged when the run is over", "delay")
        return self


_TEXT: dict[str, Any] = {"type": "string", "description": "A rule.", "examples": ["p99(ttft) < 800ms"]}
OneThreshold = Annotated[ThresholdForm, short_or_long(ThresholdForm, _TEXT)]
