"""The targets' own figures in a run: read beside it, told where they cannot be, never harmful, safe from kills."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from answering import Answer, Asked, answering
from plans import MS, S, folder, plan, step, target
from whole_runs import Going, going, nobody, rows, silence, simulator, until

from generator import clock, coordinator, job
from generator.recording.request_row import Redactor
from generator.recording.seal import seal
from generator.scraping.scraper import Source, endpoint_of

QUICK = ("--ttft", "5ms", "--itl", "1ms")
STEADY = [n * 20 * MS for n in range(3_000)]
GAUGE = "# TYPE g gauge\ng 1\n"


@contextmanager
def page(*answers: str | bytes | int) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The URL of an endpoint that gives each answer once and the last one for ever (a number is a status), and what it was asked."""
    asked: list[dict[str, str]] = []
    left = list(answers)

    def answer(request: Asked) -> Answer:
        asked.append({**request.headers, "path": request.path})
        said = left.pop(0) if len(left) > 1 else left[0]
        body = b"" if isinstance(said, int) else said.encode() if isinstance(said, str) else said
        return said if isinstance(said, int) else 200, {"Location": "/elsewhere"}, body

    with answering(answer) as url:
        yield f"{url}/metrics", asked


def reading(url: str | None = None, **more: Any) -> dict[str, job.Target]:
    return {"t": target(metrics=job.Metrics(url=url, **more))}


def look(source: Source, times: int = 1) -> list[tuple[Any, ...]]:
    """The rows of so many looks."""

    async def looks() -> list[tuple[Any, ...]]:
        async with source.session() as session:
            return [row for _ in range(times) for row in await source.rows(session)]

    return asyncio.run(looks())


def source_of(url: str | None, secrets: tuple[str, ...] = (), **more: Any) -> Source:
    return Source(reading(url, **more)["t"], "r", Redactor(list(secrets)))


def scraper_of(run: Going) -> psutil.Process:
    (found,) = until(lambda: run.children("generator.scraping.scraper"), "the scraper's start")
    return found


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (500, "HTTP status 500"),
        (302, "HTTP status 302"),
        ("<html>", "not Prometheus' text format"),
        ('{"error": "no"}', "no series"),
        (b"\xff\xfe", "not UTF-8"),
        ("# " + "x" * 5_000_000, "more than 4194304 bytes"),
    ],
)
def test_an_endpoint_that_cannot_be_used(answer: str | bytes | int, told: str) -> None:
    """Each way is counted, told once with its cause, and gives no rows."""
    with page(answer) as (url, asked):
        source = source_of(url)
        assert look(source, 2) == []
    assert len(asked) == 2, "no redirect is followed"
    assert len(source.told) == 1, "a failure is told once"
    assert told in source.told[0]
    assert url in source.told[0]
    assert source.account() | {"last_error": ""} == {
        "reads": 2,
        "failed": 2,
        "skipped": 0,
        "series": 0,
        "series_left_out": 0,
        "last_error": "",
    }


def test_a_port_that_nobody_listens_on() -> None:
    """As any other failure; a process that is not there is told beside it."""
    with nobody() as url:
        source = source_of(url, pids=(2**22 + 5,))
        assert look(source) == []
    assert "Cannot connect" in source.told[0]
    assert "no process 4194309" in source.told[0]


def test_an_endpoint_that_recovers() -> None:
    """Later looks count; what failed stays in the account."""
    with page(503, GAUGE) as (url, _):
        source = source_of(url)
        (row,) = look(source, 2)
    assert row[:2] == ("r", "t")
    assert row[3:] == ("g", "{}", "gauge", 1.0)
    assert (source.account()["reads"], source.account()["failed"]) == (2, 1)


def test_series_are_bounded() -> None:
    """The first ones stay for good, later ones are left out, counted, and told once."""
    with page("a 1\nb 1\nc 1\n", "d 1\nb 1\na 1\n") as (url, _):
        source = source_of(url, series=2)
        found = look(source, 3)
    assert [row[3] for row in found] == ["a", "b", "b", "a", "b", "a"]
    assert source.account()["series_left_out"] == 2
    assert len(source.told) == 1
    assert "metrics.series" in source.told[0]


def test_headers_are_sent_and_secrets_not_told() -> None:
    """The scrape carries its own headers; a message about it has no secret of the run in it."""
    with page(500) as (url, asked):
        source = source_of(f"{url}?token=hush-hush", ("hush-hush",), headers={"authorization": "Bearer hush-hush"})
        look(source)
    assert asked[0]["authorization"] == "Bearer hush-hush"
    assert asked[0]["path"] == "/metrics?token=hush-hush"
    assert "hush" not in source.told[0] + source.account()["last_error"]


def test_where_metrics_are_looked_for() -> None:
    """Beside the API, at the root of its host."""
    assert endpoint_of("https://host:8000/some/v1") == "https://host:8000/metrics"


