"""Commands and options about stores: ``export``, and what ``runs --store`` and ``run --export`` need."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from console.commands.options import runs_dir_option

if TYPE_CHECKING:
    from console.stores.store import Found
    from generator.run_dir import RunDir

F = TypeVar("F", bound=Callable[..., Any])

TABLES = ("tokens", "health", "texts", "server_metrics")
"""console.stores.tables.ON_REQUEST, written out because ``--help`` reads no schema."""

EXPORT_ENV, ORGANISATION_ENV, TAGS_ENV = "OPENLOOP_EXPORT", "OPENLOOP_ORGANISATION", "OPENLOOP_TAGS"


export_option = click.option(
    "--export",
    "stores",
    multiple=True,
    metavar="URL",
    envvar=EXPORT_ENV,
    show_envvar=True,
    help="Copy each run into this store once it has ended, as `openloop export` does; may be given several times. A store that "
    "fails is told and changes nothing else, the exit code neither.",
)
"""Of the commands that run something; ``after_run`` does what it says."""


@click.command()
@click.argument("run_refs", metavar="RUN...", nargs=-1, required=True)
@click.argument("url")
@click.option("--tokens", is_flag=True, help="The tokens, too: a row a chunk; as --table tokens.")
@click.option(
    "--table",
    "tables",
    multiple=True,
    type=click.Choice(TABLES),
    help="This table, too, beside steps and requests; may be given several times. texts holds prompts and answers.",
)
@click.option(
    "--organisation",
    metavar="NAME",
    default="default",
    show_default=True,
    envvar=ORGANISATION_ENV,
    show_envvar=True,
    help="Whose runs these are: two organisations may have runs of one id.",
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="KEY=VALUE",
    envvar=TAGS_ENV,
    show_envvar=True,
    help="Kept with each run (commit=1a2b3c); may be given several times. In the environment, blanks stand between tags.",
)
@click.option(
    "--replace", is_flag=True, help="Where another run of this id is there already, put this one in its place."
)
@runs_dir_option
def export(
    run_refs: tuple[str, ...],
    url: str,
    tokens: bool,
    tables: tuple[str, ...],
    organisation: str,
    tags: tuple[str, ...],
    replace: bool,
    runs_dir: Path,
) -> int:
    """Copy runs into a store: PostgreSQL, SQLite, MongoDB, or Parquet in a folder or an S3 bucket.

    RUN is an id, a path, or `latest`. URL is postgresql://, sqlite:///, mongodb://, s3:// or file://; `${NAME}` in it is taken from
    the environment. A run is there whole, exactly once, or not at all, however often it is exported. One that fails does not
    keep the others from being exported.
    """
    from console import exporting
    from generator import run_dir
    from generator.errors import OpenloopError

    found = [run_dir.find(ref, runs_dir) for ref in run_refs]
    names = exporting.table_names((*tables, "tokens") if tokens else tables)
    given = exporting.tags(tags)
    failures = []
    for run in found:
        try:
            told = exporting.export(
                run, url, organisation_name=organisation, run_tags=given, table_names=names, replace=replace
            )
        except OpenloopError as e:
            failures.append(e)
            click.echo(f"error: {run.run_id}: {e}", err=True)
        else:
            click.echo(told)
    return exporting.code(failures)


def after_run(urls: tuple[str, ...]) -> Callable[[RunDir], None] | None:
    """What ``--export`` adds to each run, organisation and tags from the environment. Raises StoreError for what cannot be right."""
    if not urls:
        return None
    from console import exporting

    stores = exporting.checked(urls)
    organisation = exporting.organisation(os.environ.get(ORGANISATION_ENV) or "default")
    tags = exporting.tags((os.environ.get(TAGS_ENV) or "").split())

    def export_it(run: RunDir) -> None:
        for good, told in exporting.after_run(run, stores, organisation, tags):
            click.echo(told if good else f"error: not exported: {told}", err=True)

    return export_it


def store_options(command: F) -> F:
    """Of ``runs``: which store, and what of it."""
    for option in (
        click.option(
            "--store", metavar="URL", help="The runs of this store, in place of a folder's; see `openloop export`."
        ),
        click.option(
            "--query",
            metavar="TEXT",
            help="Ask the store in its own language, reading only: one SELECT, or MongoDB's filter as JSON.",
        ),
        click.option(
            "--table",
            type=click.Choice(("steps", "requests", *TABLES)),
            help="The collection that a MongoDB filter is over; runs unless said.",
        ),
        click.option("--organisation", metavar="NAME", help="This organisation's runs alone."),
    ):
        command = option(command)
    return command


def show_store(
    url: str, which: str | None, query: str | None, table: str | None, organisation: str | None, form: str
) -> None:
    """What ``runs --store`` prints."""
    from console import exporting

    if query is None:
        if table is not None:
            raise click.UsageError("--table goes with --query")
        with exporting.listed(url, which, organisation, whole=which is not None and form == "json") as found:
            _write(found, form)
        return
    if which is not None or organisation is not None:
        raise click.UsageError("--query says itself which runs: leave RUN and --organisation out")
    with exporting.queried(url, query, table) as found:
        _write(found, form)


def _write(found: Found, form: str) -> None:
    from console import rows

    left = iter(found.rows) if form == "json" else _texts(found.rows)
    rows.WRITERS[form](found.columns, left, sys.stdout)
    if form == "table" and next(left, None) is not None:
        click.echo(f"the first {rows.TABLE_ROWS:,} rows; --format csv or json gives all", err=True)


def _texts(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Objects and arrays as JSON text, which tables and CSV can hold."""
    import orjson

    for row in rows:
        yield tuple(orjson.dumps(v, default=str).decode() if isinstance(v, dict | list) else v for v in row)
