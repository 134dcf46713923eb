"""The mail door: an LMTP server (RFC 2033) that says 250 only when the event of a mail is durable.

It listens for the company's own mail server, which keeps a queue and repeats what got 451. Each recipient has its own
answer; recipients of one account share one event. Nothing of a mail that breaks off, or is too large, is kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import Envelope, Session

from adapters.contract import Account, Adapter, BlobStore, Delivery, Publisher
from adapters.email.vendor import address
from domain.errors import Reason, Unavailable, Unreadable
from runtime import metrics
from runtime.clock import Clock
from runtime.publisher import RecordRefused
from schemas.records import InteractionReceived

# Real mails have lines far above the 998 bytes of RFC 5322 2.1.1, and a mail refused for that would be lost.
LINE_LIMIT = 1024 * 1024
RECIPIENT_LIMIT = 100
GRACE = 10.0

ACCEPTED = "250 2.0.0 kept"
AGAIN = "451 4.3.0 not kept, deliver again later"

_log = logging.getLogger(__name__)


class MailDoor:
    """An LMTP server for several accounts.

    ``accounts``: by the address or the domain of a recipient; an address goes before its domain, and a plus tag does
    not count. ``limit``: largest mail in bytes. ``port`` 0 takes a free one, which ``port`` tells after ``start``.
    """

    def __init__(
        self,
        adapter: Adapter,
        accounts: Mapping[str, Account],
        publisher: Publisher,
        blobs: BlobStore,
        clock: Clock,
        host: str,
        port: int,
        limit: int,
    ) -> None:
        """Raises ``ValueError`` for a key of ``accounts`` that is neither an address nor a domain."""
        self._adapter = adapter
        self._accounts = {_key(given): account for given, account in accounts.items()}
        self._publisher = publisher
        self._blobs = blobs
        self._clock = clock
        self._host = host
        self._port = port
        self._limit = limit
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server and self._server.sockets else self._port

    async def start(self) -> None:
        """Listen. Raises ``OSError`` when the address is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, self._host, self._port)

    async def stop(self) -> None:
        """Take no more connections; mails that have come in whole are answered, for at most ``GRACE`` seconds."""
        if self._server is None:
            return
        self._server.close()
        busy = [asyncio.ensure_future(one.quiet.wait()) for one in self._open if not one.quiet.is_set()]
        if busy:
            _, late = await asyncio.wait(busy, timeout=GRACE)
            for waiter in late:
                waiter.cancel()
        for connection in list(self._open):
            connection.hang_up()
        await self._server.wait_closed()
        self._server = None

    def account(self, recipient: str) -> Account | None:
        """The account that a recipient's mail belongs to, or None."""
        whole = address(recipient)
        if whole is None:
            return None
        local, _, domain = whole.rpartition("@")
        keys = (whole, f"{local.partition('+')[0]}@{domain}", domain)
        return next((self._accounts[key] for key in keys if key in self._accounts), None)

    async def take(self, account: Account, sender: str, recipients: list[str], body: bytes) -> str:
        """Make one account's event of a mail durable. Returns the LMTP answer for its recipients.

        A mail that can't be read is kept as a dead letter and accepted, as sending it again would not help.
        """
        headers = {"x-envelope-from": sender, "x-envelope-to": " ".join(recipients)}
        delivery = Delivery(body, self._clock.now(), headers, media_type="message/rfc822")
        try:
            # In a thread, as large mails take the parser seconds and the blob store waits for the disk.
            events = await asyncio.to_thread(self._read, delivery, account)
            await self._publisher.publish(events)
        except (Unavailable, OSError) as error:
            return self._later(account, error)
        except (Unreadable, RecordRefused) as error:
            return await self._bury(account, error.reason, str(error), body)
        except Exception as error:
            # A fault of ours must not make the mail server give up after days and tell the customer so.
            _log.exception("a mail to %s could not be read", account.name)
            return await self._bury(account, Reason.NOT_VALID, f"the adapter failed: {error!r}", body)
        metrics.events_published.labels(self._adapter.name).inc(len(events))
        self.count("accepted")
        return ACCEPTED

    def count(self, outcome: str) -> None:
        """Count a delivery by what became of it."""
        metrics.deliveries_received.labels(self._adapter.name, outcome).inc()

    def _read(self, delivery: Delivery, account: Account) -> list[InteractionReceived]:
        self._adapter.verify(delivery, account)
        return self._adapter.read(delivery, account, self._blobs)

    async def _bury(self, account: Account, reason: str, detail: str, body: bytes) -> str:
        try:
            letter = await self._publisher.dead_letter(f"{self._adapter.name}/{account.name}", reason, detail, body)
        except (Unavailable, OSError) as error:
            return self._later(account, error)
        self.count("unreadable")
        return f"250 2.0.0 kept as dead letter {letter}"

    def _later(self, account: Account, error: Exception) -> str:
        _log.warning("a mail to %s is to come again: %s", account.name, error)
        self.count("unavailable")
        return AGAIN

    def _connection(self) -> _Connection:
        return _Connection(self, self._open, self._limit)


