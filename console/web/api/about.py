"""What the service knows beside benchmarks: scenarios, providers, its own health and metrics."""

from __future__ import annotations

import os
import re
from functools import cache
from importlib import resources
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from console import exposing, presets
from console.web.api.answers import ALWAYS, MISSING, Responses
from console.web.api.asked import Asked
from console.web.metrics import ServiceCollector
from console.web.shapes import Health, Provider, Shipped
from console.web.states import State
from generator.providers import PRESETS
from generator.scenario import reading

router = APIRouter(tags=["scenarios"], responses=ALWAYS)
own = APIRouter(tags=["service"], responses={key: ALWAYS[key] for key in (400, 401, 403)})

_METRICS: Responses = {
    200: {
        "description": "Prometheus text, or protobuf where it is asked for.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


@router.get("/scenarios")
def scenarios() -> list[Shipped]:
    """The scenarios that come with the package."""
    return [shipped(name) for name in reading.shipped()]


@router.get("/scenarios/{name}", responses=MISSING)
def one_scenario(name: str) -> Shipped:
    """One of them."""
    if name not in reading.shipped():
        raise HTTPException(404, f"no scenario {name!r}; GET /scenarios lists them")
    return shipped(name)


@router.get("/schema")
def schema() -> dict[str, object]:
    """The JSON Schema of scenarios."""
    return _schema()


@cache
def _schema() -> dict[str, object]:
    return reading.json_schema()


@cache
def shipped(name: str) -> Shipped:
    text = (resources.files("scenarios") / f"{name}.yaml").read_text(encoding="utf-8")
    first = re.match(r"(?:#[^\n]*\n)+", text)
    words = " ".join(line.lstrip("# ") for line in first.group().splitlines()) if first else None
    return Shipped(name=name, scenario=text, description=words)


@router.get("/providers")
def providers() -> list[Provider]:
    """The presets of `target: {provider: NAME}`. Names of keys, never their values."""
    return [
        Provider(
            name=p.name,
            url=p.url,
            key=p.key,
            key_needed=p.key_needed,
            key_set=bool(os.environ.get(p.key)),
            apis=list(p.apis),
            facts=dict(presets.facts(p)),
        )
        for p in PRESETS.values()
    ]


@own.get("/health")
def health(asked: Asked) -> Health:
    """Whether the service and its database answer. Needs no token."""
    counts = asked.store.counts()
    return Health(
        status="ok",
        version=version("openloop"),
        queued=counts.get(State.QUEUED, 0),
        running=counts.get(State.RUNNING, 0),
    )


@own.get("/metrics", response_class=Response, responses=_METRICS)
def metrics(asked: Asked, accept: Annotated[str | None, Header(max_length=1000)] = None) -> Response:
    """What runs now, and the service's own figures, for Prometheus."""
    content_type, body = exposing.answer(ServiceCollector(asked), accept)
    return Response(body, headers={"Content-Type": content_type})
