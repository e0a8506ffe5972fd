"""Everything that the service can do, without a word of HTTP: the API and the pages are two skins over this.

Methods may take long (they ask a box, or the database) and belong into threads; only ``events`` is asynchronous.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from console.web import admission, submission, webhooks
from console.web.box import Answer, Boxes
from console.web.catalogue.deliveries import Deliveries
from console.web.catalogue.store import Filter, Store
from console.web.catalogue.tables import FIGURES, BenchmarkRow, storable
from console.web.feed import Feeds, Said, Standing
from console.web.librarian import Librarian
from console.web.queue import Queue, now_ms
from console.web.settings import Settings
from console.web.shapes import (
    RUN_ID,
    Benchmark,
    Delivery,
    Detail,
    Figures,
    History,
    Page,
    Plan,
    Point,
    Results,
    Submission,
)
from console.web.states import OVER, State
from console.web.webhooks import Webhooks
from generator.errors import OpenloopError
from generator.run_dir import RunDir

_PLAN_BYTES = 1_500_000_000
_ID = re.compile(RUN_ID)


class MissingError(OpenloopError):
    """There is no such benchmark."""


class ConflictError(OpenloopError):
    """The benchmark is in no state for what is asked."""


class FullError(OpenloopError):
    """A limit of the service is reached; later it goes through."""


class Service:
    """``start`` before the first request, ``close`` after the last."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        settings.own_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.store = Store(settings.url_of_database())
        self.boxes = Boxes(settings.limits.boxes)
        self.feeds = Feeds(settings.limits.followers)
        self.queue = Queue(settings, self.store, self._over)
        self.deliveries = Deliveries(self.store)
        self.webhooks = Webhooks(settings, self.deliveries, self._told)
        self.librarian = Librarian(settings.runs_dir, self.store, self._judged, lambda: not self.queue.running())
        self.rules = admission.of_settings(settings)

    def start(self) -> None:
        self.librarian.start()
        self.webhooks.start()
        self.queue.start()

    def close(self) -> None:
        self.librarian.close()
        self.queue.close()
        self.webhooks.close()
        self.store.close()

    # -- what runs ------------------------------------------------------------------------------------------------------------

    def plan(self, form: Submission, own: Path | None = None) -> dict[str, Any]:
        """What the run would do: the resolved scenario, the plan, warnings. ``own``: the folder of its prompts, if it has any.

        Raises ScenarioError with a line for each fault, MachineError where this machine cannot carry it.
        """
        asked = submission.asked(form, self.settings, own)
        rules = admission.told(self.rules, *([own] if own else []))
        # Only names that the service gives away are in the box's environment, so that nothing can be read by another name.
        env = submission.given(self.rules.env)
        answer = self._ask({"op": "plan", "rules": rules, **asked}, self.settings.limits.analysis_s, env=env)
        return answer.head

    def planned(self, form: Submission) -> Plan:
        """``plan`` of something that is not to be run, its prompts included."""
        _, folder = self._new_folder(form)
        try:
            facts = self.plan(form, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return Plan(**facts | {"scenario": facts["scenario"].replace(f"{folder}/", "")})

    def submit(self, form: Submission) -> Benchmark:
        """Queue it. Raises as ``plan``, and FullError where the queue is full."""
        if self.store.count(State.QUEUED) >= self.settings.limits.queue:
            raise FullError(f"the queue is full ({self.settings.limits.queue}); try again when something has ended")
        webhooks.check(form.webhook, self.settings)
        name, folder = self._new_folder(form)
        try:
            facts = self.plan(form, folder)
            (folder / "scenario.yaml").write_text(facts["scenario"], encoding="utf-8")
            benchmark_id = self._id(facts["name"])
            folder = folder.rename(folder.with_name(benchmark_id))
            # The prompts moved with the folder.
            text = facts["scenario"].replace(f"/{name}/", f"/{benchmark_id}/")
            (folder / "scenario.yaml").write_text(text, encoding="utf-8")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        row = BenchmarkRow(
            id=benchmark_id,
            name=facts["name"],
            state=State.QUEUED,
            origin="api",
            model=storable(facts["model"], 200) if facts["model"] else None,
            provider=facts["provider"],
            target=facts["target"],
            created_ms=now_ms(),
            scenario=text,
            scenario_digest=facts["digest"],
            submission=form.model_dump(mode="json", exclude_unset=True),
            lanes=facts["lanes"],
            env_names=facts["env_names"],
            webhook=form.webhook,
        )
        self.store.add(row, form.tags)
        self.queue.look()
        return self.get(benchmark_id)

    def _new_folder(self, form: Submission) -> tuple[str, Path]:
        name = f"new-{secrets.token_hex(8)}"
        folder = self.queue.folder(name)
        folder.mkdir(parents=True, mode=0o700)
        if form.prompts:
            (folder / submission.PROMPTS).write_bytes(
                b"".join(orjson.dumps({"prompt": prompt}) + b"\n" for prompt in form.prompts)
            )
        return name, folder

    def _id(self, name: str) -> str:
        word = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:60].lstrip("._-") or "run"
        return f"{word}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"

    def stop(self, benchmark_id: str) -> Benchmark:
        """Raises MissingError, and ConflictError where it is over already."""
        row, _ = self._found(benchmark_id)
        if row.state in OVER or not self.queue.stop(benchmark_id):
            raise ConflictError(f"{benchmark_id} is {row.state}; only what waits or runs can be stopped")
        return self.get(benchmark_id)

    def delete(self, benchmark_id: str) -> None:
        """The benchmark, its run folder and all that the service keeps of it. Raises MissingError, ConflictError while it runs."""
        row, _ = self._found(benchmark_id)
        if row.state == State.RUNNING:
            raise ConflictError(f"{benchmark_id} is running; stop it first")
        if row.state == State.QUEUED and not self.queue.withdraw(benchmark_id):
            raise ConflictError(f"{benchmark_id} has begun just now; stop it first")
        self.store.drop(benchmark_id)
        for folder in (self.settings.runs_dir / benchmark_id, self.queue.folder(benchmark_id)):
            shutil.rmtree(folder, ignore_errors=True)

    def _over(self, benchmark_id: str) -> None:
        """The queue is done with it."""
        found = self.store.get(benchmark_id)
        if found is not None and found[0].webhook is not None:
            self.webhooks.tell(benchmark_id, found[0].webhook)

    def _told(self, benchmark_id: str) -> Benchmark | None:
        found = self.store.get(benchmark_id)
        return None if found is None else self._benchmark(*found)

    def _judged(self, path: Path) -> Answer:
        return self._ask({"op": "judge", "path": str(path.resolve())}, self.settings.limits.analysis_s)

    # -- what there is --------------------------------------------------------------------------------------------------------

    def list(self, wanted: Filter) -> Page:
        found = self.store.page(wanted)
        items = [self._benchmark(row, found.tags.get(row.id, [])) for row in found.rows]
        return Page(total=found.total, page=wanted.page, size=wanted.size, items=items)

    def get(self, benchmark_id: str) -> Detail:
        """Without results; see ``results``. Raises MissingError."""
        row, tags = self._found(benchmark_id)
        known = self._benchmark(row, tags).model_dump()
        return Detail(**known, scenario=row.scenario, submission=row.submission, webhook=row.webhook)

    def results(self, benchmark_id: str, page: int, size: int) -> Results | None:
        """Requests in the order of their numbers; None where nothing was recorded, or not yet."""
        run = self._run(benchmark_id)
        if run is None:
            return None
        asked = {"op": "results", "path": str(run.path), "first": (page - 1) * size, "most": size, "memory": "400MB"}
        answer = self._ask(asked, self.settings.limits.analysis_s)
        return Results(total=answer.head["total"], page=page, size=size, items=orjson.loads(answer.body))

    def report(self, benchmark_id: str, form: str) -> Answer:
        """Raises MissingError, QueryError for a form that does not exist, ConflictError where nothing was recorded yet."""
        run = self._recorded(benchmark_id)
        if form == "html" and run.report_path.is_file():
            # Drawn when the run was judged. Drawing takes a JavaScript engine, whose reserve of addresses is beyond a box's.
            return Answer({}, run.report_path.read_bytes())
        asked = {"op": "report", "path": str(run.path), "form": form}
        return self._ask(asked, self.settings.limits.analysis_s)

    def query(
        self, benchmark_id: str, name: str | None, sql: str | None, params: Mapping[str, str], form: str
    ) -> Answer:
        """A named query or one SELECT, where nothing can be written and nothing but the run's own tables read.

        Raises MissingError for the benchmark, QueryError for what is refused, ExceededError for a limit.
        """
        limits = self.settings.limits
        asked = {
            "op": "query",
            "path": str(self._recorded(benchmark_id).path),
            "name": name,
            "sql": sql,
            "params": dict(params),
            "form": form,
            "rows": limits.rows,
            "memory": f"{limits.memory_bytes // 1_000_000}MB",
            "writes_nothing": True,
        }
        return self._ask(asked, limits.query_s)

    def compare(self, a: str, b: str) -> dict[str, Any]:
        """As docs/report.md lists it. Raises MissingError, RunFolderError, QueryError."""
        runs = [str(self._recorded(ref).path) for ref in (a, b)]
        answer = self._ask({"op": "compare", "a": runs[0], "b": runs[1]}, self.settings.limits.analysis_s)
        found: dict[str, Any] = orjson.loads(answer.body)
        return found

    def history(self, name: str, metrics: Sequence[str], most: int) -> History:
        """The trend of a scenario: its newest ``most`` runs, oldest first."""
        found = self.store.history(name, metrics, most)
        points = [
            Point(
                benchmark_id=row.id,
                created=_instant(row.created_ms),
                verdict=row.verdict,
                scenario_digest=row.scenario_digest,
                step_id=figure.step_id,
                step=figure.label,
                metric=figure.metric,
                value=figure.value,
                low=figure.low,
                high=figure.high,
            )
            for row, figure in found
            if figure.value is not None
        ]
        return History(scenario=name, points=points)

    async def events(self, benchmark_id: str, after: int = 0) -> AsyncIterator[Said | None]:
        """What happens to it from now on, the past first, until it is over; None every 15 s of silence. The id must exist."""
        path = self.queue.folder(benchmark_id) / "progress.jsonl"
        async for said in self.feeds.follow(benchmark_id, path, lambda: self._standing(benchmark_id), after):
            yield said

    def _standing(self, benchmark_id: str) -> Standing:
        try:
            found = self.get(benchmark_id)
        except MissingError:
            return Standing(State.STOPPED, None, b"null")
        return Standing(found.state, found.position, Benchmark(**found.model_dump()).model_dump_json().encode())

    def delivered(self, benchmark_id: str) -> Sequence[Delivery]:
        """Attempts to tell its webhook, oldest first. Raises MissingError."""
        self._found(benchmark_id)
        return [
            Delivery(
                attempt=row.attempt,
                due=_instant(row.due_ms),
                made=_instant(row.made_ms),
                http_status=row.http_status,
                error=row.error,
            )
            for row in self.deliveries.of(benchmark_id)
        ]

    # -- within ---------------------------------------------------------------------------------------------------------------

    def _ask(self, job: Mapping[str, Any], limit_s: float, env: Mapping[str, str] | None = None) -> Answer:
        limits = self.settings.limits
        # What visitors wrote is bounded. Reports are ours, and the engine that draws their charts maps address space by the gigabyte.
        memory = {"query": limits.memory_bytes, "plan": max(limits.memory_bytes, _PLAN_BYTES)}.get(job["op"])
        return self.boxes.ask(job, limit_s=limit_s, memory_bytes=memory, answer_bytes=limits.answer_bytes, env=env)

    def _found(self, benchmark_id: str) -> tuple[BenchmarkRow, Sequence[str]]:
        found = self.store.get(benchmark_id) if _ID.fullmatch(benchmark_id) else None
        if found is None:
            raise MissingError(f"no benchmark {benchmark_id!r}")
        return found

    def _run(self, benchmark_id: str) -> RunDir | None:
        row, _ = self._found(benchmark_id)
        run = RunDir(self.settings.runs_dir.resolve() / row.id)
        return run if run.manifest_path.exists() and row.state in OVER else None

    def _recorded(self, benchmark_id: str) -> RunDir:
        run = self._run(benchmark_id)
        if run is None:
            state = self._found(benchmark_id)[0].state
            told = "it recorded nothing" if state in OVER else f"it is {state}; ask again when it is over"
            raise ConflictError(f"{benchmark_id} has no results: {told}")
        return run

    def _benchmark(self, row: BenchmarkRow, tags: Sequence[str]) -> Benchmark:
        return Benchmark(
            id=row.id,
            name=row.name,
            state=State(row.state),
            origin="api" if row.origin == "api" else "cli",
            model=row.model,
            provider=row.provider,
            target=row.target,
            tags=list(tags),
            created=_instant(row.created_ms),
            started=_instant(row.started_ms),
            ended=_instant(row.ended_ms),
            position=self.store.before(row) if row.state == State.QUEUED else None,
            verdict=row.verdict,  # type: ignore[arg-type]  # the column holds VALID, INVALID or NULL
            reasons=row.reasons,
            error=row.error,
            exit_code=row.exit_code,
            summary=Figures(**{name: getattr(row, name) for name in FIGURES}),
        )


def _instant(ms: int | None) -> Any:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
