"""Everything that the service can do, without a word of HTTP: the API and the pages are two skins over this.

Here its parts are put together, started and ended, and what concerns several of them is done. Methods may take long (they ask a box, or the
database) and belong in threads; only ``events`` is asynchronous.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

from console.web import importing
from console.web.asking import Asking
from console.web.benchmarks import Benchmarks, instant
from console.web.catalogue.deliveries import Deliveries
from console.web.catalogue.store import Filter, Store
from console.web.feed import Feeds, Said, Standing
from console.web.librarian import Librarian
from console.web.measured import Measured
from console.web.prompts import Prompts
from console.web.queue import Queue
from console.web.refusals import ConflictError
from console.web.settings import Settings
from console.web.shapes import Benchmark, Delivery, Detail, Page, Plan, Submission
from console.web.states import OVER, State
from console.web.submitting import Submitting
from console.web.webhooks import Webhooks
from generator.run_dir import RunDir


class Service:
    """``start`` before the first request, ``close`` after the last. ``measured`` has the results."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        settings.own_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.store = Store(settings.url_of_database())
        self.feeds = Feeds(settings.limits.followers)
        self.queue = Queue(settings, self.store, self._over)
        self.deliveries = Deliveries(self.store)
        self._benchmarks = Benchmarks(self.store)
        asking = Asking(settings)
        self.measured = Measured(settings.runs_dir, self.store, self._benchmarks, asking)
        self._prompts = Prompts(settings.prompts_dir, self.store.scenario_names)
        self._submitting = Submitting(settings, self.store, self.queue, asking, self._prompts)
        self.webhooks = Webhooks(settings, self.deliveries, self._benchmarks.line)
        self.librarian = Librarian(settings.runs_dir, self.store, asking.judgement, lambda: not self.queue.running())

    def start(self) -> None:
        shutil.rmtree(self._trash, ignore_errors=True)  # what an earlier service did not live to remove
        self.librarian.start()
        self.webhooks.start()
        self.queue.start()

    def close(self) -> None:
        self.librarian.close()
        self.queue.close()
        self.webhooks.close()
        self.store.close()

    def planned(self, form: Submission) -> Plan:
        """What it would do, without doing it. Raises ScenarioError with a line for each fault, MachineError."""
        return self._submitting.planned(form)

    def submit(self, form: Submission) -> Benchmark:
        """Queue it. Raises as ``planned``, and FullError where the queue is full."""
        return self.get(self._submitting.submit(form))

    def stop(self, benchmark_id: str) -> Benchmark:
        """Raises MissingError, and ConflictError where it is over already."""
        row, _ = self._benchmarks.found(benchmark_id)
        if row.state in OVER or not self.queue.stop(benchmark_id):
            raise ConflictError(f"{benchmark_id} is {row.state}; only what waits or runs can be stopped")
        return self.get(benchmark_id)

    def delete(self, benchmark_id: str) -> None:
        """The benchmark, its run folder and all that the service keeps of it. Raises MissingError, ConflictError while it runs and where
        its folder cannot be removed.
        """
        row, _ = self._benchmarks.found(benchmark_id)
        if row.state == State.RUNNING:
            raise ConflictError(f"{benchmark_id} is running; stop it first")
        if row.state == State.QUEUED and not self.queue.withdraw(benchmark_id):
            raise ConflictError(f"{benchmark_id} has begun just now; stop it first")
        run = RunDir(self.settings.runs_dir / benchmark_id)
        try:
            if importing.claimed(run):
                raise ConflictError(f"{benchmark_id}: its processes still write; try again when they have ended")
            self._throw_away(run.path)
        except OSError as e:
            raise ConflictError(f"{benchmark_id}: its run folder cannot be removed: {e.strerror}") from e
        self.store.drop(benchmark_id)
        shutil.rmtree(self.queue.folder(benchmark_id), ignore_errors=True)
        self._prompts.forget(row.scenario)

    def _throw_away(self, path: Path) -> None:
        """Out of the runs folder at once or not at all: half a run that stays there would be listed again. Raises OSError."""
        self._trash.mkdir(exist_ok=True, mode=0o700)
        there = self._trash / f"{path.name}-{secrets.token_hex(4)}"
        with suppress(FileNotFoundError):  # nothing was ever recorded, or somebody was quicker
            path.rename(there)
            if there.is_symlink():
                there.unlink()  # what it leads to is not ours
            shutil.rmtree(there, ignore_errors=True)

    @property
    def _trash(self) -> Path:
        return self.settings.own_dir / "trash"

    def list(self, wanted: Filter) -> Page:
        return self._benchmarks.page(wanted)

    def get(self, benchmark_id: str) -> Detail:
        """Without results; ``measured`` has them. Raises MissingError."""
        return self._benchmarks.detail(benchmark_id)

    async def events(self, benchmark_id: str, after: int = 0) -> AsyncIterator[Said | None]:
        """What happens to it from now on, the past first, until it is over; None every 15 s of silence. The id must exist."""
        path = self.queue.folder(benchmark_id) / "progress.jsonl"
        async for said in self.feeds.follow(benchmark_id, path, lambda: self._standing(benchmark_id), after):
            yield said

    def delivered(self, benchmark_id: str) -> Sequence[Delivery]:
        """Attempts to tell its webhook, oldest first. Raises MissingError."""
        self._benchmarks.found(benchmark_id)
        return [
            Delivery(
                attempt=row.attempt,
                due=instant(row.due_ms),
                made=instant(row.made_ms),
                http_status=row.http_status,
                error=row.error,
            )
            for row in self.deliveries.of(benchmark_id)
        ]

    def _over(self, benchmark_id: str) -> None:
        """The queue is done with it."""
        found = self.store.get(benchmark_id, short=True)
        if found is not None and found[0].webhook is not None:
            self.webhooks.tell(benchmark_id, found[0].webhook)

    def _standing(self, benchmark_id: str) -> Standing:
        found = self._benchmarks.line(benchmark_id)
        if found is None:
            return Standing(State.STOPPED, None, b"null")
        return Standing(found.state, found.position, found.model_dump_json().encode())
