"""Alembic's entry: migrations run on the connection that ``database.upgrade`` hands over, in one transaction."""

from __future__ import annotations

from alembic import context

from console.web.catalogue.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
