"""The report in InfluxDB's line protocol, time stamps in ns: a line for each step, and one for each second of the run.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from duckdb import DuckDBPyConnection

from analysis import catalog
from analysis.report import csv, measures
from analysis.report.wording import printable

Row = dict[str, Any]
Value = bool | int | float

_OF_SECOND = ("due", "sent", "ok", "failed", "in_flight", "output_tokens", "ttft_p50_ms", "lateness_max_ms")  # fmt: skip
"""Without the p99 of a second, which is the largest of a few values: nobody whose alarm hears of it would see how few."""


def render(con: DuckDBPyConnection, report: Row, manifest: Row) -> str:
    """Lines of ``openloop_step``, whose fields are the columns of the CSV that are numbers and whose time is the step's end, then
    of ``openloop_second``, whose fields are of the relation ``timeline``. Where the run has no clock they have no time.
    """
    return "".join(f"{line}\n" for line in (*_steps(con, report, manifest), *_seconds(con, report, manifest)))


def _steps(con: DuckDBPyConnection, report: Row, manifest: Row) -> Iterator[str]:
    to_utc_ns, spans = measures.to_utc_ns(manifest), measures.spans(con)
    for step in report["steps"]:
        tags = measures.labels(report, step) | {"verdict": report["verdict"]["verdict"]}
        _, end_ns = spans.get(step["step_id"], (None, None))
        at_ns = None if to_utc_ns is None or end_ns is None else end_ns + to_utc_ns
        yield from line("openloop_step", tags, {k: v for k, v in csv.flat(step) if k != "step_id"}, at_ns)


def _seconds(con: DuckDBPyConnection, report: Row, manifest: Row) -> Iterator[str]:
    to_utc_ns = measures.to_utc_ns(manifest)
    zero_ns = min((w["run_start_ns"] for w in catalog.run(con, "step_windows").dicts()), default=None)
    tags = {step["step_id"]: measures.labels(report, step) for step in report["steps"]}
    for row in catalog.run(con, "timeline").dicts():
        at_ns = None if to_utc_ns is None or zero_ns is None else zero_ns + to_utc_ns + round(row["t_s"] * 1e9)
        fields = {name: row[name] for name in _OF_SECOND}
        yield from line("openloop_second", tags[row["step_id"]], fields, at_ns)


def line(measurement: str, tags: dict[str, str], fields: dict[str, Any], at_ns: int | None) -> Iterator[str]:
    """One line; none where no field is a number, for a line without fields is not valid."""
    told = [f"{_escaped(k, ',= ')}={_value(v)}" for k, v in fields.items() if _told(v)]
    if told:
        named = sorted((k, v) for k, v in tags.items() if v)
        key = ",".join([_escaped(measurement, ", "), *(f"{_escaped(k, ',= ')}={_escaped(v, ',= ')}" for k, v in named)])
        yield f"{key} {','.join(told)}" + (f" {at_ns}" if at_ns is not None else "")


def _told(value: Any) -> bool:
    return isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))


def _value(value: Value) -> str:
    """Every number as a float: a database refuses points whose field has another type than that of the first one it saw."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(float(value))


def _escaped(text: str, special: str) -> str:
    """With a backslash before what would end it. A name cannot hold a line's end at all, nor a backslash where the next character
    may be special (readers disagree about two backslashes and a comma): control characters come out as their escapes, and backslashes as slashes.
    """
    plain = printable(text).replace("\\", "/")
    return "".join(f"\\{c}" if c in special else c for c in plain)
