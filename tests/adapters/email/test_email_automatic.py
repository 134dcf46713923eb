"""Which mail no person wrote, and what a report of a failed delivery says: by rule, and over real mail."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from adapters.email.automatic import RULES
from schemas.records import InteractionReceived, MailFacts
from tests.adapters.email.mail_fakes import mail, read
from tests.shared import requires_shared, shared_path

BOUNCES = ("email.bounced", "email.delayed")

AUTOMATIC: list[tuple[dict[str, str], str | None]] = [
    ({}, None),
    ({"auto_submitted": "auto-replied"}, "auto-submitted"),
    ({"auto_submitted": "auto-generated (nightly)"}, "auto-submitted"),
    ({"auto_submitted": "no"}, None),
    ({"auto_submitted": "No (a person)"}, None),
    ({"x_autoreply": "yes"}, "auto-reply"),
    ({"x_autoreply": "no"}, None),
    ({"x_autorespond": "1"}, "auto-reply"),
    ({"x_autoresponder": "1"}, "auto-reply"),
    ({"x_auto_reply_from": "a@example.com"}, "auto-reply"),
    ({"x_mail_autoreply": "1"}, "auto-reply"),
    ({"x_apple_action": "VACATION"}, "auto-reply"),
    ({"precedence": "auto_reply"}, "auto-reply"),
    ({"list_id": "<news.example.com>"}, "list"),
    ({"precedence": "list"}, "list"),
    ({"precedence": "bulk"}, "bulk"),
    ({"precedence": "Junk"}, "bulk"),
    ({"precedence": "first-class"}, None),
    ({"x_auto_response_suppress": "OOF, AutoReply"}, "auto-response-suppress"),
    ({"x_auto_response_suppress": "None"}, None),
    ({"return_path": "<>"}, "null-sender"),
    ({"return_path": "<customer@example.com>"}, None),
    ({"from": "MAILER-DAEMON@example.com", "subject": "Hello"}, "mailer-daemon"),
    ({"content_type": "multipart/report; boundary=b"}, "report"),
]


@pytest.mark.parametrize(("headers", "reason"), AUTOMATIC)
def test_the_rules(headers: dict[str, str], reason: str | None) -> None:
    event = read(mail(**headers))
    assert isinstance(event.facts, MailFacts)
    assert event.facts.automatic == reason
    assert event.type == ("email.auto_replied" if reason else "email.received")
    assert event.actor is not None
    assert event.actor.kind == ("bot" if reason else "customer")


def test_every_rule_is_tried() -> None:
    tried = {name.replace("_", "-") for headers, reason in AUTOMATIC if reason for name in headers}
    assert {rule.header for rule in RULES} <= tried


def test_the_envelopes_null_sender_counts() -> None:
    assert read(mail(), envelope_from="").type == "email.auto_replied"
    assert read(mail(), envelope_from="customer@example.com").type == "email.received"


def report(action: str, status: str = "5.1.1", original: str = "") -> str:
    return mail(
        "--b\nContent-Type: text/plain\n\nYour mail was not delivered.\n"
        "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.com\n\n"
        f"Final-Recipient: rfc822; Customer@example.com\nAction: {action}\nStatus: {status}\n\n"
        f"--b\nContent-Type: text/rfc822-headers\n\n{original or 'Message-ID: <sent@own.example>'}\n--b--",
        content_type="multipart/report; report-type=delivery-status; boundary=b",
        message_id="<bounce@mx.example.com>",
        subject="Report",
        **{"from": "Mail Delivery System <MAILER-DAEMON@mx.example.com>"},
    )


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [
        ("failed", "5.1.1", "email.bounced"),
        ("Failed (no such user)", "5.1.1", "email.bounced"),
        ("delayed", "4.4.1", "email.delayed"),
        ("delivered", "2.0.0", "email.auto_replied"),
        ("relayed", "2.0.0", "email.auto_replied"),
        ("", "5.2.2", "email.bounced"),
        ("", "4.2.2", "email.delayed"),
    ],
)
def test_a_delivery_report_says_what_became_of_a_mail(action: str, status: str, expected: str) -> None:
    assert read(report(action, status)).type == expected


def test_a_bounce_belongs_to_the_mail_that_was_sent() -> None:
    event = read(report("failed"))
    assert event.conversation == "sent@own.example"
    assert isinstance(event.facts, MailFacts)
    assert (event.facts.automatic, event.facts.in_reply_to) == ("bounce", "sent@own.example")
    assert event.attributes == {"status": "5.1.1"}
    assert event.direction == "inbound"
    assert event.actor is not None
    assert event.actor.kind == "system"
    assert [(point.role, point.value) for point in event.contact_points] == [
        ("customer", "customer@example.com"),
        ("agent", "support@own.example"),
        ("other", "mailer-daemon@mx.example.com"),
    ]


def test_a_bounce_of_an_answer_belongs_to_the_thread_of_the_question() -> None:
    sent = "Message-ID: <sent@own.example>\nReferences: <m1@example.com>\nIn-Reply-To: <m1@example.com>"
    assert read(report("failed", original=sent)).conversation == read(mail()).conversation == "m1@example.com"


def test_bytes_that_are_no_text_in_a_report_do_no_harm() -> None:
    event = read(report("failed").encode().replace(b"Customer@example.com", b"Kund\xff@example.com"))
    assert msgspec.json.encode(event)
    assert event.type == "email.bounced"


def test_one_failed_recipient_makes_a_bounce() -> None:
    both = report("delayed").replace(
        "Action: delayed", "Action: delayed\n\nFinal-Recipient: rfc822; b@example.com\nAction: failed"
    )
    event = read(both)
    assert event.type == "email.bounced"
    assert [point.value for point in event.contact_points if point.role == "customer"] == ["customer@example.com"]


def test_prose_counts_only_from_a_server() -> None:
    text = "Hello,\nmy mail to <you@own.example> could not be delivered: 550 5.1.1 user unknown.\n"
    assert read(mail(text, subject="Undelivered Mail Returned to Sender")).type == "email.received"
    event = read(mail(text, subject="Undelivered Mail Returned to Sender", **{"from": "MAILER-DAEMON"}))
    assert event.type == "email.bounced"


def test_a_bounce_that_a_person_attaches_is_a_persons_mail() -> None:
    inner = report("failed").replace("--b", "--inner").replace("boundary=b", "boundary=inner")
    body = f"--b\nContent-Type: text/plain\n\nLook at this\n--b\nContent-Type: message/rfc822\n\n{inner}\n--b--"
    event = read(mail(body, content_type="multipart/mixed; boundary=b"))
    assert (event.type, event.text) == ("email.received", "Look at this")


def _types(folder: Path, pattern: str) -> dict[str, InteractionReceived]:
    return {path.name: read(path.read_bytes()) for path in sorted(folder.rglob(pattern))}


@requires_shared
def test_real_bounces_of_many_servers_are_recognised() -> None:
    folder = shared_path("fixtures", "email", "sisimai-bounces", "maildir")
    events = {kind: _types(folder / kind, "*.eml") for kind in ("bsd", "dos", "mac", "err", "temp")}
    # Spam complaints and absence notes are in the collection, too: automatic, but no bounces.
    servers = {
        f"{kind}/{name}": event
        for kind, found in events.items()
        for name, event in found.items()
        if not name.startswith(("arf-", "rfc3834-"))
    }
    counts = Counter(event.type for event in servers.values())
    automatic = sum(getattr(event.facts, "automatic", None) is not None for event in servers.values())
    assert (counts["email.bounced"] + counts["email.delayed"]) / len(servers) > 0.95, counts
    assert automatic / len(servers) > 0.96, counts
    linked = [event for event in servers.values() if event.type in BOUNCES]
    assert sum(any(p.role == "customer" for p in event.contact_points) for event in linked) / len(linked) > 0.95
    assert not {event.type for event in _types(folder / "not", "is-not-bounce-*.eml").values()} & set(BOUNCES)


@requires_shared
def test_real_bounces_name_the_right_recipient() -> None:
    folder = shared_path("fixtures", "email", "flufl-bounce")
    expected: list[tuple[str, str, list[str], bool]] = json.loads((folder / "EXPECTED.json").read_text())
    wanted = {name: {one.lower() for one in addresses} for _, name, addresses, _ in expected if addresses}
    events = {name: read((folder / name).read_bytes()) for name in wanted}
    bounces = {name: event for name, event in events.items() if event.type in BOUNCES}
    assert len(bounces) / len(events) > 0.85
    assert sum(getattr(event.facts, "automatic", None) is not None for event in events.values()) / len(events) > 0.92
    right = [
        name
        for name, event in bounces.items()
        if {point.value for point in event.contact_points[:1] if point.role == "customer"} <= wanted[name]
        and event.contact_points[0].role == "customer"
    ]
    assert len(right) / len(bounces) > 0.85, sorted(set(bounces) - set(right))
