"""What ``openloop sql`` asks of a run: a named query of the catalog, or a person's own SELECT."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from analysis import catalog, database
from generator.errors import QueryError
from generator.run_dir import RunDir

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Answer:
    """Batches of rows, in order; a person's own SELECT may give more of them than memory holds."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.schema.names)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        for batch in self.batches:
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def parameters(texts: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` texts, taken apart. Raises QueryError."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not _NAME.match(name):
            raise QueryError(f"--param {text}: name=value is wanted, such as width=5")
        found[name] = value
    return found


LISTED = ("name", "kind", "question", "parameters")


def listing() -> list[tuple[str, str, str, str]]:
    """A row of LISTED for every named query, by kind and name; parameters with their defaults."""
    queries = sorted(catalog.load().values(), key=lambda q: (q.kind, q.name))
    return [
        (q.name, q.kind, q.question, ", ".join(f"{p.name}={p.default}" for p in catalog.parameters(q.name)))
        for q in queries
    ]


@contextmanager
def asked(run: RunDir, query: str, given: dict[str, str]) -> Iterator[Answer]:
    """The answer to one query. A single word names one of the catalog; anything else is SQL, and one SELECT.

    Raises QueryError for a name that does not exist and for what DuckDB refuses.
    """
    if given and not _NAME.match(query):
        raise QueryError("--param belongs to a named query; write the value into the SQL itself")
    with database.open_runs([run]) as connection:
        if _NAME.match(query):
            result = catalog.run(connection, query, **given)
            table = pa.table({name: [row[i] for row in result.rows] for i, name in enumerate(result.columns)})
            yield Answer(table.schema, iter(table.to_batches(_BATCH)))
        else:
            reader = catalog.arrow(connection, query)
            yield Answer(reader.schema, iter(reader))
