"""``hub dlq`` and the limit of dead letters with the real stages: nothing is lost or doubled while they are put back.

The projector does not run here, so what was put back twice is recognised by the stages alone unless a test says so.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord
from rich.console import Console

import hub.dead_letters
from domain.outputs import derived_id
from hub.dead_letters import Letter, letters, retry, show_list
from hub.operations import topics_apply
from hub.verify.evidence import read_topic
from hub.wiring import casework_stage, identity_stage
from projections.dead_letters import store
from projections.migrate import migrate
from projections.postgres import connect
from projections.timeline import store as timeline
from runtime.appending import Item, append, new_producer
from runtime.clock import SystemClock
from runtime.settings import Settings
from runtime.worker import Worker
from schemas.codec import Codec
from schemas.records import InteractionReceived, TimelineEntryAdded
from streams.dead_letters import RETRY_OF
from tests.domain.stories import command, event
from tests.runtime.kafka_rig import until

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]
CODEC = Codec()
TICKET = event("opened", "email.received", 0).id
RECEIVED, LETTERS = "interaction-received", "interaction-received-dlq"


class Killed(BaseException):
    """The process is gone."""


class Said(NamedTuple):
    """What a command said."""

    code: int
    text: str


class World:
    """A Kafka and a database with the hub's topics and tables; stages run while a test says so."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer) -> None:
        self.settings = settings
        self._producer = producer

    async def write(
        self, values: Sequence[InteractionReceived | bytes], partition: int = 0, topic: str = RECEIVED
    ) -> None:
        """Put records on a topic."""
        items = [Item(b"k", value if isinstance(value, bytes) else CODEC.encode(value)) for value in values]
        await append(self._producer, self.settings.topic(topic), partition, items)

    async def bury(
        self, sources: Sequence[tuple[str, int]], value: bytes = b"x", partition: int = 0, stage: str = "identity"
    ) -> None:
        """Put dead letters of these places on their topic."""
        named = [(f"{self.settings.topic(topic)}", offset) for topic, offset in sources]
        items = [
            Item(b"k", value, [
                ("id", f"{topic}/{offset}/{stage}".encode()), ("reason", b"not-avro"), ("stage", stage.encode()),
                ("source", topic.encode()), ("source_offset", str(offset).encode()),
            ])
            for topic, offset in named
        ]  # fmt: skip
        await append(self._producer, self.settings.topic(LETTERS), partition, items)

    async def read(self, topic: str) -> list[ConsumerRecord]:
        """All partitions of a topic, one after the other."""
        found = await read_topic(self.settings.kafka, self.settings.topic(topic))
        return [record for part in sorted(found) for record in found[part]]

    async def entries(self) -> list[TimelineEntryAdded]:
        """What the history was told."""
        found = [CODEC.decode(record.value or b"") for record in await self.read("timeline-entry-added")]
        return [entry for entry in found if isinstance(entry, TimelineEntryAdded)]

    async def told(self, number: int) -> None:
        """Wait until the history was told of so many events."""

        async def there() -> bool:
            return len({entry.event for entry in await self.entries()}) >= number

        await until(there)

    async def idle(self, *stages: Worker) -> None:
        """Wait until the stages have read everything there is."""

        async def there() -> bool:
            for stage in stages:
                ends = {
                    part: len(found) for part, found in (await read_topic(stage.settings.kafka, stage.source)).items()
                }
                if any(stage.positions().get(part) != end for part, end in ends.items()):
                    return False
            return True

        await until(there)

    @asynccontextmanager
    async def stages(self) -> AsyncIterator[list[Worker]]:
        """Identity and casework, running."""
        async with identity_stage(self.settings, SystemClock()) as identity:
            running: list[Worker] = [identity, casework_stage(self.settings, CODEC, SystemClock())]
            for stage in running:
                stage.app.finalize()
                await stage.app.start()
            try:
                yield running
            finally:
                for stage in running:
                    await stage.app.stop()
                    await stage.close()

    async def retry(self, *ids: str, reason: str = "", limit: int = 0) -> Said:
        """``hub dlq retry``."""
        out = Console(width=250, file=StringIO(), record=True)
        code = await retry(self.settings, ids, reason, limit, out, out)
        return Said(code, out.export_text())

    async def listed(self, limit: int = 50) -> str:
        """``hub dlq list``."""
        out = Console(width=250, file=StringIO(), record=True)
        await show_list(self.settings, "", limit, out, out)
        return out.export_text()

    async def letters(self) -> list[Letter]:
        """Every dead letter."""
        return [letter async for letter in letters(self.settings)]


