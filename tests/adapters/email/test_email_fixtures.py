"""Every file among the real mails: one event that the topic can hold, or a refusal with its reason; never a crash."""

from __future__ import annotations

from collections import Counter

from adapters.contract import Delivery
from adapters.email.receive import EmailAdapter
from domain.errors import Unreadable
from schemas.codec import Codec
from schemas.vocabulary import DIRECTIONS, TYPES
from tests.adapters.email.mail_fakes import ACCOUNT, NOW, Blobs
from tests.shared import requires_shared, shared_path


@requires_shared
def test_every_file_makes_one_event_or_is_refused() -> None:
    adapter, blobs, codec = EmailAdapter(), Blobs(), Codec()
    folder = shared_path("fixtures", "email")
    counts: Counter[str] = Counter()
    refused: list[str] = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        delivery = Delivery(path.read_bytes(), NOW)
        try:
            (event,) = adapter.read(delivery, ACCOUNT, blobs)
        except Unreadable:
            refused.append(path.relative_to(folder).as_posix())
            continue
        assert event == adapter.read(delivery, ACCOUNT, blobs)[0], path
        assert codec.decode(codec.encode(event)) == event, path
        assert event.type in TYPES
        assert event.direction in DIRECTIONS
        assert 0 < len(event.conversation) <= 400
        assert all(point.value and "@" in point.value for point in event.contact_points)
        counts[event.type] += 1
    # Not mail: data beside the mails, and two mails whose header lines have no name.
    mails = [name for name in refused if name.endswith(".eml")]
    assert set(mails) == {
        "rails-mail/rfc2822/example13.eml",
        "mail-parser/mail_outlook_1.eml",
        "stalwart/eml/malformed/019.eml",
    }
    assert sum(counts.values()) > 1100
    assert counts["email.received"] > 300
