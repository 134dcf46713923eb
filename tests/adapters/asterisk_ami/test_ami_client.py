"""The door over real TCP: logs in, survives what a network and a broker do, loses and repeats nothing it has read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from adapters.asterisk_ami.client import AmiClient, Pauses
from adapters.asterisk_ami.protocol import MessageParser
from adapters.asterisk_ami.receive import AsteriskAdapter
from adapters.contract import Account
from hub.local.ami_peer import AmiPeer, abandoned_call, answered_call
from runtime import metrics
from tests.adapters.asterisk_ami.ami_fakes import ACCOUNT, NOW, NUMBER, SECOND, Blobs, Log, TestClock, block
from tests.shared import requires_shared, shared_path

ABANDONED = abandoned_call("1.1", NUMBER, "support", offered=NOW, queued=NOW, gave_up=NOW + 30 * SECOND)
ANSWERED = answered_call(
    "2.1", NUMBER, "support", "Agent/7", offered=NOW, queued=NOW, answered=NOW + 12 * SECOND, ended=NOW + 72 * SECOND
)
ABANDONED_TYPES = ["call.offered", "call.queued", "call.abandoned", "call.ended", "call.ended"]
PATIENT = Pauses(ping_every=60, answer_within=60)


class Rests:
    """Counts the pauses asked for, and takes none of them but to let others run."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._changed = asyncio.Condition()

    async def __call__(self, seconds: float) -> None:
        async with self._changed:
            self.seconds.append(seconds)
            self._changed.notify_all()
        await asyncio.sleep(0)

    async def until(self, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.seconds) >= count)


class Door:
    """A running client with its fakes."""

    def __init__(self, client: AmiClient, log: Log, rests: Rests, blobs: Blobs, clock: TestClock) -> None:
        self.client, self.log, self.rests, self.blobs, self.clock = client, log, rests, blobs, clock


@asynccontextmanager
async def running(
    port: int,
    account: Account = ACCOUNT,
    pauses: Pauses = PATIENT,
    pause: Callable[[float], Awaitable[None]] | None = None,
) -> AsyncIterator[Door]:
    log, rests, blobs, clock = Log(), Rests(), Blobs(), TestClock()
    client = AmiClient(
        AsteriskAdapter(),
        account,
        "127.0.0.1",
        port,
        log,
        blobs,
        clock,
        pauses=pauses,
        pause=pause or rests,
    )
    task = asyncio.create_task(client.run())
    try:
        async with asyncio.timeout(20):
            yield Door(client, log, rests, blobs, clock)
            await client.stop()
            await task
    finally:
        task.cancel()


@pytest.fixture
async def peer() -> AsyncIterator[AmiPeer]:
    server = AmiPeer()
    await server.start()
    yield server
    await server.stop()


def counted(outcome: str) -> float:
    value = metrics.deliveries_received.labels("asterisk-ami", outcome)._value.get()
    return float(value)


async def test_a_call_that_hangs_up_in_the_queue_is_published_in_order(peer: AmiPeer) -> None:
    async with running(peer.port) as door:
        await peer.until_logged_in()
        await peer.play(ABANDONED)
        await door.log.until(durable=5)
    assert door.log.types == ABANDONED_TYPES
    assert {one.contact_points[0].value for one in door.log.durable} == {NUMBER}
    assert door.log.durable[2].occurred_at == NOW + 30 * SECOND
    assert peer.actions == ["Challenge", "Login"]
    assert peer.proofs == ["Key"], "the secret itself is not sent where a challenge is offered"


async def test_an_answered_call_is_published_in_order(peer: AmiPeer) -> None:
    async with running(peer.port) as door:
        await peer.until_logged_in()
        await peer.play(ANSWERED)
        await door.log.until(durable=7)
    assert [name.removeprefix("call.") for name in door.log.types] == [
        "offered", "queued", "ringing", "answered", "wrapped_up", "ended", "ended",
    ]  # fmt: skip


async def test_without_a_challenge_the_secret_is_sent() -> None:
    peer = AmiPeer(challenge="")
    await peer.start()
    async with running(peer.port) as door:
        await door.client.logged_in.wait()
    assert peer.proofs == ["Secret"]
    await peer.stop()


