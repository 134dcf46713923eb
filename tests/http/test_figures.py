"""Figures over HTTP and on the command line: real calls, counted by their queues' terms, with what was left out."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from rich.console import Console

from hub.figures import show
from hub.local.ami_peer import abandoned_call, answered_call
from projections.contacts import store
from projections.contacts.counted import Wanted
from projections.tickets import store as tickets
from projections.timeline import store as timeline
from projections.verdicts import store as verdicts
from runtime.settings import Settings
from schemas.records import Handling, TimelineEntryAdded
from tests.adapters.asterisk_ami.ami_fakes import NOW, NUMBER, SECOND
from tests.domain.calls import asterisk
from tests.domain.test_contacts import connect_transfer
from tests.http.serving import Served, serving
from tests.projections.samples import MINUTE, ticket, uid, verdict

pytestmark = pytest.mark.postgres
DAY = 86_400 * SECOND
PERIOD = {"from": "2026-09-21T00:00:00Z", "to": "2026-09-22T00:00:00Z"}
ADD_BUNDLE = "INSERT INTO configurations (tenant, name, event, body) VALUES ('default', 'standard', $1, $2)"
BUNDLE = msgspec.json.encode(
    {
        "name": "standard",
        "calendars": {},
        "policies": [],
        "routes": [
            {"match": {"channel": "voice"}, "assign": {"queue": "support", "team": "desk", "organisation": "vendor-a"}}
        ],
        "queues": {
            "support": {"answer_within": "15s", "short_abandon": "4s"},
            "billing": {"answer_within": "10s", "formula": "sl_strict"},
        },
    }
).decode()


def calls() -> list[TimelineEntryAdded]:
    """Answered after 12 s and after 20 s; given up after 3 s, after 30 s; and one that waits still."""
    found = []
    for number, (waits, talks) in enumerate([(12, 60), (20, 40)]):
        at = NOW + number * MINUTE
        found += answered_call(
            f"{number}.1", NUMBER, "support", "Agent/7", offered=at, queued=at, answered=at + waits * SECOND,
            ended=at + (waits + talks) * SECOND,
        )  # fmt: skip
    for number, waits in enumerate([3, 30], 2):
        at = NOW + number * MINUTE
        found += abandoned_call(f"{number}.1", NUMBER, "support", offered=at, queued=at, gave_up=at + waits * SECOND)
    found += abandoned_call("9.1", NUMBER, "support", offered=NOW, queued=NOW, gave_up=NOW)[:2]
    return [msgspec.structs.replace(entry, customer=uid("caller", entry.conversation)) for entry in asterisk(found)]


@pytest.fixture
async def filled(dsn: str, tmp_path: Path) -> str:
    connection = await asyncpg.connect(dsn)
    entries = calls() + connect_transfer(tmp_path)
    await timeline.add(connection, entries)
    await store.add(connection, entries)
    await connection.execute(
        "INSERT INTO configurations (tenant, name, event, body) VALUES ('default', 'standard', $1, $2)",
        uid("b"),
        BUNDLE,
    )
    await connection.close()
    return dsn


@pytest.fixture
async def served(filled: str) -> AsyncIterator[Served]:
    async with serving(filled) as found:
        yield found


async def asked(served: Served, **more: str) -> dict[str, Any]:
    answer = await served.http.get("/v1/figures", params=PERIOD | more)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def group(found: dict[str, Any], name: str | None) -> dict[str, Any]:
    (one,) = [each["figures"] for each in found["groups"] if each["name"] == name]
    figures: dict[str, Any] = one
    return figures


def fraction(figure: dict[str, Any]) -> tuple[float, int]:
    return figure["numerator"], figure["denominator"]


async def test_the_figures_of_two_queues_each_by_its_terms(served: Served) -> None:
    found = await asked(served)
    assert (found["from"], found["to"]) == ("2026-09-21T00:00:00.000000Z", "2026-09-22T00:00:00.000000Z")
    assert found["as_of"] == "2026-01-02T12:10:00.000000Z"
    support, billing = group(found, "support"), group(found, "billing")
    # Of six, one waits still, and one gave up before 4 s; one was answered within 15 s.
    assert fraction(support["service_level"]) == (1, 4)
    assert support["service_level"]["value"] == 25
    assert support["service_level"]["left_out"] == {"waiting": 1}
    assert fraction(support["abandonment"]) == (2, 5)
    assert fraction(support["abandonment_less_short"]) == (1, 4)
    # Amazon Connect's first turn waited 20 s in the same queue, and talked 70 s, held 30 s, wrapped up 40 s.
    assert fraction(support["average_speed_of_answer"]) == (52, 3)
    assert fraction(support["average_handling_time"]) == (60 + 40 + 70 + 30 + 40, 3)
    assert support["average_handling_time"]["notes"] == {"wrap_up_unknown": 2, "vendor_talks": 1}
    assert fraction(support["transfers"]) == (1, 3)
    assert (billing["service_level"]["formula"], fraction(billing["service_level"])) == ("sl_strict", (0, 1))
    assert fraction(billing["average_handling_time"]) == (64 + 10, 1)
    assert fraction(billing["transfers"]) == (0, 1)
    assert found["formulas"]["sl_strict"]["sentence"] == "answered within T / (answered + abandoned)"
    assert found["terms"][0]["version"] == 1
    assert found["breaches"] is None


async def test_by_channel_two_formulas_have_no_common_value(served: Served) -> None:
    level = group(await asked(served, by="channel"), "voice")["service_level"]
    assert (level["value"], level["formula"], level["left_out"]["different_formulas"]) == (None, None, 6)
    one = group(await asked(served, by="channel", queue="support"), "voice")["service_level"]
    assert fraction(one) == (1, 4)


async def test_whom_nobody_answered_is_of_those_the_queue_is_given_to(served: Served) -> None:
    found = group(await asked(served, by="organisation"), "vendor-a")
    assert fraction(found["abandonment"]) == (2, 6)
    assert group(await asked(served, by="team"), "desk")["abandonment"]["denominator"] == 4


async def test_filters_and_a_period_in_which_nothing_was(served: Served) -> None:
    assert (await asked(served, tenant="nobody"))["groups"] == []
    assert (await asked(served, channel="chat"))["groups"] == []
    only = await asked(served, team="first line")
    assert fraction(group(only, "support")["average_handling_time"]) == (140, 1)
    empty = await asked(served, **{"from": "2025-09-21T00:00:00Z", "to": "2025-09-22T00:00:00Z"})
    assert empty["groups"] == []


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"to": "2026-09-21T00:00:00Z"}, "bad_period"),
        ({"from": "2024-01-01T00:00:00Z"}, "bad_period"),
        ({"from": "2026-09-21T00:00:00"}, None),
        ({"by": "person"}, None),
    ],
)
async def test_what_can_not_be_is_refused(served: Served, wrong: dict[str, str], reason: str | None) -> None:
    answer = await served.http.get("/v1/figures", params=PERIOD | wrong)
    assert answer.status_code == 422
    assert reason is None or answer.json()["reason"] == reason


async def test_a_repeat_is_charged_to_where_the_contact_before_it_was(dsn: str) -> None:
    """The same customer called support at first and billing the next day: support's contact had a repeat."""
    entries = []
    for number, queue in enumerate(("support", "billing")):
        at = NOW + number * DAY
        blocks = answered_call(
            f"{number}.1", NUMBER, queue, "Agent/7", offered=at, queued=at, answered=at + SECOND, ended=at + 9 * SECOND
        )
        entries += [msgspec.structs.replace(each, about="order=7", ticket=uid(queue)) for each in asterisk(blocks)]
    connection = await asyncpg.connect(dsn)
    await timeline.add(connection, entries)
    await store.add(connection, entries)
    resolved = [
        ticket(id=uid(queue), conversations=["one"], resolved_at=NOW + 2 * DAY, clocks=[])
        for queue in ("support", "billing")
    ]
    await tickets.put(connection, resolved)
    await connection.close()
    async with serving(dsn) as served:
        found = await asked(served, to="2026-10-22T00:00:00Z")
        support, billing = group(found, "support"), group(found, "billing")
        assert (fraction(support["repeat_contacts"]), fraction(billing["repeat_contacts"])) == ((1, 1), (0, 1))
        assert fraction(support["first_contact_resolution"]) == (0, 1)
        assert fraction(billing["first_contact_resolution"]) == (1, 1)
        assert billing["first_contact_resolution"]["notes"] == {"provisional": 1}
        first_day = await asked(served)
        assert fraction(group(first_day, "support")["repeat_contacts"]) == (1, 1), "the repeat came after the period"


