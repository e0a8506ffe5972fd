"""What a person writes: the keys of a scenario, their kinds, and what must hold between them. Strict: nothing is guessed.

Units are read by ``scenario_fields``; files, flags, lines and secrets belong to ``scenario``.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Self

from pydantic import Field, ModelWrapValidatorHandler, PrivateAttr, model_validator

from generator.job import Arrivals, ConnectionUse, TransportName
from generator.scenario import blocks as scenario_blocks
from generator.scenario import cancel, session
from generator.scenario import repeat as scenario_repeat
from generator.scenario.fields import (
    ConcurrencyForm,
    Drain,
    Duration,
    Money,
    RateForm,
    Slots,
    Strict,
    ThinkForm,
    TokensForm,
    WrongError,
)
from generator.scenario.limit import ExpectedLimitForm
from generator.scenario.record import RecordForm
from generator.scenario.repeat import RepeatText, UntilText
from generator.scenario.slo import Slo
from generator.scenario.target import HTTP_JSON, SIMULATOR, Name, TargetForm, is_name
from generator.scenario.threshold import OneThreshold
from generator.scenario.workload import MixedForm, TraceForm, WorkloadForm
from generator.units import duration_ns

MOST_STEPS = 10_000
MOST_REQUESTS = 1_000_000_000


def _said(text: str, description: str) -> Any:
    """A duration's default, told to editors as a person would write it."""
    return Field(default=duration_ns(text), description=description, json_schema_extra={"default": text})


class StepForm(Strict):
    name: Name | None = None
    arrivals: Arrivals | None = Field(
        default=None, description="poisson where a rate is given, closed where a concurrency is, unless said."
    )
    rate: RateForm | None = None
    burstiness: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        default=None, description="Shape of gamma gaps; CV = 1/√shape."
    )
    concurrency: ConcurrencyForm | None = None
    think: ThinkForm | None = Field(default=None, description="Closed loop: pause of a slot before its next request.")
    trace: TraceForm | None = None
    duration: Duration | None = None
    requests: Annotated[int, Field(ge=1, le=MOST_REQUESTS)] | None = None
    sessions: Annotated[int, Field(ge=1, le=MOST_REQUESTS)] | None = Field(
        default=None, description="How many conversations start, in place of requests."
    )
    warmup: Duration | None = None
    pause: Duration | None = Field(default=None, description="Silence after the step's drain.")
    drain: Drain | None = None
    max_in_flight: Slots | None = Field(
        default=None, description="Open loop: arrivals above it are dropped, and counted."
    )
    input_tokens: TokensForm | None = None
    output_tokens: TokensForm | None = None


