"""Conversations, tickets named in a mail, and ids that do not change with the way a mail took."""

from __future__ import annotations

import base64
import quopri

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.email.threading import REFERENCES_LIMIT, ids, thread, ticket
from adapters.email.vendor import address
from schemas.records import ContactPoint, MailFacts
from tests.adapters.email.mail_fakes import ACCOUNT, mail, read

TICKET = "0f8fad5b-d9cb-569f-a165-70867728950e"

THREADS: list[tuple[str, str, str, str]] = [
    # References, In-Reply-To, root, why
    ("", "", "own@x.example", "a mail that answers nothing begins a conversation"),
    ("<a@h.example>", "<a@h.example>", "a@h.example", "the first answer"),
    ("<a@h.example> <b@h.example> <c@h.example>", "<c@h.example>", "a@h.example", "a long thread"),
    ("", "<c@h.example>", "c@h.example", "In-Reply-To alone"),
    ("<broken <a@h.example>", "", "a@h.example", "an id that is not closed"),
    ("<no-host> <a@h.example>", "", "a@h.example", "no id without a host"),
    ("a@h.example", "<c@h.example>", "c@h.example", "no id without brackets"),
    ("", "your message of Monday", "own@x.example", "free text"),
    ("", "Message from A B <customer@example.com> of Mon <c@h.example>", "c@h.example", "an author's address is no id"),
    ("", "Message from A B <customer@example.com> of Monday", "own@x.example", "an address alone"),
    ("<a@h.example><b@h.example>", "", "a@h.example", "no space between"),
    ("<a@h.example>,\t<b@h.example>", "", "a@h.example", "commas"),
    ("<" + "x" * 500 + "@h.example> <b@h.example>", "", "b@h.example", "an id too long to be a key"),
]


@pytest.mark.parametrize(("references", "in_reply_to", "root", "why"), THREADS, ids=[one[3] for one in THREADS])
def test_the_root_of_a_thread(references: str, in_reply_to: str, root: str, why: str) -> None:
    assert thread(references, in_reply_to, "own@x.example", {"customer@example.com"}).root == root
    event = read(mail(references=references, in_reply_to=in_reply_to, message_id="<own@x.example>"))
    assert event.conversation == root


def test_every_mail_of_a_thread_has_the_same_conversation() -> None:
    first = read(mail(message_id="<1@example.com>"))
    answer = read(
        mail(
            message_id="<2@own.example>",
            references="<1@example.com>",
            in_reply_to="<1@example.com>",
            **{"from": "support@own.example", "to": "customer@example.com"},
        )
    )
    again = read(mail(message_id="<3@example.com>", references="<1@example.com>\n <2@own.example>"))
    assert {first.conversation, answer.conversation, again.conversation} == {"1@example.com"}
    assert isinstance(again.facts, MailFacts)
    assert again.facts.references == ["1@example.com", "2@own.example"]


def test_a_subject_alone_joins_nothing() -> None:
    first = read(mail(subject="Order 17"))
    other = read(mail(subject="Re: Order 17", message_id="<m2@example.com>"))
    assert first.conversation != other.conversation


def test_references_without_end_are_cut_in_the_middle() -> None:
    many = [f"{number}@h.example" for number in range(5000)]
    found = thread(" ".join(f"<{one}>" for one in many), "", "own")
    assert len(found.references) == REFERENCES_LIMIT
    assert (found.root, found.references[-1]) == (many[0], many[-1])


ID_WORD = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789.$+-=_/", min_size=1, max_size=60)
MESSAGE_ID = st.builds(lambda left, right: f"{left}@{right}", ID_WORD, ID_WORD)


@given(st.lists(MESSAGE_ID, min_size=1, max_size=20, unique=True), st.data())
def test_folding_anywhere_changes_no_id(given_ids: list[str], data: st.DataObject) -> None:
    header = " ".join(f"<{one}>" for one in given_ids)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(header) - 1), max_size=8)))
    pieces = [header[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(header)], strict=True)]
    # A line of nothing but white space would end the header for some parsers.
    folded = "\n ".join(piece for piece in pieces if piece.strip())
    event = read(mail(references=folded, message_id="<own@x.example>"))
    assert isinstance(event.facts, MailFacts)
    assert event.facts.references == given_ids
    assert event.conversation == given_ids[0]


@given(st.text(max_size=200))
def test_ids_are_found_in_anything(text: str) -> None:
    assert all("@" in one and not set(one) & set("<>") for one in ids(text))


