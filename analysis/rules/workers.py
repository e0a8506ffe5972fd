"""Were the workers alive, punctual and idle enough, and the clocks steady?"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.rules.rule import Evidence, Row, Rule, ms, percent

LONGEST_SILENCE_S = 2.5
"""Health rows come once a second; two missing in a row are no accident."""

CLOCK_STEP_NS = 1_000_000
SLEW = 500e-6
"""The kernel slews CLOCK_REALTIME by at most 500 ppm (adjtimex); what moves faster was set."""

BUSY_SHARE = 0.8
LOOP_LAG_MS = 10.0
BUSY_RHO = 0.5


def rules(evidence: Evidence) -> Iterator[Rule]:
    during = _during_steps(evidence)
    yield _lost(evidence)
    yield _silence(evidence, during)
    yield _clock(evidence.rows("health_seconds"))
    yield from _cpu(during)
    yield from _loop_lag(during)
    yield from _rho(evidence)


def _during_steps(evidence: Evidence) -> list[Row]:
    """Health intervals of workers that touch a step: what happens between steps spoils no figure."""
    steps = evidence.rows("step_windows")
    spans = [
        (s["start_ns"], s["drained_ns"] or s["end_ns"] or s["start_ns"]) for s in steps if s["start_ns"] is not None
    ]
    rows = [r for r in evidence.rows("health_seconds") if r["worker_id"] >= 0]
    return [r for r in rows if any(r["from_ns"] < end and r["t_ns"] > start for start, end in spans)]


def _lost(evidence: Evidence) -> Rule:
    lost = list(evidence.manifest.get("lost_workers") or [])
    arrivals = sum(r["lost"] for r in evidence.rows("schedule_fidelity"))
    figure = f"{len(lost)} workers lost" + (f", and {arrivals:,} requests with them" if arrivals else "")
    return Rule(
        "workers_alive",
        "INVALID",
        None,
        figure,
        "0",
        "see workers.log: killed, out of memory, or a fault of ours",
        bool(lost or arrivals),
    )


def _silence(evidence: Evidence, during: list[Row]) -> Rule:
    """Between two health rows, or from a worker's last one to the end of the last step: one that never woke wrote no more."""
    silences = [(r["gap_s"], r["worker_id"]) for r in during]
    end_ns = max((s["drained_ns"] or s["end_ns"] or 0 for s in evidence.rows("step_windows")), default=0)
    workers = [r for r in evidence.rows("health_summary") if r["worker_id"] >= 0]
    silences += [((end_ns - r["last_ns"]) / 1e9, r["worker_id"]) for r in workers]
    gap_s, worker = max(silences, default=(0.0, 0))
    who = f" by worker {worker}" if gap_s > LONGEST_SILENCE_S else ""
    figure = f"longest silence{who} during a step: {max(gap_s, 0.0):.1f} s"
    advice = "the worker was stopped or starved: nothing that it stamped around then can be trusted"
    return Rule(
        "workers_running", "INVALID", None, figure, f"at most {LONGEST_SILENCE_S} s", advice, gap_s > LONGEST_SILENCE_S
    )


def _clock(seconds: list[Row]) -> Rule:
    steps = [(abs(r["offset_step_ns"]), r["gap_s"]) for r in seconds if r["offset_step_ns"] is not None]
    worst = max((step_ns for step_ns, _ in steps), default=0)
    stepped = any(step_ns > CLOCK_STEP_NS + SLEW * gap_s * 1e9 for step_ns, gap_s in steps)
    figure = f"CLOCK_REALTIME moved {worst / 1000:,.0f} us against CLOCK_MONOTONIC between two looks"
    advice = "kernel stamps are mapped through it: stop NTP from stepping the clock during a run"
    return Rule(
        "clock_steady", "INVALID", None, figure, f"at most {CLOCK_STEP_NS // 1000:,} us beyond slewing", advice, stepped
    )


def _cpu(during: list[Row]) -> Iterator[Rule]:
    known = [r for r in during if r["cpu_share"] is not None and r["gap_s"] >= 0.5]
    if known:
        worst = max(known, key=lambda r: r["cpu_share"])
        busy = sum(r["cpu_share"] > BUSY_SHARE for r in known)
        figure = f"worker {worst['worker_id']} used {percent(worst['cpu_share'])} of a core in its busiest second"
        figure += f"; {busy:,} of {len(known):,} seconds above the limit" if busy else ""
        yield Rule(
            "worker_cpu",
            "WARN",
            None,
            figure,
            f"at most {percent(BUSY_SHARE)}",
            "use more workers, or spread the load over hosts",
            busy > 0,
        )


def _loop_lag(during: list[Row]) -> Iterator[Rule]:
    known = [r["loop_lag_p99_ms"] for r in during if r["loop_lag_p99_ms"] is not None]
    if known:
        late = sum(lag > LOOP_LAG_MS for lag in known)
        figure = f"turns of the loop took {ms(max(known))} in the worst second (p99)" + (
            f"; {late:,} of {len(known):,} seconds above the limit" if late else ""
        )
        advice = "sends may be that late, and stamps taken in the process; kernel stamps are not"
        yield Rule("loop_lag", "WARN", None, figure, f"at most {ms(LOOP_LAG_MS)}", advice, late > 0)


def _rho(evidence: Evidence) -> Iterator[Rule]:
    """Room: the worker as a queue of one server, by the busiest of each step.

    M/G/1 takes the CPU of a request for one piece of work. It is many small ones between which sends go first, so lateness mostly stays
    far below the wait; what the model tells is where it begins to run away.
    """
    rows = [r for r in evidence.rows("worker_rates") if r["rho"] is not None]
    ttfts = {r["step_id"]: r["ttft_p50_ms"] for r in evidence.rows("step_summary")}
    for step_id in sorted({r["step_id"] for r in rows}):
        row = max((r for r in rows if r["step_id"] == step_id), key=lambda r: r["rho"])
        predicted = "a queue without end" if row["wait_ms"] is None else f"a wait of {ms(row['wait_ms'])}"
        ttft_ms = ttfts.get(step_id)
        if row["wait_ms"] is not None and ttft_ms:
            predicted += f", {percent(row['wait_ms'] / ttft_ms)} of the median TTFT"
        figure = (
            f"worker {row['worker_id']}: {row['sent_rps']:.4g} requests/s × {row['service_ms']:.3g} ms of CPU = ρ {row['rho']:.2f}, "
            f"which predicts {predicted}"
        )
        advice = "sends may be late by that much, and TTFT too where stamps are taken in the process: use more workers"
        yield Rule("rho", "WARN", step_id, figure, f"at most {BUSY_RHO}", advice, row["rho"] > BUSY_RHO)
