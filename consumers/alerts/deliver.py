"""Tells one receiver its alerts: takes what is due from the inbox, sends it, and writes down what came of it.

Each receiver has a deliverer of its own, so one that is slow or gone delays nobody else. The inbox is the truth: an
alert is leased before it is sent and settled after, and a deliverer that dies in between leaves a lease that runs out,
after which this or another process sends the same message again. Nothing is ever sent before it is written down that it
may have been.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from consumers.alerts.receiver import Receiver
from domain.alert_delivery import PARKING, WHOLE, Answer, Outcome, Step, Telling, settle
from domain.alerts import Kind
from projections.alerts import store
from projections.alerts.store import Settled, Taken
from projections.postgres import answering
from runtime import metrics
from runtime.clock import SECOND, Clock

if TYPE_CHECKING:
    from projections.postgres import Pool

log = structlog.get_logger(__name__)

LEASE = 15 * SECOND
#: A call may take this long; it is not begun unless the lease lasts longer.
CALL_SECONDS = 10.0
KEPT = 35 * 86_400 * SECOND  # an alert that stayed open for so long is no longer repeated
_LOOK = 1.0  # seconds between two looks at the inbox when nobody calls: for what other processes put there
_GATHER = 0.02  # seconds
_MOST = 256


class Deliverer:
    """Sends the alerts of one receiver until cancelled.

    ``jitter`` gives a number in [0, 1) for each wait; ``clock`` is the hub's. Raises ``Unavailable`` when PostgreSQL
    does not answer; everything is in the inbox then, and a new deliverer goes on.
    """

    def __init__(self, receiver: Receiver, pool: Pool, clock: Clock, jitter: Callable[[], float]) -> None:
        self._receiver = receiver
        self._pool = pool
        self._clock = clock
        self._jitter = jitter
        self._most = max(_MOST, receiver.batch * receiver.width * 2)
        self._least = 2 * receiver.batch
        self._room = self._most
        self._struggling = False
        self._more = False
        self._busy: set[uuid.UUID] = set()
        self._chunks: asyncio.Queue[list[Taken]] = asyncio.Queue()
        self._done: list[tuple[Taken, Outcome, int]] = []
        self._woken = asyncio.Event()
        self._some_done = asyncio.Event()
        self._delivered = metrics.alerts_delivered.labels(receiver.name)
        self._waiting = metrics.alerts_waiting.labels(receiver.name)
        self._parked = metrics.alerts_parked.labels(receiver.name)

    def wake(self) -> None:
        """There is something new in the inbox."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver until cancelled; what was sent by then is still settled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._taking())
            group.create_task(self._settling())
            for _ in range(self._receiver.width):
                group.create_task(self._sending())

    async def _taking(self) -> None:
        while True:
            self._woken.clear()
            free = self._room - len(self._busy)
            # under load in bites of a half, since each one is a transaction; else at once
            free = free if free >= self._room // 2 or not self._more else 0
            taken = await self._take(free) if free > 0 else []
            if free > 0:
                self._more = len(taken) == free
            size = self._receiver.batch
            for begin in range(0, len(taken), size):
                self._chunks.put_nowait(taken[begin : begin + size])
            if not taken:
                await self._rest(full=free <= 0)

    async def _take(self, limit: int) -> list[Taken]:
        now = self._clock.now()
        with answering("taking alerts"):
            async with self._pool.acquire() as connection, connection.transaction():
                taken = await store.take(connection, self._receiver.name, now, now + LEASE, self._busy, limit)
        self._busy.update(each.id for each in taken)
        return taken

    async def _rest(self, full: bool) -> None:
        """Wait until there may be something to take: somebody calls, a wait ends, or it is time to look."""
        seconds = _LOOK
        if not full:
            with answering("counting alerts"):
                async with self._pool.acquire() as connection:
                    backlog = await store.backlog(connection, self._receiver.name)
            self._waiting.set(backlog.waiting)
            self._parked.set(backlog.parked)
            if backlog.next_at is not None:
                # what is due already was put there since the last look; the floor keeps a moved clock from spinning
                seconds = min(max((backlog.next_at - self._clock.now()) / SECOND, 0.02), _LOOK)
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _sending(self) -> None:
        while True:
            chunk = await self._chunks.get()
            outcomes = await self._send(chunk)
            at = self._clock.now()
            self._done += [(taken, outcome, at) for taken, outcome in zip(chunk, outcomes, strict=True)]
            self._some_done.set()

    async def _send(self, chunk: list[Taken]) -> list[Outcome]:
        if self._clock.now() > chunk[0].leased_until - CALL_SECONDS * SECOND:
            return [Outcome(Answer.NOT_SENT)] * len(chunk)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await self._receiver.deliver([taken.alert for taken in chunk])
        except TimeoutError:
            return [Outcome(Answer.TIMED_OUT, f"no answer within {CALL_SECONDS:.0f} s")] * len(chunk)

    async def _settling(self) -> None:
        try:
            while True:
                await self._some_done.wait()
                if not self._chunks.empty():  # under load many at once, since each time is a transaction
                    await asyncio.sleep(_GATHER)
                self._some_done.clear()
                await self._settle()
        finally:
            while not self._chunks.empty():
                self._done += [(taken, Outcome(Answer.NOT_SENT), 0) for taken in self._chunks.get_nowait()]
            await self._settle()

    async def _settle(self) -> None:
        done, self._done = self._done, []
        if not done:
            return
        answers = [outcome.answer for _, outcome, _ in done]
        with answering("settling alerts"):
            async with self._pool.acquire() as connection, connection.transaction():
                held = await store.held(connection, self._receiver.name, [t.id for t, _, _ in done])
                settled = [
                    self._settled(taken, outcome, at, held[taken.id]) for taken, outcome, at in done if taken.id in held
                ]
                await store.settle(connection, self._receiver.name, [each for each in settled if each is not None])
                if self._struggling and Answer.ACCEPTED in answers:
                    await store.hurry(
                        connection, self._receiver.name, self._clock.now(), [each.value for each in WHOLE]
                    )
        self._make_room(answers)
        self._count(done)
        self._busy.difference_update(taken.id for taken, _, _ in done)
        self._woken.set()

    def _settled(self, taken: Taken, outcome: Outcome, at: int, held: tuple[Telling, int]) -> Settled | None:
        """What to write; nothing where the lease ran out and another process has the alert, unless it was accepted."""
        telling, leased_until = held
        if leased_until != taken.leased_until and outcome.answer is not Answer.ACCEPTED:
            return None
        age = at - taken.alert.opened.judged_at
        renew = self._receiver.renew if age < KEPT else None
        after = settle(
            telling,
            taken.before,
            taken.step,
            outcome,
            self._clock.now(),
            None if renew is None else round(renew * SECOND),
            self._jitter(),
        )
        accepted = outcome.answer is Answer.ACCEPTED
        return Settled(
            alert=taken.id,
            telling=after,
            detail=outcome.detail or None,
            opened_at=at if accepted and taken.step is Step.OPEN else None,
            resolved_at=at if accepted and taken.step is Step.RESOLVE else None,
        )

    def _make_room(self, answers: list[Answer]) -> None:
        """Take fewer alerts at once while the receiver fails as a whole, and more again when it accepts."""
        for answer in answers:
            if answer is Answer.ACCEPTED:
                self._room = min(self._most, self._room * 2)
                self._struggling = False
            elif answer in WHOLE or answer is Answer.NOT_SENT:
                self._room = max(self._least, self._room // 2)
                self._struggling = self._struggling or self._room == self._least

    def _count(self, done: list[tuple[Taken, Outcome, int]]) -> None:
        failed: dict[Answer, tuple[int, str]] = {}
        for taken, outcome, at in done:
            answer = outcome.answer
            if answer is Answer.ACCEPTED:
                self._accepted(taken, at)
            elif answer is not Answer.NOT_SENT:
                failed[answer] = (failed.get(answer, (0, ""))[0] + 1, outcome.detail)
                if answer in PARKING:
                    log.error("alert parked", receiver=self._receiver.name, reason=answer.value, detail=outcome.detail,
                              alert=str(taken.id), ticket=taken.alert.key.ticket)  # fmt: skip
        for answer, (count, detail) in failed.items():
            metrics.alerts_failed.labels(self._receiver.name, answer.value).inc(count)
            log.warning("alerts not accepted", receiver=self._receiver.name, reason=answer.value, detail=detail,
                        count=count)  # fmt: skip

    def _accepted(self, taken: Taken, at: int) -> None:
        if taken.step is Step.RENEW:
            return
        self._delivered.inc()
        due = taken.alert.opened.due_at
        if taken.step is Step.OPEN and taken.alert.key.kind == Kind.BREACH and due is not None:
            metrics.alert_delay_seconds.observe(max(at - due, 0) / SECOND)
