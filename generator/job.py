"""What a worker is handed: the plan as plain frozen values, with no pydantic and no secret in sight.

``plan.py`` makes a :class:`Plan` out of a scenario; ``run_dir.py`` writes it to ``plan/plan.json`` beside the arrays of
the schedule; each worker reads both. Text may hold ``${NAME}``: the coordinator resolves these names and sends the values
down the control pipe, so that no secret reaches a file or an argument list.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import orjson

from generator.repetition import Repetition
from generator.thresholds import Rule

Arrivals = Literal["poisson", "constant", "gamma", "trace", "closed"]
ConnectionUse = Literal["reuse", "per-request", "cold"]
TransportName = Literal["socket", "aiohttp"]

TOKENIZER_ENDPOINT = "endpoint"
"""A target's ``tokenizer`` where the target itself is asked, by its ``/tokenize``."""

MANY = 2**62
"""A duration or count that never ends; far below int64's end, so that sums do not wrap."""


@dataclass(frozen=True, slots=True)
class Length:
    """How many tokens: ``fixed`` (value), ``uniform`` (low, high), ``normal`` (mean, sd), ``lognormal`` (mean, sd of the
    tokens themselves), ``zipf`` (value = exponent), each clipped to [low, high]; ``trace``: the arrival's own entry;
    ``empirical``: rows of the plan's array ``table``, of which ``column`` is this length (mean, low and high are the column's):
    drawn by the seed, or one after another where ``in_order``; lengths that are ``paired`` come from the same row.
    """

    law: Literal["fixed", "uniform", "normal", "lognormal", "zipf", "trace", "empirical"]
    value: float = 0.0
    mean: float = 0.0
    sd: float = 0.0
    low: int = 1
    high: int = 2**31 - 1
    table: str = ""
    column: int = 0
    paired: bool = False
    in_order: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """A time between requests of a closed slot: ``fixed`` (mean_s) or ``exponential`` (mean_s)."""

    law: Literal["fixed", "exponential"] = "fixed"
    mean_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """Conversations: a session's turns are drawn from ``turns`` (None: as many as the dataset's conversation has), of which no session
    has more than ``most``; ``think`` is the time between an answer's end and the next turn. ``first_input_tokens`` None: the first
    turn's message is as long as any other's; ``mean_turns`` None: not known.
    """

    turns: Length | None
    most: int
    think: Pause = field(default_factory=Pause)
    first_input_tokens: Length | None = None
    mean_turns: float | None = None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds, each from ``issued_ns`` but ``idle_s``, which counts from the last byte, once a token came, and ``connect_s``, which counts
    anew where a request is sent again."""

    connect_s: float = 10.0
    first_token_s: float = 120.0
    idle_s: float = 60.0
    total_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Tls:
    verify: bool = True
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where a target's own figures come from: ``url`` answers with Prometheus' text (None: ``/metrics`` of the target's host, where
    ``scrape``); ``pids`` are local processes. ``names``: prefixes of the series to keep, all where empty; at most ``series`` of them.
    """

    scrape: bool = True
    url: str | None = None
    pids: tuple[int, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    series: int = 500


@dataclass(frozen=True, slots=True)
class Http:
    """The API ``http-json``: ``path`` and ``body`` are templates (``apis/http_template.py``), the others JSONPaths. ``body`` None: the
    record itself, or what ``payload`` picks out of it.
    """

    method: str = "POST"
    path: str = ""
    body: Any = None
    payload: str | None = None
    answer: str | None = None
    answer_required: bool = False
    error: str | None = None
    input_tokens: str | None = None
    output_tokens: str | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """A ``share`` of a workload's requests is given up by plan: ``after_ns`` from the body sent, or once ``after_tokens`` rows came."""

    share: float
    after_ns: int | None = None
    after_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Texts:
    """Which prompts and answers are kept: ``sample`` is the ``first`` arrivals of each step and a ``share`` of the others. No text is
    longer than ``max_chars``, all of a run's together than ``max_bytes`` of UTF-8.
    """

    keep: Literal["none", "sample", "all"] = "none"
    first: int = 20
    share: float = 0.01
    max_chars: int = 20_000
    max_bytes: int = 256_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """USD per 10⁶ tokens, None where unknown, of a request with more than ``above_tokens`` input tokens. A request pays one tier's
    prices for all of its tokens. ``cached`` and ``cache_write`` None: such tokens cost what other input does.
    """

    above_tokens: int = 0
    input: float | None = None
    output: float | None = None
    cached: float | None = None
    cache_write: float | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint. ``url`` is the base (``https://host/v1``); headers and key may hold ``${NAME}``. ``tokenizer``: a file, or
    TOKENIZER_ENDPOINT. ``auth_header`` None: the API's own. ``exact_body``: what makes an answer as long as was asked for. ``prices`` are tiers, lowest first, none where no price is known;
    ``price_source`` and ``price_date`` say whose and of when.
    """

    name: str
    url: str
    api: str
    model: str
    api_key: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    stream: bool = True
    request_id_header: str | None = "x-request-id"
    max_tokens_field: str | None = None
    tls: Tls = field(default_factory=Tls)
    timeouts: Timeouts = field(default_factory=Timeouts)
    connections: ConnectionUse = "reuse"
    proxy: str | None = None
    gzip: bool = False
    max_response_bytes: int = 64 * 1024 * 1024
    auth_header: str | None = None
    exact_body: dict[str, Any] = field(default_factory=dict)
    prices: tuple[Price, ...] = ()
    price_source: str | None = None
    price_date: str | None = None
    metrics: Metrics | None = None
    tokenizer: str | None = None
    http: Http | None = None


@dataclass(frozen=True, slots=True)
class DatasetOptions:
    """How a file of prompts is read. ``field`` None: the first known one; ``whole``: a record without any is its own JSON text;
    ``paragraphs``: of a text file, in place of lines. Records outside the limits are left out.
    """

    format: str | None = None
    field: str | None = None
    order: Literal["in-order", "shuffled"] = "in-order"
    paragraphs: bool = False
    min_chars: int | None = None
    max_chars: int | None = None
    min_tokens: int | None = None
    max_tokens: int | None = None
    output_tokens_field: str | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class WorkloadSpec:
    """Where prompts come from. ``dataset`` (a file of prompts, read as ``dataset_options`` say) replaces synthetic prompts; then
    ``input_tokens`` is None. ``prefix_groups`` 0: all synthetic prompts of the run begin with the same ``shared_prefix_tokens``; else
    so many groups at a time do, each prefix that of ``prefix_prompts`` prompts (None: of all in its step). ``block_tokens``: of a trace
    whose rows name blocks by hash, which become shared prefixes; else 0. ``output_tokens`` None leaves the answer's length to the
    target. ``weight`` is its share of a mix against the others'; ``target`` None: the step's; ``tags`` as ``k=v,k=v``, sorted.
    """

    name: str
    input_tokens: Length | None
    output_tokens: Length | None
    dataset: str | None = None
    shared_prefix_tokens: int = 0
    weight: float = 1.0
    target: str | None = None
    tags: str | None = None
    session: SessionSpec | None = None
    cancel: Cancel | None = None
    dataset_options: DatasetOptions = DatasetOptions()
    prefix_groups: int = 0
    prefix_prompts: int | None = None
    block_tokens: int = 0
    exact_output: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the run's list. Times are ns; an end by count leaves ``duration_ns`` at MANY and the reverse.

    ``mix`` is empty, or all of several weighted workloads, of which ``workload`` is the first. Where any is of conversations, an arrival
    starts a session: ``requests`` and ``planned_arrivals`` then count sessions.
    """

    step_id: int
    name: str
    target: str
    arrivals: Arrivals
    workload: WorkloadSpec
    seed: tuple[int, int]
    cell: str | None = None
    arm: str | None = None
    block: int | None = None
    rate_rps: float | None = None
    rate_end_rps: float | None = None
    burstiness: float | None = None
    concurrency: int | None = None
    concurrency_end: int | None = None
    think: Pause = field(default_factory=Pause)
    duration_ns: int = MANY
    requests: int = MANY
    warmup_ns: int = 0
    pause_ns: int = 0
    drain_ns: int | None = 30_000_000_000
    max_in_flight: int | None = None
    planned_arrivals: int | None = None
    mix: tuple[WorkloadSpec, ...] = ()
    text_seed: int | None = None  # of the words of prompts alone, where a repetition has others

    @property
    def closed(self) -> bool:
        return self.arrivals == "closed"

    @property
    def words_seed(self) -> tuple[int, int]:
        """As ``seed``, for the words of prompts."""
        return (self.seed[0] if self.text_seed is None else self.text_seed, self.seed[1])

    @property
    def turns(self) -> int | None:
        """The most turns that a session of the step may have; None where nothing is a conversation. Turn k (from 1) of the session that
        arrival s starts is request number s · turns + k − 1, whatever the number of workers."""
        sessions = [w.session for w in (self.workload, *self.mix) if w.session is not None]
        return max(s.most for s in sessions) if sessions else None

    @property
    def turns_mean(self) -> float | None:
        """Requests that an arrival leads to, on the average; None where only a dataset knows."""
        specs = self.mix or (self.workload,)
        known = [w.weight * m for w in specs if (m := 1.0 if w.session is None else w.session.mean_turns) is not None]
        return sum(known) / sum(w.weight for w in specs) if len(known) == len(specs) else None

    def alone(self) -> tuple[Step, ...]:
        """The step once for each of its workloads, as if that were its only one, with the target that it goes to."""
        if not self.mix:
            return (self,)
        return tuple(replace(self, workload=w, target=w.target or self.target, mix=()) for w in self.mix)


@dataclass(frozen=True, slots=True)
class Plan:
    name: str
    run_id: str
    seed: int
    targets: dict[str, Target]
    steps: tuple[Step, ...]
    workers: int
    transport: TransportName = "socket"
    probe: int = 3
    pin: bool = False
    segment_rows: int = 262_144
    segment_s: float = 2.0
    slo: dict[str, float] | None = None
    slo_preset: str | None = None
    thresholds: tuple[Rule, ...] = ()
    warnings: tuple[str, ...] = ()
    budget_usd: float | None = None
    scenario_digest: str = ""
    texts: Texts = field(default_factory=Texts)
    repetition: Repetition | None = None

    def target_of(self, step: Step) -> Target:
        return self.targets[step.target]


@dataclass(frozen=True, slots=True)
class Correction:
    """What the probe learned of a target: ``input tokens = overhead_tokens + tokens_per_word · words``."""

    overhead_tokens: float = 0.0
    tokens_per_word: float = 1.0

    def words_for(self, tokens: int) -> int:
        """Words of a synthetic prompt that comes to ``tokens``; at least 1."""
        return max(1, round((tokens - self.overhead_tokens) / self.tokens_per_word))


T = TypeVar("T")


def dump(value: Any) -> bytes:
    """Frozen values → JSON. ``load`` gives them back, equal."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)


def load(kind: type[T], data: bytes | str) -> T:
    """JSON → the dataclass ``kind``. Raises TypeError on keys that it does not have."""
    return typing.cast("T", _build(kind, orjson.loads(data)))


def _build(kind: Any, value: Any) -> Any:
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        unknown = set(value) - set(hints)
        if unknown:
            raise TypeError(f"{getattr(kind, '__name__', kind)}: unknown keys {sorted(unknown)}")
        return typing.cast("Any", kind)(**{k: _build(hints[k], v) for k, v in value.items()})
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _build(next(a for a in typing.get_args(kind) if a is not type(None)), value)
    if origin is tuple:
        args = typing.get_args(kind)
        inner = [args[0]] * len(value) if len(args) == 2 and args[1] is Ellipsis else list(args)
        return tuple(_build(a, v) for a, v in zip(inner, value, strict=True))
    if origin is dict:
        return {k: _build(typing.get_args(kind)[1], v) for k, v in value.items()}
    return value
