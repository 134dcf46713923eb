"""One customer's work: an event goes in, and what has to be published comes out as the difference to what was.

``Casework`` holds the customers of one partition. It is pure: the same records in the same order give the same outputs
and the same state, whatever the machine's clock says. ``reached`` is the time the partition's log has told so far.
"""

from __future__ import annotations

import heapq
from copy import copy
from typing import Final

from domain import escalations, loose, merges
from domain.announced import differences, judged_again, looks, said_of_none, withdrawn
from domain.cycles import cycles_of
from domain.errors import CommandRefused
from domain.joining import Because, Placement, place, root_of
from domain.outputs import Output, clock_of, digest_of, entry_of, verdict_of, view_of
from domain.policies import EMPTY, Attributes, Bundle
from domain.shelf import Shelf
from domain.sla import Judged, judge
from domain.ticket_rules import MERGED, UNMERGED, May, Refused, check_command, decide, may
from domain.tickets import CONTEXT, History, fact_of, history, sort_in
from schemas.casework_state import (
    AnnouncedClock,
    CustomerState,
    Fact,
    TicketState,
    pack,
    planned_in,
    unpack,
)
from schemas.records import (
    Clock,
    InteractionReceived,
    SlaVerdictIssued,
)

SECOND: Final = 1_000_000
RECENT: Final = 64
STALE: Final = 1000
DAY: Final = 86_400 * 1_000_000


