"""The log of webhooks: what is to be told, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from console.web.catalogue.store import Store
from console.web.catalogue.tables import BenchmarkRow, DeliveryRow
from console.web.states import OVER


class Deliveries:
    def __init__(self, store: Store) -> None:
        self._session = store.session

    def plan(self, benchmark_id: str, url: str, attempt: int, due_ms: int) -> None:
        """Nothing where the benchmark was deleted meanwhile."""
        try:
            with self._session.begin() as s:
                s.add(DeliveryRow(benchmark_id=benchmark_id, url=url, attempt=attempt, due_ms=due_ms))
        except IntegrityError:
            return

    def forgotten(self) -> Sequence[tuple[str, str]]:
        """(benchmark, webhook) of what is over and was never to be told: the service went away in between."""
        with self._session() as s:
            told = select(DeliveryRow.benchmark_id)
            asked = select(BenchmarkRow.id, BenchmarkRow.webhook).where(
                BenchmarkRow.webhook.is_not(None), BenchmarkRow.state.in_(OVER), BenchmarkRow.id.not_in(told)
            )
            return [(number, url) for number, url in s.execute(asked) if url is not None]

    def due(self, now_ms: int) -> Sequence[DeliveryRow]:
        with self._session() as s:
            asked = select(DeliveryRow).where(DeliveryRow.made_ms.is_(None), DeliveryRow.due_ms <= now_ms)
            return s.scalars(asked.order_by(DeliveryRow.due_ms).limit(20)).all()

    def made(
        self, row: DeliveryRow, now_ms: int, http_status: int | None, error: str | None, again_ms: int | None
    ) -> None:
        """What became of an attempt and, with ``again_ms``, when the next is due: one transaction, so that a crash loses neither.
        Nothing where the benchmark was deleted meanwhile.
        """
        with self._session.begin() as s:
            known = {"made_ms": now_ms, "http_status": http_status, "error": error}
            found = s.scalar(
                update(DeliveryRow).where(DeliveryRow.id == row.id).values(**known).returning(DeliveryRow.id)
            )
            if found is not None and again_ms is not None:
                s.add(DeliveryRow(benchmark_id=row.benchmark_id, url=row.url, attempt=row.attempt + 1, due_ms=again_ms))

    def of(self, benchmark_id: str) -> Sequence[DeliveryRow]:
        """Oldest first; the last may still be to come."""
        with self._session() as s:
            asked = select(DeliveryRow).where(DeliveryRow.benchmark_id == benchmark_id)
            return s.scalars(asked.order_by(DeliveryRow.id)).all()
