"""What one request costs: its tier's prices times the tokens that the target counted. Workers count a budget with it.

Long-context tiers are cliffs: a request whose input passes a tier's threshold pays that tier's prices for all its tokens. So the
tier is chosen a request; totals over several requests cannot say it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from generator.job import Price
from generator.names import TOKEN_SOURCES

if TYPE_CHECKING:
    from generator.stream import Stream

NANO_USD = 1_000
"""USD per 10⁶ tokens × tokens → 10⁻⁶ USD; times this, 10⁻⁹ USD."""

BYTES_A_TOKEN = 4
"""Of a request whose prompt nobody counted: what English text comes to."""

_COUNTED = TOKEN_SOURCES[0]
"""What the target told with or after the end of its answer. Usage on the way to an end that never came is no bill."""

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


def charge(stream: Stream) -> tuple[int, int]:
    """What an ended request takes from the budget in 10⁻⁹ USD: (by the target's usage, by guess), one of them 0.

    A guess is the most that it can have cost: a prompt as long as was wanted, and, unless the answer came to its end, all of the
    tokens that were asked for, because a target may go on and bill after we have hung up. What was refused or never sent is free.
    """
    tiers, answer = stream.target.prices, stream.answer
    if not tiers:
        return 0, 0
    if answer is not None and answer.token_source == _COUNTED and answer.input_tokens is not None:
        price = price_for(tiers, answer.input_tokens)
        written, read = answer.cache_write_tokens or 0, answer.cached_tokens or 0
        return cost_nano_usd(price, answer.input_tokens, answer.output_tokens or 0, read, written) or 0, 0
    if stream.sent_ns is None or (stream.status is not None and not 200 <= stream.status < 300):
        return 0, 0
    input_tokens = stream.prompt.input_tokens or len(stream.encoded.body) // BYTES_A_TOKEN
    output_tokens = (answer.output_tokens if answer is not None else None) or 0
    if answer is None or not answer.terminal:
        output_tokens = max(output_tokens, stream.call.max_tokens or 0)
    return 0, cost_nano_usd(price_for(tiers, input_tokens), input_tokens, output_tokens) or 0


def usd(nano_usd: int) -> float:
    return nano_usd / 1e9


def money(amount_usd: float) -> str:
    """``$12.34``; amounts below a cent with two significant digits."""
    return f"${amount_usd:,.2f}" if amount_usd >= 0.01 or amount_usd == 0 else f"${amount_usd:.2g}"
