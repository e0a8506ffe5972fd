"""A budget: what is charged to it, and how it ends a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from plans import MS, S, folder, plan, step, target
from whole_runs import rows, simulator, with_url

from analysis import catalog, database, relations
from console import exits
from console.drive import code_of
from generator import coordinator
from generator.apis.api import Answer
from generator.budget import Budget
from generator.charge import charge, money
from generator.counters import INDEX, Counters
from generator.job import Price
from generator.recording import journal

PRICES = (Price(0, 1.0, 2.0, 0.5),)
COUNTED = {"terminal": True, "token_source": "usage", "input_tokens": 1000, "output_tokens": 100}


def ended(answer: dict[str, Any] | None, status: int | None = 200, **fields: Any) -> Any:
    """A stream that is over, as far as a charge looks at it: 500 tokens of prompt, 200 asked for."""
    usual = {
        "target": target(prices=PRICES),
        "answer": None if answer is None else Answer(**answer),
        "status": status,
        "sent_ns": 1,
        "prompt": SimpleNamespace(input_tokens=500),
        "call": SimpleNamespace(max_tokens=200),
        "encoded": SimpleNamespace(body=b"x" * 4000),
    }
    return SimpleNamespace(**(usual | fields))


@pytest.mark.parametrize(
    ("stream", "spent", "guessed"),
    [
        # By usage: 1000 × $1 + 100 × $2 per million.
        (ended(COUNTED), 1_200_000, 0),
        (ended(COUNTED | {"cached_tokens": 400}), 1_000_000, 0),
        (ended(COUNTED | {"error_outcome": "stream_error"}), 1_200_000, 0),
        # Refused, never sent, or without a price: free.
        (ended(None, 429), 0, 0),
        (ended(None, 500), 0, 0),
        (ended(None, None, sent_ns=None), 0, 0),
        (ended(COUNTED, target=target()), 0, 0),
        # At its end without usage: the prompt as wanted, the output as it came: 500 × $1 + 40 × $2.
        (ended({"terminal": True, "token_source": "chunks", "output_tokens": 40}), 0, 580_000),
        # Cut: all that was asked for, 500 × $1 + 200 × $2, whether or not some of it came.
        (ended({"token_source": "chunks", "output_tokens": 40}), 0, 900_000),
        (ended({"token_source": "chunk_usage", "input_tokens": 1000, "output_tokens": 40}), 0, 900_000),
        (ended(None, None), 0, 900_000),
        # Nobody knows the prompt's length: a quarter of its bytes.
        (ended(None, None, prompt=SimpleNamespace(input_tokens=None)), 0, 1_400_000),
        (ended(None, None, call=SimpleNamespace(max_tokens=None)), 0, 500_000),
    ],
)
def test_what_an_ended_request_takes(stream: Any, spent: int, guessed: int) -> None:
    """By the target's usage where it came with the end; else the most that it can have cost."""
    assert charge(stream) == (spent, guessed)


def test_both_kinds_of_spending_count(tmp_path: Path) -> None:
    """Over all workers; without a limit it is never over, and there is nothing to tell."""
    counters = Counters(tmp_path / "c", 2, create=True)
    limited = Budget(plan(step(), budget_usd=0.01), counters)
    assert not limited.over()
    counters.row(0)[INDEX["spent_nano_usd"]] = 6_000_000
    assert not limited.over()
    counters.row(1)[INDEX["guessed_nano_usd"]] = 4_000_000
    assert limited.over()
    assert limited.facts() == {"limit_usd": 0.01, "spent_usd": 0.006, "guessed_usd": 0.004, "stopped": False}
    assert limited.note(1, 3) == (
        "the budget of $0.01 is spent ($0.01 so far, $0.004 of it a guess for answers without usage) in step 2 of 3: "
        "no more arrivals, draining"
    )
    free = Budget(plan(step()), counters)
    assert not free.over()
    assert free.facts() is None


def billed_usd(requests: list[dict[str, Any]]) -> float:
    """By hand, from the rows' own usage."""
    return (
        sum(r["input_tokens"] * 1.0 + r["output_tokens"] * 2.0 for r in requests if r["token_source"] == "usage") / 1e6
    )


