"""``/docs``: Swagger UI from its package, with a script of ours in place of an inline one, so that it works offline and under the CSP."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)

_ASSETS = resources.files("fastapi_offline") / "static"
"""Of that package only its copy of Swagger UI is used: its own page has an inline script."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>openloop API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis],
  validatorUrl: null,
});
"""


@router.get("/docs")
def page() -> HTMLResponse:
    return HTMLResponse(_PAGE)


@router.get("/docs/start.js")
def start() -> Response:
    return Response(_START, media_type="text/javascript")


def add(app: FastAPI) -> None:
    app.include_router(router)
    app.mount("/docs/assets", StaticFiles(directory=str(_ASSETS)), name="swagger-ui")
