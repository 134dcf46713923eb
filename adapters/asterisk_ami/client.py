"""The door to Asterisk: opens a connection to its manager interface, logs in and publishes what it hears, in order.

AMI keeps nothing for a client that is away: events sent while the connection is down are not seen (CEL or the queue log
in a database can tell them later). What has been read is held until it is durable; meanwhile nothing more is read, so
that Asterisk's own buffer fills, and if that lasts, it hangs up on us. ``deliveries_received`` counts, by outcome:
events accepted and lost (at a stop), blocks unreadable and cut_off, connected, connection_lost, login_refused.

Options of an account: ``username`` (default ``hub``), ``event_mask`` (default ``call,agent,cel,user``); its ``secret``
is the manager user's.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import ssl
from collections.abc import Awaitable, Callable

import msgspec

from adapters.asterisk_ami import counters
from adapters.asterisk_ami.calls import CallMemory
from adapters.asterisk_ami.protocol import BANNER, Message, MessageParser, encode
from adapters.asterisk_ami.receive import MEDIA_TYPE
from adapters.contract import Account, Adapter, BlobStore, Delivery, Publisher
from domain.errors import HubError, Reason, Unavailable, Unreadable
from runtime import metrics
from runtime.clock import Clock
from schemas.records import InteractionReceived

READ_SIZE = 64 * 1024
CLASSES = "call,agent,cel,user"

log = logging.getLogger(__name__)


class LoginRefused(HubError):
    """Asterisk does not know the user, the secret is wrong, or the address may not log in (manager.conf)."""


class ConnectionLost(HubError):
    """The connection could not be made or ended; says how."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.SOURCE_UNAVAILABLE, detail)


class Pauses(msgspec.Struct, frozen=True):
    """Seconds between attempts. ``first`` doubles with each failure up to ``longest``."""

    first: float = 1.0
    longest: float = 60.0
    login_refused: float = 60.0
    ping_every: float = 30.0
    answer_within: float = 10.0


