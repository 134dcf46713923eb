"""Every contender of the bench does the same work: on one small log all of them write the same entries."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench import toy
from bench.engine import PARTITIONS, toy_items
from bench.filling import fill
from bench.job import Job
from bench.peers.line_up import CASEWORK, INTERPRETED, LINE_UP, run
from bench.servers import Servers, create_topics

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
EVENTS, CUSTOMERS = 600, 20  # more than 16 events of each, so that the ring of their ids is full


def expected() -> list[bytes]:
    """What the toy fold makes of the log."""
    states: dict[str, toy.Customer] = {}
    found = []
    for customer, value in toy.events(EVENTS, CUSTOMERS):
        entry = toy.fold(states.setdefault(customer, toy.Customer()), toy.read(value))
        assert entry is not None
        found.append(toy.write(entry))
    return sorted(found)


async def written(bootstrap: str, topic: str, partitions: Iterable[int], count: int) -> list[bytes]:
    """``count`` committed records of a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    await consumer.start()
    found: list[bytes] = []
    try:
        consumer.assign([TopicPartition(topic, number) for number in partitions])
        await consumer.seek_to_beginning()
        async with asyncio.timeout(20):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found.extend(record.value for record in records)
    finally:
        await consumer.stop()
    return sorted(found)


@pytest.mark.parametrize("name", [name for name in LINE_UP if name not in (CASEWORK, INTERPRETED)])
async def test_a_contender_writes_what_the_fold_says(name: str, kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    contender = LINE_UP[name]
    if why := contender.absent():
        pytest.skip(why)
    source, prefix = f"{topic_prefix}toy", f"{topic_prefix}{name}-"
    await create_topics(kafka, [source], PARTITIONS, {})
    await fill(kafka, source, PARTITIONS, toy_items(EVENTS, CUSTOMERS))
    job = Job(name=name, kafka=kafka, source=source, prefix=prefix, events=EVENTS, folder="", partitions=PARTITIONS)
    found = await run(Servers(kafka, "", tmp_path), contender, job)
    assert found.contender == name
    assert 0 < found.events <= EVENTS
    assert found.cpu_seconds > 0
    assert await written(kafka, f"{prefix}entries", range(PARTITIONS), EVENTS) == expected()
