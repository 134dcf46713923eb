"""``hub rebuild`` on real servers: what it makes is what was there, and nothing is sent again."""

from __future__ import annotations

import asyncio
import copy
import io
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from rich.console import Console

from hub.rebuild.command import Rebuilt, rebuild
from hub.verify.command import verify
from hub.verify.digest import digest_of
from hub.verify.evidence import OUTPUTS, Evidence, read_topic
from hub.verify.expected import CODEC, TOPICS
from hub.verify.log import Refused
from runtime.changelog import POSITION, Position, entry, position_entry, restore
from runtime.settings import Settings
from tests.chaos.perfect import PARTITIONS, perfect
from tests.verify.laid import lay_out, settings_of
from tests.verify.test_verify import add, longest, words

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


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


async def again(settings: Settings, *, only_tables: bool = False) -> tuple[Rebuilt, str]:
    said = io.StringIO()
    done = await rebuild(settings, Console(file=said, width=300), only_tables=only_tables)
    return done, said.getvalue()


async def published(settings: Settings) -> dict[tuple[str, int], list[tuple[bytes | None, bytes | None]]]:
    """Everything on the output topics."""
    return {
        (topic, part): [(record.key, record.value) for record in records]
        for topic in (*OUTPUTS, TOPICS.dlq)
        for part, records in (await read_topic(settings.kafka, settings.topic(topic))).items()
    }


async def alerts_of(connection: Any) -> list[Any]:
    tables = ("alerts", "alert_clocks", "alert_deliveries", "alert_positions")
    return [await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]


async def test_two_rebuilds_give_what_was_there_and_send_nothing(
    evidence: Evidence, settings: Settings, connection: Any
) -> None:
    for topic in OUTPUTS:  # as a worker does that dies between outputs and state, or does not know that it is a zombie
        log = longest(evidence, topic)
        log += log[3:6]
    await lay_out(evidence, settings)
    live, topics, alerts = await digest_of(settings.postgres), await published(settings), await alerts_of(connection)
    await connection.execute("CREATE ROLE reader; GRANT SELECT ON timeline_entries TO reader")
    indexes = await connection.fetch("SELECT indexname, indexdef FROM pg_indexes ORDER BY 1")
    for _ in range(2):
        done, _ = await again(settings)
        assert done.digest == live
        assert done.count["appended"] == done.count["differing"] == done.count["unasked"] == 0
        assert (done.folded, done.rows > 300, done.changelog > 10) == (479, True, True)
    assert await published(settings) == topics
    assert await alerts_of(connection) == alerts
    assert await connection.fetch("SELECT indexname, indexdef FROM pg_indexes ORDER BY 1") == indexes
    assert await connection.fetchval("SELECT has_table_privilege('reader', 'timeline_entries', 'SELECT')")
    await connection.execute("DROP OWNED BY reader; DROP ROLE reader")
    found = await verify(settings)
    assert found.findings.clean, words(found)


async def test_whatever_was_wrong_with_state_and_tables_is_right_afterwards(
    evidence: Evidence, settings: Settings, connection: Any
) -> None:
    await lay_out(evidence, settings)
    live = await digest_of(settings.postgres)
    log = longest(evidence, TOPICS.changelog)
    part = log[0].partition
    held = next(record for record in log if record.key != POSITION)
    lie = position_entry(Position(10**12, {}, b""))
    beyond = entry(held.key, 10**12, b"\x00")
    await add(settings, TOPICS.changelog, beyond, entry(b"nobody", 5, b"x"), lie, partition=part)
    await connection.execute("UPDATE tickets SET status = 'else'")
    await connection.execute("DELETE FROM timeline_entries WHERE channel = 'email'")
    await connection.execute("DELETE FROM projector_positions")
    assert not (await verify(settings)).findings.clean
    done, _ = await again(settings)
    assert done.digest == live
    found = await verify(settings)
    assert found.findings.clean, words(found)
    restored = await restore(settings.kafka, settings.topic(TOPICS.changelog), part)
    assert restored.position.next == len(evidence.logs[TOPICS.identified][part])
    assert not restored.ahead


