"""The mail door over real TCP: 250 only for what is durable, an answer per recipient, nothing of what breaks off."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator

import pytest

from adapters.contract import Account
from adapters.email.lmtp import MailDoor
from adapters.email.receive import EmailAdapter
from runtime import metrics
from runtime.publisher import RecordRefused
from tests.adapters.email.mail_fakes import ACCOUNT, DAY, NOW, Blobs, FullDisk, Log, Sender, StillClock, mail

SUPPORT = "support@own.example"
SALES = "sales@own.example"
OTHER = "desk@other.example"
LIMIT = 2 * 1024 * 1024
ACCOUNTS = {
    SUPPORT: ACCOUNT,
    SALES: ACCOUNT,
    "other.example": Account(tenant="u", name="desk", options={"own_addresses": "other.example"}),
}


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def blobs() -> Blobs:
    return Blobs()


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def door(log: Log, blobs: Blobs, clock: StillClock) -> AsyncIterator[MailDoor]:
    door = MailDoor(EmailAdapter(), ACCOUNTS, log, blobs, clock, "127.0.0.1", 0, LIMIT)
    await door.start()
    yield door
    await door.stop()


@pytest.fixture
async def sender(door: MailDoor) -> AsyncIterator[Sender]:
    sender = await Sender.connect(door.port)
    yield sender
    await sender.close()


def counted(outcome: str) -> float:
    value = metrics.deliveries_received.labels("email", outcome)._value.get()
    assert isinstance(value, float)
    return value


async def test_a_mail_is_accepted_once_it_is_durable(sender: Sender, log: Log) -> None:
    log.open.clear()
    delivery = asyncio.create_task(sender.deliver(mail().encode(), SUPPORT))
    await log.asked.wait()
    assert not delivery.done()
    log.open.set()
    assert await delivery == ["250 2.0.0 kept"]
    (event,) = log.events
    assert (event.type, event.tenant, event.source, event.received_at) == ("email.received", "t", "email/support", NOW)
    assert event.raw is not None
    assert event.raw.inline is not None
    assert b"Where is my order?" in event.raw.inline


async def test_the_standard_librarys_sender_is_served(door: MailDoor, log: Log) -> None:
    def send() -> None:
        with smtplib.LMTP("127.0.0.1", door.port) as client:
            client.sendmail("customer@example.com", [SUPPORT], mail("Line\n.dot\n..dots"))

    await asyncio.to_thread(send)
    assert [event.text for event in log.events] == ["Line\n.dot\n..dots"]


async def test_a_mail_is_refused_for_now_while_kafka_is_down_and_has_the_same_id_later(
    sender: Sender, log: Log, clock: StillClock
) -> None:
    log.down_for = {"t"}
    assert await sender.deliver(mail().encode(), SUPPORT) == ["451 4.3.0 not kept, deliver again later"]
    assert log.events == []
    log.down_for = set()
    await sender.deliver(mail().encode(), SUPPORT)
    clock.at += DAY
    # The second time it comes by another way, as after a lost answer.
    await sender.deliver(b"Received: from relay.example by mx2.own.example; later\n" + mail().encode(), SUPPORT)
    assert [event.id for event in log.events] == [log.events[0].id] * 2


async def test_recipients_of_one_account_share_an_event_and_each_has_an_answer(sender: Sender, log: Log) -> None:
    log.down_for = {"u"}
    answers = await sender.deliver(mail().encode(), SUPPORT, OTHER, SALES, SUPPORT)
    assert [answer[:3] for answer in answers] == ["250", "451", "250", "250"]
    log.down_for = set()
    answers = await sender.deliver(mail().encode(), OTHER, SUPPORT)
    assert [answer[:3] for answer in answers] == ["250", "250"]
    assert [event.tenant for event in log.events] == ["t", "u", "t"]
    assert log.events[0].id == log.events[2].id != log.events[1].id
    assert await sender.say("NOOP") == "250 OK"


async def test_unknown_recipients_are_refused_one_by_one(sender: Sender, log: Log) -> None:
    before = counted("unknown_account")
    await sender.say("MAIL FROM:<customer@example.com>")
    assert await sender.say("RCPT TO:<nobody@own.example>") == "550 5.1.1 no such mailbox here"
    assert await sender.say("RCPT TO:<anybody@sub.other.example>") == "550 5.1.1 no such mailbox here"
    assert (await sender.say("RCPT TO:<Anybody+tag@OTHER.example>")).startswith("250")
    assert (await sender.say("RCPT TO:<Support+tag@own.example>")).startswith("250")
    assert counted("unknown_account") == before + 2
    assert (await sender.say("RSET")).startswith("250")
    assert (await sender.deliver(mail().encode(), "nobody@own.example", SUPPORT))[0].startswith("250")
    assert len(log.events) == 1


async def test_what_is_no_mail_is_kept_as_a_dead_letter(sender: Sender, log: Log) -> None:
    assert await sender.deliver(b"not a mail", SUPPORT) == ["250 2.0.0 kept as dead letter letter-1"]
    assert log.letters == [("email/support", "not_mail", b"not a mail\r\n")]
    log.down_for = {"email/support"}
    assert (await sender.deliver(b"not a mail", SUPPORT))[0].startswith("451 4.3.0")
    assert log.events == []


async def test_an_event_that_no_topic_can_hold_is_kept_as_a_dead_letter(sender: Sender, log: Log) -> None:
    log.refuses = RecordRefused("too_large", "event 1 takes 2000000 bytes")
    assert (await sender.deliver(mail().encode(), SUPPORT))[0].startswith("250 2.0.0 kept as dead letter")
    log.refuses = ZeroDivisionError("a fault of ours")
    assert (await sender.deliver(mail().encode(), SUPPORT))[0].startswith("250 2.0.0 kept as dead letter")
    assert [reason for _, reason, _ in log.letters] == ["too_large", "not_valid"]


async def test_a_full_disk_makes_the_sender_wait(log: Log, clock: StillClock) -> None:
    door = MailDoor(EmailAdapter(), ACCOUNTS, log, FullDisk(), clock, "127.0.0.1", 0, LIMIT)
    await door.start()
    sender = await Sender.connect(door.port)
    assert (await sender.deliver(mail("x" * 50_000).encode(), SUPPORT))[0].startswith("451 4.3.0")
    assert (log.events, log.letters) == ([], [])
    await sender.close()
    await door.stop()


async def test_a_mail_above_the_limit_is_refused_for_every_recipient_and_not_kept(
    sender: Sender, log: Log, blobs: Blobs
) -> None:
    before = counted("too_large")
    assert f"250-SIZE {LIMIT}" in (await sender.say("LHLO again")).split("\n")
    answer = await sender.say(f"MAIL FROM:<customer@example.com> SIZE={LIMIT + 1}")
    assert answer.startswith("552")
    # A sender that does not say how much it brings.
    huge = mail("x" * 70 + "\n").encode() + b"y" * 70 * 30_000 + b"\n" * 30
    lines = b"\n".join(huge[at : at + 70] for at in range(0, len(huge), 70))
    answers = await sender.deliver(lines, SUPPORT, OTHER)
    assert [answer[:3] for answer in answers] == ["552", "552"]
    assert counted("too_large") == before + 2
    assert (log.events, log.letters, blobs.kept) == ([], [], {})
    assert await sender.deliver(mail().encode(), SUPPORT) == ["250 2.0.0 kept"]


async def test_a_mail_of_30_mb_is_refused_at_25(log: Log, blobs: Blobs, clock: StillClock) -> None:
    door = MailDoor(EmailAdapter(), ACCOUNTS, log, blobs, clock, "127.0.0.1", 0, 25 * 1024 * 1024)
    await door.start()

    def send() -> int:
        with smtplib.LMTP("127.0.0.1", door.port) as client:
            client.ehlo_or_helo_if_needed()
            client.mail("customer@example.com")
            client.rcpt(SUPPORT)
            status, _ = client.data(mail().encode() + (b"z" * 76 + b"\r\n") * (30 * 1024 * 1024 // 78))
            return status

    assert await asyncio.to_thread(send) == 552
    assert (log.events, log.letters, blobs.kept) == ([], [], {})
    await door.stop()


async def test_a_large_mail_below_the_limit_is_taken(sender: Sender, log: Log, blobs: Blobs) -> None:
    body = mail("long line " * 60_000).encode()
    assert await sender.deliver(body, SUPPORT) == ["250 2.0.0 kept"]
    (event,) = log.events
    assert event.raw is not None
    assert event.raw.inline is None
    assert blobs.get(event.raw.reference or "").replace(b"\r\n", b"\n").startswith(body)


async def test_nothing_is_kept_of_a_mail_that_breaks_off(
    door: MailDoor, sender: Sender, log: Log, blobs: Blobs
) -> None:
    before = counted("cut_off")
    cut = await Sender.connect(door.port)
    await cut.say("MAIL FROM:<customer@example.com>")
    await cut.say(f"RCPT TO:<{SUPPORT}>")
    await cut.say("DATA")
    cut.writer.write(mail("half of ").encode().replace(b"\n", b"\r\n"))
    await cut.writer.drain()
    cut.writer.write_eof()
    assert await cut.reader.read() == b""
    await cut.close()
    # A whole mail after it, so that the door has dealt with the broken one.
    await sender.deliver(mail("whole").encode(), SUPPORT)
    assert [event.text for event in log.events] == ["whole"]
    assert (log.letters, blobs.kept, counted("cut_off")) == ([], {}, before + 1)


async def test_a_smuggled_end_of_data_does_not_end_the_mail(sender: Sender, log: Log) -> None:
    await sender.say("MAIL FROM:<customer@example.com>")
    await sender.say(f"RCPT TO:<{SUPPORT}>")
    await sender.say("DATA")
    first = mail("first").encode().replace(b"\n", b"\r\n")
    sender.writer.write(first + b"\n.\n" + b"MAIL FROM:<boss@own.example>\r\n.\r\n")
    assert await sender.answer() == "250 2.0.0 kept"
    assert len(log.events) == 1


async def test_the_null_sender_and_the_mailbox_reach_the_event(sender: Sender, log: Log) -> None:
    await sender.deliver(mail().encode(), "support+vip@own.example", sender="<>")
    (event,) = log.events
    assert event.type == "email.auto_replied"
    assert event.facts is not None
    assert getattr(event.facts, "automatic", None) == "null-sender"
    assert getattr(event.facts, "mailbox", None) == "support+vip@own.example"


async def test_stop_answers_what_has_come_in_whole(log: Log, blobs: Blobs, clock: StillClock) -> None:
    door = MailDoor(EmailAdapter(), ACCOUNTS, log, blobs, clock, "127.0.0.1", 0, LIMIT)
    await door.start()
    busy, idle = await Sender.connect(door.port), await Sender.connect(door.port)
    log.open.clear()
    delivery = asyncio.create_task(busy.deliver(mail().encode(), SUPPORT))
    await log.asked.wait()
    stopping = asyncio.create_task(door.stop())
    await asyncio.sleep(0)
    log.open.set()
    await stopping
    assert await delivery == ["250 2.0.0 kept"]
    assert await idle.reader.read() == b""
    await busy.close()
    await idle.close()


def test_an_account_needs_an_address_or_a_domain(log: Log, blobs: Blobs, clock: StillClock) -> None:
    with pytest.raises(ValueError, match="neither a mail address nor a domain"):
        MailDoor(EmailAdapter(), {"support@": ACCOUNT}, log, blobs, clock, "127.0.0.1", 0, LIMIT)
