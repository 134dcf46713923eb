"""The demonstration as anybody runs it: it tells its story through the real doors, and leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from uuid import uuid4

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]
SERVERS = ("HUB_KAFKA", "HUB_POSTGRES")


class Demonstration:
    """``hub demo`` in a folder of its own; ``mark`` stands in the environment of every process it starts."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.mark = f"JOURNEY={uuid4().hex}"
        name, _, value = self.mark.partition("=")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hub", "demo", "--folder", str(folder), *options],
            env={**{key: text for key, text in os.environ.items() if key not in SERVERS}, name: value},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._limit = Timer(120, self.process.kill)
        self._limit.start()

    def lines(self) -> Iterator[str]:
        """What it prints, as it comes."""
        assert self.process.stdout is not None
        yield from (line.rstrip() for line in self.process.stdout)

    def ended(self) -> int:
        """Wait for its end; the exit code."""
        code = self.process.wait(120)
        self._limit.cancel()
        return code

    def left_over(self) -> list[str]:
        """The processes that it started and that still run."""
        found = []
        for process in psutil.process_iter():
            try:
                if self.mark in (f"{key}={value}" for key, value in process.environ().items()):
                    found.append(" ".join(process.cmdline()))
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found


def test_the_story_is_told_to_its_end(tmp_path: Path) -> None:
    """A customer mails, writes and calls; a promise is broken, another only seems to be; on-call hears of both."""
    demonstration = Demonstration(tmp_path, "--exit")
    lines = []
    running: list[str] = []
    for line in demonstration.lines():
        lines.append(line)
        if "the hub is up" in line:
            running = demonstration.left_over()
    assert demonstration.ended() == 0, "\n".join(lines)
    results = [line for line in lines if line.startswith("{")]
    totals = {"timeline_entries": 12, "tickets": 2, "warnings": 1, "breaches": 2, "alerts_delivered": 3}
    assert [json.loads(line) for line in results] == [totals]
    assert any("PAGED" in line for line in lines)
    # The one who looks for what is left over does find the servers and the seven processes while they run.
    assert len(running) >= 10
    assert demonstration.left_over() == []


def test_ctrl_c_in_the_middle_stops_everything(tmp_path: Path) -> None:
    """Somebody has seen enough and presses Ctrl-C while the story is told: all of it stops, and soon."""
    demonstration = Demonstration(tmp_path)
    lines = []
    interrupted = 0.0
    for line in demonstration.lines():
        lines.append(line)
        if "writes on WhatsApp" in line:
            demonstration.process.send_signal(signal.SIGINT)
            interrupted = time.monotonic()
    code = demonstration.ended()
    assert interrupted, "\n".join(lines)
    assert (code, demonstration.left_over()) == (130, []), "\n".join(lines)
    assert time.monotonic() - interrupted < 15
    assert not any("Traceback" in line for line in lines), "\n".join(lines)
