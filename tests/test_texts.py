"""Prompts and answers: kept only where asked, the same ones on any number of workers, bounded, without secrets, safe from kills."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from crashes import crash_while_sealing
from plans import MS, S, folder, plan, step, target
from whole_runs import going, rows, simulator, until
from wiring import Wiring

from analysis import catalog, database
from console import rows as console_rows
from generator import job
from generator.apis.api import Answer
from generator.recording.recorder import row_table, write_segment
from generator.recording.request_row import Redactor
from generator.recording.seal import seal
from generator.recording.texts import TextKeeper, prompt_text, sampled
from generator.rows import CONTENT, REASONING, REFUSAL, TOOL
from generator.run_dir import RunDir
from generator.schema import SERVER_METRICS, TEXTS
from generator.stream import Stream
from generator.workload.make import Correction, Prompt, make

QUICK = ("--ttft", "5ms", "--itl", "1ms")
STEADY = [n * 20 * MS for n in range(3_000)]
ALL = job.Texts("all")


def keeper(texts: job.Texts = ALL, workers: int = 1, secrets: tuple[str, ...] = ()) -> tuple[TextKeeper, list[str]]:
    told: list[str] = []
    return TextKeeper(texts, "r", workers, Redactor(list(secrets)), told.append), told


def ended(number: int = 1, prompt: Prompt | None = None, parts: list[tuple[int, str]] | None = None) -> Stream:
    """A probe's stream whose answer has come; ``parts`` None leaves it without one."""
    stream = Wiring().stream(target(), number)
    stream.prompt = prompt or Prompt("Hi", 1, 8, None)
    if parts is not None:
        stream.answer = Answer(parts=parts)
    return stream


def kept(of: TextKeeper, stream: Stream) -> dict[str, Any]:
    row = of.row(stream)
    assert row is not None
    return dict(zip(TEXTS.names, row, strict=True))


def test_a_sample_is_the_first_and_a_seeded_share() -> None:
    """Arrival n is kept or not by (seed, n) alone; another seed keeps others; the share is the share."""
    chosen = [n for n in range(20_000) if sampled((7, 1), n, 10, 0.05)]
    assert chosen[:10] == list(range(10))
    assert chosen == [n for n in range(20_000) if sampled((7, 1), n, 10, 0.05)]
    assert set(chosen[10:]) != {n for n in range(10, 20_000) if sampled((7, 2), n, 0, 0.05)}
    assert abs(len(chosen[10:]) / 19_990 - 0.05) < 0.01  # six standard deviations
    assert not any(sampled((7, 1), n, 0, 0.0) for n in range(1_000))
    assert all(sampled((7, 1), n, 0, 1.0) for n in range(1_000))


def test_which_requests_are_wanted() -> None:
    """``all``: every one; ``sample``: as drawn, and every probe."""
    every, _ = keeper()
    some, _ = keeper(job.Texts("sample", first=1, share=0.0))
    assert [every.wants(step(), n) for n in (0, 1, 2)] == [True] * 3
    assert [some.wants(step(), n) for n in (0, 1, 2)] == [True, False, False]
    assert some.wants(None, 3)
    assert some.row(ended(3, parts=[])) is not None


def test_each_kind_has_its_column() -> None:
    """A refusal is part of the response; reasoning and tool calls that were not there are unknown, an empty answer is empty."""
    every, _ = keeper()
    parts = [(REASONING, "hm"), (CONTENT, "a "), (TOOL, '{"x":'), (REFUSAL, "no"), (TOOL, "1}")]
    found = kept(every, ended(parts=parts))
    assert found == {
        "run_id": "r",
        "request_id": -1,
        "prompt": "Hi",
        "response": "a no",
        "reasoning": "hm",
        "tool": '{"x":1}',
        "truncated": False,
    }
    assert kept(every, ended(parts=[]))["response"] == ""
    assert kept(every, ended(parts=[]))["reasoning"] is None


def test_an_error_keeps_its_body() -> None:
    """No answer was decoded: the response is what the target said instead, or unknown where it said nothing."""
    every, _ = keeper()
    refused = ended()
    refused.error_body = b'{"error": "\xff no"}'
    assert kept(every, refused)["response"] == '{"error": "\ufffd no"}'
    assert kept(every, ended())["response"] is None


def test_long_texts_are_cut_and_say_so() -> None:
    """At max_chars code points, whatever their bytes."""
    every, _ = keeper(job.Texts("all", max_chars=4))
    found = kept(every, ended(prompt=Prompt("ünïcödé", 1, 8, None), parts=[(CONTENT, "four")]))
    assert (found["prompt"], found["response"], found["truncated"]) == ("ünïc", "four", True)


