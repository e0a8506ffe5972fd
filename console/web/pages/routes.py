"""The addresses of the dashboard. All are below ``/ui``, so that none can ever be an address of the API."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from console.web.api.asked import Asked, Id
from console.web.catalogue.store import Filter
from console.web.comparison import MOST
from console.web.pages import assets, comparing, fields, listing, result, starts, trend
from console.web.pages.rendering import page
from console.web.refusals import ConflictError, MissingError
from console.web.service import Service
from console.web.states import OVER
from generator.errors import MachineError, OpenloopError
from generator.run_dir import RunDir
from generator.schema import TABLES


@asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    """Have the charting library made before the first run is watched, off to the side."""
    own_dir = app.state.service.settings.own_dir

    def make() -> None:
        with suppress(MachineError):  # told to whoever asks for it
            assets.bundle(own_dir)

    threading.Thread(target=make, name="charting library", daemon=True).start()
    yield


router = APIRouter(lifespan=_life)
_KEPT = {"Cache-Control": "private, max-age=86400"}


def _page(asked: Service, name: str, here: str, /, **values: Any) -> HTMLResponse:
    return page(name, here, signed=asked.settings.token is not None, **values)


@router.get("/")
def root() -> Response:
    return RedirectResponse("/ui/", 307)


@router.get("/ui/")
def runs(request: Request, asked: Asked) -> HTMLResponse:
    return _page(asked, "runs", "/ui/", **listing.values(asked, listing.asked(request.query_params)))


@router.get("/ui/new")
def new(asked: Asked, scenario: str = "quick", again: str | None = None) -> HTMLResponse:
    if again is not None:
        with suppress(MissingError):
            again = asked.get(again).id
    shipped = starts.shipped()
    known = scenario if any(s["name"] == scenario for s in shipped) else "quick"
    return _page(
        asked,
        "new",
        "/ui/new",
        groups=fields.GROUPS,
        keys=fields.keys(),
        scenarios=shipped,
        scenario=known,
        again=again,
    )


@router.get("/ui/scenarios/{name}")
def shipped_scenario(name: str) -> Any:
    """As data, for the form."""
    return starts.of_name(name)


@router.get("/ui/again/{benchmark_id}")
def again(benchmark_id: Id, asked: Asked) -> Any:
    """The scenario of a run as data, for the form."""
    found = asked.get(benchmark_id)
    if found.scenario is None:
        raise ConflictError(f"{benchmark_id} was made elsewhere; its scenario is in its run folder")
    return starts.of_text(found.scenario)


@router.get("/ui/runs/{benchmark_id}")
def run(benchmark_id: Id, asked: Asked) -> HTMLResponse:
    try:
        found = asked.get(benchmark_id)
    except MissingError as e:
        return _page(asked, "problem", "", status=404, heading="No such run", detail=str(e), errors=[])
    if found.state not in OVER:
        row = asked.store.get(found.id, short=True)
        stopping = row is not None and row[0].stop_asked
        return _page(asked, "run", "", b=found, going=True, stopping=stopping, charts=result.LIVE)
    shown: dict[str, Any] = {"report": None, "trouble": None}
    try:
        report = orjson.loads(asked.measured.report(benchmark_id, "json").body)
        shown |= result.values(found, report)
    except ConflictError:
        pass  # nothing was recorded, which the page says
    except OpenloopError as e:
        shown["trouble"] = str(e)
    return _page(asked, "run", "", b=found, going=False, **shown)


@router.get("/ui/runs/{benchmark_id}/files/{table}.parquet")
def file(benchmark_id: Id, table: str, asked: Asked) -> FileResponse:
    """A table of a run, as its folder has it."""
    found = asked.get(benchmark_id)
    run = RunDir(asked.settings.runs_dir / found.id)
    if found.state not in OVER or table not in TABLES or not run.table_path(table).is_file():
        raise MissingError(f"{benchmark_id} has no file {table}.parquet")
    return FileResponse(
        run.table_path(table), media_type="application/vnd.apache.parquet", filename=f"{found.id}-{table}.parquet"
    )


@router.get("/ui/compare")
def compare(
    asked: Asked,
    run: Annotated[list[str] | None, Query()] = None,
    step: Annotated[str | None, Query(max_length=500)] = None,
) -> HTMLResponse:
    ids = list(dict.fromkeys(one for one in run or [] if one))
    if len(ids) > MOST:
        told = f"At most {MOST} runs are compared at once; {len(ids)} were picked."
        return _page(asked, "problem", "", status=422, heading="Too many runs", detail=told, errors=[])
    if len(ids) < 2:
        choices = [b for b in asked.list(Filter(states=tuple(OVER), size=200)).items if b.summary.requests]
        return _page(asked, "compare", "/ui/compare", runs=[], choices=choices)
    try:
        return _page(asked, "compare", "/ui/compare", **comparing.values(asked, ids, step))
    except MissingError as e:
        return _page(asked, "problem", "", status=404, heading="No such run", detail=str(e), errors=[])


@router.get("/ui/history")
def history(
    asked: Asked,
    name: Annotated[str | None, Query(max_length=100, pattern=r"^[^\x00]*$")] = None,
    step: Annotated[str | None, Query(max_length=500)] = None,
) -> HTMLResponse:
    names = asked.store.names(200)
    if name is None:
        name = names[0][0] if names else None
    shown = trend.values(asked, name, step) if name else {"name": None}
    return _page(asked, "history", "/ui/history", names=names, **shown)


@router.get("/ui/login")
def login(wrong: str | None = None) -> HTMLResponse:
    return page("login", "", wrong="That is not the token." if wrong else None)


@router.get("/ui/static/vega.js")
def vega(asked: Asked) -> FileResponse:
    """The charting library."""
    return FileResponse(assets.bundle(asked.settings.own_dir), media_type="text/javascript", headers=_KEPT)


@router.get("/ui/static/{name}")
def static(name: str) -> FileResponse:
    """Style and modules. They are looked up among the files that there are: a name is never made a path."""
    found = assets.static().get(name)
    if found is None:
        raise MissingError(f"no file {name!r}")
    return FileResponse(found, headers={"Cache-Control": "no-cache"})
