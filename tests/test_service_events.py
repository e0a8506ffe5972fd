"""Live events: what followers are told, that fifty of them share one reader, and that none is left behind or holds anybody up."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from services import LONG, client, reached, served, settings, submitted
from whole_runs import until

from console.web import feed
from console.web.feed import Feed, Feeds, Said, Standing
from console.web.shapes import Live
from console.web.states import State

FOLLOWERS = 50


def under_way(metrics: str) -> bool:
    """Whether all follow, and the load has begun."""
    sent = re.search(r"^openloop_requests_sent_total\{[^}]*\} (\S+)$", metrics, re.MULTILINE)
    return f"openloop_service_followers {FOLLOWERS}.0" in metrics and sent is not None and float(sent[1]) > 20


def parsed(text: str) -> list[tuple[int, str, Any]]:
    """(number, kind, data) of each event on the wire."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if lines:
            found.append((int(lines["id"]), lines["event"], json.loads(lines["data"])))
    return found


def test_fifty_follow_one_run(tmp_path: Path) -> None:
    """All are told the same, from the first moment to the end, by one reader; counters never fall; the last word is the benchmark."""

    async def follow(url: str, benchmark_id: str) -> list[str]:
        async with httpx.AsyncClient(base_url=url, timeout=90, limits=httpx.Limits(max_connections=None)) as c:

            async def one() -> str:
                text = ""
                async with c.stream("GET", f"/benchmarks/{benchmark_id}/events") as stream:
                    assert stream.headers["content-type"].startswith("text/event-stream")
                    async for part in stream.aiter_text():
                        text += part
                return text

            tasks = [asyncio.create_task(one()) for _ in range(FOLLOWERS)]
            await asyncio.to_thread(
                until, lambda: under_way(httpx.get(f"{url}/metrics").text), "fifty followers of a load"
            )
            await asyncio.sleep(3)
            await c.post(f"/benchmarks/{benchmark_id}/stop")
            return list(await asyncio.gather(*tasks))

    with served(tmp_path) as s:
        benchmark_id = submitted(s.client, scenario=LONG, name="watched")
        reached(s.client, benchmark_id, "running")
        texts = asyncio.run(follow(s.url, benchmark_id))
        again = s.client.get(f"/benchmarks/{benchmark_id}/events")
        later = s.client.get(f"/benchmarks/{benchmark_id}/events", headers={"Last-Event-ID": "3"})
    told = [parsed(text) for text in texts]
    live = [Live.model_validate(data) for _, kind, data in told[0] if kind == "live"]
    assert len(live) > 5
    assert all(a.sent <= b.sent and a.elapsed_s <= b.elapsed_s for a, b in itertools.pairwise(live))
    assert {m.phase for m in live} >= {"step", "done"}
    for events in told:
        assert [number for number, kind, _ in events if kind == "live"] == list(range(1, len(live) + 1))
        assert events == told[0]
        assert events[-1][1] == "end"
        assert events[-1][2]["state"] == "stopped"
    assert [e[1:] for e in parsed(again.text) if e[1] == "live"] == [e[1:] for e in told[0] if e[1] == "live"]
    assert [e for e in parsed(later.text) if e[1] == "live"] == [e for e in told[0] if e[1] == "live" and e[0] > 3]
    assert parsed(later.text)[-1] == told[0][-1]


def test_followers_have_a_limit(tmp_path: Path) -> None:
    """Above it 429, and nothing is lost for those who follow."""
    with client(settings(tmp_path)) as c:
        benchmark_id = submitted(c, scenario=LONG, name="x")
        c.app.state.service.feeds._most = 0
        assert c.get(f"/benchmarks/{benchmark_id}/events").status_code == 429
        c.post(f"/benchmarks/{benchmark_id}/stop")


def standing(state: State) -> Standing:
    return Standing(state, None, b'{"id": "x"}')


def test_one_reader_however_many_follow(tmp_path: Path) -> None:
    """The file is read and the state asked once a look, not once a follower; the reader ends with the last of them."""
    asked: list[int] = []
    path = tmp_path / "progress.jsonl"
    path.write_bytes(b'{"sent": 1}\n{"sent": 2}\n{"half')

    def now() -> Standing:
        asked.append(1)
        return standing(State.COMPLETED if len(asked) > 2 else State.RUNNING)

    async def all_of_them() -> list[list[Said | None]]:
        feeds = Feeds(100)

        async def one() -> list[Said | None]:
            return [said async for said in feeds.follow("x", path, now)]

        told = await asyncio.gather(*(one() for _ in range(20)))
        assert feeds.followers == 0
        assert feeds._feeds == {}
        return list(told)

    told = asyncio.run(all_of_them())
    assert len(asked) == 3
    assert [(s.kind, s.data) for s in told[0] if s] == [
        ("live", b'{"sent": 1}'),
        ("live", b'{"sent": 2}'),
        ("state", b'{"state":"running","position":null}'),
        ("state", b'{"state":"completed","position":null}'),
        ("end", b'{"id": "x"}'),
    ]
    assert all(events == told[0] for events in told)


def test_who_comes_back_to_another_reader_misses_nothing(tmp_path: Path) -> None:
    """Readers see states at different moments, or not at all; what a follower has is counted in moments, and the end always comes."""
    path = tmp_path / "progress.jsonl"
    path.write_bytes(b'{"sent": 1}\n{"sent": 2}\n{"sent": 3}\n')

    async def told(after: int) -> list[tuple[str, bytes]]:
        feeds = Feeds(1)
        events = feeds.follow("x", path, lambda: standing(State.INTERRUPTED), after)
        return [(said.kind, said.data) async for said in events if said]

    ends = [("state", b'{"state":"interrupted","position":null}'), ("end", b'{"id": "x"}')]
    assert asyncio.run(told(2)) == [("live", b'{"sent": 3}'), *ends]
    assert asyncio.run(told(3)) == ends
    assert asyncio.run(told(9)) == ends


def test_a_look_that_fails_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Followers of a feed whose database was away for a moment are told the end all the same."""
    monkeypatch.setattr(feed, "LOOK_S", 0.01)
    asked: list[int] = []

    def now() -> Standing:
        asked.append(1)
        if len(asked) == 1:
            raise OSError("the database is away")
        return standing(State.COMPLETED)

    async def told() -> list[str]:
        return [said.kind async for said in Feeds(1).follow("x", tmp_path / "none", now) if said]

    assert asyncio.run(asyncio.wait_for(told(), 10)) == ["state", "end"]


def test_a_long_past_is_thinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: moments go, states and the end stay, numbers keep growing."""
    monkeypatch.setattr(feed, "KEPT", 10)
    path = tmp_path / "progress.jsonl"
    path.write_bytes(b"".join(b'{"sent": %d}\n' % n for n in range(100)))

    async def told() -> list[Said | None]:
        found = Feed(path, lambda: standing(State.STOPPED))
        found.begin()
        return [said async for said in found.follow(0)]

    events = [said for said in asyncio.run(told()) if said]
    assert len(events) <= 12
    assert [e.kind for e in events][-2:] == ["state", "end"]
    assert events[-1].number == 102
    numbers = [e.number for e in events]
    assert numbers == sorted(numbers)
