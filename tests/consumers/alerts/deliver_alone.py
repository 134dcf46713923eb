"""A deliverer in a process of its own, for a test to kill: dsn, URL, secret, the instant at which its clock stands."""

from __future__ import annotations

import asyncio
import sys

from consumers.alerts.deliver import Deliverer
from consumers.alerts.webhook import WebhookReceiver
from projections.postgres import open_pool


class _StandingClock:
    def __init__(self, at: int) -> None:
        self._at = at

    def now(self) -> int:
        return self._at


async def main(dsn: str, url: str, secret: str, at: str) -> None:
    pool = await open_pool(dsn)
    await Deliverer(WebhookReceiver(url, secret), pool, _StandingClock(int(at)), lambda: 0.0).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
