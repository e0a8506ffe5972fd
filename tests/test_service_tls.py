"""``openloop serve --tls-cert --tls-key``: https without a proxy, and what is said of files that cannot serve."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from certificates import self_signed
from services import client, free_port, served, settings

from console import exits
from console.cli import main
from console.web import guard, serving

TOKEN = "correct-horse-battery-staple"

Pair = tuple[Path, Path]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return self_signed(tmp_path_factory.mktemp("tls"))


def test_the_service_speaks_https(tmp_path: Path, pair: Pair) -> None:
    """Who knows the certificate logs in, gets a Secure cookie, and may change things from a page of ours; plain HTTP gets no answer."""
    cert, key = pair
    known = ssl.create_default_context(cafile=str(cert))
    options = ("--tls-cert", str(cert), "--tls-key", str(key))
    with served(tmp_path, *options, verify=known, OPENLOOP_TOKEN=TOKEN) as s:
        c = s.client
        assert s.url.startswith("https://")
        assert c.get("/benchmarks").status_code == 401
        cookie = c.post("/login", data={"token": TOKEN}, headers={"origin": s.url}).headers["set-cookie"]
        assert "Secure" in cookie
        assert "HttpOnly" in cookie
        assert c.get("/benchmarks").status_code == 200
        plan = {"scenario": "quick"}
        assert c.post("/plan", json=plan, headers={"origin": s.url}).status_code == 200
        assert c.post("/plan", json=plan, headers={"origin": s.url.replace("https", "http")}).status_code == 403
        port = int(s.url.rpartition(":")[2])
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/health", timeout=10)


def test_the_cookie_is_secure_and_pages_are_https(tmp_path: Path, pair: Pair) -> None:
    """Without a word of a proxy: the service knows by itself that it speaks TLS, and takes nothing from a page of plain HTTP."""
    of = settings(tmp_path, token=TOKEN, tls_cert=pair[0], tls_key=pair[1])
    with client(of) as c:
        assert "Secure" in c.post("/login", data={"token": TOKEN}).headers["set-cookie"]
    headers = {"host": "127.0.0.1:8765", "authorization": f"Bearer {TOKEN}"}
    for origin, status in (("https://127.0.0.1:8765", None), ("http://127.0.0.1:8765", 403)):
        found = guard.refused("POST", "/benchmarks", headers | {"origin": origin}, of)
        assert (found.status if found else None) == status


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--tls-cert CERT", "--tls-key"),
        ("--tls-key KEY", "--tls-cert"),
        ("--tls-cert NONE --tls-key KEY", "cannot be read: No such file"),
        ("--tls-cert CERT --tls-key NONE", "cannot be read: No such file"),
        ("--tls-cert CERT --tls-key OTHER", "the key is not the certificate's"),
        ("--tls-cert KEY --tls-key CERT", "PEM is wanted"),
        ("--tls-cert TEXT --tls-key KEY", "PEM is wanted"),
        ("--tls-cert CERT --tls-key LOCKED", "without a password"),
    ],
)
def test_files_that_cannot_serve_are_told_at_the_start(
    tmp_path: Path, pair: Pair, capsys: Any, words: str, said: str
) -> None:
    """Exit code 2, the option, the file and what is wanted; nobody is asked for a password, and nothing was begun."""
    _, other = self_signed(tmp_path, "other-")
    (tmp_path / "text.pem").write_text("hello\n")
    locked = tmp_path / "locked.pem"
    lock = ["openssl", "rsa", "-aes128", "-passout", "pass:word", "-in", str(pair[1]), "-out", str(locked)]
    subprocess.run(lock, check=True, capture_output=True)
    names = {"CERT": pair[0], "KEY": pair[1], "NONE": tmp_path / "none.pem", "OTHER": other, "LOCKED": locked}
    names["TEXT"] = tmp_path / "text.pem"
    given = [str(names.get(word, word)) for word in words.split()]
    runs = tmp_path / "runs"
    assert main(["serve", "--port", str(free_port()), "--runs-dir", str(runs), *given]) == exits.WRONG
    err = capsys.readouterr().err
    assert said in err
    assert "--tls-" in err
    assert not runs.exists()


def test_plain_http_beyond_loopback_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Whoever makes the service reachable without TLS reads what that means; with it, and on loopback, nothing is said."""
    monkeypatch.setattr(serving, "serve", lambda _: None)
    told = {}
    for host in ("0.0.0.0", "127.0.0.1"):
        main(["serve", "--host", host, "--runs-dir", str(tmp_path / "runs")])
        told[host] = "--tls-cert" in capsys.readouterr().err
    assert told == {"0.0.0.0": True, "127.0.0.1": False}
