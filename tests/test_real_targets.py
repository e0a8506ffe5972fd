"""openloop against a real model behind llama.cpp's server, and through LiteLLM: skipped where these are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import real_apis, real_gateway, real_target
from benchmarks.processes import openloop
from benchmarks.real_model import Timing, settled, timings

REQUESTS = 3
INSTALLED = pytest.mark.skipif(real_target.absent() is not None, reason=str(real_target.absent()))
GATEWAY = pytest.mark.skipif(real_gateway.absent() is not None, reason=str(real_gateway.absent()))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The real server's base URL, and its log."""
    log = tmp_path_factory.mktemp("real") / "server.log"
    with real_target.serving(log) as ready:
        yield ready["url"], log


def ran(log: Path, folder: Path, scenario: dict[str, Any]) -> tuple[list[dict[str, Any]], list[Timing]]:
    """What the client recorded of each request, and what the server's log says of the same ones."""
    before = len(timings(log.read_text()))
    seen = real_apis.answers(openloop(scenario, "real", folder).run)
    return seen, settled(log, before + scenario["probe"] + len(seen))[-len(seen) :]


def compared(log: Path, folder: Path, scenario: dict[str, Any]) -> dict[str, Any]:
    return real_apis.compare(*ran(log, folder, scenario))


def holds(found: dict[str, Any]) -> None:
    """All answered; every count is the server's own, told by its usage; at most a row a token; no time before the server's own."""
    assert found["requests"] == found["ok"] == REQUESTS
    assert found["token_source"] == "usage"
    assert found["output_tokens_equal"] == found["input_tokens_equal"] == REQUESTS
    assert 0.8 < found["rows_per_token"] <= 1  # a token that ends the answer, or is half a character, has no event
    assert found["ttft_minus_prompt_ms"] > 0


@INSTALLED
@pytest.mark.parametrize("api", real_apis.DIRECT)
def test_each_api_of_the_real_server(server: tuple[str, Path], tmp_path: Path, api: str) -> None:
    """Tokens as llama.cpp's log counts them, whichever API asked for them."""
    url, log = server
    holds(compared(log, tmp_path, real_apis.scenario(url, api, REQUESTS, 1)))


@INSTALLED
@pytest.mark.parametrize("api", real_apis.DIRECT)
def test_each_api_of_the_real_server_in_one_piece(server: tuple[str, Path], tmp_path: Path, api: str) -> None:
    """Streaming off: the same counts, and no rows of tokens."""
    url, log = server
    rows, told = ran(log, tmp_path, real_apis.scenario(url, api, REQUESTS, 2, stream=False))
    assert [(row["outcome"], row["rows"]) for row in rows] == [("ok", None)] * REQUESTS
    assert [row["output_tokens"] for row in rows] == [timing.predicted_tokens for timing in told]


@INSTALLED
@GATEWAY
def test_the_real_gateway(server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same through LiteLLM, by its chat and by its messages route, with a key that no file of the run holds."""
    url, log = server
    with real_gateway.gateway(url, tmp_path) as proxy:
        monkeypatch.setenv(real_apis.KEY_VARIABLE, proxy.key)
        for seed, api in enumerate(real_apis.THROUGH):
            key = f"${{{real_apis.KEY_VARIABLE}}}"
            holds(compared(log, tmp_path / api, real_apis.scenario(proxy.url, api, REQUESTS, seed, api_key=key)))
            written = [path.read_bytes() for path in (tmp_path / api).rglob("*") if path.is_file()]
            assert not any(proxy.key.encode() in content for content in written)


@INSTALLED
def test_the_real_servers_embeddings(tmp_path: Path) -> None:
    """Vectors of a server that was started for them, their input counted by usage; the usual server says that it has none."""
    with real_target.serving(tmp_path / "log", "embeddings") as ready:
        run = openloop(real_apis.scenario(ready["url"], "openai-embeddings", REQUESTS, 1), "real", tmp_path).run
    rows = real_apis.answers(run)
    assert [row["outcome"] for row in rows] == ["ok"] * REQUESTS
    assert all(row["input_tokens"] > 0 for row in rows)


@INSTALLED
def test_a_server_without_embeddings_says_so(server: tuple[str, Path], tmp_path: Path) -> None:
    """501 and its own words, under the outcome of a server's error."""
    scenario = real_apis.scenario(server[0], "openai-embeddings", 1, 1) | {"probe": 0}
    rows = real_apis.answers(openloop(scenario, "real", tmp_path, expect=(0, 3, 4)).run)
    assert [row["outcome"] for row in rows] == ["server_error"]
    assert "embeddings" in rows[0]["error_message"]
