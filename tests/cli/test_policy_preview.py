"""What a dry run foretells is what becomes of the clocks, and a difference is told part by part."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.casework import Casework
from domain.policies import EMPTY, Bundle
from domain.policy_reading import duration
from hub.policy.difference import difference, span
from hub.policy.preview import NONE, Preview, Shift, preview
from projections.configurations.store import OpenClock, OpenTicket
from schemas.records import TicketChanged
from tests.domain.stories import AROUND_THE_CLOCK, DAY, HOUR, MINUTE, START, bundle, command, event

Json = Any  # Any: JSON
MAIL = event("mail", "email.received", 0)


def changed(**parts: object) -> Json:
    """The usual bundle, its one policy with these parts in place of its own."""
    made: Json = copy.deepcopy(AROUND_THE_CLOCK)
    made["policies"][0].update(parts)
    return made


def open_ticket(view: TicketChanged, source: str | None = MAIL.source) -> OpenTicket:
    """A ticket as the read model gives it."""
    clocks = [OpenClock(*(getattr(clock, name) for name in OpenClock.__struct_fields__)) for clock in view.clocks]
    told = {name: getattr(view, name) for name in ("channel", "priority", "queue", "team", "organisation")}
    return OpenTicket(
        id=view.id, **told, tier=view.tier, about=view.about, source=source, changed_at=view.changed_at, clocks=clocks
    )


def look_ahead(
    tickets: Sequence[OpenTicket], before: Bundle, after: Bundle, now: int = START, examples: int = 5
) -> Preview:
    async def pages() -> AsyncIterator[Sequence[OpenTicket]]:
        yield tickets

    known = {before.version: before}
    return asyncio.run(preview(pages(), "t", before, after, known, now, examples))


class Told:
    """A customer's ticket under a bundle, and what is published of it."""

    def __init__(self, document: Json) -> None:
        self.casework = Casework()
        self.before = bundle(1, document)
        self.casework.configure("t", self.before)
        self.view = self.take(MAIL)

    def take(self, told: Any) -> TicketChanged:  # Any: an event
        outputs = self.casework.received("customer", "email:customer@example.com", told)
        return [output for output in outputs if isinstance(output, TicketChanged)][-1]

    def under(self, document: Json, minutes: float) -> TicketChanged:
        """The ticket once another bundle is in force and something happened that concerns no clock."""
        self.casework.configure("t", bundle(2, document))
        return self.take(command("tag", "ticket.tagged", minutes, MAIL.id, tags=["x"]))


def shifts(found: Preview) -> Mapping[str, Shift]:
    return {shift.metric: shift for shift in found.examples}


durations = st.sampled_from(["10m", "1h", "8h", "26h", "5d"])


@given(
    before=st.tuples(durations, st.sampled_from(["always", "office"])),
    after=st.tuples(durations, st.sampled_from(["always", "office"])),
    minutes=st.integers(1, 3000),
)
@settings(max_examples=150, deadline=None)
def test_what_is_foretold_of_a_running_clock_comes_true(
    before: tuple[str, str], after: tuple[str, str], minutes: int
) -> None:
    story = Told(changed(calendar=before[1], targets={"resolution": before[0]}))
    view = story.take(command("prio", "ticket.prioritised", minutes, MAIL.id, priority="high"))
    assume(view.clocks[0].state == "running")
    document = changed(calendar=after[1], targets={"resolution": after[0]})
    now = START + minutes * MINUTE
    foretold = shifts(look_ahead([open_ticket(view)], story.before, bundle(2, document), now)).get("resolution")
    clock = story.under(document, minutes).clocks[0]
    if foretold is None:
        assert (clock.target, clock.due_at) == (view.clocks[0].target, view.clocks[0].due_at)
        return
    assert not foretold.approximate
    assert foretold.target_after == clock.target == duration(after[0], "")
    assert foretold.due_before == view.clocks[0].due_at
    used_up = foretold.due_after is not None and foretold.due_after <= now
    assert foretold.due_after == clock.due_at or (used_up and clock.due_at is not None and clock.due_at <= now)


