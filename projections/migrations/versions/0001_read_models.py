"""Histories, tickets, clocks, verdicts, and how far the projector has read."""

from __future__ import annotations

from alembic import op

from projections import sql

revision = "0001_read_models"
down_revision = None


def upgrade() -> None:
    """Make the tables of the file beside this one."""
    for statement in sql.statements(__file__, "0001_read_models.sql"):
        op.get_bind().exec_driver_sql(statement)
