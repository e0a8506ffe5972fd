"""``openloop prompts``: a file of prompts of wanted lengths."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import click

from console.commands.options import output_option


@click.command()
@click.option(
    "-n", "--count", type=click.IntRange(1, 10_000_000), default=100, show_default=True, metavar="N", help="How many."
)
@click.option(
    "--input-tokens",
    metavar="LENGTH",
    help="Length of each prompt: a number, or a distribution as in a scenario ('{uniform: [100, 900]}'); 512 unless said.",
)
@click.option(
    "--output-tokens", metavar="LENGTH", help="Length of the answer to ask for, into the field output_tokens."
)
@click.option(
    "--lengths",
    metavar="LENGTHS",
    help="Both lengths from the rows of a file, as in a scenario: '{file: F, input: COLUMN, output: COLUMN}'.",
)
@click.option(
    "--shared-prefix",
    metavar="PREFIX",
    help="Prompts that begin alike: tokens of one prefix for all, or '{groups: 8, prompts: 16, tokens: 1024}'.",
)
@click.option("--seed", metavar="N", help="The same seed gives the same prompts; drawn unless said.")
@click.option(
    "--tokenizer",
    metavar="FILE",
    help="A tokenizer.json: lengths are exact by its count. Without it a word is a token.",
)
@output_option
def prompts(count: int, output: Path | None, **flags: str | None) -> None:
    """Make a dataset of prompts: JSON lines with the fields prompt, input_tokens and output_tokens.

    A scenario uses it with `workload: {prompts: {file: FILE, output_tokens_field: output_tokens}}`. No two prompts begin alike unless a shared
    prefix is asked for.
    """
    from generator.planning.prompt_file import records

    lines = _lines(records(count, flags))
    first = next(lines)  # what is wrong with the flags shows before a file is touched
    if output is None:
        _write(itertools.chain([first], lines), sys.stdout.buffer)
        return
    whole = output.is_file() or not output.exists()
    # A pipe or a device is written to; a file appears whole, or not at all.
    beside = output.with_name(output.name + ".part") if whole else output
    try:
        with beside.open("wb") as f:
            _write(itertools.chain([first], lines), f)
        if whole:
            beside.replace(output)
    except OSError as e:
        raise click.FileError(str(output), e.strerror or str(e)) from e
    finally:
        if whole:
            beside.unlink(missing_ok=True)
    click.echo(f"{output}: {count:,} prompts", err=True)


def _lines(records: Iterable[dict[str, object]]) -> Iterator[bytes]:
    import orjson

    return (orjson.dumps(record) + b"\n" for record in records)


def _write(lines: Iterable[bytes], out: BinaryIO) -> None:
    out.writelines(lines)
    out.flush()
