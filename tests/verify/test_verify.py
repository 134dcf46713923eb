"""``hub verify`` on real servers: it finds nothing where nothing is wrong, and each thing that was changed by hand."""

from __future__ import annotations

import copy
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import msgspec
import pytest
from rich.console import Console

from hub.cli import in_words
from hub.verify.command import Verified, run, verify
from hub.verify.evidence import OUTPUTS, Evidence
from hub.verify.expected import CODEC, TOPICS
from hub.verify.findings import Findings
from hub.verify.fingerprint import Forms, fingerprint
from hub.verify.log import Refused
from hub.verify.rows import snapshot
from projections.migrate import migrate
from projections.tickets import store as tickets
from projections.timeline import store as timeline
from runtime.appending import Item, append, new_producer
from runtime.changelog import POSITION, Position, entry
from runtime.settings import Settings
from schemas.records import Clock, TicketChanged, TimelineEntryAdded
from tests.chaos.perfect import perfect
from tests.verify.laid import lay_out, settings_of

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]
OTHER = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def untouched() -> Evidence:
    return perfect()


@pytest.fixture
def evidence(untouched: Evidence) -> Evidence:
    return copy.deepcopy(untouched)


@pytest.fixture
def settings(kafka: str, database: str, topic_prefix: str) -> Settings:
    return settings_of(kafka, database, topic_prefix)


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(database)
    yield opened
    await opened.close()


async def verified(evidence: Evidence, settings: Settings) -> Verified:
    await lay_out(evidence, settings)
    return await verify(settings)


def counts(found: Verified) -> tuple[int, int, int]:
    sorts = found.findings.counts
    return sorts["lost"], sorts["doubled"], sorts["different"]


def words(found: Verified) -> str:
    return "\n".join(f"{sort}: {line}" for sort, lines in found.findings.lines.items() for line in lines[:10])


def longest(evidence: Evidence, topic: str) -> Any:
    return max(evidence.logs[topic].values(), key=len)


async def add(settings: Settings, topic: str, *items: Item, partition: int = 0) -> None:
    producer = new_producer(settings.kafka)
    await producer.start()
    try:
        await append(producer, settings.topic(topic), partition, items)
    finally:
        await producer.stop()


async def test_where_nothing_is_wrong_nothing_is_found(evidence: Evidence, settings: Settings) -> None:
    found = await verified(evidence, settings)
    assert found.findings.clean, words(found)
    assert found.behind == 0
    compared = found.findings.compared
    topics = [settings.topic(each) for each in (*OUTPUTS, TOPICS.dlq)]
    tables = ("timeline_entries", "tickets", "sla_verdicts", "contacts", "alerts")
    for what in (*topics, *tables, "state", "relayed", "decisions", "received", "dead letters of identity"):
        assert compared[what] > 0, f"{what}: a comparison of nothing proves nothing"
    assert compared["received"] == 400
    one = await verify(settings, [1])
    assert one.findings.clean, words(one)
    assert 0 < one.folded < found.folded


async def test_a_call_that_is_measured_otherwise_is_different(
    evidence: Evidence, settings: Settings, connection: Any
) -> None:
    await lay_out(evidence, settings)
    await connection.execute("UPDATE contacts SET outcome = 'answered' WHERE outcome <> 'answered'")
    found = await verify(settings)
    assert counts(found)[:2] == (0, 0)
    assert {line.partition(":")[0] for line in found.findings.lines["different"]} == {"contacts"}, words(found)


async def test_records_that_came_again_are_no_difference(evidence: Evidence, settings: Settings) -> None:
    for topic in (*OUTPUTS, TOPICS.dlq):
        log = longest(evidence, topic)
        log.append(log[3])
    found = await verified(evidence, settings)
    assert found.findings.clean, words(found)
    assert sum(found.findings.repeated.values()) >= 3


async def test_what_is_missing_from_topics_is_lost(evidence: Evidence, settings: Settings) -> None:
    for topic in (*OUTPUTS, TOPICS.dlq):
        logs = longest(evidence, topic)
        place = next(n for n in range(2, len(logs)) if ("stage", b"identity") not in logs[n].headers)
        del logs[place]
    found = await verified(evidence, settings)
    lines = found.findings.lines["lost"]
    for topic in (*OUTPUTS, TOPICS.dlq):
        assert any(line.startswith(settings.topic(topic)) for line in lines), f"{topic}\n{words(found)}"


