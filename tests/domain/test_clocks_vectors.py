"""Timelines restated from other projects' suites and manuals, each judged by a policy of the hub with its options set
to the source's dialect, or listed with why not.

In the first dialect (``zammad_escalation``) a ticket is answered from its creation on, "response" is the hub's next
response, "update" its periodic update, "solution" its resolution; the waiting states pause all of them. What the source
writes into a field of its database is told here as the event that would have made it so, to the metric it is about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain.business_time import Calendar, from_us, to_us
from schemas.records import Clock, InteractionReceived, Interval
from tests.domain.clocks import Hub, verdicts
from tests.domain.stories import AROUND_THE_CLOCK, MINUTE, START, command, event
from tests.shared import requires_shared, vectors

pytestmark = requires_shared

Vector = dict[str, Any]  # Its shape differs with its op.

LEFT_OUT = {
    "zesc-009": "closes the ticket before replies that were recorded already, and keeps the older statistics; the hub"
    " judges again from the facts, and a wait that the closing ended is cancelled",
    "zesc-057": "counts the first update from the ticket's creation; the hub's begins with the first public message",
    "zesc-073": "counts time after the ticket was closed, since its history ends there; the hub counts none",
}
NOT_OF_A_TICKET = {
    "select_policy": "a rule of policies: which one holds for a ticket",
    "validate_policy": "a rule of policies: which of them are valid",
    "repeat_contact_rate": "a report's ratio",
    "occupancy": "a report's ratio",
    "classify_repeat": "a report's rule",
}
WAITING = ["pending", "on_hold"]
STATES = {
    "new": "open",
    "open": "open",
    "pending reminder": "pending",
    "pending close": "pending",
    "closed": "resolved",
}
METRICS = {
    "first_response": "first_response",
    "response": "next_response",
    "update": "periodic_update",
    "solution": "resolution",
}
MESSAGES = {"customer_message": "email.received", "agent_message": "email.sent"}
#: Which of the source's metrics a field of its database is about, and what it means.
FIELDS = {
    "first_response_at": ("first_response", "agent_message"),
    "last_contact_agent_at": ("response", "agent_message"),
    "last_contact_customer_at": ("response", "customer_message"),
    "close_at": (None, "closed"),
}
Moment = tuple[datetime, str]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def minutes(instant: datetime) -> float:
    return (to_us(instant) - START) / MINUTE


def timeline(vector: Vector, about: str) -> list[Moment]:
    """What happened, as far as it is told of one of the source's metrics: messages, and the hub's statuses."""
    told = vector.get("events", [])
    found: list[Moment] = []
    for each in told:
        if each["kind"] in MESSAGES:
            found.append((at(each["at"]), each["kind"]))
        elif each["kind"] == "state":
            found.append((at(each["at"]), STATES[each["to"]]))
    for each in told:
        if each["kind"] != "set":
            continue
        of, meaning = FIELDS[each["field"]]
        if meaning == "closed" and each["value"] is not None:  # the field wins over the states told at other times
            found = [m for m in found if m[1] in MESSAGES or (m[0] < at(each["value"]) and m[1] != "resolved")]
        if each["value"] is not None and of in (None, about):
            found.append((at(each["value"]), STATES.get(meaning, meaning)))
    created = at(vector["ticket"]["created_at"])
    if about == "first_response" and (created, "customer_message") not in found:
        found.append((created, "customer_message"))  # who made the ticket waits for its first response
    return sorted(found, key=lambda moment: moment[0])


def played(vector: Vector, about: str, metric: str) -> Hub:
    """The vector's ticket under a policy that promises one metric in the source's dialect."""
    allowed = vector["sla"].get(f"{about}_min")
    promised = {metric: {"normal": f"{allowed}m", "pauses": WAITING}} if allowed else {"call_answer": "1m"}
    document = {
        "name": "vector",
        "calendars": {"given": vector["calendar"]},
        "policies": [{"name": "p", "calendar": "given", "targets": promised, "warnings": []}],
    }
    hub = Hub(document)
    created = minutes(at(vector["ticket"]["created_at"]))
    opened = command("opened", "ticket.opened", created, "")
    hub.play(opened, *steps(vector, about, opened.id))
    evaluated = vector.get("evaluated_at")
    if evaluated is not None:
        hub.play(minutes(at(evaluated)))
    return hub


def steps(vector: Vector, about: str, ticket: str) -> list[InteractionReceived]:
    began = STATES[vector["ticket"].get("state", "new")]
    created = at(vector["ticket"]["created_at"])
    moments = timeline(vector, about)
    if began != "open":
        moments.insert(0, (created, began))
    found: list[InteractionReceived] = []
    for number, (instant, what) in enumerate(moments):
        name = f"{number} {what}"
        if what in MESSAGES:
            found.append(event(name, MESSAGES[what], minutes(instant)))
        else:
            found.append(command(name, "ticket.status_set", minutes(instant), ticket, status=what))
    return found


def last(hub: Hub, metric: str) -> Clock | None:
    return hub.clocks(metric)[-1] if hub.clocks(metric) else None


def ended(hub: Hub, metric: str) -> Clock | None:
    """The newest cycle that an answer or the resolving ended."""
    clocks = [
        c for c in hub.ticket().clocks if c.metric == metric and c.ended_at is not None and c.state != "cancelled"
    ]
    return clocks[-1] if clocks else None


def due(clock: Clock | None, current: bool) -> datetime | None:
    """Until when something is still to be done; ``current``: also while the clock stands, as if it ran."""
    if clock is None or (clock.ended_at is not None and current):
        return None
    return None if clock.due_at is None else from_us(clock.due_at)


def spent(clock: Clock | None) -> dict[str, int] | None:
    if clock is None:
        return None
    used = clock.elapsed // MINUTE
    return {"in": used, "diff": clock.target // MINUTE - used}


def reported(vector: Vector) -> dict[str, object]:
    """The fields of the source, from the hub's clocks."""
    names = {"first_response": "first_response", "solution": "close"}
    about_update = "update" if vector["sla"].get("update_min") else "response"
    names[about_update] = "update"
    found: dict[str, object] = {}
    still_due: list[datetime] = []
    for about, name in names.items():
        hub = played(vector, about, METRICS[about])
        clock, done = last(hub, METRICS[about]), spent(ended(hub, METRICS[about]))
        open_until = due(clock, current=not vector.get("ignore_current_state"))
        found[f"{name}_escalation_at"] = open_until
        found[f"{name}_in_min"] = done["in"] if done else None
        found[f"{name}_diff_in_min"] = done["diff"] if done else None
        if open_until is not None:
            still_due.append(open_until)
    found["escalation_at"] = min(still_due, default=None)
    return found


