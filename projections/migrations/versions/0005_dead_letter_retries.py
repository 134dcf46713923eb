"""Which dead letters were put back."""

from __future__ import annotations

from alembic import op

from projections import sql

revision = "0005_dead_letter_retries"
down_revision = "0004_sources"


def upgrade() -> None:
    """Make the table of the file beside this one."""
    for statement in sql.statements(__file__, "0005_dead_letter_retries.sql"):
        op.get_bind().exec_driver_sql(statement)
