"""What the service asks of its database: add, find, list, move from state to state. Each call is one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import defer, sessionmaker

from console.web.catalogue import database
from console.web.catalogue.tables import FIGURES, BenchmarkRow, FigureRow, TagRow
from console.web.states import NEXT, OVER, Event, State

SORTS = ("created", "started", "ended", "name", "model", "state", "verdict", *FIGURES)
"""What a list may be sorted by; a minus before it turns the order round."""

_SHORT = (defer(BenchmarkRow.scenario, raiseload=True), defer(BenchmarkRow.submission, raiseload=True))
"""Where many rows are read, or one often: what was submitted may be megabytes each."""

_TIMES = ("created", "started", "ended")


@dataclass(frozen=True, slots=True)
class Filter:
    """``name`` and ``model``: any that contain this text, whatever its case; ``tags``: all of them."""

    states: tuple[State, ...] = ()
    name: str | None = None
    model: str | None = None
    tags: tuple[str, ...] = ()
    sort: str = "-created"
    page: int = 1
    size: int = 50


@dataclass(frozen=True, slots=True)
class Point:
    """A figure of a step: what ``figures`` keeps."""

    step_id: int
    label: str
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """``tags`` by benchmark."""

    total: int
    rows: Sequence[BenchmarkRow]
    tags: Mapping[str, list[str]] = field(default_factory=dict)


class Store:
    """Raises RunFolderError where the database cannot be opened. Rows that it gives are copies, which nothing writes back."""

    def __init__(self, url: str) -> None:
        self.engine = database.opened(url)
        self.session = sessionmaker(self.engine, expire_on_commit=False)

    def close(self) -> None:
        self.engine.dispose()

    def add(self, row: BenchmarkRow, tags: Iterable[str] = ()) -> bool:
        """False where the id is taken."""
        try:
            with self.session.begin() as s:
                s.add(row)
                s.flush()
                s.add_all(TagRow(benchmark_id=row.id, tag=tag) for tag in dict.fromkeys(tags))
        except IntegrityError:
            return False
        return True

    def get(self, benchmark_id: str, *, short: bool = False) -> tuple[BenchmarkRow, list[str]] | None:
        """``short``: without its scenario and submission."""
        with self.session() as s:
            row = s.get(BenchmarkRow, benchmark_id, options=_SHORT if short else ())
            return None if row is None else (row, self._tags(s, [row.id]).get(row.id, []))

    def page(self, wanted: Filter) -> Listed:
        found = _filtered(select(BenchmarkRow), wanted)
        falling = wanted.sort.startswith("-")
        name = wanted.sort.removeprefix("-")
        column = getattr(BenchmarkRow, f"{name}_ms" if name in _TIMES else name)
        order = (column.desc() if falling else column.asc()).nulls_last()
        with self.session() as s:
            total = s.scalar(_filtered(select(func.count()).select_from(BenchmarkRow), wanted)) or 0
            page = found.order_by(order, BenchmarkRow.id).offset((wanted.page - 1) * wanted.size).limit(wanted.size)
            rows = s.scalars(page.options(*_SHORT)).all()
            return Listed(total, rows, self._tags(s, [r.id for r in rows]))

    def _tags(self, s: Any, ids: Sequence[str]) -> dict[str, list[str]]:
        tags: dict[str, list[str]] = {}
        for row in s.scalars(select(TagRow).where(TagRow.benchmark_id.in_(ids)).order_by(TagRow.tag)):
            tags.setdefault(row.benchmark_id, []).append(row.tag)
        return tags

    def origins(self) -> dict[str, str]:
        """Where each benchmark came from, by id."""
        with self.session() as s:
            return {row[0]: row[1] for row in s.execute(select(BenchmarkRow.id, BenchmarkRow.origin))}

    def in_state(self, state: State) -> Sequence[BenchmarkRow]:
        """Oldest first, which is the order of the queue."""
        with self.session() as s:
            asked = select(BenchmarkRow).where(BenchmarkRow.state == state)
            return s.scalars(asked.order_by(BenchmarkRow.created_ms, BenchmarkRow.id).options(*_SHORT)).all()

    def count(self, state: State) -> int:
        with self.session() as s:
            return s.scalar(select(func.count()).where(BenchmarkRow.state == state)) or 0

    def counts(self) -> dict[str, int]:
        with self.session() as s:
            return {
                row[0]: row[1]
                for row in s.execute(select(BenchmarkRow.state, func.count()).group_by(BenchmarkRow.state))
            }

    def before(self, row: BenchmarkRow) -> int:
        """How many wait in front of one that waits."""
        earlier = or_(
            BenchmarkRow.created_ms < row.created_ms,
            (BenchmarkRow.created_ms == row.created_ms) & (BenchmarkRow.id < row.id),
        )
        with self.session() as s:
            return s.scalar(select(func.count()).where(BenchmarkRow.state == State.QUEUED, earlier)) or 0

    def move(self, benchmark_id: str, event: Event, *, only: State | None = None, **values: Any) -> bool:
        """One step of the state table, from the state ``only`` where that is given, with what was learned; False where the benchmark is
        in no state for it.

        The state is compared and set by one statement, so that of two that happen at once one wins.
        """
        froms = [state for (state, what) in NEXT if what is event and only in (None, state)]
        with self.session.begin() as s:
            for state in froms:
                moved = s.scalar(
                    update(BenchmarkRow)
                    .where(BenchmarkRow.id == benchmark_id, BenchmarkRow.state == state)
                    .values(state=NEXT[state, event], **values)
                    .returning(BenchmarkRow.id)
                )
                if moved is not None:
                    return True
        return False

    def set(self, benchmark_id: str, **values: Any) -> None:
        with self.session.begin() as s:
            s.execute(update(BenchmarkRow).where(BenchmarkRow.id == benchmark_id).values(**values))

    def set_figures(self, benchmark_id: str, figures: Mapping[str, Any], points: Iterable[Point]) -> None:
        """Replace what is known of a run's results."""
        with self.session.begin() as s:
            known = {name: figures.get(name) for name in FIGURES}
            s.execute(update(BenchmarkRow).where(BenchmarkRow.id == benchmark_id).values(figured=True, **known))
            s.execute(delete(FigureRow).where(FigureRow.benchmark_id == benchmark_id))
            s.add_all(
                FigureRow(
                    benchmark_id=benchmark_id,
                    step_id=p.step_id,
                    label=p.label,
                    metric=p.metric,
                    value=p.value,
                    low=p.low,
                    high=p.high,
                )
                for p in points
            )

    def not_figured(self, most: int) -> list[str]:
        """Runs that are over and whose results nobody has looked at yet, newest first."""
        with self.session() as s:
            asked = select(BenchmarkRow.id).where(BenchmarkRow.figured.is_(False), BenchmarkRow.state.in_(OVER))
            return list(s.scalars(asked.order_by(BenchmarkRow.created_ms.desc()).limit(most)))

    def drop(self, benchmark_id: str) -> None:
        with self.session.begin() as s:
            s.execute(delete(BenchmarkRow).where(BenchmarkRow.id == benchmark_id))

    def scenario_names(self, text: str) -> bool:
        """Whether the scenario of any benchmark has ``text`` in it."""
        with self.session() as s:
            asked = select(BenchmarkRow.id).where(BenchmarkRow.scenario.contains(text, autoescape=True))
            return s.scalar(asked.limit(1)) is not None

    def history(self, name: str, metrics: Sequence[str], most: int) -> list[tuple[BenchmarkRow, FigureRow]]:
        """Figures of the newest ``most`` runs of that name, oldest first."""
        with self.session() as s:
            newest = (
                select(BenchmarkRow.id)
                .where(BenchmarkRow.name == name, BenchmarkRow.state.in_(OVER))
                .order_by(BenchmarkRow.created_ms.desc())
                .limit(most)
            )
            asked = (
                select(BenchmarkRow, FigureRow)
                .join(FigureRow, FigureRow.benchmark_id == BenchmarkRow.id)
                .where(BenchmarkRow.id.in_(newest.scalar_subquery()), FigureRow.metric.in_(metrics))
                .order_by(BenchmarkRow.created_ms, BenchmarkRow.id, FigureRow.step_id)
                .options(*_SHORT)
            )
            return [(b, f) for b, f in s.execute(asked)]

    def names(self, most: int) -> list[tuple[str, int]]:
        """Names and how many runs have each, the most used first."""
        with self.session() as s:
            n = func.count()
            asked = select(BenchmarkRow.name, n).group_by(BenchmarkRow.name).order_by(n.desc(), BenchmarkRow.name)
            return [(name, count) for name, count in s.execute(asked.limit(most))]


def _filtered(asked: Select[Any], wanted: Filter) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.states:
        conditions.append(BenchmarkRow.state.in_(wanted.states))
    for column, text in ((BenchmarkRow.name, wanted.name), (BenchmarkRow.model, wanted.model)):
        if text:
            conditions.append(column.icontains(text, autoescape=True))
    conditions += [BenchmarkRow.id.in_(select(TagRow.benchmark_id).where(TagRow.tag == tag)) for tag in wanted.tags]
    return asked.where(*conditions)
