"""Plays the worked examples of ``docs/sla-examples.md``: events through a casework, its verdicts as rows.

An example is told in local time of Berlin. Time passes as it does on the log: whatever is due between two events is
judged when it is due. The examples themselves are in ``tests.docs.promised``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from textwrap import wrap
from typing import NamedTuple
from zoneinfo import ZoneInfo

from schemas.records import InteractionReceived, SlaVerdictIssued
from tests.domain.clocks import Hub, policy, verdicts
from tests.domain.stories import MINUTE, START

BERLIN = ZoneInfo("Europe/Berlin")
SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CALENDARS = {
    "always": {"tz": "Europe/Berlin", "hours": {day: [["00:00", "24:00"]] for day in _WEEK}},
    "office": {
        "tz": "Europe/Berlin",
        "hours": {day: [["09:00", "17:00"]] for day in _WEEK[:5]},
        "holidays": ["2026-05-01"],
    },
    "daily": {"tz": "Europe/Berlin", "hours": {day: [["09:00", "17:00"]] for day in _WEEK}},
}

#: Makes an event of a name and of minutes after ``tests.domain.stories.START``.
Maker = Callable[[str, float], InteractionReceived]


class Step(NamedTuple):
    """What happens: local time in 2026 as ``01-05 09:00``, in words, and as an event. ``received``: when it came in."""

    at: str
    what: str
    make: Maker
    received: str = ""


class Example(NamedTuple):
    """A promise, what happened, and what is to be learned from it.

    ``policies``: one, or several to compare, by what they are called. The first step is named ``mail``, so that it is
    the ticket that ``tests.domain.clocks`` has in mind, the others ``step 1`` and so on.
    """

    name: str
    title: str
    promise: str
    policies: Mapping[str, Mapping[str, object]]
    steps: Sequence[Step]
    learned: str


class Row(NamedTuple):
    """A verdict as it is shown. ``policy`` and ``ticket`` tell several apart."""

    policy: str
    ticket: str
    told: str
    promise: str
    verdict: str
    used: str
    due: str
    whose: str
    shares: str


def terms(calendar: str = "office", **given: object) -> dict[str, object]:
    """A bundle of one policy, with the calendars of the examples; ``given`` as for ``tests.domain.clocks.policy``."""
    routes = [{"match": {}, "assign": {"team": "first-line", "organisation": "vendor-a"}}]
    tickets = given.pop("tickets", {})
    options = {"warnings": [], **given}
    return {**policy(calendar, **options), "calendars": CALENDARS, "routes": routes, "tickets": tickets}


def minutes(local: str) -> float:
    """Minutes after the start, of a local time."""
    at = datetime.fromisoformat(f"2026-{local}").replace(tzinfo=BERLIN)
    return ((at - _EPOCH) // timedelta(microseconds=1) - START) / MINUTE


def clock(at: int | None) -> str:
    """An instant in local time, to the second."""
    if at is None:
        return "stands still"
    local = (_EPOCH + timedelta(seconds=at // SECOND)).astimezone(BERLIN)
    return f"{local:%a} {local.day} {local:%b %H:%M}{f':{local:%S}' if local.second else ''}"


def span(duration: int) -> str:
    """A duration in hours, minutes and seconds, without the parts that are nothing."""
    seconds = duration // SECOND
    parts = (seconds // 3600, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def played(example: Example) -> list[Row]:
    """What the hub says, verdict by verdict."""
    return [row for name, document in example.policies.items() for row in _under(name, document, example.steps)]


def _under(name: str, document: Mapping[str, object], steps: Sequence[Step]) -> list[Row]:
    hub = Hub(document)
    tickets: dict[str, str] = {}
    for index, step in enumerate(steps):
        event = step.make(f"step {index}" if index else "mail", minutes(step.at))
        came = event.received_at
        while (due := hub.work.due()) is not None and due <= came:
            hub.outputs += hub.work.advance(due)
        hub.play(event)
    rows = []
    for verdict in verdicts(hub.outputs):
        ticket = tickets.setdefault(verdict.ticket, ("first", "second")[len(tickets)])
        rows.append(_row(name, ticket, verdict))
    return rows


def _row(name: str, ticket: str, verdict: SlaVerdictIssued) -> Row:
    outcome = f"`{verdict.outcome}`"
    if verdict.threshold is not None:
        ahead = verdict.threshold < 0
        outcome += f", {span(-verdict.threshold * SECOND)} before" if ahead else f", {verdict.threshold} %"
    shares: dict[str, int] = {}
    for interval in verdict.evidence:
        owner = interval.organisation or "nobody"
        shares[owner] = shares.get(owner, 0) + interval.counted
    assert sum(shares.values()) == verdict.elapsed
    return Row(
        name,
        ticket,
        clock(verdict.judged_at),
        f"`{verdict.metric}` {verdict.cycle}",
        outcome,
        span(verdict.elapsed),
        clock(verdict.due_at),
        verdict.organisation or "nobody",
        ", ".join(f"{owner} {span(counted)}" for owner, counted in shares.items()),
    )


def folded(text: str) -> str:
    """A paragraph at the width of the page, a link in one piece."""
    return "\n".join(wrap(text, 120, break_long_words=False, break_on_hyphens=False))


def shown(example: Example) -> str:
    """An example as a part of the page."""
    lines = [
        f"## {example.title}",
        "",
        folded(f"**Promised:** {example.promise}"),
        "",
        "| local time | what happens |",
    ]
    lines.append("|---|---|")
    for step in example.steps:
        late = f"; the hub hears of it {clock(START + round(minutes(step.received) * MINUTE))}" if step.received else ""
        lines.append(f"| {clock(START + round(minutes(step.at) * MINUTE))} | {step.what}{late} |")
    rows = played(example)
    columns = {"under": "policy", "ticket": "ticket", "said": "told", "promise": "promise", "verdict": "verdict"}
    columns |= {"used": "used", "due": "due", "whose": "whose", "shares": "shares"}
    if len({row.policy for row in rows}) < 2:
        del columns["under"]
    if len({row.ticket for row in rows}) < 2:
        del columns["ticket"]
    if all(row.shares == f"{row.whose} {row.used}" for row in rows):
        del columns["shares"]
    lines += ["", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(getattr(row, field) for field in columns.values())} |" for row in rows]
    return "\n".join([*lines, "", folded(example.learned), ""])
