"""Versions of bundles by command: what differs, what would change, what there was. The tables are real."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from projections.migrate import migrate
from projections.tickets import store as tickets
from projections.timeline import store as timeline
from tests.cli.running import Ran, hub, inside
from tests.projections.published import publish
from tests.projections.samples import CUSTOMER, MINUTE, NOON, clock, entry, ticket, uid

pytestmark = pytest.mark.postgres

FIRST = """\
# what the vendor promised
name: standard
calendars:
  office: &always
    tz: Etc/UTC
    hours: {mon: [["00:00", "24:00"]], fri: [["00:00", "24:00"]], sat: [["00:00", "24:00"]]}
policies:
  - {name: standard, match: {source: email/support}, calendar: office, targets: {first_response: 1h}}
"""
SECOND = FIRST.replace("1h}", "2h}").replace("what the vendor promised", "longer")


@pytest.fixture
async def dsn(database: str) -> str:
    await migrate(database)
    return database


def write(folder: Path, text: str) -> str:
    (folder / "policies.yaml").write_text(text)
    return str(folder / "policies.yaml")


async def asked(*words: str, dsn: str) -> Ran:
    """A command, in a thread of its own, since this one's event loop runs."""
    return await asyncio.to_thread(inside, *words, postgres=dsn)


async def test_before_the_first_version_everything_is_new(dsn: str, tmp_path: Path) -> None:
    ran = await asked("policy", "diff", write(tmp_path, FIRST), dsn=dsn)
    assert ran.code == 1, ran.err
    assert "nothing, since no version is in force" in ran.out
    assert "+ policies.standard.targets.first_response.normal: 1h" in ran.out
    assert "no version was published" in (await asked("policy", "history", dsn=dsn)).out
    missing = await asked("policy", "show", "1", dsn=dsn)
    assert missing.code == 1
    assert "there is no version 1" in missing.err


async def test_a_difference_to_what_is_in_force(dsn: str, tmp_path: Path) -> None:
    await publish(dsn, SECOND, FIRST)
    await publish(dsn, SECOND, tenant="other")
    same = await asked("policy", "diff", write(tmp_path, FIRST.replace("# what", "# as")), dsn=dsn)
    assert (same.code, same.out) == (0, "no difference to version 2\n")
    ran = await asked("policy", "diff", write(tmp_path, FIRST), "--tenant", "other", "--json", dsn=dsn)
    assert ran.code == 1
    told = json.loads(ran.out)
    assert told["in_force"] == 3
    place = "policies.standard.targets.first_response.low"
    assert told["changes"][0] == {"place": place, "kind": "changed", "before": "2h", "after": "1h"}
    broken = await asked("policy", "diff", write(tmp_path, FIRST.replace("1h", "-1h")), dsn=dsn)
    assert broken.code == 2
    assert "policies.yaml:8:" in broken.err


async def test_the_history_says_whose_when_and_by_whom(dsn: str) -> None:
    await publish(dsn, FIRST, SECOND, by="a person")
    await publish(dsn, FIRST, tenant="other")
    ran = await asked("policy", "history", dsn=dsn)
    assert ran.code == 0
    lines = ran.out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["3", "2", "1"]
    assert "2026-01-02 12:01:00" in lines[1]
    assert "a person" in lines[1]
    assert "(in force)" in lines[1]
    assert "(in force)" not in lines[2]
    only = json.loads((await asked("policy", "history", "--tenant", "default", "--limit", "1", "--json", dsn=dsn)).out)
    assert [(each["version"], each["in_force"], each["applied_by"]) for each in only] == [(2, True, "a person")]
    assert only[0]["published_at"] == "2026-01-02T12:01:00Z"
    assert len(only[0]["calendars"]["office"]) == 64


async def test_a_version_is_shown_as_it_was_applied(dsn: str) -> None:
    await publish(dsn, FIRST)
    assert (await asked("policy", "show", "1", dsn=dsn)).out == FIRST
    canonical = json.loads((await asked("policy", "show", "1", "--canonical", dsn=dsn)).out)
    assert canonical["policies"][0]["match"] == {"source": "email/support"}


async def test_a_version_from_before_its_words_were_kept_is_shown_as_json(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    body = '{"calendars":{},"name":"old","policies":[]}'
    add = "INSERT INTO configurations (tenant, name, event, body) VALUES ('default', 'default', $1, $2)"
    await connection.execute(add, uid("event"), body)
    await connection.close()
    assert (await asked("policy", "show", "1", dsn=dsn)).out == f"{body}\n"
    history = await asked("policy", "history", dsn=dsn)
    assert history.code == 0
    assert "in force" in history.out


async def test_a_dry_run_says_what_would_become_of_open_tickets_and_applies_nothing(dsn: str, tmp_path: Path) -> None:
    await publish(dsn, FIRST)
    connection = await asyncpg.connect(dsn)
    opening = [entry(number, event=uid("t", number)) for number in range(1, 4)]
    await timeline.add(connection, opening)
    running = clock(policy_version=1)
    made = [
        ticket(1, id=uid("t", 1), clocks=[running]),
        ticket(1, id=uid("t", 2), clocks=[clock(policy_version=1, state="met", due_at=None)]),
        ticket(1, id=uid("t", 3), status="resolved", clocks=[running]),
        ticket(1, id=uid("t", 4), tenant="other", clocks=[running]),
    ]
    await tickets.put(connection, made)
    await connection.close()
    file = write(tmp_path, SECOND)
    ran = await asyncio.to_thread(hub, "policy", "apply", file, "--dry-run", postgres=dsn)  # once as a person does it
    assert ran.code == 0, ran.err
    assert "2 open tickets, 1 of them unchanged" in ran.out
    due = "due 2026-01-02 13:00:00 → 2026-01-02 14:00:00"
    assert f"{uid('t', 1)} first_response: 1h → 2h, {due}" in ran.out
    assert ran.out.endswith("nothing was applied\n")
    as_json = json.loads((await asked("policy", "apply", file, "--dry-run", "--json", dsn=dsn)).out)
    assert as_json["open_tickets"]["policies"]["standard"]["later"] == 1
    assert as_json["open_tickets"]["examples"][0]["due_after"] == NOON + 120 * MINUTE
    assert CUSTOMER not in str(as_json)
    assert "2" not in [line.split()[0] for line in (await asked("policy", "history", dsn=dsn)).out.splitlines()[1:]]


def test_a_dry_run_of_a_bundle_with_faults_asks_nobody(tmp_path: Path) -> None:
    ran = inside(
        "policy", "apply", write(tmp_path, FIRST.replace("1h", "-1h")), "--dry-run", postgres="postgresql:///no"
    )
    assert ran.code == 2
    assert "negative" in ran.err
