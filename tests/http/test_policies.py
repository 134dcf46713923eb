"""The versions of policies over HTTP: pages, one version whole, and the one in force with its ETag."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import yaml

from domain.policy_reading import read_bundle
from tests.http.serving import Served, serving
from tests.projections.published import publish

pytestmark = pytest.mark.postgres

TEXT = """\
name: standard
calendars:
  office: {hours: {mon: [["09:00", "17:00"]]}, holidays: ["2026-05-01"], holidays_from: {2026-05-01: Labour Day}}
policies:
  - {name: standard, calendar: office, targets: {first_response: 1h}}
"""


@pytest.fixture
async def served(dsn: str) -> AsyncIterator[Served]:
    """Versions 1 and 2 of one tenant, and 3 of another."""
    await publish(dsn, TEXT, TEXT.replace("1h", "2h"), by="a person")
    await publish(dsn, TEXT, tenant="other")
    async with serving(dsn) as found:
        yield found


async def test_versions_are_listed_the_newest_first_in_pages(served: Served) -> None:
    first = (await served.http.get("/v1/policies?limit=2")).json()
    second = (await served.http.get(f"/v1/policies?limit=2&cursor={first['next']}")).json()
    assert [each["version"] for each in first["versions"] + second["versions"]] == [3, 2, 1]
    assert [each["in_force"] for each in first["versions"] + second["versions"]] == [True, True, False]
    assert second["next"] is None
    newest, before = first["versions"]
    assert (newest["tenant"], newest["applied_by"]) == ("other", None)
    assert (before["applied_by"], before["source"]) == ("a person", "hub/policy")
    assert before["published_at"] == "2026-01-02T12:01:00.000000Z"
    digest = read_bundle(yaml.safe_load(TEXT), 1).calendars["office"].digest
    assert before["calendars"] == [{"name": "office", "tz": "Etc/UTC", "digest": digest}]
    only = (await served.http.get("/v1/policies?tenant=other")).json()
    assert [each["version"] for each in only["versions"]] == [3]
    assert (await served.http.get("/v1/policies?tenant=nobody")).json() == {"versions": [], "next": None}


async def test_a_version_is_told_whole(served: Served) -> None:
    found = (await served.http.get("/v1/policies/1")).json()
    assert found["written"] == TEXT
    assert found["bundle"]["calendars"]["office"]["holidays_from"] == {"2026-05-01": "Labour Day"}
    assert read_bundle(found["bundle"], 1).policies[0].name == "standard"
    assert not found["in_force"]


async def test_the_version_in_force_has_an_etag(served: Served) -> None:
    answer = await served.http.get("/v1/policies/current")
    assert (answer.json()["version"], answer.headers["etag"]) == (2, '"2"')
    assert (await served.http.get("/v1/policies/current?tenant=other")).json()["version"] == 3
    for asked in ('"2"', 'W/"2"', '"1", "2"', "*"):
        again = await served.http.get("/v1/policies/current", headers={"If-None-Match": asked})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", '"2"')
    for asked in ('"1"', "2", ""):
        again = await served.http.get("/v1/policies/current", headers={"If-None-Match": asked})
        assert again.status_code == 200
    one = await served.http.get("/v1/policies/1", headers={"If-None-Match": '"1"'})
    assert one.status_code == 304


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/v1/policies/4", 404, "unknown_version"),
        ("/v1/policies/current?tenant=nobody", 404, "unknown_version"),
        ("/v1/policies/0", 422, "not_valid"),
        ("/v1/policies/9223372036854775808", 422, "not_valid"),
        ("/v1/policies/newest", 422, "not_valid"),
        ("/v1/policies?limit=51", 422, "not_valid"),
        ("/v1/policies?cursor=bad", 422, "bad_cursor"),
    ],
)
async def test_what_there_is_not_is_a_problem(served: Served, path: str, status: int, reason: str) -> None:
    answer = await served.http.get(path)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
