"""What every receiver of alerts is, and the one HTTP call under them, which ends in an ``Outcome`` and in no exception.

aiohttp and not httpx, since it posts about ten times as many small requests per CPU-second (measured: 0.06 ms against
1.5 ms each), which decides how long ten thousand alerts take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import aiohttp

from domain.alert_delivery import Answer, Outcome, of_status
from domain.alerts import Alert

CONNECT_SECONDS = 2.0
TOTAL_SECONDS = 5.0
#: Shorter than servers keep idle connections, so that an alert is seldom written into one that is being closed.
_IDLE_SECONDS = 3.0
_WORDS = 200


class Receiver(Protocol):
    """Where alerts go. ``name`` stands in the inbox and in metrics: keep it, or waiting alerts lose their receiver.

    ``batch``: alerts per call; ``width``: calls at once; ``renew``: seconds until an open alert is told again, None for
    a receiver that remembers.
    """

    name: str
    batch: int
    width: int
    renew: float | None

    async def deliver(self, alerts: Sequence[Alert]) -> list[Outcome]:
        """Tell these alerts; one outcome for each, in their order. An alert may come again: it is the same one by its
        ``message_id``."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class Post:
    """POSTs JSON to one URL over kept connections: 2 s to connect, ``seconds`` in all, no redirects."""

    def __init__(self, url: str, width: int, seconds: float = TOTAL_SECONDS) -> None:
        self._url = url
        self._seconds = seconds
        self._width = width
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, body: bytes, headers: Mapping[str, str] | None = None) -> Outcome:
        """Send ``body``; what came of it."""
        try:
            async with self._open().post(
                self._url,
                data=body,
                headers={"content-type": "application/json", "user-agent": "interaction-hub", **(headers or {})},
                allow_redirects=False,
            ) as response:
                words = (await response.content.read(65536)).decode(errors="replace")[:_WORDS]
                answer = of_status(response.status)
                return Outcome(answer, "" if answer is Answer.ACCEPTED else f"{response.status}: {words}".strip())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Outcome(Answer.UNREACHABLE, str(error)[:_WORDS])
        except TimeoutError:
            return Outcome(Answer.TIMED_OUT, f"no answer within {self._seconds} s")
        except aiohttp.InvalidURL as error:
            return Outcome(Answer.MISCONFIGURED, f"not a URL: {error}"[:_WORDS])
        except (aiohttp.ClientError, OSError) as error:
            return Outcome(Answer.DROPPED, f"{type(error).__name__}: {error}"[:_WORDS])

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._seconds, sock_connect=CONNECT_SECONDS),
                connector=aiohttp.TCPConnector(limit=self._width, keepalive_timeout=_IDLE_SECONDS),
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
