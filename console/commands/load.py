"""Commands that start from a scenario: ``run``, ``plan``, ``schema``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from console import exits
from console.commands.export import after_run, export_option
from console.commands.options import runs_dir_option, threshold_option
from console.streams import is_screen

if TYPE_CHECKING:
    from console.drive import Finished
    from console.exposing import Board
    from console.prepare import Prepared
    from generator.run_dir import RunDir

F = TypeVar("F", bound=Callable[..., Any])

# Values stay text: the scenario's own reader knows the units, and names the flag in its errors.
FLAGS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "target": (("--target",), "URL", "Base URL of the target; `simulator` starts the built-in endpoint."),
    "provider": (("--provider",), "NAME", "Preset of `openloop providers`: fills URL, API, key and quirks."),
    "api": (("--api",), "API", "What the target speaks: openai-chat, ..."),
    "model": (("--model",), "MODEL", "Model to ask for."),
    "concurrency": (("--concurrency",), "N[,N...]", "Closed loop: this many slots, a step each."),
    "rate": (("--rate",), "RATE[,RATE...]", "Open loop: Poisson arrivals at this rate (5/s), a step each."),
    "duration": (("--duration",), "TIME", "Length of each step (30s)."),
    "requests": (("--requests",), "N", "Requests of each step, in place of a duration."),
    "input_tokens": (("--input-tokens",), "N", "Length of each prompt."),
    "output_tokens": (("--output-tokens", "--max-tokens"), "N", "Length to ask for."),
    "prices": (("--prices",), "FILE", "TOML file of prices by model, USD per million tokens."),
    "price_in": (("--price-in",), "USD", "Price of a million input tokens."),
    "price_out": (("--price-out",), "USD", "Price of a million output tokens."),
    "price_cached": (("--price-cached",), "USD", "Price of a million cached input tokens."),
    "budget": (("--budget",), "USD", "Stop issuing once this much was spent ($5), drain and seal."),
    "seed": (("--seed",), "N", "Seed of the schedule, the lengths and the prompts."),
    "repeat": (("--repeat",), "N", "All of it N times, each a run of its own, and merged; with --until at most N."),
    "until": (
        ("--until",),
        "RULE",
        "Repeat until an interval is narrow enough, such as 'ci(p99(ttft)) < 5%'; at most 20 times unless --repeat says.",
    ),
    "workers": (("--workers",), "N", "Worker processes; as many as the machine has to spare unless said."),
    "transport": (
        ("--transport",),
        "socket|aiohttp",
        "socket: kernel stamps; aiohttp: proxies, stamps in the process.",
    ),
}
"""Scenario flag → its names, what it takes, its help."""


def scenario_options(leave_out: tuple[str, ...] = ()) -> Callable[[F], F]:
    """--set and FLAGS, but for those that a command words otherwise."""

    def decorate(command: F) -> F:
        command = click.option(
            "--set",
            "sets",
            multiple=True,
            metavar="PATH=VALUE",
            help="Set any key of the scenario (steps.0.duration=10s); comes after file and flags.",
        )(command)
        command = threshold_option(command)
        for name, (options, metavar, text) in reversed(FLAGS.items()):
            if name not in leave_out:
                command = click.option(*options, name, metavar=metavar, help=text)(command)
        return command

    return decorate


@click.command()
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...")
@scenario_options()
@runs_dir_option
@click.option("--run-id", metavar="ID", help="Name of the run folder; the scenario's name and the time unless said.")
@click.option("--no-live", is_flag=True, help="No progress while it runs.")
@click.option("--json", "as_json", is_flag=True, help="The JSON report on standard output, and nothing else there.")
@click.option(
    "--prometheus",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="While it runs, show live metrics at http://127.0.0.1:PORT/metrics; 0 takes a free port and says which.",
)
@export_option
def run(
    scenarios: tuple[str, ...],
    sets: tuple[str, ...],
    runs_dir: Path,
    run_id: str | None,
    no_live: bool,
    as_json: bool,
    prometheus: int | None,
    stores: tuple[str, ...],
    **flags: Any,
) -> int:
    """Run scenarios, one after another, and report on each.

    SCENARIO is a YAML file or the name of a shipped one, such as `quick`. Without any, the flags alone say what to do.
    """
    from console.prepare import prepare

    with_export = after_run(stores)
    if run_id is not None and len(scenarios) > 1:
        raise click.UsageError("--run-id names one run; leave it out for several scenarios")
    # All are read and planned before the first is run: a mistake in the last one shows now, not in an hour.
    prepared = [prepare(source, given(flags), list(sets)) for source in scenarios or (None,)]
    with exposed(prometheus) as board:
        return run_prepared(prepared, runs_dir, run_id, no_live=no_live, as_json=as_json, board=board, then=with_export)


@contextmanager
def exposed(port: int | None) -> Iterator[Board | None]:
    """Where live metrics go; None where nobody asked for them."""
    if port is None:
        yield None
        return
    from console import exposing

    with exposing.exposing(port) as board:
        click.echo(f"metrics: http://{exposing.HOST}:{board.port}/metrics", err=True)
        yield board


def run_prepared(
    prepared: Iterable[Prepared],
    runs_dir: Path,
    run_id: str | None,
    *,
    no_live: bool,
    as_json: bool,
    board: Board | None = None,
    then: Callable[[RunDir], None] | None = None,
) -> int:
    """One after another, each with its report on standard output; the exit code that counts. ``then`` is told of each run."""
    from console import drive, live, repeat_plan, repeating

    def once(one: Prepared, own_id: str | None, label: str) -> Finished:
        with live.watching(label, quiet=no_live) as watch:
            watcher = watch if board is None else board.watching(one.scenario.name, watch)
            done = drive.run(one, runs_dir, own_id, watcher)
        if done.end.error is not None:
            click.echo(f"error: {done.end.error}", err=True)
        return done

    codes = []
    for one in prepared:
        _warn([*one.planned.warnings, *repeat_plan.warnings(one)])
        runs: list[Finished]
        if repeat_plan.facts(one) is None:
            done = once(one, run_id, one.scenario.name)
            runs, code, interrupted, page = [done], done.code, done.end.interrupted, done.run.report_path
            _show(done.report, as_json=as_json)
        else:
            several = repeating.repeat(
                one, runs_dir, run_id, lambda p, own_id, n: once(p, own_id, f"{p.scenario.name} {n}"), _tell
            )
            runs, code, interrupted, page = several.finished, several.code, several.interrupted, several.page
            _show_repeated(several.report, as_json=as_json)
        click.echo(f"report: {page}", err=as_json)
        codes.append(code)
        if then is not None:
            for done in runs:
                then(done.run)
        if interrupted:
            break
    return exits.first(codes)


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _show_repeated(report: dict[str, Any], *, as_json: bool) -> None:
    from console import repeated

    click.echo(repeated.FORMS["json"](report) if as_json else repeated.as_text(report, colour=is_screen(sys.stdout)))


@click.command()
@click.argument("scenario", required=False, metavar="[SCENARIO]")
@scenario_options()
@click.option("--json", "as_json", is_flag=True, help="The plan as a JSON object.")
def plan(scenario: str | None, sets: tuple[str, ...], as_json: bool, **flags: str | None) -> None:
    """Show what `run` would do: steps, arrivals, tokens, duration, and what the machine needs for it. Sends nothing."""
    from console import forecast, repeat_plan
    from console.prepare import prepare

    prepared = prepare(scenario, given(flags), list(sets))
    if as_json:
        click.echo(forecast.as_json(prepared.planned, repeat_plan.facts(prepared)))
    else:
        click.echo("\n".join([forecast.as_text(prepared.planned), *repeat_plan.lines(prepared)]))
    _warn([*prepared.planned.warnings, *repeat_plan.warnings(prepared)])


@click.command()
@click.argument("what", type=click.Choice(["scenario", "report"]), default="scenario", metavar="[scenario|report]")
def schema(what: str) -> None:
    """Print the JSON Schema of scenarios, for editors, or that of JSON reports, for whoever reads them.

    With the YAML extension of an editor, put `# yaml-language-server: $schema=scenario.schema.json` on a scenario's first line.
    """
    import json

    from analysis.report.schema import load
    from generator.scenario.reading import json_schema

    click.echo(json.dumps(load() if what == "report" else json_schema(), indent=2))


def _show(report: dict[str, Any], *, as_json: bool) -> None:
    from analysis.report import json
    from console import judged

    click.echo(json.render(report) if as_json else judged.as_text(report, colour=is_screen(sys.stdout)))


def given(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given: text, and a tuple of what may be given several times."""
    return {key: value for key, value in flags.items() if value not in (None, ())}


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
