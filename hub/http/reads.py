"""The reading API: histories, customers, tickets and verdicts, from PostgreSQL.

Lists are paged by opaque cursors that stay good while new entries arrive. Customers that were merged answer under both
ids; ``customer`` then says which one counts.
"""

from __future__ import annotations

import binascii
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from adapters.email.vendor import address
from adapters.phones import e164
from domain.policies import STATUSES
from domain.ticket_rules import FINISHED
from hub.http import answers, source_answers, verdict_answers
from hub.http.backends import Here
from hub.http.live import follow
from hub.http.problems import Refused, described
from hub.http.security import require_token
from hub.sla.basis import basis_of
from projections.customers import store as customers
from projections.postgres import reading
from projections.sources import shown
from projections.tickets import store as tickets
from projections.timeline import store as timeline
from projections.verdicts import store as verdicts
from runtime.clock import SECOND

if TYPE_CHECKING:
    from projections.postgres import Connection

_CURSOR = struct.Struct(">q16s")
_MOST_OPEN = 100
OPEN = tuple(status for status in STATUSES if status not in FINISHED)

Limit = Annotated[int, Query(ge=1, le=200, description="Most items on a page.")]
Cursor = Annotated[str | None, Query(max_length=64, description="`next` of the page before.")]


def cursor_of(at: int, key: str) -> str:
    """A place in a list, as text that means nothing to the caller."""
    return urlsafe_b64encode(_CURSOR.pack(at, UUID(key).bytes)).decode()


def place_of(cursor: str | None) -> tuple[int, str] | None:
    """The instant and id that a cursor stands for. Answers 422 when it is none of ours."""
    if cursor is None:
        return None
    try:
        at, key = _CURSOR.unpack(urlsafe_b64decode(cursor.encode("ascii")))
    except (binascii.Error, struct.error, ValueError) as error:
        raise Refused(422, "cursor is not the `next` of a page; begin again without one", "bad_cursor") from error
    return at, str(UUID(bytes=key))


def spellings(contact: str) -> list[str]:
    """What a contact point may stand as in the tables, by what somebody typed: a number, an address, an id."""
    given = contact.strip()
    if contact.startswith(" ") and given[:1].isdigit():
        given = f"+{given}"  # a plus sign that nobody encoded arrives as a blank
    found = [given]
    if "@" in given and (mail := address(given)):
        found.append(mail)
    if "@" not in given and (number := e164(given)):
        found.append(number)
    return list(dict.fromkeys(found))


async def known(connection: Connection, customer: UUID) -> customers.Customer:
    """The customer under the id that counts. Answers 404."""
    found = await customers.get(connection, str(customer))
    if found is None:
        raise Refused(404, "no customer has this id", "unknown_customer")
    return found


async def ticket_of(connection: Connection, ticket: UUID) -> answers.Ticket:
    """The ticket. Answers 404."""
    found = await tickets.get(connection, str(ticket))
    if found is None:
        raise Refused(404, "no ticket has this id", "unknown_ticket")
    return answers.Ticket.of(found)


@dataclass(frozen=True, slots=True)
class Watched:
    """Whose history is to be told live, and from after which sequence on."""

    customer: str
    after: int


async def watched(
    here: Here,
    id: UUID,
    after: Annotated[
        int | None, Query(ge=0, description="Begin after this sequence; by default with what arrives from now on.")
    ] = None,
    last_event_id: Annotated[int | None, Header(ge=0, description="The id of the last event received.")] = None,
) -> Watched:
    """A dependency of live streams, settled before the answer begins, so that it can still be 404 or 503."""
    here.signals.admit()
    async with reading(here.pool) as connection:
        customer = (await known(connection, id)).id
        begin = after if last_event_id is None else last_event_id
        if begin is None:
            begin = await timeline.last_sequence(connection, customer)
    return Watched(customer, begin)


