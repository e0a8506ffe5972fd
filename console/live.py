"""A run while it goes: a panel on a terminal, a line every few seconds elsewhere. Goes to stderr; results go to stdout.

The coordinator calls a watcher several times a second from its own loop, so a watcher throttles itself and returns at once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from console.streams import forget_lost, is_screen
from generator.charge import money
from generator.progress import Progress

if TYPE_CHECKING:
    from rich.console import Group

Watch = Callable[[Progress], None]

_PANEL_EVERY_S = 0.25
_LINE_EVERY_S = 5.0


@contextmanager
def watching(name: str, *, quiet: bool, stream: TextIO | None = None) -> Iterator[Watch]:
    """The watcher that fits ``stream`` (stderr unless said): panel, lines, or, when ``quiet``, nothing."""
    out = stream or sys.stderr
    try:
        if quiet:
            yield _ignore
        elif is_screen(out):
            with _panel(name, out) as watch:
                yield watch
        else:
            yield _lines(out)
    finally:
        forget_lost()


def _ignore(_: Progress) -> None:
    return


def _lines(out: TextIO) -> Watch:
    last_s = -_LINE_EVERY_S
    before: tuple[str, str | None] | None = None

    def watch(p: Progress) -> None:
        nonlocal last_s, before
        for note in p.notes:
            print(f"note: {note}", file=out, flush=True)
        now_s, stage = time.monotonic(), (p.phase, p.step.name if p.step else None)
        if stage == before and now_s - last_s < _LINE_EVERY_S:
            return
        last_s, before = now_s, stage
        print(line(p), file=out, flush=True)

    return watch


def line(p: Progress) -> str:
    """A moment in one line of plain text; what is not known is left out."""
    parts = [f"{p.elapsed_s:6.1f} s", where(p)]
    if p.phase in ("probe", "step", "drain"):
        parts += [
            f"{p.sent_per_s:,.1f} req/s sent",
            f"{p.in_flight:,} in flight",
            f"{p.done:,} done",
            f"{p.tokens_per_s:,.0f} tokens/s",
        ]
        if p.ttft_p50_ms is not None and p.ttft_p99_ms is not None:
            parts.append(f"TTFT p50 {milliseconds(p.ttft_p50_ms)} p99 {milliseconds(p.ttft_p99_ms)}")
        if p.spent_usd is not None:
            parts.append(f"{money(p.spent_usd)} spent")
        if p.late_1ms:
            parts.append(f"{p.late_1ms:,} issued over 1 ms late")
        parts += [f"{count:,} {kind}" for kind, count in errors(p)]
        if p.left_s is not None:
            parts.append(f"{span(p.left_s)} left")
    return " · ".join(parts)


def where(p: Progress) -> str:
    if p.step is None:
        return p.phase
    return f"{p.phase} {p.step.step_id + 1}/{p.steps} {p.step.name}"


def errors(p: Progress) -> list[tuple[str, int]]:
    """Outcomes other than ok that happened, most frequent first."""
    return sorted(((k, n) for k, n in p.outcomes.items() if k != "ok" and n), key=lambda kn: -kn[1])


def milliseconds(ms: float) -> str:
    return f"{ms:,.1f} ms" if ms < 1000 else f"{ms / 1000:,.2f} s"


def span(s: float) -> str:
    """A length of time as a person says it: ``9 s``, ``4:05 min``, ``1:02:03 h``."""
    whole = max(0, round(s))
    if whole < 100:
        return f"{whole} s"
    minutes, seconds = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{seconds:02} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} h"


@contextmanager
def _panel(name: str, out: TextIO) -> Iterator[Watch]:
    from rich.console import Console
    from rich.live import Live

    console = Console(file=out)
    last_s = -_PANEL_EVERY_S
    phase: str | None = None
    # auto_refresh would draw from a thread of its own, whatever had changed, at the worker's expense.
    live = Live(console=console, auto_refresh=False, transient=True)

    def watch(p: Progress) -> None:
        nonlocal last_s, phase
        for note in p.notes:
            console.print(f"note: {note}", markup=False, highlight=False)
        now_s = time.monotonic()
        if p.phase == phase and now_s - last_s < _PANEL_EVERY_S:
            return
        last_s, phase = now_s, p.phase
        live.update(picture(name, p), refresh=True)

    live.start()
    try:
        yield watch
    finally:
        with suppress(OSError):  # the terminal was closed: there is nothing to tidy
            live.stop()


def picture(name: str, p: Progress) -> Group:
    """The panel of one moment: a bar for the step, the figures of the last second, errors by kind."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    head = Table.grid(padding=(0, 2))
    total, completed = _share_of_step(p)
    head.add_row(
        Text(name, style="bold"),
        Text(where(p)),
        ProgressBar(total=total, completed=completed, width=30),
        Text(f"{span(p.elapsed_s)} gone" + (f", {span(p.left_s)} left" if p.left_s is not None else "")),
    )
    figures = Table.grid(padding=(0, 3))
    figures.add_row(*(Text(t, style="dim") for t in _HEADINGS))
    figures.add_row(
        _offered(p),
        f"{p.sent_per_s:,.1f}/s",
        f"{p.in_flight:,}",
        f"{p.done:,}",
        f"{p.tokens_per_s:,.0f}/s",
        "–" if p.ttft_p50_ms is None else milliseconds(p.ttft_p50_ms),
        "–" if p.ttft_p99_ms is None else milliseconds(p.ttft_p99_ms),
        Text(f"{p.late_1ms:,}", style="yellow" if p.late_1ms else ""),
    )
    failed = errors(p)
    verdict = Text("no errors", style="green")
    if p.spent_usd is not None:
        head.add_row(Text(""), Text(f"{money(p.spent_usd)} spent"))
    if failed:
        verdict = Text(" · ".join(f"{count:,} {kind}" for kind, count in failed), style="red")
    return Group(head, figures, verdict)


_HEADINGS = ("offered", "sent", "in flight", "done", "tokens", "TTFT p50", "TTFT p99", "late > 1 ms")


def _offered(p: Progress) -> str:
    if p.step is None:
        return "–"
    if p.step.closed:
        low, high = p.step.concurrency, p.step.concurrency_end
        unit = "slots" if p.step.turns is None else "sessions"
        return f"{low} {unit}" if high is None else f"{low} to {high} {unit}"
    low_rps, high_rps = p.step.rate_rps, p.step.rate_end_rps
    if low_rps is None:
        return "trace"
    unit = "/s" if p.step.turns is None else " sessions/s"
    return f"{low_rps:g}{unit}" if high_rps is None else f"{low_rps:g} to {high_rps:g}{unit}"


def _share_of_step(p: Progress) -> tuple[float | None, float]:
    """(whole, part) of the current step: by time where its length is known, else by count; (None, 0) pulses."""
    if p.step_expected_s:
        return p.step_expected_s, min(p.step_elapsed_s, p.step_expected_s)
    if p.step is not None and p.step.planned_arrivals:
        return p.step.planned_arrivals * (p.step.turns_mean or 1.0), float(p.step_done)
    return None, 0.0
