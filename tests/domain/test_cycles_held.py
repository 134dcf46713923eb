"""Cycles from what a ticket was: rounds of work, who held it, and when they took it on; instants are minutes."""

from __future__ import annotations

from domain.cycles import cycles_of
from domain.policies import Attributes, Bundle
from domain.tickets import Moment
from schemas.casework_state import Fact
from tests.domain.clocks import policy
from tests.domain.histories import history_of
from tests.domain.stories import MINUTE, START, bundle

Told = tuple[float | None, str, float | None, str, str]
METRIC = {"resolution": "8h", "agent_work": "8h", "ownership": "8h", "acknowledgement": "8h"}
RESUME, COUNT, NEW = (bundle(1, policy(**METRIC, reopen=mode)) for mode in ("resume", "count_closed", "new_cycle"))


def moment(
    minutes: float,
    status: str = "open",
    team: str | None = None,
    organisation: str | None = None,
    person: str | None = None,
) -> Moment:
    """What the ticket was from then on, by an event that is named by its minute."""
    told = Attributes("t", "email", "normal", "", team, organisation)
    return Moment(START + round(minutes * MINUTE), f"at {minutes:g}", status, told, person)


def act(name: str, minutes: float, kind: str = "note.added", **who: str | None) -> Fact:
    """An action, by an agent unless it says otherwise."""
    return Fact(
        at=START + round(minutes * MINUTE),
        id=name,
        type=kind,
        ticket="t",
        because="named",
        channel="email",
        direction="internal",
        conversation="c",
        **{"actor": "agent", **who},  # type: ignore[arg-type]  # names of fields
    )


def cycles(metric: str, *moments: Moment, facts: tuple[Fact, ...] = (), by: Bundle = RESUME) -> list[Told]:
    found = cycles_of(history_of(moments, facts), by, frozenset({metric})).get(metric, [])
    assert all(each.metric == metric and each.call is None for each in found)
    return [(minutes(each.at), each.by, minutes(each.stop), each.stop_by, each.kind) for each in found]


def minutes(at: int | None) -> float | None:
    return None if at is None else (at - START) / MINUTE


# --- rounds of work


def test_work_lasts_until_it_is_finished_and_a_reopening_goes_on_with_it() -> None:
    begun, done, again = moment(0), moment(10, "resolved"), moment(20)
    assert cycles("resolution", begun) == [(0, "at 0", None, "", "")]
    assert cycles("agent_work", begun, done) == [(0, "at 0", 10, "at 10", "met")]
    assert cycles("resolution", begun, done, moment(15, "closed")) == [(0, "at 0", 10, "at 10", "met")]
    assert cycles("resolution", begun, moment(5, "pending"), done) == [(0, "at 0", 10, "at 10", "met")]
    assert cycles("resolution", begun, done, again) == [(0, "at 0", None, "", "")]
    assert cycles("resolution", begun, done, again, moment(30, "resolved")) == [(0, "at 0", 30, "at 30", "met")]


def test_a_reopening_begins_a_new_round_where_the_policy_says_so() -> None:
    told = moment(0), moment(10, "resolved"), moment(20), moment(25, "pending"), moment(30, "resolved"), moment(40)
    assert cycles("resolution", *told, by=NEW) == [
        (0, "at 0", 10, "at 10", "met"),
        (20, "at 20", 30, "at 30", "met"),
        (40, "at 40", None, "", ""),
    ]
    assert cycles("resolution", *told[:5], by=NEW) == [
        (0, "at 0", 10, "at 10", "met"),
        (20, "at 20", 30, "at 30", "met"),
    ]


def test_the_time_in_between_counts_where_the_policy_says_so() -> None:
    told = moment(0), moment(10, "resolved"), moment(20)
    for by, counts in ((RESUME, False), (COUNT, True), (NEW, False)):
        found = cycles_of(history_of(told), by, frozenset({"resolution"}))["resolution"]
        assert [each.counts_closed for each in found] == ([False, False] if by is NEW else [counts])
    (only,) = cycles_of(history_of(told[:1]), COUNT, frozenset({"resolution"}))["resolution"]
    assert not only.counts_closed
    (first,) = cycles_of(history_of(told[:2]), COUNT, frozenset({"resolution"}))["resolution"]
    assert not first.counts_closed, "it was not reopened"
    nobody = bundle(1, policy(match={"channel": "sms"}, **METRIC, reopen="new_cycle"))
    assert cycles("resolution", *told, by=nobody) == [(0, "at 0", None, "", "")], "no policy, no new round"


# --- who held it