@pytest.mark.parametrize(
    ("changes", "fraction_"),
    [
        ({}, (1, 1)),
        ({"resolved_at": None}, (0, 0)),
        ({"reopened": 1}, (0, 1)),
        ({"conversations": ["one", "two"]}, (0, 1)),
        ({"handled_by": [Handling(NOW, NOW, 1, "own", "second line")]}, (0, 1)),
        ({"handled_by": [Handling(NOW, NOW, 1, "vendor-a", "desk")]}, (1, 1)),
        ({"merged_into": uid("other"), "resolved_at": None}, (0, 1)),
    ],
)
async def test_what_is_resolved_with_its_first_contact(
    dsn: str, changes: dict[str, object], fraction_: tuple[int, int]
) -> None:
    """One answered call, of one ticket; where it was merged, the one that goes on for it counts."""
    blocks = answered_call(
        "1.1", NUMBER, "support", "Agent/7", offered=NOW, queued=NOW, answered=NOW + SECOND, ended=NOW + 9 * SECOND
    )
    entries = [msgspec.structs.replace(each, ticket=uid("t")) for each in asterisk(blocks)]
    plain = ticket(id=uid("t"), conversations=["one"], resolved_at=NOW + DAY, clocks=[])
    other = ticket(id=uid("other"), conversations=["mail", "one"], resolved_at=NOW + DAY, clocks=[])
    connection = await asyncpg.connect(dsn)
    await timeline.add(connection, entries)
    await store.add(connection, entries)
    await tickets.put(connection, [msgspec.structs.replace(plain, **changes), other])
    await connection.close()
    async with serving(dsn) as served:
        found = group(await asked(served), "support")["first_contact_resolution"]
    assert fraction(found) == fraction_
    assert found["left_out"] == ({"unresolved": 1} if fraction_ == (0, 0) else {})


