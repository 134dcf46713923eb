"""What alembic runs: it upgrades on the connection that ``projections.migrate`` opened and locked."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], target_metadata=None)
context.run_migrations()
