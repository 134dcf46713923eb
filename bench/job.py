"""What a contender is told and what it tells. Imports nothing that the peers' own environment lacks."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import msgspec

from bench.measuring import Run


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to work on: all ``events`` of the log in ``source``.

    ``name``: the contender's. ``prefix``: no other run has it; the topics written to begin with it. ``folder``: for
    state on disk. ``now``: the instant at which the log ends.
    """

    name: str
    kafka: str
    source: str
    prefix: str
    events: int
    folder: str
    partitions: int = 4
    now: int = 0


def job_given() -> Job:
    """The job of the command line."""
    return msgspec.json.decode(sys.argv[1], type=Job)


def done(run: Run) -> NoReturn:
    """Tell the result and end, without the seconds that an orderly farewell takes."""
    sys.stdout.write(msgspec.json.encode(run).decode() + "\n")
    sys.stdout.flush()
    os._exit(0)
