"""The page for auditors shows what the hub says, names every field and finding, and leads to a script that runs."""

from __future__ import annotations

from domain.recheck import MEANINGS
from hub.http.verdict_answers import Interval, VerdictInFull
from hub.sla.words import Told, sentences
from schemas.records import SlaVerdictIssued, TimelineEntryAdded
from tests.docs import pages
from tests.domain.random_stories import told
from tests.domain.test_recheck import TOLD
from tests.shared import ROOT

PAGE = (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8")


def test_the_sentences_are_those_that_are_said() -> None:
    outputs, _ = told(TOLD)
    events = {
        each.event: Told(each.type, each.occurred_at, each.received_at)
        for each in outputs
        if isinstance(each, TimelineEntryAdded)
    }
    [ended] = [
        each
        for each in outputs
        if isinstance(each, SlaVerdictIssued) and (each.outcome, each.metric) == ("ended", "first_response")
    ]
    said = sentences(ended, "Europe/Berlin", events)
    policy = f"By policy {ended.policy}, version 1, calendar {ended.calendar} ({ended.calendar_digest[:12]})."
    shown = next(piece.text for piece in pages.code(PAGE) if piece.text.startswith("First response was due"))
    assert shown.splitlines() == [said[0], *(f"  {line}" for line in (*said[1:], policy))]


def test_every_field_and_finding_is_named() -> None:
    named = set(pages.spans(PAGE))
    plain = {"id", "tenant", "customer", "ticket", "metric", "cycle", "revision", "episode", "started_at", "judged_at"}
    described = {*VerdictInFull.model_fields, *Interval.model_fields} - plain - {"priority", "channel", "subject"}
    assert described - named == set()
    for finding, meaning in MEANINGS.items():
        assert f"| `{finding.value}` | {meaning} |" in PAGE
