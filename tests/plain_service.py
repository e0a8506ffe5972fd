"""A plain HTTP service, as somebody's own would be: ``python plain_service.py`` says its port and serves until its standard input ends.

Routes: ``POST /predict`` (JSON in, JSON out), ``GET /search`` (a query, no body), ``POST /lines`` and ``POST /events`` (streams), ``PUT
/odd/N`` (answers with HTTP status N). ``GET /seen`` gives all requests that it got, as they came.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aiohttp import web

SEEN: list[dict[str, Any]] = []


async def note(request: web.Request) -> Any:
    raw = await request.read()
    body = json.loads(raw) if raw else None
    SEEN.append(
        {"method": request.method, "path": str(request.rel_url), "headers": dict(request.headers), "body": body}
    )
    return body


async def predict(request: web.Request) -> web.Response:
    body = await note(request)
    if request.headers.get("x-api-key") != "sesame":
        return web.json_response({"detail": "who are you?"}, status=401)
    if not isinstance(body, dict) or "text" not in body:
        return web.json_response({"detail": [{"loc": ["body", "text"], "msg": "field required"}]}, status=422)
    text = body["text"]
    if text == "silence":
        return web.json_response({"output": {}, "usage": {"in": 1, "out": 0}})
    return web.json_response({"output": {"text": text[::-1]}, "usage": {"in": len(text.split()), "out": 2}})


async def search(request: web.Request) -> web.Response:
    await note(request)
    return web.json_response({"hits": [{"title": request.query["q"]}, {"title": "other"}]})


async def stream(request: web.Request) -> web.StreamResponse:
    body = await note(request)
    lines = request.path == "/lines"
    response = web.StreamResponse(headers={"content-type": "application/x-ndjson" if lines else "text/event-stream"})
    await response.prepare(request)
    for n in range(int(body["count"])):
        data = json.dumps({"token": f"{body['word']}{n}", "last": False}).encode()
        await response.write(data + b"\n" if lines else b"data: " + data + b"\n\n")
        await asyncio.sleep(0.002)
    end = json.dumps({"token": None, "last": True, "tokens": body["count"]}).encode()
    await response.write(end + b"\n" if lines else b"data: " + end + b"\n\n")
    await response.write_eof()
    return response


async def odd(request: web.Request) -> web.Response:
    await note(request)
    return web.json_response({"error": {"code": "odd"}}, status=int(request.match_info["status"]))


async def seen(_: web.Request) -> web.Response:
    return web.json_response(SEEN)


async def main() -> None:
    app = web.Application()
    app.add_routes(
        [
            web.post("/v2/predict", predict),
            web.get("/v2/search", search),
            web.post("/lines", stream),
            web.post("/events", stream),
            web.put("/odd/{status}", odd),
            web.get("/seen", seen),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
