"""What is known of repeated runs before the first: how many, how long, what they cost, and what will not work."""

from __future__ import annotations

from typing import Any

from console.live import span
from console.prepare import Prepared
from generator import until
from generator.charge import money
from generator.planning.plan import Planned
from generator.repetition import Seeds
from generator.scenario import repeat


def facts(prepared: Prepared) -> dict[str, Any] | None:
    """None of a scenario that is run once. ``duration_s`` and ``usd``: of all repetitions at most, None where one's is not known."""
    asked = repeat.asked(prepared.scenario.form)
    if asked is None or asked.times is None:
        return None
    one_s, one_usd = prepared.planned.needs.duration_s, prepared.planned.cost.usd
    total_s = None if one_s is None else asked.times * one_s + (asked.times - 1) * asked.pause / 1e9
    return {
        "times": asked.times,
        "until": list(prepared.scenario.form.until or ()),
        "pause_s": asked.pause / 1e9,
        "seeds": asked.seeds,
        "within_s": None if asked.within is None else asked.within / 1e9,
        "duration_s": total_s if asked.within is None or total_s is None else min(total_s, asked.within / 1e9),
        "usd": None if one_usd is None else asked.times * one_usd,
    }


def lines(prepared: Prepared) -> list[str]:
    """Below the plan of one repetition."""
    found = facts(prepared)
    if found is None:
        return []
    often = f"{'at most ' if found['until'] else ''}{found['times']} times"
    rules = f" until {' and '.join(found['until'])}" if found["until"] else ""
    pause = f", {found['pause_s']:g} s of silence between" if found["pause_s"] else ""
    seeds = {
        "same": "the same arrivals and lengths each time, in other words",
        "fresh": "other arrivals, lengths and words each time",
    }[found["seeds"]]
    long = "as long as the target decides" if found["duration_s"] is None else span(found["duration_s"])
    cost = "" if found["usd"] is None else f", about {money(found['usd'])}"
    most = "at most " if found["until"] or found["within_s"] else ""
    return [f"repeated     {often}{rules}{pause}; {seeds}", f"all of them  {most}{long}{cost}"]


def warnings(prepared: Prepared) -> list[str]:
    asked = repeat.asked(prepared.scenario.form)
    if asked is None:
        return []
    return [
        *_same_prompts(prepared.planned, asked.seeds),
        *(w for rule in prepared.scenario.form.until or () for w in _too_few(prepared.planned, until.parse(rule))),
    ]


def _same_prompts(planned: Planned, seeds: Seeds) -> list[str]:
    """Synthetic prompts have other words in each repetition. A file's are what they are."""
    files = {
        alone.workload.dataset
        for step in planned.plan.steps
        for alone in step.alone()
        if alone.workload.dataset is not None
    }
    if not files:
        return []
    again = "in the same order" if seeds == "same" else "in another order only where it is shuffled"
    return [
        (
            f"repeated: the prompts of {', '.join(sorted(files))} come again in every repetition, {again}; a target that caches prefixes "
            "answers them sooner than the first time: turn its cache off, or read the figures as those of a warm one"
        )
    ]


def _too_few(planned: Planned, rule: until.Until) -> list[str]:
    p = rule.figure.probability
    if p is None:
        return []
    least = until.least_n(p)
    few = [
        f"step {need_step.name!r} sends about {need.requests:,.0f}"
        for need_step, need in zip(planned.plan.steps, planned.needs.steps, strict=True)
        if need_step.block is None and need.requests is not None and need.requests < least
    ]
    if not few:
        return []
    return [
        f"until: {rule.text!r} takes {least} requests of each repetition to have an interval; {'; '.join(few[:3])}: it cannot be reached"
    ]
