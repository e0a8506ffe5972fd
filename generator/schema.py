"""The contract of the run folder: every table that openloop writes, one comment a column.

All times are int64 nanoseconds on the host's CLOCK_MONOTONIC; the manifest anchors them to UTC. Tables hold instants and
counts, never a duration that could be computed from them. Columns may be added; these keep their names and meaning. Every
join is ``USING (run_id, request_id)``.
"""

from __future__ import annotations

import pyarrow as pa

from generator.names import KINDS, OUTCOMES, PHASES, PROBE_STEP, REQUESTS_A_STEP, TOKEN_SOURCES

_TEXT = pa.string()

STEPS = pa.schema(
    [
        ("run_id", _TEXT),  # the run folder's name
        ("step_id", pa.int32()),  # from 0, in order of execution
        ("name", _TEXT),  # the scenario's name of the step, or one made from its load
        ("cell", _TEXT),  # matrix cell, "key=value,key=value"; NULL without a matrix
        ("arrivals", _TEXT),  # poisson, constant, gamma, trace, closed
        ("rate_rps", pa.float64()),  # offered rate at the start; NULL when closed
        ("rate_end_rps", pa.float64()),  # offered rate at the end of a ramp; NULL without one
        ("burstiness", pa.float64()),  # shape of the gamma gaps; NULL for other arrivals
        ("concurrency", pa.int32()),  # slots at the start; NULL when open
        ("concurrency_end", pa.int32()),  # slots at the end of a ramp; NULL without one
        ("input_tokens", pa.float64()),  # wanted input length, its mean when it is a distribution
        ("output_tokens", pa.float64()),  # wanted output length, its mean when it is a distribution
        ("arm", _TEXT),  # the target's name in a comparison, else NULL
        ("block", pa.int32()),  # block of a comparison, else NULL
        ("start_ns", pa.int64()),  # the instant that all offsets count from
        ("end_ns", pa.int64()),  # issuing ended
        ("warmup_ns", pa.int64()),  # length of the warm-up; the window is [start + warmup, end)
        ("drained_ns", pa.int64()),  # the last answer ended, or the drain was cut
        (
            "planned_arrivals",
            pa.int64(),
        ),  # arrivals in the schedule, sessions in one of conversations; NULL when the end is by duration and closed
        ("offered", pa.int64()),  # arrivals that were due before issuing ended; turns of conversations, each
        (
            "session_turns",
            pa.int32(),
        ),  # the most turns of a session: turn k of session s is request s · this + k − 1; NULL outside conversations
    ]
)

