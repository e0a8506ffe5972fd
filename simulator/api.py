"""One request → a reply at once, or the shape of an answer that the model times. No socket, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from simulator import chat, encode
from simulator.answer import Shape
from simulator.clock import unix_s
from simulator.connection import HttpRequest
from simulator.faults import FAULTS, FaultSource
from simulator.model import Model
from simulator.ratelimit import NS_PER_S, Limiter
from simulator.settings import Settings

PROCESS_STRIDE = 1_000_000_000
_FORMS_MAX = 64
_DIMENSIONS = ("requests", "tokens")


@dataclass(frozen=True, slots=True)
class Reply:
    """``shape`` None: send ``status``, ``headers`` and ``body`` now. ``row`` is the truth log's; None for what it leaves out."""

    row: dict[str, Any] | None
    outcome: str = "ok"
    shape: Shape | None = None
    status: int = 200
    body: bytes = b""
    headers: encode.Headers = field(default_factory=list)
    head_at_once: bool = False


class Endpoint:
    """What a request meets: routes, key, limits, faults, queue."""

    def __init__(self, settings: Settings, process: int, model: Model) -> None:
        self._settings = settings
        self._model = model
        self._process = process
        self._limiter = Limiter(settings.limits, settings.concurrency, settings.charge)
        self._faults = FaultSource(settings.faults, settings.seed * 1_000 + process)
        self._forms: dict[tuple[str, bool], encode.Form] = {}
        self._requests = 0

    def release(self) -> None:
        """An admitted answer is over."""
        self._limiter.release()

    def reply(self, request: HttpRequest, received_ns: int, now_ns: int, connection: int) -> Reply:
        """``received_ns`` is for the log; limits go by ``now_ns``, which never goes back."""
        base = self._settings.base
        routes = {f"{base}/chat/completions": "POST", f"{base}/models": "GET", "/health": "GET"}
        method = routes.get(request.path)
        if method is None:
            message = f"Unknown path {request.path}; there are {', '.join(routes)}"
            return self._refuse(None, 404, message, "invalid_request_error", "unknown_url")
        if request.method != method:
            return self._refuse(
                None, 405, f"{request.path} wants {method}", "invalid_request_error", "method_not_allowed"
            )
        if request.path == "/health":
            return Reply(None, body=b'{"status":"ok"}')
        if not self._authorized(request):
            row = self._row(request, received_ns, connection) if method == "POST" else None
            return self._refuse(row, 401, "Incorrect API key provided", "invalid_request_error", "invalid_api_key")
        if method == "GET":
            entry = {"id": self._settings.model, "object": "model", "created": 0, "owned_by": "openloop"}
            return Reply(None, body=orjson.dumps({"object": "list", "data": [entry]}))
        return self._chat(request, now_ns, self._row(request, received_ns, connection))

    def _authorized(self, request: HttpRequest) -> bool:
        key = self._settings.api_key
        return key is None or request.headers.get(b"authorization", b"") == b"Bearer " + key.encode()

    def _row(self, request: HttpRequest, received_ns: int, connection: int) -> dict[str, Any]:
        number = self._requests
        self._requests += 1
        given = request.headers.get(b"x-request-id")
        return {
            "request_number": self._process * PROCESS_STRIDE + number,
            "process": self._process,
            "connection": connection,
            "x_request_id": None if given is None else given.decode("latin-1"),
            "received_ns": received_ns,
            "fault": None,
        }

    def _refuse(
        self,
        row: dict[str, Any] | None,
        status: int,
        message: str,
        kind: str,
        code: str | None = None,
        param: str | None = None,
    ) -> Reply:
        if row is not None:
            row["status"] = status
        return Reply(row, "client_error", status=status, body=encode.error(message, kind, code, param))

    def _chat(self, request: HttpRequest, now_ns: int, row: dict[str, Any]) -> Reply:
        settings = self._settings
        try:
            asked = chat.parse(request.body, settings.output_tokens_max)
            output_tokens = _wanted_output(request, asked, settings)
            fault = _wanted_fault(request) or self._faults.draw()
        except chat.BadRequestError as error:
            return self._refuse(row, 400, str(error), "invalid_request_error", None, error.param)
        input_tokens = settings.template_tokens + round(asked.words * settings.tokens_per_word)
        charge = self._limiter.charge(input_tokens, asked.max_tokens, output_tokens)
        row.update(
            model=asked.model,
            streamed=asked.stream,
            max_tokens=asked.max_tokens,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            charge_tokens=charge,
        )
        refused = self._limiter.admit(now_ns, charge)
        headers = self._limit_headers(now_ns, row)
        if (given := request.headers.get(b"x-request-id")) is not None:
            headers.append((b"x-request-id", given))
        if refused is not None:
            row["status"] = 429
            row["wait_ns"] = refused.wait_ns
            body, more = encode.refusal(asked.model, refused)
            return Reply(row, "refused", status=429, body=body, headers=headers + more)
        if fault is not None and (status := FAULTS[fault].status) is not None:
            self._limiter.release()
            row.update(fault=fault, status=status)
            body, more = _failure(status)
            return Reply(row, "fault", status=status, body=body, headers=headers + more)
        if settings.queue_max is not None and self._model.waiting >= settings.queue_max and settings.timing == "batch":
            self._limiter.release()
            row["status"] = 503
            body, more = _failure(503)
            return Reply(row, "overloaded", status=503, body=body, headers=headers + more)
        shape = self._shape(request, asked, (input_tokens, output_tokens), row, fault, headers)
        return Reply(row, shape=shape, head_at_once=asked.stream and settings.head == "at-once")

    def _shape(
        self,
        request: HttpRequest,
        asked: chat.ChatRequest,
        tokens: tuple[int, int],
        row: dict[str, Any],
        fault: str | None,
        headers: encode.Headers,
    ) -> Shape:
        settings = self._settings
        input_tokens, output_tokens = tokens
        per_chunk = settings.tokens_per_chunk
        reasoning_events = round(settings.reasoning * -(-output_tokens // per_chunk))
        return Shape(
            ident=encode.response_id(row["request_number"]),
            created=unix_s(),
            form=self._form(asked),
            streamed=asked.stream,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            reasoning_tokens=min(output_tokens, reasoning_events * per_chunk),
            tokens_per_chunk=per_chunk,
            finish_reason="length" if asked.max_tokens is not None else "stop",
            fault=fault,
            headers=headers,
            keep_alive=request.keep_alive,
        )

    def _form(self, asked: chat.ChatRequest) -> encode.Form:
        key = (asked.model, asked.include_usage)
        form = self._forms.get(key)
        if form is None:
            if len(self._forms) >= _FORMS_MAX:
                self._forms.clear()
            settings = self._settings
            chunked = settings.body == "chunked"
            form = self._forms[key] = encode.Form(
                asked.model, asked.include_usage, chunked, settings.tokens_per_chunk, settings.seed
            )
        return form

    def _limit_headers(self, now_ns: int, row: dict[str, Any]) -> encode.Headers:
        readings = {dimension: self._limiter.reading(now_ns, dimension) for dimension in _DIMENSIONS}
        for dimension, reading in readings.items():
            if reading is not None:
                row[f"limit_{dimension}"] = reading.limit
                row[f"remaining_{dimension}"] = reading.remaining
        return encode.limit_headers(readings)


def _wanted_fault(request: HttpRequest) -> str | None:
    """``x-sim-fault: reset`` makes that fault, for tests."""
    given = request.headers.get(b"x-sim-fault")
    if given is None:
        return None
    name = given.decode("latin-1")
    if name not in FAULTS:
        raise chat.BadRequestError(f"x-sim-fault: no fault is called {name!r}; there are {', '.join(FAULTS)}")
    return name


def _wanted_output(request: HttpRequest, asked: chat.ChatRequest, settings: Settings) -> int:
    """``x-sim-output-tokens: 3`` overrides what the body says, for tests."""
    given = request.headers.get(b"x-sim-output-tokens")
    if given is None:
        return asked.max_tokens if asked.max_tokens is not None else settings.output_tokens
    if not given.isdigit() or not 1 <= int(given) <= settings.output_tokens_max:
        raise chat.BadRequestError(f"x-sim-output-tokens must be between 1 and {settings.output_tokens_max}")
    return int(given)


def _failure(status: int) -> tuple[bytes, encode.Headers]:
    if status == 429:
        return encode.error("Rate limit reached", "requests", "rate_limit_exceeded"), encode.retry_headers(NS_PER_S)
    if status == 503:
        return encode.error("The server is overloaded", "server_error", "server_is_overloaded"), encode.retry_headers(
            NS_PER_S
        )
    return encode.error("The server had an error while processing your request", "server_error"), []