def test_secrets_are_taken_out_by_value() -> None:
    """In every text, as they are, as JSON spells them, and where the cut went through one."""
    secret = 'sk-"quoted"-0123456789'
    every, _ = keeper(job.Texts("all", max_chars=30), secrets=(secret,))
    found = kept(every, ended(parts=[(CONTENT, f"is {secret}!"), (REASONING, "it should be the key " + secret)]))
    assert found["response"] == "is [redacted]!"
    assert found["reasoning"] == "it should be the key [redacted]"
    talk = Prompt("x", 1, 8, None, messages=({"role": "user", "content": secret},))
    assert "quoted" not in kept(every, ended(prompt=talk, parts=[]))["prompt"]


def test_a_lone_surrogate_is_no_fault() -> None:
    """JSON can spell what UTF-8 cannot: the row is stored all the same."""
    every, _ = keeper()
    assert kept(every, ended(parts=[(CONTENT, "a\ud800b\x00\x1b[31m")]))["response"] == "a?b\x00\x1b[31m"


def test_what_a_prompt_is() -> None:
    """A conversation or a record is JSON, a text is itself."""
    talk = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"})
    assert json.loads(prompt_text(Prompt("Hi", 1, 8, None, messages=talk))) == list(talk)
    assert json.loads(prompt_text(Prompt("", None, None, None, record={"a": [1]}))) == {"a": [1]}
    assert prompt_text(Prompt("Hi", 1, 8, None, record={"a": 1})) == "Hi"


def test_the_runs_bytes_are_bounded() -> None:
    """Each worker has its part of max_bytes; the first text that does not fit ends it, told once."""
    half, told = keeper(job.Texts("all", max_bytes=40), workers=2)
    assert kept(half, ended(parts=[(CONTENT, "é" * 6)]))["response"] == "é" * 6  # 2 + 12 bytes of 20
    assert half.row(ended(2, parts=[(CONTENT, "seven..")])) is None
    assert half.row(ended(3, parts=[])) is None
    assert not half.wants(step(), 0)
    assert len(told) == 1
    assert "record.max_size" in told[0]


