"""Reads Asterisk's events into calls. Pure: one block in, at most one event out; the tables are in vendor.py.

Asterisk sends ``timestampevents = yes`` (manager.conf) if told so; set it: without it an event counts from its arrival.
Options of an account: ``timezone`` (of Asterisk's machine, for CEL's local times; default UTC), ``internal_contexts``
(dialplan contexts, comma-separated, in which own people dial), ``queue_counts`` (``yes``: see counters.py), and those
of the connection in client.py.

Limits: a call that stays within the company gives no events. The end of a call that a program began through a
``Local/`` channel is seen only where CEL sends ``LINKEDID_END``. Until version 11 a leg does not name its call.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapters.asterisk_ami.calls import Known
from adapters.asterisk_ami.counters import readings
from adapters.asterisk_ami.protocol import Message, MessageParser
from adapters.asterisk_ami.vendor import IGNORED, RULES, Party, Rule, interface, is_first_leg, kind, leg_of, linked_of
from adapters.asterisk_ami.who import Placed, contact_points, phone, placed
from adapters.contract import Account, BlobStore, Delivery, event_id
from adapters.raw import keep
from domain.errors import Reason, Unreadable
from schemas.records import Actor, CallFacts, InteractionReceived
from schemas.vocabulary import UNMAPPED

MEDIA_TYPE = "text/x-asterisk-ami"
SECOND = 1_000_000

_UNMAPPED_RULE = Rule(UNMAPPED, "leg")


class AsteriskAdapter:
    """Events of Asterisk's manager interface. The account's connection is the proof of where they come from."""

    name = "asterisk-ami"

    def verify(self, delivery: Delivery, account: Account) -> None:
        """Nothing to check: the hub itself opened the connection and logged in."""

    def read(self, delivery: Delivery, account: Account, blobs: BlobStore) -> list[InteractionReceived]:
        """The events of one or more whole AMI blocks. Raises ``Unreadable`` for what is no AMI, or cut off.

        The delivery's ``asterisk-…`` headers hold what the door knows of the call (``calls.Known``); all may be absent.
        """
        parser = MessageParser()
        messages = parser.feed(delivery.body)
        if parser.broken is not None:
            raise parser.broken
        if parser.rest:
            raise Unreadable(Reason.CUT_OFF, "the block has no end: look for a lost connection at this time", "AMI")
        known = Known.of(delivery.headers)
        found: list[InteractionReceived] = []
        for message in messages:
            if kind(message) == "queueparams":
                found += readings(message, delivery, account, blobs)
            elif (event := self._event(message, delivery, account, known, blobs)) is not None:
                found.append(event)
        return found

    def _event(
        self, message: Message, delivery: Delivery, account: Account, known: Known, blobs: BlobStore
    ) -> InteractionReceived | None:
        first = message.fields[0][0].lower() if message.fields else ""
        if first in ("response", "action"):
            return None  # an answer to the door, or a request in a recorded session
        if first != "event":
            raise Unreadable(
                Reason.NOT_VALID, "the block begins with neither Event nor Response: keep it, look at the sender", "AMI"
            )
        name = kind(message)
        rule = RULES.get(name, _UNMAPPED_RULE)
        leg, linked = leg_of(message, rule.prefix), linked_of(message, rule.prefix)
        call = linked or known.call or leg
        if rule is _UNMAPPED_RULE:
            if name in IGNORED or not call:
                return None
        elif not call and rule.may_name_no_call:
            return None
        elif not call:
            raise Unreadable(
                Reason.NOT_VALID, "the event names no call: Uniqueid and Linkedid are missing", message.get("Event")
            )
        way = _way(message, name, known, account)
        if way.direction == "internal" or not all(_holds(condition, message, known, way) for condition in rule.only):
            return None
        source = f"{self.name}/{account.name}"
        return InteractionReceived(
            id=event_id(account.tenant, source, _native_key(rule, message, known, call, leg), rule.type),
            type=rule.type,
            tenant=account.tenant,
            source=source,
            channel="voice",
            direction=way.direction,
            occurred_at=occurred_at(message, account) or delivery.received_at,
            received_at=delivery.received_at,
            conversation=f"asterisk:{account.name}:{call}",
            contact_points=contact_points(way.number, call, account),
            actor=_actor(rule.actor, message, known, way, account),
            facts=_facts(rule, message, leg),
            attributes=_attributes(rule, message, way, account),
            raw=keep(message.raw, MEDIA_TYPE, blobs),
        )


def _way(message: Message, name: str, known: Known, account: Account) -> Placed:
    """The call's direction and the customer's number: what the door remembers, else what the event itself says."""
    if known.direction:
        return Placed(known.direction, known.number)
    if name == "newchannel":
        return placed(message, account)
    number = known.number
    if not number and not message.get("TransfereeUniqueid", "TransfererUniqueid"):
        # Only the caller's own leg carries the caller's number; that of an agent carries the agent's.
        caller_waits = name.startswith(("queuecaller", "agent"))
        if caller_waits or leg_of(message) == linked_of(message):
            number = message.get("CallerIDNum")
    return Placed("inbound", number)


def _holds(condition: str, message: Message, known: Known, way: Placed) -> bool:
    """Whether a condition of the table holds for this event."""
    leg, linked = leg_of(message), linked_of(message)
    match condition:
        case "first leg":
            return is_first_leg(message)
        case "last of the call":
            if message.get("Channel").startswith("Local/"):
                return False  # taken out of the call when its two ends were joined; the call goes on
            # Without Linkedid only the door knows whether this leg began the call.
            return leg == linked if linked else bool(known.direction) and leg == known.call
        case "by the company":
            return (leg == (linked or known.call)) == (way.direction == "outbound")
        case "not queued":
            return not known.queue  # the queue's own events say more, and have the same ids
        case "a real phone":
            return not message.get("DestChannel").startswith("Local/")
        case "of a caller":
            return way.direction == "inbound" and leg == (linked or known.call)
        case "new message":
            return message.get("New") not in ("", "0")
        case "dial answered":
            return message.get("DialStatus") == "ANSWER"
        case "transfer succeeded":
            return message.get("Result") in ("Success", "")  # up to version 11 only a success is told
    raise AssertionError(f"no such condition: {condition}")


def _native_key(rule: Rule, message: Message, known: Known, call: str, leg: str) -> str:
    """What makes the event this one; never the time of its arrival, save where Asterisk sends neither id nor time."""
    if rule is _UNMAPPED_RULE:
        digest = hashlib.sha256(message.raw.replace(b"\r", b"")).hexdigest()
        return "/".join((message.get("Event"), leg or call, digest))
    turn = message.get("Timestamp") or known.turn
    match rule.key:
        case "call":
            return call
        case "leg":
            return leg
        case "queue":
            return f"{leg}/{message.get('Queue')}"
        case "queue turn":
            return f"{leg}/{message.get('Queue')}/{turn}"
        case "turn":
            return f"{leg}/{turn}"
        case "agent":
            # Asterisk 11 names the agent's leg in one of the other fields, each unique to the leg.
            return f"{leg}/{message.get('DestUniqueid', 'BridgedChannel', 'DestinationChannel', 'Channel')}"
        case "transfer":
            return message.get("OrigTransfererUniqueid", "TransfererUniqueid") or f"{leg}/{turn}"


def occurred_at(message: Message, account: Account) -> int | None:
    """The instant at the source in microseconds: ``Timestamp``, else CEL's ``EventTime`` (local to Asterisk)."""
    seconds, _, fraction = message.get("Timestamp").partition(".")
    if seconds.isdecimal() and int(seconds) > 0 and (fraction.isdecimal() or not fraction):
        return int(seconds) * SECOND + int(fraction[:6].ljust(6, "0"))
    try:
        local = datetime.fromisoformat(message.get("EventTime"))
        zone = ZoneInfo(account.options.get("timezone", "UTC"))
    except (ValueError, ZoneInfoNotFoundError):
        return None
    instant = local if local.tzinfo else local.replace(tzinfo=zone)
    delta = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds


