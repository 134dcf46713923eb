"""The embedded stack with the real servers: it comes up, is found again, survives a kill, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread

import asyncpg
import httpx
import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from hub.local.alertmanager import Alertmanager
from hub.local.kafka import KafkaCluster, brokers
from hub.local.process import Process, StackError, free_ports, launch, this_process
from hub.local.stack import LocalStack
from hub.local.state import default_folder, postgres_folder, read_state

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


async def create_topic(bootstrap: str, name: str, replicas: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=replicas)])
    finally:
        await admin.close()


async def send(bootstrap: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait(topic, value)


async def first(bootstrap: str, topic: str) -> bytes:
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        return bytes((await asyncio.wait_for(consumer.getone(), 20)).value)


async def ask(dsn: str, question: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def of_folder(*folders: Path) -> list[str]:
    """Command lines of all live processes that name one of the folders."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(str(folder) in line for folder in folders):
            found.append(line)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    LocalStack(tmp_path).remove()
    assert of_folder(tmp_path, postgres_folder(tmp_path)) == []


async def test_up_again_status_and_down(folder: Path) -> None:
    lines: list[str] = []
    stack = LocalStack(folder, progress=lines.append)
    addresses = stack.up()
    await create_topic(addresses.kafka, "calls")
    await send(addresses.kafka, "calls", b"hello")
    assert await first(addresses.kafka, "calls") == b"hello"
    assert await ask(addresses.postgres, "SELECT 1") == 1
    assert await ask(addresses.postgres, "SELECT current_database()") == "hub"
    assert any("Kafka answers" in line for line in lines)

    # another process, which knows the folder alone
    other = LocalStack(folder)
    assert {row.name: row.state for row in other.status()} == {"kafka": "running", "postgres": "running"}
    pids = [row.pids for row in other.status()]
    assert other.up() == addresses
    assert [row.pids for row in other.status()] == pids

    # data outlast a down and an up
    other.down()
    assert LocalStack(folder).status() == []
    assert of_folder(folder, postgres_folder(folder)) == []
    again = LocalStack(folder).up()
    assert await first(again.kafka, "calls") == b"hello"


async def test_a_killed_server_comes_back_with_its_data(folder: Path) -> None:
    stack = LocalStack(folder)
    addresses = stack.up()
    assert stack.kafka is not None
    assert stack.postgres is not None
    await create_topic(addresses.kafka, "calls")
    await send(addresses.kafka, "calls", b"acknowledged")
    await ask(addresses.postgres, "CREATE TABLE calls AS SELECT 7 AS id")

    stack.kafka.nodes[0].kill()
    stack.postgres.kill()
    assert {row.state for row in LocalStack(folder).status()} == {"stopped"}
    stack.kafka.nodes[0].start()
    stack.postgres.start()

    assert stack.addresses == addresses
    assert await first(addresses.kafka, "calls") == b"acknowledged"
    assert await ask(addresses.postgres, "SELECT id FROM calls") == 7
    # what came back is written down too, so that anybody's down finds it
    LocalStack(folder).down()
    assert of_folder(folder, postgres_folder(folder)) == []


@pytest.mark.slow
async def test_three_nodes_stay_writable_when_one_is_killed(tmp_path: Path) -> None:
    cluster = KafkaCluster(tmp_path / "kafka", default_folder() / "kafka-libs", nodes=3, heap_mb=256)
    try:
        cluster.start()
        await create_topic(cluster.bootstrap, "calls", replicas=3)
        cluster.nodes[0].kill()
        await send(cluster.bootstrap, "calls", b"two of three")
        cluster.nodes[0].start()
        assert brokers(cluster.nodes[0].port) == {1, 2, 3}
        assert await first(cluster.bootstrap, "calls") == b"two of three"
    finally:
        cluster.remove()
    assert of_folder(tmp_path) == []


def test_given_servers_are_used_and_left_alone(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path, kafka="kafka.example:9092", postgres="postgresql://db.example/hub")
    with stack as addresses:
        assert (addresses.kafka, addresses.postgres) == ("kafka.example:9092", "postgresql://db.example/hub")
        assert {row.state for row in stack.status()} == {"given"}
    assert of_folder(tmp_path) == []


