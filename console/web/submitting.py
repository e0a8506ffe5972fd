"""From what somebody submits to a benchmark in the queue: planned, admitted, written down."""

from __future__ import annotations

import re
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from console.web import admission, submission, webhooks
from console.web.asking import Asking
from console.web.catalogue.store import Store
from console.web.catalogue.tables import BenchmarkRow, storable
from console.web.prompts import Prompts
from console.web.queue import Queue, now_ms
from console.web.refusals import FullError
from console.web.settings import Settings
from console.web.shapes import Plan, Submission
from console.web.states import State


class Submitting:
    def __init__(self, settings: Settings, store: Store, queue: Queue, asking: Asking, prompts: Prompts) -> None:
        self._settings = settings
        self._store = store
        self._queue = queue
        self._asking = asking
        self._prompts = prompts
        self._rules = admission.of_settings(settings)

    def planned(self, form: Submission) -> Plan:
        """What the run would do: the resolved scenario, the plan, warnings. Nothing is kept.

        Raises ScenarioError with a line for each fault, MachineError where this machine cannot carry it.
        """
        submission.check_prompts(form, self._settings)
        with self._prompts.kept(form.prompts) as file:
            facts = self._plan(form, file)
        return Plan(**facts | {"scenario": facts["scenario"].replace(f"{self._prompts.folder}/", "")})

    def submit(self, form: Submission) -> str:
        """Queue it; its id. Raises as ``planned``, and FullError where the queue is full."""
        if self._store.count(State.QUEUED) >= self._settings.limits.queue:
            raise FullError(f"the queue is full ({self._settings.limits.queue}); try again when something has ended")
        webhooks.check(form.webhook, self._settings)
        submission.check_prompts(form, self._settings)
        with self._prompts.kept(form.prompts) as file:
            facts = self._plan(form, file)
            benchmark_id = _new_id(facts["name"])
            folder = self._queue.folder(benchmark_id)
            folder.mkdir(parents=True, mode=0o700)
            try:
                (folder / "scenario.yaml").write_text(facts["scenario"], encoding="utf-8")
                self._store.add(_row(benchmark_id, facts, form), form.tags)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        self._queue.look()
        return benchmark_id

    def _plan(self, form: Submission, prompts: Path | None) -> dict[str, Any]:
        return self._asking.plan(submission.asked(form, self._settings, prompts), self._rules, [self._prompts.folder])


def _row(benchmark_id: str, facts: dict[str, Any], form: Submission) -> BenchmarkRow:
    return BenchmarkRow(
        id=benchmark_id,
        name=facts["name"],
        state=State.QUEUED,
        origin="api",
        model=storable(facts["model"], 200) if facts["model"] else None,
        provider=facts["provider"],
        target=facts["target"],
        created_ms=now_ms(),
        scenario=facts["scenario"],
        scenario_digest=facts["digest"],
        submission=form.model_dump(mode="json", exclude_unset=True),
        lanes=facts["lanes"],
        env_names=facts["env_names"],
        webhook=form.webhook,
    )


def _new_id(name: str) -> str:
    word = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:60].lstrip("._-") or "run"
    return f"{word}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
