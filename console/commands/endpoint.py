"""``openloop simulate``: the built-in endpoint by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from simulator.settings import OPTIONS

F = TypeVar("F", bound=Callable[..., Any])


def _options(command: F) -> F:
    """An option for each of the simulator's own, with its own words: none is listed twice."""
    for key, option in reversed(OPTIONS.items()):
        command = click.option(f"--{key.replace('_', '-')}", key, metavar="VALUE", help=option.help)(command)
    return command


@click.command()
@_options
def simulate(**given: str | None) -> int:
    """Serve the built-in LLM endpoint until Ctrl-C, and print its URL.

    It speaks every API that openloop does, answers with made-up text at the pace that it is told, and can log the truth about its own times.
    """
    from console import exits
    from console.endpoint import checked, endpoint

    with endpoint(checked({key: value for key, value in given.items() if value is not None})) as server:
        try:
            click.echo(server.url)  # whoever reads it may press Ctrl-C at once
            code = server.process.wait()
        except KeyboardInterrupt:
            click.echo("stopping", err=True)  # the one way to end it; nothing went wrong
            return exits.GOOD
    click.echo(f"error: the built-in endpoint ended by itself, with {code}", err=True)
    return exits.FAULT
