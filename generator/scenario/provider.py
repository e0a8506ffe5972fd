"""``target: {provider: NAME}`` → the keys that it stands for, written into the scenario where they are not given already.

They are filled before the scenario is checked, so that the run folder's scenario.yaml says all that was meant and reads the same with
any later table of presets. The key stays ``${NAME}``.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from generator.apis.table import NAMES as APIS
from generator.errors import ScenarioError
from generator.job import Step, Target
from generator.providers import NAMES, PRESETS, Preset
from generator.scenario.target import SIMULATOR
from generator.scenario.text import Document, Path

AZURE_API_VERSION = "2024-10-21"
"""The newest that is not a preview of those that take deployments in the path."""

FILLED = ("url", "api", "api_key", "auth_header", "request_id_header", "max_tokens_field", "azure", "simulator")
"""Keys that one provider's scenario does not share with another's; ``--provider`` takes them away."""

_KEY_HEADERS = ("authorization", "x-api-key", "api-key")
_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\Z")
_RESOURCE = re.compile(r"[A-Za-z0-9-]+\Z")
"""One label of a host's name: whoever gets the key is the resource that was written, not one whose name a dot makes of it."""


def fill(document: Document, targets: list[Path]) -> None:
    """Fill every target that names a provider. Raises ScenarioError for a provider that is not known, an API that it does not speak, or
    an Azure target that does not say which.
    """
    for path in targets:
        target = document.get(path)
        if isinstance(target, dict) and target.get("provider") is not None:
            _fill(document, path, target, _preset(document, path, target["provider"]))


def exact_body(provider: str | None, api: str) -> dict[str, Any]:
    """Body fields that make an answer exactly as long as was asked for; empty where the provider has none."""
    return PRESETS[provider].exact.get(api, {}) if provider in PRESETS else {}


def refuse_inexact(document: Document, steps: Sequence[Step], targets: Mapping[str, Target]) -> None:
    """Raises ScenarioError where a workload wants exact lengths of a target that cannot be told so."""
    for step in steps:
        for alone in step.alone():
            target = targets[alone.target]
            if alone.workload.exact_output and not target.exact_body:
                able = ", ".join(name for name, preset in PRESETS.items() if preset.exact)
                raise ScenarioError(
                    f"{document.place(('workload', 'exact_output'))}: workload.exact_output: target {target.name!r} ({target.api}) has no "
                    f"provider that is known to give answers of an exact length ({able} do); leave it out, or write what "
                    "your server takes into the target's body, such as body: {ignore_eos: true}"
                )


def _preset(document: Document, path: Path, name: Any) -> Preset:
    if name in NAMES:
        return PRESETS[name]
    near = difflib.get_close_matches(str(name), NAMES, 1, 0.5)
    hint = f"; nearest: {near[0]!r}" if near else ""
    raise _wrong(document, (*path, "provider"), f"unknown provider {name!r}{hint} (known: {', '.join(NAMES)})")


def _fill(document: Document, path: Path, target: dict[str, Any], preset: Preset) -> None:
    place = document.place((*path, "provider"))

    def put(key: str, value: Any) -> None:
        if key not in target:
            document.put((*path, key), value, place)

    put("api", preset.apis[0])
    api = target["api"]
    if api not in preset.apis and api in APIS:
        raise _wrong(
            document,
            (*path, "api"),
            f"{preset.name} does not speak {api}, only {', '.join(preset.apis)}; to send it all the same, "
            "leave provider out and give url and api_key",
        )
    if "url" not in target:
        put("url", _url(document, path, target, preset))
    headers = target.get("headers")
    dressed = isinstance(headers, dict) and any(str(name).lower() in _KEY_HEADERS for name in headers)
    if target["url"] != SIMULATOR and not dressed and (preset.key_needed or os.environ.get(preset.key)):
        put("api_key", f"${{{preset.key}}}")
    if preset.auth is not None:
        put("auth_header", preset.auth)
    put("request_id_header", preset.request_id_header)
    if api in preset.max_tokens:
        put("max_tokens_field", preset.max_tokens[api])
    streamed = target.get("stream", True)
    ours = {k: v for k, v in preset.body.get(str(api), {}).items() if streamed or k != "stream_options"}
    if ours and isinstance(target.get("body", {}), dict):
        document.put((*path, "body"), _laid_over(ours, target.get("body", {})), document.place((*path, "body")))


def _url(document: Document, path: Path, target: dict[str, Any], preset: Preset) -> str:
    if not preset.parts:
        return preset.url
    given = target.get("azure")
    parts = {"api_version": AZURE_API_VERSION, "deployment": target.get("model")}
    parts |= given if isinstance(given, dict) else {}
    for key in preset.parts:
        value = parts.get(key)
        if value is None:
            raise _wrong(
                document,
                (*path, "provider"),
                f"azure.{key} is missing: {preset.url} is made of it; give azure: {{resource: NAME, deployment: NAME}}, or url",
            )
        if not isinstance(value, str) or not (_RESOURCE if key == "resource" else _PART).match(value):
            where = (*path, "azure", key) if isinstance(given, dict) and key in given else (*path, "model")
            may = (
                "letters, digits and '-' only: NAME of https://NAME.openai.azure.com; a host of another kind goes into url"
                if key == "resource"
                else "letters, digits, '.', '_' and '-' only"
            )
            raise _wrong(document, where, f"{value!r}: azure.{key} has {may}")
    return preset.url.format_map(parts)


def _laid_over(ours: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What is given goes before ours; mappings key by key."""
    merged = ours | given
    for key, value in ours.items():
        if isinstance(value, dict) and isinstance(given.get(key), dict):
            merged[key] = value | given[key]
    return merged


def _wrong(document: Document, path: Path, message: str) -> ScenarioError:
    return ScenarioError(f"{document.place(path)}: {'.'.join(str(k) for k in path)}: {message}")