def test_an_owned_stack_ends_with_its_owner(folder: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from hub.local.stack import LocalStack\n"
        "LocalStack(Path(sys.argv[1]), kafka='given:1', owned=True).up(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(folder)], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    left = read_state(folder / "stack.json").postgres
    assert left is not None
    assert left.process is not None
    assert left.process.alive()
    with LocalStack(folder / "another", kafka="given:1", postgres="given"):
        assert not left.process.alive()
    assert not postgres_folder(folder).exists()


def test_a_failed_start_says_why_and_leaves_nothing(folder: Path) -> None:
    empty = folder / "no-jars"
    empty.mkdir()
    with pytest.raises(StackError, match="deploy/local/setup run"):
        LocalStack(folder, libs=empty).up()
    assert of_folder(folder, postgres_folder(folder)) == []


def test_an_interrupted_start_leaves_nothing(folder: Path) -> None:
    seen: list[list[str]] = []

    def interrupt(line: str) -> None:
        if line.startswith("PostgreSQL answers"):
            seen.append(of_folder(folder, postgres_folder(folder)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalStack(folder, progress=interrupt).up()
    assert any("kafka.Kafka" in line for line in seen[0])  # it was on its way
    assert of_folder(folder, postgres_folder(folder)) == []


def test_a_server_that_ends_while_starting_shows_its_log(folder: Path) -> None:
    stack = LocalStack(folder, kafka="given:1")
    stack.up()
    stack.down()
    (postgres_folder(folder) / "data" / "postgresql.auto.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(StackError, match="no_such_setting"):
        stack.up()


def test_a_pid_of_somebody_else_is_not_signalled(tmp_path: Path) -> None:
    sleeper = launch(["sleep", "60"], log=tmp_path / "log", cwd=tmp_path)
    stranger = Process(sleeper.pid, sleeper.created - 3600)
    assert not stranger.alive()
    stranger.kill()
    assert sleeper.alive()
    sleeper.kill()
    assert not sleeper.alive()
    assert this_process().alive()


def test_servers_are_not_reached_by_an_interrupt_of_the_terminal(tmp_path: Path) -> None:
    sleeper = launch(["sleep", "60"], log=tmp_path / "log", cwd=tmp_path)
    try:
        assert os.getsid(sleeper.pid) == sleeper.pid
    finally:
        sleeper.kill()


def test_ports_are_free_distinct_and_kept_if_they_can_be() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (wanted,) = free_ports(1)
        found = free_ports(3, [wanted, wanted, port])
    assert found[0] == wanted
    assert len(set(found)) == 3
    assert port not in found


def test_nobody_on_the_port_is_no_broker() -> None:
    assert brokers(free_ports(1)[0]) == set()


@pytest.fixture
def receiver() -> Iterator[tuple[str, Queue[bytes]]]:
    bodies: Queue[bytes] = Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/alerts", bodies
    server.shutdown()
    server.server_close()
    thread.join()


def test_alertmanager_delivers_to_the_webhook(
    alertmanager: Callable[[str], Alertmanager], receiver: tuple[str, Queue[bytes]]
) -> None:
    url, bodies = receiver
    server = alertmanager(url)
    alerts = [{"labels": {"alertname": "SlaBreached", "ticket": "t-1"}}]
    httpx.post(f"{server.url}/api/v2/alerts", json=alerts).raise_for_status()
    assert b"SlaBreached" in bodies.get(timeout=20)
    assert server.process is not None
    listening = [c.laddr for c in psutil.Process(server.process.pid).net_connections("inet") if c.status == "LISTEN"]
    assert [(address.ip, address.port) for address in listening] == [("127.0.0.1", server.port)]  # no gossip port
    server.stop()
    assert not server.running


def test_the_stack_runs_alertmanager_if_asked(folder: Path, receiver: tuple[str, Queue[bytes]]) -> None:
    url, bodies = receiver

    def stack() -> LocalStack:
        return LocalStack(folder, kafka="given:1", postgres="postgresql://given/hub", alert_webhook=url)

    addresses = stack().up()
    assert addresses.alertmanager is not None
    assert stack().up() == addresses
    httpx.post(f"{addresses.alertmanager}/api/v2/alerts", json=[{"labels": {"alertname": "a"}}]).raise_for_status()
    assert bodies.get(timeout=20)


async def test_each_test_has_a_database_of_its_own(database: str, postgres: str) -> None:
    name = await ask(database, "SELECT current_database()")
    assert str(name).startswith("test_stack-")
    assert name != await ask(postgres, "SELECT current_database()")
    await ask(database, "CREATE TABLE left_behind AS SELECT 1")


async def test_the_shared_kafka_answers(kafka: str, topic_prefix: str) -> None:
    await create_topic(kafka, f"{topic_prefix}calls")
    await send(kafka, f"{topic_prefix}calls", b"1")
    assert await first(kafka, f"{topic_prefix}calls") == b"1"
