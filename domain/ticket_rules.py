"""What may be done with a ticket: one table of states and commands, what each command changes, and who may give it.

``decide`` says beforehand whether a command can be carried out, with the reason; ``evolve`` applies it, and is total: a
command that a late event has made impossible changes nothing. Merges and links to other tickets are checked further in
``domain.merges``, since one ticket alone doesn't tell.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, Literal, NamedTuple

from domain.errors import CommandRefused, Reason
from domain.policies import PRIORITIES, STATUSES
from schemas.casework_state import Fact
from schemas.records import Actor, Link, TicketCommand

LINKS: Final = ("parent", "duplicate", "caused_by")
TICKET_TYPES: Final = ("request", "task")
HIGHEST_LEVEL: Final = 99
FINISHED: Final = frozenset({"resolved", "closed"})
MERGED, UNMERGED = "ticket.merged", "ticket.unmerged"
CONTACT: Final = "contact"

Cell = str | Reason
COLUMNS: Final = ("open", "pending", "on_hold", "resolved", "closed", "merged")
KEEP: Final = ""
_CLOSED, _MERGED = Reason.TICKET_CLOSED, Reason.TICKET_MERGED
_ALWAYS: Final[tuple[Cell, ...]] = (KEEP, KEEP, KEEP, KEEP, _CLOSED, _MERGED)
#: What becomes of the status, in the columns' order: another one, the same (KEEP), or why it can't be done. A row per
#: command, and one for a customer who turns to the company again (``contact``).
_TABLE: Final[dict[str, tuple[Cell, ...]]] = {
    #                              open       pending    on_hold    resolved   closed    merged
    CONTACT:                      ("open",    "open",    "open",    "open",    KEEP,     KEEP),
    "ticket.opened":              _ALWAYS,
    "ticket.assigned":            _ALWAYS,
    "ticket.escalated":           _ALWAYS,
    "ticket.accepted":            (KEEP,      KEEP,      KEEP,      Reason.NOT_OPEN, _CLOSED, _MERGED),
    "ticket.prioritised":         _ALWAYS,
    "ticket.status_set open":     ("open",    "open",    "open",    "open",    _CLOSED,  _MERGED),
    "ticket.status_set pending":  ("pending", "pending", "pending", "pending", _CLOSED,  _MERGED),
    "ticket.status_set on_hold":  ("on_hold", "on_hold", "on_hold", "on_hold", _CLOSED,  _MERGED),
    "ticket.status_set resolved": ("resolved", "resolved", "resolved", "resolved", _CLOSED, _MERGED),
    "ticket.status_set closed":   ("closed",  "closed",  "closed",  "closed",  KEEP,     _MERGED),
    "ticket.reopened":            ("open",    "open",    "open",    "open",    _CLOSED,  _MERGED),
    "ticket.tagged":              _ALWAYS,
    "ticket.fields_set":          _ALWAYS,
    "ticket.linked":              _ALWAYS,
    "ticket.unlinked":            _ALWAYS,
    "note.added":                 _ALWAYS,
    MERGED:                       ("closed",  "closed",  "closed",  "closed",  _CLOSED,  Reason.ALREADY_MERGED),
    UNMERGED:                     (Reason.NOT_MERGED,) * 5 + (KEEP,),
}  # fmt: skip
TRANSITIONS: Final[Mapping[str, Mapping[str, Cell]]] = {
    row: dict(zip(COLUMNS, cells, strict=True)) for row, cells in _TABLE.items()
}
AFTER_CONTACT: Final = TRANSITIONS[CONTACT]
COMMANDS: Final = frozenset(row.partition(" ")[0] for row in TRANSITIONS if row != CONTACT)
_GIVES: Final = frozenset({"ticket.assigned", "ticket.escalated", "ticket.opened"})


@dataclass(slots=True)
class Standing:
    """A ticket as it is at an instant. ``level``: how far it was escalated; ``accepted_at``: when who has it took it
    on; ``merged_into``: the ticket that goes on for it, else empty."""

    id: str
    status: str
    priority: str
    queue: str | None
    team: str | None
    organisation: str | None
    person: str | None = None
    level: int = 0
    accepted_at: int | None = None
    tags: Sequence[str] = ()
    fields: tuple[tuple[str, str], ...] = ()
    links: Sequence[Link] = ()
    merged_into: str = ""

    @property
    def column(self) -> str:
        """Its column in the table."""
        return "merged" if self.merged_into else self.status

    def copied(self) -> Standing:
        """Another one that says the same."""
        return Standing(*_parts(self))


_parts: Final = attrgetter(*Standing.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Allowed:
    """The actor may do it."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The actor may not do it. ``detail`` says why, and who may."""

    detail: str


