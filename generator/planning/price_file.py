"""A user's prices: a TOML file with a table a model, USD per million tokens.

["meta-llama/Llama-3.3-70B-Instruct-Turbo"]
input = 0.88
output = 0.88
date = 2026-11-01            # when it was looked up; the file's own date unless said

["anthropic:claude-sonnet-4-5"]   # of one provider alone; goes before the model's plain name
input = 3.0
output = 15.0
cached = 0.3                 # input that was read from the cache; as other input unless said
cache_write = 3.75           # input that was written to it; alike
tiers = [{above = 200_000, input = 6.0, output = 22.5, cached = 0.6}]   # of requests with more input tokens
"""

from __future__ import annotations

import difflib
import math
import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from generator.errors import ScenarioError
from generator.job import Price

_PRICES = ("input", "output", "cached", "cache_write")
_KEYS = (*_PRICES, "date", "tiers")
_TIER_KEYS = ("above", *_PRICES)


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    tiers: tuple[Price, ...]
    date: str


@dataclass(frozen=True, slots=True)
class PriceFile:
    """``entries`` by name, which is a model's or ``provider:model``."""

    path: Path
    entries: dict[str, Entry]

    @classmethod
    def read(cls, path: Path) -> PriceFile:
        """Raises ScenarioError naming the file, the model and the key that is wrong."""
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
            written = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
        except FileNotFoundError:
            raise ScenarioError(f"prices: {path}: no such file") from None
        except OSError as e:
            raise ScenarioError(f"prices: {path}: cannot be read: {e.strerror}") from None
        except UnicodeDecodeError:
            raise ScenarioError(f"prices: {path}: not UTF-8 text") from None
        except tomllib.TOMLDecodeError as e:
            raise ScenarioError(f"prices: {path}: not TOML: {e}") from None
        return cls(
            path, {name: _entry(f"prices: {path}: {name!r}", name, table, written) for name, table in data.items()}
        )

    def find(self, provider: str | None, model: str) -> Entry | None:
        """That of ``provider:model`` before that of ``model``."""
        return self.entries.get(f"{provider}:{model}") or self.entries.get(model)


def _entry(place: str, name: str, table: Any, written: str) -> Entry:
    if not isinstance(table, dict):
        raise ScenarioError(
            f'{place}: a table is wanted, such as ["{name}"] with input = 0.5 and output = 1.5 below it'
        )
    _known(place, table, _KEYS)
    said = table.get("date", written)
    if isinstance(said, datetime):
        said = said.date()
    if not isinstance(said, date | str):
        raise ScenarioError(f"{place}: date: a date is wanted, such as 2026-11-01, not {said!r}")
    tiers = [_price(place, table, 0)]
    given = table.get("tiers", [])
    if not isinstance(given, list):
        raise ScenarioError(f"{place}: tiers: a list is wanted, such as [{{above = 200000, input = 6, output = 22.5}}]")
    for number, tier in enumerate(given):
        where = f"{place}: tiers.{number}"
        if not isinstance(tier, dict):
            raise ScenarioError(f"{where}: a table is wanted, such as {{above = 200000, input = 6, output = 22.5}}")
        _known(where, tier, _TIER_KEYS)
        above = tier.get("above")
        if not isinstance(above, int) or isinstance(above, bool) or above <= tiers[-1].above_tokens:
            raise ScenarioError(
                f"{where}: above: a number of input tokens is wanted, larger than that of the tier before, not {above!r}"
            )
        tiers.append(_price(where, {key: table.get(key) for key in _PRICES} | tier, above))
    return Entry(name, tuple(tiers), str(said))


def _price(place: str, table: dict[str, Any], above_tokens: int) -> Price:
    for key in _PRICES:
        value = table.get(key)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and math.isfinite(value) and value >= 0):
            raise ScenarioError(
                f"{place}: {key}: US dollars per million tokens are wanted, such as 0.88, not {value!r}"
            )
    if table.get("input") is None and table.get("output") is None:
        raise ScenarioError(f"{place}: neither input nor output has a price")
    return Price(above_tokens, *(None if table.get(key) is None else float(table[key]) for key in _PRICES))


def _known(place: str, table: dict[str, Any], keys: tuple[str, ...]) -> None:
    for key, value in table.items():
        if key not in keys:
            near = difflib.get_close_matches(key, keys, 1, 0.5)
            hint = f"; nearest: {near[0]!r}" if near else f" (known: {', '.join(keys)})"
            if isinstance(value, dict):
                hint = '; a name with a dot in it is written in quotes, as in ["gpt-5.5"]'
            raise ScenarioError(f"{place}: unknown key {key!r}{hint}")
