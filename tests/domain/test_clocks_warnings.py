"""Warnings before the due, as a percent of the target or as a lead: when they are said, and when never."""

from __future__ import annotations

from schemas.records import InteractionReceived
from tests.domain.clocks import MAIL, Hub, mail, policy, reply, status, verdicts
from tests.domain.stories import command


def warned(hub: Hub, *steps: InteractionReceived | float) -> list[tuple[str, int | None, int]]:
    return [(v.outcome, v.threshold, v.episode) for v in verdicts(hub.play(*steps))]


def test_percents_and_leads_are_said_in_the_order_in_which_they_are_reached() -> None:
    hub = Hub(policy(resolution="2h", warnings=[50, "45m", 90, "5m"]))
    hub.play(MAIL)
    assert warned(hub, 59.9) == []
    assert warned(hub, 60) == [("warned", 50, 0)]
    assert warned(hub, 74.9, 75) == [("warned", -45 * 60, 0)]
    assert warned(hub, 108) == [("warned", 90, 0)]
    assert warned(hub, 115, 116, 120) == [("warned", -5 * 60, 0)]
    assert hub.clocks("resolution")[0].warned == [-2700, -300, 50, 90]
    assert warned(hub, 121) == [("breached", None, 0)]


def test_of_several_reached_at_the_first_look_only_the_last_is_said() -> None:
    hub = Hub(policy(resolution="2h", warnings=[50, "45m", 90]))
    assert warned(hub, MAIL, 80) == [("warned", -45 * 60, 0)]
    assert warned(hub, 100, 107.9) == []


def test_a_lead_longer_than_the_target_is_said_at_once() -> None:
    hub = Hub(policy(resolution="1h", warnings=["2h"]))
    assert warned(hub, MAIL, 0.1) == [("warned", -7200, 0)]


def test_a_lead_is_counted_on_the_wall_and_a_percent_in_open_time() -> None:
    hub = Hub(policy("office", resolution="12h", warnings=[75, "17h"]))
    hub.play(MAIL)
    assert hub.due("resolution") == 24 * 60 + 240, "eight hours on Monday, four on Tuesday"
    assert warned(hub, 24 * 60 + 240 - 17 * 60 - 1) == []
    assert warned(hub, 24 * 60 + 240 - 17 * 60) == [("warned", -17 * 3600, 0)]
    assert warned(hub, 24 * 60 + 60) == [("warned", 75, 0)]


def test_never_while_it_stands_still_nor_after_it_was_kept() -> None:
    hub = Hub(policy(resolution="2h", first_response="2h", warnings=[50, "30m"]))
    assert warned(hub, MAIL, status("ask", 30, "pending"), reply("answer", 40), 100, 500) == [("met", None, 0)]


def test_a_first_look_after_the_due_says_the_breach_only() -> None:
    hub = Hub(policy(resolution="2h", warnings=[50, "30m"]))
    assert warned(hub, MAIL, 121) == [("breached", None, 0)]


def test_again_only_if_the_due_moved_later_than_now_and_the_lead() -> None:
    hub = Hub(policy(resolution="2h", warnings=["30m"]))
    assert warned(hub, MAIL, 90) == [("warned", -1800, 0)]
    assert warned(hub, status("ask", 95, "pending"), status("on", 100, "open"), 101) == [], "due in 24 minutes still"
    hub.play(status("ask 2", 105, "pending"), mail("here", 125))
    assert hub.due("resolution") == 145
    assert warned(hub, 126) == []
    hub.play(status("ask 3", 130, "pending"), mail("there", 170))
    assert hub.due("resolution") == 185
    assert warned(hub, 171) == []
    hub = Hub(policy(resolution={"normal": "2h", "low": "4h"}, warnings=["30m"]))
    assert warned(hub, MAIL, 90) == [("warned", -1800, 0)]
    assert warned(hub, command("down", "ticket.prioritised", 100, MAIL.id, priority="low"), 209) == []
    assert warned(hub, 210) == [("warned", -1800, 1)], "in a new episode, so that it is a new alert"


def test_one_wait_alerts_once_at_each_threshold_however_often_somebody_looks() -> None:
    hub = Hub(policy(next_response="1h", warnings=[50]))
    hub.play(MAIL)
    said = [warned(hub, minute) for minute in range(1, 200)]
    assert [each for each in said if each] == [[("warned", 50, 0)], [("breached", None, 0)]]
    assert warned(hub, mail("still", 201), mail("waiting", 202), 203) == []


def test_a_warning_without_more_to_say_is_closed_by_what_comes_of_the_cycle() -> None:
    hub = Hub(policy(next_response="1h", warnings=[50]))
    assert warned(hub, MAIL, 40, status("done", 50, "resolved")) == [("warned", 50, 0), ("cancelled", None, 0)]
