"""Comparisons as people and programs see them: in a run's report, between two runs, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fabricate import RUN, START_NS, S, answer, beat, manifest, step, write
from report_runs import HOSTILE, compared, judged, small

from analysis import compare, database
from analysis.differences import discovery
from analysis.report import comparison, html, text
from console import compared as apart
from console import exits
from console.cli import main
from generator.run_dir import RunDir


def found_in(run: RunDir):
    con, report, _ = judged(run)
    con.close()
    return report["comparison"]


def figure(found, metric, name):
    return next(row for row in found["figures"] if (row["metric"], row["figure"]) == (metric, name))


def test_a_slower_target_is_called_worse_by_what_it_is_slower(tmp_path):
    """5 ms on every TTFT in each of four turns: worse by 5 ms in the median, ok share and TPOT unmoved."""
    found = found_in(compared(tmp_path / "run-1"))
    assert (found["kind"], found["baseline"], found["arms"]) == ("in turns", "old", ["new"])
    median = figure(found, "ttft_ms", "p50")
    assert median["verdict"] == "worse"
    assert median["difference"] == pytest.approx(5)
    assert median["low"] <= 5 <= median["high"]
    assert median["relative"] == pytest.approx(0.1, rel=0.1)
    assert median["n"] == [160, 160]
    assert figure(found, "tpot_ms", "p50")["verdict"] == "no difference shown"
    assert figure(found, "ok_share", "share")["verdict"] == "no difference shown"
    assert figure(found, "ttft_ms", "p99")["verdict"] == "not enough data"
    assert len(found["turns"]) == 8


def test_a_faster_target_is_called_better(tmp_path):
    """The sign decides the word, and the sentence begins with the verdict."""
    found = found_in(compared(tmp_path / "run-1", slower_ms=-5))
    assert figure(found, "ttft_ms", "p50")["verdict"] == "better"
    assert comparison.sentences(found)[0].startswith("new against old: better in TTFT p50 −")


def test_like_targets_show_no_difference_and_what_would_have_been_seen(tmp_path):
    """The same TTFTs on both sides: the sentence says so, and names the smallest difference that the data show."""
    found = found_in(compared(tmp_path / "run-1", slower_ms=0))
    assert {row["verdict"] for row in found["figures"]} == {"no difference shown", "not enough data"}
    told = comparison.sentences(found)[0]
    assert "no difference shown" in told
    assert "% in TTFT p50 would have been" in told


def test_a_share_that_falls_is_worse(tmp_path):
    """More is better for shares alone: where the second target fails half, it is worse in ok."""
    run = compared(tmp_path / "run-1", slower_ms=0)
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pq.read_table(run.table_path("requests")).to_pylist()
    for row in rows:
        if row["target"] == "new" and row["request_id"] % 2:
            row["outcome"] = "timeout"
    schema = pq.read_schema(run.table_path("requests"))
    pq.write_table(pa.Table.from_pylist(rows, schema), run.table_path("requests"))
    share = figure(found_in(run), "ok_share", "share")
    assert share["verdict"] == "worse"
    assert share["difference"] == pytest.approx(-0.5)


def test_steps_one_after_another_are_compared_and_told_from_turns(tmp_path):
    """Without blocks there is nothing to pair: the kind and the assumption say so."""
    rows = [
        answer(n, step_id=i, scheduled_ns=START_NS + (20 * i) * S + n * S // 10, ttft_ms=40 + n % 20)
        for i in range(2)
        for n in range(100)
    ]
    steps = [step(i, name="s", arm=arm, start_ns=START_NS + 20 * i * S) for i, arm in enumerate("ab")]
    found = found_in(
        write(tmp_path / "run-1", steps=steps, requests=[r for r, _ in rows], tokens=[t for _, ts in rows for t in ts])
    )
    assert found["kind"] == "one after another"
    assert {row["turns"] for row in found["figures"]} == {0}
    assert "drift" in found["assumptions"][0]


def test_a_run_without_arms_compares_nothing(tmp_path):
    """The key is there and null; neither text nor page has the part."""
    con, report, facts = judged(small(tmp_path / "run-1"))
    assert report["comparison"] is None
    assert "Comparison" not in text.render(report)
    assert 'id="comparison"' not in html.render(con, report, facts)
    con.close()


def test_the_part_is_in_text_and_page_and_no_line_is_too_long(tmp_path):
    """The verdict stands before the table of steps, in both."""
    con, report, facts = judged(compared(tmp_path / "run-1"))
    told = text.render(report)
    assert told.index("new against old: worse") < told.index("requests/s" if "requests/s" in told else "step ")
    assert max(map(len, told.split("\n"))) <= 120
    page = html.render(con, report, facts)
    con.close()
    assert 'id="comparison"' in page
    assert "new against old: worse" in page


def test_names_of_targets_are_text(tmp_path):
    """A target's name that is markup or steers terminals stays text wherever the comparison puts it."""
    found = found_in(compared(tmp_path / "run-1"))
    found |= {"baseline": HOSTILE, "arms": ["x\x1b[31m"]}
    for row in found["figures"]:
        row["arm"] = "x\x1b[31m"
    assert "\x1b" not in text.render_comparison(found)


