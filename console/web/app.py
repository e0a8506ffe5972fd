"""The application: the service, its API, and the pages where they are there."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

import anyio.to_thread
from fastapi import FastAPI

from console.web.api import answers, benchmarks, events
from console.web.service import Service
from console.web.settings import Settings

if TYPE_CHECKING:
    from fastapi import APIRouter

PAGES = "console.web.pages"


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

    app = FastAPI(
        title="openloop",
        version=version("openloop"),
        description="Open-loop benchmarks of LLM APIs: submit, follow, read, compare.",
        lifespan=life,
    )
    app.state.service = service
    answers.add(app)
    for router in (benchmarks.plans, benchmarks.router, events.router):
        app.include_router(router)
    pages = _pages()
    if pages is not None:
        app.include_router(pages, include_in_schema=False)
    return app


def _pages() -> APIRouter | None:
    """The dashboard's router; None where it is not installed."""
    if importlib.util.find_spec(PAGES) is None:
        return None
    router: APIRouter | None = getattr(import_module(PAGES), "router", None)
    return router
