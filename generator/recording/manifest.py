"""``manifest.json``: what ran, on what, with which seeds. Written when a run begins, again when it has learned more."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from generator import clock, thresholds
from generator.job import Plan, Target
from generator.run_dir import RunDir

_LIBRARIES = ("uvloop", "aiohttp", "httptools", "orjson", "numpy", "pyarrow", "duckdb", "pydantic")


def begin(plan: Plan, run: RunDir) -> dict[str, Any]:
    """The manifest of a run that is about to start. No secret is in a plan, so none is here."""
    scenario = run.scenario_path.read_bytes() if run.scenario_path.exists() else b""
    return {
        "run_id": plan.run_id,
        "name": plan.name,
        "created": clock.utc_text(),
        "openloop_version": _version("openloop"),
        "versions": {name: _version(name) for name in _LIBRARIES},
        "host": host(),
        "seed": plan.seed,
        "scenario_digest": f"sha256:{hashlib.sha256(scenario).hexdigest()}",
        "plan": {"workers": plan.workers, "transport": plan.transport, "probe": plan.probe, "pin": plan.pin},
        "clock": clock.anchor(),
        "stamp_source": "kernel" if plan.transport == "socket" and clock.KERNEL_STAMPS else "process",
        "targets": {n: {"url": t.url, "api": t.api, "model": t.model} for n, t in plan.targets.items()},
        "steps": len(plan.steps),
        "slo": plan.slo,
        "slo_preset": plan.slo_preset,
        "thresholds": [thresholds.stored(rule) for rule in plan.thresholds],
        "aborted": None,
        "warnings": list(plan.warnings),
        "repetition": None if plan.repetition is None else dataclasses.asdict(plan.repetition),
        "probe": {},
        "texts": plan.texts.keep,
        "server_metrics": {},
        "prices": {name: _prices(target) for name, target in plan.targets.items()},
        # What was spent is known at the end; a run that never got there says so.
        "budget": None
        if plan.budget_usd is None
        else {"limit_usd": plan.budget_usd, "spent_usd": None, "guessed_usd": None, "stopped": False},
        "interrupted": False,
        # What stopped the run before its time, in words; None where nothing did but perhaps a Ctrl-C, a rule or the budget.
        "ended_early": None,
        "lost_workers": [],
        "notes": [],
        "verdict": None,
        "reasons": [],
    }


def _prices(target: Target) -> dict[str, Any] | None:
    """USD per 10⁶ tokens by tier, with source and date; None where no price is known."""
    if not target.prices:
        return None
    return {
        "source": target.price_source,
        "date": target.price_date,
        "tiers": [dataclasses.asdict(tier) for tier in target.prices],
    }


def host() -> dict[str, Any]:
    """The machine, as far as a reader needs it to judge or repeat a figure."""
    return {
        "hostname": platform.node(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "model": _cpu_model(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
