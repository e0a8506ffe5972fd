"""The tables of a store, derived from the run folder's contract: names, types, keys and meanings.

A store's table is the contract's, its columns in their order, after ``organisation``: two hosts may have runs of one id. ``runs`` is
the store's own: what it keeps of each run's manifest, tags and report.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import pyarrow as pa

from console.meanings import column_comments
from generator.schema import OPTIONAL_TABLES, TABLES

VERSION = 1
"""Of the layout that this package writes. Added columns do not change it: a store gains them when next written to."""

ALWAYS = ("steps", "requests")
"""What every export holds."""

ON_REQUEST = tuple(name for name in (*TABLES, *OPTIONAL_TABLES) if name not in ALWAYS)

ORGANISATION = "default"
"""Where none is named."""

_KEYS = {"steps": ("step_id",), "requests": ("request_id",), "tokens": ("request_id", "chunk_index")}
_KEYS |= {"texts": ("request_id",)}


@dataclass(frozen=True, slots=True)
class Column:
    """``type`` is Arrow's; ``json``: text that holds JSON. ``required``: never NULL."""

    name: str
    type: pa.DataType
    meaning: str
    required: bool = False
    json: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """``key`` finds a row: unique where ``unique``; health and server_metrics have no key of their own."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    unique: bool

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([(c.name, c.type) for c in self.columns])


_TEXT = pa.string()
_INSTANT = pa.timestamp("us", tz="UTC")

RUNS = Table(
    "runs",
    (
        Column("organisation", _TEXT, "whose run it is, as the export named it", required=True),
        Column("run_id", _TEXT, "the run folder's name", required=True),
        Column("name", _TEXT, "the scenario's name"),
        Column("created", _INSTANT, "when the run began"),
        Column("verdict", _TEXT, "VALID or INVALID"),
        Column("reasons", _TEXT, "why it is INVALID: an array of texts", json=True),
        Column("interrupted", pa.bool_(), "it was ended early, or its coordinator died"),
        Column("tags", _TEXT, "the export's tags: an object of texts", required=True, json=True),
        Column("rows", _TEXT, "rows of each table that was exported: an object of numbers", required=True, json=True),
        Column("openloop_version", _TEXT, "what ran it"),
        Column("exported", _INSTANT, "when this copy was written", required=True),
        Column("export_id", _TEXT, "of this copy; a new one with each export", required=True),
        Column(
            "fingerprint", _TEXT, "of the run's manifest: which run of this id it is, wherever it ran", required=True
        ),
        Column("manifest", _TEXT, "the run folder's manifest.json, whole", required=True, json=True),
        Column("report", _TEXT, "the JSON report, as `openloop report --format json` gives it", json=True),
    ),
    ("organisation", "run_id"),
    unique=True,
)


@functools.cache
def tables() -> dict[str, Table]:
    """Name → the contract's tables as a store has them, ``runs`` not among them."""
    meanings = column_comments()
    organisation = RUNS.columns[0]
    found = {}
    for name, schema in (TABLES | OPTIONAL_TABLES).items():
        key = _KEYS.get(name, ())
        columns = [
            Column(f.name, f.type, meanings[name].get(f.name, ""), required=f.name in ("run_id", *key)) for f in schema
        ]
        found[name] = Table(name, (organisation, *columns), ("organisation", "run_id", *key), unique=bool(key))
    return found
