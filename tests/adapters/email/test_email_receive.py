"""One event per mail: who wrote to whom, when, what it says, what it brings, and what was wrong with it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import INLINE_LIMIT, Account, Delivery
from adapters.email.content import ATTACHMENT_LIMIT, TEXT_LIMIT, newest
from adapters.email.receive import EmailAdapter
from domain.errors import Reason, Unreadable
from schemas.records import InteractionReceived, MailFacts
from tests.adapters.email.mail_fakes import ACCOUNT, DATE, DAY, NOW, SECOND, SENT, Blobs, mail, read

AGENT = {"from": "Agent <agent@own.example>", "to": "customer@example.com"}


def facts(event: InteractionReceived) -> MailFacts:
    assert isinstance(event.facts, MailFacts)
    return event.facts


def points(event: InteractionReceived) -> list[tuple[str, str]]:
    return [(point.role, point.value) for point in event.contact_points]


def test_a_customers_mail() -> None:
    event = read(mail(cc="friend@example.com"), envelope_from="customer@example.com", envelope_to="support@own.example")
    assert (event.type, event.direction, event.channel) == ("email.received", "inbound", "email")
    assert (event.occurred_at, event.received_at, event.attributes) == (SENT, NOW, {})
    assert (event.subject, event.text, event.conversation) == ("Order 17", "Where is my order?", "m1@example.com")
    assert points(event) == [
        ("customer", "customer@example.com"),
        ("agent", "support@own.example"),
        ("other", "friend@example.com"),
    ]
    assert event.contact_points[0].as_given == "Customer One <customer@example.com>"
    assert not event.contact_points[0].verified
    assert event.actor is not None
    assert event.actor.kind == "customer"
    assert facts(event) == MailFacts(message_id="m1@example.com", mailbox="support@own.example")
    assert event.raw is not None
    assert event.raw.inline == mail(cc="friend@example.com").encode()


def test_the_companys_answer() -> None:
    event = read(mail(**AGENT, cc="boss@own.example, friend@example.com"))
    assert (event.type, event.direction) == ("email.sent", "outbound")
    assert event.actor is not None
    assert (event.actor.kind, event.actor.id) == ("agent", "agent@own.example")
    assert (event.actor.organisation, event.actor.team) == ("own", "first-line")
    assert points(event) == [
        ("customer", "customer@example.com"),
        ("agent", "agent@own.example"),
        ("agent", "boss@own.example"),
        ("other", "friend@example.com"),
    ]


def test_an_automatic_answer_of_the_company_is_a_bots() -> None:
    event = read(mail(**AGENT, auto_submitted="auto-replied"))
    assert event.type == "email.sent"
    assert event.actor is not None
    assert event.actor.kind == "bot"
    assert facts(event).automatic == "auto-submitted"


def test_a_web_form_writes_for_the_customer() -> None:
    event = read(mail(**{"from": "form@own.example", "reply_to": "customer@example.com"}))
    assert (event.type, event.direction) == ("email.received", "inbound")
    assert points(event)[0] == ("customer", "customer@example.com")


def test_another_reply_to_is_the_customers_too_and_the_same_one_is_not_repeated() -> None:
    other = read(mail(reply_to="Other@Example.com"))
    assert points(other)[:2] == [("customer", "customer@example.com"), ("customer", "other@example.com")]
    same = read(mail(reply_to="CUSTOMER@example.com"))
    assert points(same)[:2] == [("customer", "customer@example.com"), ("agent", "support@own.example")]


@pytest.mark.parametrize(
    ("results", "verified"),
    [
        ("mx.own.example; dmarc=pass header.from=example.com", True),
        ("mx.own.example 1; spf=fail; dmarc=pass (p=none) header.from=EXAMPLE.com", True),
        ("mx.own.example; dmarc=fail header.from=example.com", False),
        ("mx.own.example; dmarc=pass header.from=elsewhere.example", False),
        ("mx.elsewhere.example; dmarc=pass header.from=example.com", False),
        ("mx.own.example; spf=pass (dmarc=pass header.from=example.com)", False),
        ("mx.own.example; spf=pass (a; dmarc=pass header.from=example.com b)", False),
        ("mx.own.example; spf=pass (a (b); dmarc=pass header.from=example.com b)", False),
        ('mx.own.example; spf=pass smtp.mailfrom="a; dmarc=pass header.from=example.com "', False),
        ("mx.own.example; spf=pass (a; dmarc=pass header.from=example.com", False),
        ("mx.own.example; spf=pass (a (b) c); dmarc=pass header.from=example.com", True),
        ('mx.own.example; spf=pass smtp.mailfrom="a;b"; dmarc=pass header.from=example.com', True),
        ("mx.own.example; none\nAuthentication-Results: mx.own.example; dmarc=pass header.from=example.com", False),
    ],
)
def test_a_sender_is_verified_by_our_own_servers_dmarc_check_alone(results: str, verified: bool) -> None:
    event = read(mail(authentication_results=results))
    assert event.contact_points[0].verified is verified
    without = read(mail(authentication_results=results), Account(tenant="t", name="support"))
    assert not without.contact_points[0].verified


def test_a_forged_own_address_is_no_answer_of_the_company() -> None:
    event = read(mail(**AGENT, authentication_results="mx.own.example; dmarc=fail header.from=own.example"))
    assert (event.type, event.direction) == ("email.received", "inbound")
    assert facts(event).defects == ["forged-own-address"]


@pytest.mark.parametrize(
    ("date", "occurred_at", "attributes", "defects"),
    [
        (DATE, SENT, {}, []),
        ("Thu, 09 Oct 2025 08:50:00 -0000", SENT, {}, []),
        ("Fri, 10 Oct 2025 08:50:00 +0000", SENT + DAY, {}, []),
        ("Fri, 10 Oct 2025 08:54:00 +0000", NOW, {"date": "Fri, 10 Oct 2025 08:54:00 +0000"}, ["date-ahead"]),
        ("Wed, 08 Oct 2025 08:50:00 +0000", SENT - DAY, {"date": "Wed, 08 Oct 2025 08:50:00 +0000"}, []),
        ("Mon, 09 Oct 2023 08:50:00 GMT", SENT - 731 * DAY, {"date": "Mon, 09 Oct 2023 08:50:00 GMT"}, []),
        ("Thu, 01 Jan 1970 00:00:00 +0000", NOW, {"date": "Thu, 01 Jan 1970 00:00:00 +0000"}, ["date-unreadable"]),
        ("yesterday", NOW, {"date": "yesterday"}, ["date-unreadable"]),
        ("Thu, 09 Oct 2025 10:50:00 +9999", NOW, {"date": "Thu, 09 Oct 2025 10:50:00 +9999"}, ["date-unreadable"]),
        ("", NOW, {}, ["date-missing"]),
    ],
)
def test_a_date_is_believed_unless_it_is_a_day_ahead(
    date: str, occurred_at: int, attributes: dict[str, str], defects: list[str]
) -> None:
    event = read(mail(date=date))
    assert (event.occurred_at, event.attributes, facts(event).defects) == (occurred_at, attributes, defects)


@given(st.integers(-40 * DAY, 40 * DAY))
def test_no_mail_is_from_later_than_a_day_ahead(ahead: int) -> None:
    assert read(mail(), at=SENT - ahead).occurred_at <= SENT - ahead + DAY


def test_an_unknown_charset_is_read_as_utf_8_and_noted() -> None:
    event = read(mail("Grüße", content_type="text/plain; charset=x-none-such"))
    assert (event.text, facts(event).defects) == ("Grüße", ["unknown-charset"])
    bad = read(mail("?", content_type="text/plain; charset=x-none-such").encode().replace(b"?", b"\xff"))
    assert bad.text == "\ufffd"
    assert facts(bad).defects == ["unknown-charset", "undecodable-text"]


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        ("iso-8859-1", b"Gr\xfc\xdfe", "Grüße"),
        ("windows-1252", b"\x80 5", "€ 5"),
        ("koi8-r", b"\xf0\xd2\xc9", "При"),
        ("iso-2022-jp", b"\x1b$B$K$c\x1b(B", "にゃ"),
        ("ks_c_5601-1987", b"\xb0\xa1", "가"),
        ("x-gbk", b"\xc4\xe3", "你"),
        ("utf-8", b"a\x00b", "a\ufffdb"),
        ("base64", b"abc", "abc"),
        ("utf-16", b"a", "\ufffd"),
    ],
)
def test_charsets(charset: str, data: bytes, text: str) -> None:
    head = mail("", content_type=f"text/plain; charset={charset}").rstrip("\n").encode()
    assert read(head + b"\n\n" + data).text == text


def test_headers_are_decoded() -> None:
    event = read(
        mail(
            subject="=?utf-8?q?Gr=C3=B6=C3=9Fe?= =?iso-8859-1?q?_42=FC?=",
            **{"from": "=?utf-8?b?SsO8cmdlbg==?= <customer@example.com>"},
        )
    )
    assert event.subject == "Größe 42ü"
    assert event.contact_points[0].as_given == "Jürgen <customer@example.com>"
    assert read(mail(subject="Größe roh")).subject == "Größe roh"


def test_plain_text_goes_before_html_whatever_comes_first() -> None:
    parts = ["text/html\n\n<p>HTML</p>", "text/plain\n\nPlain"]
    for order in (parts, parts[::-1]):
        body = "".join(f"--b\nContent-Type: {part}\n" for part in order) + "--b--"
        assert read(mail(body, content_type="multipart/alternative; boundary=b")).text == "Plain"


def test_html_becomes_safe_lines() -> None:
    html = (
        "<html><head><title>no</title><style>p{}</style></head><body><p>Hello &amp; <b>good</b>\n  day</p>"
        "<script>alert(1)</script><ul><li>one</li><li>two</li></ul>a<br>b&lt;script&gt;"
        "<!-- hidden --><img src=x onerror=alert(1)></body></html>"
    )
    event = read(mail(html, content_type="text/html; charset=utf-8"))
    assert event.text == "Hello & good day\n\none\ntwo\na\nb<script>"
    assert event.attachments == []


REPLY = "Still nothing.\n\nOn Mon, 6 Oct 2025 at 10:00, Agent <agent@own.example> wrote:\n> It is on its way.\n"
BELOW = "On Mon, 6 Oct 2025 at 10:00, Agent <agent@own.example> wrote:\n> It is on its way.\n\nStill nothing.\n"
OUTLOOK = "Still nothing.\n\nFrom: Agent <agent@own.example>\nSent: Monday\nTo: Customer\nSubject: Order\n\nOn its way."
GERMAN = "Still nothing.\n\nAm Mo., 6. Okt. 2025 um 10:00 schrieb Agent <agent@own.example>:\n\n> Unterwegs."
BETWEEN = "> It is on its way.\nStill nothing.\n> Regards"


@pytest.mark.parametrize("text", [REPLY, BELOW, OUTLOOK, GERMAN], ids=["on", "below", "outlook", "german"])
def test_a_reply_is_cut_to_what_is_new(text: str) -> None:
    assert read(mail(text, subject="Re: Order 17", references="<a@own.example>")).text == "Still nothing."
    assert read(mail(text, subject="Re: Order 17")).text == "Still nothing."


def test_lines_between_quotes_stay() -> None:
    assert newest(BETWEEN) == "Still nothing."
    assert newest("> only\n> quoted") == "> only\n> quoted"


@pytest.mark.parametrize("subject", ["Order 17", "Fwd: Order 17", "WG: Order 17"])
def test_nothing_is_cut_from_what_is_no_reply(subject: str) -> None:
    assert read(mail(REPLY, subject=subject)).text == REPLY.strip()
    assert subject == "Order 17" or read(mail(REPLY, subject=subject, references="<a@b.example>")).text == REPLY.strip()


def test_an_html_reply_is_cut_too() -> None:
    html = (
        '<div dir="ltr">Still nothing.</div><br><div class="gmail_quote"><div>On Mon, 6 Oct 2025 at 10:00, Agent '
        "&lt;agent@own.example&gt; wrote:<br></div><blockquote>It is on its way.</blockquote></div>"
    )
    event = read(mail(html, content_type="text/html", references="<a@own.example>"))
    assert event.text == "Still nothing."


def test_attachments_go_to_the_blob_store() -> None:
    blobs = Blobs()
    body = (
        "--b\nContent-Type: text/plain\n\nSee the picture.\n"
        '--b\nContent-Type: image/png; name="../../pic\ture.png"\nContent-Transfer-Encoding: base64\n\nAAEC\n'
        '--b\nContent-Type: text/plain\nContent-Disposition: attachment; filename="note.txt"\n\nnot the text\n'
        "--b\nContent-Type: message/rfc822\n\nSubject: inner\n\ninner text\n--b--"
    )
    event = read(mail(body, content_type="multipart/mixed; boundary=b"), blobs=blobs)
    assert event.text == "See the picture."
    assert [(one.name, one.media_type, one.size) for one in event.attachments] == [
        ("pic_ure.png", "image/png", 3),
        ("note.txt", "text/plain", 12),
        ("unnamed", "message/rfc822", 26),
    ]
    assert blobs.get(event.attachments[0].where) == b"\x00\x01\x02"
    assert event.attachments[0].where == f"sha256:{event.attachments[0].sha256}"
    assert event.attachments[2].media_type == "message/rfc822"


def test_the_raw_mail_is_inline_up_to_the_limit() -> None:
    blobs = Blobs()
    head = len(mail(""))
    small, large = (mail("x" * (INLINE_LIMIT - head + more)) for more in (0, 1))
    event = read(small, blobs=blobs)
    assert event.raw is not None
    assert event.raw.inline == small.encode()
    assert blobs.kept == {}
    event = read(large, blobs=blobs)
    assert event.raw is not None
    assert event.raw.inline is None
    assert blobs.get(event.raw.reference or "") == large.encode()


def test_an_event_stays_small_whatever_the_mail() -> None:
    many = ", ".join(f"n{number}@example.com" for number in range(3000))
    parts = "".join(f'--b\nContent-Type: image/png; name="{"n" * 300}{number}"\n\nx\n' for number in range(500))
    body = f"--b\nContent-Type: text/plain\n\n{'ä' * 200_000}\n{parts}--b--"
    event = read(mail(body, content_type="multipart/mixed; boundary=b", to=many, subject="s" * 50_000))
    assert len(event.text or "") == TEXT_LIMIT
    assert len(event.attachments) == ATTACHMENT_LIMIT
    assert {"text-cut", "attachments-cut"} <= set(facts(event).defects)
    assert len(msgspec.json.encode(event)) < 300_000


def test_a_mail_of_too_many_parts_keeps_its_header() -> None:
    event = read(mail("--b\n\nx\n" * 5000 + "--b--", content_type="multipart/mixed; boundary=b"))
    assert (event.subject, event.text, facts(event).defects) == ("Order 17", None, ["too-many-parts"])


def test_a_mail_nested_too_deep_keeps_its_header() -> None:
    inner = "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(1500))
    event = read(mail("").rstrip("\n").replace("text/plain; charset=utf-8", "message/rfc822") + "\n\n" + inner)
    assert event.subject == "Order 17"
    assert facts(event).defects[0] == "nested-too-deep"


HOSTILE = {
    "nested html": mail("<div>" * 400_000, content_type="text/html"),
    "unclosed tags": mail("<a href='" * 200_000 + "<!--" * 100_000, content_type="text/html"),
    "words of a quote's head": mail("On " * 42_000, subject="Re: Order"),
    "lines of a quote's head": mail(("On " * 95 + "\n") * 440, subject="Re: Order"),
    "empty lines": mail("\n" * 128_000 + "x", subject="Re: Order"),
    "parameters of each part": mail(
        ("--b\nContent-Type: text/plain;" + "a=b;" * 200 + "\n\nx\n") * 1990 + "--b--",
        content_type="multipart/mixed; boundary=b",
    ),
    "repeated headers": "To: a@example.com\n" * 50_000 + mail(),
    "comments in an address": mail(**{"from": "(" * 60_000}),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_mail_takes_no_minutes(body: str) -> None:
    assert read(body, envelope_from="customer@example.com").type == "email.received"


@pytest.mark.parametrize(
    "content_type",
    ["text/plain; charset*=nowhere''x", "text/plain; charset*0*=a''b", 'text/plain; charset="\x01"', "text/", "/", ";"],
)
def test_a_broken_content_type_loses_no_mail(content_type: str) -> None:
    event = read(mail("?", content_type=content_type).encode().replace(b"?", b"\xff"))
    assert event.subject == "Order 17"


@pytest.mark.parametrize("body", [b"", b"\r\n", b"no header", b"\x00\xff", b"\n\nSubject: late\n"])
def test_bytes_without_a_header_are_no_mail(body: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        EmailAdapter().read(Delivery(body, NOW), ACCOUNT, Blobs())
    assert refused.value.reason is Reason.NOT_MAIL


def test_a_header_without_end_is_no_mail() -> None:
    with pytest.raises(Unreadable):
        EmailAdapter().read(Delivery(b"X: y\r\n" * 400_000, NOW), ACCOUNT, Blobs())


@pytest.mark.parametrize(
    ("given_from", "value"),
    [
        ("customer@example.com", "customer@example.com"),
        ("Customer customer@example.com", "customer@example.com"),
        ('"A, B" <customer@example.com>, other@example.com', "customer@example.com"),
        ("Customer <customer at example.com>", "envelope@example.com"),
        ("(" * 5000, "envelope@example.com"),
        ("", "envelope@example.com"),
    ],
)
def test_an_author_is_found_wherever_there_is_one(given_from: str, value: str) -> None:
    event = read(mail(**{"from": given_from}), envelope_from="envelope@example.com")
    assert points(event)[0] == ("customer", value)


@given(
    st.dictionaries(
        st.sampled_from(
            ["from", "to", "cc", "reply_to", "subject", "date", "content_type", "references", "message_id"]
        ),
        st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=60),
    ),
    st.binary(max_size=200),
)
def test_any_header_and_body_make_one_event(headers: dict[str, str], body: bytes) -> None:
    data = mail("", **headers).encode() + body
    event = read(data)
    assert event == read(data)
    assert event.received_at == NOW
    assert event.occurred_at % SECOND == 0
