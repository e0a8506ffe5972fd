"""The small values of a scenario: durations, rates, ramps, lengths. Each accepts what a person writes and holds numbers.

A value that may be written short (``rate: 20/s``) or long (``rate: {from: 5/s, to: 50/s}``) is one model whose short form is
widened before validation, so that errors carry the path of the key that is wrong and nothing of a union's branches.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from generator import job, units

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")

MOST_TOKENS = 10_000_000
MOST_SLOTS = 1_000_000


class WrongError(ValueError):
    """A value that is well formed and yet impossible; ``keys`` lead from the model that checks to the key to blame."""

    def __init__(self, message: str, *keys: str | int) -> None:
        super().__init__(message)
        self.keys = keys


class Strict(BaseModel):
    """Unknown keys, wrong kinds, infinities: all refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, validate_default=False)


def _text_schema(description: str, example: str, *, number: bool = False) -> WithJsonSchema:
    kind: str | list[str] = ["string", "number"] if number else "string"
    return WithJsonSchema({"type": kind, "description": description, "examples": [example]})


Duration = Annotated[
    int,
    BeforeValidator(units.duration_ns),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": r"^\s*[0-9.]+"}, {"const": 0}],
            "description": "A time with its unit: ns, us, ms, s, min (or m), h, d.",
            "examples": ["30s", "500ms", "1.5h"],
        }
    ),
]
"""Nanoseconds."""

Rate = Annotated[
    float,
    BeforeValidator(units.rate_rps),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\s*[0-9.]+(e[0-9+-]+)?\s*/\s*[a-z]+$",
            "description": "Arrivals in a unit of time.",
            "examples": ["20/s", "600/min"],
        }
    ),
]
"""Arrivals a second."""

Share = Annotated[float, BeforeValidator(units.share), _text_schema("A share.", "99%", number=True)]
Size = Annotated[int, BeforeValidator(units.size_bytes), _text_schema("A size.", "256MB")]
"""Bytes."""
Money = Annotated[float, BeforeValidator(units.money_usd), _text_schema("US dollars.", "$5", number=True)]
Tokens = Annotated[int, Field(ge=0, le=MOST_TOKENS)]


NO_DRAIN = -1


def _drain(value: Any) -> Any:
    return NO_DRAIN if value == "none" else units.duration_ns(value)


Drain = Annotated[int, BeforeValidator(_drain), _text_schema("How long to wait for answers, or none.", "30s")]
"""Nanoseconds; NO_DRAIN for ``none``: the next step starts on time and what is in flight goes on."""


def _none_word(value: Any) -> Any:
    return None if value == "none" else value


HeaderName = Annotated[
    str | None,
    BeforeValidator(_none_word),
    Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"),
    WithJsonSchema({"type": ["string", "null"], "description": "A header's name, or none."}),
]


def _header_lines(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not _HEADER.match(name):
            raise WrongError(f"{name!r} is no name of a header", name)
        if not text.isprintable() or not text.isascii():
            raise WrongError("a header's value is printable ASCII on one line", name)
    return value


HeaderLines = Annotated[dict[str, str], AfterValidator(_header_lines)]


class RateRamp(Strict):
    """``20/s``, or ``{from: 5/s, to: 50/s}``: a straight line over the step's duration."""

    start_rps: Rate = Field(alias="from")
    end_rps: Rate = Field(alias="to")

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"from": value, "to": value}

    @model_validator(mode="after")
    def _not_zero(self) -> RateRamp:
        if self.start_rps == self.end_rps == 0:
            raise WrongError("a rate of zero sends nothing; give a rate above 0, such as 1/min")
        return self

    @property
    def ramped(self) -> bool:
        return self.start_rps != self.end_rps


Slots = Annotated[int, Field(ge=1, le=MOST_SLOTS)]


class SlotRamp(Strict):
    """``64``, or ``{from: 1, to: 64}``: a straight line over the step's duration."""

    start: Slots = Field(alias="from")
    end: Slots = Field(alias="to")

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"from": value, "to": value}

    @property
    def ramped(self) -> bool:
        return self.start != self.end


class Think(Strict):
    """``2s``, or ``{exponential: 2s}``."""

    fixed: Duration | None = None
    exponential: Duration | None = None

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"fixed": value}

    @model_validator(mode="after")
    def _one(self) -> Think:
        _exactly_one(self)
        return self

    def pause(self) -> job.Pause:
        if self.exponential is not None:
            return job.Pause("exponential", self.exponential / 1e9)
        return job.Pause("fixed", (self.fixed or 0) / 1e9)


