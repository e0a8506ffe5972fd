"""What is kept beside the figures: a scenario's keys for prompts and answers, and for the target's own figures."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from generator import job
from generator.scenario.fields import HeaderLines, Share, Size, Strict, WrongError, short_or_long

MOST_SERIES = 10_000


class RecordForm(Strict):
    """Which prompts and answers go into ``texts``."""

    texts: Literal["none", "sample", "all"] = "none"
    first: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=20, description="With sample: this many arrivals of each step, from the first."
    )
    share: Share = Field(default=0.01, description="With sample: this share of the others, drawn by the seed.")
    max_chars: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        default=20_000, description="A longer text is cut, and says so."
    )
    max_size: Size = Field(
        default=256_000_000,
        description="Of all texts of the run together; none is kept beyond.",
        json_schema_extra={"default": "256MB"},
    )

    @model_validator(mode="after")
    def _some(self) -> RecordForm:
        if self.texts == "sample" and self.first == 0 and self.share == 0:
            raise WrongError("a sample of none: give first or share, or texts: none", "share")
        return self

    def values(self) -> job.Texts:
        return job.Texts(self.texts, self.first, self.share, self.max_chars, self.max_size)


class MetricsForm(Strict):
    """``true``, ``http://host:port/metrics``, or a mapping."""

    url: str | None = Field(
        default=None,
        description="Prometheus endpoint, read each second; /metrics of the target's host unless url or pid is given.",
    )
    pid: int | list[int] | None = Field(
        default=None, description="Local process, or several: CPU, memory, threads and open files, children included."
    )
    headers: HeaderLines = Field(
        default_factory=dict,
        description="Sent with each scrape; values may hold ${NAME}. The target's key is not sent.",
    )
    names: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list, description="Keep series whose names begin so; all of them unless said."
    )
    series: Annotated[int, Field(ge=1, le=MOST_SERIES)] = Field(
        default=500, description="Keep at most this many series, in the endpoint's order."
    )

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, value: Any) -> Any:
        if value is True:
            return {}
        if isinstance(value, str):
            return {"url": value}
        if isinstance(value, (bool, int)):
            raise WrongError(f"true, a URL or a mapping such as {{pid: 1234}} is wanted, not {value}")
        return value

    @field_validator("url")
    @classmethod
    def _a_url(cls, value: str | None) -> str | None:
        if value is None or "${" in value:
            return value
        try:
            parts = urlsplit(value)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good or any(c.isspace() for c in value):
            raise ValueError(f"{value!r}: a whole URL is wanted, such as http://127.0.0.1:8000/metrics")
        if parts.username:
            raise ValueError("the URL carries a user name; put credentials into headers, as ${NAME}")
        return value

    @field_validator("pid")
    @classmethod
    def _processes(cls, value: int | list[int] | None) -> int | list[int] | None:
        numbers = value if isinstance(value, list) else [] if value is None else [value]
        if any(number < 1 for number in numbers):
            raise ValueError("a process id is 1 or more")
        return value

    @model_validator(mode="after")
    def _headers_for_a_url(self) -> MetricsForm:
        if self.headers and self.pid is not None and self.url is None:
            raise WrongError("headers go with a url; a process is looked at without one", "headers")
        return self

    def values(self) -> job.Metrics:
        pids = self.pid if isinstance(self.pid, list) else [] if self.pid is None else [self.pid]
        return job.Metrics(
            scrape=self.url is not None or not pids,
            url=self.url,
            pids=tuple(pids),
            headers=self.headers,
            names=tuple(self.names),
            series=self.series,
        )


MetricsText = Annotated[
    MetricsForm,
    short_or_long(MetricsForm, {"anyOf": [{"const": True}, {"type": "string", "format": "uri"}], "examples": [True]}),
]
