"""Posts JSON over kept HTTP/1.1 connections with as little work as can be: a client library takes as long as the door.

It reads what this hub's server answers, with a Content-Length, and nothing else; it is no HTTP client for other uses.
"""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple, Self
from urllib.parse import urlsplit

_IDLE_SECONDS = 2.0  # uvicorn closes a connection that was idle for five


class Answer(NamedTuple):
    """An answer's status and body."""

    status: int
    body: bytes


class Posting:
    """Posts to one path of one server; opens a connection when all it has are busy."""

    def __init__(self, url: str, token: str, media_type: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: {media_type}\r\nContent-Length: "
        ).encode()
        self._free: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for _, _, writer in self._free:
            writer.close()

    async def __call__(self, body: bytes) -> Answer:
        """Post ``body`` and wait for the answer."""
        reader, writer = await self._connection()
        writer.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        head = await reader.readuntil(b"\r\n\r\n")
        at = head.lower().index(b"content-length:") + 15
        answered = await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
        self._free.append((time.monotonic(), reader, writer))
        return Answer(int(head[9:12]), answered)

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The one that was used last, if the server has not closed it for being idle; else a new one."""
        if self._free and self._free[-1][0] > time.monotonic() - _IDLE_SECONDS:
            _, reader, writer = self._free.pop()
            return reader, writer
        for _, _, stale in self._free:
            stale.close()
        self._free.clear()
        return await asyncio.open_connection(self._host, self._port)
