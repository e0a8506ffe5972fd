"""What a search found, as the stable JSON that ``--json`` prints and every other form is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from analysis.searching import ladder
from analysis.searching.course import Trial, floor_and_bar, rungs, trials
from analysis.searching.decide import SHARES, accepts, rejects
from analysis.searching.part import Done, Goal, Limits

Row = dict[str, Any]

FORMAT = 1
CLIFF = 0.1
NEIGHBOURS = 0.05
"""Loads within so much of each other are neighbours, as slots one apart are; where their attainments lie further apart than CLIFF, surely, it is a cliff."""


def build(goal: Goal, limits: Limits, history: Sequence[Done], end: str | None, about: Mapping[str, Any]) -> Row:
    """``end``: how the search ended (``course.End``, or ``interrupted``), None while it goes on; ``about``: search_id, name, slo and so on."""
    found = trials(goal, history)
    floor, bar = floor_and_bar(found)
    confirmed = any(t.kind == "confirm" and t.load == floor and t.evidence.verdict == "accepted" for t in found)
    rejected = [t.load for t in found if t.evidence.verdict == "rejected"]
    climbed = rungs(history)
    probes = [_trial(t) for t in found]
    room = ladder.capacity(climbed, goal.target)
    answer = {
        "format": FORMAT,
        **about,
        "axis": goal.axis,
        "unit": "requests/s" if goal.axis == "rate" else "slots",
        "goal": asdict(goal),
        "limits": asdict(limits),
        "end": end,
        "load": floor,
        "confirmed": confirmed,
        "not_accepted": bar,
        "rejected": min(rejected, default=None),
        "cliff": cliff(goal, probes),
        "capacity_rps": None if room is None else room.rps,
        "ladder": [_rung(d, goal) for d in climbed],
        "probes": probes,
        "invalid": [{"run_id": d.run_id, "load": d.load, "reasons": list(d.reasons)} for d in history if not d.counts],
        "spent": {
            "requests": sum(d.sent for d in history),
            "seconds": sum(d.elapsed_s for d in history),
            "usd": None if all(d.usd is None for d in history) else sum(d.usd or 0.0 for d in history),
        },
    }
    assumed = [] if "attainment" in about.get("slo", {"attainment": None}) else [_ASSUMED.format(goal.target)]
    return answer | {"notes": assumed + notes(goal, found, climbed, floor, bar)}


_ASSUMED = "the SLO does not say how many requests must meet it: {:.6g} of them is assumed (slo: {{attainment: 95%}} says another)"


def _rung(done: Done, goal: Goal) -> Row:
    return {
        "run_id": done.run_id,
        "slots": done.load,
        "requests": done.sample.requests,
        "attainment": done.sample.attainment,
        "meets": done.sample.attainment is not None and done.sample.attainment >= goal.target,
        "x_rps": done.x_rps,
        "ok_rps": done.ok_rps,
        "latency_s": done.latency_s,
        "in_flight": done.in_flight,
        "little": ladder.little(done),
        "reasons": list(done.reasons),
    }


def _trial(trial: Trial) -> Row:
    e = trial.evidence
    low, high = e.bounds()
    return {
        "number": trial.number,
        "kind": trial.kind,
        "load": trial.load,
        "verdict": e.verdict,
        "requests": e.requests,
        "misses": e.misses,
        "effective": e.effective,
        "attainment": e.attainment,
        "low": low,
        "high": high,
        "growing": e.growing,
        "runs": [d.run_id for d in trial.runs],
        "seconds": sum(d.elapsed_s for d in trial.runs),
        "x_rps": trial.runs[-1].x_rps,
        "latency_s": trial.runs[-1].latency_s,
    }


def cliff(goal: Goal, probes: Sequence[Row]) -> Row | None:
    """The widest drop between neighbouring loads: the first's attainment is surely more than CLIFF above the second's. None without any.
    ``probes``: rows of the answer.
    """
    best: Row | None = None
    slots = 1 if goal.axis == "concurrency" else 0
    known = sorted((p for p in probes if p["verdict"] is not None and p["low"] is not None), key=lambda p: p["load"])
    for below in known:
        for above in known:
            if not below["load"] < above["load"] <= max(below["load"] * (1 + NEIGHBOURS), below["load"] + slots):
                continue
            drop = below["low"] - above["high"]
            if drop > (CLIFF if best is None else best["drop"]):
                best = {
                    "below": below["load"],
                    "above": above["load"],
                    "attainment_below": below["attainment"],
                    "attainment_above": above["attainment"],
                    "drop": drop,
                }
    return best


def contradictions(found: Sequence[Trial]) -> list[tuple[Trial, Trial]]:
    """(accepted, rejected) where the accepted load is the higher one, or the same: more load, and the SLO is met again."""
    accepted = [t for t in found if t.evidence.verdict == "accepted"]
    rejected = [t for t in found if t.evidence.verdict == "rejected"]
    return [(a, r) for a in accepted for r in rejected if a.load >= r.load]


def more_needed(goal: Goal, trial: Trial) -> int | None:
    """So many times the probe's length would have decided, were its share of misses the true one; None where 64 times would not."""
    e = trial.evidence
    alpha = (1 - goal.confidence) * SHARES[-1]
    for times in (2, 4, 8, 16, 32, 64):
        counts = (e.misses * times, e.requests * times, e.inflation, goal.target, alpha)
        if accepts(*counts) or rejects(*counts):
            return times
    return None


def notes(
    goal: Goal, found: Sequence[Trial], climbed: Sequence[Done], floor: float | None, bar: float | None
) -> list[str]:
    """What a reader of the answer must know beyond it."""
    told = []
    for accepted, rejected in contradictions(found):
        told.append(
            f"not monotone: {loaded(goal, accepted.load)} was accepted and {loaded(goal, rejected.load)} rejected; the target is better under "
            "more load there, or it changed meanwhile. The answer lies below the lowest load that was not accepted"
        )
    undecided = [t for t in found if t.evidence.verdict == "undecided"]
    at_bar = [t for t in undecided if t.load == bar]
    if at_bar and floor is not None:
        times = more_needed(goal, at_bar[-1])
        longer = "no probe of reasonable length" if times is None else f"a probe of about {times} times the length"
        told.append(
            f"{loaded(goal, at_bar[-1].load)} is undecided, not rejected: too close to the target for so many requests. The largest load that "
            f"meets the SLO may be higher; {longer} would tell (--probe-duration)"
        )
    if any(t.evidence.growing for t in undecided):
        loads = ", ".join(dict.fromkeys(loaded(goal, t.load) for t in undecided if t.evidence.growing))
        told.append(f"at {loads} more and more was in flight when the probe ended: not accepted, whatever its misses")
    told += [
        f"the ladder's rung of {rung.load:g} slots is INVALID ({rung.reasons[0]}): it only guides where the search looks first"
        for rung in climbed
        if rung.reasons
    ]
    told += [
        f"the ladder's rung of {rung.load:g} slots was not steady: N / (X · R) is {ladder.little(rung):.2f}, where 1 is due; its throughput "
        "only guides where the search looks first"
        for rung in ladder.doubtful(climbed)
    ]
    return told


def loaded(goal: Goal, load: float) -> str:
    """``52.1/s``, or ``12 slots``."""
    return f"{load:.6g}/s" if goal.axis == "rate" else f"{load:g} slots"
