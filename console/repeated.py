"""Runs of one plan as one measurement: which of them may be merged, what they come to, and how that is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq

from analysis import database
from analysis.repeats import judge
from analysis.report import json, repeats_page, text
from analysis.report.wording import share
from generator import run_dir
from generator.errors import RunFolderError
from generator.run_dir import RunDir, write_whole

FORMAT = 1

Row = dict[str, Any]

_ALIKE = {
    "openloop_version": "versions of openloop",
    "versions": "versions of libraries",
    "stamp_source": "kinds of time stamps",
    "plan": "workers, transport or probe",
    "slo": "SLOs",
}
"""Keys of the manifest that are to be the same in all runs → what to call it where they are not."""


def members(group: str, runs_dir: Path) -> list[RunDir]:
    """The repetitions of a group in their order; none where there is no such group."""
    found = []
    for run in run_dir.list_runs(runs_dir):
        try:
            manifest = run.read_manifest()
        except RunFolderError:
            continue  # a damaged manifest does not say whose it is; the report shows the gap in the numbers
        which = manifest.get("repetition") or {}
        if which.get("group") == group:
            found.append((int(which["number"]), run))
    return [run for _, run in sorted(found, key=lambda pair: pair[0])]


def unsound(manifest: Row, run: RunDir) -> str | None:
    """Why a repetition is shown and not merged: its figures are the generator's, or of another length than the others'."""
    if manifest.get("verdict") is None:
        return f"not judged: `openloop seal {run.run_id}` finishes it"
    if manifest["verdict"] != "VALID":
        reasons = manifest.get("reasons") or ["no reason given"]
        return f"INVALID: {reasons[0]}" + (f" and {len(reasons) - 1} more" if len(reasons) > 1 else "")
    if manifest.get("interrupted"):
        return "cut short: interrupted"
    if (manifest.get("budget") or {}).get("stopped"):
        return "cut short: the budget was spent"
    if manifest.get("aborted"):
        return "cut short: a threshold stopped it"
    steps = pq.read_table(run.table_path("steps"), columns=["step_id"]).num_rows if run.sealed else 0
    if steps < (manifest.get("steps") or 0):
        return f"cut short: {steps} of {manifest['steps']} steps"
    return None


def judged(runs: Sequence[RunDir], rules: Sequence[str]) -> Row:
    """The runs as one. Raises RunFolderError where a file is damaged."""
    with database.open_runs(runs) as connection:
        return judge.judge(
            connection, [run.run_id for run in runs], same=_same([r.read_manifest() for r in runs]), rules=rules
        )


def _same(manifests: Sequence[Row]) -> bool:
    """Whether all had the same arrivals: of equal loads, which alone are merged, the schedule follows from the seed."""
    return len({m.get("seed") for m in manifests}) == 1


def merged(runs: Sequence[RunDir]) -> Row:
    """The report of several runs as docs/repeats.md lists it. Raises RunFolderError and QueryError."""
    manifests = [run.read_manifest() for run in runs]
    reasons = [unsound(m, run) for m, run in zip(manifests, runs, strict=True)]
    sound = [run for run, reason in zip(runs, reasons, strict=True) if reason is None]
    which = [m.get("repetition") or {} for m in manifests]
    groups = {w.get("group") for w in which}
    one = groups.pop() if len(groups) == 1 else None
    found = judged(sound, (which[-1].get("until") or ()) if one else ())
    differing = _differing([m for m, reason in zip(manifests, reasons, strict=True) if reason is None])
    invalid = sum(m.get("verdict") != "VALID" for m in manifests)
    return {
        "format": FORMAT,
        "kind": "repetitions",
        "group": one,
        "name": manifests[-1].get("name"),
        "targets": [
            {"name": name, "url": t.get("url"), "api": t.get("api"), "model": t.get("model")}
            for name, t in (manifests[-1].get("targets") or {}).items()
        ],
        "verdict": "INVALID" if invalid else "VALID",
        "most": which[-1].get("most") if one else None,
        "seeds": which[-1].get("seeds") if one else None,
        "ended": which[-1].get("ended") if one else None,
        "merged": len(sound),
        "repetitions": [
            {
                "run_id": run.run_id,
                "number": w.get("number"),
                "created": m.get("created"),
                "seed": m.get("seed"),
                "verdict": m.get("verdict"),
                "merged": reason is None,
                "reason": reason,
            }
            for run, m, w, reason in zip(runs, manifests, which, reasons, strict=True)
        ],
        "differing": differing,
        **found,
    }


def _differing(manifests: Sequence[Row]) -> list[str]:
    """Facts that are not the same in all of the merged runs, and are no part of what repeating changes."""
    told = [f"{what} differ" for key, what in _ALIKE.items() if len({str(m.get(key)) for m in manifests}) > 1]
    hosts = {str((m.get("host") or {}).get("hostname")) for m in manifests}
    targets = {str(_asked(m)) for m in manifests}
    return [
        *told,
        *(["hosts differ"] if len(hosts) > 1 else []),
        *(["targets differ: what is merged was not measured of one thing"] if len(targets) > 1 else []),
    ]


def _asked(manifest: Row) -> dict[str, Any]:
    """What was asked, by name of target; a port of this machine may change from run to run, as the built-in endpoint's does."""
    found = {}
    for name, target in (manifest.get("targets") or {}).items():
        url = urlsplit(str(target.get("url")))
        local = url.hostname in ("127.0.0.1", "localhost", "::1")
        found[name] = (url.hostname if local else url.netloc, url.path, target.get("api"), target.get("model"))
    return found


def rule_text(rule: Row) -> str:
    """``ci(p99(ttft)) is 7.3 % of at most 5 %``."""
    name = rule["rule"].partition("<")[0].strip()
    if rule["half_width_share"] is None:
        why = "nothing was measured" if rule["load"] is None else "the figure is 0, and nothing is a share of that"
        return f"{name} is not known: {rule['withheld'] or why}"
    return f"{name} is {share(rule['half_width_share'])}, asked for {share(rule['limit'])}"


def as_text(report: Row, *, colour: bool = False) -> str:
    return text.render_repeats(report, colour=colour)


FORMS: dict[str, Callable[[Row], str]] = {"text": as_text, "json": json.render, "html": repeats_page.render}
"""Form → text of the merged report."""


def keep(report: Row, folder: Path) -> Path:
    """Write the page of a group into its folder; where it is."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as e:
        raise RunFolderError(f"{folder}: cannot be made: {e.strerror}; the repetitions themselves are kept") from e
    write_whole(folder / "report.html", repeats_page.render(report).encode())
    return folder / "report.html"
