"""Apache Kafka in KRaft mode from the jars in ``.local/kafka-libs``: one node, or three that replicate each other.

Each node is broker and controller in one, listens on 127.0.0.1 only, and keeps its data, log and configuration in a
folder of its own. Nodes can be killed and brought back one by one. The quorum is fixed when the folder is made: one
node can't become three later.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal
from uuid import uuid4

import msgspec

from hub.local.process import Process, StackError, free_ports, launch
from hub.local.server import Server

_METADATA = 3  # api key of a Metadata request
_METADATA_VERSION = 4  # the last field layout before tagged fields; Kafka 4 answers 0 to 13
_BIGGEST_RECORD = 8 * 1024 * 1024


class NodeState(msgspec.Struct, frozen=True):
    """What another process needs to find a node again."""

    port: int
    controller_port: int
    process: Process | None


class KafkaNode(Server):
    """One broker and controller. ``nodes``: how many there are in its cluster."""

    def __init__(
        self,
        number: int,
        folder: Path,
        libs: Path,
        ports: tuple[int, int],
        *,
        nodes: int,
        heap_mb: int,
        process: Process | None,
        changed: Callable[[], None],
    ) -> None:
        super().__init__(f"Kafka node {number}", folder / "kafka.log", process, changed)
        self.number = number
        self.folder = folder
        self.port, self.controller_port = ports
        self._nodes = nodes
        self._libs = libs
        self._heap_mb = heap_mb

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def settings(self) -> Path:
        return self.folder / "server.properties"

    def write_settings(self, voters: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "tmp").mkdir(exist_ok=True)
        nodes = self._nodes
        in_sync = max(1, nodes - 1)
        settings = {
            "node.id": self.number,
            "process.roles": "broker,controller",
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "false",
            "default.replication.factor": nodes,
            "min.insync.replicas": in_sync,
            "group.initial.rebalance.delay.ms": 0,
            # a killed node may register again only when its old session has run out; the default is 9 s
            "broker.session.timeout.ms": 4000,
            "broker.heartbeat.interval.ms": 1000,
            # few partitions of Kafka's own topics: each costs files and a moment at every start
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": nodes,
            "transaction.state.log.num.partitions": 4,
            "transaction.state.log.replication.factor": nodes,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": nodes,
            "share.coordinator.state.topic.min.isr": in_sync,
            "message.max.bytes": _BIGGEST_RECORD,
            "replica.fetch.max.bytes": _BIGGEST_RECORD,
            # what is kept, and for how long, is each topic's own setting
            "log.retention.ms": -1,
            # 16 MB hold the keys of a compaction here; the default of 128 MB is a quarter of the heap
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        }
        self.settings.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

    @property
    def formatted(self) -> bool:
        return (self.folder / "data" / "meta.properties").exists()

    def format(self, cluster_id: str) -> None:
        """Makes the data folder what a broker accepts; needed once. Shape of ``cluster_id``: see _cluster_id."""
        arguments = ["format", "--config", str(self.settings), "--cluster-id", cluster_id, "--ignore-formatted"]
        command = [*self._java(heap_mb=128), "kafka.tools.StorageTool", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder)
        if done.returncode != 0:
            raise StackError(f"Kafka's data folder {self.folder / 'data'} can't be formatted:\n{done.stderr[-2000:]}")

    def launch(self) -> None:
        if not self.running:
            command = [*self._java(self._heap_mb), "kafka.Kafka", self.settings]
            self.process = launch(command, log=self.log, cwd=self.folder)

    def ready(self) -> bool:
        """Whether it answers a Metadata request and names all nodes of the cluster that should run."""
        return len(brokers(self.port)) == self._nodes

    def _java(self, heap_mb: int) -> list[str]:
        return [
            java(),
            f"-Xmx{heap_mb}m",
            "-XX:+ExitOnOutOfMemoryError",
            # A broker that lives for minutes: the optimising compiler took a tenth of a core from those it serves.
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-Djava.awt.headless=true",
            f"-Djava.io.tmpdir={self.folder / 'tmp'}",  # compression libraries unpack themselves there
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            "-cp",
            f"{self._libs}/*",
        ]


class KafkaCluster:
    """One node or three under ``folder``; its data stay there until somebody removes them.

    ``libs``: the folder of Kafka's jars. ``known``: nodes as they were written down, running or not; their ports are
    used again if they are free. ``changed``: called each time a node's process changes.
    """

    def __init__(
        self,
        folder: Path,
        libs: Path,
        *,
        nodes: Literal[1, 3] = 1,
        known: Sequence[NodeState] = (),
        heap_mb: int = 512,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder = folder
        self._libs = libs
        self.nodes = tuple(
            KafkaNode(
                number,
                folder / f"node-{number}",
                libs,
                (state.port, state.controller_port),
                nodes=nodes,
                heap_mb=heap_mb,
                process=state.process,
                changed=changed,
            )
            for number, state in enumerate(_places(nodes, known), 1)
        )

    @property
    def states(self) -> list[NodeState]:
        return [NodeState(node.port, node.controller_port, node.process) for node in self.nodes]

    @property
    def bootstrap(self) -> str:
        """Addresses of all nodes, ``127.0.0.1:port,…``."""
        return ",".join(node.address for node in self.nodes)

    @property
    def running(self) -> bool:
        """Whether every node runs."""
        return all(node.running for node in self.nodes)

    def launch(self) -> None:
        """Formats what is new and starts what doesn't run, without waiting for it to answer."""
        if not any(self._libs.glob("kafka_*.jar")):
            raise StackError(f"Kafka's jars are not in {self._libs}; run deploy/local/setup run, or set HUB_KAFKA")
        made = len(list(self.folder.glob("node-*")))
        if made not in (0, len(self.nodes)):
            raise StackError(f"{self.folder} holds a cluster of {made}, not {len(self.nodes)}; `make clean` removes it")
        voters = ",".join(f"{node.number}@127.0.0.1:{node.controller_port}" for node in self.nodes)
        cluster_id = self._cluster_id()
        for node in self.nodes:
            if node.running:
                continue
            node.write_settings(voters)
            if not node.formatted:
                node.format(cluster_id)
            node.launch()

    def wait_ready(self) -> None:
        """Returns when each node answers and knows all the others."""
        for node in self.nodes:
            node.wait_ready()

    def start(self) -> None:
        self.launch()
        self.wait_ready()

    def stop(self) -> None:
        """Asks all nodes at once: if they went one after the other, the last would wait for a quorum that has left."""
        for process in [node.process for node in self.nodes if node.process is not None]:
            process.signal(signal.SIGTERM)
        for node in self.nodes:
            node.stop()

    def remove(self) -> None:
        """Stops it and removes its folder with all data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _cluster_id(self) -> str:
        """16 random bytes in URL-safe base64 without padding, as Kafka writes uuids; one per folder, for ever."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "cluster-id"
        if not file.exists():
            # Kafka refuses ids that begin with a dash
            file.write_text("H" + urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")[1:])
        return file.read_text()


def _places(nodes: int, known: Sequence[NodeState]) -> list[NodeState]:
    """Ports for each node: those it runs on; else those it had, if they are free; else free ones.

    A cluster with one running node keeps all its ports, since they stand in that node's settings.
    """
    if any(state.process is not None and state.process.alive() for state in known):
        return list(known)
    found = free_ports(2 * nodes, [port for state in known for port in (state.port, state.controller_port)])
    return [NodeState(port, controller, None) for port, controller in zip(found[0::2], found[1::2], strict=True)]


def java() -> str:
    """The ``java`` of JAVA_HOME, or the one on the PATH."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else None
    found = found or shutil.which("java")
    if found is None:
        raise StackError("java is not on the PATH; run deploy/local/setup run, which installs it or says how")
    return found


def brokers(port: int) -> set[int]:
    """The ids of all live brokers as the one on ``port`` of 127.0.0.1 knows them; empty if it does not answer.

    A Metadata request written by hand (https://kafka.apache.org/protocol#The_Messages_Metadata): a client library
    would retry, log and cache, and this asks the plain question.
    """
    client = b"local-stack"
    header = struct.pack(f">hhih{len(client)}s", _METADATA, _METADATA_VERSION, 1, len(client), client)
    request = header + struct.pack(">i?", 0, False)  # no topics, and create none
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as stream:
                size = int.from_bytes(stream.read(4))
                return _broker_ids(stream.read(size))
    except (OSError, struct.error):
        return set()


def _broker_ids(answer: bytes) -> set[int]:
    """From a Metadata answer, version 4: correlation id, throttle time, then per broker id, host, port and rack."""
    _correlation, _throttle, count = struct.unpack_from(">iii", answer)
    at, found = 12, set()
    for _ in range(count):
        (number,) = struct.unpack_from(">i", answer, at)
        (host,) = struct.unpack_from(">h", answer, at + 4)
        (rack,) = struct.unpack_from(">h", answer, at + 10 + host)
        at += 12 + host + max(rack, 0)
        found.add(number)
    return found
