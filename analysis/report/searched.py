"""A search in words: the sentence that answers, a line for each probe, the report for a terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from analysis.report import wording
from analysis.report.costs import dollars
from analysis.report.terminal import Lines
from analysis.report.wording import NOTHING, number, seconds, share
from analysis.searching import ladder
from analysis.searching.answer import loaded
from analysis.searching.course import Trial
from analysis.searching.part import Done, Goal

Row = dict[str, Any]

_ENDS = {
    "requests": "stopped: the next run would go over --max-requests",
    "time": "stopped: the next run would go over --max-time",
    "money": "stopped: the next run would go over --budget",
    "interrupted": "interrupted",
    "invalid": "ended: our own generator could not send as it should, again and again. That says nothing of the target",
    "nothing": "ended: the target answered nothing that went well",
}

VERDICTS = {"accepted": "accepted", "rejected": "rejected", "undecided": "undecided", None: "goes on"}
_TONES = {"accepted": "green", "rejected": "red", "undecided": "yellow"}

LIMITS = {
    "ttft_ms": "TTFT",
    "ttft_wire_ms": "TTFT from send",
    "ttfo_ms": "TTFO",
    "tpot_ms": "TPOT",
    "ntpot_ms": "NTPOT",
    "icl_ms": "ICL",
    "e2e_ms": "E2E",
}


def slo(found: Row) -> str:
    """``TTFT ≤ 500 ms and TPOT ≤ 50 ms for 99 % of requests``."""
    limits = [f"{name} ≤ {wording.brief(found['slo'][key])} ms" for key, name in LIMITS.items() if key in found["slo"]]
    if "fluidity" in found["slo"]:
        limits.append(f"fluidity ≥ {share(found['slo']['fluidity'])}")
    return f"{' and '.join(limits) or 'an answer that ends ok'} for {share(found['goal']['target'])} of requests"


def load(found: Row, value: float | None) -> str:
    """A load with its unit."""
    if value is None:
        return NOTHING
    return f"{value:.6g} requests/s" if found["axis"] == "rate" else f"{value:g} slots"


def sentences(found: Row) -> list[str]:
    """The answer, what bounds it, and how the search ended, a sentence each."""
    told = []
    best, bar = found["load"], found["not_accepted"]
    proof = next((p for p in reversed(found["probes"]) if p["load"] == best and p["verdict"] == "accepted"), None)
    if best is not None and proof is not None:
        sure = f"{share(proof['attainment'])} of {proof['requests']:,} requests were good, at least {share(proof['low'])} surely"
        how = "confirmed with other arrivals" if found["confirmed"] else "not confirmed yet"
        told.append(f"{load(found, best)} meet the SLO: {sure}; {how}.")
    elif found["end"] == "none":
        told.append(f"No load was found that meets the SLO: {load(found, bar)} was the lowest that was tried.")
    else:
        told.append("No load was shown to meet the SLO.")
    if bar is not None and (best is not None or found["end"] != "none"):
        words = {
            "rejected": f"{load(found, bar)} surely do not",
            "undecided": f"{load(found, bar)} could not be told from the limit",
        }
        last = next(p for p in reversed(found["probes"]) if p["load"] == bar and p["verdict"] in words)
        told.append(f"{words[last['verdict']]}: {share(last['attainment'])} of {last['requests']:,} were good.")
    elif found["end"] == "all":
        told.append(f"Nothing higher was asked for: --to is {load(found, found['goal']['high'])}.")
    if (drop := found["cliff"]) is not None:
        told.append(
            f"A cliff: {load(found, drop['below'])} have {share(drop['attainment_below'])} good requests, "
            f"{load(found, drop['above'])} {share(drop['attainment_above'])}. There is nothing between the two to interpolate."
        )
    if found["end"] in _ENDS:
        told.append(
            f"The search {_ENDS[found['end']]}." if found["end"] != "interrupted" else "The search was interrupted."
        )
    if found["end"] not in ("found", "all", "none"):
        told.append(f"It goes on with: openloop search --resume {found['folder']}")
    return told


def trial_line(goal: Goal, trial: Trial) -> str:
    """A probe after its last run, for those who watch."""
    e = trial.evidence
    low, high = e.bounds()
    bounds = "" if low is None else f", {share(low)} to {share(high)}"
    grows = ", more and more in flight" if e.growing else ""
    part = f" part {len(trial.runs)}" if len(trial.runs) > 1 else ""
    return (
        f"{trial.kind} {trial.number + 1}{part} at {loaded(goal, trial.load)}: {VERDICTS[e.verdict]} · {share(e.attainment)} good{bounds} · "
        f"{e.requests:,} requests, worth {number(e.effective)}{grows}"
    )


def ladder_line(rung: Done) -> str:
    ratio = ladder.little(rung)
    return (
        f"ladder {rung.load:g} slots: {number(rung.ok_rps)} ok/s of {number(rung.x_rps)} requests/s · {seconds(rung.latency_s)} each · "
        f"{share(rung.sample.attainment)} good · N/(X·R) {NOTHING if ratio is None else f'{ratio:.2f}'}"
    )


def render(found: Row, *, width: int = 116, colour: bool = False) -> str:
    """Plain lines; ``colour`` adds ANSI codes for a terminal."""
    console = Lines(width, colour)
    what = "rate" if found["axis"] == "rate" else "concurrency"
    console.print(
        Text.assemble(f"The largest {what} of ", (wording.printable(found["name"]), "bold"), f" with {slo(found)}")
    )
    console.print()
    for number_of, sentence in enumerate(sentences(found)):
        console.print(Text(wording.printable(sentence), "bold" if number_of == 0 else ""))
    for note in found["notes"]:
        console.print(Text(wording.printable(f"! {note}"), "yellow"))
    for run in found["invalid"]:
        console.print(Text(wording.printable(f"! {run['run_id']} counts for nothing: {run['reasons'][0]}"), "yellow"))
    if found["ladder"]:
        console.print()
        console.print(_table("Ladder, closed loop", LADDER_HEADINGS, ladder_rows(found)))
    if found["probes"]:
        console.print()
        console.print(_table("Probes, in order", PROBE_HEADINGS, probe_rows(found)))
    console.print()
    console.print(Text(spent(found), "dim"))
    return console.text()


LADDER_HEADINGS = ("slots", "requests/s", "ok/s", "in flight s", "good", "N/(X·R)", "run")
PROBE_HEADINGS = ("probe", "load", "verdict", "good", "surely from", "to", "requests", "worth", "runs", "took")


def ladder_rows(found: Row) -> list[tuple[str, ...]]:
    return [
        (
            f"{r['slots']:g}",
            number(r["x_rps"]),
            number(r["ok_rps"]),
            number(r["latency_s"]),
            share(r["attainment"]),
            NOTHING if r["little"] is None else f"{r['little']:.2f}",
            r["run_id"],
        )
        for r in found["ladder"]
    ]


def probe_rows(found: Row) -> list[tuple[str, ...]]:
    return [
        (
            f"{p['number'] + 1} {p['kind']}",
            f"{p['load']:.6g}",
            VERDICTS[p["verdict"]] + (", growing" if p["growing"] else ""),
            share(p["attainment"]),
            share(p["low"]),
            share(p["high"]),
            f"{p['requests']:,}",
            number(p["effective"]),
            str(len(p["runs"])),
            seconds(p["seconds"]),
        )
        for p in found["probes"]
    ]


def _table(title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index == 0 or heading in ("verdict", "run") else "right")
    for row in rows:
        table.add_row(*(Text(cell, _TONES.get(cell, "")) for cell in row))
    return table


def spent(found: Row) -> str:
    """What it all cost."""
    s = found["spent"]
    money = "" if s["usd"] is None else f", {dollars(s['usd'])}"
    return f"{s['requests']:,} requests in {seconds(s['seconds'])}{money} · seed {found['seed']} · search {found['search_id']}"