class _Handler:
    """What the LMTP protocol asks the door; its method names are aiosmtpd's."""

    def __init__(self, door: MailDoor) -> None:
        self._door = door

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: LMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        # RFC 2033 5 demands it. aiosmtpd reads commands one by one from a buffer, which is all that it takes.
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: LMTP, session: Session, envelope: Envelope, recipient: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= RECIPIENT_LIMIT:
            return f"452 4.5.3 no more than {RECIPIENT_LIMIT} recipients in one delivery"
        if self._door.account(recipient) is None:
            self._door.count("unknown_account")
            return "550 5.1.1 no such mailbox here"
        envelope.rcpt_tos.append(recipient)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: LMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        """One answer per recipient, in the order of the RCPT commands (RFC 2033 4.2)."""
        assert isinstance(server, _Connection)
        server.quiet.clear()
        body = envelope.content
        assert isinstance(body, bytes)  # decode_data is off
        sender = "" if envelope.mail_from in (None, "<>") else str(envelope.mail_from)
        by_account: dict[tuple[str, str], list[str]] = {}
        owners: dict[tuple[str, str], Account] = {}
        keys: list[tuple[str, str]] = []
        for recipient in envelope.rcpt_tos:
            account = self._door.account(recipient)
            assert account is not None  # RCPT refused the others
            key = (account.tenant, account.name)
            keys.append(key)
            owners[key] = account
            by_account.setdefault(key, []).append(recipient)
        answers = {key: await self._door.take(owners[key], sender, to, body) for key, to in by_account.items()}
        return "\r\n".join(answers[key] for key in keys)

    async def handle_exception(self, error: Exception) -> str:
        """aiosmtpd would answer 500, on which a mail server gives up."""
        _log.error("the mail door failed", exc_info=error)
        return AGAIN


class _Connection(LMTP):
    """aiosmtpd's LMTP, which answers DATA once, made to answer once per recipient whatever the answer."""

    line_length_limit = LINE_LIMIT

    def __init__(self, door: MailDoor, opened: set[_Connection], limit: int) -> None:
        self._door = door
        self._opened = opened
        # Answers that the sender waits for; 0 outside of DATA.
        self._recipients = 0
        # Not set while a mail that has come in whole is being kept.
        self.quiet = asyncio.Event()
        self.quiet.set()
        super().__init__(
            _Handler(door),
            data_size_limit=limit,
            enable_SMTPUTF8=True,
            hostname="hub",
            ident="LMTP",
            loop=asyncio.get_running_loop(),
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._opened.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._opened.discard(self)
        if self._recipients and self.quiet.is_set():
            self._door.count("cut_off")
        self.quiet.set()
        super().connection_lost(error)

    def hang_up(self) -> None:
        """Close, after what was written has gone out."""
        if self.transport is not None:
            self.transport.close()

    async def push(self, status: str | bytes) -> None:
        """Send an answer. The one to a mail's content goes out once per recipient (RFC 2033 4.2)."""
        line = status.decode() if isinstance(status, bytes) else status
        if line.startswith("354"):
            self._recipients = len(self.envelope.rcpt_tos) if self.envelope else 0
        elif self._recipients:
            # 500: a line above LINE_LIMIT.
            if line.startswith(("552", "500")):
                self._door.count("too_large")
            if "\r\n" not in line:
                line = "\r\n".join([line] * self._recipients)
            self._recipients = 0
        elif line.startswith("552"):
            self._door.count("too_large")
        await super().push(line)
        if not self._recipients:
            self.quiet.set()


def _key(given: str) -> str:
    """An address or a domain as ``MailDoor.account`` compares it."""
    key = address(given) if "@" in given.lstrip("@") else (address(f"x@{given.lstrip('@')}") or "").removeprefix("x@")
    if not key:
        raise ValueError(f"{given!r} is neither a mail address nor a domain")
    return key
