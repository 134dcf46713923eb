"""Commands that talk to Kafka and PostgreSQL, and those that start and stop them."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from schemas.topics import topics
from tests.cli.running import hub


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
