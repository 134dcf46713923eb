"""Random stories of one customer, for the laws that every verdict obeys.

They have calendars of several kinds, hand-overs, pauses, priorities, late events, several events at one instant, and a
second bundle in between.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from domain.business_time import Calendar
from domain.casework import Casework
from domain.errors import CommandRefused
from domain.outputs import Output
from domain.policies import Bundle
from schemas.records import Actor, InteractionReceived, SlaVerdictIssued
from tests.domain.stories import AROUND_THE_CLOCK, MINUTE, START, bot, bundle, command, event

CUSTOMER = "11111111-1111-5111-8111-111111111111"
DOCUMENT = AROUND_THE_CLOCK | {
    "calendars": AROUND_THE_CLOCK["calendars"]  # type: ignore[operator]  # a mapping of mappings
    | {
        "night": {
            "tz": "America/New_York",
            "hours": {day: [["00:00", "06:00"], ["22:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "sun")},
            "breaks": {"2026-01-06": [["01:00", "01:30"]]},
            "overrides": {"2026-01-07": [["03:00", "04:00"]]},
            "holidays": ["01-08"],
        }
    },
    "policies": [
        {
            "name": "vendor",
            "match": {"organisation": "vendor-a"},
            "calendar": "office",
            "warnings": [50, 90],
            "targets": {"first_response": "2h", "resolution": {"normal": "8h", "urgent": "2h", "high": "4h"}},
        },
        {
            "name": "night shift",
            "match": {"team": "night"},
            "calendar": "night",
            "targets": {"first_response": "3h", "resolution": {"normal": "5h", "urgent": "1h", "pauses": ["on_hold"]}},
        },
        {
            "name": "second line",
            "match": {"team": "second-line"},
            "calendar": "office",
            "boundary": "close",
            "targets": {"first_response": "4h", "resolution": {"normal": "16h", "urgent": "3h"}},
        },
        {
            "name": "urgent",
            "match": {"priority": "urgent"},
            "calendar": "always",
            "targets": {"resolution": "90m"},
        },
    ],
}
#: The same calendars and owners, with every metric, leads and all ways to reopen.
EVERYTHING = DOCUMENT | {
    "policies": [
        {
            "name": "vendor",
            "match": {"organisation": "vendor-a"},
            "calendar": "office",
            "warnings": [50, 90],
            "targets": {
                "first_response": "2h",
                "resolution": {"normal": "8h", "urgent": "2h", "high": "4h"},
                "next_response": "1h",
                "acknowledgement": "30m",
                "ownership": "6h",
                "call_answer": "20s",
            },
        },
        {
            "name": "night shift",
            "match": {"team": "night"},
            "calendar": "night",
            "warnings": ["45m", 60],
            "reopen": "count_closed",
            "targets": {
                "first_response": "3h",
                "resolution": {"normal": "5h", "urgent": "1h", "pauses": ["on_hold"]},
                "total_resolution": "12h",
                "periodic_update": "4h",
                "ownership": "2h",
                "callback": "3h",
            },
        },
        {
            "name": "second line",
            "match": {"team": "second-line"},
            "calendar": "office",
            "boundary": "close",
            "reopen": "new_cycle",
            "targets": {
                "first_response": "4h",
                "resolution": {"normal": "16h", "urgent": "3h"},
                "agent_work": "8h",
                "next_response": "2h",
                "acknowledgement": "1h",
                "callback": "1h",
            },
        },
        {
            "name": "urgent",
            "match": {"priority": "urgent"},
            "calendar": "always",
            "targets": {"resolution": "90m"},
        },
    ],
}
SHORTER = DOCUMENT | {
    "policies": [{"name": "all", "calendar": "always", "targets": {"first_response": "30m", "resolution": "3h"}}]
}
OPENING = event("opening", "email.received", 0)
_KINDS = (
    "time", "time", "mail", "reply", "bot", "assign", "assign", "status", "status", "priority", "reopen", "accept",
    "call", "call",
)  # fmt: skip
_CALLS = ("call.queued", "call.queued", "call.answered", "call.abandoned", "callback.requested", "callback.completed")
#: Minutes after the start; round ones make events meet at one instant, with openings, closings and due times.
_MINUTES = st.one_of(
    st.integers(0, 60).map(lambda n: n * 30.0),
    st.integers(0, 3 * 24 * 60).map(float),
    st.floats(0, 3 * 24 * 60, allow_nan=False),
)


@st.composite
def steps(draw: st.DrawFn) -> list[InteractionReceived | float | Bundle]:
    """What reaches a partition: events in order of arrival, some late; a number is the time told, in minutes."""
    found: list[InteractionReceived | float | Bundle] = [OPENING]
    arrivals = sorted(draw(st.lists(_MINUTES, min_size=1, max_size=14)))
    for index, arrived in enumerate(arrivals):
        name, late = f"step {index}", draw(st.sampled_from([0.0, 0.0, 0.0, 30.0, 200.0, 2000.0]))
        at = max(arrived - late, 0.0)
        kind = draw(st.sampled_from(_KINDS))
        if kind == "time":
            found.append(arrived)
        elif kind == "mail":
            found.append(event(name, "email.received", at, received=arrived))
        elif kind == "reply":
            found.append(event(name, "email.sent", at, received=arrived))
        elif kind == "bot":
            found.append(event(name, "message.sent", at, received=arrived, facts=bot()))
        elif kind == "call":
            call = draw(st.sampled_from(_CALLS))
            actor = Actor("agent", team="first-line") if call.endswith(("answered", "completed")) else None
            own = f"call:{draw(st.integers(1, 2))}"
            found.append(event(name, call, at, received=arrived, actor=actor, channel="voice", conversation=own))
        else:
            found.append(_command(draw, name, kind, at, arrived))
    if draw(st.booleans()):
        found.insert(draw(st.integers(1, len(found))), bundle(2, SHORTER))
    return [*found, max(arrivals) + draw(st.sampled_from([0.0, 60.0, 10_000.0]))]


def _command(draw: st.DrawFn, name: str, kind: str, at: float, arrived: float) -> InteractionReceived:
    match kind:
        case "assign":
            fields = draw(
                st.sampled_from(
                    [
                        {"team": "night"},
                        {"organisation": "own", "team": "night"},
                        {"team": "second-line", "organisation": "own"},
                        {"organisation": "vendor-a", "team": "first-line"},
                        {"organisation": "vendor-b"},
                        {"person": "agent-7"},
                        {"queue": "shipping"},
                    ]
                )
            )
            made = command(name, "ticket.assigned", at, OPENING.id, **fields)
        case "status":
            status = draw(st.sampled_from(["open", "pending", "on_hold", "resolved", "resolved", "closed"]))
            made = command(name, "ticket.status_set", at, OPENING.id, status=status)
        case "priority":
            priority = draw(st.sampled_from(["low", "normal", "high", "urgent"]))
            made = command(name, "ticket.prioritised", at, OPENING.id, priority=priority)
        case "accept":
            made = command(name, "ticket.accepted", at, OPENING.id)
        case _:
            made = command(name, "ticket.reopened", at, OPENING.id)
    plain = {field: getattr(made, field) for field in made.__struct_fields__}
    return InteractionReceived(**plain | {"received_at": START + round(arrived * MINUTE)})


def told(
    story: Sequence[InteractionReceived | float | Bundle], document: object = DOCUMENT
) -> tuple[list[Output], Casework]:
    """What casework says of a story, and casework after it. A command that is refused changes nothing."""
    work = Casework()
    work.configure("t", bundle(1, document))
    outputs: list[Output] = []
    for step in story:
        if isinstance(step, InteractionReceived):
            try:
                outputs += work.received(CUSTOMER, "email:customer@example.com", step)
            except CommandRefused:
                continue
        elif isinstance(step, Bundle):
            work.configure("t", step)
        else:
            outputs += work.advance(START + round(step * MINUTE))
    return outputs, work


def played(
    story: Sequence[InteractionReceived | float | Bundle], document: object = DOCUMENT
) -> tuple[list[SlaVerdictIssued], dict[str, Calendar]]:
    """The verdicts of a story, and every calendar by its digest."""
    outputs, work = told(story, document)
    calendars = {c.digest: c for each in work.bundles.values() for c in each.calendars.values()}
    return [each for each in outputs if isinstance(each, SlaVerdictIssued)], calendars
