"""``openloop``: the group of commands, and the one place that maps an error to a message and an exit code.

Everything but click is imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import errno
import sys
import tempfile
import traceback

import click

from console import exits, streams
from console.commands.compare import ab, compare
from console.commands.endpoint import simulate
from console.commands.export import export
from console.commands.load import plan, run, schema
from console.commands.prompts import prompts
from console.commands.providers import providers
from console.commands.read import report, runs, seal, sql
from console.commands.search import search
from console.commands.serve import serve
from console.commands.slos import slos
from generator.errors import OpenloopError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _exit_codes() -> str:
    return "\n".join(f"  {code:>3}  {meaning}" for code, meaning in exits.MEANING.items())


class _Group(click.Group):
    """Says each command's first sentence whole; click cuts it at the terminal's width."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, self.commands[name].get_short_help_str(1000)) for name in self.list_commands(ctx)]
            )


@click.group(
    cls=_Group,
    context_settings=CONTEXT,
    help="Open-loop load generator and benchmark for LLM APIs: sends on time whatever the target does, takes the time of tokens "
    "where the kernel saw them arrive, and says with each run whether it was the bottleneck itself.",
    epilog="\b\nExit codes, the first that applies:\n" + _exit_codes(),
)
@click.option("--debug", is_flag=True, help="Print the traceback of an unexpected error.")
@click.version_option(package_name="openloop", prog_name="openloop")
def openloop(debug: bool) -> None:
    """The group; ``debug`` is read by :func:`main`."""


for _command in (
    run,
    ab,
    search,
    plan,
    seal,
    report,
    compare,
    sql,
    runs,
    export,
    serve,
    simulate,
    prompts,
    providers,
    slos,
    schema,
):
    openloop.add_command(_command)


def main(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    streams.make_ready()
    try:
        # Commands return a code from exits.MEANING, or None for GOOD.
        code: int | None = openloop.main(words, prog_name="openloop", standalone_mode=False)
    except OpenloopError as e:
        click.echo(f"error: {e}", err=True)
        _tell_notes(e)
        return e.exit_code
    except click.ClickException as e:
        e.show()
        return exits.WRONG
    except (KeyboardInterrupt, click.Abort) as e:
        return _interrupted(e)
    except SystemExit:
        # click's answer to a broken pipe: whoever read our output went away (`| head`), which is no fault.
        return exits.GOOD
    except Exception as e:  # noqa: BLE001 - the last resort: anything unforeseen is a fault of ours, told shortly
        if str(e) == "Query interrupted":  # how DuckDB hands on a Ctrl-C: a RuntimeError without a cause
            return _interrupted(e)
        if isinstance(e, OSError) and e.errno in _NO_ROOM:
            click.echo(f"error: {e.filename or 'standard output'}: {e.strerror}; make room, and ask again", err=True)
            _tell_notes(e)
            return exits.WRONG
        tell_fault(e, debug="--debug" in words)
        return exits.FAULT
    return code or exits.GOOD


def _interrupted(e: BaseException) -> int:
    click.echo("interrupted", err=True)
    _tell_notes(e, e.__cause__)
    return exits.INTERRUPTED


def _tell_notes(*faults: BaseException | None) -> None:
    for fault in faults:
        for note in getattr(fault, "__notes__", ()):
            click.echo(note, err=True)


def tell_fault(fault: BaseException, *, debug: bool) -> None:
    """One line on stderr, and where the traceback is: below with ``--debug``, else in a file of its own."""
    text = "".join(traceback.format_exception(fault))
    where = "the traceback is above"
    if not debug:
        try:
            with tempfile.NamedTemporaryFile(
                "w", prefix="openloop-", suffix=".log", encoding="utf-8", delete=False
            ) as f:
                f.write(text)
            where = f"the traceback is in {f.name}; `openloop --debug ...` prints it"
        except OSError:  # no room for it there
            debug = True
    if debug:
        click.echo(text, err=True)
    click.echo(f"internal error: {type(fault).__name__}: {fault}; {where}", err=True)
    _tell_notes(fault)