@pytest.mark.parametrize(
    ("subject", "to", "found"),
    [
        (f"Re: Order 17 [#{TICKET}]", "support@own.example", TICKET),
        (f"AW: [ticket:{TICKET.upper()}] Order", "support@own.example", TICKET),
        ("Order 17 [#1234]", "support@own.example", None),
        (f"Order {TICKET}", "support@own.example", None),
        ("Order", f"support+{TICKET}@own.example", TICKET),
        ("Order", f"Support <support+ticket-{TICKET.replace('-', '')}@own.example>", TICKET),
        ("Order", f"support+{TICKET}@elsewhere.example", None),
        ("Order", "support+vip@own.example", None),
    ],
)
def test_a_ticket_named_by_address_or_subject(subject: str, to: str, found: str | None) -> None:
    event = read(mail(subject=subject, to=to))
    hub = [point for point in event.contact_points if point.kind == "hub"]
    assert hub == ([ContactPoint(kind="hub", value=f"ticket:{found}", as_given=found)] if found else [])
    assert event.conversation == "m1@example.com"


def test_the_address_names_the_ticket_before_the_subject() -> None:
    assert ticket(f"[#{TICKET}]", [f"support+{TICKET[:-1]}f@own.example"]) == TICKET[:-1] + "f"


def test_the_envelope_names_the_ticket_of_a_blind_copy() -> None:
    event = read(mail(to="boss@example.com"), envelope_to=f"support+{TICKET}@own.example")
    assert f"ticket:{TICKET}" in [point.value for point in event.contact_points]


def test_what_servers_add_or_change_on_the_way_does_not_change_the_id() -> None:
    plain = mail("Größe 42, bitte.\n\nGruß")
    body = "Größe 42, bitte.\n\nGruß\n".encode()
    head = mail("", content_transfer_encoding="").rstrip("\n")
    quoted = head.encode() + b"\nContent-Transfer-Encoding: quoted-printable\n\n" + quopri.encodestring(body)
    base64_ = head.encode() + b"\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(body)
    routed = "Return-Path: <x@example.com>\nDelivered-To: support@own.example\n" + plain
    folded = plain.replace("Subject: Order 17", "Subject: Order\n 17")
    ways: list[bytes | str] = [plain, quoted, base64_, routed, folded, plain.replace("\n", "\r\n"), plain + "\n\n"]
    assert len({read(one).id for one in ways}) == 1


@given(st.lists(st.sampled_from(["Received: from a.example by b.example; now", "X-Spam: no", "Delivered-To: a@b.c"])))
def test_received_lines_never_count(added: list[str]) -> None:
    assert read("\n".join([*added, mail()])).id == read(mail()).id


@pytest.mark.parametrize(
    "other",
    [
        mail("Another text"),
        mail(subject="Order 18"),
        mail(date="Thu, 09 Oct 2025 10:50:01 +0200"),
        mail(**{"from": "other@example.com"}),
        mail(message_id="<m2@example.com>"),
        mail(message_id=""),
    ],
    ids=["text", "subject", "date", "from", "id", "no id"],
)
def test_different_mails_have_different_ids_even_under_one_message_id(other: str) -> None:
    assert read(other).id != read(mail()).id


def test_one_mail_is_another_event_for_another_account() -> None:
    assert read(mail(), msgspec.structs.replace(ACCOUNT, tenant="u")).id != read(mail()).id
    assert read(mail(), msgspec.structs.replace(ACCOUNT, name="sales")).id != read(mail()).id


def test_a_mail_without_message_id_has_a_conversation_of_its_own() -> None:
    first, again, other = (read(mail(text, message_id="")) for text in ("a", "a", "b"))
    assert first.conversation == again.conversation != other.conversation
    assert len(first.conversation) == 64


@pytest.mark.parametrize(
    ("given_", "normal"),
    [
        ("Customer@EXAMPLE.com", "customer@example.com"),
        ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
        ("a@xn--bcher-kva.example.", "a@xn--bcher-kva.example"),
        ("a.b+c@gmail.com", "a.b+c@gmail.com"),
        ('"a@b"@example.com', '"a@b"@example.com'),
        ("nobody", None),
        ("@example.com", None),
        ("a@", None),
        ("a@b c", None),
    ],
)
def test_addresses_are_compared_in_one_form(given_: str, normal: str | None) -> None:
    assert address(given_) == normal
    assert normal is None or address(normal) == normal
