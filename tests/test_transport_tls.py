"""TLS over both real transports, and proxies, which only the aiohttp transport speaks to."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from certificates import self_signed
from wiring import KINDS, Visit, at, opened, run, target, whole

from generator.errors import ScenarioError
from generator.job import Tls
from generator.transport.aiohttp import proxy_for


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate of 127.0.0.1 and its key."""
    return self_signed(tmp_path_factory.mktemp("tls"))


@KINDS
@pytest.mark.parametrize("how", ["refused", "ca", "unverified"])
def test_tls(kind: str, how: str, certificate: tuple[Path, Path]) -> None:
    """An unknown certificate is refused by default; a CA that knows it, or verify off, lets it pass."""
    cert, key = certificate
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(cert, key)
    tls = {"refused": Tls(), "ca": Tls(ca=str(cert)), "unverified": Tls(verify=False)}[how]

    async def work() -> None:
        async with target(whole, served) as (port, _):
            there = replace(at(port, tls=tls), url=f"https://127.0.0.1:{port}/v1")
            async with opened(kind, there) as wiring:
                for n in (1, 2):
                    wiring.transport.send(wiring.stream(there, n))
                    await wiring.until_closed(n)
            outcomes = [outcome for _, outcome in wiring.closed]
            if how == "refused":
                assert outcomes == ["connect_error"] * 2
                assert wiring.closed[0][0].failure.error_type == "tls"
                assert "self-signed" in wiring.closed[0][0].failure.error_message
            else:
                assert outcomes == ["ok"] * 2
                assert wiring.closed[1][0].connected_ns is None

    run(work())


def test_a_proxy_gets_the_request() -> None:
    """With ``proxy`` the request goes there, naming the target in full; the target's name need not resolve here."""

    async def work() -> None:
        async with target(whole) as (port, visits):
            there = at(1, url="http://behind.invalid/v1", proxy=f"http://127.0.0.1:{port}")
            async with opened("aiohttp", there) as wiring:
                wiring.transport.send(wiring.stream(there))
                await wiring.until_closed(1)
            assert wiring.closed[0][1] == "ok"
            assert visits[0].line == "POST http://behind.invalid/v1/chat/completions HTTP/1.1"

    run(work())


def test_a_proxy_that_refuses() -> None:
    """A tunnel that is not granted is a connect_error of the proxy, not of the target."""

    async def play(visit: Visit) -> None:
        await visit.answer(b"no", "407 Proxy Authentication Required")

    async def work() -> None:
        async with target(play) as (port, _):
            there = at(1, url="https://behind.invalid/v1", proxy=f"http://127.0.0.1:{port}")
            async with opened("aiohttp", there) as wiring:
                wiring.transport.send(wiring.stream(there))
                await wiring.until_closed(1)
            stream, outcome = wiring.closed[0]
            assert (outcome, stream.failure.error_type) == ("connect_error", "proxy")

    run(work())


def test_where_a_proxy_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scenario, else the environment, unless NO_PROXY names the host; kinds that are not spoken are told."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    there = at(1, url="https://api.example/v1")
    assert proxy_for(there) is None
    monkeypatch.setenv("https_proxy", "http://out:3128")
    assert proxy_for(there) == "http://out:3128"
    assert proxy_for(replace(there, proxy="http://mine:1")) == "http://mine:1"
    monkeypatch.setenv("no_proxy", "api.example")
    assert proxy_for(there) is None
    with pytest.raises(ScenarioError, match="socks5"):
        proxy_for(replace(there, proxy="socks5://mine:1"))
