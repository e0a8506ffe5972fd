"""``${NAME}`` in a plan → its value, in memory only."""

from __future__ import annotations

import dataclasses
from typing import Any

from generator.job import Plan, Target


def resolve_plan(plan: Plan, secrets: dict[str, str]) -> Plan:
    """The plan with every ``${NAME}`` of ``secrets`` replaced in the targets' texts. The values never go to a file."""
    targets = {name: _resolve_target(target, secrets) for name, target in plan.targets.items()}
    return dataclasses.replace(plan, targets=targets)


def _resolve_target(target: Target, secrets: dict[str, str]) -> Target:
    changes = {f.name: _resolve(getattr(target, f.name), secrets) for f in dataclasses.fields(target)}
    return dataclasses.replace(target, **changes)


def _resolve(value: Any, secrets: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, secret in secrets.items():
            value = value.replace(name, secret)
        return value
    if isinstance(value, dict):
        return {k: _resolve(v, secrets) for k, v in value.items()}
    if isinstance(value, list):
        return [_resolve(v, secrets) for v in value]
    return value
