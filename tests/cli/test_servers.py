"""Commands that talk to Kafka and PostgreSQL, and those that start and stop them."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from consumers.projector import Batch, write
from projections.migrate import migrate
from projections.postgres import connect
from schemas.topics import topics
from tests.cli.running import hub
from tests.projections.samples import TICKET, ticket, verdict


@pytest.mark.kafka
def test_topics_are_shown_made_and_then_as_they_should_be(kafka: str, topic_prefix: str) -> None:
    settings = {"kafka": kafka, "topic_prefix": topic_prefix, "partitions": "2"}
    before = hub("topics", "diff", **settings)
    assert before.code == 1
    for name in topics():
        assert f"{topic_prefix}{name}: create with partitions=2 " in before.out
    assert hub("topics", "diff", **settings).out == before.out, "looking changes nothing"
    assert hub("topics", "apply", **settings).code == 0
    after = hub("topics", "diff", **settings)
    assert (after.code, after.out.strip()) == (0, "the topics are as they should be")
    refused = hub("topics", "apply", **settings | {"partitions": "3"})
    assert refused.code in (1, 2)
    assert "refused" in refused.out + refused.err
    assert "Traceback" not in refused.err


@pytest.mark.postgres
async def test_a_promise_is_explained_in_words_and_with_its_evidence(database: str) -> None:
    await migrate(database)
    connection = await connect(database)
    await write(connection, Batch(tickets=[ticket(1)], verdicts=[verdict(1)]))
    await connection.close()
    ran = hub("sla", "explain", TICKET, postgres=database)
    assert ran.code == 0, ran.err
    said = " ".join(ran.out.split())
    assert f"Ticket {TICKET} — open, normal, with vendor-a / support" in said
    assert "a first answer within 1 h 00 min 00 s" in said
    assert "Breached at 2026-01-02 13:00:00: a first answer within 1 h 00 min 00 s was promised" in said
    assert "by policy standard, version 3, calendar office" in said
    rows = [line.split() for line in ran.out.splitlines() if "2026-01-02" in line and "min" in line]
    evidence = [row for row in rows if row[0] == "2026-01-02"]
    assert [" ".join(row[4:10]) for row in evidence] == ["0 h 40 min 00 s", "0 h 20 min 01 s"]
    [total] = [line for line in ran.out.splitlines() if line.split()[:1] == ["sum"]]
    assert "1 h 00 min 01 s" in total

    for unknown in (str(uuid4()), "7"):
        missing = hub("sla", "explain", unknown, postgres=database)
        assert (missing.code, unknown in missing.err) == (1, True)


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.slow
def test_servers_come_up_are_found_and_go_down(tmp_path: Path) -> None:
    folder = ("--folder", str(tmp_path))
    assert "nothing runs" in hub("local", "status", *folder).out
    up = hub("local", "up", *folder)
    try:
        assert up.code == 0, up.err
        exported = dict(line.removeprefix("export ").split("=", 1) for line in up.out.splitlines() if "export" in line)
        assert set(exported) == {"HUB_KAFKA", "HUB_POSTGRES"}
        assert hub("topics", "diff", kafka=exported["HUB_KAFKA"]).code == 0, "up makes the topics"
        missing = hub("sla", "explain", str(uuid4()), postgres=exported["HUB_POSTGRES"].strip("'"))
        assert missing.code == 1, "up makes the tables"
        running = hub("local", "status", *folder).out
        assert running.count("running") == 2
        assert exported["HUB_KAFKA"] in running
    finally:
        down = hub("local", "down", *folder)
    assert down.code == 0
    assert "nothing runs" in hub("local", "status", *folder).out