async def test_a_refused_login_says_what_to_do_and_is_retried_slowly(
    peer: AmiPeer, caplog: pytest.LogCaptureFixture
) -> None:
    before = counted("login_refused")
    async with running(peer.port, msgspec.structs.replace(ACCOUNT, secret="wrong")) as door:
        await door.rests.until(2)
    assert set(door.rests.seconds) == {PATIENT.login_refused}
    assert counted("login_refused") >= before + 2
    assert "Authentication failed; compare the account's secret and username with manager.conf" in caplog.text
    assert "wrong" not in caplog.text


async def test_a_server_that_is_no_asterisk_is_left_alone() -> None:
    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hello, "127.0.0.1", 0)
    async with running(server.sockets[0].getsockname()[1]) as door:
        await door.rests.until(1)
        assert not door.client.logged_in.is_set()
    server.close()


async def test_waiting_for_a_server_that_is_down_takes_longer_each_time_up_to_a_limit() -> None:
    peer = AmiPeer()
    port = await peer.start()
    await peer.stop()
    async with running(port, pauses=Pauses(first=1, longest=8)) as door:
        await door.rests.until(5)
    assert door.rests.seconds[:5] == [2, 4, 8, 8, 8]


async def test_nothing_is_lost_or_reordered_while_the_log_is_away(peer: AmiPeer) -> None:
    async with running(peer.port) as door:
        await peer.until_logged_in()
        door.log.refusals = 3
        await peer.play(ABANDONED)
        await door.log.until(attempts=3)
        await peer.play(ANSWERED)
        await door.log.until(durable=12)
    assert door.log.types[:5] == ABANDONED_TYPES
    assert len(door.log.durable) == 12
    first = door.log.attempts[0]
    assert all(attempt == first for attempt in door.log.attempts[:4]), "the very same events are tried again"
    assert door.rests.seconds[:3] == [1, 2, 4]


async def test_nothing_more_is_read_until_what_was_read_is_durable(peer: AmiPeer) -> None:
    back = asyncio.Event()

    async def until_back(seconds: float) -> None:
        await back.wait()

    async with running(peer.port, pause=until_back) as door:
        await peer.until_logged_in()
        door.log.refusals = 1
        await peer.play(ABANDONED)
        await door.log.until(attempts=1)
        flood = asyncio.create_task(peer.play(block("Sparkle", Number=str(n), Fill="x" * 4000) for n in range(5000)))
        done, _ = await asyncio.wait([flood], timeout=0.3)
        assert not done, "Asterisk's own buffer fills: 20 MB do not fit in between"
        assert len(door.log.attempts) == 1
        back.set()
        await flood
        await door.log.until(durable=5005)
    assert door.log.types[:5] == ABANDONED_TYPES
    numbers = [one.raw.inline for one in door.log.durable[5:] if one.raw and one.raw.inline]
    assert [number.split(b"Number: ")[1].split(b"\r\n")[0] for number in numbers] == [b"%d" % n for n in range(5000)]


async def test_a_full_disk_is_waited_for(peer: AmiPeer) -> None:
    async with running(peer.port) as door:
        await peer.until_logged_in()
        door.blobs.full = 2
        await peer.play([block("Sparkle", Fill="x" * 40_000), *ABANDONED])
        await door.log.until(durable=6)
    assert door.log.types == ["interaction.unmapped", *ABANDONED_TYPES]


async def test_what_cannot_be_read_is_kept_and_what_follows_is_published(peer: AmiPeer) -> None:
    async with running(peer.port) as door:
        await peer.until_logged_in()
        door.log.refusals = 1
        await peer.play([b"Colour: blue\r\n\r\n", *ABANDONED])
        await door.log.until(durable=5, letters=1)
    assert door.log.letters == [("asterisk-ami/pbx", "not_valid", b"Colour: blue\r\n\r\n")]
    assert door.log.types == ABANDONED_TYPES


async def test_a_line_without_end_is_kept_and_the_connection_made_anew(peer: AmiPeer) -> None:
    async with running(peer.port) as door:
        await peer.until_logged_in()
        await peer.play([ABANDONED[0], b"Event: " + b"x" * 200_000])
        await door.log.until(durable=1, letters=1)
        await peer.until_action("Login", 2)
        await peer.until_logged_in()
        await peer.play(ABANDONED[1:])
        await door.log.until(durable=5)
    assert door.log.letters[0][1] == "too_large"
    assert door.log.letters[0][2].startswith(b"Event: xxx")
    assert door.log.types == ABANDONED_TYPES


