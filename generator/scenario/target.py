"""One endpoint of a scenario: where it is, what it speaks, how its requests are dressed."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from generator.apis.table import NAMES
from generator.providers import NAMES as PROVIDERS
from generator.scenario.fields import HeaderLines, HeaderName, Money, Strict, WrongError
from generator.scenario.http import HttpForm
from generator.scenario.record import MetricsText

EMBEDDINGS = "openai-embeddings"
SIMULATOR = "simulator"
SIMULATED_MODEL = "simulated"
HTTP_JSON = "http-json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}\Z")


def is_name(value: str) -> bool:
    return _NAME.match(value) is not None


def _named(value: str) -> str:
    if not is_name(value):
        raise ValueError(
            f"{value!r}: letters, digits, spaces, '.', '_' and '-' only, at most 100, first a letter or digit"
        )
    return value


Name = Annotated[str, AfterValidator(_named)]


def _known(value: str) -> str:
    if value not in NAMES:
        raise ValueError(f"unknown API {value!r}; this version speaks {', '.join(NAMES)}")
    return value


ApiName = Annotated[str, AfterValidator(_known), WithJsonSchema({"enum": list(NAMES)})]


class TlsForm(Strict):
    verify: bool = True
    ca: str | None = Field(default=None, description="File of PEM certificates to trust in place of the system's.")
    cert: str | None = Field(default=None, description="Client certificate, PEM.")
    key: str | None = Field(default=None, description="Key of the client certificate, PEM.")
    server_name: str | None = Field(
        default=None, description="Name to ask for and to verify, in place of the URL's host."
    )

    @model_validator(mode="after")
    def _pair(self) -> TlsForm:
        if self.key is not None and self.cert is None:
            raise WrongError("a key without its certificate; give cert as well", "key")
        return self


class AzureForm(Strict):
    """What an Azure OpenAI URL is made of."""

    resource: str | None = Field(default=None, description="As in https://RESOURCE.openai.azure.com.")
    deployment: str | None = Field(default=None, description="The deployment's name; the model's unless said.")
    api_version: str | None = Field(default=None, description="Such as 2024-10-21.")


def _url_or_provider(schema: dict[str, Any]) -> None:
    """For editors: a provider fills the URL, though what is checked has one."""
    schema["anyOf"] = [{"required": [key]} for key in ("url", "provider")]
    del schema["required"]


class TargetForm(Strict):
    model_config = ConfigDict(json_schema_extra=_url_or_provider)

    provider: str | None = Field(
        default=None,
        description="A preset of `openloop providers`, which fills what is not given.",
        json_schema_extra={"enum": list(PROVIDERS)},
    )
    azure: AzureForm | None = Field(default=None, description="For provider: azure.")
    url: str = Field(
        description="Base URL, such as https://api.example.com/v1; or simulator, which starts the built-in endpoint."
    )
    api: ApiName = "openai-chat"
    model: str | None = Field(default=None, min_length=1)
    api_key: str | None = Field(
        default=None, description="${NAME} is read from the environment and never written anywhere."
    )
    headers: HeaderLines = Field(default_factory=dict, description="Sent with every request; values may hold ${NAME}.")
    body: dict[str, Any] = Field(default_factory=dict, description="Merged into every request's JSON body.")
    stream: bool = True
    request_id_header: HeaderName = Field(
        "x-request-id", description="Header that carries <run_id>-<request_id>, or none."
    )
    tls: TlsForm = TlsForm()
    proxy: str | None = Field(default=None, description="http://host:port; needs transport: aiohttp.")
    gzip: bool = Field(default=False, description="Ask for compressed answers.")
    max_tokens_field: str | None = Field(
        default=None, description="The body's name for the answer's length; the API's own unless said.", min_length=1
    )
    http: HttpForm | None = Field(default=None, description="How it is spoken to, for api: http-json.")
    tokenizer: str | None = Field(
        default=None,
        min_length=1,
        description="For prompts of exact length: a tokenizer.json, or endpoint, which asks the target's /tokenize.",
    )
    simulator: dict[str, Any] = Field(
        default_factory=dict, description="Options of `openloop simulate`, for url: simulator."
    )
    auth_header: HeaderName | None = Field(
        default=None, description="Header that carries the key in place of the API's own, such as api-key."
    )
    price_in: Money | None = Field(default=None, description="USD per million input tokens.")
    price_out: Money | None = Field(default=None, description="USD per million output tokens.")
    price_cached: Money | None = Field(default=None, description="USD per million cached input tokens.")
    price_cache_write: Money | None = Field(
        default=None, description="USD per million input tokens that are written to the cache."
    )

    metrics: MetricsText | None = Field(
        default=None,
        description="The target's own figures, read each second: true, a Prometheus URL, or a mapping with a pid.",
    )

    @field_validator("url")
    @classmethod
    def _base_url(cls, value: str) -> str:
        if value == SIMULATOR or "${" in value:
            return value
        return _http_url(value)

    @model_validator(mode="after")
    def _azure_alone(self) -> TargetForm:
        if self.azure is not None and self.provider != "azure":
            raise WrongError("azure is for provider: azure", "azure")
        return self

    @field_validator("proxy")
    @classmethod
    def _proxy_url(cls, value: str | None) -> str | None:
        return value if value is None or "${" in value else _http_url(value, may_have_user=True)

    @model_validator(mode="after")
    def _http_alone(self) -> TargetForm:
        if self.http is not None and self.api != HTTP_JSON:
            raise WrongError(f"http is for api: {HTTP_JSON}, not {self.api}", "http")
        return self

    @property
    def streams(self) -> bool:
        """Whether to ask for a streamed answer. A plain HTTP service is not held to stream unless that is said; embeddings cannot."""
        return self.stream and self.api != EMBEDDINGS and (self.api != HTTP_JSON or "stream" in self.model_fields_set)

    def asks_for_length(self, *, from_file: bool) -> bool:
        """Whether requests carry the length to answer with; ``from_file``: prompts are a file's records."""
        if self.api == EMBEDDINGS:
            return False
        return self.api != HTTP_JSON or (self.http or HttpForm()).sends_length(from_file=from_file)

    @model_validator(mode="after")
    def _no_stream_of_vectors(self) -> TargetForm:
        if self.api == EMBEDDINGS and self.stream and "stream" in self.model_fields_set:
            raise WrongError(f"{EMBEDDINGS} answers in one piece; leave stream out", "stream")
        return self

    @model_validator(mode="after")
    def _simulator_alone(self) -> TargetForm:
        if self.simulator and self.url != SIMULATOR:
            raise WrongError(f"simulator options need url: simulator, not {self.url}", "simulator")
        return self


def _http_url(value: str, *, may_have_user: bool = False) -> str:
    example = "such as http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as e:
        raise ValueError(f"{value!r} is no URL: {e}; give one {example}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{value!r}: a URL that starts with http:// or https:// is wanted, {example}, or simulator")
    if not parts.hostname or port == 0 or any(c.isspace() for c in value):
        raise ValueError(f"{value!r}: a URL with a host is wanted, {example}")
    if parts.fragment or (parts.query and set(parse_qs(parts.query)) != {"api-version"}):
        raise ValueError(f"{value!r}: a base URL has no ? or # part (but ?api-version=, Azure's); leave it out")
    if parts.username and not may_have_user:
        raise ValueError("the URL carries a user name; put credentials into api_key or headers, as ${NAME}")
    return value
