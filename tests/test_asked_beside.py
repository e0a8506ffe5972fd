"""What asks a target beside the load, its tokenizer and its metrics, speaks to it as requests do: key, headers, name under TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from answering import Answer, Asked, answering
from certificates import self_signed
from plans import target

from generator.errors import ScenarioError, TargetError
from generator.job import Metrics, Tls
from generator.recording.request_row import Redactor
from generator.scraping.scraper import Source
from generator.workload import tokenizer


@contextmanager
def asked(served: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[Asked]]]:
    """The URL of a target that tells token ids and metrics, and what it was asked."""
    found: list[Asked] = []

    def answer(request: Asked) -> Answer:
        found.append(request)
        return 200, {}, b'{"tokens": [3, 5]}' if request.path == "/tokenize" else b"g 1\n"

    with answering(answer, served) as url:
        yield url, found


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"api_key": "k"}, {"authorization": "Bearer k"}),
        ({"api_key": "k", "auth_header": "api-key"}, {"api-key": "k", "authorization": None}),
        ({"api_key": "k", "auth_header": "Authorization"}, {"authorization": "Bearer k"}),
        ({"api_key": "k", "headers": {"Authorization": "mine"}}, {"authorization": "mine"}),
        ({"headers": {"Host": "inner.test"}}, {"host": "inner.test", "authorization": None}),
        ({"gzip": True}, {"accept-encoding": "identity", "content-type": "application/json"}),
    ],
)
def test_the_tokenizer_gets_the_headers_of_requests(fields: dict[str, Any], sent: dict[str, str | None]) -> None:
    """The key in the header that the target names, each header once; compression, which nothing here undoes, is not asked for."""
    with asked() as (url, found):
        assert tokenizer.endpoint(target(url=f"{url}/v1", **fields))("one three") == [3, 5]
    headers = {name.lower(): value for name, value in found[0].headers.items()}
    assert {name: headers.get(name) for name in sent} == sent


def test_a_header_that_no_request_could_carry() -> None:
    """As the scenario's fault, before anything is asked."""
    with pytest.raises(ScenarioError, match="header 'x-team'"):
        tokenizer.endpoint(target(url="http://127.0.0.1:9/v1", headers={"x-team": "a\nb"}))


@pytest.mark.parametrize(("server_name", "answers"), [(None, False), ("127.0.0.1", True), ("else.test", False)])
def test_the_name_under_tls(certificate: tuple[Path, Path], server_name: str | None, answers: bool) -> None:
    """``tls.server_name`` is verified in place of the URL's host by whatever asks that host."""
    cert, key = certificate
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(cert, key)

    async def scraped(source: Source) -> int:
        async with source.session() as session:
            return len(await source.rows(session))

    with asked(served) as (address, _):
        url = address.replace("127.0.0.1", "localhost")
        there = target(url=f"{url}/v1", tls=Tls(ca=str(cert), server_name=server_name), metrics=Metrics())
        if answers:
            assert tokenizer.endpoint(there)("one three") == [3, 5]
        else:
            with pytest.raises(TargetError, match="certificate"):
                tokenizer.endpoint(there)("one three")
        assert asyncio.run(scraped(Source(there, "r", Redactor([])))) == answers


def test_another_host_has_a_name_of_its_own(certificate: tuple[Path, Path]) -> None:
    """``metrics: URL`` elsewhere is verified by that URL's host, whatever the target is called."""
    cert, key = certificate
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(cert, key)

    async def scraped(source: Source) -> int:
        async with source.session() as session:
            return len(await source.rows(session))

    with asked(served) as (url, _):
        secure = Tls(ca=str(cert), server_name="else.test")
        there = target(url="https://else.test/v1", tls=secure, metrics=Metrics(url=f"{url}/metrics"))
        assert asyncio.run(scraped(Source(there, "r", Redactor([])))) == 1