REQUESTS = pa.schema(
    [
        ("run_id", _TEXT),  # the run folder's name
        ("request_id", pa.int64()),  # step_id·10⁹ + arrival number; probes < 0
        ("step_id", pa.int32()),  # -1 for probes
        ("worker_id", pa.int32()),  # from 0
        ("host_id", pa.int32()),  # 0 until a run spans hosts
        ("session_id", pa.int64()),  # the request_id of its first turn; NULL outside conversations
        ("turn", pa.int32()),  # from 1; NULL outside conversations
        ("workload", _TEXT),  # name of the workload that made the prompt
        ("target", _TEXT),  # name of the target
        ("api", _TEXT),  # what the target was spoken to in: openai-chat, ...
        ("model", _TEXT),  # the model that was asked for
        ("streamed", pa.bool_()),  # the answer came as a stream
        ("phase", _TEXT),  # probe; warmup: scheduled before start + warmup; main
        ("scheduled_ns", pa.int64()),  # closed loop: the slot's previous done_ns + think time
        ("issued_ns", pa.int64()),  # the pacer took the arrival, before any connect
        (
            "sent_ns",
            pa.int64(),
        ),  # the clock read before the request was sent; of one that was resent, before the second time
        ("connected_ns", pa.int64()),  # connection (with TLS) was ready; NULL when reused
        ("first_byte_ns", pa.int64()),  # status line's first byte
        ("headers_ns", pa.int64()),  # header block complete
        ("done_ns", pa.int64()),  # body complete, or the moment that the request was given up
        ("outcome", _TEXT),  # one of OUTCOMES
        ("http_status", pa.int16()),  # NULL where no status line came
        ("error_type", _TEXT),  # the API's own word, or ours for errors that no API names
        ("error_message", _TEXT),  # at most 500 characters, secrets redacted
        ("finish_reason", _TEXT),  # the API's own word
        ("response_id", _TEXT),  # the answer's id in its body
        ("server_ms", pa.float64()),  # what the target says it took
        (
            "input_tokens_wanted",
            pa.int32(),
        ),  # what the prompt was made for; NULL where its length is not ours to choose
        ("output_tokens_wanted", pa.int32()),  # the limit that was sent; NULL without one
        ("input_tokens", pa.int32()),  # what the target counted
        ("output_tokens", pa.int32()),  # hidden reasoning included; token_source says who counted
        ("reasoning_tokens", pa.int32()),  # part of output_tokens, by the target's count
        ("cached_tokens", pa.int32()),  # part of input_tokens, by the target's count
        ("token_source", _TEXT),  # where output_tokens comes from: one of TOKEN_SOURCES
        ("retry_after_s", pa.float64()),  # rate-limit headers, from here to reset_tokens_s; NULL where absent
        ("limit_requests", pa.int64()),  # requests that the target allows in its window
        ("remaining_requests", pa.int64()),  # of them left
        ("reset_requests_s", pa.float64()),  # until they are whole again
        ("limit_tokens", pa.int64()),  # tokens that the target allows in its window
        ("remaining_tokens", pa.int64()),  # of them left
        ("reset_tokens_s", pa.float64()),  # until they are whole again
        ("bytes_sent", pa.int64()),  # plaintext HTTP, head and body
        ("bytes_received", pa.int64()),  # plaintext HTTP, head and body
        ("connection_id", pa.int64()),  # unique within a worker
        ("remote_addr", _TEXT),  # IP address that the connection went to
        ("resent", pa.bool_()),  # sent a second time after a reused connection died silently
        ("price_input", pa.float64()),  # USD per 10⁶ tokens; NULL where unknown
        ("price_output", pa.float64()),  # USD per 10⁶ tokens; NULL where unknown
        ("price_cached", pa.float64()),  # USD per 10⁶ tokens; NULL where unknown
        ("reads", pa.int32()),  # socket reads that carried this response
        ("stamp_source", _TEXT),  # kernel: SO_TIMESTAMPNS; process: read in this process after the fact
        ("in_flight", pa.int32()),  # requests in flight in this worker when this one was issued, itself included
        (
            "last_read_before_ns",
            pa.int64(),
        ),  # arrival before the first token's read, or a later time when none of it had come: lower bound of an inexact first stamp
        (
            "merged_read",
            pa.int32(),
        ),  # the last read that brought several pieces of the body, or a piece and the body's end
        ("merged_after_ns", pa.int64()),  # nothing of that read had arrived then: lower bound of its inexact stamps
        ("prompt_words", pa.int32()),  # words of a synthetic prompt; NULL for others
        ("server_request_id", _TEXT),  # the target's own request id, where its headers give one
        ("cancel_planned", pa.bool_()),  # the scenario meant to give it up on purpose, whether or not it ended first
        ("turns", pa.int32()),  # turns that its session is to have; NULL outside conversations
        ("tags", _TEXT),  # the workload's tags, "key=value,key=value", keys sorted; NULL without
        ("cache_write_tokens", pa.int32()),  # part of input_tokens that was written to the target's cache, by its count
        ("price_cache_write", pa.float64()),  # USD per 10⁶ tokens written to the cache; NULL where unknown
        (
            "stated_dimension",
            _TEXT,
        ),  # what the message of a refusal says was limited, in its words (TPM); from here to stated_wait_s
        ("stated_limit", pa.int64()),  # "Limit 30000": what the target allows
        ("stated_used", pa.int64()),  # "Used 29500": what had been taken of it
        ("stated_requested", pa.int64()),  # "Requested 654": what it charged for this request
        ("stated_wait_s", pa.float64()),  # "Please try again in 308ms"
    ]
)

