"""Mail in: one RFC 5322 message becomes exactly one event.

Account options: ``own_addresses`` (the company's addresses and domains, white space between; mail from them is the
company's answer), ``authserv_id`` (the name under which our own mail server writes Authentication-Results; with it a
passed DMARC check proves the sender). Delivery headers, from the door: ``x-envelope-from`` (empty for the null sender)
and ``x-envelope-to`` (addresses, white space between). LMTP has no signature: who may deliver is the network's matter.
"""

from __future__ import annotations

import hashlib
from datetime import UTC
from email.utils import parsedate_to_datetime

from adapters.contract import Account, BlobStore, Delivery, event_id
from adapters.email import automatic, bounces, content
from adapters.email.people import POINT_LIMIT, Own, People, people
from adapters.email.threading import own_id, thread, ticket
from adapters.email.vendor import PARSER_ERRORS, Mail, Mailbox, clean, content_type, leaves, payload
from adapters.raw import keep
from schemas.records import Actor, ContactPoint, InteractionReceived, MailFacts

SUBJECT_LIMIT = 1000
DAY = 86_400 * 1_000_000
# A Date before 1990 is a clock that was never set: 1970-01-01 and 1980-01-01 are the usual ones.
EARLIEST = 631_152_000 * 1_000_000


class EmailAdapter:
    """Reads raw mail, from whichever door it came."""

    name = "email"

    def verify(self, delivery: Delivery, account: Account) -> None:
        """Nothing in LMTP says who delivers; the mail door listens where only the company's mail server reaches it."""

    def read(self, delivery: Delivery, account: Account, blobs: BlobStore) -> list[InteractionReceived]:
        """The one event of a mail. Raises ``Unreadable`` (not_mail) for bytes without a header."""
        mail = Mail(delivery.body)
        envelope_from = delivery.headers.get("x-envelope-from")
        own = Own(account.options.get("own_addresses", ""))
        who = people(mail, own, delivery.headers, account.options.get("authserv_id", ""))
        bounce = bounces.read(mail, envelope_from)
        reason = "bounce" if bounce else automatic.reason(mail, envelope_from)
        kind = _type(who, bounce, reason)
        subject = mail.header("subject")[:SUBJECT_LIMIT]
        message_id = own_id(mail.source("message-id"))
        print_ = fingerprint(mail)
        addresses = {one.address for one in (*who.customers, *who.agents, *who.others)}
        chain = thread(mail.source("references"), mail.source("in-reply-to"), message_id or print_, addresses)
        source = f"{self.name}/{account.name}"
        occurred_at, attributes = _occurred(mail, delivery.received_at)
        if bounce and bounce.status:
            attributes["status"] = bounce.status
        text = content.text(mail, subject, answers=bool(chain.references or chain.in_reply_to) and not bounce)
        files = content.attachments(mail, blobs)
        named = ticket(subject, [one.address for one in who.agents])
        return [
            InteractionReceived(
                id=event_id(account.tenant, source, f"{message_id or ''}\x1f{print_}", kind),
                type=kind,
                tenant=account.tenant,
                source=source,
                channel="email",
                direction="inbound" if bounce else who.direction,
                occurred_at=occurred_at,
                received_at=delivery.received_at,
                conversation=bounce.thread if bounce and bounce.thread else chain.root,
                contact_points=_points(who, bounce, named)[:POINT_LIMIT],
                actor=_actor(who, account, kind, reason),
                subject=subject or None,
                text=text,
                attachments=files,
                facts=MailFacts(
                    message_id=message_id,
                    in_reply_to=bounce.message_id if bounce and bounce.message_id else chain.in_reply_to,
                    references=chain.references,
                    automatic=reason,
                    mailbox=_mailbox(delivery, who),
                    defects=mail.defects,
                ),
                attributes=attributes,
                raw=keep(delivery.body, "message/rfc822", blobs),
            )
        ]


