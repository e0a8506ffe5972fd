"""How errors leave the service: a status and a ``Problem``, the same for every endpoint."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from console.web.box import BusyError
from console.web.refusals import ConflictError, FullError, MissingError
from console.web.shapes import Problem
from generator.errors import MachineError, OpenloopError, QueryError, RunFolderError, ScenarioError

_STATUS: tuple[tuple[type[OpenloopError], int], ...] = (
    (MissingError, 404),
    (ConflictError, 409),
    (FullError, 429),
    (BusyError, 503),
    (ScenarioError, 422),
    (MachineError, 422),
    (QueryError, 400),
    (RunFolderError, 409),
)
log = logging.getLogger(__name__)

Responses = dict[int | str, dict[str, Any]]

ALWAYS: Responses = {
    400: {"model": Problem, "description": "The request is malformed, or for another host"},
    401: {"model": Problem, "description": "A token is wanted"},
    403: {"model": Problem, "description": "From another site"},
    413: {"model": Problem, "description": "The body is too long"},
    422: {"model": Problem, "description": "A value is wrong; errors has a line for each"},
}
MISSING: Responses = {404: {"model": Problem, "description": "No such benchmark, query or scenario"}}
CONFLICT: Responses = {409: {"model": Problem, "description": "The benchmark is in no state for this"}}
FULL: Responses = {429: {"model": Problem, "description": "A limit of the service is reached; try again later"}}
BUSY: Responses = {503: {"model": Problem, "description": "Busy with other reports and queries; try again"}}


def add(app: FastAPI) -> None:
    app.add_exception_handler(OpenloopError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _fault)


def problem(
    status: int, detail: str, errors: list[str] | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    return JSONResponse(Problem(detail=detail, errors=errors or []).model_dump(), status, headers)


async def _ours(_: Request, error: Exception) -> JSONResponse:
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    if status == 500:
        log.error("a fault of ours: %s", error)
        return problem(500, "a fault of the service; its log says more")
    lines = str(error).splitlines() or [type(error).__name__]
    headers = {"Retry-After": "5"} if status in (429, 503) else None
    return problem(status, lines[0], lines, headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    lines = [f"{'.'.join(str(p) for p in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
    return problem(422, lines[0] if lines else "a value is wrong", lines)


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))


async def _fault(_: Request, error: Exception) -> JSONResponse:
    log.error("a fault of ours", exc_info=error)
    return problem(500, "a fault of the service; its log says more")
