"""Repeating from the command line: who is merged, why it ends, what an interrupt and a kill leave, how a group is shown."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.report import repeats, repeats_page, text
from console import exits, repeated, repeating
from console.cli import main
from console.drive import Finished
from console.prepare import Prepared, prepare
from generator import run_dir
from generator.errors import OpenloopError, RunFolderError, TargetError
from generator.planning import plan
from generator.progress import RunEnd
from tests import fabricate
from tests.fabricate import Load
from tests.report_runs import HOSTILE

GOLDEN = Path(__file__).parent / "golden" / "repeats.txt"
CLEAN = RunEnd(interrupted=False, lost_workers=(), succeeded=5, sent=5, error=None, exit_code=0)


class Runner:
    """Stands for real runs: each is drawn, with waits as told, and judged as told."""

    def __init__(self, folder: Path, waits_ms: list[float], **facts: Any) -> None:
        self.folder, self.waits_ms, self.facts = folder, waits_ms, facts
        self.asked: list[Prepared] = []
        self.ends: dict[int, RunEnd] = {}
        self.errors: dict[int, OpenloopError] = {}
        self.changes: dict[int, dict[str, Any]] = {}

    def __call__(self, prepared: Prepared, run_id: str, number: int) -> Finished:
        self.asked.append(prepared)
        if number in self.errors:
            raise self.errors[number]
        run = run_dir.create(self.folder, run_id)
        plan.write(replace(prepared.planned, plan=replace(prepared.planned.plan, run_id=run_id)), run)
        run.path.rename(self.folder / f"{run_id}.plan")
        load = Load(400, rate_rps=40, tokens=4, wait_ms=self.waits_ms[(number - 1) % len(self.waits_ms)])
        made = fabricate.realistic(self.folder / run_id, [load], seed=number, workers=1, run_id=run_id)
        which = prepared.planned.plan.repetition
        assert which is not None
        facts = {
            "seed": prepared.planned.plan.seed,
            "verdict": "VALID",
            "repetition": {
                "group": which.group,
                "number": which.number,
                "most": which.most,
                "seeds": which.seeds,
                "until": list(which.until),
            },
        }
        facts |= self.facts | self.changes.get(number, {})
        made.write_manifest(made.read_manifest() | facts)
        budget = facts.get("budget")
        report = {"verdict": {"verdict": facts["verdict"]}, "thresholds": [], "run": {"budget": budget}}
        end = self.ends.get(number, CLEAN)
        code = exits.INTERRUPTED if end.interrupted else exits.INVALID if facts["verdict"] != "VALID" else exits.GOOD
        return Finished(made, end, report, code)


def repeat(tmp_path: Path, runner: Runner, flags: dict[str, str], *sets: str) -> tuple[repeating.Repeated, list[str]]:
    told: list[str] = []
    prepared = prepare(None, {"target": "simulator", "rate": "20/s", "duration": "5s", "seed": "7"} | flags, list(sets))
    return repeating.repeat(prepared, tmp_path, "g", runner, told.append), told


def test_as_often_as_was_asked(tmp_path: Path) -> None:
    """Three runs, g-r1 to g-r3, each told; the last one's manifest says why it ended; the group's page is there."""
    runner = Runner(tmp_path, [20])
    done, told = repeat(tmp_path, runner, {"repeat": "3"})
    assert [f.run.run_id for f in done.finished] == ["g-r1", "g-r2", "g-r3"]
    assert [line[:17] for line in told] == ["repetition 1 of 3", "repetition 2 of 3", "repetition 3 of 3"]
    assert done.ended.why == "times"
    assert done.report["merged"] == 3
    assert done.code == exits.GOOD
    assert done.page == tmp_path / "g" / "report.html"
    assert done.finished[-1].run.read_manifest()["repetition"]["ended"]["why"] == "times"
    assert [run.run_id for run in repeated.members("g", tmp_path)] == ["g-r1", "g-r2", "g-r3"]


def test_until_a_rule_is_reached(tmp_path: Path) -> None:
    """Asked from the third on; it ends with the run that makes the interval narrow, and says so."""
    runner = Runner(tmp_path, [20])
    done, told = repeat(tmp_path, runner, {"until": "ci(p50(tpot)) < 50%"})
    assert len(done.finished) == 3
    assert done.ended.why == "until"
    assert "asked from 3" in told[1]
    assert "asked for 50" in told[2]
    assert done.report["until"][0]["reached"]


def test_a_rule_that_is_not_reached_is_told_and_is_no_failure(tmp_path: Path) -> None:
    """Runs that differ keep the interval wide; at the most it ends, and the code is that of the runs."""
    done, _ = repeat(tmp_path, Runner(tmp_path, [20, 400]), {"repeat": "4", "until": "ci(p90(ttft)) < 1%"})
    assert len(done.finished) == 4
    assert (done.ended.why, done.code) == ("times", exits.GOOD)
    assert "not reached" in done.ended.told
    assert not done.report["until"][0]["reached"]


def test_an_invalid_repetition_is_kept_shown_and_not_merged(tmp_path: Path) -> None:
    """Its reason stands in the report, the others are merged, the exit code is 3; a rule counts sound runs alone."""
    runner = Runner(tmp_path, [20])
    runner.changes[2] = {"verdict": "INVALID", "reasons": ["worker 1 was lost", "late"]}
    done, told = repeat(tmp_path, runner, {"until": "ci(p50(tpot)) < 50%"})
    assert len(done.finished) == 4
    assert (done.code, done.report["verdict"], done.report["merged"]) == (exits.INVALID, "INVALID", 3)
    assert "INVALID" in told[1]
    assert "g-r2 is not merged: INVALID: worker 1 was lost and 1 more" in repeated.as_text(done.report)
    assert {r["run_id"] for r in done.report["figures"][0]["runs"]} == {"g-r1", "g-r3", "g-r4"}


def test_an_interrupt_ends_it_and_keeps_what_was_done(tmp_path: Path) -> None:
    """The interrupted run is shown, not merged: it measured the beginning of its load alone. Exit code 130."""
    runner = Runner(tmp_path, [20])
    runner.ends[3] = replace(CLEAN, interrupted=True)
    runner.changes[3] = {"interrupted": True}
    done, _ = repeat(tmp_path, runner, {"repeat": "5"})
    assert len(done.finished) == 3
    assert (done.ended.why, done.code, done.report["merged"]) == ("interrupted", exits.INTERRUPTED, 2)
    assert "cut short: interrupted" in repeated.as_text(done.report)


def test_ctrl_c_between_two_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause ends at once; what was done is reported."""
    slept: list[float] = []

    def pause(pause_s: float) -> None:
        slept.append(pause_s)
        if len(slept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(repeating, "_pause", pause)
    done, _ = repeat(tmp_path, Runner(tmp_path, [20]), {}, "repeat={times: 5, pause: 9s}")
    assert slept == [9, 9]
    assert (len(done.finished), done.ended.why, done.code) == (2, "interrupted", exits.INTERRUPTED)


def test_a_failed_repetition_is_the_last(tmp_path: Path) -> None:
    """A target that has gone will not come back for the next run."""
    runner = Runner(tmp_path, [20])
    runner.ends[2] = replace(CLEAN, error="nobody listens", exit_code=4)
    done, _ = repeat(tmp_path, runner, {"repeat": "5"})
    assert (len(done.finished), done.ended.why) == (2, "failed")
    assert "nobody listens" in done.ended.told


@pytest.mark.parametrize(
    ("error", "code"),
    [(RunFolderError("runs/g-r3: cannot write: No space left on device"), exits.WRONG), (TargetError("401"), 4)],
)
def test_an_error_of_a_repetition_keeps_the_group_of_those_before(
    tmp_path: Path, error: OpenloopError, code: int
) -> None:
    """What two repetitions measured is merged, shown and named with the error that ended it; the error's exit code counts. Where nothing was
    measured yet it is raised."""
    runner = Runner(tmp_path, [20])
    runner.errors[3] = error
    done, told = repeat(tmp_path, runner, {"repeat": "5"})
    assert (len(done.finished), done.ended.why, done.code) == (2, "failed", code)
    assert f"repetition 3 failed: {error}" in done.ended.told
    assert told[-1] == f"error: {done.ended.told}"
    assert done.report["ended"]["told"] == done.ended.told
    assert done.report["merged"] == 2
    assert done.page.read_text().startswith("<!doctype html>")

    runner = Runner(tmp_path / "first", [20])
    runner.errors[1] = error
    with pytest.raises(type(error)):
        repeat(tmp_path / "first", runner, {"repeat": "5"})


def test_the_budget_is_that_of_all_together(tmp_path: Path) -> None:
    """Each repetition is given what is left, guesses for answers without usage included; who spends the last of it ends the repeating."""
    runner = Runner(tmp_path, [20], budget={"limit_usd": 1.0, "spent_usd": 0.3, "guessed_usd": 0.1, "stopped": False})
    done, _ = repeat(
        tmp_path,
        runner,
        {"repeat": "5", "budget": "$1", "price_in": "1", "price_out": "1", "input_tokens": "8", "output_tokens": "4"},
    )
    left = [p.planned.plan.budget_usd for p in runner.asked]
    assert left == pytest.approx([1.0, 0.6, 0.2])
    assert done.ended.why == "budget"


def test_why_a_rule_is_not_known() -> None:
    """What was measured and came to 0 is not told as what was not measured."""
    rule = {"rule": "ci(attainment) < 5%", "limit": 0.05, "half_width_share": None, "withheld": None}
    assert "nothing was measured" in repeated.rule_text(rule | {"load": None})
    assert "the figure is 0" in repeated.rule_text(rule | {"load": "40/s"})


def test_time_is_kept(tmp_path: Path) -> None:
    """No repetition is begun that would end later than `within`, as long as the last one took."""
    done, _ = repeat(tmp_path, Runner(tmp_path, [20]), {}, "repeat={times: 5, within: 1ms}")
    assert (len(done.finished), done.ended.why) == (1, "within")


def test_same_seeds_have_one_schedule_and_other_words(tmp_path: Path) -> None:
    """The arrivals are equal, the words' seeds are not, and the first is the plain run."""
    runner = Runner(tmp_path, [20])
    repeat(tmp_path, runner, {"repeat": "3"})
    steps = [p.planned.plan.steps[0] for p in runner.asked]
    assert len({tuple(p.planned.arrivals[0].tolist()) for p in runner.asked}) == 1
    assert len({p.planned.plan.seed for p in runner.asked}) == 1
    assert [s.text_seed is None for s in steps] == [True, False, False]
    assert len({s.words_seed for s in steps}) == 3


def test_fresh_seeds_have_schedules_of_their_own(tmp_path: Path) -> None:
    """Seed, seed + 1, …, in the plan and in the scenario that the folder keeps."""
    runner = Runner(tmp_path, [20])
    done, _ = repeat(tmp_path, runner, {}, "repeat={times: 3, seeds: fresh}")
    assert [p.planned.plan.seed for p in runner.asked] == [7, 8, 9]
    assert [p.scenario.seed for p in runner.asked] == [7, 8, 9]
    assert len({tuple(p.planned.arrivals[0].tolist()) for p in runner.asked}) == 3
    assert all(f"seed: {p.scenario.seed}\n" in p.planned.scenario_text for p in runner.asked)
    assert "of its own" in done.report["assumptions"][0]


def test_a_group_needs_a_free_name(tmp_path: Path) -> None:
    """Of a group as of a run: nothing is overwritten."""
    repeat(tmp_path, Runner(tmp_path, [20]), {"repeat": "2"})
    with pytest.raises(RunFolderError, match="exists"):
        repeat(tmp_path, Runner(tmp_path, [20]), {"repeat": "2"})


def made(tmp_path: Path) -> dict[str, Any]:
    """A group of three, of which one is INVALID, as its report."""
    runner = Runner(tmp_path, [20, 26, 24, 20])
    runner.changes[2] = {"verdict": "INVALID", "reasons": ["worker 1 was lost"]}
    return repeat(tmp_path, runner, {"repeat": "4", "until": "ci(p50(ttft)) < 1%"})[0].report


def test_the_text_is_the_golden_one(tmp_path: Path) -> None:
    """Every word and figure of a fixed group; OPENLOOP_GOLDEN=write makes it anew."""
    told = repeated.as_text(made(tmp_path))
    if os.environ.get("OPENLOOP_GOLDEN") == "write":
        GOLDEN.write_text(told)
    assert told == GOLDEN.read_text()
    assert max(map(len, told.split("\n"))) <= 116


def test_the_page_loads_nothing_and_has_all_the_text(tmp_path: Path) -> None:
    """Sentence, tables and notes; a dot for each run; no script, no address to fetch from."""
    report = made(tmp_path)
    page = repeats_page.render(report)
    assert all(html_of(line) in page for line in (*repeats.sentences(report), *repeats.notes(report)))
    assert page.count('data-tip="g-r3') >= 2
    assert "<script" not in page
    assert "default-src 'none'" in page


def html_of(line: str) -> str:
    from markupsafe import escape

    return str(escape(line))


def test_names_are_text(tmp_path: Path) -> None:
    """What a scenario or a target chose steers no terminal and opens no element."""
    report = made(tmp_path)
    report |= {"group": HOSTILE, "name": HOSTILE, "targets": [{"name": "t", "url": HOSTILE, "model": HOSTILE}]}
    for row in (*report["figures"], *report["loads"]):
        row["load"] = HOSTILE
    for load in report["loads"]:
        load["label"] = "x\x1b[31m"
    assert "\x1b" not in text.render_repeats(report)
    assert "<img" not in repeats_page.render(report)


def test_report_of_a_group_of_runs_and_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the group's name and by the runs' own; forms of a single run, one run twice and names of nothing are refused."""
    made(tmp_path)
    runs = ["--runs-dir", str(tmp_path)]
    assert main(["report", "g", "--format", "json", *runs]) == exits.GOOD
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["group"], found["merged"]) == ("repetitions", "g", 3)
    assert main(["report", "g-r1", "g-r3", *runs]) == exits.GOOD
    assert "2 repetitions, 2 merged" in capsys.readouterr().out
    assert main(["report", "g-r1", "--format", "json", *runs]) == exits.GOOD
    assert json.loads(capsys.readouterr().out)["run"]["run_id"] == "g-r1"
    for words, said in (
        (["g-r1", "g-r1"], "named twice"),
        (["g", "--format", "csv"], "takes one"),
        (["nothing"], "no such run"),
    ):
        assert main(["report", *words, *runs]) == exits.WRONG
        assert said in capsys.readouterr().err


def test_a_plan_tells_of_repetitions(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """How many, how long, and what cannot be: a rule on p99 of 100 requests; prompts of a file that come again."""
    file = tmp_path / "p.jsonl"
    file.write_text('{"prompt": "one"}\n{"prompt": "two"}\n')
    words = ["plan", "--target", "simulator", "--rate", "20/s", "--duration", "5s", "--output-tokens", "4"]
    assert (
        main(
            [
                *words,
                "--until",
                "ci(p99(ttft)) < 5%",
                "--set",
                "repeat={times: 6, pause: 10s}",
                "--set",
                f"workload.prompts={file}",
            ]
        )
        == 0
    )
    out, err = capsys.readouterr()
    assert "at most 6 times until ci(p99(ttft)) < 5%, 10 s of silence between" in out
    assert "takes 299 requests of each repetition" in err
    assert "come again in every repetition" in err
    assert main([*words, "--input-tokens", "8", "--repeat", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["repeat"]["times"] == 3
