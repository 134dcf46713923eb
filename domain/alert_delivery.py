"""How one alert is told to one receiver: what comes next, what an answer means, and when to try again.

A receiver hears of an alert nothing, the opening, or the opening and then the closing, in this order. Each is repeated
until it is accepted, so a receiver that accepts and then loses the connection hears it again, with the same message id.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from domain.alerts import SECOND, Because, Phase

BACKOFF_FIRST = SECOND
BACKOFF_CAP = 60 * SECOND


class State(StrEnum):
    """Where the telling stands. Parked: the receiver refused it, and it is not tried again on its own."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    PARKED = "parked"
    SUPERSEDED = "superseded"


class Step(StrEnum):
    """What has to be done next about one alert at one receiver."""

    OPEN = "open"
    RESOLVE = "resolve"
    RENEW = "renew"
    SUPERSEDE = "supersede"
    REST = "rest"


class Answer(StrEnum):
    """What came of an attempt: accepted, or the reason why not."""

    ACCEPTED = "accepted"
    # tried again
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    DROPPED = "dropped"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"
    THROTTLED = "throttled"
    MISCONFIGURED = "misconfigured"
    NOT_SENT = "not_sent"
    # parked
    REFUSED = "refused"
    GONE = "gone"


#: Answers after which the receiver may have what it was told all the same.
UNSURE = frozenset({Answer.TIMED_OUT, Answer.DROPPED, Answer.FAILED})
#: Answers that tell of the receiver as a whole: once it answers again, all that waits for it goes at once.
WHOLE = frozenset({Answer.UNREACHABLE, Answer.TIMED_OUT, Answer.DROPPED, Answer.FAILED, Answer.UNAVAILABLE})
PARKING = frozenset({Answer.REFUSED, Answer.GONE})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a receiver made of one alert; ``detail`` is for a person and never carries the alert's content."""

    answer: Answer
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Telling:
    """One alert at one receiver. ``given``: what it accepted; ``perhaps``: what may have reached it at most;
    ``next_at``: when to look again, in microseconds, None for never; ``because``: why the alert was closed."""

    state: State = State.WAITING
    given: Phase = Phase.NOTHING
    perhaps: Phase = Phase.NOTHING
    because: Because | None = None
    attempts: int = 0
    next_at: int | None = None
    reason: str | None = None


def of_status(status: int) -> Answer:
    """What an HTTP status means. 4xx that a person can mend at either side are tried again; the others are parked."""
    if 200 <= status < 300:
        return Answer.ACCEPTED
    return _STATUSES.get(status) or _CLASSES.get(status // 100, Answer.FAILED)


_STATUSES = {
    401: Answer.MISCONFIGURED,
    403: Answer.MISCONFIGURED,
    404: Answer.MISCONFIGURED,
    405: Answer.MISCONFIGURED,
    407: Answer.MISCONFIGURED,
    408: Answer.UNAVAILABLE,
    410: Answer.GONE,
    425: Answer.UNAVAILABLE,
    429: Answer.THROTTLED,
    503: Answer.UNAVAILABLE,
}
_CLASSES = {1: Answer.MISCONFIGURED, 3: Answer.MISCONFIGURED, 4: Answer.REFUSED, 5: Answer.FAILED}


def step(telling: Telling) -> Step:
    """What the receiver has to be told next.

    An alert that was closed before anything can have reached the receiver is superseded: neither half is sent. Where an
    attempt may have got through, both are, in order. A breach that ended late happened, so it is always told.
    """
    if telling.given is Phase.RESOLVE or telling.state in (State.PARKED, State.SUPERSEDED):
        return Step.REST
    if telling.given is Phase.OPEN:
        return Step.RENEW if telling.because is None else Step.RESOLVE
    if telling.because in (None, Because.ENDED) or telling.perhaps is not Phase.NOTHING:
        return Step.OPEN
    return Step.SUPERSEDE


def begin(telling: Telling, taken: Step) -> Telling:
    """The telling as it must be recorded before a step is tried: from then on it may have reached the receiver."""
    if taken is Step.SUPERSEDE:
        return replace(telling, state=State.SUPERSEDED, next_at=None, reason=None)
    if taken is Step.REST:
        return replace(telling, next_at=None)
    return replace(telling, perhaps=_phase(taken), attempts=telling.attempts + 1)


def settle(
    telling: Telling, before: Telling, taken: Step, outcome: Outcome, now: int, renew: int | None, jitter: float
) -> Telling:
    """The telling after a step was tried.

    ``telling`` is how it stands now: the alert may have been closed while the attempt was under way. ``before``: how it
    stood before ``begin``. ``renew``: microseconds until an open alert is repeated, None for receivers that remember.
    ``jitter`` in [0, 1).
    """
    answer = outcome.answer
    if answer is Answer.ACCEPTED:
        given = _phase(taken)
        told = replace(telling, state=State.ACCEPTED, given=given, perhaps=given, attempts=0, next_at=None, reason=None)
        if given is Phase.RESOLVE:
            return told
        if telling.because is not None:
            return replace(told, state=State.WAITING, next_at=now)
        return told if renew is None else replace(told, next_at=now + renew)
    perhaps = telling.perhaps if answer in UNSURE else before.perhaps
    if answer in PARKING and taken is not Step.RENEW:
        return replace(telling, state=State.PARKED, perhaps=perhaps, next_at=None, reason=answer.value)
    if answer is Answer.NOT_SENT:
        return replace(telling, perhaps=perhaps, attempts=before.attempts, next_at=now)
    # an alert closed during the attempt is looked at at once: it may be superseded, or begin its own count of attempts
    closed = telling.because is not None and before.because is None
    next_at = now if closed else now + backoff(telling.attempts, jitter)
    return replace(telling, perhaps=perhaps, next_at=next_at, reason=answer.value)


def _phase(taken: Step) -> Phase:
    return Phase.RESOLVE if taken is Step.RESOLVE else Phase.OPEN


def backoff(attempts: int, jitter: float) -> int:
    """Microseconds to wait after so many attempts: doubling from 1 s to at most 60 s, then cut by up to a half.

    ``jitter`` is in [0, 1). This is the "equal jitter" of
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """
    longest = min(BACKOFF_CAP, BACKOFF_FIRST << min(max(attempts, 1) - 1, 16))
    return round(longest * (1 - jitter / 2))
