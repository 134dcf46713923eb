"""The script of the docs recomputes every verdict from what the API answers, and finds what was changed in it."""

from __future__ import annotations

import ast
import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.business_time import Calendar
from domain.recheck import OUTCOMES
from hub.http.verdict_answers import VerdictInFull
from hub.sla.basis import Basis
from tests.domain.random_stories import DOCUMENT, EVERYTHING, played, steps
from tests.domain.test_recheck import CANCELLED, TOLD, Story
from tests.shared import ROOT

SCRIPT = ROOT / "docs" / "recompute.py"
Json = dict[str, Any]  # Any: a JSON document
ELSEWHERE = "2026-01-05T10:00:00.000001Z"
#: Outcomes that one and the same evidence may have; which of them was said is part of the verdict's id.
ALIKE = ({"warned", "retracted"}, {"met", "cancelled", "retracted"}, {"breached", "ended", "retracted"})


@pytest.fixture(scope="module")
def recompute() -> ModuleType:
    module = ModuleType("recompute")
    exec(compile(SCRIPT.read_text(encoding="utf-8"), SCRIPT.name, "exec"), module.__dict__)
    return module


def answers(story: Story, document: object = DOCUMENT) -> list[Json]:
    """The verdicts of a story as the API answers with them."""
    verdicts, calendars = played(story, document)
    found = [VerdictInFull.in_full(each, Basis(calendars, {})) for each in verdicts]
    return [json.loads(each.model_dump_json()) for each in found]


def with_stretch(answer: Json, n: int, **fields: object) -> Json:
    """The answer with one of its stretches changed."""
    found = copy.deepcopy(answer)
    found["evidence"][n].update(fields)
    return found


def with_rules(answer: Json, digest: str, **rules: object) -> Json:
    """The answer with the rules of a calendar changed."""
    found = copy.deepcopy(answer)
    found["calendars"][digest].update(rules)
    return found


def changes(answer: Json) -> Iterator[tuple[str, Json]]:
    """The answer with one thing changed: each number, instant, calendar and event that says how it came about."""
    for by in (-1.0, -0.000001, 0.000001, 3600.0):
        yield "elapsed", answer | {"elapsed_seconds": answer["elapsed_seconds"] + by}
    for outcome in {*OUTCOMES, "kept"}:
        if not any({outcome, answer["outcome"]} <= alike for alike in ALIKE):
            yield f"outcome {outcome}", answer | {"outcome": outcome}
    yield "due", answer | {"due_at": ELSEWHERE}
    yield "ended", answer | {"ended_at": ELSEWHERE}
    yield "digest", answer | {"calendar_digest": "0" * 64, "calendars": {}}
    for digest in answer["calendars"]:
        yield "hours", with_rules(answer, digest, hours={"sat": [["09:00", "10:00"]]})
        yield "zone", with_rules(answer, digest, tz="Europe/London")
    for n, row in enumerate(answer["evidence"]):
        yield f"{n} counted", with_stretch(answer, n, counted_seconds=12345.678)
        if n + 1 < len(answer["evidence"]) or answer["ended_at"]:  # else nothing but the counted time says where it is
            yield f"{n} end", with_stretch(answer, n, end=ELSEWHERE)
        if row["counted_seconds"]:
            yield f"{n} running", with_stretch(answer, n, running=False)
            yield f"{n} removed", answer | {"evidence": answer["evidence"][:n] + answer["evidence"][n + 1 :]}
        if n:
            yield f"{n} began by", with_stretch(answer, n, began_by="another")


def test_the_script_is_of_fifty_lines_and_needs_the_standard_library_only() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    code = {number for number, line in enumerate(text.splitlines(), 1) if line.strip()} - {1}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            code.discard(node.lineno)
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
            assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
    assert len(code) <= 50


def test_it_says_of_every_outcome_that_it_holds_and_finds_every_change(recompute: ModuleType) -> None:
    found = answers(TOLD) + answers(CANCELLED)
    assert {each["outcome"] for each in found} == set(OUTCOMES)
    for answer in found:
        assert recompute.fault(answer) is None
        assert answer["recheck"] == {"holds": True, "findings": []}
        for name, other in changes(answer):
            assert recompute.fault(other), f"{name} of {answer['outcome']}"


@settings(max_examples=60, deadline=None)
@given(story=steps())
def test_it_agrees_with_the_hub_on_any_story(recompute: ModuleType, story: Story) -> None:
    found = answers(story, EVERYTHING)
    assume(found)
    for answer in found:
        assert recompute.fault(answer) is None, answer


@settings(max_examples=15, deadline=None)
@given(story=steps(), data=st.data())
def test_it_finds_any_change_in_any_story(recompute: ModuleType, story: Story, data: st.DataObject) -> None:
    found = answers(story, EVERYTHING)
    assume(found)
    answer = data.draw(st.sampled_from(found))
    for name, other in changes(answer):
        assert recompute.fault(other), f"{name}: {answer}"


HOURS = (
    st.lists(st.integers(0, 48), min_size=2, max_size=4, unique=True).map(sorted).filter(lambda at: len(at) % 2 == 0)
)
SPANS = HOURS.map(lambda at: [[f"{n // 2:02}:{n % 2 * 30:02}" for n in at[i : i + 2]] for i in range(0, len(at), 2)])
DATES = st.sampled_from(["2026-03-29", "2026-10-25", "2026-03-30", "2026-10-26", "03-29", "10-24", "2026-11-01"])


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Etc/UTC", "Asia/Kathmandu"]),
    hours=st.fixed_dictionaries({"mon": SPANS, "sun": SPANS, "sat": SPANS}),
    holidays=st.lists(st.one_of(DATES, st.just("2026-10-27/2026-11-03")), max_size=2, unique=True),
    overrides=st.dictionaries(DATES, SPANS, max_size=3),
    breaks=st.dictionaries(DATES, SPANS, max_size=3),
    begin=st.sampled_from([1_774_500_000_000_000, 1_792_700_000_000_000, 1_793_300_000_000_000]),
    after=st.integers(0, 5 * 86_400_000_000),
    left=st.integers(0, 100).map(lambda halves: halves * 1_800_000_000),
    close=st.booleans(),
)
def test_its_calendars_are_those_of_the_hub(
    recompute: ModuleType, zone: str, begin: int, after: int, left: int, close: bool, **rules: object
) -> None:
    """Over the changes of the clocks in spring and autumn, with holidays, overrides and breaks on these days."""
    calendar = Calendar.from_mapping({"tz": zone, **rules})
    counted, due = recompute.walk(json.loads(calendar.rules.canonical), begin, begin + after, left, close)
    assert counted == calendar.between_us(begin, begin + after)
    assert due == calendar.add_us(begin, left, "close" if close else "next_open")


def test_it_is_run_as_the_docs_say(tmp_path: Path) -> None:
    file = tmp_path / "verdict.json"
    for change, code, words in ({}, 0, "holds\n"), ({"elapsed_seconds": 5.0}, 1, "does not hold: elapsed_seconds\n"):
        file.write_text(json.dumps(answers(TOLD)[0] | change), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-I", str(SCRIPT), str(file)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout + done.stderr) == (code, words)
