"""``hub rebuild``: drops state and read models and makes them anew from the log, without sending anything again.

Partition by partition: the log is folded from its beginning; outputs that are missing are appended; the changelog is
written anew; the new tables are filled from the topics. Only then the old changelog is removed, and the new tables take
the place of the old ones, with the projector's positions, at once. It can be ended at any point, and run again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from rich.console import Console

from hub.rebuild.outputs import Republished
from hub.rebuild.state import State, mark_of, write
from hub.rebuild.tables import Tables
from hub.verify.command import check_partitions
from hub.verify.digest import Digest, digest
from hub.verify.fingerprint import Forms
from hub.verify.groups import members
from hub.verify.log import Log, Refused, open_log
from hub.verify.outputs import letters, published
from hub.verify.partition import Hub
from hub.verify.refold import Refold
from hub.wiring import casework_topics, codec_for, collect_seldom
from projections.migrate import migrate
from projections.postgres import connect
from projections.rebuilding import store as rebuilding
from runtime.appending import append, new_producer
from runtime.changelog import Position, restore
from runtime.settings import Settings
from runtime.topics_admin import drop_before

if TYPE_CHECKING:
    from projections.postgres import Connection

SHOWN = 20


@dataclass(slots=True)
class Rebuilt:
    """What was done: records ``folded``, outputs ``count``-ed by what became of them, changelog records and rows
    written, the seconds of each part, and the digest of what people read now."""

    folded: int = 0
    count: Counter[str] = field(default_factory=Counter)
    changelog: int = 0
    rows: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    digest: Digest | None = None


@dataclass(slots=True)
class _Work:
    """What every part of a rebuild needs. ``dropped``: where each new changelog begins; ``states``: what it says."""

    settings: Settings
    hub: Hub
    log: Log
    producer: AIOKafkaProducer
    tables: Tables
    done: Rebuilt
    say: Console
    dropped: dict[int, int] = field(default_factory=dict)
    states: dict[int, tuple[Position, int]] = field(default_factory=dict)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Count the seconds of a part."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.done.seconds[part] = self.done.seconds.get(part, 0.0) + time.monotonic() - began


async def check_nobody_writes(settings: Settings, stages: Sequence[str]) -> None:
    """Raise ``Refused`` while a process that writes what is rebuilt is in its group."""
    for group in (f"{settings.topic_prefix}hub-{stage}" for stage in stages):
        joined = await members(settings.kafka, group)
        if not joined:
            continue
        raise Refused(
            f"{group} has {len(joined)} member{'s' * (len(joined) > 1)} ({', '.join(joined)}), and would write what is"
            f" rebuilt: stop {'it' if len(joined) == 1 else 'them'} first; doors, identity, alerts and HTTP may go on."
            f" One that was killed counts for {settings.session_timeout:.0f} s more (HUB_SESSION_TIMEOUT)"
        )


async def rebuild(settings: Settings, say: Console, *, only_tables: bool = False) -> Rebuilt:
    """Make state and read models anew, or ``only_tables`` the read models. Raises ``Refused`` when it must not."""
    stages = ("projector",) if only_tables else ("casework", "projector")
    await check_nobody_writes(settings, stages)
    await migrate(settings.postgres)
    topics, done = casework_topics(settings), Rebuilt()
    hub = Hub(settings.kafka, topics, Forms(await codec_for(settings)), settings.retention_days)
    connection = await connect(settings.postgres, command_timeout=None)
    producer = new_producer(settings.kafka)
    try:
        if not await rebuilding.alone(connection):
            raise Refused("another rebuild of this database is at work")
        await producer.start()
        async with open_log(settings.kafka) as log:
            await check_partitions(settings, log, ())
            work = _Work(settings, hub, log, producer, Tables(connection, hub.forms.codec, topics), done, say)
            await rebuilding.begin(connection)
            for partition in range(settings.partitions):
                await _partition(work, partition, only_tables)
            with work.timed("tables"):
                await work.tables.measure()
            if not only_tables:
                await _drop_old_state(work)
            await check_nobody_writes(settings, stages)
            await _change_places(work, connection)
        with work.timed("digest"):
            done.digest = await digest(connection)
    finally:
        await producer.stop()
        await connection.close()
    done.rows = work.tables.rows
    done.seconds["copying"] = work.tables.seconds
    return done


async def _partition(work: _Work, partition: int, only_tables: bool) -> None:
    topics = work.hub.topics
    spans = [await work.log.span(topic, partition) for topic in (topics.entries, topics.verdicts)]
    if not only_tables or any(span.begin for span in spans):
        await _fold(work, partition, only_tables)
    with work.timed("tables"):
        await work.tables.read(work.log, partition)
    work.say.print(f"partition {partition}: done", highlight=False)


async def _fold(work: _Work, partition: int, only_tables: bool) -> None:
    """Fold a partition's log from its beginning, append what is missing, and write the state down."""
    hub, log, done = work.hub, work.log, work.done
    topics = hub.topics
    with work.timed("reading topics"):
        before = await restore(work.settings.kafka, topics.changelog, partition)
        outputs = await _outputs(work, partition)
    span = await log.span(topics.identified, partition)
    if span.begin > 0:
        raise Refused(f"{topics.identified}/{partition} begins at {span.begin}: put the archived part back first")
    fold, state = Refold(hub.fold()), State()
    with work.timed("folding"):
        async for records in log.read(topics.identified, partition, *span):
            for record in records:
                if fold.accepts(record):
                    for topic, item in fold.step(record):
                        outputs[topic].told(item)
            if not only_tables:
                state.take(fold.fold.changes())
            await _settle(work, outputs, partition, only_tables, last=False)
    with work.timed("appending"):
        await _settle(work, outputs, partition, only_tables, last=True)
    done.folded += span.end - span.begin
    if only_tables:
        return
    _tell(work, partition, outputs)
    with work.timed("changelog"):
        await check_nobody_writes(work.settings, ("casework",))
        position = fold.position(span.end)
        done.changelog += await write(
            work.producer, topics.changelog, partition, state.records(before, position), before.end
        )
        work.dropped[partition], work.states[partition] = before.end, (position, state.mark())


