"""``hub count``, the process that counts what sources send, and ``hub sources``, which shows it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import structlog
from rich.console import Console
from rich.table import Table

from consumers.reading import BATCH, ReadingStopped
from consumers.sources import Labels, Sources
from domain.errors import Unavailable
from domain.sequences import read_numberings
from hub.sla.words import stamp as at
from hub.wiring import learning_codec, show_metrics, until_stopped
from projections.migrate import migrate
from projections.postgres import connect, open_pool, reading
from projections.sources import shown, store
from runtime import metrics
from runtime.clock import SECOND, Clock, clock_for
from runtime.failstop import fail_stop
from runtime.settings import Settings

if TYPE_CHECKING:
    from projections.postgres import Pool

log = structlog.get_logger()
LOOK = 10.0  # seconds between two looks at the tables for the metrics
_MOST = 5000


async def count(settings: Settings, anew: bool = False) -> None:
    """Count until stopped; brings the database to its newest schema first. ``anew``: forget what was counted before."""
    show_metrics(settings)
    await migrate(settings.postgres)
    if anew:
        connection = await connect(settings.postgres)
        await store.reset(connection)
        await connection.close()
    labels, clock = Labels(), clock_for(settings.clock_file)
    pool = await open_pool(settings.postgres, most=1)
    async with learning_codec(settings) as (codec, learn):
        sources = Sources(
            settings.kafka,
            settings.postgres,
            codec,
            settings.topic("interaction-received"),
            read_numberings(settings.sequences),
            learn=learn,
            group=f"{settings.topic_prefix}hub-sources",
            session_timeout=settings.session_timeout,
            labels=labels,
        )

        async def run() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(sources.run())
                group.create_task(_keep_showing(pool, sources, labels, settings, clock))

        try:
            await until_stopped(run)
        except* ReadingStopped as stopped:
            fail_stop(f"sources: {'; '.join(map(str, stopped.exceptions))}")
        finally:
            pool.terminate()


async def _keep_showing(pool: Pool, sources: Sources, labels: Labels, settings: Settings, clock: Clock) -> None:
    while True:
        try:
            await show_in_metrics(
                pool, labels, clock.now(), grace_of(settings), ready=sources.ready, behind=sources.behind
            )
        except Unavailable as error:
            log.warning("sources are not shown in metrics", error=str(error))
        await asyncio.sleep(LOOK)


async def show_in_metrics(
    pool: Pool, labels: Labels, now: int, grace: int, ready: bool = True, behind: int = 0
) -> None:
    """Set the gauges from the tables. Gaps and differences stay as they were while the reader is behind: what seems to
    be missing then may well be among what it has not read."""
    async with reading(pool) as connection:
        found = await shown.sources(connection, now, grace, most=_MOST)
        found = await shown.in_full(connection, found, now, grace, streams=0)
    sums: dict[store.SourceKey, tuple[int, int, int, int]] = {}
    for each in found:
        key = labels.of(store.SourceKey(each.tenant, each.source))
        last, gaps, missing, less = sums.get(key, (0, 0, 0, 0))
        less += shown.difference(each)
        sums[key] = max(last, each.last_at), gaps + each.overdue_gaps, missing + each.overdue_missing, less
    for key, (last, gaps, missing, less) in sums.items():
        metrics.source_last_event.labels(*key).set(last / SECOND)
        if ready and behind < BATCH:
            metrics.source_gaps.labels(*key).set(gaps)
            metrics.source_missing.labels(*key).set(missing)
            metrics.source_difference.labels(*key).set(less)


def grace_of(settings: Settings) -> int:
    """How long a gap may be open, in microseconds."""
    return round(settings.source_grace * SECOND)


async def show(settings: Settings, tenant: str, as_json: bool, out: Console) -> int:
    """Print the sources with their gaps and counts, as tables or as JSON lines."""
    now, grace = clock_for(settings.clock_file).now(), grace_of(settings)
    pool = await open_pool(settings.postgres, most=1)
    try:
        async with reading(pool) as connection:
            found = await shown.sources(connection, now, grace, tenant or None)
            found = await shown.in_full(connection, found, now, grace)
    finally:
        await pool.close()
    if as_json:
        for each in found:
            out.out(msgspec.json.encode(each).decode(), highlight=False)
        return 0
    if not found:
        out.print("no source has sent anything yet, or `hub count` does not run", highlight=False)
        return 0
    out.print(_table(found, now))
    for title, table in (("Gaps", _gaps(found, now, grace)), ("Counts of the last 24 hours", _counts(found))):
        if table.row_count:
            out.print(f"\n[bold]{title}[/]")
            out.print(table)
    return 0


def _new_table(*columns: str) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def _table(found: list[shown.Source], now: int) -> Table:
    table = _new_table(
        "tenant", "source", "today", "total", "last event (UTC)", "ago", "gaps", "missing", "lost", "less"
    )
    for each in found:
        table.add_row(
            each.tenant, each.source, str(each.today), str(each.events), at(each.last_at), _ago(now - each.last_at),
            str(each.gaps), str(each.missing), str(each.overdue_missing),
            str(shown.difference(each)) if any(one.settled for one in each.compared) else "",
        )  # fmt: skip
    return table


def _gaps(found: list[shown.Source], now: int, grace: int) -> Table:
    table = _new_table("source", "conversation", "missing", "numbers", "open for", "")
    for each in found:
        for stream in each.streams:
            numbers = ", ".join(str(g.first) if g.first == g.last else f"{g.first}-{g.last}" for g in stream.gaps)
            told = sum(gap.size for gap in stream.gaps)
            since = min((gap.since for gap in stream.gaps), default=now)
            table.add_row(
                each.source,
                stream.conversation or "all of the source",
                str(stream.missing),
                numbers + (", …" if told < stream.missing else ""),
                _ago(now - since),
                "lost?" if now - since > grace else "may still come",
            )
    return table


def _counts(found: list[shown.Source]) -> Table:
    table = _new_table("source", "type", "queue", "from (UTC)", "to (UTC)", "stated", "received", "")
    for each in found:
        for one in each.compared:
            verdict = "equal" if one.stated == one.received else "lost?" if one.stated > one.received else "more here"
            table.add_row(
                each.source, one.type, one.queue, at(one.since), at(one.until), str(one.stated), str(one.received),
                verdict if one.settled else "too early",
            )  # fmt: skip
    return table


def _ago(microseconds: int) -> str:
    minutes, seconds = divmod(max(microseconds, 0) // SECOND, 60)
    if minutes < 100:
        return f"{minutes}:{seconds:02}"
    return f"{minutes // 60} h" if minutes < 100 * 60 else f"{minutes // 1440} d"
