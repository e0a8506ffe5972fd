"""What endpoints share: the service behind a request, and the parameters that several take."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Query, Request

from console.web.service import Service
from console.web.shapes import RUN_ID


def service(request: Request) -> Service:
    found = request.app.state.service
    assert isinstance(found, Service)
    return found


Asked = Annotated[Service, Depends(service)]
Id = Annotated[str, Path(pattern=RUN_ID, description="Id of a benchmark, which is its run's id.")]
PageNumber = Annotated[int, Query(ge=1, le=1_000_000, description="From 1.")]
