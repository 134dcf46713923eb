"""A client of ``POST /v1/events`` as it should be: CloudEvents in batches, each repeated until the answer is 202."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import aiohttp
import msgspec

from schemas.codec import Codec, NotDecodable
from schemas.records import InteractionReceived

TOKEN = "chaos-token"
BATCH = "application/cloudevents-batch+json"
AT_ONCE = 6
MOST = 8  # events in a batch
REPEATED = 0.02
_PAUSE = 0.3
_TIMEOUT = aiohttp.ClientTimeout(total=12, sock_connect=2)


class DoorRefused(Exception):
    """The door said that an event is at fault: a mistake of the run's own."""


def for_the_door(codec: Codec, value: bytes) -> InteractionReceived | None:
    """The event in a record, if it is one that the door takes: readable, and about somebody."""
    try:
        event = codec.decode(value)
    except NotDecodable:
        return None
    return event if isinstance(event, InteractionReceived) and event.contact_points else None


def cloud_event(event: InteractionReceived) -> dict[str, object]:
    """The event as third parties send it."""
    given = {
        "id": event.id,
        "channel": event.channel,
        "direction": event.direction,
        "contact_points": event.contact_points,
        "occurred_at": event.occurred_at,
        "conversation": event.conversation,
        "subject": event.subject,
        "text": event.text,
    }
    optional = {"actor": event.actor, "facts": event.facts}
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "data": given | {name: value for name, value in optional.items() if value is not None},
    }


class DoorClient:
    """Takes events and posts them; ``accepted`` are those the door said 202 to. ``tries`` counts what was answered."""

    def __init__(self, url: str, seed: int) -> None:
        self._url = url
        self._random = random.Random(seed)
        self._waiting: asyncio.Queue[InteractionReceived] = asyncio.Queue(maxsize=4000)
        self._posters: list[asyncio.Task[None]] = []
        self.accepted: dict[str, InteractionReceived] = {}
        self.tries: Counter[str] = Counter()
        self.repeated = 0

    def start(self) -> None:
        """Begin to post."""
        self._posters = [asyncio.create_task(self._post_on()) for _ in range(AT_ONCE)]

    async def put(self, event: InteractionReceived) -> None:
        """Have this posted; waits while very much waits already. Raises what made a poster end."""
        self._look()
        await self._waiting.put(event)

    async def drained(self) -> None:
        """Return when everything was accepted. Raises what made a poster end."""
        joined = asyncio.create_task(self._waiting.join())
        await asyncio.wait([joined, *self._posters], return_when=asyncio.FIRST_COMPLETED)
        if not joined.done():
            joined.cancel()
            self._look()

    def _look(self) -> None:
        for poster in self._posters:
            if poster.done():
                poster.result()

    async def stop(self) -> None:
        """Post no more."""
        for poster in self._posters:
            poster.cancel()
        await asyncio.gather(*self._posters, return_exceptions=True)

    async def _post_on(self) -> None:
        async with aiohttp.ClientSession(timeout=_TIMEOUT, headers={"Authorization": f"Bearer {TOKEN}"}) as session:
            while True:
                batch = [await self._waiting.get()]
                most = self._random.randint(1, MOST)
                while len(batch) < most and not self._waiting.empty():
                    batch.append(self._waiting.get_nowait())
                await self._deliver(session, batch)
                if self._random.random() < REPEATED:  # a sender that lost its note of the answer
                    self.repeated += len(batch)
                    await self._deliver(session, batch)
                for _ in batch:
                    self._waiting.task_done()

    async def _deliver(self, session: aiohttp.ClientSession, batch: list[InteractionReceived]) -> None:
        body = msgspec.json.encode([cloud_event(event) for event in batch])
        while True:
            try:
                async with session.post(self._url, data=body, headers={"Content-Type": BATCH}) as response:
                    words = await response.text()
                    self.tries[str(response.status)] += 1
                    if response.status == 202:
                        self.accepted.update((event.id, event) for event in batch)
                        return
                    if response.status < 500:
                        raise DoorRefused(f"{response.status}: {words[:500]}")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self.tries[type(error).__name__] += 1
            await asyncio.sleep(_PAUSE)
