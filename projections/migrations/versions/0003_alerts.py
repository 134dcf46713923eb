"""Alerts, what each receiver was told of them, and how far the verdicts were read for it."""

from __future__ import annotations

from alembic import op

from projections import sql

revision = "0003_alerts"
down_revision = "0002_identity"


def upgrade() -> None:
    """Make the tables of the file beside this one."""
    for statement in sql.statements(__file__, "0003_alerts.sql"):
        op.get_bind().exec_driver_sql(statement)
