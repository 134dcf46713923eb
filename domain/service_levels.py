"""Figures of queues as ratios of counts, each by a formula that has an id, a sentence and a source.

Pure arithmetic: whole numbers go in, and a ``Ratio`` of whole numbers comes out, so nothing is rounded before somebody
asks for a percent. Two centres that use one word for two formulas differ by several percent on the same day; that is
why no figure of the hub comes without the id. What is counted, and of which contacts, is decided in ``contacts``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import NamedTuple

from domain.errors import PolicyInvalid, Reason

DEFAULT = "answered_within_of_offered_less_short"
_SIX_DECIMALS = Decimal("0.000001")


class Ratio(NamedTuple):
    """A figure before division. Of a mean, ``numerator`` is microseconds and ``denominator`` a number of contacts."""

    numerator: int
    denominator: int

    @property
    def value(self) -> Fraction | None:
        """The exact value; None where nothing was counted, which is neither 0 nor 100 percent."""
        return Fraction(self.numerator, self.denominator) if self.denominator else None

    @property
    def percent(self) -> Decimal | None:
        """In percent, to six decimals, halves away from zero; None where nothing was counted."""
        found = self.value
        if found is None:
            return None
        return (Decimal(found.numerator * 100) / Decimal(found.denominator)).quantize(_SIX_DECIMALS, ROUND_HALF_UP)


class Counts(NamedTuple):
    """Contacts that entered a queue and are no longer waiting there, by what became of them.

    ``answered_within`` waited no longer than T, of all that were ``answered``; ``abandoned_within`` likewise.
    ``abandoned_short`` gave up before S. ``left``: went on to another queue, a voice box or a program without an answer
    (flow-outs). ``called_back``: took a call back instead of waiting, ``called_back_within`` no later than T.
    """

    answered: int = 0
    abandoned: int = 0
    answered_within: int = 0
    abandoned_within: int = 0
    abandoned_short: int = 0
    left: int = 0
    called_back: int = 0
    called_back_within: int = 0

    @property
    def offered(self) -> int:
        """Everybody who entered."""
        return self.answered + self.abandoned + self.left + self.called_back


class Formula(NamedTuple):
    """How a figure is computed. ``figure``: what it is a formula of; ``sentence``: numerator over denominator in words;
    ``source``: who published it."""

    id: str
    figure: str
    sentence: str
    source: str


_ICMI = "ICMI, Queue Tips, March 2005, and Call Centre Helper, service level threshold calculations"
_AMAZON = "Amazon Connect administrator guide, metric definitions, service level X"
_GENESYS = "Genesys Cloud resource centre, configure the service level calculation"
_CISCO = "Cisco ICM and Unified CCE reporting guides, service level calculations"
_HUB = "this hub"

_Rule = Callable[[Counts], tuple[int, int]]
_RULES: dict[str, _Rule] = {}
FORMULAS: dict[str, Formula] = {}


def _level(name: str, sentence: str, source: str, rule: _Rule) -> None:
    FORMULAS[name] = Formula(name, "service_level", sentence, source)
    _RULES[name] = rule


_level(
    DEFAULT,
    "answered within T / (offered - abandoned before S)",
    _HUB,
    lambda c: (c.answered_within, c.offered - c.abandoned_short),
)
_level(
    "sl_all_credit",
    "(answered within T + abandoned within T) / (answered + abandoned)",
    _ICMI,
    lambda c: (c.answered_within + c.abandoned_within, c.answered + c.abandoned),
)
_level("sl_answered_only", "answered within T / answered", _ICMI, lambda c: (c.answered_within, c.answered))
_level(
    "sl_strict",
    "answered within T / (answered + abandoned)",
    _ICMI,
    lambda c: (c.answered_within, c.answered + c.abandoned),
)
_level(
    "sl_ignore_short",
    "answered within T / (answered + abandoned after T)",
    _ICMI,
    lambda c: (c.answered_within, c.answered + c.abandoned - c.abandoned_within),
)
_level(
    "sl_short_credit",
    "(answered within T + abandoned before S) / (answered + abandoned)",
    _ICMI,
    lambda c: (c.answered_within + c.abandoned_short, c.answered + c.abandoned),
)
_level(
    "amazon",
    "(answered within T + abandoned within T + put to a call back within T) / queued",
    _AMAZON,
    lambda c: (c.answered_within + c.abandoned_within + c.called_back_within, c.offered),
)
_level(
    "cisco_icm_basic",
    "answered within T / (answered within T + answered after T)",
    _CISCO,
    lambda c: (c.answered_within, c.answered),
)
_level(
    "cisco_icm_abandon_ignored",
    "answered within T / (service-level events - abandoned within T)",
    _CISCO,
    lambda c: (c.answered_within, c.answered + c.abandoned - c.abandoned_within),
)
_level(
    "cisco_icm_abandon_negative",
    "answered within T / service-level events",
    _CISCO,
    lambda c: (c.answered_within, c.answered + c.abandoned),
)
_level(
    "cisco_icm_abandon_positive",
    "(answered within T + abandoned within T) / service-level events",
    _CISCO,
    lambda c: (c.answered_within + c.abandoned_within, c.answered + c.abandoned),
)


def genesys(include_short_abandons: bool = True, include_abandons: bool = True, include_flowouts: bool = False) -> str:
    """The id of Genesys Cloud's formula under its three switches.

    A short abandon is an abandon: with both switches off it is taken out once, where the published sentence, read to
    the letter, takes it out twice and can come to more than 100 percent.
    """
    parts = ["genesys"]
    if include_flowouts:
        parts.append("with_flowouts")
    if not include_abandons:
        parts.append("without_abandons")
    elif not include_short_abandons:
        parts.append("without_short_abandons")
    return "_".join(parts)


def _genesys_rule(short: bool, abandons: bool, flowouts: bool) -> _Rule:
    def rule(c: Counts) -> tuple[int, int]:
        counted = c.abandoned if short else c.abandoned - c.abandoned_short
        return c.answered_within, c.answered + (counted if abandons else 0) + (c.left if flowouts else 0)

    return rule


for _short, _abandons, _flowouts in (
    (True, True, False),
    (False, True, False),
    (True, False, False),
    (True, True, True),
    (False, True, True),
    (True, False, True),
):
    _below = [
        "answered",
        *(["abandoned" if _short else "abandoned no earlier than S"] if _abandons else []),
        *(["flow-outs"] if _flowouts else []),
    ]
    _level(
        genesys(_short, _abandons, _flowouts),
        f"answered within T / {_below[0] if len(_below) == 1 else '(' + ' + '.join(_below) + ')'}",
        _GENESYS,
        _genesys_rule(_short, _abandons, _flowouts),
    )

SERVICE_LEVELS = tuple(FORMULAS)


def _other(name: str, figure: str, sentence: str, source: str = _HUB) -> str:
    FORMULAS[name] = Formula(name, figure, sentence, source)
    return name


ABANDONED_OF_OFFERED = _other("abandoned_of_offered", "abandonment", "abandoned / offered")
ABANDONED_LESS_SHORT = _other(
    "abandoned_less_short_of_offered_less_short",
    "abandonment_less_short",
    "(abandoned - abandoned before S) / (offered - abandoned before S)",
)
ANSWER_SPEED = _other(
    "waited_of_answered", "average_speed_of_answer", "sum of the time in queue of those answered / answered"
)
HANDLING_TIME = _other(
    "talk_hold_wrap_up_of_handled", "average_handling_time", "sum of talk, hold and wrap-up / handled"
)
OCCUPANCY = _other(
    "interacting_of_on_queue",
    "occupancy",
    "interacting / (interacting + communicating + idle); busy time off the queue is not counted",
    "Genesys community, does occupancy include all busy time",
)
REPEAT_RATE = _other(
    "repeats_of_contacts", "repeat_contacts", "repeat contacts / contacts", "SparrowDesk, repeat contact rate"
)
FIRST_CONTACT = _other(
    "resolved_first_of_resolved",
    "first_contact_resolution",
    "tickets resolved with one contact, without a transfer to another organisation, a reopening, or a repeat within "
    "the window / tickets resolved",
)
TRANSFER_RATE = _other("transferred_of_handled", "transfers", "handled contacts that were transferred on / handled")


def service_level(formula: str, counts: Counts) -> Ratio:
    """The service level by a formula's id; percent by ``Ratio.percent``. Raises ``PolicyInvalid`` for an unknown id."""
    rule = _RULES.get(formula)
    if rule is None:
        known = ", ".join(SERVICE_LEVELS)
        raise PolicyInvalid(
            Reason.UNKNOWN_KEY, f"no service level has the id {formula!r}; known are {known}", "formula"
        )
    return Ratio(*rule(counts))


