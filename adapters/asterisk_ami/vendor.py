"""Facts about Asterisk's events, as tables: which mean something to a customer, which do not, and under which names.

Field and event names are those of Asterisk 12 and later (https://docs.asterisk.org, AMI events); ``ALIASES`` brings the
names of versions up to 11 to them. Nothing here reads bytes or makes events.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from adapters.asterisk_ami.protocol import Message

Key = Literal["call", "leg", "queue", "queue turn", "turn", "agent", "transfer"]
Party = Literal["customer", "agent", "caller", "none"]


class Rule(msgspec.Struct, frozen=True):
    """What an event means. ``key``: what makes it one of its kind; ``only``: conditions, all of which must hold.

    ``prefix`` stands before the fields of the leg that the event is about. ``actor``: who did it, where ``caller`` is
    who placed the call, and ``agent`` the company's person on it, whoever called whom.
    """

    type: str
    key: Key
    actor: Party = "none"
    only: tuple[str, ...] = ()
    prefix: str = ""
    may_name_no_call: bool = False


RULES: dict[str, Rule] = {
    "newchannel": Rule("call.offered", "call", "caller", ("first leg",)),
    "queuecallerjoin": Rule("call.queued", "queue turn", "customer"),
    "agentcalled": Rule("call.ringing", "agent", "agent"),
    "dialbegin": Rule("call.ringing", "agent", "agent", ("not queued", "a real phone")),
    "agentconnect": Rule("call.answered", "agent", "agent"),
    "dialend": Rule("call.answered", "agent", "agent", ("not queued", "a real phone", "dial answered")),
    # Asterisk tells when the agent's part ends and a wrap-up begins, never when the wrap-up is over.
    "agentcomplete": Rule("call.wrapped_up", "agent", "agent"),
    "queuecallerabandon": Rule("call.abandoned", "queue", "customer"),
    "hold": Rule("call.held", "turn", "agent", ("by the company",)),
    "unhold": Rule("call.resumed", "turn", "agent", ("by the company",)),
    "parkedcall": Rule("call.held", "turn", prefix="Parkee"),
    "unparkedcall": Rule("call.resumed", "turn", prefix="Parkee"),
    "parkedcalltimeout": Rule("call.resumed", "turn", prefix="Parkee"),
    "blindtransfer": Rule("call.transferred", "transfer", "agent", ("transfer succeeded",), "Transferee"),
    "attendedtransfer": Rule("call.transferred", "transfer", "agent", ("transfer succeeded",), "Transferee"),
    # Told of a mailbox that changed; also when its owner has listened, which only internal_contexts can tell apart.
    "messagewaiting": Rule("call.voicemail_left", "leg", "customer", ("of a caller", "new message"), "", True),
    "mixmonitorstop": Rule("call.recorded", "turn"),
    "hangup": Rule("call.ended", "call", only=("last of the call",)),
    "cel linkedid_end": Rule("call.ended", "call"),
}

# Events that name a leg and yet give no event, by reason. Events that name no leg concern nobody's call and need no
# entry; what names one and stands in neither table becomes ``interaction.unmapped``.
_SILENT: dict[str, str] = {
    "how a leg is made, named and joined": """
        newstate newcallerid newaccountcode newconnectedline rename masquerade channelupdate channelreload
        localbridge localoptimizationbegin localoptimizationend bridgecreate bridgedestroy bridgeenter bridgeleave
        bridgemerge bridgeexec bridgeaction bridge link unlink dial dialstate pickup parkedcallswap""",
    "steps of the dialplan and of programs that control it": """
        newexten varset agiexec agiexecstart agiexecend asyncagi asyncagistart asyncagiexec asyncagiend
        hanguphandlerrun hanguphandlerpush hanguphandlerpop originateresponse""",
    "sound, keys and media": """
        rtcpsent rtcpreceived rtcpreceiverstat rtpsenderstat jitterbufstats dtmf dtmfbegin dtmfend flash wink
        musiconhold musiconholdstart musiconholdstop channeltalkingstart channeltalkingstop sipringing
        chanspystart chanspystop mixmonitorstart mixmonitormute monitorstart monitorstop""",
    "another event says it: the answer, the next ringing, the hangup, the records of each step": """
        queuecallerleave agentringnoanswer parkedcallgiveup hanguprequest softhanguprequest cdr cel""",
    "an agent's own phone, or a conference": """
        agentlogin agentlogoff confbridgejoin confbridgeleave confbridgetalking confbridgemute confbridgeunmute
        meetmejoin meetmeleave meetmetalking meetmetalkrequest meetmemute""",
    "answers to a question": "status coreshowchannel queueentry queuemember",
}
IGNORED: dict[str, str] = {name: why for why, names in _SILENT.items() for name in names.split()}

# Versions up to 11 said the same in other words.
ALIASES: dict[str, str] = {"join": "queuecallerjoin", "leave": "queuecallerleave"}

# Legs that Asterisk makes for its own use: out-of-call text, music, parking, the two ends of a masquerade.
OWN_CHANNELS = ("Message/", "Bridge/", "Surrogate/", "AsyncGoto/", "Parking/", "Announcer/", "Recorder/")

# Begin and end of what one leg can do several times; the second name of each pair closes the first.
PAIRS: dict[str, tuple[str, bool]] = {
    "queuecallerjoin": ("queue", True),
    "queuecallerleave": ("queue", False),
    "hold": ("hold", True),
    "unhold": ("hold", False),
    "parkedcall": ("park", True),
    "unparkedcall": ("park", False),
    "parkedcalltimeout": ("park", False),
    "mixmonitorstart": ("record", True),
    "mixmonitorstop": ("record", False),
}

_SUFFIX = re.compile(r"-[0-9a-f]{6,}(;[12])?(<[A-Z]+>)?$")


def kind(message: Message) -> str:
    """An event's name in small letters, as the tables have it."""
    name = message.get("Event").lower()
    name = ALIASES.get(name, name)
    if name == "cel" and message.get("EventName") == "LINKEDID_END":
        return "cel linkedid_end"
    if name == "hold" and message.get("Status").lower() == "off":
        return "unhold"  # up to version 11: Hold with Status On or Off
    if name == "transfer":  # up to version 11
        return "attendedtransfer" if message.get("TransferType").lower() == "attended" else "blindtransfer"
    return name


def leg_of(message: Message, prefix: str = "") -> str:
    """The unique id of the leg that an event is about; empty when it names none."""
    return message.get(f"{prefix}Uniqueid", "OrigTransfererUniqueid", "TransfererUniqueid", "Uniqueid")


def linked_of(message: Message, prefix: str = "") -> str:
    """The call's id as the event gives it; empty up to version 11, save in the events of CEL."""
    return message.get(f"{prefix}Linkedid", "OrigTransfererLinkedid", "TransfererLinkedid", "Linkedid")


def is_first_leg(message: Message) -> bool:
    """Whether a ``Newchannel`` begins a call: its leg gave the call its id.

    Up to version 11 there is no ``Linkedid``. A leg that came in has an extension there, one that was called has none;
    the second half of a ``Local`` pair is no call of its own.
    """
    channel = message.get("Channel")
    if channel.startswith(OWN_CHANNELS):
        return False
    linked = linked_of(message)
    if linked:
        return linked == leg_of(message)
    return bool(message.get("Exten")) and not channel.endswith(";2")


def interface(channel: str) -> str:
    """A channel's technology and resource without the number of the call: ``PJSIP/401`` of ``PJSIP/401-0000001a``."""
    return _SUFFIX.sub("", channel)
