"""How far a ticket was escalated, what it is about and linked to, what it was merged with, and who acted on it."""

from __future__ import annotations

from alembic import op

from projections import sql

revision = "0006_ticket_details"
down_revision = "0005_dead_letter_retries"


def upgrade() -> None:
    """Add the columns of the file beside this one."""
    for statement in sql.statements(__file__, "0006_ticket_details.sql"):
        op.get_bind().exec_driver_sql(statement)