@pytest.mark.parametrize("topic", OUTPUTS)
async def test_what_differs_on_a_topic_is_named(evidence: Evidence, settings: Settings, topic: str) -> None:
    log = longest(evidence, topic)
    said: Any = CODEC.decode(log[3].value)
    log[3] = replace(log[3], value=CODEC.encode(msgspec.structs.replace(said, tenant="else")))
    found = await verified(evidence, settings)
    # The tables have what was there before it was changed; an alert that a verdict asked for differs with it.
    different = [line for line in found.findings.lines["different"] if not line.startswith("alerts: ")]
    assert len(different) == 1, words(found)
    assert different[0].startswith(settings.topic(topic)), words(found)
    assert said.id in different[0]


@pytest.mark.parametrize("topic", OUTPUTS)
async def test_what_nothing_asks_for_on_a_topic_is_doubled(evidence: Evidence, settings: Settings, topic: str) -> None:
    await lay_out(evidence, settings)
    log = longest(evidence, topic)
    record = msgspec.structs.replace(CODEC.decode(log[3].value), id=OTHER)
    await add(settings, topic, Item(log[3].key, CODEC.encode(record)), partition=log[3].partition)
    found = await verify(settings)
    assert counts(found) == (0, 1, 0), words(found)


async def test_a_record_that_came_again_and_says_something_else_is_different(
    evidence: Evidence, settings: Settings
) -> None:
    await lay_out(evidence, settings)
    log = longest(evidence, OUTPUTS[0])
    record = msgspec.structs.replace(CODEC.decode(log[3].value), subject="else")
    await add(settings, OUTPUTS[0], Item(log[3].key, CODEC.encode(record)), partition=log[3].partition)
    assert counts(await verify(settings)) == (0, 0, 1)


async def test_a_state_that_is_not_the_logs_is_found(evidence: Evidence, settings: Settings) -> None:
    await lay_out(evidence, settings)
    log = longest(evidence, TOPICS.changelog)
    part = log[0].partition
    held = {record.key: record for record in log if record.key != POSITION}
    key = sorted(held)[-1]
    applied = int.from_bytes(held[key].value[:8], "big")
    name = TOPICS.changelog
    await add(settings, name, entry(key, applied, b"\x00"), entry(b"nobody", 5, b"x"), partition=part)
    found = await verify(settings)
    assert counts(found) == (0, 1, 1), words(found)
    await add(settings, name, entry(key, applied, None), entry(b"nobody", 5, None), partition=part)
    found = await verify(settings)
    assert counts(found) == (1, 0, 0), words(found)


async def test_keys_that_are_ahead_of_the_position_are_compared_where_they_are(
    evidence: Evidence, settings: Settings
) -> None:
    log = longest(evidence, TOPICS.changelog)
    last = msgspec.msgpack.decode(log[-1].value, type=Position)
    await lay_out(evidence, settings)
    key = next(record.key for record in reversed(log) if record.key != POSITION and record.value is not None)
    ahead = entry(key, last.next + 3, b"\x00")
    await add(settings, TOPICS.changelog, ahead, partition=log[0].partition)
    found = await verify(settings)
    assert counts(found) == (0, 0, 1), words(found)
    assert "where no log is" in words(found)


async def test_a_position_that_lies_is_found(evidence: Evidence, settings: Settings) -> None:
    log = longest(evidence, TOPICS.changelog)
    held = msgspec.msgpack.decode(log[-1].value, type=Position)
    place, (offset, ordinal) = next(iter(held.sources.items()))
    sources = held.sources | {place: (offset + 1, ordinal)}
    log[-1] = replace(log[-1], value=msgspec.msgpack.encode(Position(held.next, sources, held.mark)))
    found = await verified(evidence, settings)
    assert counts(found) == (0, 0, 1), words(found)
    assert "the sources of the position" in words(found)


