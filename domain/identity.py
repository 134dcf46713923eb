"""Whose is it: which customer an event belongs to, decided once from what is known of its contact points.

Nothing is guessed silently. A decision says why; what was not certain enough to act on becomes a suggestion with its
evidence, never a merge.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from domain.errors import NotResolvable, Reason
from schemas.records import ContactPoint, InteractionReceived
from schemas.vocabulary import COUNTED, UNMAPPED

NAMESPACE = uuid.UUID("c1b0b0de-5a0c-5b0f-8f5e-0f2d6c6f7a55")
HUB = "hub"


class Point(NamedTuple):
    """A contact point as it identifies: one value of one kind at one tenant."""

    tenant: str
    kind: str
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


class Owner(NamedTuple):
    """Whose a contact point is. ``shared``: it belongs to a switchboard or a team mailbox and identifies nobody."""

    customer: str
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """How far a kind of contact point can be trusted. ``strength``: the higher one decides. ``own_id``: an id that the
    channel itself gave to this very contact, so it may be linked without a proof of its own."""

    strength: int
    own_id: bool = False


KINDS: dict[str, Kind] = {
    "external_id": Kind(60),
    "whatsapp_user": Kind(50, own_id=True),
    "phone": Kind(40),
    "email": Kind(40),
    "asterisk_call": Kind(10, own_id=True),
    "amazon_connect_contact": Kind(10, own_id=True),
}
UNKNOWN_KIND = Kind(20, own_id=False)


@dataclass(frozen=True, slots=True)
class Link:
    """A contact point that becomes a customer's by a decision. ``because``: the reason that is kept with it."""

    point: Point
    customer: str
    verified: bool
    because: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Customers that may be one, and the points that say so. A person decides."""

    customers: tuple[str, ...]
    points: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """Whose an event is. ``point``: the contact point that decided; ``is_new``: the customer begins with it."""

    customer: str
    point: str
    reason: str
    links: tuple[Link, ...] = ()
    suggestion: Suggestion | None = None
    is_new: bool = False


class Directory(Protocol):
    """What the decisions of one batch are made from: what was known before, and what the batch itself added."""

    owners: Mapping[Point, Owner]
    tickets: Mapping[str, str]
    repeats: Mapping[str, str]
    customers: Mapping[str, str]


def customer_id(point: Point) -> str:
    """The id of the customer that begins with a contact point: uuid5, so that a rebuild finds the same one."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(point)))


def points_of(event: InteractionReceived) -> list[tuple[Point, ContactPoint]]:
    """The points that may identify the customer, strongest first; those of one strength as the adapter gave them.

    What a source sends about an account, not a customer, has no word and no customer: it gets a history of its own.
    So does a source that tells what it has counted.
    """
    usable = [given for given in event.contact_points if given.kind != HUB and given.value]
    chosen = [given for given in usable if given.role == "customer"]
    if not chosen and event.type in (UNMAPPED, COUNTED):
        chosen = [given for given in usable if given.role == "other"]
    found = [(Point(event.tenant, given.kind, given.value), given) for given in chosen]
    return sorted(found, key=lambda pair: (-KINDS.get(pair[0].kind, UNKNOWN_KIND).strength, not pair[1].verified))


def named(event: InteractionReceived) -> tuple[str | None, str | None]:
    """The ticket and the customer that an event names by their ids in the hub."""
    ticket = getattr(event.facts, "ticket", None)
    customer = None
    for given in event.contact_points:
        if given.kind == HUB:
            what, _, identifier = given.value.partition(":")
            ticket = identifier if what == "ticket" else ticket
            customer = identifier if what == "customer" else customer
    return ticket, customer


def decide(event: InteractionReceived, directory: Directory) -> Decision:
    """Whose the event is. Raises ``NotResolvable`` when it names nobody, or a ticket or customer that is not known.

    In order: a repeated delivery goes where the first one went; a ticket or customer named by id; the owner of the
    strongest known contact point; a new customer of the strongest point.
    """
    if (before := directory.repeats.get(event.id)) is not None:
        return Decision(before, "", "repeated")
    ticket, customer = named(event)
    candidates = points_of(event)
    if ticket is not None and (owner := directory.tickets.get(ticket)) is not None:
        return Decision(owner, f"{HUB}:ticket:{ticket}", "names_ticket")
    if customer is not None and (owner := directory.customers.get(customer)) is not None:
        return Decision(owner, f"{HUB}:customer:{customer}", "names_customer")
    if not candidates:
        if ticket is not None:
            raise NotResolvable(Reason.UNKNOWN_TICKET, f"no ticket {ticket} is known; check its id, then retry")
        if customer is not None:
            raise NotResolvable(Reason.UNKNOWN_CUSTOMER, f"no customer {customer} is known; check its id, then retry")
        raise NotResolvable(
            Reason.NO_CONTACT_POINT, "the event has no contact point of role customer", "contact_points"
        )
    fresh = [(point, given) for point, given in candidates if point not in directory.owners]
    known = [(point, directory.owners[point]) for point, _ in candidates if point in directory.owners]
    usable = [(point, owner.customer) for point, owner in known if not owner.shared]
    if usable:
        return _known(fresh, usable)
    if not fresh:
        raise NotResolvable(Reason.NO_CONTACT_POINT, "all its contact points are shared ones", "contact_points")
    first = fresh[0][0]
    begun = customer_id(first)
    links = tuple(
        Link(point, begun, given.verified, "first_seen" if point == first else "came_with_first")
        for point, given in fresh
        if point == first or _may_link(point, given)
    )
    return Decision(begun, str(first), "new_customer", _once(links), is_new=True)


def _known(fresh: Sequence[tuple[Point, ContactPoint]], usable: Sequence[tuple[Point, str]]) -> Decision:
    decided, customer = usable[0]
    others = tuple(dict.fromkeys(owner for _, owner in usable))
    links = tuple(
        Link(point, customer, given.verified, "verified" if given.verified else "given_by_channel")
        for point, given in fresh
        if _may_link(point, given)
    )
    left = tuple(str(point) for point, given in fresh if not _may_link(point, given))
    suggestion = None
    if len(others) > 1:
        suggestion = Suggestion(others, tuple(str(point) for point, _ in usable))
    elif left:
        suggestion = Suggestion((customer,), left)
    reason = "strongest_of_several" if len(others) > 1 else "known_contact_point"
    return Decision(customer, str(decided), reason, _once(links), suggestion)


def _may_link(point: Point, given: ContactPoint) -> bool:
    return given.verified or KINDS.get(point.kind, UNKNOWN_KIND).own_id


def _once(links: tuple[Link, ...]) -> tuple[Link, ...]:
    return tuple({link.point: link for link in reversed(links)}.values())[::-1]
