"""Repeat contacts, first-contact resolution and transfers, each charged once.

A customer who comes back for the same reason within a window was not helped the first time, whatever was written down;
the repeat is charged to who handled the contact before it, not to who answers it. All instants are microseconds. What
lies within one window of now is provisional: the customer may still come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

WINDOW = 7 * 86400 * 1_000_000
FORWARD_GAP = 15 * 60 * 1_000_000
Kind = Literal["initial", "forwarded", "repeat"]


class Owner(NamedTuple):
    """Who handled something, as far as it is known."""

    organisation: str | None = None
    team: str | None = None
    person: str | None = None


NOBODY = Owner()


class Call(NamedTuple):
    """A contact of one customer for one reason. ``at``: when it was offered; ``key`` tells it from another of the same
    instant; ``owner``: who handled it."""

    at: int
    key: str
    owner: Owner = NOBODY


class Told(NamedTuple):
    """What a contact is. ``triggers``: the next one was a repeat of it; ``charged_to``: of a repeat, who handled the
    contact before it, else None; ``before``: that contact's key."""

    call: Call
    kind: Kind
    triggers: bool
    charged_to: Owner | None = None
    before: str | None = None


def classify(calls: Iterable[Call], window: int = WINDOW, forward_gap: int = FORWARD_GAP) -> list[Told]:
    """One customer's contacts for one reason, in order of time, whatever their order of arrival.

    By the time from the start of the contact before: under ``forward_gap`` it is the same contact that goes on
    (forwarded: dropped, put through again), under ``window`` a repeat, else a new initial one.
    Source: Capturi, understanding repeat calls.
    """
    ordered = sorted(set(calls), key=lambda call: (call.at, call.key))
    kinds: list[Kind] = []
    for index, call in enumerate(ordered):
        gap = call.at - ordered[index - 1].at if index else window
        kinds.append("forwarded" if index and gap < forward_gap else "repeat" if index and gap < window else "initial")
    told = []
    for index, (call, kind) in enumerate(zip(ordered, kinds, strict=True)):
        triggers = index + 1 < len(kinds) and kinds[index + 1] == "repeat"
        before = ordered[index - 1] if kind == "repeat" else None
        told.append(Told(call, kind, triggers, before.owner if before else None, before.key if before else None))
    return told


class Resolution(NamedTuple):
    """Whether a ticket was resolved with its first contact. ``because``: the first thing that speaks against it, or
    ``first_contact``; ``provisional``: the window of a repeat is still open, so it may yet turn out otherwise."""

    first: bool
    because: str
    provisional: bool


def first_contact(
    *,
    resolved_at: int | None,
    contacts: int,
    organisations: Sequence[str | None],
    reopened: int,
    repeated: bool,
    contact_at: int,
    window: int,
    now: int,
) -> Resolution | None:
    """Judge a ticket; None for one that is not resolved, of which nothing can be said yet.

    ``contacts``: how many conversations it has; ``organisations``: who handled its contact, in order; ``repeated``: the
    customer came back for the same reason within the window; ``contact_at``: when the contact was offered.
    """
    if resolved_at is None:
        return None
    named = [each for each in organisations if each is not None]
    if contacts > 1:
        because = "more_contacts"
    elif any(each != named[0] for each in named):
        because = "other_organisation"
    elif reopened:
        because = "reopened"
    elif repeated:
        because = "repeated"
    else:
        return Resolution(True, "first_contact", now < contact_at + window)
    return Resolution(False, because, False)
