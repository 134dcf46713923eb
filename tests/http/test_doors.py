"""The HTTP doors: who may deliver, what is answered, and that accepted means durable."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from prometheus_client import REGISTRY
from starlette.types import ASGIApp

from adapters.amazon_connect.receive import AmazonConnect
from adapters.cloudevents.receive import BATCH, STRUCTURED
from adapters.contract import Account, BlobStore, Delivery
from adapters.whatsapp.receive import WhatsApp
from domain.errors import Reason, Unavailable
from hub.http import problems
from hub.http.doors import Doorway, HttpAdapter, doors
from runtime.blobs import FolderBlobs
from runtime.publisher import RecordRefused
from runtime.settings import Settings
from schemas.records import InteractionReceived
from tests.shared import requires_shared, shared_path

NOW = 1_772_442_000_000_000
SETTINGS = Settings(api_token="api token", body_limit=200_000, tenant="default")
ACCOUNTS = {
    "whatsapp": [Account(tenant="default", name="main", secret="app secret", verify_token="word")],
    "amazon-connect": [Account(tenant="default", name="prod", secret="token")],
    "failing": [Account(tenant="default", name="main")],
}
EVENT: dict[str, Any] = {  # Any: a JSON document
    "specversion": "1.0",
    "id": "1",
    "source": "shop",
    "type": "message.received",
    "data": {
        "channel": "chat",
        "direction": "inbound",
        "contact_points": [{"kind": "email", "value": "customer@example.com"}],
    },
}
TOKEN = {"Authorization": "Bearer api token"}
WEBHOOKS = sorted(shared_path("fixtures", "chat", "whatsapp-pywa").glob("*.json"))
WEBHOOK = json.dumps(
    {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": "1022",
                "changes": [
                    {
                        "field": "messages",
                        "value": {
                            "metadata": {"phone_number_id": "1"},
                            "messages": [
                                {"id": "wamid.1", "type": "text", "from": "4930901821", "text": {"body": "Hello"}}
                            ],
                        },
                    }
                ],
            }
        ],
    }
).encode()


class Frozen:
    def now(self) -> int:
        return NOW


class Log:
    """A log in memory, which can be out of reach."""

    def __init__(self) -> None:
        self.events: list[InteractionReceived] = []
        self.letters: list[tuple[str, str, bytes]] = []
        self.fails: Exception | None = None

    async def publish(self, events: Sequence[InteractionReceived]) -> None:
        if self.fails is not None:
            raise self.fails
        self.events.extend(events)

    async def dead_letter(self, source: str, reason: str, detail: str, body: bytes) -> str:
        if isinstance(self.fails, Unavailable):
            raise self.fails
        self.letters.append((source, reason, body))
        return f"letter-{len(self.letters)}"


class Failing:
    """An adapter with a bug, or without room on its disk."""

    name = "failing"
    unreadable_status = 200

    def verify(self, delivery: Delivery, account: Account) -> None:
        return None

    def challenge(self, delivery: Delivery, account: Account) -> str | None:
        return None

    def read(self, delivery: Delivery, account: Account, blobs: BlobStore) -> list[InteractionReceived]:
        raise (
            OSError(28, "No space left on device") if delivery.body == b"disk" else KeyError("a secret of the customer")
        )


ADAPTERS: dict[str, HttpAdapter] = {
    "whatsapp": WhatsApp(),
    "amazon-connect": AmazonConnect(),
    "failing": Failing(),
}


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def app(log: Log, tmp_path: Path) -> ASGIApp:
    async def visible(ids: Sequence[str], seconds: float) -> bool:
        return seconds == 7

    app = FastAPI()
    problems.install(app)
    taking = doors(ADAPTERS, ACCOUNTS, log, FolderBlobs(tmp_path), Frozen(), SETTINGS, visible)
    app.include_router(taking)
    return Doorway(app, taking)


@pytest.fixture
async def client(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client:
        yield client


def signed(body: bytes, secret: str = "app secret") -> dict[str, str]:
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def counted(adapter: str, outcome: str) -> float:
    return REGISTRY.get_sample_value("hub_deliveries_received_total", {"adapter": adapter, "outcome": outcome}) or 0.0


def told(response: httpx.Response, status: int, reason: str | None) -> dict[str, Any]:  # Any: a JSON document
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["detail"]
    assert problem.get("reason") == reason
    return problem


async def test_a_signed_webhook_is_accepted_with_the_ids_of_its_events(client: httpx.AsyncClient, log: Log) -> None:
    before = counted("whatsapp", "accepted")
    response = await client.post("/v1/channels/whatsapp/main", content=WEBHOOK, headers=signed(WEBHOOK))
    assert response.status_code == 200
    assert response.json() == {"ids": [event.id for event in log.events]}
    [event] = log.events
    assert (event.type, event.text, event.received_at) == ("message.received", "Hello", NOW)
    assert counted("whatsapp", "accepted") == before + 1


@requires_shared
@pytest.mark.parametrize("body", [pytest.param(file.read_bytes(), id=file.stem) for file in WEBHOOKS])
async def test_each_real_webhook_is_accepted(client: httpx.AsyncClient, log: Log, body: bytes) -> None:
    response = await client.post("/v1/channels/whatsapp/main", content=body, headers=signed(body))
    assert response.status_code == 200
    assert log.events
    assert not log.letters


@pytest.mark.parametrize("headers", [{}, signed(WEBHOOK, "guessed"), signed(WEBHOOK + b" ")])
async def test_a_wrong_signature_gets_401_and_only_a_metric(
    client: httpx.AsyncClient, log: Log, headers: dict[str, str]
) -> None:
    before = counted("whatsapp", "bad_signature")
    response = await client.post("/v1/channels/whatsapp/main", content=WEBHOOK, headers=headers)
    told(response, 401, "bad_signature")
    assert response.headers["www-authenticate"]
    assert (log.events, log.letters) == ([], [])
    assert counted("whatsapp", "bad_signature") == before + 1


@pytest.mark.parametrize("path", ["/v1/channels/whatsapp/other", "/v1/channels/pigeon/main", "/v1/channels/pigeon/é"])
async def test_an_account_that_is_unknown_gets_404(client: httpx.AsyncClient, path: str) -> None:
    told(await client.post(path, content=WEBHOOK, headers=signed(WEBHOOK)), 404, "unknown_account")
    told(await client.get(path), 404, "unknown_account")
    assert (
        REGISTRY.get_sample_value("hub_deliveries_received_total", {"adapter": "pigeon", "outcome": "unknown_account"})
        is None
    )


async def test_a_body_that_does_not_parse_is_kept_and_its_retries_are_stopped(
    client: httpx.AsyncClient, log: Log
) -> None:
    body = b'{"object":"whatsapp_business_account","entry":'
    response = await client.post("/v1/channels/whatsapp/main", content=body, headers=signed(body))
    assert response.status_code == 200
    assert "letter-1" in response.json()["detail"]
    response = await client.post("/v1/channels/amazon-connect/prod", content=b"// {", headers={"X-Hub-Token": "token"})
    assert response.status_code == 200
    assert log.letters == [
        ("whatsapp/main", "not_json", body),
        ("amazon-connect/prod", "not_json", b"// {"),
    ]
    assert log.events == []


async def test_the_challenge(client: httpx.AsyncClient) -> None:
    query = {"hub.mode": "subscribe", "hub.verify_token": "word", "hub.challenge": "1158201444"}
    response = await client.get("/v1/channels/whatsapp/main", params=query)
    assert (response.status_code, response.text) == (200, "1158201444")
    assert response.headers["content-type"].startswith("text/plain")
    told(
        await client.get("/v1/channels/whatsapp/main", params={**query, "hub.verify_token": "x"}), 401, "bad_signature"
    )
    refused = await client.get("/v1/channels/amazon-connect/prod")
    told(refused, 405, None)
    assert refused.headers["allow"] == "POST"


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_gets_413(client: httpx.AsyncClient, log: Log, announced: bool) -> None:
    given = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(100):
            given += 10_000
            yield b"x" * 10_000

    content = b"x" * 200_001 if announced else chunks()
    response = await client.post("/v1/channels/whatsapp/main", content=content)
    told(response, 413, "too_large")
    assert (log.events, log.letters) == ([], [])


async def test_without_kafka_the_sender_is_told_to_come_again(client: httpx.AsyncClient, log: Log) -> None:
    log.fails = Unavailable(Reason.KAFKA_UNAVAILABLE, "Kafka did not answer")
    for body in (WEBHOOK, b"{"):  # what can't be read is not lost, either
        response = await client.post("/v1/channels/whatsapp/main", content=body, headers=signed(body))
        told(response, 503, "kafka_unavailable")
        assert int(response.headers["retry-after"]) > 0
    told(await client.post("/v1/events", json=EVENT, headers=TOKEN), 503, "kafka_unavailable")
    assert (log.events, log.letters) == ([], [])


async def test_a_fault_of_an_adapter_loses_nothing_and_tells_nothing(client: httpx.AsyncClient, log: Log) -> None:
    response = await client.post("/v1/channels/failing/main", content=b"body")
    assert response.status_code == 200
    assert "secret" not in response.text
    assert log.letters == [("failing/main", "not_valid", b"body")]


async def test_a_full_disk_is_a_reason_to_deliver_again(client: httpx.AsyncClient, log: Log) -> None:
    told(await client.post("/v1/channels/failing/main", content=b"disk"), 503, None)
    assert log.letters == []


async def test_an_event_too_large_for_a_record_is_kept_as_a_dead_letter(client: httpx.AsyncClient, log: Log) -> None:
    log.fails = RecordRefused("too_large", "event 1 takes 2000000 bytes")
    told(await client.post("/v1/events", json=EVENT, headers=TOKEN), 400, "too_large")
    assert [reason for _, reason, _ in log.letters] == ["too_large"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer guessed"}, {"Authorization": "api token"}])
async def test_events_need_the_api_token(client: httpx.AsyncClient, log: Log, headers: dict[str, str]) -> None:
    told(await client.post("/v1/events", json=EVENT, headers=headers), 401, "bad_signature")
    assert log.events == []


async def test_events_are_accepted_with_their_ids(client: httpx.AsyncClient, log: Log) -> None:
    one = await client.post("/v1/events", content=json.dumps(EVENT), headers={**TOKEN, "Content-Type": STRUCTURED})
    many = await client.post(
        "/v1/events",
        content=json.dumps([EVENT, {**EVENT, "id": "2"}]),
        headers={**TOKEN, "Content-Type": f"{BATCH}; charset=utf-8"},
    )
    attributes = {f"ce-{name}": EVENT[name] for name in ("specversion", "id", "source", "type")}
    binary = await client.post("/v1/events", json=EVENT["data"], headers={**TOKEN, **attributes})
    ids = [event.id for event in log.events]
    assert [one.status_code, many.status_code, binary.status_code] == [202, 202, 202]
    assert one.json()["ids"] + many.json()["ids"] + binary.json()["ids"] == ids
    assert ids[0] == ids[1] == ids[3] != ids[2]


async def test_one_fault_refuses_the_whole_batch(client: httpx.AsyncClient, log: Log) -> None:
    wrong = {**EVENT, "data": {**EVENT["data"], "channel": "pigeon"}}
    problem = told(await client.post("/v1/events", json=[EVENT, wrong], headers=TOKEN), 422, "not_valid")
    assert [fault["where"] for fault in problem["errors"]] == ["/1/data/channel"]
    assert (log.events, log.letters) == ([], [])


async def test_thousands_of_faults_are_counted_not_listed(client: httpx.AsyncClient) -> None:
    problem = told(await client.post("/v1/events", json=[7] * 2_000, headers=TOKEN), 422, "not_valid")
    assert problem["detail"].startswith("2000 fault(s)")
    assert len(problem["errors"]) == 100


async def test_events_that_are_no_json_are_kept_and_refused(client: httpx.AsyncClient, log: Log) -> None:
    told(await client.post("/v1/events", content=b"{", headers=TOKEN), 400, "not_json")
    assert log.letters == [("cloudevents/events", "not_json", b"{")]


@pytest.mark.parametrize(
    ("prefer", "status"),
    [("wait=7", 200), ("respond-async, wait=7", 200), ("wait=1", 202), ("wait=0", 202), ("wait=x", 202), ("", 202)],
)
async def test_who_prefers_to_wait_is_told_when_it_is_visible(
    client: httpx.AsyncClient, prefer: str, status: int
) -> None:
    response = await client.post("/v1/events", json=EVENT, headers={**TOKEN, "Prefer": prefer})
    assert response.status_code == status
    assert response.headers.get("preference-applied") == ("wait=7" if status == 200 else None)


async def test_a_body_cut_off_stores_nothing(app: ASGIApp, log: Log) -> None:
    before = counted("whatsapp", "cut_off")
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    headers = {"Host": "hub", "Content-Length": str(len(WEBHOOK)), **signed(WEBHOOK)}
    lines = ["POST /v1/channels/whatsapp/main HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode() + WEBHOOK[:-1])
    writer.write_eof()
    await reader.read()
    server.should_exit = True
    await serving  # ends when all that was begun has ended
    assert counted("whatsapp", "cut_off") == before + 1
    assert (log.events, log.letters) == ([], [])


async def test_what_no_door_foresaw_is_a_problem_and_a_route_with_dependencies_keeps_them() -> None:
    async def nobody_passes() -> None:
        raise problems.Refused(401, "nobody passes")

    routes = APIRouter()

    @routes.post("/open/{name}")
    async def opened(name: str, request: Request) -> Response:
        raise KeyError(f"a secret of {name}")

    @routes.post("/closed", dependencies=[Depends(nobody_passes)])
    async def closed(request: Request) -> Response:
        return Response("came in")

    app = FastAPI()
    problems.install(app)
    app.include_router(routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Doorway(app, routes)), base_url="http://hub") as client:
        mistake = told(await client.post("/open/somebody"), 500, None)
        assert "secret" not in str(mistake)
        assert told(await client.post("/closed"), 401, None)["detail"] == "nobody passes"
        assert (await client.get("/open/somebody")).status_code == 405
