"""Doors, workers, projector and alerts are killed and stopped at random while events come in, and whoever is on call
does not always listen: nothing is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.run import Plan, run

SECONDS = 40.0


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.timeout(500)
async def test_whoever_is_killed_whenever_every_event_is_there_once(
    kafka: str, database: str, topic_prefix: str, tmp_path: Path
) -> None:
    plan = Plan(kafka, database, topic_prefix, tmp_path, SECONDS, seed=11, pause=(0.5, 2.5))
    outcome = await run(plan)
    print(outcome.line)
    told = "\n".join(outcome.told.doubled[:20])
    assert outcome.clean, f"{outcome.line}; logs in {tmp_path}\n{outcome.report.first()}\n{told}"
    assert outcome.kills >= 5
    assert outcome.stops >= 1
    assert len(outcome.faults) >= 8
    compared = outcome.report.compared
    assert compared["timeline_entries"] > 1000
    assert compared["accepted over HTTP"] > 1000
    assert outcome.told.alerts > 100
    for what in ("sla_verdicts", "tickets", "alerts", "state", "interaction-received-dlq"):
        assert compared[what] > 20, f"{what}: a check of nothing proves nothing"