def fingerprint(mail: Mail) -> str:
    """SHA-256 over what stays the same however often and by whichever way a mail is delivered.

    That is Date, From, Subject and the decoded content of each part. Servers on the way add headers (Received,
    Return-Path, Delivered-To), change line ends and transfer encodings and trim empty lines; none of these counts. The
    Message-ID alone would not do: different mails with the same one exist, and none of them may be lost.
    """
    digest = hashlib.sha256()
    for name in ("date", "from", "subject"):
        digest.update("".join(mail.source(name).split()).encode() + b"\x00")
    for part in leaves(mail.message):
        kind = content_type(part)
        digest.update(kind.encode("utf-8", "replace") + b"\x00")
        # A multipart has no bytes of its own; its parts come after it.
        data = content.attached_message(part, mail) if kind.startswith("message/") else payload(part)
        digest.update(hashlib.sha256(b"".join(data.split())).digest() if kind[:5] in ("text/", "messa") else data)
    return digest.hexdigest()


def _type(who: People, bounce: bounces.Bounce | None, reason: str | None) -> str:
    if bounce:
        return bounce.type
    if who.sent:
        return "email.sent"
    return "email.auto_replied" if reason else "email.received"


def _occurred(mail: Mail, received_at: int) -> tuple[int, dict[str, str]]:
    """The instant the mail was written, and the Date as given where it is not plainly that instant.

    A Date in the past is believed: a mail that waited in a queue was written when it says. One more than a day ahead of
    our clock is not.
    """
    given = mail.source("date")[:100]
    instant = _instant(given)
    if instant is None:
        mail.note("date-unreadable" if given else "date-missing")
        return received_at, {"date": given} if given else {}
    if instant > received_at + DAY:
        mail.note("date-ahead")
        return received_at, {"date": given}
    return instant, {"date": given} if instant < received_at - DAY else {}


def _instant(given: str) -> int | None:
    try:
        moment = parsedate_to_datetime(given)
        # "-0000" gives a time without a zone, which is UTC (RFC 5322 3.3).
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        instant = int(moment.timestamp()) * 1_000_000
    except PARSER_ERRORS:
        return None
    return instant if instant >= EARLIEST else None


def _points(who: People, bounce: bounces.Bounce | None, named: str | None) -> list[ContactPoint]:
    """Contact points, the customer's first. Of a bounce the customer is the first whom the mail did not reach."""
    customers = who.customers
    others = who.others
    if bounce:
        missed = [Mailbox(one, one) for one in bounce.recipients]
        others = [*missed[1:], *customers, *others]
        customers = missed[:1]
    points = [_point(one, "customer", one.address == who.proven) for one in customers]
    if named:
        points.append(ContactPoint(kind="hub", value=f"ticket:{named}", as_given=named))
    points += [_point(one, "agent") for one in who.agents] + [_point(one, "other") for one in others]
    return list({(point.kind, point.value): point for point in reversed(points)}.values())[::-1]


def _point(one: Mailbox, role: str, verified: bool = False) -> ContactPoint:
    return ContactPoint(kind="email", value=one.address, as_given=one.as_given, role=role, verified=verified)


def _actor(who: People, account: Account, kind: str, reason: str | None) -> Actor:
    if kind in (bounces.BOUNCED, bounces.DELAYED):
        return Actor(kind="system")
    if who.sent:
        author = who.agents[0].address if who.agents else None
        person = "bot" if reason else "agent"
        return Actor(kind=person, id=author, team=account.team, organisation=account.organisation)
    return Actor(kind="bot" if reason else "customer")


def _mailbox(delivery: Delivery, who: People) -> str | None:
    """Which mailbox of ours it came into: what the door says, else the first of our addresses it is for."""
    told = delivery.headers.get("x-envelope-to", "").split()
    return clean(told[0]) if told else who.agents[0].address if who.agents and not who.sent else None
