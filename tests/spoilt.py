"""One good run, and the ways to spoil it, each a function that changes its rows in place."""

from __future__ import annotations

import numpy as np

from tests.fabricate import MS, START_NS, US, S, answer, beat, step

SECOND_STEP_NS = START_NS + 20 * S


def good():
    """An open step, Poisson at 30/s for 10 s, and a closed one of 2 slots with 15 requests each; one worker, kernel stamps."""
    rng = np.random.default_rng(2)
    offsets_ms = np.cumsum(rng.exponential(1000 / 30, 400))
    offsets_ms = offsets_ms[offsets_ms < 10_000]
    pairs = [
        answer(n, at_ms=at, ttft_ms=50 + rng.exponential(5), gaps_ms=rng.normal(10, 0.2, 15))
        for n, at in enumerate(offsets_ms)
    ]
    for n in range(30):
        gaps = rng.normal(10, 0.2, 15)
        pairs.append(
            answer(
                n,
                step_id=1,
                scheduled_ns=SECOND_STEP_NS + n % 2 * 110 * MS + n // 2 * 220 * MS,
                ttft_ms=50,
                gaps_ms=gaps,
            )
        )
    run = {
        "steps": [
            step(0, name="open", rate_rps=30.0, offered=len(offsets_ms), planned_arrivals=len(offsets_ms)),
            step(1, 4, name="closed", concurrency=2, start_ns=SECOND_STEP_NS, offered=30, planned_arrivals=30),
        ],
        "requests": [row for row, _ in pairs],
        "tokens": [chunk for _, chunks in pairs for chunk in chunks],
        "health": [beat(0, s) for s in range(-1, 26)]
        + [beat(-1, s, reads=0, loop_lag_ns_p99=None) for s in range(-1, 26)],
    }
    # Connections are made for the first two requests only.
    for row in run["requests"][:2]:
        row["connected_ns"] = row["issued_ns"] + 500 * US
        row["sent_ns"] = row["connected_ns"] + 10 * US
    return run


GOOD = good()


def late(run, step_id, by_ns, share):
    """Some requests issued, and so everything after, that much later."""
    rows = [r for r in run["requests"] if r["step_id"] == step_id]
    for row in rows[2 :: round(1 / share)]:
        for name in ("issued_ns", "sent_ns"):
            row[name] += by_ns


def open_lateness(run):
    late(run, 0, 2 * MS, 0.05)


def closed_lateness(run):
    late(run, 1, 2 * MS, 0.2)


def send_delay(run):
    for row in run["requests"][2:300:20]:
        row["sent_ns"] += 2 * MS


def offered_load(run):
    for row in run["requests"][10:20]:
        drop(run, row)


def drop(run, row):
    row.update(outcome="dropped", issued_ns=None, sent_ns=None, first_byte_ns=None, headers_ns=None, http_status=None)
    run["tokens"] = [t for t in run["tokens"] if t["request_id"] != row["request_id"]]


def one_dropped(run):
    drop(run, run["requests"][10])


def lost(run):
    row = run["requests"][10]
    drop(run, row)
    row.update(outcome="lost", done_ns=None)


def stopped(run):
    """SIGSTOP for 3 s: no health rows meanwhile."""
    run["health"] = [
        h for h in run["health"] if h["worker_id"] < 0 or not START_NS + 3 * S <= h["t_ns"] < START_NS + 6 * S
    ]


def never_woken(run):
    """SIGSTOP to the end: the last rows never came."""
    run["health"] = [h for h in run["health"] if h["worker_id"] < 0 or h["t_ns"] < START_NS + 21 * S]


def paused_between_steps(run):
    run["health"] = [
        h for h in run["health"] if h["worker_id"] < 0 or not START_NS + 13 * S <= h["t_ns"] < START_NS + 16 * S
    ]


def clock_step(run):
    for row in run["health"]:
        if row["t_ns"] > START_NS + 5 * S:
            row["clock_offset_ns"] += 2 * MS


def clock_slew(run):
    for row in run["health"]:
        row["clock_offset_ns"] += (row["t_ns"] - START_NS) * 400 // 1_000_000


