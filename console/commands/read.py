"""Commands that look at runs which exist: ``runs``, ``seal``, ``report``, ``sql``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from console import exits
from console.commands.export import show_store, store_options
from console.commands.options import output_option, run_argument, runs_dir_option, threshold_option
from console.streams import is_screen

if TYPE_CHECKING:
    from console.queries import Answer


PROFILES = ("vllm", "sglang", "aiperf", "guidellm", "inference-perf", "genai-bench", "llmperf")
"""Each is the query ``profile_NAME`` with underscores; written out because ``--help`` reads no SQL files."""


@contextmanager
def opened(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        with output.open("w", encoding="utf-8", newline="") as f:
            yield f
    except OSError as e:
        raise click.FileError(str(output), e.strerror or str(e)) from e


@click.command()
@click.argument("which", metavar="[RUN]", required=False)
@runs_dir_option
@store_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="Form of the rows.",
)
@click.option("--json", "as_json", is_flag=True, help="As --format json: an array of objects.")
def runs(
    which: str | None,
    runs_dir: Path,
    store: str | None,
    query: str | None,
    table: str | None,
    organisation: str | None,
    form: str,
    as_json: bool,
) -> None:
    """List the runs of a folder or of a store, newest first.

    With --store, RUN is an id or `latest`, and JSON has the run's manifest and report with it.
    """
    form = "json" if as_json else form
    if store is not None:
        show_store(store, which, query, table, organisation, form)
        return
    if which or query or table or organisation:
        raise click.UsageError(
            "RUN, --query, --table and --organisation go with --store; of a folder, `openloop report RUN` shows one"
        )
    from console import rows
    from console.listing import COLUMNS, listing

    found = listing(runs_dir)
    if not found and form != "json":
        click.echo(f"no runs in {runs_dir}; make one with `openloop run quick`", err=True)
        return
    rows.WRITERS[form](COLUMNS, iter(found), sys.stdout)


@click.command()
@run_argument
@runs_dir_option
def seal(run_ref: str, runs_dir: Path) -> None:
    """Finish what a crash left: merge the segments of RUN, judge it, write its report.

    RUN is an id, a path, or `latest`. Sealing a sealed run changes nothing but its verdict and report, which are written anew.
    """
    from console import judged
    from generator import run_dir
    from generator.recording.seal import seal as merge

    run = run_dir.find(run_ref, runs_dir)
    merge(run)
    with judged.judged(run) as j:
        judged.keep(j)
        click.echo(f"{run.path}: sealed; {j.verdict.verdict}")
    for reason in j.verdict.reasons:
        click.echo(f"  {reason}")


@click.command()
@click.argument("run_refs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "csv", "html", "junit", "hdr", "prometheus", "influx", "otlp"]),
    default="text",
    show_default=True,
    help="Form of the report: csv has a row for each step, junit a test case for each threshold and rule of the verdict, hdr an "
    "HdrHistogram log; prometheus, influx (line protocol) and otlp (JSON) are for monitoring.",
)
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    type=click.Choice(PROFILES),
    help="In place of the report: the figures that this tool would print of the same responses, as text or JSON; may be given several times.",
)
@click.option(
    "--texts",
    is_flag=True,
    help="With --format html: the slowest requests' prompts and answers, where the run kept them.",
)
@threshold_option
@output_option
@runs_dir_option
def report(
    run_refs: tuple[str, ...],
    form: str,
    profiles: tuple[str, ...],
    texts: bool,
    thresholds: tuple[str, ...],
    output: Path | None,
    runs_dir: Path,
) -> int:
    """Show what RUN measured, and whether it is to be believed; of several RUNs, what they come to together.

    RUN is an id, a path, or `latest`; it need not be sealed. The run is judged anew, nothing in its folder is changed. With --threshold
    the exit code is 99 where the run breaks one of its thresholds, old or new.

    The name of a group of repetitions (`openloop run --repeat`) stands for all of them. Several runs are merged as they were judged
    when they ended: text, json or html.
    """
    from console import judged
    from console.commands.several import several, show
    from generator import run_dir

    if form == "html" and output is None and sys.stdout.isatty():
        raise click.UsageError("an HTML page is no use on a terminal; name a file with -o, such as -o report.html")
    if texts and form != "html":
        raise click.UsageError("--texts goes with --format html; elsewhere ask `openloop sql RUN slowest_texts`")
    if profiles and (texts or form not in {"text", "json"}):
        raise click.UsageError("--profile goes with --format text or json alone")
    if (runs := several(run_refs, runs_dir)) is not None:
        return show(runs, form, output, alone=bool(profiles or texts or thresholds))
    with judged.judged(run_dir.find(run_refs[0], runs_dir), thresholds) as j:
        broken = thresholds and not all(found["holds"] for found in j.report["thresholds"])
        for_eyes = form == "text" and output is None and is_screen(sys.stdout)
        if profiles:
            text = judged.profiles(j, profiles, form)
        elif texts:
            text = judged.with_texts(j)
        else:
            text = judged.as_text(j.report, colour=True) if for_eyes else judged.FORMS[form](j)
    with opened(output) as out:
        out.write(text if text.endswith("\n") else text + "\n")
    return exits.THRESHOLD if broken else exits.GOOD


@click.command()
@click.argument("run_ref", metavar="[RUN]", required=False)
@click.argument("query", metavar='[NAME | "SELECT ..."]', required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    default="table",
    show_default=True,
    help="Form of the rows.",
)
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of a named query; may be given several times.",
)
@output_option
@runs_dir_option
def sql(
    run_ref: str | None,
    query: str | None,
    form: str,
    params: tuple[str, ...],
    output: Path | None,
    runs_dir: Path,
) -> None:
    """Ask RUN a question: a named query, or SQL of your own over its tables and views.

    RUN is an id, a path, or `latest`. Without a query, the named ones are listed with the question that each answers.
    """
    from console import queries, rows
    from generator import run_dir

    given = queries.parameters(params)
    if query is None:
        if given:
            raise click.UsageError("--param belongs to a named query; name one")
        if run_ref is not None:
            run_dir.find(run_ref, runs_dir)  # a run that is not there is told now, not with the first question
        with opened(output) as out:
            rows.write_table(queries.LISTED, iter(queries.listing()), out)
        return
    assert run_ref is not None  # click fills arguments from the left
    if form == "parquet" and output is None:
        raise click.UsageError("Parquet is no text; name a file with -o")
    with queries.asked(run_dir.find(run_ref, runs_dir), query, given) as answer:
        if form == "parquet" and output is not None:
            _write_parquet(answer, output)
            return
        found = answer.rows()
        with opened(output) as out:
            rows.WRITERS[form](answer.columns, found, out)
        if next(found, None) is not None:
            click.echo(f"the first {rows.TABLE_ROWS:,} rows; --format csv, json or parquet gives all", err=True)


def _write_parquet(answer: Answer, output: Path) -> None:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetWriter(output, answer.schema) as writer:
            for batch in answer.batches:
                writer.write_batch(batch)
    except OSError as e:
        raise click.FileError(str(output), e.strerror or str(e)) from e
