"""Prometheus' text format → readings: gauges, counters, and what histograms and summaries add up to. No socket, no clock.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
from prometheus_client.parser import text_string_to_metric_families

_NAME = re.compile(r"[^\s{]+")
_SUMS = {"histogram", "gaugehistogram", "summary"}
_SUM_ENDS = ("_sum", "_count", "_gsum", "_gcount")


@dataclass(frozen=True, slots=True)
class Reading:
    """One series at one moment: ``labels`` is a JSON object with sorted keys, ``kind`` gauge, counter or unknown, ``value`` None where
    the target gave no number."""

    name: str
    labels: str
    kind: str
    value: float | None


def readings(text: str, prefixes: tuple[str, ...] = ()) -> Iterator[Reading]:
    """Every series whose name starts with one of ``prefixes`` (all where empty), in the text's order. Raises ValueError where the text
    is not of the format.

    Buckets and quantiles are left out before anything is parsed: they are most of a page, and the parser takes its time.
    """
    lines = [line for line in map(str.strip, text.split("\n")) if _wanted(line, prefixes)]
    spelt = {_name(line) for line in lines}
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            if family.type in _SUMS and not sample.name.endswith(_SUM_ENDS):
                continue
            # The parser gives every counter the ending that OpenMetrics wants.
            name = sample.name if sample.name in spelt else sample.name.removesuffix("_total")
            yield Reading(name, label_text(sample.labels), _kind(family.type, name), _number(sample.value))


def label_text(labels: dict[str, str]) -> str:
    """A JSON object, keys sorted: equal labels are equal texts."""
    return orjson.dumps(labels, option=orjson.OPT_SORT_KEYS).decode()


def _name(line: str) -> str:
    found = _NAME.match(line)
    return found.group() if found else ""


def _wanted(line: str, prefixes: tuple[str, ...]) -> bool:
    if line.startswith("#"):
        return line.startswith("# TYPE ")
    name = _name(line)
    if not name or name.endswith(("_bucket", "_created")):
        return False
    return not prefixes or name.startswith(prefixes)


def _kind(family: str, name: str) -> str:
    if family in _SUMS or family == "counter" or name.endswith("_total"):
        return "counter"
    return "gauge" if family in {"gauge", "info", "stateset"} else "unknown"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
