"""Alembic's entry: runs on the connection that `database.migrate` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from headwater.control.tables import metadata

connection = context.config.attributes["connection"]
# transaction_per_migration stays off: all steps and the version are one transaction, so a crash leaves no half schema.
context.configure(connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite")
with context.begin_transaction():
    context.run_migrations()
