"""What each repetition measured, load by load, as arrays out of SQL."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from analysis import catalog
from analysis.repeats.estimate import Values

LATENCIES = ("ttft_ms", "ttft_wire_ms", "ttfo_ms", "ttst_ms", "tpot_ms", "ntpot_ms", "e2e_ms", "lateness_ms")

Key = tuple[str, str | None]
"""Load and arm."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One load of one repetition. ``columns`` [n] float64, NaN for unknown; ``at``, ``done`` [n] and ``seconds`` [m, 2] on the load's own axis
    from 0 to 1; ``tokens`` [m]. ``rates`` a second, None where there is no window; ``good_known``: an SLO says which are good.
    """

    closed: bool
    window_s: float
    at: Values
    done: Values
    ok: NDArray[np.bool_]
    good: NDArray[np.bool_]
    good_known: bool
    columns: dict[str, Values]
    seconds: Values
    tokens: Values
    rates: dict[str, float | None]

    def known(self, column: str) -> tuple[Values, Values]:
        """(values, when they were due) of those that are known."""
        there = ~np.isnan(self.columns[column])
        return self.columns[column][there], self.at[there]


def measured(con: DuckDBPyConnection) -> dict[Key, dict[str, Measured]]:
    """Load and arm → run id → what it measured, for all runs that ``con`` has open; loads in the order of the first run's steps."""
    facts = _facts(con)
    requests = _by_load(con, "repeated_requests", ("at_share", "done_share", "ok", "good", *LATENCIES))
    flows = _by_load(con, "repeated_seconds", ("from_share", "to_share", "output_tokens"))
    found: dict[Key, dict[str, Measured]] = {}
    for (run_id, load, arm), row in facts.items():
        here = requests.get((run_id, load, arm))
        if here is None or not row["window_s"]:
            continue
        flow = flows.get((run_id, load, arm)) or dict.fromkeys(
            ("from_share", "to_share", "output_tokens"), np.zeros(0, dtype=np.float64)
        )
        found.setdefault((load, arm), {})[run_id] = Measured(
            closed=row["closed"],
            window_s=row["window_s"],
            at=here["at_share"],
            done=here["done_share"],
            ok=here["ok"] == 1,
            good=here["good"] == 1,
            good_known=not np.isnan(here["good"]).all(),
            columns={name: here[name] for name in LATENCIES},
            seconds=np.column_stack([flow["from_share"], flow["to_share"]]),
            tokens=flow["output_tokens"],
            rates={key: row[key] for key in ("requests", "goodput", "output_tokens")},
        )
    return found


def _facts(con: DuckDBPyConnection) -> dict[tuple[str, str, str | None], dict[str, Any]]:
    """Rates over the whole of each load's window, from the relations that the reports of single runs have them from."""
    rows = catalog.query(
        con,
        "SELECT s.run_id, s.load, s.arm, bool_or(w.closed) AS closed, sum(w.window_s) AS window_s, "
        "sum(t.ok_requests) / sum(t.window_s) AS requests, sum(t.output_tokens) / sum(t.window_s) AS output_tokens, "
        "CASE WHEN any_value(g.slo) IS NOT NULL THEN sum(g.good_requests) / sum(w.window_s) END AS goodput "
        "FROM compared_steps AS s JOIN step_windows AS w USING (run_id, step_id) LEFT JOIN throughput AS t USING (run_id, step_id) "
        "LEFT JOIN goodput AS g USING (run_id, step_id) GROUP BY s.run_id, s.load, s.arm ORDER BY min(s.step_id), s.run_id",
    ).dicts()
    return {(r["run_id"], r["load"], r["arm"]): r for r in rows}


def _by_load(
    con: DuckDBPyConnection, relation: str, columns: tuple[str, ...]
) -> dict[tuple[str, str, str | None], dict[str, Values]]:
    listed = ", ".join(f"{name}::DOUBLE AS {name}" for name in columns)
    order = columns[0]
    table = catalog.arrow(
        con, f"SELECT run_id, load, arm, {listed} FROM {relation} ORDER BY run_id, load, arm, {order}"
    ).read_all()
    labels = list(zip(*(table.column(k).to_pylist() for k in ("run_id", "load", "arm")), strict=True))
    arrays = {name: _floats(table.column(name)) for name in columns}
    edges = [i for i, label in enumerate(labels) if i == 0 or label != labels[i - 1]] + [len(labels)]
    return {
        labels[a]: {name: column[a:b] for name, column in arrays.items()} for a, b in itertools.pairwise(edges) if b > a
    }


def _floats(column: pa.ChunkedArray) -> Values:
    return np.asarray(column.fill_null(float("nan")).to_numpy(), dtype=np.float64)


def gaps(con: DuckDBPyConnection) -> dict[Key, tuple[Values, NDArray[np.int64]]]:
    """Load and arm → (gaps between chunks in ms, ascending; how often each occurs), of all runs together."""
    rows = catalog.query(
        con,
        "SELECT s.load, s.arm, i.gap_us / 1000 AS ms, sum(i.n)::BIGINT AS n FROM icl_counts AS i JOIN compared_steps AS s USING (run_id, step_id) "
        "GROUP BY ALL ORDER BY s.load, s.arm, ms",
    ).rows
    found: dict[Key, tuple[list[float], list[int]]] = {}
    for load, arm, ms, n in rows:
        values, counts = found.setdefault((load, arm), ([], []))
        values.append(ms)
        counts.append(n)
    return {key: (np.array(values), np.array(counts, dtype=np.int64)) for key, (values, counts) in found.items()}
