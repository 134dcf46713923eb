"""Servers for the tests: real ones, started when the first test asks for them, and once for the whole run.

HUB_KAFKA and HUB_POSTGRES, if set, name servers to be used instead. A server that can't be had is an error and not a
skip: a test that nobody runs proves nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import settings

from hub.local.alertmanager import Alertmanager, find_alertmanager
from hub.local.process import StackError
from hub.local.stack import LocalStack

T = TypeVar("T")
OURS = ("schemas", "domain", "adapters", "streams", "consumers", "projections", "runtime", "hub")

settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("brief", deadline=None, derandomize=True, max_examples=10)  # once more on the native form
settings.register_profile("fuzz", deadline=None, max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: of several processes none is left with one of them at the end.

    ``make test`` tells pytest-xdist to leave it so; it would begin with the files that have most tests."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


class _Servers:
    """One stack in a temporary folder, of which each server is started only when it is first asked for."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="hub-tests-", ignore_cleanup_errors=True)
        self._kafka = os.environ.get("HUB_KAFKA")
        self._postgres = os.environ.get("HUB_POSTGRES")

    def kafka(self) -> str:
        if self._kafka is None:
            self._kafka = self._stack(postgres="not asked for").up().kafka
        return self._kafka

    def postgres(self) -> str:
        if self._postgres is None:
            self._postgres = self._stack(kafka="not asked for").up().postgres
        return self._postgres

    def end(self) -> None:
        self._stack().remove()
        self._folder.cleanup()

    def _stack(self, kafka: str | None = None, postgres: str | None = None) -> LocalStack:
        return LocalStack(Path(self._folder.name), kafka=kafka, postgres=postgres, owned=True)


@pytest.fixture(autouse=True)
def _warnings_are_heard(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a test before this one in the same process did to loggers, all of them or ours."""
    caplog.set_level(logging.WARNING)
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False
            if logger.name.partition(".")[0] in OURS:
                logger.propagate = True
                logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def _servers() -> Iterator[_Servers]:
    servers = _Servers()
    try:
        yield servers
    finally:
        servers.end()


@pytest.fixture(scope="session")
def kafka(_servers: _Servers) -> str:
    """The bootstrap address of a Kafka, ``127.0.0.1:port``; shared by all tests, so name topics by ``topic_prefix``."""
    return _servers.kafka()


@pytest.fixture(scope="session")
def postgres(_servers: _Servers) -> str:
    """The DSN of a PostgreSQL whose user may create databases; a test writes to ``database``, not here."""
    return _servers.postgres()


@pytest.fixture
def database(postgres: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The DSN of an empty database of this test alone, dropped at its end."""
    name = unique_name(request)
    _in_thread(_execute(postgres, f'CREATE DATABASE "{name}"'))
    yield urlunsplit(urlsplit(postgres)._replace(path=f"/{name}"))
    _in_thread(_execute(postgres, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """Begins with the test module's name and is used by no other test; for topics, groups and client ids."""
    return f"{unique_name(request)}-"


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Callable[[str], Alertmanager]]:
    """Starts an Alertmanager that posts to the webhook URL it is called with; ``.url`` is where its API is."""
    started: list[Alertmanager] = []

    def start(webhook_url: str, group_wait: float = 0.1) -> Alertmanager:
        program = find_alertmanager()
        if program is None:
            raise StackError("Alertmanager is not here; run deploy/local/setup test, which brings it or says how")
        folder = tmp_path / f"alertmanager-{len(started)}"
        server = Alertmanager(folder, program, webhook_url, group_wait=group_wait)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


def unique_name(request: pytest.FixtureRequest) -> str:
    """``test_stack-3f9a…``: at most 40 characters of the module, and 8 that no other test has."""
    module = request.module.__name__.rpartition(".")[2]
    return f"{re.sub('[^a-z0-9_]', '_', module.lower())[:40]}-{uuid4().hex[:8]}"


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _in_thread(work: Coroutine[Any, Any, T]) -> T:
    """Runs it in a loop of its own, whether or not the test has one running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