ARRIVALS = {0: [n * 10 * MS for n in range(600)], 1: [n * 10 * MS for n in range(100)]}
LONG = step(duration_ns=6 * S, rate_rps=100.0, planned_arrivals=600)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_stops_at_its_budget(tmp_path: Path, workers: int) -> None:
    """No more arrivals, answers in flight come to their end, later steps are not run; rows, offered and the journal agree, every check
    of the run is silent, and the exit code is none of ours."""
    # Wanted are 16 tokens in and 4 out; without a probe to learn it from, the endpoint's template adds 8 of its own: 24 × $1 + 4 × $2.
    each_usd = (24 * 1.0 + 4 * 2.0) / 1e6
    priced = target(prices=PRICES, price_source="mine", price_date="2026-01-01")
    made = plan(
        LONG, step(1, planned_arrivals=100), workers=workers, targets={"t": priced}, probe=0, budget_usd=50 * each_usd
    )
    with simulator("--ttft", "60ms", "--itl", "1ms", "--jitter", "0") as url:
        made = with_url(made, url)
        run = folder(tmp_path, made, ARRIVALS)
        end = coordinator.run(made, run, {})
    found, steps = rows(run), rows(run, "steps")
    assert (end.error, end.exit_code, end.interrupted) == (None, 0, False)
    assert run.sealed
    assert {row["outcome"] for row in found} == {"ok"}
    assert [s["step_id"] for s in steps] == [0]
    assert 50 <= len(found) == steps[0]["offered"] < 600
    assert [row["request_id"] for row in found] == list(range(len(found)))
    manifest = run.read_manifest()
    told = manifest["budget"]
    assert told["stopped"]
    assert told["limit_usd"] == pytest.approx(50 * each_usd)
    assert told["spent_usd"] == pytest.approx(billed_usd(found)) == pytest.approx(len(found) * each_usd)
    assert told["guessed_usd"] == 0
    assert any("is spent" in note and "in step 1 of 2" in note for note in manifest["notes"])
    assert journal.read(run.journal_path).stop_ns is not None
    with database.open_runs([run]) as con:
        assert catalog.run(con, "run_cost").one()["cost_usd"] == pytest.approx(told["spent_usd"])
        checks = [q.name for q in relations.load().values() if q.kind == "checks"]
        assert {name: catalog.run(con, name).rows for name in checks} == {name: [] for name in checks}
    good = {"verdict": {"verdict": "VALID"}, "thresholds": []}
    assert code_of(end, good) == exits.GOOD


def test_a_target_without_usage_still_meets_its_budget(tmp_path: Path) -> None:
    """Answers that tell no usage have no cost in the report, and yet cannot spend without end: the most that they cost is counted."""
    bare = target(prices=PRICES, body={"stream_options": None})
    made = plan(LONG, targets={"t": bare}, probe=0, budget_usd=30 * 24e-6)
    with simulator("--ttft", "5ms", "--itl", "1ms", "--jitter", "0") as url:
        made = with_url(made, url)
        run = folder(tmp_path, made, ARRIVALS)
        coordinator.run(made, run, {})
    told = run.read_manifest()["budget"]
    assert (told["stopped"], told["spent_usd"]) == (True, 0)
    assert told["guessed_usd"] == pytest.approx(len(rows(run)) * 24e-6)
    with database.open_runs([run]) as con:
        cost = catalog.run(con, "run_cost").one()
    assert (cost["cost_usd"], cost["unknown_requests"]) == (None, len(rows(run)))


def test_probes_can_spend_it_all(tmp_path: Path) -> None:
    """They cost money, too: then no step is begun."""
    made = plan(LONG, targets={"t": target(prices=PRICES)}, probe=3, budget_usd=1e-6)
    with simulator("--ttft", "400ms", "--itl", "1ms", "--jitter", "0") as url:
        made = with_url(made, url)
        run = folder(tmp_path, made, ARRIVALS)
        end = coordinator.run(made, run, {})
    assert end.exit_code == 0
    assert rows(run, "steps") == []
    assert {row["phase"] for row in rows(run)} == {"probe"}
    assert any("before the first step" in note for note in run.read_manifest()["notes"])


def test_a_budget_that_is_not_reached_changes_nothing(tmp_path: Path) -> None:
    """Every arrival is sent; what was spent is told all the same."""
    short = replace(LONG, duration_ns=S // 5, planned_arrivals=20)
    made = plan(short, targets={"t": target(prices=PRICES)}, probe=0, budget_usd=1.0)
    with simulator("--ttft", "5ms", "--itl", "1ms", "--jitter", "0") as url:
        made = with_url(made, url)
        run = folder(tmp_path, made, {0: ARRIVALS[0][:20]})
        coordinator.run(made, run, {})
    told = run.read_manifest()["budget"]
    assert (len(rows(run)), told["stopped"]) == (20, False)
    assert told["spent_usd"] == pytest.approx(billed_usd(rows(run)))


@pytest.mark.parametrize(
    ("usd", "shown"),
    [(0, "$0.00"), (12.345, "$12.35"), (1234, "$1,234.00"), (0.01, "$0.01"), (0.0012, "$0.0012"), (2e-7, "$2e-07")],
)
def test_money(usd: float, shown: str) -> None:
    """Cents; below one, two digits."""
    assert money(usd) == shown
