"""Tells an address that a benchmark is over: a signed JSON post, tried again with growing pauses, to allowed hosts alone.

What is still to be told is in the database, so a restart forgets nothing. The address is resolved once, each address that came back is
checked against private networks, and the connection goes to the very address that was checked: a name that resolves to another one a moment
later gains nothing. Redirects are not followed.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import ipaddress
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import orjson

from console.web.admission import host_allowed
from console.web.catalogue.deliveries import Deliveries
from console.web.catalogue.tables import DeliveryRow
from console.web.settings import Settings
from console.web.shapes import Benchmark
from generator.errors import OpenloopError, ScenarioError

PAUSES_S = (1.0, 10.0, 60.0, 600.0, 3600.0)
"""Before the second attempt and those after it; then it is given up."""

SIGNATURE = "X-Openloop-Signature"
STAMP = "X-Openloop-Timestamp"

_TIMEOUT_S = 10.0
"""Between two signs of life."""

_WHOLE_S = 30.0
"""For all of a delivery: one that answers a byte at a time must not keep the others from being told."""

_LOOK_S = 1.0

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.IPv6Network("::/96")

log = logging.getLogger(__name__)


class _UntoldError(OpenloopError):
    """The other side could not be told; ``status`` where it answered."""

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


def check(url: str | None, settings: Settings) -> None:
    """Raises ScenarioError where nobody allowed this address to be told."""
    if url is None:
        return
    if not settings.webhook_hosts:
        raise ScenarioError(
            "webhook: this service tells nobody; whoever runs it allows a host with --allow-webhook HOST"
        )
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and parts.username is None
    except ValueError:
        good = False
    if not good or not url.isascii() or any(c.isspace() or not c.isprintable() for c in url):
        raise ScenarioError(
            "webhook: a URL such as https://example.com/hook is wanted, in ASCII (a path percent-encoded), without a user name"
        )
    if not host_allowed(url, settings.webhook_hosts):
        raise ScenarioError(f"webhook: {parts.hostname} may not be told; allowed: {', '.join(settings.webhook_hosts)}")


def signature(secret: str, stamp: str, body: bytes) -> str:
    """``sha256=`` and the HMAC of ``<stamp>.<body>``: the stamp is part of it, so that an old post cannot be sent again."""
    return "sha256=" + hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class Webhooks:
    """One thread; ``benchmark`` gives what to tell of an id, None where it is gone."""

    def __init__(self, settings: Settings, log_of: Deliveries, benchmark: Callable[[str], Benchmark | None]) -> None:
        self._settings = settings
        self._deliveries = log_of
        self._benchmark = benchmark
        self._wake = threading.Event()
        self._left = False
        self._thread = threading.Thread(target=self._work, name="webhooks", daemon=True)

    def start(self) -> None:
        for benchmark_id, url in self._deliveries.forgotten():
            self.tell(benchmark_id, url)
        self._thread.start()

    def close(self) -> None:
        self._left = True
        self._wake.set()

    def tell(self, benchmark_id: str, url: str) -> None:
        self._deliveries.plan(benchmark_id, url, 1, _now_ms())
        self._wake.set()

    def _work(self) -> None:
        while not self._left:
            try:
                for row in self._deliveries.due(_now_ms()):
                    self._deliver(row)
            except Exception:
                # A database that is away for a moment must not end this thread.
                log.exception("webhooks stumbled")
            self._wake.wait(_LOOK_S)
            self._wake.clear()

    def _deliver(self, row: DeliveryRow) -> None:
        found = self._benchmark(row.benchmark_id)
        if found is None:
            return
        status: int | None = None
        error: str | None = None
        try:
            check(row.url, self._settings)  # what is allowed may have changed since
            status = self._post(row.url, found)
        except _UntoldError as e:
            status, error = e.status, str(e)
        except OpenloopError as e:
            error = str(e)
        now_ms, again_ms = _now_ms(), None
        if error is not None and row.attempt <= len(PAUSES_S):
            again_ms = now_ms + int(PAUSES_S[row.attempt - 1] * 1000)
        self._deliveries.made(row, now_ms, status, error, again_ms)

    def _post(self, url: str, found: Benchmark) -> int:
        body = orjson.dumps({"event": f"benchmark.{found.state}", "benchmark": found.model_dump(mode="json")})
        stamp = str(int(time.time()))
        headers = {"Content-Type": "application/json", "User-Agent": "openloop", STAMP: stamp}
        if self._settings.webhook_secret is not None:
            headers[SIGNATURE] = signature(self._settings.webhook_secret, stamp, body)
        return post(url, body, headers, private=self._settings.webhook_private)


def post(url: str, body: bytes, headers: dict[str, str], *, private: bool) -> int:
    """The status of the answer, which is 2xx. Raises _UntoldError for any other, and where nobody answered."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    end = threading.Timer(_WHOLE_S, _hang_up, [connection])
    end.daemon = True
    end.start()
    try:
        plain = socket.create_connection((_address(host, port, private=private), port), _TIMEOUT_S)
        connection.sock = plain
        if secure:
            secured = ssl.create_default_context().wrap_socket(
                plain, server_hostname=host, do_handshake_on_connect=False
            )
            connection.sock = secured  # before the handshake, which may take too long as well
            secured.do_handshake()
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        # The port is in the Host header where it is not the scheme's own, as a browser has it.
        named = f"[{host}]" if ":" in host else host
        usual = port == (443 if secure else 80)
        connection.request("POST", path, body, {"Host": named if usual else f"{named}:{port}", **headers})
        status = connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as e:
        # ValueError: what no name or request line can hold. One that cannot be told must not keep the others from being told.
        raise _UntoldError(f"{type(e).__name__}: {e}"[:500]) from e
    finally:
        end.cancel()
        connection.close()
    if not 200 <= status < 300:
        raise _UntoldError(f"it answered {status}", status)
    return status


def _hang_up(connection: http.client.HTTPConnection) -> None:
    """Whoever reads from it finds its end."""
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


def _address(host: str, port: int, *, private: bool) -> str:
    """The address to connect to. Raises _UntoldError where the name leads into a private network and may not."""
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    inside = [address for address in found if not _is_public(address)]
    if inside and not private:
        raise _UntoldError(f"{host} is {inside[0]}, which is in no public network")
    return found[0]


def _is_public(address: str) -> bool:
    """Whether it leads into the public network. IPv6 has several ways to write an address of IPv4, behind which a gateway may stand; then
    the address inside counts.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        return found.is_global
    if found.is_site_local or found in _LOCAL_NAT64:
        return False
    if found in _NAT64 or found in _COMPATIBLE:
        return ipaddress.IPv4Address(found.packed[-4:]).is_global
    if found.ipv4_mapped is not None:
        return found.ipv4_mapped.is_global
    inner = [found.sixtofour, *(found.teredo or ())]
    return found.is_global and all(address is None or address.is_global for address in inner)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
