"""Fakes of what the door is given, and blocks of events as Asterisk 18 writes them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from adapters.asterisk_ami.calls import CallMemory
from adapters.asterisk_ami.protocol import MessageParser
from adapters.asterisk_ami.receive import AsteriskAdapter
from adapters.contract import Account, Delivery
from domain.errors import Reason, Unavailable
from hub.local.ami_peer import event
from schemas.records import InteractionReceived

NOW = 1_790_000_000_000_000
SECOND = 1_000_000
ACCOUNT = Account(tenant="default", name="pbx", secret="hub", region="DE", team="desk", organisation="vendor-a")
NUMBER = "+4930901820"


class Blobs:
    """Keeps bytes by a number; ``full`` times it fails first."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.full = 0

    def put(self, data: bytes) -> str:
        if self.full:
            self.full -= 1
            raise OSError(28, "No space left on device")
        name = f"sha256:{len(self.kept)}"
        self.kept[name] = data
        return name

    def get(self, reference: str) -> bytes:
        return self.kept[reference]


class TestClock:
    """A second later at each look."""

    __test__ = False

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> int:
        self.time += SECOND
        return self.time


class Log:
    """A publisher that keeps what it is given. ``refusals`` attempts fail, every other one after it was written."""

    def __init__(self) -> None:
        self.attempts: list[list[InteractionReceived]] = []
        self.durable: list[InteractionReceived] = []
        self.letters: list[tuple[str, str, bytes]] = []
        self.refusals = 0
        self._changed = asyncio.Condition()

    async def publish(self, events: Sequence[InteractionReceived]) -> None:
        self.attempts.append(list(events))
        await self._told()
        self._refuse()
        self.durable += events
        await self._told()

    async def dead_letter(self, source: str, reason: str, detail: str, body: bytes) -> str:
        self._refuse()
        self.letters.append((source, reason, body))
        await self._told()
        return str(len(self.letters))

    def _refuse(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable(Reason.KAFKA_UNAVAILABLE, "no broker answers: wait")

    async def _told(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, durable: int = 0, attempts: int = 0, letters: int = 0) -> None:
        """Wait until there are so many of each."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: len(self.durable) >= durable and len(self.attempts) >= attempts and len(self.letters) >= letters
            )

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.durable]


def block(name: str, *, stamped: str = "yes", leg: str = "1.1", call: str = "1.1", **fields: str) -> bytes:
    """An event of a leg at ``NOW``, or without a time where ``stamped`` is empty; fields override or add to it."""
    given = {
        "Channel": "PJSIP/trunk-0000002a",
        "CallerIDNum": NUMBER,
        "Context": "from-trunk",
        "Exten": "100",
        "Uniqueid": leg,
        "Linkedid": call,
    } | fields
    at = NOW if stamped else None
    return event(name, "call", at, *((key, value) for key, value in given.items() if value))


def read(
    *blocks: bytes, account: Account = ACCOUNT, memory: CallMemory | None = None, received_at: int = NOW
) -> list[InteractionReceived]:
    """Read blocks one after the other as the door does, each a second later, remembering the calls."""
    memory = CallMemory(account) if memory is None else memory
    adapter, blobs, found = AsteriskAdapter(), Blobs(), []
    for number, message in enumerate(MessageParser().feed(b"".join(blocks))):
        at = received_at + number * SECOND
        delivery = Delivery(message.raw, at, memory.observe(message, at).headers())
        found += adapter.read(delivery, account, blobs)
    return found


def alone(body: bytes, account: Account = ACCOUNT, received_at: int = NOW) -> list[InteractionReceived]:
    """Read a body with nothing remembered, as after a restart."""
    return AsteriskAdapter().read(Delivery(body, received_at), account, Blobs())