def abandonment(counts: Counts, with_short: bool) -> Ratio:
    """Those who gave up, of those offered; without the short ones above and below the line, or with them."""
    short = 0 if with_short else counts.abandoned_short
    return Ratio(counts.abandoned - short, counts.offered - short)


def answer_speed(waited: int, answered: int) -> Ratio:
    """Mean microseconds in queue of those answered."""
    return Ratio(waited, answered)


def handling_time(talked: int, held: int, wrapped_up: int, handled: int) -> Ratio:
    """Mean microseconds of talk, hold and wrap-up of those handled."""
    return Ratio(talked + held + wrapped_up, handled)


def occupancy(interacting: int, communicating: int, idle: int) -> Ratio:
    """The part of the time on a queue in which a person served somebody; all of one unit."""
    return Ratio(interacting, interacting + communicating + idle)


def repeat_rate(repeats: int, contacts: int) -> Ratio:
    """Repeat contacts of all contacts."""
    return Ratio(repeats, contacts)


class Bucket(NamedTuple):
    """Contacts that waited at least ``least`` and less than ``below`` (None: however long)."""

    least: int
    below: int | None
    answered: int
    abandoned: int


def wait_buckets(waits: Iterable[tuple[int, bool]], thresholds: Sequence[int]) -> list[Bucket]:
    """How long was waited, by thresholds that rise; ``waits``: the time, in the thresholds' unit, and whether the
    contact was answered (else it was abandoned)."""
    bounds = [0, *thresholds]
    counts: Mapping[int, list[int]] = {index: [0, 0] for index in range(len(bounds))}
    for waited, was_answered in waits:
        index = max((i for i, bound in enumerate(bounds) if bound <= waited), default=0)
        counts[index][0 if was_answered else 1] += 1
    return [
        Bucket(least, bounds[index + 1] if index + 1 < len(bounds) else None, *counts[index])
        for index, least in enumerate(bounds)
    ]
