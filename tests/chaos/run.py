"""One run: events come in, everything is harmed, then all is left to catch up, and the check is made."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from hub.local.process import free_ports
from hub.local.stack import LocalStack
from hub.verify.check import Report, check
from hub.verify.evidence import Evidence, gather
from projections.migrate import migrate
from runtime.appending import new_producer
from runtime.clock import MovableClock
from runtime.topics_admin import apply
from schemas.codec import Codec
from schemas.topics import topics
from tests.chaos.catching_up import caught_up, relayed
from tests.chaos.door import TOKEN, DoorClient, for_the_door
from tests.chaos.far import through
from tests.chaos.faults import Harm
from tests.chaos.herd import Herd
from tests.chaos.producer import TENANT, Record, Story
from tests.chaos.receiver import SECRET, read_heard
from tests.chaos.told import Promised, Told, check_promised, check_told

PARTITIONS = 4
SESSION = 6.0  # the least that a broker accepts (group.min.session.timeout.ms)
RETENTION_DAYS = 1
TWO_DAYS = 2 * 86_400.0
RELAYED_SECONDS = 120.0
BY_THE_DOOR = 0.4  # of what the door takes
SILENT_SECONDS = 60.0
FIRST = ("door", "identity-1", "identity-2", "casework-1", "casework-2", "projector", "alerts")
COMMANDS: dict[str, tuple[str, ...]] = {
    "door": ("hub", "serve"),
    "identity-1": ("hub", "worker", "identity"),
    "identity-2": ("tests.chaos.fragile", "worker", "identity"),
    "identity-3": ("hub", "worker", "identity"),
    "casework-1": ("hub", "worker", "casework"),
    "casework-2": ("tests.chaos.fragile", "worker", "casework"),
    "casework-3": ("hub", "worker", "casework"),
    "casework-4": ("tests.chaos.fragile", "worker", "casework"),
    "projector": ("hub", "project"),
    "alerts": ("hub", "alert"),
}
SETS = {stage: [name for name in COMMANDS if name.startswith(stage)] for stage in ("identity", "casework")}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does. ``servers``: the stack whose Kafka and PostgreSQL are harmed as well, or None; ``pause``: the
    shortest and the longest time between two faults, in seconds; ``patience``: how long catching up may take."""

    kafka: str
    postgres: str
    prefix: str
    folder: Path
    seconds: float
    seed: int
    rate: int = 150
    replication: int = 1
    servers: LocalStack | None = None
    pause: tuple[float, float] = (1.0, 4.0)
    patience: float = 240.0
    progress: Callable[[str], None] = print