def held(*moments: Moment, by: Bundle = RESUME) -> list[Told]:
    return cycles("ownership", *moments, by=by)


def test_each_holder_holds_it_until_it_is_handed_on() -> None:
    assert held(moment(0)) == []
    assert held(moment(0, team="a")) == [(0, "at 0", None, "", "")]
    assert held(moment(0), moment(5, team="a"), moment(9, team="b")) == [
        (5, "at 5", 9, "at 9", "met"),
        (9, "at 9", None, "", ""),
    ]
    assert held(moment(0, team="a"), moment(5, "pending", "a"), moment(9, team="a", person="p")) == [
        (0, "at 0", None, "", "")
    ]
    assert held(moment(0, team="a"), moment(5, team="a", organisation="o")) == [
        (0, "at 0", 5, "at 5", "met"),
        (5, "at 5", None, "", ""),
    ]
    assert held(moment(0, organisation="o"), moment(5)) == [(0, "at 0", 5, "at 5", "met")]
    assert held(moment(0, team="a"), moment(5, team="b"), moment(5, team="c")) == [
        (0, "at 0", 5, "at 5", "met"),
        (5, "at 5", None, "", ""),
    ], "who had it for no time held nothing"


def test_what_is_resolved_is_held_by_nobody_until_it_is_open_again() -> None:
    assert held(moment(0, team="a"), moment(10, "resolved", "a")) == [(0, "at 0", 10, "at 10", "met")]
    assert held(moment(0, "resolved", "a")) == []
    assert held(moment(0, "resolved", "a"), moment(5, "closed", "a"), moment(9, "open", "a")) == [
        (9, "at 9", None, "", "")
    ]
    assert held(moment(0, "resolved", "a"), moment(9, "open", "b")) == [(9, "at 9", None, "", "")]
    again = moment(0, team="a"), moment(10, "resolved", "a"), moment(20, "open", "a"), moment(30, team="b")
    assert held(*again) == [(0, "at 0", 30, "at 30", "met"), (30, "at 30", None, "", "")]
    assert held(*again, by=NEW) == [
        (0, "at 0", 10, "at 10", "met"),
        (20, "at 20", 30, "at 30", "met"),
        (30, "at 30", None, "", ""),
    ]


def test_what_is_held_while_it_is_resolved_begins_with_its_opening() -> None:
    assert held(moment(0, "resolved", "a"), moment(9, "open", "a"), moment(12, "pending", "a")) == [
        (9, "at 9", None, "", "")
    ]


def test_nobody_holds_what_a_waiting_call_began_before_the_ticket_was_opened() -> None:
    course = history_of([moment(0, team="a"), moment(10, team="b")])

    def begun(minute: float) -> list[Told]:
        course.opened_at, course.opened_by = START + round(minute * MINUTE), "the opening"
        found = cycles_of(course, RESUME, frozenset({"ownership"}))["ownership"]
        return [(minutes(each.at), each.by, minutes(each.stop), each.stop_by, each.kind) for each in found]

    after = (10, "at 10", None, "", "")
    assert begun(4) == [(4, "the opening", 10, "at 10", "met"), after]
    assert begun(0) == [(0, "at 0", 10, "at 10", "met"), after]
    assert begun(10) == [after], "it was handed on as it was opened"
    assert begun(12) == [(12, "the opening", None, "", "")]
    three = history_of([moment(0, team="a"), moment(2, "pending", "a"), moment(5, "resolved", "a")])
    three.opened_at, three.opened_by = START + MINUTE, "the opening"
    two = history_of([moment(0, team="a"), moment(5, "resolved", "a")])
    two.opened_at, two.opened_by = START + MINUTE, "the opening"
    (whole,) = cycles_of(two, RESUME, frozenset({"ownership"}))["ownership"]
    assert (whole.by, minutes(whole.stop), whole.kind) == ("the opening", 5, "met")
    (whole,) = cycles_of(three, RESUME, frozenset({"ownership"}))["ownership"]
    assert (whole.by, minutes(whole.stop), whole.kind) == ("the opening", 5, "met")


# --- when they took it on


def taken(*facts: Fact, moments: tuple[Moment, ...] = (moment(0, team="a", organisation="o"),)) -> Told:
    found = cycles("acknowledgement", *moments, facts=facts)
    return found[0]


OPEN = (0, "at 0", None, "", "")


