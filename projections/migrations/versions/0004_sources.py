"""What each source sent, what it says it sent, and which of its own numbers are missing."""

from __future__ import annotations

from alembic import op

from projections import sql

revision = "0004_sources"
down_revision = "0003_alerts"


def upgrade() -> None:
    """Make the tables of the file beside this one."""
    for statement in sql.statements(__file__, "0004_sources.sql"):
        op.get_bind().exec_driver_sql(statement)
