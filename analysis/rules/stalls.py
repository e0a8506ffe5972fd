"""Do gaps between chunks cluster where TCP makes them, rather than the target's model?"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.rules.rule import Evidence, Rule, ms, percent


def rules(evidence: Evidence) -> Iterator[Rule]:
    """Quick acknowledgements would hide from the report what other clients suffer, so the sockets do not ask for them."""
    for row in evidence.rows("stalled_gaps"):
        figure = (
            f"{percent(row['share'])} of {row['n']:,} gaps are 39 to 45 ms long, {row['at_40ms']:,} where the neighbourhood has {row['beside']:,}; "
            f"the mean gap is {ms(row['mean_ms'])}"
        )
        advice = (
            "delayed acknowledgements meet Nagle's algorithm: set TCP_NODELAY on the server or on the proxy before it, or write each event in "
            "one piece. Other clients of this target suffer the same"
        )
        limit = "below 1 %, or within thrice the neighbourhood"
        yield Rule("stalled_gaps", "WARN", row["step_id"], figure, limit, advice, row["clustered"])