async def test_a_state_that_is_behind_is_no_difference_but_is_told(evidence: Evidence, settings: Settings) -> None:
    await lay_out(evidence, settings)
    log = longest(evidence, TOPICS.identified)
    await add(settings, TOPICS.identified, Item(None, log[0].value), partition=log[0].partition)
    found = await verify(settings)
    assert found.findings.clean, words(found)
    assert found.behind == 1


@pytest.mark.parametrize("table", ["timeline_entries", "tickets", "sla_verdicts", "alerts"])
async def test_rows_that_are_missing_changed_or_too_many_are_found(
    evidence: Evidence, settings: Settings, connection: Any, table: str
) -> None:
    await lay_out(evidence, settings)
    row = await connection.fetchval(f"SELECT id FROM {table} ORDER BY id LIMIT 1")
    column = "opened_at" if table in ("tickets", "alerts") else "tenant"
    value = f"{column} + 1" if column == "opened_at" else "'else'"
    await connection.execute(f"CREATE TABLE kept AS SELECT * FROM {table} WHERE id = $1", row)
    await connection.execute(f"UPDATE {table} SET {column} = {value} WHERE id = $1", row)
    found = await verify(settings)
    assert counts(found) == (0, 0, 1), words(found)
    assert str(row) in words(found)
    await connection.execute(f"DELETE FROM {table} WHERE id = $1", row)
    await connection.execute("DELETE FROM sla_clocks WHERE ticket = $1", row)
    assert counts(await verify(settings)) == (1, 0, 0)
    await connection.execute(f"INSERT INTO {table} SELECT * FROM kept")
    await connection.execute("UPDATE kept SET id = $1", OTHER)
    await connection.execute(f"INSERT INTO {table} SELECT * FROM kept")
    found = await verify(settings)
    assert any(OTHER in line for line in found.findings.lines["doubled"]), words(found)


@pytest.mark.parametrize(
    ("change", "sorts"),
    [
        ("UPDATE sla_clocks SET elapsed = elapsed + 1 WHERE ticket = $1", (0, 0, 1)),
        ("DELETE FROM sla_clocks WHERE ticket = $1", (0, 0, 2)),
        ("UPDATE tickets SET next_due_at = 5 WHERE id = $1", (0, 0, 1)),
        ("UPDATE sla_clocks SET ticket = '00000000-0000-4000-8000-000000000000' WHERE ticket = $1", (0, 1, 2)),
        (
            "UPDATE alert_clocks SET revision = 99 WHERE id = (SELECT clock FROM alerts WHERE $1::uuid <> id LIMIT 1)",
            None,
        ),
        ("UPDATE projector_positions SET next = next - 1 WHERE $1::uuid IS NOT NULL", None),
    ],
)
async def test_what_belongs_to_a_ticket_is_compared_too(
    evidence: Evidence, settings: Settings, connection: Any, change: str, sorts: tuple[int, int, int] | None
) -> None:
    await lay_out(evidence, settings)
    ticket = await connection.fetchval(
        "SELECT id FROM tickets JOIN sla_clocks ON ticket = id WHERE next_due_at > 5 ORDER BY id LIMIT 1"
    )
    await connection.execute(change, ticket)
    found = await verify(settings)
    assert not found.findings.clean
    assert sorts is None or counts(found) == sorts, words(found)


