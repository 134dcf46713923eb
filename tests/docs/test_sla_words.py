"""Every word of a promise is defined in ``docs/sla.md``, once, and the page uses none that the code does not have."""

from __future__ import annotations

import re
from typing import get_args

import msgspec

from domain.joining import Because
from domain.policies import METRICS, STATUSES, Boundary, Reopen
from domain.policy_reading import KEYS
from domain.recheck import OUTCOMES
from hub.console.words import CLOCK_STATES
from schemas import records
from schemas.vocabulary import TYPES
from tests.docs import pages
from tests.shared import ROOT

PAGE = (ROOT / "docs" / "sla.md").read_text(encoding="utf-8")
EXAMPLES = (ROOT / "docs" / "sla-examples.md").read_text(encoding="utf-8")
#: Words in backquotes that stand for themselves: times, a zone, a contact point, what ``quiet`` may say.
PLAIN = {'["09:00", "17:00"]', "24:00", "12-25", "Etc/UTC", "hub", "found_late", "hub sla explain TICKET", "queued"}
PLAIN |= {"time.advanced"}


def table(text: str, column: str) -> dict[str, str]:
    """The first column of the table that begins with ``column``, without backquotes, to the rest of its row."""
    rows = text.partition(f"| {column} |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [row.strip("| ").split(" | ", 1) for row in rows]
    assert len({first for first, _ in cells}) == len(cells)
    return {first.partition("`: ")[0].strip("`"): rest for first, rest in cells}


def test_every_metric_is_defined_with_what_begins_and_ends_it() -> None:
    defined = table(pages.section(PAGE, "A clock"), "metric")
    assert tuple(defined) == METRICS
    assert {row.count(" | ") for row in defined.values()} == {4}


def test_every_outcome_state_and_status_is_defined() -> None:
    assert tuple(table(pages.section(PAGE, "A verdict"), "outcome")) == OUTCOMES
    assert list(table(pages.section(PAGE, "A clock"), "state")) == list(CLOCK_STATES)
    assert tuple(table(pages.section(PAGE, "A ticket"), "status")) == STATUSES


def test_every_reason_to_join_is_defined() -> None:
    rows = table(pages.section(PAGE, "A ticket"), "an event").values()
    told = {span for row in rows for span in pages.spans(row.rpartition(" | ")[2])}
    assert set(get_args(Because)) <= told


def test_every_mode_of_a_policy_is_defined() -> None:
    spans = pages.spans(pages.section(PAGE, "A clock"))
    for key, modes in (("boundary", get_args(Boundary)), ("reopen", get_args(Reopen))):
        for mode in modes:
            assert f"{key}: {mode}" in spans or mode in spans, mode


def known() -> set[str]:
    """Every word that the code has for a promise: of policies, tickets, verdicts and events."""
    words = {*METRICS, *OUTCOMES, *STATUSES, *CLOCK_STATES, *TYPES, *PLAIN, *get_args(Because)}
    words |= {*get_args(Boundary), *get_args(Reopen), *(key for keys in KEYS.values() for key in keys)}
    for record in (records.SlaVerdictIssued, records.TicketChanged, records.TimelineEntryAdded, records.Interval):
        words |= {field.name for field in msgspec.structs.fields(record)}
    return words | {field.name for field in msgspec.structs.fields(records.InteractionReceived)} | {"sequence"}


def test_no_word_is_used_that_does_not_exist() -> None:
    used = {word for span in pages.spans(PAGE) for word in ([span] if span in PLAIN else span.split(": "))}
    assert used - known() == set()


def test_every_word_of_an_example_is_defined_before_it() -> None:
    defined = {word for span in pages.spans(PAGE) for word in span.split(": ")}
    priorities = {"high", "urgent"}
    assert set(pages.spans(EXAMPLES)) - priorities <= defined


def test_what_the_definitions_speak_of_is_set_in_bold_once() -> None:
    bold = re.findall(r"^- \*\*([a-z ]+)\*\*:", PAGE, re.MULTILINE)
    assert len(bold) == len(set(bold)) > 10