def test_a_run_is_read_each_second(tmp_path: Path) -> None:
    """The endpoint's figures and the process's, from before the first step to after the last answer; counted in the manifest."""
    made = plan(step(duration_ns=2 * S), probe=0)
    with simulator(*QUICK) as url:
        made = replace(made, targets=reading(endpoint_of(url), pids=(os.getpid(),)))
        with going(tmp_path, made, url, {0: STEADY[:100]}) as run:
            assert run.end()["error"] is None
    found = rows(run.run, "server_metrics")
    (facts,) = rows(run.run, "steps")
    names = {row["name"] for row in found}
    assert {"vllm:num_requests_running", "process_threads"} <= names
    own = [row for row in found if row["name"] == "process_threads"]
    assert own[0]["t_ns"] < facts["start_ns"]
    assert own[-1]["t_ns"] > facts["end_ns"]
    assert len(own) >= 4
    done = [row for row in found if row["name"] == "vllm:request_success_total"]
    newest = max(row["t_ns"] for row in done)
    assert sum(row["value"] for row in done if row["t_ns"] == newest) == 100, "the last look sees every answer"
    account = run.run.read_manifest()["server_metrics"]["t"]
    assert (account["reads"], account["failed"]) == (len(own), 0)
    assert {(row["run_id"], row["target"]) for row in found} == {("r", "t")}


def test_a_run_that_does_not_ask_is_not_read(tmp_path: Path) -> None:
    """No process, no file, an empty account."""
    made = plan(step(duration_ns=S // 2), probe=0)
    with simulator(*QUICK) as url, going(tmp_path, made, url, {0: STEADY[:10]}) as run:
        assert run.children("generator.scraping.scraper") == []
        run.end()
    assert not run.run.table_path("server_metrics").exists()
    assert run.run.read_manifest()["server_metrics"] == {}


def test_an_endpoint_that_never_answers_harms_nothing(tmp_path: Path) -> None:
    """The run takes its time and no more, every request is sent, and the note says what was missing."""
    made = plan(step(duration_ns=S), probe=0)
    with simulator(*QUICK) as url, nobody() as wrong, silence() as mute:
        targets = {"t": target(metrics=job.Metrics(url=wrong)), "u": target(name="u", metrics=job.Metrics(url=mute))}
        made = replace(made, targets=targets)
        with going(tmp_path, made, url, {0: STEADY[:40]}) as run:
            assert run.end()["error"] is None
    assert [row["outcome"] for row in rows(run.run)] == ["ok"] * 40
    manifest = run.run.read_manifest()
    assert manifest["server_metrics"]["t"]["failed"] == manifest["server_metrics"]["t"]["reads"] > 0
    assert any("metrics of t cannot be read" in note for note in manifest["notes"])
    assert run.run.sealed


def test_the_scraper_dies(tmp_path: Path) -> None:
    """SIGKILL: what it had written stays, the run goes on to its end and says so."""
    made = replace(
        plan(step(duration_ns=4 * S), probe=0, segment_s=0.2), targets=reading(pids=(os.getpid(),), scrape=False)
    )
    with simulator(*QUICK) as url, going(tmp_path, made, url, {0: STEADY[:200]}) as run:
        until(lambda: rows(run.run, "server_metrics"), "the first figures")
        scraper_of(run).kill()
        assert run.end()["error"] is None
    assert len(rows(run.run)) == 200
    assert rows(run.run, "server_metrics") != []
    assert any("metrics died" in note for note in run.run.read_manifest()["notes"])
    assert not run.run.segments.exists()


def test_the_coordinator_is_killed(tmp_path: Path) -> None:
    """The scraper sees its pipe end, writes what it has and leaves; `seal` waits for it and picks it up."""
    made = replace(plan(step(duration_ns=60 * S), probe=0), targets=reading(pids=(os.getpid(),), scrape=False))
    with simulator(*QUICK) as url, going(tmp_path, made, url, {0: STEADY}) as run:
        until(lambda: rows(run.run, "requests"), "the first rows")
        scraper = scraper_of(run)
        run.process.kill()
        killed_ns = clock.monotonic_ns()
        seal(run.run)
        gone, alive = psutil.wait_procs([scraper], timeout=30)
        assert (len(gone), alive) == (1, [])
    found = rows(run.run, "server_metrics")
    assert found == sorted(found, key=lambda row: (row["name"], row["t_ns"]))
    assert found[-1]["t_ns"] > killed_ns, "it took a last look"


def test_a_run_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    """No segments folder to write into: told, and the rest of the run is the coordinator's to save."""
    made = replace(plan(step(duration_ns=S // 2), probe=0), targets=reading(pids=(os.getpid(),), scrape=False))
    run = folder(tmp_path, made, {0: []})
    run.segments.rmdir()
    notes: list[str] = []
    end = coordinator.run(made, run, {}, lambda progress: notes.extend(progress.notes))
    assert any("metrics of the targets" in note for note in notes)
    assert end is not None
