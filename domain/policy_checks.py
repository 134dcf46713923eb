"""What a bundle must not say, though every part of it can be read: contradictions, and promises that can never hold.

Asked before a bundle is published, never of one that was: a rule that is added here must not make a log unreadable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from domain.errors import HubError, PolicyInvalid, Reason
from domain.policies import PRIORITIES, SECOND, Bundle, Match, Policy
from domain.policy_reading import Reader
from domain.service_levels import SERVICE_LEVELS

_MOST_BOXES = 2000
_Accepts = tuple[bool, frozenset[str]]
"""Values of an attribute: (True, those) are exactly those, (False, those) are all but those."""
_Box = dict[str, _Accepts]
_ANYTHING: _Accepts = (False, frozenset())


def problems(document: object) -> list[HubError]:
    """Everything for which a bundle is refused, in the order of its parts. Empty for one that can be published."""
    reader = Reader(strict=True)
    bundle = reader.bundle(document, 0)
    return reader.found or list(_contradictions(bundle))


def advice(bundle: Bundle) -> list[tuple[str, str]]:
    """What is allowed and yet seldom meant: (place, sentence)."""
    found: list[tuple[str, str]] = []
    used = {policy.calendar for policy in bundle.policies}
    found += [(f"calendars.{name}", "no policy uses it") for name in bundle.calendars if name not in used]
    for index, policy in enumerate(bundle.policies):
        for metric, target in policy.targets.items():
            named = [each for each in PRIORITIES if each in target.durations]
            for lower, higher in pairwise(named):
                if target.durations[higher] > target.durations[lower]:
                    where = f"policies[{index}].targets.{metric}.{higher}"
                    found.append((where, f"{higher} is given more time than {lower}"))
    for index, route in enumerate(bundle.routes):
        for name, _ in route.match.conditions:
            if name in ("team", "organisation", "queue"):
                what = f"a ticket that opens has no {name} yet, so this route can't hold"
                found.append((f"routes[{index}].match.{name}", what))
    return found


def _contradictions(bundle: Bundle) -> Iterator[HubError]:
    yield from _never_chosen("policies", [policy.match for policy in bundle.policies])
    yield from _never_chosen("routes", [route.match for route in bundle.routes])
    for index, policy in enumerate(bundle.policies):
        yield from _of_policy(policy, f"policies[{index}]")
    yield from _of_escalations(bundle)
    for name, terms in bundle.queues.items():
        if terms.short_abandon > terms.answer_within:
            what = "who gives up so late can't be a short abandon: it is longer than answer_within"
            yield PolicyInvalid(Reason.BAD_VALUE, what, f"queues.{name}.short_abandon")
        if terms.formula not in SERVICE_LEVELS:
            what = f"no service level has the id {terms.formula!r}; known are {', '.join(SERVICE_LEVELS)}"
            yield PolicyInvalid(Reason.UNKNOWN_KEY, what, f"queues.{name}.formula")


def _of_policy(policy: Policy, where: str) -> Iterator[HubError]:
    for metric, target in policy.targets.items():
        if {"open", "pending", "on_hold"} <= target.pauses:
            what = "its clock would stand in every status, so it is never due"
            yield PolicyInvalid(Reason.BAD_VALUE, what, f"{where}.targets.{metric}.pauses")
    longest = max((d for target in policy.targets.values() for d in target.durations.values()), default=0)
    for lead in (each for each in policy.warnings if each < 0):
        if -lead * SECOND >= longest:
            what = f"a lead of {-lead} s is as long as its longest target; it would warn at once"
            yield PolicyInvalid(Reason.BAD_VALUE, what, f"{where}.warnings")


def _of_escalations(bundle: Bundle) -> Iterator[HubError]:
    warned: dict[str, set[int]] = {}
    for policy in bundle.policies:
        for metric in policy.targets:
            warned.setdefault(metric, set()).update(policy.warnings)
    seen: dict[tuple[object, ...], int] = {}
    for index, each in enumerate(bundle.escalations):
        where = f"escalations[{index}]"
        warnings = warned.get(each.metric, set())
        if each.metric not in warned:
            what = f"no policy promises {each.metric}, so it is never {each.on}"
            yield PolicyInvalid(Reason.BAD_VALUE, what, f"{where}.when.metric")
        elif each.on == "warned" and (each.threshold not in warnings if each.threshold else not warnings):
            what = f"no policy that promises {each.metric} warns then; its warnings have to name it"
            yield PolicyInvalid(Reason.BAD_VALUE, what, f"{where}.when{'.threshold' if each.threshold else ''}")
        same = (each.match, each.metric, each.on, each.threshold)
        if same in seen:
            what = f"escalations[{seen[same]}] is for the same case already; write them as one"
            yield PolicyInvalid(Reason.OVERLAP, what, where)
        seen.setdefault(same, index)


def _never_chosen(part: str, matches: Sequence[Match]) -> Iterator[HubError]:
    """The entries that never come first, since those before them hold for everything that they hold for."""
    for index, match in enumerate(matches):
        blocking = _covered_by(match, matches[:index])
        if blocking:
            before = " and ".join(f"{part}[{each}]" for each in blocking)
            what = f"can never be chosen: what it holds for is taken by {before} before it"
            yield PolicyInvalid(Reason.OVERLAP, what, f"{part}[{index}]")


def _covered_by(match: Match, earlier: Sequence[Match]) -> list[int]:
    """Which of the earlier ones together hold for everything that ``match`` holds for; empty if something is left.

    What a match holds for is a box of accepted values per attribute; the earlier boxes are cut out of it one by one.
    Given up, as if something were left, when it falls into more than 2,000 pieces.
    """
    left, blocking = [_box(match)], list[int]()
    for index, other in enumerate(earlier):
        before = left
        left = [piece for box in before for piece in _cut(box, _box(other))]
        if left != before:
            blocking.append(index)
        if not left:
            return blocking
        if len(left) > _MOST_BOXES:
            return []
    return []


def _box(match: Match) -> _Box:
    return {name: (True, accepted) for name, accepted in match.conditions}


def _cut(box: _Box, hole: Mapping[str, _Accepts]) -> list[_Box]:
    """``box`` without ``hole``, as boxes that have nothing in common; ``[box]`` itself when they don't meet."""
    if any(_nothing(name, _both(box.get(name, _ANYTHING), accepted)) for name, accepted in hole.items()):
        return [box]
    pieces: list[_Box] = []
    rest = box
    for name, (_, accepted) in hole.items():
        here = rest.get(name, _ANYTHING)
        outside = _both(here, (False, accepted))
        if not _nothing(name, outside):
            pieces.append({**rest, name: outside})
        rest = {**rest, name: _both(here, (True, accepted))}
    return pieces


def _both(one: _Accepts, other: _Accepts) -> _Accepts:
    match one[0], other[0]:
        case True, True:
            return True, one[1] & other[1]
        case True, False:
            return True, one[1] - other[1]
        case False, True:
            return True, other[1] - one[1]
        case _:
            return False, one[1] | other[1]


def _nothing(name: str, accepts: _Accepts) -> bool:
    """Whether no value is left; of priorities all are known."""
    exactly, values = accepts
    return not values if exactly else name == "priority" and values >= set(PRIORITIES)
