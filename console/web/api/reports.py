"""What a benchmark measured: its report, named queries, SQL, comparisons, histories."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from analysis import relations
from console.web import figures
from console.web.api.answers import ALWAYS, BUSY, CONFLICT, MISSING, Responses
from console.web.api.asked import Asked, Id
from console.web.box import Answer
from console.web.comparison import MOST, Comparison
from console.web.shapes import RUN_ID, History, Named, Sql, Table
from console.web.shapes import Query as NamedQuery
from generator.errors import QueryError

router = APIRouter(tags=["results"], responses=ALWAYS | BUSY)

Form = Literal["json", "text", "csv", "html", "junit", "hdr", "prometheus", "influx", "otlp"]
RowForm = Literal["json", "csv", "parquet"]

TYPES: dict[str, str] = {
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "junit": "application/xml; charset=utf-8",
    "hdr": "text/plain; charset=utf-8",
    "prometheus": "text/plain; charset=utf-8",
    "influx": "text/plain; charset=utf-8",
    "otlp": "application/json",
    "parquet": "application/vnd.apache.parquet",
}
_ENDINGS = {"text": "txt", "junit": "xml", "hdr": "hlog", "prometheus": "prom", "influx": "lp", "otlp": "otlp.json"}
REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""The HTML report is one file with its scripts inside. A sandbox without an origin lets them draw, and keeps them from the service."""

_BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_REPORTS: Responses = {
    200: {
        "description": "The report in the form that was asked for.",
        "content": {"application/json": {"schema": {"type": "object"}}}
        | {
            TYPES[form].partition(";")[0]: {"schema": {"type": "string"}}
            for form in TYPES
            if form not in ("json", "otlp", "parquet")
        },
    }
}
_ROWS: Responses = {
    200: {
        "description": "The rows in the form that was asked for; JSON as in Table.",
        "model": Table,
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            TYPES["parquet"]: _BYTES,
        },
    }
}


@router.get("/benchmarks/{benchmark_id}/report", response_class=Response, responses=MISSING | CONFLICT | _REPORTS)
def report(
    benchmark_id: Id,
    asked: Asked,
    format: Annotated[Form, Query(description="As `openloop report --format`.")] = "json",  # noqa: A002 - the parameter's public name
    download: Annotated[bool, Query(description="As a file to keep.")] = False,
) -> Response:
    """The run judged anew and reported."""
    answer = asked.measured.report(benchmark_id, format)
    headers = {"Content-Security-Policy": REPORT_POLICY} if format == "html" else {}
    if download:
        headers |= _as_file(f"{benchmark_id}.{_ENDINGS.get(format, format)}")
    return Response(answer.body, media_type=TYPES[format], headers=headers)


@router.get("/benchmarks/{benchmark_id}/query/{name}", response_class=Response, responses=MISSING | CONFLICT | _ROWS)
def named(
    benchmark_id: Id,
    name: str,
    asked: Asked,
    param: Annotated[list[str] | None, Query(description="NAME=VALUE, as often as wanted.", max_length=20)] = None,
    format: Annotated[RowForm, Query()] = "json",  # noqa: A002 - the parameter's public name
) -> Response:
    """The rows of a named query; GET /queries lists them with their columns."""
    answer = asked.measured.query(benchmark_id, _known(name), None, _pairs(param or []), format)
    return _rows(answer, format, f"{benchmark_id}-{name}")


@router.post("/benchmarks/{benchmark_id}/query", response_class=Response, responses=MISSING | CONFLICT | _ROWS)
def sql(benchmark_id: Id, asked: Asked, form: Sql) -> Response:
    """One SELECT of your own over the run's tables and the named queries; it can neither write nor read anything else."""
    answer = asked.measured.query(benchmark_id, None, form.sql, {}, form.format)
    return _rows(answer, form.format, f"{benchmark_id}-query")


@router.get("/queries")
def catalogue() -> list[NamedQuery]:
    """The named queries: what each answers, its parameters, its columns and their units, its SQL."""
    found = sorted(relations.load().values(), key=lambda q: (q.kind, q.name))
    return [NamedQuery.model_validate(dataclasses.asdict(query)) for query in found if query.kind != "checks"]


@router.get("/compare", responses=MISSING | CONFLICT)
def compare(
    runs: Annotated[
        list[Annotated[str, Query(pattern=RUN_ID)]],
        Query(min_length=2, max_length=MOST, description="The run that is held against, then the others."),
    ],
    asked: Asked,
) -> Comparison:
    """Runs side by side, each against the first: differences with intervals, and what runs made apart cannot exclude."""
    return Comparison.model_validate(asked.measured.compare(runs))


@router.get("/history")
def history(
    asked: Asked,
    scenario: Annotated[
        str, Query(min_length=1, max_length=100, pattern=r"^[^\x00]*$", description="The name of the runs.")
    ],
    metric: Annotated[list[Literal[figures.METRICS]] | None, Query(description="All of these.")] = None,  # type: ignore[valid-type]  # a literal of a constant tuple
    most: Annotated[int, Query(ge=1, le=1000, description="The newest runs.")] = 100,
) -> History:
    """A scenario over time: figures of each of its runs, with 95 % intervals where there are any."""
    return asked.measured.history(scenario, metric or ["ttft_p99_ms", "goodput_rps", "cost_usd"], most)


@router.get("/names")
def names(asked: Asked, most: Annotated[int, Query(ge=1, le=1000)] = 200) -> list[Named]:
    """Names of runs, the most used first: what a history can be asked of."""
    return [Named(name=name, runs=runs) for name, runs in asked.store.names(most)]


def _known(name: str) -> str:
    if name not in relations.load():
        raise HTTPException(404, f"no query {name!r}; GET /queries lists them")
    return name


def _pairs(params: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in params]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise QueryError(f"param {wrong[0]}: name=value is wanted, such as width=5")
    return {name: value for name, _, value in pairs}


def _rows(answer: Answer, form: str, name: str) -> Response:
    if form != "json":
        return Response(answer.body, media_type=TYPES[form], headers=_as_file(f"{name}.{form}"))
    # A Table, whose rows are JSON already: read and written again here, the longest answer would take gigabytes of the service.
    columns, cut = orjson.dumps(answer.head["columns"]), orjson.dumps(answer.head["cut"])
    body = b'{"columns":%b,"rows":%b,"cut":%b}' % (columns, answer.body, cut)
    return Response(body, media_type=TYPES["json"])


def _as_file(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
