"""A run as analysis sees it: opened, judged, and rendered in the form that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from duckdb import DuckDBPyConnection

from analysis import database, validity
from analysis.report import csv, hdr, html, influx, json, junit, model, otlp, profile, prometheus, text, wording
from analysis.validity import Verdict
from console import gates
from generator import thresholds
from generator.run_dir import RunDir, write_whole


@dataclass(frozen=True, slots=True)
class Judged:
    """``manifest`` carries the verdict; ``report`` is the stable JSON report of docs/report.md."""

    run: RunDir
    connection: DuckDBPyConnection
    manifest: dict[str, Any]
    verdict: Verdict
    report: dict[str, Any]


@contextmanager
def judged(run: RunDir, rules: Sequence[str] = (), memory_limit: str | None = None) -> Iterator[Judged]:
    """Open a run, sealed or not, and judge it anew, by its own thresholds and then by ``rules``. ``memory_limit``: DuckDB's, by the run's
    size unless said. Raises RunFolderError where it is damaged, QueryError for a rule that means nothing here."""
    manifest = run.read_manifest()
    with database.open_runs([run], memory_limit) as connection:
        asked = [thresholds.stored(rule) for rule in gates.rules(connection, rules)]
        manifest["thresholds"] = [*(manifest.get("thresholds") or ()), *asked]
        verdict = validity.judge(connection, manifest)
        manifest |= {"verdict": verdict.verdict, "reasons": list(verdict.reasons)}
        yield Judged(run, connection, manifest, verdict, model.build(connection, manifest, verdict))


def as_text(report: dict[str, Any], *, colour: bool = False) -> str:
    """The report for people, its thresholds below."""
    return text.render(report, colour=colour) + "".join(f"{line}\n" for line in _thresholds(report))


def _thresholds(report: dict[str, Any]) -> Iterator[str]:
    for found in report["thresholds"]:
        figure = (
            found["withheld"] or "nothing to measure"
            if found["figure"] is None
            else f"{found['figure']:.4g} against {found['limit']:.4g}"
        )
        state = wording.threshold_state(found)
        kept = state if found["holds"] and not found["aborted"] else state.upper()
        if found["aborted"]:
            figure = f"{report['run']['aborted']['told']}; in the end {figure}"
        yield f"threshold {found['rule']}: {kept} in step {found['step_id']} ({found['step']}): {figure}"


FORMS = {
    "text": lambda j: as_text(j.report),
    "json": lambda j: json.render(j.report),
    "csv": lambda j: csv.render(j.report),
    "html": lambda j: html.render(j.connection, j.report, j.manifest),
    "junit": lambda j: junit.render(j.report),
    "hdr": lambda j: hdr.render(j.connection, j.report, j.manifest),
    "prometheus": lambda j: prometheus.render(j.connection, j.report),
    "influx": lambda j: influx.render(j.connection, j.report, j.manifest),
    "otlp": lambda j: otlp.render(j.connection, j.report, j.manifest),
}
"""Form → text of the report."""


def profiles(j: Judged, tools: Sequence[str], form: str) -> str:
    """The run under other tools' definitions, as ``text`` or ``json``."""
    found = profile.build(j.connection, j.report, tools)
    return json.render(found) if form == "json" else profile.render(found)


def with_texts(j: Judged) -> str:
    """The HTML report with prompts and answers on it; the run folder's own never has them."""
    return html.render(j.connection, j.report, j.manifest, with_texts=True)


def keep(j: Judged) -> None:
    """Write the verdict into the manifest and the HTML report into the run folder."""
    j.run.write_manifest(j.manifest)
    write_whole(j.run.report_path, FORMS["html"](j).encode())
