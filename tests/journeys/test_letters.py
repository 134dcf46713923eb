"""What stands on the incoming topic comes from anybody: it becomes history where it can be read, else a dead letter.

A dead letter can be looked at and put back, and nothing that follows waits for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import os
import sys
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

import fastavro
import pytest
from confluent_kafka import Producer

from hub.demo.payloads import command
from runtime.clock import SECOND
from schemas.codec import pinned_ids, schema_of
from schemas.records import InteractionReceived, SlaVerdictIssued
from tests.journeys.log import balanced
from tests.journeys.running import WHATSAPP_SECRET, Hub, about

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.kafka, pytest.mark.postgres]
NUMBER = pinned_ids()["InteractionReceived"]


class Ran(NamedTuple):
    """A command that ended: its exit code and everything it printed."""

    code: int
    text: str


def avro(hub: Hub, contact: str, **changes: object) -> bytes:
    """An event as a service in another language writes it, from the schema file and the pinned number alone."""
    now = datetime.fromtimestamp(hub.clock.now() / SECOND, UTC)
    event = {
        "id": str(uuid4()),
        "type": "message.received",
        "tenant": "default",
        "source": "shop/1",
        "channel": "web",
        "direction": "inbound",
        "occurred_at": now,
        "received_at": now,
        "conversation": f"shop:{contact}",
        "contact_points": [{"kind": "email", "value": contact, "role": "customer"}],
        "text": "Written to the topic",
    }
    buffer = io.BytesIO()
    schema = fastavro.parse_schema(dict(schema_of(InteractionReceived)))
    fastavro.schemaless_writer(buffer, schema, event | changes)
    return b"\x00" + NUMBER.to_bytes(4, "big") + buffer.getvalue()


async def produce(hub: Hub, values: list[bytes | None], partition: int, topic: str = "interaction-received") -> None:
    """Write to a topic as anybody may."""

    def send() -> None:
        producer = Producer({"bootstrap.servers": hub.settings.kafka, "acks": "all"})
        for value in values:
            producer.produce(hub.settings.topic(topic), value, key=b"shop", partition=partition)
        assert producer.flush(20) == 0

    await asyncio.to_thread(send)


async def run(hub: Hub, *words: str) -> Ran:
    """Run a command of the hub."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hub",
        *words,
        env={**os.environ, **hub.environment, "COLUMNS": "250"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode())


async def test_anybody_may_write_to_the_topic(hub: Hub) -> None:
    """A service that never calls the hub writes Avro with the pinned schema number, and stands in the history."""
    contact = hub.somebody()
    await produce(hub, [avro(hub, contact)], 0)
    [entry] = await hub.until_history(contact, 1)
    assert (entry.type, entry.source, entry.text) == ("message.received", "shop/1", "Written to the topic")
    assert entry.ticket is not None


async def test_words_that_the_hub_does_not_know_are_kept(hub: Hub) -> None:
    """Tomorrow's event types reach the history today: renamed with the given word beside them, or as they are."""
    posted, written = hub.somebody(), hub.somebody()
    answer = await hub.event("parcel.scanned", about(posted))
    assert answer.status_code == 200, answer.text
    await produce(hub, [avro(hub, written, type="parcel.scanned")], 1)
    assert [entry.type for entry in await hub.until_history(posted, 1)] == ["interaction.unmapped"]
    [entry] = await hub.until_history(written, 1)
    assert (entry.type, entry.ticket) == ("parcel.scanned", None)