def expected(vector: Vector) -> dict[str, object]:
    told = vector["expected"] | vector.get("expected_exact", {})
    return {key: at(value) if isinstance(value, str) else value for key, value in told.items()}


ALL = [*vectors("zammad_escalation"), *vectors("documented_worked_examples")]


def op(vector: Vector) -> str:
    return str(vector.get("op", "timeline"))


def of(*ops: str) -> list[Any]:  # pytest.param has no public type.
    found = [vector for vector in ALL if op(vector) in ops and vector["id"] not in LEFT_OUT]
    return [pytest.param(vector, id=vector["id"]) for vector in found]


@pytest.mark.parametrize("vector", of("timeline"))
def test_a_timeline_comes_to_the_source_s_deadlines_and_times(vector: Vector) -> None:
    wanted = expected(vector)
    found = reported(vector)
    assert {key: found[key] for key in wanted} == wanted


@pytest.mark.parametrize("vector", of("next_escalation"))
def test_what_is_due_next_is_the_earliest_of_a_ticket_s_clocks(vector: Vector) -> None:
    began = at("2024-01-15T08:00:00+00:00")
    fields = {"first_response": "first_response", "update": "next_response", "close": "resolution"}
    targets = {
        metric: f"{(at(vector[f'{name}_escalation_at']) - began) // timedelta(minutes=1)}m"
        for name, metric in fields.items()
    }
    hub = Hub(policy(targets))
    hub.play(event("mail", "email.received", minutes(began)))
    first = min(hub.ticket().clocks, key=lambda clock: clock.due_at or 0)
    assert first.metric == fields[vector["which"]]
    assert from_us(first.due_at or 0) == at(vector["expected"])
    assert (hub.work.due() or 0) <= (first.due_at or 0) + 1