class MatrixForm(Strict):
    """Each key fills a field that the steps leave open; cells are the outer loop, the last key running fastest."""

    rate: list[RateForm] | None = Field(default=None, min_length=1)
    concurrency: list[ConcurrencyForm] | None = Field(default=None, min_length=1)
    input_tokens: list[TokensForm] | None = Field(default=None, min_length=1)
    output_tokens: list[TokensForm] | None = Field(default=None, min_length=1)

    _order: list[str] = PrivateAttr(default_factory=list)

    @model_validator(mode="wrap")
    @classmethod
    def _keep_order(cls, value: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        form = validate(value)
        form.keys().extend(k for k in value if getattr(form, k) is not None)
        return form

    def keys(self) -> list[str]:
        """In the order of the file."""
        return self._order

    def cells(self) -> int:
        return math.prod(len(getattr(self, k)) for k in self.keys())


class TimeoutsForm(Strict):
    connect: Duration = _said("10s", "DNS, TCP and TLS together.")
    first_token: Duration = _said("120s", "From issued to the first token.")
    idle: Duration = _said("60s", "Between two tokens.")
    total: Duration = _said("600s", "From issued to the end.")

    @model_validator(mode="after")
    def _some(self) -> TimeoutsForm:
        for key in type(self).model_fields:
            if getattr(self, key) == 0:
                raise WrongError("a timeout of zero fails every request; give a time above 0", key)
        return self


class Form(Strict):
    """A whole scenario."""

    name: Name | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(
        default=None, description="Drawn anew for each run unless said."
    )
    target: TargetForm | None = None
    targets: dict[str, TargetForm] | None = Field(
        default=None, min_length=1, description="Targets to compare, by name, in place of target."
    )
    workload: WorkloadForm = WorkloadForm()
    workloads: list[MixedForm] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Several, each with its share of the arrivals, in place of workload.",
    )
    steps: list[StepForm] = Field(min_length=1, max_length=MOST_STEPS)
    blocks: Annotated[int, Field(ge=2, le=scenario_blocks.MOST)] | None = Field(
        default=None, description="Pieces of each step of a comparison, between which the targets take turns: A B, B A."
    )
    matrix: MatrixForm | None = None
    repeat: RepeatText | None = Field(
        default=None, description="Do all of it several times, each time as a run of its own, and merge them."
    )
    until: UntilText | None = None
    slo: Slo | None = None
    thresholds: list[OneThreshold] = Field(default_factory=list)
    warmup: Duration = _said("0s", "Of each step: sent, recorded, and left out of its figures.")
    pause: Duration = _said("0s", "Of each step: silence after its drain.")
    drain: Drain = _said(
        "30s", "Of each step: how long to wait for answers after its end; none starts the next step on time."
    )
    timeouts: TimeoutsForm = TimeoutsForm()
    connections: ConnectionUse = "reuse"
    probe: Annotated[int, Field(ge=0, le=100)] = 3
    workers: Annotated[int, Field(ge=1, le=1024)] | None = None
    transport: TransportName = "socket"
    max_in_flight: Slots | None = None
    pin: bool = False
    prices: str | None = Field(default=None, description="TOML file of prices by model, USD per million tokens.")
    budget: Money | None = Field(
        default=None,
        description="Stop issuing once this much was spent, drain and seal; what was in flight comes on top.",
    )
    record: RecordForm = RecordForm()
    expected_limit: ExpectedLimitForm | None = Field(
        default=None,
        description="The rate limit that the target is expected to have: the plan warns of steps that cannot show it.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Form:
        self._check_targets()
        session.check(self)
        cancel.check(self)
        for number, step in enumerate(self.steps):
            self._check_step(number, step)
        self._check_matrix()
        scenario_blocks.check(self, MOST_STEPS)
        scenario_repeat.check(self)
        return self

    def target_forms(self) -> dict[str, TargetForm]:
        """By name; a lone ``target`` is called ``target``."""
        return self.targets if self.targets is not None else {"target": self.target} if self.target else {}

    def matrix_keys(self) -> list[str]:
        return self.matrix.keys() if self.matrix else []

    def arrivals_of(self, step: StepForm) -> Arrivals | None:
        """What the step says, else what its other keys and the matrix imply."""
        if step.arrivals:
            return step.arrivals
        implied: dict[str, Arrivals] = {
            "trace": "trace",
            "concurrency": "closed",
            "burstiness": "gamma",
            "rate": "poisson",
        }
        for key, arrivals in implied.items():
            if getattr(step, key) is not None:
                return arrivals
        return next((implied[k] for k in ("concurrency", "rate") if k in self.matrix_keys()), None)

    def _check_targets(self) -> None:
        if self.target is not None and self.targets is not None:
            raise WrongError("target and targets are both given; keep one", "targets")
        forms = self.target_forms()
        if not forms:
            raise WrongError(
                "no target: give target with its url, or --target URL (simulator is the built-in endpoint)"
            )
        for name, form in forms.items():
            keys = ("target",) if self.targets is None else ("targets", name)
            if not is_name(name):
                raise WrongError(f"{name!r}: a target's name has letters, digits, '.', '_' and '-' only", *keys)
            if form.model is None and form.url != SIMULATOR and form.api != HTTP_JSON:
                raise WrongError("no model: give model, or --model NAME on the command line", *keys)
            if form.proxy is not None and self.transport != "aiohttp":
                raise WrongError("a proxy needs transport: aiohttp (--transport aiohttp)", *keys, "proxy")

    def _check_step(self, number: int, step: StepForm) -> None:
        def wrong(message: str, *keys: str) -> WrongError:
            return WrongError(message, "steps", number, *keys)

        arrivals = self.arrivals_of(step)
        if arrivals is None:
            raise wrong("the step has no load: give rate (open loop), concurrency (closed loop) or trace")
        for key, allowed in _KEYS_OF.items():
            if getattr(step, key) is not None and arrivals not in allowed:
                raise wrong(f"{key} does not go with arrivals: {arrivals}, only with {' or '.join(allowed)}", key)
        needed = {"closed": "concurrency", "trace": "trace"}.get(arrivals, "rate")
        if getattr(step, needed) is None and needed not in self.matrix_keys():
            raise wrong(f"arrivals: {arrivals} needs {needed}, here or in the matrix")
        if arrivals == "gamma" and step.burstiness is None:
            raise wrong("arrivals: gamma needs burstiness, the shape of its gaps (1 is Poisson; CV = 1/√burstiness)")
        by_number = "sessions" if step.sessions is not None else "requests"
        if step.duration is not None and getattr(step, by_number) is not None:
            raise wrong(f"duration and {by_number} are both given; a step ends by one of them", by_number)
        if step.duration is None and getattr(step, by_number) is None and arrivals != "trace":
            known = "sessions" if session.converses(self) else "requests"
            raise wrong(f"the step has no end: give duration or {known}")
        if step.duration == 0:
            raise wrong("a duration of zero sends nothing", "duration")
        for key in ("rate", "concurrency"):
            ramp = getattr(step, key)
            if ramp is not None and ramp.ramped and step.duration is None:
                raise wrong(f"a ramp of the {key} needs a duration to ramp over", key)
        warmup = self.warmup if step.warmup is None else step.warmup
        if step.duration is not None and warmup >= step.duration:
            raise wrong("the warm-up is as long as the step; nothing is left to measure", "duration")
        if self.workload.prompts is not None and step.input_tokens is not None:
            raise wrong("input_tokens is for synthetic prompts; the workload's come from a file", "input_tokens")

    def _check_matrix(self) -> None:
        if self.matrix is None:
            return
        cells = self.matrix.cells()
        count = cells * len(self.steps) * len(session.arms(self))
        if count > MOST_STEPS:
            raise WrongError(f"{cells:,} cells make {count:,} steps; at most {MOST_STEPS:,} are run", "matrix")
        for key in self.matrix_keys():
            if key.endswith("_tokens") and getattr(self.workload, key) is not None:
                raise WrongError(f"workload has {key} already; a matrix fills only what is left open", "matrix", key)
            if key.endswith("_tokens") and self.workload.lengths is not None:
                raise WrongError(f"the workload's lengths say {key} already", "matrix", key)
            if key == "input_tokens" and self.workload.prompts is not None:
                raise WrongError(
                    "input_tokens is for synthetic prompts; the workload's come from a file", "matrix", key
                )
            used = [s for s in self.steps if self.arrivals_of(s) in _KEYS_OF.get(key, (self.arrivals_of(s),))]
            if not used:
                raise WrongError(f"no step has a {key} to fill", "matrix", key)
            for number, step in enumerate(self.steps):
                if getattr(step, key) is not None:
                    raise WrongError(
                        f"steps.{number} has {key} already; a matrix fills only what is left open", "matrix", key
                    )
                ramped = any(getattr(value, "ramped", False) for value in getattr(self.matrix, key))
                if ramped and step in used and step.duration is None:
                    raise WrongError(f"a ramp of the {key} needs a duration; steps.{number} has none", "matrix", key)


_OPEN = ("poisson", "constant", "gamma")
_KEYS_OF: dict[str, tuple[str, ...]] = {
    "rate": _OPEN,
    "burstiness": ("gamma",),
    "concurrency": ("closed",),
    "think": ("closed",),
    "trace": ("trace",),
    "max_in_flight": (*_OPEN, "trace"),
}
"""Which arrivals a step's key goes with; keys that are not here go with all."""
