"""``python -m tests.chaos --minutes 5 --seed 1``: a run with Kafka and PostgreSQL of its own, which are killed, too."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from hub.local.stack import LocalStack
from tests.chaos.run import Outcome, Plan, run


def main() -> int:
    """Run, and return 1 when anything was lost, doubled or different."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long processes are killed")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000), help="of the story")
    parser.add_argument("--rate", type=int, default=150, help="events a second")
    parser.add_argument("--keep-servers", action="store_true", help="leave Kafka and PostgreSQL alone")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hub-chaos-"))
    print(f"seed {given.seed}, logs in {folder}", flush=True)
    stack = LocalStack(folder / "stack", owned=True)
    addresses = stack.up()
    plan = Plan(
        kafka=addresses.kafka,
        postgres=addresses.postgres,
        prefix="",
        folder=folder,
        seconds=given.minutes * 60,
        seed=given.seed,
        rate=given.rate,
        servers=None if given.keep_servers else stack,
        scaling=True,
        progress=lambda line: print(line, flush=True),
    )
    try:
        outcome: Outcome = asyncio.run(run(plan))
    finally:
        stack.remove()
    print(outcome.line)
    return 0 if outcome.report.clean else 1


if __name__ == "__main__":
    sys.exit(main())
