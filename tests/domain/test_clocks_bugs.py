"""What went wrong elsewhere and must not here: each test names the report it restates, as far as it is about clocks.

One of the list is about calendars alone and is tested there: a Sunday's ``before()`` (zendesk/biz#73).
"""

from __future__ import annotations

from collections.abc import Mapping

from domain.announced import KEPT, looks
from domain.cycles import cycles_of
from domain.policies import METRICS
from domain.tickets import history
from schemas.casework_state import pack
from schemas.records import TicketChanged
from tests.domain.clocks import CUSTOMER, MAIL, Hub, mail, policy, reply, status, verdicts
from tests.domain.stories import AROUND_THE_CLOCK, MINUTE, command, event

HOURS = 60
DAYS = 24 * HOURS
OFFICE = AROUND_THE_CLOCK["calendars"]["office"]  # type: ignore[index]  # a mapping


def in_hours(calendar: Mapping[str, object], **targets: object) -> dict[str, object]:
    return policy("given", **targets) | {"calendars": {"given": calendar}}


def test_midnight_does_not_close_a_calendar_that_is_always_open() -> None:
    """zammad#3180: a 24/7 calendar lost a minute at each midnight."""
    hub = Hub(policy(resolution="240h"))
    hub.play(MAIL, status("done", 7 * DAYS + 0.25, "resolved"))
    assert hub.states("resolution") == [(1, "met", 7 * DAYS + 0.25)]


def test_a_holiday_told_twice_is_one_day_off() -> None:
    """zammad#390: the days of a holiday feed were counted once for each entry."""
    feed = {**OFFICE, "holidays": ["2026-01-06", "01-06", "2026-01-06/2026-01-06"]}
    hub = Hub(in_hours(feed, resolution="10h"))
    hub.play(MAIL)
    assert hub.due("resolution") == 2 * DAYS + 2 * HOURS, "eight hours on Monday, none on Tuesday, two on Wednesday"


def test_a_customer_s_message_from_the_web_starts_the_wait_again() -> None:
    """zammad#1322: what a customer wrote in the web form after an answer did not start the clock again."""
    hub = Hub(policy(next_response="1h"))
    hub.play(MAIL, reply("answer", 10), event("form", "message.received", 30, channel="web", conversation="web:1"))
    assert hub.due("next_response") == 90


def test_the_clock_of_the_group_that_gave_the_ticket_away_does_not_go_on() -> None:
    """zammad#5624: after a transfer to a group without a policy, the escalation of the old group's was still raised."""
    hub = Hub(policy(match={"team": "first-line"}, first_response="1h", resolution="4h", next_response="2h"))
    told = hub.told(MAIL, command("away", "ticket.assigned", 30, MAIL.id, team="second-line"))
    assert {each.outcome for each in told} == {"cancelled"}
    assert hub.told(10 * DAYS) == []


def test_the_next_response_does_not_run_after_the_resolving() -> None:
    """chatwoot#10178: a resolved conversation went on missing its next response."""
    hub = Hub(policy(next_response="1h"))
    hub.play(MAIL, reply("answer", 10), mail("thanks", 20), status("done", 30, "resolved"))
    assert hub.told(2 * DAYS) == []
    assert hub.states("next_response")[-1] == (2, "cancelled", 10)


def test_a_day_with_two_shifts_counts_both() -> None:
    """chatwoot#14009: only one shift a day could be told, so the break was counted or half the day was not."""
    split = {"tz": "Europe/Berlin", "hours": {"mon": [["09:00", "12:00"], ["14:00", "18:00"]]}}
    hub = Hub(in_hours(split, resolution="5h"))
    hub.play(MAIL)
    assert hub.due("resolution") == 7 * HOURS


def test_one_wait_alerts_once() -> None:
    """A wait in which the customer asked three times was alerted three times."""
    hub = Hub(policy(next_response="1h", warnings=[]))
    told = hub.told(MAIL, mail("a", 10), mail("b", 50), 61, mail("c", 62), 130, mail("d", 131), 500)
    assert [(each.cycle, each.outcome) for each in told] == [(1, "breached")]


def test_what_was_done_after_its_due_is_no_hit_because_nobody_looked_before() -> None:
    """A poll that came after a late resolving saw a resolved ticket and counted it as in time."""
    hub = Hub(policy(resolution="1h", warnings=[]))
    assert [each.outcome for each in hub.told(MAIL, status("done", 61, "resolved"), 90)] == ["breached", "ended"]


