"""Were prompts and answers as long as was asked for? A step that was not is another point of the matrix than its name says."""

from __future__ import annotations

import math
from collections.abc import Iterator

from analysis.rules.rule import Evidence, Row, Rule

MOST_SHARE = 0.10
"""How far the mean may be off; neighbouring lengths of a matrix are mostly a factor of two apart."""

_KINDS = {
    "input": (
        "prompts",
        "wanted_mean_tokens",
        "error_share",
        "leave the probe in, which corrects the lengths, or give target.tokenizer, which makes them exact",
    ),
    "output": (
        "answers",
        "output_wanted_mean_tokens",
        "output_error_share",
        "exact_output, or ignore_eos in target.body where the target knows it, keeps a model from ending early",
    ),
}
"""Which lengths → what they are called, their columns in prompt_lengths, what may be done."""


def rules(evidence: Evidence) -> Iterator[Rule]:
    rows = evidence.rows("prompt_lengths")
    for kind, (things, wanted, share, advice) in _KINDS.items():
        for row in rows:
            off = row[share]
            if row[wanted] is None or off is None:
                continue
            got = row[wanted] * (1 + off)
            figure = f"{things} of {got:,.0f} tokens on average where {row[wanted]:,.0f} were asked for ({off:+.1%})"
            nearer = _nearer(row, rows, wanted, got)
            if nearer is not None:
                figure += f", nearer to the {nearer[wanted]:,.0f} of step {nearer['step_id']}"
            yield Rule(
                f"{kind}_length",
                "WARN",
                row["step_id"],
                figure,
                f"within {MOST_SHARE:.0%}",
                advice,
                abs(off) > MOST_SHARE,
            )


def _nearer(row: Row, rows: list[Row], wanted: str, got: float) -> Row | None:
    """A step with a wanted length that, by ratio, is nearer to what came than the row's own; None for the own."""
    if got <= 0:
        return None
    near = min((r for r in rows if r[wanted]), key=lambda r: abs(math.log(r[wanted] / got)), default=row)
    return near if near[wanted] != row[wanted] else None
