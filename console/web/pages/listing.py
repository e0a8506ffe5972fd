"""The list of runs: what was asked for by the address, and the addresses that lead on from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from console.web.catalogue.store import SORTS, Filter
from console.web.comparison import MOST
from console.web.service import Service
from console.web.states import State

SIZE = 50


@dataclass(frozen=True, slots=True)
class Column:
    """``sort``: the catalogue's name of it, "" where it cannot be sorted by. ``css``: where a narrow screen leaves it out, and lines."""

    name: str
    sort: str
    css: str = ""


COLUMNS = (
    Column("run", "name", "text"),
    Column("state", "state", "text"),
    Column("verdict", "verdict", "opt text"),
    Column("begun, UTC", "created", "opt text"),
    Column("took", "duration_s", "opt"),
    Column("requests", "requests", "opt start"),
    Column("ok", "success_rate"),
    Column("TTFT p50, ms", "ttft_p50_ms", "opt start"),
    Column("TTFT p99, ms", "ttft_p99_ms"),
    Column("TPOT p50, ms", "tpot_p50_ms", "opt"),
    Column("E2E p99, ms", "e2e_p99_ms", "opt"),
    Column("tokens/s", "output_tokens_per_s", "opt start"),
    Column("goodput, /s", "goodput_rps", "opt"),
    Column("cost", "cost_usd", "opt"),
)


def asked(query: Mapping[str, str]) -> Filter:
    """A filter of an address; what makes no sense in it is left out, because an address may be typed by hand."""
    # PostgreSQL has no U+0000 in a text, not even to look for.
    query = {name: value.replace("\0", "") for name, value in query.items()}
    states = tuple(State(s) for s in [query.get("state", "")] if s in set(State))
    sort = query.get("sort", "")
    number = query.get("page", "")[:20]
    return Filter(
        states=states,
        name=query.get("name", "").strip()[:100] or None,
        model=query.get("model", "").strip()[:200] or None,
        tags=tuple(t.strip() for t in query.get("tag", "")[:500].split(",") if t.strip()),
        sort=sort if sort.removeprefix("-") in SORTS else "-created",
        page=min(int(number), 1_000_000) if number.isdecimal() and int(number) else 1,
        size=SIZE,
    )


def address(wanted: Filter, **changed: Any) -> str:
    to = replace(wanted, **changed)
    parts = {
        "name": to.name,
        "model": to.model,
        "tag": ",".join(to.tags),
        "state": ",".join(to.states),
        "sort": to.sort if to.sort != "-created" else None,
        "page": to.page if to.page != 1 else None,
    }
    return "/ui/?" + urlencode({key: value for key, value in parts.items() if value})


def values(service: Service, wanted: Filter) -> dict[str, Any]:
    """What runs.html.j2 shows."""
    found = service.list(wanted)
    pages = max(1, math.ceil(found.total / wanted.size))
    if wanted.page > pages:
        # Typed by hand, or what was there has been deleted: the last page is the nearest.
        wanted = replace(wanted, page=pages)
        found = service.list(wanted)
    going = service.list(Filter(states=(State.QUEUED, State.RUNNING), size=100))
    shown = {b.id for b in found.items}
    return {
        "asked": wanted,
        "total": found.total,
        "rows": found.items,
        "filtered": bool(wanted.states or wanted.name or wanted.model or wanted.tags),
        "active": going.total,
        "most": MOST,
        "active_ids": [b.id for b in going.items if b.id in shown],
        "states": [s.value for s in State],
        "columns": [_column(column, wanted) for column in COLUMNS],
        "pages": pages,
        "earlier": address(wanted, page=wanted.page - 1) if wanted.page > 1 else None,
        "later": address(wanted, page=wanted.page + 1) if wanted.page < pages else None,
    }


def _column(column: Column, wanted: Filter) -> dict[str, str]:
    """A first click on a figure shows the largest, one on a word the first of the alphabet; the next turns it round."""
    falling_first = column.sort not in ("name", "state", "verdict")
    other = wanted.sort.removeprefix("-") != column.sort
    falling = falling_first if other else not wanted.sort.startswith("-")
    sort = f"{'-' if falling else ''}{column.sort}"
    return {"name": column.name, "sort": column.sort, "class": column.css, "href": address(wanted, sort=sort, page=1)}