@dataclass(slots=True)
class Outcome:
    """What a run came to. ``line`` is the last one of a run, ``kills`` and so on are in it."""

    report: Report
    told: Told
    evidence: Evidence
    kills: int
    stops: int
    restarts: int
    faults: Counter[str]
    accepted: int
    line: str

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled or different."""
        return self.report.clean and not self.told.doubled


async def run(plan: Plan) -> Outcome:
    """Carry a plan out."""
    await apply(plan.kafka, topics(), plan.prefix, PARTITIONS, plan.replication)
    await migrate(plan.postgres)
    clock = MovableClock(plan.folder / "clock")
    http, receiving = free_ports(2)
    began = time.monotonic()

    def tell(line: str) -> None:
        plan.progress(f"{time.monotonic() - began:7.1f} s  {line}")

    with _own_folder() as far:
        everything = COMMANDS | {
            "receiver": ("tests.chaos.receiver", str(plan.folder), str(receiving)),
            "far-database": ("tests.chaos.far", str(far), plan.postgres),
        }
        herd = Herd(everything, _environment(plan, far, http, receiving), plan.folder)
        chance = random.Random(plan.seed + 1)
        harm = Harm(herd, plan.folder, far, SESSION, SETS, chance, tell, plan.servers, plan.pause)
        traffic = _Traffic(plan, clock, DoorClient(f"http://127.0.0.1:{http}/v1/events", plan.seed + 3), tell)
        herd.start("receiver", "far-database", *FIRST)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(traffic.flow())
                group.create_task(harm.go_on(plan.seconds))
            await herd.awake()
            tell("no more harm; catching up")
            late = await caught_up(plan.kafka, plan.postgres, plan.prefix, RETENTION_DAYS, clock, plan.patience, tell)
        finally:
            await traffic.door.stop()
            await herd.end()
    tell("stopped; recomputing" if late is None else f"NOT caught up within {plan.patience:.0f} s: {late}; recomputing")
    evidence = await gather(plan.kafka, plan.postgres, plan.prefix, PARTITIONS)
    report = check(evidence, RETENTION_DAYS)
    if late is not None:
        report.lost.append(f"the hub has not caught up within {plan.patience:.0f} s: {late}")
    check_promised(evidence, Promised(traffic.door.accepted, traffic.acknowledged), report)
    harmed = [*herd.harmed["alerts"], *harm.database_harmed]
    told = check_told(evidence, read_heard(plan.folder), await _tellings(plan.postgres), harmed, report)
    _sum_up(plan, traffic, herd, harm, report, told)
    kills, stops, restarts = herd.kills + harm.kills, herd.stops, harm.restarts
    line = (
        f"events {report.events} kills {kills} stops {stops} restarts {restarts}"
        f" | {report.counts()} alerts_doubled {len(told.doubled)}"
    )
    return Outcome(report, told, evidence, kills, stops, restarts, harm.done, len(traffic.door.accepted), line)


@contextmanager
def _own_folder() -> Iterator[Path]:
    """A folder with a short path, for a socket."""
    with tempfile.TemporaryDirectory(prefix="hub-far-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _environment(plan: Plan, far: Path, http: int, receiving: int) -> dict[str, str]:
    return {
        "HUB_KAFKA": plan.kafka,
        "HUB_POSTGRES": through(far, plan.postgres),
        "HUB_TOPIC_PREFIX": plan.prefix,
        "HUB_PARTITIONS": str(PARTITIONS),
        "HUB_REPLICATION": str(plan.replication),
        "HUB_SESSION_TIMEOUT": str(SESSION),
        "HUB_RETENTION_DAYS": str(RETENTION_DAYS),
        "HUB_CLOCK_FILE": str(plan.folder / "clock"),
        "HUB_TENANT": TENANT,
        "HUB_API_TOKEN": TOKEN,
        "HUB_HTTP_PORT": str(http),
        "HUB_BLOBS": str(plan.folder / "blobs"),
        "HUB_ALERTMANAGER": "",
        "HUB_ALERT_WEBHOOK": f"http://127.0.0.1:{receiving}/alerts",
        "HUB_ALERT_WEBHOOK_SECRET": SECRET,
        "CHAOS_DISK_FULL": str(plan.folder / "disk-full"),
    }


class _Traffic:
    """The story on its way into the hub. ``acknowledged``: what Kafka took directly."""

    def __init__(self, plan: Plan, clock: MovableClock, door: DoorClient, tell: Callable[[str], None]) -> None:
        self._plan = plan
        self._clock = clock
        self._tell = tell
        self._topic = f"{plan.prefix}interaction-received"
        self._chance = random.Random(plan.seed + 2)
        self._codec = Codec()
        self._producer: AIOKafkaProducer | None = None
        self._given_up: list[AIOKafkaProducer] = []
        self.story = Story(plan.seed, clock, customers=2 * plan.rate)
        self.door = door
        self.acknowledged: list[tuple[int, int, int]] = []
        self.sent_again = 0

    async def flow(self) -> None:
        """Tell the story at an even pace. Half-way two days pass at once: what is over by then leaves the state."""
        self.door.start()
        await self._send([self.story.configuration("3s", "9s")])
        began, told, jumped = time.monotonic(), 0, False
        while (passed := time.monotonic() - began) < self._plan.seconds:
            due = min(round(passed * self._plan.rate) - told, 5 * self._plan.rate)
            await self._pass_on([self.story.next() for _ in range(due)])
            told += due
            if not jumped and passed > self._plan.seconds / 2:
                jumped = True
                # An event that is repeated after two days is a new one, by the retention: none may be on its way.
                await self.door.drained()
                if not await relayed(self._plan.kafka, self._plan.prefix, RELAYED_SECONDS):
                    self._tell("the identity stage is far behind: two days do not pass")
                    continue
                self.story.forget()
                self._clock.move(TWO_DAYS)
                self._tell("two days pass")
                await self._send([self.story.configuration("2s", "7s")])
            await asyncio.sleep(0.1)
        await self.door.drained()
        self._give_up()
        for producer in self._given_up:
            with suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(5):
                    await producer.stop()

    async def _pass_on(self, records: list[Record]) -> None:
        direct = []
        for record in records:
            event = for_the_door(self._codec, record[1]) if self._chance.random() < BY_THE_DOOR else None
            if event is None:
                direct.append(record)
            else:
                await self.door.put(event)
        await self._send(direct)

    async def _send(self, records: list[Record]) -> None:
        """Append records, and again those that Kafka does not acknowledge, until it has all of them."""
        left = records
        while left:
            try:
                async with asyncio.timeout(SILENT_SECONDS):
                    left = await self._attempt(left)
            except (TimeoutError, KafkaError, OSError):
                self._give_up()
            if left:
                self.sent_again += len(left)
                await asyncio.sleep(0.3)

    async def _attempt(self, records: list[Record]) -> list[Record]:
        """Returns those that were not acknowledged."""
        if self._producer is None:
            producer = new_producer(self._plan.kafka)
            await producer.start()
            self._producer = producer
        waiting = [await self._producer.send(self._topic, value, key=key) for key, value in records]
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        left = []
        for record, answer in zip(records, answers, strict=True):
            if isinstance(answer, BaseException):
                left.append(record)
            elif answer.offset >= 0:
                self.acknowledged.append((answer.partition, answer.offset, zlib.crc32(record[1])))
        if left:
            self._give_up()
        return left

    def _give_up(self) -> None:
        """Take another producer: one may hang after a broker's restart. What it still holds may arrive yet."""
        if self._producer is not None:
            self._given_up.append(self._producer)
            self._producer = None