def _actor(party: Party, message: Message, known: Known, way: Placed, account: Account) -> Actor | None:
    inbound = way.direction == "inbound"
    if party == "none":
        return None
    if party == "customer" or (party == "caller" and inbound):
        return Actor(kind="customer")
    named = message.get("MemberName", "Interface", "Member", "AgentCalled") or known.agent
    called = "DestChannel" if inbound else "Channel"
    channel = message.get(called, "OrigTransfererChannel", "TransfererChannel", "Channel")
    return Actor(
        kind="agent",
        id=named or (None if channel.startswith("Local/") else interface(channel)) or None,
        team=account.team,
        organisation=account.organisation,
    )


def _facts(rule: Rule, message: Message, leg: str) -> CallFacts:
    # Transferred to: an extension, else the person asked first; of a bridge's two ends only the other one is told.
    target = "Extension", "TransferTargetCallerIDNum", "SecondTransfererConnectedLineNum", "TransferExten", "DestApp"
    return CallFacts(
        leg=leg or None,
        queue=message.get("Queue") or None,
        # The documentation calls HoldTime an instant; it is the seconds spent in the queue (apps/app_queue.c).
        waited=_duration(message.get("HoldTime")),
        talked=_duration(message.get("TalkTime")),
        cause=(message.get("Cause-txt", "Cause") or None) if rule.type == "call.ended" else None,
        transferred_to=(message.get(*target) or None) if rule.type == "call.transferred" else None,
    )


def _duration(seconds: str) -> int | None:
    return int(seconds) * SECOND if seconds.isascii() and seconds.isdecimal() else None


def _attributes(rule: Rule, message: Message, way: Placed, account: Account) -> dict[str, str]:
    found = {"asterisk_event": message.get("Event")} if rule is _UNMAPPED_RULE else {}
    if rule.type == "call.offered":
        found["dialled"] = message.get("Exten")
        if not phone(way.number, account.region):
            found["number_given"] = way.number
    elif rule.type == "call.queued":
        found["position"] = message.get("Position")
    elif rule.type == "call.wrapped_up":
        found["ended_by"] = message.get("Reason")
    return {name: value for name, value in found.items() if value}
