"""What tokens cost: from the scenario, else from the user's file, else from ``genai-prices`` where that is installed.

Every target's price is looked up once, before anything is sent, and kept with its source and date in the plan and the manifest. What
nobody names stays unknown: no price is ever taken to be zero, and none is guessed from a model's name alone, because a model that
somebody serves at home bears the same name as one that is paid for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from generator import clock
from generator.errors import ScenarioError
from generator.job import Price, Target
from generator.planning.price_file import PriceFile
from generator.providers import EMBEDDINGS, PRESETS
from generator.scenario.target import SIMULATOR, TargetForm

EXTRA = "pip install 'openloop[prices]'"


@dataclass(frozen=True, slots=True)
class Quote:
    """``tiers`` as in ``job.Target.prices``; ``source`` in words, with what was looked up; ``date`` as YYYY-MM-DD: when it was said."""

    tiers: tuple[Price, ...]
    source: str
    date: str | None


def quotes(targets: Mapping[str, TargetForm], file: str | None) -> dict[str, Quote]:
    """The price of each target that has one. Raises ScenarioError where the file is wrong."""
    listed = None if file is None else PriceFile.read(Path(file))
    found = {name: quote(form, listed) for name, form in targets.items()}
    return {name: q for name, q in found.items() if q is not None}


def quote(form: TargetForm, listed: PriceFile | None) -> Quote | None:
    """The first source that knows the target's model; what that source leaves out stays unknown."""
    said = Price(0, form.price_in, form.price_out, form.price_cached, form.price_cache_write)
    if said != Price():
        return Quote((said,), "the scenario", clock.utc_text()[:10])
    if form.model is None:
        return None
    if listed is not None and (entry := listed.find(form.provider, form.model)) is not None:
        return Quote(entry.tiers, f"{listed.path.name}: {entry.name}", entry.date)
    return _looked_up(form, form.model)


def priced(targets: Mapping[str, Target], known: Mapping[str, Quote]) -> dict[str, Target]:
    """The same targets with their prices."""
    return {
        name: replace(t, prices=known[name].tiers, price_source=known[name].source, price_date=known[name].date)
        if name in known
        else t
        for name, t in targets.items()
    }


def missing(form: TargetForm) -> str:
    """What to do about a target without a price, for an error."""
    return (
        f"no price is known for {form.model or 'its model'} at {form.url}: give price_in and price_out (USD per million tokens), "
        f"or prices: FILE, or {EXTRA}"
    )


def _looked_up(form: TargetForm, model: str) -> Quote | None:
    """genai-prices' answer. None where it is not installed, does not know the model, or the target is nobody's service."""
    preset = PRESETS.get(form.provider or "")
    gateway = preset is not None and preset.prices == "litellm"
    if form.url == SIMULATOR or (preset is not None and preset.prices is None) or (_own(form.url) and not gateway):
        return None
    if gateway and "/" not in model:
        return None  # a gateway's own alias: anybody's model may be behind it
    try:
        import genai_prices  # late: it takes 0.6 s, and only runs that can be paid for need it
    except ImportError:
        return None
    where: dict[str, Any] = {"provider_id": preset.prices} if preset is not None else {"provider_api_url": form.url}
    try:
        found = genai_prices.calc_price(genai_prices.Usage(), model, **where)
    except (LookupError, ValueError):
        return None
    price = found.model_price
    columns = [price.input_mtok, price.output_mtok, price.cache_read_mtok, price.cache_write_mtok]
    starts = sorted({0, *(tier.start for column in columns for tier in getattr(column, "tiers", ()))})
    tiers = tuple(Price(start, *(_at(column, start) for column in columns)) for start in starts)
    source = f"genai-prices {genai_prices.__version__}: {found.provider.id}/{found.model.id}"
    return Quote(tiers, source, clock.utc_text()[:10])


def _at(column: Any, start: int) -> float | None:
    """A price of genai-prices in the tier that starts there: it is a number, or a base and tiers with a start each."""
    if column is None or not hasattr(column, "tiers"):
        return None if column is None else float(column)
    applies = column.base
    for tier in column.tiers:
        if tier.start <= start:
            applies = tier.price
    return float(applies)


def _own(url: str) -> bool:
    """Whether the URL leads to this machine or a private network, where nobody sends a bill by the token."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host or host.endswith((".local", ".internal", ".localhost"))


def refuse_unpriced(
    budget_usd: float | None, place: str, targets: Mapping[str, TargetForm], known: Mapping[str, Quote]
) -> None:
    """Raises ScenarioError where there is a budget and a target whose input or output has no price: it could not be kept."""
    if budget_usd is None:
        return
    where = place if place.endswith("budget") else f"{place}: budget"
    if budget_usd == 0:
        raise ScenarioError(f"{where}: a budget of zero sends nothing; give an amount, such as $5")
    for name, form in targets.items():
        tiers = known[name].tiers if name in known else ()
        if not tiers or any(tier.input is None or (tier.output is None and form.api != EMBEDDINGS) for tier in tiers):
            raise ScenarioError(f"{where}: target {name!r}: {missing(form)}")
