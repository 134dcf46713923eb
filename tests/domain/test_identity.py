"""Whose an event is: nothing guessed silently, and what may not be linked is suggested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import NotResolvable, Reason
from domain.identity import Directory, Owner, Point, customer_id, decide
from schemas.records import ContactPoint, InteractionReceived
from tests.domain.stories import command, event

MAIL = ContactPoint("email", "a@example.com")
PHONE = ContactPoint("phone", "+4930901820")
PROVEN_PHONE = ContactPoint("phone", "+4930901820", verified=True)
CALL = ContactPoint("asterisk_call", "main:1.1", verified=True)
A, B = customer_id(Point("t", "email", "a@example.com")), customer_id(Point("t", "phone", "+4930901820"))


@dataclass
class Known(Directory):
    owners: dict[Point, Owner] = field(default_factory=dict)
    tickets: dict[str, str] = field(default_factory=dict)
    repeats: dict[str, str] = field(default_factory=dict)
    customers: dict[str, str] = field(default_factory=dict)


def known(*points: tuple[ContactPoint, str], shared: Sequence[ContactPoint] = ()) -> Known:
    owners = {Point("t", p.kind, p.value): Owner(customer) for p, customer in points}
    owners |= {Point("t", p.kind, p.value): Owner("nobody", shared=True) for p in shared}
    return Known(owners)


def from_(*points: ContactPoint) -> InteractionReceived:
    return event("e", "email.received", 0, points=list(points))


def test_an_unknown_contact_point_begins_a_customer_whose_id_comes_from_it() -> None:
    decision = decide(from_(MAIL), known())
    assert (decision.customer, decision.is_new, decision.reason) == (A, True, "new_customer")
    assert [str(link.point) for link in decision.links] == ["email:a@example.com"]


def test_a_known_contact_point_decides() -> None:
    decision = decide(from_(MAIL), known((MAIL, A)))
    assert (decision.customer, decision.links, decision.suggestion) == (A, (), None)


def test_an_unproven_second_contact_point_is_suggested_not_linked() -> None:
    decision = decide(from_(MAIL, PHONE), known((MAIL, A)))
    assert decision.links == ()
    assert decision.suggestion is not None
    assert decision.suggestion.points == ("phone:+4930901820",)


def test_a_spoofed_reply_address_does_not_become_the_senders_even_for_a_new_customer() -> None:
    victim = ContactPoint("email", "victim@example.com")
    decision = decide(from_(MAIL, victim), known())
    assert [link.point.value for link in decision.links] == ["a@example.com"]


@pytest.mark.parametrize("second", [PROVEN_PHONE, CALL])
def test_a_proven_point_and_the_channels_own_id_are_linked(second: ContactPoint) -> None:
    decision = decide(from_(MAIL, second), known((MAIL, A)))
    assert [(link.point.kind, link.customer) for link in decision.links] == [(second.kind, A)]


def test_two_customers_are_never_merged_but_suggested_and_the_stronger_point_decides() -> None:
    external = ContactPoint("external_id", "shop-1", verified=True)
    decision = decide(from_(MAIL, external), known((MAIL, A), (external, B)))
    assert (decision.customer, decision.reason) == (B, "strongest_of_several")
    assert decision.suggestion is not None
    assert set(decision.suggestion.customers) == {A, B}


def test_a_shared_point_identifies_nobody_and_is_never_linked() -> None:
    switchboard = ContactPoint("phone", "+49301", verified=True)
    decision = decide(from_(switchboard, MAIL), known(shared=[switchboard]))
    assert decision.customer == A
    assert [link.point.kind for link in decision.links] == ["email"]
    with pytest.raises(NotResolvable) as refused:
        decide(from_(switchboard), known(shared=[switchboard]))
    assert refused.value.reason == Reason.NO_CONTACT_POINT


def test_agents_and_other_parties_do_not_identify_the_customer() -> None:
    with pytest.raises(NotResolvable) as refused:
        decide(from_(ContactPoint("email", "agent@example.com", role="agent")), known((MAIL, A)))
    assert refused.value.reason == Reason.NO_CONTACT_POINT


def test_what_a_vendor_says_of_an_account_has_a_history_of_its_own() -> None:
    account = ContactPoint("whatsapp_account", "2000000001", role="other")
    decision = decide(event("news", "interaction.unmapped", 0, points=[account]), known())
    assert decision.point == "whatsapp_account:2000000001"
    with pytest.raises(NotResolvable):
        decide(event("news", "email.received", 0, points=[account]), known())


def test_a_command_goes_to_the_customer_of_its_ticket_or_is_refused() -> None:
    ticket = "80d2ae08-8e5b-50c5-8126-0f816111527e"
    order = command("c", "ticket.assigned", 0, ticket, team="second-line")
    bare = InteractionReceived(**{k: getattr(order, k) for k in order.__struct_fields__} | {"contact_points": []})
    directory = known()
    with pytest.raises(NotResolvable) as refused:
        decide(bare, directory)
    assert refused.value.reason == Reason.UNKNOWN_TICKET
    directory.tickets[ticket] = A
    assert decide(bare, directory).customer == A


def test_a_mail_that_names_an_unknown_ticket_goes_to_its_sender() -> None:
    named = ContactPoint("hub", "ticket:80d2ae08-8e5b-50c5-8126-0f816111527e")
    assert decide(from_(named, MAIL), known((MAIL, A))).customer == A


def test_a_repeated_delivery_goes_where_the_first_one_went_whatever_is_known_since() -> None:
    directory = known((MAIL, B))
    directory.repeats[from_(MAIL).id] = A
    assert (decide(from_(MAIL), directory).customer, decide(from_(MAIL), directory).reason) == (A, "repeated")


POINTS = st.builds(
    ContactPoint,
    kind=st.sampled_from(["email", "phone", "external_id", "asterisk_call", "mastodon"]),
    value=st.sampled_from(["1", "2", "3"]),
    role=st.sampled_from(["customer", "agent"]),
    verified=st.booleans(),
)


@given(st.lists(st.lists(POINTS, min_size=1, max_size=4), max_size=12))
def test_a_contact_point_once_linked_keeps_its_owner_and_every_link_has_a_reason(
    batches: list[list[ContactPoint]],
) -> None:
    directory = Known()
    for points in batches:
        try:
            decision = decide(from_(*points), directory)
        except NotResolvable:
            assert all(point.role != "customer" for point in points)
            continue
        for link in decision.links:
            assert link.point not in directory.owners
            assert link.because
            assert link.customer == decision.customer
            directory.owners[link.point] = Owner(link.customer)
        known_owners = {directory.owners[Point("t", p.kind, p.value)].customer for p in points if p.role == "customer"
                        and Point("t", p.kind, p.value) in directory.owners}  # fmt: skip
        assert decision.customer in known_owners
