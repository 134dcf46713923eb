"""One run: events come in, processes are killed and stopped, then all is left to catch up, and the check is made."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from hub.local.stack import LocalStack
from projections.migrate import migrate
from runtime.appending import new_producer
from runtime.clock import SECOND, MovableClock
from runtime.topics_admin import apply
from schemas.topics import topics
from tests.chaos.check import Report, check
from tests.chaos.evidence import OUTPUTS, Evidence, committed, ends_of, gather, positions
from tests.chaos.expected import fold_partition
from tests.chaos.herd import Herd
from tests.chaos.producer import Story, tell

PARTITIONS = 4
SESSION = 6.0  # the least that a broker accepts (group.min.session.timeout.ms)
RETENTION_DAYS = 1
TWO_DAYS = 2 * 86_400.0
CATCH_UP_SECONDS = 150.0
COMMANDS: dict[str, tuple[str, ...]] = {
    "identity-1": ("hub", "worker", "identity"),
    "casework-1": ("hub", "worker", "casework"),
    "casework-2": ("tests.chaos.fragile", "worker", "casework"),
    "projector": ("hub", "project"),
    "alerts": ("hub", "alert"),
}
MORE: dict[str, tuple[str, ...]] = {
    "identity-2": ("tests.chaos.fragile", "worker", "identity"),
    "casework-3": ("hub", "worker", "casework"),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does. ``servers``: the stack whose Kafka and PostgreSQL are killed as well, or None."""

    kafka: str
    postgres: str
    prefix: str
    folder: Path
    seconds: float
    seed: int
    rate: int = 150
    servers: LocalStack | None = None
    scaling: bool = False
    progress: Callable[[str], None] = print


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    report: Report
    evidence: Evidence
    kills: int
    stops: int
    line: str


async def run(plan: Plan) -> Outcome:
    """Carry a plan out. Raises ``TimeoutError`` when the hub does not catch up afterwards."""
    await apply(plan.kafka, topics(), plan.prefix, PARTITIONS, 1)
    await migrate(plan.postgres)
    clock = MovableClock(plan.folder / "clock")
    herd = Herd(COMMANDS | MORE, _environment(plan), plan.folder)
    herd.start(*COMMANDS)
    story = Story(plan.seed, clock, customers=2 * plan.rate)
    began = time.monotonic()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_produce(plan, story, clock))
            group.create_task(_harm(plan, herd))
        await herd.awake()
        plan.progress(f"{time.monotonic() - began:.0f} s: {herd.kills} kills, {herd.stops} stops; catching up")
        await _caught_up(plan, clock)
    finally:
        await herd.end()
    plan.progress(f"{time.monotonic() - began:.0f} s: caught up; recomputing")
    evidence = await gather(plan.kafka, plan.postgres, plan.prefix, PARTITIONS)
    report = check(evidence, RETENTION_DAYS)
    plan.progress(f"told twice {story.repeated}, late {story.late}, unreadable {story.unreadable}")
    plan.progress(f"ended by themselves: {dict(herd.codes) or 'none'}")
    plan.progress(f"repeated, and dropped by id: {dict(report.repeated)}")
    plan.progress(f"compared: {dict(report.compared)}")
    if not report.clean:
        plan.progress(report.first())
    line = f"events {report.events} kills {herd.kills} stops {herd.stops} | {report.counts()}"
    return Outcome(report, evidence, herd.kills, herd.stops, line)


def _environment(plan: Plan) -> dict[str, str]:
    return {
        "HUB_KAFKA": plan.kafka,
        "HUB_POSTGRES": plan.postgres,
        "HUB_TOPIC_PREFIX": plan.prefix,
        "HUB_PARTITIONS": str(PARTITIONS),
        "HUB_SESSION_TIMEOUT": str(SESSION),
        "HUB_RETENTION_DAYS": str(RETENTION_DAYS),
        "HUB_CLOCK_FILE": str(plan.folder / "clock"),
        "HUB_ALERTMANAGER": "",
        "HUB_ALERT_WEBHOOK": "",
    }


