"""Conversations, tags, and several weighted workloads in one run: their keys, and what must hold between them and the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from generator import job
from generator.scenario.fields import Strict, ThinkForm, TokensForm, WrongError

if TYPE_CHECKING:
    from generator.scenario.models import Form, StepForm
    from generator.scenario.workload import WorkloadForm

MOST_TURNS = 1_000
MOST_TAGS = 20

CONVERSATIONAL = ("openai-chat", "openai-responses", "anthropic-messages")
"""APIs whose requests carry what was said before."""

_TAG = re.compile(r"[^\s,=][^,=\n\r\t]{0,99}\Z")


def _texts(value: Any) -> Any:
    """``{tenant: a, tier: 1}``: a number or a truth value is as good as its text."""
    if not isinstance(value, dict):
        return value
    kinds = (str, int, float)
    return {
        k: (str(v).lower() if isinstance(v, bool) else str(v)) if isinstance(v, kinds) else v for k, v in value.items()
    }


def _spelt(value: dict[str, str]) -> dict[str, str]:
    for key, text in value.items():
        if not _TAG.match(key) or not _TAG.match(text):
            raise WrongError("a tag's key and value are 1 to 100 characters without ',', '=' or line ends", key)
    if len(value) > MOST_TAGS:
        raise WrongError(f"{len(value)} tags; at most {MOST_TAGS} are kept")
    return value


Tags = Annotated[
    dict[str, str],
    BeforeValidator(_texts),
    AfterValidator(_spelt),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean"]},
            "description": "Words of your own that reports group by.",
            "examples": [{"tenant": "a"}],
        }
    ),
]


def tags_text(tags: dict[str, str]) -> str | None:
    """As the column ``tags`` has them."""
    return ",".join(f"{key}={tags[key]}" for key in sorted(tags)) or None


class SessionForm(Strict):
    """Conversations of several turns; each arrival of a step starts one."""

    turns: TokensForm | None = Field(
        default=None,
        description="How often a user asks, a number or a distribution; all that a dataset's conversation has unless said.",
    )
    think: ThinkForm | None = Field(default=None, description="From the end of an answer to the next turn.")
    first_input_tokens: TokensForm | None = Field(
        default=None, description="Length of the first message, where it is not as long as the others."
    )

    @model_validator(mode="after")
    def _bounded(self) -> SessionForm:
        if self.turns is None:
            return self
        if self.turns.empirical is not None:
            raise WrongError("turns are a number, uniform, normal, lognormal or zipf", "turns")
        length = self.turns.length()
        if self.most > MOST_TURNS:
            key = "fixed" if length.law == "fixed" else "max"
            said = "give max" if key == "max" and length.law in ("normal", "lognormal") else "ask for fewer"
            raise WrongError(f"up to {self.most:,} turns; at most {MOST_TURNS:,} are kept apart; {said}", "turns")
        return self

    @property
    def most(self) -> int:
        """The most turns that a session can have; 0 where the dataset decides."""
        if self.turns is None:
            return 0
        length = self.turns.length()
        return round(length.value) if length.law == "fixed" else length.high

    def pause(self) -> job.Pause:
        return self.think.pause() if self.think is not None else job.Pause()


Weight = Annotated[float, Field(gt=0, le=1e9)]


def targets_named(form: Form) -> bool:
    """Whether each workload goes to a target of its own, so that steps are not repeated for each target."""
    return form.workloads is not None and form.workloads[0].target is not None


def arms(form: Form) -> list[str]:
    """The targets that every step is run against, one after another."""
    if form.workloads is not None and form.workloads[0].target is not None:
        return [form.workloads[0].target]
    return list(form.target_forms())


def asked(form: Form) -> list[tuple[tuple[str | int, ...], WorkloadForm]]:
    """Each workload and the keys that lead to it."""
    if form.workloads is None:
        return [(("workload",), form.workload)]
    return [(("workloads", number), workload) for number, workload in enumerate(form.workloads)]


def converses(form: Form) -> bool:
    """Whether an arrival starts a session."""
    return any(workload.session is not None for _, workload in asked(form))


def check(form: Form) -> None:
    """Raises WrongError."""
    if form.workloads is not None:
        _check_mix(form)
    for keys, workload in asked(form):
        if workload.session is None:
            continue
        if workload.session.turns is None and workload.prompts is None:
            raise WrongError("session wants turns: how often a user asks, such as 5", *keys, "session")
        if workload.session.first_input_tokens is not None and workload.prompts is not None:
            raise WrongError(
                "first_input_tokens is for synthetic prompts; a dataset's turns are as long as they are",
                *keys,
                "session",
                "first_input_tokens",
            )
        own = getattr(workload, "target", None)
        for name in [own] if own is not None else form.target_forms():
            api = form.target_forms()[name].api
            if api not in CONVERSATIONAL:
                raise WrongError(
                    f"target {name!r} speaks {api}, which carries no conversation; {', '.join(CONVERSATIONAL)} do",
                    *keys,
                    "session",
                )
    for number, step in enumerate(form.steps):
        _check_step(form, number, step)


def _check_mix(form: Form) -> None:
    assert form.workloads is not None
    if "workload" in form.model_fields_set:
        raise WrongError("workload and workloads are both given; keep one", "workload")
    names: dict[str, int] = {}
    for number, workload in enumerate(form.workloads):
        if workload.name is None:
            raise WrongError("a workload among several needs a name, which reports call it by", "workloads", number)
        if workload.name in names:
            raise WrongError(
                f"{workload.name!r} is a name twice; reports tell workloads by it", "workloads", number, "name"
            )
        names[workload.name] = number
        if (workload.target is None) != (form.workloads[0].target is None):
            raise WrongError("either each of the workloads names its target or none does", "workloads", number)
        if workload.target is not None and workload.target not in (form.targets or {}):
            known = ", ".join(form.targets or {}) or "none: give targets by name in place of target"
            raise WrongError(f"no target is called {workload.target!r} (known: {known})", "workloads", number, "target")
    for key in ("input_tokens", "output_tokens"):
        for number, step in enumerate(form.steps):
            if getattr(step, key) is not None:
                raise WrongError(f"{key} belongs into each of the workloads", "steps", number, key)
        if key in form.matrix_keys():
            raise WrongError(f"{key} belongs into each of the workloads", "matrix", key)


def _check_step(form: Form, number: int, step: StepForm) -> None:
    if not converses(form):
        if step.sessions is not None:
            raise WrongError(
                "sessions counts conversations, and no workload has a session; give requests",
                "steps",
                number,
                "sessions",
            )
        return
    if step.requests is not None:
        raise WrongError(
            "an arrival starts a conversation here: give sessions, how many start, in place of requests",
            "steps",
            number,
            "requests",
        )
    if form.arrivals_of(step) == "trace" and step.sessions is not None:
        raise WrongError("a trace says itself how many start; give window", "steps", number, "sessions")
