"""The embedded servers as one thing: up, down, status, and found again by whoever asks next.

What runs is written to ``<folder>/stack.json``: ports, and each process by id and start time. A second ``up`` thus uses
what runs already, and ``down`` works from any terminal. Kafka's and Alertmanager's data lie in ``folder``; PostgreSQL's
in a folder of the system's ``/var/tmp`` (see state.py).
"""

from __future__ import annotations

import fcntl
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal

import msgspec

from hub.local.alertmanager import Alertmanager, find_alertmanager
from hub.local.kafka import KafkaCluster
from hub.local.postgres import Postgres
from hub.local.process import Progress, StackError, silent, this_process
from hub.local.state import (
    AlertmanagerState,
    PostgresState,
    StackState,
    claim,
    claims,
    default_folder,
    postgres_folder,
    read_state,
    write_state,
)

DATABASE = "hub"


class Addresses(msgspec.Struct, frozen=True):
    """Where the servers are. ``kafka``: ``127.0.0.1:port``, several joined by commas; ``postgres``: a libpq DSN of the
    database ``hub``; ``alertmanager``: ``http://127.0.0.1:port``, or None if there is none."""

    kafka: str
    postgres: str
    alertmanager: str | None


class ServerStatus(msgspec.Struct, frozen=True):
    """One server. ``given``: used by its address and not looked at. ``stopped``: was started and ended by itself."""

    name: Literal["kafka", "postgres", "alertmanager"]
    address: str
    state: Literal["running", "stopped", "given"]
    pids: tuple[int, ...] = ()
    log: Path | None = None


