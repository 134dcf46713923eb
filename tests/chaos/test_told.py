"""The comparison of what was promised and told finds what is missing, and what came once too often."""

from __future__ import annotations

import uuid
import zlib

import msgspec
import pytest

from consumers.alerts.inbox import fold
from consumers.alerts.webhook import Body, Message
from domain.alerts import AlertKey, Phase
from hub.verify.check import Report
from hub.verify.evidence import Evidence
from hub.verify.expected import event_of
from schemas.records import SlaVerdictIssued
from tests.chaos.perfect import perfect
from tests.chaos.receiver import Heard, Mood
from tests.chaos.told import Promised, Told, check_promised, check_told, verdicts_of


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return perfect(seed=3)


@pytest.fixture
def report() -> Report:
    return Report()


def heard(key: AlertKey, phase: Phase, verdict: SlaVerdictIssued, at: float, mood: Mood = Mood.WELL) -> Heard:
    """A webhook, as the receiver writes it down."""
    body = Body(alert=str(key.id), kind=key.kind, summary="", verdict=verdict)
    message = Message(type="sla.breached", timestamp="2026-01-01T00:00:00Z", data=body)
    return Heard(at, str(uuid.uuid5(key.id, phase.value)), mood, True, msgspec.Raw(msgspec.json.encode(message)))


def everything(evidence: Evidence) -> list[Heard]:
    """What a receiver hears in a run in which nothing goes wrong."""
    changes, _ = fold({}, verdicts_of(evidence))
    found: list[Heard] = []
    for key, opening in changes.opened.items():
        if opening.quiet is None:
            found.append(heard(key, Phase.OPEN, opening.verdict, len(found) * 10.0))
            if key in changes.closed:
                found.append(heard(key, Phase.RESOLVE, changes.closed[key].verdict, len(found) * 10.0))
    assert len(found) > 10
    return found


def test_a_perfect_run_is_clean(evidence: Evidence, report: Report) -> None:
    told = check_told(evidence, everything(evidence), {}, [], report)
    assert (report.clean, told.doubled, told.superseded) == (True, [], 0)


def test_a_missing_message_is_lost(evidence: Evidence, report: Report) -> None:
    check_told(evidence, everything(evidence)[1:], {}, [], report)
    assert len(report.lost) == 1


def test_what_the_receiver_answered_with_500_is_lost_unless_it_comes_again(evidence: Evidence, report: Report) -> None:
    every = everything(evidence)
    failed = msgspec.structs.replace(every[0], mood=Mood.FAILING)
    told = check_told(evidence, [failed, *every], {}, [], report)
    assert (report.clean, told.doubled, sum(told.again.values())) == (True, [], 1)
    check_told(evidence, [failed, *every[1:]], {}, [], report)
    assert len(report.lost) == 1


@pytest.mark.parametrize(
    ("mood", "harmed", "doubled"),
    [
        (Mood.WELL, [], 1),
        (Mood.WELL, [(100.0, 120.0)], 1),
        (Mood.WELL, [(2.0, 4.0)], 0),
        (Mood.DROPPING, [], 0),
        (Mood.LATE, [], 0),
    ],
)
def test_a_message_may_come_again_only_if_the_sender_could_not_know(
    evidence: Evidence, report: Report, mood: Mood, harmed: list[tuple[float, float]], doubled: int
) -> None:
    first, *rest = everything(evidence)
    first = msgspec.structs.replace(first, at=0.0, mood=mood)
    again = msgspec.structs.replace(first, at=6.0, mood=Mood.WELL)
    told = check_told(evidence, [first, again, *rest], {}, harmed, report)
    assert report.clean
    assert len(told.doubled) == doubled
    assert sum(told.again.values()) == 1 - doubled


def test_a_message_that_nothing_asks_for_is_doubled(evidence: Evidence, report: Report) -> None:
    every = everything(evidence)
    other = msgspec.structs.replace(every[0], id=str(uuid.uuid4()))
    assert len(check_told(evidence, [*every, other], {}, [], report).doubled) == 1


def test_another_verdict_and_a_bad_signature_are_different(evidence: Evidence, report: Report) -> None:
    every = everything(evidence)
    swapped = msgspec.structs.replace(every[0], body=every[-1].body)
    check_told(evidence, [swapped, msgspec.structs.replace(every[1], signed=False), *every[2:]], {}, [], report)
    assert len(report.different) == 2


def test_an_alert_that_was_over_before_anybody_was_told_is_not_lost_if_the_table_says_so(
    evidence: Evidence, report: Report
) -> None:
    changes, _ = fold({}, verdicts_of(evidence))
    over = next(key for key, closing in changes.closed.items() if closing.because.value not in ("ended", "none"))
    mine = {str(uuid.uuid5(over.id, phase.value)) for phase in (Phase.OPEN, Phase.RESOLVE)}
    rest = [one for one in everything(evidence) if one.id not in mine]
    told: Told = check_told(evidence, rest, {str(over.id): "superseded"}, [], report)
    assert (report.clean, told.superseded) == (True, 1)
    check_told(evidence, rest, {str(over.id): "waiting"}, [], report)
    assert len(report.lost) == 2


def test_what_was_accepted_has_to_be_in_the_log(evidence: Evidence, report: Report) -> None:
    record = next(each for each in evidence.logs["interaction-received"][0] if event_of(each))
    event = event_of(record)
    assert event is not None
    checksum = zlib.crc32(record.value or b"")
    check_promised(evidence, Promised({event.id: event}, [(0, record.offset, checksum)]), report)
    assert report.clean
    changed = msgspec.structs.replace(event, text="something else")
    missing = msgspec.structs.replace(event, id=str(uuid.uuid4()))
    promised = Promised({event.id: changed, missing.id: missing}, [(0, record.offset, 0), (0, 1_000_000, 0)])
    check_promised(evidence, promised, report)
    assert (len(report.lost), len(report.different)) == (2, 2)
