"""One running hub for all journeys: started when the first of them asks for it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import httpx
import pytest_asyncio
import yaml
from rich.console import Console

from hub.demo import payloads
from hub.demo.api import seen
from hub.demo.command import environment
from hub.demo.payloads import SUPPORT
from hub.everything import commands_for
from hub.local.ami_peer import AmiPeer
from hub.local.process import free_ports
from hub.local.stack import LocalStack
from hub.operations import topics_apply
from hub.policy.applying import apply as policy_apply
from hub.supervisor import Supervisor
from projections.migrate import migrate
from runtime.clock import MovableClock
from runtime.settings import Settings
from tests.journeys.running import API_TOKEN, CONNECT_TOKEN, WHATSAPP_SECRET, Hub

POLICIES = Path(payloads.__file__).parent / "policies.yaml"


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def hub() -> AsyncIterator[Hub]:
    """Every process of the hub on servers of its own, with the demonstration's policies in force."""
    async with AsyncExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="hub-journeys-")))
        given = {name: os.environ.get(f"HUB_{name.upper()}") for name in ("kafka", "postgres")}
        stack = LocalStack(folder / "servers", kafka=given["kafka"], postgres=given["postgres"], owned=True)
        ending.callback(stack.remove)
        addresses = stack.up()
        database = f"journeys-{uuid4().hex[:8]}"
        await _execute(addresses.postgres, f'CREATE DATABASE "{database}"')
        if given["postgres"]:
            ending.push_async_callback(_execute, addresses.postgres, f'DROP DATABASE "{database}" WITH (FORCE)')
        switch = AmiPeer()
        ending.push_async_callback(switch.stop)
        http, lmtp, ami = free_ports(3)
        await switch.start("127.0.0.1", ami)
        accounts = folder / "accounts.yaml"
        accounts.write_text(yaml.safe_dump(_accounts(ami)))
        (folder / "clock").write_text("0")
        settings = Settings(
            kafka=addresses.kafka,
            postgres=urlunsplit(urlsplit(addresses.postgres)._replace(path=f"/{database}")),
            topic_prefix=f"{database}-",
            api_token=API_TOKEN,
            http_port=http,
            lmtp_port=lmtp,
            accounts=str(accounts),
            blobs=str(folder / "blobs"),
            clock_file=str(folder / "clock"),
            publish_timeout=2.0,
            log_level="info",
        )
        out = Console(quiet=True)
        assert await topics_apply(settings, out) == 0
        await migrate(settings.postgres)
        assert await policy_apply(settings, POLICIES, "", "", out, out) == 0
        variables = environment(settings)
        supervisor = Supervisor(commands_for(settings), variables, folder / "logs")
        await supervisor.start()
        ending.push_async_callback(supervisor.stop)
        client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{http}", headers={"Authorization": f"Bearer {API_TOKEN}"}, timeout=60
        )
        await ending.enter_async_context(client)
        clock = MovableClock(folder / "clock")
        hub = Hub(settings, variables, stack, supervisor, clock, switch, client, folder / "logs")
        await seen("the hub", lambda: _answers(hub))
        await switch.until_logged_in()
        yield hub


async def _answers(hub: Hub) -> bool:
    """Whether the pages, the mail door and both stages work."""
    try:
        if (await hub.http.get("/readyz")).status_code != 200:
            return False
        sender = hub.somebody()
        await hub.question(sender, f"hello.{sender}")
    except (httpx.TransportError, OSError):
        return False
    await hub.until_history(sender, 1)
    return True


def _accounts(switch: int) -> dict[str, list[dict[str, object]]]:
    owner: dict[str, object] = {"tenant": "default", "name": "main", "organisation": "own", "team": "second-line"}
    ami = {"host": "127.0.0.1", "port": str(switch), "event_mask": "on"}
    return {
        "whatsapp": [{**owner, "secret": WHATSAPP_SECRET, "verify_token": "word"}],
        "amazon-connect": [{**owner, "secret": CONNECT_TOKEN}],
        "email": [{**owner, "options": {"recipients": SUPPORT, "own_addresses": SUPPORT}}],
        "asterisk-ami": [{**owner, "secret": "hub", "region": "DE", "options": ami}],
    }


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
