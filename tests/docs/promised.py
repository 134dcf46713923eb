"""The worked examples of ``docs/sla-examples.md``: promises, and what happened. What comes of it the code computes.

What a person calculated for each of them is in ``tests/docs/test_sla_examples.py``.
"""

from __future__ import annotations

import re
import uuid

import msgspec

from schemas.records import Actor, InteractionReceived
from tests.docs.promises import Example, Maker, Step, minutes, shown, terms
from tests.domain import clocks
from tests.domain.clocks import BOT, MAIL, OWN, VENDOR
from tests.domain.stories import SPACE, command, event

PAGE = "sla-examples.md"
WRITES = "the customer writes"
ANSWERS = "vendor-a answers"
RESOLVED = "vendor-a resolves the ticket"


def answer(actor: Actor = VENDOR, received: str = "") -> Maker:
    return lambda name, at: clocks.reply(name, at, minutes(received) if received else None, actor)


def to(status: str, actor: Actor = VENDOR) -> Maker:
    return commanded("ticket.status_set", actor, status=status)


def priority(new: str) -> Maker:
    return lambda name, at: command(name, "ticket.prioritised", at, MAIL.id, priority=new)


def commanded(kind: str, actor: Actor, **fields: object) -> Maker:
    return lambda name, at: msgspec.structs.replace(command(name, kind, at, MAIL.id, **fields), actor=actor)


def chat(kind: str, actor: Actor | None = None) -> Maker:
    return lambda name, at: clocks.chat(name, kind, at, actor)


def call(step: str, number: str = "1") -> Maker:
    return lambda name, at: clocks.call(name, step, at, number=number)


def callback(kind: str, actor: Actor) -> Maker:
    return lambda name, at: event(name, kind, at, channel="voice", conversation="call:1", actor=actor)


def second_mail(name: str, at: float) -> InteractionReceived:
    return event(name, "email.received", at, conversation="email:thread-2")


def merged_into(step: int) -> Maker:
    target = str(uuid.uuid5(SPACE, f"step {step}"))
    return lambda name, at: command(name, "ticket.merged", at, MAIL.id, target=target)


def reopening(mode: str) -> dict[str, object]:
    return terms(resolution="4h", reopen=mode)


