"""A finished stream → one row of ``requests``, in the schema's order."""

from __future__ import annotations

import json
from typing import Any

from generator.apis.api import Answer, Limits, Stated
from generator.charge import price_for
from generator.schema import REQUESTS
from generator.stream import Stream

_COLUMNS = tuple(REQUESTS.names)
_NO_ANSWER = Answer()
_NO_LIMITS = Limits()
_NOT_STATED = Stated()


class Redactor:
    """Takes secrets out of text by value, wherever they came from, as they are or as JSON spells them."""

    def __init__(self, secrets: list[str]) -> None:
        spelt = {spelling for secret in secrets for spelling in _spellings(secret) if len(spelling) >= 4}
        self._secrets = sorted(spelt, key=len, reverse=True)

    def clean(self, text: str | None) -> str | None:
        if text:
            for secret in self._secrets:
                text = text.replace(secret, "[redacted]")
                # A message is cut to its length before it comes here, perhaps in the midst of a secret.
                end = text.rstrip("…")
                for size in range(min(len(secret) - 1, len(end)), 3, -1):
                    if end.endswith(secret[:size]):
                        text = end[:-size] + "[redacted]"
                        break
        return text


def _spellings(secret: str) -> tuple[str, ...]:
    return secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]


def request_row(stream: Stream, outcome: str, run_id: str, worker_id: int, redactor: Redactor) -> tuple[Any, ...]:
    """All of REQUESTS' columns. Facts only: no duration is computed here."""
    answer = stream.answer or _NO_ANSWER
    limits = stream.limits or _NO_LIMITS
    failure = stream.failure
    stated = (failure.stated if failure else None) or _NOT_STATED
    target, prompt = stream.target, stream.prompt
    spec = (prompt.spec or stream.step.workload) if stream.step is not None else None
    server_id = limits.server_request_id
    price = price_for(target.prices, answer.input_tokens)
    row = {
        "run_id": run_id,
        "request_id": stream.request_id,
        "step_id": stream.step_id,
        "worker_id": worker_id,
        "host_id": 0,
        "session_id": prompt.session_id,
        "turn": prompt.turn,
        "workload": spec.name if spec is not None else "probe",
        "target": target.name,
        "api": target.api,
        "model": target.model or None,
        "streamed": answer.streamed if stream.answer is not None else stream.call.stream,
        "phase": stream.phase,
        "scheduled_ns": stream.scheduled_ns,
        "issued_ns": stream.issued_ns,
        "sent_ns": stream.sent_ns,
        "connected_ns": stream.connected_ns,
        "first_byte_ns": stream.first_byte_ns,
        "headers_ns": stream.headers_ns,
        "done_ns": stream.done_ns,
        "outcome": outcome,
        "http_status": stream.status,
        "error_type": redactor.clean(failure.error_type) if failure else None,
        "error_message": redactor.clean(failure.error_message) if failure else None,
        "finish_reason": answer.finish_reason,
        "response_id": answer.response_id,
        "server_ms": answer.server_ms if answer.server_ms is not None else limits.server_ms,
        "input_tokens_wanted": prompt.input_tokens,
        "output_tokens_wanted": prompt.output_tokens,
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
        "reasoning_tokens": answer.reasoning_tokens,
        "cached_tokens": answer.cached_tokens,
        "token_source": answer.token_source,
        "retry_after_s": limits.retry_after_s,
        "limit_requests": limits.limit_requests,
        "remaining_requests": limits.remaining_requests,
        "reset_requests_s": limits.reset_requests_s,
        "limit_tokens": limits.limit_tokens,
        "remaining_tokens": limits.remaining_tokens,
        "reset_tokens_s": limits.reset_tokens_s,
        "bytes_sent": stream.bytes_sent,
        "bytes_received": stream.bytes_received,
        "connection_id": stream.connection_id,
        "remote_addr": stream.remote_addr,
        "resent": stream.resent,
        "price_input": price.input,
        "price_output": price.output,
        "price_cached": price.cached,
        "reads": stream.reads,
        "stamp_source": stream.stamp_source,
        "in_flight": stream.in_flight,
        "last_read_before_ns": stream.last_read_before_ns,
        "cancel_planned": stream.cancel is not None,
        "merged_read": stream.merged_read,
        "merged_after_ns": stream.merged_after_ns if stream.merged_read is not None else None,
        "prompt_words": prompt.words,
        "turns": prompt.turns,
        "tags": spec.tags if spec is not None else None,
        "server_request_id": None if server_id == f"{run_id}-{stream.request_id}" else server_id,
        "cache_write_tokens": answer.cache_write_tokens,
        "price_cache_write": price.cache_write,
        "stated_dimension": stated.dimension,
        "stated_limit": stated.limit,
        "stated_used": stated.used,
        "stated_requested": stated.requested,
        "stated_wait_s": stated.wait_s,
    }
    return tuple([row[name] for name in _COLUMNS])