def test_a_run_that_does_not_ask_keeps_nothing(tmp_path: Path) -> None:
    """No segment, no file; the view is there and empty."""
    made = plan(step(duration_ns=S // 2), probe=0)
    with simulator(*QUICK) as url, going(tmp_path, made, url, {0: STEADY[:10]}) as run:
        run.end()
    assert not run.run.table_path("texts").exists()
    con = database.open_runs([run.run])
    assert catalog.query(con, "SELECT count(*) AS n FROM texts").one() == {"n": 0}
    assert catalog.run(con, "slowest_texts").rows == []
    con.close()


def test_every_answer_of_a_run_has_its_texts(tmp_path: Path) -> None:
    """Prompts are the workload's, answers are as long as their token rows say, and one SELECT joins them."""
    only = step(duration_ns=S)
    made = plan(only, workers=2, probe=0, texts=ALL)
    with simulator(*QUICK) as url, going(tmp_path, made, url, {0: STEADY[:40]}) as run:
        assert run.end()["error"] is None
    texts = {row["request_id"]: row for row in rows(run.run, "texts")}
    assert sorted(texts) == list(range(40))
    con = database.open_runs([run.run])
    lengths = catalog.query(
        con,
        "SELECT request_id, sum(n_chars) AS chars FROM tokens WHERE kind = 'content' GROUP BY ALL ORDER BY ALL",
    ).dicts()
    slowest = catalog.run(con, "slowest_texts", most=3).dicts()
    con.close()
    assert [(row["request_id"], row["chars"]) for row in lengths] == [
        (number, len(texts[number]["response"])) for number in sorted(texts)
    ]
    workload = make(only, run.run, Correction())
    assert [texts[n]["prompt"] for n in range(40)] == [workload.prompt(n).text for n in range(40)]
    assert len(slowest) == 3
    assert slowest[0]["e2e_ms"] >= slowest[1]["e2e_ms"] >= slowest[2]["e2e_ms"]
    assert texts[slowest[0]["request_id"]]["prompt"].startswith(slowest[0]["prompt"].removesuffix("…"))


def test_a_sample_does_not_depend_on_the_workers(tmp_path: Path) -> None:
    """One worker or three: the same requests."""
    chosen = []
    for workers in (1, 3):
        made = plan(step(duration_ns=S), workers=workers, probe=0, texts=job.Texts("sample", first=2, share=0.2))
        with simulator(*QUICK) as url, going(tmp_path / str(workers), made, url, {0: STEADY[:45]}) as run:
            run.end()
        chosen.append(sorted(row["request_id"] for row in rows(run.run, "texts")))
    assert chosen[0] == chosen[1] == [n for n in range(45) if sampled((7, 0), n, 2, 0.2)]


def test_a_full_budget_is_told_and_the_run_goes_on(tmp_path: Path) -> None:
    """The manifest has a note, later requests have no texts, and all are sent."""
    made = plan(step(duration_ns=S), probe=1, texts=job.Texts("all", max_bytes=2_000))
    with simulator(*QUICK) as url, going(tmp_path, made, url, {0: STEADY[:40]}) as run:
        assert run.end()["error"] is None
    found = rows(run.run, "texts")
    assert 0 < len(found) < 40
    assert -1 in {row["request_id"] for row in found}, "probes are kept"
    assert len(rows(run.run)) == 41
    assert sum(len((row["prompt"] + row["response"]).encode()) for row in found) <= 2_000
    assert [note for note in run.run.read_manifest()["notes"] if "max_size" in note]


@pytest.mark.parametrize("victim", ["worker", "coordinator"])
def test_texts_outlive_a_kill(tmp_path: Path, victim: str) -> None:
    """Every recorded answer has its texts, whichever process died: what was handed over is written, text before row."""
    made = plan(step(duration_ns=60 * S), workers=1, probe=0, segment_s=0.2, texts=ALL)
    with simulator(*QUICK) as url, going(tmp_path, made, url, {0: STEADY}) as run:
        until(lambda: len(rows(run.run)) > 20, "rows")
        (worker,) = run.workers()
        if victim == "worker":
            worker.send_signal(signal.SIGKILL)
            run.end()
        else:
            run.process.kill()
            seal(run.run)
    answered = {row["request_id"] for row in rows(run.run) if row["outcome"] == "ok"}
    texts = {row["request_id"] for row in rows(run.run, "texts")}
    assert len(answered) > 20
    assert answered <= texts
    assert run.run.sealed
    assert not run.run.segments.exists()


def asked_for(path: Path) -> RunDir:
    """A run folder with two segments of each table that a run may lack, not sealed."""
    run = folder(path, plan(step(), texts=ALL))
    for worker in (0, 1):
        own = [("r", n, "p" * 50_000, None, None, None, True) for n in range(worker, 400, 2)]
        write_segment(run.segments / f"texts-{worker}-000001.parquet", row_table(TEXTS, own))
        figures = [("r", "t", n, name, "{}", "gauge", 1.0) for n in (worker, worker + 2) for name in ("b", "a")]
        write_segment(
            run.segments / f"server_metrics-scraper-00000{worker}.parquet", row_table(SERVER_METRICS, figures)
        )
    return run


def test_what_a_run_may_lack_is_sealed_whole(tmp_path: Path) -> None:
    """Every row once under the contract's schema, readable before and after; sealing again changes nothing."""
    run = asked_for(tmp_path)
    for _ in ("segments", "sealed"):
        with database.open_runs([run]) as con:
            (counts,) = catalog.query(
                con, "SELECT count(DISTINCT request_id), sum(length(prompt)) FROM texts WHERE truncated"
            ).rows
            assert counts == (400, 400 * 50_000)
            assert catalog.query(con, "SELECT count(*) FROM server_metrics").rows == [(8,)]
        seal(run)
    assert pq.read_schema(run.table_path("texts")).remove_metadata().equals(TEXTS)
    assert pq.read_schema(run.table_path("server_metrics")).remove_metadata().equals(SERVER_METRICS)
    assert [(row["name"], row["t_ns"]) for row in rows(run, "server_metrics")] == [
        (n, t) for n in "ab" for t in range(4)
    ]
    before = {p.name: p.read_bytes() for p in run.path.glob("*.parquet")}
    assert {"texts.parquet", "server_metrics.parquet"} <= set(before)
    seal(run)
    assert {p.name: p.read_bytes() for p in run.path.glob("*.parquet")} == before


@pytest.mark.parametrize("after", range(1, 8))
def test_a_crash_while_they_are_sealed(tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after any rename or removal: sealing again gives every row once."""
    run = asked_for(tmp_path)
    crash_while_sealing(run, after, monkeypatch)
    seal(run)
    assert run.sealed
    assert not run.segments.exists()
    assert sorted(row["request_id"] for row in rows(run, "texts")) == list(range(400))
    assert len(rows(run, "server_metrics")) == 8


def test_a_damaged_segment_of_texts_costs_itself_alone(tmp_path: Path) -> None:
    """Footer whole, pages gone: it is set aside and told, the others are sealed."""
    run = asked_for(tmp_path)
    path = run.segments / "texts-1-000001.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:4] + bytes(len(data) // 2) + data[4 + len(data) // 2 :])
    notes = seal(run)
    assert "segment texts-1-000001.parquet is damaged and set aside as texts-1-000001.damaged" in notes
    assert sorted(row["request_id"] for row in rows(run, "texts")) == list(range(0, 400, 2))


def test_a_table_of_texts_does_not_steer_the_terminal() -> None:
    """What a model said, printed: escapes are spelt out, markup is text, a line is a line."""
    hostile = "\x1b[2J\x1b]0;title\x07[red]bold[/red]\u202e\nnext\x9b31m"
    out = io.StringIO()
    console_rows.write_table(["response"], iter([(hostile,)]), out)
    assert out.getvalue() == "response\n\\x1b[2J\\x1b]0;title\\x07[red]bold[/red]\\u202e next\\x9b31m\n"
    as_json = io.StringIO()
    console_rows.write_json(["response"], iter([(hostile,)]), as_json)
    assert "\x1b" not in as_json.getvalue()
    assert json.loads(as_json.getvalue())[0]["response"] == hostile
