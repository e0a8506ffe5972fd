"""Runs over all APIs of the simulator at once: every fault, every refusal and every count against its truth log."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import mixed
from benchmarks.processes import openloop, simulator

APIS = [*mixed.STREAMED, *mixed.UNSTREAMED]
ONLY_STREAMED = ("no-finish", "bad-framing")


@pytest.mark.parametrize("stream", [True, False])
def test_every_fault_of_every_api_is_the_right_outcome(tmp_path: Path, stream: bool) -> None:
    """A target for each API and fault, all in one run, streamed or not: as often as the truth log says, each under its right name,
    and the tokens, statuses and chunks of what went well are those that the simulator sent.
    """
    truth = tmp_path / "truth"
    pairs = [(api, fault) for api in APIS for fault in ("", *mixed.FAULTS)]
    with simulator(truth, ttft="5ms", itl="2ms", jitter=0, reasoning="25%", cached="50%") as server:
        targets = {
            f"{api} {fault}".strip(): mixed.target(
                server["url"],
                api,
                headers={"x-sim-fault": fault} if fault else {},
                **({} if api in mixed.UNSTREAMED else {"stream": stream}),
            )
            for api, fault in pairs
        }
        steps = [{"arrivals": "poisson", "rate": "150/s", "requests": 10 * len(pairs)}]
        run = openloop(mixed.scenario(targets, steps), "mixed", tmp_path).run
    table = mixed.outcomes(run, truth)
    assert mixed.misnamed(run, truth) == []
    assert all(row["misnamed"] == 0 and row["client_count"] == row["truth_count"] for row in table)
    assert sum(row["truth_count"] for row in table) == 10 * len(pairs)
    happened = {(row["api"], row["did"]) for row in table}
    wanted = {(api, fault or "ok") for api, fault in pairs}
    # An answer in one piece has no middle: these faults leave it well.
    whole = mixed.UNSTREAMED if stream else APIS
    assert happened == wanted - {(api, fault) for api in whole for fault in ONLY_STREAMED}
    counts = mixed.counts(run, truth)
    assert counts.pop("answers") > 10 * len(APIS)
    assert set(counts.values()) == {0}


@pytest.mark.parametrize("dialect", ["auto", "together", "groq"])
def test_refusals_by_limits_are_counted_as_the_truth_counts_them(tmp_path: Path, dialect: str) -> None:
    """Above the limit every API's refusals are rate_limited, as many as the log says, with the limit where the dialect tells it."""
    truth = tmp_path / "truth"
    limits = {"limits": "bucket requests 20/1s", "limit_headers": dialect}
    with simulator(truth, ttft="5ms", itl="2ms", jitter=0, **limits) as server:
        targets = {api: mixed.target(server["url"], api) for api in APIS}
        steps = [{"arrivals": "constant", "rate": "60/s", "requests": 120}]
        run = openloop(mixed.scenario(targets, steps), "limited", tmp_path).run
    table = mixed.outcomes(run, truth)
    assert mixed.misnamed(run, truth) == []
    assert {row["did"] for row in table} == {"ok", "refused"}
    assert sum(row["client_count"] for row in table) == 120
    silent = ("http-json",) if dialect == "auto" else ()
    told = mixed.limits_told(run)
    assert {row["api"] for row in told} == set(APIS) - set(silent)
    assert {row["limit_requests"] for row in told} == {20}


def test_what_the_client_gives_up_is_gone_at_the_simulator(tmp_path: Path) -> None:
    """A share of each API's requests, cut by plan after some tokens: as many are cancelled here as saw their client leave there."""
    truth = tmp_path / "truth"
    with simulator(truth, ttft="5ms", itl="20ms", jitter=0) as server:
        targets = {api: mixed.target(server["url"], api) for api in mixed.STREAMED}
        steps = [{"arrivals": "constant", "rate": "30/s", "requests": 90}]
        plan = mixed.scenario(targets, steps, cancel={"share": "50%", "after_tokens": 2})
        run = openloop(plan, "cancelled", tmp_path).run
    assert mixed.misnamed(run, truth) == []
    table = mixed.outcomes(run, truth)
    assert {(row["api"], row["did"]) for row in table} == {
        (api, did) for api in mixed.STREAMED for did in ("ok", "gone")
    }
    assert sum(row["client_count"] for row in table) == 90