class Bell(Strict):
    """A mean and a standard deviation in tokens; draws are clipped to [min, max]."""

    mean: float = Field(gt=0, le=MOST_TOKENS)
    sd: float = Field(ge=0, le=MOST_TOKENS)
    low: Tokens = Field(default=1, alias="min")
    high: Tokens = Field(default=MOST_TOKENS, alias="max")

    @model_validator(mode="after")
    def _ordered(self) -> Bell:
        if self.low > self.high:
            raise WrongError(f"min {self.low} is above max {self.high}", "min")
        return self


class Zipf(Strict):
    """P(k) ∝ k^−exponent for k in [min, max]."""

    exponent: float = Field(gt=0, le=20)
    low: Tokens = Field(default=1, alias="min", ge=1)
    high: int = Field(alias="max", ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _ordered(self) -> Zipf:
        if self.low > self.high:
            raise WrongError(f"min {self.low} is above max {self.high}", "min")
        return self


FileFormat = Literal["jsonl", "json", "csv", "parquet"]
"""Of a file with named columns."""


class Empirical(Strict):
    """A column of a file, drawn from by the seed, with replacement."""

    file: str = Field(min_length=1)
    column: str = Field(min_length=1)
    format: FileFormat | None = Field(default=None, description="By the file's extension unless said.")


class LengthForm(Strict):
    """``512``, ``{uniform: [100, 900]}``, ``{normal: {mean: 512, sd: 64}}``, ``lognormal`` alike, ``{zipf: {exponent: 1.2, max: 4096}}``,
    ``{empirical: {file: lengths.csv, column: input_tokens}}``.
    """

    fixed: Annotated[int, Field(ge=1, le=MOST_TOKENS)] | None = None
    uniform: list[Tokens] | None = None
    normal: Bell | None = None
    lognormal: Bell | None = None
    zipf: Zipf | None = None
    empirical: Empirical | None = None

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"fixed": value}

    @model_validator(mode="after")
    def _one(self) -> LengthForm:
        _exactly_one(self)
        if self.uniform is not None and (len(self.uniform) != 2 or not 1 <= self.uniform[0] <= self.uniform[1]):
            raise WrongError(f"uniform wants [lowest, highest], at least 1 and in order, not {self.uniform}", "uniform")
        return self

    def length(self) -> job.Length:
        if self.uniform is not None:
            return job.Length("uniform", low=self.uniform[0], high=self.uniform[1])
        if self.normal is not None:
            return job.Length(
                "normal", mean=self.normal.mean, sd=self.normal.sd, low=self.normal.low, high=self.normal.high
            )
        if self.lognormal is not None:
            bell = self.lognormal
            return job.Length("lognormal", mean=bell.mean, sd=bell.sd, low=bell.low, high=bell.high)
        if self.empirical is not None:
            return job.Length("empirical")  # the plan, which reads the file, knows the rest
        if self.zipf is not None:
            return job.Length("zipf", value=self.zipf.exponent, low=self.zipf.low, high=self.zipf.high)
        assert self.fixed is not None
        return job.Length("fixed", value=self.fixed)


def _exactly_one(form: BaseModel) -> None:
    given = [name for name in type(form).model_fields if getattr(form, name) is not None]
    if len(given) != 1:
        names = ", ".join(type(form).model_fields)
        raise WrongError(f"exactly one of {names} is wanted, not {' and '.join(given) or 'none'}")


def short_or_long(model: type[BaseModel], short: dict[str, Any]) -> WithJsonSchema:
    """JSON Schema of a model that is widened from a short form: what a person may write, not what it becomes."""
    long = model.model_json_schema(by_alias=True)
    return WithJsonSchema({"anyOf": [short, _inline(long, long.pop("$defs", {}))]})


def _inline(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inline(s, definitions) for s in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inline(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    return {k: _inline(v, definitions) for k, v in schema.items()}


_RATE_TEXT: dict[str, Any] = {"type": "string", "description": "Arrivals in a unit of time.", "examples": ["20/s"]}
_TIME_TEXT: dict[str, Any] = {"type": "string", "description": "A time with its unit.", "examples": ["2s"]}
RateForm = Annotated[RateRamp, short_or_long(RateRamp, _RATE_TEXT)]
ConcurrencyForm = Annotated[SlotRamp, short_or_long(SlotRamp, {"type": "integer", "minimum": 1})]
ThinkForm = Annotated[Think, short_or_long(Think, _TIME_TEXT)]
TokensForm = Annotated[LengthForm, short_or_long(LengthForm, {"type": "integer", "minimum": 1})]
