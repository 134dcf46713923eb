"""Customers and their contact points, as the identity stage wrote them; nothing is written here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from projections.sql import load
from projections.values import texts, texts_or_null

if TYPE_CHECKING:
    import asyncpg

    from projections.postgres import Connection

_CUSTOMER = load(__file__, "customer")
_CONTACT_POINTS = load(__file__, "contact_points")
_BY_CONTACT = load(__file__, "by_contact")


@dataclass(frozen=True, slots=True)
class ContactPoint:
    """An address of a customer, with why and when it was linked to them."""

    tenant: str
    kind: str
    value: str
    customer: str
    verified: bool
    shared: bool
    linked_because: str
    linked_at: datetime


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer under the id that counts; ``tenant`` and ``created_at`` are None where only a history is known."""

    id: str
    tenant: str | None
    created_at: datetime | None


def _contact_point(row: asyncpg.Record) -> ContactPoint:
    return ContactPoint(
        tenant=row["tenant"],
        kind=row["kind"],
        value=row["value"],
        customer=str(row["customer"]),
        verified=row["verified"],
        shared=row["shared"],
        linked_because=row["linked_because"],
        linked_at=row["linked_at"],
    )


async def get(connection: Connection, customer: str) -> Customer | None:
    """The customer of this id, or the one it was merged into; None if there is neither a customer nor a history."""
    row = await connection.fetchrow(_CUSTOMER, customer)
    if row is None or not row["known"]:
        return None
    return Customer(str(row["id"]), row["tenant"], row["created_at"])


async def contact_points(connection: Connection, customer: str) -> list[ContactPoint]:
    """The contact points of a customer, the first linked first."""
    return [_contact_point(row) for row in await connection.fetch(_CONTACT_POINTS, customer)]


async def by_contact(
    connection: Connection, values: Collection[str], kind: str | None = None, tenant: str | None = None, limit: int = 50
) -> list[ContactPoint]:
    """The contact points whose normalised value is one of ``values``; shared ones identify nobody and are left out."""
    return [
        _contact_point(row)
        for row in await connection.fetch(_BY_CONTACT, texts(values), *texts_or_null((kind, tenant)), limit)
    ]
