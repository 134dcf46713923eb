"""``hub sla verify`` on real servers: nothing where nothing is wrong, and each changed verdict by its field."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import msgspec
import pytest

from hub.sla.period import Period
from hub.sla.verify import UNFOUNDED, Verified, Wanted, verify
from hub.verify.evidence import Evidence
from hub.verify.expected import CODEC, TOPICS
from hub.verify.log import Refused
from runtime.appending import Item
from runtime.settings import Settings
from schemas.records import SlaVerdictIssued
from tests.chaos.perfect import perfect
from tests.cli.running import hub
from tests.verify.laid import lay_out, settings_of
from tests.verify.test_verify import add, longest

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]
EVERYTHING = Wanted()


@pytest.fixture(scope="module")
def untouched() -> Evidence:
    return perfect()


@pytest.fixture
def evidence(untouched: Evidence) -> Evidence:
    return copy.deepcopy(untouched)


@pytest.fixture
def settings(kafka: str, database: str, topic_prefix: str) -> Settings:
    return settings_of(kafka, database, topic_prefix)


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(database)
    yield opened
    await opened.close()


def counts(found: Verified) -> tuple[int, int, int, int]:
    sorts = found.findings.counts
    return sorts["lost"], sorts["doubled"], sorts["different"], sorts[UNFOUNDED]


def words(found: Verified) -> str:
    return "\n".join(f"{sort}: {line}" for sort, lines in found.findings.lines.items() for line in lines[:10])


def tampered(run: Evidence, **fields: object) -> SlaVerdictIssued:
    """The third verdict of the longer topic, changed there; the table keeps what was there before."""
    log = longest(run, TOPICS.verdicts)
    said: Any = CODEC.decode(log[3].value)
    log[3] = replace(log[3], value=CODEC.encode(msgspec.structs.replace(said, **fields)))
    return said  # type: ignore[no-any-return]  # a verdict, since it is its topic


async def test_where_nothing_is_wrong_nothing_is_found_and_every_verdict_is_rechecked(
    evidence: Evidence, settings: Settings
) -> None:
    await lay_out(evidence, settings)
    found = await verify(settings, EVERYTHING)
    assert found.findings.clean, words(found)
    issued = evidence.tables.verdicts
    assert found.rechecked == len(issued) > 50
    assert found.findings.compared["sla_verdicts"] == len(issued)
    ran = await asyncio.to_thread(
        hub,
        "sla", "verify", kafka=settings.kafka, postgres=settings.postgres, topic_prefix=settings.topic_prefix,
        partitions=str(settings.partitions), retention_days=str(settings.retention_days),
    )  # fmt: skip
    assert ran.code == 0, ran.out + ran.err
    assert "lost 0 doubled 0 different 0 unfounded 0 |" in ran.out


async def test_a_verdict_that_says_something_else_is_named_field_by_field(
    evidence: Evidence, settings: Settings
) -> None:
    said = tampered(evidence, team="else", elapsed=5)
    await lay_out(evidence, settings)
    found = await verify(settings, EVERYTHING)
    assert counts(found)[:3] == (0, 0, 1), words(found)
    [line] = found.findings.lines["different"]
    assert said.id in line
    assert f"elapsed is 5, recomputed {said.elapsed}" in line
    assert f"team is 'else', recomputed {said.team!r}" in line
    assert "the counted times do not add up" in words(found), "it is wrong by itself, too"


async def test_a_stretch_that_was_changed_is_named(evidence: Evidence, settings: Settings) -> None:
    log = longest(evidence, TOPICS.verdicts)
    said: Any = CODEC.decode(log[3].value)
    stretch = msgspec.structs.replace(said.evidence[0], organisation="else")
    tampered(evidence, evidence=[stretch, *said.evidence[1:]])
    await lay_out(evidence, settings)
    found = await verify(settings, EVERYTHING)
    [line] = found.findings.lines["different"]
    assert "evidence[0].organisation is 'else', recomputed" in line


async def test_missing_and_extra_verdicts_are_found_on_the_topic_and_in_the_table(
    evidence: Evidence, settings: Settings, connection: Any
) -> None:
    log = longest(evidence, TOPICS.verdicts)
    missing: Any = CODEC.decode(log.pop(5).value)
    await lay_out(evidence, settings)
    extra: Any = CODEC.decode(log[3].value)
    other = "00000000-0000-4000-8000-000000000000"
    item = Item(log[3].key, CODEC.encode(msgspec.structs.replace(extra, id=other)))
    await add(settings, TOPICS.verdicts, item, partition=log[3].partition)
    gone = await connection.fetchval(
        "DELETE FROM sla_verdicts WHERE id = (SELECT id FROM sla_verdicts WHERE id <> $1 ORDER BY id LIMIT 1)"
        " RETURNING id", missing.id,
    )  # fmt: skip
    found = await verify(settings, EVERYTHING)
    text = words(found)
    assert missing.id in text.split("doubled:")[0]
    assert str(gone) in text
    assert any(other in line for line in found.findings.lines["doubled"]), text
    assert any(other in line for line in found.findings.lines[UNFOUNDED]), "its id is not made of what it is about"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("due_at = due_at + 1", "due_at is"),
        ("outcome = 'met'", "outcome is 'met', recomputed"),
        ("target = target + 1", "target is"),
    ],
)
async def test_a_row_that_was_changed_by_hand_is_named_field_by_field(
    evidence: Evidence, settings: Settings, connection: Any, change: str, said: str
) -> None:
    await lay_out(evidence, settings)
    row = await connection.fetchval(
        f"UPDATE sla_verdicts SET {change} WHERE id = (SELECT id FROM sla_verdicts WHERE outcome = 'breached'"
        " ORDER BY id LIMIT 1) RETURNING id"
    )
    found = await verify(settings, EVERYTHING)
    assert counts(found)[:3] == (0, 0, 1), words(found)
    [line] = found.findings.lines["different"]
    assert line.startswith(f"sla_verdicts: verdict {row} ")
    assert said in line
    assert counts(found)[3] > 0, "none of these follows from its evidence"


async def test_only_what_is_wanted_is_looked_at(evidence: Evidence, settings: Settings) -> None:
    said = tampered(evidence, team="else")
    await lay_out(evidence, settings)
    of_it = [each for each in evidence.tables.verdicts if each.ticket == said.ticket]
    found = await verify(settings, Wanted(ticket=said.ticket))
    assert counts(found)[2] == 1
    assert len(of_it) <= found.rechecked <= len(of_it) + 1, "the changed one is rechecked beside the recomputed one"
    at = said.judged_at
    assert counts(await verify(settings, Wanted("t", "", Period(at, at + 1))))[2] == 1
    for wanted in Wanted("nobody"), Wanted(period=Period(at + 1, at + 2)), Wanted(period=Period(0, at)):
        assert counts(await verify(settings, wanted))[2] == 0


async def test_what_casework_has_yet_to_publish_is_not_lost(evidence: Evidence, settings: Settings) -> None:
    """The changelog stands before what is missing."""
    await lay_out(evidence, settings)
    log = longest(evidence, TOPICS.identified)
    time = next(record for record in reversed(log) if record.key is None)
    later = msgspec.structs.replace(CODEC.decode(time.value), now=2_000_000_000_000_000)
    await add(settings, TOPICS.identified, Item(None, CODEC.encode(later)), partition=log[0].partition)
    found = await verify(settings, EVERYTHING)
    assert found.findings.clean, words(found)
    assert found.rechecked >= len(evidence.tables.verdicts)


async def test_other_partitions_than_there_are_are_refused(evidence: Evidence, settings: Settings) -> None:
    await lay_out(evidence, settings)
    with pytest.raises(Refused, match="HUB_PARTITIONS"):
        await verify(msgspec.structs.replace(settings, partitions=9), EVERYTHING)
