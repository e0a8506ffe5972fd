"""Whose tokenizer counts: a ``tokenizer.json`` on this machine, or the target's own, asked by ``/tokenize``."""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson

from generator.apis import table
from generator.apis.fields import parse
from generator.errors import ScenarioError, TargetError
from generator.job import TOKENIZER_ENDPOINT, Target
from generator.transport.tls import context
from generator.transport.wire import fixed_headers, port_of

TIMEOUT_S = 30.0

Tokenize = Callable[[str], list[int]]
"""Text → token ids, without the marks that a model's template adds."""


def of_target(target: Target) -> Tokenize | None:
    """Secrets in ``target`` are resolved already. None where it names no tokenizer. Raises ScenarioError."""
    if target.tokenizer is None:
        return None
    return endpoint(target) if target.tokenizer == TOKENIZER_ENDPOINT else local(Path(target.tokenizer))


def local(path: Path) -> Tokenize:
    """Raises ScenarioError where the file cannot be used, or the library is not installed."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads would only take the workers' processors
    try:
        # Late, and an optional extra: only who asks for exact lengths needs it.
        from tokenizers import Tokenizer
    except ImportError:
        raise ScenarioError(
            "target.tokenizer: a tokenizer.json is read by the library tokenizers: pip install 'openloop[tokenizer]'"
        ) from None
    if not path.is_file():
        raise ScenarioError(f"target.tokenizer: {path}: no such file")
    try:
        made = Tokenizer.from_file(str(path))
    except Exception as e:  # noqa: BLE001 - the library raises nothing narrower
        raise ScenarioError(f"target.tokenizer: {path}: no tokenizer.json that can be read: {e}") from None
    made.no_truncation()
    made.no_padding()
    return lambda text: list(made.encode(text, add_special_tokens=False).ids)


class _Secure(HTTPConnection):
    """HTTPS whose certificate is to carry ``name``; ``HTTPSConnection`` takes the address for it."""

    def __init__(self, host: str, port: int, name: str, tls: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=TIMEOUT_S)
        self._name = name
        self._tls = tls

    def connect(self) -> None:
        super().connect()
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)


def endpoint(target: Target) -> Tokenize:
    """The target's ``/tokenize``, beside its ``/v1``, as vLLM and SGLang (``prompt``) and llama.cpp (``content``) have it: each takes
    its own word of the one body and leaves the other's. It is asked with the headers of requests, and under TLS by the same name.
    Raises ScenarioError for headers or certificates that no request could be sent with; the call raises TargetError.
    """
    url = tokenize_url(target.url)
    parts = urlsplit(url)
    # Without gzip: what asks here reads answers as they come.
    own = fixed_headers(replace(target, gzip=False), table.make(target), keep_alive=False)
    headers = {"content-type": "application/json"} | {name.lower(): value for name, value in own}
    tls = context(target.tls) if parts.scheme == "https" else None

    def ask(text: str) -> list[int]:
        body = {
            "model": target.model,
            "prompt": text,
            "content": text,
            "add_special_tokens": False,
            "add_special": False,
        }
        host, port = parts.hostname or "", port_of(parts)
        connection = (
            HTTPConnection(host, port, timeout=TIMEOUT_S)
            if tls is None
            else _Secure(host, port, target.tls.server_name or host, tls)
        )
        try:
            with contextlib.closing(connection):
                connection.request("POST", parts.path, orjson.dumps(body), headers)
                answer = connection.getresponse()
                said = answer.read()
        except (OSError, HTTPException) as e:
            raise TargetError(f"{url}: the target's tokenizer cannot be asked: {e}") from None
        if answer.status != HTTPStatus.OK:
            raise TargetError(
                f"{url}: HTTP {answer.status}: {said[:200].decode(errors='replace')}; tokenizer: endpoint needs a target that has "
                "/tokenize"
            )
        ids = _ids(parse(said))
        if ids is None:
            raise TargetError(
                f"{url}: an answer with a list of tokens was expected, not {said[:80].decode(errors='replace')}"
            )
        return ids

    return ask


def tokenize_url(url: str) -> str:
    """``http://host/v1`` → ``http://host/tokenize``."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/").removesuffix("/v1") + "/tokenize", "", ""))


def _ids(answer: Any) -> list[int] | None:
    """``tokens``: numbers, or llama.cpp's objects with an ``id``; None for anything else."""
    tokens = answer.get("tokens") if isinstance(answer, dict) else None
    if not isinstance(tokens, list):
        return None
    ids = [token.get("id") if isinstance(token, dict) else token for token in tokens]
    return [i for i in ids if isinstance(i, int)] if all(isinstance(i, int) for i in ids) else None
