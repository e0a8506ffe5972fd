"""What a person expects of the target's rate limit, so that a plan can tell whether its steps would show it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from generator.scenario.fields import Rate, Strict


class ExpectedLimitForm(Strict):
    """``{rate: 600/min, size: 60}``: requests that are given back, and requests that fit at once."""

    rate: Annotated[Rate, Field(gt=0)]
    size: Annotated[int, Field(ge=1)] = Field(1, description="Requests that fit at once, such as the size of a bucket.")
