"""What goes in and out of the API, typed: the OpenAPI document is made of these."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from console.web.states import State

RUN_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"

Tag = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f,]+$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Submission(Strict):
    """A benchmark to run: a whole ``scenario``, or as little as name, model and prompts."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "hello", "model": "my-model", "prompts": ["Tell me of the sea."]},
                {"scenario": "quick", "overrides": {"target.url": "simulator"}},
            ]
        }
    )

    scenario: str | dict[str, Any] | None = Field(
        default=None, description="YAML text, a JSON object of the same keys, or the name of a shipped scenario."
    )
    overrides: dict[str, Any] = Field(
        default_factory=dict,
        max_length=100,
        description="Keys of the scenario by path, such as `steps.0.duration`, and their values.",
    )
    name: str | None = Field(default=None, min_length=1, max_length=100)
    model: str | None = Field(default=None, min_length=1, max_length=200)
    provider: str | None = Field(default=None, max_length=50, description="A preset of GET /providers.")
    target: str | None = Field(
        default=None, max_length=2000, description="Base URL, or `simulator`; the service's own default unless said."
    )
    api: str | None = Field(default=None, max_length=50)
    prompts: list[Annotated[str, Field(min_length=1, max_length=200_000)]] | None = Field(
        default=None, min_length=1, description="Texts to ask, in order; the workload's prompts."
    )
    concurrency: int | list[int] | None = Field(default=None, description="Closed loop: a step for each.")
    rate: str | float | list[str | float] | None = Field(
        default=None, description="Open loop, such as `5/s`: a step for each."
    )
    duration: str | None = Field(default=None, max_length=50, description="Of each step, such as `30s`.")
    requests: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Of each step, in place of duration."
    )
    input_tokens: int | str | None = None
    output_tokens: int | str | None = None
    tags: list[Tag] = Field(default_factory=list, max_length=20)
    keep_texts: bool | None = Field(
        default=None,
        description="Keep prompts and answers; unless said, as the scenario says, and yes where prompts are given.",
    )
    webhook: str | None = Field(
        default=None, max_length=2000, description="URL that is told when the benchmark is over."
    )

    @model_validator(mode="after")
    def _something(self) -> Submission:
        if all(value is None for value in (self.scenario, self.model, self.prompts, self.provider, self.target)):
            raise ValueError("nothing to run: give a scenario, or name, model and prompts")
        return self


class Figures(BaseModel):
    """Of the whole run; of several steps, latencies and rates are of the last one that has them. ``None``: not known."""

    requests: int | None = None
    ok: int | None = None
    success_rate: float | None = None
    duration_s: float | None = None
    ttft_p50_ms: float | None = None
    ttft_p99_ms: float | None = None
    tpot_p50_ms: float | None = None
    e2e_p99_ms: float | None = None
    requests_per_s: float | None = None
    output_tokens_per_s: float | None = None
    goodput_rps: float | None = None
    attainment: float | None = None
    cost_usd: float | None = None


class Benchmark(BaseModel):
    """One line of the list. ``position``: how many are before it in the queue, while it waits."""

    id: str
    name: str
    state: State
    origin: Literal["api", "cli"]
    model: str | None = None
    provider: str | None = None
    target: str | None = None
    tags: list[str] = []
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    position: int | None = None
    verdict: Literal["VALID", "INVALID"] | None = None
    reasons: list[str] = []
    error: str | None = None
    exit_code: int | None = None
    summary: Figures = Figures()


class Page(BaseModel):
    """``total``: of all that match, not only of this page."""

    total: int
    page: int
    size: int
    items: list[Benchmark]


class Result(BaseModel):
    """One request. ``prompt`` and ``response`` only where the run kept texts."""

    request_id: int
    step_id: int
    outcome: str
    http_status: int | None = None
    ttft_ms: float | None = None
    latency_ms: float | None = None
    tokens_per_second: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    error: str | None = None
    prompt: str | None = None
    response: str | None = None


class Results(BaseModel):
    total: int
    page: int
    size: int
    items: list[Result]


class Detail(Benchmark):
    """``scenario``: resolved, as it runs. ``submission``: as it came in, to be submitted again. ``results``: None where there is no data
    (yet).
    """

    scenario: str | None = None
    submission: dict[str, Any] | None = None
    webhook: str | None = None
    results: Results | None = None


class Plan(BaseModel):
    """``plan``: as `openloop plan --json` gives it. ``text``: the same for people. ``scenario``: resolved, as it would run."""

    name: str
    seed: int
    scenario: str
    digest: str
    model: str
    provider: str | None
    target: str
    warnings: list[str]
    plan: dict[str, Any]
    text: str


class Table(BaseModel):
    """``cut``: there were more rows than the service gives."""

    columns: list[str]
    rows: list[list[Any]]
    cut: bool


class Sql(Strict):
    """One SELECT over the run's tables and the named queries."""

    sql: str = Field(
        min_length=1, max_length=50_000, examples=["SELECT outcome, count(*) AS n FROM requests GROUP BY outcome"]
    )
    format: Literal["json", "csv", "parquet"] = "json"


class Parameter(BaseModel):
    name: str
    type: str
    default: str
    meaning: str


class Column(BaseModel):
    name: str
    unit: str
    meaning: str


class Query(BaseModel):
    """A named query: what it answers and what its columns mean."""

    name: str
    kind: str
    question: str
    grain: list[str]
    parameters: list[Parameter]
    columns: list[Column]
    sql: str


class Point(BaseModel):
    """A figure of one step of one run; ``low`` and ``high``: its 95 % interval, where there is one."""

    benchmark_id: str
    created: datetime
    verdict: str | None
    scenario_digest: str | None
    step_id: int
    step: str
    metric: str
    value: float
    low: float | None
    high: float | None


class History(BaseModel):
    """Oldest run first."""

    scenario: str
    points: list[Point]


class Named(BaseModel):
    name: str
    runs: int


class Delivery(BaseModel):
    """One attempt to tell the webhook. ``made``: None while it is still to come; ``error``: None where the other side took it."""

    attempt: int
    due: datetime
    made: datetime | None
    http_status: int | None
    error: str | None


class Shipped(BaseModel):
    name: str
    scenario: str = Field(description="YAML.")
    description: str | None = Field(description="Its first comment.")


class Provider(BaseModel):
    """What `openloop providers` says of one; ``key_set``: whether its key is in the server's environment."""

    name: str
    url: str
    key: str
    key_needed: bool
    key_set: bool
    apis: list[str]
    facts: dict[str, str]


class Health(BaseModel):
    status: Literal["ok"]
    version: str
    queued: int
    running: int


class Live(BaseModel):
    """A moment of a run. Counts are of the whole run so far; rates and TTFT are of the last second or so."""

    phase: Literal["starting", "probe", "step", "drain", "pause", "sealing", "done"]
    step_id: int | None
    step: str | None
    steps: int
    elapsed_s: float
    left_s: float | None
    step_elapsed_s: float
    step_expected_s: float | None
    sent: int
    done: int
    in_flight: int
    tokens: int
    sent_per_s: float
    tokens_per_s: float
    ttft_p50_ms: float | None
    ttft_p99_ms: float | None
    success_share: float | None
    late_1ms: int
    outcomes: dict[str, int]
    spent_usd: float | None
    notes: list[str]


class Problem(BaseModel):
    """What is wrong, in words. ``errors``: a line for each fault, with its place."""

    detail: str
    errors: list[str] = []
