"""Kafka and PostgreSQL for a measurement: the embedded ones in a temporary folder, or those that are given."""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from hub.local.stack import LocalStack
from hub.local.state import default_folder
from projections.migrate import migrate
from projections.sql import load

CREATE_DATABASE = load(__file__, "create_database")
DROP_DATABASE = load(__file__, "drop_database")


class Servers(msgspec.Struct, frozen=True):
    """Where the servers are, and a folder for logs. ``kafka_version``: empty where it can't be known."""

    kafka: str
    postgres: str
    folder: Path
    kafka_version: str = ""


@contextmanager
def servers(kafka: str | None = None, postgres: str | None = None) -> Iterator[Servers]:
    """Start what is not given; what was started is removed with its data at the end."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        stack = LocalStack(folder, kafka=kafka, postgres=postgres, owned=True)
        try:
            addresses = stack.up()
            version = "" if kafka else _version_of_jars(default_folder() / "kafka-libs")
            yield Servers(addresses.kafka, addresses.postgres, folder, version)
        finally:
            stack.remove()


def _version_of_jars(libs: Path) -> str:
    found = [re.fullmatch(r"kafka-clients-([\d.]+)", path.stem) for path in libs.glob("kafka-clients-*.jar")]
    return next((match[1] for match in found if match), "")


async def create_topics(bootstrap: str, names: Sequence[str], partitions: int, config: Mapping[str, str]) -> None:
    """Create topics of one replica."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=dict(config)) for name in names])
    finally:
        await admin.close()


@asynccontextmanager
async def database(postgres: str, name: str) -> AsyncIterator[str]:
    """The DSN of a database of this measurement alone, with the hub's tables; dropped at the end."""
    await _execute(postgres, CREATE_DATABASE.replace("NAME", name))
    try:
        dsn = urlunsplit(urlsplit(postgres)._replace(path=f"/{name}"))
        await migrate(dsn)
        yield dsn
    finally:
        await _execute(postgres, DROP_DATABASE.replace("NAME", name))


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
