"""From what a person asks of a search to values: the scenario checked for having one load to search over, the goal, the limits."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from analysis.searching.course import PLENTY
from analysis.searching.decide import SHARES, least_requests
from analysis.searching.part import Axis, Goal, Limits
from generator import units
from generator.errors import ScenarioError
from generator.names import USUAL_ATTAINMENT
from generator.scenario.models import Form
from generator.scenario.reading import Scenario
from generator.scenario.text import Document

MOST_SLOTS = 1_000_000

_OF_LOAD = ("rate", "concurrency", "duration", "requests", "name", "pause", "arrivals", "burstiness", "think")
"""What steps may differ in: a search has loads and lengths of its own."""

_DROPPED = ("matrix", "thresholds", "repeat", "until", "blocks", "budget", "pause")
"""Keys of the scenario that say nothing to a single probe; ``thresholds`` and ``until`` are of runs with another purpose."""

Flags = Mapping[str, str | None]


def goal_of(scenario: Scenario, flags: Flags) -> Goal:
    """``flags``: axis, from, to, precision, confidence, probe_duration, warmup, pause as text, None where not given. Raises ScenarioError."""
    check(scenario.form)
    axis: Axis = "concurrency" if flags["axis"] == "concurrency" else "rate"
    target = (scenario.form.slo.limits() if scenario.form.slo else {}).get("attainment", USUAL_ATTAINMENT)
    if not 0 < target < 1:
        raise ScenarioError(
            f"{scenario.document.place(('slo', 'attainment'))}: slo.attainment: {target:.0%} cannot be searched for: no number of requests proves "
            "that none will ever miss, or that any will; give a share such as 99% or 99.9%"
        )
    low, high = _bound(flags, "from", axis), _bound(flags, "to", axis)
    if low is not None and high is not None and low >= high:
        raise ScenarioError(f"--from {flags['from']} --to {flags['to']}: the first must be below the second")
    usual = Goal(axis, target, scenario.seed)
    warmup_s = _seconds(flags, "warmup")
    if warmup_s is None:
        form = scenario.form
        step_ns = form.steps[0].warmup
        own_ns = form.warmup if step_ns is None else step_ns
        warmup_s = own_ns / 1e9 if own_ns else None
    return replace(
        usual,
        low=low,
        high=high,
        precision=_share(flags, "precision", usual.precision),
        confidence=_share(flags, "confidence", usual.confidence),
        probe_s=_time(flags, "probe_duration", usual.probe_s),
        warmup_s=warmup_s,
        pause_s=usual.pause_s if (pause_s := _seconds(flags, "pause")) is None else pause_s,
    )


def limits_of(flags: Flags, was: Limits) -> Limits:
    """``flags``: max_requests, max_time, budget, retries; ``was`` where they say nothing; ``none`` takes a limit away."""
    found = was
    if (text := flags["max_requests"]) is not None:
        found = replace(found, requests=None if text == "none" else _whole(text, "max_requests"))
    if (text := flags["max_time"]) is not None:
        found = replace(found, time_s=None if text == "none" else _time(flags, "max_time", 0.0))
    if (text := flags["budget"]) is not None:
        found = replace(found, usd=None if text == "none" else _read(units.money_usd, text, "budget"))
    if (text := flags["retries"]) is not None:
        found = replace(found, retries=_whole(text, "retries", least=0))
    return found


def unchanged(goal: Goal, was: Goal, flags: Flags) -> None:
    """Raises ScenarioError where a search that goes on is asked for something else than it began with."""
    fields = {"axis": "axis", "from": "low", "to": "high", "precision": "precision", "confidence": "confidence"}
    fields |= {"probe_duration": "probe_s", "warmup": "warmup_s", "pause": "pause_s"}
    for name, key in fields.items():
        if flags[name] is not None and getattr(goal, key) != getattr(was, key):
            raise ScenarioError(
                f"{_flag(name)} {flags[name]}: the search began with {getattr(was, key)}; what it has found rests on that. Leave it out, or "
                "begin a new search (limits such as --max-time may change)"
            )


def check(form: Form) -> None:
    """Raises ScenarioError where the scenario has no SLO or no single load to vary."""
    if form.slo is None:
        raise ScenarioError(
            "no slo: a search needs one to meet; give slo: {ttft: 500ms, attainment: 99%} or --set 'slo={ttft: 500ms}'"
        )
    if form.targets is not None:
        raise ScenarioError("targets: a search is of one target; give target, or search each by itself")
    for number, step in enumerate(form.steps):
        if form.arrivals_of(step) == "trace":
            raise ScenarioError(
                f"steps.{number}: a trace has its own arrivals, there is no rate to search for; give a rate, or vary the trace's speed by hand"
            )
    keys = form.matrix_keys()
    if other := [k for k in keys if k not in ("rate", "concurrency")]:
        raise ScenarioError(
            f"matrix.{other[0]}: a search has one load to vary; fix {other[0]} by --{other[0].replace('_', '-')}, and search each value by itself"
        )
    shapes = [s.model_dump(exclude=set(_OF_LOAD)) for s in form.steps]
    if any(shape != shapes[0] for shape in shapes):
        raise ScenarioError(
            "steps: they differ in more than their load, and a search has one step to repeat; leave one of them"
        )


def scenario_of(base: Scenario, name: str, seed: int, step: Mapping[str, Any], budget_usd: float | None) -> Scenario:
    """``base`` with this one step in place of its own, what belongs to whole runs left out, and ``budget_usd`` to spend."""
    data = {k: v for k, v in copy.deepcopy(base.document.data).items() if k not in _DROPPED}
    data |= {"name": name, "seed": seed, "steps": [dict(step)]}
    if budget_usd is not None:
        data["budget"] = f"${budget_usd:.9f}"
    document = Document(base.document.source, data, base.document.places)
    return replace(base, name=name, seed=seed, form=Form.model_validate(data), document=document)


def template(base: Scenario, axis: Axis) -> dict[str, Any]:
    """What the first step says beside load and length, as a person wrote it."""
    first = base.document.data["steps"][0]
    kept = {k: v for k, v in first.items() if k not in (*_OF_LOAD, "sessions", "warmup", "max_in_flight")}
    if axis == "concurrency":
        return kept | ({"think": first["think"]} if "think" in first else {})
    if "max_in_flight" in first:
        kept["max_in_flight"] = first["max_in_flight"]
    arrivals = base.form.arrivals_of(base.form.steps[0])
    if arrivals in ("constant", "gamma"):
        kept["arrivals"] = arrivals
    if arrivals == "gamma":
        kept["burstiness"] = first["burstiness"]
    return kept


def told(goal: Goal, limits: Limits) -> str:
    """What is looked for and how much may be spent on it, in a line."""
    spend = [
        None if limits.requests is None else f"{limits.requests:,} requests",
        None if limits.time_s is None else f"{limits.time_s / 60:g} min",
        None if limits.usd is None else f"${limits.usd:g}",
    ]
    most = " and ".join(part for part in spend if part)
    least = math.ceil(PLENTY * least_requests(goal.target, goal.confidence) / SHARES[0])
    return (
        f"the largest {goal.axis} with {goal.target:.6g} of requests good, to {goal.precision:.3g}, {goal.confidence:.6g} sure; a probe takes at "
        f"most {goal.probe_s:g} s, or as long as {least:,} requests"
        + (f"; at most {most} in all" if most else "; without a limit")
    )


def _bound(flags: Flags, name: str, axis: Axis) -> float | None:
    text = flags[name]
    if text is None:
        return None
    if axis == "rate":
        found: float = _read(units.rate_rps, text, name)
        if found <= 0:
            raise ScenarioError(f"{_flag(name)} {text}: a rate above 0 is wanted")
        return found
    return float(_whole(text, name))


def _whole(text: str, name: str, least: int = 1) -> int:
    if not text.isdecimal() or not least <= int(text) <= 10**12:
        raise ScenarioError(f"{_flag(name)} {text}: a whole number, at least {least}, is wanted")
    return int(text)


def _share(flags: Flags, name: str, usual: float) -> float:
    text = flags[name]
    if text is None:
        return usual
    found: float = _read(units.share, text, name)
    if not 0 < found < 1:
        raise ScenarioError(f"{_flag(name)} {text}: a share between 0 and 100%, without either, is wanted")
    return found


def _time(flags: Flags, name: str, usual: float) -> float:
    found = _seconds(flags, name)
    if found == 0:
        raise ScenarioError(f"{_flag(name)} {flags[name]}: a time above 0 is wanted")
    return usual if found is None else found


def _seconds(flags: Flags, name: str) -> float | None:
    text = flags[name]
    if text is None:
        return None
    found_ns: int = _read(units.duration_ns, text, name)
    return found_ns / 1e9


def _read(parse: Any, text: str, name: str) -> Any:
    try:
        return parse(text)
    except ValueError as e:
        raise ScenarioError(f"{_flag(name)}: {e}") from None


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