def test_who_was_given_it_takes_it_on_by_the_first_thing_they_do() -> None:
    assert taken() == OPEN
    assert taken(act("accepted", 5, "ticket.accepted", actor="system")) == (0, "at 0", 5, "accepted", "met")
    assert taken(act("note", 5, team="a")) == (0, "at 0", 5, "note", "met")
    assert taken(act("note", 5, team="a"), act("more", 6, team="a")) == (0, "at 0", 5, "note", "met")
    assert taken(act("note", 5, organisation="o")) == (0, "at 0", 5, "note", "met")
    assert taken(act("note", 5, team="a", organisation="o")) == (0, "at 0", 5, "note", "met")


def test_others_do_not_take_it_on() -> None:
    assert taken(act("note", 5, team="b")) == OPEN
    assert taken(act("note", 5, organisation="p")) == OPEN
    assert taken(act("note", 5, team="a", organisation="p")) == OPEN
    assert taken(act("note", 5, team="b", organisation="o")) == OPEN
    assert taken(act("note", 5, team="a", actor="bot")) == OPEN
    assert taken(act("note", 5, team="a", actor="customer")) == OPEN
    automatic = act("note", 5, team="a")
    automatic.automatic = True
    assert taken(automatic) == OPEN
    only_team = (moment(0, team="a"),)
    assert taken(act("note", 5, organisation="o"), moments=only_team) == OPEN, "which of its teams, nobody knows"
    only_organisation = (moment(0, organisation="o"),)
    assert taken(act("note", 5, team="a"), moments=only_organisation) == OPEN
    assert taken(act("note", 5, team="a", organisation="o"), moments=only_organisation) == (0, "at 0", 5, "note", "met")


def test_who_names_no_team_takes_it_on_by_turning_to_the_customer_or_as_the_person_it_was_given_to() -> None:
    assert taken(act("note", 5)) == OPEN
    assert taken(act("mail", 5, "email.sent")) == (0, "at 0", 5, "mail", "met")
    assert taken(act("mail", 5, "email.sent", actor="")) == (0, "at 0", 5, "mail", "met")
    assert taken(act("note", 5, actor="")) == OPEN
    assert taken(act("note", 5, person="p")) == OPEN
    mine = (moment(0, team="a", person="p"),)
    assert taken(act("note", 5, person="p"), moments=mine) == (0, "at 0", 5, "note", "met")
    assert taken(act("note", 5, person="q"), moments=mine) == OPEN
    assert taken(act("note", 5, person="p"), moments=(moment(0, team="a"), moment(3, team="a", person="p"))) == (
        0, "at 0", 5, "note", "met",
    )  # fmt: skip


def test_what_was_done_before_it_was_given_takes_nothing_on() -> None:
    given = (moment(0), moment(5, team="a"))
    assert cycles("acknowledgement", *given, facts=(act("before", 3, team="a"),)) == [(5, "at 5", None, "", "")]
    at_once = act("before", 5, team="a"), act("at 5", 5, "ticket.assigned", actor="system"), act("then", 5, team="a")
    assert cycles("acknowledgement", *given, facts=at_once) == [(5, "at 5", 5, "then", "met")]
    assert cycles("acknowledgement", *given, facts=at_once[:2]) == [(5, "at 5", None, "", "")]
    early = act("early", 3, team="a")
    assert cycles("acknowledgement", *given, facts=(early, *at_once)) == [(5, "at 5", 5, "then", "met")]
    assert cycles("acknowledgement", *given, facts=(early, *at_once[:2])) == [(5, "at 5", None, "", "")]


def test_it_is_taken_on_by_handing_it_on_and_no_more_when_it_is_resolved() -> None:
    handed = (moment(0, team="a"), moment(10, team="b"))
    assert cycles("acknowledgement", *handed) == [(0, "at 0", 10, "at 10", "met"), (10, "at 10", None, "", "")]
    late = (act("late", 10, team="a"), act("by b", 12, team="b"))
    assert cycles("acknowledgement", *handed, facts=late) == [
        (0, "at 0", 10, "at 10", "met"),
        (10, "at 10", 12, "by b", "met"),
    ]
    done = (moment(0, team="a"), moment(10, "resolved", "a"), moment(12, "closed", "a"))
    assert cycles("acknowledgement", *done) == [(0, "at 0", 10, "at 10", "cancelled")]
    assert cycles("acknowledgement", *done[:2]) == [(0, "at 0", 10, "at 10", "cancelled")]
    assert cycles("acknowledgement", *done, facts=(act("note", 5, team="a"),)) == [(0, "at 0", 5, "note", "met")]
    again = (moment(0, team="a"), moment(10, "resolved", "a"), moment(20, team="a"), moment(30, "resolved", "a"))
    assert cycles("acknowledgement", *again) == [(0, "at 0", 30, "at 30", "cancelled")]
    assert cycles("acknowledgement", *again[:3]) == [OPEN]
