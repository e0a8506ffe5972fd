"""Runs into stores and back: what ``openloop export``, ``run --export`` and ``runs --store`` do."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from console import exits
from console.stores import address, source, store, tables
from console.stores.address import Address
from console.stores.store import Found
from generator.errors import OpenloopError, StoreError
from generator.run_dir import RunDir

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


def tags(texts: Iterable[str]) -> dict[str, str]:
    """``KEY=VALUE`` texts, taken apart. Raises StoreError."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not _NAME.match(key):
            raise StoreError(
                f"tag {text!r}: key=value is wanted, such as commit=1a2b3c; a key of letters, digits, '.', '_', '-'"
            )
        if found.setdefault(key, value) != value:
            raise StoreError(f"tag {key!r} is given twice: {found[key]!r} and {value!r}")
    return found


def table_names(wanted: Iterable[str]) -> list[str]:
    """What goes always, and ``wanted``, in the contract's order."""
    asked = {*tables.ALWAYS, *wanted}
    return [name for name in tables.tables() if name in asked]


def organisation(name: str) -> str:
    """``name``, where it can be one. Raises StoreError."""
    if not _NAME.match(name):
        raise StoreError(
            f"organisation {name!r}: letters, digits, '.', '_' and '-' only, at most 100, first a letter or digit"
        )
    return name


def checked(urls: Iterable[str]) -> list[Address]:
    """The stores of ``run --export``, before anything is sent: a URL that cannot be right is told now. Connects to none."""
    found = [address.parse(url) for url in urls]
    for one in found:
        store.available(one)
    return found


def export(
    run: RunDir,
    url: str,
    *,
    organisation_name: str,
    run_tags: Mapping[str, str],
    table_names: Sequence[str],
    replace: bool = False,
) -> str:
    """Put one run into one store; a line that says what is there now. Raises OpenloopError."""
    where = address.parse(url)
    owner = organisation(organisation_name)
    with store.opened(where) as there:
        there.reach()
        one = source.of(run, owner, run_tags, table_names, replace=replace)
        rows = there.write(one)
    counted = ", ".join(f"{name} {rows[name]:,}" if name in rows else f"no {name}" for name in table_names)
    return f"{run.run_id}: in {where.shown} as {one.organisation}/{one.run_id}: {counted}{_without_report(one)}"


def _without_report(one: source.Export) -> str:
    return f"; without a report: {one.unjudged}" if one.unjudged else ""


def after_run(
    run: RunDir, stores: Sequence[Address], organisation_name: str, run_tags: Mapping[str, str]
) -> Iterator[tuple[bool, str]]:
    """Export a run that has just ended: (whether it went well, what to tell) for each store. Nothing is raised."""
    one = None
    for where in stores:
        try:
            one = one or source.of(run, organisation_name, run_tags, tables.ALWAYS, replace=False)
            with store.opened(where) as there:
                rows = there.write(one)
        except OpenloopError as e:
            yield False, f"{e}; the run is kept: `openloop export {run.path} URL` tries again"
        except Exception as e:  # noqa: BLE001 - whatever a store's library does, the run it was to receive is good
            yield False, where.redacted(f"store {where.shown}: {type(e).__name__}: {e}; the run is kept in {run.path}")
        else:
            yield True, f"exported: {where.shown}, {sum(rows.values()):,} rows{_without_report(one)}"


@contextmanager
def listed(url: str, which: str | None, organisation_name: str | None, *, whole: bool) -> Iterator[Found]:
    """The runs of a store, newest first; ``which``: ``latest`` or a run id. ``whole``: manifest and report, too.

    Raises StoreError where the run that was asked for is not there.
    """
    where = address.parse(url)
    with store.opened(where) as there:
        found = there.runs(organisation_name, which)
    if which is not None and not found:
        of = f" of organisation {organisation_name!r}" if organisation_name else ""
        wanted = "no runs" if which == "latest" else f"no run {which!r}"
        raise StoreError(f"store {where.shown}: it holds {wanted}{of}")
    columns = list(found[0]) if whole and found else list(store.LISTED)
    yield Found(columns, (tuple(_plain(run[name]) for name in columns) for run in found))


@contextmanager
def queried(url: str, text: str, table: str | None) -> Iterator[Found]:
    """What the store's own language answers. Raises StoreError."""
    with store.opened(address.parse(url)) as there:
        found = there.query(text, table)
        # Closed even where a table took only the first of the rows: a server's cursor hangs on them.
        with contextlib.closing(found.rows) as rows:
            yield Found(found.columns, (tuple(_plain(value) for value in row) for row in rows))


def _plain(value: Any) -> Any:
    """Instants as RFC 3339 in UTC, alike whichever store they come from."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value


def code(failures: Sequence[OpenloopError]) -> int:
    """The exit code of an export of several runs: that of the failures, by precedence."""
    return exits.first(e.exit_code for e in failures)
