"""Whole runs of conversations and mixes: what the built-in endpoint saw is what was said, through every API that converses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from analysis import catalog, database
from benchmarks.sessions import history
from generator.run_dir import RunDir

ROOT = Path(__file__).parents[1]
PROGRAM = "import sys; from console.cli import main; sys.exit(main(sys.argv[1:]))"
PATIENCE_S = 90.0
FAST = {"timing": "batch", "prefill_base": "1ms", "prefill_per_token": "50us", "decode_base": "1ms"}
FLAWLESS = {"histories_wrong": 0, "roles_wrong": 0, "out_of_order": 0, "before_its_answer": 0, "messages_twice": 0}


def command(path: Path, scenario: dict[str, Any], *options: str) -> list[str]:
    file = path / "s.yaml"
    file.write_text(yaml.safe_dump({"seed": 7} | scenario, sort_keys=False))
    words = ["run", str(file), "--runs-dir", str(path), "--run-id", "r", "--no-live", *options]
    return [sys.executable, "-c", PROGRAM, *words]


def run(path: Path, scenario: dict[str, Any], *options: str) -> RunDir:
    """To its end; whether the machine was quiet enough for a valid run is not asked here."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command(path, scenario, *options),
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode in (0, 3), done.stderr
    return RunDir(path / "r")


def rows(made: RunDir) -> list[dict[str, Any]]:
    return [row for row in pq.read_table(made.table_path("requests")).to_pylist() if row["phase"] != "probe"]


def truths(made: RunDir) -> Iterator[Path]:
    """The truth log's folders: one a simulator."""
    yield from sorted({path.parent for path in made.path.glob("truth/**/truth-requests-*.parquet")})


def broken_checks(made: RunDir) -> list[str]:
    """Checks of the record that found something."""
    with database.open_runs([made]) as con:
        return [q.name for q in catalog.load().values() if q.kind == "checks" and catalog.run(con, q.name).rows]


def asked(made: RunDir, relation: str) -> list[dict[str, Any]]:
    with database.open_runs([made]) as con:
        return catalog.run(con, relation).dicts()


def test_conversations_are_what_was_said(tmp_path: Path) -> None:
    """Poisson sessions on two workers: every turn carries what was really said before it, in order, and no check finds fault. What a
    later turn carries more, the target counts, and the first token waits for."""
    made = run(
        tmp_path,
        {
            "target": {"url": "simulator", "simulator": FAST},
            "workload": {
                "input_tokens": 60,
                "output_tokens": 8,
                "session": {"turns": 4, "think": {"exponential": "50ms"}},
            },
            "steps": [{"rate": "20/s", "sessions": 12}],
        },
        "--workers",
        "2",
    )
    (truth,) = truths(made)
    found = history(made.path, truth)
    assert found == {"turns": 48, "sessions": 12, "completed": 12, "later_turns": 36, "histories_right": 36} | FLAWLESS
    assert broken_checks(made) == []
    turns = asked(made, "turns")
    assert [(t["turn"], t["requests"], t["mean_input_tokens"]) for t in turns] == [
        (k, 12, 60 + (k - 1) * 60) for k in (1, 2, 3, 4)
    ]
    (step,) = pq.read_table(made.table_path("steps")).to_pylist()
    assert (step["planned_arrivals"], step["offered"], step["session_turns"]) == (12, 48, 4)


def test_schedule_and_talk_are_the_same_on_any_number_of_workers(tmp_path: Path) -> None:
    """Whose an arrival is, how often it asks, and what its first message is: pure in the seed and the number."""
    scenario = {
        "target": {"url": "simulator", "simulator": FAST},
        "workloads": [
            {"name": "ask", "weight": 1, "input_tokens": 30, "output_tokens": 4},
            {
                "name": "talk",
                "weight": 1,
                "input_tokens": 30,
                "output_tokens": 4,
                "session": {"turns": {"uniform": [1, 3]}},
            },
        ],
        "steps": [{"rate": "50/s", "sessions": 20}, {"concurrency": 3, "sessions": 12}],
    }
    found = []
    for workers in ("1", "2"):
        (tmp_path / workers).mkdir()
        made = run(tmp_path / workers, scenario, "--workers", workers)
        assert broken_checks(made) == []
        facts = [(r["request_id"], r["workload"], r["session_id"], r["turn"], r["turns"]) for r in rows(made)]
        assert {r["outcome"] for r in rows(made)} == {"ok"}
        found.append(sorted(facts))
    assert found[0] == found[1]
    assert {workload for _, workload, *_ in found[0]} == {"ask", "talk"}