class Casework:
    """The customers of one partition, and the clocks that run for them."""

    def __init__(self, retention_days: int = 35, may: May = may) -> None:
        self.customers = Shelf()
        self.bundles: dict[int, Bundle] = {0: EMPTY}
        self.current: dict[str, int] = {}
        self.reached = 0
        self._retention = retention_days * DAY
        self._may = may
        self._heap: list[tuple[int, str]] = []
        self._planned: dict[str, int] = {}
        self._touched: dict[str, None] = {}

    def configure(self, tenant: str, bundle: Bundle) -> None:
        """Take a tenant's bundle into force; a ticket keeps its version until something happens on it."""
        self.bundles[bundle.version] = bundle
        self.current[tenant] = max(self.current.get(tenant, 0), bundle.version)

    def put(self, customer: str, packed: bytes) -> None:
        """Take a customer's state as it was restored, and plan its clocks: bundles and ``reached`` have to be there.

        Raises ``msgspec.DecodeError`` for bytes that are no state.
        """
        planned = planned_in(packed)
        if planned == -1:
            state = unpack(packed)
            for ticket in state.tickets:
                ticket.instant = self._judge(state, ticket)[-1]
            self._plan(customer, state)
            packed = pack(state)
        elif planned is not None:
            self._wait(customer, planned)
        self.customers.take({customer: packed})

    def restore(self, customers: dict[str, bytes]) -> None:
        """Take all customers' states as they were restored: as ``put`` does, with one heap for all of them.

        Nothing may be held yet. Raises ``msgspec.DecodeError`` for bytes that are no state.
        """
        planned = self._planned
        unplanned: dict[str, bytes] = {}
        for customer, packed in customers.items():
            at = planned_in(packed)
            if at == -1:
                unplanned[customer] = packed
            elif at is not None:
                planned[customer] = at
        self._heap = [(at, customer) for customer, at in planned.items()]
        heapq.heapify(self._heap)
        self.customers.take(customers)
        for customer, packed in unplanned.items():
            self.put(customer, packed)

    def changed(self) -> list[tuple[str, bytes | None]]:
        """The customers whose state changed since the last call, packed; None for one that has left the state."""
        touched, self._touched = self._touched, {}
        return self.customers.put_back(touched)

    def due(self) -> int | None:
        """The earliest instant at which time alone changes something, in microseconds."""
        while self._heap and self._planned.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def waiting(self) -> int:
        """How many customers wait for an instant."""
        return len(self._planned)

    def judged(self, customer: str, ticket: str) -> list[Judged]:
        """A ticket's clocks as they stand at ``reached``; none of a ticket that is not held. Changes nothing."""
        state = self.customers.get(customer)
        held = next((each for each in state.tickets if each.id == ticket), None) if state else None
        return [found for found, _ in self._judge(state, held)[1]] if state and held else []

    def received(self, customer: str, contact_point: str, event: InteractionReceived) -> list[Output]:
        """Fold one event of a customer. Returns nothing for one that was folded before.

        Raises ``CommandRefused``, with nothing changed, for a command that can't be carried out.
        """
        state = self.customers.get(customer)
        if state is not None and _was_folded(event.id, state):
            return []
        known = state or CustomerState(tenant=event.tenant, sequence=event.received_at // SECOND)
        bundle = self.bundles[self.current.get(event.tenant, 0)]
        fact = fact_of(event, contact_point, bundle)
        if fact.command is not None:
            check_command(event.type, fact.command)
        placement = place(fact, known, bundle, event)
        course = None
        if fact.command is not None and placement.holder is not None:
            because, course = self._decide(fact, known, placement.holder, event, bundle)
            placement = placement._replace(because=because)
        if state is None:
            self.customers[customer] = known
        known.sequence += 1
        known.last_contact = max(known.last_contact, event.received_at)
        known.recent.append(event.id)
        del known.recent[:-RECENT]
        self._touched[customer] = None
        outputs: list[Output] = [entry_of(customer, known, event, fact, placement)]
        tickets, since = self._take(known, fact, placement, event, bundle)
        for ticket in tickets:
            if ticket.bundle != bundle.version:
                ticket.bundle, since = bundle.version, 0
            judged_at = max(self.reached, event.received_at)
            outputs += self._say(customer, known, ticket, event.id, judged_at, since, course)
            course = None
        self._plan(customer, known)
        return outputs

    def _decide(
        self, fact: Fact, state: CustomerState, ticket: TicketState, event: InteractionReceived, bundle: Bundle
    ) -> tuple[Because, History | None]:
        """Put a command among the facts of the ticket it names: why it joins, and the ticket's course with it.

        Raises ``CommandRefused``, with nothing changed, where it can't be carried out.
        """
        fact.ticket, fact.because = ticket.id, "named"
        sort_in(ticket.facts, fact)
        try:
            course = history(ticket, state, bundle, self.reached, fact)
            assert course.stood is not None
            decision = decide(fact, course.stood, self._may(event.actor, event.type, course.stood))
            if isinstance(decision, Refused):
                raise CommandRefused(decision.reason, decision.detail)
            if fact.type == MERGED:
                merges.check(fact, state.tickets)
            elif fact.type == "ticket.linked" and fact.command is not None and fact.command.link == "parent":
                merges.check_parent(fact, lambda other: self._parent(state, other))
        except CommandRefused:
            ticket.facts.remove(fact)
            raise
        fact.because = decision.because
        return decision.because, None if fact.type in (MERGED, UNMERGED) else course

    def _parent(self, state: CustomerState, ticket: str) -> str | None:
        """The ticket that a ticket of the customer stands below."""
        held = next((each for each in state.tickets if each.id == ticket), None)
        if held is None:
            return None
        links = history(held, state, self.bundles[held.bundle], self.reached).standing.links
        return next((link.ticket for link in links if link.kind == "parent"), None)

    def _take(
        self, state: CustomerState, fact: Fact, placement: Placement, event: InteractionReceived, bundle: Bundle
    ) -> tuple[list[TicketState], int]:
        """Put a fact where it belongs. The tickets that it may have changed, and from which instant on."""
        if fact.type == CONTEXT:
            return _tell_tier(state, fact), fact.at
        ticket = placement.holder
        if placement.opens:
            ticket = _open(fact, event, bundle, placement.follows, state.tier)
            state.tickets.append(ticket)
        if ticket is None:
            if placement.loose:
                loose.keep(state, fact, bundle.join_window)
            return [], fact.at
        if placement.opens or fact.command is None:  # else it was put there to be decided on
            fact.ticket, fact.because = placement.ticket or ticket.id, placement.because
            sort_in(ticket.facts, fact)
        since = fact.at
        if state.loose and (placement.opens or fact.command is None):
            origin = fact.command.origin if fact.command else None
            for waited in loose.adopt(state, origin or fact.conversation, ticket.id):
                sort_in(ticket.facts, waited)
                since = min(since, waited.at)
        if fact.type == MERGED or fact.type == UNMERGED:
            before = merges.together(ticket, state.tickets)
            changed = merges.settle(state.tickets)
            return [*before, *(each for each in changed if all(each is not one for one in before))], 0
        if ticket.merged_into:
            return merges.together(ticket, state.tickets), 0
        return [ticket], since

    def _say(
        self,
        customer: str,
        state: CustomerState,
        ticket: TicketState,
        cause: str,
        judged_at: int,
        since: int,
        course: History | None = None,
    ) -> list[Output]:
        """Publish a ticket, and the escalations that follow from it. ``course``: its history, if it is known."""
        outputs = said = self._publish(customer, state, ticket, cause, judged_at, since, course)
        bundle = self.bundles[ticket.bundle]
        while bundle.escalations and (calls := _calls(said)):
            course = history(ticket, state, bundle, self.reached)
            said = []
            for rule, fact in escalations.due(bundle, ticket, course, calls, judged_at):
                sort_in(ticket.facts, fact)
                said += self._publish(customer, state, ticket, f"rule:{rule}", judged_at, fact.at)
            outputs = [*outputs, *said]
        return outputs

    def advance(self, now: int) -> list[Output]:
        """Fire everything that is due at ``now``, customer by customer in the order of their instants."""
        self.reached = max(self.reached, now)
        outputs: list[Output] = []
        while (due := self.due()) is not None and due <= self.reached:
            customer = heapq.heappop(self._heap)[1]
            del self._planned[customer]
            state = self.customers[customer]
            self._touched[customer] = None
            for ticket in state.tickets:
                if ticket.instant is not None and ticket.instant <= self.reached:  # to the others time did nothing yet
                    outputs += self._say(customer, state, ticket, "time", self.reached, ticket.instant)
            self._put_away(customer, state)
            if customer in self.customers:
                self._plan(customer, state)
        return outputs

    def _put_away(self, customer: str, state: CustomerState) -> None:
        """A ticket leaves the state when it has been closed for the retention time, a customer when nothing is left.

        One that was merged stays as long as the ticket that goes on for it: its facts count there."""
        limit = self.reached - self._retention
        for ticket in [each for each in state.tickets if (at := _ended_at(state, each)) is not None and at <= limit]:
            state.tickets.remove(ticket)
        if not state.tickets and state.last_contact <= limit:
            del self.customers[customer]

    def _plan(self, customer: str, state: CustomerState) -> None:
        upcoming = [ticket.instant for ticket in state.tickets if ticket.instant is not None]
        ends = [_ended_at(state, ticket) for ticket in state.tickets if ticket.closed_at is not None]
        upcoming += [at + self._retention for at in ends if at is not None]
        if not state.tickets:
            upcoming.append(state.last_contact + self._retention)
        if not upcoming:
            state.planned = None
            self._planned.pop(customer, None)
            return
        # Later than the time told so far, which changes nothing more: a tick for that time would not come again.
        state.planned = max(min(upcoming), self.reached + 1)
        if self._planned.get(customer) != state.planned:
            self._wait(customer, state.planned)

    def _wait(self, customer: str, at: int) -> None:
        """Wait for an instant, and for no other one of this customer.

        What was waited for before stays in the heap until its time comes, which may be weeks, so it is made anew when
        most of it is of that kind."""
        self._planned[customer] = at
        heapq.heappush(self._heap, (at, customer))
        if len(self._heap) > 2 * len(self._planned) + STALE:
            self._heap = [(planned, waiting) for waiting, planned in self._planned.items()]
            heapq.heapify(self._heap)

    def _judge(
        self, state: CustomerState, ticket: TicketState, since: int = 0, course: History | None = None
    ) -> tuple[History, list[tuple[Judged, AnnouncedClock | None]], list[tuple[Judged, AnnouncedClock]], int | None]:
        """The ticket's course, its clocks with what was said of each, those that are no more, and when to look again.

        ``since``: nothing that happened before it changed, so cycles that ended before stay as they were said.
        """
        bundle = self.bundles[ticket.bundle]
        if course is None:
            course = history(ticket, state, bundle, self.reached)
        wanted = bundle.promised
        for clock in ticket.clocks:
            if clock.metric not in wanted:
                wanted |= {clock.metric}
        to_see, no_more = looks(ticket.clocks, cycles_of(course, bundle, wanted), since)
        judged: list[tuple[Judged, AnnouncedClock | None]] = []
        instant = course.closes_at
        metric, highest = "", 0
        for cycle, said, number in to_see:
            if said is not None and said.outcome and said.version != bundle.version:
                found = judged_again(cycle, said, course, bundle, self.bundles, self.reached)
            else:
                found = judge(cycle, course, bundle, self.reached)
            if found is not None:
                if said is None:  # the next number that its metric has not given out
                    highest = number + 1 if cycle.metric != metric else highest + 1
                    metric, number = cycle.metric, highest
                found.cycle = number
                judged.append((found, said))
                if found.next_at is not None and (instant is None or found.next_at < instant):
                    instant = found.next_at
            elif said is not None and (said.outcome or said.warned):  # it was never promised, as a late event shows
                no_more.append(said)
        gone = [(last, clock) for clock in no_more if (last := said_of_none(clock, course, bundle)) is not None]
        return course, judged, gone, instant

    def _publish(
        self,
        customer: str,
        state: CustomerState,
        ticket: TicketState,
        cause: str,
        judged_at: int,
        since: int = 0,
        course: History | None = None,
    ) -> list[Output]:
        course, judged, gone, ticket.instant = self._judge(state, ticket, since, course)
        ticket.closed_at, ticket.about = course.closed_at, course.moments[-1].attributes.about or ""
        verdicts: list[Output] = []
        clocks: list[Clock] = []
        for each, said in judged:
            clock = said or AnnouncedClock(each.metric, each.cycle, warned=[])
            for outcome, threshold, episode in differences(each, clock):
                clock.revision += 1
                verdicts.append(
                    verdict_of(customer, state, ticket, each, clock, outcome, threshold, episode, judged_at, cause)
                )
            if said is None and clock.revision:
                ticket.clocks.append(clock)
            clocks.append(clock_of(each, clock))
        for each, clock in gone:
            outcome, threshold, episode = withdrawn(clock)
            clock.revision += 1
            verdicts.append(
                verdict_of(customer, state, ticket, each, clock, outcome, threshold, episode, judged_at, cause)
            )
        view = view_of(customer, state, ticket, course, clocks, judged_at, cause)
        digest = digest_of(view)
        if digest == ticket.digest:
            return verdicts
        ticket.digest = digest
        ticket.version += 1
        return [view, *verdicts]


def _was_folded(event: str, state: CustomerState) -> bool:
    """Whether an event is among the newest, or, of a customer with more of them, a fact that is held."""
    if event in state.recent:
        return True
    if len(state.recent) < RECENT:
        return False
    held = (fact for ticket in state.tickets for fact in ticket.facts)
    return any(fact.id == event for fact in held) or any(fact.id == event for fact in state.loose)


def _open(fact: Fact, event: InteractionReceived, bundle: Bundle, follows: str | None, tier: str) -> TicketState:
    """A new ticket, owned by whom the routes say; who owns it from its first second is decided here, once."""
    priority = fact.command.priority if fact.command and fact.command.priority else "normal"
    told = Attributes(event.tenant, fact.channel, priority, event.source, tier=tier or None, about=fact.about or None)
    route = bundle.route_for(told)
    return TicketState(
        id=fact.id,
        facts=[],
        bundle=bundle.version,
        subject=event.subject or (event.text or "")[:120] or None,
        queue=route.queue if route else None,
        team=route.team if route else None,
        organisation=route.organisation if route else None,
        follows=follows,
        priority="normal",
        clocks=[],
        source=event.source,
        tier=tier,
        about=fact.about,
    )


def _tell_tier(state: CustomerState, fact: Fact) -> list[TicketState]:
    """What a system of record says of a customer's tier is a fact of every ticket that was open, or may be again."""
    if fact.tier is None:
        return []
    if fact.at >= state.tier_at:
        state.tier, state.tier_at = fact.tier, fact.at
    tickets = [t for t in state.tickets if t.closed_at is None or t.merged_into or fact.at <= t.closed_at]
    for ticket in tickets:
        told = copy(fact)
        told.ticket, told.because = ticket.id, "tells_of_the_customer"
        sort_in(ticket.facts, told)
    return tickets


def _ended_at(state: CustomerState, ticket: TicketState) -> int | None:
    """When a ticket was closed, of a merged one the ticket that goes on for it; None while it is open."""
    return root_of(ticket, state.tickets).closed_at if ticket.merged_into else ticket.closed_at


def _calls(said: list[Output]) -> list[SlaVerdictIssued]:
    """The verdicts that an escalation may wait for."""
    return [each for each in said if isinstance(each, SlaVerdictIssued) and each.outcome in ("warned", "breached")]