async def _produce(plan: Plan, story: Story, clock: MovableClock) -> None:
    """Tell the story at an even pace. Half-way two days pass at once: what is over by then leaves the state."""
    received = f"{plan.prefix}interaction-received"
    producer = new_producer(plan.kafka)
    await producer.start()
    try:
        await tell(producer, received, [story.configuration("3s", "9s")])
        began, told, jumped = time.monotonic(), 0, False
        while (passed := time.monotonic() - began) < plan.seconds:
            due = round(passed * plan.rate) - told
            await tell(producer, received, [story.next() for _ in range(due)])
            told += due
            if not jumped and passed > plan.seconds / 2:
                jumped = True
                clock.move(TWO_DAYS)
                await tell(producer, received, [story.configuration("2s", "7s")])
            await asyncio.sleep(0.1)
    finally:
        await producer.stop()


async def _harm(plan: Plan, herd: Herd) -> None:
    """Kill and stop at random until the time is over; the second harm is a stop that outlasts the session."""
    chance = random.Random(plan.seed + 1)
    end = time.monotonic() + plan.seconds
    count = 0
    while (left := end - time.monotonic()) > 0:
        await asyncio.sleep(min(left, chance.uniform(1.0, 4.0)))
        running = herd.names()
        if not running:
            continue
        victim = chance.choice(running)
        count += 1
        if count == 2:
            workers = [name for name in running if name.startswith("casework")]
            herd.stop(chance.choice(workers or running), SESSION + 3)
        elif chance.random() < 0.2:
            herd.stop(victim, chance.choice((1.0, SESSION * 0.7, SESSION + 3)))
        else:
            herd.kill(victim)
        if plan.scaling and chance.random() < 0.15:
            await _scale(herd, chance)
        if plan.servers is not None and chance.random() < 0.06:
            await _harm_a_server(plan, plan.servers, chance)


async def _scale(herd: Herd, chance: random.Random) -> None:
    """One process more, or one fewer."""
    name = chance.choice(sorted(MORE))
    if name in herd.names():
        await herd.retire(name)
    else:
        herd.start(name)


async def _harm_a_server(plan: Plan, servers: LocalStack, chance: random.Random) -> None:
    """kill -9 of the broker or of PostgreSQL, and start it again."""
    assert servers.kafka is not None
    assert servers.postgres is not None
    victim = chance.choice((servers.kafka.nodes[0], servers.postgres))
    plan.progress(f"kill -9 of {victim.name}")
    await asyncio.to_thread(victim.kill)
    await asyncio.sleep(chance.choice((0.5, 5.0)))
    await asyncio.to_thread(victim.start)


async def _caught_up(plan: Plan, clock: MovableClock) -> None:
    """Wait until every reader stands at the end of its topics, and no clock will come due in the next minute."""
    connection = await asyncpg.connect(plan.postgres)

    async def all_read() -> bool:
        ends = await ends_of(plan.kafka, [plan.prefix + topic for topic in READ])
        held = await positions(connection, "projector_positions")
        alerted = await positions(connection, "alert_positions")
        stages = await committed(plan.kafka, f"{plan.prefix}hub-identity")
        stages |= await committed(plan.kafka, f"{plan.prefix}hub-casework")
        outputs = {place: end for place, end in ends.items() if place[0].removeprefix(plan.prefix) in OUTPUTS and end}
        verdicts = {place: end for place, end in outputs.items() if place[0].endswith("sla-verdict-issued")}
        inputs = {place: end for place, end in ends.items() if place not in outputs and end}
        return (
            all(stages.get(place) == end for place, end in inputs.items())
            and all(held.get(place) == end for place, end in outputs.items())
            and all(alerted.get(place) == end for place, end in verdicts.items())
        )

    async def quiet() -> bool:
        if not await all_read():
            return False
        evidence = await gather(plan.kafka, plan.postgres, plan.prefix, PARTITIONS)
        logs = evidence.logs["interaction-identified"].values()
        due = [fold_partition(evidence, records, RETENTION_DAYS)[0].due for records in logs]
        horizon = clock.now() + 60 * SECOND
        return all(each is None or each > horizon for each in due) and await all_read()

    try:
        await until(quiet, CATCH_UP_SECONDS, "the hub has not caught up")
    finally:
        await connection.close()


READ = ("interaction-received", "interaction-identified", *OUTPUTS)


async def until(reached: Callable[[], Awaitable[bool]], seconds: float, otherwise: str) -> None:
    """Look until it is so; ``TimeoutError`` with ``otherwise`` when it is not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not await reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} within {seconds:.0f} s")
        await asyncio.sleep(0.5)
