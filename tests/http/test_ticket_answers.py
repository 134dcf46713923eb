"""What the API answers of a ticket beyond its status: level, links, merges, and who acted on it."""

from __future__ import annotations

from hub.http.answers import Ticket
from schemas.records import Handling, Link, TicketChanged
from tests.projections.samples import MINUTE, NOON, ticket, uid


def test_a_tickets_answer_names_every_field_of_its_record() -> None:
    assert set(Ticket.model_fields) == set(TicketChanged.__struct_fields__)


def test_instants_are_written_and_the_rest_is_told_as_it_is() -> None:
    answer = Ticket.of(
        ticket(
            2,
            level=2,
            ticket_type="task",
            about="order=4711",
            fields={"size": "9"},
            links=[Link("parent", uid("above"), NOON)],
            merged=[uid("source")],
            accepted_at=NOON,
            handled_by=[Handling(NOON, NOON + MINUTE, 2, "vendor-a", "support")],
            concurrent_at=NOON + MINUTE,
        )
    ).model_dump()
    assert answer["links"] == [{"kind": "parent", "ticket": uid("above"), "linked_at": "2026-01-02T12:00:00.000000Z"}]
    assert answer["handled_by"] == [
        {
            "organisation": "vendor-a",
            "team": "support",
            "first_at": "2026-01-02T12:00:00.000000Z",
            "last_at": "2026-01-02T12:01:00.000000Z",
            "actions": 2,
        }
    ]
    assert (answer["accepted_at"], answer["concurrent_at"]) == (
        "2026-01-02T12:00:00.000000Z",
        "2026-01-02T12:01:00.000000Z",
    )
    told = (answer["level"], answer["ticket_type"], answer["about"], answer["fields"], answer["merged"])
    assert told == (2, "task", "order=4711", {"size": "9"}, [uid("source")])
    assert (answer["merged_into"], answer["tier"]) == (None, None)
