"""``python -m bench [PART …]``: measures, prints tables and targets, and writes ``bench/results/<date>.json``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import zoneinfo
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench import report
from bench.part import Done
from bench.parts import PARTS
from bench.servers import Servers, servers
from runtime import logging

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Measure what the command line names; all of it by default. A missed target is told, and is no failure;
    a part that could not be measured is one."""
    parser = _arguments()
    asked = parser.parse_args()
    names = list(dict.fromkeys(asked.parts)) or list(PARTS)
    try:
        sets = _sets(asked.set, names)
    except ValueError as error:
        parser.error(str(error))
    zoneinfo.reset_tzpath(())  # as the command `hub` does
    logging.configure("error", "bench")
    err = Console(stderr=True)
    out = Console() if sys.stdout.isatty() else Console(width=180)
    with servers(asked.kafka or None, asked.postgres or None) as on:
        partial = "" if set(names) == set(PARTS) else "-" + "-".join(sorted(names))
        file = RESULTS / f"{asked.date}{partial}.json"
        about, done = asyncio.run(_measure(on, names, sets, asked.date, file, err))
    report.show(about, done, out)
    out.print(f"\nAlso in bench/results/{file.name}", highlight=False)
    failed = [name for name in names if name not in done]
    if failed:
        err.print(f"[bold red]not measured:[/] {', '.join(failed)}; see above", highlight=False)
    return int(bool(failed))


async def _measure(
    on: Servers, names: list[str], sets: dict[str, dict[str, str]], date: str, file: Path, err: Console
) -> tuple[report.About, dict[str, Done]]:
    """Measure part by part; what was measured is in the file at once, so that a later part that fails loses nothing."""

    def say(line: str) -> None:
        err.print(f"[dim]{line}[/]", highlight=False)

    prefix = f"bench-{int(datetime.now(UTC).timestamp())}-"
    about = await report.about(on, date)
    done: dict[str, Done] = {}
    for name in names:
        say(f"--- {name}")
        try:
            done[name] = await PARTS[name].run(on, prefix, sets.get(name, {}), say)
        except Exception:  # whatever it was: it is told, the other parts go on, and the command ends with 1
            err.print_exception()
            continue
        report.write(about, done, file)
    return about, done


def _sets(given: list[str], names: list[str]) -> dict[str, dict[str, str]]:
    """The sizes that were set, by part."""
    found: dict[str, dict[str, str]] = {}
    for each in given:
        name, _, rest = each.partition(".")
        field, equals, value = rest.partition("=")
        if name not in names or not equals or field not in PARTS[name].load.__struct_fields__:
            known = ", ".join(f"{part}.{one}" for part in names for one in PARTS[part].load.__struct_fields__)
            raise ValueError(f"--set {each}: expected PART.FIELD=VALUE with one of {known}")
        found.setdefault(name, {})[field] = value
    return found


def _arguments() -> argparse.ArgumentParser:
    told = "\n".join(
        f"  {part.name}: " + ", ".join(f"{field}={getattr(part.load, field)}" for field in part.load.__struct_fields__)
        for part in PARTS.values()
    )
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=f"parts and their sizes:\n{told}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="part", help="default: all of them")
    parser.add_argument("--set", action="append", default=[], metavar="PART.FIELD=VALUE", help="a size of a part")
    parser.add_argument("--date", default=datetime.now(UTC).date().isoformat(), help="of the figures; default: today")
    parser.add_argument("--kafka", default="", help="a Kafka to use instead of the embedded one, host:port")
    parser.add_argument("--postgres", default="", help="a PostgreSQL whose user may create databases, as a URL")
    return parser


if __name__ == "__main__":
    sys.exit(main())