def policy(targets: object, **more: object) -> dict[str, object]:
    return {**AROUND_THE_CLOCK, "policies": [{"name": "p", "calendar": "always", "targets": targets, **more}]}


# --- reopening, changed goals, two things at once


@pytest.mark.parametrize("vector", of("reopen"))
def test_a_reopened_ticket_is_due_as_documented(vector: Vector) -> None:
    assert vector["mode"] == "exclude_closed_time"
    closed, again, before = (at(vector[key]) for key in ("closed_at", "reopened_at", "resolution_due_before"))
    began = before - timedelta(hours=8)
    hub = Hub(policy({"resolution": "8h"}, reopen="resume"))
    mail = event("mail", "email.received", minutes(began))
    hub.play(
        mail, command("done", "ticket.status_set", minutes(closed), mail.id, status="resolved"), minutes(again) - 1
    )
    assert hub.clocks("resolution")[0].state == "met"
    hub.play(event("no", "email.received", minutes(again)))
    (clock,) = hub.clocks("resolution")
    assert clock.state == "running"
    assert from_us(clock.due_at or 0) == at(vector["expected"]["resolution_due_at"])


@pytest.mark.parametrize("vector", of("elapsed_at_reopen"))
def test_a_reopened_ticket_counts_as_documented(vector: Vector) -> None:
    mode = {"count_closed_time": "count_closed", "exclude_closed_time": "resume"}[vector["mode"]]
    hub = Hub(policy({"total_resolution": "72h"}, reopen=mode))
    mail = event("mail", "email.received", minutes(at(vector["created_at"])))
    done = command("done", "ticket.status_set", minutes(at(vector["closed_at"])), mail.id, status="resolved")
    hub.play(mail, done, event("no", "email.received", minutes(at(vector["reopened_at"]))))
    assert hub.clocks("total_resolution")[0].elapsed == vector["expected"]["elapsed_s"] * 1_000_000


@pytest.mark.parametrize("vector", of("goal_change"))
def test_a_changed_goal_is_due_as_documented(vector: Vector) -> None:
    """The restart is what two policies give whose metrics begin with the change: here, a team's own stretch."""
    goals = {"low": f"{vector['goal_s']}s", "high": f"{vector['new_goal_s']}s"}
    keeps = vector["mode"] == "keep_elapsed"
    metric = "resolution" if keeps else "ownership"
    targets = {metric: {**goals, "normal": goals["low"]}}
    began, changed = minutes(at(vector["created_at"])), minutes(at(vector["change_at"]))
    hub = Hub({**policy(targets), "routes": [{"match": {}, "assign": {"team": "one"}}]})
    mail = event("mail", "email.received", began)
    hub.play(mail)
    assert from_us(hub.clocks(metric)[-1].due_at or 0) == at(vector["expected"]["due_before"])
    if not keeps:
        hub.play(command("give", "ticket.assigned", changed, mail.id, team="two"))
    hub.play(command("up", "ticket.prioritised", changed, mail.id, priority="high"))
    assert from_us(hub.clocks(metric)[-1].due_at or 0) == at(vector["expected"]["due_after"])


TOGETHER: dict[str, Callable[[float, str], InteractionReceived]] = {
    "pause": lambda minute, ticket: command("pause", "ticket.status_set", minute, ticket, status="pending"),
    "stop": lambda minute, ticket: event("stop", "email.sent", minute),
}


@pytest.mark.parametrize("vector", of("simultaneous_conditions"))
def test_of_two_things_at_one_instant_the_stop_wins_then_the_pause(vector: Vector) -> None:
    """The start is the ticket's own; a first response that pauses while the ticket is pending, asked at the start."""
    hub = Hub(policy({"resolution": "8h", "first_response": {"normal": "8h", "pauses": ["pending"]}}))
    names = set(vector["conditions"])
    start = 10.0 if "start" in names else 0.0
    if "start" in names and "pause" in names:  # the question itself would open a pending ticket again
        opened = command("opened", "ticket.opened", start, "")
        metric = "resolution"
    else:
        opened = event("opened", "email.received", start)
        metric = "first_response"
    hub.play(opened, *(TOGETHER[name](10, opened.id) for name in sorted(names - {"start"})))
    state = hub.clocks(metric)[-1].state
    assert {"met": "stopped"}.get(state, state) == vector["expected"]