async def test_missing_outputs_are_appended_and_others_left_as_published(
    evidence: Evidence, settings: Settings
) -> None:
    for topic in (*OUTPUTS, TOPICS.dlq):
        logs = longest(evidence, topic)
        del logs[max(n for n in range(len(logs)) if ("stage", b"identity") not in logs[n].headers)]
    log = longest(evidence, OUTPUTS[2])
    said: Any = CODEC.decode(log[3].value)
    log[3] = replace(log[3], value=CODEC.encode(msgspec.structs.replace(said, elapsed=said.elapsed + 1)))
    await lay_out(evidence, settings)
    done, told = await again(settings)
    assert (done.count["appended"], done.count["differing"], done.count["unasked"]) == (4, 1, 0), told
    assert f"{said.id} was published otherwise than the rules give it now" in told
    found = await verify(settings)
    assert found.findings.counts["lost"] == 0, words(found)
    lines = found.findings.lines["different"]
    assert any(said.id in line for line in lines), "what differs stays on the topic, and verify goes on naming it"
    assert (await again(settings))[0].count["appended"] == 0


async def test_an_older_state_of_a_ticket_is_not_put_after_a_newer_one(evidence: Evidence, settings: Settings) -> None:
    log = longest(evidence, OUTPUTS[1])
    del log[next(n for n in range(len(log)) if any(later.key == log[n].key for later in log[n + 1 :]))]
    await lay_out(evidence, settings)
    live = await digest_of(settings.postgres)
    done, _ = await again(settings)
    assert (done.count["appended"], done.digest) == (0, live)


async def test_topics_that_were_lost_whole_are_filled_again(evidence: Evidence, settings: Settings) -> None:
    topics = {topic: copy.deepcopy(evidence.logs[topic]) for topic in OUTPUTS}
    for topic in OUTPUTS:
        evidence.logs[topic] = {part: [] for part in range(PARTITIONS)}
    await lay_out(evidence, settings)
    done, _ = await again(settings)
    assert done.count["appended"] > 500
    there = await published(settings)
    for topic in (OUTPUTS[0], OUTPUTS[2]):
        for part, log in topics[topic].items():
            assert there[topic, part] == [(record.key, record.value) for record in log]
    assert done.digest is not None
    assert done.digest.tickets == len(evidence.tables.tickets)


async def test_only_the_tables_leave_the_state_alone(evidence: Evidence, settings: Settings, connection: Any) -> None:
    await lay_out(evidence, settings)
    live = await digest_of(settings.postgres)
    before = await read_topic(settings.kafka, settings.topic(TOPICS.changelog))
    await connection.execute("TRUNCATE timeline_entries, tickets, sla_clocks, sla_verdicts, projector_positions")
    done, _ = await again(settings, only_tables=True)
    assert (done.digest, done.folded, done.changelog) == (live, 0, 0)
    after = await read_topic(settings.kafka, settings.topic(TOPICS.changelog))
    assert {part: len(log) for part, log in after.items()} == {part: len(log) for part, log in before.items()}
    found = await verify(settings)
    assert found.findings.clean, words(found)


@pytest.mark.parametrize("only_tables", [False, True])
async def test_what_retention_removed_is_given_again_by_the_rules(
    evidence: Evidence, settings: Settings, only_tables: bool
) -> None:
    from tests.runtime.kafka_rig import Rig

    await lay_out(evidence, settings)
    live = await digest_of(settings.postgres)
    rig = Rig(settings.kafka, settings.topic_prefix, None)
    for topic in (OUTPUTS[0], OUTPUTS[2]):
        await rig.delete_before(topic, 20, longest(evidence, topic)[0].partition)
    found = await verify(settings)
    assert found.findings.clean, words(found)
    assert any("20 outputs are no longer kept" in note for note in found.findings.notes)
    done, _ = await again(settings, only_tables=only_tables)
    assert done.digest == live
    assert done.count["appended"] == 0
    assert (done.folded > 0, done.changelog > 0) == (True, not only_tables)
    found = await verify(settings)
    assert found.findings.clean, words(found)


