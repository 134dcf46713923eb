"""A PostgreSQL that is far away: stands between the hub and the server, and delays what passes when told to.

``python -m tests.chaos.far FOLDER DSN``: listens on ``FOLDER/.s.PGSQL.5432`` and passes everything on to the server of
the DSN. The file ``FOLDER/delay`` holds the seconds that each piece waits, in either direction; ``inf`` holds all back
until the file says something else.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

SOCKET = ".s.PGSQL.5432"


def set_delay(folder: Path, seconds: float) -> None:
    """How far away it is from now on."""
    fresh = folder / "delay.new"
    fresh.write_text(str(seconds))
    fresh.replace(folder / "delay")


def through(folder: Path, dsn: str) -> str:
    """The address of the same database, reached by way of ``folder``."""
    parts = urlsplit(dsn)
    user = f"{parts.username}:{parts.password}@" if parts.password else f"{parts.username}@" if parts.username else "@"
    return urlunsplit((parts.scheme, user, parts.path, f"host={quote(str(folder))}", ""))


class _Far:
    def __init__(self, folder: Path, dsn: str) -> None:
        self._file = folder / "delay"
        self._parts = urlsplit(dsn)
        self._seen = 0
        self._seconds = 0.0

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the hub."""
        try:
            there_reader, there_writer = await self._connect()
        except OSError:
            writer.close()
            return
        both = [
            asyncio.create_task(self._pump(reader, there_writer)),
            asyncio.create_task(self._pump(there_reader, writer)),
        ]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        for each in (writer, there_writer):
            each.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host = parse_qs(self._parts.query).get("host", [""])[0] or self._parts.hostname or ""
        port = self._parts.port or 5432
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                waited = 0.0
                while waited < self._delay():
                    await asyncio.sleep(0.05)
                    waited += 0.05
                writer.write(piece)
                await writer.drain()

    def _delay(self) -> float:
        with contextlib.suppress(OSError, ValueError):
            changed = self._file.stat().st_mtime_ns
            if changed != self._seen:
                self._seconds = float(self._file.read_text() or 0)
                self._seen = changed
        return self._seconds


async def _run(folder: Path, dsn: str) -> None:
    server = await asyncio.start_unix_server(_Far(folder, dsn).pass_on, folder / SOCKET)
    async with server:
        await server.serve_forever()


HELD_BACK = math.inf

if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1]), sys.argv[2]))
