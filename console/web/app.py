"""The application: the guard, the service behind it, its API, and the pages where they are there."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import version

import anyio.to_thread
from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from console.web.api import about, answers, benchmarks, events, login, manual, reports
from console.web.guard import Guard
from console.web.service import Service
from console.web.settings import Settings

PAGES = "console.web.pages.routes"


class App(FastAPI):
    """Guarded as a whole. As one of FastAPI's own layers the guard would stand inside of what answers for a fault, which would then go out
    without its headers.
    """

    guarded_by: Settings

    def build_middleware_stack(self) -> ASGIApp:
        return Guard(super().build_middleware_stack(), self.guarded_by)


def create_app(settings: Settings) -> FastAPI:
    """Raises RunFolderError where the catalogue's database cannot be opened."""
    service = Service(settings)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await anyio.to_thread.run_sync(service.start)
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(service.close)

    app = App(
        title="openloop",
        version=version("openloop"),
        description="Open-loop benchmarks of LLM APIs: submit, follow, read, compare.",
        lifespan=life,
        docs_url=None,  # its own page has inline scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    app.guarded_by = settings
    answers.add(app)
    for router in (
        benchmarks.router,
        events.router,
        reports.router,
        benchmarks.plans,
        about.router,
        about.own,
        login.router,
    ):
        app.include_router(router)
    manual.add(app)
    pages = _pages()
    if pages is not None:
        app.include_router(pages, include_in_schema=False)
    return app


def _pages() -> APIRouter | None:
    """The dashboard's router; None where it is not installed."""
    if importlib.util.find_spec(PAGES) is None:
        return None
    router: APIRouter = import_module(PAGES).router
    return router
