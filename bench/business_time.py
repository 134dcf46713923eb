"""Business time against the peers on PyPI, and what it costs to judge a ticket of few and of very many facts.

The peers' environment runs ``bench/peers/hours.py``, where the hub's calendar and the peers answer the same questions
in one process. Tickets are judged here, by the product's own casework without Kafka: a policy that promises everything,
in hours with holidays, and one more event on a ticket that has so many. Times are CPU time of one process.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from pathlib import Path

import msgspec

from bench.casework_log import BEGIN, MINUTE, TENANT
from bench.measuring import median
from bench.part import Part, Say, Table, Target, at_least, below
from bench.peers.hours import ADD, BETWEEN, DELTA, DURATION, HOLIDAYS, HUB, Asked, Hours, Told
from bench.peers.line_up import OWN, ROOT
from bench.servers import Servers
from domain.calendars import DAYS
from domain.casework import Casework
from domain.policies import METRICS
from domain.policy_reading import read_bundle
from schemas.records import Actor, ContactPoint, InteractionReceived, MailFacts

_YEAR = 365
_MORE = 30  # events that are timed, one after the other
_LONGEST = 900.0
_WORDS = {
    HUB: "the hub's calendar",
    DELTA: "businesstimedelta",
    DURATION: "business-duration, with pandas",
}


class Sizes(msgspec.Struct, frozen=True):
    """``spans``: in days, divided by commas; ``facts``: of the judged tickets, the same way; ``pairs`` of instants."""

    spans: str = "1,30,365,3650"
    facts: str = "20,200,2000"
    pairs: int = 40
    rounds: int = 7


class BusinessTimeResult(msgspec.Struct, frozen=True):
    """``judged``: µs of CPU time for one more event on a ticket of so many facts, outputs made, by facts."""

    sizes: Sizes
    hours: Hours
    judged: dict[int, float]


async def measure(on: Servers, prefix: str, sizes: Sizes, say: Say) -> BusinessTimeResult:
    """Ask all of them, then judge tickets."""
    say("asking the calendars")
    spans = tuple(int(days) for days in sizes.spans.split(","))
    hours = await _hours(on.folder, Asked(spans, sizes.pairs, sizes.rounds))
    say("judging tickets")
    judged = {int(facts): await asyncio.to_thread(_judged, int(facts)) for facts in sizes.facts.split(",")}
    return BusinessTimeResult(sizes, hours, judged)


async def _hours(folder: Path, asked: Asked) -> Hours:
    own = OWN / "bench-venv" / "bin" / "python"
    process = await asyncio.create_subprocess_exec(
        str(own) if own.exists() else sys.executable, "-m", "bench.peers.hours", msgspec.json.encode(asked).decode(),
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        told, errors = await asyncio.wait_for(process.communicate(), _LONGEST)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise RuntimeError(f"bench.peers.hours ended with {process.returncode}: {errors.decode(errors='replace')}")
    return msgspec.json.decode(told, type=Hours)


def _judged(facts: int) -> float:
    """µs for one more event on a ticket of ``facts``: placed, judged whole, and its outputs made."""
    casework = Casework()
    casework.configure(TENANT, read_bundle(_promises(), 1))
    for number in range(facts):
        casework.received("customer", "email:customer@example.com", _mail(number))
    each = []
    for number in range(facts, facts + _MORE):
        event = _mail(number)
        began = time.process_time()
        casework.received("customer", "email:customer@example.com", event)
        each.append(time.process_time() - began)
    return round(median(each) * 1e6, 1)


def _promises() -> dict[str, object]:
    """A bundle whose one policy promises all that can be promised."""
    hours = {day: [["08:00", "12:00"], ["13:00", "18:00"]] for day in DAYS[:5]}
    calendar = {"tz": "Europe/Berlin", "hours": hours, "holidays": sorted(map(str, HOLIDAYS))}
    policy = {"name": "all", "calendar": "office", "targets": dict.fromkeys(METRICS, "40h")}
    return {"name": "default", "calendars": {"office": calendar}, "policies": [policy]}


def _mail(number: int) -> InteractionReceived:
    """Of one conversation, twenty minutes after the one before: two by the customer, then an answer."""
    answer = number % 3 == 2
    at = BEGIN + number * 20 * MINUTE
    id_ = str(uuid.UUID(int=number + 1, version=4))
    return InteractionReceived(
        id=id_,
        type="email.sent" if answer else "email.received",
        tenant=TENANT,
        source="email/main",
        channel="email",
        direction="outbound" if answer else "inbound",
        occurred_at=at,
        received_at=at,
        conversation="email:1",
        contact_points=[ContactPoint("email", "customer@example.com", verified=True)],
        actor=Actor("agent", f"agent-{number % 7}", "first-line", "own") if answer else Actor("customer"),
        subject="Where is order 4711?",
        text="My parcel was due on Monday and nothing came.",
        facts=MailFacts(message_id=f"<{id_}@example.com>", mailbox="support@example.com"),
    )


def _tables(found: BusinessTimeResult) -> list[Table]:
    hours = found.hours
    rows = [
        (
            _WORDS[one.contender],
            one.question,
            f"{one.days:,}",
            f"{one.microseconds:,.2f}",
            "" if one.contender == HUB else f"{one.ratio:,.1f}",
            f"{one.compared - one.differences} of {one.compared}",
        )
        for one in sorted(hours.told, key=lambda one: (one.question, one.days, one.contender != HUB))
    ]
    below_ = [f"{_WORDS[name]} was not asked: {why}." for name, why in hours.absent.items()]
    if DURATION not in hours.absent:
        below_.append("business-duration has no add.")
    first = ", ".join(f"{days:,} days {taken:g}" for days, taken in hours.first_answer.items())
    below_.append(f"ms until a new calendar has its first answer (its table is made then), by the span asked: {first}.")
    tickets = [
        (f"{facts:,}", f"{taken:,.1f}", f"{taken / facts:.2f}", f"{1e6 / taken:,.0f}")
        for facts, taken in found.judged.items()
    ]
    return [
        Table(("business time", "question", "days", "µs a call", "hub: x faster", "same answers"), rows, below_),
        Table(("one more event on a ticket of facts", "µs", "µs a fact", "per CPU-second"), tickets),
    ]


def _targets(found: BusinessTimeResult) -> list[Target]:
    def year(one: Told) -> bool:
        return one.days == _YEAR and one.contender != HUB

    targets = [
        at_least(f"{one.question} over a year, over {_WORDS[one.contender]}", one.ratio, 100, " x")
        for one in filter(year, found.hours.told)
    ]
    return targets + [
        below(f"{question}, the longest span over the shortest", found.hours.spread[question], 1.5, " x")
        for question in (BETWEEN, ADD)
    ]


PART = Part("business_time", Sizes(), measure, _tables, _targets)
