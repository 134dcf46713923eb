"""Commands that need no server: what they print, with which exit code, and what they say when they are used wrongly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from domain.errors import PolicyInvalid
from hub.local.ami_peer import abandoned_call
from tests.cli.running import hub, inside

SECOND = 1_000_000
NOON = 1_767_355_200 * SECOND  # 2026-01-02 12:00:00 UTC
MAIL = b"From: customer@example.com\r\nTo: support@example.org\r\nMessage-ID: <1@example.com>\r\n\r\nHi\r\n"
MESSAGE = {"from": "4930901820", "id": "wamid.1", "timestamp": "1767355200", "type": "text", "text": {"body": "Hello"}}
WHATSAPP = {
    "object": "whatsapp_business_account",
    "entry": [
        {
            "id": "1",
            "changes": [{"field": "messages", "value": {"messaging_product": "whatsapp", "messages": [MESSAGE]}}],
        }
    ],
}
CONTACT = {
    "contactId": "c-1", "channel": "VOICE", "eventType": "INITIATED", "initiationMethod": "INBOUND",
    "initiationTimestamp": "2026-01-02T12:00:00Z",
    "customerEndpoint": {"type": "TELEPHONE_NUMBER", "address": "+4930901820"},
}  # fmt: skip
CALL = abandoned_call("1.1", "+4930901820", "sales", offered=NOON, queued=NOON, gave_up=NOON + SECOND)
PAYLOADS = {
    "email": (MAIL, "email.received"),
    "whatsapp": (json.dumps(WHATSAPP).encode(), "message.received"),
    "amazon-connect": (json.dumps({"id": "e-1", "detail": CONTACT}).encode(), "call.offered"),
    "asterisk-ami": (CALL[0], "call.offered"),
}
BROKEN = {
    "email": (b"no mail at all", "not_mail"),
    "whatsapp": (b"{", "not_json"),
    "amazon-connect": (b"{}", "not_valid"),
    "asterisk-ami": (b"nothing\r\n\r\n", "not_valid"),
}


@pytest.mark.parametrize("adapter", sorted(PAYLOADS))
def test_parse_prints_the_events_of_a_payload(adapter: str, tmp_path: Path) -> None:
    payload, event_type = PAYLOADS[adapter]
    (tmp_path / "good").write_bytes(payload)
    (tmp_path / "broken").write_bytes(BROKEN[adapter][0])
    run = hub if adapter == "email" else inside  # once as a person does it
    ran = run("parse", adapter, str(tmp_path / "good"), str(tmp_path / "broken"))
    [event] = [json.loads(line) for line in ran.out.splitlines()]
    assert (event["type"], event["tenant"]) == (event_type, "default")
    assert event["source"] == f"{adapter}/parse"
    assert any("4930901820" in point["value"] or "customer@" in point["value"] for point in event["contact_points"])
    # The one that can't be read is named with its reason, and the exit code tells.
    assert ran.code == 1
    complaint = json.loads(ran.err)
    assert complaint["file"].endswith("broken")
    assert complaint["reason"] == BROKEN[adapter][1]
    assert complaint["error"]


def test_parse_takes_a_region_and_own_addresses(tmp_path: Path) -> None:
    file = tmp_path / "answer.eml"
    file.write_bytes(MAIL)
    assert json.loads(inside("parse", "email", str(file), "--own", "example.com").out)["type"] == "email.sent"
    national = abandoned_call("1.1", "030 901820", "sales", offered=NOON, queued=NOON, gave_up=NOON)[0]
    (tmp_path / "call").write_bytes(national)
    event = json.loads(inside("parse", "asterisk-ami", str(tmp_path / "call"), "--region", "DE").out)
    assert "+4930901820" in {point["value"] for point in event["contact_points"]}


def test_parse_names_files_that_are_not_there_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(MAIL)
    ran = inside("parse", "email", str(tmp_path / "absent"), str(tmp_path / "good"))
    assert (ran.code, len(ran.out.splitlines())) == (1, 1)
    assert "absent" in ran.err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("parse", "fax", "file"), "asterisk-ami"),
        (("worker", "nonsense"), "identity or casework"),
        (("receive", "whatsapp"), "hub serve"),
        (("nonsense",), "nonsense"),
        (("dlq", "retry"), "--reason"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_ones(words: tuple[str, ...], hint: str) -> None:
    ran = inside(*words)
    assert ran.code == 2
    assert hint in ran.err
    assert "Traceback" not in ran.err


POLICY = """\
calendars:
  office:
    tz: {zone}
    hours:
      mon: [["09:00", "17:00"]]
policies:
  - name: standard
    calendar: office
    targets:
      first_response: {target}
"""


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (POLICY.format(zone="Mars/Olympus", target="4h"), "office"),
        (POLICY.format(zone="Europe/Berlin", target="soon"), "first_response"),
        ("policies: [", "policies.yaml:2:1: "),
    ],
    ids=["zone", "target", "yaml"],
)
def test_a_broken_policy_is_refused_with_the_place_before_kafka_is_asked(text: str, place: str, tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(text)
    ran = inside("policy", "apply", str(file), kafka="127.0.0.1:1")
    assert ran.code == 2
    assert str(file) in ran.err
    assert place in ran.err
    assert "Traceback" not in ran.err


def test_a_policy_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalid, match=r"absent\.yaml: can't be read: No such file"):
        inside("policy", "apply", str(tmp_path / "absent.yaml"))


@pytest.mark.parametrize(
    ("words", "settings", "hint"),
    [
        (("topics", "diff"), {"kafka": "127.0.0.1:1"}, "127.0.0.1:1"),
        (("dlq", "list"), {"kafka": "127.0.0.1:1"}, "HUB_KAFKA"),
        (("sla", "explain", "00000000-0000-4000-8000-000000000000"), {"postgres": "postgresql:///x?host=/nowhere"}, ""),
        (("serve",), {"api_token": ""}, "HUB_API_TOKEN"),
        (("topics", "diff"), {"partitions": "many"}, "partitions"),
        (("run",), {"accounts": "/nowhere/accounts.yaml"}, "accounts.yaml"),
    ],
    ids=["topics", "dlq", "sla", "token", "setting", "accounts"],
)
def test_what_a_person_can_mend_is_said_in_a_line(words: tuple[str, ...], settings: dict[str, str], hint: str) -> None:
    ran = hub(*words, **settings)
    assert ran.code == 2, ran.err
    assert hint in ran.err
    assert "Traceback" not in ran.err
    assert ran.err.count("hub:") == 1