def test_a_bundle_that_means_the_same_changes_nothing() -> None:
    story = Told(AROUND_THE_CLOCK)
    again = changed(targets={"first_response": "60m", "resolution": {"normal": "8h", "urgent": "120m"}})
    found = look_ahead([open_ticket(story.view)], story.before, bundle(2, again))
    assert (found.tickets, found.unchanged, found.examples) == (1, 1, [])


def test_counts_per_policy_and_the_overdue_first() -> None:
    story = Told(AROUND_THE_CLOCK)
    document = changed(targets={"first_response": "5m", "agent_work": "4h"})
    now = START + 10 * MINUTE
    others = [open_ticket(story.view), open_ticket(story.view, source="chat/one")]
    found = look_ahead(others, story.before, bundle(2, document), now, examples=3)
    tally = found.policies["standard"]
    assert (tally.tickets, tally.moved, tally.shorter, tally.earlier, tally.overdue) == (2, 0, 2, 2, 2)
    assert (tally.new, tally.dropped) == (2, 2)
    assert [shift.what for shift in found.examples] == ["other", "other", "dropped"]
    first = found.examples[0]
    assert (first.metric, first.target_before, first.target_after) == ("first_response", HOUR, 5 * MINUTE)
    assert (first.due_before, first.due_after) == (START + HOUR, START + 5 * MINUTE)
    assert first.overdue


def test_a_ticket_that_no_policy_holds_for_any_more() -> None:
    story = Told(AROUND_THE_CLOCK)
    found = look_ahead([open_ticket(story.view)], story.before, bundle(2, changed(match={"source": "chat/one"})))
    assert found.policies[NONE].moved == 1
    assert found.policies[NONE].dropped == 2
    assert {shift.what for shift in found.examples} == {"dropped"}
    same = look_ahead([open_ticket(story.view)], story.before, bundle(2, changed(match={"source": MAIL.source})))
    assert same.unchanged == 1


def test_a_clock_that_stands_still_is_told_without_a_due() -> None:
    story = Told(AROUND_THE_CLOCK)
    view = story.take(command("wait", "ticket.status_set", 30, MAIL.id, status="pending"))
    found = look_ahead([open_ticket(view)], story.before, bundle(2, changed(targets={"resolution": "1d"})))
    shift = shifts(found)["resolution"]
    assert (shift.target_after, shift.due_before, shift.due_after) == (DAY, None, None)


def test_a_clock_that_has_stood_still_under_another_calendar_is_approximate() -> None:
    story = Told(AROUND_THE_CLOCK)
    story.take(command("wait", "ticket.status_set", 30, MAIL.id, status="pending"))
    view = story.take(command("go", "ticket.status_set", 60, MAIL.id, status="open"))
    found = look_ahead([open_ticket(view)], story.before, bundle(2, changed(calendar="office")))
    assert shifts(found)["resolution"].approximate
    other = look_ahead([open_ticket(view)], story.before, bundle(2, changed(targets={"resolution": "9h"})))
    assert not shifts(other)["resolution"].approximate
    assert shifts(other)["resolution"].due_after == START + 9 * HOUR + 30 * MINUTE


@given(st.integers(1, 10_000_000))
def test_a_span_is_written_as_it_is_read(seconds: int) -> None:
    assert duration(span(seconds * 1_000_000), "here") == seconds * 1_000_000


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (90, "1m30s"), (86_400, "24h"), (172_801, "2d1s")])
def test_spans(seconds: int, text: str) -> None:
    assert span(seconds * 1_000_000) == text


def told(before: Bundle, after: Bundle) -> list[str]:
    return [str(change) for change in difference(before, after)]


