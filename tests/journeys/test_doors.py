"""What goes wrong at the doors, from a forged signature to a clock that is a day off, and what becomes of it."""

from __future__ import annotations

import asyncio

import pytest

from hub.demo.api import seen
from hub.demo.payloads import SUPPORT, cloud_event, command, mail, whatsapp
from hub.local.ami_peer import abandoned_call
from tests.journeys.log import balanced
from tests.journeys.running import WHATSAPP_SECRET, Hub, about, micros

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.kafka, pytest.mark.postgres]
MINUTE, HOUR, DAY = 60, 3600, 86_400
THIRTY_MEGABYTES = 30 * 1024 * 1024
WEBHOOK, CONNECT, EVENTS = "/v1/channels/whatsapp/main", "/v1/channels/amazon-connect/main", "/v1/events"


def call(hub: Hub, name: str, number: str) -> list[bytes]:
    """A caller who just gave up after a minute."""
    now = hub.clock.now()
    offered, queued, gave_up = now - micros(70), now - micros(65), now - micros(5)
    return abandoned_call(name, number, "shipping", offered=offered, queued=queued, gave_up=gave_up)


async def test_who_can_not_prove_who_he_is_is_turned_away(hub: Hub) -> None:
    """Forged, unsigned and foreign deliveries are answered 401 at every HTTP door, and nothing of them is kept."""
    now = hub.clock.now()
    body, headers = whatsapp(hub.number(), "Let me in", now, "a-guessed-secret")
    event, posted = cloud_event("message.received", now, {})
    async with hub.storing_nothing():
        answers = [
            await hub.http.post(WEBHOOK, content=body, headers=headers),
            await hub.http.post(WEBHOOK, content=body),
            await hub.http.post(CONNECT, content=b"{}", headers={"x-hub-token": "a-guessed-token"}),
            await hub.http.post(EVENTS, content=event, headers=posted | {"Authorization": "Bearer a-guessed-token"}),
            await hub.http.get(WEBHOOK, params={"hub.verify_token": "guessed", "hub.challenge": "1"}),
        ]
    assert [answer.status_code for answer in answers] == [401] * 5
    assert {answer.json()["reason"] for answer in answers} == {"bad_signature"}
    assert await hub.counted("whatsapp", "bad_signature") >= 2
    # The very same words, signed, are taken: it was the signature that made the difference.
    number = hub.number()
    assert (await hub.whatsapp(number, "Let me in")).status_code == 200
    assert [entry.text for entry in await hub.until_history(number, 1)] == ["Let me in"]


