"""What somebody submitted → what the planner is asked: a scenario's text, flags laid over it, settings of single keys."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from console.web.settings import Settings
from console.web.shapes import Submission
from generator.errors import ScenarioError
from generator.scenario import reading

_OF_TARGET = ("provider", "target", "api", "model")
_OF_LOAD = ("concurrency", "rate", "duration", "requests", "input_tokens", "output_tokens")


def asked(form: Submission, settings: Settings, prompts: Path | None) -> dict[str, Any]:
    """``shipped``, ``text`` or ``object`` (JSON) with ``base``, ``flags`` and ``sets``. ``prompts``: the file of the form's own. Raises
    ScenarioError where the form contradicts itself."""
    written = _written(form, settings.limits.scenario_bytes)
    flags = {name: _flag(value) for name in (*_OF_TARGET, *_OF_LOAD) if (value := getattr(form, name)) is not None}
    sets = [f"{path}={json.dumps(value)}" for path, value in form.overrides.items()]
    told: dict[str, Any] = {"flags": flags, "sets": sets, "base": str(settings.data_dir or "/nonexistent")}
    if isinstance(form.scenario, str) and form.scenario in reading.shipped():
        told["shipped"] = form.scenario
    elif form.scenario is not None:
        told["text" if isinstance(form.scenario, str) else "object"] = written
    else:
        told["object"] = json.dumps(_smallest(form, settings, flags))
    if prompts is not None:
        sets.append(f"workload.prompts={json.dumps(str(prompts))}")
    if form.name is not None:
        sets.append(f"name={json.dumps(form.name)}")
    keep = form.keep_texts if form.keep_texts is not None or not form.prompts else True
    if keep is not None:
        sets.append(f"record.texts={'all' if keep else 'none'}")
    return told


def _smallest(form: Submission, settings: Settings, flags: dict[str, Any]) -> dict[str, Any]:
    """A scenario of what is not said otherwise: the service's target, one slot, each prompt once."""
    target: dict[str, Any] = {}
    if form.provider is None and form.target is None:
        if settings.provider is not None:
            target["provider"] = settings.provider
        else:
            target["url"] = settings.target
    if form.model is None and settings.model is not None:
        target["model"] = settings.model
    if "concurrency" not in flags and "rate" not in flags:
        flags["concurrency"] = "1"
    if form.prompts and "duration" not in flags and "requests" not in flags:
        flags["requests"] = str(len(form.prompts))
    return {"target": target}


def _flag(value: Any) -> str:
    """As it would stand on the command line."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def check_prompts(form: Submission, settings: Settings) -> None:
    """Raises ScenarioError for more than are taken."""
    if form.prompts and len(form.prompts) > settings.limits.prompts:
        raise ScenarioError(f"prompts: at most {settings.limits.prompts:,} are taken, not {len(form.prompts):,}")


def _written(form: Submission, most_bytes: int) -> str:
    """The scenario's text; of an object its JSON, which a box makes YAML of.

    Raises ScenarioError for what is longer than it may be, deeper than any scenario, or no text: JSON can hold half of a surrogate pair.
    """
    try:
        told = [form.overrides, *(getattr(form, name) for name in (*_OF_TARGET, *_OF_LOAD))]
        json.dumps(told, ensure_ascii=False).encode()
        text = form.scenario if isinstance(form.scenario, str) else json.dumps(form.scenario, ensure_ascii=False)
        length = len(text.encode())
    except RecursionError:
        raise ScenarioError("the scenario: too deep; a scenario has few levels") from None
    except UnicodeEncodeError as e:
        raise ScenarioError(
            f"the submission: {e.object[e.start]!r} is no character (half of a surrogate pair)"
        ) from None
    if length > most_bytes:
        raise ScenarioError(f"the scenario is longer than {most_bytes:,} bytes")
    return text


def given(names: Iterable[str]) -> dict[str, str]:
    """Variables of the server's environment by these names, where they are set."""
    return {name: os.environ[name] for name in names if name in os.environ}
