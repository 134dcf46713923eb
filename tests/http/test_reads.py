"""The reading API as a caller sees it: answers, pages, problems, and who is let in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import jsonschema
import pytest
from fastapi import APIRouter, Depends, Request

from hub.http.reads import spellings
from hub.http.security import COOKIE, SESSION_SECONDS, Gate, require_token
from projections.tickets import store as tickets
from projections.timeline import store as timeline
from projections.verdicts import store as verdicts
from runtime.clock import SECOND
from runtime.settings import SettingInvalid
from tests.http.serving import TOKEN, Served, serving
from tests.projections.gateway import Gateway
from tests.projections.published import publish
from tests.projections.samples import CUSTOMER, MINUTE, NOON, TICKET, clock, entry, ticket, uid, verdict

pytestmark = pytest.mark.postgres
Json = dict[str, Any]  # Any: a JSON document


@pytest.fixture
async def story(dsn: str) -> str:
    """One customer with a history, two tickets and verdicts."""
    connection = await asyncpg.connect(dsn)
    await timeline.add(connection, [entry(n) for n in range(1, 8)])
    clocks = [clock(state="breached", elapsed=61 * MINUTE, warned=[75]), clock(metric="resolution", due_at=None)]
    await tickets.put(
        connection,
        [ticket(1, clocks=clocks), ticket(1, id=uid("t2"), opened_at=NOON + 5, status="resolved", team="care")],
    )
    await verdicts.add(connection, [verdict(1, outcome="warned", threshold=75), verdict(2)])
    add = "INSERT INTO customers VALUES ($1, 'default', to_timestamp(1767355200), 'email', 'customer@example.com', $2)"
    await connection.execute(add, CUSTOMER, None)
    await connection.execute(add, uid("old"), CUSTOMER)
    add = "INSERT INTO contact_points VALUES ('default', $1, $2, $3, true, false, 'first contact', now(), $3)"
    await connection.execute(add, "email", "customer@example.com", CUSTOMER)
    await connection.execute(add, "phone", "+4930901820", CUSTOMER)
    await connection.close()
    return dsn


@pytest.fixture
async def served(story: str) -> AsyncIterator[Served]:
    async with serving(story) as found:
        yield found


async def _get(served: Served, path: str, status: int = 200) -> Json:
    answer = await served.http.get(path)
    assert answer.status_code == status, answer.text
    kind = "application/json" if status == 200 else "application/problem+json"
    assert answer.headers["content-type"] == kind
    found: Json = answer.json()
    if status != 200:
        assert found["status"] == status
        assert found["type"] == "about:blank"
        assert found["title"]
        assert found["detail"]
    return found


async def test_a_history_is_read_in_pages_in_both_orders(served: Served) -> None:
    path = f"/v1/customers/{CUSTOMER}/timeline"
    first = await _get(served, f"{path}?limit=4")
    second = await _get(served, f"{path}?limit=4&cursor={first['next']}")
    assert [e["sequence"] for e in first["entries"] + second["entries"]] == [7, 6, 5, 4, 3, 2, 1]
    assert second["next"] is None
    oldest = await _get(served, f"{path}?order=asc&limit=2")
    following = await _get(served, f"{path}?order=asc&limit=2&cursor={oldest['next']}")
    assert [e["sequence"] for e in oldest["entries"] + following["entries"]] == [1, 2, 3, 4]


async def test_instants_are_rfc_3339_with_microseconds_and_durations_seconds(served: Served) -> None:
    page = await _get(served, f"/v1/customers/{CUSTOMER}/timeline?order=asc&limit=1")
    assert page["entries"][0]["received_at"] == "2026-01-02T12:01:00.250000Z"
    found = await _get(served, f"/v1/tickets/{TICKET}")
    assert found["opened_at"] == "2026-01-02T12:00:00.000000Z"
    assert found["clocks"][0]["target_seconds"] == 3600
    assert found["clocks"][0]["elapsed_seconds"] == 3660
    assert [v["outcome"] for v in found["verdicts"]] == ["warned", "breached"]


async def test_a_merged_customer_is_found_under_both_ids(served: Served) -> None:
    page = await _get(served, f"/v1/customers/{uid('old')}/timeline")
    assert page["customer"] == CUSTOMER
    assert len(page["entries"]) == 7
    assert (await _get(served, f"/v1/customers/{uid('old')}"))["id"] == CUSTOMER
    assert len((await _get(served, f"/v1/tickets?customer={uid('old')}"))["tickets"]) == 2


@pytest.mark.parametrize(
    "contact",
    [
        "+4930901820",
        "+49 30 901820",
        "+49 (30) 901-820",
        "customer@example.com",
        "Customer@EXAMPLE.com",
        " customer@example.com ",
    ],
)
async def test_a_customer_is_found_however_the_contact_point_is_written(served: Served, contact: str) -> None:
    found = await _get(served, f"/v1/customers?contact={quote(contact, safe='')}")
    assert [match["id"] for match in found["customers"]] == [CUSTOMER]


async def test_an_unencoded_plus_still_finds_the_number_and_kinds_filter(served: Served) -> None:
    assert len((await _get(served, "/v1/customers?contact=+4930901820"))["customers"]) == 1
    assert (await _get(served, "/v1/customers?contact=%2B4930901820&kind=email"))["customers"] == []
    assert (await _get(served, "/v1/customers?contact=nobody@example.com"))["customers"] == []
    assert spellings("4711") == ["4711"]  # an id of a channel is taken as it is


async def test_a_customer_has_contact_points_and_open_tickets(served: Served) -> None:
    found = await _get(served, f"/v1/customers/{CUSTOMER}")
    assert {point["value"] for point in found["contact_points"]} == {"customer@example.com", "+4930901820"}
    assert [each["id"] for each in found["open_tickets"]] == [TICKET]
    assert found["created_at"] == "2026-01-02T12:00:00.000000Z"


async def test_tickets_are_filtered_and_paged(served: Served) -> None:
    first = await _get(served, "/v1/tickets?limit=1")
    second = await _get(served, f"/v1/tickets?limit=1&cursor={first['next']}")
    assert [t["id"] for t in first["tickets"] + second["tickets"]] == [uid("t2"), TICKET]
    assert second["next"] is None
    for query, expected in (
        ("status=open", [TICKET]),
        ("status=open&status=resolved", [uid("t2"), TICKET]),
        ("team=care", [uid("t2")]),
        ("organisation=own", []),
        ("tenant=another", []),
    ):
        assert [t["id"] for t in (await _get(served, f"/v1/tickets?{query}"))["tickets"]] == expected


async def test_a_verdict_carries_evidence_that_adds_up(served: Served) -> None:
    found = await _get(served, f"/v1/tickets/{TICKET}/verdicts/{verdict(2).id}")
    assert sum(part["counted_seconds"] for part in found["evidence"]) == found["elapsed_seconds"] == 3601


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        (f"/v1/customers/{uid('nobody')}", 404, "unknown_customer"),
        (f"/v1/customers/{uid('nobody')}/timeline", 404, "unknown_customer"),
        (f"/v1/customers/{uid('nobody')}/timeline/live", 404, "unknown_customer"),
        (f"/v1/tickets/{uid('none')}", 404, "unknown_ticket"),
        (f"/v1/tickets/{TICKET}/verdicts/{uid('none')}", 404, "unknown_verdict"),
        ("/v1/nothing", 404, None),
        ("/v1/customers/12345", 422, "not_valid"),
        ("/v1/customers", 422, "not_valid"),
        (f"/v1/customers/{CUSTOMER}/timeline?cursor=bad", 422, "bad_cursor"),
        (f"/v1/customers/{CUSTOMER}/timeline?cursor=%C3%A4", 422, "bad_cursor"),
        (f"/v1/customers/{CUSTOMER}/timeline?limit=0", 422, "not_valid"),
        (f"/v1/customers/{CUSTOMER}/timeline?order=random", 422, "not_valid"),
        ("/v1/tickets?status=lost", 422, "unknown_status"),
    ],
)
async def test_what_goes_wrong_is_a_problem_that_says_what(
    served: Served, path: str, status: int, reason: str | None
) -> None:
    found = await _get(served, path, status)
    assert found.get("reason") == reason
    assert "12345" not in str(found.get("errors", ""))


async def test_a_wrong_method_and_a_body_too_large_are_problems(served: Served) -> None:
    answer = await served.http.post("/v1/tickets")
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
    answer = await served.http.post("/login", content=b"x" * 20_000)
    assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")


async def test_an_error_of_ours_is_a_problem_without_its_details(story: str) -> None:
    doors = APIRouter()

    @doors.get("/v1/broken")
    async def broken() -> None:
        raise RuntimeError("a secret")

    async with serving(story, doors) as served:
        found = await _get(served, "/v1/broken", 500)
    assert "secret" not in str(found)


async def test_nobody_gets_in_without_the_token(served: Served) -> None:
    document = (await served.http.get("/openapi.json")).json()
    paths = {path for path in document["paths"] if path not in ("/healthz", "/readyz")} | {"/openapi.json"}
    assert len(paths) > 8
    wrong: tuple[dict[str, str], ...] = (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": TOKEN},
        {"Cookie": f"{COOKIE}=99999999999.00"},
    )
    async with httpx.AsyncClient(base_url=served.url) as stranger:
        for path in paths:
            url = path.replace("{id}", CUSTOMER).replace("{verdict}", CUSTOMER)
            for headers in wrong:
                answer = await stranger.get(url, headers=headers)
                assert answer.status_code == 401, (path, headers)
                assert answer.headers["www-authenticate"] == "Bearer"
                assert answer.headers["content-type"] == "application/problem+json"
        for page in ("/", f"/customers/{CUSTOMER}", f"/customers/{CUSTOMER}/live"):
            answer = await stranger.get(page)
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/login?next=")
        assert (await stranger.post("/search", data={"contact": "x"})).status_code == 303
        assert (await stranger.get("/healthz")).json() == {"status": "ok"}


def test_without_a_token_in_the_settings_there_is_no_server() -> None:
    for empty in ("", "  "):
        with pytest.raises(SettingInvalid, match="HUB_API_TOKEN"):
            Gate(empty, _Clock())


class _Clock:
    at = NOON

    def now(self) -> int:
        return self.at


def test_a_session_is_good_for_its_time_and_its_token_only() -> None:
    time = _Clock()
    gate = Gate(TOKEN, time)
    session = gate.open_session()
    assert gate.knows_session(session)
    assert not Gate("another", time).knows_session(session)
    expires, _, signature = session.partition(".")
    for forged in (
        None,
        "",
        ".",
        f"{int(expires) + 1}.{signature}",
        f"{expires}.{'0' * 64}",
        f"{expires}.ä",
        "²." + signature,
    ):
        assert not gate.knows_session(forged)
    time.at = NOON + SESSION_SECONDS * SECOND
    assert not gate.knows_session(session)


async def test_the_login_form_gives_a_cookie_that_reads_but_changes_nothing(story: str) -> None:
    doors = APIRouter(dependencies=[Depends(require_token)])

    @doors.post("/v1/change")
    async def change(request: Request) -> str:
        return request.method

    async with serving(story, doors) as served, httpx.AsyncClient(base_url=served.url) as browser:
        wrong = await browser.post("/login", data={"token": "wrong"})
        assert wrong.status_code == 401
        assert not browser.cookies
        right = await browser.post("/login", data={"token": TOKEN, "next": f"/customers/{CUSTOMER}"})
        assert (right.status_code, right.headers["location"]) == (303, f"/customers/{CUSTOMER}")
        cookie = right.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert TOKEN not in cookie
        assert (await browser.get("/")).status_code == 200
        assert (await browser.get("/v1/tickets")).status_code == 200
        assert (await browser.post("/v1/change")).status_code == 401
        assert (await served.http.post("/v1/change")).status_code == 200
        for elsewhere in ("https://example.com/", "//example.com", "/\\example.com", "javascript:x"):
            onward = await browser.post("/login", data={"token": TOKEN, "next": elsewhere})
            assert onward.headers["location"] == "/"
        left = await browser.post("/logout")
        assert left.status_code == 303
        assert (await browser.get("/")).status_code == 303


async def test_pages_forbid_foreign_code_and_are_not_kept(served: Served) -> None:
    for path in ("/login", "/healthz", "/v1/tickets"):
        headers = (await served.http.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


async def test_while_postgres_is_away_it_says_so_and_then_goes_on(story: str) -> None:
    async with Gateway(story) as gateway, serving(gateway.dsn) as served:
        path = f"/v1/customers/{CUSTOMER}/timeline"
        assert len((await _get(served, path))["entries"]) == 7
        gateway.down()
        for each in (path, "/readyz", "/v1/tickets"):
            found = await _get(served, each, 503)
            assert found["reason"] == "postgres_unavailable"
            assert "gateway-" not in found["detail"]  # where the database is, is nobody's business
        assert (await served.http.get("/healthz")).status_code == 200
        assert (await served.http.get(path)).headers["retry-after"] == "2"
        await gateway.up()
        assert len((await _get(served, path))["entries"]) == 7


async def test_it_starts_before_postgres_does(story: str) -> None:
    async with Gateway(story) as gateway:
        gateway.down()
        async with serving(gateway.dsn) as served:
            await _get(served, "/readyz", 503)
            await gateway.up()
            await _get(served, "/v1/tickets")


async def test_metrics_are_shown_to_those_with_the_token(served: Served) -> None:
    answer = await served.http.get("/metrics")
    assert "hub_live_streams_open" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")


async def test_answers_are_what_the_openapi_document_says(served: Served, story: str) -> None:
    promised = "{name: p, calendar: c, targets: {first_response: 1h}}"
    calendar = "{hours: {mon: [['09:00', '17:00']]}}"
    [version] = await publish(story, f"{{calendars: {{c: {calendar}}}, policies: [{promised}]}}")
    document = await _get(served, "/openapi.json")
    assert "Problem" in document["components"]["schemas"]
    examples = {
        "/v1/customers": "/v1/customers?contact=customer@example.com",
        "/v1/customers/{id}": f"/v1/customers/{CUSTOMER}",
        "/v1/customers/{id}/timeline": f"/v1/customers/{CUSTOMER}/timeline",
        "/v1/figures": "/v1/figures?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z",
        "/v1/policies": "/v1/policies",
        "/v1/policies/current": "/v1/policies/current",
        "/v1/policies/{version}": f"/v1/policies/{version}",
        "/v1/sources": "/v1/sources",
        "/v1/tickets": "/v1/tickets",
        "/v1/tickets/{id}": f"/v1/tickets/{TICKET}",
        "/v1/tickets/{id}/verdicts": f"/v1/tickets/{TICKET}/verdicts",
        "/v1/tickets/{id}/verdicts/{verdict}": f"/v1/tickets/{TICKET}/verdicts/{verdict(2).id}",
        "/healthz": "/healthz",
        "/readyz": "/readyz",
    }
    described = {path for path in document["paths"] if path not in ("/metrics", "/v1/customers/{id}/timeline/live")}
    assert described == set(examples)
    for path, url in examples.items():
        described_answer = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(await _get(served, url), {**described_answer, "components": document["components"]})
    live = document["paths"]["/v1/customers/{id}/timeline/live"]["get"]["responses"]
    assert "text/event-stream" in live["200"]["content"]
    problem = {"$ref": "#/components/schemas/Problem", "components": document["components"]}
    jsonschema.validate(await _get(served, "/v1/customers/x", 422), problem)