def router() -> APIRouter:
    """The routes under ``/v1``; all of them need the token."""
    routes = APIRouter(prefix="/v1", tags=["reading"], dependencies=[Depends(require_token)])

    @routes.get("/customers", responses=described())
    async def find_customers(
        here: Here,
        contact: Annotated[
            str, Query(min_length=1, max_length=320, description="A phone number with country code, a mail address, …")
        ],
        kind: Annotated[str | None, Query(max_length=64, description="Only contact points of this kind.")] = None,
        tenant: Annotated[str | None, Query(max_length=128)] = None,
    ) -> answers.Matches:
        """The customers that a contact point belongs to."""
        async with reading(here.pool) as connection:
            found = await customers.by_contact(connection, spellings(contact), kind, tenant)
        return answers.Matches(
            customers=[answers.Match(id=p.customer, contact_point=answers.ContactPoint.of(p)) for p in found]
        )

    @routes.get("/customers/{id}", responses=described(404))
    async def get_customer(here: Here, id: UUID) -> answers.Customer:
        """A customer's contact points and open tickets."""
        async with reading(here.pool) as connection:
            customer = await known(connection, id)
            points = await customers.contact_points(connection, customer.id)
            wanted = tickets.Filter(status=OPEN, customer=customer.id)
            open_tickets = await tickets.page(connection, wanted, _MOST_OPEN)
        return answers.Customer(
            id=customer.id,
            tenant=customer.tenant,
            created_at=answers.written(customer.created_at) if customer.created_at else None,
            contact_points=[answers.ContactPoint.of(point) for point in points],
            open_tickets=[answers.Ticket.of(ticket) for ticket in open_tickets],
        )

    @routes.get("/customers/{id}/timeline", responses=described(404))
    async def get_timeline(
        here: Here, id: UUID, cursor: Cursor = None, limit: Limit = 50, order: timeline.Order = "desc"
    ) -> answers.Timeline:
        """A page of a customer's history by the instant at the source, newest first (`desc`) or oldest first."""
        place = place_of(cursor)
        after = timeline.Mark(*place) if place else None
        async with reading(here.pool) as connection:
            customer = await known(connection, id)
            found = await timeline.page(connection, customer.id, limit + 1, order, after)
        page = found[:limit]
        return answers.Timeline(
            customer=customer.id,
            entries=[answers.TimelineEntry.of(entry) for entry in page],
            next=cursor_of(page[-1].occurred_at, page[-1].id) if len(found) > limit else None,
        )

    @routes.get("/customers/{id}/timeline/live", response_class=EventSourceResponse, responses=described(404))
    async def watch_timeline(
        here: Here, wanted: Annotated[Watched, Depends(watched)]
    ) -> AsyncIterator[ServerSentEvent]:
        """A customer's history as it grows: an event `entry` each, whose id is the entry's sequence."""
        yield ServerSentEvent(comment="watching", retry=2000)
        async for entries in follow(here.pool, here.signals, wanted.customer, wanted.after):
            for entry in entries:
                yield ServerSentEvent(
                    raw_data=answers.TimelineEntry.of(entry).model_dump_json(), event="entry", id=str(entry.sequence)
                )

    @routes.get("/tickets", responses=described(404))
    async def list_tickets(
        here: Here,
        status: Annotated[
            list[str] | None, Query(description=f"Any of {', '.join(STATUSES)}; may be repeated.")
        ] = None,
        team: Annotated[str | None, Query(max_length=128)] = None,
        organisation: Annotated[str | None, Query(max_length=128)] = None,
        customer: UUID | None = None,
        tenant: Annotated[str | None, Query(max_length=128)] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> answers.Tickets:
        """Tickets with their clocks, the last opened first."""
        if status and not set(status) <= set(STATUSES):
            raise Refused(422, f"status is one of {', '.join(STATUSES)}", "unknown_status")
        place = place_of(cursor)
        after = tickets.Mark(*place) if place else None
        async with reading(here.pool) as connection:
            whose = (await known(connection, customer)).id if customer else None
            wanted = tickets.Filter(status or None, whose, team, organisation, tenant)
            found = await tickets.page(connection, wanted, limit + 1, after)
        page = found[:limit]
        return answers.Tickets(
            tickets=[answers.Ticket.of(ticket) for ticket in page],
            next=cursor_of(page[-1].opened_at, page[-1].id) if len(found) > limit else None,
        )

    @routes.get("/tickets/{id}", responses=described(404))
    async def get_ticket(here: Here, id: UUID) -> verdict_answers.TicketInFull:
        """A ticket with its clocks and every verdict on it."""
        async with reading(here.pool) as connection:
            ticket = await ticket_of(connection, id)
            found = await verdicts.of_tickets(connection, [ticket.id])
        return verdict_answers.TicketInFull(
            **dict(ticket), verdicts=[verdict_answers.Verdict.of(verdict) for verdict in found]
        )

    @routes.get("/tickets/{id}/verdicts", responses=described(404))
    async def list_verdicts(here: Here, id: UUID) -> verdict_answers.Verdicts:
        """Every verdict on a ticket, in the order they were judged."""
        async with reading(here.pool) as connection:
            ticket = await ticket_of(connection, id)
            found = await verdicts.of_tickets(connection, [ticket.id])
        return verdict_answers.Verdicts(verdicts=[verdict_answers.Verdict.of(verdict) for verdict in found])

    @routes.get("/tickets/{id}/verdicts/{verdict}", responses=described(404))
    async def get_verdict(here: Here, id: UUID, verdict: UUID) -> verdict_answers.VerdictInFull:
        """One verdict with its evidence, in words, and whether it follows from that evidence."""
        async with reading(here.pool) as connection:
            found = await verdicts.get(connection, str(id), str(verdict))
            if found is None:
                raise Refused(404, "this ticket has no verdict of this id", "unknown_verdict")
            basis = await basis_of(connection, [found])
        return verdict_answers.VerdictInFull.in_full(found, basis)

    @routes.get("/sources", responses=described())
    async def list_sources(
        here: Here,
        tenant: Annotated[str | None, Query(max_length=128)] = None,
        source: Annotated[str | None, Query(max_length=300, description="Only this one.")] = None,
    ) -> source_answers.Sources:
        """What each source sent, which of its own numbers are missing, and what it says it sent."""
        now, grace = here.clock.now(), round(here.settings.source_grace * SECOND)
        async with reading(here.pool) as connection:
            found = await shown.sources(connection, now, grace, tenant, source)
            found = await shown.in_full(connection, found, now, grace)
        return source_answers.Sources(sources=[source_answers.Source.of(each) for each in found])

    return routes
