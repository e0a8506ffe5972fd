"""What the report says of a comparison: a sentence for each that is compared, a table of the figures, what cannot be excluded."""

from __future__ import annotations

from typing import Any

from analysis.report.costs import dollars
from analysis.report.parts import Table
from analysis.report.wording import NOTHING, count, number, printable, share, signed_share

Row = dict[str, Any]

_NAMES = {
    "ttft_ms": "TTFT",
    "tpot_ms": "TPOT",
    "e2e_ms": "E2E",
    "ok_share": "ok",
    "good_share": "within SLO",
    "cost_usd": "cost",
}
_TOLD = 3
"""Figures that a sentence names; the table has all."""


def sentences(found: Row) -> list[str]:
    """For each side that is held against the baseline: the verdict, and what a request and a token take more or less."""
    lines = []
    for arm in found["arms"]:
        rows = [row for row in found["figures"] if row["arm"] == arm]
        lines.append(verdict(found["baseline"], arm, rows))
        if beside := _overhead(found["baseline"], arm, rows):
            lines.append(beside)
    return lines


def verdict(baseline: str, arm: str, rows: list[Row]) -> str:
    """One sentence: better, worse, both, or no difference shown and what would have been."""
    several = len({row["load"] for row in rows}) > 1
    shown = {
        word: sorted(
            (row for row in rows if row["verdict"] == word),
            key=lambda row: row["figure"] not in ("p50", "share", "mean"),
        )
        for word in ("worse", "better")
    }
    if any(shown.values()):
        words = " and ".join(f"{word} in {_list(found, several)}" for word, found in shown.items() if found)
        return f"{arm} against {baseline}: {words}."
    known = [row for row in rows if row["detectable"] is not None]
    if not known:
        return f"{arm} against {baseline}: not enough data for any figure."
    first = next((row for row in known if row["a"] and row["figure"] == "p50"), known[0])
    return (
        f"{arm} against {baseline}: no difference shown. One of {_detectable(first)} in {_named(first, several)} would have been, "
        "four times in five."
    )


def _list(rows: list[Row], several: bool) -> str:
    told = [f"{_named(row, several)} {_change(row)}" for row in rows[:_TOLD]]
    more = len(rows) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")


def _named(row: Row, several: bool) -> str:
    name = _NAMES[row["metric"]]
    figure = f"{name} {row['figure']}" if row["figure"].startswith("p") else name
    return f"{figure} ({row['load']})" if several else figure


def _change(row: Row) -> str:
    if row["relative"] is None or row["metric"].endswith("_share"):
        return f"{_signed(row, 'difference')} [{_signed(row, 'low')} to {_signed(row, 'high')}]"
    return (
        f"{signed_share(row['relative'])} [{signed_share(row['relative_low'])} to {signed_share(row['relative_high'])}]"
    )


def _overhead(baseline: str, arm: str, rows: list[Row]) -> str | None:
    """The medians as time: what stands between the two costs so much a request and so much a token."""
    several = len({row["load"] for row in rows}) > 1
    told = []
    for metric, what in (("ttft_ms", "a request takes"), ("tpot_ms", "a token takes")):
        for row in rows:
            if row["metric"] != metric or row["figure"] != "p50" or row["difference"] is None:
                continue
            at = f"at {row['load']} " if several else ""
            unsure = ", no difference shown" if row["verdict"] == "no difference shown" else ""
            told.append(
                f"{at}{what} {_signed(row, 'difference')} [{_signed(row, 'low')} to {_signed(row, 'high')}]{unsure}"
            )
    return f"{arm} less {baseline}, p50: {'; '.join(told)}." if told else None


def _signed(row: Row, key: str) -> str:
    value = row[key]
    if value is None:
        return NOTHING
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return f"{sign}{_magnitude(row['metric'], abs(value))}"


def _magnitude(metric: str, value: float) -> str:
    if metric.endswith("_share"):
        return f"{number(value * 100)} points"
    if metric == "cost_usd":
        # Means of the same prices differ in their last bit; no price is that small.
        return dollars(value if value > 1e-12 else 0)
    return f"{number(value)} ms"


def _figure(metric: str, value: float | None) -> str:
    if value is None:
        return NOTHING
    if metric.endswith("_share"):
        return share(value)
    return dollars(value) if metric == "cost_usd" else number(value)


def _detectable(row: Row) -> str:
    if row["a"] and not row["metric"].endswith("_share"):
        return f"{number(row['detectable'] / row['a'] * 100)} %"
    return _magnitude(row["metric"], row["detectable"])


def tables(found: Row | None) -> list[Table]:
    """A table for each load, a row a figure; none without a comparison."""
    if found is None:
        return []
    loads = list(dict.fromkeys(row["load"] for row in found["figures"]))
    return [
        _table(
            found,
            load if len(loads) > 1 else "Comparison",
            [r for r in found["figures"] if r["load"] == load],
        )
        for load in loads
    ]


def _table(found: Row, title: str, figures: list[Row]) -> Table:
    arms = len(found["arms"]) > 1
    rows = []
    for row in figures:
        name = f"{_NAMES[row['metric']]} {row['figure']}" + (" ms" if row["metric"].endswith("_ms") else "")
        words = [*([row["arm"]] if arms else []), name]
        if row["difference"] is None:
            rows.append((*words, *[NOTHING] * 6, row["verdict"]))
            continue
        mark = " *" if row["from_turns"] else ""
        rows.append(
            (
                *words,
                _figure(row["metric"], row["a"]),
                _figure(row["metric"], row["b"]),
                _change_short(row),
                f"{_range(row)}{mark}",
                _detectable(row),
                " / ".join(count(n) for n in row["n_effective"]),
                row["verdict"],
            )
        )
    lead = (
        f"Differences from {found['baseline']}, with 95 % intervals; * where turns vary more than single requests explain, and the interval is "
        "as wide as that. Would show: what four of five such runs had shown."
    )
    names = (*(["target"] if arms else []), "figure")
    other = "other" if arms else found["arms"][0]
    headings = (
        f"{_short(found['baseline'])}",
        _short(other),
        "change",
        "95 %, absolute",
        "would\nshow",
        "worth\nrequests",
        "verdict",
    )
    return Table(title, lead, names, headings, tuple(rows))


def _range(row: Row) -> str:
    """The unit once, at the end: the widest column of the table."""
    low, high = _signed(row, "low"), _signed(row, "high")
    unit = " points" if row["metric"].endswith("_share") else " ms"
    return f"{low.removesuffix(unit)} to {high}"


def _short(name: str) -> str:
    """For a heading, which unlike a cell is not made printable where it is shown."""
    safe = printable(name)
    return safe if len(safe) <= 12 else f"{safe[:11]}…"


def _change_short(row: Row) -> str:
    if row["relative"] is None or row["metric"].endswith("_share"):
        return _signed(row, "difference")
    return signed_share(row["relative"])


def notes(found: Row | None) -> list[str]:
    """What it rests on, and of runs made apart what cannot be excluded."""
    if found is None:
        return []
    lines = [f"! {line}" for line in found.get("cannot_exclude", ())]
    for run, keys in found.get("left_out", {}).items():
        if keys:
            lines.append(f"! only in {run}, left out: {'; '.join(keys)}")
    return [*lines, *found["assumptions"]]
