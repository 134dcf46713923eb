"""One customer's work: an event goes in, and what has to be published comes out as the difference to what was.

``Casework`` holds the customers of one partition. It is pure: the same records in the same order give the same outputs
and the same state, whatever the machine's clock says. ``reached`` is the time the partition's log has told so far.
"""

from __future__ import annotations

import heapq
from bisect import insort

from domain.outputs import Output, clock_of, digest_of, entry_of, verdict_of, view_of
from domain.policies import EMPTY, Attributes, Bundle
from domain.shelf import Shelf
from domain.sla import Judged, judge
from domain.tickets import History, check_command, fact_of, history, order, place
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
    TicketCommand,
)

SECOND = 1_000_000
RECENT = 64
DAY = 86_400 * 1_000_000
METRICS = ("first_response", "resolution")


class Casework:
    """The customers of one partition, and the clocks that run for them."""

    def __init__(self, retention_days: int = 35) -> None:
        self.customers = Shelf()
        self.bundles: dict[int, Bundle] = {0: EMPTY}
        self.current: dict[str, int] = {}
        self.reached = 0
        self._retention = retention_days * DAY
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
                ticket.instant = self._judge(state, ticket)[2]
            self._plan(customer, state)
            packed = pack(state)
        elif planned is not None:
            self._planned[customer] = planned
            heapq.heappush(self._heap, (planned, customer))
        self.customers.take(customer, packed)

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
        state = self.customers[customer] if customer in self.customers else None
        return next((self._judge(state, each)[1] for each in state.tickets if each.id == ticket), []) if state else []

    def received(self, customer: str, contact_point: str, event: InteractionReceived) -> list[Output]:
        """Fold one event of a customer. Returns nothing for one that was folded before.

        Raises ``CommandRefused``, with nothing changed, for a command that can't be carried out.
        """
        state = self.customers.get(customer)
        if state is not None and _was_folded(event.id, state):
            return []
        if isinstance(event.facts, TicketCommand):
            check_command(event.type, event.facts)
        known = state or CustomerState(tenant=event.tenant, sequence=event.received_at // SECOND)
        fact = fact_of(event, contact_point)
        bundle = self.bundles[self.current.get(event.tenant, 0)]
        placement = place(fact, known, bundle, _named(event))
        if state is None:
            self.customers[customer] = known
        known.sequence += 1
        known.last_contact = max(known.last_contact, event.received_at)
        known.recent.append(event.id)
        del known.recent[:-RECENT]
        self._touched[customer] = None
        outputs: list[Output] = [entry_of(customer, known, event, contact_point, placement.ticket, placement.because)]
        if placement.ticket is not None:
            fact.ticket, fact.because = placement.ticket, placement.because
            if placement.opens:
                ticket = _open(fact, event, bundle, placement.follows)
                known.tickets.append(ticket)
            else:
                ticket = next(each for each in known.tickets if each.id == placement.ticket)
            if not ticket.facts or order(ticket.facts[-1]) <= order(fact):
                ticket.facts.append(fact)
            else:
                insort(ticket.facts, fact, key=order)
            if ticket.bundle != bundle.version:
                ticket.bundle = bundle.version
            outputs += self._publish(customer, known, ticket, event.id, max(self.reached, event.received_at))
        self._plan(customer, known)
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
                    outputs += self._publish(customer, state, ticket, "time", self.reached)
            self._put_away(customer, state)
            if customer in self.customers:
                self._plan(customer, state)
        return outputs

    def _put_away(self, customer: str, state: CustomerState) -> None:
        """A ticket leaves the state when it has been closed for the retention time, a customer when nothing is left."""
        limit = self.reached - self._retention
        for ticket in [each for each in state.tickets if each.closed_at is not None and each.closed_at <= limit]:
            state.tickets.remove(ticket)
        if not state.tickets and state.last_contact <= limit:
            del self.customers[customer]

    def _plan(self, customer: str, state: CustomerState) -> None:
        upcoming = [ticket.instant for ticket in state.tickets if ticket.instant is not None]
        upcoming += [t.closed_at + self._retention for t in state.tickets if t.closed_at is not None]
        if not state.tickets:
            upcoming.append(state.last_contact + self._retention)
        if not upcoming:
            state.planned = None
            self._planned.pop(customer, None)
            return
        # Later than the time told so far, which changes nothing more: a tick for that time would not come again.
        state.planned = max(min(upcoming), self.reached + 1)
        if self._planned.get(customer) != state.planned:
            self._planned[customer] = state.planned
            heapq.heappush(self._heap, (state.planned, customer))

    def _judge(self, state: CustomerState, ticket: TicketState) -> tuple[History, list[Judged], int | None]:
        bundle = self.bundles[ticket.bundle]
        course = history(ticket, state.tenant, bundle, self.reached)
        judged: list[Judged] = []
        finished = {clock.metric: clock.version for clock in ticket.clocks if clock.outcome and clock.version}
        for metric in METRICS:
            found = judge(metric, course, self.bundles.get(finished.get(metric, -1), bundle), self.reached)
            if metric in finished and (found is None or not found.outcome):
                found = judge(metric, course, bundle, self.reached)
            if found is not None:
                judged.append(found)
        upcoming = [each.next_at for each in judged if each.next_at is not None]
        if course.closes_at is not None:
            upcoming.append(course.closes_at)
        return course, judged, min(upcoming, default=None)

    def _publish(
        self,
        customer: str,
        state: CustomerState,
        ticket: TicketState,
        cause: str,
        judged_at: int,
    ) -> list[Output]:
        course, judged, ticket.instant = self._judge(state, ticket)
        ticket.closed_at = course.closed_at
        verdicts: list[Output] = []
        clocks: list[Clock] = []
        for each in judged:
            clock = _announced(ticket, each)
            for outcome, threshold, episode in _differences(each, clock, self.reached):
                clock.revision += 1
                verdicts.append(
                    verdict_of(customer, state, ticket, each, clock, outcome, threshold, episode, judged_at, cause)
                )
            clocks.append(clock_of(each, clock))
        view = view_of(customer, state, ticket, course, clocks, judged_at, cause)
        digest = digest_of(view)
        if digest == ticket.digest:
            return verdicts
        ticket.digest = digest
        ticket.version += 1
        return [view, *verdicts]


def _was_folded(event: str, state: CustomerState) -> bool:
    """Whether an event is among the newest, or, of a customer with more of them, a fact of a ticket that is held."""
    if event in state.recent:
        return True
    return len(state.recent) == RECENT and any(fact.id == event for ticket in state.tickets for fact in ticket.facts)


def _announced(ticket: TicketState, judged: Judged) -> AnnouncedClock:
    """What was published of this clock so far."""
    for clock in ticket.clocks:
        if clock.metric == judged.metric and clock.cycle == judged.cycle:
            return clock
    ticket.clocks.append(AnnouncedClock(judged.metric, judged.cycle, warned=[]))
    return ticket.clocks[-1]


def _named(event: InteractionReceived) -> str | None:
    """The ticket an event names itself."""
    if isinstance(event.facts, TicketCommand) and event.facts.ticket:
        return event.facts.ticket
    for point in event.contact_points:
        if point.kind == "hub" and point.value.startswith("ticket:"):
            return point.value.removeprefix("ticket:")
    return None


def _open(fact: Fact, event: InteractionReceived, bundle: Bundle, follows: str | None) -> TicketState:
    """A new ticket, owned by whom the routes say; who owns it from its first second is decided here, once."""
    priority = fact.command.priority if fact.command and fact.command.priority else "normal"
    route = bundle.route_for(Attributes(event.tenant, fact.channel, priority, event.source))
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
    )