async def _outputs(work: _Work, partition: int) -> dict[str, Republished]:
    topics, forms = work.hub.topics, work.hub.forms
    found = {
        topic: Republished(
            await published(work.log, forms, topic, partition, 0, 0), forms, compacted=topic == topics.tickets
        )
        for topic in (topics.entries, topics.tickets, topics.verdicts)
    }
    found[topics.dlq] = Republished(await letters(work.log, topics.dlq, partition), forms, is_letters=True)
    return found


async def _settle(
    work: _Work, outputs: dict[str, Republished], partition: int, only_tables: bool, *, last: bool
) -> None:
    for topic, each in outputs.items():
        await work.tables.add(each.removed)
        each.removed.clear()
        if only_tables:
            continue
        await each.settle(work.log, last=last)
        if each.missing:
            await append(work.producer, topic, partition, each.missing)
        each.missing.clear()


def _tell(work: _Work, partition: int, outputs: dict[str, Republished]) -> None:
    """Name what was published otherwise than the rules give it now."""
    for topic, each in outputs.items():
        work.done.count.update(each.count)
        where = f"{topic}/{partition}"
        for names, what in (
            (each.differing, "was published otherwise than the rules give it now, and is left as it was published"),
            (each.unasked, "was published, and the rules do not give it now; it is left"),
        ):
            for name in names[:SHOWN]:
                work.say.print(f"{where}: {name} {what}", highlight=False, markup=False, soft_wrap=True)


async def _drop_old_state(work: _Work) -> None:
    """Remove what stood on the changelogs before, and see that they now say what was folded."""
    topic = work.hub.topics.changelog
    with work.timed("changelog"):
        try:
            await drop_before(work.settings.kafka, topic, work.dropped)
        except KafkaError as error:
            work.say.print(f"{topic}: the old state could not be removed ({error}); new records stand after it")
        for partition, (position, mark) in work.states.items():
            found = await restore(work.settings.kafka, topic, partition)
            if found.position != position or mark_of(found) != mark:
                raise Refused(
                    f"{topic}/{partition} does not say what was folded: old records on it count for more than the new"
                    " ones and could not be removed. Let this user configure topics, and rebuild again"
                )


async def _change_places(work: _Work, connection: Connection) -> None:
    with work.timed("indexes"):
        await rebuilding.finish(connection)
    with work.timed("changing places"):
        try:
            await rebuilding.replace(connection, work.tables.positions)
        except asyncpg.DependentObjectsStillExistError as error:
            raise Refused(f"the old tables can't be dropped, somebody's view stands on them: {error.detail}") from error
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            raise Refused("the old tables are read without a pause; rebuild when that is over") from error


async def run(settings: Settings, out: Console, err: Console, *, only_tables: bool) -> int:
    """Rebuild and print what was done, how long each part took, and the digest."""
    collect_seldom()
    began = time.monotonic()
    done = await rebuild(settings, err, only_tables=only_tables)
    counts = {"folding": done.folded, "copying": done.rows, "changelog": done.changelog}
    for part, seconds in done.seconds.items():
        count = counts.get(part)
        rate = f", {count} records, {count / max(seconds, 0.001):.0f} a second" if count else ""
        out.print(f"{part}: {seconds:.2f} s{rate}", highlight=False)
    if not only_tables:
        left = done.count["differing"] + done.count["unasked"]
        words = f"{done.count['appended']} appended, {left} left as published though the rules now give others"
        out.print(f"outputs: {words}, {done.count['removed']} no longer on the topics", highlight=False, soft_wrap=True)
    out.print(f"rebuilt in {time.monotonic() - began:.1f} s; digest {done.digest}", highlight=False, soft_wrap=True)
    return 0
