"""What is asked: the keys of a scenario's workload and of a trace, and what must hold between them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from generator.scenario_fields import Duration, Strict, Tokens, TokensForm, WrongError
from generator.scenario_target import Name


class WorkloadForm(Strict):
    name: Name | None = None
    input_tokens: TokensForm | None = Field(
        default=None, description="Length of a prompt as the target counts it; 512 unless said."
    )
    output_tokens: TokensForm | None = Field(default=None, description="Length to ask for; 128 unless said.")
    prompts: str | None = Field(
        default=None, description="JSONL file with a field `prompt`, in order, from the start again when spent."
    )
    shared_prefix_tokens: Tokens = Field(
        default=0, description="Tokens at the start that all synthetic prompts have in common."
    )

    @model_validator(mode="after")
    def _one_source(self) -> WorkloadForm:
        for key in ("input_tokens", "shared_prefix_tokens"):
            if self.prompts is not None and getattr(self, key):
                raise WrongError(f"{key} is for synthetic prompts; prompts from a file are as long as they are", key)
        return self


class WindowForm(Strict):
    start_ns: Duration = Field(default=0, alias="from", json_schema_extra={"default": "0s"})
    end_ns: Duration | None = Field(default=None, alias="to")

    @model_validator(mode="after")
    def _ordered(self) -> WindowForm:
        if self.end_ns is not None and self.end_ns <= self.start_ns:
            raise WrongError("the window ends before it starts", "to")
        return self


class ColumnsForm(Strict):
    time: str | None = None
    input_tokens: str | None = None
    output_tokens: str | None = None


class TraceForm(Strict):
    """Arrivals replayed from a file: its gaps divided by ``speed``, its lengths where it has them."""

    file: str
    speed: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    columns: ColumnsForm = ColumnsForm()
    window: WindowForm = WindowForm()