def two_runs(tmp_path: Path, *, name: str = "s", slower_ms: float = 5.0) -> tuple[RunDir, RunDir]:
    first, second = some_runs(tmp_path, 2, name=name, slower_ms=slower_ms)
    return first, second


def some_runs(tmp_path: Path, many: int, *, name: str = "s", slower_ms: float = 5.0) -> list[RunDir]:
    """Each slower than the one before; the first run's step is called s."""
    made = []
    for number in range(many):
        run_id = f"run-{number}"
        rows = [
            answer(n, at_ms=100.0 * n, ttft_ms=40 + n * 7 % 20 + number * slower_ms, run_id=run_id) for n in range(200)
        ]
        steps = [step(0, name="s" if number == 0 else name, run_id=run_id, duration_s=20)]
        made.append(
            write(
                tmp_path / "runs" / run_id,
                steps=steps,
                requests=[r for r, _ in rows],
                tokens=[t for _, ts in rows for t in ts],
                health=[beat(second=s, run_id=run_id) for s in range(20)],
                run_id=run_id,
                seed=42 + number,
                created=f"2026-01-02T0{3 + number}:04:05Z",
                verdict="VALID",
                versions={"duckdb": f"2.{number}"},
            )
        )
    return made


def test_two_runs_are_compared_and_what_differs_is_listed(tmp_path, capsys):
    """B is 5 ms slower; the seed, a library and the hour between the runs are told as what cannot be excluded, the host, being one, is not."""
    two_runs(tmp_path)
    assert main(["compare", "run-0", "run-1", "--runs-dir", str(tmp_path / "runs"), "--format", "json"]) == exits.GOOD
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["baseline"], found["arms"]) == ("apart", "run-0", ["run-1"])
    assert figure(found, "ttft_ms", "p50")["difference"] == pytest.approx(5)
    assert figure(found, "ttft_ms", "p50")["verdict"] == "worse"
    told = "\n".join(found["cannot_exclude"])
    assert "1 h 00 min between" in told
    assert "42 and 43" in told
    assert "duckdb: 2.0 and 2.1" in told
    assert "host" not in told


def test_the_text_of_two_runs_warns(tmp_path, capsys):
    """The verdict, the table, each doubt on a line of its own."""
    two_runs(tmp_path)
    assert main(["compare", "run-0", "run-1", "--runs-dir", str(tmp_path / "runs")]) == exits.GOOD
    out = capsys.readouterr().out
    assert out.startswith("run-1 against run-0: worse in TTFT p50")
    assert "! other arrivals and prompts: 42 and 43" in out
    assert "`openloop ab` takes turns" in out