class AmiClient:
    """One connection for one account. ``run`` until ``stop``; ``pause`` waits so many seconds (``asyncio.sleep``)."""

    def __init__(
        self,
        adapter: Adapter,
        account: Account,
        host: str,
        port: int,
        publisher: Publisher,
        blobs: BlobStore,
        clock: Clock,
        *,
        pauses: Pauses = Pauses(),  # noqa: B008 - frozen
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.logged_in = asyncio.Event()
        self._adapter = adapter
        self._account = account
        self._host = host
        self._port = port
        self._publisher = publisher
        self._blobs = blobs
        self._clock = clock
        self._pauses = pauses
        self._pause = pause
        self._tls = tls
        self._source = f"{adapter.name}/{account.name}"
        self._memory = CallMemory(account)
        self._stopping = asyncio.Event()
        self._runs = False
        self._done = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._actions = 0

    async def run(self) -> None:
        """Stay connected until ``stop``. Returns then; anything but a lost connection or a refused login is raised."""
        self._runs = True
        failures = 0
        try:
            while not self._stopping.is_set():
                delay = 0.0
                try:
                    await self._session()
                except LoginRefused as error:
                    self._count("login_refused")
                    log.error("%s: %s", self._source, error)
                    delay = self._pauses.login_refused
                except ConnectionLost as error:
                    if not self._stopping.is_set():
                        self._count("connection_lost")
                        log.warning("%s: %s:%s: %s", self._source, self._host, self._port, error)
                    failures = 0 if self.logged_in.is_set() else failures + 1
                    delay = min(self._pauses.first * 2 ** min(failures, 16), self._pauses.longest)
                finally:
                    self.logged_in.clear()
                    await self._close()
                await self._rest(delay)
        finally:
            self._done.set()

    async def stop(self) -> None:
        """End the connection and wait until ``run`` is done. What was read is given one more attempt to be durable."""
        self._stopping.set()
        if self._writer is not None:
            self._writer.close()
        if self._runs:
            await self._done.wait()

    async def _session(self) -> None:
        try:
            async with asyncio.timeout(self._pauses.answer_within):
                reader, self._writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._tls, limit=READ_SIZE
                )
                parser, waiting = await self._login(reader)
        except TimeoutError:
            raise ConnectionLost(f"no answer within {self._pauses.answer_within} s") from None
        except OSError as error:
            raise ConnectionLost(str(error)) from error
        self.logged_in.set()
        self._count("connected")
        await self._take(waiting)
        asking = asyncio.create_task(self._ask_for_counters())
        try:
            await self._listen(reader, parser)
        finally:
            asking.cancel()

    async def _ask_for_counters(self) -> None:
        """Ask for the queues' counters at each quarter of an hour; the answer comes among the events."""
        while counters.wanted(self._account):
            await self._pause(counters.until_next(self._clock.now()))
            try:
                await self._send(("Action", counters.ACTION))
            except OSError:
                return  # who reads the connection finds it lost, too

    async def _listen(self, reader: asyncio.StreamReader, parser: MessageParser) -> None:
        unanswered = False
        while not self._stopping.is_set():
            data = await self._read(reader, self._pauses.answer_within if unanswered else self._pauses.ping_every)
            if data is None:
                if unanswered:
                    raise ConnectionLost(f"no answer to a ping within {self._pauses.answer_within} s")
                unanswered = True
                continue
            if not data:
                if parser.rest:
                    self._count("cut_off")
                raise ConnectionLost("closed by Asterisk")
            unanswered = False
            await self._take(parser.feed(data))
            if parser.broken is not None:
                await self._bury(parser.broken, parser.rest)
                raise ConnectionLost(str(parser.broken))

    async def _read(self, reader: asyncio.StreamReader, within: float) -> bytes | None:
        """What has come, empty at the end; when nothing comes within so many seconds, a ping is sent."""
        try:
            try:
                async with asyncio.timeout(within):
                    return await reader.read(READ_SIZE)
            except TimeoutError:
                await self._send(("Action", "Ping"))
                return None
        except OSError:
            return b""

    async def _login(self, reader: asyncio.StreamReader) -> tuple[MessageParser, list[Message]]:
        """Log in, with the secret's digest where Asterisk offers a challenge. Returns what else came, too."""
        parser = MessageParser()
        user = ("Username", self._account.options.get("username", "hub"))
        events = ("Events", self._account.options.get("event_mask", CLASSES))
        answer, _ = await self._ask(reader, parser, ("Action", "Challenge"), ("AuthType", "MD5"))
        challenge = answer.get("Challenge")
        if challenge:
            # The interface knows no other digest; what it protects is one exchange, TLS does the rest.
            key = hashlib.md5((challenge + self._account.secret).encode(), usedforsecurity=False).hexdigest()
            proof = [("AuthType", "MD5"), ("Key", key)]
        else:
            proof = [("Secret", self._account.secret)]
        answer, later = await self._ask(reader, parser, ("Action", "Login"), user, *proof, events)
        if answer.get("Response") != "Success":
            raise LoginRefused(
                Reason.LOGIN_REFUSED,
                f"{self._host}:{self._port} refused user {user[1]!r}: {answer.get('Message') or 'no reason given'}; "
                "compare the account's secret and username with manager.conf, and its permit lines with our address",
            )
        return parser, later

    async def _ask(
        self, reader: asyncio.StreamReader, parser: MessageParser, *fields: tuple[str, str]
    ) -> tuple[Message, list[Message]]:
        """Send an action; its answer, and the messages that came along."""
        number = await self._send(*fields)
        others: list[Message] = []
        while data := await reader.read(READ_SIZE):
            messages = parser.feed(data)
            if parser.broken is not None or (not parser.banner and (messages or b"\n" in data)):
                raise ConnectionLost(f"no Asterisk manager interface: it does not greet with {BANNER!r}")
            others += messages
            for message in messages:
                if message.get("Response") and message.get("ActionID") in ("", number):
                    return message, [other for other in others if other is not message]
        raise ConnectionLost("closed before the login was answered")

    async def _send(self, *fields: tuple[str, str]) -> str:
        assert self._writer is not None
        self._actions += 1
        number = str(self._actions)
        self._writer.write(encode([*fields, ("ActionID", number)]))
        await self._writer.drain()
        return number

    async def _take(self, messages: list[Message]) -> None:
        """Publish what has arrived, in its order; returns when all of it is durable."""
        ready: list[InteractionReceived] = []
        for message in messages:
            received_at = self._clock.now()
            headers = self._memory.observe(message, received_at).headers()
            delivery = Delivery(message.raw, received_at, headers, media_type=MEDIA_TYPE)
            try:
                ready += await self._read_event(delivery)
            except Unreadable as error:
                await self._publish(ready)
                ready = []
                await self._bury(error, message.raw)
        await self._publish(ready)

    async def _read_event(self, delivery: Delivery) -> list[InteractionReceived]:
        async def read() -> None:
            events[:] = self._adapter.read(delivery, self._account, self._blobs)

        events: list[InteractionReceived] = []
        await self._until_durable(read, 1)  # a long block goes to the blob store, which may be full
        return events

    async def _publish(self, events: list[InteractionReceived]) -> None:
        if not events:
            return
        await self._until_durable(lambda: self._publisher.publish(events), len(events))
        metrics.events_published.labels(self._adapter.name).inc(len(events))
        self._count("accepted", len(events))

    async def _bury(self, error: Unreadable, body: bytes) -> None:
        async def bury() -> None:
            await self._publisher.dead_letter(self._source, error.reason, str(error), body)

        await self._until_durable(bury, 1)
        self._count("unreadable")

    async def _until_durable(self, attempt: Callable[[], Awaitable[None]], count: int) -> None:
        """Repeat the same attempt until it succeeds; when stopped, once more and no further."""
        delay = self._pauses.first
        while True:
            last = self._stopping.is_set()
            try:
                return await attempt()
            except (Unavailable, OSError) as error:
                if last:
                    self._count("lost", count)
                    log.error("%s: stopped with %d events that are not durable: %s", self._source, count, error)
                    raise ConnectionLost("stopped") from error
                log.warning("%s: nothing more is read until this is durable: %s", self._source, error)
            await self._rest(delay)
            delay = min(delay * 2, self._pauses.longest)

    async def _rest(self, seconds: float) -> None:
        """Wait, but not longer than until ``stop``."""
        stopped = asyncio.ensure_future(self._stopping.wait())
        rested = asyncio.ensure_future(self._pause(seconds))
        try:
            await asyncio.wait([stopped, rested], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            rested.cancel()

    async def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.close()
        with contextlib.suppress(OSError):  # it was lost already
            await writer.wait_closed()

    def _count(self, outcome: str, by: int = 1) -> None:
        metrics.deliveries_received.labels(self._adapter.name, outcome).inc(by)
