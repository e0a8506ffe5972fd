"""What ``report`` does with several runs: the repetitions of a group, or runs named one by one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console import exits
from console.streams import is_screen

if TYPE_CHECKING:
    from generator.run_dir import RunDir

_FORMS = ("text", "json", "html")


def several(refs: Sequence[str], runs_dir: Path) -> list[RunDir] | None:
    """The runs that are meant; None where it is a single one. Raises RunFolderError for what there is not."""
    from console import repeated
    from generator import run_dir
    from generator.errors import RunFolderError

    if len(refs) == 1:
        # A run goes before a group: an id that is both names the run.
        try:
            run_dir.find(refs[0], runs_dir)
        except RunFolderError:
            return repeated.members(refs[0], runs_dir) or None
        return None
    runs = [run_dir.find(ref, runs_dir) for ref in refs]
    if len({run.path.resolve() for run in runs}) < len(runs):
        raise RunFolderError("a run is named twice; each counts once")
    return runs


def show(runs: Sequence[RunDir], form: str, output: Path | None, *, alone: bool) -> int:
    """The merged report. ``alone``: something was asked that a single run alone can answer."""
    from console import repeated
    from console.commands.read import opened

    if form not in _FORMS:
        raise click.UsageError(f"several runs are shown as {', '.join(_FORMS)}; --format {form} takes one")
    if alone:
        raise click.UsageError("--profile, --texts and --threshold take one run; name it")
    report = repeated.merged(runs)
    for_eyes = form == "text" and output is None and is_screen(sys.stdout)
    text = repeated.as_text(report, colour=True) if for_eyes else repeated.FORMS[form](report)
    with opened(output) as out:
        out.write(text if text.endswith("\n") else text + "\n")
    return exits.GOOD
