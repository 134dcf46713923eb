"""A unix socket in front of PostgreSQL that can go away and come back, or drop a connection when it hurts most."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

_SOCKET = ".s.PGSQL.5432"


class Gateway:
    """``dsn`` leads through it. ``lose_next_commit()``: the next COMMIT is carried out, but its answer is lost."""

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        self._target = Path(parse_qs(parts.query)["host"][0]) / _SOCKET
        self._folder = tempfile.TemporaryDirectory(prefix="gateway-")
        self.dsn = urlunsplit(parts._replace(query=f"host={quote(self._folder.name)}"))
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._losing = False
        self.lost = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
        self._folder.cleanup()

    async def up(self) -> None:
        self._server = await asyncio.start_unix_server(self._connected, str(Path(self._folder.name) / _SOCKET))

    def down(self) -> None:
        if self._server is not None:
            self._server.close()
            (Path(self._folder.name) / _SOCKET).unlink(missing_ok=True)
            self._server = None
        for writer in self._open:
            writer.transport.abort()

    def lose_next_commit(self) -> None:
        self._losing = True

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_unix_connection(str(self._target))
        pair = {writer, there}
        self._open |= pair
        answering = True

        async def forward() -> None:
            nonlocal answering
            while data := await reader.read(65536):
                if self._losing and b"COMMIT;" in data:
                    self._losing = answering = False
                there.write(data)
                await there.drain()

        async def back() -> None:
            while data := await there_reader.read(65536):
                if not answering:
                    self.lost.set()
                    return
                writer.write(data)
                await writer.drain()

        ways = {asyncio.create_task(forward()), asyncio.create_task(back())}
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for each in pair:
            each.transport.abort()
        self._open -= pair
