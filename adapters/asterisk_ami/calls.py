"""What the door remembers of the calls in progress, for events that do not say it themselves. In memory, bounded.

Nothing here decides what is published: losing all of it (a restart) costs a phone number or a direction on the events
that follow, and those still name the call itself. It never makes an id differ where the source gives a time stamp.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import msgspec

from adapters.asterisk_ami.protocol import Message
from adapters.asterisk_ami.vendor import PAIRS, is_first_leg, kind, leg_of, linked_of
from adapters.asterisk_ami.who import Placed, placed
from adapters.contract import Account

CALLS = 10_000
ENTRIES = 64


class Known(msgspec.Struct, frozen=True):
    """What is known of an event's call besides the event; travels in the delivery's ``asterisk-…`` headers.

    ``call``: the call of a leg that does not name it; ``number``: the customer's as given; ``queue``: where the caller
    waits now; ``turn``: which of several (holds, visits of a queue) this is; ``agent``: who is on the leg.
    """

    call: str = ""
    number: str = ""
    direction: str = ""
    queue: str = ""
    turn: str = ""
    agent: str = ""

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Known:
        """From a delivery's headers; what is missing there is unknown."""
        return cls(**{name: headers.get(f"asterisk-{name}", "") for name in cls.__struct_fields__})

    def headers(self) -> dict[str, str]:
        """As a delivery's headers."""
        return {f"asterisk-{name}": value for name, value in msgspec.structs.asdict(self).items() if value}


class _Call:
    """One call in progress."""

    def __init__(self) -> None:
        self.placed = Placed("", "")
        self.queue = ""
        self.legs: list[str] = []
        self.agents: dict[str, str] = {}
        self.turns: dict[tuple[str, str, str], tuple[bool, int]] = {}


class CallMemory:
    """The calls seen last, up to ``limit``; the one longest not heard of goes first."""

    def __init__(self, account: Account, limit: int = CALLS) -> None:
        self._account = account
        self._limit = limit
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        self._call_of_leg: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def observe(self, message: Message, received_at: int) -> Known:
        """Take note of an event, and say what is known of its call."""
        name = kind(message)
        prefix = "Parkee" if "park" in name else "Transferee" if "transfer" in name else ""
        leg, linked = leg_of(message, prefix), linked_of(message, prefix)
        call_id = linked or self._call_of_leg.get(leg, leg)
        if not call_id:
            return Known()
        call = self._call(call_id)
        self._note(message, name, call_id, call, leg)
        return Known(
            call="" if linked else call_id,
            number=call.placed.number,
            direction=call.placed.direction,
            queue=call.queue,
            turn=_turn(call, message, name, leg, received_at),
            agent=call.agents.get(message.get("OrigTransfererUniqueid", "TransfererUniqueid") or leg, ""),
        )

    def _call(self, call_id: str) -> _Call:
        call = self._calls.get(call_id)
        if call is None:
            call = self._calls[call_id] = _Call()
            if len(self._calls) > self._limit:
                for leg in self._calls.popitem(last=False)[1].legs:
                    self._call_of_leg.pop(leg, None)
        self._calls.move_to_end(call_id)
        return call

    def _note(self, message: Message, name: str, call_id: str, call: _Call, leg: str) -> None:
        other = message.get("DestUniqueid") if name == "dial" else leg
        if other and other != call_id and other not in self._call_of_leg and len(call.legs) < ENTRIES:
            self._call_of_leg[other] = call_id
            call.legs.append(other)
        if name == "newchannel":
            if is_first_leg(message) and not call.placed.direction:
                call.placed = placed(message, self._account)
        elif not call.placed.number and call.placed.direction in ("", "inbound"):
            call.placed = Placed(call.placed.direction, _later_number(message, name, leg == call_id))
        if name == "queuecallerjoin":
            call.queue = message.get("Queue")
        elif name == "queuecallerleave":
            call.queue = ""
        member = message.get("MemberName", "Interface")
        if name == "agentconnect" and member and len(call.agents) < ENTRIES:
            call.agents[message.get("DestUniqueid", "BridgedChannel")] = member


def _later_number(message: Message, name: str, caller: bool) -> str:
    """The number, where it was not known at first: an analogue line tells it only after the leg was made."""
    return message.get("CallerIDNum") if name == "queuecallerjoin" or (name == "newcallerid" and caller) else ""


def _turn(call: _Call, message: Message, name: str, leg: str, received_at: int) -> str:
    """The instant at which this hold, visit of a queue, … was first heard of; a repeat of it says the same."""
    if name not in PAIRS:
        return ""
    pair, opens = PAIRS[name]
    key = (leg, pair, message.get("Queue"))
    was_open, began = call.turns.get(key, (False, 0))
    if (opens and not was_open) or not began:
        began = received_at
    if key in call.turns or len(call.turns) < ENTRIES:
        call.turns[key] = (opens, began)
    return str(began)
