"""Requests that are given up on purpose: the keys of a workload's ``cancel``, and what must hold between them and the targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from generator import job
from generator.scenario import session
from generator.scenario.fields import Duration, Share, Strict, WrongError

if TYPE_CHECKING:
    from generator.scenario.models import Form


class CancelForm(Strict):
    """Requests that are given up on purpose, as by users who do not wait for the end."""

    share: Share = Field(description="How many of the requests; which ones, the seed says.")
    after: Duration | None = Field(default=None, description="From the body sent.")
    after_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Once so many chunks with text came."
    )

    @model_validator(mode="after")
    def _one_moment(self) -> CancelForm:
        if (self.after is None) == (self.after_tokens is None):
            raise WrongError("after or after_tokens is wanted, one of them", "after")
        if self.share == 0:
            raise WrongError("a share of zero gives nothing up; leave cancel out", "share")
        return self

    def plan(self) -> job.Cancel:
        return job.Cancel(self.share, self.after, self.after_tokens)


def check(form: Form) -> None:
    """Raises WrongError."""
    for keys, workload in session.asked(form):
        if workload.cancel is None or workload.cancel.after_tokens is None:
            continue
        own = getattr(workload, "target", None)
        for name in [own] if own is not None else form.target_forms():
            if not form.target_forms()[name].streams:
                raise WrongError(
                    f"target {name!r} does not stream, so no token comes before the end; give after, a time, or stream: true",
                    *keys,
                    "cancel",
                    "after_tokens",
                )
