"""What a bundle says, what is chosen from it, and for what it is refused, with the place."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from domain.errors import CalendarInvalid, HubError, PolicyInvalid
from domain.policies import DAY, HOUR, METRICS, SECOND, Attributes, QueueTerms
from domain.policy_checks import advice, problems
from domain.policy_reading import duration, read_bundle

Document = dict[Any, Any]  # Any: a document as YAML gives it
MINUTE = 60 * SECOND
ALL_DAY = [["00:00", "24:00"]]
OFFICE = {"tz": "Europe/Berlin", "hours": {"mon": [["09:00", "17:00"]]}}


def document(**parts: object) -> Document:
    """A bundle with one policy; ``parts`` in place of its own."""
    policy = {"name": "one", "calendar": "office", "targets": {"first_response": "4h", "resolution": "2d"}}
    return {"calendars": {"office": OFFICE}, "policies": [policy], **parts}


def with_policy(**parts: object) -> Document:
    """A bundle with one policy that says ``parts``."""
    made = document()
    made["policies"][0].update(parts)
    return made


def places(given: object) -> list[str]:
    """The places of everything for which a bundle is refused."""
    return [error.where for error in problems(given)]


def test_everything_that_can_be_said_is_read() -> None:
    bundle = read_bundle(
        {
            "name": "all",
            "calendars": {"office": OFFICE | {"holidays": ["2026-05-01"], "holidays_from": {"2026-05-01": "feed"}}},
            "policies": [
                {
                    "name": "gold",
                    "match": {"tier": "gold", "about": ["order=1", "order=2"]},
                    "calendar": "office",
                    "targets": dict.fromkeys(METRICS, "4h"),
                    "warnings": [90, "15m", 50, "1h", 50],
                    "reopen": "new_cycle",
                    "boundary": "close",
                },
                {"name": "rest", "calendar": "office", "targets": {"agent_work": {"high": "1h", "pauses": ["open"]}}},
            ],
            "escalations": [
                {
                    "name": "up",
                    "match": {"priority": "urgent"},
                    "when": {"metric": "resolution", "outcome": "warned", "threshold": "15m"},
                    "to": {"queue": "q", "team": "t", "organisation": "o", "person": "p"},
                    "level": 2,
                }
            ],
            "queues": {"calls": {"answer_within": "30s", "short_abandon": "0s", "formula": "f"}, "mails": {}},
            "tickets": {
                "join_window": "1d",
                "close_after": "2d",
                "concurrent_window": "30m",
                "repeat_window": "3d",
                "subject_matter": ["order", "reason"],
                "call_opens": "queued",
            },
        },
        7,
    )
    gold, rest = bundle.policies
    assert gold.warnings == (50, 90, -3600, -900)
    assert (gold.reopen, gold.boundary, rest.reopen, rest.warnings) == ("new_cycle", "close", "resume", (75, 90))
    assert gold.targets["resolution"].pauses == {"pending"}
    assert gold.targets["agent_work"].pauses == {"pending", "on_hold"}
    assert gold.targets["first_response"].pauses == gold.targets["periodic_update"].pauses == frozenset()
    assert rest.targets["agent_work"].durations == {"high": HOUR}
    assert rest.targets["agent_work"].pauses == {"open"}
    (up,) = bundle.escalations
    assert (up.metric, up.on, up.threshold, up.level) == ("resolution", "warned", -900, 2)
    assert (up.queue, up.team, up.organisation, up.person) == ("q", "t", "o", "p")
    assert bundle.terms_for("calls") == QueueTerms("calls", 30 * SECOND, 0, "f")
    assert bundle.terms_for("mails") == QueueTerms("mails") == QueueTerms("mails", 20 * SECOND, 5 * SECOND)
    assert bundle.terms_for("others") == QueueTerms("others")
    assert (bundle.join_window, bundle.close_after) == (DAY, 2 * DAY)
    assert (bundle.concurrent_window, bundle.repeat_window) == (30 * MINUTE, 3 * DAY)
    assert (bundle.subject_matter, bundle.call_opens) == (("order", "reason"), "queued")
    assert bundle.sources == {"office": {"2026-05-01": "feed"}}


def test_a_bundle_that_says_little_is_as_before() -> None:
    bundle = read_bundle(document(), 1)
    assert (bundle.name, bundle.version, bundle.escalations, bundle.queues) == ("default", 1, [], {})
    assert (bundle.join_window, bundle.close_after) == (3 * DAY, 7 * DAY)
    assert (bundle.concurrent_window, bundle.repeat_window, bundle.call_opens) == (HOUR, 7 * DAY, "abandoned")


def test_the_first_policy_that_holds_is_chosen() -> None:
    bundle = read_bundle(
        document(
            policies=[
                with_policy(name="vendor", match={"organisation": ["a", "b"], "priority": "high"})["policies"][0],
                with_policy(name="order", match={"about": "order=1"})["policies"][0],
                with_policy(name="gold", match={"tier": "gold"})["policies"][0],
            ]
        ),
        1,
    )

    def chosen(**given: str) -> str | None:
        policy = bundle.policy_for(Attributes("t", "email", given.pop("priority", "normal"), **given))
        return policy.name if policy else None

    assert chosen(organisation="b", priority="high", about="order=1") == "vendor"
    assert chosen(organisation="b", about="order=1", tier="gold") == "order"
    assert chosen(organisation="c", about="order=2", tier="gold") == "gold"
    assert chosen() is None


def test_what_tickets_are_about_fills_no_memory_unless_a_policy_looks_at_it() -> None:
    bundle = read_bundle(document(), 1)
    for number in range(50):
        bundle.policy_for(Attributes("t", "email", "normal", about=f"order={number}"))
    assert len(bundle._chosen) == 1


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("2d", 172800), ("1d 1s", 86401), ("0h1s", 1)]
)
def test_durations(text: str, seconds: int) -> None:
    assert duration(text, "here") == seconds * SECOND


@pytest.mark.parametrize(
    "value", ["", "5", "m", "-5m", "0m", "1.5h", "٣h", "1w", "h1", 5, None, True, float("nan"), [], "9" * 5000 + "s"]
)
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        duration(value, "here")
    assert refused.value.where == "here"
    assert len(str(refused.value)) < 200


TERMS = ("answer_within", "short_abandon")
WRONG: list[tuple[Document, list[str]]] = [
    (document(colour="red"), ["colour"]),
    (document(calendars={}), ["policies[0].calendar"]),
    (document(calendars={"office": {}}), ["calendars.office.hours"]),
    (document(calendars={"office": {"hours": {}}}), ["calendars.office.hours"]),
    (document(calendars={"office": OFFICE | {"holidays": ["01-01/12-31"]}}), ["calendars.office"]),
    (
        document(
            calendars={
                "office": {
                    "tz": "Mars",
                    "hours": {"mon": [["09:00", "12:00"], ["11:00", "13:00"]], "day": [], "tue": [["17:00", "09:00"]]},
                    "holidays": ["01-01", "02-30", "2026-01-02/2026-01-01", {"country": "DE"}],
                    "breaks": {"2026-01-01": []},
                    "overrides": {"never": ALL_DAY},
                    "colour": "red",
                }
            }
        ),
        [
            "calendars.office.holidays[3]",
            "calendars.office.tz",
            "calendars.office.hours.mon[1]",
            "calendars.office.hours.day",
            "calendars.office.hours.tue[0]",
            "calendars.office.holidays[1]",
            "calendars.office.holidays[2]",
            "calendars.office.breaks.2026-01-01",
            "calendars.office.overrides.never",
            "calendars.office.colour",
        ],
    ),
    (with_policy(name=""), ["policies[0].name"]),
    (with_policy(name=12), ["policies[0].name"]),
    (with_policy(name="a\x00b"), ["policies[0].name"]),
    (with_policy(name="a" * 201), ["policies[0].name"]),
    (with_policy(calendar="elsewhere"), ["policies[0].calendar"]),
    (with_policy(targets={}), ["policies[0].targets"]),
    (with_policy(targets=None), ["policies[0].targets"]),
    (with_policy(targets={"happiness": "1h"}), ["policies[0].targets.happiness"]),
    (with_policy(targets={"resolution": "-4h"}), ["policies[0].targets.resolution"]),
    (with_policy(targets={"resolution": "0h"}), ["policies[0].targets.resolution"]),
    (with_policy(targets={"resolution": "20000d"}), ["policies[0].targets.resolution"]),
    (with_policy(targets={"resolution": {}}), ["policies[0].targets.resolution"]),
    (
        with_policy(targets={"resolution": {"high": "-1m", "low": 5, "pauses": ["pending", "asleep"]}}),
        [f"policies[0].targets.resolution.{part}" for part in ("low", "high", "pauses[1]")],
    ),
    (
        with_policy(targets={"resolution": {"low": "1h", "pauses": ["open", "on_hold", "pending"]}}),
        ["policies[0].targets.resolution.pauses"],
    ),
    (
        with_policy(warnings=[0, 100, -5, True, 1.5, "x", 50]),
        [f"policies[0].warnings[{index}]" for index in range(6)],
    ),
    (with_policy(warnings=["2d"]), ["policies[0].warnings"]),
    (with_policy(boundary="open"), ["policies[0].boundary"]),
    (with_policy(reopen="never"), ["policies[0].reopen"]),
    (with_policy(match={"colour": "red"}), ["policies[0].match.colour"]),
    (with_policy(match={"priority": "highest"}), ["policies[0].match.priority"]),
    (with_policy(match={"queue": 5}), ["policies[0].match.queue"]),
    (with_policy(match={"queue": []}), ["policies[0].match.queue"]),
    (document(routes=[{"match": {}}]), ["routes[0].assign"]),
    (document(routes=[{"assign": {"person": "p"}}]), ["routes[0].assign.person"]),
    (document(queues={"q": {"answer_within": "0s", "short_abandon": "-1s"}}), [f"queues.q.{name}" for name in TERMS]),
    (document(queues={"q": {"answer_within": "5s", "short_abandon": "6s"}}), ["queues.q.short_abandon"]),
    (document(queues={"q": {"formula": "own"}}), ["queues.q.formula"]),
    (document(tickets={"join_window": "1", "call_opens": "always"}), ["tickets.join_window", "tickets.call_opens"]),
    (document(tickets={"subject_matter": ["a", 5]}), ["tickets.subject_matter[1]"]),
    (document(routes=[{"assign": {}}]), ["routes[0].assign"]),
    ({1: {}, "calendars": {"office": OFFICE, ("a",): OFFICE}}, ["1", "calendars"]),
    (document(calendars={"office": OFFICE, 1: OFFICE, "1": OFFICE}), ["calendars.1"]),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), WRONG, ids=[str(expected) for _, expected in WRONG])
def test_what_is_wrong_is_said_with_every_place(given: Document, expected: list[str]) -> None:
    assert places(given) == expected


@pytest.mark.parametrize("given", [None, [], "text", 5, {"policies": {}}, {"calendars": []}, {"tickets": None}])
def test_what_is_no_bundle_is_refused(given: object) -> None:
    assert len(problems(given)) == 1
    with pytest.raises(HubError):
        read_bundle(given, 1)


def escalation(**parts: object) -> Document:
    """An escalation that can be used; ``parts`` in place of its own."""
    when = {"metric": "resolution", "outcome": "breached"}
    return {"name": "up", "when": when, "to": {"team": "leads"}, **parts}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([escalation()], []),
        ([escalation(to={})], ["[0].to"]),
        ([escalation(to=None)], ["[0].to"]),
        ([escalation(when={"metric": "resolution"})], ["[0].when.outcome"]),
        ([escalation(when={"metric": "callback", "outcome": "breached"})], ["[0].when.metric"]),
        ([escalation(when={"metric": "resolution", "outcome": "met"})], ["[0].when.outcome"]),
        ([escalation(when={"metric": "resolution", "outcome": "breached", "threshold": 50})], ["[0].when.threshold"]),
        ([escalation(when={"metric": "resolution", "outcome": "warned"})], []),
        ([escalation(when={"metric": "resolution", "outcome": "warned", "threshold": 90})], []),
        ([escalation(when={"metric": "resolution", "outcome": "warned", "threshold": 80})], ["[0].when.threshold"]),
        ([escalation(when={"metric": "resolution", "outcome": "warned", "threshold": "1h"})], ["[0].when.threshold"]),
        ([escalation(level=0), escalation(name="b", level=100)], ["[0].level", "[1].level"]),
        ([escalation(level=True)], ["[0].level"]),
        ([escalation(), escalation()], ["[1].name"]),
        ([escalation(), escalation(name="b")], ["[1]"]),
        ([escalation(), escalation(name="b", match={"team": "x"}, level=2)], []),
    ],
)
def test_escalations(given: list[Document], expected: list[str]) -> None:
    assert places(document(escalations=given)) == [f"escalations{place}" for place in expected]


HIGHER = ["high", "urgent"]


@pytest.mark.parametrize(
    ("matches", "never"),
    [
        ([{"queue": "a"}, {"queue": "a"}], [1]),
        ([{}, {"queue": "a"}], [1]),
        ([{"queue": ["a", "b"]}, {"queue": "a", "team": "t"}], [1]),
        ([{"queue": "a"}, {"queue": ["a", "b"]}], []),
        ([{"queue": "a", "team": "t"}, {"queue": "a"}], []),
        ([{"queue": "a"}, {"queue": "b"}, {"queue": ["a", "b"]}], [2]),
        ([{"queue": "a"}, {"team": "t"}, {"queue": "a", "team": "t"}], [2]),
        ([{"priority": HIGHER}, {"priority": ["low", "normal"]}, {"queue": "a"}], [2]),
        ([{"priority": HIGHER, "team": "t"}, {"priority": ["low", "normal"]}, {"queue": "a"}], []),
        ([{"priority": HIGHER, "team": "t"}, {"priority": ["low", "normal"]}, {"team": "t"}, {}], [2]),
    ],
)
def test_what_can_never_be_chosen_is_refused(matches: list[Mapping[str, object]], never: list[int]) -> None:
    policies = [with_policy(name=str(n), match=match)["policies"][0] for n, match in enumerate(matches)]
    assert places(document(policies=policies)) == [f"policies[{index}]" for index in never]
    routes = [{"match": match, "assign": {"team": "t"}} for match in matches]
    assert places(document(routes=routes)) == [f"routes[{index}]" for index in never]


def test_overlaps_without_end_are_given_up() -> None:
    names = ["tenant", "channel", "source", "team", "organisation", "queue", "tier", "about"]
    policies = [
        with_policy(name=f"{number}", match={name: f"{name}{number + index}" for index, name in enumerate(names)})
        for number in range(12)
    ]
    made = document(policies=[each["policies"][0] for each in [*policies, with_policy(name="last")]])
    assert places(made) == []


def test_a_bundle_that_was_published_is_read_though_today_it_would_be_refused() -> None:
    made = with_policy(
        name="x\x00" * 300,
        targets={"resolution": {"low": "20000d", "pauses": ["open", "pending", "on_hold"]}},
        match={"priority": "highest", "queue": []},
        warnings=["9d"],
    )
    second = copy.deepcopy(made["policies"][0]) | {"name": "second"}
    made["policies"].append(second)
    made["escalations"] = [escalation(when={"metric": "callback", "outcome": "warned"})]
    made["queues"] = {"q": {"formula": "gone"}}
    assert len(problems(made)) > 3
    bundle = read_bundle(made, 3)
    assert bundle.policies[0].targets["resolution"].durations["low"] == 20000 * DAY
    assert read_bundle(with_policy(targets={"resolution": "999999999999999999d"}), 1)


def test_the_first_thing_that_cannot_be_read_is_raised() -> None:
    with pytest.raises(CalendarInvalid) as refused:
        read_bundle(document(calendars={"office": {"tz": "Mars", "hours": {"mon": [["5", "6"]]}}}), 1)
    assert refused.value.where == "calendars.office.tz"


def test_what_is_seldom_meant_is_said_and_not_refused() -> None:
    made = with_policy(targets={"resolution": {"normal": "1h", "high": "2h", "urgent": "1h"}})
    made["calendars"]["other"] = OFFICE
    made["routes"] = [{"match": {"team": "t"}, "assign": {"team": "t"}}]
    assert problems(made) == []
    found = [place for place, _ in advice(read_bundle(made, 1))]
    assert found == ["calendars.other", "policies[0].targets.resolution.high", "routes[0].match.team"]