@pytest.mark.parametrize("stage", ["casework", "projector"])
async def test_it_is_refused_while_somebody_writes(evidence: Evidence, settings: Settings, stage: str) -> None:
    await lay_out(evidence, settings)
    group = f"{settings.topic_prefix}hub-{stage}"
    consumer = AIOKafkaConsumer(
        settings.topic(OUTPUTS[0]), bootstrap_servers=settings.kafka, group_id=group, client_id="somebody"
    )
    await consumer.start()
    try:
        with pytest.raises(Refused, match=rf"{group} has 1 member \(somebody on 127.0.0.1\)"):
            await again(settings)
        if stage == "casework":
            await again(settings, only_tables=True)
    finally:
        await consumer.stop()
    await again(settings)


async def test_two_rebuilds_at_once_are_refused(evidence: Evidence, settings: Settings, connection: Any) -> None:
    from projections.rebuilding import store

    await lay_out(evidence, settings)
    assert await store.alone(connection)
    with pytest.raises(Refused, match="another rebuild"):
        await again(settings)


async def test_a_view_on_the_old_tables_stops_the_change_and_stays(
    evidence: Evidence, settings: Settings, connection: Any
) -> None:
    await lay_out(evidence, settings)
    await connection.execute("CREATE VIEW mine AS SELECT id FROM tickets")
    with pytest.raises(Refused, match="view mine"):
        await again(settings)
    assert await connection.fetchval("SELECT count(*) FROM mine") == len(evidence.tables.tickets)
    await connection.execute("DROP VIEW mine")
    await again(settings)


async def test_readers_see_the_old_tables_until_the_new_ones_are_there(
    evidence: Evidence, settings: Settings, connection: Any
) -> None:
    """A reader in the middle of a transaction is waited for; statements that were prepared before go on afterwards."""
    await lay_out(evidence, settings)
    prepared = await connection.prepare("SELECT count(*) FROM timeline_entries")
    count = await prepared.fetchval()
    await connection.execute("DELETE FROM timeline_entries WHERE channel = 'email'")
    fewer = await prepared.fetchval()
    transaction = connection.transaction()
    await transaction.start()
    assert await prepared.fetchval() == fewer < count
    working = asyncio.create_task(again(settings))
    done, _ = await asyncio.wait([working], timeout=8)
    assert not done
    assert await prepared.fetchval() == fewer
    await transaction.rollback()
    await working
    assert await prepared.fetchval() == count


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_killed_at_any_step_it_can_be_run_again(evidence: Evidence, settings: Settings) -> None:
    await lay_out(evidence, settings)
    live, topics = await digest_of(settings.postgres), await published(settings)
    environment = os.environ | {
        "HUB_KAFKA": settings.kafka, "HUB_POSTGRES": settings.postgres, "HUB_TOPIC_PREFIX": settings.topic_prefix,
        "HUB_PARTITIONS": str(PARTITIONS), "HUB_RETENTION_DAYS": str(settings.retention_days),
    }  # fmt: skip

    async def rebuilding(deadly: int) -> tuple[int | None, list[str]]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.verify.fragile_rebuild", str(deadly), env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, errors = await process.communicate()
        steps = [line.removeprefix("step ") for line in said.decode().splitlines() if line.startswith("step ")]
        assert steps, errors.decode()
        return process.returncode, steps

    code, steps = await rebuilding(0)
    assert code == 0
    last = {name: number for number, name in enumerate(steps, start=1)}
    assert last.keys() >= {"after write", "after drop_before", "before begin", "before finish", "before replace"}
    thorough = "HUB_TEST_THOROUGH" in os.environ
    deadliest = [steps.index("after write") + 1, last["after drop_before"], last["before replace"]]
    for deadly in sorted({*deadliest, *(last.values() if thorough else ())}):
        code, passed = await rebuilding(deadly)
        assert (code, passed) == (-signal.SIGKILL, steps[:deadly])
        assert await digest_of(settings.postgres) == live, passed
        found = await verify(settings)
        assert found.findings.clean, (passed, words(found))
    done, _ = await again(settings)
    assert done.digest == live
    assert await published(settings) == topics
