"""Runs made apart, side by side: their figures, and the facts about them that differ."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from analysis import compare, database
from analysis.report import json, text
from analysis.report.wording import seconds
from generator.errors import RunFolderError
from generator.run_dir import RunDir

_FACTS = {
    "seed": "other arrivals and prompts",
    "scenario_digest": "the scenarios are not the same",
    "openloop_version": "another version of openloop",
    "stamp_source": "time stamps of another kind",
    "plan": "workers, transport or probe differ",
    "slo": "another SLO",
}
"""Keys of the manifest → what it means that they differ."""

_HOST = ("hostname", "cpus", "model", "kernel", "python")


def compared(a: RunDir, *others: RunDir, memory_limit: str | None = None) -> dict[str, Any]:
    """Each of ``others`` against ``a``, as docs/report.md lists it, with ``cannot_exclude``. ``memory_limit``: DuckDB's, by the runs' size unless
    said. Raises RunFolderError and QueryError.
    """
    runs = [a, *others]
    for n, run in enumerate(runs):
        if any(run.path.resolve() == earlier.path.resolve() for earlier in runs[:n]):
            raise RunFolderError(f"{run.path}: the same run twice; two runs are wanted")
    manifests = [run.read_manifest() for run in runs]
    ids = [str(m.get("run_id", r.run_id)) for m, r in zip(manifests, runs, strict=True)]
    with database.open_runs(runs, memory_limit) as connection:
        found = compare.apart(connection, *ids)
    # Shares within different limits are no two values of one figure.
    other_slo = [name for name, m in zip(ids, manifests, strict=True) if m.get("slo") != manifests[0].get("slo")]
    kept = [row for row in found["figures"] if row["metric"] != "good_share" or row["arm"] not in other_slo]
    return found | {"figures": kept, "cannot_exclude": differing(*manifests)}


def differing(a: dict[str, Any], *others: dict[str, Any]) -> list[str]:
    """In words: verdicts that say not to believe a run, the time between it and the baseline, and each fact that is not the same. Of several
    others each line says which it is of.
    """
    told = [
        f"{m.get('run_id')} is {m.get('verdict') or 'not judged'}: its figures may be the generator's own"
        for m in (a, *others)
        if m.get("verdict") != "VALID"
    ]
    for b in others:
        whose = f"{b.get('run_id')}: " if len(others) > 1 else ""
        told += [f"{whose}{line}" for line in _between(a, b)]
    return told


def _between(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    told = []
    if (apart := _apart_s(a, b)) is not None:
        told.append(f"{seconds(apart)} between the starts of the runs: a drift or another load of the target meanwhile")
    for key, meaning in _FACTS.items():
        if a.get(key) != b.get(key):
            told.append(f"{meaning}: {_said(a.get(key))} and {_said(b.get(key))}")
    hosts = [{key: (m.get("host") or {}).get(key) for key in _HOST} for m in (a, b)]
    told += _each("host", hosts[0], hosts[1])
    told += _each("library", a.get("versions") or {}, b.get("versions") or {})
    targets = [
        {n: (t.get("url"), t.get("api"), t.get("model")) for n, t in (m.get("targets") or {}).items()} for m in (a, b)
    ]
    if targets[0] != targets[1]:
        told.append(f"other targets, which may be what is compared: {_targets(targets[0])} and {_targets(targets[1])}")
    return told


def _each(what: str, a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    return [
        f"another {what}, {key}: {_said(a.get(key))} and {_said(b.get(key))}"
        for key in sorted({*a, *b})
        if a.get(key) != b.get(key)
    ]


def _targets(found: dict[str, tuple[Any, ...]]) -> str:
    return "; ".join(" ".join(str(v) for v in about if v) for about in found.values()) or "none"


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    text_of = str(value) if value is not None else "none"
    return f"{text_of[:19]}…" if text_of.startswith("sha256:") else text_of


def _apart_s(a: dict[str, Any], b: dict[str, Any]) -> float | None:
    try:
        first, second = (datetime.fromisoformat(str(m["created"])) for m in (a, b))
    except (KeyError, ValueError):
        return None
    return abs((second - first).total_seconds())


def as_text(found: dict[str, Any], *, colour: bool = False) -> str:
    return text.render_comparison(found, colour=colour)


FORMS: dict[str, Callable[[dict[str, Any]], str]] = {"text": as_text, "json": json.render}
"""Form → text of a comparison."""
