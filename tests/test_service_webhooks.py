"""Webhooks: who may be told, what they are told, how it is signed, and what happens when they do not listen."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from answering import Answer, Asked, answering
from services import settings
from whole_runs import until

from console.web import webhooks
from console.web.catalogue.tables import BenchmarkRow
from console.web.service import Service
from console.web.states import State
from generator.errors import OpenloopError, ScenarioError

SECRET = "of both sides"


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(webhooks, "PAUSES_S", (0.05, 0.05))
    found = Service(settings(tmp_path, webhook_hosts=("127.0.0.1",), webhook_private=True, webhook_secret=SECRET))
    found.start()
    yield found
    found.close()


def told(service: Service, url: str) -> None:
    service.store.add(
        BenchmarkRow(id="done", name="n", state=State.COMPLETED, origin="api", created_ms=1, webhook=url, figured=True)
    )
    service._over("done")


def test_the_other_side_can_check_what_it_is_told(service: Service) -> None:
    """JSON with the event and the benchmark; the signature is of stamp and body; one attempt is in the log."""
    asked: list[Asked] = []

    def answer(request: Asked) -> Answer:
        asked.append(request)
        return 204, {}, b""

    with answering(answer) as url:
        told(service, f"{url}/hook?x=1")
        until(lambda: service.delivered("done") and service.delivered("done")[0].made, "the delivery")
    (request,) = asked
    headers = {name.lower(): value for name, value in dict(request.headers).items()}
    body = json.loads(request.body)
    assert (request.path, body["event"], body["benchmark"]["id"]) == ("/hook?x=1", "benchmark.completed", "done")
    stamp = headers["x-openloop-timestamp"]
    assert abs(int(stamp) - time.time()) < 60
    assert headers["x-openloop-signature"] == webhooks.signature(SECRET, stamp, request.body)
    (log,) = service.delivered("done")
    assert (log.attempt, log.http_status, log.error) == (1, 204, None)


def test_it_is_tried_again_and_then_given_up(service: Service) -> None:
    """As often as there are pauses, and once; each attempt is in the log with what went wrong."""
    count = []

    def answer(_: Asked) -> Answer:
        count.append(1)
        return 500, {}, b""

    with answering(answer) as url:
        told(service, url)
        until(lambda: len(service.delivered("done")) == 3 and service.delivered("done")[-1].made, "the last attempt")
        time.sleep(0.3)
    assert len(count) == 3
    assert [(d.attempt, d.http_status, d.error) for d in service.delivered("done")] == [
        (n, 500, "it answered 500") for n in (1, 2, 3)
    ]


def test_a_redirect_is_not_followed(service: Service) -> None:
    """Else an allowed host could send us anywhere."""
    paths: list[str] = []

    def answer(request: Asked) -> Answer:
        paths.append(request.path)
        return 307, {"Location": "/elsewhere"}, b""

    with answering(answer) as url:
        told(service, f"{url}/hook")
        until(lambda: len(service.delivered("done")) == 3, "the attempts")
    assert set(paths) == {"/hook"}


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example/hook",
        "http://127.0.0.1.evil.example/",
        "http://user:word@127.0.0.1/",
        "ftp://127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/hök",
        "http://127.0.0.1/a\r\nX: y",
        "//127.0.0.1/",
        "",
    ],
)
def test_only_allowed_hosts_are_told(service: Service, url: str) -> None:
    """Refused when it is submitted, not found out later."""
    with pytest.raises(ScenarioError, match="webhook"):
        webhooks.check(url, service.settings)


def test_a_service_that_tells_nobody_says_so(service: Service) -> None:
    """Without an allowed host every webhook is refused."""
    with pytest.raises(ScenarioError, match="--allow-webhook"):
        webhooks.check("http://127.0.0.1/", replace(service.settings, webhook_hosts=()))


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "169.254.169.254", "::1", "fd00::1", "0.0.0.0", "100.64.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1", "::127.0.0.1", "::ffff:10.0.0.1", "2001:0:7f00:1::1", "fec0::1", "fe80::1%eth0"])  # fmt: skip
def test_names_that_lead_inside_are_not_followed(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public name that resolves to a private address, wholly or in part, is not connected to."""

    def resolved(*_: Any, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", ("93.184.216.34", 80)), (0, 0, 0, "", (address, 80))]

    monkeypatch.setattr(webhooks.socket, "getaddrinfo", resolved)
    monkeypatch.setattr(webhooks.socket, "create_connection", lambda *_: pytest.fail("connected"))
    with pytest.raises(OpenloopError, match="no public network"):
        webhooks.post("http://public.example/", b"{}", {}, private=False)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "64:ff9b::5db8:d822", "2002:5db8:d822::1"])
def test_public_addresses_are_followed(address: str) -> None:
    """Those of IPv4 that a network of IPv6 alone reaches through its gateway are public as well."""
    assert webhooks._is_public(address)


def test_what_a_crash_left_untold_is_told(service: Service) -> None:
    """A benchmark that was over before its webhook was planned is found at the next start, once."""
    row = BenchmarkRow(
        id="cut", name="n", state=State.INTERRUPTED, origin="api", created_ms=1, webhook="http://a", figured=True
    )
    service.store.add(row)
    assert service.deliveries.forgotten() == [("cut", "http://a")]
    service.deliveries.plan("cut", "http://a", 1, 2**60)
    assert service.deliveries.forgotten() == []


def test_one_that_cannot_be_told_keeps_nobody_waiting(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL that no request line can hold fails as any other does, in the log and not for ever at the head of the line."""
    monkeypatch.setattr(webhooks, "check", lambda *_: None)
    with answering(lambda _: (204, {}, b"")) as url:
        told(service, f"{url}/h\u00f6k")
        until(lambda: len(service.delivered("done")) == 3 and service.delivered("done")[-1].made, "the last attempt")
    assert all("UnicodeEncodeError" in str(d.error) for d in service.delivered("done"))
    assert service.deliveries.due(2**50) == []


def test_one_that_answers_for_ever_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte in time, but never all of them: the delivery ends all the same, as one that was not told."""
    monkeypatch.setattr(webhooks, "_WHOLE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            there, _ = listening.accept()
            with there, contextlib.suppress(OSError):
                while True:
                    there.sendall(b"H")
                    time.sleep(0.02)

        threading.Thread(target=drip, daemon=True).start()
        with pytest.raises(OpenloopError):
            webhooks.post(f"http://127.0.0.1:{listening.getsockname()[1]}/", b"{}", {}, private=True)