async def _tellings(dsn: str) -> dict[str, str]:
    """By alert, where its telling stands."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT alert::text, state FROM alert_deliveries")
        return {row["alert"]: row["state"] for row in rows}
    finally:
        await connection.close()


def _sum_up(plan: Plan, traffic: _Traffic, herd: Herd, harm: Harm, report: Report, told: Told) -> None:
    """All that is known of a run, before its last line."""
    story, door = traffic.story, traffic.door
    tell = plan.progress
    tell(f"faults: {_listed(harm.done)}")
    tell("ended by themselves:" if herd.reasons else "ended by themselves: none")
    for reason, count in herd.reasons.most_common():
        tell(f"  {count} x {reason}")
    tell(
        f"told twice {story.repeated} and {door.repeated} over HTTP, late {story.late}, unreadable {story.unreadable},"
        f" sent again to Kafka {traffic.sent_again}"
    )
    tell(f"the door answered: {_listed(door.tries)}")
    tell(
        f"webhooks: {told.alerts} messages heard, {told.superseded} alerts over before anybody was told; heard again"
        f" with the same id: {_listed(told.again)}"
    )
    tell(f"repeated, and dropped by id: {_listed(report.repeated)}")
    tell(f"compared: {_listed(report.compared)}")
    if not report.clean:
        tell(report.first())
    for line in told.doubled[:20]:
        tell(f"alert doubled: {line}")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
