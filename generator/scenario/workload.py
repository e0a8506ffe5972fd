"""What is asked: the keys of a scenario's workload and of a trace, and what must hold between them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from generator.job import DatasetOptions
from generator.scenario.cancel import CancelForm
from generator.scenario.fields import Duration, FileFormat, Strict, Tokens, TokensForm, WrongError, short_or_long
from generator.scenario.session import SessionForm, Tags, Weight
from generator.scenario.target import Name

Characters = Annotated[int, Field(ge=0, le=2**31 - 1)]


class PromptsForm(Strict):
    """``FILE``, or ``{file: FILE, …}``."""

    file: str = Field(
        description="JSONL, JSON array, CSV, Parquet or text; all but Parquet may be gzipped.", min_length=1
    )
    format: Literal["jsonl", "json", "csv", "parquet", "text"] | None = Field(
        default=None, description="By the file's extension unless said."
    )
    field: str | None = Field(
        default=None,
        min_length=1,
        description="Where a record has its prompt; dots lead inside. Known names are found.",
    )
    order: Literal["in-order", "shuffled"] = Field(
        default="in-order",
        description="From the start again when spent; shuffled: each pass in an order of the seed's.",
    )
    split: Literal["lines", "paragraphs"] = Field(default="lines", description="What a prompt is in a text file.")
    min_chars: Characters | None = None
    max_chars: Characters | None = None
    min_tokens: Tokens | None = Field(default=None, description="Needs the target's tokenizer, as a file.")
    max_tokens: Tokens | None = Field(default=None, description="Needs the target's tokenizer, as a file.")
    output_tokens_field: str | None = Field(
        default=None, min_length=1, description="Where a record says how long an answer to ask for."
    )

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"file": value}

    @model_validator(mode="after")
    def _consistent(self) -> PromptsForm:
        for unit in ("chars", "tokens"):
            low, high = getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")
            if low is not None and high is not None and low > high:
                raise WrongError(f"min_{unit} {low} is above max_{unit} {high}", f"min_{unit}")
        for key in ("field", "output_tokens_field"):
            if self.format == "text" and getattr(self, key) is not None:
                raise WrongError("a text file has no fields", key)
        if self.split != "lines" and self.format not in (None, "text"):
            raise WrongError(f"split is for text, not {self.format}", "split")
        return self

    @property
    def counts_tokens(self) -> bool:
        return self.min_tokens is not None or self.max_tokens is not None

    def options(self, *, whole: bool) -> DatasetOptions:
        """``whole``: a record without a known field is sent as it is."""
        return DatasetOptions(
            format=self.format,
            field=self.field,
            order=self.order,
            paragraphs=self.split == "paragraphs",
            min_chars=self.min_chars,
            max_chars=self.max_chars,
            min_tokens=self.min_tokens,
            max_tokens=self.max_tokens,
            output_tokens_field=self.output_tokens_field,
            whole=whole,
        )


class SharedPrefixForm(Strict):
    """Groups of prompts that begin alike; the rest of each prompt is its own. ``1024``: one group with a prefix of 1,024 tokens."""

    groups: Annotated[int, Field(ge=1, le=1_000_000)] = Field(description="How many prefixes are in use at a time.")
    prompts: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None,
        description="How many prompts a prefix serves before a new one takes its place; all of the step unless said.",
    )
    tokens: Annotated[int, Field(ge=1, le=10_000_000)] = Field(description="Length of a prefix.")

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"groups": 1, "tokens": value}

    @model_validator(mode="after")
    def _bounded(self) -> SharedPrefixForm:
        if self.groups * (self.prompts or 1) > 10_000_000:
            raise WrongError("groups · prompts is the length of a round, at most 10,000,000", "prompts")
        return self


class LengthsForm(Strict):
    """Input and output lengths that belong together, from the rows of a file."""

    file: str = Field(min_length=1)
    format: FileFormat | None = Field(default=None, description="By the file's extension unless said.")
    input: str | None = Field(default=None, min_length=1, description="Its column; known names are found.")
    output: str | None = Field(default=None, min_length=1, description="Its column; known names are found.")
    order: Literal["drawn", "in-order"] = Field(
        default="drawn",
        description="By the seed, with replacement; in-order: row after row, from the start again when spent.",
    )


SharedPrefixField = Annotated[SharedPrefixForm, short_or_long(SharedPrefixForm, {"type": "integer", "minimum": 1})]
PromptsField = Annotated[
    PromptsForm, short_or_long(PromptsForm, {"type": "string", "description": "A file of prompts."})
]


class WorkloadForm(Strict):
    name: Name | None = None
    input_tokens: TokensForm | None = Field(
        default=None, description="Length of a prompt as the target counts it; 512 unless said."
    )
    output_tokens: TokensForm | None = Field(default=None, description="Length to ask for; 128 unless said.")
    prompts: PromptsField | None = Field(
        default=None, description="A file of prompts, in place of synthetic ones: FILE, or {file: FILE, …}."
    )
    lengths: LengthsForm | None = Field(
        default=None, description="Input and output lengths that belong together, from the rows of a file."
    )
    shared_prefix_tokens: Tokens = Field(
        default=0, description="Tokens at the start that all synthetic prompts have in common."
    )
    exact_output: bool = Field(
        default=False, description="Make every answer as long as was asked for, where the target's provider can."
    )
    shared_prefix: SharedPrefixField | None = Field(
        default=None, description="Groups of synthetic prompts that begin alike."
    )
    cancel: CancelForm | None = Field(default=None, description="Requests that are given up on purpose.")
    tags: Tags = Field(default_factory=dict)
    session: SessionForm | None = Field(default=None, description="Conversations of several turns, with their history.")

    @model_validator(mode="after")
    def _one_source(self) -> WorkloadForm:
        if self.prompts is not None:
            for key in ("input_tokens", "lengths", "shared_prefix_tokens", "shared_prefix"):
                if getattr(self, key):
                    raise WrongError(
                        f"{key} is for synthetic prompts; prompts from a file are as long as they are", key
                    )
        if self.lengths is not None:
            for key in ("input_tokens", "output_tokens"):
                if getattr(self, key) is not None:
                    raise WrongError(f"lengths says both lengths; {key} is one too many", key)
        if self.shared_prefix is not None and self.shared_prefix_tokens:
            raise WrongError("shared_prefix and shared_prefix_tokens are both given; keep one", "shared_prefix_tokens")
        return self


class MixedForm(WorkloadForm):
    """One of several workloads that share the arrivals of each step."""

    weight: Weight = Field(default=1.0, description="Its share of the arrivals, against the others' weights.")
    target: str | None = Field(
        default=None, description="Name of the target that it goes to; all workloads name one, or none does."
    )


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
    hash_ids: str | None = None
    session_id: str | None = None


class TraceForm(Strict):
    """Arrivals replayed from a file: its gaps divided by ``speed``, its lengths where it has them."""

    file: str
    format: FileFormat | None = Field(default=None, description="By the file's extension unless said.")
    speed: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    columns: ColumnsForm = ColumnsForm()
    window: WindowForm = WindowForm()
    block_tokens: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=512, description="Tokens that a hash id of the trace stands for; 0 leaves the ids aside."
    )
