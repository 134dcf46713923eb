"""``python -m tests.chaos.safeguards [NAME…]`` plays every scenario, or those named, with all safeguards and without
the one in question, and prints what the check said. It starts a Kafka and a PostgreSQL of its own. About five minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hub.local.stack import LocalStack
from hub.verify.check import Report
from runtime.logging import configure
from tests.chaos.safeguards.scenarios import SCENARIOS, Ground, Result, Scenario


def _counts(report: Report) -> str:
    return f"{len(report.lost)}/{len(report.doubled)}/{len(report.different)}"


def _row(scenario: Scenario, complete: Result, lacking: Result, both: Result | None) -> tuple[tuple[str, ...], bool]:
    """The cells, and whether it came out as it should."""
    good = complete.report.clean and not (both or lacking).report.clean
    verdict = "needed" if both is None else f"covered by {' and '.join(scenario.covered_by)}: {_counts(both.report)}"
    if not complete.report.clean:
        verdict = "THE HUB FAILS"
    elif not good:
        verdict = "NOT FOUND"
    elif both is not None and not lacking.report.clean:
        verdict = "needed, though said to be covered"
    cells = (scenario.name, _counts(complete.report), _counts(lacking.report), str(len(lacking.exits)), verdict)
    return cells, good


async def _play(ground: Ground, chosen: Sequence[Scenario], out: Console) -> bool:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("safeguard", "with l/d/d", "without l/d/d", "exits without", "so it is"):
        table.add_column(column, overflow="fold")
    all_good = True
    await ground.prepare()
    try:
        for scenario in chosen:
            began = time.monotonic()
            complete = await ground.play(scenario)
            lacking = await ground.play(scenario, (scenario.safeguard,))
            both = None
            if scenario.covered_by:
                both = await ground.play(scenario, (scenario.safeguard, *scenario.covered_by))
            cells, good = _row(scenario, complete, lacking, both)
            table.add_row(*cells)
            all_good = all_good and good
            out.print(f"{scenario.name} ({time.monotonic() - began:.0f} s): {scenario.sentence}", highlight=False)
            out.print(f"  with {cells[1]}, without {cells[2]}: {cells[4]}", highlight=False, markup=False)
            if scenario.because:
                out.print(f"  it stays: {scenario.because}", highlight=False)
            if not complete.report.clean:
                out.print(complete.report.first(5), highlight=False, markup=False)
    finally:
        await ground.clear()
    out.print()
    out.print("lost/doubled/different, as the check counts them")
    out.print(table)
    return all_good


def main() -> int:
    """Play; 1 when a missing safeguard was not found, or the hub failed with all of them."""
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.safeguards", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    given: list[str] = parser.parse_args().names
    unknown = set(given) - set(names)
    if unknown:
        parser.error(f"no scenario is called {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    configure("error", "safeguards")
    for noisy in ("asyncio", "aiokafka"):  # an append that nobody awaits is what some are about
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    chosen = [scenario for scenario in SCENARIOS if not given or scenario.name in given]
    folder = Path(tempfile.mkdtemp(prefix="hub-safeguards-"))
    stack = LocalStack(folder / "stack", owned=True)
    addresses = stack.up()
    out = Console(width=140)
    out.print(f"logs in {folder}", highlight=False)
    try:
        good = asyncio.run(_play(Ground(addresses.kafka, addresses.postgres, folder), chosen, out))
    finally:
        stack.remove()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