def twice(run):
    run["requests"].append(dict(run["requests"][5]))


def uncertain_first(run):
    """First chunks of a fifth of the answers merged with what came 15 ms later."""
    for t in run["tokens"]:
        if t["request_id"] < 60 and t["chunk_index"] == 0:
            t["exact"] = False


def uncertain_gaps(run):
    """Every twelfth chunk merged with the next."""
    for t in run["tokens"]:
        if t["chunk_index"] == 7 and t["request_id"] % 2:
            t["exact"] = False


def few_uncertain_gaps(run):
    for t in run["tokens"]:
        if t["chunk_index"] == 15:
            t["exact"] = False


def process_stamps(run):
    uncertain_gaps(run)
    for row in run["requests"]:
        row["stamp_source"] = "process"


def late_process_stamps(run):
    """The same, read by a loop that took 5 ms a turn in every second."""
    process_stamps(run)
    for row in run["health"]:
        row["loop_lag_ns_p99"] = 5 * MS


def inexact(run):
    """Many merged chunks, but so close together that no percentile can move far."""
    for t in run["tokens"]:
        t["t_ns"] = (
            next(r for r in run["requests"] if r["request_id"] == t["request_id"])["scheduled_ns"]
            + 50 * MS
            + t["chunk_index"] * 300 * US
        )
        t["exact"] = t["chunk_index"] % 3 == 0
    for row in run["requests"]:
        row["done_ns"] = row["scheduled_ns"] + 60 * MS
        row["first_byte_ns"] = row["headers_ns"] = row["scheduled_ns"] + 49 * MS


def busy(run):
    for row in run["health"]:
        if row["worker_id"] == 0:
            row["cpu_s"] = 1.0 + (row["t_ns"] - START_NS) / S * 0.9


def lagging(run):
    run["health"][8]["loop_lag_ns_p99"] = 40 * MS


def stalled(run):
    """Of the first step's answers each group of four chunks is held, and comes 40 ms after the one before; their stamps are exact."""
    first = {r["request_id"] for r in run["requests"] if r["step_id"] == 0}
    for chunk in run["tokens"]:
        if chunk["request_id"] in first and chunk["chunk_index"] % 4:
            leader = next(
                c
                for c in run["tokens"]
                if c["request_id"] == chunk["request_id"] and c["chunk_index"] == chunk["chunk_index"] // 4 * 4
            )
            chunk["t_ns"] = leader["t_ns"]


def resent(run):
    run["requests"][9]["resent"] = True


def bunched(run):
    """The same requests, sent in bursts: each with the last of its tenth of a second."""
    for row in run["requests"]:
        if row["step_id"] == 0:
            moved = -(row["scheduled_ns"] - START_NS) % (200 * MS)
            for name in (
                "scheduled_ns",
                "issued_ns",
                "sent_ns",
                "connected_ns",
                "first_byte_ns",
                "headers_ns",
                "done_ns",
            ):
                if row[name] is not None:
                    row[name] += moved
            for t in run["tokens"]:
                if t["request_id"] == row["request_id"]:
                    t["t_ns"] += moved


def descriptors(run):
    row = run["requests"][10]
    drop(run, row)
    row.update(
        outcome="connect_error", issued_ns=row["scheduled_ns"], error_message="OSError: [Errno 24] Too many open files"
    )


def short_answers(run):
    """Asked for twice what came, which is nearer to what the other step asks for."""
    for row in run["requests"]:
        row["output_tokens_wanted"] = row["output_tokens"] * (2 if row["step_id"] == 0 else 1)


def long_prompts(run):
    """The target counts an eighth more than was wanted."""
    for row in run["requests"]:
        if row["step_id"] == 1:
            row["input_tokens"] = row["input_tokens_wanted"] * 9 // 8


def mixed_sources(run):
    run["requests"][10]["token_source"] = "chunks"


def unrecorded_step(run):
    del run["steps"][1]


def unstamped(run):
    for row in run["health"]:
        row["process_stamps"] = row["reads"] // 50 if row["reads"] and row["reads"] > 0 else 0