@pytest.fixture
async def world(kafka: str, database: str, topic_prefix: str) -> AsyncIterator[World]:
    settings = Settings(
        kafka=kafka, postgres=database, topic_prefix=topic_prefix, partitions=2, session_timeout=6.0, tenant="t"
    )
    assert await topics_apply(settings, Console(quiet=True)) == 0
    await migrate(database)
    producer = new_producer(kafka)
    await producer.start()
    yield World(settings, producer)
    await producer.stop()


def assigned(name: str, minutes: float = 1) -> InteractionReceived:
    """A command that names the ticket and nobody else."""
    return msgspec.structs.replace(command(name, "ticket.assigned", minutes, TICKET, team=name), contact_points=[])


def opened() -> InteractionReceived:
    """What makes the ticket known."""
    return event("opened", "email.received", 0)


def kill_before_it_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends after letters were put back and before that is written down."""

    async def gone(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(store, "note", gone)


@pytest.mark.parametrize("stage", ["identity", "casework"])
async def test_a_retry_that_was_killed_and_run_again_doubles_nothing_when_the_ring_of_ids_has_long_passed(
    world: World, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    late = assigned("late")
    async with world.stages() as stages:
        if stage == "identity":
            await world.write([late])
            await world.idle(*stages)
        else:
            await world.bury([("interaction-identified/0", 5)], CODEC.encode(late), stage=stage)
        (letter,) = await world.letters()
        await world.write([opened()])
        await world.told(1)
        kill_before_it_is_noted(monkeypatch)
        with pytest.raises(Killed):
            await world.retry(letter.id)
        monkeypatch.undo()
        await world.told(2)
        await world.write([event(f"more {number}", "email.received", 2 + number) for number in range(70)])
        await world.told(72)
        again = await world.retry(letter.id)
        assert "0 put back" in again.text, "the stage that took it has written it down"
        # And as if two had run at once, each before the other wrote anything down.
        await append(world._producer, world.settings.topic(RECEIVED), 0, [_put_back(letter)] * 2)
        await world.idle(*stages)
    counted = [entry.event for entry in await world.entries()]
    assert counted.count(late.id) == 1
    assert len(counted) == len(set(counted)) == 72


def _put_back(letter: Letter) -> Item:
    return Item(letter.key, letter.value, [(RETRY_OF, letter.id.encode())])


async def test_the_same_letter_is_put_back_once_and_the_list_says_when(world: World) -> None:
    late = assigned("late")
    async with world.stages() as stages:
        await world.write([late])
        await world.idle(*stages)
        (letter,) = await world.letters()
        assert "put back" in await world.listed()
        first = await world.retry(letter.id)
        assert (first.code, "1 put back" in first.text) == (0, True)
        await world.idle(*stages)
        connection = await connect(world.settings.postgres)
        at = (await store.put_back(connection, [letter.id]))[letter.id]
        await connection.close()
        row = next(line for line in (await world.listed()).splitlines() if line.startswith(letter.id))
        assert f"{at:%Y-%m-%d %H:%M:%S}" in row
        second = await world.retry(letter.id)
        assert (second.code, "1 left out: put back before" in second.text) == (0, True)
        assert len(await world.read(RECEIVED)) == 2

        # It failed again, which makes another letter; that one can be put back.
        assert len(await world.letters()) == 2
        await world.write([opened()])
        await world.told(1)
        third = await world.retry(reason="unknown_ticket")
        assert "1 put back" in third.text
        await world.told(2)
    assert [entry.event for entry in await world.entries()].count(late.id) == 1


async def test_letters_of_one_source_keep_their_order_across_conversations_and_what_a_stage_wrote_twice_comes_once(
    world: World,
) -> None:
    one, other = (RECEIVED + "/0"), ("interaction-identified/1")
    await world.bury([(one, 3), (other, 4), (one, 5), (one, 3), (one, 5), (one, 9)])
    await world.bury([(other, 6), (other, 7)], partition=1)
    assert "6 put back, in their order" in (await world.retry(reason="not-avro")).text
    for partition, expected in ((0, [3, 5, 9]), (1, [4, 6, 7])):
        found = (await read_topic(world.settings.kafka, world.settings.topic(RECEIVED)))[partition]
        assert [int(dict(record.headers)[RETRY_OF].split(b"/")[2]) for record in found] == expected


async def test_many_are_put_back_bit_by_bit_and_the_next_run_goes_on_where_one_was_killed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.dead_letters, "CHUNK", 10)
    monkeypatch.setattr(hub.dead_letters, "_TELL_EVERY", 20)
    await world.bury([(RECEIVED + "/0", number) for number in range(100)])
    assert "15 put back, in their order" in (await world.retry(reason="not-avro", limit=15)).text
    with monkeypatch.context() as killing:
        kill_before_it_is_noted(killing)
        with pytest.raises(Killed):
            await world.retry(reason="not-avro")
    last = await world.retry(reason="not-avro")
    assert "85 put back, in their order" in last.text
    assert "25 put back so far, up to" in last.text
    back = [dict(record.headers)[RETRY_OF].decode() for record in await world.read(RECEIVED)]
    first = list(dict.fromkeys(back))
    assert first == [f"{world.settings.topic(RECEIVED)}/0/{number}/identity" for number in range(100)]
    assert len(back) == 100 + 5, "the chunk that was under way, and no more, comes twice"


async def test_what_came_by_itself_meanwhile_and_is_in_the_history_is_left_out(world: World) -> None:
    """Casework refused it, the sender sent it again, and it was taken: nobody but the history knows that by now."""
    made = opened()
    await world.bury([(RECEIVED + "/0", 1)], CODEC.encode(made))
    entry = TimelineEntryAdded(
        derived_id(made.id, "entry"), made.id, "t", TICKET, 1, made.type, "email", "inbound", 1, 2,
        "c", "email/a",
    )  # fmt: skip
    connection = await connect(world.settings.postgres)
    await timeline.add(connection, [entry])
    await connection.close()
    said = await world.retry(reason="not-avro")
    assert (said.code, "1 left out: their events are in the history" in said.text) == (0, True)
    assert await world.read(RECEIVED) == []
    missing = await world.retry("nothing/0/1/identity")
    assert (missing.code, "1 are not among the dead letters" in missing.text) == (1, True)


async def test_letters_are_not_held_in_memory(world: World) -> None:
    for begin in range(0, 8_000, 2_000):
        await world.bury([(RECEIVED + "/0", begin + number) for number in range(2_000)], b"x" * 4_000)
    tracemalloc.start()
    try:
        assert "8000 put back" in (await world.retry(reason="not-avro")).text
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000, f"{peak} bytes for 32 MB of letters"


# --- the limit


@pytest.fixture
def workers(world: World, tmp_path: Path) -> Iterator[Process]:
    made = Process(world, tmp_path)
    yield made
    made.stop()


class Process:
    """``hub worker identity`` as a process."""

    def __init__(self, world: World, folder: Path) -> None:
        self._settings = world.settings
        self.log = folder / "worker.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, limit: int) -> None:
        """Start it with this limit of dead letters."""
        given = {
            "HUB_KAFKA": self._settings.kafka, "HUB_POSTGRES": self._settings.postgres, "HUB_PARTITIONS": "2",
            "HUB_TOPIC_PREFIX": self._settings.topic_prefix, "HUB_SESSION_TIMEOUT": "6",
            "HUB_DEAD_LETTER_LIMIT": str(limit),
        }  # fmt: skip
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hub", "worker", "identity"], env=os.environ | given, stdout=log, stderr=log
            )

    def stop(self) -> None:
        """Ask it to stop."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)


@pytest.mark.slow
async def test_a_worker_that_could_read_nothing_stops_again_and_again_and_the_right_one_does_it_all_in_order(
    world: World, workers: Process
) -> None:
    """The log holds what this version can't read; to raise the limit is as good as the right version."""
    good = [event(f"e{number}", "email.received", number) for number in range(5)]
    for number in range(40):
        await world.write([b"garbage"])
        if number % 10 == 5:
            await world.write([good[number // 10]])
    for life in (1, 2):
        workers.start(limit=20)

        async def stopped(times: int = life) -> bool:
            return workers.log.read_text().count("too many dead letters") == times

        await until(stopped)
        workers.stop()
        assert len(await world.read(LETTERS)) <= 20 * life
        assert "HUB_DEAD_LETTER_LIMIT=20" in workers.log.read_text()
    workers.start(limit=1_000)

    async def done() -> bool:
        return len(await world.read("interaction-identified")) >= 4

    await until(done)
    found = [CODEC.decode(record.value or b"") for record in await world.read("interaction-identified")]
    assert [getattr(each, "id", "") for each in found] == [each.id for each in good[:4]]
    assert len(await world.letters()) == 40
    workers.stop()
