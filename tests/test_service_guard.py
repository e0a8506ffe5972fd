"""Who may ask the service: tokens, names, other sites' pages, long bodies, and what every answer carries."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient
from services import free_port, settings
from whole_runs import until

from console import exits
from console.web import admission, guard, serving
from console.web.app import create_app
from console.web.settings import Limits, Settings
from generator.errors import OpenloopError

TOKEN = "correct-horse-battery-staple"
OURS = {"host": "127.0.0.1:8765"}


def of(**given: Any) -> Settings:
    return Settings(runs_dir=Path("runs"), **given)


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8765", True),
        ("localhost", True),
        ("[::1]:8765", True),
        ("LOCALHOST:1", True),
        ("bench.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:8765", False),
        ("10.0.0.5", False),
        ("evil.example@127.0.0.1", False),
        ("127.0.0.1/evil", False),
        ("", False),
        ("[::1", False),
    ],
)
def test_only_our_names_are_answered(host: str, known: bool) -> None:
    """A page whose name was rebound to the loopback sends its own name, and is refused."""
    assert guard.host_known(host, of()) is known


def test_names_of_a_service_that_others_reach() -> None:
    """Its address, names that were allowed, any IP address, for rebinding needs a name; no other name."""
    reached = of(host="0.0.0.0", token=TOKEN, allow_hosts=("bench.example",))
    for host, known in (("10.0.0.5:8765", True), ("Bench.Example", True), ("[fd00::1]", True), ("evil.example", False)):
        assert guard.host_known(host, reached) is known, host


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, None),
        ("GET", {"sec-fetch-site": "cross-site"}, None),  # a link is followed; nothing changes by it
        ("POST", {}, None),  # no browser
        ("POST", {"origin": "http://127.0.0.1:8765", "sec-fetch-site": "same-origin"}, None),
        ("POST", {"origin": "http://evil.example"}, 403),
        ("POST", {"origin": "null"}, 403),
        ("POST", {"origin": "http://127.0.0.1:9999"}, 403),
        ("DELETE", {"sec-fetch-site": "cross-site"}, 403),
        ("POST", {"sec-fetch-site": "same-site"}, 403),
        ("PUT", {"origin": "http://127.0.0.1:8765.evil.example"}, 403),
    ],
)
def test_other_sites_change_nothing(method: str, headers: dict[str, str], status: int | None) -> None:
    """What changes something comes from our own pages or from no browser."""
    found = guard.refused(method, "/benchmarks", OURS | headers, of())
    assert (found.status if found else None) == status


@pytest.mark.parametrize(
    ("headers", "let_in"),
    [
        ({}, False),
        ({"authorization": f"Bearer {TOKEN}"}, True),
        ({"authorization": f"bearer  {TOKEN} "}, True),
        ({"authorization": f"Basic {TOKEN}"}, False),
        ({"authorization": f"Bearer {TOKEN}x"}, False),
        ({"authorization": "Bearer "}, False),
        ({"authorization": "Bearer \udcff"}, False),
        ({"cookie": f"openloop={guard.cookie_of(TOKEN)}"}, True),
        ({"cookie": f"openloop={TOKEN}"}, False),
        ({"cookie": "openloop="}, False),
        ({"cookie": "a=\x00; openloop"}, False),
    ],
)
def test_a_token_is_shown_or_nothing_is(headers: dict[str, str], let_in: bool) -> None:
    """By a bearer or by the cookie that stands for it; health and the login page need none."""
    wanted = of(host="0.0.0.0", token=TOKEN)
    found = guard.refused("GET", "/benchmarks", OURS | headers, wanted)
    assert (found is None) is let_in
    for path in ("/health", "/login", "/ui/login", "/ui/static/dashboard.css"):
        assert guard.refused("GET", path, OURS, wanted) is None
    for path in ("/health/../benchmarks", "/docs", "/openapi.json", "/metrics", "/"):
        assert guard.refused("GET", path, OURS, wanted) is not None


def test_where_a_token_is_needed(tmp_path: Path) -> None:
    """Loopback may go without; beyond it one is made where none is given; a short or an empty one is refused."""
    assert serving.token(True, None, {}) == (None, False)
    made, fresh = serving.token(False, None, {})
    assert fresh
    assert made is not None
    assert len(made) >= 32
    assert serving.token(False, None, {"OPENLOOP_TOKEN": f" {TOKEN}\n"}) == (TOKEN, False)
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    assert serving.token(True, file, {}) == (TOKEN, False)
    file.write_text("\n")
    for given in ((True, file, {}), (True, tmp_path / "none", {}), (True, None, {"OPENLOOP_TOKEN": "short"})):
        with pytest.raises(OpenloopError):
            serving.token(*given)


@pytest.mark.parametrize(
    "given",
    [
        {"allow_targets": ("http://a.example",)},
        {"allow_targets": ("a.example:8000/v1",)},
        {"allow_targets": ("a.example:80000",)},
        {"allow_targets": ("*.a.example",)},
        {"allow_hosts": ("https://bench.example",)},
        {"allow_hosts": ("bench.example:8443",)},
        {"allow_hosts": ("*.bench.example",)},
        {"allow_hosts": ("[::1]",)},
        {"allow_hosts": ("",)},
        {"allow_hosts": ("bücher.example",)},
        {"webhook_hosts": ("https://ci.example/hook",)},
        {"webhook_hosts": ("ci.example:0",)},
        {"webhook_hosts": ("*.ci.example",)},
        {"webhook_hosts": ("ci..example",)},
        {"webhook_hosts": ("[::1",)},
        {"allow_env": ("A-B",)},
        {"allow_env": ("A@http://x",)},
        {"data_dir": Path("/nonexistent/folder")},
    ],
)
def test_what_the_service_is_told_wrong_is_said_at_the_start(given: dict[str, Any]) -> None:
    """A list that would never match anything is an error, not a surprise: it names the option and what would be right."""
    with pytest.raises(OpenloopError, match=r"^--[a-z-]+ .*: ") as wrong:
        serving.check(of(**given))
    assert wrong.value.exit_code == exits.WRONG
    assert "data_dir" in given or "such as" in str(wrong.value)


def test_what_the_service_is_told_right_is_taken() -> None:
    """Names, addresses, ports where they count; each matches what a visitor then names."""
    told = of(
        allow_hosts=("bench.example", "10.0.0.5", "::1", "BENCH_2"),
        allow_targets=("api.openai.com", "10.0.0.5:8000", "[fd00::1]:8000"),
        webhook_hosts=("ci.example:8443", "localhost"),
        allow_env=("A", "A@gateway.example"),
    )
    serving.check(told)
    assert guard.host_known("bench_2:8765", told)
    assert admission.host_allowed("https://ci.example:8443/hook", told.webhook_hosts)
    assert admission.host_allowed("http://[fd00::1]:8000/v1", told.allow_targets)


def test_every_answer_is_dressed(tmp_path: Path) -> None:
    """Whatever the path and status: no scripts but ours, no frames, no sniffing, no caching."""
    with TestClient(create_app(settings(tmp_path)), base_url="http://127.0.0.1", follow_redirects=False) as c:
        for path in ("/health", "/docs", "/nowhere", "/benchmarks", "/benchmarks/nobody", "/scenarios"):
            headers = c.get(path).headers
            assert "script-src 'self';" in headers["content-security-policy"], path
            assert "unsafe-inline" not in headers["content-security-policy"]
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
        assert "cache-control" in c.get("/benchmarks").headers
        refused = c.get("/benchmarks", headers={"host": "evil.example"})
        assert refused.status_code == 400
        assert refused.headers["x-frame-options"] == "DENY"


def test_bodies_have_an_end(tmp_path: Path) -> None:
    """A body above the limit is 413, whether it says its length or not."""
    small = settings(tmp_path, limits=Limits(body_bytes=1000))
    with TestClient(create_app(small), base_url="http://127.0.0.1") as c:
        assert c.post("/benchmarks", content=b"x" * 1001).status_code == 413
        assert c.post("/benchmarks", content=iter([b"x" * 600] * 2)).status_code == 413
        assert c.post("/benchmarks", content=b"x" * 900).status_code == 422


def test_logging_in(tmp_path: Path) -> None:
    """A wrong token is told so; the right one gives a cookie that scripts and other sites cannot use, and that opens everything."""
    wanted = settings(tmp_path, host="0.0.0.0", token=TOKEN)
    with TestClient(create_app(wanted), base_url="http://127.0.0.1", follow_redirects=False) as c:
        assert c.get("/benchmarks").status_code == 401
        page = c.get("/", headers={"accept": "text/html"})
        assert (page.status_code, page.headers["location"]) == (303, "/ui/login")
        assert c.post("/login", data={"token": "wrong"}).status_code == 401
        page = c.post("/login", data={"token": "wrong"}, headers={"accept": "text/html"})
        assert page.headers["location"] == "/ui/login?wrong=1"
        right = c.post("/login", data={"token": TOKEN})
        cookie = right.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert TOKEN not in cookie
        assert c.get("/benchmarks").status_code == 200
        assert c.post("/logout").status_code == 303
        assert c.get("/benchmarks").status_code == 401


def test_the_cookie_stays_inside_tls(tmp_path: Path) -> None:
    """Behind a proxy that ends TLS the cookie is Secure; on plain HTTP it could not come back if it were."""
    with TestClient(
        create_app(settings(tmp_path, token=TOKEN)), base_url="http://127.0.0.1", follow_redirects=False
    ) as c:
        plain = c.post("/login", data={"token": TOKEN}).headers["set-cookie"]
        proxied = c.post("/login", data={"token": TOKEN}, headers={"x-forwarded-proto": "https"}).headers["set-cookie"]
    assert ("Secure" in plain, "Secure" in proxied) == (False, True)
    assert "HttpOnly" in proxied


def test_connections_have_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for every follower and for those who ask, and descriptors left for the queue and the database."""
    seen: list[uvicorn.Config] = []

    class Server:
        def __init__(self, config: uvicorn.Config) -> None:
            seen.append(config)

        def run(self) -> None:
            pass

    monkeypatch.setattr(serving.uvicorn, "Server", Server)
    told = settings(tmp_path)
    serving.serve(told)
    most = seen[0].limit_concurrency
    assert most is not None
    assert told.limits.followers + 100 < most < 1024 - 100, "1024 descriptors are what a process usually has"


