"""``python -m bench [engine|latency|alerts …]``: measures, prints a table, and writes ``bench/results/<date>.json``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import zoneinfo
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench import alerts, engine, latency, report
from bench.servers import Servers, servers
from runtime import logging

RESULTS = Path(__file__).parent / "results"
PARTS = ("engine", "latency", "alerts")


def main() -> int:
    """Measure what the command line names; all of it by default."""
    asked = _arguments().parse_args()
    zoneinfo.reset_tzpath(())  # as the command `hub` does
    logging.configure("error", "bench")
    parts = asked.parts or list(PARTS)
    err, out = Console(stderr=True), Console()
    with servers(asked.kafka or None, asked.postgres or None) as on:
        results = asyncio.run(_measure(on, parts, asked, err))
    partial = "" if set(parts) == set(PARTS) else "-" + "-".join(sorted(set(parts)))
    file = RESULTS / f"{asked.date}{partial}.json"
    report.write(results, file)
    report.show(results, out)
    out.print(f"\nAlso in bench/results/{file.name}", highlight=False)
    return 0


async def _measure(on: Servers, parts: list[str], asked: argparse.Namespace, err: Console) -> report.Results:
    def say(line: str) -> None:
        err.print(f"[dim]{line}[/]", highlight=False)

    prefix = f"bench-{int(datetime.now(UTC).timestamp())}-"
    found_latency = found_alerts = found_engine = None
    if "engine" in parts:
        found_engine = await engine.measure(on, f"{prefix}engine-", engine.Sizes(rounds=asked.rounds), say)
    if "latency" in parts:
        wanted = latency.Load(rate=asked.rate, seconds=asked.seconds)
        found_latency = await latency.measure(on, f"{prefix}latency-", wanted, say)
    if "alerts" in parts:
        found_alerts = await alerts.measure(on, f"{prefix}alerts-", alerts.Load(clocks=asked.clocks), say)
    return report.Results(await report.about(on, asked.date), found_engine, found_latency, found_alerts)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, []], metavar="part", help="engine, latency, alerts; default: all"
    )
    parser.add_argument("--date", default=datetime.now(UTC).date().isoformat(), help="of the figures; default: today")
    parser.add_argument("--rounds", type=int, default=3, help="of the engines; medians are told (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=200, help="events per second for latency (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=40, help="of that which count (default: %(default)s)")
    parser.add_argument("--clocks", type=int, default=10_000, help="open at once for alerts (default: %(default)s)")
    parser.add_argument("--kafka", default="", help="a Kafka to use instead of the embedded one, host:port")
    parser.add_argument("--postgres", default="", help="a PostgreSQL whose user may create databases, as a URL")
    return parser


if __name__ == "__main__":
    sys.exit(main())
