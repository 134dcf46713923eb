"""Customers, their contact points, whose each event is, and the configurations published."""

from __future__ import annotations

from alembic import op

from projections import sql

revision = "0002_identity"
down_revision = "0001_read_models"


def upgrade() -> None:
    """Make the tables of the file beside this one."""
    for statement in sql.statements(__file__, "0002_identity.sql"):
        op.get_bind().exec_driver_sql(statement)
