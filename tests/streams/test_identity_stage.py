"""The identity stage without servers: what becomes of each record, where it goes, and with which bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

import asyncpg
import msgspec
import pytest
import yaml
from aiokafka.structs import ConsumerRecord

from projections.identity.store import RETRIED_BEFORE, Recorded, Undecided
from runtime.appending import Item
from runtime.letter_limit import LetterLimit, TooManyDeadLetters
from runtime.stage import ORDINAL, SOURCE, SOURCE_OFFSET
from schemas.records import Configuration, ConfigurationPublished, ContactPoint, InteractionReceived, TimeAdvanced
from schemas.vocabulary import CONFIGURATION
from streams.dead_letters import RETRY_OF
from streams.identity import DECIDED_BY, LONGEST_NAME, IdentityStage, partition_of
from tests.domain.stories import AROUND_THE_CLOCK, command, event
from tests.runtime.kafka_rig import HandClock
from tests.streams.logs import CODEC, CUSTOMERS, Record

PARTITIONS = 3
MAIL = event("mail", "email.received", 0)


class Known:
    """Gives every event to the customer it is told; refuses those of nobody."""

    def __init__(self, customers: Mapping[str, str], failures: Sequence[Exception] = ()) -> None:
        self.asked: list[tuple[str, list[int]]] = []
        self.letters: list[str | None] = []
        self.before: set[str | None] = set()
        self._customers = customers
        self._failures = list(failures)

    async def decide(
        self, source: str, batch: Sequence[Undecided], now: int, admit: Callable[[Iterable[Recorded]], None]
    ) -> dict[int, Recorded]:
        if self._failures:
            raise self._failures.pop()
        self.asked.append((source, [each.offset for each in batch]))
        self.letters = [each.letter for each in batch]
        made = {each.offset: self._one(each) for each in batch}
        admit(made.values())
        return made

    def _one(self, each: Undecided) -> Recorded:
        if each.letter in self.before:
            return Recorded(None, "", RETRIED_BEFORE)
        if each.configuration is not None:
            return Recorded(None, "", "configuration", version=4)
        owner = self._customers.get(each.event.id)
        if owner is None:
            return Recorded(None, "", "not_resolvable", "no_contact_point", "it names nobody")
        return Recorded(owner, "email:customer@example.com", "known_contact_point")


def stage(decisions: Known) -> IdentityStage:
    return IdentityStage(CODEC, decisions, HandClock(), "received", "identified", "letters", PARTITIONS)


async def relay(decisions: Known, *values: bytes | None, partition: int = 5) -> dict[tuple[str, int], list[Item]]:
    records = [Record(70 + number, b"c", value, partition=partition) for number, value in enumerate(values)]
    return await stage(decisions).relay(partition, cast("list[ConsumerRecord]", records))


def header(item: Item, name: str) -> str:
    return next(value.decode() for each, value in item.headers if each == name)


async def test_each_event_goes_with_its_bytes_to_its_customers_partition_in_order() -> None:
    told = [event(f"e{number}", "email.received", number) for number in range(20)]
    owners = {each.id: CUSTOMERS[number % len(CUSTOMERS)] for number, each in enumerate(told)}
    outputs = await relay(Known(owners), *map(CODEC.encode, told))
    assert sum(map(len, outputs.values())) == len(told)
    for (topic, partition), items in outputs.items():
        mine = [each for each in told if partition_of(owners[each.id], PARTITIONS) == partition]
        assert topic == "identified"
        assert [(item.key, item.value) for item in items] == [
            (owners[each.id].encode(), CODEC.encode(each)) for each in mine
        ]
    item = next(item for items in outputs.values() for item in items if header(item, SOURCE_OFFSET) == "73")
    assert (header(item, SOURCE), header(item, ORDINAL)) == ("received/5", "0")
    assert header(item, DECIDED_BY) == "email:customer@example.com"


async def test_a_second_attempt_makes_exactly_the_same() -> None:
    values = [CODEC.encode(MAIL), b"rubbish", CODEC.encode(configuration(AROUND_THE_CLOCK))]
    assert await relay(Known({MAIL.id: CUSTOMERS[0]}), *values) == await relay(Known({MAIL.id: CUSTOMERS[0]}), *values)


def configuration(document: object) -> InteractionReceived:
    text = document if isinstance(document, str) else yaml.safe_dump(document)
    return msgspec.structs.replace(
        event("policy", CONFIGURATION, 0), contact_points=[], facts=Configuration("default", text)
    )


async def test_a_configuration_goes_to_every_partition_in_its_place_among_the_events() -> None:
    before, after = event("before", "email.received", 0), event("after", "email.received", 1)
    owners = {before.id: CUSTOMERS[0], after.id: CUSTOMERS[0]}
    outputs = await relay(
        Known(owners), CODEC.encode(before), CODEC.encode(configuration(AROUND_THE_CLOCK)), CODEC.encode(after)
    )
    assert sorted(partition for _, partition in outputs) == list(range(PARTITIONS))
    for (_, partition), items in outputs.items():
        published = [CODEC.decode(item.value or b"") for item in items if item.key is None]
        assert [(type(each), getattr(each, "version", None)) for each in published] == [(ConfigurationPublished, 4)]
        if partition == partition_of(CUSTOMERS[0], PARTITIONS):
            assert [header(item, SOURCE_OFFSET) for item in items] == ["70", "71", "72"]


def long_point(value: str, kind: str = "email") -> InteractionReceived:
    return event("e", "email.received", 0, points=[ContactPoint(kind, value)])


BAD_BUNDLE = AROUND_THE_CLOCK | {"policies": [{"name": "x", "calendar": "none", "targets": {"resolution": "8h"}}]}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not-wire-format"),
        (None, "not-wire-format"),
        (b"\x00\x00\x00\x00\x07rubbish", "unknown-schema"),
        (CODEC.encode(MAIL)[:-3], "not-avro"),
        (CODEC.encode(MAIL) + b"x", "not-avro"),
        (CODEC.encode(TimeAdvanced(5)), "not-valid"),
        (CODEC.encode(msgspec.structs.replace(MAIL, id=MAIL.id.upper())), "not-valid"),
        (CODEC.encode(msgspec.structs.replace(MAIL, id="7")), "not-valid"),
        (CODEC.encode(msgspec.structs.replace(MAIL, occurred_at=-1)), "not-valid"),
        (CODEC.encode(msgspec.structs.replace(MAIL, received_at=2**62)), "not-valid"),
        (CODEC.encode(msgspec.structs.replace(MAIL, tenant="t\x00")), "not-valid"),
        (CODEC.encode(long_point("a\x00@example.com")), "not-valid"),
        (CODEC.encode(long_point("a" * (LONGEST_NAME + 1))), "not-valid"),
        (CODEC.encode(long_point("a", "k" * (LONGEST_NAME + 1))), "not-valid"),
        (CODEC.encode(command("c", "ticket.assigned", 0, MAIL.id, team="t" * (LONGEST_NAME + 1))), "not-valid"),
        (CODEC.encode(configuration("calendars: [")), "bad_value"),
        (CODEC.encode(configuration(BAD_BUNDLE)), "unknown_key"),
        (CODEC.encode(configuration("name: 2026-02-30")), "bad_value"),
        (CODEC.encode(configuration("name: &a [*a]")), "bad_value"),
        (CODEC.encode(configuration("policies: " + "[" * 50_000)), "too_large"),
        (CODEC.encode(configuration("tickets: {join_window: " + "9" * 5000 + "}")), "bad_value"),
        (CODEC.encode(configuration('"a\\nb\\uFFFE": 1')), "unknown_key"),
        (CODEC.encode(event("nobody", "email.received", 0)), "no_contact_point"),
    ],
)
async def test_what_cannot_go_on_becomes_a_dead_letter_with_its_bytes(value: bytes | None, reason: str) -> None:
    outputs = await relay(Known({MAIL.id: CUSTOMERS[0]}), value, CODEC.encode(MAIL))
    (letter,) = outputs.pop(("letters", 5 % PARTITIONS))
    assert (letter.key, letter.value) == (b"c", value)
    assert header(letter, "reason") == reason
    assert header(letter, "id") == "received/5/70/identity"
    assert (header(letter, "source"), header(letter, "source_offset")) == ("received/5", "70")
    assert header(letter, "detail")
    assert [len(items) for items in outputs.values()] == [1], "and the one after it goes on"


async def test_a_batch_without_a_readable_record_asks_nobody() -> None:
    decisions = Known({})
    await relay(decisions, b"x", b"y")
    assert decisions.asked == []


async def test_while_postgres_is_away_it_waits_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.identity._RETRY_SECONDS", (0.0,))
    decisions = Known({MAIL.id: CUSTOMERS[0]}, [OSError("no server"), asyncpg.ConnectionDoesNotExistError("gone")])
    outputs = await relay(decisions, CODEC.encode(MAIL))
    assert sum(map(len, outputs.values())) == 1
    assert decisions.asked == [("received/5", [70])]


async def test_a_record_names_the_letter_it_was_put_back_from_and_one_that_was_taken_goes_nowhere() -> None:
    again = "received/0/7/casework"
    given = [again.encode(), b"received/0/8/identity", b"nothing/\x00", b"\xff/0/1/identity", b"r/0/1/door", b"x" * 400]
    records = [Record(number, b"c", CODEC.encode(MAIL), ((RETRY_OF, value),)) for number, value in enumerate(given)]
    records.append(Record(len(given), b"c", CODEC.encode(MAIL)))
    known = Known({MAIL.id: CUSTOMERS[0]})
    known.before = {again}
    outputs = await stage(known).relay(0, cast("list[ConsumerRecord]", records))
    assert known.letters == [again, "received/0/8/identity", None, None, None, None, None]
    assert sum(map(len, outputs.values())) == len(records) - 1
    assert {topic for topic, _ in outputs} == {"identified"}


async def test_a_batch_with_too_many_letters_is_refused_before_its_decisions_are_recorded() -> None:
    """What cannot be read and what cannot be decided count together."""
    nobody = CODEC.encode(event("x", "email.received", 0))
    records = [Record(number, b"c", value) for number, value in enumerate([b"rubbish", nobody, nobody])]

    async def relay_at_most(most: int) -> None:
        known, letters = Known({}), LetterLimit("identity", "letters", most, 0.5)
        limited = IdentityStage(CODEC, known, HandClock(), "received", "known", "letters", PARTITIONS, letters=letters)
        await limited.relay(0, cast("list[ConsumerRecord]", records))

    await relay_at_most(3)
    with pytest.raises(TooManyDeadLetters) as caught:
        await relay_at_most(2)
    assert caught.value.reasons == {"not-wire-format": 1, "no_contact_point": 2}