async def test_what_identity_decided_and_did_is_compared(
    evidence: Evidence, settings: Settings, connection: Any
) -> None:
    log = longest(evidence, TOPICS.identified)
    place = next(n for n in range(len(log) // 2, len(log)) if log[n].key is not None)
    log[place] = replace(log[place], headers=[("decided_by", b"email:else"), *log[place].headers[:3]])
    await lay_out(evidence, settings)
    found = await verify(settings)
    assert any("is not what was decided" in line for line in found.findings.lines["different"]), words(found)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("DELETE FROM identity_decisions WHERE ctid = (SELECT min(ctid) FROM identity_decisions WHERE customer IS NOT"
         " NULL)", "has neither a decision nor a dead letter"),
        ("UPDATE identity_decisions SET event = gen_random_uuid() WHERE ctid = (SELECT min(ctid) FROM"
         " identity_decisions WHERE customer IS NOT NULL)", "which does not stand there"),
        ("INSERT INTO identity_decisions SELECT 'elsewhere/0', 1, event, gen_random_uuid(), contact_point, reason,"
         " detail, decided_at FROM identity_decisions WHERE customer IS NOT NULL LIMIT 1", "more than one customer"),
        ("INSERT INTO identity_decisions SELECT d.source, n, event, customer, contact_point, reason, detail, decided_at"
         " FROM (SELECT * FROM identity_decisions WHERE customer IS NOT NULL LIMIT 1) AS d, generate_series(0, 99) AS n"
         " WHERE NOT EXISTS (SELECT FROM identity_decisions AS o WHERE (o.source, o.source_offset) = (d.source, n))",
         "was decided to go on as well"),
    ],
)  # fmt: skip
async def test_decisions_that_changed_are_found(
    evidence: Evidence, settings: Settings, connection: Any, change: str, expected: str
) -> None:
    await lay_out(evidence, settings)
    await connection.execute(change)
    assert expected in words(await verify(settings))


async def test_an_event_that_never_reached_casework_is_lost(evidence: Evidence, settings: Settings) -> None:
    log = longest(evidence, TOPICS.identified)
    del log[next(n for n in range(len(log) // 2, len(log)) if log[n].key is not None)]
    found = await verified(evidence, settings)
    assert any("was never taken" in line for line in found.findings.lines["lost"]), words(found)


async def test_what_postgres_stores_in_another_form_is_no_difference(database: str, connection: Any) -> None:
    await migrate(database)
    text = "null \x00, no null \\u0000"
    entry_ = TimelineEntryAdded(OTHER, OTHER, "t", OTHER, 1, "x", "c", "in", 5, 6, "c", "s", text=text, subject="\x00")
    clocks = [Clock(m, 1, "running", "p", 1, "c", 5, 0, 1, due_at=9) for m in ("resolution", "first_response")]
    ticket = TicketChanged(OTHER, "t", OTHER, 1, "open", "normal", "c", 1, 1, "x", subject=text, clocks=clocks)
    await timeline.add(connection, [entry_])
    await tickets.put(connection, [ticket])
    found, forms = Findings(), Forms(CODEC)
    async with connection.transaction():
        rows = await snapshot(connection, forms, 1, [0], found)
    assert found.clean
    assert rows.entries.take(0).keys() == {forms.stored(entry_)} != {fingerprint(OTHER.encode(), CODEC.encode(entry_))}
    assert rows.tickets.take(0).keys() == {forms.stored(ticket)} != {fingerprint(OTHER.encode(), CODEC.encode(ticket))}


async def test_other_partitions_than_there_are_are_refused(evidence: Evidence, settings: Settings) -> None:
    await lay_out(evidence, settings)
    with pytest.raises(Refused, match="HUB_PARTITIONS says 3"):
        await verify(msgspec.structs.replace(settings, partitions=3))
    with pytest.raises(Refused, match="there is no partition 2"):
        await verify(settings, [2])
    assert in_words(Refused("a sentence")) == "a sentence"


async def test_the_command_tells_what_it_compared_and_exits_by_what_it_found(
    evidence: Evidence, settings: Settings, connection: Any
) -> None:
    await lay_out(evidence, settings)
    said = io.StringIO()
    assert await run(settings, [], Console(file=said, width=300), Console(file=io.StringIO())) == 0
    lines = said.getvalue().splitlines()
    assert lines[0].startswith("compared ")
    assert lines[1].startswith("lost 0 doubled 0 different 0 | 479 records folded in ")
    await connection.execute("DELETE FROM contacts")  # which follow from entries, and are compared with these
    await connection.execute("DELETE FROM timeline_entries")
    said = io.StringIO()
    assert await run(settings, [], Console(file=said, width=300), Console(file=io.StringIO())) == 1
    lines = said.getvalue().splitlines()
    assert len(lines) == 50 + 1 + 2, "the first fifty in words, how many more, and the two last lines"
    assert lines[0].startswith("lost: timeline_entries: ")
