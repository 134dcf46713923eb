"""Who is on call: a server that takes signed webhooks, writes down each one it heard, and misbehaves when told to.

``python -m tests.chaos.receiver FOLDER PORT``: its mood stands in the file ``FOLDER/mood``, and what it heard goes to
``FOLDER/heard.jsonl``, a line each. A process of its own, so that nothing else in a run delays its answers.
"""

from __future__ import annotations

import asyncio
import sys
import time
from enum import StrEnum
from pathlib import Path

import msgspec
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

SECRET = "whsec_bm8gc2VjcmV0IGJ1dCBlbm91Z2ggZm9yIGEgcnVu"
LATE_SECONDS = 6.5  # the hub gives up after 5


class Mood(StrEnum):
    """What it does with a webhook. Only one that fails has not taken it."""

    WELL = "well"
    LATE = "late"
    FAILING = "failing"
    DROPPING = "dropping"


class Heard(msgspec.Struct, frozen=True):
    """One webhook as it came. ``at``: seconds since 1970; ``kept``: whether the receiver took it; ``body``: as posted.

    ``signed``: whether its signature is good.
    """

    at: float
    id: str
    mood: Mood
    signed: bool
    body: msgspec.Raw

    @property
    def kept(self) -> bool:
        """Whether the receiver has it, whatever it answered."""
        return self.mood is not Mood.FAILING


def read_heard(folder: Path) -> list[Heard]:
    """Everything it heard, in order."""
    file = folder / "heard.jsonl"
    lines = file.read_bytes().splitlines() if file.exists() else []
    return [msgspec.json.decode(line, type=Heard) for line in lines]


def set_mood(folder: Path, mood: Mood) -> None:
    """How it is from now on."""
    fresh = folder / "mood.new"
    fresh.write_text(mood.value)
    fresh.replace(folder / "mood")


class _Receiver:
    def __init__(self, folder: Path) -> None:
        self._mood = folder / "mood"
        self._log = (folder / "heard.jsonl").open("ab", buffering=0)
        self._verifier = Webhook(SECRET)

    async def hear(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            self._verifier.verify(body, headers)
            signed = True
        except WebhookVerificationError:
            signed = False
        mood = Mood(self._mood.read_text()) if self._mood.exists() else Mood.WELL
        heard = Heard(time.time(), headers.get("webhook-id", ""), mood, signed, msgspec.Raw(body))
        self._log.write(msgspec.json.encode(heard) + b"\n")
        if mood is Mood.FAILING:
            return web.Response(status=500, text="not now")
        if mood is Mood.DROPPING and request.transport is not None:
            request.transport.abort()
        if mood is Mood.LATE:
            await asyncio.sleep(LATE_SECONDS)
        return web.Response(status=204)


def main() -> None:
    """Listen until ended."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/alerts", _Receiver(folder).hear)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None, shutdown_timeout=0.1)


if __name__ == "__main__":
    main()
