"""The target's own figures on the report's time axis: which of its series are worth a panel, and their values by interval.

Names are those that the servers give: vLLM (``vllm:``), SGLang (``sglang:``, later ``sglang_``), llama.cpp (``llamacpp:``), TGI
(``tgi_``), NVIDIA's DCGM exporter, and the process metrics of Prometheus' client libraries, which openloop uses for processes too.
Of a target that gives none of an engine's the few gauges that vary most are shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from duckdb import DuckDBPyConnection

from analysis import catalog
from analysis.report.wording import brief

Row = dict[str, Any]

MOST_PANELS = 8
MOST_UNKNOWN = 3
_OUR_OWN = ("process_", "python_", "go_", "promhttp_")
"""Of a server's runtime, not of its work."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a panel: ``values`` by the interval's start in s, in the panel's unit."""

    label: str
    colour: str
    values: dict[int, float]


@dataclass(frozen=True, slots=True)
class ServerPanel:
    title: str
    lines: tuple[Line, ...]
    area: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """``names``: the same figure at different servers. Several series (engines, processes) are added up, or the fullest counts.
    A rate is drawn of a counter. ``scale`` takes the series' unit to the panel's.
    """

    label: str
    names: tuple[str, ...]
    colour: str = "var(--accent-2)"
    over_series: Literal["sum", "max"] = "sum"
    rate: bool = False
    scale: float = 1.0


_ENGINE: tuple[tuple[str, tuple[_Known, ...]], ...] = (
    (
        "requests in the target",
        (
            _Known(
                "running",
                (
                    "vllm:num_requests_running",
                    "sglang:num_running_reqs",
                    "llamacpp:requests_processing",
                    "tgi_batch_current_size",
                ),
            ),
            _Known(
                "waiting",
                (
                    "vllm:num_requests_waiting",
                    "sglang:num_queue_reqs",
                    "llamacpp:requests_deferred",
                    "tgi_queue_size",
                ),
                "var(--amber)",
            ),
        ),
    ),
    (
        "KV cache in use, %",
        (
            _Known(
                "",
                (
                    "vllm:kv_cache_usage_perc",
                    "vllm:gpu_cache_usage_perc",
                    "sglang:token_usage",
                    "llamacpp:kv_cache_usage_ratio",
                ),
                over_series="max",
                scale=100.0,
            ),
        ),
    ),
)
_MACHINE: tuple[tuple[str, tuple[_Known, ...]], ...] = (
    ("GPU busy, %", (_Known("", ("DCGM_FI_DEV_GPU_UTIL",), over_series="max"),)),
    ("CPU of the target, cores", (_Known("", ("process_cpu_seconds_total",), rate=True),)),
    ("memory of the target, MiB", (_Known("", ("process_resident_memory_bytes",), scale=2.0**-20),)),
)


def gather(con: DuckDBPyConnection, interval_s: int) -> list[ServerPanel]:
    """The panels of a run, at most MOST_PANELS; none where its targets were not read."""
    series = catalog.run(con, "server_series").dicts()
    targets = list(dict.fromkeys(s["target"] for s in series))
    of: dict[str, list[Row]] = {}

    def read(name: str) -> list[Row]:
        if name not in of:
            of[name] = catalog.run(con, "server_timeline", interval_s=interval_s, series=name).dicts()
        return of[name]

    panels = [
        panel
        for target in targets
        for panel in _of_target([s for s in series if s["target"] == target], target, len(targets) > 1, read)
    ]
    return panels[:MOST_PANELS]


def merged(timeline: list[Row], panels: list[ServerPanel]) -> list[Row]:
    """The timeline's rows with a field for each line of the panels."""
    lines = [pair for _, pairs in _fields(panels) for pair in pairs]
    return [row | {field: line.values.get(row["t_s"]) for field, line in lines} for row in timeline]


def drawn(panels: list[ServerPanel]) -> list[Row]:
    """The panels as ``timeline.timeline`` takes them."""
    return [
        {
            "title": panel.title,
            "series": {field: line.colour for field, line in pairs},
            "values": [value for line in panel.lines for value in line.values.values()],
            "area": panel.area,
        }
        for panel, pairs in _fields(panels)
    ]


def second_lines(panels: list[ServerPanel]) -> list[tuple[str, str]]:
    """Colour and name of what has a colour of its own: every line of a panel but its first."""
    return list(dict.fromkeys((line.colour, f"{line.label} in the target") for p in panels for line in p.lines[1:]))


def said(row: Row, panels: list[ServerPanel]) -> str:
    """What a merged row of the timeline says of the target, a line a panel."""
    lines = []
    for panel, pairs in _fields(panels):
        told = [f"{brief(row[field])} {line.label}".rstrip() for field, line in pairs if row[field] is not None]
        if told:
            lines.append(f"\n{panel.title}: {', '.join(told)}")
    return "".join(lines)


def _fields(panels: list[ServerPanel]) -> Iterator[tuple[ServerPanel, list[tuple[str, Line]]]]:
    for i, panel in enumerate(panels):
        yield panel, [(f"server_{i}_{j}", line) for j, line in enumerate(panel.lines)]


def _of_target(
    series: list[Row], target: str, several: bool, read: Callable[[str], list[Row]]
) -> Iterator[ServerPanel]:
    spelt = {_plain(s["name"]): s["name"] for s in series}
    tail = f" · {target}" if several else ""
    engine = False
    for title, known in (*_ENGINE, *_MACHINE):
        lines = [line for k in known if (line := _line(k, spelt, target, read)) is not None]
        if lines:
            engine = engine or (title, known) in _ENGINE
            yield ServerPanel(title + tail, tuple(lines), area=len(lines) == 1)
    if not engine:
        for one in _most_varied(series):
            values = _values([r for r in read(one["name"]) if r["labels"] == one["labels"]], target, _Known("", ()))
            yield ServerPanel(_named(one) + tail, (Line("", "var(--accent-2)", values),), area=True)


def _line(known: _Known, spelt: dict[str, str], target: str, read: Callable[[str], list[Row]]) -> Line | None:
    name = next((spelt[_plain(n)] for n in known.names if _plain(n) in spelt), None)
    if name is None:
        return None
    values = _values(read(name), target, known)
    return Line(known.label, known.colour, values) if values else None


def _values(rows: list[Row], target: str, known: _Known) -> dict[int, float]:
    rows = [r for r in rows if r["target"] == target]
    # A process that was watched by its id may be the one that the endpoint tells of: it counts once.
    watched = [r for r in rows if r["labels"].startswith('{"pid":')]
    found: dict[int, float] = {}
    for row in watched or rows:
        value = row["per_s"] if known.rate else row["mean_value"]
        if value is None or not math.isfinite(value):
            continue
        scaled, t_s = value * known.scale, row["t_s"]
        if t_s in found:
            scaled = found[t_s] + scaled if known.over_series == "sum" else max(found[t_s], scaled)
        found[t_s] = scaled
    return found


def _most_varied(series: list[Row]) -> list[Row]:
    gauges = [s for s in series if s["kind"] != "counter" and s["spread"] and not s["name"].startswith(_OUR_OWN)]
    return sorted(gauges, key=lambda s: (-s["spread"], s["name"], s["labels"]))[:MOST_UNKNOWN]


def _named(series: Row) -> str:
    labels = "" if series["labels"] == "{}" else f" {series['labels']}"
    text = f"{series['name']}{labels}"
    return text if len(text) <= 80 else f"{text[:79]}…"


def _plain(name: str) -> str:
    return name.replace(":", "_")
