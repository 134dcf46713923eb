"""The signed webhook against a real HTTP server: every way a request can end is an outcome with its reason."""

from __future__ import annotations

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from consumers.alerts.webhook import WebhookReceiver
from domain.alert_delivery import Answer
from domain.alerts import Alert, AlertKey, Because, Kind, Phase
from schemas.records import Interval
from tests.consumers.alerts.conftest import NOW, SECRET, Behaviour, Server, answer, drop, hang, ticket, verdict

KEY = AlertKey(ticket(1), "first_response", 1, Kind.BREACH, 0, 0)
BREACHED = Alert(KEY, Phase.OPEN, verdict("breached"))
RETRACTED = Alert(KEY, Phase.RESOLVE, verdict("breached"), verdict("retracted", 2), Because.RETRACTED)


async def deliver(server: Server, *alerts: Alert, seconds: float = 5.0) -> list[Answer]:
    receiver = WebhookReceiver(server.url, SECRET, "https://hub.example/", seconds=seconds)
    try:
        return [outcome.answer for outcome in await receiver.deliver(alerts)]
    finally:
        await receiver.close()


async def test_a_breach_arrives_signed_with_its_evidence(server: Server) -> None:
    told = verdict("breached")
    values = {name: getattr(told, name) for name in told.__struct_fields__}
    evidence = [Interval(NOW - 10, NOW, 10, "a", "now", "open", team="support", organisation="vendor-a")]
    alert = Alert(KEY, Phase.OPEN, type(told)(**values | {"evidence": evidence}))
    assert await deliver(server, alert) == [Answer.ACCEPTED]
    (heard,) = server.heard
    server.verify()
    assert heard.id == alert.message_id
    assert (heard.json["type"], heard.json["timestamp"]) == ("sla.breached", "2026-03-05T14:00:00Z")
    data = heard.json["data"]
    assert data["alert"] == str(KEY.id)
    assert data["url"] == f"https://hub.example/tickets/{ticket(1)}"
    assert data["summary"].startswith("The first response promised within 1 h on ticket")
    assert data["verdict"]["evidence"] == [
        {"begin": NOW - 10, "end": NOW, "counted": 10, "began_by": "a", "ended_by": "now", "state": "open",
         "team": "support", "organisation": "vendor-a"}
    ]  # fmt: skip


async def test_a_changed_body_or_another_secret_does_not_verify(server: Server) -> None:
    await deliver(server, BREACHED)
    (heard,) = server.heard
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(heard.body.replace(b"breached", b"retracted"), heard.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_b3RoZXI=").verify(heard.body, heard.headers)


async def test_a_warning_and_a_retraction_say_so(server: Server) -> None:
    warned = verdict("warned", threshold=75)
    key = AlertKey(ticket(1), "first_response", 1, Kind.WARNING, 75, 0)
    await deliver(server, Alert(key, Phase.OPEN, warned))
    await deliver(server, RETRACTED)
    first, second = server.heard
    assert (first.type, first.json["data"]["threshold"]) == ("sla.warned", 75)
    assert (second.type, second.json["data"]["reason"]) == ("sla.resolved", "retracted")
    assert second.json["data"]["verdict"]["outcome"] == "retracted"
    assert second.id != BREACHED.message_id


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (answer(500), Answer.FAILED),
        (answer(503), Answer.UNAVAILABLE),
        (answer(429), Answer.THROTTLED),
        (answer(307), Answer.MISCONFIGURED),
        (answer(400), Answer.REFUSED),
        (answer(410), Answer.GONE),
        (drop, Answer.DROPPED),
    ],
)
async def test_each_answer_has_its_reason(server: Server, behaviour: Behaviour, expected: Answer) -> None:
    server.then = behaviour
    assert await deliver(server, BREACHED) == [expected]
    assert len(server.heard) == 1


async def test_a_server_that_never_answers_times_out(server: Server) -> None:
    server.then = hang
    assert await deliver(server, BREACHED, seconds=0.2) == [Answer.TIMED_OUT]


async def test_a_server_that_is_not_there_is_unreachable(server: Server) -> None:
    await server.stop()
    assert await deliver(server, BREACHED) == [Answer.UNREACHABLE]


async def test_an_address_that_is_none() -> None:
    receiver = WebhookReceiver("not a url", SECRET)
    (outcome,) = await receiver.deliver([BREACHED])
    await receiver.close()
    assert outcome.answer is Answer.MISCONFIGURED


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!"])
def test_a_secret_that_is_none_is_refused_at_once(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        WebhookReceiver("http://127.0.0.1:1", secret)
