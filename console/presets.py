"""Provider presets for people: the list, and one provider in full."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TextIO

from console.rows import write_table
from generator.providers import PRESETS, Preset

_COLUMNS = ("provider", "key", "speaks", "base URL")
_WINDOWS = {86_400.0: "a day", 60.0: "a minute", 1.0: "a second"}


def write_listing(out: TextIO) -> None:
    """One line a provider."""
    rows = [(p.name, key_of(p), ", ".join(p.apis), p.url) for p in PRESETS.values()]
    write_table(_COLUMNS, iter(rows), out)


def as_json(name: str | None) -> str:
    """The preset of that name, or all by name; the keys are those of ``generator.providers.Preset``."""
    found: Any = (
        {n: dataclasses.asdict(p) for n, p in PRESETS.items()} if name is None else dataclasses.asdict(PRESETS[name])
    )
    return json.dumps(found, indent=2)


def as_text(preset: Preset) -> str:
    """Everything that a preset says, a line each; what does not apply is left out."""
    return "\n".join(f"{name:<20}{value}" for name, value in facts(preset))


def facts(preset: Preset) -> list[tuple[str, str]]:
    """Name and value pairs, in the order of reading."""
    limits = preset.limits
    pairs = [
        ("provider", preset.name),
        ("base URL", preset.url),
        ("made of", ", ".join(f"azure.{part}" for part in preset.parts)),
        ("key", key_of(preset)),
        ("key's header", preset.auth or "the API's own"),
        ("speaks", ", ".join(preset.apis)),
        ("request id", preset.request_id_header),
        ("answer's length", _by_api(preset.max_tokens)),
        ("body", _by_api({api: json.dumps(body) for api, body in preset.body.items()})),
        ("exact output", _by_api({api: json.dumps(body) for api, body in preset.exact.items()}) or "not to be had"),
        ("usage", preset.usage),
        ("limit headers", limits.headers),
        ("limits are", _windows(preset)),
        ("reset", limits.reset),
        ("limits", limits.note),
        ("prices", f"genai-prices: {preset.prices}" if preset.prices else "none"),
        *(("note", note) for note in preset.notes),
    ]
    return [(name, value) for name, value in pairs if value]


Rows = list[tuple[str, ...]]


def preset_rows() -> tuple[tuple[str, ...], Rows]:
    """Head and rows of the table of presets in docs/providers.md; so are the others below."""
    head = ("provider", "base URL", "key", "in the header", "speaks")
    return head, [
        (f"`{p.name}`", f"`{p.url}`", _key_cell(p), f"`{p.auth}`" if p.auth else "the API's own", ", ".join(p.apis))
        for p in PRESETS.values()
    ]


def limit_rows() -> tuple[tuple[str, ...], Rows]:
    head = ("provider", "headers", "windows", "reset counts to", "notes")
    return head, [
        (f"`{p.name}`", p.limits.headers, _windows(p), p.limits.reset, p.limits.note) for p in PRESETS.values()
    ]


def usage_rows() -> tuple[tuple[str, ...], Rows]:
    head = ("provider", "usage comes", "request id in", "filled in the body", "notes")
    return head, [
        (f"`{p.name}`", p.usage, f"`{p.request_id_header}`", _filled(p), "; ".join(p.notes)) for p in PRESETS.values()
    ]


def exact_rows() -> tuple[tuple[str, ...], Rows]:
    head = ("provider", "body")
    return head, [
        (f"`{p.name}`", "; ".join(f"{api}: `{json.dumps(body)}`" for api, body in p.exact.items()))
        for p in PRESETS.values()
        if p.exact
    ]


TABLES = {"presets": preset_rows, "limits": limit_rows, "usage": usage_rows, "exact": exact_rows}
"""Name of a place in docs/providers.md → what makes its table."""


def _key_cell(preset: Preset) -> str:
    return f"`{preset.key}`" if preset.key_needed else f"`{preset.key}`, where set"


def _filled(preset: Preset) -> str:
    fields = [f"`{name}` for max_tokens ({api})" for api, name in preset.max_tokens.items()]
    return "; ".join(dict.fromkeys([*fields, *(f"`{json.dumps(body)}`" for body in preset.body.values())]))


def key_of(preset: Preset) -> str:
    """The key's variable, marked where the target may do without."""
    return preset.key if preset.key_needed else f"{preset.key} (where set)"


def _windows(preset: Preset) -> str:
    known = {"requests": preset.limits.requests_window_s, "tokens": preset.limits.tokens_window_s}
    return ", ".join(f"{what} {_WINDOWS[seconds]}" for what, seconds in known.items() if seconds is not None)


def _by_api(values: Mapping[str, str]) -> str:
    return "; ".join(f"{api}: {value}" for api, value in values.items())
