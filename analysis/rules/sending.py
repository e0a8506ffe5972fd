"""Was the load sent, and sent in time?"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.rules.rule import Evidence, Row, Rule, ms, percent

LEAST_SENT_SHARE = 0.99


def rules(evidence: Evidence) -> Iterator[Rule]:
    fidelity = evidence.rows("schedule_fidelity")
    yield _recorded(evidence)
    for row in fidelity:
        if row["offered"]:
            yield _offered(row)
        if row["judged"]:
            yield _lateness(row)
        if row["judged_sends"]:
            yield _send_delay(row)
        if row["dropped"]:
            yield _dropped(row)
        if row["resent"]:
            yield _resent(row)


def _recorded(evidence: Evidence) -> Rule:
    n = sum(r["attempted"] for r in evidence.rows("schedule_fidelity"))
    why = evidence.manifest.get("ended_early")
    advice = (
        f"the run ended before its load: {why}"
        if why
        else "nothing can be said of the target; see the probes' outcomes and workers.log"
    )
    return Rule("recorded", "INVALID", None, f"{n:,} requests were sent", "at least 1", advice, n == 0)


def _offered(row: Row) -> Rule:
    missing = f", {row['dropped']:,} dropped by the in-flight cap" if row["dropped"] else ""
    missing += f", {row['lost']:,} lost with a worker" if row["lost"] else ""
    figure = f"{percent(row['attempted_share'])} of {row['offered']:,} requests that were due were sent{missing}"
    advice = "offer less, use more workers, or raise max_in_flight: the load that was asked for did not happen"
    return Rule(
        "offered_load",
        "INVALID",
        row["step_id"],
        figure,
        f"at least {percent(LEAST_SENT_SHARE)}",
        advice,
        row["attempted_share"] < LEAST_SENT_SHARE,
    )


def _lateness(row: Row) -> Rule:
    what = "slots that fell free sent again" if row["closed"] else "requests were issued"
    figure = f"{what} {ms(row['lateness_p99_ms'])} late (p99 of {row['judged']:,}; worst {ms(row['lateness_max_ms'])})"
    advice = "the generator was busy: more workers, a lower rate, or a machine to itself"
    return Rule(
        "lateness", "INVALID", row["step_id"], figure, _limit(row), advice, row["lateness_p99_ms"] > row["limit_ms"]
    )


def _send_delay(row: Row) -> Rule:
    figure = (
        f"requests left {ms(row['send_delay_p99_ms'])} after they were issued, on connections that existed "
        f"(p99 of {row['judged_sends']:,}; worst {ms(row['send_delay_max_ms'])})"
    )
    advice = "encoding or writing held sends up: more workers, or shorter prompts"
    return Rule(
        "send_delay", "INVALID", row["step_id"], figure, _limit(row), advice, row["send_delay_p99_ms"] > row["limit_ms"]
    )


def _limit(row: Row) -> str:
    median = "" if row["ttft_p50_ms"] is None else f", 1 % of the median TTFT of {ms(row['ttft_p50_ms'])}"
    return f"at most {ms(row['limit_ms'])}" + (median if row["limit_ms"] > 1 else "")


def _dropped(row: Row) -> Rule:
    figure = f"{row['dropped']:,} of {row['offered']:,} requests were never sent, because max_in_flight was reached"
    return Rule(
        "in_flight_cap",
        "WARN",
        row["step_id"],
        figure,
        "0",
        "what was sent is no longer the scheduled process: raise max_in_flight or offer less",
        True,
    )


def _resent(row: Row) -> Rule:
    figure = f"{row['resent']:,} requests were sent a second time, because a reused connection had died"
    advice = "the target closes idle connections sooner than 4 s: their TTFT holds the first attempt, as a user's would"
    return Rule("resent", "WARN", row["step_id"], figure, "0", advice, True)