Permission = Allowed | Denied
ALLOWED: Final = Allowed()
May = Callable[[Actor | None, str, Standing], Permission]


def may(actor: Actor | None, action: str, ticket: Standing) -> Permission:
    """Whether somebody may give a command, by its type, on a ticket as it is. Everybody may, until there are rules."""
    del actor, action, ticket
    return ALLOWED


class Accepted(NamedTuple):
    """The command can be carried out, and leaves the ticket as ``after``. ``because``: ``named``, or
    ``changes_nothing`` where it says what is so already."""

    after: Standing
    because: Literal["named", "changes_nothing"]


class Refused(NamedTuple):
    """The command can't be carried out. ``detail``: what to do instead."""

    reason: Reason
    detail: str


def decide(fact: Fact, ticket: Standing, permission: Permission = ALLOWED) -> Accepted | Refused:
    """Whether a command can be carried out on a ticket as it is at the command's instant."""
    if permission is not ALLOWED and isinstance(permission, Denied):
        return Refused(Reason.NOT_ALLOWED, permission.detail)
    cell = TRANSITIONS[row_of(fact)]["merged" if ticket.merged_into else ticket.status]
    if cell.__class__ is Reason:
        return Refused(cell, _what_to_do(cell, ticket))
    if fact.type == "ticket.unlinked" and not _unlinked(fact, ticket):
        return Refused(Reason.NOT_LINKED, f"ticket {ticket.id} has no such link; its links are listed in its state")
    after = ticket.copied()
    evolve(after, fact)
    same = fact.type not in ("note.added", UNMERGED) and _parts(after) == _parts(ticket)
    return Accepted(after, "changes_nothing" if same else "named")


def row_of(fact: Fact) -> str:
    """The row of the table that a command stands in."""
    if fact.type == "ticket.status_set" and fact.command is not None:
        return f"ticket.status_set {fact.command.status}"
    return fact.type


def _what_to_do(reason: Reason, ticket: Standing) -> str:
    turn = f"ticket {ticket.id} was merged into {ticket.merged_into}"
    return {
        Reason.TICKET_CLOSED: f"ticket {ticket.id} is closed; open a new one",
        Reason.TICKET_MERGED: f"{turn}; name that one, or take the merge back with ticket.unmerged first",
        Reason.ALREADY_MERGED: f"{turn}; take that back with ticket.unmerged first",
        Reason.NOT_MERGED: f"ticket {ticket.id} is not merged into another; there is nothing to take back",
        Reason.NOT_OPEN: f"ticket {ticket.id} is resolved, and waits for nobody; reopen it first",
    }[reason]


def evolve(ticket: Standing, fact: Fact) -> bool:
    """Apply a command to a ticket. False, and nothing changed, when the table has no way for it."""
    command = fact.command
    row = TRANSITIONS.get(row_of(fact))
    if command is None or row is None:  # a state may hold what was once taken for a command
        return False
    cell = row["merged" if ticket.merged_into else ticket.status]
    if cell.__class__ is Reason:
        return False
    kind = fact.type
    if kind == "note.added" and command.priority is None:
        return True
    if cell:
        ticket.status = str(cell)
    if kind == MERGED:
        ticket.merged_into = command.target or ""
        return True
    if command.priority:
        ticket.priority = command.priority
    if kind in _GIVES:
        _give(ticket, fact, command)
    elif kind == "ticket.tagged":
        ticket.tags = command.tags
    elif kind == "ticket.accepted":
        _accept(ticket, fact, command)
    elif kind == "ticket.fields_set":
        ticket.fields = _filled({**dict(ticket.fields), **command.fields})
    elif kind == "ticket.linked":
        _link(ticket, fact, command)
    elif kind == "ticket.unlinked":
        gone = _unlinked(fact, ticket)
        ticket.links = [link for link in ticket.links if link not in gone]
    return True


def _give(ticket: Standing, fact: Fact, command: TicketCommand) -> None:
    """To another owner: what is named is taken; what stands below it is cleared unless named too."""
    before = (ticket.queue, ticket.team, ticket.organisation, ticket.person)
    if command.organisation:
        ticket.organisation, ticket.team, ticket.person = command.organisation, None, None
    if command.team:
        ticket.team, ticket.person = command.team, None
    ticket.queue = command.queue or ticket.queue
    ticket.person = command.person or ticket.person
    if fact.type == "ticket.escalated":
        ticket.level = command.level or min(ticket.level + 1, HIGHEST_LEVEL)
    elif fact.type == "ticket.opened":
        ticket.level = command.level or ticket.level
        ticket.tags = command.tags or ticket.tags
        ticket.fields = _filled(command.fields) or ticket.fields
        _link(ticket, fact, command)
    if before != (ticket.queue, ticket.team, ticket.organisation, ticket.person):
        ticket.accepted_at = None


