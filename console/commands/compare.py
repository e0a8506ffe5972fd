"""Commands that hold one thing against another: ``ab`` in one run, ``compare`` for two runs that exist."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from console.commands.export import after_run, export_option
from console.commands.load import given, run_prepared, scenario_options
from console.commands.options import output_option, runs_dir_option
from console.commands.read import opened
from console.streams import is_screen


@click.command()
@click.argument("scenario", required=False, metavar="[SCENARIO]")
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME=URL",
    help="A target to compare, two or more; all else is the scenario's target, or its target of that name.",
)
@click.option(
    "--blocks", metavar="N", help="Turns of each target; an even number, 10 unless said here or in the scenario."
)
@scenario_options(leave_out=("target",))
@runs_dir_option
@click.option("--run-id", metavar="ID", help="Name of the run folder; the scenario's name and the time unless said.")
@click.option("--no-live", is_flag=True, help="No progress while it runs.")
@click.option("--json", "as_json", is_flag=True, help="The JSON report on standard output, and nothing else there.")
@export_option
def ab(
    scenario: str | None,
    targets: tuple[str, ...],
    blocks: str | None,
    sets: tuple[str, ...],
    runs_dir: Path,
    run_id: str | None,
    no_live: bool,
    as_json: bool,
    stores: tuple[str, ...],
    **flags: str | None,
) -> int:
    """Run two or more targets in turns on the same arrivals and prompts, and say which is better.

    Each step is cut into blocks; in every second one the targets come in reverse (A B, B A), so that a drift of the target or the machine
    meets all of them. The first target is what the others are held against. Loads are those of the scenario or the flags, for each target.
    """
    from console.prepare import prepare_comparison

    with_export = after_run(stores)
    asked = given(flags | {"blocks": blocks})
    prepared = prepare_comparison(scenario, asked, list(targets), list(sets))
    return run_prepared([prepared], runs_dir, run_id, no_live=no_live, as_json=as_json, then=with_export)


@click.command()
@click.argument("run_a", metavar="A")
@click.argument("run_b", metavar="B")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Form of the comparison.",
)
@output_option
@runs_dir_option
def compare(run_a: str, run_b: str, form: str, output: Path | None, runs_dir: Path) -> None:
    """Hold run B against run A: differences with intervals, and what two runs made apart cannot exclude.

    A and B are ids, paths, or `latest`. Steps are compared where name, cell, rate and slots are the same.
    """
    from console import compared
    from generator import run_dir

    found = compared.compared(run_dir.find(run_a, runs_dir), run_dir.find(run_b, runs_dir))
    for_eyes = form == "text" and output is None and is_screen(sys.stdout)
    text = compared.as_text(found, colour=True) if for_eyes else compared.FORMS[form](found)
    with opened(output) as out:
        out.write(text if text.endswith("\n") else text + "\n")
