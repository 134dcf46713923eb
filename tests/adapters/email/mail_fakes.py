"""Fakes and a plain LMTP sender for the mail tests."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

from adapters.contract import Account, Delivery
from adapters.email.receive import EmailAdapter
from domain.errors import Reason, Unavailable
from schemas.records import InteractionReceived

SECOND = 1_000_000
DAY = 86_400 * SECOND
NOW = 1_760_000_000 * SECOND  # 2025-10-09 08:53:20 UTC
DATE = "Thu, 09 Oct 2025 10:50:00 +0200"
SENT = 1_759_999_800 * SECOND
ACCOUNT = Account(
    tenant="t",
    name="support",
    team="first-line",
    options={"own_addresses": "own.example support@shop.example", "authserv_id": "mx.own.example"},
)


class Blobs:
    """A blob store in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        reference = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.kept[reference] = data
        return reference

    def get(self, reference: str) -> bytes:
        return self.kept[reference]


class FullDisk(Blobs):
    """A blob store without room."""

    def put(self, data: bytes) -> str:
        raise OSError(28, "No space left on device")


class Log:
    """A publisher that keeps what it is given, unless it is told to be unavailable or to wait."""

    def __init__(self) -> None:
        self.events: list[InteractionReceived] = []
        self.letters: list[tuple[str, str, bytes]] = []
        self.down_for: set[str] = set()
        self.refuses: Exception | None = None
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def publish(self, events: Sequence[InteractionReceived]) -> None:
        self.asked.set()
        await self.open.wait()
        if self.refuses is not None:
            raise self.refuses
        self._check({event.tenant for event in events})
        self.events += events

    async def dead_letter(self, source: str, reason: str, detail: str, body: bytes) -> str:
        self._check({source})
        self.letters.append((source, reason, body))
        return f"letter-{len(self.letters)}"

    def _check(self, names: set[str]) -> None:
        if names & self.down_for:
            raise Unavailable(Reason.KAFKA_UNAVAILABLE, "the fake is told to be down")


class StillClock:
    """A clock that is moved by hand."""

    def __init__(self, at: int = NOW) -> None:
        self.at = at

    def now(self) -> int:
        return self.at


class Sender:
    """A mail server's side of LMTP, line by line; smtplib's own reads only one of the answers to DATA."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Sender:
        sender = cls(*await asyncio.open_connection("127.0.0.1", port))
        await sender.answer()
        await sender.say("LHLO mx.own.example")
        return sender

    async def answer(self) -> str:
        """The next answer, its lines joined."""
        lines = [(await self.reader.readline()).decode().rstrip("\r\n")]
        while lines[-1][3:4] == "-":
            lines.append((await self.reader.readline()).decode().rstrip("\r\n"))
        return "\n".join(lines)

    async def say(self, command: str) -> str:
        self.writer.write(command.encode() + b"\r\n")
        return await self.answer()

    async def deliver(self, body: bytes, *recipients: str, sender: str = "<customer@example.com>") -> list[str]:
        """Hand over a mail; the answers to its content, one for each recipient that was taken."""
        await self.say(f"MAIL FROM:{sender}")
        taken = [one for one in recipients if (await self.say(f"RCPT TO:<{one}>")).startswith("250")]
        assert (await self.say("DATA")).startswith("354")
        lines = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n").replace(b"\r\n.", b"\r\n..")
        self.writer.write(lines + b"\r\n.\r\n")
        return [await self.answer() for _ in taken]

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


def read(
    body: bytes | str,
    account: Account = ACCOUNT,
    blobs: Blobs | None = None,
    at: int = NOW,
    **headers: str,
) -> InteractionReceived:
    """The one event of a mail. ``headers``: the door's facts, as ``envelope_from``."""
    data = body.encode() if isinstance(body, str) else body
    facts = {"x-" + name.replace("_", "-"): value for name, value in headers.items()}
    events = EmailAdapter().read(Delivery(data, at, facts), account, blobs or Blobs())
    assert len(events) == 1
    return events[0]


def mail(text: str = "Where is my order?", **headers: str) -> str:
    """A mail with usual headers; ``headers`` replace or add (``in_reply_to``), an empty one removes."""
    usual = {
        "from": "Customer One <customer@example.com>",
        "to": "support@own.example",
        "subject": "Order 17",
        "date": DATE,
        "message-id": "<m1@example.com>",
        "mime-version": "1.0",
        "content-type": "text/plain; charset=utf-8",
        "content-transfer-encoding": "8bit",
    }
    usual |= {name.replace("_", "-"): value for name, value in headers.items()}
    return "".join(f"{name.title()}: {value}\n" for name, value in usual.items() if value) + f"\n{text}\n"
