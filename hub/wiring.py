"""Puts the parts together by hand: the one place that knows which settings, topics and stages belong together."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import prometheus_client
import structlog

from projections.identity.store import IdentityStore
from projections.postgres import open_pool
from runtime import metrics
from runtime.clock import Clock, clock_for
from runtime.letter_limit import LetterLimit
from runtime.registry import Registry
from runtime.relay import Relay
from runtime.settings import Settings
from runtime.stage import Stage
from runtime.worker import Worker
from schemas.codec import Codec, is_native
from schemas.records import TimeAdvanced
from schemas.topics import topics
from streams.casework import CaseworkFold, CaseworkTopics
from streams.identity import IdentityStage, Learn

log = structlog.get_logger()


async def codec_for(settings: Settings) -> Codec:
    """The codec with pinned schema numbers, or with those of a registry where one is set."""
    async with learning_codec(settings) as (codec, _):
        return codec


@asynccontextmanager
async def learning_codec(settings: Settings) -> AsyncIterator[tuple[Codec, Learn | None]]:
    """The codec, and what asks the registry for schemas that others wrote with; None without a registry."""
    if not settings.registry:
        yield Codec(), None
        return
    async with Registry(settings.registry) as registry:
        codec = await registry.codec(topics(), settings.topic_prefix)
        yield codec, lambda values: registry.learn(codec, values)


def casework_topics(settings: Settings) -> CaseworkTopics:
    """The casework stage's topics on this Kafka."""
    return CaseworkTopics(
        identified=settings.topic("interaction-identified"),
        entries=settings.topic("timeline-entry-added"),
        tickets=settings.topic("ticket-changed"),
        verdicts=settings.topic("sla-verdict-issued"),
        dlq=settings.topic("interaction-received-dlq"),
        changelog=settings.topic("casework-changelog"),
    )


def casework_stage(settings: Settings, codec: Codec, clock: Clock) -> Stage:
    """The casework stage, ready to start."""
    topics = casework_topics(settings)
    return Stage(
        "casework",
        settings,
        clock,
        source=topics.identified,
        changelog=topics.changelog,
        new_fold=lambda: CaseworkFold(codec, topics, settings.retention_days),
        tick=lambda now: codec.encode(TimeAdvanced(now)),
        letters=letter_limit(settings, "casework"),
    )


def letter_limit(settings: Settings, stage: str) -> LetterLimit:
    """How many dead letters one process of a stage may write."""
    topic = settings.topic("interaction-received-dlq")
    return LetterLimit(stage, topic, settings.dead_letter_limit, settings.dead_letter_share)


@asynccontextmanager
async def identity_stage(settings: Settings, clock: Clock) -> AsyncIterator[Relay]:
    """The identity stage with its connections."""
    received = settings.topic("interaction-received")
    async with (
        learning_codec(settings) as (codec, learn),
        await open_pool(settings.postgres, most=4, by_key=True) as pool,
    ):
        letters = letter_limit(settings, "identity")
        stage = IdentityStage(
            codec,
            IdentityStore(pool),
            clock,
            source=received,
            target=settings.topic("interaction-identified"),
            dlq=letters.topic,
            partitions=settings.partitions,
            learn=learn,
            letters=letters,
        )
        try:
            yield Relay("identity", settings, received, stage, letters)
        finally:
            pool.terminate()


async def run_worker(name: str, settings: Settings) -> None:
    """Run one stage's worker until it is told to stop."""
    clock = clock_for(settings.clock_file)
    show_metrics(settings)
    if name == "casework":
        await run_stage(casework_stage(settings, await codec_for(settings), clock))
    else:
        async with identity_stage(settings, clock) as stage:
            await run_stage(stage)


def collect_seldom() -> None:
    """Have Python's collector look less often, in a process that holds or makes records by the thousand.

    None of them needs the collector, which with Python's own thresholds walks them again and again: an eighth of
    casework's CPU time.
    """
    gc.set_threshold(20_000, 20, 20)


async def run_stage(worker: Worker) -> None:
    """Run a stage until SIGTERM or SIGINT; then it leaves its group, so that others take over at once."""
    collect_seldom()
    app, stopping = worker.app, stop_event()
    app.finalize()
    await app.start()
    try:
        crashed = asyncio.create_task(app.wait_until_stopped())
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait({crashed, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await app.stop()
        await worker.close()


def stop_event() -> asyncio.Event:
    """Set when the process is asked to stop."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stopping.set)
    return stopping


async def until_stopped(work: Callable[[], Awaitable[None]]) -> None:
    """Run ``work`` until it ends by itself or the process is asked to stop."""
    waiting = asyncio.create_task(stop_event().wait())
    working = asyncio.ensure_future(work())
    done, _ = await asyncio.wait({waiting, working}, return_when=asyncio.FIRST_COMPLETED)
    for task in (waiting, working):
        if task not in done:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    if working in done:
        await working


def show_metrics(settings: Settings) -> None:
    """Show this process's metrics over HTTP where a port is set."""
    if settings.metrics_port:
        metrics.native.set(is_native())
        prometheus_client.start_http_server(settings.metrics_port, addr=settings.http_host)