def test_several_apis_at_once(tmp_path: Path) -> None:
    """One step, three targets, each with a workload and a conversation of its own: every request goes where its workload says."""
    apis = {"chat": "openai-chat", "claude": "anthropic-messages", "respond": "openai-responses"}
    talk = {"input_tokens": 40, "output_tokens": 4, "session": {"turns": 2}}
    made = run(
        tmp_path,
        {
            "targets": {name: {"url": "simulator", "api": api, "simulator": FAST} for name, api in apis.items()},
            "workloads": [
                {"name": f"to {name}", "target": name, "tags": {"api": api}, **talk} for name, api in apis.items()
            ],
            "steps": [{"rate": "50/s", "sessions": 30}],
        },
    )
    found = rows(made)
    assert {r["outcome"] for r in found} == {"ok"}
    assert {(r["workload"], r["target"], r["api"], r["tags"]) for r in found} == {
        (f"to {name}", name, api, f"api={api}") for name, api in apis.items()
    }
    assert len({r["step_id"] for r in found}) == 1
    assert broken_checks(made) == []
    later = {r["request_id"] for r in found if r["turn"] == 2}
    assert len(later) == 30
    heard: Counter[tuple[str, ...]] = Counter()
    for truth in truths(made):
        table = pq.read_table(next(truth.glob("truth-requests-*.parquet"))).to_pylist()
        heard.update(tuple(row["roles"]) for row in table if int(row["x_request_id"].removeprefix("r-")) in later)
    assert heard == {("user", "assistant", "user"): 30}
    assert [r["workload"] for r in asked(made, "by_workload")] == sorted(f"to {name}" for name in apis)
    assert [(r["tag"], r["value"]) for r in asked(made, "by_tag")] == [("api", api) for api in sorted(apis.values())]


@pytest.mark.parametrize("api", ["openai-chat", "anthropic-messages", "openai-responses"])
def test_whole_answers_and_hidden_thoughts(api: str, tmp_path: Path) -> None:
    """With streaming off the history is as right; reasoning that a target shows is no part of it."""
    made = run(
        tmp_path,
        {
            "target": {"url": "simulator", "api": api, "stream": False, "simulator": FAST | {"reasoning": "30%"}},
            "workload": {"input_tokens": 20, "output_tokens": 10, "session": {"turns": 3}},
            "steps": [{"concurrency": 2, "sessions": 4}],
        },
    )
    (truth,) = truths(made)
    found = history(made.path, truth)
    assert found == {"turns": 12, "sessions": 4, "completed": 4, "later_turns": 8, "histories_right": 8} | FLAWLESS


def test_a_dataset_is_talked_through(tmp_path: Path) -> None:
    """Its own turns in order, its system message first, and the real answers in place of its own."""
    (tmp_path / "talks.jsonl").write_text(
        '{"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "one?"}, '
        '{"role": "assistant", "content": "no"}, {"role": "user", "content": "two?"}]}\n{"turns": ["a?", "b?", "c?"]}\n'
    )
    made = run(
        tmp_path,
        {
            "target": {"url": "simulator", "simulator": FAST},
            "workload": {"prompts": "talks.jsonl", "output_tokens": 4, "session": {}},
            "steps": [{"rate": "50/s", "sessions": 4}],
        },
    )
    assert [(r["turn"], r["turns"]) for r in rows(made)] == [(1, 2), (2, 2), (1, 3), (2, 3), (3, 3)] * 2
    (truth,) = truths(made)
    assert history(made.path, truth) | {"messages_twice": 0} == (
        {"turns": 10, "sessions": 4, "completed": 4, "later_turns": 6, "histories_right": 6} | FLAWLESS
    )


def test_a_refused_turn_ends_its_session(tmp_path: Path) -> None:
    """Against a target that refuses many, sessions end where they failed, nothing follows, and every arrival has its row."""
    made = run(
        tmp_path,
        {
            "target": {"url": "simulator", "simulator": FAST | {"fault": "500=20%,truncated=10%"}},
            "probe": 0,
            "workload": {"input_tokens": 20, "output_tokens": 4, "session": {"turns": 4}},
            "steps": [{"concurrency": 4, "sessions": 40}],
        },
    )
    assert broken_checks(made) == []
    found = rows(made)
    assert {"server_error", "truncated"} <= {r["outcome"] for r in found}
    last = {r["session_id"]: r for r in sorted(found, key=lambda r: r["request_id"])}
    assert len(last) == 40
    assert all(r["outcome"] == "ok" for r in found if r is not last[r["session_id"]])
    assert all(r["turn"] == r["turns"] or r["outcome"] != "ok" for r in last.values())


def test_an_interrupted_run_of_sessions_is_whole(tmp_path: Path) -> None:
    """One Ctrl-C: no further turns, the answers in flight are awaited, sessions that go on are cut, and the record agrees with itself."""
    scenario = {
        "target": {"url": "simulator", "simulator": FAST},
        "workload": {"input_tokens": 20, "output_tokens": 50, "session": {"turns": 50, "think": "20ms"}},
        "steps": [{"rate": "20/s", "duration": "60s"}],
    }
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command(tmp_path, scenario), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        made = RunDir(tmp_path / "r")
        try:
            _until_turns_are_recorded(made, process)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 130
    assert {r["outcome"] for r in rows(made)} == {"ok"}
    assert broken_checks(made) == []
    assert "cut" in {r["ending"] for r in asked(made, "session_ends")}


def _until_turns_are_recorded(made: RunDir, process: subprocess.Popen[str]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s and process.poll() is None:
        turns = {
            t for path in made.segments.glob("requests-*.parquet") for t in pq.read_table(path)["turn"].to_pylist()
        }
        if 2 in turns:
            return
        time.sleep(0.05)
    pytest.fail(f"no second turn was recorded: {process.stderr and process.stderr.read()}")
