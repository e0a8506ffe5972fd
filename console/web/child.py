"""``python -m console.web.child run FOLDER RUNS_DIR RUN_ID``: one run of the service, a coordinator process of its own.
``… seal FOLDER RUNS_DIR RUN_ID`` finishes what a crash left of one.

FOLDER has the resolved ``scenario.yaml`` and, in ``rules.json``, what the service allows as it starts. While the run goes, ``progress.jsonl`` grows by a line twice a second (``shapes.Live``); in the
end ``end.json`` says what became of it. Standard input stays open as long as the service lives: when it closes, the run stops issuing,
drains and seals, as after Ctrl-C, so that nobody's load goes on with nobody in charge.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import orjson

from console import drive, exits
from console.prepare import Prepared, planned
from console.web import admission, figures, redaction
from console.web.runs import LATEST, RULES
from generator import job
from generator.errors import OpenloopError, ScenarioError
from generator.progress import Progress
from generator.run_dir import RunDir, write_whole
from generator.scenario import reading

EVERY_S = 0.5


def main(what: str, folder: Path, runs_dir: Path, run_id: str) -> int:
    try:
        found = _run(folder, runs_dir, run_id) if what == "run" else _seal(runs_dir / run_id)
    except OpenloopError as e:
        found = {"code": e.exit_code, "error": str(e)}
    except Exception as e:  # noqa: BLE001 - whatever it is, the service must learn of it; its log has the rest
        sys.stderr.write(redaction.without_given(traceback.format_exc()))
        found = {"code": exits.FAULT, "error": f"internal error: {type(e).__name__}: {e}"}
    if what == "seal":
        found.pop("code", None)  # a code is a run's own; without one ``end.json`` says what became of the rest of a run
    if found.get("error"):
        found["error"] = redaction.without_given(str(found["error"]))
    write_whole(folder / "end.json", orjson.dumps(found, default=str))
    return 0


def _run(folder: Path, runs_dir: Path, run_id: str) -> dict[str, Any]:
    over = threading.Event()
    threading.Thread(target=_stop_when_left, args=(over,), daemon=True).start()
    prepared = _admitted(folder)
    with (folder / "progress.jsonl").open("wb", buffering=0) as out:
        done = drive.run(prepared, runs_dir, run_id, _writer(folder, out, over))
    return {"code": done.code, "error": done.end.error, "interrupted": done.end.interrupted} | _of_report(done.report)


def _admitted(folder: Path) -> Prepared:
    """The scenario, held once more against what the service allows now: it may have waited through a restart with other options, and
    what it names may have changed. Raises ScenarioError, MachineError; nothing was sent or written by then.
    """
    rules = admission.of_told(orjson.loads((folder / RULES).read_bytes()))
    read = reading.load_text((folder / "scenario.yaml").read_text(encoding="utf-8"), "scenario", folder, {}, [])
    try:
        admission.check_read(read, rules)
        prepared = planned(read)
        admission.check_size(prepared.planned, rules)
    except ScenarioError as e:
        raise ScenarioError(f"{admission.NO_LONGER}: {e}") from None
    return prepared


def _of_report(report: dict[str, Any]) -> dict[str, Any]:
    known, points = figures.of_report(report)
    verdict = report["verdict"]
    return {"verdict": verdict["verdict"], "reasons": verdict["reasons"], "figures": known, "points": points}


def _stop_when_left(over: threading.Event) -> None:
    """Wait for the end of standard input, then do as Ctrl-C does, unless the load is over and only the judgement is left."""
    while os.read(0, 4096):
        pass
    if not over.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


def _writer(folder: Path, out: IO[bytes], over: threading.Event) -> Callable[[Progress], None]:
    last_s, phase = -EVERY_S, ""
    notes: list[str] = []

    def watch(p: Progress) -> None:
        nonlocal last_s, phase, notes
        notes += p.notes
        if p.phase == "done":
            over.set()
        now_s = time.monotonic()
        if p.phase == phase and now_s - last_s < EVERY_S:
            return
        with suppress(OSError):  # a full disk costs the live view, not the run
            out.write(orjson.dumps(moment(p, notes)) + b"\n")
            _replace(folder / LATEST, job.dump(p))
        last_s, phase, notes = now_s, p.phase, []

    return watch


def _replace(path: Path, data: bytes) -> None:
    """A reader sees the old file or the new one. Not worth an fsync: after a crash nobody asks for it."""
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(data)
    beside.replace(path)


def moment(p: Progress, notes: list[str]) -> dict[str, Any]:
    """One line of progress.jsonl, as ``shapes.Live`` has it."""
    ended = sum(p.outcomes.values())
    return {
        "phase": p.phase,
        "step_id": p.step.step_id if p.step else None,
        "step": p.step.name if p.step else None,
        "steps": p.steps,
        "elapsed_s": round(p.elapsed_s, 3),
        "left_s": p.left_s,
        "step_elapsed_s": p.step_elapsed_s,
        "step_expected_s": p.step_expected_s,
        "sent": p.sent,
        "done": p.done,
        "in_flight": p.in_flight,
        "tokens": p.tokens,
        "sent_per_s": p.sent_per_s,
        "tokens_per_s": p.tokens_per_s,
        "ttft_p50_ms": p.ttft_p50_ms,
        "ttft_p99_ms": p.ttft_p99_ms,
        "success_share": p.outcomes.get("ok", 0) / ended if ended else None,
        "late_1ms": p.late_1ms,
        "outcomes": p.outcomes,
        "spent_usd": p.spent_usd,
        "notes": [redaction.without_given(note) for note in notes],
    }


def _seal(path: Path) -> dict[str, Any]:
    """Finish what a crash left in a run folder; what ``end.json`` would have said."""
    from console import judged
    from generator.recording.seal import seal as merge

    run = RunDir(path)
    merge(run)
    with judged.judged(run) as j:
        judged.keep(j)
        return _of_report(j.report)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]))
