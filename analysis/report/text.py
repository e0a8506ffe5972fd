"""The report for a terminal: the verdict with its reasons, the run, one row a step, failures by kind, and what was withheld."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.report import comparison, costs, goodput, intervals, limits, parts, repeats, wording
from analysis.report.terminal import Lines
from analysis.report.wording import number, share

Row = dict[str, Any]

_HEADINGS = (
    "step",
    "requests",
    "ok",
    "done/s",
    "TTFT ms\np50",
    "\np90",
    "\np99",
    "TPOT ms\np50",
    "\np99",
    "E2E ms\np50",
    "\np99",
    "tokens/s\nall",
    "\nper user",
    "late ms\np99",
)

_TONES = {"VALID": "bold green", "INVALID": "bold red"}
_MARKS = {"INVALID": ("✕", "red"), "WARN": ("!", "yellow"), "WITHHELD": ("–", "cyan")}
"""Level of a broken rule → its mark and colour."""


def render(report: Row, *, width: int = 116, colour: bool = False) -> str:
    r"""Plain lines of at most ``width`` columns; ``colour`` adds ANSI codes for a terminal.

    Control characters in what a target said come out as ``\x1b``, so that no answer can steer the terminal.
    """
    console = Lines(width, colour)
    _verdict(console, report)
    _run(console, report["run"], len(report["steps"]))
    _comparison(console, report["comparison"])
    if report["steps"]:
        console.print(_steps(report["steps"]))
    else:
        console.print("No step was recorded.\n")
    for part in (*intervals.tables(report), *parts.tables(report)):
        console.print()
        console.print(_part(part))
    _goodput(console, report)
    _limits(console, report)
    _failures(console, report)
    _costs(console, report)
    _notes(console, report)
    return console.text()


def render_comparison(found: Row, *, width: int = 116, colour: bool = False) -> str:
    """Two runs made apart, in the same form."""
    console = Lines(width, colour)
    _comparison(console, found)
    return console.text()


def render_repeats(report: Row, *, width: int = 116, colour: bool = False) -> str:
    """Several runs of one plan as one, in the same form."""
    console = Lines(width, colour)
    verdict = report["verdict"]
    title = report["group"] or report["name"] or "runs"
    console.print(Text.assemble((verdict, _TONES.get(verdict, "bold")), "  ", (wording.printable(title), "bold")))
    console.print(Text(wording.printable(f"  {repeats.ended(report)}")))
    console.print()
    for line in repeats.sentences(report):
        console.print(Text(wording.printable(line), "bold"))
    for table in repeats.tables(report):
        console.print()
        console.print(_part(table))
    console.print()
    for line in repeats.notes(report):
        console.print(Text(wording.printable(line), "yellow" if line.startswith("!") else "dim"))
    return console.text()


def _verdict(console: Console, report: Row) -> None:
    verdict = report["verdict"]["verdict"]
    console.print(
        Text.assemble((verdict, _TONES.get(verdict, "bold")), "  ", (wording.printable(report["run"]["name"]), "bold"))
    )
    console.print(Text("  " + wording.own_error(report["generator"])))
    for level, (mark, tone) in _MARKS.items():
        broken: dict[str, list[Row]] = {}
        for rule in report["verdict"]["rules"]:
            if rule["broken"] and rule["level"] == level:
                broken.setdefault(rule["name"], []).append(rule)
        # A rule of many steps is told once, of the first: the same advice twenty times over hides what else there is.
        for found in broken.values():
            console.print(Text(wording.printable(f"  {mark} {_told(found, report['steps'])}"), tone))
    console.print()


def _told(rules: list[Row], steps: list[Row]) -> str:
    """What is wrong, where, and what to do about it."""
    rule = rules[0]
    elsewhere = len({r["step_id"] for r in rules} - {rule["step_id"]})
    step = next((s["label"] for s in steps if s["step_id"] == rule["step_id"]), None)
    where = f" in {step}" if step else ""
    where += f" and {elsewhere} more {'step' if elsewhere == 1 else 'steps'}" if elsewhere else ""
    advice = rule["advice"][:1].upper() + rule["advice"][1:]
    return f"{rule['name']}{where}: {rule['figure']} (limit {rule['limit']}). {advice}"


def _run(console: Console, run: Row, steps: int) -> None:
    for target in run["targets"]:
        console.print(
            Text(wording.printable(f"{target['model'] or 'no model named'} at {target['url']} ({target['api']})"))
        )
    ended = ", interrupted" if run["interrupted"] else ", stopped by a threshold" if run["aborted"] else ""
    facts = [
        wording.moment(run["created"]),
        f"{wording.seconds(run['duration_s'])} of load in {steps} {'step' if steps == 1 else 'steps'}{ended}",
        f"{run['workers']} {'worker' if run['workers'] == 1 else 'workers'}, {run['stamp_source']} stamps",
        f"seed {run['seed']}",
        f"run {run['run_id']}",
    ]
    console.print(Text(wording.printable(" · ".join(facts)), "dim"))
    console.print()


def _steps(steps: list[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="dim")
    table.add_column(_HEADINGS[0], no_wrap=True, overflow="ellipsis", max_width=24)
    for heading in _HEADINGS[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    for s in steps:
        table.add_row(
            Text(wording.printable(s["label"])),
            wording.count(s["requests"]),
            share(s["success_rate"]),
            number(s["requests_per_s"]),
            *(number(s["ttft_ms"][p]) for p in ("p50", "p90", "p99")),
            *(number(s["tpot_ms"][p]) for p in ("p50", "p99")),
            *(number(s["e2e_ms"][p]) for p in ("p50", "p99")),
            number(s["output_tokens_per_s"]),
            number(s["per_user_tokens_per_s"]),
            number(s["lateness_ms"]["p99"]),
        )
    return table


def _part(part: parts.Table) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="dim")
    for place, name in enumerate(part.names):
        heading = f"{part.title}\n{name}" if place == 0 else f"\n{name}"
        table.add_column(heading, no_wrap=True, overflow="ellipsis", max_width=24)
    for heading in part.headings:
        table.add_column(heading if "\n" in heading else f"\n{heading}", justify="right", no_wrap=True)
    for row in part.rows:
        table.add_row(*(Text(wording.printable(cell)) for cell in row))
    return table


def _comparison(console: Console, found: Row | None) -> None:
    """The verdict first: it is what such a run was made for."""
    if found is None:
        return
    for line in comparison.sentences(found):
        console.print(Text(wording.printable(line), "bold"))
    for table in comparison.tables(found):
        console.print()
        console.print(_part(table))
    for line in comparison.notes(found):
        console.print(Text(wording.printable(line), "yellow" if line.startswith("!") else "dim"))
    console.print()


def _goodput(console: Console, report: Row) -> None:
    _section(console, goodput.tables(report), goodput.sentences(report))


def _limits(console: Console, report: Row) -> None:
    _section(console, limits.tables(report), limits.sentences(report))
    for line in limits.assumptions(report):
        console.print(Text(wording.printable(line), "dim"))


def _section(console: Console, tables: Iterable[parts.Table], told: Sequence[str]) -> None:
    for table in tables:
        console.print()
        console.print(_part(table))
    if told:
        console.print()
    for line in told:
        console.print(Text(wording.printable(line), "bold"))


def _failures(console: Console, report: Row) -> None:
    if not report["errors"]:
        return
    labels = {s["step_id"]: s["label"] for s in report["steps"]}
    console.print()
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="dim")
    table.add_column("failed in", no_wrap=True, overflow="ellipsis", max_width=24)
    table.add_column("requests", justify="right")
    table.add_column("outcome", no_wrap=True)
    table.add_column("HTTP", justify="right")
    table.add_column("type", overflow="fold", max_width=28)
    table.add_column("message, one of them", overflow="fold")
    for e in report["errors"]:
        step = labels.get(e["step_id"], f"step {e['step_id']}")
        told = [e["error_type"], e["error_message"]]
        status = str(e["http_status"]) if e["http_status"] else wording.NOTHING
        cells = [step, wording.count(e["requests"]), e["outcome"], status, *(t or wording.NOTHING for t in told)]
        table.add_row(*(Text(wording.printable(cell)) for cell in cells))
    console.print(table)


def _costs(console: Console, report: Row) -> None:
    if not costs.told(report):
        return
    columns = costs.columns(report["steps"])
    console.print()
    if columns:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="dim")
        table.add_column("cost", no_wrap=True, overflow="ellipsis", max_width=24)
        for heading in columns:
            table.add_column(heading, justify="right", no_wrap=True)
        for s in report["steps"]:
            figures = (costs.dollars(s["cost"][key]) for key in columns.values())
            table.add_row(Text(wording.printable(s["label"])), *figures)
        console.print(table)
    for line in ("; ".join([costs.total(report), *costs.price_lines(report["run"])]), *costs.notes(report)):
        console.print(Text(wording.printable(line), "dim"))


def _notes(console: Console, report: Row) -> None:
    found = wording.notes(report["steps"])
    if found:
        console.print()
    for note in found:
        console.print(Text(wording.printable(note), "dim"))
