"""A benchmark while it runs, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from console.web.api.answers import ALWAYS, FULL, MISSING, Responses
from console.web.api.asked import Asked, Id
from console.web.refusals import FullError
from console.web.service import Service

router = APIRouter(prefix="/benchmarks", tags=["benchmarks"], responses=ALWAYS)

_STREAM: Responses = {
    200: {
        "description": "Events: `live` (a moment of the run, as in Live), `state` (state and place in the queue), `end` (the benchmark).",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get("/{benchmark_id}/events", response_class=StreamingResponse, responses=MISSING | FULL | _STREAM)
async def events(
    benchmark_id: Id,
    asked: Asked,
    last_event_id: Annotated[str | None, Header(max_length=20, pattern=r"^[ -~]*$")] = None,
) -> StreamingResponse:
    """Follow it until it is over: what was before comes first, then an event twice a second. `Last-Event-ID` takes it up again."""
    await anyio.to_thread.run_sync(asked.get, benchmark_id)
    if asked.feeds.full():
        raise FullError("as many follow events as may; try again later")
    after = int(last_event_id) if last_event_id and last_event_id.isdecimal() else 0
    return StreamingResponse(
        _wire(asked, benchmark_id, after), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


async def _wire(asked: Service, benchmark_id: str, after: int) -> AsyncIterator[bytes]:
    async for said in asked.events(benchmark_id, after):
        # A comment now and then shows a dead connection to both ends.
        yield said.wire() if said is not None else b": still here\n\n"
