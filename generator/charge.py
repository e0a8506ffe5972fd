"""What one request costs: its tier's prices times the tokens that the target counted. Workers count a budget with it.

Long-context tiers are cliffs: a request whose input passes a tier's threshold pays that tier's prices for all its tokens. So the
tier is chosen a request; totals over several requests cannot say it.
"""

from __future__ import annotations

from collections.abc import Sequence

from generator.job import Price

NANO_USD = 1_000
"""USD per 10⁶ tokens × tokens → 10⁻⁶ USD; times this, 10⁻⁹ USD."""

_UNKNOWN = Price()


def price_for(tiers: Sequence[Price], input_tokens: int | None) -> Price:
    """The tier that a request of so many input tokens pays; all None where no price is known, or not which tier it is."""
    if not tiers:
        return _UNKNOWN
    if input_tokens is None:
        return tiers[0] if len(tiers) == 1 else _UNKNOWN
    found = tiers[0]
    for tier in tiers:
        if input_tokens > tier.above_tokens:
            found = tier
    return found


def cost_nano_usd(
    price: Price, input_tokens: int, output_tokens: int, cached_tokens: int = 0, cache_write_tokens: int = 0
) -> int | None:
    """10⁻⁹ USD; ``cached_tokens`` and ``cache_write_tokens`` are part of the input. None where a price that is needed is unknown."""
    if (price.input is None and input_tokens) or (price.output is None and output_tokens):
        return None
    each = price.input or 0.0
    plain = max(0, input_tokens - cached_tokens - cache_write_tokens)
    total = (
        plain * each
        + cached_tokens * (each if price.cached is None else price.cached)
        + cache_write_tokens * (each if price.cache_write is None else price.cache_write)
        + output_tokens * (price.output or 0.0)
    )
    return round(total * NANO_USD)
