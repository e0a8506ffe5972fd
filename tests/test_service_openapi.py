"""schemathesis over the OpenAPI document: whatever fits it, or almost, no fault of ours and no answer that it does not know."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from services import settings

from console.web.app import create_app
from console.web.settings import Limits

EXAMPLES = 8
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@asynccontextmanager
async def _asleep(_: Any) -> AsyncIterator[None]:
    yield


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The document of a service that takes submissions and has no turn for any: its queue is never started, so nothing is sent."""
    limits = Limits(queue=5, query_s=5, analysis_s=30)
    app = create_app(settings(tmp_path_factory.mktemp("openapi"), allow_hosts=("testserver",), limits=limits))
    app.router.lifespan_context = _asleep
    yield schemathesis.openapi.from_asgi("/openapi.json", app)
    app.state.service.store.close()


def test_no_fault_and_no_undocumented_answer(api: Any) -> None:
    """Of every operation: status, content type and body of each answer are as the document says; none is a 500."""
    tried = 0
    for result in api.get_all_operations():
        operation = result.ok()

        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def holds(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        holds()
        tried += 1
    assert tried > 20


def test_every_reference_leads_somewhere(tmp_path: Path) -> None:
    """A schema that is named is in the document."""
    document = json.dumps(create_app(settings(tmp_path)).openapi())
    named = set(re.findall(r"#/components/schemas/([A-Za-z_]+)", document))
    assert named <= json.loads(document)["components"]["schemas"].keys()