def test_pending_over_a_weekend_takes_out_the_open_hours_only() -> None:
    """glpi#10594: the wall time of a weekend in pending was taken out of working time, and the due moved too far."""
    hub = Hub(policy("office", resolution="50h"))
    friday = 4 * DAYS + 7 * HOURS  # 16:00
    hub.play(MAIL, status("ask", friday, "pending"), status("on", friday + 2 * DAYS + 18 * HOURS, "open"))
    assert hub.clocks("resolution")[0].elapsed == 39 * HOURS * MINUTE, "to Friday 16:00; Monday goes on from 10:00"
    assert hub.due("resolution") == 8 * DAYS + 4 * HOURS, "eleven hours are left: Monday 10 to 17, Tuesday to 13"


def test_a_change_of_policy_does_not_forget_what_was_paused() -> None:
    """glpi#15605: with another service level, the time in pending counted as if it had run."""
    rules = [
        {"name": "urgent", "match": {"priority": "urgent"}, "calendar": "always", "targets": {"resolution": "2h"}},
        {"name": "rest", "calendar": "always", "targets": {"resolution": "8h"}},
    ]
    hub = Hub({**AROUND_THE_CLOCK, "policies": rules})
    hub.play(MAIL, status("ask", 10, "pending"), status("on", 300, "open"))
    hub.play(command("up", "ticket.prioritised", 310, MAIL.id, priority="urgent"))
    assert (hub.clocks("resolution")[0].elapsed, hub.due("resolution")) == (20 * MINUTE, 410)


def test_hundreds_of_mails_cost_what_the_newest_of_them_cost() -> None:
    """zammad#2408: each mail of a ticket with hundreds was slower than the one before, and all of them were told."""
    hub = Hub(policy(first_response="1h", next_response="1h", periodic_update="1h", resolution="900h", warnings=[]))
    for number in range(250):
        hub.play(mail(f"ask {number}", number * 30), reply(f"answer {number}", number * 30 + 10))
    shown = [each for each in hub.outputs if isinstance(each, TicketChanged)]
    assert max(len(each.clocks) for each in shown) <= 2 + 2 * (KEPT + 1)
    assert len(verdicts(hub.outputs)) == 1 + 250 + 249, "what each mail changed, and nothing again"
    state = hub.work.customers[CUSTOMER]
    (ticket,) = state.tickets
    bundle = hub.work.bundles[1]
    cycles = cycles_of(history(ticket, state, bundle, hub.work.reached), bundle, bundle.promised)
    assert len(looks(ticket.clocks, cycles, ticket.facts[-1].at)[0]) <= 2 + 2 * (KEPT + 1)
    assert len(pack(ticket.clocks)) < 50 * len(ticket.clocks), "bytes kept of a finished cycle"


def test_summer_time_is_not_applied_to_what_happened_in_winter() -> None:
    """dbt_zendesk#25: the offset of the day of the report was applied to all of the history."""
    hub = Hub(policy("office", resolution="900h"))
    summer = 182 * DAYS  # a Monday
    hub.play(MAIL, status("ask", 8 * HOURS, "pending"), status("on", summer - HOURS, "open"))
    assert hub.clocks("resolution")[0].elapsed == 8 * HOURS * MINUTE, "all of a winter's Monday, from 09:00 to 17:00"
    hub.play(status("done", summer + 7 * HOURS, "resolved"))
    assert hub.clocks("resolution")[0].elapsed == 16 * HOURS * MINUTE, "all of a summer's, an hour earlier in UTC"


def test_no_clock_counts_less_than_nothing() -> None:
    """Negative hours: an answer whose mail server's clock is behind came before its question."""
    hub = Hub(policy(first_response="1h", next_response="1h", resolution="1h"))
    hub.play(MAIL, reply("before", -5, received=1), status("done", -3, "resolved", received=2), reply("after", 10))
    assert all(clock.elapsed >= 0 for clock in hub.ticket().clocks)
    assert all(v.elapsed >= 0 for v in verdicts(hub.outputs))


def test_a_closed_ticket_alerts_nobody() -> None:
    """libredesk#70: closed tickets still missed their targets."""
    hub = Hub(policy(**dict.fromkeys(METRICS, "1h"), warnings=[50]))
    hub.play(MAIL, reply("answer", 5), mail("more", 10), status("end", 20, "closed"))
    assert hub.told(25, 35, 65, 2 * DAYS, 30 * DAYS) == []


def test_a_merged_ticket_is_due_no_more() -> None:
    """zammad#904: a ticket that was merged into another still escalated."""
    hub = Hub(policy(**dict.fromkeys(METRICS, "1h"), warnings=[50]))
    other = command("other", "ticket.opened", 5, "")
    hub.play(MAIL, other, command("merge", "ticket.merged", 20, MAIL.id, target=other.id))
    told = [v for v in verdicts(hub.play(40, 61, 2 * DAYS)) if v.ticket == MAIL.id]
    assert told == []
    (merged,) = (v for v in verdicts(hub.outputs) if (v.ticket, v.metric) == (MAIL.id, "next_response"))
    assert (merged.outcome, merged.elapsed) == ("cancelled", 20 * MINUTE)
