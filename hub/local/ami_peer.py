"""A small Asterisk for tests and the demonstration: speaks its manager interface (AMI) over TCP and plays given events.

It knows what a client of events needs: the greeting, ``Challenge``, ``Login``, ``Events``, ``Ping`` and ``Logoff``, and
the classes of events that a login asked for. It makes no calls: events are played as given, with the caller's times.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Iterable, Sequence

from adapters.asterisk_ami.protocol import BANNER, Message, MessageParser, encode

SECOND = 1_000_000
SWITCHES_ON, SWITCHES_OFF = ("on", "yes", "true", "all", "-1"), ("off", "no", "false", "0")


def event(name: str, privilege: str, at: int | None, *fields: tuple[str, str]) -> bytes:
    """An event's block; ``at`` in microseconds becomes ``Timestamp`` as with ``timestampevents = yes``; None: none."""
    stamp = [] if at is None else [("Timestamp", f"{at // SECOND}.{at % SECOND:06}")]
    return encode([("Event", name), ("Privilege", f"{privilege},all"), *stamp, *fields])


def abandoned_call(
    call: str, number: str, queue: str, *, offered: int, queued: int, gave_up: int, dialled: str = "100"
) -> list[bytes]:
    """A caller who hangs up in the queue, event by event as Asterisk 18 tells it. Instants in microseconds."""
    waited = str((gave_up - queued) // SECOND)
    caller = _leg(call, call, f"PJSIP/trunk-{_digits(call)}", number, dialled)
    return [
        event("Newchannel", "call", offered, *caller),
        event("QueueCallerJoin", "agent", queued, *caller, ("Queue", queue), ("Position", "1"), ("Count", "1")),
        event(
            "QueueCallerAbandon",
            "agent",
            gave_up,
            *caller,
            *(("Queue", queue), ("Position", "1"), ("OriginalPosition", "1"), ("HoldTime", waited)),
        ),
        event("QueueCallerLeave", "agent", gave_up, *caller, ("Queue", queue), ("Count", "0"), ("Position", "1")),
        event("Hangup", "call", gave_up, *caller, ("Cause", "16"), ("Cause-txt", "Normal Clearing")),
        _linkedid_end(call, number, gave_up),
    ]


def answered_call(
    call: str, number: str, queue: str, agent: str, *, offered: int, queued: int, answered: int, ended: int
) -> list[bytes]:
    """A caller who waits, is answered by ``agent`` and hangs up. Instants in microseconds."""
    waited, talked = str((answered - queued) // SECOND), str((ended - answered) // SECOND)
    caller = _leg(call, call, f"PJSIP/trunk-{_digits(call)}", number, "100")
    phone = f"PJSIP/agent-{_digits(call + '9')}"
    served = _leg(f"{call}9", call, phone, "", "")
    pair = (*caller, *((f"Dest{name}", value) for name, value in served))
    member = (("Queue", queue), ("MemberName", agent), ("Interface", "PJSIP/agent"))
    complete = (("HoldTime", waited), ("TalkTime", talked), ("Reason", "caller"))
    return [
        event("Newchannel", "call", offered, *caller),
        event("QueueCallerJoin", "agent", queued, *caller, ("Queue", queue), ("Position", "1"), ("Count", "1")),
        event("Newchannel", "call", queued, *served),
        event("DialBegin", "call", queued, *pair, ("DialString", "agent")),
        event("AgentCalled", "agent", queued, *pair, *member),
        event("DialEnd", "call", answered, *pair, ("DialStatus", "ANSWER")),
        event("QueueCallerLeave", "agent", answered, *caller, ("Queue", queue), ("Count", "0"), ("Position", "1")),
        event("AgentConnect", "agent", answered, *pair, *member, ("RingTime", waited), ("HoldTime", waited)),
        event("Hangup", "call", ended, *served, ("Cause", "16"), ("Cause-txt", "Normal Clearing")),
        event("AgentComplete", "agent", ended, *pair, *member, *complete),
        event("Hangup", "call", ended, *caller, ("Cause", "16"), ("Cause-txt", "Normal Clearing")),
        _linkedid_end(call, number, ended),
    ]


def _leg(unique: str, linked: str, channel: str, number: str, dialled: str) -> tuple[tuple[str, str], ...]:
    return (
        ("Channel", channel),
        ("ChannelState", "4"),
        ("ChannelStateDesc", "Ring"),
        ("CallerIDNum", number or "<unknown>"),
        ("CallerIDName", "<unknown>"),
        ("ConnectedLineNum", "<unknown>"),
        ("ConnectedLineName", "<unknown>"),
        ("Language", "en"),
        ("AccountCode", ""),
        ("Context", "from-trunk"),
        ("Exten", dialled),
        ("Priority", "1"),
        ("Uniqueid", unique),
        ("Linkedid", linked),
    )


def _linkedid_end(call: str, number: str, at: int) -> bytes:
    named = (("EventName", "LINKEDID_END"), ("CallerIDnum", number), ("UniqueID", call), ("LinkedID", call))
    return event("CEL", "cel", at, *named)


def _digits(text: str) -> str:
    """Eight hexadecimal digits, as they end a channel's name."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


class _Session:
    """One client's connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.events: frozenset[str] | None = None
        self.logged_in = False

    def listens(self, block: bytes) -> bool:
        """Whether the client asked for events of this block's classes; a block without any goes to everybody."""
        if not self.logged_in:
            return False
        if self.events is None:
            return True
        for line in block.split(b"\n"):
            if line.lower().startswith(b"privilege:"):
                classes = {name.strip() for name in line.decode("latin-1").partition(":")[2].split(",")} - {"all"}
                return bool(classes & self.events) or not classes
        return bool(self.events)


class AmiPeer:
    """The server. ``challenge`` empty: it offers no MD5. ``answers_pings`` may be switched off while it runs.

    ``actions`` are the names of the actions that came, ``proofs`` the fields by which logins proved the secret.
    """

    def __init__(
        self, username: str = "hub", secret: str = "hub", *, version: str = "7.0.3", challenge: str = "145769581"
    ) -> None:
        self.answers_pings = True
        self.actions: list[str] = []
        self.proofs: list[str] = []
        self.port = 0
        self._username = username
        self._secret = secret
        self._version = version
        self._challenge = challenge
        self._sessions: set[_Session] = set()
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Condition()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen, and return the port (a free one where 0 was asked for)."""
        self._server = await asyncio.start_server(self._serve, host, port)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self.port

    async def stop(self) -> None:
        """Close all connections and listen no more."""
        if self._server is not None:
            self._server.close()
        await self.drop()

    async def drop(self, last_words: bytes = b"") -> None:
        """Close all connections, after ``last_words`` (say, half a block); clients may come again."""
        gone = list(self._sessions)
        for session in gone:
            session.writer.write(last_words)
            session.writer.close()
        async with self._changed:
            await self._changed.wait_for(lambda: not self._sessions.intersection(gone))

    async def until_logged_in(self, count: int = 1) -> None:
        """Wait until so many clients are logged in."""
        async with self._changed:
            await self._changed.wait_for(lambda: sum(session.logged_in for session in self._sessions) >= count)

    async def until_action(self, name: str, count: int = 1) -> None:
        """Wait until an action of this name has come so many times."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.actions.count(name) >= count)

    async def play(self, blocks: Sequence[bytes] | Iterable[bytes]) -> None:
        """Send the blocks, in order, to every logged-in client that asked for their class."""
        for block in blocks:
            for session in list(self._sessions):
                if session.listens(block):
                    session.writer.write(block)
        for session in list(self._sessions):
            with contextlib.suppress(OSError):
                await session.writer.drain()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(writer)
        self._sessions.add(session)
        parser = MessageParser()
        try:
            writer.write(f"{BANNER}{self._version}\r\n".encode())
            while data := await reader.read(4096):
                for message in parser.feed(data):
                    leaves = self._answer(session, message)
                    async with self._changed:
                        self.actions.append(message.get("Action"))
                        self._changed.notify_all()
                    if leaves:
                        return
        except OSError:
            pass  # the client is gone
        finally:
            self._sessions.discard(session)
            writer.close()
            async with self._changed:
                self._changed.notify_all()

    def _answer(self, session: _Session, message: Message) -> bool:
        """Answer one action; whether the connection ends with it."""
        action = message.get("Action").lower()
        if action == "challenge" and self._challenge:
            self._reply(session, message, "Success", ("Challenge", self._challenge))
        elif action == "login":
            return not self._login(session, message)
        elif not session.logged_in:
            self._reply(session, message, "Error", ("Message", "Permission denied"))
        elif action == "ping":
            if self.answers_pings:
                self._reply(session, message, "Success", ("Ping", "Pong"))
        elif action == "events":
            session.events = _classes(message.get("EventMask"))
            self._reply(session, message, "Success", ("Events", "On"))
        elif action == "logoff":
            self._reply(session, message, "Goodbye", ("Message", "Thanks for all the fish."))
            return True
        else:
            self._reply(session, message, "Error", ("Message", "Invalid/unknown command"))
        return False

    def _login(self, session: _Session, message: Message) -> bool:
        digest = hashlib.md5((self._challenge + self._secret).encode(), usedforsecurity=False).hexdigest()
        proven = message.get("Key") == digest if message.get("Key") else message.get("Secret") == self._secret
        self.proofs.append("Key" if message.get("Key") else "Secret")
        if message.get("Username") != self._username or not proven:
            self._reply(session, message, "Error", ("Message", "Authentication failed"))
            return False
        session.events = _classes(message.get("Events"))
        self._reply(session, message, "Success", ("Message", "Authentication accepted"))
        session.logged_in = True
        booted = event("FullyBooted", "system", None, ("Status", "Fully Booted"))
        if session.listens(booted):
            session.writer.write(booted)
        return True

    def _reply(self, session: _Session, message: Message, response: str, *fields: tuple[str, str]) -> None:
        given = [("ActionID", message.get("ActionID"))] if message.get("ActionID") else []
        session.writer.write(encode([("Response", response), *given, *fields]))


def _classes(mask: str) -> frozenset[str] | None:
    """The classes of events a mask names; None: all of them."""
    if not mask or mask.lower() in SWITCHES_ON:
        return None
    if mask.lower() in SWITCHES_OFF:
        return frozenset()
    return frozenset(name.strip() for name in mask.split(","))