def test_runs_with_no_step_in_common_are_refused_with_both_lists(tmp_path, capsys):
    """Nonsense is told, not computed: what each has, and what would make two steps one load."""
    two_runs(tmp_path, name="other")
    assert main(["compare", "run-0", "run-1", "--runs-dir", str(tmp_path / "runs")]) == exits.WRONG
    err = capsys.readouterr().err
    assert all(word in err for word in ("no step in common", "s · 10/s", "other · 10/s", "rate and slots"))


def test_a_run_against_itself_or_its_copy_is_refused(tmp_path, capsys):
    """One run twice says nothing; a copy under another name has the same run id."""
    two_runs(tmp_path)
    runs = ["--runs-dir", str(tmp_path / "runs")]
    assert main(["compare", "run-0", "run-0", *runs]) == exits.WRONG
    assert "twice" in capsys.readouterr().err
    import shutil

    shutil.copytree(tmp_path / "runs" / "run-0", tmp_path / "runs" / "copy")
    assert main(["compare", "run-0", "copy", *runs]) == exits.WRONG
    assert "given twice" in capsys.readouterr().err


def test_shares_within_different_limits_are_not_compared(tmp_path):
    """Two SLOs make two figures of one name: the row goes, and the difference is listed."""
    facts = [manifest(run_id=f"run-{n}", slo={"ttft_ms": 50.0 + n}, verdict="VALID") for n in range(2)]
    assert any("SLO" in line for line in apart.differing(*facts))
    a, b = two_runs(tmp_path)
    for run, fact in zip((a, b), facts, strict=True):
        run.write_manifest(fact)
    assert "good_share" not in {row["metric"] for row in apart.compared(a, b)["figures"]}


def test_several_runs_are_one_family_of_questions(tmp_path):
    """Each run against the first, p-values as in a comparison of two; adjusted over all of them, as cells and arms of one run are."""
    a, b, c = some_runs(tmp_path, 3)
    alone = apart.compared(a, b)["figures"]
    together = apart.compared(a, b, c)
    assert together["arms"] == ["run-1", "run-2"]
    of_b = [row for row in together["figures"] if row["arm"] == "run-1"]
    assert [row["p_value"] for row in of_b] == [row["p_value"] for row in alone]
    raw = [row["p_value"] for row in together["figures"] if row["p_value"] is not None]
    adjusted = [row["adjusted_p_value"] for row in together["figures"] if row["p_value"] is not None]
    assert adjusted == discovery.adjusted(raw)
    assert any(row["adjusted_p_value"] != other["adjusted_p_value"] for row, other in zip(of_b, alone, strict=True))


