"""Which of two is better: targets that took turns in one run, or two runs made apart. Intervals and verdicts; the words are the report's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from analysis import catalog
from analysis.differences import difference, discovery
from analysis.differences.difference import Difference
from analysis.differences.paired import LEAST_BLOCKS
from analysis.differences.sample import Sample
from generator.errors import QueryError

Row = dict[str, Any]
Kind = Literal["in turns", "one after another", "apart"]
Verdict = Literal["better", "worse", "no difference shown", "not enough data"]

LATENCIES = ("ttft_ms", "tpot_ms", "e2e_ms")
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}

ASSUMPTIONS: dict[Kind, tuple[str, ...]] = {
    "in turns": (
        (
            "The targets took turns on the same arrivals and prompts, so what drifts over the run meets all of them; what one's load leaves behind "
            "for the other (a shared cache, a shared machine) is not taken out."
        ),
        (
            "Each interval is the wider of two: from single requests, worth fewer where neighbours resemble one another, and from how much the "
            "difference varies between turns."
        ),
    ),
    "one after another": (
        "Each target had its step whole, one after the other: a drift between the steps looks like a difference. blocks: 10 takes turns.",
    ),
    "apart": (
        "The runs were made apart: whatever changed between them looks like a difference. `openloop ab` takes turns and rules it out.",
    ),
}
OF_ALL = (
    "Latencies are those of requests that ended ok; shares are of all that were due.",
    "Of the differences called shown, at most 5 % are chance, over all figures together (Benjamini–Hochberg); intervals are of 95 % each.",
)


@dataclass(frozen=True, slots=True)
class Side:
    """One side at one load, in the order of time. ``turn`` and ``place`` [n] int64; ``columns``: float64 [n], NaN for unknown."""

    turn: NDArray[np.int64]
    place: NDArray[np.int64]
    columns: dict[str, NDArray[np.float64]]

    def known(self, column: str) -> set[int]:
        """The turns in which it has a value of ``column``."""
        return {int(turn) for turn in np.unique(self.turn[~np.isnan(self.columns[column])])}

    def sample(self, column: str, turns: Sequence[int]) -> Sample:
        """Known values; in the blocks of ``turns``, or in one block where there are none."""
        values = self.columns[column]
        there = ~np.isnan(values)
        if not turns:
            return Sample(values[there], np.zeros(int(there.sum()), dtype=np.int64))
        there &= np.isin(self.turn, turns)
        return Sample(values[there], self.turn[there])


def judge(con: DuckDBPyConnection) -> Row | None:
    """The comparison inside the one run that ``con`` has open, as docs/report.md lists it; None where it has no arms.

    The first target of the scenario's order is what the others are held against.
    """
    arms = [
        arm
        for (arm,) in catalog.query(
            con, "SELECT arm FROM compared_steps WHERE arm IS NOT NULL GROUP BY arm ORDER BY min(step_id)"
        ).rows
    ]
    if len(arms) < 2:
        return None
    sides = _sides(con, "arm IS NOT NULL", ("arm", "load"))
    loads = _in_order(load for _, load in sides)
    pairs = [
        (arm, load, sides[arms[0], load], sides[arm, load])
        for arm in arms[1:]
        for load in loads
        if (arm, load) in sides and (arms[0], load) in sides
    ]
    turned = [_turns(a, b) for _, _, a, b in pairs]
    kind: Kind = "in turns" if pairs and all(turned) else "one after another"
    turns = [{k: v for k, v in row.items() if k != "run_id"} for row in catalog.run(con, "comparison_turns").dicts()]
    return weigh(kind, arms[0], arms[1:], pairs, turned) | {"turns": turns}


def apart(con: DuckDBPyConnection, a: str, *others: str) -> Row:
    """Runs that ``con`` has open, by run id, each of ``others`` against ``a``: their steps of one load and arm side by side.

    Raises QueryError where none of them has a step in common with ``a``; one that has none beside one that has is in no figure, and all
    its steps are left out.
    """
    sides = _sides(con, "true", ("run_id", "load", "arm"))
    loads = {run: _in_order((load, arm) for r, load, arm in sides if r == run) for run in (a, *others)}
    common = {b: [key for key in loads[a] if key in loads[b]] for b in others}
    if not any(common.values()):
        told = {run: "; ".join(_words(key) for key in keys) or "no requests" for run, keys in loads.items()}
        each = "; ".join(f"{run} has {steps}" for run, steps in told.items())
        raise QueryError(
            f"{a} and {', '.join(others)} have no step in common: {each}. "
            "Steps are compared where name, cell, rate and slots are the same"
        )
    pairs = [(b, _words(key), sides[a, *key], sides[b, *key]) for b in others for key in common[b]]
    found = weigh("apart", a, list(others), pairs, [[] for _ in pairs])
    shared = {a: {key for keys in common.values() for key in keys}} | {b: set(keys) for b, keys in common.items()}
    left = {run: [_words(key) for key in keys if key not in shared[run]] for run, keys in loads.items()}
    return found | {"turns": [], "left_out": left}


def _words(key: tuple[Any, ...]) -> str:
    return " · ".join(str(part) for part in key if part is not None)


def _in_order(keys: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(keys))


def _sides(con: DuckDBPyConnection, where: str, keys: tuple[str, ...]) -> dict[tuple[Any, ...], Side]:
    """By ``keys``, in the order of the steps."""
    figures = ("ok", "good", *LATENCIES, "cost_usd")
    columns = ", ".join(f"{name}::DOUBLE AS {name}" for name in figures)
    table = catalog.arrow(
        con,
        f"SELECT {', '.join(keys)}, turn, place, {columns} FROM compared_requests WHERE {where} "
        "ORDER BY run_id, min(step_id) OVER (PARTITION BY run_id, load), turn, step_id, scheduled_ns, request_id",
    ).read_all()
    labels = list(zip(*(table.column(k).to_pylist() for k in keys), strict=True))
    names = _in_order(labels)
    number = {name: i for i, name in enumerate(names)}
    which = np.array([number[label] for label in labels], dtype=np.int64)
    arrays = {name: _floats(table.column(name)) for name in figures}
    whole = {name: table.column(name).to_numpy() for name in ("turn", "place")}
    return {
        name: Side(whole["turn"][which == i], whole["place"][which == i], {k: v[which == i] for k, v in arrays.items()})
        for i, name in enumerate(names)
    }


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(column.fill_null(float("nan")).to_numpy(), dtype=np.float64)


def _turns(a: Side, b: Side) -> list[int]:
    """Turns that both took, where they are enough to be paired."""
    both = np.intersect1d(a.turn, b.turn)
    return [int(turn) for turn in both] if len(both) >= LEAST_BLOCKS else []


def weigh(
    kind: Kind, baseline: str, others: list[str], pairs: list[tuple[str, str, Side, Side]], turned: list[list[int]]
) -> Row:
    """Every figure of each pair (arm, load, the baseline's side, the arm's), and which are shown, over all together. ``turned``: for each
    pair the turns that both took, empty where nothing is paired. A turn in which one side has no value of a metric is in none of its figures.
    """
    rows: list[tuple[Row, Difference | None]] = []
    for (arm, load, a, b), turns in zip(pairs, turned, strict=True):
        for metric, figure, paired, found in _figures(a, b, turns):
            rows.append(({"arm": arm, "load": load, "metric": metric, "figure": figure, "turns": paired}, found))
    levels = iter(discovery.adjusted([d.p_value for _, d in rows if d is not None]))
    tests = sum(d is not None for _, d in rows)
    told = [row | _row(row["metric"], d, next(levels) if d is not None else None, tests) for row, d in rows]
    return {
        "kind": kind,
        "baseline": baseline,
        "arms": others,
        "figures": told,
        "assumptions": [*ASSUMPTIONS[kind], *OF_ALL],
    }


def _figures(a: Side, b: Side, turns: list[int]) -> Iterator[tuple[str, str, int, Difference | None]]:
    """(metric, figure, turns that it is of, difference), of what both sides know at all."""
    for column in (*LATENCIES, "ok", "good", "cost_usd"):
        if not (a.sample(column, turns).n and b.sample(column, turns).n):
            continue
        both = a.known(column) & b.known(column)
        own = [turn for turn in turns if turn in both]
        # Too few to be paired: as single requests, what drifts over the run would look like a difference.
        missing = bool(turns) and len(own) < LEAST_BLOCKS
        samples = (a.sample(column, own), b.sample(column, own))
        first = _order(a, b, own)
        if column in LATENCIES:
            for name, p in QUANTILES.items():
                yield column, name, len(own), None if missing else difference.of_quantile(*samples, p, first)
        elif column == "cost_usd":
            yield column, "mean", len(own), None if missing else difference.of_mean(*samples, first)
        else:
            yield f"{column}_share", "share", len(own), None if missing else difference.of_share(*samples, first)


def _order(a: Side, b: Side, turns: list[int]) -> list[bool]:
    """Whether b came before a, of each of ``turns``, in which both have requests."""
    return [bool(b.place[b.turn == turn].min() < a.place[a.turn == turn].min()) for turn in turns]


def _row(metric: str, found: Difference | None, level: float | None, tests: int) -> Row:
    if found is None or level is None:
        empty = ("a", "b", "difference", "low", "high", "relative", "relative_low", "relative_high", "p_value")
        return dict.fromkeys((*empty, "adjusted_p_value", "detectable", "n", "n_effective", "from_turns")) | {
            "verdict": "not enough data"
        }
    shown = level <= discovery.RATE and not found.low <= 0 <= found.high
    good = (found.estimate > 0) == metric.endswith("_share")
    verdict: Verdict = "no difference shown" if not shown else "better" if good else "worse"
    relative = {
        key: value / found.a if found.a > 0 else None
        for key, value in (("relative", found.estimate), ("relative_low", found.low), ("relative_high", found.high))
    }
    return {
        "a": found.a,
        "b": found.b,
        "difference": found.estimate,
        "low": found.low,
        "high": found.high,
        **relative,
        "p_value": found.p_value,
        "adjusted_p_value": level,
        "detectable": found.detectable(tests),
        "n": list(found.n),
        "n_effective": [round(n) for n in found.n_effective],
        "from_turns": found.from_blocks,
        "verdict": verdict,
    }
