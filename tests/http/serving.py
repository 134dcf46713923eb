"""The application behind a real server on a free port, with a client that has the token."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import uvicorn
from fastapi import APIRouter, FastAPI

from hub.http.app import create_app
from projections.postgres import open_pool
from runtime.settings import Settings
from tests.projections.samples import MINUTE, NOON

TOKEN = "a-token-for-tests"


class Noon:
    """A clock that stands at ten past noon."""

    def now(self) -> int:
        return NOON + 10 * MINUTE


@dataclass(frozen=True)
class Served:
    """``http`` sends the token with each request."""

    http: httpx.AsyncClient
    url: str
    app: FastAPI


@asynccontextmanager
async def serving(dsn: str, doors: APIRouter | None = None) -> AsyncIterator[Served]:
    """Serve on 127.0.0.1 until the end of the block."""
    pool = await open_pool(dsn)
    app = create_app(pool, Settings(postgres=dsn, api_token=TOKEN, body_limit=10_000), Noon(), doors)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        task = asyncio.create_task(server.serve(sockets=[listening]))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as http:
                yield Served(http, url, app)
        finally:
            server.should_exit = True
            await task
            await pool.close()
