"""``hub sla what-if``: the same log judged under another bundle, compared by team and vendor, with nothing written."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
import yaml

from domain.errors import DurationInvalid
from hub.sla.fates import EXAMPLES, Difference, Fate, Fates, Owner
from hub.sla.period import EVER, Period, period
from hub.sla.what_if import Twice, candidate_of
from hub.verify.digest import digest_of
from hub.verify.evidence import Evidence
from hub.verify.log import open_log
from runtime.settings import Settings
from schemas.records import ConfigurationPublished, InteractionReceived, TimeAdvanced
from schemas.topics import topics
from tests.chaos.perfect import perfect
from tests.chaos.producer import bundle as chaos_bundle
from tests.cli.running import hub, inside
from tests.domain.random_stories import CUSTOMER, DOCUMENT, OPENING
from tests.domain.stories import AROUND_THE_CLOCK, MINUTE, START, command, event
from tests.domain.test_recheck import TOLD, Story
from tests.verify.laid import lay_out, settings_of

PUBLISHED = ConfigurationPublished("e", "t", "test", 1, 0, msgspec.json.encode(DOCUMENT).decode())
VENDOR, NIGHT = Owner("vendor-a", "first-line"), Owner("own", "night")


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return perfect()


def compared(story: Story, document: object, when: Period = EVER, by_team: bool = True) -> Difference:
    """A story on one partition's log, judged twice."""
    twice = Twice("t", candidate_of(yaml.safe_dump(document), "t"), when, 35)
    twice.take("", "", PUBLISHED)
    for step in story:
        if isinstance(step, InteractionReceived):
            twice.take(CUSTOMER, "email:customer@example.com", step)
        elif isinstance(step, float):
            twice.take("", "", TimeAdvanced(START + round(step * MINUTE)))
        twice.put_back()
    twice.end()
    found = Difference(by_team)
    found.add(twice.before, twice.after)
    return found


def all_in(target: str) -> dict[str, object]:
    """A bundle of one promise."""
    policy = {"name": "candidate", "calendar": "always", "targets": {"first_response": target}}
    return dict(AROUND_THE_CLOCK | {"policies": [policy]})


def test_the_same_bundle_changes_nothing() -> None:
    found = compared(TOLD, DOCUMENT)
    assert found.clocks == 2
    assert not found.changes
    for row in found.rows.values():
        assert row.before == row.after


def test_a_shorter_target_is_breached_at_its_own_instant_though_the_log_tells_the_time_later() -> None:
    story: Story = [OPENING, event("reply", "email.sent", 40), 3000.0]
    found = compared(story, all_in("30m"))
    assert found.changes == {("met", "breached"): 1, ("breached", "not promised"): 1}
    [example] = [each for each in found.examples if each.key[1] == "first_response"]
    assert example.before is not None
    assert example.after is not None
    assert (example.before.outcome, example.after.outcome) == ("met", "breached")
    assert example.after.due_at == START + 30 * MINUTE
    assert found.rows[VENDOR].before["met"] == 1
    assert found.rows[VENDOR].after["breached"] == 1


def test_a_longer_target_keeps_what_was_breached_and_a_promise_that_is_left_out_is_said() -> None:
    found = compared([OPENING, 2000.0, event("reply", "email.sent", 2010), 3000.0], all_in("40h"))
    assert found.changes[("breached", "met")] == 1
    assert found.changes[("breached", "not promised")] == 1
    assert found.total().before["breached"] == 2
    assert found.total().after == {"met": 1}


def test_retractions_are_counted_on_both_sides() -> None:
    found = compared(TOLD, all_in("25m"))
    assert found.total().before["retracted"] == 1
    assert found.total().after["retracted"] == 0


def test_rows_are_by_team_or_by_organisation() -> None:
    assert {NIGHT, VENDOR} <= compared(TOLD, DOCUMENT).rows.keys()
    assert {owner.team for owner in compared(TOLD, DOCUMENT, by_team=False).rows} == {""}


