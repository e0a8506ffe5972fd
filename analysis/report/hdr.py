"""Latencies as an HdrHistogram log (version 1.3): a tagged line for each step and metric, for the tools that plot and merge such logs.

Values are nanoseconds, with three significant digits, as HdrHistogram's own tools expect; inter-chunk gaps are known to 1 µs,
and one below zero is 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from duckdb import DuckDBPyConnection

from analysis import catalog
from analysis.report import measures
from generator.errors import OpenloopError

Row = dict[str, Any]

METRICS = ("ttft", "tpot", "icl", "e2e")
_DIGITS = 3
_HOUR_NS = 3_600_000_000_000
_NS_PER_MS = 1_000_000


def render(con: DuckDBPyConnection, report: Row, manifest: Row) -> str:
    """The log. Lines are in the order of steps; a metric without a value has none. Raises OpenloopError without the extra ``hdr``."""
    clock = manifest.get("clock") or {}
    windows = catalog.run(con, "step_windows").dicts()
    starts = [w["start_ns"] for w in windows if w["start_ns"] is not None]
    zero_ns = min(starts, default=0)
    epoch_s = (clock["utc_ns"] + zero_ns - clock["monotonic_ns"]) / 1e9 if clock and starts else 0.0
    return "\n".join(
        [
            f"#[openloop run {_tag(report['run']['run_id'])}: {report['verdict']['verdict']}; values in nanoseconds]",
            "#[Histogram log format version 1.3]",
            f"#[StartTime: {epoch_s:.3f} (seconds since epoch)]",
            f"#[BaseTime: {epoch_s:.3f} (seconds since epoch)]",
            '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
            *_lines(con, windows, zero_ns),
            "",
        ]
    )


def _lines(con: DuckDBPyConnection, windows: list[Row], zero_ns: int) -> Iterator[str]:
    for window in windows:
        for metric in METRICS:
            counts = measures.distribution(con, metric, window["step_id"])
            if counts:
                start_s = ((window["window_start_ns"] or zero_ns) - zero_ns) / 1e9
                payload = _payload(counts)
                tag = f"{window['step_id']}-{_tag(window['name'])}.{metric}"
                most_ms = max(value for value, _ in counts) / _NS_PER_MS
                yield f"Tag={tag},{start_s:.3f},{window['window_s'] or 0:.3f},{most_ms:.3f},{payload}"


def _payload(counts: list[tuple[int, int]]) -> str:
    """V2 compressed, base64."""
    try:
        from hdrh.histogram import HdrHistogram
    except ImportError:
        raise OpenloopError("--format hdr needs the package hdrhistogram: pip install 'openloop[hdr]'") from None
    histogram = HdrHistogram(1, max(_HOUR_NS, *(value for value, _ in counts)), _DIGITS)
    for value, n in counts:
        # Stamps of one response may lie up to 50 us the wrong way round, and a histogram holds nothing below 0. A value out of range is
        # refused by the return value alone; the range above leaves none out.
        assert histogram.record_value(max(value, 0), n), value
    return str(histogram.encode().decode())


def _tag(text: Any) -> str:
    """A tag ends at a comma, and a line at its end: whatever else a name has becomes an underscore."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", str(text))