class LocalStack:
    """``folder``: default ``.local`` in the project. ``libs``: Kafka's jars, default ``.local/kafka-libs``.

    ``kafka``, ``postgres``: addresses of servers to be used instead of embedded ones (the settings HUB_KAFKA and
    HUB_POSTGRES). ``alert_webhook``: the URL that Alertmanager posts to; None for no Alertmanager. ``nodes``: of Kafka.
    ``owned``: this stack shall not outlive this process, even if that is killed: the next ``up`` of this user on this
    machine then removes what is left.

    ``with LocalStack(...) as addresses:`` is ``up()`` and ``down()``. Blocking; from async code call it in a thread.
    After ``up``, ``kafka``, ``postgres`` and ``alertmanager`` are the servers (None where given), to be killed and
    started by those who test that.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        libs: Path | None = None,
        kafka: str | None = None,
        postgres: str | None = None,
        alert_webhook: str | None = None,
        nodes: Literal[1, 3] = 1,
        owned: bool = False,
        progress: Progress = silent,
    ) -> None:
        self.folder = (folder or default_folder()).resolve()
        self.kafka: KafkaCluster | None = None
        self.postgres: Postgres | None = None
        self.alertmanager: Alertmanager | None = None
        self._libs = libs or default_folder() / "kafka-libs"
        self._given_kafka = kafka
        self._given_postgres = postgres
        self._alert_webhook = alert_webhook
        self._nodes = nodes
        self._owner = this_process() if owned else None
        self._progress = progress
        self._file = self.folder / "stack.json"

    def __enter__(self) -> Addresses:
        return self.up()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def up(self) -> Addresses:
        """Starts what doesn't run and returns when all of it answers.

        If that fails or is interrupted, what this call started is stopped again.
        """
        remove_abandoned(self._progress)
        with self._alone():
            self._find()
            started: list[KafkaCluster | Postgres | Alertmanager] = []
            try:
                # All are launched before the first is waited for: each takes a second or more to come up.
                self._launch_kafka(started)
                self._launch_postgres(started)
                self._launch_alertmanager(started)
                self._wait()
            except BaseException:
                for server in reversed(started):
                    server.stop()
                raise
        return self.addresses

    def down(self) -> None:
        """Stops all of it, wherever it was started from; data stay. Returns when no process is left."""
        with self._alone():
            self._find()
            self._stop()

    def remove(self) -> None:
        """``down``, and removes all data."""
        with self._alone():
            self._find()
            self._stop()
            Postgres(postgres_folder(self.folder)).remove()
            for data in ("kafka", "alertmanager-data"):
                shutil.rmtree(self.folder / data, ignore_errors=True)

    def status(self) -> list[ServerStatus]:
        """One row per server that is given, runs, or has ended by itself; none after ``down``."""
        if self.kafka is None and self.postgres is None:
            self._find()
        rows = []
        if self._given_kafka is not None:
            rows.append(ServerStatus("kafka", self._given_kafka, "given"))
        elif self.kafka is not None:
            pids = tuple(node.process.pid for node in self.kafka.nodes if node.process is not None and node.running)
            state: Literal["running", "stopped"] = "running" if self.kafka.running else "stopped"
            rows.append(ServerStatus("kafka", self.kafka.bootstrap, state, pids, self.kafka.nodes[0].log))
        if self._given_postgres is not None:
            rows.append(ServerStatus("postgres", self._given_postgres, "given"))
        elif self.postgres is not None:
            rows.append(_row("postgres", self.postgres.dsn(DATABASE), self.postgres))
        if self.alertmanager is not None:
            rows.append(_row("alertmanager", self.alertmanager.url, self.alertmanager))
        return rows

    @property
    def addresses(self) -> Addresses:
        """Of what ``up`` started or found; StackError before that."""
        kafka = self._given_kafka or (self.kafka.bootstrap if self.kafka else None)
        postgres = self._given_postgres or (self.postgres.dsn(DATABASE) if self.postgres else None)
        if kafka is None or postgres is None:
            raise StackError("the local stack is not up; run `hub local up`")
        return Addresses(kafka, postgres, self.alertmanager.url if self.alertmanager else None)

    def _launch_kafka(self, started: list[KafkaCluster | Postgres | Alertmanager]) -> None:
        if self._given_kafka is not None:
            return
        if self.kafka is not None and self.kafka.running:
            self._progress(f"Kafka runs already on {self.kafka.bootstrap}")
            return
        self._progress("starting Kafka")
        known = self.kafka.states if self.kafka is not None else ()
        self.kafka = KafkaCluster(
            self.folder / "kafka", self._libs, nodes=self._nodes, known=known, changed=self._write_down
        )
        started.append(self.kafka)
        self.kafka.launch()

    def _launch_postgres(self, started: list[KafkaCluster | Postgres | Alertmanager]) -> None:
        if self._given_postgres is not None:
            return
        if self.postgres is not None and self.postgres.running:
            self._progress(f"PostgreSQL runs already: {self.postgres.dsn(DATABASE)}")
            return
        self._progress("starting PostgreSQL")
        self.postgres = Postgres(postgres_folder(self.folder), changed=self._write_down)
        started.append(self.postgres)
        self.postgres.launch()
        claim(self.folder)

    def _launch_alertmanager(self, started: list[KafkaCluster | Postgres | Alertmanager]) -> None:
        if self._alert_webhook is None:
            return
        port = None
        if self.alertmanager is not None:
            if self.alertmanager.running and self.alertmanager.webhook_url == self._alert_webhook:
                self._progress(f"Alertmanager runs already on {self.alertmanager.url}")
                return
            port = self.alertmanager.port
            self.alertmanager.stop()
            self.alertmanager = None
        program = find_alertmanager()
        if program is None:
            self._progress("no Alertmanager here (Debian's package is prometheus-alertmanager): going on without it")
            return
        self._progress("starting Alertmanager")
        folder = self.folder / "alertmanager-data"
        self.alertmanager = Alertmanager(folder, program, self._alert_webhook, port=port, changed=self._write_down)
        started.append(self.alertmanager)
        self.alertmanager.launch()

    def _wait(self) -> None:
        if self._given_postgres is None and self.postgres is not None:
            self.postgres.wait_ready()
            self.postgres.ensure_database(DATABASE)
            self._progress(f"PostgreSQL answers: {self.postgres.dsn(DATABASE)}")
        if self.alertmanager is not None:
            self.alertmanager.wait_ready()
            self._progress(f"Alertmanager answers: {self.alertmanager.url}")
        if self._given_kafka is None and self.kafka is not None:
            self.kafka.wait_ready()
            self._progress(f"Kafka answers: {self.kafka.bootstrap}")

    def _stop(self) -> None:
        for name, server in (("Alertmanager", self.alertmanager), ("Kafka", self.kafka), ("PostgreSQL", self.postgres)):
            if server is not None:
                self._progress(f"stopping {name}")
                server.stop()
        self.kafka = self.postgres = self.alertmanager = None
        self._write_down()

    def _find(self) -> None:
        """Takes up what another process, or an earlier call, started and wrote down."""
        state = read_state(self._file)
        self.kafka = self.postgres = self.alertmanager = None
        if state.kafka:
            nodes: Literal[1, 3] = 3 if len(state.kafka) == 3 else 1
            folder = self.folder / "kafka"
            self.kafka = KafkaCluster(folder, self._libs, nodes=nodes, known=state.kafka, changed=self._write_down)
        if state.postgres is not None:
            folder = postgres_folder(self.folder)
            self.postgres = Postgres(folder, state.postgres.process, self._write_down)
        program = find_alertmanager()
        if state.alertmanager is not None and program is not None:
            self.alertmanager = Alertmanager(
                self.folder / "alertmanager-data",
                program,
                state.alertmanager.webhook_url,
                port=state.alertmanager.port,
                process=state.alertmanager.process,
                changed=self._write_down,
            )

    def _write_down(self) -> None:
        alerts = self.alertmanager
        state = StackState(
            tuple(self.kafka.states) if self.kafka else (),
            PostgresState(self.postgres.process) if self.postgres else None,
            AlertmanagerState(alerts.port, alerts.webhook_url, alerts.process) if alerts else None,
            self._owner,
        )
        write_state(self._file, state)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time: two demos begun at once would start two of each server."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "stack.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def remove_abandoned(progress: Progress = silent) -> None:
    """Takes down owned stacks whose owner was killed, and removes PostgreSQL folders of clones that are gone."""
    for stack_folder, folder in claims().items():
        if not stack_folder.exists():
            progress(f"removing the PostgreSQL data of {stack_folder}, which is gone")
            Postgres(folder).remove()
            continue
        owner = read_state(stack_folder / "stack.json").owner
        if owner is not None and not owner.alive():
            progress(f"taking down the servers of {stack_folder}, whose owner is gone")
            LocalStack(stack_folder, progress=progress).remove()


def _row(name: Literal["postgres", "alertmanager"], address: str, server: Postgres | Alertmanager) -> ServerStatus:
    if server.process is not None and server.running:
        return ServerStatus(name, address, "running", (server.process.pid,), server.log)
    return ServerStatus(name, address, "stopped", (), server.log)


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"[local] {line}\n")


if __name__ == "__main__":  # `make clean`: works even where the command line doesn't
    if sys.argv[1:] != ["clean"]:
        raise SystemExit("usage: python -m hub.local.stack clean")
    LocalStack(progress=_to_stderr).remove()
