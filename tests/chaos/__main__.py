"""``python -m tests.chaos --minutes 5 --seed 1``: a run with Kafka and PostgreSQL of its own, which are harmed, too."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from hub.local.stack import LocalStack
from tests.chaos.run import Outcome, Plan, run


def main() -> int:
    """Run, and return 1 when anything was lost, doubled or different."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long everything is harmed")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000), help="of story and faults")
    parser.add_argument("--rate", type=int, default=150, help="events a second")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="of Kafka; with 3 each topic has 3 copies")
    parser.add_argument("--pause", type=float, nargs=2, default=(1.0, 5.0), help="seconds between faults, from and to")
    parser.add_argument("--patience", type=float, default=900.0, help="seconds that catching up may take")
    parser.add_argument("--keep-servers", action="store_true", help="leave Kafka and PostgreSQL alone")
    parser.add_argument("--log", type=Path, help="a file that gets every line as well")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hub-chaos-"))
    stack = LocalStack(folder / "stack", nodes=given.nodes, owned=True)
    with ExitStack() as ending:
        say = _both(ending, given.log)
        print(f"logs in {folder}", flush=True)
        say(
            f"minutes {given.minutes:g} seed {given.seed} rate {given.rate} nodes {given.nodes}"
            + (" servers left alone" if given.keep_servers else "")
        )
        ending.callback(stack.remove)
        addresses = stack.up()
        plan = Plan(
            kafka=addresses.kafka,
            postgres=addresses.postgres,
            prefix="",
            folder=folder,
            seconds=given.minutes * 60,
            seed=given.seed,
            rate=given.rate,
            replication=given.nodes,
            servers=None if given.keep_servers else stack,
            pause=tuple(given.pause),
            patience=given.patience,
            progress=say,
        )
        outcome: Outcome = asyncio.run(run(plan))
        say(outcome.line)
    return 0 if outcome.clean else 1


def _both(ending: ExitStack, file: Path | None) -> Callable[[str], None]:
    """Says each line here and in the file."""
    written = ending.enter_context(file.open("w", encoding="utf-8")) if file else None

    def say(line: str) -> None:
        print(line, flush=True)
        if written is not None:
            print(line, file=written, flush=True)

    return say


if __name__ == "__main__":
    sys.exit(main())
