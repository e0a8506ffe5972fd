"""``python -m generator.scraping.scraper``: reads the targets' own figures each second into ``server_metrics`` segments.

A process of its own at a lower priority, so that parsing disturbs no send; whatever goes wrong here is counted and told, and
never harms the run. It ends when its standard input does: a killed coordinator leaves neither an orphan nor a lost row.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from generator import clock, job
from generator.credentials import resolve_plan
from generator.errors import OpenloopError
from generator.recording import claim
from generator.recording.recorder import Recorder
from generator.recording.request_row import Redactor
from generator.run_dir import RunDir
from generator.scraping.exposition import Reading, readings
from generator.scraping.process_figures import Watched
from generator.transport import tls

INTERVAL_NS = 1_000_000_000
TIMEOUT_S = 5.0
"""A busy target answers late; the seconds that pass meanwhile are skipped, not queued."""

LAST_S = 1.0
"""What the last look may take: the run waits for it."""

MOST_BYTES = 4 * 1024 * 1024
_NICE = 5
_HEADERS = {"Accept": "text/plain; version=0.0.4", "Accept-Encoding": "identity"}

Row = tuple[Any, ...]


class ScrapeError(Exception):
    """The endpoint's answer cannot be used."""


class Source:
    """One target's figures: rows, and an account of how reading them went."""

    def __init__(self, target: job.Target, run_id: str, redactor: Redactor) -> None:
        assert target.metrics is not None
        self.name = target.name
        self._run_id = run_id
        self._metrics = target.metrics
        self._url = (target.metrics.url or endpoint_of(target.url)) if target.metrics.scrape else None
        self._watched = [Watched(pid) for pid in target.metrics.pids]
        self._redactor = redactor
        self._series: set[tuple[str, str]] = set()
        self._beyond: set[tuple[str, str]] = set()
        self._account: dict[str, Any] = {"reads": 0, "failed": 0, "skipped": 0}
        self._secure = target.tls
        self._server_name = _server_name(target, self._url) if self._url is not None else None
        self.told: list[str] = []

    def session(self) -> aiohttp.ClientSession:
        """A connection pool for this target alone. Raises ScenarioError where its certificates cannot be used."""
        connector = aiohttp.TCPConnector(ssl=tls.context(self._secure), limit=1)
        limit = aiohttp.ClientTimeout(total=TIMEOUT_S)
        return aiohttp.ClientSession(connector=connector, timeout=limit, auto_decompress=False)

    async def rows(self, session: aiohttp.ClientSession) -> list[Row]:
        """What there is now. Failures are counted, and each kind of them told once."""
        self._account["reads"] += 1
        found: list[Row] = []
        failures = []
        if self._url is not None:
            try:
                found += await self._scraped(session, self._url)
            except (aiohttp.ClientError, OSError, ScrapeError, ValueError) as e:
                failures.append(f"{self._url}: {_words(e)}")
        for process in self._watched:
            try:
                found += self._kept(process.read(), clock.monotonic_ns())
            except LookupError as e:
                failures.append(str(e))
        if failures:
            self._fail(failures)
        return found

    def skip(self, ticks: int) -> None:
        self._account["skipped"] += ticks

    def account(self) -> dict[str, Any]:
        """How often it was read, how often in vain, and why the last time."""
        return self._account | {"series": len(self._series), "series_left_out": len(self._beyond)}

    async def _scraped(self, session: aiohttp.ClientSession, url: str) -> list[Row]:
        page = await self._page(session, url)
        t_ns = clock.monotonic_ns()
        found = list(readings(page, self._metrics.names))
        if not found:
            raise ScrapeError("no series" + (" of these names" if self._metrics.names else ""))
        return self._kept(found, t_ns)

    async def _page(self, session: aiohttp.ClientSession, url: str) -> str:
        headers = _HEADERS | self._metrics.headers
        name = self._server_name
        async with session.get(url, headers=headers, allow_redirects=False, server_hostname=name) as answer:
            if answer.status != 200:
                raise ScrapeError(f"HTTP status {answer.status}")
            body = bytearray()
            async for data in answer.content.iter_any():
                body += data
                if len(body) > MOST_BYTES:
                    raise ScrapeError(f"more than {MOST_BYTES} bytes")
        return body.decode("utf-8")

    def _kept(self, found: Iterable[Reading], t_ns: int) -> list[Row]:
        rows = []
        for reading in found:
            series = (reading.name, reading.labels)
            if series not in self._series:
                if len(self._series) >= self._metrics.series:
                    self._leave_out(series)
                    continue
                self._series.add(series)
            rows.append((self._run_id, self.name, t_ns, *series, reading.kind, reading.value))
        return rows

    def _leave_out(self, series: tuple[str, str]) -> None:
        if not self._beyond:
            self.told.append(
                f"metrics of {self.name}: more than {self._metrics.series} series; the others are left out "
                f"(metrics.names chooses, metrics.series allows more)"
            )
        if len(self._beyond) < self._metrics.series:
            self._beyond.add(series)

    def _fail(self, failures: list[str]) -> None:
        self._account["failed"] += 1
        text = self._redactor.clean("; ".join(failures)) or ""
        if "last_error" not in self._account:
            self.told.append(f"metrics of {self.name} cannot be read: {text}; tried again each second")
        self._account["last_error"] = text[:500]


