"""From the command line's words to a service that listens: the token, what is allowed, the server."""

from __future__ import annotations

import ipaddress
import re
import secrets
import ssl
from asyncio import TimerHandle, Transport
from collections.abc import Mapping
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from console.web.app import create_app
from console.web.settings import Settings
from generator.errors import MachineError, OpenloopError

TOKEN_BYTES = 32
_LEAST_TOKEN = 16
_GRACE_S = 3
_OTHERS = 250
"""Connections beside those of followers. Without an end to them, whoever opens many takes the descriptors that the queue starts runs with."""
_REQUEST_S = 10.0
"""From a connection's start, or the first byte of a later request, to the end of its headers. Without an end to that, as many silent
connections as there may be would keep everybody else out, and opening them takes no token."""
_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::([0-9]{1,5}))?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(@[A-Za-z0-9_.-]+)?\Z")


class ServeError(OpenloopError):
    """What the service was told does not go together."""


def token(host_is_loopback: bool, file: Path | None, environment: Mapping[str, str]) -> tuple[str | None, bool]:
    """(the token, whether it was made up just now). From ``file``, else OPENLOOP_TOKEN; beyond loopback there is always one."""
    if file is not None:
        try:
            found = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as e:
            raise ServeError(f"--token-file {file}: cannot be read: {e}") from None
    else:
        found = environment.get("OPENLOOP_TOKEN", "").strip()
    if not found:
        if file is not None:
            raise ServeError(f"--token-file {file}: empty; write a token of {_LEAST_TOKEN} characters or more into it")
        return (None, False) if host_is_loopback else (secrets.token_urlsafe(TOKEN_BYTES), True)
    if len(found) < _LEAST_TOKEN or not found.isascii() or not found.isprintable():
        raise ServeError(
            f"the token is too easy to guess: {_LEAST_TOKEN} printable ASCII characters or more are wanted"
        )
    return found, False


def check(settings: Settings) -> None:
    """Raises ServeError for what is no host, no variable, or no folder."""
    for entry in settings.allow_hosts:
        if not _named(entry):
            raise ServeError(
                f"--allow-host {entry}: a name or an address as browsers have it in the Host header is wanted, without scheme, port or pattern, "
                "such as bench.example"
            )
    for option, entries, example in (
        ("--allow-target", settings.allow_targets or (), "api.openai.com or 10.0.0.5:8000"),
        ("--allow-webhook", settings.webhook_hosts, "ci.example or ci.example:8443"),
    ):
        for entry in entries:
            if not _placed(entry):
                raise ServeError(
                    f"{option} {entry}: HOST or HOST:PORT is wanted, without scheme, path or pattern, such as {example}"
                )
    for entry in settings.allow_env:
        if not _VARIABLE.match(entry):
            raise ServeError(f"--allow-env {entry}: NAME or NAME@HOST is wanted, such as GATEWAY_KEY@gateway.example")
    if settings.data_dir is not None and not settings.data_dir.is_dir():
        raise ServeError(f"--data-dir {settings.data_dir}: no such folder")
    _check_tls(settings.tls_cert, settings.tls_key)


def _check_tls(cert: Path | None, key: Path | None) -> None:
    """Raises ServeError for files that cannot be served with: said now, not by the first handshake."""
    if cert is None or key is None:
        if cert is not key:
            given, missing = ("--tls-cert", "--tls-key") if key is None else ("--tls-key", "--tls-cert")
            raise ServeError(f"{given} without {missing}: give both, the certificate chain and its key, as PEM files")
        return
    for option, file in (("--tls-cert", cert), ("--tls-key", key)):
        try:
            file.read_bytes()
        except OSError as e:
            raise ServeError(f"{option} {file}: cannot be read: {e.strerror}") from None
    try:
        # A key that asks for a password gets an empty one, which is wrong, where OpenSSL would wait for somebody to type.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key, password="")
    except ssl.SSLError as e:
        why = {
            "KEY_VALUES_MISMATCH": "the key is not the certificate's; give the pair that belongs together",
            "NO_START_LINE": "PEM is wanted: a certificate chain in the first, its key in the second",
        }.get(e.reason or "", f"{e.reason or e}; PEM is wanted, a certificate chain and its key without a password")
        raise ServeError(f"--tls-cert {cert}, --tls-key {key}: {why}") from None


def _named(entry: str) -> bool:
    """Whether a Host header can say it. An IPv6 address stands there in brackets and is compared without them."""
    try:
        ipaddress.ip_address(entry)
    except ValueError:
        return _NAME.fullmatch(entry) is not None
    return True


def _placed(entry: str) -> bool:
    """HOST or HOST:PORT as ``admission.host_allowed`` compares them, an IPv6 address in brackets."""
    found = _AUTHORITY.fullmatch(entry)
    if found is None:
        return False
    host, port = found.groups()
    good = _named(host[1:-1]) if host.startswith("[") else _NAME.fullmatch(host) is not None
    return good and (port is None or 0 < int(port) < 65_536)


class Impatient(HttpToolsProtocol):
    """uvicorn's, which waits for ever for a request once it has begun, and for the first one."""

    _late: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._expect()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._late is None:
            self._expect()

    def on_headers_complete(self) -> None:
        self._expect_no_more()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_no_more()
        super().connection_lost(exc)

    def _expect(self) -> None:
        self._late = self.loop.call_later(_REQUEST_S, self._hang_up)

    def _hang_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
        else:  # the next request has begun while the answer to the last one still goes out
            self._expect()

    def _expect_no_more(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def serve(settings: Settings) -> None:
    """Listen until SIGTERM or Ctrl-C. Raises OpenloopError where it cannot begin."""
    check(settings)
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        http=Impatient,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
        limit_concurrency=settings.limits.followers + _OTHERS,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    server = uvicorn.Server(config)
    try:
        server.run()
    except SystemExit as e:
        # uvicorn's way to say that the address is taken; it has logged why.
        raise MachineError(f"{settings.host}:{settings.port} cannot be listened on; choose another --port") from e
