"""Benchmarks with their tags and figures, and the log of webhooks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_FIGURES = (
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


def upgrade() -> None:
    op.create_table(
        "benchmarks",
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("origin", sa.String(10), nullable=False),
        sa.Column("model", sa.String(200)),
        sa.Column("provider", sa.String(100)),
        sa.Column("target", sa.Text),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("started_ms", sa.BigInteger),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("scenario", sa.Text),
        sa.Column("submission", sa.JSON),
        sa.Column("scenario_digest", sa.String(80)),
        sa.Column("lanes", sa.JSON, nullable=False),
        sa.Column("env_names", sa.JSON, nullable=False),
        sa.Column("webhook", sa.Text),
        sa.Column("stop_asked", sa.Boolean, nullable=False),
        sa.Column("pid", sa.Integer),
        sa.Column("pid_created_s", sa.Float),
        sa.Column("verdict", sa.String(10)),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("exit_code", sa.Integer),
        sa.Column("figured", sa.Boolean, nullable=False),
        sa.Column("requests", sa.BigInteger),
        sa.Column("ok", sa.BigInteger),
        *(sa.Column(name, sa.Float) for name in _FIGURES),
        sa.PrimaryKeyConstraint("id", name="pk_benchmarks"),
    )
    for columns in (["name"], ["state"], ["model"], ["created_ms"], ["state", "created_ms"], ["name", "created_ms"]):
        op.create_index(f"ix_benchmarks_{'_'.join(columns)}", "benchmarks", columns)
    op.create_table(
        "tags",
        _of_benchmark("tags"),
        sa.Column("tag", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("benchmark_id", "tag", name="pk_tags"),
    )
    op.create_index("ix_tags_tag", "tags", ["tag"])
    op.create_table(
        "figures",
        _of_benchmark("figures"),
        sa.Column("step_id", sa.Integer, nullable=False),
        sa.Column("metric", sa.String(40), nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("low", sa.Float),
        sa.Column("high", sa.Float),
        sa.PrimaryKeyConstraint("benchmark_id", "step_id", "metric", name="pk_figures"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False, autoincrement=True),
        _of_benchmark("deliveries"),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("due_ms", sa.BigInteger, nullable=False),
        sa.Column("made_ms", sa.BigInteger),
        sa.Column("http_status", sa.Integer),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_benchmark_id", "deliveries", ["benchmark_id"])


def _of_benchmark(table: str) -> sa.Column[str]:
    return sa.Column(
        "benchmark_id",
        sa.String(100),
        sa.ForeignKey("benchmarks.id", ondelete="CASCADE", name=f"fk_{table}_benchmark_id"),
        nullable=False,
    )


def downgrade() -> None:
    for table in ("deliveries", "figures", "tags", "benchmarks"):
        op.drop_table(table)
