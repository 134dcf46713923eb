"""The story: a customer mails, writes and calls; a vendor misses its promise; an own team helps. Then a breach that was
none: the answer's mail arrives late, but shows that it was written in time.

Everything comes in through the doors that real systems use, and every step waits until the hub shows its effect.
"""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Callable
from dataclasses import dataclass

from hub.demo.api import Api, Ticket, seen
from hub.demo.oncall import OnCall
from hub.demo.payloads import SUPPORT, command, customer_record, mail, whatsapp
from hub.local.ami_peer import AmiPeer, abandoned_call
from runtime.clock import MovableClock

MINUTE = 60
HOUR = 60 * MINUTE
SECOND = 1_000_000
CUSTOMER, NUMBER = "customer@mail.example", "+4930901820"
SECOND_CUSTOMER = "other@mail.example"


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the story plays."""

    api: Api
    clock: MovableClock
    oncall: OnCall
    switch: AmiPeer
    lmtp_port: int
    whatsapp_secret: str
    say: Callable[[str], None]


async def tell(stage: Stage) -> None:
    """Play both cases. Raises ``NotSeen`` when the hub does not show what it should."""
    await _missed_promise(stage)
    await _breach_that_was_none(stage)


async def _missed_promise(on: Stage) -> None:
    on.say("The shop's system tells the hub of a customer: a mail address and a phone number, both verified.")
    await on.api.post("/v1/events", *customer_record(on.clock.now(), "shop-4711", CUSTOMER, NUMBER))
    await seen("the customer's record", lambda: on.api.history(CUSTOMER))

    on.say("The customer mails about a delayed shipment. The ticket goes to the vendor's first line: 4 h to answer.")
    text = "My order A-1001 was to arrive on Monday.\nWhere is it?\n"
    await _deliver(
        on, CUSTOMER, mail(CUSTOMER, SUPPORT, "Where is my order?", text, on.clock.now(), "question-1@mail.example")
    )
    ticket = await _ticket(on, lambda each: each.status == "open")

    on.say("Two hours later the customer writes on WhatsApp. It joins the same ticket.")
    on.clock.move(2 * HOUR)
    body, headers = whatsapp(
        NUMBER, "Still nothing. Can somebody look at my order?", on.clock.now(), on.whatsapp_secret
    )
    await on.api.post("/v1/channels/whatsapp/demo", body, headers)
    await _entry(on, CUSTOMER, "message.received")

    on.say("Then the customer calls, waits three minutes in the queue, and hangs up.")
    on.clock.move(30 * MINUTE)
    now = on.clock.now()
    call = abandoned_call(
        "1767600000.1",
        NUMBER,
        "shipping",
        offered=now - 200 * SECOND,
        queued=now - 190 * SECOND,
        gave_up=now - 10 * SECOND,
    )
    await on.switch.play(call)
    await _entry(on, CUSTOMER, "call.abandoned")
    await _entry(on, CUSTOMER, "call.ended")

    on.say("Three hours after the mail three quarters of the promised time are used: on-call is warned.")
    on.clock.move(35 * MINUTE)
    await _verdict(on, ticket.id, "warned")
    await seen("the warning at on-call", lambda: _told(on, 1))

    on.say("Four hours have passed without an answer: the promise is breached, and on-call is paged.")
    on.clock.move(1 * HOUR)
    await _verdict(on, ticket.id, "breached")
    await seen("the breach at on-call", lambda: _told(on, 2))

    on.say("The own second line takes the ticket, answers by mail, and resolves it.")
    assigned = command("ticket.assigned", on.clock.now(), ticket.id, team="second-line", organisation="own")
    await on.api.post("/v1/events", *assigned)
    await _ticket(on, lambda each: each.id == ticket.id and each.team == "second-line")
    on.clock.move(10 * MINUTE)
    answer = "The parcel was held up at the depot. It will arrive tomorrow.\n"
    reply = mail(
        SUPPORT,
        CUSTOMER,
        "Re: Where is my order?",
        answer,
        on.clock.now(),
        "answer-1@shop.example",
        "question-1@mail.example",
    )
    await _deliver(on, SUPPORT, reply)
    await _entry(on, CUSTOMER, "email.sent")
    await on.api.post("/v1/events", *command("ticket.status_set", on.clock.now(), ticket.id, status="resolved"))
    await _ticket(on, lambda each: each.id == ticket.id and each.status == "resolved")


async def _breach_that_was_none(on: Stage) -> None:
    on.say("A second customer mails. The answer is written in time, but its copy is held up on the way to the hub.")
    asked = on.clock.now()
    question = mail(SECOND_CUSTOMER, SUPPORT, "Wrong size", "Can I send it back?\n", asked, "question-2@mail.example")
    await _deliver(on, SECOND_CUSTOMER, question)
    ticket = await _ticket(on, lambda each: each.status == "open")
    on.clock.move(4 * HOUR + 5 * MINUTE)
    await _verdict(on, ticket.id, "breached")
    await seen("the second breach at on-call", lambda: _told(on, 3))

    on.say("The copy arrives. Its Date is earlier than the breach: the breach is retracted and the alert resolved.")
    written = asked + 3 * HOUR * SECOND
    reply = mail(
        SUPPORT, SECOND_CUSTOMER, "Re: Wrong size", "Yes, a label is on its way.\n", written, "answer-2@shop.example",
        "question-2@mail.example",
    )  # fmt: skip
    await _deliver(on, SUPPORT, reply)
    await _verdict(on, ticket.id, "retracted")
    await _verdict(on, ticket.id, "met")
    before = len(on.oncall.opened)
    await seen("the alert's end at on-call", lambda: _resolved(on, before))


async def _deliver(on: Stage, sender: str, body: bytes) -> None:
    def send() -> None:
        with smtplib.LMTP("127.0.0.1", on.lmtp_port, timeout=30) as door:
            door.sendmail(sender, [SUPPORT], body)

    await asyncio.to_thread(send)


async def _told(on: Stage, count: int) -> bool:
    return len(on.oncall.opened) >= count


async def _resolved(on: Stage, opened: int) -> bool:
    return len(on.oncall.told) > opened


async def _entry(on: Stage, contact: str, event_type: str) -> None:
    async def look() -> bool:
        return any(entry.type == event_type for entry in await on.api.history(contact))

    await seen(f"{event_type} in the history", look)


async def _ticket(on: Stage, wanted: Callable[[Ticket], bool]) -> Ticket:
    async def look() -> Ticket | None:
        return next((ticket for ticket in await on.api.tickets() if wanted(ticket)), None)

    return await seen("the ticket", look)


async def _verdict(on: Stage, ticket: str, outcome: str) -> None:
    async def look() -> bool:
        found = (await on.api.get(f"/v1/tickets/{ticket}", Ticket)).verdicts
        return any(verdict.outcome == outcome for verdict in found)

    await seen(f"the verdict {outcome}", look)
