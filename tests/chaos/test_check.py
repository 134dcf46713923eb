"""The check that a run is judged by sees each thing that can go wrong, and nothing where nothing did."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest

from hub.verify.check import Report, check
from hub.verify.evidence import OUTPUTS, Evidence
from hub.verify.expected import CODEC, TOPICS, origin
from runtime.changelog import POSITION, Position, entry, position_entry
from tests.chaos.perfect import RETENTION_DAYS, perfect
from tests.streams.logs import Record

Log = list[Any]  # Record, as the evidence of a real run has ConsumerRecord
WITH_BYTES = (*OUTPUTS, TOPICS.dlq)


@pytest.fixture(scope="module")
def untouched() -> Evidence:
    return perfect()


@pytest.fixture
def evidence(untouched: Evidence) -> Evidence:
    return copy.deepcopy(untouched)


def judge(evidence: Evidence) -> Report:
    return check(evidence, RETENTION_DAYS)


def longest(evidence: Evidence, topic: str) -> Log:
    """The fullest partition of a topic."""
    return max(evidence.logs[topic].values(), key=len)


def counts(report: Report) -> tuple[int, int, int]:
    return len(report.lost), len(report.doubled), len(report.different)


def test_where_nothing_went_wrong_nothing_is_found(evidence: Evidence) -> None:
    report = judge(evidence)
    assert report.clean, report.first()
    assert report.events == 400
    for what in (*WITH_BYTES, "relayed", "decisions", "state", "timeline_entries", "tickets", "sla_verdicts", "alerts"):
        assert report.compared[what] > 5, f"{what}: a check of nothing proves nothing"
    assert report.counts() == "lost 0 doubled 0 different 0"


@pytest.mark.parametrize("topic", WITH_BYTES)
def test_a_record_that_is_missing_is_lost(evidence: Evidence, topic: str) -> None:
    del longest(evidence, topic)[3]
    assert judge(evidence).lost, topic


@pytest.mark.parametrize("topic", WITH_BYTES)
def test_a_record_that_came_twice_and_equal_is_repeated_and_no_harm(evidence: Evidence, topic: str) -> None:
    log = longest(evidence, topic)
    log.append(log[3])
    report = judge(evidence)
    assert (report.clean, report.repeated[topic]) == (True, 1)


@pytest.mark.parametrize("topic", OUTPUTS)
def test_a_record_that_came_twice_and_says_something_else_is_different(evidence: Evidence, topic: str) -> None:
    log = longest(evidence, topic)
    said = CODEC.decode(log[3].value)
    log.append(replace(log[3], value=CODEC.encode(msgspec.structs.replace(said, subject="else"))))
    assert counts(judge(evidence)) == (0, 0, 1)


@pytest.mark.parametrize("topic", OUTPUTS)
def test_a_record_that_nothing_asks_for_is_doubled(evidence: Evidence, topic: str) -> None:
    log = longest(evidence, topic)
    said = CODEC.decode(log[3].value)
    other = "00000000-0000-4000-8000-000000000000"
    log.append(replace(log[3], value=CODEC.encode(msgspec.structs.replace(said, id=other))))
    assert counts(judge(evidence)) == (0, 1, 0)


def test_a_dead_letter_with_other_bytes_is_different(evidence: Evidence) -> None:
    log = longest(evidence, TOPICS.dlq)
    log[2] = replace(log[2], value=b"shortened")
    assert judge(evidence).different


def test_an_output_in_another_partition_is_different(evidence: Evidence) -> None:
    logs = evidence.logs[TOPICS.entries]
    logs[1].append(cast("Any", logs[0].pop()))
    assert counts(judge(evidence)) == (0, 0, 1)


def interaction(log: Log) -> int:
    """Where a customer's event stands in the middle of the log."""
    return next(n for n in range(len(log) // 2, len(log)) if log[n].key is not None)


def test_an_event_that_never_reached_casework_is_lost(evidence: Evidence) -> None:
    log = longest(evidence, TOPICS.identified)
    del log[interaction(log)]
    assert judge(evidence).lost


def test_an_event_that_stands_on_the_log_but_behind_a_later_one_is_lost(evidence: Evidence) -> None:
    log = longest(evidence, TOPICS.identified)
    begin = interaction(log)
    source = _source(log[begin])
    other = next(n for n in range(begin + 1, len(log)) if log[n].key is not None and _source(log[n]) == source)
    log[begin], log[other] = replace(log[other], offset=begin), replace(log[begin], offset=other)
    assert judge(evidence).lost


def _source(record: Record) -> str:
    place = origin(cast("Any", record))
    return place[0] if place else ""


def test_an_event_that_was_relayed_twice_is_dropped_by_its_place_and_no_harm(evidence: Evidence) -> None:
    log = longest(evidence, TOPICS.identified)
    log.append(replace(log[interaction(log)], offset=len(log)))
    position = position_entry(_position(evidence, log[0].partition, len(log)))
    changelog = evidence.logs[TOPICS.changelog][log[0].partition]
    changelog.append(Record(len(changelog), position.key, position.value))
    report = judge(evidence)
    assert (report.clean, report.repeated[TOPICS.identified]) == (True, 1), report.first()


def _position(evidence: Evidence, partition: int, following: int) -> Position:
    records = [record for record in evidence.logs[TOPICS.changelog][partition] if record.key == POSITION]
    held = msgspec.msgpack.decode(records[-1].value or b"", type=Position)
    return Position(following, held.sources, held.mark)


def test_an_event_in_a_partition_that_is_not_its_customers_is_doubled_there_and_lost_here(evidence: Evidence) -> None:
    log = longest(evidence, TOPICS.identified)
    moved = log.pop(interaction(log))
    evidence.logs[TOPICS.identified][1 - moved.partition].append(moved)
    report = judge(evidence)
    assert report.lost
    assert report.doubled


def test_an_event_whose_bytes_changed_on_the_way_is_different(evidence: Evidence) -> None:
    log = longest(evidence, TOPICS.identified)
    place = interaction(log)
    event = CODEC.decode(log[place].value)
    log[place] = replace(log[place], value=CODEC.encode(msgspec.structs.replace(event, language="xx")))
    assert judge(evidence).different


def test_an_event_given_to_two_customers_is_seen(evidence: Evidence) -> None:
    place, decided = next((place, each) for place, each in evidence.decisions.items() if each.customer)
    evidence.decisions["elsewhere/0", 1] = decided._replace(customer="00000000-0000-4000-8000-000000000000")
    assert any("was given to 2 customers" in line for line in judge(evidence).doubled), place


def test_a_decision_that_is_gone_or_names_another_event_is_seen(evidence: Evidence) -> None:
    place, decided = next((place, each) for place, each in evidence.decisions.items() if each.customer)
    evidence.decisions[place] = decided._replace(event="00000000-0000-4000-8000-000000000000")
    assert judge(evidence).different
    del evidence.decisions[place]
    assert not judge(evidence).clean


def change(evidence: Evidence, how: Callable[[Log], None]) -> Report:
    how(longest(evidence, TOPICS.changelog))
    return judge(evidence)


def test_a_state_that_lags_behind_is_different(evidence: Evidence) -> None:
    assert change(evidence, lambda log: log.__delitem__(-1)).different


def test_a_key_that_is_missing_changed_or_too_many_in_the_state_is_seen(evidence: Evidence) -> None:
    keys = {record.key for record in longest(evidence, TOPICS.changelog)} - {POSITION}
    key = sorted(each for each in keys if each is not None)[-1]

    def without(log: Log) -> None:
        log[:] = [record for record in log if record.key != key]

    def other(log: Log) -> None:
        last = max(n for n, record in enumerate(log) if record.key == key)
        log[last] = replace(log[last], value=log[last].value[:8] + b"\x00")

    def more(log: Log) -> None:
        item = entry(b"nobody", 5, b"x")
        log.append(Record(len(log), item.key, item.value))

    assert counts(change(copy.deepcopy(evidence), without)) == (1, 0, 0)
    assert counts(change(copy.deepcopy(evidence), other)) == (0, 0, 1)
    assert counts(change(copy.deepcopy(evidence), more)) == (0, 1, 0)


@pytest.mark.parametrize("table", ["entries", "tickets", "verdicts"])
def test_rows_that_are_missing_too_many_or_different_are_seen(evidence: Evidence, table: str) -> None:
    rows = getattr(evidence.tables, table)
    row = rows.pop()
    assert judge(evidence).lost
    other = msgspec.structs.replace(row, id="00000000-0000-4000-8000-000000000000")
    rows += [row, other]
    assert judge(evidence).doubled
    rows[-1:] = []
    rows[-1] = msgspec.structs.replace(row, subject="else")
    assert counts(judge(evidence)) == (0, 0, 1)


def test_alerts_that_are_missing_too_many_or_different_are_seen(evidence: Evidence) -> None:
    alerts = evidence.tables.alerts
    key, row = alerts.popitem()
    assert counts(judge(evidence)) == (1, 0, 0)
    alerts[key], alerts["other"] = row, row
    assert counts(judge(evidence)) == (0, 1, 0)
    del alerts["other"]
    alerts[key] = row._replace(opened_at=row.opened_at + 1)
    assert counts(judge(evidence)) == (0, 0, 1)


def test_a_received_record_that_left_no_trace_is_lost(evidence: Evidence) -> None:
    log = longest(evidence, "interaction-received")
    log.append(replace(log[-1], offset=len(log), value=b"nobody ever saw this"))
    assert judge(evidence).lost
