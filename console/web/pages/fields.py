"""The form that configures a run, as a table: what each field is called, what it means, which key of the scenario it writes.

``console/web/static/scenario.js`` reads the fields by name and makes the scenario of them; a fault that the plan finds is shown beside the
field whose ``keys`` it names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from generator.apis.table import NAMES
from generator.providers import PRESETS
from generator.scenario.slo_presets import PRESETS as SLO_PRESETS

Kind = Literal["text", "number", "choice", "radio", "lines", "check"]


@dataclass(frozen=True, slots=True)
class Field:
    """``keys``: paths of the scenario, ``*`` for any list item; a fault at one of them, or inside it, belongs to this field.
    ``choices``: (value, words). ``whole``: as wide as the form.
    """

    name: str
    label: str
    hint: str
    keys: tuple[str, ...] = ()
    kind: Kind = "text"
    unit: str = ""
    example: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    fields: tuple[Field, ...]


def _providers() -> tuple[tuple[str, str], ...]:
    return (("", "none: the URL says all"), *((name, name) for name in PRESETS))


GROUPS = (
    Group(
        "What is asked",
        (
            Field(
                "name",
                "Name",
                "What this run is called. Runs of one name make a history.",
                ("name",),
                example="my-model",
            ),
            Field("tags", "Tags", "Words to find the run by, with commas between them.", example="nightly, gpu-a"),
            Field(
                "provider",
                "Provider",
                "A preset: fills URL, API, the key's variable and the provider's quirks. What you say yourself goes before it.",
                ("target.provider",),
                "choice",
                choices=_providers(),
            ),
            Field(
                "url",
                "Target",
                "Base URL, up to and with /v1; or the word simulator: the built-in endpoint, which needs no key and no GPU.",
                ("target.url", "target"),
                example="http://127.0.0.1:8000/v1",
            ),
            Field(
                "api",
                "API",
                "What the target speaks. It decides how a request looks and what counts as a token.",
                ("target.api",),
                "choice",
                choices=(("", "as the provider or scenario says"), *((name, name) for name in NAMES)),
            ),
            Field(
                "model",
                "Model",
                "The model to ask for, by the target's name for it.",
                ("target.model",),
                example="meta-llama/Llama-3.3-70B-Instruct",
            ),
            Field(
                "key",
                "Key’s variable",
                "Name of the variable of the server's environment that holds the API key. The key itself never passes through this page.",
                ("target.api_key", "target.headers"),
                example="TOGETHER_API_KEY",
            ),
            Field(
                "seed",
                "Seed",
                "Draws arrivals, lengths and prompts. The same seed gives the same schedule; blank draws a new one.",
                ("seed",),
                "number",
            ),
        ),
    ),
    Group(
        "Load",
        (
            Field(
                "load",
                "Kind of load",
                "Closed: so many users, each asks again when answered. Open: requests come at their own rate, whether or not the target keeps up.",
                ("steps", "matrix"),
                "radio",
                choices=(("kept", "as the scenario has it"), ("closed", "closed: users"), ("open", "open: a rate")),
                whole=True,
            ),
            Field(
                "concurrency",
                "Concurrency",
                "Closed loop: how many requests are in flight at once. Several with commas: a step for each.",
                ("steps.*.concurrency", "matrix.concurrency"),
                unit="requests",
                example="1, 8, 32",
            ),
            Field(
                "rate",
                "Rates",
                "Open loop: Poisson arrivals in a unit of time. Several with commas: a step for each.",
                ("steps.*.rate", "matrix.rate"),
                unit="/s unless said",
                example="2/s, 5/s, 10/s",
            ),
            Field(
                "duration",
                "Duration of a step",
                "How long each step issues requests. A step ends by duration or by requests.",
                ("steps.*.duration",),
                unit="s, min, h",
                example="30s",
            ),
            Field(
                "requests",
                "Requests of a step",
                "How many requests each step issues, in place of a duration.",
                ("steps.*.requests",),
                "number",
                example="200",
            ),
            Field(
                "warmup",
                "Warm-up",
                "The first part of each step: sent and recorded, left out of the figures.",
                ("warmup", "steps.*.warmup"),
                unit="s, min",
                example="5s",
            ),
            Field(
                "pause",
                "Pause",
                "Silence after each step's last answer.",
                ("pause", "steps.*.pause"),
                unit="s, min",
                example="2s",
            ),
        ),
    ),
    Group(
        "Lengths",
        (
            Field(
                "input_tokens",
                "Input",
                "Length of each prompt. 100-900: evenly drawn between. Several with commas: every step once with each.",
                ("workload.input_tokens", "matrix.input_tokens", "steps.*.input_tokens"),
                unit="tokens",
                example="512",
            ),
            Field(
                "output_tokens",
                "Output",
                "Length of answer to ask for. 100-900: evenly drawn between. Several with commas: every step once with each.",
                ("workload.output_tokens", "matrix.output_tokens", "steps.*.output_tokens"),
                unit="tokens",
                example="128",
            ),
        ),
    ),
    Group(
        "What is good enough",
        (
            Field(
                "slo_preset",
                "SLO preset",
                "Limits under which a request counts as good, as others published them. Limits beside it go before the preset's.",
                ("slo.preset", "slo"),
                "choice",
                choices=(("", "none"), *((name, name) for name in SLO_PRESETS)),
            ),
            Field(
                "attainment",
                "Attainment",
                "The share of due requests that should meet the limits.",
                ("slo.attainment",),
                unit="%",
                example="99%",
            ),
            Field(
                "ttft",
                "TTFT at most",
                "Time to first token, counted from when the request was due.",
                ("slo.ttft",),
                unit="ms, s",
                example="500ms",
            ),
            Field(
                "tpot",
                "TPOT at most",
                "Time per output token after the first.",
                ("slo.tpot",),
                unit="ms",
                example="50ms",
            ),
            Field(
                "e2e",
                "E2E at most",
                "From when the request was due to the end of its answer.",
                ("slo.e2e",),
                unit="ms, s",
                example="10s",
            ),
            Field(
                "budget",
                "Budget",
                "Stop issuing once this much was spent; what is in flight comes on top.",
                ("budget",),
                unit="USD",
                example="$5",
            ),
            Field(
                "thresholds",
                "Thresholds",
                "Rules that pass or fail the run, one a line, such as p99(ttft) < 800ms or share(rate_limited) < 1%.",
                ("thresholds",),
                "lines",
                example="p99(ttft) < 800ms",
                whole=True,
            ),
            Field(
                "keep_texts",
                "Keep prompts and answers",
                "Store texts with the run. Without it, only lengths and times are kept. Neither ticked nor empty: a sample, as the scenario has it.",
                ("record",),
                "check",
                whole=True,
            ),
        ),
    ),
)


def keys() -> dict[str, tuple[str, ...]]:
    """Field → keys of the scenario that it answers for."""
    return {field.name: field.keys for group in GROUPS for field in group.fields if field.keys}
