"""A seeded story of a few hundred customers, told in real time: mails, chats, calls and commands, in order and out of
order, some of them twice, and some that nobody can read.
"""

from __future__ import annotations

import random
import uuid
from collections import deque

import yaml

from hub.policy.applying import configuration_event
from runtime.clock import SECOND, Clock
from schemas.codec import Codec
from schemas.records import (
    Actor,
    CallFacts,
    ContactPoint,
    Facts,
    InteractionReceived,
    MailFacts,
    MessageFacts,
    TicketCommand,
)

REPEATED, LATE, UNREADABLE = 0.02, 0.05, 0.005
TENANT = "t"
Record = tuple[bytes, bytes]
_CHANNELS = {"email": "email", "message": "chat", "call": "voice", "chat": "chat", "note": "internal"}
_TYPES = (
    *(["email.received"] * 5),
    *(["message.received"] * 5),
    *(["email.sent"] * 3),
    *(["message.sent"] * 3),
    "call.queued",
    "call.abandoned",
    "call.answered",
    "call.ended",
    "email.auto_replied",
    "survey.answered",
)
_COMMANDS = ("ticket.assigned", "ticket.status_set", "ticket.prioritised", "ticket.tagged", "ticket.reopened")


def bundle(first_response: str, resolution: str) -> str:
    """Policies with targets of seconds, so that a run of a minute sees warnings, breaches and closings."""
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    document = {
        "name": "default",
        "calendars": {"always": {"tz": "Etc/UTC", "hours": {day: [["00:00", "24:00"]] for day in days}}},
        "policies": [
            {
                "name": "vendor",
                "match": {"organisation": "vendor-a"},
                "calendar": "always",
                "targets": {"first_response": first_response, "resolution": {"normal": resolution, "urgent": "2s"}},
            },
            {"name": "rest", "calendar": "always", "targets": {"resolution": {"normal": resolution, "urgent": "2s"}}},
        ],
        "routes": [{"match": {"channel": "email"}, "assign": {"team": "first-line", "organisation": "vendor-a"}}],
        "tickets": {"join_window": "20s", "close_after": "6s"},
    }
    return yaml.safe_dump(document)


class Story:
    """Makes the records one after the other: key and value as they stand on ``interaction-received``."""

    def __init__(self, seed: int, clock: Clock, customers: int = 300) -> None:
        self._random = random.Random(seed)
        self._clock = clock
        self._customers = customers
        self._codec = Codec()
        self._told: deque[Record] = deque(maxlen=200)
        self._asked: dict[int, deque[str]] = {}
        self.repeated = self.late = self.unreadable = 0

    def configuration(self, first_response: str, resolution: str) -> Record:
        """A bundle, as an operator publishes it."""
        event = configuration_event(bundle(first_response, resolution), TENANT, self._clock.now())
        return event.conversation.encode(), self._codec.encode(event)

    def forget(self) -> None:
        """Repeat nothing of what was told so far: a customer who left the state is begun anew by an old event."""
        self._told.clear()

    def next(self) -> Record:
        """The next record."""
        dice = self._random.random()
        if dice < REPEATED and self._told:
            self.repeated += 1
            return self._random.choice(self._told)
        if dice < REPEATED + UNREADABLE:
            self.unreadable += 1
            return b"nobody", self._random.randbytes(self._random.randrange(40))
        event = self._event()
        record = (event.conversation.encode(), self._codec.encode(event))
        self._told.append(record)
        return record

    def _event(self) -> InteractionReceived:
        who = self._random.randrange(self._customers)
        asked = self._asked.setdefault(who, deque(maxlen=6))
        now = self._clock.now()
        occurred = now
        if self._random.random() < LATE:
            self.late += 1
            occurred -= round(self._random.uniform(1, 30) * SECOND)
        commanding = bool(asked) and self._random.random() < 0.15
        kind = self._random.choice(_COMMANDS if commanding else _TYPES)
        channel = "internal" if commanding else _CHANNELS.get(kind.partition(".")[0], "survey")
        ours = commanding or kind in ("email.sent", "message.sent", "call.answered")
        made = InteractionReceived(
            id=str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
            type=kind,
            tenant=TENANT,
            source=f"{channel}/main",
            channel=channel,
            direction="internal" if commanding else "outbound" if ours else "inbound",
            occurred_at=occurred,
            received_at=now,
            conversation=f"{channel}:{who}-{self._random.randrange(3)}",
            contact_points=[] if commanding else self._points(who, channel),
            actor=Actor("agent", id="agent-1", team="second-line", organisation="own") if ours else Actor("customer"),
            subject="Where is my order?",
            text="x" * self._random.randrange(200),
            facts=self._command(kind, self._random.choice(asked)) if commanding else self._facts(kind),
        )
        if kind in ("email.received", "message.received", "call.abandoned"):
            asked.append(made.id)
        return made

    def _facts(self, kind: str) -> Facts | None:
        automatic = "greeting" if kind == "message.sent" and self._random.random() < 0.2 else None
        made: dict[str, Facts] = {
            "email": MailFacts(message_id=f"<{self._random.getrandbits(64):x}@example.com>"),
            "message": MessageFacts(automatic=automatic),
            "call": CallFacts(queue="support"),
        }
        return made.get(kind.partition(".")[0])

    def _command(self, kind: str, ticket: str) -> TicketCommand:
        chosen = self._random
        if kind == "ticket.assigned":
            return TicketCommand(ticket=ticket, team=chosen.choice(("first-line", "care")), organisation="own")
        if kind == "ticket.status_set":
            return TicketCommand(ticket=ticket, status=chosen.choice(("pending", "open", "resolved", "closed", "odd")))
        if kind == "ticket.prioritised":
            return TicketCommand(ticket=ticket, priority=chosen.choice(("normal", "urgent", "low")))
        return TicketCommand(ticket=ticket, tags=[f"tag-{chosen.randrange(5)}"])

    def _points(self, who: int, channel: str) -> list[ContactPoint]:
        """Mostly the channel's own; now and then a second one, which links, or suggests that two are one."""
        every = [
            ContactPoint("email", f"customer-{who}@example.com", verified=True),
            ContactPoint("phone", f"+4930901{who:05d}", verified=self._random.random() < 0.5),
            ContactPoint("whatsapp_user", f"user-{who}"),
        ]
        if self._random.random() < 0.003:
            return []
        first = every[{"email": 0, "voice": 1}.get(channel, 2)]
        return [first] if self._random.random() < 0.85 else [first, self._random.choice(every)]
