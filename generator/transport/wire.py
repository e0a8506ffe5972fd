"""A request as HTTP/1.1 bytes: the head that all requests to a target share is made once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, quote, urlsplit

from generator.apis.api import Api, Encoded
from generator.errors import ScenarioError
from generator.job import Target

USER_AGENT = "openloop"

HEADS = 1024
"""Most request heads that are remembered."""

NO_BODY = ("GET", "DELETE")
"""Methods whose requests say nothing of a body where they have none (RFC 9110, 8.6)."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_PATH_CHARS = "/%:@!$&'()*+,;=~-._"


def split_url(target: Target) -> SplitResult:
    """The base URL, checked. Raises ScenarioError for anything but http(s)://host[:port][/path]."""
    try:
        parts = urlsplit(target.url)
        port = parts.port
    except ValueError as e:
        raise ScenarioError(f"target {target.name!r}: url {target.url!r}: {e}") from e
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ScenarioError(f"target {target.name!r}: url {target.url!r}: wanted http(s)://host[:port][/path]")
    return parts


def port_of(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def fixed_headers(target: Target, api: Api, keep_alive: bool) -> list[tuple[str, str]]:
    """Headers that every request to ``target`` carries, later ones replacing earlier ones of the same name."""
    parts = split_url(target)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port is not None:
        host = f"{host}:{parts.port}"
    wanted = [
        ("Host", host),
        ("User-Agent", USER_AGENT),
        ("Accept-Encoding", "gzip, deflate" if target.gzip else "identity"),
        ("Connection", "keep-alive" if keep_alive else "close"),
    ]
    if target.api_key:
        wanted.append(_auth(target, api))
    wanted.extend(target.headers.items())
    own = {"content-length", "transfer-encoding", (target.request_id_header or "").lower()}
    for name, value in wanted:
        where = f"target {target.name!r}: header {name!r}"
        if name.lower() in own:
            raise ScenarioError(
                f"{where}: every request carries its own; leave it out (request_id_header names another)"
            )
        if not _TOKEN.match(name):
            raise ScenarioError(f"{where}: is no name of a header")
        if any(c in "\r\n\0" or ord(c) > 255 for c in value):
            # The value may be a secret, so it is not shown.
            raise ScenarioError(f"{where}: its value holds a line break or a character that no header can carry")
    return list({name.lower(): (name, value) for name, value in wanted}.values())


def _auth(target: Target, api: Api) -> tuple[str, str]:
    """The header that carries the key: the API's own, or the one that the target names; ``authorization`` says Bearer before it."""
    key = target.api_key or ""
    if target.auth_header is None:
        return api.auth(key)
    return target.auth_header, f"Bearer {key}" if target.auth_header.lower() == "authorization" else key


def head_lines(headers: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1")


class Wire:
    """``bytes_for(encoded, request_id)``: one write's worth, head and body together."""

    def __init__(self, target: Target, api: Api, run_id: str, keep_alive: bool) -> None:
        parts = split_url(target)
        self._base = quote(parts.path.rstrip("/"), safe=_PATH_CHARS)
        self._query = quote(parts.query, safe=_PATH_CHARS + "?")
        self._fixed = fixed_headers(target, api, keep_alive)
        self._taken = {name.lower() for name, _ in self._fixed}
        self._heads: dict[tuple[str, str, tuple[tuple[str, str], ...]], bytes] = {}
        name = target.request_id_header
        self._id_prefix = f"{name}: {run_id}-".encode("latin-1") if name else b""

    def path_of(self, encoded: Encoded) -> str:
        """The base's path, the API's, and the queries of both (Azure wants its ``api-version`` with the base)."""
        path, _, query = encoded.path.partition("?")
        queries = "&".join(part for part in (query, self._query) if part)
        return (self._base + path or "/") + (f"?{queries}" if queries else "")

    def bytes_for(self, encoded: Encoded, request_id: int) -> bytes:
        key = (encoded.method, encoded.path, encoded.headers)
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= HEADS:
                self._heads.clear()  # paths that hold a record's fields are all unlike
            own = [(n, v) for n, v in encoded.headers if n.lower() not in self._taken]
            first = f"{encoded.method} {self.path_of(encoded)} HTTP/1.1\r\n".encode("latin-1")
            head = self._heads[key] = first + head_lines(self._fixed) + head_lines(own)
        mark = b"%s%d\r\n" % (self._id_prefix, request_id) if self._id_prefix else b""
        if not encoded.body and encoded.method in NO_BODY:
            return b"%s%s\r\n" % (head, mark)
        return b"%s%sContent-Length: %d\r\n\r\n%s" % (head, mark, len(encoded.body), encoded.body)
