"""``search``: the largest load that meets the scenario's SLO."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from console.commands.load import given, scenario_options
from console.commands.options import runs_dir_option
from console.streams import is_screen
from generator.errors import OpenloopError


@click.command()
@click.argument("scenario", required=False, metavar="[SCENARIO]")
@click.option(
    "--axis",
    type=click.Choice(["rate", "concurrency"]),
    help="What to vary: the rate of an open loop (unless said), or the slots of a closed one.",
)
@click.option("--from", "low", metavar="LOAD", help="Look no lower (5/s, or slots); with --to the ladder is left out.")
@click.option("--to", "high", metavar="LOAD", help="Look no higher.")
@click.option("--precision", metavar="SHARE", help="Stop once the bounds are so close; 1% unless said.")
@click.option("--confidence", metavar="SHARE", help="How sure a load is accepted or rejected; 99% unless said.")
@click.option(
    "--probe-duration",
    metavar="TIME",
    help="How long one probe may take until it is decided, its warm-ups left out, longer only where the load is too low to prove anything; 4m unless said.",
)
@click.option(
    "--probe-warmup",
    "warmup",
    metavar="TIME",
    help="Warm-up of each run of a probe; the scenario's, else a fifth of the run, at most 30s.",
)
@click.option("--pause", metavar="TIME", help="Silence before each run; 2s unless said.")
@click.option("--max-requests", metavar="N", help="Send no more than this in all.")
@click.option(
    "--max-time", metavar="TIME", help="Take no longer than this in all; 30m unless said, `none` for no limit."
)
@click.option("--budget", metavar="USD", help="Spend no more than this in all ($5).")
@click.option(
    "--retries", metavar="N", help="How often a run that is INVALID is repeated before the search ends; 2 unless said."
)
@click.option(
    "--resume", metavar="SEARCH", help="Go on with a search: its id, a path, or `latest`. Limits may be given anew."
)
@scenario_options(leave_out=("concurrency", "rate", "duration", "requests", "budget", "repeat", "until"))
@runs_dir_option
@click.option(
    "--search-id", metavar="ID", help="Name of the search's folder; the scenario's name and the time unless said."
)
@click.option("--no-live", is_flag=True, help="No progress of single runs.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON on standard output, and nothing else there.")
def search(
    scenario: str | None,
    axis: str | None,
    low: str | None,
    high: str | None,
    resume: str | None,
    search_id: str | None,
    sets: tuple[str, ...],
    runs_dir: Path,
    no_live: bool,
    as_json: bool,
    **flags: str | None,
) -> int:
    """Find the largest rate (or concurrency) at which the scenario's SLO is met.

    A closed-loop ladder finds out what the target can do at all, an open loop halves the rest, and the rate found is confirmed with other
    arrivals. A rate is accepted or rejected only once its requests prove it. Exit code 0: found; 99: not found, or a limit came first; 3: our
    own generator could not, which says nothing of the target.
    """
    from analysis.report import json, searched
    from console import live
    from console.searching import asked, driving, opening

    own = (
        "precision",
        "confidence",
        "probe_duration",
        "warmup",
        "pause",
        "max_requests",
        "max_time",
        "budget",
        "retries",
    )
    asks = {name: flags.pop(name) for name in own} | {"axis": axis, "from": low, "to": high}
    if resume is None:
        base, folder, known = opening.anew(scenario, given(flags), list(sets), asks, runs_dir, search_id)
    else:
        if search_id is not None:
            raise click.UsageError("--search-id names a new search; leave it out to resume one")
        base, folder, known = opening.again(resume, scenario, given(flags), list(sets), asks, runs_dir)
    for warning in known.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"search {known.search_id}: {asked.told(known.goal, known.limits)}", err=True)
    try:
        known = driving.search(
            base,
            folder,
            known,
            watching=lambda words: live.watching(words, quiet=no_live),
            say=lambda line: click.echo(line, err=True),
        )
    except (KeyboardInterrupt, OpenloopError):
        click.echo(f"what was found is kept; go on with: openloop search --resume {folder}", err=True)
        raise
    found = driving.found(folder, known)
    click.echo(json.render(found) if as_json else searched.render(found, colour=is_screen(sys.stdout)))
    click.echo(f"report: {folder / driving.REPORT}", err=as_json)
    return driving.code_of(known)