EXAMPLES = (
    Example(
        "weekend",
        "A first response over a weekend",
        "a first response within 4 h of office hours.",
        {"": terms(first_response="4h")},
        [Step("01-09 15:00", WRITES, clocks.mail), Step("01-12 10:30", ANSWERS, answer())],
        "Two hours on Friday, one and a half on Monday; the weekend counts nothing.",
    ),
    Example(
        "closing",
        "A target that is used up exactly at closing",
        "a first response within 2 h of office hours, with each of the two boundaries.",
        {
            "`next_open`": terms(first_response="2h", boundary="next_open"),
            "`close`": terms(first_response="2h", boundary="close"),
        },
        [Step("01-09 15:00", WRITES, clocks.mail), Step("01-12 09:00", ANSWERS, answer())],
        "Both have used 2 h, since nothing counts between closing and opening. `next_open` asks for no more than the "
        "promised time, `close` for an answer before the doors shut.",
    ),
    Example(
        "forward",
        "The day on which clocks are set forward",
        "a first response within 9 h 30 min where every day is open from 09:00 to 17:00, or within 24 h around the "
        "clock. On Sunday 29 March 02:00 becomes 03:00.",
        {
            "09:00 to 17:00": terms("daily", first_response="9h30m"),
            "around the clock": terms("always", first_response="24h"),
        },
        [Step("03-28 16:00", WRITES, clocks.mail), Step("03-29 16:30", ANSWERS, answer())],
        "The Sunday has its 8 h from 09:00 to 17:00: an hour on Saturday, eight on Sunday, half an hour on Monday make "
        "9 h 30 min. Around the clock it has 23 h, so 24 h end an hour later by the clock on the wall.",
    ),
    Example(
        "holiday",
        "A holiday",
        "a first response within 4 h of office hours; 1 May is a holiday.",
        {"": terms(first_response="4h")},
        [Step("04-30 16:00", WRITES, clocks.mail), Step("05-04 11:00", ANSWERS, answer())],
        "An hour on Thursday, nothing on Friday and at the weekend, two hours on Monday.",
    ),
    Example(
        "bot",
        "A bot has it first",
        "a first response within 5 min, around the clock.",
        {"": terms("always", first_response="5m")},
        [
            Step("01-05 10:00", "the customer writes in a chat", chat("message.received")),
            Step("01-05 10:00:05", "a bot answers", chat("message.sent", BOT)),
            Step("01-05 10:04", "the chat is put in the queue for a person", chat("chat.queued", Actor("system"))),
            Step("01-05 10:07", "a person of vendor-a answers", chat("message.sent", VENDOR)),
        ],
        "The bot's answer is none. The clock begins anew with the hand-over.",
    ),
    Example(
        "unanswered-call",
        "A call that no one answered",
        "a first response within 1 h, around the clock.",
        {"": terms("always", first_response="1h")},
        [
            Step("01-05 10:00", "a call waits in the queue", call("queued")),
            Step("01-05 10:03", "the caller leaves a message", call("voicemail_left")),
            Step("01-05 10:04", "the call ends", call("ended")),
            Step("01-05 10:30", "the customer calls again and waits", call("queued", "2")),
            Step("01-05 10:31", "vendor-a answers the call", call("answered", "2")),
        ],
        "It begins at the end of the first call. An answered call is an answer.",
    ),
    Example(
        "repeats",
        "Answer, question, reminder, answer",
        "each next response within 2 h of office hours.",
        {"": terms(next_response="2h")},
        [
            Step("01-05 09:00", WRITES, clocks.mail),
            Step("01-05 09:30", ANSWERS, answer()),
            Step("01-05 10:00", "the customer asks again", clocks.mail),
            Step("01-05 11:00", "the customer reminds", clocks.mail),
            Step("01-05 11:30", ANSWERS, answer()),
        ],
        "Cycle 2 runs from the oldest question that is not answered. The reminder neither moves nor restarts it.",
    ),
    Example(
        "pending",
        "Waiting for the customer, and for others",
        "`resolution`, `agent_work` and `total_resolution`, each within 8 h of office hours.",
        {"": terms(resolution="8h", agent_work="8h", total_resolution="8h")},
        [
            Step("01-05 09:00", WRITES, clocks.mail),
            Step("01-05 10:00", "the ticket waits for the customer (`pending`)", to("pending")),
            Step("01-05 12:00", "the customer writes, the ticket is open", clocks.mail),
            Step("01-05 13:00", "it waits for somebody else (`on_hold`)", to("on_hold")),
            Step("01-05 14:00", "it is open again", to("open")),
            Step("01-05 15:00", RESOLVED, to("resolved")),
        ],
        "Of the same six hours, `resolution` leaves out the two for which the customer was waited for, `agent_work` "
        "the hour on hold too, `total_resolution` nothing.",
    ),
    Example(
        "reopened",
        "Reopened, in three modes",
        "a resolution within 4 h of office hours, with each of the modes of `reopen`.",
        {f"`{mode}`": reopening(mode) for mode in ("resume", "count_closed", "new_cycle")},
        [
            Step("01-05 09:00", WRITES, clocks.mail),
            Step("01-05 10:00", RESOLVED, to("resolved")),
            Step("01-05 12:00", "the customer writes: it is not solved", clocks.mail),
            Step("01-05 13:30", RESOLVED, to("resolved")),
        ],
        "`resume`: an hour before and one and a half after. `count_closed`: the two hours in between as well, which is "
        "too much. `new_cycle`: the first stays kept, the second has the whole target.",
    ),
    Example(
        "raised",
        "Priority raised: the time used is kept",
        "a resolution within 8 h of office hours, with priority `high` within 5 h.",
        {"": terms(resolution={"normal": "8h", "high": "5h"})},
        [
            Step("01-05 09:00", WRITES, clocks.mail),
            Step("01-05 12:00", "the priority becomes `high`", priority("high")),
            Step("01-05 13:30", RESOLVED, to("resolved")),
        ],
        "At 12:00 three hours are used, so two of the five are left.",
    ),
    Example(
        "lowered",
        "Priority raised: more is used than is promised now",
        "a resolution within 8 h of office hours, with priority `urgent` within 2 h.",
        {"": terms(resolution={"normal": "8h", "urgent": "2h"})},
        [
            Step("01-05 09:00", WRITES, clocks.mail),
            Step("01-05 12:00", "the ticket waits for the customer (`pending`)", to("pending")),
            Step("01-05 13:00", "the priority becomes `urgent`", priority("urgent")),
            Step("01-05 14:00", RESOLVED, to("resolved")),
        ],
        "The breach is at the instant of the change, though the clock stands still then.",
    ),
    Example(
        "handed-over",
        "From vendor to own team and back",
        "a resolution within 6 h of office hours, and no team or organisation holds a ticket for more than 4 h.",
        {"": terms(resolution="6h", ownership="4h")},
        [
            Step("01-05 09:00", "the customer writes; the ticket goes to vendor-a", clocks.mail),
            Step(
                "01-05 10:30:20",
                "vendor-a gives it to own",
                commanded("ticket.assigned", VENDOR, team="second-line", organisation="own"),
            ),
            Step(
                "01-05 11:15:50",
                "own gives it back",
                commanded("ticket.assigned", OWN, team="first-line", organisation="vendor-a"),
            ),
            Step("01-05 12:00", RESOLVED, to("resolved")),
        ],
        "Each second belongs to one of them; the shares add up to what the customer waited.",
    ),
    Example(
        "taken-on",
        "Acknowledgement and ownership",
        "who is given a ticket takes it on within 30 min of office hours, and holds it for no more than 4 h.",
        {"": terms(acknowledgement="30m", ownership="4h")},
        [
            Step("01-05 09:00", "the customer writes; the ticket goes to vendor-a", clocks.mail),
            Step("01-05 09:10", "vendor-a accepts it", commanded("ticket.accepted", VENDOR)),
            Step(
                "01-05 10:00",
                "vendor-a escalates it to own",
                commanded("ticket.escalated", VENDOR, team="second-line", organisation="own"),
            ),
            Step("01-05 10:40", "own accepts it", commanded("ticket.accepted", OWN)),
            Step("01-05 12:00", "own resolves it", to("resolved", OWN)),
        ],
        "Each holder has a cycle of its own of both promises. Own took the ticket on 10 min too late.",
    ),
    Example(
        "late",
        "A late mail takes a breach back",
        "a first response within 2 h of office hours.",
        {"": terms(first_response="2h")},
        [
            Step("01-05 09:00", WRITES, clocks.mail),
            Step("01-05 10:30", ANSWERS, answer(received="01-05 13:00"), "01-05 13:00"),
        ],
        "The breach stays on record, and so does that it was taken back. What counts is when the answer was sent.",
    ),
    Example(
        "merged",
        "Two tickets become one",
        "each next response within 120 h, around the clock.",
        {"": terms("always", next_response="5d")},
        [
            Step("01-05 09:00", "the customer writes: the first ticket", clocks.mail),
            Step("01-09 09:00", "the customer writes of something new: the second ticket", second_mail),
            Step("01-09 12:00", "the first is merged into the second", merged_into(1)),
            Step("01-09 15:00", "vendor-a answers", answer()),
        ],
        "The first ticket's clock is neither met nor breached. Its question waits on in the second, since it was asked "
        "on Monday.",
    ),
    Example(
        "warned",
        "Warned by percent and by time",
        "a resolution within 4 h of office hours, with warnings at 50 % and 30 min before the due.",
        {"": terms(resolution="4h", warnings=[50, "30m"])},
        [Step("01-05 09:00", WRITES, clocks.mail), Step("01-05 13:10", RESOLVED, to("resolved"))],
        "Nobody did anything between 09:00 and 13:10: these verdicts came of time alone. The last one says how late "
        "it was done; it stays breached.",
    ),
    Example(
        "calls",
        "Callers who wait",
        "a call is answered within 20 s, around the clock.",
        {"": terms("always", call_answer="20s", tickets={"call_opens": "queued"})},
        [
            Step("01-05 10:00", "the first call waits", call("queued")),
            Step("01-05 10:00:15", "vendor-a answers it", call("answered")),
            Step("01-05 10:10", "the second call waits", call("queued", "2")),
            Step("01-05 10:10:25", "vendor-a answers it", call("answered", "2")),
            Step("01-05 10:20", "the third call waits", call("queued", "3")),
            Step("01-05 10:20:10", "the caller hangs up", call("abandoned", "3")),
        ],
        "Each call is a cycle. Who hangs up sooner than promised was not let down; how many do is "
        "[a figure of its own](figures.md).",
    ),
    Example(
        "callback",
        "A wish to be called back",
        "a call back within 2 h of office hours.",
        {"": terms(callback="2h")},
        [
            Step(
                "01-05 16:00", "the customer asks to be called back", callback("callback.requested", Actor("customer"))
            ),
            Step("01-06 09:15", "vendor-a calls back", callback("callback.completed", VENDOR)),
        ],
        "An hour on Monday, a quarter of one on Tuesday.",
    ),
    Example(
        "updates",
        "Updates in between",
        "an update every 4 h of office hours.",
        {"": terms(periodic_update="4h")},
        [
            Step("01-05 09:00", WRITES, clocks.mail),
            Step("01-05 09:30", ANSWERS, answer()),
            Step("01-05 12:30", "vendor-a tells how it stands", answer()),
            Step("01-05 14:00", RESOLVED, to("resolved")),
        ],
        "It begins with the first answer. After the ticket is resolved no more update is owed.",
    ),
)


def titles() -> str:
    """A line per example, which leads to it."""
    return "\n".join(f"- [{each.title}]({PAGE}#{anchor(each.title)})" for each in EXAMPLES)


def anchor(title: str) -> str:
    """The fragment of a heading, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def examples() -> str:
    """All of them, in order."""
    return "\n".join(shown(each) for each in EXAMPLES)