def endpoint_of(url: str) -> str:
    """``/metrics`` of the host that a base URL names: where vLLM, SGLang, llama.cpp and the simulator have it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/metrics"


def _server_name(target: job.Target, url: str) -> str | None:
    """What ``target.tls`` calls the host that figures are read from, where that is the target's own; None: as its URL does."""
    here, there = urlsplit(url), urlsplit(target.url)
    return target.tls.server_name if here.scheme == "https" and here.hostname == there.hostname else None


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S:g} s"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, ValueError):
        return f"not Prometheus' text format: {str(error)[:200]}"
    return str(error) or type(error).__name__


async def watch(source: Source, recorder: Recorder, over: asyncio.Event) -> None:
    """A look each second until ``over``, and a last one then."""
    async with source.session() as session:
        due_ns = clock.monotonic_ns()
        while not over.is_set():
            recorder.put("server_metrics", await _look(source, session, over))
            _tell_all(source)
            due_ns += INTERVAL_NS
            late = (clock.monotonic_ns() - due_ns) // INTERVAL_NS + 1
            if late > 0:
                source.skip(late)
                due_ns += late * INTERVAL_NS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), (due_ns - clock.monotonic_ns()) / 1e9)
        with contextlib.suppress(TimeoutError):
            recorder.put("server_metrics", await asyncio.wait_for(source.rows(session), LAST_S))


async def _look(source: Source, session: aiohttp.ClientSession, over: asyncio.Event) -> list[Row]:
    """One look; once the run is over it is not waited for longer than a last one."""
    look, end = asyncio.create_task(source.rows(session)), asyncio.create_task(over.wait())
    await asyncio.wait((look, end), return_when=asyncio.FIRST_COMPLETED)
    end.cancel()
    try:
        return await asyncio.wait_for(look, None if look.done() else LAST_S)
    except TimeoutError:
        return []


async def serve(plan: job.Plan, recorder: Recorder, redactor: Redactor, control: asyncio.StreamReader) -> None:
    """Until ``control`` ends."""
    over = asyncio.Event()
    sources = [Source(target, plan.run_id, redactor) for target in plan.targets.values() if target.metrics is not None]
    _say({"event": "ready"})
    watching = [asyncio.create_task(_guarded(source, recorder, over)) for source in sources]
    await control.read()
    over.set()
    await asyncio.gather(*watching)
    _say({"event": "end", "targets": {source.name: source.account() for source in sources}})


async def _guarded(source: Source, recorder: Recorder, over: asyncio.Event) -> None:
    """One target's trouble is not another's."""
    try:
        await watch(source, recorder, over)
    except OpenloopError as e:
        _say({"event": "note", "message": f"metrics of {source.name} are not read: {e}"})


def _tell_all(source: Source) -> None:
    for message in source.told:
        _say({"event": "note", "message": message})
    source.told.clear()


def _say(event: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # a coordinator that is gone need not hear
        sys.stdout.buffer.write(orjson.dumps(event) + b"\n")
        sys.stdout.buffer.flush()


async def _main() -> None:
    loop = asyncio.get_running_loop()
    control = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(control), os.fdopen(0, "rb", buffering=0))
    first = orjson.loads(await control.readline())
    run = RunDir(Path(first["run_dir"]))
    claim.share(run)
    secrets: dict[str, str] = first["secrets"]
    plan = resolve_plan(job.load(job.Plan, run.plan_path.read_bytes()), secrets)
    recorder = Recorder(
        run,
        "scraper",
        memoryview(b""),
        plan.segment_rows,
        plan.segment_s,
        lambda message: _say({"event": "note", "message": f"metrics of the targets: {message}"}),
    )
    try:
        await serve(plan, recorder, Redactor(list(secrets.values())), control)
    finally:
        recorder.close()


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the pipe's end is the only word that counts
    os.nice(_NICE)
    asyncio.run(_main())
    return 0


if __name__ == "__main__":
    sys.exit(main())
