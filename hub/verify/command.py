"""``hub verify``: log, state, topics and tables compared while everything runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from hub.verify.digest import digest_of
from hub.verify.findings import Findings
from hub.verify.fingerprint import Forms
from hub.verify.groups import stands
from hub.verify.log import Log, Refused, open_log
from hub.verify.partition import Hub, compare
from hub.verify.relayed import Relayed
from hub.verify.rows import Snapshot, snapshot
from hub.wiring import casework_topics, codec_for, collect_seldom
from projections.postgres import connect
from runtime.settings import Settings

SHOWN = 50


@dataclass(slots=True)
class Verified:
    """What came out. ``folded``: records of the log; ``behind``: those that casework has yet to take."""

    findings: Findings
    folded: int = 0
    behind: int = 0
    seconds: float = 0.0


async def verify(settings: Settings, wanted: Sequence[int] = (), say: Console | None = None) -> Verified:
    """Compare everything of ``wanted`` partitions (none: all). ``say`` is told how far it is.

    Raises ``Refused`` where nothing can be compared: other partitions than there are, or a log without its beginning.
    """
    began, found = time.monotonic(), Verified(Findings())
    topics = casework_topics(settings)
    numbers = sorted(set(wanted)) or list(range(settings.partitions))
    hub = Hub(settings.kafka, topics, Forms(await codec_for(settings)), settings.retention_days)
    async with open_log(settings.kafka) as log:
        await check_partitions(settings, log, numbers)
        relayed, tables = await _cut(settings, hub, log, numbers, found.findings, say)
        for number in numbers:
            _say(say, f"partition {number}: folding its log ({time.monotonic() - began:.0f} s so far)")
            folded, behind = await compare(hub, log, number, relayed.take(number), tables, found.findings)
            found.folded += folded
            found.behind += behind
    found.seconds = time.monotonic() - began
    return found


async def check_partitions(settings: Settings, log: Log, wanted: Sequence[int]) -> None:
    """Raise ``Refused`` when the topics have other partitions than the settings say, or fewer than are wanted."""
    for name in ("interaction-identified", "interaction-received", "casework-changelog"):
        there = await log.partitions(settings.topic(name))
        if there != settings.partitions:
            raise Refused(
                f"{settings.topic(name)} has {there} partitions, and HUB_PARTITIONS says {settings.partitions}:"
                " customers would be looked for in the wrong ones"
            )
    outside = [each for each in wanted if not 0 <= each < settings.partitions]
    if outside:
        raise Refused(f"there is no partition {outside[0]}: they are 0 to {settings.partitions - 1}")


async def _cut(
    settings: Settings, hub: Hub, log: Log, wanted: Sequence[int], findings: Findings, say: Console | None
) -> tuple[Relayed, Snapshot]:
    """Where identity stands, then its dead letters, then one state of the database: each knows of what came before."""
    received = settings.topic("interaction-received")
    everywhere = range(settings.partitions)
    stood = await stands(settings.kafka, f"{settings.topic_prefix}hub-identity", received, everywhere)
    relayed = Relayed(hub.forms.codec, received, await log.spans(received, everywhere), stood)
    await relayed.read_letters(log, hub.topics.dlq, findings)
    connection = await connect(settings.postgres, command_timeout=None)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            _say(say, "reading the tables")
            tables = await snapshot(connection, hub.forms, settings.partitions, wanted, findings)
            _say(say, "reading what was received, and what was decided about it")
            await relayed.ask(connection, log, wanted, findings)
    finally:
        await connection.close()
    return relayed, tables


def _say(say: Console | None, words: str) -> None:
    if say is not None:
        say.print(words, highlight=False)


async def run(settings: Settings, wanted: Sequence[int], out: Console, err: Console) -> int:
    """Compare and print. Returns 1 if anything differs."""
    collect_seldom()
    found = await verify(settings, wanted, err)
    findings = found.findings
    for sort, lines in findings.lines.items():
        for line in lines[:SHOWN]:
            out.print(f"{sort}: {line}", highlight=False, markup=False, soft_wrap=True)
        if findings.counts[sort] > SHOWN:
            out.print(f"{sort}: and {findings.counts[sort] - min(SHOWN, len(lines))} more", highlight=False)
    for note in findings.notes:
        err.print(note, highlight=False, markup=False, soft_wrap=True)
    compared = ", ".join(f"{count} {what}" for what, count in sorted(findings.compared.items()))
    repeats = sum(findings.repeated.values())
    out.print(
        f"compared {compared}; {repeats} records came again, equal, and count once", highlight=False, soft_wrap=True
    )
    late = f"; casework has yet to take {found.behind}" if found.behind else ""
    rate = found.folded / max(found.seconds, 0.001)
    words = f"{found.folded} records folded in {found.seconds:.1f} s, {rate:.0f} a second{late}"
    out.print(f"{findings.summary()} | {words}", highlight=False, soft_wrap=True)
    return int(not findings.clean)


async def show_digest(settings: Settings, out: Console) -> int:
    """Print the digest of what people read."""
    out.print(str(await digest_of(settings.postgres)), highlight=False, soft_wrap=True)
    return 0
