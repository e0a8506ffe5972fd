"""The SQL files under ``analysis/sql``: find them, check their headers, run them by name.

A file is one SELECT with one relation and one grain. Its header, from the first line to the first line that is no comment, says so::

    -- name: ttft_percentiles
    -- question: How long until the first token?
    -- grain: run_id, step_id
    -- parameter: width INTEGER 10 requests in flight to a bucket
    -- column: run_id, step_id [-] the step
    -- column: p50_ms [ms] the median,
    --   on as many lines as it takes

``grain`` lists the columns that no two rows share, or ``whole`` for a relation of one row. ``materialise: yes`` marks a
relation that is computed once and kept, because many others read it; it and all below it take no parameters. Parameters are DuckDB variables (``getvariable('width')``), because a view takes no ``$width``.
"""

from __future__ import annotations

import difflib
import functools
import graphlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Literal

from generator.errors import QueryError

Kind = Literal["staging", "metrics", "reports", "profiles", "checks"]
KINDS: tuple[Kind, ...] = ("staging", "metrics", "reports", "profiles", "checks")

_KEYS = ("name", "question", "grain", "materialise", "parameter", "column")
_LINE = re.compile(r"-- ([a-z]+): (\S.*)")
_COLUMN = re.compile(r"([a-z][a-z0-9_]*(?:, [a-z][a-z0-9_]*)*) \[([^\]]+)\] (\S.*)")
_PARAMETER = re.compile(r"([a-z][a-z0-9_]*) (DOUBLE|INTEGER|VARCHAR) (NULL|'[^']*'|-?[0-9.]+) (\S.*)")
_REFERENCE = re.compile(r"\b(?:FROM|JOIN)\s+([a-z_][a-z0-9_]*)")
_COMMENT = re.compile(r"--[^\n]*")


@dataclass(frozen=True, slots=True)
class Parameter:
    """``default`` is SQL text."""

    name: str
    type: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Column:
    """``unit`` is ``-`` where there is none."""

    name: str
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Query:
    """One SQL file. ``path`` is relative to ``analysis/sql``; ``reads`` are the relations of the catalog that it names."""

    name: str
    kind: Kind
    question: str
    grain: tuple[str, ...]
    materialise: bool
    parameters: tuple[Parameter, ...]
    columns: tuple[Column, ...]
    sql: str
    path: str

    @property
    def mentions(self) -> frozenset[str]:
        """Every relation after a FROM or a JOIN, its own steps included."""
        return frozenset(_REFERENCE.findall(_COMMENT.sub("", self.sql)))


def parse(text: str, path: str) -> Query:
    """One file's text → a Query. Raises QueryError that names file, line and what is wanted."""
    lines = text.splitlines()
    header: list[tuple[int, str, str]] = []
    end = 0
    for number, line in enumerate(lines, 1):
        if not line.startswith("--"):
            break
        end = number
        if line.startswith("--   ") and header:
            at, key, value = header[-1]
            header[-1] = (at, key, f"{value} {line[5:].strip()}")
            continue
        match = _LINE.fullmatch(line.rstrip())
        if match is None or match[1] not in _KEYS:
            raise QueryError(
                f"{path}:{number}: `{line}`: a header line is `-- key: text`, key one of {', '.join(_KEYS)}"
            )
        header.append((number, match[1], match[2]))
    single = _singles(header, path)
    kind, stem = path.removesuffix(".sql").split("/")
    if single["name"] != stem:
        raise QueryError(f"{path}: name is {single['name']!r}; the file's name wants {stem!r}")
    if kind not in KINDS:
        raise QueryError(f"{path}: a folder is one of {', '.join(KINDS)}")
    columns = tuple(_columns(header, path))
    grain = () if single["grain"] == "whole" else tuple(single["grain"].split(", "))
    if strange := [g for g in grain if g not in {c.name for c in columns}]:
        raise QueryError(f"{path}: grain: {', '.join(strange)}: no such column")
    parameters = tuple(_parameters(header, path))
    if parameters and "materialise" in single:
        raise QueryError(f"{path}: a relation that is kept cannot take parameters")
    sql = "\n".join(lines[end:]).strip()
    if not sql:
        raise QueryError(f"{path}: no SELECT after the header")
    return Query(
        single["name"],
        kind,
        single["question"],
        grain,
        single.get("materialise") == "yes",
        parameters,
        columns,
        sql,
        path,
    )


