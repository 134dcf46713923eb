"""``hub sla explain``: a ticket's promises and verdicts as a person says them, and as JSON."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from hub.verify.evidence import Evidence
from projections.migrate import migrate
from tests.chaos.perfect import perfect
from tests.cli.running import Ran, hub, inside
from tests.domain.random_stories import OPENING
from tests.domain.test_recheck import CANCELLED, TOLD
from tests.projections.told_story import write_story
from tests.verify.laid import lay_out, settings_of

NO_KAFKA = "127.0.0.1:1"


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return perfect()


async def said_of(option: str, database: str) -> Ran:
    """What is said of the story's ticket, without Kafka."""
    words = ("sla", "explain", OPENING.id, option)
    return await asyncio.to_thread(inside, *words, postgres=database, kafka=NO_KAFKA)


@pytest.mark.postgres
async def test_every_outcome_is_told_in_words_with_its_evidence(database: str) -> None:
    await migrate(database)
    await write_story(database, TOLD)
    ran = await asyncio.to_thread(hub, "sla", "explain", OPENING.id, postgres=database, kafka=NO_KAFKA)
    assert ran.code == 0, ran.err
    said = " ".join(ran.out.split())
    for words in (
        f"Ticket {OPENING.id} — open, urgent, with vendor-b",
        "First response was due Mon 5 Jan 2026 11:00 Europe/Berlin; 2 h of open time were promised.",
        "Warned on Tue 6 Jan 2026 01:40 Europe/Berlin, 8 h 10 min before it: 7 h 10 min were used, and a warning was"
        " set at 50 %.",
        "Breached: 3 h 20 min had passed when it was judged on Mon 5 Jan 2026 12:20 Europe/Berlin, 1 h 20 min over.",
        "It was found 1 h 20 min after it happened, so nobody was paged.",
        "Of that open time, vendor-a/first-line held it for 2 h, own/night held it for 1 h 20 min.",
        "The clock stood still for 50 min while on hold.",
        "Breached, and done on Tue 6 Jan 2026 18:30 Europe/Berlin by email.sent, after 16 h of open time: 14 h late.",
        "Retracted on Tue 6 Jan 2026 13:10 America/New_York because email.sent of Mon 5 Jan 2026 03:40"
        " America/New_York arrived 33 h 30 min late: its clock now shows 40 min.",
        "Met on Mon 5 Jan 2026 03:40 America/New_York by email.sent, after 40 min of open time: 2 h 20 min were left.",
        "By policy vendor, version 1, calendar office (",
    ):
        assert words in said, words
    assert "does not hold" not in said
    rows = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert any("0 s on_hold stands still own/night ticket.status_set" in row for row in rows)
    assert any(row.endswith("3 h by night shift, calendar night") for row in rows), "a stretch under another promise"
    assert "sum 16 h" in rows


@pytest.mark.postgres
async def test_what_was_cancelled_and_one_metric_alone(database: str) -> None:
    await migrate(database)
    await write_story(database, CANCELLED)
    ran = await asyncio.to_thread(
        inside, "sla", "explain", OPENING.id, "--metric", "first_response", postgres=database, kafka=NO_KAFKA
    )
    said = " ".join(ran.out.split())
    assert "Cancelled on Mon 5 Jan 2026 09:30 Europe/Berlin by ticket.status_set, neither met nor breached" in said
    assert "Resolution" not in said
    none = await asyncio.to_thread(
        inside, "sla", "explain", OPENING.id, "--metric", "callback", postgres=database, kafka=NO_KAFKA
    )
    assert "nothing was promised of callback" in none.out
    wrong = await asyncio.to_thread(
        inside, "sla", "explain", OPENING.id, "--metric", "speed", postgres=database, kafka=NO_KAFKA
    )
    assert (wrong.code, "first_response" in wrong.err) == (2, True)


@pytest.mark.postgres
async def test_a_verdict_that_was_changed_by_hand_is_shown_with_what_does_not_hold(database: str) -> None:
    await migrate(database)
    await write_story(database, TOLD)
    connection = await asyncpg.connect(database)
    await connection.execute("UPDATE sla_verdicts SET elapsed = elapsed + 1 WHERE outcome = 'ended'")
    await connection.close()
    ran = await asyncio.to_thread(inside, "sla", "explain", OPENING.id, postgres=database, kafka=NO_KAFKA)
    assert "does not hold: elapsed: the counted times do not add up to the elapsed time" in ran.out


@pytest.mark.postgres
async def test_a_ticket_that_is_not_there(database: str) -> None:
    await migrate(database)
    for unknown in (str(uuid4()), "7"):
        missing = await asyncio.to_thread(inside, "sla", "explain", unknown, postgres=database)
        assert (missing.code, unknown in missing.err) == (1, True)


@pytest.mark.postgres
async def test_without_kafka_what_runs_is_shown_as_the_tables_have_it(database: str) -> None:
    await migrate(database)
    await write_story(database, [OPENING])
    ran = await asyncio.to_thread(inside, "sla", "explain", OPENING.id, postgres=database, kafka=NO_KAFKA)
    assert ran.code == 0
    assert "Kafka does not answer" in ran.err
    assert "First response is due Mon 5 Jan 2026 10:00 Etc/UTC; 0 s of 2 h used on Mon 5 Jan 2026 08:00" in ran.out
    found = json.loads((await said_of("--json", database)).out)
    assert found["running"] is None
    assert [clock["state"] for clock in found["clocks"]] == ["running", "running"]


@pytest.mark.kafka
@pytest.mark.postgres
async def test_a_clock_without_a_verdict_is_judged_from_the_state_with_its_stretches(
    evidence: Evidence, kafka: str, database: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_of(kafka, database, topic_prefix)
    await lay_out(evidence, settings)
    ticket = next(t for t in reversed(evidence.tables.tickets) if any(clock.ended_at is None for clock in t.clocks))
    clock_file = tmp_path / "clock"
    clock_file.write_text(str(ticket.changed_at / 1e6 - time.time()))
    given = {
        "kafka": kafka, "postgres": database, "topic_prefix": topic_prefix, "partitions": str(settings.partitions),
        "retention_days": str(settings.retention_days), "clock_file": str(clock_file),
    }  # fmt: skip
    ran = await asyncio.to_thread(hub, "sla", "explain", ticket.id, "--json", **given)
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["running"], "a clock that runs"
    for each in found["running"]:
        assert sum(row["counted_seconds"] for row in each["evidence"]) == pytest.approx(each["elapsed_seconds"])
        assert each["evidence"][-1]["ended_by"] == "now"
    shown = await asyncio.to_thread(hub, "sla", "explain", ticket.id, **given)
    assert "are used as of" in shown.out