def _differences(judged: Judged, clock: AnnouncedClock, reached: int) -> list[tuple[str, int | None, int]]:
    """What has to be said of a clock now: (outcome, warning percent, episode); ``clock`` is brought up to it.

    A warning that is no longer true (the due moved later) may come again, in a new episode.
    """
    found: list[tuple[str, int | None, int]] = []
    if clock.outcome and clock.outcome != judged.outcome:
        found.append(("retracted", None, clock.episode))
        clock.episode += 1
        clock.outcome, clock.version = "", 0
        clock.warned = []
        clock.ended = False
    if not clock.outcome and judged.outcome:
        clock.outcome, clock.version = judged.outcome, judged.bundle.version
        found.append((judged.outcome, None, clock.episode))
    if clock.outcome == "breached" and clock.ended != (judged.ended_at is not None):
        clock.ended = judged.ended_at is not None
        if clock.ended:
            found.append(("ended", None, clock.episode))
    if not judged.outcome and judged.state == "running" and (clock.warned or judged.passed):
        if any(percent not in judged.passed for percent in clock.warned):
            clock.warned = [percent for percent in clock.warned if percent in judged.passed]
            clock.episode += 1
        fresh = [percent for percent in judged.passed if percent not in clock.warned]
        if fresh and max(fresh) > max(clock.warned, default=0):
            found.append(("warned", max(fresh), clock.episode))
        clock.warned = sorted({*clock.warned, *fresh})
    return found