def test_a_difference_is_told_part_by_part() -> None:
    after = changed(
        targets={"first_response": {"normal": "90m"}, "callback": {"high": "1h", "pauses": ["pending"]}},
        warnings=[50, "15m"],
        reopen="new_cycle",
    )
    office = after["calendars"]["office"]
    office["hours"]["fri"] = [["09:00", "15:00"]]
    office["holidays"] = ["12-25", "2026-05-01"]
    office["holidays_from"] = {"2026-05-01": "Labour Day (a feed)"}
    del after["routes"]
    after["policies"].append({"name": "second", "calendar": "office", "targets": {"resolution": "3d"}})
    after["escalations"] = [
        {
            "name": "up",
            "when": {"metric": "resolution", "outcome": "warned", "threshold": 75},
            "to": {"team": "leads"},
            "level": 2,
        }
    ]
    after["queues"] = {"calls": {"answer_within": "30s"}}
    after["tickets"] = {"close_after": "14d"}
    assert told(bundle(1), bundle(2, after)) == [
        "~ calendars.office.hours.fri: 09:00-17:00 → 09:00-15:00",
        "+ calendars.office.holidays.12-25: closed",
        "+ calendars.office.holidays.2026-05-01: Labour Day (a feed)",
        "~ policies.standard.targets.first_response.normal: 1h → 1h30m",
        "+ policies.standard.targets.callback.high: 1h",
        "+ policies.standard.targets.callback.pauses: pending",
        "~ policies.standard.warnings: 75 %, 90 % → 50 %, 15m before",
        "~ policies.standard.reopen: resume → new_cycle",
        "+ policies.second.match: everything",
        "+ policies.second.calendar: office",
        "+ policies.second.targets.resolution.low: 3d",
        "+ policies.second.targets.resolution.normal: 3d",
        "+ policies.second.targets.resolution.high: 3d",
        "+ policies.second.targets.resolution.urgent: 3d",
        "+ policies.second.targets.resolution.pauses: pending",
        "+ policies.second.warnings: 75 %, 90 %",
        "+ policies.second.boundary: next_open",
        "+ policies.second.reopen: resume",
        "+ policies.order: standard, then second",
        "- policies.standard.targets.first_response.low: 1h",
        "- policies.standard.targets.first_response.high: 1h",
        "- policies.standard.targets.first_response.urgent: 1h",
        "- policies.standard.targets.resolution.normal: 8h",
        "- policies.standard.targets.resolution.urgent: 2h",
        "- policies.standard.targets.resolution.pauses: pending",
        "- routes.(channel=email): team first-line, organisation vendor-a",
        "+ escalations.up.match: everything",
        "+ escalations.up.when: resolution is warned at 75 %",
        "+ escalations.up.to: team leads",
        "+ escalations.up.level: 2",
        "+ queues.calls.answer_within: 30s",
        "+ queues.calls.short_abandon: 5s",
        "+ queues.calls.formula: answered_within_of_offered_less_short",
        "~ tickets.close_after: 7d → 14d",
    ]


def test_the_order_of_policies_is_a_difference_and_the_writing_is_none() -> None:
    first = changed()
    first["policies"].append({"name": "second", "calendar": "office", "targets": {"resolution": "3d"}})
    second = copy.deepcopy(first)
    second["policies"].reverse()
    assert told(bundle(1, first), bundle(2, second)) == [
        "~ policies.order: standard, then second → second, then standard"
    ]
    second["policies"].reverse()
    second["calendars"]["office"]["hours"]["mon"] = [["13:00", "17:00"], ["09:00", "13:00"]]
    second["policies"][1]["targets"] = {"resolution": {"low": "72h", "normal": "3d", "high": "3d", "urgent": "4320m"}}
    assert told(bundle(1, first), bundle(2, second)) == []
    assert told(EMPTY, bundle(1))[0] == "+ name: test"
    assert len({change.place for change in difference(EMPTY, bundle(1))}) == len(told(EMPTY, bundle(1)))
