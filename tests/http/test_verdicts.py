"""Verdicts over HTTP: the list, and each in full, with its words, whose time it was, and whether it follows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from schemas.records import SlaVerdictIssued
from tests.docs.test_recompute import SCRIPT
from tests.domain.random_stories import OPENING
from tests.domain.test_recheck import TOLD
from tests.http.serving import Served, serving
from tests.projections.told_story import write_story

pytestmark = pytest.mark.postgres
Json = dict[str, Any]  # Any: a JSON document
LIST = f"/v1/tickets/{OPENING.id}/verdicts"


@pytest.fixture
async def verdicts(dsn: str) -> list[SlaVerdictIssued]:
    return [each for each in await write_story(dsn, TOLD) if isinstance(each, SlaVerdictIssued)]


@pytest.fixture
async def served(dsn: str, verdicts: list[SlaVerdictIssued]) -> AsyncIterator[Served]:
    async with serving(dsn) as found:
        yield found


async def get(served: Served, path: str, status: int = 200) -> Json:
    answer = await served.http.get(path)
    assert answer.status_code == status, answer.text
    found: Json = answer.json()
    return found


async def test_all_of_a_ticket_are_listed_in_the_order_they_were_judged(
    served: Served, verdicts: list[SlaVerdictIssued]
) -> None:
    listed = (await get(served, LIST))["verdicts"]
    assert {each["id"] for each in listed} == {each.id for each in verdicts}
    assert [each["judged_at"] for each in listed] == sorted(each["judged_at"] for each in listed)
    ticket = await get(served, f"/v1/tickets/{OPENING.id}")
    assert ticket["verdicts"] == listed
    assert (await get(served, f"/v1/tickets/{uuid4()}/verdicts", 404))["reason"] == "unknown_ticket"
    assert (await get(served, f"{LIST}/{uuid4()}", 404))["reason"] == "unknown_verdict"


async def test_one_in_full_holds_and_the_docs_script_recomputes_it_from_the_answer(
    served: Served, verdicts: list[SlaVerdictIssued]
) -> None:
    recompute = ModuleType("recompute")
    exec(compile(SCRIPT.read_text(encoding="utf-8"), SCRIPT.name, "exec"), recompute.__dict__)
    for verdict in verdicts:
        found = await get(served, f"{LIST}/{verdict.id}")
        assert found["recheck"] == {"holds": True, "findings": []}
        assert recompute.fault(found) is None
        assert sum(share["counted_seconds"] for share in found["shares"]) == pytest.approx(found["elapsed_seconds"])
        assert set(found["calendars"]) <= {each for row in found["evidence"] for each in [row["calendar_digest"]]} | {
            found["calendar_digest"]
        }
    retracted = next(each for each in verdicts if each.outcome == "retracted")
    words = " ".join((await get(served, f"{LIST}/{retracted.id}"))["words"])
    assert "because email.sent of Mon 5 Jan 2026 03:40 America/New_York arrived 33 h 30 min late" in words


async def test_a_row_that_was_changed_by_hand_does_not_follow_from_its_evidence(
    dsn: str, served: Served, verdicts: list[SlaVerdictIssued]
) -> None:
    verdict = next(each for each in verdicts if each.outcome == "ended")
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE sla_verdicts SET elapsed = elapsed - 60000000 WHERE id = $1", verdict.id)
    await connection.close()
    found = (await get(served, f"{LIST}/{verdict.id}"))["recheck"]
    assert found["holds"] is False
    [finding] = found["findings"]
    assert (finding["finding"], finding["where"]) == ("sum", "elapsed")
    assert (finding["published"], finding["recomputed"]) == (verdict.elapsed - 60_000_000, verdict.elapsed)
    assert finding["meaning"] == "the counted times do not add up to the elapsed time"


async def test_where_the_bundle_is_not_known_it_is_said_that_nothing_can_be_recomputed(
    dsn: str, served: Served, verdicts: list[SlaVerdictIssued]
) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("DELETE FROM configurations")
    await connection.close()
    found = await get(served, f"{LIST}/{verdicts[0].id}")
    assert found["recheck"]["holds"] is None
    assert {each["finding"] for each in found["recheck"]["findings"]} == {"unknown_calendar"}
    assert found["calendars"] == {}
    assert "Etc/UTC" in found["words"][0]


async def test_a_bundle_that_this_version_can_not_read_is_none(
    dsn: str, served: Served, verdicts: list[SlaVerdictIssued]
) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE configurations SET body = '{\"unheard\": 1}'")
    await connection.close()
    assert (await get(served, f"{LIST}/{verdicts[0].id}"))["recheck"]["holds"] is None
