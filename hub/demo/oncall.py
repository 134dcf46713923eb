"""The on-call receiver of the demonstration: checks the signed webhook, and says what it was told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import uvicorn
from fastapi import FastAPI, Request, Response
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


class Told(msgspec.Struct, frozen=True):
    """The part of a notification that is shown."""

    type: str


@dataclass(slots=True)
class OnCall:
    """A small HTTP server on a free port. ``opened``: ids of the alerts that were accepted; ``told``: all of it."""

    secret: str
    say: Callable[[str], None]
    opened: set[str] = field(default_factory=set)
    told: list[str] = field(default_factory=list)
    alertmanager: int = 0
    _socket: socket.socket = field(default_factory=socket.socket)
    _server: uvicorn.Server | None = None
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen."""
        app = FastAPI(openapi_url=None)
        app.post("/oncall")(self._take)
        app.post("/alertmanager")(self._take_from_alertmanager)
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        self._task = asyncio.create_task(self._serve(self._server))

    async def _serve(self, server: uvicorn.Server) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await server._serve([self._socket])  # serve() would take our signals

    def bind(self) -> int:
        """Take a free port; the servers started next are told of it."""
        self._socket.bind(("127.0.0.1", 0))
        return int(self._socket.getsockname()[1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        try:
            Webhook(self.secret).verify(body, dict(request.headers))
        except WebhookVerificationError:
            return Response(status_code=401)
        identifier = request.headers["webhook-id"]
        kind = msgspec.json.decode(body, type=Told).type
        if identifier not in self.told:
            self.told.append(identifier)
            if kind != "sla.resolved":
                self.opened.add(identifier)
            self.say(kind)
        return Response(status_code=204)

    async def _take_from_alertmanager(self, request: Request) -> Response:
        await request.body()
        self.alertmanager += 1
        return Response(status_code=204)
