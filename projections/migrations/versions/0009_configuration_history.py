"""Who published each version of what is configured, and in which words."""

from __future__ import annotations

from alembic import op

from projections import sql

revision = "0009_configuration_history"
down_revision = "0008_verdict_owners"


def upgrade() -> None:
    """Run the statements of the file beside this one."""
    for statement in sql.statements(__file__, "0009_configuration_history.sql"):
        op.get_bind().exec_driver_sql(statement)
