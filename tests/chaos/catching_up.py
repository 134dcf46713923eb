"""Waits until a hub that is no longer harmed has done all it has to, and nothing more will come due in a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import asyncpg
from aiokafka.errors import KafkaError

from hub.verify.evidence import (
    OUTPUTS,
    Evidence,
    Places,
    Tables,
    committed,
    ends_of,
    positions,
    read_topic,
)
from hub.verify.expected import fold_partition
from runtime.clock import SECOND, Clock

HORIZON = 600 * SECOND
TELL_SECONDS = 20.0
LOG = "interaction-identified"
READ = ("interaction-received", LOG, *OUTPUTS)
_WAITING = "SELECT count(*) FROM alert_deliveries WHERE state = 'waiting'"
_DUE = "SELECT min(next_due_at) FROM tickets WHERE status NOT IN ('resolved', 'closed') AND next_due_at > $1"


async def caught_up(
    kafka: str,
    dsn: str,
    prefix: str,
    retention_days: int,
    clock: Clock,
    patience: float,
    tell: Callable[[str], None],
) -> str | None:
    """Return when every reader stands at the end of its topics, every alert was told, and no clock will come due in
    the next ten minutes. After ``patience`` seconds: what is still missing, which ``tell`` hears now and then, too."""
    deadline = time.monotonic() + patience
    told_at = time.monotonic()
    connection = await asyncpg.connect(dsn)
    try:
        while True:
            try:
                missing = await _missing(kafka, connection, prefix, retention_days, clock)
            except KafkaError as error:  # a coordinator that has just come back
                missing = repr(error)
            if missing is None or time.monotonic() > deadline:
                return missing
            if time.monotonic() - told_at > TELL_SECONDS:
                told_at = time.monotonic()
                tell(missing)
            await asyncio.sleep(0.5)
    finally:
        await connection.close()


async def relayed(kafka: str, prefix: str, patience: float) -> bool:
    """Return when the identity stage has passed on all that is in its topic now; False after ``patience`` seconds."""
    ends: Places | None = None
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with suppress(KafkaError, OSError):  # it is harmed meanwhile
            ends = ends or await ends_of(kafka, [f"{prefix}interaction-received"])
            stands = await committed(kafka, f"{prefix}hub-identity")
            if all(stands.get(place, 0) >= end for place, end in ends.items()):
                return True
        await asyncio.sleep(0.5)
    return False


async def _missing(
    kafka: str, connection: asyncpg.Connection[asyncpg.Record], prefix: str, retention_days: int, clock: Clock
) -> str | None:
    ends = await ends_of(kafka, [prefix + topic for topic in READ])
    behind = await _behind(kafka, connection, prefix, ends)
    if behind:
        return behind
    waiting = await connection.fetchval(_WAITING)
    if waiting:
        return f"{waiting} alerts are not told"
    horizon = clock.now() + HORIZON
    due = await connection.fetchval(_DUE, clock.now())
    if due is not None and due < horizon:
        return f"a ticket's clock comes due in {(due - clock.now()) / SECOND:.0f} s"
    logs = await read_topic(kafka, prefix + LOG)
    evidence = Evidence(prefix, len(logs), {}, {}, Tables())
    for number, records in logs.items():
        folded, _ = await asyncio.to_thread(fold_partition, evidence, records, retention_days)
        if folded.due is not None and folded.due < horizon:
            return f"partition {number} of casework has something due in {(folded.due - clock.now()) / SECOND:.0f} s"
    if await ends_of(kafka, [prefix + topic for topic in READ]) != ends:
        return "something was written in the last moment"
    return None


async def _behind(kafka: str, connection: asyncpg.Connection[asyncpg.Record], prefix: str, ends: Places) -> str | None:
    held = await positions(connection, "projector_positions")
    alerted = await positions(connection, "alert_positions")
    stages = await committed(kafka, f"{prefix}hub-identity")
    stages |= await committed(kafka, f"{prefix}hub-casework")
    outputs = {place: end for place, end in ends.items() if place[0].removeprefix(prefix) in OUTPUTS and end}
    verdicts = {place: end for place, end in outputs.items() if place[0].endswith("sla-verdict-issued")}
    inputs = {place: end for place, end in ends.items() if place[0].removeprefix(prefix) not in OUTPUTS and end}
    readers = {"a stage": (stages, inputs), "the projector": (held, outputs), "alerts": (alerted, verdicts)}
    for who, (stands, wanted) in readers.items():
        for (topic, partition), end in wanted.items():
            at = stands.get((topic, partition))
            if at != end:
                return f"{who} stands at {at} of {end} in {topic.removeprefix(prefix)}/{partition}"
    return None