# --- evidence: pauses and parts of a ticket's time


def stretches(vector: Vector) -> list[Interval]:
    """The evidence of the resolution of the vector's ticket, to its end, or as if it were resolved a month on."""
    hub = played(vector | {"sla": {"solution_min": 60_000}}, "solution", "resolution")
    if not verdicts(hub.outputs):
        created = minutes(at(vector["ticket"]["created_at"]))
        hub.play(command("done", "ticket.status_set", created + 30 * 24 * 60, hub.ticket().id, status="resolved"))
    return verdicts(hub.outputs)[-1].evidence


@pytest.mark.parametrize("vector", of("pauses_from_history"))
def test_the_evidence_shows_the_pauses_on_the_calendar_s_own_dates(vector: Vector) -> None:
    zone = ZoneInfo(vector["calendar"]["tz"])
    found: dict[str, list[list[str]]] = defaultdict(list)
    for interval in stretches(vector):
        begin, end = (from_us(each).astimezone(zone) for each in (interval.begin, interval.end))
        if interval.running or interval.state != "pending":
            continue
        while begin < end:
            midnight = (begin + timedelta(days=1)).replace(hour=0, minute=0)
            until = min(end, midnight)
            last_minute = "24:00" if until == midnight else f"{until:%H:%M}"
            found[f"{begin:%Y-%m-%d}"].append([f"{begin:%H:%M}", last_minute])
            begin = until
    assert found == vector["expected"]


@pytest.mark.parametrize("vector", of("period_working_minutes"))
def test_the_evidence_tells_the_time_worked_in_a_part_of_it(vector: Vector) -> None:
    calendar = Calendar.from_mapping(vector["calendar"])
    start, end = to_us(at(vector["start"])), to_us(at(vector["end"]))
    counted = sum(
        calendar.between_us(max(start, interval.begin), min(end, interval.end))
        for interval in stretches(vector)
        if interval.running and interval.begin < end and interval.end > start
    )
    assert counted == vector["expected"] * MINUTE


@pytest.mark.parametrize("vector", of("destination_time"))
def test_a_target_is_used_up_where_the_source_has_it(vector: Vector) -> None:
    assert vector["start"] == vector["ticket"]["created_at"]
    hub = played(vector | {"sla": {"solution_min": vector["span_min"]}}, "solution", "resolution")
    (breach,) = (v for v in verdicts(hub.outputs) if v.outcome == "breached")
    assert from_us(breach.due_at or 0) == at(vector["expected"])


@pytest.mark.parametrize("vector", of("first_response"))
def test_the_first_response_takes_as_long_as_documented(vector: Vector) -> None:
    hub = Hub(policy({"first_response": "8h"}))
    created, replied = minutes(at(vector["created_at"])), minutes(at(vector["replied_at"]))
    hub.play(event("mail", "email.received", created), event("reply", "email.sent", replied))
    assert hub.clocks("first_response")[0].elapsed == vector["expected"]["first_response_s"] * 1_000_000


def test_every_vector_of_a_ticket_is_judged_or_left_out_with_its_reason() -> None:
    judged = {
        "timeline",
        "next_escalation",
        "reopen",
        "elapsed_at_reopen",
        "goal_change",
        "simultaneous_conditions",
        "pauses_from_history",
        "period_working_minutes",
        "destination_time",
        "first_response",
    }
    assert {op(vector) for vector in ALL} == judged | set(NOT_OF_A_TICKET)
    assert set(LEFT_OUT) <= {vector["id"] for vector in ALL if op(vector) in judged}


@pytest.mark.parametrize("name", ["zesc-009", "zesc-057"])
def test_a_vector_that_is_left_out_does_differ(name: str) -> None:
    vector = next(vector for vector in ALL if vector["id"] == name)
    wanted = expected(vector)
    assert {key: reported(vector)[key] for key in wanted} != wanted
