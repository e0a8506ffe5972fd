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
def simulate(**given: str | None) -> None:
    """Serve the built-in LLM endpoint until Ctrl-C, and print its URL.

    It answers chat completions with made-up text at the pace that it is told, and can log the truth about its own times.
    """
    from console.endpoint import checked, endpoint

    with endpoint(checked({key: value for key, value in given.items() if value is not None})) as server:
        try:
            click.echo(server.url)  # whoever reads it may press Ctrl-C at once
            server.process.wait()
        except KeyboardInterrupt:
            click.echo("stopping", err=True)  # the one way to end it; nothing went wrong