TOKENS = pa.schema(
    [
        ("run_id", _TEXT),  # the run folder's name
        ("request_id", pa.int64()),  # as in requests
        ("chunk_index", pa.int32()),  # from 0 within the response, over rows only
        ("t_ns", pa.int64()),  # arrival of the read that completed the event
        ("read_index", pa.int32()),  # that read, from 0 within the response
        (
            "exact",
            pa.bool_(),
        ),  # a kernel stamp, and the event's last byte ended its read; else the truth is in (arrival before it, t_ns]
        ("kind", _TEXT),  # one of KINDS
        ("n_tokens", pa.int16()),  # NULL where unknown
        ("n_chars", pa.int32()),  # Unicode code points of the text
    ]
)

HEALTH = pa.schema(
    [
        ("run_id", _TEXT),  # the run folder's name
        ("worker_id", pa.int32()),  # from 0
        ("t_ns", pa.int64()),  # when this row was taken
        ("cpu_s", pa.float64()),  # user + system, cumulative
        ("rss_bytes", pa.int64()),  # resident memory now
        ("in_flight", pa.int64()),  # requests in flight now
        ("sent", pa.int64()),  # cumulative, like all that follow but loop_lag, clock_offset
        ("late_1ms", pa.int64()),  # issued more than 1 ms after it was due
        ("late_10ms", pa.int64()),  # more than 10 ms after it was due
        ("late_100ms", pa.int64()),  # more than 100 ms after it was due
        ("dropped", pa.int64()),  # due, but the in-flight cap was reached
        ("gc_ns", pa.int64()),  # spent in garbage collection
        ("loop_lag_ns_p99", pa.int64()),  # over this second: how long the loop's turns kept readiness waiting
        ("clock_offset_ns", pa.int64()),  # CLOCK_REALTIME − CLOCK_MONOTONIC
        ("process_stamps", pa.int64()),  # reads without a kernel stamp
        ("reads", pa.int64()),  # socket reads
        ("tokens", pa.int64()),  # token rows
        (
            "read_lag_ns_p99",
            pa.int64(),
        ),  # over this second: from a segment's arrival to its read; NULL without kernel stamps
        ("clock_steps", pa.int64()),  # jumps of the wall clock seen, cumulative
        ("awake_ns", pa.int64()),  # spent looking out for an arrival that was near: CPU time, but no work; cumulative
        ("undecoded_bytes", pa.int64()),  # waiting for a decode slice now
    ]
)

TEXTS = pa.schema(
    [
        ("run_id", _TEXT),  # the run folder's name
        ("request_id", pa.int64()),  # as in requests
        ("prompt", _TEXT),  # what was asked: the text; a conversation or a dataset's record as JSON
        (
            "response",
            _TEXT,
        ),  # the answer's text, a refusal included; of a non-2xx answer its body; NULL where none came
        ("reasoning", _TEXT),  # reasoning that the target showed; NULL without
        ("tool", _TEXT),  # names and arguments of tool calls as they came; NULL without
        ("truncated", pa.bool_()),  # at least one of the texts was cut to the scenario's max_chars
    ]
)

SERVER_METRICS = pa.schema(
    [
        ("run_id", _TEXT),  # the run folder's name
        ("target", _TEXT),  # name of the target
        ("t_ns", pa.int64()),  # when the figure was at hand: the scrape's last byte, or the look at the process
        ("name", _TEXT),  # as the target spells it; a histogram or summary gives its _sum and _count
        ("labels", _TEXT),  # a JSON object, keys sorted; {} without labels; a watched process has its own pid here
        ("kind", _TEXT),  # gauge, counter (grows until the target starts anew), or unknown
        ("value", pa.float64()),  # NULL where the target gave no number
    ]
)

TABLES = {"steps": STEPS, "requests": REQUESTS, "tokens": TOKENS, "health": HEALTH}
"""In every run."""

OPTIONAL_TABLES = {"texts": TEXTS, "server_metrics": SERVER_METRICS}
"""In runs whose scenario asked for them, once they have a row."""

__all__ = [
    "HEALTH",
    "KINDS",
    "OPTIONAL_TABLES",
    "OUTCOMES",
    "PHASES",
    "PROBE_STEP",
    "REQUESTS",
    "REQUESTS_A_STEP",
    "SERVER_METRICS",
    "STEPS",
    "TABLES",
    "TEXTS",
    "TOKENS",
    "TOKEN_SOURCES",
]