def _filled(fields: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in fields.items() if value))


def _accept(ticket: Standing, fact: Fact, command: TicketCommand) -> None:
    person = command.person or fact.person or ticket.person
    if ticket.accepted_at is None or person != ticket.person:
        ticket.person, ticket.accepted_at = person, fact.at


def _link(ticket: Standing, fact: Fact, command: TicketCommand) -> None:
    """A ticket has one parent; a new one takes the place of the former."""
    kind, other = command.link, command.target
    if fact.type == "ticket.opened" and command.ticket not in (None, fact.id):
        kind, other = kind or "parent", other or command.ticket
    if not kind or not other or any((link.kind, link.ticket) == (kind, other) for link in ticket.links):
        return
    kept = [link for link in ticket.links if not kind == link.kind == "parent"]
    ticket.links = [*kept, Link(kind, other, fact.at)]


def _unlinked(fact: Fact, ticket: Standing) -> list[Link]:
    command = fact.command
    if command is None:
        return []
    return [each for each in ticket.links if each.ticket == command.target and command.link in (None, each.kind)]


def check_command(event_type: str, command: TicketCommand) -> None:
    """Raise ``CommandRefused`` for a command whose words mean nothing, whatever ticket it is for."""
    if event_type == "ticket.status_set" and command.status not in STATUSES:
        _refuse_word(Reason.UNKNOWN_STATUS, "status", command.status, STATUSES)
    if command.priority is not None and command.priority not in PRIORITIES:
        _refuse_word(Reason.UNKNOWN_PRIORITY, "priority", command.priority, PRIORITIES)
    if command.link is not None and command.link not in LINKS:
        _refuse_word(Reason.UNKNOWN_LINK, "link", command.link, LINKS)
    if command.ticket_type is not None and command.ticket_type not in TICKET_TYPES:
        _refuse_word(Reason.BAD_VALUE, "ticket_type", command.ticket_type, TICKET_TYPES)
    if command.level is not None and not 1 <= command.level <= HIGHEST_LEVEL:
        raise CommandRefused(Reason.BAD_VALUE, f"a level is 1 to {HIGHEST_LEVEL}", "facts.level")
    if command.target is not None:
        _check_target(event_type, command, command.target)
    for what, missing in _MISSING.get(event_type, ()):
        if missing(command):
            raise CommandRefused(Reason.MISSING_FIELD, f"say {what[0]}", what[1])


_NOBODY: Final = "to which queue, team, organisation or person"
_MISSING: Final[dict[str, tuple[tuple[tuple[str, str], Callable[[TicketCommand], bool]], ...]]] = {
    "ticket.prioritised": ((("which priority", "facts.priority"), lambda c: c.priority is None),),
    "ticket.assigned": (((_NOBODY, "facts"), lambda c: not (c.queue or c.team or c.organisation or c.person)),),
    "ticket.escalated": (
        (
            (f"{_NOBODY}, or to which level", "facts"),
            lambda c: not (c.queue or c.team or c.organisation or c.person or c.level),
        ),
    ),
    "ticket.fields_set": ((("which fields", "facts.fields"), lambda c: not c.fields),),
    "ticket.linked": (
        (("which kind of link", "facts.link"), lambda c: not c.link),
        (("to which ticket", "facts.target"), lambda c: not c.target),
    ),
    "ticket.unlinked": ((("from which ticket", "facts.target"), lambda c: not c.target),),
    MERGED: ((("into which ticket", "facts.target"), lambda c: not c.target),),
}


def _check_target(event_type: str, command: TicketCommand, target: str) -> None:
    try:
        canonical = str(uuid.UUID(target)) == target
    except ValueError:
        canonical = False
    if not canonical:
        raise CommandRefused(
            Reason.BAD_VALUE, f"{target[:80]!r} is no ticket's id (a UUID in lower case)", "facts.target"
        )
    if target == command.ticket and event_type in (MERGED, "ticket.linked"):
        raise CommandRefused(Reason.SAME_TICKET, "a ticket is not merged into or linked to itself", "facts.target")


def _refuse_word(reason: Reason, name: str, value: str | None, known: tuple[str, ...]) -> None:
    raise CommandRefused(reason, f"{name} {value!r} is not one of {', '.join(known)}", f"facts.{name}")
