"""``openloop providers``: what the presets say of each provider."""

from __future__ import annotations

import difflib
import sys

import click


@click.command()
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--json", "as_json", is_flag=True, help="An object by name, or NAME's own, in place of text.")
def providers(name: str | None, as_json: bool) -> None:
    """List the presets of `target: {provider: NAME}`, or all that is known of one: URL, key, APIs, limits, usage, quirks."""
    from console import presets
    from generator.errors import ScenarioError
    from generator.providers import NAMES, PRESETS

    if name is not None and name not in PRESETS:
        near = difflib.get_close_matches(name, NAMES, n=1)
        raise ScenarioError(
            f"no provider {name!r}{f' (nearest: {near[0]})' if near else ''}; there are: {', '.join(NAMES)}"
        )
    if as_json:
        click.echo(presets.as_json(name))
    elif name is None:
        presets.write_listing(sys.stdout)
    else:
        click.echo(presets.as_text(PRESETS[name]))