async def test_what_breaks_off_on_its_way_leaves_nothing(hub: Hub) -> None:
    """A body, a mail and a telephone event are cut off half-way; none of them is kept, and each door goes on."""
    body, headers = cloud_event("message.received", hub.clock.now(), {"text": "x" * 1000})
    head = f"POST {EVENTS} HTTP/1.1\r\nHost: hub\r\nAuthorization: {hub.http.headers['Authorization']}\r\n"
    head += f"Content-Type: {headers['Content-Type']}\r\nContent-Length: {len(body)}\r\n\r\n"
    cut = await hub.counted("cloudevents", "cut_off")
    sender, number = hub.somebody(), hub.number()
    half = call(hub, "1767600001.1", number)[1][:80]

    async with hub.storing_nothing():
        await _send_and_leave(hub.settings.http_port, head.encode() + body[: len(body) // 2])
        await seen("the cut-off body", lambda: _more(hub, cut))

        lines = [b"LHLO mx", f"MAIL FROM:<{sender}>".encode(), f"RCPT TO:<{SUPPORT}>".encode(), b"DATA"]
        whole = mail(sender, SUPPORT, "Half a mail", "Half of it", hub.clock.now(), "half@mail.example")
        await _send_and_leave(hub.settings.lmtp_port, b"\r\n".join([*lines, whole[:150]]), answers=6)

        await hub.switch.drop(half)
        await hub.switch.until_logged_in()

    assert (await hub.question(sender, f"whole.{sender}")).code == 250
    await hub.switch.play(call(hub, "1767600001.2", number))
    assert [entry.subject for entry in await hub.until_history(sender, 1)] == ["A question"]
    assert (await hub.until_history(number, 4))[0].type == "call.offered"


async def test_thirty_megabytes_are_too_much(hub: Hub) -> None:
    """A mail and bodies of 30 MB are refused in words, and nothing of them is kept."""
    sender = hub.somebody()
    text = ("x" * 75 + "\r\n") * (THIRTY_MEGABYTES // 77)
    large = mail(sender, SUPPORT, "Large", text, hub.clock.now(), "large@mail.example")
    assert len(large) > hub.settings.mail_limit
    async with hub.storing_nothing():
        assert (await hub.mail(sender, large)).code == 552
        for path in (WEBHOOK, CONNECT, EVENTS):
            answer = await hub.http.post(path, content=b"x" * THIRTY_MEGABYTES)
            assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")
    assert await hub.history(sender) == []


async def test_a_charset_that_nobody_knows_is_no_reason_to_lose_a_mail(hub: Hub) -> None:
    """A mail in an unknown charset is accepted, and what can be read of it is in the history."""
    sender = hub.somebody()
    head = f"From: {sender}\nTo: {SUPPORT}\nSubject: =?x-made-up?Q?Parcel?=\nMessage-ID: <odd.{sender}>\n"
    body = head.encode() + b'Content-Type: text/plain; charset="x-made-up-9"\n\nWhere is my parcel? Gr\xfc\xdfe\n'
    assert (await hub.mail(sender, body)).code == 250
    [entry] = await hub.until_history(sender, 1)
    assert entry.type == "email.received"
    assert "Where is my parcel?" in (entry.text or "")
    assert entry.ticket is not None


async def test_the_same_delivery_twice_is_one_entry(hub: Hub) -> None:
    """Every sender repeats itself; each history has each thing once."""
    now = hub.clock.now()
    sender, chatting, calling = hub.somebody(), hub.number(), hub.number()
    letter = mail(sender, SUPPORT, "Twice", "The same\n", now, f"twice.{sender}")
    body, headers = whatsapp(chatting, "The same", now, WHATSAPP_SECRET)
    event, event_headers = cloud_event("social.posted", now, about(sender))
    blocks = call(hub, "1767600002.1", calling)
    ids = []
    for _ in range(2):
        assert (await hub.mail(sender, letter)).code == 250
        answers = [
            await hub.http.post(WEBHOOK, content=body, headers=headers),
            await hub.http.post(EVENTS, content=event, headers=event_headers),
        ]
        assert [answer.status_code for answer in answers] == [200, 200]
        ids.append([answer.json()["ids"] for answer in answers])
        await hub.switch.play(blocks)
    assert ids[0] == ids[1]
    # What follows on the same way has been folded after whatever was repeated.
    assert (await hub.question(sender, f"after.{sender}", answers=f"twice.{sender}")).code == 250
    await hub.whatsapp(chatting, "And more")
    await hub.switch.play(call(hub, "1767600002.2", calling))
    subjects = [entry.subject for entry in await hub.until_history(sender, 3)]
    assert sorted(map(str, subjects)) == ["A question", "None", "Twice"]
    assert [ticket.interactions for ticket in await hub.tickets(sender)] == [3]
    assert sorted(str(entry.text) for entry in await hub.until_history(chatting, 2)) == ["And more", "The same"]
    heard = [entry.type for entry in await hub.until_history(calling, 8)]
    assert sorted(heard) == sorted(2 * ["call.offered", "call.queued", "call.abandoned", "call.ended"])


async def test_a_senders_clock_is_a_day_ahead(hub: Hub) -> None:
    """What is said to come from tomorrow is taken, but the promise begins when it arrived, not in the future."""
    ahead = hub.clock.now() + micros(DAY + HOUR)
    sender, number = hub.somebody(), hub.number()
    assert (await hub.question(sender, f"ahead.{sender}", at=ahead)).code == 250
    assert (await hub.whatsapp(number, "From tomorrow", at=ahead)).status_code == 200
    for contact in (sender, number):
        [entry] = await hub.until_history(contact, 1)
        ticket = await hub.until_ticket(contact)
        assert ticket.opened_at <= entry.received_at
        assert entry.ticket == ticket.id
    # A program, unlike a person's mail, can be told that its clock is wrong.
    answer = await hub.event("social.posted", about(sender), at=ahead)
    assert answer.status_code == 422
    assert "a day ahead" in answer.text


async def test_a_senders_clock_is_a_day_behind(hub: Hub) -> None:
    """A mail that took a day is a day old: its promise was missed before anybody could know, so nobody is paged."""
    sender = hub.somebody()
    written = hub.clock.now() - micros(DAY)
    assert (await hub.question(sender, f"behind.{sender}", at=written)).code == 250
    ticket = await hub.until_ticket(sender, lambda each: any(v.outcome == "breached" for v in each.verdicts))
    [entry] = await hub.history(sender)
    assert ticket.opened_at == entry.occurred_at < entry.received_at
    assert [v.quiet for v in ticket.verdicts if v.outcome == "breached"] == ["found_late"]


async def test_the_hubs_own_clock_is_set_back_a_day(hub: Hub) -> None:
    """The machine's clock jumps back a day and is mended; what comes in meanwhile is neither lost nor held up."""
    sender = hub.somebody()
    hub.clock.move(-DAY)
    assert (await hub.question(sender, f"yesterday.{sender}")).code == 250
    await hub.until_ticket(sender)
    hub.clock.move(DAY)
    assert (await hub.question(sender, f"today.{sender}")).code == 250
    first, second = await hub.until_history(sender, 2)
    assert first.received_at < second.received_at
    hub.clock.move(4 * HOUR)
    await hub.until_ticket(sender, lambda each: any(v.outcome == "breached" for v in each.verdicts))


async def test_a_closed_ticket_is_closed(hub: Hub) -> None:
    """For a closed ticket: a command is refused in words, a mail that came late joins it, a new one follows it."""
    sender = hub.somebody()
    first = f"first.{sender}"
    await hub.question(sender, first)
    ticket = await hub.until_ticket(sender)
    hub.clock.move(10 * MINUTE)
    written_before = hub.clock.now()
    hub.clock.move(10 * MINUTE)
    closing, headers = command("ticket.status_set", hub.clock.now(), ticket.id, status="closed")
    assert (await hub.http.post(EVENTS, content=closing, headers=headers)).status_code == 200
    assert (await hub.until_ticket(sender, lambda each: each.status == "closed")).id == ticket.id

    refused, headers = command("ticket.assigned", hub.clock.now(), ticket.id, team="second-line")
    headers["Prefer"] = "wait=1"
    assert (await hub.http.post(EVENTS, content=refused, headers=headers)).status_code == 202
    letter = await hub.until_letter(lambda each: ticket.id in each.detail)
    assert (letter.stage, letter.reason) == ("casework", "ticket_closed")

    await hub.question(sender, f"late.{sender}", at=written_before, answers=first)
    opened, joined, closed = await hub.until_history(sender, 3)
    assert [opened.type, joined.type, closed.type] == ["email.received", "email.received", "ticket.status_set"]
    assert (joined.ticket, joined.joined_because) == (ticket.id, "same_conversation")

    hub.clock.move(10 * MINUTE)
    await hub.question(sender, f"again.{sender}", answers=first)
    following = await hub.until_ticket(sender, lambda each: each.follows is not None)
    assert (following.follows, following.status) == (ticket.id, "open")
    assert [each.status for each in await hub.tickets(sender)] == ["closed", "open"]


async def test_the_doors_account_for_everything(hub: Hub) -> None:
    """Whatever came in above is an entry or a dead letter, once."""
    assert (await balanced(hub.settings)).buried


async def _more(hub: Hub, before: float) -> bool:
    return await hub.counted("cloudevents", "cut_off") > before


async def _send_and_leave(port: int, data: bytes, answers: int = 0) -> None:
    """Send this, read so many lines of answer, and close the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    for _ in range(answers):
        await reader.readline()
    writer.close()
    await writer.wait_closed()
