"""How the page says things: records and codes in the words of customer operations.

A word that is not in a table here is shown as it is, its underscores made blanks: a new channel needs no change.
"""

from __future__ import annotations

from datetime import UTC, datetime

from hub.http.answers import when, written
from runtime.clock import SECOND
from schemas.records import Actor, Clock, SlaVerdictIssued
from schemas.vocabulary import TYPES

CHANNELS = {"voice": "Phone", "sms": "Text message", "social": "Social media"}
DIRECTIONS = {"inbound": "from the customer", "outbound": "to the customer", "internal": "internal"}
CLOCK_STATES = {
    "running": "Running",
    "paused": "Paused",
    "met": "Kept",
    "breached_running": "Missed, still open",
    "breached": "Missed",
    "cancelled": "Cancelled",
}
OUTCOMES = {
    "warned": "Warning",
    "met": "Kept",
    "breached": "Missed",
    "ended": "Done late",
    "retracted": "Taken back",
    "cancelled": "Cancelled",
}
LINKS = {"parent": "Part of ticket", "duplicate": "Duplicate of ticket", "caused_by": "Caused by ticket"}
ACTORS = {"customer": "Customer", "agent": "Agent", "bot": "Bot", "system": "System"}


def plain(code: str) -> str:
    """A code as words: ``first_response`` is "First response"."""
    words = code.replace("_", " ").replace(".", " ").strip()
    return words[:1].upper() + words[1:]


def channel(code: str) -> str:
    """A channel's name."""
    return CHANNELS.get(code, plain(code))


def direction(code: str) -> str:
    """Where something went, as seen from the company."""
    return DIRECTIONS.get(code, plain(code))


def clock_state(code: str) -> str:
    """How a promise stands."""
    return CLOCK_STATES.get(code, plain(code))


def outcome(verdict: SlaVerdictIssued) -> str:
    """What became of a promise."""
    word = OUTCOMES.get(verdict.outcome, plain(verdict.outcome))
    return f"{word} at {verdict.threshold} %" if verdict.outcome == "warned" and verdict.threshold else word


def link(kind: str) -> str:
    """What a ticket is to the one it is linked to."""
    return LINKS.get(kind, plain(kind))


def meaning(event_type: str) -> str:
    """The sentence that says what a type of event is."""
    return TYPES.get(event_type, "")


def who(actor: Actor | None) -> str:
    """Who did it: the kind, then organisation, team and site where they are known."""
    if actor is None:
        return ""
    where = [part for part in (actor.organisation, actor.team, actor.site) if part]
    return " · ".join([ACTORS.get(actor.kind, plain(actor.kind)), *where])


def duration(microseconds: int) -> str:
    """A duration to the second, its two largest units: "2 h 5 min"."""
    seconds = abs(microseconds) // SECOND
    found = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        amount, seconds = divmod(seconds, size)
        if amount:
            found.append(f"{amount} {name}")
    return " ".join(found[:2]) or "0 s"


def due(clock: Clock, now: int) -> str:
    """How far a running clock is from its due time."""
    if clock.due_at is None:
        return ""
    left = clock.due_at - now
    return f"due in {duration(left)}" if left > 0 else f"{duration(left)} overdue"


def exact(at: int) -> str:
    """An instant for machines: RFC 3339."""
    return written(when(at))


def utc(at: int) -> str:
    """An instant for people, in UTC."""
    moment: datetime = when(at)
    return f"{moment.astimezone(UTC):%d %b %Y, %H:%M:%S} UTC"


def size(octets: int) -> str:
    """A file's size."""
    return (
        f"{octets} bytes"
        if octets < 1024
        else f"{octets / 1024:.0f} KiB"
        if octets < 1 << 20
        else f"{octets / (1 << 20):.1f} MiB"
    )