async def test_a_block_cut_off_by_the_end_of_a_connection_is_dropped_and_counted(peer: AmiPeer) -> None:
    cut, lost = counted("cut_off"), counted("connection_lost")
    async with running(peer.port) as door:
        await peer.until_logged_in()
        await peer.play(ABANDONED[:1])
        await door.log.until(durable=1)
        await peer.drop(last_words=ABANDONED[1][:-2])
        await peer.until_logged_in()
        await peer.play(ABANDONED[2:])
        await door.log.until(durable=4)
    assert door.log.types == ["call.offered", "call.abandoned", "call.ended", "call.ended"]
    assert door.log.letters == []
    assert counted("cut_off") == cut + 1
    assert counted("connection_lost") == lost + 1
    assert door.rests.seconds[0] == 1, "a connection that had been made is made again soon"


async def test_asterisk_restarts_and_the_calls_number_is_still_known(peer: AmiPeer) -> None:
    async with running(peer.port) as door:
        await peer.until_logged_in()
        await peer.play(ABANDONED[:1])
        await door.log.until(durable=1)
        await peer.stop()
        await door.rests.until(3)
        again = AmiPeer()
        await again.start(port=peer.port)
        await again.until_logged_in()
        await again.play([block("Hold", leg="1.9", CallerIDNum="401")])
        await door.log.until(durable=2)
        await again.stop()
    assert door.log.durable[1].contact_points == door.log.durable[0].contact_points


async def test_a_silent_connection_is_asked_for_a_sign_of_life_and_given_up(peer: AmiPeer) -> None:
    pauses = Pauses(ping_every=0.02, answer_within=0.2)
    async with running(peer.port, pauses=pauses) as door:
        await peer.until_action("Ping", 3)
        assert peer.actions.count("Login") == 1, "an answered ping keeps the connection"
        peer.answers_pings = False
        await peer.until_action("Login", 2)
        assert door.log.letters == []


async def test_stopping_while_the_log_is_away_tells_what_is_lost(
    peer: AmiPeer, caplog: pytest.LogCaptureFixture
) -> None:
    lost = counted("lost")
    async with running(peer.port) as door:
        await peer.until_logged_in()
        door.log.refusals = 1_000_000
        await peer.play(ABANDONED[:1])
        await door.log.until(attempts=2)
    assert counted("lost") == lost + 1
    assert "stopped with 1 events that are not durable" in caplog.text


async def test_stopping_gives_what_was_read_one_more_attempt(peer: AmiPeer) -> None:
    forever = asyncio.Event()

    async def never(seconds: float) -> None:
        await forever.wait()

    async with running(peer.port, pause=never) as door:
        await peer.until_logged_in()
        door.log.refusals = 1
        await peer.play(ABANDONED[:1])
        await door.log.until(attempts=1)
    assert door.log.types == ["call.offered"]


async def test_a_client_that_was_stopped_first_does_not_run(peer: AmiPeer) -> None:
    client = AmiClient(AsteriskAdapter(), ACCOUNT, "127.0.0.1", peer.port, Log(), Blobs(), TestClock())
    await client.stop()
    await client.run()
    assert peer.actions == []


@requires_shared
async def test_every_captured_session_is_taken_whole(peer: AmiPeer) -> None:
    account = msgspec.structs.replace(ACCOUNT, options={"event_mask": "on"})
    async with running(peer.port, account) as door:
        await peer.until_logged_in()
        for path in sorted(shared_path("fixtures", "voice", "asterisk-ami-panoramisk").glob("*.ami.txt")):
            await peer.play([path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n"])
        await peer.play(ABANDONED)
        await door.log.until(durable=15)
    assert len(door.log.letters) == 2, "the captures have two gaps"
    assert all(b"missing in capture file" in body for _, _, body in door.log.letters)
    assert door.log.types[-5:] == ABANDONED_TYPES
    assert set(door.log.types) == {*ABANDONED_TYPES, "interaction.unmapped"}


@requires_shared
async def test_only_the_classes_that_tell_of_calls_are_asked_for(peer: AmiPeer) -> None:
    path = shared_path("fixtures", "voice", "asterisk-ami-panoramisk", "originate_with_events.ami.txt")
    sent = MessageParser().feed(path.read_bytes())
    async with running(peer.port) as door:
        await peer.until_logged_in()
        await peer.play(message.raw for message in sent)
        await peer.play(ABANDONED)
        await door.log.until(durable=10)
    assert door.log.types[-5:] == ABANDONED_TYPES
    read = (door.clock.time - NOW) // SECOND
    assert read < len(sent) / 5, "variables, steps of the dialplan and scripts stay with Asterisk"
