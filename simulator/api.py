"""One request → a reply at once, or the shape of an answer that the model times. No socket, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from simulator import limit_headers, pages, troubles, wire
from simulator.answer import Answer
from simulator.asked import Asked, BadRequestError
from simulator.clock import unix_s
from simulator.connection import HttpRequest
from simulator.faults import FAULTS, FaultSource
from simulator.form import Form, Shape, response_id
from simulator.model import Model
from simulator.ratelimit import NS_PER_S, Limiter
from simulator.routes import Api, Routes
from simulator.settings import Settings
from simulator.words import texts, tokens

PROCESS_STRIDE = 1_000_000_000
_FORMS_MAX = 64
_DIMENSIONS = ("requests", "tokens")
_WITH_RETRY = (troubles.RATE, troubles.OVERLOADED)


@dataclass(frozen=True, slots=True)
class Reply:
    """``shape`` None: send ``status``, ``headers`` and ``body`` now. ``row`` is the truth log's; None for what it leaves out."""

    row: dict[str, Any] | None
    outcome: str = "ok"
    shape: Shape | None = None
    status: int = 200
    body: bytes = b""
    headers: wire.Headers = field(default_factory=list)
    content_type: bytes = wire.JSON
    head_at_once: bool = False


class Endpoint:
    """What a request meets: routes, key, limits, faults, queue."""

    def __init__(self, settings: Settings, process: int, model: Model) -> None:
        self._settings = settings
        self._model = model
        self._process = process
        self._routes = Routes(settings.base)
        self._limiter = Limiter(settings.limits, settings.concurrency, settings.charge)
        self._faults = FaultSource(settings.faults, settings.seed * 1_000 + process)
        self._texts = texts(settings.tokens_per_chunk, settings.seed)
        self._forms: dict[tuple[str, str, str, bool], Form] = {}
        self._requests = 0
        self._under_way: set[Answer] = set()
        self._totals = pages.Totals()
        self._metrics = pages.Metrics(settings.model, self._totals, self._under_way, lambda: model.waiting)

    def began(self, answer: Answer) -> None:
        """An admitted answer is with the model from now on."""
        self._under_way.add(answer)
        self._totals.prompt_tokens += answer.shape.input_tokens

    def ended(self, answer: Answer, outcome: str) -> None:
        """It is over, however it ended."""
        self._under_way.discard(answer)
        self._totals.over(answer, outcome)
        self._limiter.release()

    def reply(self, request: HttpRequest, received_ns: int, now_ns: int, connection: int) -> Reply:
        """``received_ns`` is for the log; limits go by ``now_ns``, which never goes back."""
        path = request.path
        api = self._routes.api(path)
        shape = troubles.OPENAI if api is None else api.shape
        method = self._routes.method(path)
        if not self._routes.known(path):
            return _refuse(shape, troubles.UNKNOWN_PATH, f"Unknown path {path}; there are {self._routes.names()}")
        if method not in (None, request.method):
            return _refuse(shape, troubles.WRONG_METHOD, f"{path} wants {method}")
        if api is not None:
            return self._timed(api, request, now_ns, self._row(api, request, received_ns, connection))
        return self._page(request)

    def _page(self, request: HttpRequest) -> Reply:
        match request.path:
            case "/health":
                return Reply(None, body=b'{"status":"ok"}')
            case "/metrics":
                return Reply(None, body=self._metrics.text(), content_type=pages.METRICS_TYPE)
        if not self._authorized(request):
            return _refuse(troubles.OPENAI, troubles.UNAUTHORIZED)
        if request.path == self._routes.models:
            return Reply(None, body=pages.models(self._settings))
        try:
            return Reply(None, body=pages.tokenize(request.body, self._settings))
        except BadRequestError as error:
            return _refuse(troubles.OPENAI, troubles.BAD_REQUEST, str(error), param=error.param)

    def _authorized(self, request: HttpRequest, shape: str = troubles.OPENAI) -> bool:
        """Anthropic's key comes as ``x-api-key``; the others' as a bearer token."""
        if self._settings.api_key is None:
            return True
        key = self._settings.api_key.encode()
        if shape == troubles.ANTHROPIC:
            return request.headers.get(b"x-api-key", b"") == key
        return request.headers.get(b"authorization", b"") == b"Bearer " + key

    def _row(self, api: Api, request: HttpRequest, received_ns: int, connection: int) -> dict[str, Any]:
        number = self._requests
        self._requests += 1
        given = request.headers.get(b"x-request-id")
        return {
            "request_number": self._process * PROCESS_STRIDE + number,
            "process": self._process,
            "api": api.name,
            "connection": connection,
            "x_request_id": None if given is None else given.decode("latin-1"),
            "received_ns": received_ns,
            "fault": None,
        }

    def _timed(self, api: Api, request: HttpRequest, now_ns: int, row: dict[str, Any]) -> Reply:
        settings = self._settings
        headers, own_id = _ids(api, request, row)
        if not self._authorized(request, api.shape):
            return _refuse(api.shape, troubles.UNAUTHORIZED, row=row, headers=headers, request_id=own_id)
        try:
            asked = api.parse(request, settings)
            output_tokens = _wanted_output(request, asked, settings)
            fault = _wanted_fault(request) or self._faults.draw()
        except BadRequestError as error:
            more = {"param": error.param, "request_id": own_id}
            return _refuse(api.shape, troubles.BAD_REQUEST, str(error), row=row, headers=headers, **more)
        input_tokens = tokens(asked.words, settings.tokens_per_word) + (settings.template_tokens * asked.templated)
        charge = self._limiter.charge(input_tokens, asked.max_tokens, output_tokens)
        row.update(
            model=asked.model,
            streamed=asked.stream,
            max_tokens=asked.max_tokens,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            charge_tokens=charge,
            messages=len(asked.roles),
            roles=asked.roles,
            message_hashes=asked.message_hashes,
        )
        refused = self._limiter.admit(now_ns, charge)
        dialect = limit_headers.USUAL[api.shape] if settings.limit_headers == "auto" else settings.limit_headers
        headers += self._limit_headers(dialect, now_ns, row)
        if refused is not None:
            row.update(status=429, wait_ns=refused.wait_ns)
            body = limit_headers.refusal(api.shape, dialect, asked.model, refused, own_id)
            retry = limit_headers.retry(dialect, refused.wait_ns) if refused.wait_ns >= 0 else []
            return Reply(row, "refused", status=429, body=body, headers=_overlaid(headers, retry))
        queue_max = settings.queue_max if settings.timing == "batch" else None
        full = queue_max is not None and self._model.waiting >= queue_max
        kind = troubles.OVERLOADED if full else None
        if fault is not None and FAULTS[fault].refusal is not None:
            kind = FAULTS[fault].refusal
            row["fault"] = fault
        if kind is not None:
            self._limiter.release()
            status = row["status"] = troubles.status(api.shape, kind)
            body = troubles.body(api.shape, kind, request_id=own_id)
            retry = limit_headers.retry(dialect, NS_PER_S) if kind in _WITH_RETRY else []
            outcome = "fault" if row["fault"] else "overloaded"
            return Reply(row, outcome, status=status, body=body, headers=_overlaid(headers, retry))
        shape = self._shape(api, request, asked, row, fault, headers)
        return Reply(row, shape=shape, head_at_once=asked.stream and settings.head == "at-once")

    def _shape(
        self,
        api: Api,
        request: HttpRequest,
        asked: Asked,
        row: dict[str, Any],
        fault: str | None,
        headers: wire.Headers,
    ) -> Shape:
        settings = self._settings
        input_tokens, output_tokens = row["input_tokens"], row["output_tokens"]
        per_chunk = 1 if asked.own else settings.tokens_per_chunk
        reasoning_events = round(settings.reasoning * -(-output_tokens // per_chunk)) if api.reasons else 0
        shape = Shape(
            ident=response_id(api.form.prefix, row["request_number"]),
            created=unix_s(),
            form=self._form(api, asked, reasons=reasoning_events > 0),
            streamed=asked.stream,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            reasoning_tokens=min(output_tokens, reasoning_events * per_chunk),
            tokens_per_chunk=per_chunk,
            stopped=asked.max_tokens is None or output_tokens < asked.max_tokens,
            fault=fault,
            headers=headers,
            keep_alive=request.keep_alive,
            cached_tokens=int(input_tokens * settings.cached),
            written_tokens=int(input_tokens * settings.cache_written),
            own=asked.own,
            asked=asked.more,
        )
        row.update(reasoning_tokens=shape.reasoning_tokens, cached_tokens=shape.cached_tokens)
        return shape

    def _form(self, api: Api, asked: Asked, *, reasons: bool) -> Form:
        key = (api.name, asked.model, asked.style, reasons)
        form = self._forms.get(key)
        if form is None:
            if len(self._forms) >= _FORMS_MAX:
                self._forms.clear()
            chunked = self._settings.body == "chunked"
            form = api.form(asked.model, asked.style, chunked=chunked, reasons=reasons, texts=self._texts)
            self._forms[key] = form
        return form

    def _limit_headers(self, dialect: str, now_ns: int, row: dict[str, Any]) -> wire.Headers:
        readings = {dimension: self._limiter.reading(now_ns, dimension) for dimension in _DIMENSIONS}
        for dimension, reading in readings.items():
            if reading is not None:
                row[f"limit_{dimension}"] = reading.limit
                row[f"remaining_{dimension}"] = reading.remaining
        return limit_headers.headers(dialect, readings, unix_s())


def _ids(api: Api, request: HttpRequest, row: dict[str, Any]) -> tuple[wire.Headers, str | None]:
    """The header that names the request, and Anthropic's own id, which its errors repeat."""
    if api.shape == troubles.ANTHROPIC:
        own = response_id("req_", row["request_number"])
        return [(b"request-id", own.encode())], own
    given = request.headers.get(b"x-request-id")
    return ([] if given is None else [(b"x-request-id", given)]), None


def _overlaid(headers: wire.Headers, more: wire.Headers) -> wire.Headers:
    """``more`` in place of headers of the same name."""
    names = {name for name, _ in more}
    return [header for header in headers if header[0] not in names] + more


def _refuse(
    shape: str,
    kind: str,
    message: str | None = None,
    *,
    row: dict[str, Any] | None = None,
    headers: wire.Headers | None = None,
    **more: str | None,
) -> Reply:
    """``more`` goes to :func:`troubles.body`."""
    status = troubles.status(shape, kind)
    if row is not None:
        row["status"] = status
    return Reply(
        row, "client_error", status=status, body=troubles.body(shape, kind, message, **more), headers=headers or []
    )


def _wanted_fault(request: HttpRequest) -> str | None:
    """``x-sim-fault: reset`` makes that fault, for tests."""
    given = request.headers.get(b"x-sim-fault")
    if given is None:
        return None
    name = given.decode("latin-1")
    if name not in FAULTS:
        raise BadRequestError(f"x-sim-fault: no fault is called {name!r}; there are {', '.join(FAULTS)}")
    return name


def _wanted_output(request: HttpRequest, asked: Asked, settings: Settings) -> int:
    """``x-sim-output-tokens: 3`` overrides what the body says, for tests."""
    if not asked.generates:
        return 0
    given = request.headers.get(b"x-sim-output-tokens")
    if given is None:
        if asked.own is not None:
            return len(asked.own)
        return asked.max_tokens if asked.max_tokens is not None else settings.output_tokens
    if not given.isdigit() or not 1 <= int(given) <= settings.output_tokens_max:
        raise BadRequestError(f"x-sim-output-tokens must be between 1 and {settings.output_tokens_max}")
    return int(given)