def test_faults_are_dressed_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw is answered outside of all layers of the application but the guard."""
    app = create_app(settings(tmp_path))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as c:

        def broken(*_: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(app.state.service, "list", broken)
        answer = c.get("/benchmarks")
    assert (answer.status_code, answer.json()["errors"]) == (500, [])
    assert {name: answer.headers[name] for name in guard.HEADERS} == guard.HEADERS


@pytest.mark.parametrize("said", [b"", b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"G"])
def test_who_says_nothing_is_hung_up_on(tmp_path: Path, said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent connections end, those that begin a request and leave it at that, and those that do so after a request that was answered."""
    monkeypatch.setattr(serving, "_REQUEST_S", 0.3)
    with listened(settings(tmp_path)) as port:
        for begun in (b"", b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port), 30) as there:
                if begun:
                    there.sendall(begun)
                    answer = b""
                    while b'"status":"ok"' not in answer:
                        answer += there.recv(10_000)
                there.sendall(said)
                with contextlib.suppress(ConnectionResetError):
                    assert there.recv(1) == b""


@contextlib.contextmanager
def listened(of: Settings) -> Iterator[int]:
    """The port of a server as ``openloop serve`` starts it, in a thread."""
    servers: list[uvicorn.Server] = []

    class Server(uvicorn.Server):
        def __init__(self, config: uvicorn.Config) -> None:
            super().__init__(config)
            servers.append(self)

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # those are the tests' own

    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving.uvicorn, "Server", Server)
        thread = threading.Thread(target=serving.serve, args=[replace(of, port=port)])
        thread.start()
        try:
            until(lambda: servers and servers[0].started, "the service's start")
            yield port
        finally:
            servers[0].should_exit = True
            thread.join()