async def test_breaches_are_divided_among_those_who_held_the_tickets(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await verdicts.add(
        connection,
        [verdict(1), verdict(2, outcome="breached", ticket=uid("t"), id=uid("b")),
         verdict(3, outcome="retracted", ticket=uid("t"), id=uid("r"))],
    )  # fmt: skip
    await connection.close()
    async with serving(dsn) as served:
        period = {"from": "2026-01-02T00:00:00Z", "to": "2026-01-03T00:00:00Z"}
        found = (await asked(served, by="organisation", **period))["breaches"]
    told = {each["organisation"]: each for each in found}
    assert (told["vendor-a"]["charged"], told["own"]["charged"]) == (0, 1)
    assert told["vendor-a"]["part"] + told["own"]["part"] == 1
    assert (told["vendor-a"]["counted_seconds"], told["own"]["counted_seconds"]) == (2400, 1201)
    assert (told["vendor-a"]["overrun_seconds"], told["own"]["overrun_seconds"]) == (0, 1)


async def test_the_command_prints_the_same(filled: str) -> None:
    wanted = Wanted(NOW - NOW % DAY, NOW - NOW % DAY + DAY)
    text = io.StringIO()
    assert await show(Settings(postgres=filled), wanted, as_json=False, out=Console(file=text, width=200)) == 0
    assert "25.0 % of 4" in text.getvalue()
    assert "support, service level [answered_within_of_offered_less_short]: 1 left out (waiting)" in text.getvalue()
    line = io.StringIO()
    assert await show(Settings(postgres=filled), wanted, as_json=True, out=Console(file=line, width=80)) == 0
    told = msgspec.json.decode(line.getvalue())
    assert {each["name"] for each in told["groups"]} == {"support", "billing"}
    assert told["from"] == "2026-09-21T00:00:00.000000Z"
