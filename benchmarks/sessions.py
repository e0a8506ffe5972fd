"""Conversations against a batching server: is the history right, turn by turn, and what does each turn cost?

Poisson sessions of several turns, each turn with all that was really said before it. The simulator's truth log has a fingerprint of every
message that it saw and of every answer that it sent: turn k must carry exactly what turn k − 1 carried, the answer that this got, and one
new message. What the server spends on a prompt's tokens makes the first token of a later turn wait longer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.processes import openloop, simulator

_HISTORY = """
    WITH turns AS (
        SELECT c.request_id, c.session_id, c.turn, c.turns, c.outcome, t.roles, t.message_hashes, t.answer_hash,
            lag(t.message_hashes) OVER of_session AS before, lag(t.answer_hash) OVER of_session AS answered,
            lag(c.done_ns) OVER of_session AS done_before_ns, lag(c.turn) OVER of_session AS turn_before, c.scheduled_ns
        FROM read_parquet($requests) AS c
        LEFT JOIN read_parquet($truth) AS t ON t.x_request_id = c.run_id || '-' || c.request_id
        WHERE c.session_id IS NOT NULL
        WINDOW of_session AS (PARTITION BY c.session_id ORDER BY c.turn)
    )
    SELECT count(*) AS turns,
        count(DISTINCT session_id) AS sessions,
        count(DISTINCT session_id) FILTER (WHERE turn = turns AND outcome = 'ok') AS completed,
        count(*) FILTER (WHERE turn > 1 AND message_hashes[: len(message_hashes) - 1] = list_append(before, answered)) AS histories_right,
        count(*) FILTER (WHERE turn > 1) AS later_turns,
        count(*) FILTER (
            WHERE turn > 1 AND message_hashes[: len(message_hashes) - 1] IS DISTINCT FROM list_append(before, answered)
        ) AS histories_wrong,
        count(*) FILTER (WHERE list_filter(roles, lambda r: r <> 'system') IS DISTINCT FROM
            list_transform(range(2 * turn - 1), lambda i: CASE WHEN i % 2 = 0 THEN 'user' ELSE 'assistant' END)) AS roles_wrong,
        count(*) FILTER (WHERE turn <> coalesce(turn_before, 0) + 1) AS out_of_order,
        count(*) FILTER (WHERE scheduled_ns < done_before_ns) AS before_its_answer,
        count(*) - count(DISTINCT message_hashes[-1]) AS messages_twice
    FROM turns
"""


def history(run: Path, truth: Path) -> dict[str, Any]:
    """Turns and sessions of a run, and how many of the later turns carried what had been said, by the truth log; all that follows
    ``histories_right`` and ``later_turns`` must be 0.
    """
    sources = {"requests": f"{run}/requests.parquet", "truth": f"{truth}/truth-requests-*.parquet"}
    return harness.query(_HISTORY, **sources)[0]


def scenario(url: str, sessions: int, turns: int, rate_rps: float) -> dict[str, Any]:
    """200 tokens a message, 64 an answer, a user who thinks a second."""
    return {
        "name": "sessions",
        "seed": 42,
        "target": {"url": url, "model": "simulated"},
        "workload": {
            "input_tokens": 200,
            "output_tokens": 64,
            "session": {"turns": turns, "think": {"exponential": "1s"}},
        },
        "steps": [{"arrivals": "poisson", "rate": f"{rate_rps:g}/s", "sessions": sessions}],
    }


def by_turn(run: Path) -> list[harness.Row]:
    """The relation ``turns`` of a run."""
    from analysis import catalog, database
    from generator.run_dir import RunDir

    with database.open_runs([RunDir(run)]) as con:
        rows = catalog.run(con, "turns").dicts()
    shown = ("turn", "requests", "ok_requests", "mean_input_tokens", "ttft_p50_ms", "ttft_p90_ms", "e2e_p50_ms")
    return [{name: row[name] for name in shown} for row in rows]


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--rate", type=float, default=5.0, help="sessions that start in a second")
    options = parser.parse_args()
    made = harness.machine()
    batch = {"timing": "batch", "max_batch": 64, "prefill_base": "2ms", "prefill_per_token": "30us"}
    with harness.folder(options) as folder:
        truth = folder / "truth"
        with simulator(truth, **batch) as server:
            asked = scenario(server["url"], options.sessions, options.turns, options.rate)
            client = openloop(asked, "sessions", folder)
        found = history(client.run, truth)
        rows = by_turn(client.run)
        verdict = client.manifest()["verdict"]
    wrong = {
        name: found[name]
        for name in ("histories_wrong", "roles_wrong", "out_of_order", "before_its_answer", "messages_twice")
    }
    harness.finish(
        options,
        f"{options.sessions} Poisson sessions of {options.turns} turns",
        made,
        rows,
        f"{found['sessions']} sessions, {found['completed']} of them completed; {found['turns']} turns, of whose {found['later_turns']} later "
        f"ones {found['histories_right']} carried exactly what had been said. The verdict: {verdict}.",
        "; ".join(f"{name.replace('_', ' ')}: {n}" for name, n in wrong.items()) + ".",
        "A prompt costs the simulator 2 ms and 30 us a token, one prefill at a time; decoding stalls meanwhile.",
    )


if __name__ == "__main__":
    harness.main(measure)
