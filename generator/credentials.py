"""``${NAME}`` in a plan → its value, in memory only."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from generator.job import Plan


def resolve_plan(plan: Plan, secrets: dict[str, str]) -> Plan:
    """The plan with every ``${NAME}`` of ``secrets`` replaced in the targets' texts. The values never go to a file."""
    if not secrets:
        return plan
    # One pass: a value that happens to hold another's ${NAME} is left as it is.
    names = re.compile("|".join(re.escape(name) for name in sorted(secrets, key=len, reverse=True)))

    def resolve(value: Any) -> Any:
        if isinstance(value, str):
            return names.sub(lambda found: secrets[found.group()], value)
        if isinstance(value, dict):
            return {k: resolve(v) for k, v in value.items()}
        if isinstance(value, list):
            return [resolve(v) for v in value]
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return dataclasses.replace(
                value, **{f.name: resolve(getattr(value, f.name)) for f in dataclasses.fields(value)}
            )
        return value

    return dataclasses.replace(plan, targets={name: resolve(target) for name, target in plan.targets.items()})
