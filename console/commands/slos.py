"""``openloop slos``: the SLOs that have a name."""

from __future__ import annotations

import sys

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="An object by name in place of a table.")
def slos(as_json: bool) -> None:
    """List the presets of `slo: NAME`: MLPerf's limits on TTFT and TPOT, and the share of requests that must keep both."""
    import dataclasses
    import json

    from console.rows import write_table
    from generator.scenario.slo_presets import PRESETS

    if as_json:
        click.echo(json.dumps({name: dataclasses.asdict(preset) for name, preset in PRESETS.items()}, indent=2))
        return
    rows = [(n, f"{p.ttft_ms:g} ms", f"{p.tpot_ms:g} ms", f"{p.attainment:.0%}") for n, p in PRESETS.items()]
    write_table(("SLO", "TTFT", "TPOT", "attainment"), iter(rows), sys.stdout)
