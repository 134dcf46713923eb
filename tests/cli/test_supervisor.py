"""What dies again and again is started again and again, at intervals that grow up to a bound."""

from __future__ import annotations

import asyncio

import pytest

import hub.supervisor
from hub.supervisor import FIRST_PAUSE, HEALTHY_SECONDS, LONGEST_PAUSE, Supervisor
from runtime.worker import HOLD_SECONDS


async def test_a_command_that_dies_at_once_is_started_at_doubling_intervals_up_to_the_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub.supervisor, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(hub.supervisor, "LONGEST_PAUSE", 0.4)
    said: list[str] = []
    enough = asyncio.Event()

    def progress(line: str) -> None:
        said.append(line)
        if len(said) == 5:
            enough.set()

    supervisor = Supervisor({"odd": ("no-such-command",)}, progress=progress)
    await supervisor.start()
    async with asyncio.timeout(60):
        await enough.wait()
    await supervisor.stop()
    assert [line.split(" in ")[1] for line in said] == ["0.1 s", "0.2 s", "0.4 s", "0.4 s", "0.4 s"]
    assert supervisor.restarts == 5


def test_a_stage_that_stops_for_its_dead_letters_writes_its_limit_once_a_minute_at_most_under_any_supervisor() -> None:
    assert (FIRST_PAUSE, LONGEST_PAUSE, HEALTHY_SECONDS) == (0.5, 30.0, 60.0), "as docs/operations.md says"
    assert HOLD_SECONDS >= 60
