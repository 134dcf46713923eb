"""Calls and chats, measured from their entries."""

from __future__ import annotations

from alembic import op

from projections import sql

revision = "0007_contacts"
down_revision = "0006_ticket_details"


def upgrade() -> None:
    """Make the table of the file beside this one, and room for what it is measured from."""
    for statement in sql.statements(__file__, "0007_contacts.sql"):
        op.get_bind().exec_driver_sql(statement)
