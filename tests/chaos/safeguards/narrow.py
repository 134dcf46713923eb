"""Courses of events whose order is made by hand, in one process, on a real Kafka and PostgreSQL. In each of them the
hub comes through with all its safeguards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable

from aiokafka.errors import KafkaStorageError
from aiokafka.structs import ConsumerRecord

from runtime.appending import ForeignWrite, Item
from tests.chaos.safeguards.process import PowerCut, Process, give_up, stage_of
from tests.chaos.safeguards.town import CHANGELOG, ENTRIES, TICKETS, Town

MANY = 100  # more events of one customer than the ring of event ids holds


async def log_read_again(town: Town) -> None:
    """The committed offsets are gone, and casework begins at the beginning of its log."""
    await town.mails(town.who(0), MANY)
    await town.work()  # commits nothing
    await town.work()


async def offset_ahead(town: Town) -> None:
    """The committed offset is ahead of the state, as when the changelog lost its end."""
    await town.mails(town.who(0), 10)
    async with town.casework() as process:
        await process.take(0, end=3)
    await town.work(lambda process: process.take(0, begin=7))


async def outputs_under_way(town: Town) -> None:
    """The broker takes the changelog and is slow with the timeline; then the process is killed."""
    await town.mails(town.who(0), 3)
    async with town.casework() as process:
        process.network.shut(town.name(ENTRIES))
        task = asyncio.create_task(process.take(0))
        await process.network.waiting.wait()
        await give_up(task)


async def changelog_full(town: Town) -> None:
    """The changelog's disk is full for one write. Work on other customers goes on; later the process is killed."""
    await town.mails(town.who(0))
    await town.mails(town.who(0, 1))
    failing = [True]

    async def take(process: Process) -> None:
        await process.take(0, end=1)
        await process.look()
        if failing:
            failing.clear()
            process.network.break_at(town.name(CHANGELOG), KafkaStorageError())
        await process.take(0, end=2)
        await process.take(0)

    await town.work(take)
    await town.mails(town.who(0))


async def older_state_last(town: Town) -> None:
    """A process that lost its partition writes an older state after its successor's; later another one takes over."""
    await town.mails(town.who(0), 6)
    async with town.casework() as old, town.casework() as new:
        await _overtaken_at_the_changelog(town, old, new)
    await town.mails(town.who(0), 2)


async def older_state_compacted(town: Town) -> None:
    """The same, and work goes on for somebody else only. An hour later Kafka keeps only the last record of each key."""
    await town.mails(town.who(0), 6)
    async with town.casework() as old, town.casework() as new:
        await _overtaken_at_the_changelog(town, old, new)
        await _go_on_for_another(town, new)
    await town.compact()
    await town.mails(town.who(0), 2)


async def dealt_anew(town: Town) -> None:
    """A process folds a batch while it learns that its partition is another one's, which has taken all of it already.
    Then work goes on for somebody else, and Kafka compacts."""
    await town.mails(town.who(0), 6)
    async with town.casework() as old, town.casework() as new:
        await old.take(0, end=2)
        fold = stage_of(old)._partitions[0].fold
        original = fold.step

        def step(record: ConsumerRecord) -> Iterable[tuple[str, Item]]:
            old.generation = 2
            return original(record)

        fold.__dict__["step"] = step
        new.generation = 2
        await new.take(0)
        await _ends_itself(town, old.take(0, end=4))
        await _go_on_for_another(town, new)
    await town.compact()
    await town.mails(town.who(0), 2)


async def torn_batch(town: Town) -> None:
    """The power goes between two parts of a changelog batch: customers are durable, the position is not."""
    await town.tell(*(town.mail(town.who(0)) for _ in range(MANY)), *(town.mail(town.who(0, n)) for n in range(1, 5)))
    await town.identify()
    async with town.casework() as process:
        await process.take(0, end=1)
        process.network.narrow(6_000)
        process.network.break_at(town.name(CHANGELOG), PowerCut(), after=1)
        await _cut(process.take(0))


async def repeated_by_its_source(town: Town) -> None:
    """The identity worker is killed after it sent, before it committed; the next one sends all of it again."""
    await town.tell(*(town.mail(town.who(0)) for _ in range(MANY)))
    for _ in range(2):
        async with town.identity() as process:
            await process.take(0)
        await town.work()


async def merged_between_attempts(town: Town) -> None:
    """The same; and between the two attempts a person says that this customer and another one are the same."""
    one, other = town.who(0), town.who(1)
    await town.mails(one)
    await town.mails(other)
    await town.tell(town.mail(one))
    for _ in range(2):
        async with town.identity() as process:
            await process.take(0)
        await town.work()
        async with town.connection() as connection:
            merge = "UPDATE customers SET alias_of = $1 WHERE id = $2"
            await connection.execute(merge, town.customer(other), town.customer(one))


async def delivered_twice(town: Town) -> None:
    """A channel delivers an event twice, under two offsets."""
    event = town.mail(town.who(0))
    await town.tell(event, town.mail(town.who(0)), event)
    await town.identify()
    await town.work()


async def delivered_late(town: Town) -> None:
    """A channel delivers an event again after 70 others of its customer, under another offset."""
    event = town.mail(town.who(0))
    await town.tell(event, *(town.mail(town.who(0)) for _ in range(70)), event)
    await town.identify()
    await town.work()


async def older_ticket_last(town: Town) -> None:
    """A process that lost its partition announces an older version of a ticket after the newest was written."""
    await town.mails(town.who(0), 4)
    async with town.casework() as old:
        await old.take(0, end=2)
        old.network.shut(town.name(TICKETS))
        late = asyncio.create_task(old.take(0, end=3))
        await old.network.waiting.wait()
        await town.settle()
        old.network.open()
        await _ends_itself(town, late)


async def verdict_repeated(town: Town) -> None:
    """A worker is killed after it announced a breach, before it wrote that down; alerts go out before the next one
    announces the breach again."""
    await town.mails(town.who(0))
    await town.work()
    town.clock.instant += 4_000_000
    async with town.casework() as process:
        await process.look()
        process.network.break_at(town.name(CHANGELOG), PowerCut())
        await _cut(process.take(0))
    for _ in range(2):
        await town.alert()
        await town.deliver()
        await town.work()


async def _overtaken_at_the_changelog(town: Town, old: Process, new: Process) -> None:
    """``old`` is about to write a batch into the changelog when ``new`` gets the partition and does all of it."""
    await old.take(0, end=2)
    old.network.shut(town.name(CHANGELOG))
    late = asyncio.create_task(old.take(0, end=4))
    await old.network.waiting.wait()
    new.generation = 2
    await new.take(0)
    old.network.open()
    await _ends_itself(town, late)


async def _ends_itself(town: Town, work: Awaitable[None]) -> None:
    try:
        await work
    except ForeignWrite as error:
        town.exits.append(repr(error))


async def _go_on_for_another(town: Town, process: Process) -> None:
    """Let a process work for another customer; if it ends itself, another one is started."""
    await town.mails(town.who(0, 1))
    try:
        await process.take(0)
        await process.look()
    except ForeignWrite as error:
        town.exits.append(repr(error))
        await town.work()


async def _cut(work: Awaitable[None]) -> None:
    try:
        await work
    except PowerCut:
        return
    raise AssertionError("the power was to be cut, and was not")
