"""What the casework stage keeps of a customer between records: the facts of open work, and what was announced.

These records are the values of ``casework-changelog`` (msgpack, as arrays: about 1 µs where Avro takes 27). Fields may
be appended with a default, never moved or removed.
"""

from __future__ import annotations

import hashlib

import msgspec

from schemas.records import TicketCommand

_packed = msgspec.msgpack.Encoder().encode


def fingerprint(parts: object) -> bytes:
    """Eight bytes that are equal for equal ``parts`` (numbers, texts, None, and lists and tuples of these)."""
    return hashlib.blake2b(_packed(parts), digest_size=8).digest()


class Fact(msgspec.Struct, array_like=True, gc=False):
    """An event as far as promises depend on it. ``at``: instant of the event; ``ticket`` and ``because``: recorded
    decision which ticket it joined. ``automatic``: no person wrote it. ``about``: the subject matter, empty if unknown.
    ``queue``: where a call waits; ``tier``: what a system of record says the customer's is from then on; ``message``:
    a number that stands for a mail's Message-ID, 0 for none.

    Nothing in it can be part of a cycle, so the garbage collector need not walk hundreds of thousands of them."""

    at: int
    id: str
    type: str
    ticket: str
    because: str
    channel: str
    direction: str
    conversation: str
    sequence: int = -1
    actor: str = ""
    person: str | None = None
    team: str | None = None
    organisation: str | None = None
    automatic: bool = False
    contact_point: str = ""
    command: TicketCommand | None = None
    about: str = ""
    queue: str | None = None
    tier: str | None = None
    message: int = 0


class AnnouncedClock(msgspec.Struct, array_like=True):
    """What was published of one cycle of one promise. ``outcome``: met, breached, cancelled, or empty while it runs.

    ``version``: the bundle a finished cycle was judged by, which it keeps. ``revision``: number of verdicts so far.
    ``ended``: a breached promise was done at last, and that was said. ``begun_at``: when the cycle began, by which it
    is known again; 0 in a state that was written before this was kept.
    """

    metric: str
    cycle: int
    outcome: str = ""
    warned: list[int] = []
    revision: int = 0
    episode: int = 0
    version: int = 0
    ended: bool = False
    begun_at: int = 0


class TicketState(msgspec.Struct, array_like=True):
    """One ticket: its facts in order of event time, what was decided at its opening, and what was published of it.

    ``instant``: when time alone changes something next, None for never; -1 in a state that was written before this was
    kept. ``about``: what it is about, empty while nobody said. ``merged_into`` and ``merged_by``: the ticket that goes
    on for it, and the id of the fact that made it so; ``merged``: those it goes on for, and those merged into these.
    """

    id: str
    facts: list[Fact]
    version: int = 0
    digest: bytes = b""
    bundle: int = 0
    subject: str | None = None
    queue: str | None = None
    team: str | None = None
    organisation: str | None = None
    follows: str | None = None
    priority: str = "normal"
    clocks: list[AnnouncedClock] = []
    closed_at: int | None = None
    source: str = ""
    instant: int | None = -1
    tier: str = ""
    about: str = ""
    merged_into: str = ""
    merged_by: str = ""
    merged: list[str] = []


class CustomerState(msgspec.Struct, array_like=True):
    """Everything held of one customer. ``recent``: ids of the newest events, to know a second delivery.

    ``sequence`` begins with the second in which the customer was first heard of: one who left the state and comes back
    thus goes on above what was given out before. ``planned``: when time alone changes something of the customer next,
    None for never; -1 in a state that was written before this was kept. ``loose``: facts that joined no ticket.
    ``tier``: as it was last told, at ``tier_at``.
    """

    tenant: str
    sequence: int = 0
    last_contact: int = 0
    recent: list[str] = []
    tickets: list[TicketState] = []
    planned: int | None = -1
    tier: str = ""
    loose: list[Fact] = []
    tier_at: int = 0


class _Planned(msgspec.Struct, array_like=True):
    """A customer's state of which only the field after these is looked at."""

    tenant: msgspec.Raw
    sequence: msgspec.Raw
    last_contact: msgspec.Raw
    recent: msgspec.Raw
    tickets: msgspec.Raw
    planned: int | None = -1


#: A customer's state as the bytes of a changelog record, and back.
pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder(CustomerState).decode
_planned = msgspec.msgpack.Decoder(_Planned).decode


def planned_in(packed: bytes) -> int | None:
    """``CustomerState.planned`` of packed bytes, at a third of unpacking them: a million are read when a worker starts.

    Raises ``msgspec.DecodeError`` for bytes that are no state.
    """
    return _planned(packed).planned
