"""The casework fold's outside: what a record becomes, and what of it is kept in the changelog."""

from __future__ import annotations

from typing import cast

import msgspec
import pytest
from aiokafka.structs import ConsumerRecord

from runtime.appending import Item
from runtime.changelog import Position, Restored, Restoring, entry, position_entry
from schemas.records import TicketChanged, TimeAdvanced, TimelineEntryAdded
from streams.casework import CaseworkFold
from streams.identity import DECIDED_BY
from tests.domain.stories import DAY, MINUTE, START, command, event
from tests.projections.samples import verdict
from tests.streams.logs import CODEC, CUSTOMERS, TOPICS, Record, configured

CUSTOMER = CUSTOMERS[0]
MAIL = event("mail", "email.received", 0)


class Log:
    """A partition's log that grows, and what was said and kept of it."""

    def __init__(self, fold: CaseworkFold | None = None, begin: int = 0) -> None:
        self.fold = fold or CaseworkFold(CODEC, TOPICS, retention_days=1)
        self.next = begin
        self.said: list[tuple[str, Item]] = []

    def add(self, value: msgspec.Struct | bytes, customer: str | None = None) -> list[tuple[str, Item]]:
        """Fold one more record; what it makes the fold say."""
        data = value if isinstance(value, bytes) else CODEC.encode(value)
        headers = ((DECIDED_BY, b"email:customer@example.com"),)
        record = Record(self.next, customer.encode() if customer else None, data, headers)
        self.next += 1
        said = list(self.fold.step(cast("ConsumerRecord", record)))
        self.said += said
        return said

    def tell(self, minutes: float) -> list[tuple[str, Item]]:
        return self.add(TimeAdvanced(START + round(minutes * MINUTE)))

    def changes(self) -> list[Item]:
        """What goes to the changelog now."""
        items = [entry(*change) for change in self.fold.changes()]
        return [*items, position_entry(Position(self.next, {}, self.fold.mark()))]


def words(said: list[tuple[str, Item]]) -> list[str]:
    """Topic, and outcome where there is one."""
    found = []
    for topic, item in said:
        record = CODEC.decode(item.value or b"") if topic != TOPICS.dlq else None
        found.append(f"{topic} {getattr(record, 'outcome', '')}".strip())
    return found


def restored(*items: Item) -> Restored:
    gathered = Restoring()
    for item in items:
        gathered.read(item.key or b"", item.value, item.headers)
    return gathered.result()


def resumed(*items: Item) -> Log:
    """Another process, which begins with what these items say."""
    found = restored(*items)
    log = Log(begin=found.position.next)
    log.fold.restore(found)
    return log


def begun() -> tuple[Log, list[Item]]:
    """A log with a configuration and a mail, all durable."""
    log = Log()
    log.add(configured(1))
    log.add(MAIL, CUSTOMER)
    return log, log.changes()


def test_an_event_becomes_an_entry_and_a_ticket_under_their_keys() -> None:
    log = Log()
    log.add(configured(1))
    entry_item, ticket_item = (item for _, item in log.add(MAIL, CUSTOMER))
    said, ticket = CODEC.decode(entry_item.value or b""), CODEC.decode(ticket_item.value or b"")
    assert isinstance(said, TimelineEntryAdded)
    assert isinstance(ticket, TicketChanged)
    assert (entry_item.key, ticket_item.key) == (CUSTOMER.encode(), MAIL.id.encode())
    assert said.contact_point == "email:customer@example.com"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"rubbish", "not-wire-format"),
        (CODEC.encode(MAIL)[:-1], "not-avro"),
        (CODEC.encode(command("c", "ticket.status_set", 1, MAIL.id, status="odd")), "unknown_status"),
        (CODEC.encode(command("c", "ticket.assigned", 1, CUSTOMERS[1], team="x")), "ticket_closed"),
        (CODEC.encode(verdict()), "not-valid"),
    ],
)
def test_what_cannot_be_carried_out_becomes_a_dead_letter_with_its_bytes_and_changes_nothing(
    value: bytes, reason: str
) -> None:
    log, _ = begun()
    ((topic, letter),) = log.add(value, CUSTOMER)
    headers = dict(letter.headers)
    assert (topic, letter.key, letter.value) == (TOPICS.dlq, CUSTOMER.encode(), value)
    assert headers["reason"] == reason.encode()
    assert headers["id"] == b"log/0/2/casework"
    assert log.fold.changes() == []
    assert log.add(value, CUSTOMER)[0][1].value == value, "the next one has an id of its own"


def test_what_is_kept_is_what_was_touched_and_what_left() -> None:
    log, first = begun()
    assert [item.key for item in first] == [b"\x00bundle/1", CUSTOMER.encode(), b"\x00position"]
    assert [item.key for item in log.changes()] == [b"\x00position"]
    log.add(command("done", "ticket.status_set", 1, MAIL.id, status="closed"), CUSTOMER)
    assert [item.key for item in log.changes()] == [CUSTOMER.encode(), b"\x00position"]
    log.tell(3 * DAY / MINUTE)
    gone, _ = log.changes()
    assert (gone.key, gone.value) == (CUSTOMER.encode(), None)
    assert log.fold.size() == 0


def test_another_process_goes_on_where_the_first_one_was() -> None:
    log, durable = begun()
    other = resumed(*durable)
    assert other.fold.due() == log.fold.due() == START + 45 * MINUTE
    assert other.tell(46) == log.tell(46)
    assert other.tell(61) == log.tell(61)
    assert other.changes() == log.changes()


def test_a_batch_that_is_durable_in_part_takes_nothing_back_when_time_is_told_again() -> None:
    log, durable = begun()
    assert words(log.tell(46)) == ["tickets", "verdicts warned"]
    assert words(log.tell(61)) == ["tickets", "verdicts breached"]
    customer, _position = log.changes()
    other = resumed(*durable, customer)
    assert other.tell(46) == []
    assert other.tell(61) == []
    assert [item.key for item in other.changes()] == [b"\x00position"]
    assert other.fold.due() == log.fold.due() is not None, "its clocks run again, without anything new on the log"
    assert other.tell(480.5) == log.tell(480.5)
    assert other.changes() == log.changes()


def test_a_removed_customer_that_is_ahead_is_not_begun_anew_by_what_is_folded_again() -> None:
    log, durable = begun()
    late = event("late", "email.sent", 1)
    said = log.add(late, CUSTOMER)
    log.add(command("done", "ticket.status_set", 2, MAIL.id, status="closed"), CUSTOMER)
    log.tell(3 * DAY / MINUTE)
    gone, _position = log.changes()
    assert (said != [], gone.value) == (True, None)
    other = resumed(*durable, gone)
    assert other.add(late, CUSTOMER) == []
    assert other.add(command("done", "ticket.status_set", 2, MAIL.id, status="closed"), CUSTOMER) == []
    other.tell(3 * DAY / MINUTE)
    assert other.fold.size() == log.fold.size() == 0
    assert words(other.add(event("new", "email.received", 5000), CUSTOMER)) == ["entries", "tickets"]


def test_a_configuration_that_is_ahead_is_not_in_force_before_its_place_on_the_log() -> None:
    log, durable = begun()
    second = event("second", "email.received", 1, conversation="email:other")
    log.add(configured(2, "1h"))
    bundle, _position = log.changes()
    other = resumed(*durable, bundle)
    assert other.fold.casework.current == {"t": 1}
    other.add(configured(2, "1h"))
    assert other.fold.casework.current == {"t": 2}
    assert other.add(second, CUSTOMERS[1]) == log.add(second, CUSTOMERS[1])