def _singles(header: list[tuple[int, str, str]], path: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, key, value in header:
        if key in ("parameter", "column"):
            continue
        if key in found:
            raise QueryError(f"{path}:{number}: a second `{key}`")
        found[key] = value
    if missing := [k for k in ("name", "question", "grain") if k not in found]:
        raise QueryError(f"{path}: the header lacks {', '.join(missing)}")
    if found.get("materialise", "yes") != "yes":
        raise QueryError(f"{path}: materialise: `yes`, or leave the line out")
    return found


def _columns(header: list[tuple[int, str, str]], path: str) -> Iterator[Column]:
    seen: set[str] = set()
    for number, _, value in (h for h in header if h[1] == "column"):
        match = _COLUMN.fullmatch(value)
        if match is None:
            raise QueryError(f"{path}:{number}: `{value}`: a column line is `name, name [unit] meaning`")
        for name in match[1].split(", "):
            if name in seen:
                raise QueryError(f"{path}:{number}: column {name!r} a second time")
            seen.add(name)
            yield Column(name, match[2], match[3])
    if not seen:
        raise QueryError(f"{path}: the header names no columns")


def _parameters(header: list[tuple[int, str, str]], path: str) -> Iterator[Parameter]:
    for number, _, value in (h for h in header if h[1] == "parameter"):
        match = _PARAMETER.fullmatch(value)
        if match is None:
            raise QueryError(f"{path}:{number}: `{value}`: a parameter line is `name TYPE default meaning`")
        yield Parameter(*match.groups())


def root() -> Traversable:
    """``analysis/sql``, in the source tree or in an installed wheel."""
    return resources.files("analysis") / "sql"


@functools.cache
def load() -> Mapping[str, Query]:
    """Every query by name, each after those that it reads. Raises QueryError on a bad header, a name used twice, a cycle."""
    found: dict[str, Query] = {}
    for kind in KINDS:
        for file in sorted((root() / kind).iterdir(), key=lambda f: f.name):
            if file.name.endswith(".sql"):
                query = parse(file.read_text(encoding="utf-8"), f"{kind}/{file.name}")
                if query.name in found:
                    raise QueryError(f"{query.path}: the name is taken by {found[query.name].path}")
                found[query.name] = query
    order = graphlib.TopologicalSorter({q.name: sorted(q.mentions & found.keys() - {q.name}) for q in found.values()})
    try:
        return {name: found[name] for name in order.static_order()}
    except graphlib.CycleError as e:
        raise QueryError(f"analysis/sql: these read one another in a circle: {' → '.join(e.args[1])}") from e


def find(name: str) -> Query:
    """The query of that name. Raises QueryError with the nearest names, or all of them."""
    queries = load()
    if name in queries:
        return queries[name]
    near = difflib.get_close_matches(name, queries, n=3, cutoff=0.5)
    hint = f"nearest: {', '.join(near)}" if near else f"there are: {', '.join(sorted(queries))}"
    raise QueryError(f"no query {name!r}; {hint}")


def needs(name: str) -> list[Query]:
    """The query and all that it rests on, however far below, each after those that it reads."""
    queries = load()
    wanted: set[str] = set()
    left = [name]
    while left:
        at = left.pop()
        if at in queries and at not in wanted:
            wanted.add(at)
            left += queries[at].mentions
    return [q for q in queries.values() if q.name in wanted]


def parameters(name: str) -> list[Parameter]:
    """Those of the query and of all that it rests on, each name once: all of them change its rows."""
    return list({p.name: p for query in needs(name) for p in query.parameters}.values())


def literal(parameter: Parameter, value: Any) -> str:
    """A parameter's value as SQL text. Raises QueryError where it is not of the type."""
    if value is None:
        return "NULL"
    try:
        if parameter.type == "VARCHAR":
            return "'" + str(value).replace("'", "''") + "'"
        return repr(int(value) if parameter.type == "INTEGER" else float(value))
    except (TypeError, ValueError):
        raise QueryError(f"parameter {parameter.name}: {value!r} is no {parameter.type}") from None
