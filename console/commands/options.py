"""Options that several commands share, worded once."""

from __future__ import annotations

from pathlib import Path

import click

runs_dir_option = click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    metavar="DIR",
    help="The folder that holds the run folders.",
)

output_option = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to this file in place of standard output.",
)

threshold_option = click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    metavar="RULE",
    help="A rule to pass, beside the scenario's: `p99(ttft) < 800ms`, or `{rule: p99(ttft) < 800ms, step: 1, abort: true}`; may be given "
    "several times.",
)

run_argument = click.argument("run_ref", metavar="RUN")
"""A run id, a path, or ``latest``."""
