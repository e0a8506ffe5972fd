"""The catalogue's tables. Instants are milliseconds since 1970 in UTC, because SQLite keeps no time zones; NULL is not known.

A change here needs a migration in ``migrations/versions``; a test holds the two against each other.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Float, ForeignKey, Index, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=_NAMES)


class BenchmarkRow(Base):
    """One benchmark, which is one run: ``id`` is the run's. Figures are copied here so that lists read no run folder."""

    __tablename__ = "benchmarks"

    id: Mapped[str] = mapped_column(String(100), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), index=True)
    state: Mapped[str] = mapped_column(String(20), index=True)
    origin: Mapped[str] = mapped_column(String(10))
    model: Mapped[str | None] = mapped_column(String(200), index=True)
    provider: Mapped[str | None] = mapped_column(String(100))
    target: Mapped[str | None] = mapped_column(Text)
    created_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    started_ms: Mapped[int | None] = mapped_column(BigInteger)
    ended_ms: Mapped[int | None] = mapped_column(BigInteger)
    scenario: Mapped[str | None] = mapped_column(Text)
    submission: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    scenario_digest: Mapped[str | None] = mapped_column(String(80))
    lanes: Mapped[list[str]] = mapped_column(JSON, default=list)
    """Targets that it loads: the queue runs so many at a time of each."""
    env_names: Mapped[list[str]] = mapped_column(JSON, default=list)
    """Variables of the server's environment that its run is given; never their values."""
    webhook: Mapped[str | None] = mapped_column(Text)
    stop_asked: Mapped[bool] = mapped_column(Boolean, default=False)
    pid: Mapped[int | None] = mapped_column(Integer)
    pid_created_s: Mapped[float | None] = mapped_column(Float)
    verdict: Mapped[str | None] = mapped_column(String(10))
    reasons: Mapped[list[str]] = mapped_column(JSON, default=list)
    error: Mapped[str | None] = mapped_column(Text)
    exit_code: Mapped[int | None] = mapped_column(Integer)
    figured: Mapped[bool] = mapped_column(Boolean, default=False)
    """Whether the columns below, and ``figures``, were filled or found not to be had."""
    requests: Mapped[int | None] = mapped_column(BigInteger)
    ok: Mapped[int | None] = mapped_column(BigInteger)
    success_rate: Mapped[float | None] = mapped_column(Float)
    duration_s: Mapped[float | None] = mapped_column(Float)
    ttft_p50_ms: Mapped[float | None] = mapped_column(Float)
    ttft_p99_ms: Mapped[float | None] = mapped_column(Float)
    tpot_p50_ms: Mapped[float | None] = mapped_column(Float)
    e2e_p99_ms: Mapped[float | None] = mapped_column(Float)
    requests_per_s: Mapped[float | None] = mapped_column(Float)
    output_tokens_per_s: Mapped[float | None] = mapped_column(Float)
    goodput_rps: Mapped[float | None] = mapped_column(Float)
    attainment: Mapped[float | None] = mapped_column(Float)
    cost_usd: Mapped[float | None] = mapped_column(Float)

    __table_args__ = (Index(None, "state", "created_ms"), Index(None, "name", "created_ms"))


def storable(text: str, most_chars: int = 10_000) -> str:
    """``text`` as any database takes it: PostgreSQL refuses U+0000, which a target's words may hold, and what is too long."""
    return text.replace("\0", "\ufffd")[:most_chars]


class TagRow(Base):
    __tablename__ = "tags"

    benchmark_id: Mapped[str] = mapped_column(ForeignKey("benchmarks.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(100), primary_key=True, index=True)


class FigureRow(Base):
    """One figure of one step with its 95 % interval, for histories."""

    __tablename__ = "figures"

    benchmark_id: Mapped[str] = mapped_column(ForeignKey("benchmarks.id", ondelete="CASCADE"), primary_key=True)
    step_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    metric: Mapped[str] = mapped_column(String(40), primary_key=True)
    label: Mapped[str] = mapped_column(Text)
    value: Mapped[float | None] = mapped_column(Float)
    low: Mapped[float | None] = mapped_column(Float)
    high: Mapped[float | None] = mapped_column(Float)


class DeliveryRow(Base):
    """One attempt to tell a webhook, made or still to be made."""

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    benchmark_id: Mapped[str] = mapped_column(ForeignKey("benchmarks.id", ondelete="CASCADE"), index=True)
    url: Mapped[str] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(Integer)
    due_ms: Mapped[int] = mapped_column(BigInteger)
    made_ms: Mapped[int | None] = mapped_column(BigInteger)
    http_status: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str | None] = mapped_column(Text)


FIGURES = (
    "requests",
    "ok",
    "success_rate",
    "duration_s",
    "ttft_p50_ms",
    "ttft_p99_ms",
    "tpot_p50_ms",
    "e2e_p99_ms",
    "requests_per_s",
    "output_tokens_per_s",
    "goodput_rps",
    "attainment",
    "cost_usd",
)
"""Columns of BenchmarkRow that are figures, as ``shapes.Figures`` has them."""