async def test_what_can_not_be_read_holds_nothing_up(hub: Hub) -> None:
    """Every partition gets records that no one can read; each becomes a dead letter, and what follows goes through."""
    restarts = hub.supervisor.restarts
    contact = hub.somebody()
    good = avro(hub, contact)
    foreign = b"\x00" + pinned_ids()[SlaVerdictIssued.__name__].to_bytes(4, "big") + good[5:]
    poison = [b"", b"hello", b"\x00\x00\x00\x00\x07" + good[5:], good[:-40], good + b"\x00", foreign]
    odd = [avro(hub, contact, id="not-a-uuid"), avro(hub, contact, occurred_at=datetime(1, 1, 1, tzinfo=UTC))]
    whole = [f"after-{number}.{contact}" for number in range(hub.settings.partitions)]
    for partition, address in enumerate(whole):
        await produce(hub, [None, *poison, *odd, avro(hub, address)], partition)
        # The second stage's log is the hub's own, but who can write to Kafka can write there, too.
        await produce(hub, [None, *poison], partition, "interaction-identified")
    for address in whole:
        assert [entry.text for entry in await hub.until_history(address, 1)] == ["Written to the topic"]

    bad = (1 + len(poison) + len(odd), 1 + len(poison))
    letters = await hub.until_letters(hub.settings.partitions * sum(bad), lambda each: each.key == b"shop")
    found = {(each.stage, each.reason) for each in letters}
    words = {"not-wire-format", "unknown-schema", "not-avro"}
    assert {(stage, word) for stage in ("identity", "casework") for word in words} <= found
    assert ("identity", "not-valid") in found
    assert {each.value or b"" for each in letters} >= set(poison), "each keeps its original bytes"
    assert await hub.history(contact) == []
    assert hub.supervisor.restarts == restarts, "no worker fell over it"


async def test_a_dead_letter_is_put_back_when_its_cause_is_mended(hub: Hub) -> None:
    """A command came before the ticket that it names. An operator finds it, looks at it, and retries it afterwards."""
    contact, ticket = hub.somebody(), str(uuid4())
    early, headers = command("ticket.assigned", hub.clock.now(), ticket, team="night-shift", organisation="own")
    headers["Prefer"] = "wait=0"
    assert (await hub.http.post("/v1/events", content=early, headers=headers)).status_code == 202
    letter = await hub.until_letter(lambda each: ticket in each.detail)

    listed = await run(hub, "dlq", "list", "--reason", "unknown_ticket")
    assert (listed.code, letter.id in listed.text, "identity" in listed.text) == (0, True, True), listed.text
    shown = await run(hub, "dlq", "show", letter.id)
    assert (shown.code, "unknown_ticket" in shown.text, "night-shift" in shown.text) == (0, True, True), shown.text
    again = await run(hub, "dlq", "retry", letter.id)
    assert again.code == 0
    failed = [each.id for each in await hub.until_letters(2, lambda each: ticket in each.detail) if each != letter]
    assert await hub.tickets(contact) == []

    assert (await hub.event("social.posted", about(contact) | {"id": ticket})).status_code == 200
    assert (await hub.until_ticket(contact)).team != "night-shift"
    again = await run(hub, "dlq", "retry", letter.id)
    assert (again.code, "1 left out: put back before" in again.text) == (0, True), again.text
    again = await run(hub, "dlq", "retry", *failed)
    assert (again.code, "1 put back" in again.text) == (0, True), again.text
    found = await hub.until_ticket(contact, lambda each: each.team == "night-shift")
    assert found.id == ticket
    assert [entry.type for entry in await hub.history(contact)].count("ticket.assigned") == 1


async def test_a_dead_letter_of_a_door_is_named_but_not_put_back(hub: Hub) -> None:
    """A signed body that is no JSON is kept at the door; no stage could do anything with it, and retry says so."""
    body = f'{{"object": "whatsapp_business_account", "entry": ["{uuid4()}'.encode()
    signature = hmac.new(WHATSAPP_SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={signature}"}
    answer = await hub.http.post("/v1/channels/whatsapp/main", content=body, headers=headers)
    assert answer.status_code < 500, "Meta would deliver it again for a week"
    letter = await hub.until_letter(lambda each: each.value == body)
    assert (letter.stage, letter.reason) == ("door", "not_json")
    shown = await run(hub, "dlq", "show", letter.id)
    assert body.decode() in shown.text.replace("\n", ""), shown.text
    again = await run(hub, "dlq", "retry", letter.id)
    assert (again.code, "deliver the corrected payload" in again.text) == (1, True), again.text
    unknown = await run(hub, "dlq", "show", "nothing")
    assert (unknown.code, "no dead letter" in unknown.text) == (1, True)


async def test_the_topic_accounts_for_everything(hub: Hub) -> None:
    """Whatever was written above is an entry or a dead letter, once."""
    await balanced(hub.settings)
