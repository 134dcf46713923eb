"""The person and the queue that a verdict is said of."""

from __future__ import annotations

from alembic import op

from projections import sql

revision = "0008_verdict_owners"
down_revision = "0007_contacts"


def upgrade() -> None:
    """Add what the file beside this one says."""
    for statement in sql.statements(__file__, "0008_verdict_owners.sql"):
        op.get_bind().exec_driver_sql(statement)
