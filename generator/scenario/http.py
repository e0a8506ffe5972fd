"""How a plain HTTP API is spoken to: the keys of ``target.http``. Templates and JSONPaths are tried here, long before a worker needs them."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from generator import job
from generator.scenario.fields import Strict, WrongError

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class HttpForm(Strict):
    method: Method = "POST"
    path: str = Field(
        default="",
        description="Appended to the URL, query included; {{record.FIELD}} and its like are percent-encoded.",
    )
    body: Any = Field(
        default=None,
        description="JSON whose strings may hold {{prompt}}, {{record.FIELD}}, …; the record itself unless said.",
    )
    payload: str | None = Field(
        default=None,
        description="JSONPath into a record: what to send of it; the whole record where it matches nothing.",
    )
    answer: str | None = Field(default=None, description="JSONPath to the text of an answer, or of each of its events.")
    answer_required: bool = Field(default=False, description="A 2xx answer that `answer` does not match is a failure.")
    error: str | None = Field(default=None, description="JSONPath: a 2xx answer that has a value there is a failure.")
    input_tokens: str | None = Field(default=None, description="JSONPath to the number of input tokens.")
    output_tokens: str | None = Field(default=None, description="JSONPath to the number of output tokens.")

    # The late imports: only scenarios with this API pay for the JSONPath library.

    @field_validator("path")
    @classmethod
    def _path(cls, value: str) -> str:
        from generator.apis import http_template

        if value and value[0] not in "/?":
            raise ValueError(f"{value!r}: a path begins with / (or with ? where only a query is added to the URL)")
        http_template.path(value)
        return value

    @field_validator("body")
    @classmethod
    def _body(cls, value: Any) -> Any:
        from generator.apis import http_template

        _check_json(value)
        http_template.compiled(value)
        return value

    @field_validator("payload", "answer", "error", "input_tokens", "output_tokens")
    @classmethod
    def _json_path(cls, value: str | None) -> str | None:
        from generator.apis.json_path import JsonPath

        if value is not None:
            JsonPath(value)
        return value

    @model_validator(mode="after")
    def _answer_named(self) -> HttpForm:
        if self.answer_required and self.answer is None:
            raise WrongError("answer_required needs answer, the JSONPath that is to match", "answer_required")
        return self

    def sends_length(self, *, from_file: bool) -> bool:
        """Whether a request says how long an answer is wanted: by {{max_tokens}}, or in the record that synthetic prompts make."""
        from generator.apis import http_template

        if "max_tokens" in http_template.names([self.path, self.body]):
            return True
        return self.body is None and self.method not in http_template.BODILESS and not from_file

    def spec(self) -> job.Http:
        return job.Http(**self.model_dump())


def _check_json(value: Any, *keys: str | int) -> None:
    """Raises WrongError for what YAML can say and JSON cannot."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise WrongError(f"{key!r} is no name of a JSON object; quote it", *keys)
            _check_json(inner, *keys, key)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _check_json(inner, *keys, number)
    elif isinstance(value, float) and not math.isfinite(value):
        raise WrongError("JSON has no infinities and no NaN", *keys)
    elif value is not None and not isinstance(value, str | int | float):
        raise WrongError(f"{value} is no JSON value; quote it", *keys)
