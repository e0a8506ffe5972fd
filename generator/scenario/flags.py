"""The command line's flags, laid over a scenario: each becomes the key that a file would have, with the flag as its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from generator.errors import ScenarioError
from generator.scenario import text as scenario_text
from generator.scenario.provider import FILLED
from generator.scenario.text import Document, Path

_PLAIN: dict[str, Path] = {
    "seed": ("seed",),
    "workers": ("workers",),
    "transport": ("transport",),
    "probe": ("probe",),
    "budget": ("budget",),
    "prices": ("prices",),
    "lengths": ("workload", "lengths"),
    "shared_prefix": ("workload", "shared_prefix"),
    "blocks": ("blocks",),
    "until": ("until",),
}
_OF_TARGET = {
    "provider": "provider",
    "target": "url",
    "api": "api",
    "model": "model",
    "price_in": "price_in",
    "price_out": "price_out",
    "price_cached": "price_cached",
    "tokenizer": "tokenizer",
}
_LENGTHS = ("input_tokens", "output_tokens")
_KEPT = ("duration", "requests", "sessions", "warmup", "pause", "drain", "input_tokens", "output_tokens")
"""What the steps that --concurrency and --rate make keep of the first step that they replace."""


def apply(document: Document, flags: dict[str, Any], *, from_nothing: bool) -> None:
    """``flags``: keys of the tables above, and concurrency, rate, duration, requests, input_tokens, output_tokens; as text or as numbers,
    None where not given. ``targets``: a list of NAME=URL, of a comparison; what else the flags say of a target holds for each. Without a scenario a step ends after 30 s unless said. Raises ScenarioError.
    """
    given = {k: v for k, v in flags.items() if v is not None}
    unknown = (
        set(given)
        - set(_PLAIN)
        - set(_OF_TARGET)
        - set(_LENGTHS)
        - {"concurrency", "rate", "duration", "requests", "targets", "thresholds", "repeat"}
    )
    if unknown:
        raise TypeError(f"flags that a scenario does not have: {sorted(unknown)}")
    for name, path in _PLAIN.items():
        if name in given:
            document.put(path, _value(given[name], name), _flag(name))
    if "repeat" in given:
        _repeat(document, _value(given["repeat"], "repeat"), until="until" in given)
    if "targets" in given:
        _arms(document, given)
    else:
        _targets(document, given)
    _steps(document, given, from_nothing=from_nothing)
    _thresholds(document, given.get("thresholds", ()))
    for key in _LENGTHS:
        if key in given:
            _length(document, key, _value(given[key], key))


def _repeat(document: Document, times: Any, *, until: bool) -> None:
    """A number replaces the file's and leaves its pause and seeds; a single run has no use for the file's rules of when to end."""
    long = isinstance(document.data.get("repeat"), dict)
    document.put(("repeat", "times") if long else ("repeat",), times, _flag("repeat"))
    if times == 1 and not until:
        document.drop(("until",))


def _targets(document: Document, given: dict[str, Any]) -> None:
    several = document.data.get("targets") is not None
    for name, key in _OF_TARGET.items():
        if name in given and several:
            raise ScenarioError(
                f"{_flag(name)}: the scenario compares several targets; use --set targets.NAME.{key}=… for one of them"
            )
    _dress(document, ("target",), given)
    if "target" in given:
        document.put(("target", "url"), str(given["target"]), _flag("target"))
    if given.get("target") not in (None, "simulator"):
        document.drop(("target", "simulator"))


def _arms(document: Document, given: dict[str, Any]) -> None:
    """Targets to compare: each is the scenario's target, or the one of its name, at a URL of its own."""
    common = document.data.get("target")
    for text in given["targets"]:
        name, equals, url = text.partition("=")
        if not equals or not name or not url:
            raise ScenarioError(f"--target {text}: NAME=URL is wanted, such as --target A=http://127.0.0.1:8000/v1")
        if (old := document.get(("targets", name))) is None:
            old = common if isinstance(common, dict) else {}
        document.put(("targets", name), {**old, "url": url}, _flag("target"))
        if url != "simulator":
            document.drop(("targets", name, "simulator"))
    if given["targets"]:
        document.drop(("target",))
    named = document.get(("targets",))
    for name in named if isinstance(named, dict) else ():
        _dress(document, ("targets", name), given)


def _dress(document: Document, target: Path, given: dict[str, Any]) -> None:
    """What the flags say of a target beside its URL."""
    if "provider" in given:
        for key in FILLED:
            document.drop((*target, key))
    for name, key in _OF_TARGET.items():
        if name in given and key != "url":
            value = _value(given[name], name) if name.startswith("price") else str(given[name])
            document.put((*target, key), value, _flag(name))


def _steps(document: Document, given: dict[str, Any], *, from_nothing: bool) -> None:
    if "duration" in given and "requests" in given:
        raise ScenarioError("--duration and --requests are both given; a step ends by one of them")
    if "concurrency" in given and "rate" in given:
        raise ScenarioError("--concurrency and --rate are both given; a step is closed or open")
    load = next((k for k in ("concurrency", "rate") if k in given), None)
    if load is None and from_nothing:
        load, given = "concurrency", given | {"concurrency": 1}
    if load is not None:
        _replace_steps(document, load, given[load], from_nothing=from_nothing)
    steps = document.data.get("steps")
    for number in range(len(steps) if isinstance(steps, list) else 0):
        for key, others in (("duration", ("requests", "sessions")), ("requests", ("duration",))):
            if key in given:
                for other in others:
                    document.drop(("steps", number, other))
                document.put(("steps", number, key), _value(given[key], key), _flag(key))


def _thresholds(document: Document, texts: Sequence[str]) -> None:
    """Beside those of the file; each a rule's text, or a mapping as a file has it."""
    if texts and document.data.get("thresholds") is None:
        document.put(("thresholds",), [], _flag("threshold"))
    rules = document.data.get("thresholds")
    if not isinstance(rules, list):
        return  # the file's own fault, which is told as such
    for text in texts:
        rules.append(None)
        value = _value(text, "threshold") if text.lstrip().startswith("{") else text
        document.put(("thresholds", len(rules) - 1), value, _flag("threshold"))


def _replace_steps(document: Document, load: str, values: Any, *, from_nothing: bool) -> None:
    old = document.data.get("steps")
    first = old[0] if isinstance(old, list) and old and isinstance(old[0], dict) else {}
    kept = {k: first[k] for k in _KEPT if k in first}
    if from_nothing or not kept.keys() & {"duration", "requests", "sessions"}:
        kept["duration"] = "30s"
    items = values if isinstance(values, list | tuple) else str(values).split(",")
    steps = [{load: _value(v, load), **kept} for v in items if str(v).strip()]
    if not steps:
        raise ScenarioError(
            f"{_flag(load)}: at least one value is wanted, such as {'32,64' if load == 'concurrency' else '5/s,10/s'}"
        )
    document.put(("steps",), steps, _flag(load))
    for key in ("concurrency", "rate"):
        document.drop(("matrix", key))


def _length(document: Document, key: str, value: Any) -> None:
    """A length on the command line holds for every step, whatever the file says."""
    document.put(("workload", key), value, _flag(key))
    document.drop(("matrix", key))
    steps = document.data.get("steps")
    for number in range(len(steps) if isinstance(steps, list) else 0):
        document.drop(("steps", number, key))


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _value(value: Any, name: str) -> Any:
    return scenario_text.value_of(value, _flag(name)) if isinstance(value, str) else value