def test_only_clocks_that_began_in_the_period_count() -> None:
    assert compared(TOLD, DOCUMENT, Period(START, START + 1)).clocks == 2
    assert compared(TOLD, DOCUMENT, Period(START + 1)).clocks == 0


def test_a_clock_whose_start_moved_out_of_the_period_by_a_late_event_is_dropped() -> None:
    story: Story = [OPENING, event("earlier", "email.received", -30, received=60), 70.0]
    assert compared(story, DOCUMENT, Period(START)).clocks == 0
    assert compared(story, DOCUMENT).clocks == 2


def test_examples_are_bounded_and_changes_are_not() -> None:
    found = Difference()
    for number in range(EXAMPLES + 5):
        before, after = Fates(EVER), Fates(EVER)
        before.of[str(number), "resolution", 1] = Fate("met")
        after.of[str(number), "resolution", 1] = Fate("breached")
        found.add(before, after)
    assert found.changes["met", "breached"] == EXAMPLES + 5
    assert len(found.examples) == EXAMPLES


def test_a_command_that_the_candidate_refuses_stops_nothing() -> None:
    """Under a candidate that closes sooner, a command meets a closed ticket."""
    story: Story = [
        OPENING,
        command("done", "ticket.status_set", 10, OPENING.id, status="resolved"),
        command("take", "ticket.assigned", 120, OPENING.id, team="second-line"),
        200.0,
    ]
    assert compared(story, all_in("1h") | {"tickets": {"close_after": "1h"}}).clocks == 2


@pytest.mark.parametrize(
    ("begin", "end", "hint"),
    [("yesterday", "", "--from"), ("", "2026-01-05T09:00", "time zone"), ("2026-02-01", "2026-01-01", "--to")],
)
def test_a_period_that_is_none_is_refused(begin: str, end: str, hint: str) -> None:
    with pytest.raises(DurationInvalid, match=hint):
        period(begin, end)


def test_a_period_is_half_open_and_in_utc() -> None:
    found = period("2026-01-05", "2026-01-06T01:00+01:00")
    assert found == Period(1_767_571_200_000_000, 1_767_657_600_000_000)
    assert found.holds(found.begin)
    assert not found.holds(found.end)


def test_a_candidate_that_can_not_be_used_is_refused_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    file.write_text(yaml.safe_dump(all_in("soon")))
    ran = inside("sla", "what-if", "--policy", str(file), kafka="127.0.0.1:1")
    assert ran.code == 2
    assert "first_response" in ran.err
    wrong = inside("sla", "what-if", "--policy", str(file), "--by", "person", kafka="127.0.0.1:1")
    assert (wrong.code, "organisation" in wrong.err) == (2, True)


async def ends(settings: Settings) -> dict[str, object]:
    """How long every partition of every topic is."""
    async with open_log(settings.kafka) as log:
        found = {}
        for name in topics():
            found[name] = await log.spans(settings.topic(name), range(settings.partitions))
        return dict(found)


@pytest.mark.kafka
@pytest.mark.postgres
async def test_a_period_is_judged_again_by_command_and_nothing_is_written(
    evidence: Evidence, kafka: str, database: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_of(kafka, database, topic_prefix)
    await lay_out(evidence, settings)
    before = await ends(settings), await digest_of(database)
    file = tmp_path / "new.yaml"
    file.write_text(chaos_bundle("2h", "9h"))
    given = {
        "kafka": kafka, "topic_prefix": topic_prefix, "partitions": str(settings.partitions),
        "retention_days": str(settings.retention_days), "tenant": "t", "postgres": "postgresql:///nowhere",
    }  # fmt: skip
    ran = await asyncio.to_thread(
        hub, "sla", "what-if", "--policy", str(file), "--from", "2026-01-01", "--json", **given
    )
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["clocks"] > 50
    assert any(change["before"] == "breached" for change in found["changes"])
    shown = await asyncio.to_thread(hub, "sla", "what-if", "--policy", str(file), "--by", "organisation", **given)
    assert shown.code == 0, shown.err
    assert "vendor-a" in shown.out
    assert "from breached to" in shown.out
    assert (await ends(settings), await digest_of(database)) == before
