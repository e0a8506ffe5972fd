"""Are the instants certain enough for the percentiles that are made of them?"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.rules.rule import Evidence, Row, Rule, ms, percent

LEAST_EXACT_SHARE = 0.95
LEAST_KERNEL_SHARE = 0.999
LATE_STAMP_MS = 1.0


def rules(evidence: Evidence) -> Iterator[Rule]:
    certainty = evidence.rows("stamp_certainty")
    for step_id, metric in sorted({(r["step_id"], r["metric"]) for r in certainty}):
        rows = [r for r in certainty if r["step_id"] == step_id and r["metric"] == metric]
        if rows[0]["process_share"] < 1:
            yield _certain(step_id, metric, rows)
    for row in evidence.rows("step_stamps"):
        if row["kernel_chunks_judged"]:
            yield _exact(row)
        if row["process_share"]:
            yield _process(row)
            yield from _late_process(row, evidence)
    yield from _fallbacks(evidence)


def _certain(step_id: int, metric: str, rows: list[Row]) -> Rule:
    """Of all printed percentiles the one that could move furthest, measured by its own limit."""
    worst = max(rows, key=lambda r: r["moved_ms"] / r["limit_ms"])
    name = "TTFT" if metric == "ttft" else "inter-chunk latency"
    figure = f"p{worst['q'] * 100:g} of {name}, {ms(worst['ms'])}, is certain to {ms(worst['moved_ms'])}"
    advice = "chunks shared reads: fewer streams a worker, or a machine that is not also the target's"
    return Rule(
        f"{metric}_certain",
        "INVALID",
        step_id,
        figure,
        f"at most {ms(worst['limit_ms'])}: 1 % or 1 ms",
        advice,
        worst["moved_ms"] > worst["limit_ms"],
    )


def _exact(row: Row) -> Rule:
    figure = f"{percent(row['exact_share'])} of chunks have an exact stamp, one a response forgiven"
    advice = (
        "the worker read late, or the target writes several events at once; the others lie between two known arrivals"
    )
    return Rule(
        "exact_share",
        "WARN",
        row["step_id"],
        figure,
        f"at least {percent(LEAST_EXACT_SHARE)}",
        advice,
        row["exact_share"] < LEAST_EXACT_SHARE,
    )


def _process(row: Row) -> Rule:
    figure = f"{percent(row['process_share'])} of answers were stamped in the process"
    advice = "TTFT and gaps are as true as the loop was on time; the socket transport has the kernel's own stamps"
    return Rule("process_stamps", "WARN", row["step_id"], figure, "0 %", advice, True)


def _late_process(row: Row, evidence: Evidence) -> Iterator[Rule]:
    """Such a stamp is late by what its loop was busy with, which no interval in the tables bounds: the loop's own lag does.

    The worst second of ten decides: one hiccup in a long run moves no percentile that is printed, a loop that is always late
    moves all of them.
    """
    seconds = (r for r in evidence.rows("health_seconds") if r["worker_id"] >= 0 and r["reads"])
    lags = sorted(r["loop_lag_p99_ms"] for r in seconds if r["loop_lag_p99_ms"] is not None)
    if not lags:
        return
    lag_ms = lags[min(len(lags) - 1, len(lags) * 9 // 10)]
    ttfts = [r["ttft_p50_ms"] for r in evidence.rows("step_summary") if r["step_id"] == row["step_id"]]
    limit_ms = max(LATE_STAMP_MS, 0.01 * (ttfts[0] or 0.0) if ttfts else 0.0)
    figure = f"stamps taken in the process, by a loop that was {ms(lag_ms)} late (p99; nine seconds of ten were better)"
    advice = "the socket transport's stamps do not depend on the loop; or fewer streams a worker"
    limit = f"at most {ms(limit_ms)}: 1 % of the median TTFT or 1 ms"
    yield Rule("process_stamps_late", "INVALID", row["step_id"], figure, limit, advice, lag_ms > limit_ms)


def _fallbacks(evidence: Evidence) -> Iterator[Rule]:
    """Reads that the kernel did not stamp although it was asked to."""
    if evidence.manifest.get("stamp_source") == "process":
        return
    shares = [r["process_stamp_share"] for r in evidence.rows("health_summary") if r["process_stamp_share"]]
    if shares and max(shares) > 1 - LEAST_KERNEL_SHARE:
        figure = f"{percent(max(shares))} of one worker's reads had no kernel stamp"
        yield Rule(
            "kernel_stamps",
            "WARN",
            None,
            figure,
            f"at most {percent(1 - LEAST_KERNEL_SHARE)}",
            "the kernel or the network device does not stamp; these are read in the process",
            True,
        )