def test_a_run_that_is_not_to_be_believed_is_said_first(tmp_path):
    """INVALID, or never judged: the figures may be the generator's."""
    told = apart.differing(manifest(run_id="a", verdict="INVALID"), manifest(run_id="b", verdict=None))
    assert told[0].startswith("a is INVALID")
    assert told[1].startswith("b is not judged")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ab", "--target", "A=simulator", "--rate", "5/s"], "two or more targets"),
        (["ab", "--target", "simulator", "--target", "B=simulator", "--rate", "5/s"], "NAME=URL"),
        (["ab", "quick"], "two or more targets"),
        (["ab", "--target", "A=simulator", "--target", "B=simulator", "--rate", "5/s", "--blocks", "3"], "even"),
        (
            ["ab", "--target", "A=simulator", "--target", "B=simulator", "--concurrency", "2", "--requests", "5"],
            "10 blocks",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_sent(words, said, tmp_path, monkeypatch, capsys):
    """Exit code 2 and what is wanted; no run folder is made."""
    monkeypatch.chdir(tmp_path)
    assert main(words) == exits.WRONG
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_ab_runs_targets_in_turns_and_says_which_is_better(tmp_path, monkeypatch, capsys):
    """The whole way, against two built-in endpoints of which one takes 30 ms longer to its first token."""
    monkeypatch.chdir(tmp_path)
    slow = ["--set", "targets.fast.simulator.ttft=10ms", "--set", "targets.slow.simulator.ttft=40ms"]
    load = ["--rate", "40/s", "--duration", "4s", "--blocks", "4", "--output-tokens", "4", "--input-tokens", "20"]
    main(["ab", "--target", "fast=simulator", "--target", "slow=simulator", *load, *slow, "--no-live", "--json"])
    report = json.loads(capsys.readouterr().out)
    found = report["comparison"]
    assert [s["arm"] for s in report["steps"]] == ["fast", "slow", "slow", "fast"] * 2
    median = figure(found, "ttft_ms", "p50")
    assert median["verdict"] == "worse"
    assert median["turns"] == 4
    counts = {(row["turn"], row["arm"]): row["requests"] for row in found["turns"]}
    assert all(counts[turn, "fast"] == counts[turn, "slow"] for turn in range(4))


def test_turns_of_an_interrupted_run_that_one_side_lacks_are_left_out(tmp_path):
    """Five turns of one target, four of the other: four are compared, the fifth is in nobody's figures."""
    run = compared(tmp_path / "run-1", turns=5)
    with database.open_runs([run]) as con:
        whole = con.execute("SELECT count(*) FROM requests").fetchone()
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rows = pq.read_table(run.table_path("requests"))
    pq.write_table(rows.filter(pc.not_equal(rows["step_id"], 9)), run.table_path("requests"))
    assert whole == (400,)
    median = figure(found_in(run), "ttft_ms", "p50")
    assert median["turns"] == 4
    assert median["n"] == [160, 160]
    assert run.read_manifest()["run_id"] == RUN


def sides(drift: float, blocks: int, *, answered: int) -> tuple[compare.Side, compare.Side]:
    """Two like targets in turns, both slower by ``drift`` each time that one has its turn; of the second nothing is ok from turn ``answered`` on."""
    rng = np.random.default_rng(11)
    made = []
    for arm in range(2):
        turn = np.repeat(np.arange(blocks), 200)
        place = np.where(turn % 2 == arm, 1, 2)
        ttft = 100 * rng.lognormal(0, 0.1, len(turn)) * (1 + drift * (2 * turn + place) / 2)
        ok = np.where((arm == 1) & (turn >= answered), 0.0, 1.0)
        columns = dict.fromkeys(("tpot_ms", "e2e_ms", "good", "cost_usd"), np.full(len(turn), np.nan))
        made.append(compare.Side(turn, place, columns | {"ok": ok, "ttft_ms": np.where(ok > 0, ttft, np.nan)}))
    return made[0], made[1]


def test_a_turn_in_which_one_side_has_no_answer_is_in_neither_s_latencies():
    """Both drift alike and one stops answering for the last two turns of ten: what only the other saw of the drift is no difference."""
    a, b = sides(0.04, 10, answered=8)
    found = compare.weigh("in turns", "a", ["b"], [("b", "s", a, b)], [list(range(10))])
    median = figure(found, "ttft_ms", "p50")
    assert median["verdict"] == "no difference shown"
    assert median["turns"] == 8
    assert median["n"] == [1600, 1600]
    share = figure(found, "ok_share", "share")
    assert (share["turns"], share["n"]) == (10, [2000, 2000])
    assert share["difference"] == pytest.approx(-0.2)


def test_turns_too_few_to_be_paired_compare_nothing():
    """Three turns with answers from both: unpaired, the drift would be taken for a difference. Not enough data, however many requests."""
    a, b = sides(0.04, 10, answered=3)
    found = compare.weigh("in turns", "a", ["b"], [("b", "s", a, b)], [list(range(10))])
    median = figure(found, "ttft_ms", "p50")
    assert (median["turns"], median["verdict"], median["difference"]) == (3, "not enough data", None)
