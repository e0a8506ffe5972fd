"""A scenario's keys for doing all of it several times: how often at most, with which seeds, and when it is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from generator import until
from generator.repetition import Seeds
from generator.scenario.fields import Duration, Strict, WrongError, short_or_long

if TYPE_CHECKING:
    from generator.scenario.models import Form

MOST = 1_000
USUAL_MOST = 20
"""Where ``until`` is given and ``repeat`` is not."""


class RepeatForm(Strict):
    """``5``, or ``{times: 5, pause: 10s}``."""

    times: Annotated[int, Field(ge=1, le=MOST)] | None = Field(
        default=None, description=f"Repetitions; with until at most so many, {USUAL_MOST} unless said."
    )
    pause: Duration = Field(default=0, description="Silence between two of them.", json_schema_extra={"default": "0s"})
    seeds: Seeds = Field(
        default="same",
        description="same: each repetition has the same arrivals and lengths, in other words; fresh: each has its own.",
    )
    within: Duration | None = Field(
        default=None, description="Begin none that would end later than so long after the first one's start."
    )

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"times": value}


RepeatText = Annotated[RepeatForm, short_or_long(RepeatForm, {"type": "integer", "minimum": 1, "maximum": MOST})]


def _rule(value: str) -> str:
    until.parse(value)
    return value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


UntilText = Annotated[
    list[Annotated[str, AfterValidator(_rule)]],
    Field(min_length=1),
    BeforeValidator(_listed),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
            "description": "Repeat until half the width of a figure's 95 % interval is below a share of the figure.",
            "examples": ["ci(p99(ttft)) < 5%"],
        }
    ),
]


def asked(form: Form) -> RepeatForm | None:
    """How often, with ``times`` filled in; None where the scenario is to be run once and that is all."""
    repeat = form.repeat or RepeatForm()
    times = repeat.times or (USUAL_MOST if form.until else 1)
    return None if times == 1 else repeat.model_copy(update={"times": times})


def check(form: Form) -> None:
    """Raises WrongError."""
    if form.repeat is not None and form.repeat.times is None and form.until is None:
        raise WrongError("how often? Give times, or until: 'ci(p99(ttft)) < 5%'", "repeat")
    if form.until is None:
        return
    if form.repeat is not None and form.repeat.times is not None and form.repeat.times < until.LEAST:
        raise WrongError(
            f"{form.repeat.times} repetitions at most: an interval over runs is asked for, which takes {until.LEAST} at least",
            "repeat",
        )
    limits = form.slo.limits().keys() - {"attainment"} if form.slo is not None else ()
    for rule in map(until.parse, form.until):
        if rule.figure.metric == "goodput" or rule.figure.statistic == "attainment":
            _needs_limits(rule.text, bool(limits))


def _needs_limits(rule: str, there: bool) -> None:
    if not there:
        raise WrongError(f"{rule!r} needs an slo that says what a good answer is: slo: {{ttft: 500ms}}", "until")
