"""Who may ask at all: checked before anything else looks at a request.

A page of another site can make a browser send requests here, and with DNS rebinding even read the answers. So: the Host header must be a
name of ours (rebinding makes it the other site's), a request that changes something must come from our own pages (Origin, Sec-Fetch-Site)
or from no browser at all, and where a token is set it must be shown, as a bearer or by the cookie that the login page sets. Bodies end
where they are longer than a body may be. Every answer carries the headers that keep a browser from doing more than we meant.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

import orjson
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.web.settings import Settings

COOKIE = "openloop"
OPEN_PATHS = ("/health", "/login", "/ui/login", "/favicon.ico")
OPEN_PREFIXES = ("/ui/static/",)
"""What is shown without a token: whether the service lives, the login page and what it looks like."""

_SAFE = ("GET", "HEAD", "OPTIONS")
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    detail: str


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._body_bytes = settings.limits.body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = refused(scope["method"], scope["path"], headers, self._settings)
        if refusal is None and _length(headers) > self._body_bytes:
            refusal = Refusal(413, f"a body has at most {self._body_bytes:,} bytes")
        dressed = _dressed(send)
        if refusal is not None:
            await _answer(dressed, refusal, wants_page=_wants_page(scope, headers))
            return
        await self._app(scope, _Body(receive, self._body_bytes).receive, dressed)


def refused(method: str, path: str, headers: dict[str, str], settings: Settings) -> Refusal | None:
    """Why a request goes no further; None where it may. ``headers`` by lower-case name."""
    host = headers.get("host", "")
    if not host_known(host, settings):
        return Refusal(400, f"{host[:100]!r} is no name of this service; whoever runs it adds one with --allow-host")
    if method not in _SAFE:
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return Refusal(403, "another site asked for this")
        origin = headers.get("origin")
        if origin is not None and not _same(origin, host, settings):
            return Refusal(403, "another site asked for this")
    if settings.token is None or path in OPEN_PATHS or path.startswith(OPEN_PREFIXES):
        return None
    if shown(headers, settings.token):
        return None
    return Refusal(401, "a token is wanted: Authorization: Bearer TOKEN, or log in")


def shown(headers: dict[str, str], token: str) -> bool:
    """Whether the token, or the cookie that stands for it, is among the headers. Takes as long whatever is shown."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and same(bearer.strip(), token):
        return True
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return False
    return cookie is not None and same(cookie.value, cookie_of(token))


def same(shown_text: str, wanted: str) -> bool:
    return hmac.compare_digest(shown_text.encode("utf-8", "surrogateescape"), wanted.encode())


def cookie_of(token: str) -> str:
    """What the cookie holds: not the token, so that whoever sees a browser's cookies has no bearer."""
    return hmac.new(token.encode(), b"openloop dashboard cookie", hashlib.sha256).hexdigest()


def host_known(host: str, settings: Settings) -> bool:
    """Whether a Host header names this service: a loopback name, the address it listens on, or a name that was allowed.

    Behind any other address than loopback an IP address is taken, too: rebinding needs a name.
    """
    name = _name(host)
    if name is None:
        return False
    known = {*_LOOPBACK_NAMES, settings.host.lower(), *(h.lower() for h in settings.allow_hosts)}
    return name in known or (not settings.loopback and _is_address(name))


def _name(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        return None
    return (parts.hostname or "").lower() or None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same(origin: str, host: str, settings: Settings) -> bool:
    """Whether a page of ours asked. Without TLS of our own a proxy may have added it, so either scheme is; with it only https is."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    schemes = ("https",) if settings.tls else ("http", "https")
    return parts.scheme in schemes and parts.netloc.lower() == host.lower()


def _length(headers: dict[str, str]) -> int:
    told = headers.get("content-length", "0")
    return int(told) if told.isdecimal() else 0


def _wants_page(scope: Scope, headers: dict[str, str]) -> bool:
    return scope["method"] == "GET" and "text/html" in headers.get("accept", "")


class _Body:
    """Counts what comes in, for a body that does not say how long it is."""

    def __init__(self, receive: Receive, most_bytes: int) -> None:
        self._receive = receive
        self._most_bytes = most_bytes
        self._left_bytes = most_bytes

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left_bytes -= len(message.get("body", b""))
            if self._left_bytes < 0:
                # The application's own kind of error, which it turns into an answer wherever it was reading.
                raise HTTPException(413, f"a body has at most {self._most_bytes:,} bytes")
        return message


def _dressed(send: Send) -> Send:
    """``send`` that adds HEADERS where an answer does not say otherwise itself."""

    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = [(name.lower(), value) for name, value in message.get("headers", ())]
            names = {name for name, _ in given}
            added: Iterable[tuple[bytes, bytes]] = (
                (name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in names
            )
            message = {**message, "headers": [*given, *added]}
        await send(message)

    return dressed


async def _answer(send: Send, refusal: Refusal, *, wants_page: bool) -> None:
    headers = [(b"content-type", b"application/json")]
    status, body = refusal.status, orjson.dumps({"detail": refusal.detail, "errors": []})
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
        if wants_page:
            status, body = 303, b""
            headers.append((b"location", b"/ui/login"))
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
